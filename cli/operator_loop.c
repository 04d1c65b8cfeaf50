/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/operator_loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/health.h"
#include "cli/operator_lease.h"
#include "cluster/api_writer.h"
#include "cluster/apiserver.h"
#include "kube/adjustment.h"
#include "kube/api.h"
#include "kube/deadlock.h"
#include "kube/lock_policy.h"
#include "kube/recorder.h"
#include "kube/scan.h"
#include "operator/call.h"
#include "operator/openapi.h"
#include "operator/operator.h"
#include "operator/who.h"

enum { CALL_MS = 10000, CHECK_ARENA = 256 * 1024, RELEASE_MS = 2000 };

enum job_what { JOB_CHANGE, JOB_BEGIN, JOB_BEGIN_AGAIN, JOB_END };

/* A call on its way, in the request's arena; or what a source tells, on the heap. */
struct job {
    struct job *next;
    enum job_what what; /* of a change; else delta.kind alone is set */
    struct operator_loop *loop;
    struct job *open_next, **open_link; /* of loop->open, then of loop->answered */
    struct http_reply *reply;           /* NULL: a change */
    struct op_call call;
    struct source_delta delta; /* what it points to follows this struct */
};

struct operator_loop {
    struct op *op;
    struct directory_writer *directory; /* one of the two writes */
    struct api_writer *server;
    struct kube_api *api; /* NULL: the cluster is a directory */
    const struct apiserver *followed;
    struct recorder *recorder; /* NULL: no Events are written */
    struct source_sink next;
    char *room; /* [CHECK_ARENA] of the thread that feeds the sink */
    bool everybody;
    bool is_here;    /* everybody on this machine; and only who means this machine by Host */
    struct who *who; /* NULL: nobody is asked who he is */
    /* Of the thread: calls that are not answered, and those that are and not yet sent. */
    struct job *open, *answered;
    struct event *send;
    struct event_base *base;
    struct event *wake, *tick;
    struct operator_lease lease;
    struct event *released; /* waits for the lease to be given up */
    int fd;                 /* eventfd: there are jobs, or it is to end */
    pthread_t thread;
    bool started, has_lock;
    pthread_mutex_t lock; /* over the next three */
    struct job *first, **last;
    bool ending;
};

/* --- the queue --- */

static void wake_up(struct operator_loop *l)
{
    const uint64_t one = 1;

    /* It can only fail when the counter is full, and then the thread wakes up anyway. */
    if (write(l->fd, &one, sizeof(one)) < 0)
        return;
}

static void push(struct operator_loop *l, struct job *j)
{
    j->next = NULL;
    (void)pthread_mutex_lock(&l->lock);
    *l->last = j;
    l->last = &j->next;
    (void)pthread_mutex_unlock(&l->lock);
    wake_up(l);
}

static struct job *pop(struct operator_loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct job *const j = l->first;
    if (j) {
        l->first = j->next;
        if (!l->first)
            l->last = &l->first;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return j;
}

/* --- calls --- */

static void add_field(struct http_reply *reply, const char *name, const char *text)
{
    http_field(reply, name, str_of(text));
}

static void add_fields(struct http_reply *reply, const struct op_call *c)
{
    char text[16];

    /* What is drawn has names in it that others chose: nothing of it may run. */
    add_field(reply, "X-Content-Type-Options", "nosniff");
    if (c->content_type && strcmp(c->content_type, "image/svg+xml") == 0)
        add_field(reply, "Content-Security-Policy",
                  "default-src 'none'; style-src 'unsafe-inline'");
    if (c->status == 401)
        add_field(reply, "WWW-Authenticate", "Bearer realm=\"" WHO_AUDIENCE "\"");
    if (c->location.n)
        http_field(reply, "Location", c->location);
    if (c->retry_after_s) {
        (void)snprintf(text, sizeof(text), "%u", c->retry_after_s);
        add_field(reply, "Retry-After", text);
    }
    if (c->warning.n && !c->warning.failed) {
        struct buf line = {0};

        buf_printf(&line, "299 - \"%.*s\"", STR_ARG(buf_view(&c->warning)));
        if (!line.failed)
            http_field(reply, "Warning", buf_view(&line));
        buf_free(&line);
    }
}

static void send_answer(struct job *j)
{
    struct op_call *const c = &j->call;
    struct http_reply *const reply = j->reply;

    op_audit(j->loop->op, c);
    http_status(reply, c->status);
    if (c->content_type)
        http_content_type(reply, c->content_type);
    add_fields(reply, c);
    http_add(reply, c->out.p, c->out.n);
    buf_free(&c->out);
    buf_free(&c->warning);
    http_finish(reply); /* the arena with the job is gone now */
}

static void send_answers(struct operator_loop *l)
{
    for (struct job *j; (j = l->answered);) {
        l->answered = j->open_next;
        send_answer(j);
    }
}

static void on_send(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    send_answers(ctx);
}

/* Whoever has answered may still look at the call: it goes out when the loop has its turn. */
static void on_finished(struct op_call *c)
{
    struct job *const j = (struct job *)((char *)c - offsetof(struct job, call));
    struct operator_loop *const l = j->loop;

    *j->open_link = j->open_next;
    if (j->open_next)
        j->open_next->open_link = j->open_link;
    j->open_next = l->answered;
    l->answered = j;
    event_active(l->send, EV_TIMEOUT, 0);
}

/* What the request says of who calls; false: no memory. Its head may be gone when it is read. */
static bool read_caller(const struct operator_loop *l, const struct http_request *req,
                        struct op_call *c)
{
    struct str header, token;

    if (req->client && !who_certificate(&c->caller, req->client, req->arena))
        return false;
    c->caller.everybody = l->everybody;
    c->astray = l->is_here && !http_is_for_loopback(req);
    memcpy(c->peer, req->peer, sizeof(c->peer));
    if (!l->who || c->caller.user.n || http_header(req, "authorization", &header) != 1 ||
        !who_bearer(header, &token))
        return true;
    c->token = arena_copy(req->arena, token.p, token.n);
    return c->token != NULL;
}

/* On the listener's thread. */
static void on_call(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    struct operator_loop *const l = ctx;
    struct job *const j = arena_array(req->arena, 1, sizeof(*j));

    if (j) {
        j->call = (struct op_call){.method = req->method,
                                   .path = req->path,
                                   .query = req->query,
                                   .body = req->body,
                                   .arena = req->arena,
                                   .finish = on_finished};
    }
    if (!j || !read_caller(l, req, &j->call)) {
        char body[HTTP_REFUSAL_BYTES];

        http_status(reply, 503);
        http_add(reply, body, op_refusal(503, body, sizeof(body)));
        return;
    }
    j->loop = l;
    j->reply = reply;
    http_defer(reply, CALL_MS);
    push(l, j);
}

static void read_clock(uint64_t *out_ns, int64_t *out_us)
{
    *out_ns = clock_monotonic_ns();
    *out_us = clock_realtime_us();
}

static void add_open(struct operator_loop *l, struct job *j)
{
    j->open_next = l->open;
    j->open_link = &l->open;
    if (l->open)
        l->open->open_link = &j->open_next;
    l->open = j;
}

static void answer(struct operator_loop *l, struct job *j)
{
    add_open(l, j);
    read_clock(&j->call.now_ns, &j->call.now_us);
    op_enter(l->op, &j->call);
}

static void on_openapi(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx, (void)req;
    http_add(reply, op_openapi, op_openapi_bytes);
}

void operator_loop_routes(struct operator_loop *l, struct http_route out[OPERATOR_ROUTES])
{
    out[0] = (struct http_route){"/v1/", HTTP_GET | HTTP_POST | HTTP_PUT | HTTP_DELETE, true,
                                 on_call, l};
    out[1] = (struct http_route){"/openapi.json", HTTP_GET, false, on_openapi, l};
}

/* --- changed objects --- */

/* Is it one that may be believed? What is not is told to whoever wrote it, and the old one stays.
 */
static int check(struct operator_loop *l, const struct source_delta *delta, struct err *err)
{
    struct kube_lock_policy policy;
    struct kube_adjustment adjustment;
    struct kube_deadlock deadlock;
    struct arena a;

    arena_init(&a, l->room, CHECK_ARENA);
    if (delta->verb == SOURCE_DELETE)
        return 0;
    if (delta->kind == SOURCE_LOCK_POLICY)
        return kube_lock_policy_decode(&policy, delta->json, false, &a, err);
    if (delta->kind == SOURCE_ADJUSTMENT)
        return kube_adjustment_decode(&adjustment, delta->json, false, &a, err);
    return kube_deadlock_decode(&deadlock, delta->json, false, &a, err);
}

static char *put(char *at, struct str from, struct str *to)
{
    if (from.n)
        memcpy(at, from.p, from.n);
    *to = (struct str){at, from.n};
    return at + from.n;
}

static struct job *copy(const struct source_delta *d)
{
    struct job *const j = calloc(1, sizeof(*j) + d->json.n + SCAN_PADDING_BYTES + d->ns.n +
                                        d->name.n + d->type.n + d->resource_version.n);

    if (!j)
        return NULL;
    j->delta = (struct source_delta){.verb = d->verb, .kind = d->kind};
    char *at = put((char *)(j + 1), d->json, &j->delta.json) + SCAN_PADDING_BYTES;
    at = put(at, d->ns, &j->delta.ns);
    at = put(at, d->name, &j->delta.name);
    at = put(at, d->type, &j->delta.type);
    (void)put(at, d->resource_version, &j->delta.resource_version);
    return j;
}

/* Kinds of objects that the operator keeps: its own, signals, which are pushed to it, and policies,
   to which it tells whether they count. */
static bool is_kept(enum source_kind kind)
{
    return kind >= SOURCE_LOCK_POLICY || kind == SOURCE_SIGNAL || kind == SOURCE_POLICY;
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct operator_loop *const l = ctx;
    const int rc = delta->kind >= SOURCE_LOCK_POLICY ? check(l, delta, err)
                                                     : l->next.delta(l->next.ctx, delta, err);
    if (rc || !is_kept(delta->kind))
        return rc;
    struct job *const j = copy(delta);
    if (!j)
        return err_set(err, -ENOMEM, "no memory");
    push(l, j);
    return 0;
}

/* That a list begins or ends takes its turn among the changes. */
static void push_mark(struct operator_loop *l, enum source_kind kind, enum job_what what)
{
    struct job *const j = calloc(1, sizeof(*j));

    if (!j) {
        log_line(LOG_LEVEL_ERROR, "operator", "no memory: objects that are gone may be kept");
        return;
    }
    j->what = what;
    j->delta.kind = kind;
    push(l, j);
}

static void on_begin(void *ctx, enum source_kind kind, bool again)
{
    struct operator_loop *const l = ctx;

    if (kind < SOURCE_LOCK_POLICY && l->next.begin)
        l->next.begin(l->next.ctx, kind, again);
    if (is_kept(kind))
        push_mark(l, kind, again ? JOB_BEGIN_AGAIN : JOB_BEGIN);
}

static void on_end(void *ctx, enum source_kind kind)
{
    struct operator_loop *const l = ctx;

    if (kind < SOURCE_LOCK_POLICY && l->next.end)
        l->next.end(l->next.ctx, kind);
    if (is_kept(kind))
        push_mark(l, kind, JOB_END);
}

static void on_settled(void *ctx)
{
    const struct operator_loop *const l = ctx;

    l->next.settled(l->next.ctx);
}

struct source_sink operator_loop_sink(struct operator_loop *l, const struct source_sink *next)
{
    l->next = *next;
    return (struct source_sink){
        .delta = on_delta, .begin = on_begin, .end = on_end, .settled = on_settled, .ctx = l};
}

/* --- the thread --- */

static void take(struct operator_loop *l, struct job *j)
{
    struct err err;

    if (j->reply) {
        answer(l, j);
        return;
    }
    if (j->what == JOB_END)
        op_listed(l->op, j->delta.kind);
    else if (j->what != JOB_CHANGE)
        op_list(l->op, j->delta.kind, j->what == JOB_BEGIN_AGAIN);
    else if (op_delta(l->op, &j->delta, &err))
        log_line(LOG_LEVEL_ERROR, "operator", "%.*s/%.*s: %s", STR_ARG(j->delta.ns),
                 STR_ARG(j->delta.name), err.text);
    free(j);
}

static void on_released(void *ctx)
{
    struct operator_loop *const l = ctx;

    (void)event_base_loopbreak(l->base);
}

static void on_not_released(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    on_released(ctx);
}

/* Give the lease up first, so that another replica need not wait for it to run out. */
static void end(struct operator_loop *l)
{
    const struct timeval patience = {RELEASE_MS / 1000, 0};

    if (l->lease.leader && !l->released) {
        l->released = event_new(l->base, -1, 0, on_not_released, l);
        if (l->released && event_add(l->released, &patience) == 0) {
            leader_release(l->lease.leader, on_released, l);
            return;
        }
    }
    on_released(l);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct operator_loop *const l = ctx;
    uint64_t n;

    (void)what;
    if (read((int)fd, &n, sizeof(n)) < 0)
        return;
    for (struct job *j; (j = pop(l));)
        take(l, j);
    (void)pthread_mutex_lock(&l->lock);
    const bool ending = l->ending;
    (void)pthread_mutex_unlock(&l->lock);
    if (ending)
        end(l);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct operator_loop *const l = ctx;

    (void)fd, (void)what;
    op_tick(l->op, clock_monotonic_ns(), clock_realtime_us());
}

static void *run(void *ctx)
{
    struct operator_loop *const l = ctx;

    (void)event_base_dispatch(l->base);
    return NULL;
}

int operator_loop_start(struct operator_loop *l, struct err *err)
{
    const int rc = pthread_create(&l->thread, NULL, run, l);

    if (rc)
        return err_set(err, -rc, "no thread for the operator: %s", strerror(rc));
    l->started = true;
    return 0;
}

/* --- life --- */

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0;
}

/*
 * Whom to believe. Without a question only who is on this machine, and only about a directory; what
 * an API server is asked about must not be read by others on the way.
 */
static int check_callers(struct operator_loop *l, const struct numawise_config *config,
                         struct err *err)
{
    const struct config_listener *const listener = &config->listeners[CONFIG_OPERATOR];
    const bool near = is_loopback(listener->address.p) || config_is_off(listener);

    l->everybody = config->cluster.p[0] && (near || listener->client_ca_file.p[0]);
    l->is_here = l->everybody && !listener->client_ca_file.p[0];
    if (near || l->everybody)
        return 0;
    if (config->cluster.p[0])
        return err_set(err, -EINVAL,
                       "listeners.operator.address: %s is not on this machine alone: it needs "
                       "listeners.operator.tls.clientCAFile, so that callers are known",
                       listener->address.p);
    if (listener->cert_file.p[0])
        return 0;
    return err_set(err, -EINVAL,
                   "listeners.operator.address: %s is not on this machine alone: it needs "
                   "listeners.operator.tls.certFile, so that nobody reads the tokens of callers",
                   listener->address.p);
}

static int send_request(void *ctx, const struct kube_request *request, struct kube_call **out,
                        struct err *err)
{
    const struct operator_loop *const l = ctx;

    return kube_api_send(l->api, request, out, err);
}

/* --- what is done in the cluster --- */

static int32_t act_epoch(void *ctx)
{
    struct operator_loop *const l = ctx;

    return operator_lease_epoch(&l->lease);
}

/* The oldest of what an act depends on. */
static uint64_t age_of_news(void *ctx)
{
    static const enum source_kind kinds[] = {SOURCE_POD, SOURCE_POLICY, SOURCE_DEADLOCK};
    const struct operator_loop *const l = ctx;
    const uint64_t now_ns = clock_monotonic_ns();
    uint64_t oldest = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const uint64_t age =
            l->followed ? apiserver_age_ns(l->followed, kinds[i], now_ns) : UINT64_MAX;

        oldest = age > oldest ? age : oldest;
    }
    return oldest;
}

static bool is_failure(const char *code)
{
    return code[0] == '5' || code[0] == '<' || strcmp(code, "429") == 0;
}

static void count_answers(void *ctx, uint64_t *out_all, uint64_t *out_failed)
{
    const struct operator_loop *const l = ctx;
    const struct kube_api_stats *const s = l->api ? kube_api_stats(l->api) : NULL;

    *out_all = *out_failed = 0;
    for (int m = 0; s && m < KUBE_METHODS; m++) {
        for (int c = 0; c < KUBE_CODES; c++) {
            const uint64_t n = atomic_load(&s->requests[m][c]);

            *out_all += n;
            *out_failed += is_failure(kube_code_names[c]) ? n : 0;
        }
    }
}

static void tell_event(void *ctx, const char *reason, const char *action, struct str ns,
                       struct str pod, struct str uid, const char *note)
{
    const struct operator_loop *const l = ctx;
    const struct recorder_event event = {.reason = reason,
                                         .action = action,
                                         .pod_ns = ns,
                                         .pod = pod,
                                         .pod_uid = uid,
                                         .note = str_of(note)};

    recorder_tell(l->recorder, &event, clock_monotonic_ns());
}

void operator_loop_reload(struct operator_loop *l, const struct numawise_config *config)
{
    /* The lease is what it was at the start. */
    if (l)
        op_set_acting(l->op, l->lease.name[0] && config->act == CONFIG_ACT_ENFORCE);
}

static int open_who(struct operator_loop *l, struct err *err)
{
    struct who_options options = {
        .send = send_request, .cancel = kube_call_cancel, .ctx = l, .now_ns = clock_monotonic_ns};

    if (getrandom(options.keys, sizeof(options.keys), 0) != (ssize_t)sizeof(options.keys))
        return err_set(err, -EIO, "no random numbers");
    return who_new(&l->who, &options, err);
}

static int open_loop(struct operator_loop *l, struct err *err)
{
    const struct timeval every = {0, OP_TICK_MS * 1000};

    l->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->fd < 0)
        return err_set(err, -errno, "eventfd: %s", strerror(errno));
    l->base = event_base_new();
    l->wake = l->base ? event_new(l->base, l->fd, EV_READ | EV_PERSIST, on_wake, l) : NULL;
    l->tick = l->base ? event_new(l->base, -1, EV_PERSIST, on_tick, l) : NULL;
    l->send = l->base ? event_new(l->base, -1, 0, on_send, l) : NULL;
    if (!l->wake || !l->tick || !l->send || event_add(l->wake, NULL) || event_add(l->tick, &every))
        return err_set(err, -ENOMEM, "no event loop for the operator");
    return 0;
}

static int open_op(struct operator_loop *l, const struct numawise_config *config,
                   struct cluster *cluster, const uint64_t hash_key[2], struct err *err)
{
    const char *const directory = config->cluster.p;
    int rc = *directory ? directory_writer_new(&l->directory, directory, err)
                        : api_writer_new(&l->server, err);

    if (rc == 0 && !config->cluster.p[0])
        rc = open_who(l, err);
    if (rc)
        return rc;
    const struct op_options options = {.cluster = cluster,
                                       .writer = l->server ? api_writer(l->server)
                                                           : directory_writer(l->directory),
                                       .hash_key = {hash_key[0], hash_key[1]},
                                       .who = l->who,
                                       .leads = l->lease.name[0] ? operator_lease_leads : NULL,
                                       .leads_ctx = &l->lease,
                                       .act = {.send = l->server ? send_request : NULL,
                                               .epoch = act_epoch,
                                               .age_ns = age_of_news,
                                               .answers = count_answers,
                                               .tell = tell_event,
                                               .ctx = l},
                                       .clock = read_clock};
    l->room = malloc(CHECK_ARENA);
    rc = l->room ? op_new(&l->op, &options, err) : err_set(err, -ENOMEM, "no memory");
    if (rc == 0)
        operator_loop_reload(l, config);
    if (rc == 0)
        rc = open_loop(l, err);
    return rc;
}

int operator_loop_new(struct operator_loop **out, const struct numawise_config *config,
                      struct cluster *cluster, const uint64_t hash_key[2], struct err *err)
{
    struct operator_loop *const l = calloc(1, sizeof(*l));

    if (!l)
        return err_set(err, -ENOMEM, "no memory");
    l->fd = -1;
    l->last = &l->first;
    int rc = check_callers(l, config, err);
    if (rc == 0)
        rc = operator_lease_read(&l->lease, config, err);
    if (rc == 0)
        l->has_lock = pthread_mutex_init(&l->lock, NULL) == 0;
    if (rc == 0)
        rc = l->has_lock ? open_op(l, config, cluster, hash_key, err)
                         : err_set(err, -ENOMEM, "no lock");
    if (rc)
        operator_loop_free(l);
    else
        *out = l;
    return rc;
}

bool operator_loop_is_healthy(void *ctx, char *why)
{
    const struct operator_loop *const l = ctx;

    return !l->lease.leader || leader_is_healthy(l->lease.leader, why, HEALTH_WHY_BYTES);
}

int operator_loop_ask(struct operator_loop *l, const struct kube_access *access,
                      const struct apiserver *followed, bool events, struct err *err)
{
    static const struct kube_api_options usual;
    int rc = kube_api_new(&l->api, l->base, access, &usual, err);

    l->followed = followed;
    if (rc == 0 && events)
        rc = recorder_new(&l->recorder, l->api, err);

    if (rc == 0)
        api_writer_connect(l->server, l->api);
    if (rc == 0)
        rc = operator_lease_run(&l->lease, l->api, l->base, l->op, err);
    return rc;
}

void operator_loop_stop(struct operator_loop *l)
{
    if (!l)
        return;
    if (l->started) {
        (void)pthread_mutex_lock(&l->lock);
        l->ending = true;
        (void)pthread_mutex_unlock(&l->lock);
        wake_up(l);
        (void)pthread_join(l->thread, NULL);
        l->started = false;
    }
    who_stop(l->who);
    operator_lease_done(&l->lease);
    recorder_free(l->recorder);
    l->recorder = NULL;
    kube_api_free(l->api); /* nobody hears any more of what is out */
    l->api = NULL;
    for (struct job *j; l->has_lock && (j = pop(l));) {
        if (j->reply)
            add_open(l, j);
        else
            free(j);
    }
    while (l->open) /* also those that wait for a write of which nobody hears any more */
        op_fail(&l->open->call, 503, "the server ends");
    send_answers(l);
}

void operator_loop_free(struct operator_loop *l)
{
    if (!l)
        return;
    operator_loop_stop(l);
    if (l->wake)
        event_free(l->wake);
    if (l->tick)
        event_free(l->tick);
    if (l->send)
        event_free(l->send);
    if (l->released)
        event_free(l->released);
    if (l->base)
        event_base_free(l->base);
    if (l->fd >= 0)
        (void)close(l->fd);
    op_free(l->op);
    who_free(l->who);
    directory_writer_free(l->directory);
    api_writer_free(l->server);
    free(l->room);
    if (l->has_lock)
        (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void operator_loop_metrics(void *ctx, struct buf *out)
{
    const struct operator_loop *const l = ctx;

    op_metrics(l->op, out);
    if (l->who)
        who_metrics(l->who, out);
    if (l->lease.leader)
        leader_metrics(l->lease.leader, out);
}
