/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/locks_server.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/args.h"
#include "kube/fetch.h"
#include "kube/file.h"
#include "kube/scan.h"
#include "kube/status.h"

enum { GOOD = 200 };

static void target_of(struct buf *out, const struct locks_server *server, enum draw_format format)
{
    buf_printf(out, "/v1/lock-hierarchy?format=%s", draw_names[format]);
    if (server->ns) {
        buf_text(out, "&namespace=");
        fetch_escape(out, server->ns);
    }
}

/* What a Status says, else the status code. */
static int refused(const struct locks_server *server, int status, struct buf *body, struct err *err)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = body->n;
    struct kube_status s;

    buf_add(body, zeros, sizeof(zeros));
    if (!body->failed && kube_status_decode(&s, (struct str){body->p, n}) && s.message[0])
        return err_set(err, -EPROTO, "%s: %s", server->url, s.message);
    if (status == 404)
        return err_set(err, -EPROTO,
                       "%s: no locks are known there: give the operator's address, as serve "
                       "prints it",
                       server->url);
    return err_set(err, -EPROTO, "%s answers with status %d", server->url, status);
}

static int get(struct buf *out, const struct locks_server *server, enum draw_format format,
               struct err *err)
{
    struct buf target = {0};
    int status = 0;

    target_of(&target, server, format);
    int rc = target.failed ? err_set(err, -ENOMEM, "no memory")
                           : fetch_get(out, &status, server->url, target.p, &server->access, err);
    buf_free(&target);
    if (rc == 0 && status != GOOD)
        rc = refused(server, status, out, err);
    return rc;
}

/* Anything in "cycles" or "deadlocks", at any depth. */
static bool any_in(struct scan *s)
{
    bool any = false;

    if (scan_kind(s) == SCAN_ARRAY) {
        if (scan_array(s))
            while (scan_item(s))
                any = any_in(s) || any;
        return any;
    }
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return false;
    while (scan_key(s)) {
        uint32_t n = 0;

        if ((scan_at(s, "cycles") || scan_at(s, "deadlocks")) && scan_kind(s) == SCAN_ARRAY)
            any = (scan_count(s, &n) && n > 0) || any;
        else if (scan_at(s, "namespaces"))
            any = any_in(s) || any;
    }
    return any;
}

static int has_cycle(bool *out, struct buf *json, struct err *err)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = json->n;
    struct scan s;

    buf_add(json, zeros, sizeof(zeros));
    if (json->failed)
        return err_set(err, -ENOMEM, "no memory");
    json->n = n;
    scan_init(&s, (struct str){json->p, n}, 0);
    *out = any_in(&s);
    return scan_end(&s, err);
}

int locks_from_server(const struct locks_server *server, enum draw_format format)
{
    struct buf json = {0}, drawn = {0};
    bool cycle = false;
    struct err err;
    int rc = get(&json, server, DRAW_JSON, &err);

    if (rc == 0)
        rc = has_cycle(&cycle, &json, &err);
    if (rc == 0 && format != DRAW_JSON)
        rc = get(&drawn, server, format, &err);
    const struct buf *const out = format == DRAW_JSON ? &json : &drawn;
    if (rc == 0)
        (void)fwrite(out->p, 1, out->n, stdout);
    else
        (void)fprintf(stderr, "numawise locks: %s\n", err.text);
    buf_free(&json);
    buf_free(&drawn);
    return rc ? EXIT_UNREADABLE : cycle ? EXIT_NO : EXIT_YES;
}
