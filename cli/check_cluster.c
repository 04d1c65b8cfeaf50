/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check_cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "cluster/directory.h"
#include "decide/diagnosis.h"
#include "decide/spread.h"
#include "kube/file.h"
#include "kube/policy.h"

enum { NAMED = 8, KINDS = 4 };

/* Nodes of which the same is to be said. */
struct alike {
    char *text;
    struct buf names; /* "a, b" */
    uint32_t n;
    struct alike *next;
};

struct nodes {
    struct check_cluster *c;
    const struct node_view *node; /* being told of */
    struct alike *alike;
    uint32_t n, certainty[KINDS]; /* Exact, Assumed, Interval, Unknown */
};

static const char *const certainties[KINDS] = {"Exact", "Assumed", "Interval", "Unknown"};

/* --- places --- */

void check_cluster_say(struct check_cluster *c, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    const size_t from = c->said.n;

    buf_printf(&c->said, "%s:%u:%u: %s\n", path, line, column, text);
    if (c->said.failed)
        c->failed = true;
    else
        (void)fputs(c->said.p + from, stdout);
}

/* `at`, with room for one more than `n`; NULL when there is none, `at` is then as it was. */
static void *with_room(void *at, size_t n, size_t *room, size_t size)
{
    const size_t more = *room ? *room * 2 : 64;

    if (n < *room)
        return at;
    void *const grown = realloc(at, more * size);
    if (grown)
        *room = more;
    return grown;
}

static void note_namespace(struct check_cluster *c, struct str name)
{
    for (size_t i = c->n_namespaces; i > 0; i--) {
        if (str_is(name, c->namespaces[i - 1]))
            return;
    }
    char *const copy = strndup(name.p, name.n);
    char **const list =
        with_room(c->namespaces, c->n_namespaces, &c->namespace_room, sizeof(*list));
    c->namespaces = list ? list : c->namespaces;
    c->failed = c->failed || !copy || !list;
    if (copy && list)
        list[c->n_namespaces++] = copy;
    else
        free(copy);
}

/* False: it is of another kind. */
static bool kind_of(enum check_kind *out, const struct kube_meta *meta)
{
    if (str_is(meta->kind, "Node"))
        *out = CHECK_NODE;
    else if (str_is(meta->kind, "NodeResourceTopology"))
        *out = CHECK_REPORT;
    else if (str_is(meta->kind, KUBE_POLICY_KIND))
        *out = CHECK_POLICY;
    else
        return false;
    return true;
}

void check_cluster_note(struct check_cluster *c, const struct kube_document *doc)
{
    const bool is_namespace = str_is(doc->meta.kind, "Namespace");
    enum check_kind kind;

    if (is_namespace || doc->meta.ns.n)
        note_namespace(c, is_namespace ? doc->meta.name : doc->meta.ns);
    if (!kind_of(&kind, &doc->meta))
        return;
    const struct check_place place = {.name = strndup(doc->meta.name.p, doc->meta.name.n),
                                      .path = strdup(doc->path),
                                      .line = doc->line,
                                      .column = doc->column,
                                      .kind = kind};
    struct check_place *const places = with_room(c->places, c->n_places, &c->room, sizeof(*places));

    c->places = places ? places : c->places;
    if (place.name && place.path && places) {
        c->places[c->n_places++] = place;
        return;
    }
    free(place.name);
    free(place.path);
    c->failed = true;
}

/* Where the report of a node stands, else its Node; of several the first; NULL: nowhere. */
static const struct check_place *place_of(const struct check_cluster *c, struct str name)
{
    const struct check_place *node = NULL;

    for (size_t i = 0; i < c->n_places; i++) {
        const struct check_place *const p = &c->places[i];

        if (p->kind == CHECK_POLICY || !str_is(name, p->name))
            continue;
        if (p->kind == CHECK_REPORT)
            return p;
        node = node ? node : p;
    }
    return node;
}

/* --- lines --- */

static void say_at(struct check_cluster *c, const struct check_place *place, const char *level,
                   const char *what, struct str name, struct str text)
{
    struct buf line = {0};

    buf_printf(&line, "%s: %s %.*s: %.*s", level, what, STR_ARG(name), STR_ARG(text));
    if (!line.failed)
        check_cluster_say(c, place ? place->path : "?", place ? place->line : 0,
                          place ? place->column : 0, line.p);
    buf_free(&line);
    c->warnings += strcmp(level, "warning") == 0;
}

static void add_alike(struct nodes *n, struct str text)
{
    struct alike **at = &n->alike;

    while (*at && !str_is(text, (*at)->text))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at || !((*at)->text = strndup(text.p, text.n))) {
            free(*at);
            *at = NULL;
            n->c->failed = true;
            return;
        }
    }
    struct alike *const a = *at;
    if (a->n++ < NAMED)
        buf_printf(&a->names, "%s%.*s", a->n == 1 ? "" : ", ", STR_ARG(n->node->name));
}

static void say_alike(struct nodes *n)
{
    while (n->alike) {
        struct alike *const a = n->alike;

        printf("note: %s, %" PRIu32 " node%s: %s", a->text, a->n, a->n == 1 ? "" : "s",
               a->names.failed ? "" : a->names.p);
        if (a->n > NAMED)
            printf(" and %" PRIu32 " more", a->n - NAMED);
        putchar('\n');
        n->alike = a->next;
        buf_free(&a->names);
        free(a->text);
        free(a);
    }
}

/* --- nodes --- */

static void on_finding(void *ctx, enum diagnosis_kind kind, struct str text)
{
    struct nodes *const n = ctx;
    struct buf assumed = {0};

    if (kind != DIAGNOSIS_ASSUMED) {
        say_at(n->c, place_of(n->c, n->node->name), kind == DIAGNOSIS_GROUP ? "note" : "warning",
               "node", n->node->name, text);
        return;
    }
    buf_printf(&assumed, "Assumed (%.*s)", STR_ARG(text));
    if (!assumed.failed)
        add_alike(n, buf_view(&assumed));
    buf_free(&assumed);
}

static uint32_t certainty_of(const struct node_view *v)
{
    const char *const text = spread_certainty_text(v->assumed, v->n_unplaced > 0);
    uint32_t i = 0;

    if (v->knowledge != NODE_KNOWN)
        return KINDS - 1;
    while (strcmp(certainties[i], text) != 0)
        i++;
    return i;
}

/* A directory may be old on purpose; a server would not have it. */
static void note_age(struct nodes *n)
{
    const struct config_setting *const max = config_find(STR("topology.maxAge"));
    const int64_t age_us = clock_realtime_us() - n->node->observed_us;
    struct buf text = {0};

    if (n->node->observed_us == 0 || age_us <= max->initial * 1000)
        return;
    buf_text(&text, "observed more than ");
    config_format_duration(&text, max->initial);
    buf_text(&text, " ago, StaleTopology for a server (topology.maxAge)");
    if (!text.failed)
        add_alike(n, buf_view(&text));
    buf_free(&text);
}

static void check_nodes(struct nodes *n, const struct cluster_snapshot *s)
{
    for (uint32_t i = 0; i < cluster_snapshot_nodes(s); i++) {
        n->node = cluster_snapshot_node(s, i);
        n->n++;
        n->certainty[certainty_of(n->node)]++;
        diagnose_node(n->node, on_finding, n);
        note_age(n);
    }
}

/* Reports that no Node goes with are never asked about. */
static void check_reports(struct nodes *n, const struct cluster_snapshot *s)
{
    for (size_t i = 0; i < n->c->n_places; i++) {
        const struct check_place *const p = &n->c->places[i];
        const struct str name = str_of(p->name);

        if (p->kind == CHECK_REPORT && !cluster_snapshot_find(s, name))
            say_at(n->c, p, "warning", "node", name, STR("there is no Node of this name"));
    }
}

/* --- policies --- */

enum { LOSERS = 64 };

static bool loses(const struct cluster_context *context, struct str policy, struct str ns)
{
    const struct score_policy *losers[LOSERS];
    const uint32_t all = cluster_context_losers(context, ns, losers, LOSERS);

    for (uint32_t i = 0; i < all && i < LOSERS; i++) {
        if (str_eq(losers[i]->name, policy))
            return true;
    }
    return false;
}

/* Where another one counts in its stead, among the namespaces that there are. */
static void check_policy(struct check_cluster *c, const struct check_place *p,
                         const struct cluster_context *context)
{
    const struct str name = str_of(p->name);
    struct buf text = {0};
    uint32_t n = 0;

    for (size_t i = 0; i < c->n_namespaces; i++) {
        const struct str ns = str_of(c->namespaces[i]);

        if (!loses(context, name, ns))
            continue;
        if (n++ < NAMED)
            buf_printf(&text, "%s %.*s counts in namespace %.*s", n == 1 ? "Conflicted:" : ",",
                       STR_ARG(cluster_context_policy(context, ns)->name), STR_ARG(ns));
    }
    if (n > NAMED)
        buf_printf(&text, " and others in %" PRIu32 " more", n - NAMED);
    if (n && !text.failed)
        say_at(c, p, "warning", "policy", name, buf_view(&text));
    buf_free(&text);
}

static void check_policies(struct check_cluster *c, const struct cluster_context *context)
{
    note_namespace(c, STR("default"));
    for (size_t i = 0; i < c->n_places; i++) {
        if (c->places[i].kind == CHECK_POLICY)
            check_policy(c, &c->places[i], context);
    }
}

static void say_sum(const struct nodes *n)
{
    const char *before = ": ";

    if (n->n == 0)
        return;
    (void)fflush(stdout);
    (void)fprintf(stderr, "%" PRIu32 " node%s", n->n, n->n == 1 ? "" : "s");
    for (uint32_t k = 0; k < KINDS; k++) {
        if (!n->certainty[k])
            continue;
        (void)fprintf(stderr, "%s%" PRIu32 " %s", before, n->certainty[k], certainties[k]);
        before = ", ";
    }
    (void)fputc('\n', stderr);
}

/* "DIR/FILE:LINE:COLUMN: text": what is wrong with single objects has been said already. */
static void on_problem(void *ctx, const char *text)
{
    struct check_cluster *const c = ctx;
    const char *const place_end = strstr(text, ": ");
    const int n = place_end ? (int)(place_end - text) + 2 : 0;

    if (c->said.n && strstr(c->said.p, text))
        return;
    printf("%.*swarning: %s\n", n, text, text + n);
    c->warnings++;
}

int check_cluster_dir(struct check_cluster *c, const char *dir, struct err *err)
{
    const struct cluster_options options = {.max_age_us = 0}; /* note_age tells how old it is */
    struct nodes n = {.c = c};
    struct directory *directory = NULL;
    struct cluster *cluster;
    int rc = cluster_new(&cluster, &options, err);

    if (rc)
        return rc;
    const struct source_sink sink = cluster_sink(cluster);
    rc = directory_open(&directory, dir, NULL, &sink, on_problem, c, err);
    if (rc == 0) {
        struct cluster_snapshot *const s = cluster_get(cluster);

        check_nodes(&n, s);
        check_reports(&n, s);
        check_policies(c, cluster_snapshot_context(s));
        say_alike(&n);
        say_sum(&n);
        cluster_snapshot_unref(s);
    }
    directory_close(directory);
    cluster_free(cluster);
    return rc;
}

void check_cluster_done(struct check_cluster *c)
{
    for (size_t i = 0; i < c->n_places; i++) {
        free(c->places[i].name);
        free(c->places[i].path);
    }
    for (size_t i = 0; i < c->n_namespaces; i++)
        free(c->namespaces[i]);
    free(c->namespaces);
    free(c->places);
    buf_free(&c->said);
    *c = (struct check_cluster){0};
}
