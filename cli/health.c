/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/health.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cluster/cluster.h"

/* ---- the checks every program has ---- */

static bool ping(void *ctx, char *why)
{
    return true;
}

static bool is_synced(void *ctx, char *why)
{
    const struct health *const h = ctx;

    (void)snprintf(why, HEALTH_WHY_BYTES, "the cluster has not been listed yet");
    return cluster_is_synced(h->cluster);
}

static bool stays_up(void *ctx, char *why)
{
    const struct health *const h = ctx;

    (void)snprintf(why, HEALTH_WHY_BYTES, "the program is about to end");
    return !atomic_load(&h->stopping);
}

void health_init(struct health *h, struct cluster *cluster)
{
    *h = (struct health){.cluster = cluster};
    health_add(h, (struct health_check){"ping", true, ping, h});
    if (cluster)
        health_add(h, (struct health_check){"state-synced", false, is_synced, h});
    health_add(h, (struct health_check){"shutdown", false, stays_up, h});
}

void health_add(struct health *h, struct health_check check)
{
    assert(h->n < HEALTH_CHECKS);
    h->checks[h->n++] = check;
}

/* ---- the answer ---- */

static bool has_parameter(struct str query, const char *name, const char *value)
{
    while (query.n) {
        struct str rest = str_cut(&query, '&');
        if (str_is(str_cut(&rest, '='), name) && (!value || str_is(rest, value)))
            return true;
    }
    return false;
}

struct question {
    const char *what; /* "readyz" */
    bool of_life;     /* only the checks of life */
    struct str only;  /* the name of one check; empty: all */
    struct str query;
};

static bool is_asked(const struct question *q, const struct health_check *check)
{
    if (q->only.n > 0)
        return str_is(q->only, check->name);
    return check->is_of_life || !q->of_life;
}

/* A line each, looked at once. How many were asked; `*good` turns false when one fails. */
static size_t look(struct buf *lines, const struct health *h, const struct question *q, bool *good)
{
    char why[HEALTH_WHY_BYTES];
    size_t asked = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct health_check *const c = &h->checks[i];
        if (!is_asked(q, c))
            continue;
        asked++;
        if (has_parameter(q->query, "exclude", c->name)) {
            buf_printf(lines, "[+]%s excluded: ok\n", c->name);
        } else if (c->is_good(c->ctx, why)) {
            buf_printf(lines, "[+]%s ok\n", c->name);
        } else {
            buf_printf(lines, "[-]%s failed: %s\n", c->name, why);
            *good = false;
        }
    }
    return asked;
}

static void answer(const struct health *h, const struct question *q, struct http_reply *reply)
{
    struct buf lines = {0};
    bool good = true;

    const size_t asked = look(&lines, h, q, &good);
    buf_printf(&lines, "%s check %s\n", q->what, good ? "passed" : "failed");
    http_content_type(reply, "text/plain; charset=utf-8");
    if (asked == 0)
        http_status(reply, 404);
    else if (good && !has_parameter(q->query, "verbose", NULL))
        http_add(reply, "ok", 2);
    else
        http_add(reply, lines.p, lines.failed ? 0 : lines.n);
    if (asked > 0 && !good)
        http_status(reply, 503);
    buf_free(&lines);
}

/* "/readyz" or "/readyz/NAME" */
static void ask(const struct health *h, const struct http_request *req, struct http_reply *reply,
                const char *what, bool of_life)
{
    const size_t prefix = strlen(what) + 2;
    const struct question q = {
        .what = what,
        .of_life = of_life,
        .only = req->path.n > prefix ? (struct str){req->path.p + prefix, req->path.n - prefix}
                                     : (struct str){0},
        .query = req->query,
    };

    answer(h, &q, reply);
}

static void livez(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    ask(ctx, req, reply, "livez", true);
}

static void readyz(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    ask(ctx, req, reply, "readyz", false);
}

static void healthz(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    ask(ctx, req, reply, "healthz", false);
}

void health_routes(struct health *h, struct http_route out[HEALTH_ROUTES])
{
    out[0] = (struct http_route){"/livez", HTTP_GET, true, livez, h};
    out[1] = (struct http_route){"/readyz", HTTP_GET, true, readyz, h};
    out[2] = (struct http_route){"/healthz", HTTP_GET, true, healthz, h};
    out[3] = (struct http_route){"/livez/", HTTP_GET, true, livez, h};
    out[4] = (struct http_route){"/readyz/", HTTP_GET, true, readyz, h};
    out[5] = (struct http_route){"/healthz/", HTTP_GET, true, healthz, h};
}
