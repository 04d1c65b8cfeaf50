/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/health.h"

#include <stdio.h>
#include <string.h>

#include "cluster/cluster.h"

enum { CHECKS = 3, LINES_BYTES = 256 };

struct check {
    const char *name;
    bool ok;
};

static void add_text(struct http_reply *reply, const char *text)
{
    http_add(reply, text, strlen(text));
}

/* Is `verbose` among the parameters? */
static bool is_verbose(struct str query)
{
    while (query.n) {
        struct str value = str_cut(&query, '&');
        if (str_is(str_cut(&value, '='), "verbose"))
            return true;
    }
    return false;
}

static bool is_excluded(struct str query, const char *name)
{
    while (query.n) {
        struct str value = str_cut(&query, '&');
        if (str_is(str_cut(&value, '='), "exclude") && str_is(value, name))
            return true;
    }
    return false;
}

static void answer(struct str query, struct http_reply *reply, const char *what,
                   const struct check *checks, size_t n)
{
    char line[LINES_BYTES];

    for (size_t i = 0; i < n; i++)
        if (!checks[i].ok && !is_excluded(query, checks[i].name)) {
            http_status(reply, 503);
            return;
        }
    http_content_type(reply, "text/plain; charset=utf-8");
    if (!is_verbose(query)) {
        add_text(reply, "ok");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(line, sizeof(line), "[+]%s %s\n", checks[i].name,
                       is_excluded(query, checks[i].name) ? "excluded: ok" : "ok");
        add_text(reply, line);
    }
    (void)snprintf(line, sizeof(line), "%s check passed\n", what);
    add_text(reply, line);
}

static void livez(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct check checks[] = {{"ping", true}};

    answer(req->query, reply, "livez", checks, 1);
}

static void ready(struct health *h, const struct http_request *req, struct http_reply *reply,
                  const char *what)
{
    const struct check checks[CHECKS] = {
        {"ping", true},
        {"state-synced", cluster_is_synced(h->cluster)},
        {"shutdown", !atomic_load(&h->stopping)},
    };

    answer(req->query, reply, what, checks, CHECKS);
}

static void readyz(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    ready(ctx, req, reply, "readyz");
}

static void healthz(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    ready(ctx, req, reply, "healthz");
}

void health_routes(struct health *h, struct http_route out[HEALTH_ROUTES])
{
    out[0] = (struct http_route){"/livez", HTTP_GET, true, livez, h};
    out[1] = (struct http_route){"/readyz", HTTP_GET, true, readyz, h};
    out[2] = (struct http_route){"/healthz", HTTP_GET, true, healthz, h};
}
