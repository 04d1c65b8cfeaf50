/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/api.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "kube/api_internal.h"
#include "kube/kubeconfig.h"

/* Longer than any server means to keep us away; what says more is taken for this. */
enum { LONGEST_WAIT_MS = 10 * 60 * 1000, TOUCH_MS = 1000 };

const char *const kube_method_names[KUBE_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
const char *const kube_code_names[KUBE_CODES] = {"200", "201", "400", "401",   "403",
                                                 "404", "409", "410", "422",   "429",
                                                 "500", "503", "504", "other", "<error>"};
enum { CODE_OTHER = KUBE_CODES - 2, CODE_NONE = KUBE_CODES - 1 };

static uint64_t now_ns(void)
{
    return clock_monotonic_ns() | 1; /* 0 means never in the things below */
}

static uint64_t after(uint64_t ns, uint64_t ms)
{
    return ns + ms * UINT64_C(1000000);
}

/* --- the loop --- */

static void wake_at(struct kube_api *api, uint64_t now, uint64_t at)
{
    const uint64_t us = at > now ? (at - now) / 1000 + 1 : 0;
    const struct timeval t = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    (void)evtimer_add(api->turn, &t);
}

static void wake(struct kube_api *api)
{
    wake_at(api, 0, 0);
}

/* curl's timer: never call it back from inside of itself. */
static int on_curl_timer_set(CURLM *multi, long timeout_ms, void *ctx)
{
    struct kube_api *const api = ctx;
    const struct timeval t = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    (void)(timeout_ms < 0 ? evtimer_del(api->curl_timer) : evtimer_add(api->curl_timer, &t));
    return 0;
}

static void pump(struct kube_api *api);

static void act(struct kube_api *api, curl_socket_t fd, int what)
{
    int running;

    (void)curl_multi_socket_action(api->multi, fd, what, &running);
    pump(api);
}

static void on_curl_timer(evutil_socket_t fd, short what, void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    act(ctx, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

/* curl wants to know when the socket is ready; its event hangs on it. */
static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct kube_api *const api = ctx;
    struct event *const before = socket_ctx;
    const short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                                 (what & CURL_POLL_OUT ? EV_WRITE : 0));

    if (before)
        event_free(before);
    (void)curl_multi_assign(api->multi, fd, NULL);
    if (what == CURL_POLL_REMOVE)
        return 0;
    struct event *const ready = event_new(api->base, fd, events, on_ready, api);
    if (!ready || event_add(ready, NULL) || curl_multi_assign(api->multi, fd, ready)) {
        if (ready)
            event_free(ready);
        return -1; /* every transfer fails */
    }
    return 0;
}

/* --- calls --- */

void api_heard(struct kube_call *call)
{
    const uint64_t now = now_ns();

    call->heard_ns = now;
    kube_pulse_heard(&call->api->pulse, now);
}

static void unlink_call(struct kube_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
}

static void free_call(struct kube_call *call)
{
    transfer_end(call);
    for (size_t i = 0; i < ARRAY_LEN(call->texts); i++) {
        if (call->texts[i].p) /* a body may hold somebody's token */
            explicit_bzero(call->texts[i].p, call->texts[i].n);
        buf_free(&call->texts[i]);
    }
    buf_free(&call->body);
    free(call);
}

/* From curl, too. */
static void leave_curl(struct kube_call *call)
{
    if (call->easy && call->api->multi)
        (void)curl_multi_remove_handle(call->api->multi, call->easy);
}

static void drop(struct kube_call *call)
{
    struct kube_api *const api = call->api;

    leave_curl(call);
    unlink_call(call);
    free_call(call);
    atomic_fetch_sub(&api->stats.open, 1);
}

static void finish(struct kube_call *call, int rc)
{
    call->state = CALL_ENDED;
    if (rc && !call->rc)
        call->rc = rc;
}

static void note_failed_files(struct kube_api *api)
{
    atomic_store(&api->stats.credential_failures, api->credentials.failures);
}

static void begin(struct kube_call *call, uint64_t now)
{
    struct kube_api *const api = call->api;
    struct err err = {0};

    call->rc = 0;
    call->tries++;
    call->heard_ns = now;
    int rc = kube_credentials_refresh(&api->credentials, now, &err);
    note_failed_files(api);
    if (rc == 0)
        rc = transfer_start(call);
    else
        (void)snprintf(call->error, sizeof(call->error), "%s", err.text);
    if (rc == 0 && curl_multi_add_handle(api->multi, call->easy)) {
        transfer_end(call);
        rc = -ENOMEM;
    }
    if (rc)
        finish(call, rc);
    else
        call->state = CALL_RUNNING;
}

/* --- what to do with an answer --- */

static void count(struct kube_api *api, const struct kube_call *call, int status)
{
    int code = status == 0 ? CODE_NONE : CODE_OTHER;

    for (int i = 0; status && i < CODE_OTHER; i++)
        if (atoi(kube_code_names[i]) == status)
            code = i;
    atomic_fetch_add(&api->stats.requests[call->request.method][code], 1);
}

static void again_at(struct kube_call *call, uint64_t at)
{
    atomic_fetch_add(&call->api->stats.retries, 1);
    leave_curl(call);
    transfer_end(call);
    call->state = CALL_WAITING;
    call->due_ns = at;
}

/* A token that was changed since: the server did nothing yet. */
static bool has_new_token(struct kube_call *call, uint64_t now)
{
    struct kube_api *const api = call->api;
    struct buf before = {0};
    bool changed;

    kube_credentials_doubt_token(&api->credentials);
    if (call->token_tried || !api->access->token_file)
        return false;
    buf_add(&before, api->credentials.token.p, api->credentials.token.n);
    call->token_tried = true;
    changed = kube_credentials_refresh(&api->credentials, now, NULL) == 0 && !before.failed &&
              !str_eq(buf_view(&before), buf_view(&api->credentials.token));
    if (before.p)
        explicit_bzero(before.p, before.n);
    buf_free(&before);
    note_failed_files(api);
    return changed;
}

static bool may_repeat(const struct kube_call *call, const struct kube_answer *a, uint64_t now)
{
    return call->tries <= call->request.retries && a->retry_after_ms > 0 &&
           (a->status == 429 || a->status >= 500) && a->retry_after_ms < LONGEST_WAIT_MS &&
           after(now, (uint64_t)a->retry_after_ms) < call->deadline_ns;
}

static void tell(struct kube_call *call, uint64_t now)
{
    struct kube_api *const api = call->api;
    const struct kube_request r = call->request;
    struct kube_answer answer;

    transfer_answer(call, &answer);
    count(api, call, answer.status);
    if (answer.err.code == -EKEYREJECTED)
        kube_credentials_doubt_pem(&api->credentials);
    if (answer.status == 401 && has_new_token(call, now)) {
        again_at(call, now);
    } else if (may_repeat(call, &answer, now)) {
        again_at(call, after(now, (uint64_t)answer.retry_after_ms));
    } else {
        call->state = CALL_CANCELLED; /* not told twice, whatever `done` does */
        leave_curl(call);
        if (r.done)
            r.done(r.ctx, &answer);
    }
}

/* --- the server's silence --- */

static int set_multi(struct kube_api *api)
{
    api->multi = curl_multi_init();
    return api->multi && !curl_multi_setopt(api->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) &&
                   !curl_multi_setopt(api->multi, CURLMOPT_SOCKETDATA, api) &&
                   !curl_multi_setopt(api->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer_set) &&
                   !curl_multi_setopt(api->multi, CURLMOPT_TIMERDATA, api)
               ? 0
               : -ENOMEM;
}

/* Every connection goes, and with it what was asked on it; where memory is out, they stay. */
static void give_up_connections(struct kube_api *api)
{
    CURLM *const before = api->multi;

    atomic_fetch_add(&api->stats.connections_lost, 1);
    for (struct kube_call *c = api->calls; c; c = c->next) {
        if (c->state != CALL_RUNNING)
            continue;
        leave_curl(c);
        finish(c, -ECONNABORTED);
    }
    if (set_multi(api) == 0) {
        (void)curl_multi_cleanup(before);
    } else {
        (void)curl_multi_cleanup(api->multi);
        api->multi = before;
    }
}

/* Anything that comes back is a sign of life, a refusal too. */
static void probe(struct kube_api *api)
{
    const struct kube_request r = {
        .path = "/version", .accept = "*/*", .timeout_ms = api->options.probe_ms + TOUCH_MS};
    struct kube_call *call;

    if (kube_api_send(api, &r, &call, NULL) == 0)
        call->is_probe = true;
}

static bool is_busy(const struct kube_api *api)
{
    for (const struct kube_call *c = api->calls; c; c = c->next)
        if (c->state == CALL_RUNNING && !c->is_probe)
            return true;
    return false;
}

/* When to look again. */
static uint64_t check_pulse(struct kube_api *api, uint64_t now)
{
    uint64_t at;

    switch (kube_pulse_look(&api->pulse, now, is_busy(api), &at)) {
    case KUBE_PULSE_ASK:
        probe(api);
        break;
    case KUBE_PULSE_DEAD:
        give_up_connections(api);
        return now;
    case KUBE_PULSE_WAIT:
        break;
    }
    return at;
}

/* --- the pump: everything that is due --- */

static void collect_ended(struct kube_api *api)
{
    int left;

    for (const CURLMsg *m; (m = curl_multi_info_read(api->multi, &left));) {
        struct kube_call *call = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        if (call->state == CALL_RUNNING) {
            call->state = CALL_ENDED;
            call->code = m->data.result;
        }
    }
}

static uint64_t limit_of(const struct kube_call *call)
{
    const uint64_t idle =
        call->request.idle_ms ? after(call->heard_ns, call->request.idle_ms) : UINT64_MAX;

    return idle < call->deadline_ns ? idle : call->deadline_ns;
}

/* What is due at `now` of one call; returns when it is next. */
static uint64_t step(struct kube_call *call, uint64_t now)
{
    if (call->state == CALL_WAITING && call->due_ns <= now)
        begin(call, now);
    if (call->state == CALL_RUNNING && limit_of(call) <= now) {
        leave_curl(call);
        finish(call, -ETIMEDOUT);
    }
    if (call->state == CALL_ENDED)
        tell(call, now);
    switch (call->state) {
    case CALL_WAITING:
        return call->due_ns;
    case CALL_RUNNING:
        return limit_of(call);
    case CALL_ENDED:
    case CALL_CANCELLED:
        break;
    }
    drop(call);
    return UINT64_MAX;
}

static void pump(struct kube_api *api)
{
    const uint64_t now = now_ns();
    uint64_t at;

    collect_ended(api);
    at = check_pulse(api, now);
    /* `done` may send and cancel: new calls stand at the front, and nothing is freed but by step.
     */
    for (struct kube_call *c = api->calls, *next; c; c = next) {
        struct kube_call **const link = c->link;
        const uint64_t due = step(c, now);

        next = *link == c ? c->next : *link;
        at = due < at ? due : at;
    }
    for (const struct kube_call *c = api->calls; c; c = c->next)
        if (c->state == CALL_CANCELLED || (c->state == CALL_WAITING && c->due_ns <= now))
            at = now;
    if (at < UINT64_MAX)
        wake_at(api, now, at);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
    pump(ctx);
}

/* --- api.h --- */

static void set_up_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int start(struct kube_api *api, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint64_t now = now_ns();

    (void)pthread_once(&once, set_up_curl);
    kube_pulse_init(&api->pulse, now, api->options.silence_ms, api->options.probe_ms);
    api->turn = evtimer_new(api->base, on_turn, api);
    api->curl_timer = evtimer_new(api->base, on_curl_timer, api);
    if (!api->turn || !api->curl_timer || set_multi(api))
        return err_set(err, -ENOMEM, "no memory for an API client");
    return kube_credentials_refresh(&api->credentials, now, err);
}

int kube_api_new(struct kube_api **out, struct event_base *base, const struct kube_access *access,
                 const struct kube_api_options *options, struct err *err)
{
    struct kube_api *const api = calloc(1, sizeof(*api));

    if (!api)
        return err_set(err, -ENOMEM, "no memory for an API client");
    api->base = base;
    api->access = access;
    api->options = *options;
    if (!api->options.connect_ms)
        api->options.connect_ms = LIMIT_API_CONNECT_MS;
    if (!api->options.silence_ms)
        api->options.silence_ms = KUBE_SILENCE_MS;
    if (!api->options.probe_ms)
        api->options.probe_ms = KUBE_PROBE_MS;
    kube_credentials_init(&api->credentials, access);
    const int rc = start(api, err);
    if (rc)
        kube_api_free(api);
    else
        *out = api;
    return rc;
}

void kube_api_free(struct kube_api *api)
{
    if (!api)
        return;
    while (api->calls)
        drop(api->calls);
    if (api->multi)
        (void)curl_multi_cleanup(api->multi);
    if (api->turn)
        event_free(api->turn);
    if (api->curl_timer)
        event_free(api->curl_timer);
    kube_credentials_done(&api->credentials);
    free(api);
}

/* A text of the caller's that the call keeps; NULL stays NULL. */
static const char *keep(struct buf *room, const char *text)
{
    if (text)
        buf_text(room, text);
    return text ? room->p : NULL;
}

static bool keep_request(struct kube_call *call, const struct kube_request *r)
{
    call->request = *r;
    call->request.path = keep(&call->texts[0], r->path);
    call->request.content_type = keep(&call->texts[1], r->content_type);
    call->request.accept = keep(&call->texts[2], r->accept);
    buf_str(&call->texts[3], r->body);
    call->request.body = buf_view(&call->texts[3]);
    for (size_t i = 0; i < ARRAY_LEN(call->texts); i++)
        if (call->texts[i].failed)
            return false;
    return true;
}

static int check_path(const char *path, struct err *err)
{
    if (path[0] != '/' || strlen(path) > LIMIT_API_PATH_BYTES)
        return err_set(err, -EINVAL, "a path begins with '/' and has %d bytes at most",
                       LIMIT_API_PATH_BYTES);
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '#')
            return err_set(err, -EINVAL, "a character in a path that must be escaped");
    return 0;
}

int kube_api_send(struct kube_api *api, const struct kube_request *request, struct kube_call **out,
                  struct err *err)
{
    const uint64_t now = now_ns();
    const int rc = check_path(request->path, err);

    if (rc)
        return rc;
    if (atomic_load(&api->stats.open) >= LIMIT_API_CALLS)
        return err_set(err, -EBUSY, "%d requests are out already", LIMIT_API_CALLS);
    struct kube_call *const call = calloc(1, sizeof(*call));
    if (!call || !keep_request(call, request)) {
        if (call)
            free_call(call);
        return err_set(err, -ENOMEM, "no memory for a request");
    }
    call->api = api;
    call->due_ns = now;
    call->deadline_ns = after(now, request->timeout_ms ? request->timeout_ms : LIMIT_API_ANSWER_MS);
    call->link = &api->calls;
    call->next = api->calls;
    if (call->next)
        call->next->link = &call->next;
    api->calls = call;
    atomic_fetch_add(&api->stats.open, 1);
    wake(api);
    if (out)
        *out = call;
    return 0;
}

void kube_call_cancel(struct kube_call *call)
{
    call->state = CALL_CANCELLED;
    wake(call->api);
}

const char *kube_api_server(const struct kube_api *api)
{
    return api->access->server;
}

const struct kube_api_stats *kube_api_stats(const struct kube_api *api)
{
    return &api->stats;
}
