/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explain_server.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/bundle.h"
#include "kube/decision_json.h"
#include "kube/fetch.h"
#include "kube/scan.h"
#include "kube/status.h"

/* Decoded, a decision takes less than this for each byte of its JSON. */
enum { ARENA_PER_BYTE = 8, ARENA_LEAST_BYTES = 64 * 1024, NOT_FOUND = 404, GOOD = 200 };

/* A decision and where it came from. */
struct answer {
    struct buf json;
    void *room;
    struct arena arena;
    struct told_decision told;
};

static int open_arena(struct answer *a, struct err *err)
{
    const size_t room = ARENA_LEAST_BYTES + a->json.n * ARENA_PER_BYTE;

    free(a->room);
    a->room = malloc(room);
    if (!a->room)
        return err_set(err, -ENOMEM, "no memory");
    arena_init(&a->arena, a->room, room);
    return 0;
}

static int wrong_status(const char *url, int status, struct err *err)
{
    if (status == NOT_FOUND)
        return err_set(err, -EPROTO,
                       "%s: no decisions are kept there: give the console's address, as serve "
                       "prints it",
                       url);
    return err_set(err, -EPROTO, "%s answers with status %d", url, status);
}

/* GET the list; `query` may be empty. The id of the newest in `id`, empty when there is none. */
static int read_list(struct answer *a, struct str *id, const char *url, const char *query,
                     struct err *err)
{
    struct buf target = {0};
    int status = 0;

    buf_printf(&target, "/v1/decisions%s", query);
    buf_free(&a->json);
    int rc = target.failed ? err_set(err, -ENOMEM, "no memory")
                           : fetch_get(&a->json, &status, url, target.p, NULL, err);
    buf_free(&target);
    if (rc == 0 && status != GOOD)
        rc = wrong_status(url, status, err);
    if (rc == 0)
        rc = open_arena(a, err);
    return rc ? rc : decision_first(id, buf_view(&a->json), &a->arena, err);
}

static bool is_id(const char *text)
{
    const char *p = text;

    while (isalnum((unsigned char)*p))
        p++;
    return p != text && *p == 0 && p - text < 64;
}

/* "?pod=ns/name" */
static void query_of(struct buf *out, const struct explain_server *ask)
{
    buf_text(out, "?pod=");
    if (!strchr(ask->pod, '/')) {
        fetch_escape(out, ask->ns ? ask->ns : "default");
        buf_text(out, "/");
    }
    fetch_escape(out, ask->pod);
}

static int newest_of_pod(struct answer *a, char *id, size_t room, const struct explain_server *ask,
                         struct err *err)
{
    struct buf query = {0};
    struct str first = STR("");

    query_of(&query, ask);
    const int rc = query.failed ? err_set(err, -ENOMEM, "no memory")
                                : read_list(a, &first, ask->url, query.p, err);
    buf_free(&query);
    if (rc)
        return rc;
    if (first.n == 0)
        return err_set(err, -ENOENT, "%s keeps no decision about %s%s%s", ask->url,
                       strchr(ask->pod, '/') ? ""
                       : ask->ns             ? ask->ns
                                             : "default",
                       strchr(ask->pod, '/') ? "" : "/", ask->pod);
    (void)snprintf(id, room, "%.*s", STR_ARG(first));
    return is_id(id) ? 0 : err_set(err, -EPROTO, "%s names a decision by what is no id", ask->url);
}

/* 404 is said of an id that is not kept, and of everything by a server that is no console. */
static int not_found(struct answer *a, const char *url, const char *id, struct err *err)
{
    struct str first;
    const int rc = read_list(a, &first, url, "", err);

    return rc ? rc : err_set(err, -ENOENT, "%s keeps no decision %s", url, id);
}

static int read_one(struct answer *a, const char *url, const char *id, struct err *err)
{
    char target[128];
    int status = 0;

    if (!is_id(id))
        return err_set(err, -EINVAL, "%s: not the id of a decision", id);
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s", id);
    buf_free(&a->json);
    int rc = fetch_get(&a->json, &status, url, target, NULL, err);
    if (rc == 0 && status == NOT_FOUND)
        return not_found(a, url, id, err);
    if (rc == 0 && status != GOOD)
        rc = wrong_status(url, status, err);
    if (rc == 0)
        rc = open_arena(a, err);
    return rc ? rc : decision_decode(&a->told, buf_view(&a->json), &a->arena, err);
}

static const struct told_node *find_node(const struct told_decision *d, const char *name)
{
    for (uint32_t i = 0; i < d->n_nodes; i++)
        if (str_is(d->nodes[i].name, name))
            return &d->nodes[i];
    return NULL;
}

/* Does the answer amount to yes? A pod that was not judged passes everywhere, which a note says. */
static bool is_yes(const struct told_decision *d, const struct told_node *only)
{
    if (d->note.n && !d->has_best)
        return true;
    return only ? str_is(only->verdict, "Admitted") && only->not_offered.n == 0 : d->has_best;
}

static int print(const struct answer *a, const struct explain_server *ask, struct err *err)
{
    struct buf out = {0};
    int rc = 0;

    if (!ask->json)
        explain_table(&out, &a->told, ask->node);
    else if (ask->node)
        rc = decision_only(&out, buf_view(&a->json), ask->node, err);
    else
        buf_str(&out, buf_view(&a->json));
    if (rc == 0 && out.failed)
        rc = err_set(err, -ENOMEM, "no memory for the report");
    if (rc == 0)
        (void)fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return rc;
}

/* The server says why; 404: it has just gone, or the server knows of no bundles. */
static int no_bundle(const char *url, const char *id, int status, struct buf *body, struct err *err)
{
    static const char zeros[SCAN_PADDING_BYTES];
    struct kube_status said;

    if (status == NOT_FOUND)
        return err_set(err, -EPROTO, "%s has no bundle of decision %s", url, id);
    const size_t n = body->n;
    buf_add(body, zeros, sizeof(zeros));
    if (body->failed || !kube_status_decode(&said, (struct str){body->p, n}))
        return wrong_status(url, status, err);
    return err_set(err, -EPROTO, "%s has no bundle of decision %s: %s", url, id, said.message);
}

static int read_bundle(const struct explain_server *ask, const struct answer *a, struct err *err)
{
    CLEANUP(buf_free) struct buf tar = {0};
    char target[128], id[64];
    int status = 0;

    (void)snprintf(id, sizeof(id), "%.*s", STR_ARG(a->told.id));
    if (!is_id(id))
        return err_set(err, -EPROTO, "%s names a decision by what is no id", ask->url);
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s/bundle", id);
    const int rc = fetch_get(&tar, &status, ask->url, target, NULL, err);
    if (rc)
        return rc;
    return status == GOOD ? bundle_unpack(ask->bundle, buf_view(&tar), err)
                          : no_bundle(ask->url, id, status, &tar, err);
}

static int answer(struct answer *a, const struct explain_server *ask, struct err *err)
{
    char id[64] = "";
    int rc = 0;

    if (!ask->decision)
        rc = newest_of_pod(a, id, sizeof(id), ask, err);
    if (rc == 0)
        rc = read_one(a, ask->url, ask->decision ? ask->decision : id, err);
    if (rc)
        return rc;
    const struct told_node *const only = ask->node ? find_node(&a->told, ask->node) : NULL;
    if (ask->node && !only)
        return err_set(err, -ENOTUNIQ, "there is no node \"%s\" in decision %.*s", ask->node,
                       STR_ARG(a->told.id));
    if (ask->bundle)
        rc = read_bundle(ask, a, err);
    if (rc == 0)
        rc = print(a, ask, err);
    return rc ? rc : !is_yes(&a->told, only);
}

int explain_server(const struct explain_server *ask, struct err *err)
{
    struct answer a = {.room = NULL};
    const int rc = answer(&a, ask, err);

    buf_free(&a.json);
    free(a.room);
    return rc;
}
