/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster: what a directory delivers, changed on its way. */
#include "cli/simulate_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "kube/emit.h"
#include "kube/file.h"
#include "kube/nrt_emit.h"
#include "kube/positions.h"

enum { PADDING = 64 };

/* --- --set --- */

static const struct {
    const char *setting, *attribute;
} settings[] = {
    {"topologyManagerPolicy", "topologyManagerPolicy"},
    {"topologyManagerScope", "topologyManagerScope"},
    {"topologyManagerPolicyOptions", "topology-manager-policy-options"},
    {"cpuManagerPolicy", "cpu-manager-policy"},
    {"cpuManagerPolicyOptions", "cpu-manager-policy-options"},
    {"memoryManagerPolicy", "memory-manager-policy"},
};

static int find_setting(struct str name, struct err *err)
{
    const char *names[ARRAY_LEN(settings)];

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        names[i] = settings[i].setting;
        if (str_is(name, names[i]))
            return (int)i;
    }
    const char *const near = str_nearest(name, names, ARRAY_LEN(settings));
    return err_set(err, -EINVAL, "there is no setting \"%.*s\"%s%s%s", STR_ARG(name),
                   near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

int simulate_set_parse(struct simulate_set *out, const char *text, struct err *err)
{
    struct str value = str_of(text), setting;
    struct kube_nrt_attribute attribute;
    const char *dot = NULL;

    if (!strchr(text, '=') || !str_starts(value, "node/"))
        return err_set(err, -EINVAL, "\"%s\" is not of the form node/NODE.SETTING=VALUE", text);
    setting = str_cut(&value, '=');
    setting = (struct str){setting.p + strlen("node/"), setting.n - strlen("node/")};
    for (size_t i = 0; i < setting.n; i++) /* names of nodes have dots, too */
        dot = setting.p[i] == '.' ? setting.p + i : dot;
    if (!dot || dot == setting.p)
        return err_set(err, -EINVAL, "\"%s\" is not of the form node/NODE.SETTING=VALUE", text);
    const struct str node = {setting.p, (size_t)(dot - setting.p)};
    const int i = find_setting((struct str){dot + 1, setting.n - node.n - 1}, err);
    if (i < 0)
        return i;
    const int rc = kube_nrt_attribute_check(&attribute, str_of(settings[i].attribute), value, err);
    if (rc == 0)
        *out = (struct simulate_set){node, attribute.name, value};
    return rc;
}

/* --- objects on their way --- */

/* A node and its topology, kept for copies. */
struct kept {
    struct str name; /* in `text` */
    char *text;      /* name, and JSON with its padding */
    struct str json;
};

struct kept_list {
    struct kept *at;
    uint32_t n, room;
};

struct reading {
    const struct simulate_changes *changes;
    struct source_sink inner;
    struct kept_list nodes, nrts;
    bool *used; /* [n_sets] some node has its name */
    struct err *err;
    int rc;
    bool settled;
};

static struct kept *find_kept(const struct kept_list *l, struct str name)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (str_eq(l->at[i].name, name))
            return &l->at[i];
    }
    return NULL;
}

/* The last word on a name counts. */
static int keep(struct kept_list *l, struct str name, struct str json)
{
    struct kept *k = find_kept(l, name);
    char *const text = malloc(name.n + json.n + PADDING);

    if (!k && l->n == l->room) {
        const uint32_t room = l->room ? 2 * l->room : 64;
        struct kept *const at = realloc(l->at, room * sizeof(*at));

        if (!at) {
            free(text);
            return -ENOMEM;
        }
        l->at = at;
        l->room = room;
    }
    if (!text)
        return -ENOMEM;
    if (k)
        free(k->text);
    else
        k = &l->at[l->n++];
    memcpy(text, name.p, name.n);
    memcpy(text + name.n, json.p, json.n);
    memset(text + name.n + json.n, 0, PADDING);
    *k = (struct kept){{text, name.n}, text, {text + name.n, json.n}};
    return 0;
}

static int by_name(const void *x, const void *y)
{
    return str_cmp(((const struct kept *)x)->name, ((const struct kept *)y)->name);
}

static void free_list(struct kept_list *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        free(l->at[i].text);
    free(l->at);
}

static void pad(struct buf *b)
{
    static const char zeros[PADDING] = {0};
    const size_t n = b->n;

    buf_add(b, zeros, sizeof(zeros));
    b->n = b->failed ? b->n : n;
}

static bool is_set(const struct simulate_set *set, struct str node)
{
    return str_is(set->node, "*") || str_eq(set->node, node);
}

/* The attributes without those that are set, and these. */
static void put_attributes(struct emit *e, const struct reading *r, struct str node,
                           struct str list)
{
    struct str key = {0}, entry;

    emit_array(e);
    for (size_t at = 0; list.n && list.p[0] == '[' && kube_json_step(list, &at, &key, &entry);) {
        const struct str name = kube_json_find(entry, STR("name"));
        bool replaced = false;

        for (uint32_t i = 0; i < r->changes->n_sets; i++)
            replaced = replaced || (is_set(&r->changes->sets[i], node) && name.n > 2 &&
                                    str_eq((struct str){name.p + 1, name.n - 2},
                                           r->changes->sets[i].attribute));
        if (!replaced)
            emit_raw(e, entry);
    }
    for (uint32_t i = 0; i < r->changes->n_sets; i++) {
        if (!is_set(&r->changes->sets[i], node))
            continue;
        emit_object(e);
        emit_key(e, "name"), emit_text(e, r->changes->sets[i].attribute);
        emit_key(e, "value"), emit_text(e, r->changes->sets[i].value);
        emit_end(e);
    }
    emit_end(e);
}

/* A NodeResourceTopology with the settings of its kubelet changed. */
static void change_topology(struct buf *out, const struct reading *r, struct str node,
                            struct str json)
{
    struct str key = {0}, value, attributes = {0};
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    for (size_t at = 0; kube_json_step(json, &at, &key, &value);) {
        if (str_is(key, "\"attributes\""))
            attributes = value;
        else if (key.n >= 2)
            emit_key_str(&e, (struct str){key.p + 1, key.n - 2}), emit_raw(&e, value);
    }
    emit_key(&e, "attributes");
    put_attributes(&e, r, node, attributes);
    emit_end(&e);
    pad(out);
}

static bool any_set(const struct reading *r, struct str node)
{
    bool any = false;

    for (uint32_t i = 0; i < r->changes->n_sets; i++) {
        if (is_set(&r->changes->sets[i], node))
            any = r->used[i] = true;
    }
    return any;
}

static int deliver(struct reading *r, const struct source_delta *delta, struct err *err)
{
    struct kept_list *const list = delta->kind == SOURCE_NODE ? &r->nodes : &r->nrts;
    const int rc = r->inner.delta(r->inner.ctx, delta, err);

    if (rc == 0 && delta->verb == SOURCE_UPSERT &&
        (delta->kind == SOURCE_NODE || delta->kind == SOURCE_NRT) &&
        keep(list, delta->name, delta->json))
        return err_set(err, -ENOMEM, "no memory for the nodes");
    return rc;
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct reading *const r = ctx;
    CLEANUP(buf_free) struct buf changed = {0};
    struct source_delta own = *delta;

    if (delta->kind != SOURCE_NRT || delta->verb != SOURCE_UPSERT || !any_set(r, delta->name))
        return deliver(r, delta, err);
    change_topology(&changed, r, delta->name, delta->json);
    if (changed.failed)
        return err_set(err, -ENOMEM, "no memory for a node");
    own.json = buf_view(&changed);
    return deliver(r, &own, err);
}

static void on_begin(void *ctx, enum source_kind kind, bool again)
{
    const struct reading *const r = ctx;

    r->inner.begin(r->inner.ctx, kind, again);
}

static void on_end(void *ctx, enum source_kind kind)
{
    const struct reading *const r = ctx;

    r->inner.end(r->inner.ctx, kind);
}

/* --- more nodes, or fewer --- */

static int copy_object(struct reading *r, enum source_kind kind, const struct kept *from,
                       struct str name)
{
    CLEANUP(buf_free) struct buf json = {0};
    const struct str was = kube_json_find(from->json, STR("metadata.name"));

    buf_add(&json, from->json.p, (size_t)(was.p - from->json.p));
    buf_printf(&json, "\"%.*s\"", STR_ARG(name));
    buf_add(&json, was.p + was.n, (size_t)(from->json.p + from->json.n - was.p) - was.n);
    pad(&json);
    const struct source_delta delta = {
        .verb = SOURCE_UPSERT,
        .kind = kind,
        .type = kind == SOURCE_NODE ? STR("Node") : STR("NodeResourceTopology"),
        .name = name,
        .json = buf_view(&json),
    };
    return json.failed ? err_set(r->err, -ENOMEM, "no memory for the nodes")
                       : r->inner.delta(r->inner.ctx, &delta, r->err);
}

static int copy_node(struct reading *r, uint32_t i)
{
    const struct kept *const node = &r->nodes.at[i % r->nodes.n], *const nrt = find_kept(
                                                                      &r->nrts, node->name);
    char room[320];
    const int n = snprintf(room, sizeof(room), "%.*s-%u", STR_ARG(node->name), i / r->nodes.n + 1);
    const struct str name = {room, n > 0 && (size_t)n < sizeof(room) ? (size_t)n : 0};
    const int rc = copy_object(r, SOURCE_NODE, node, name);

    return rc || !nrt ? rc : copy_object(r, SOURCE_NRT, nrt, name);
}

static int drop_node(struct reading *r, const struct kept *node)
{
    const struct source_delta delta = {
        .verb = SOURCE_DELETE, .kind = SOURCE_NODE, .type = STR("Node"), .name = node->name};

    return r->inner.delta(r->inner.ctx, &delta, r->err);
}

/* The directory's nodes in turn until there are enough, or only the first of them. */
static int count_nodes(struct reading *r)
{
    const uint32_t want = r->changes->nodes;
    int rc = 0;

    if (want == 0)
        return 0;
    if (r->nodes.n == 0)
        return err_set(r->err, -ENOENT, "there is no node in the cluster to make %u of", want);
    qsort(r->nodes.at, r->nodes.n, sizeof(*r->nodes.at), by_name);
    for (uint32_t i = r->nodes.n; rc == 0 && i < want; i++)
        rc = copy_node(r, i);
    for (uint32_t i = want; rc == 0 && i < r->nodes.n; i++)
        rc = drop_node(r, &r->nodes.at[i]);
    return rc;
}

/* --- policies on top --- */

struct policies {
    struct reading *r;
    uint32_t n;
    int rc;
};

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    struct policies *const p = ctx;

    if (p->rc == 0)
        p->rc = err_set(p->r->err, -EINVAL, "%s:%u:%u: %s", path, line, column, text);
}

static int on_policy(void *ctx, const struct kube_document *doc)
{
    struct policies *const p = ctx;
    struct err why;
    const struct source_delta delta = {.verb = SOURCE_UPSERT,
                                       .kind = SOURCE_POLICY,
                                       .type = doc->meta.kind,
                                       .name = doc->meta.name,
                                       .json = doc->json};

    if (!str_is(doc->meta.kind, "ConcurrencyPolicy"))
        return 0;
    p->n++;
    if (p->r->inner.delta(p->r->inner.ctx, &delta, &why))
        on_problem(ctx, doc->path, doc->line, doc->column, why.text);
    return 0;
}

static int add_policies(struct reading *r)
{
    struct policies p = {.r = r};
    const struct kube_visitor visitor = {on_policy, on_problem, &p};

    if (!r->changes->policy)
        return 0;
    const int rc = kube_file_visit(r->changes->policy, &visitor, r->err);
    if (rc || p.rc)
        return rc ? rc : p.rc;
    return p.n ? 0
               : err_set(r->err, -ENOENT, "%s: there is no ConcurrencyPolicy in it",
                         r->changes->policy);
}

/* --- the whole --- */

static int check_sets(const struct reading *r)
{
    for (uint32_t i = 0; i < r->changes->n_sets; i++) {
        if (!r->used[i])
            return err_set(r->err, -ENOENT,
                           "there is no node \"%.*s\" with a topology in the cluster",
                           STR_ARG(r->changes->sets[i].node));
    }
    return 0;
}

static void on_settled(void *ctx)
{
    struct reading *const r = ctx;

    if (r->settled)
        return;
    r->settled = true;
    r->rc = check_sets(r);
    if (r->rc == 0)
        r->rc = count_nodes(r);
    if (r->rc == 0)
        r->rc = add_policies(r);
    r->inner.settled(r->inner.ctx);
}

static void tell(void *ctx, const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
}

int simulate_cluster(struct cluster **out, const struct numawise_config *config,
                     const struct simulate_changes *changes, struct err *err)
{
    const struct cluster_options options = {.rehearses = true};
    struct reading r = {.changes = changes, .err = err};
    struct directory *directory = NULL;
    struct cluster *c;
    int rc = cluster_new(&c, &options, err);

    if (rc)
        return rc;
    r.inner = cluster_sink(c);
    r.used = calloc(changes->n_sets + 1, sizeof(*r.used));
    const struct source_sink sink = {on_delta, on_begin, on_end, on_settled, &r};
    rc = r.used ? directory_open(&directory, config->cluster.p, NULL, &sink, tell, NULL, err)
                : err_set(err, -ENOMEM, "no memory");
    if (rc == 0)
        rc = r.rc;
    directory_close(directory);
    free_list(&r.nodes);
    free_list(&r.nrts);
    free(r.used);
    if (rc)
        cluster_free(c);
    else
        *out = c;
    return rc;
}
