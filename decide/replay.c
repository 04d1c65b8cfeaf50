/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/replay.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/siphash.h"
#include "cluster/block.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "cluster/origin.h"
#include "cluster/pod_record.h"
#include "cluster/snapshot.h"
#include "cluster/store.h"
#include "decide/premises.h"
#include "decide/record.h"
#include "decide/report.h"
#include "kube/decision_json.h"
#include "kube/emit.h"
#include "kube/object.h"
#include "kube/object_emit.h"
#include "kube/scan.h"
#include "kube/signal.h"

/* --- names and texts --- */

void replay_place(struct buf *out, struct str kind, struct str ns, struct str name)
{
    enum { MOST = REPLAY_NAME_BYTES - (int)sizeof("_0123456789abcdef.json") };
    static const uint64_t key[2];
    const struct str parts[] = {ns, STR("_"), name};
    CLEANUP(buf_free) struct buf text = {0};

    for (size_t k = 0; k < ARRAY_LEN(parts); k++)
        for (size_t i = 0; i < parts[k].n; i++) {
            const unsigned char c = (unsigned char)parts[k].p[i];
            buf_printf(&text, isalnum(c) || c == '-' || c == '.' || k == 1 ? "%c" : "%%%02X", c);
        }
    out->failed = out->failed || text.failed;
    buf_str(out, kind), buf_text(out, "/");
    if (text.n <= MOST)
        buf_printf(out, "%.*s.json", (int)text.n, text.p);
    else
        buf_printf(out, "%.*s_%016llx.json", MOST, text.p,
                   (unsigned long long)siphash13(key, buf_view(&text)));
}

void replay_clock(struct buf *out, int64_t now_us)
{
    char text[32];

    clock_format_rfc3339(text, now_us);
    buf_printf(out, "%s\n", text);
}

void replay_config(struct buf *out, enum decide_mode mode, uint32_t max_score, int64_t max_age_ms)
{
    buf_printf(out,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "extender:\n  mode: %s\n  maxScore: %u\ntopology:\n  maxAge: ",
               mode == DECIDE_SHADOW ? "Shadow" : "Enforce", max_score);
    config_format_duration(out, max_age_ms);
    buf_text(out, "\n");
}

/* --- the files --- */

void replay_files_done(struct replay_files *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        buf_free(&f->at[i].path);
        buf_free(&f->at[i].text);
    }
    free(f->at);
    *f = (struct replay_files){0};
}

/* One more; NULL: out of memory, which f->failed says. Valid until the next one. */
static struct replay_file *add(struct replay_files *f)
{
    if (f->n == f->room) {
        const uint32_t room = f->room ? f->room * 2 : 64;
        struct replay_file *const at = realloc(f->at, room * sizeof(*at));

        if (!at) {
            f->failed = true;
            return NULL;
        }
        f->at = at;
        f->room = room;
    }
    f->at[f->n] = (struct replay_file){.is_object = false};
    return &f->at[f->n++];
}

static void add_text(struct replay_files *f, const char *path, struct buf *text)
{
    struct replay_file *const file = add(f);

    if (!file) {
        buf_free(text);
        return;
    }
    buf_text(&file->path, path);
    file->text = *text;
    *text = (struct buf){0};
}

static const struct replay_file *find(const struct replay_files *f, enum source_kind kind,
                                      struct str ns, struct str name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->at[i].is_object && f->at[i].kind == kind && str_eq(f->at[i].name, name) &&
            str_eq(f->at[i].ns, ns))
            return &f->at[i];
    return NULL;
}

/* An object of the cluster, whose text the caller writes; NULL: out of memory. */
static struct replay_file *add_object(struct replay_files *f, enum source_kind kind,
                                      const char *type, struct str ns, struct str name)
{
    struct replay_file *const file = add(f);

    if (!file)
        return NULL;
    file->is_object = true;
    file->kind = kind;
    file->type = type;
    file->ns = ns;
    file->name = name;
    buf_text(&file->path, "cluster/");
    replay_place(&file->path, str_of(type), ns, name);
    return file;
}

/* A record on its way into files. */
struct work {
    const struct record *r;
    struct replay_files *f;
    struct kube_asked_labels asked; /* by the policies */
    bool pods_known;
    struct premises premises;
};

static const struct score_pod *pod_of(const struct record *r)
{
    return r->pod->value;
}

/* --- what belongs to no node --- */

static void add_policies(struct work *w)
{
    const struct cluster_context *const c = w->r->policies;

    for (uint32_t i = 0; c && i < cluster_context_policies(c); i++) {
        const struct context_policy *const p = cluster_context_policy_at(c, i);
        struct replay_file *const file =
            add_object(w->f, SOURCE_POLICY, "ConcurrencyPolicy", STR(""), p->policy.name);

        if (file)
            buf_str(&file->text, p->json);
        kube_asked_labels_read(&w->asked, p->json);
    }
}

/* Where pods are whose policy counts. */
static void add_namespace(struct work *w, struct str ns)
{
    struct score_labels labels;

    if (!w->r->policies || !cluster_context_labels(w->r->policies, ns, &labels) ||
        find(w->f, SOURCE_NAMESPACE, STR(""), ns))
        return;
    struct replay_file *const file = add_object(w->f, SOURCE_NAMESPACE, "Namespace", STR(""), ns);
    if (file)
        kube_namespace_emit(&file->text, ns, labels, &w->asked);
}

/* --- nodes --- */

static void add_pods(struct work *w, const struct origin *o, uint32_t node)
{
    struct cluster_pod room;

    for (uint32_t i = 0; i < o->n_pods; i++) {
        pod_record_open(o->pods[i], &room);
        add_namespace(w, room.pod.ns);
        struct replay_file *const file =
            add_object(w->f, SOURCE_POD, "Pod", room.pod.ns, room.pod.name);
        if (!file)
            return;
        file->node = node;
        kube_pod_emit(&file->text, &room.pod, &w->asked);
    }
}

/* A report is kept as code; the arena grows until it has room. */
static int add_report(struct work *w, const struct origin *o, struct str name, uint32_t node)
{
    enum { FIRST = 256 * 1024, MOST = 64 * 1024 * 1024 };
    int rc = -ENOMEM;

    for (size_t room = FIRST; rc == -ENOMEM && room <= MOST; room *= 4) {
        void *const at = malloc(room);
        struct arena a;
        struct kube_nrt nrt;

        if (!at)
            return -ENOMEM;
        arena_init(&a, at, room);
        rc = store_read_nrt(&nrt, o->nrt, &a);
        struct replay_file *const file =
            rc ? NULL : add_object(w->f, SOURCE_NRT, "NodeResourceTopology", STR(""), name);
        if (file) {
            file->node = node;
            kube_nrt_emit_values(&file->text, &nrt, name);
        }
        arena_rewind(&a, 0);
        free(at);
    }
    return rc;
}

/* The k-th detail. -ESTALE: nobody knows what its view was made of. */
static int add_node(struct work *w, uint32_t k)
{
    const struct block *const block = w->r->details[k].view;
    const struct origin *const o = block ? origin_of(block) : NULL;

    if (!block)
        return 0; /* there is no such node */
    if (!o)
        return -ESTALE;
    const struct node_view *const view = block->value;
    struct replay_file *const file = add_object(w->f, SOURCE_NODE, "Node", STR(""), view->name);
    if (!file)
        return -ENOMEM;
    file->node = k + 1;
    kube_node_emit(&file->text, o->node->value, view->name);
    add_pods(w, o, k + 1);
    w->pods_known = w->pods_known || o->pods_known;
    w->premises.since_us = o->since_us;
    return o->nrt ? add_report(w, o, view->name, k + 1) : 0;
}

/* --- signals: what they made of the views, as one of each kind --- */

#define MEGA UINT64_C(1000000)

static bool has_figure(const struct node_load *l, enum signal_kind kind)
{
    return kind == SIGNAL_UTILIZATION ? l->has_utilization : l->has_queue;
}

static uint64_t figure(const struct node_load *l, enum signal_kind kind)
{
    return kind == SIGNAL_UTILIZATION ? l->utilization : l->queue;
}

static bool is_measured(const struct node_view *v, enum signal_kind kind)
{
    bool any = kind != SIGNAL_NETWORK && has_figure(&v->load, kind);

    for (uint32_t i = 0; kind == SIGNAL_NETWORK && i < v->n_nics; i++)
        any = any || v->nics[i].has_measured;
    for (uint32_t d = 0; kind != SIGNAL_NETWORK && v->device_load && d < v->n_devices; d++)
        any = any || has_figure(&v->device_load[d], kind);
    return any;
}

static void put_devices(struct emit *e, const struct node_view *v, enum signal_kind kind)
{
    emit_key(e, "devices"), emit_object(e);
    for (uint32_t i = 0; kind == SIGNAL_NETWORK && i < v->n_nics; i++)
        if (v->nics[i].has_measured)
            emit_key_str(e, v->nics[i].name), emit_uint(e, v->nics[i].measured / MEGA);
    for (uint32_t d = 0; kind != SIGNAL_NETWORK && v->device_load && d < v->n_devices; d++)
        if (has_figure(&v->device_load[d], kind))
            emit_key_str(e, v->devices[d].id), emit_uint(e, figure(&v->device_load[d], kind));
    emit_end(e);
}

static void put_figures(struct emit *e, const struct node_view *v, enum signal_kind kind)
{
    emit_key_str(e, v->name), emit_object(e);
    if (kind != SIGNAL_NETWORK && has_figure(&v->load, kind))
        emit_key(e, "value"), emit_uint(e, figure(&v->load, kind));
    put_devices(e, v, kind);
    emit_end(e);
}

static void begin_signal(struct emit *e, struct buf *out, struct str name, enum signal_kind kind)
{
    emit_init(e, out, true);
    emit_object(e);
    emit_key(e, "apiVersion"), emit_words(e, KUBE_SIGNAL_API);
    emit_key(e, "kind"), emit_words(e, KUBE_SIGNAL_KIND);
    emit_key(e, "metadata"), emit_object(e);
    emit_key(e, "name"), emit_text(e, name);
    emit_end(e);
    emit_key(e, "spec"), emit_object(e);
    emit_key(e, "kind"), emit_words(e, signal_kind_text(kind));
    emit_key(e, "unit"), emit_words(e, signal_unit_text(kind));
}

static void end_signal(struct emit *e)
{
    emit_end(e);
    emit_end(e);
    emit_end(e);
    buf_text(e->out, "\n");
}

static const struct node_view *view_at(const struct record *r, uint32_t k)
{
    return r->details[k].view ? r->details[k].view->value : NULL;
}

static void add_signal(struct work *w, enum signal_kind kind)
{
    static const struct str names[] = {
        {"measured-network", 16}, {"measured-utilization", 20}, {"measured-queue", 14}};
    struct replay_file *file = NULL;
    struct emit e;

    for (uint32_t k = 0; k < w->r->n_details; k++) {
        const struct node_view *const v = view_at(w->r, k);

        if (!v || v->knowledge != NODE_KNOWN || !is_measured(v, kind))
            continue;
        if (!file) {
            file = add_object(w->f, SOURCE_SIGNAL, KUBE_SIGNAL_KIND, STR(""), names[kind]);
            if (!file)
                return;
            begin_signal(&e, &file->text, names[kind], kind);
            emit_key(&e, "nodes"), emit_object(&e);
        }
        put_figures(&e, v, kind);
    }
    if (file)
        end_signal(&e);
}

/* Of a signal that is too old its name alone counts, at each node. */
static void add_stale_signal(struct work *w, struct str name)
{
    struct replay_file *file;
    struct emit e;

    if (find(w->f, SOURCE_SIGNAL, STR(""), name) ||
        !(file = add_object(w->f, SOURCE_SIGNAL, KUBE_SIGNAL_KIND, STR(""), name)))
        return;
    begin_signal(&e, &file->text, name, SIGNAL_QUEUE);
    emit_key(&e, "ttlSeconds"), emit_uint(&e, 1);
    emit_key(&e, "observedAt"), emit_words(&e, "1970-01-01T00:00:01Z");
    emit_key(&e, "nodes"), emit_object(&e);
    for (uint32_t k = 0; k < w->r->n_details; k++) {
        const struct node_view *const v = view_at(w->r, k);
        bool has = false;

        for (uint32_t i = 0; v && v->knowledge == NODE_KNOWN && i < v->n_stale; i++)
            has = has || str_eq(v->stale[i], name);
        if (has) {
            emit_key_str(&e, v->name), emit_object(&e);
            emit_key(&e, "value"), emit_uint(&e, 0);
            emit_end(&e);
        }
    }
    end_signal(&e);
}

static void add_signals(struct work *w)
{
    for (int kind = 0; kind < SIGNAL_KINDS; kind++)
        add_signal(w, (enum signal_kind)kind);
    for (uint32_t k = 0; k < w->r->n_details; k++) {
        const struct node_view *const v = view_at(w->r, k);

        for (uint32_t i = 0; v && v->knowledge == NODE_KNOWN && i < v->n_stale; i++)
            add_stale_signal(w, v->stale[i]);
    }
}

/* --- the rest --- */

/* The pod waits in the cluster, where pods are known: that there are none is not that. */
static void add_asked(struct work *w)
{
    const struct score_pod *const pod = pod_of(w->r);
    struct buf list = {0};

    add_namespace(w, pod->ns);
    if (w->pods_known && !find(w->f, SOURCE_POD, pod->ns, pod->name)) {
        struct replay_file *const file = add_object(w->f, SOURCE_POD, "Pod", pod->ns, pod->name);

        if (file)
            kube_pod_emit(&file->text, pod, &w->asked);
    }
    buf_text(&list, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n");
    kube_pod_emit(&list, pod, &w->asked);
    buf_text(&list, "]}\n");
    add_text(w->f, REPLAY_REQUEST, &list);
}

static void add_rest(struct work *w, struct str said)
{
    struct buf clock = {0}, config = {0}, premises = {0}, decision = {0};

    w->premises.terms = atomic_load(&w->r->terms);
    if (w->r->policies)
        w->premises.demand = *cluster_context_demand(w->r->policies);
    replay_clock(&clock, w->r->context.now_us);
    replay_config(&config, w->r->mode, w->r->max_score, w->r->context.max_age_us / 1000);
    premises_emit(&premises, &w->premises);
    buf_str(&decision, said);
    add_text(w->f, REPLAY_CLOCK, &clock);
    add_text(w->f, REPLAY_CONFIG, &config);
    add_text(w->f, REPLAY_PREMISES, &premises);
    add_text(w->f, REPLAY_DECISION, &decision);
}

static int make(struct work *w, struct str said)
{
    int rc = 0;

    add_policies(w);
    for (uint32_t k = 0; rc == 0 && k < w->r->n_details; k++)
        rc = add_node(w, k);
    add_signals(w);
    add_asked(w);
    add_rest(w, said);
    return rc;
}

/* --- does it give the same decision? --- */

/* With what the scanner may look at behind it. 0; -ENOMEM. */
static int pad(struct buf *text)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = text->n;

    buf_add(text, zeros, sizeof(zeros));
    text->n = n;
    return text->failed ? -ENOMEM : 0;
}

static int deliver(const struct source_sink *sink, struct replay_file *file, struct err *err)
{
    const struct source_delta delta = {.verb = SOURCE_UPSERT,
                                       .kind = file->kind,
                                       .type = str_of(file->type),
                                       .ns = file->ns,
                                       .name = file->name,
                                       .json = buf_view(&file->text)};
    struct err why = {0};
    const int rc = sink->delta(sink->ctx, &delta, &why);

    return rc == 0         ? 0
           : rc == -ENOMEM ? err_set(err, rc, "no memory")
                           : err_set(err, -EDOM, "%s: %s", file->path.p, why.text);
}

static int rebuild(struct cluster **out, const struct work *w, struct err *err)
{
    const struct cluster_options options = {.max_age_us = w->r->context.max_age_us,
                                            .at_us = w->r->context.now_us,
                                            .since_us = w->premises.since_us,
                                            .demand = &w->premises.demand};
    struct cluster *c = NULL;
    int rc = cluster_new(&c, &options, err);

    const struct source_sink sink = rc ? (struct source_sink){0} : cluster_sink(c);
    for (uint32_t i = 0; rc == 0 && i < w->f->n; i++)
        if (w->f->at[i].is_object)
            rc = pad(&w->f->at[i].text) ? -ENOMEM : deliver(&sink, &w->f->at[i], err);
    if (rc) {
        cluster_free(c);
        return rc;
    }
    sink.settled(sink.ctx);
    *out = c;
    return 0;
}

/* What cannot be judged, and is unknown for another reason than it was, is left out. */
static void leave_out(const struct work *w, const struct cluster_snapshot *s)
{
    for (uint32_t k = 0; k < w->r->n_details; k++) {
        const struct node_view *const was = view_at(w->r, k);
        const struct node_view *const is = was ? cluster_snapshot_find(s, was->name) : NULL;

        if (!was || was->knowledge == NODE_KNOWN ||
            (is && is->knowledge == was->knowledge && str_eq(is->why_unknown, was->why_unknown)))
            continue;
        for (uint32_t i = 0; i < w->f->n; i++)
            w->f->at[i].left_out = w->f->at[i].left_out || w->f->at[i].node == k + 1;
    }
}

static uint32_t names_of(const struct work *w, struct str names[RECORD_DETAILS])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->f->n; i++)
        if (w->f->at[i].is_object && w->f->at[i].kind == SOURCE_NODE && !w->f->at[i].left_out)
            names[n++] = w->f->at[i].name;
    return n;
}

/* The pod as who reads its text has it. */
static int read_back(struct score_pod *out, const struct work *w, struct arena *a, struct err *err)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct err why;

    kube_pod_emit(&text, pod_of(w->r), &w->asked);
    const int rc = pad(&text) ? -ENOMEM : kube_pod_decode(out, buf_view(&text), a, &why);
    return rc == -ENOMEM ? err_set(err, rc, "no memory")
           : rc          ? err_set(err, -EDOM, "the pod: %s", why.text)
                         : 0;
}

static int decide_again(struct buf *out, const struct work *w, const struct cluster_snapshot *s,
                        struct arena *a, struct err *err)
{
    struct str names[RECORD_DETAILS];
    struct score_pod pod;
    const struct decide_ask ask = {.pod = &pod, .n = names_of(w, names), .names = names};
    const struct decide_options options = {.mode = w->r->mode,
                                           .max_score = w->r->max_score,
                                           .context = w->r->context,
                                           .terms = w->premises.terms};
    struct decision d;
    int rc = read_back(&pod, w, a, err);

    if (rc == 0)
        rc = decide_run(&d, &ask, s, &options, a, err);
    if (rc)
        return rc;
    const struct report report = {
        .ask = &ask, .decision = &d, .options = &options, .note = str_of(decide_pass_text(d.pass))};
    return report_json(out, &report, a, err);
}

static int check(struct work *w, struct str said, struct err *err)
{
    enum { ROOM = 16 * 1024 * 1024 };
    CLEANUP(buf_free) struct buf now = {0};
    struct cluster *c = NULL;
    void *const room = malloc(ROOM);
    int rc = room ? rebuild(&c, w, err) : err_set(err, -ENOMEM, "no memory");

    if (rc == 0) {
        struct cluster_snapshot *const s = cluster_get(c);
        struct arena a;

        arena_init(&a, room, ROOM);
        leave_out(w, s);
        rc = decide_again(&now, w, s, &a, err);
        if (rc == 0)
            rc = decision_compare(said, buf_view(&now), err);
        arena_rewind(&a, 0);
        cluster_snapshot_unref(s);
        cluster_free(c);
    }
    free(room);
    return rc;
}

/* --- the whole --- */

static int check_size(const struct replay_files *f, struct err *err)
{
    size_t all = 0;

    for (uint32_t i = 0; i < f->n; i++) {
        if (f->at[i].path.failed || f->at[i].text.failed)
            return err_set(err, -ENOMEM, "no memory for the bundle");
        all += f->at[i].text.n;
    }
    return all > REPLAY_MOST_BYTES ? err_set(err, -EFBIG, "the bundle is larger than %d MiB",
                                             REPLAY_MOST_BYTES / (1024 * 1024))
                                   : 0;
}

/* Did it ask about nodes of which none is told in full any more? */
static bool is_empty(const struct record *r)
{
    return r->pass == DECIDE_JUDGED && r->n_details == 0 && r->n_cells > 0;
}

int replay_record(struct replay_files *out, const struct record *r, struct str said,
                  struct err *err)
{
    struct work w = {.r = r, .f = out};

    if (!r->pod)
        return err_set(err, -ESTALE, "the pod was not understood, and is not kept");
    if (is_empty(r))
        return err_set(err, -ESTALE, "no node is told in full any more");
    int rc = make(&w, said);
    if (rc == -ESTALE)
        (void)err_set(err, rc, "it is not kept what its nodes were made of");
    if (rc == 0 && (out->failed || w.asked.failed))
        rc = -ENOMEM;
    if (rc == -ENOMEM)
        (void)err_set(err, rc, "no memory for the bundle");
    if (rc == 0)
        rc = check_size(out, err);
    if (rc == 0)
        rc = check(&w, said, err);
    kube_asked_labels_done(&w.asked);
    return rc;
}
