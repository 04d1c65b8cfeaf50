/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/bind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "extender/counters.h"
#include "extender/encode.h"
#include "extender/recheck.h"
#include "kube/api.h"
#include "kube/binding.h"
#include "kube/object.h"
#include "kube/pod.h"
#include "kube/watch.h"
#include "kube/worker.h"
#include "net/http.h"

enum {
    LOOK_EVERY_MS = 5,     /* while a call waits for its node, or for its pod to be known */
    KNOWN_WITHIN_MS = 250, /* a pod that kube-scheduler knows and we do not yet */
    SEEN_WITHIN_MS = 500,  /* after a binding: then the API server is asked who is on the node */
    ASK_EVERY_MS = 200,    /* as long as some of them are not seen */
    UNSEEN_MOST = 4096,    /* the oldest makes room */
    NODE_PODS = 1000,      /* of a node that are looked at, far more than a kubelet takes */
    MARGIN_MS = 500,       /* of net/, should we not answer */
};

#define MS UINT64_C(1000000)

enum stage { WAITS, ASKS_FOR_NODE, IS_POSTED, IS_LOOKED_UP };

/* One call of the verb, in the arena of its request. */
struct bind {
    struct bind *next; /* in the order in which they came */
    struct kube_task task;
    struct binder *binder;
    const struct http_request *req;
    struct http_reply *reply;
    struct kube_binding what;
    uint64_t deadline_ns;
    enum stage stage;
    bool was_known;         /* the pod, when it was looked at */
    struct kube_call *call; /* what is out */
    struct err why;         /* what the write came to, while the pod is looked up */
};

/*
 * A pod that was bound, or may have been, and is not yet seen on its node. On the heap, its texts
 * behind it. However long that takes: as long as a watch is down, nobody would count the pod.
 */
struct unseen {
    struct unseen *next;
    struct kube_binding what;
    bool was_known;  /* there before it was bound: when it is not there now, it is gone */
    uint64_t ask_ns; /* from then on the API server is asked */
};

struct binder {
    struct binder_options options;
    struct kube_worker *worker; /* everything below is its thread's */
    struct bind *first;
    struct unseen *unseen;
    struct kube_task stop_task;
};

/* ---- answers ---- */

static void unlink_bind(struct bind *c)
{
    struct bind **link = &c->binder->first;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
}

/* Empty `error`: it is bound. The call is gone afterwards. */
static void finish(struct bind *c, enum ext_bind_result result, const struct err *error)
{
    struct ext_counters *const counters = c->binder->options.counters;

    if (error)
        log_request(LOG_LEVEL_INFO, "extender", c->req->id, "%.*s/%.*s is not bound to %.*s: %s",
                    STR_ARG(c->what.ns), STR_ARG(c->what.pod), STR_ARG(c->what.node), error->text);
    unlink_bind(c);
    ext_encode_bind(c->reply, error ? error->text : "");
    ext_count_bind(counters, result, clock_monotonic_ns() - c->req->start_ns);
    http_finish(c->reply);
}

static void fail(struct bind *c, enum ext_bind_result result, const char *fmt, ...) PRINTF(3, 4);
static void fail(struct bind *c, enum ext_bind_result result, const char *fmt, ...)
{
    struct err err;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
    va_end(ap);
    finish(c, result, &err);
}

/* ---- which node is free ---- */

/* Seen there, or no longer the pod it was. */
static bool is_settled(const struct unseen *u, const struct cluster_snapshot *snapshot)
{
    struct cluster_pod room;
    const struct score_pod *const pod =
        cluster_snapshot_pod(snapshot, u->what.ns, u->what.pod, &room);

    return pod ? !str_eq(pod->uid, u->what.uid) || pod->node.n > 0 : u->was_known;
}

static void forget_settled(struct binder *b, const struct cluster_snapshot *snapshot)
{
    struct unseen **link = &b->unseen;

    while (*link) {
        struct unseen *const u = *link;
        if (!is_settled(u, snapshot)) {
            link = &u->next;
            continue;
        }
        *link = u->next;
        free(u);
    }
}

static struct str put(char **at, struct str text)
{
    char *const p = memcpy(*at, text.p, text.n);

    *at += text.n;
    return (struct str){p, text.n};
}

static void make_room(struct binder *b)
{
    struct unseen **link = &b->unseen;

    for (uint32_t n = 0; *link; link = &(*link)->next)
        if (++n == UNSEEN_MOST) {
            free(*link);
            *link = NULL;
            return;
        }
}

/*
 * What came of it may not be known: then the API server is asked at once. Without memory the next
 * binding there is checked without this one: kube-scheduler counts it.
 */
static void remember(struct bind *c, bool is_certain)
{
    const struct kube_binding *const what = &c->what;
    const size_t bytes = what->ns.n + what->pod.n + what->uid.n + what->node.n;
    struct unseen *const u = malloc(sizeof(*u) + bytes);

    if (!u)
        return;
    make_room(c->binder);
    char *at = (char *)(u + 1);
    *u = (struct unseen){
        .next = c->binder->unseen,
        .what = {put(&at, what->ns), put(&at, what->pod), put(&at, what->uid),
                 put(&at, what->node)},
        .was_known = c->was_known,
        .ask_ns = clock_monotonic_ns() + (is_certain ? SEEN_WITHIN_MS * MS : 0),
    };
    c->binder->unseen = u;
}

/* A call before this one is under way there. */
static bool is_taken(const struct bind *c)
{
    for (const struct bind *o = c->binder->first; o != c; o = o->next)
        if (str_eq(o->what.node, c->what.node))
            return true;
    return false;
}

/* Who was bound there and is not seen: the first from `u` on. */
static struct unseen *unseen_there(struct unseen *u, struct str node)
{
    while (u && !str_eq(u->what.node, node))
        u = u->next;
    return u;
}

/* ---- the API server ---- */

static uint32_t left_ms(const struct bind *c)
{
    const uint64_t now_ns = clock_monotonic_ns();

    return now_ns < c->deadline_ns ? (uint32_t)((c->deadline_ns - now_ns) / MS) : 0;
}

static void bound(struct bind *c, enum ext_bind_result result)
{
    struct binder *const b = c->binder;

    remember(c, true);
    finish(c, result, NULL);
    kube_worker_tick_in(b->worker, 0); /* somebody may wait for the node */
}

/* It is bound, or it is not, or it will be: whoever comes next to the node finds out. */
static void give_up(struct bind *c, const char *how, const char *why)
{
    remember(c, false);
    fail(c, EXT_BIND_FAILED, "numawise: %s; %s%s", c->why.text, how, why);
}

static const char not_known[] = "what came of it is not known: ";

static void on_pod(void *ctx, const struct kube_answer *answer)
{
    struct bind *const c = ctx;
    struct score_pod pod;
    struct err err = answer->err;

    c->call = NULL;
    if (err.code == 0)
        err.code = kube_pod_decode(&pod, answer->body, c->req->arena, &err);
    if (err.code)
        give_up(c, not_known, err.text);
    else if (!str_eq(pod.uid, c->what.uid))
        fail(c, EXT_BIND_CONFLICT, "numawise: another pod has this name now");
    else if (str_eq(pod.node, c->what.node))
        bound(c, EXT_BIND_ALREADY);
    else if (pod.node.n)
        fail(c, EXT_BIND_CONFLICT, "numawise: already bound to %.*s", STR_ARG(pod.node));
    else if (c->why.code == -ETIMEDOUT)
        give_up(c, "the pod has no node yet", "");
    else
        fail(c, EXT_BIND_FAILED, "numawise: %s", c->why.text);
}

/* Asked because a write was refused, or nobody knows what came of it. */
static void look_up(struct bind *c)
{
    CLEANUP(buf_free) struct buf path = {0};
    struct err err = {0};

    kube_binding_pod_path(&path, &c->what);
    const struct kube_request request = {
        .method = KUBE_GET, .path = path.p, .timeout_ms = left_ms(c) + 1, .done = on_pod, .ctx = c};
    c->stage = IS_LOOKED_UP;
    if (path.failed || left_ms(c) == 0)
        give_up(c, "no time to look what came of it", "");
    else if (kube_api_send(kube_worker_api(c->binder->worker), &request, &c->call, &err))
        give_up(c, not_known, err.text);
}

static void on_posted(void *ctx, const struct kube_answer *answer)
{
    struct bind *const c = ctx;

    c->call = NULL;
    c->why = answer->err;
    if (answer->err.code == 0)
        bound(c, EXT_BIND_BOUND);
    else if (answer->err.code == -ENOENT || answer->err.code == -EACCES ||
             answer->err.code == -EINVAL)
        fail(c, EXT_BIND_FAILED, "numawise: %s", answer->err.text);
    else
        look_up(c);
}

/* Two thirds of the time that is left, so that there is some to look what came of it. */
static void post(struct bind *c, struct str zones)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf body = {0};
    struct err err = {0};

    kube_binding_path(&path, &c->what);
    kube_binding_encode(&body, &c->what, BIND_ZONES_ANNOTATION, zones);
    const struct kube_request request = {.method = KUBE_POST,
                                         .path = path.p,
                                         .body = buf_view(&body),
                                         .timeout_ms = left_ms(c) * 2 / 3 + 1,
                                         .done = on_posted,
                                         .ctx = c};
    c->stage = IS_POSTED;
    if (path.failed || body.failed)
        fail(c, EXT_BIND_FAILED, "numawise: no memory to bind");
    else if (kube_api_send(kube_worker_api(c->binder->worker), &request, &c->call, &err))
        fail(c, EXT_BIND_FAILED, "numawise: %s", err.text);
}

/* ---- a call whose turn it is ---- */

static void check_and_post(struct bind *c, const struct cluster_snapshot *snapshot,
                           const struct score_pod *pod)
{
    const struct decide_options options = c->binder->options.judge(c->binder->options.ctx);
    struct recheck r = {.verdict = SCORE_UNKNOWN};
    struct err err = {0};

    c->was_known = pod != NULL;
    if (!pod)
        atomic_fetch_add(&c->binder->options.counters->binds_unchecked, 1);
    else if (recheck(&r, snapshot, pod, c->what.node, &options, c->req->arena, &err)) {
        fail(c, EXT_BIND_FAILED, "numawise: %s", err.text);
        return;
    }
    if (r.verdict == SCORE_REJECTED && options.mode != DECIDE_SHADOW)
        fail(c, EXT_BIND_REJECTED, "numawise: %s on %.*s: %.*s", score_reason_text(r.reason),
             STR_ARG(c->what.node), STR_ARG(r.why));
    else
        post(c, r.zones);
}

/* ---- who is on the node ---- */

static void go_on(struct binder *b);

struct census {
    struct bind *call;
    const struct cluster_snapshot *snapshot;
    uint32_t n, unseen; /* pods that may hold something there; those of them that are not seen */
};

/* What cannot be decoded is not known to the cluster either, and never will be. */
static int count_pod(void *ctx, enum kube_split_part part, struct str text)
{
    struct census *const census = ctx;
    struct arena *const a = census->call->req->arena;
    const size_t mark = arena_mark(a);
    struct cluster_pod room;
    struct score_pod pod;

    if (part == KUBE_PART_ITEM && ++census->n > NODE_PODS)
        return -E2BIG;
    const int rc = part == KUBE_PART_ITEM ? kube_pod_read(&pod, text, 0, a, NULL) : -EINVAL;
    if (rc == 0 && str_eq(pod.node, census->call->what.node) && !pod_is_terminal(&pod)) {
        const struct score_pod *const seen =
            cluster_snapshot_pod(census->snapshot, pod.ns, pod.name, &room);
        census->unseen += !seen || !str_eq(seen->uid, pod.uid) || seen->node.n == 0;
    }
    arena_rewind(a, mark);
    return rc == -ENOMEM ? rc : 0;
}

/* Is everybody seen who is on the node by this list? */
static bool are_all_seen(struct bind *c, struct str list)
{
    struct cluster_snapshot *const snapshot = cluster_get(c->binder->options.cluster);
    struct census census = {.call = c, .snapshot = snapshot};
    struct kube_splitter splitter = {0};

    kube_split_begin(&splitter, KUBE_SPLIT_LIST, LIMIT_API_ANSWER_BYTES, count_pod, &census);
    const bool whole =
        kube_split_feed(&splitter, list.p, list.n) == 0 && kube_split_end(&splitter) == 0;
    kube_split_done(&splitter);
    cluster_snapshot_unref(snapshot);
    return whole && census.unseen == 0;
}

/* Those who are not seen there: all are, or gone; or it is asked again somewhat later. */
static void settle_node(struct binder *b, struct str node, bool all_seen)
{
    struct unseen **link = &b->unseen;

    while (*link) {
        struct unseen *const u = *link;
        if (str_eq(u->what.node, node) && all_seen) {
            *link = u->next;
            free(u);
            continue;
        }
        if (str_eq(u->what.node, node))
            u->ask_ns = clock_monotonic_ns() + ASK_EVERY_MS * MS;
        link = &u->next;
    }
}

static void on_node(void *ctx, const struct kube_answer *answer)
{
    struct bind *const c = ctx;

    c->call = NULL;
    c->stage = WAITS;
    settle_node(c->binder, c->what.node, answer->err.code == 0 && are_all_seen(c, answer->body));
    go_on(c->binder);
}

/* The list is as of now, so every binding that was made is in it. */
static void ask_for_node(struct bind *c)
{
    CLEANUP(buf_free) struct buf path = {0};
    struct err err = {0};

    kube_binding_node_path(&path, &c->what);
    const struct kube_request request = {.method = KUBE_GET,
                                         .path = path.p,
                                         .timeout_ms = left_ms(c) / 2 + 1,
                                         .done = on_node,
                                         .ctx = c};
    c->stage = ASKS_FOR_NODE;
    atomic_fetch_add(&c->binder->options.counters->bind_lists, 1);
    if (path.failed)
        fail(c, EXT_BIND_FAILED, "numawise: no memory to bind");
    else if (kube_api_send(kube_worker_api(c->binder->worker), &request, &c->call, &err))
        fail(c, EXT_BIND_FAILED, "numawise: %s", err.text);
}

/* True: it is asked, or the call is gone; false: it is not time yet. */
static bool ask_when_due(struct bind *c, struct unseen *u, uint64_t now_ns)
{
    while (u && now_ns < u->ask_ns)
        u = unseen_there(u->next, c->what.node);
    if (u)
        ask_for_node(c);
    return u != NULL;
}

/* ---- whose turn it is ---- */

/* False: it goes on waiting. */
static bool begin(struct bind *c, const struct cluster_snapshot *snapshot, uint64_t now_ns)
{
    struct cluster_pod room;
    const struct score_pod *pod = cluster_snapshot_pod(snapshot, c->what.ns, c->what.pod, &room);

    if (pod && !str_eq(pod->uid, c->what.uid))
        pod = NULL; /* the one before it, or after it: the API server will say */
    if (pod && pod->node.n) {
        if (str_eq(pod->node, c->what.node))
            finish(c, EXT_BIND_ALREADY, NULL);
        else
            fail(c, EXT_BIND_CONFLICT, "numawise: already bound to %.*s", STR_ARG(pod->node));
        return true;
    }
    if (is_taken(c) || (!pod && now_ns < c->req->start_ns + KNOWN_WITHIN_MS * MS))
        return false;
    struct unseen *const unseen = unseen_there(c->binder->unseen, c->what.node);
    if (unseen)
        return ask_when_due(c, unseen, now_ns);
    check_and_post(c, snapshot, pod);
    return true;
}

static void go_on(struct binder *b)
{
    struct cluster_snapshot *const snapshot = cluster_get(b->options.cluster);
    const uint64_t now_ns = clock_monotonic_ns();
    bool waits = false;

    forget_settled(b, snapshot);
    for (struct bind *c = b->first, *next; c; c = next) {
        next = c->next;
        if (c->stage != WAITS || begin(c, snapshot, now_ns))
            continue;
        if (left_ms(c) < b->options.bind_ms / 4)
            fail(c, EXT_BIND_BUSY, "numawise: an earlier binding to %.*s is not through",
                 STR_ARG(c->what.node));
        else
            waits = true;
    }
    cluster_snapshot_unref(snapshot);
    if (waits)
        kube_worker_tick_in(b->worker, LOOK_EVERY_MS);
}

static void on_tick(void *ctx)
{
    go_on(ctx);
}

static void on_taken(void *ctx)
{
    struct bind *const c = ctx;
    struct bind **link = &c->binder->first;

    while (*link)
        link = &(*link)->next;
    *link = c;
    go_on(c->binder);
}

void binder_take(struct binder *b, const struct http_request *req, struct http_reply *reply)
{
    struct bind *const c = arena_array(req->arena, 1, sizeof(*c));
    struct err err = {0};

    ext_count_arrival(b->options.counters, EXT_BIND);
    const int rc = c ? kube_binding_decode(&c->what, req->body, req->arena, &err) : -ENOMEM;

    if (rc) {
        log_request(LOG_LEVEL_WARN, "extender", req->id, "answered %d: %s",
                    rc == -ENOMEM ? 503 : 400, c ? err.text : "no memory");
        http_status(reply, rc == -ENOMEM ? 503 : 400);
        ext_count_request(b->options.counters, EXT_BIND, rc == -ENOMEM ? EXT_503 : EXT_400,
                          clock_monotonic_ns() - req->start_ns);
        return;
    }
    c->binder = b;
    c->req = req;
    c->reply = reply;
    c->deadline_ns = req->start_ns + b->options.bind_ms * MS;
    c->task = (struct kube_task){.run = on_taken, .ctx = c};
    http_defer(reply, b->options.bind_ms + MARGIN_MS);
    kube_worker_post(b->worker, &c->task);
}

/* ---- life ---- */

static void on_stop(void *ctx)
{
    struct binder *const b = ctx;

    while (b->first) {
        struct bind *const c = b->first;
        if (c->call)
            kube_call_cancel(c->call);
        fail(c, EXT_BIND_FAILED, "numawise: the program ends%s",
             c->stage <= ASKS_FOR_NODE ? "" : "; what came of the binding is not known");
    }
}

int binder_new(struct binder **out, const struct binder_options *options, struct err *err)
{
    struct binder *const b = calloc(1, sizeof(*b));

    if (!b)
        return err_set(err, -ENOMEM, "no memory for the verb bind");
    b->options = *options;
    const int rc = kube_worker_new(&b->worker, options->access, on_tick, b, err);
    if (rc)
        free(b);
    else
        *out = b;
    return rc;
}

void binder_stop(struct binder *b)
{
    if (!b->worker)
        return; /* stopped before */
    b->stop_task = (struct kube_task){.run = on_stop, .ctx = b};
    kube_worker_post(b->worker, &b->stop_task);
    kube_worker_free(b->worker);
    b->worker = NULL;
}

void binder_free(struct binder *b)
{
    if (!b)
        return;
    binder_stop(b);
    for (struct unseen *u = b->unseen, *next; u; u = next) {
        next = u->next;
        free(u);
    }
    free(b);
}
