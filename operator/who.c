/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/who.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/siphash.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "net/http.h"
#include "operator/call.h"

enum { SETS = 2048, WAYS = 4, ANSWER_BYTES = 64 * 1024, BODY_BYTES = 256, COMPLAIN_S = 10 };

/* One caller with many groups; all that is remembered of callers. */
enum { IDENTITY_BYTES = 16 * 1024, IDENTITIES_BYTES = 16 * 1024 * 1024 };

#define SECOND_NS UINT64_C(1000000000)

enum kind { TOKEN, ACCESS, KINDS };
enum state { FREE, ASKED, YES, NO };

/* Somebody who waits for an answer; in his arena. */
struct waiter {
    struct waiter *next;
    struct op_caller *out; /* of a token */
    struct arena *arena;
    who_done done;
    void *ctx;
    enum who_verdict verdict;
};

struct entry {
    uint64_t key[2];
    enum state state;
    enum kind kind;
    uint64_t until_ns;    /* YES, NO: it is believed */
    struct op_caller *is; /* YES, of a token: one block with its texts */
    size_t bytes;         /* of it */
    struct who *who;      /* ASKED */
    uint64_t peer;        /* of it: a hash of the address that wants to know */
    struct kube_call *call;
    struct waiter *first, **last;
};

struct who {
    struct who_options options;
    struct entry *tables[KINDS];  /* [SETS * WAYS]: a key may be in the WAYS of its set */
    struct entry *asked[WHO_OUT]; /* [out] questions that are out, the oldest first */
    uint32_t out;
    size_t identity_bytes;
    bool stopped;
    uint64_t complained_ns; /* 0 = never */
    atomic_ullong answers[KINDS][3], remembered[KINDS];
};

/* --- life --- */

int who_new(struct who **out, const struct who_options *options, struct err *err)
{
    struct who *const w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, -ENOMEM, "no memory");
    w->options = *options;
    for (int k = 0; k < KINDS; k++)
        w->tables[k] = calloc((size_t)SETS * WAYS, sizeof(struct entry));
    if (!w->tables[TOKEN] || !w->tables[ACCESS]) {
        who_free(w);
        return err_set(err, -ENOMEM, "no memory");
    }
    *out = w;
    return 0;
}

static void forget(struct who *w, struct entry *e)
{
    w->identity_bytes -= e->bytes;
    free(e->is);
    *e = (struct entry){.state = FREE};
}

/* --- what is remembered --- */

static bool is_remembered(const struct entry *e, uint64_t now)
{
    return (e->state == YES || e->state == NO) && e->until_ns > now;
}

static struct entry *find(struct who *w, enum kind kind, const uint64_t key[2], uint64_t now)
{
    struct entry *const set = &w->tables[kind][key[0] % SETS * WAYS];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].key[0] == key[0] && set[i].key[1] == key[1] &&
            (set[i].state == ASKED || is_remembered(&set[i], now)))
            return &set[i];
    }
    return NULL;
}

/* A no goes before a yes, so that a flood of tokens that nobody knows makes nobody forgotten. */
static bool goes_before(const struct entry *a, const struct entry *b)
{
    if ((a->state == YES) != (b->state == YES))
        return b->state == YES;
    return a->until_ns < b->until_ns;
}

/* A free place for the key, if need be in the stead of what would be forgotten first. NULL: all of
 * its set wait for answers. */
static struct entry *make_room(struct who *w, enum kind kind, const uint64_t key[2], uint64_t now)
{
    struct entry *const set = &w->tables[kind][key[0] % SETS * WAYS], *best = NULL;

    for (int i = 0; i < WAYS; i++) {
        if (set[i].state == YES && set[i].until_ns <= now)
            forget(w, &set[i]);
        if (set[i].state != ASKED && (!best || goes_before(&set[i], best)))
            best = &set[i];
    }
    if (best)
        forget(w, best);
    return best;
}

/* A text as a part of a longer one that is hashed: no two lists of texts look the same. */
static void add_part(struct buf *b, struct str s)
{
    const uint64_t n = s.n;

    buf_add(b, &n, sizeof(n));
    buf_str(b, s);
}

static bool hash_buf(const struct who *w, struct buf *b, uint64_t out[2])
{
    const bool whole = !b->failed;

    out[0] = siphash13(&w->options.keys[0], buf_view(b));
    out[1] = siphash13(&w->options.keys[2], buf_view(b));
    buf_free(b);
    return whole;
}

/* --- callers as one block --- */

static char *put(char *at, struct str from, struct str *to)
{
    if (from.n)
        memcpy(at, from.p, from.n);
    *to = (struct str){at, from.n};
    return at + from.n;
}

static size_t text_bytes(const struct op_caller *c)
{
    return c->user.n + c->ns.n + c->pod.n + c->pod_uid.n + c->uid.n + c->groups.n + c->extra.n;
}

/* `to` becomes a copy of `from` with its texts in `room`. */
static void copy_texts(struct op_caller *to, const struct op_caller *from, char *room)
{
    *to = *from;
    room = put(room, from->user, &to->user);
    room = put(room, from->ns, &to->ns);
    room = put(room, from->pod, &to->pod);
    room = put(room, from->pod_uid, &to->pod_uid);
    room = put(room, from->uid, &to->uid);
    room = put(room, from->groups, &to->groups);
    (void)put(room, from->extra, &to->extra);
}

static bool copy_caller(struct op_caller *out, const struct op_caller *from, struct arena *a)
{
    char *const room = arena_array(a, text_bytes(from), 1);

    if (room)
        copy_texts(out, from, room);
    return room != NULL;
}

struct op_caller *who_copy(const struct op_caller *caller)
{
    struct op_caller *const copy = malloc(sizeof(*copy) + text_bytes(caller));

    if (copy)
        copy_texts(copy, caller, (char *)(copy + 1));
    return copy;
}

/* --- answers --- */

static void take_off(struct who *w, const struct entry *e)
{
    uint32_t i = 0;

    while (w->asked[i] != e)
        i++;
    memmove(&w->asked[i], &w->asked[i + 1], (--w->out - i) * sizeof(w->asked[0]));
}

/* Those who wait may ask again at once, so what is remembered is in order before they hear. */
static void settle(struct who *w, struct entry *e, enum who_verdict verdict)
{
    static const uint64_t yes_s[KINDS] = {WHO_TOKEN_S, WHO_ACCESS_S};
    struct waiter *const all = e->first;

    atomic_fetch_add(&w->answers[e->kind][verdict], 1);
    for (struct waiter *x = all; x; x = x->next) {
        x->verdict = verdict;
        if (verdict == WHO_YES && x->out && !copy_caller(x->out, e->is, x->arena))
            x->verdict = WHO_BUSY;
    }
    take_off(w, e);
    w->identity_bytes += e->bytes;
    if (verdict == WHO_BUSY || w->identity_bytes > IDENTITIES_BYTES) {
        forget(w, e);
    } else {
        e->state = verdict == WHO_YES ? YES : NO;
        e->until_ns = w->options.now_ns() +
                      SECOND_NS * (verdict == WHO_YES ? yes_s[e->kind] : (uint64_t)WHO_NO_S);
        e->call = NULL;
        e->first = NULL;
    }
    for (struct waiter *x = all, *next; x; x = next) {
        next = x->next; /* the arena is gone when he has heard */
        x->done(x->ctx, x->verdict);
    }
}

/* At most now and then: a server that is away is not worth a line for each call. */
static void complain(struct who *w, const struct entry *e, const char *why)
{
    const uint64_t now = w->options.now_ns();

    if (w->complained_ns && now - w->complained_ns < COMPLAIN_S * SECOND_NS)
        return;
    w->complained_ns = now | 1;
    log_line(LOG_LEVEL_ERROR, "operator",
             "the API server does not say %s, so nobody is let in whom it has not named lately: %s",
             e->kind == TOKEN ? "who calls" : "what callers may", why);
}

/* Whom the answer names, as one block. */
static int keep_caller(struct entry *e, const struct kube_token_verdict *v)
{
    struct op_caller from = {.user = v->user.name,
                             .ns = kube_account_namespace(v->user.name),
                             .pod = v->pod,
                             .pod_uid = v->pod_uid,
                             .uid = v->user.uid,
                             .groups = v->user.groups,
                             .extra = v->user.extra};
    const size_t bytes = sizeof(from) + text_bytes(&from);

    if (bytes > IDENTITY_BYTES)
        return -E2BIG;
    e->is = who_copy(&from);
    if (!e->is)
        return -ENOMEM;
    e->bytes = bytes;
    return 0;
}

static int read_token(struct entry *e, struct str body, bool *out, struct err *err)
{
    struct kube_token_verdict v;
    struct arena a;
    void *const room = malloc(ANSWER_BYTES);

    if (!room)
        return err_set(err, -ENOMEM, "no memory");
    arena_init(&a, room, ANSWER_BYTES);
    int rc = kube_token_review_read(&v, body, WHO_AUDIENCE, &a, err);
    if (rc == 0 && v.authenticated)
        rc = keep_caller(e, &v);
    if (rc == -E2BIG)
        rc = err_set(err, rc, "a caller has too many groups");
    *out = rc == 0 && v.authenticated;
    free(room);
    return rc;
}

static void on_answer(void *ctx, const struct kube_answer *answer)
{
    struct entry *const e = ctx;
    struct who *const w = e->who;
    bool yes = false;
    struct err err = answer->err;
    int rc = answer->err.code;

    if (rc == 0 && e->kind == TOKEN)
        rc = read_token(e, answer->body, &yes, &err);
    else if (rc == 0)
        rc = kube_access_review_read(&yes, answer->body, &err);
    if (rc)
        complain(w, e, err.text);
    settle(w, e, rc ? WHO_BUSY : yes ? WHO_YES : WHO_NO);
}

/* --- questions --- */

static void wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->room);
    buf_free(b);
}

static void ask(struct who *w, struct entry *e, struct buf *body)
{
    const struct kube_request r = {
        .method = KUBE_POST,
        .path = e->kind == TOKEN ? KUBE_TOKEN_REVIEWS : KUBE_ACCESS_REVIEWS,
        .body = buf_view(body),
        .timeout_ms = WHO_ANSWER_MS,
        .max_bytes = ANSWER_BYTES,
        .done = on_answer,
        .ctx = e,
    };
    struct err err = {0};
    const int rc = body->failed ? err_set(&err, -ENOMEM, "no memory")
                                : w->options.send(w->options.ctx, &r, &e->call, &err);

    wipe(body);
    if (rc == 0)
        return;
    complain(w, e, err.text);
    settle(w, e, WHO_BUSY);
}

static void tell_now(struct who *w, enum kind kind, const struct waiter *x, const struct entry *e)
{
    enum who_verdict v = !e ? WHO_BUSY : e->state == YES ? WHO_YES : WHO_NO;

    atomic_fetch_add(e ? &w->remembered[kind] : &w->answers[kind][WHO_BUSY], 1);
    if (v == WHO_YES && x->out && !copy_caller(x->out, e->is, x->arena))
        v = WHO_BUSY;
    x->done(x->ctx, v);
}

static uint32_t asked_by(const struct who *w, uint64_t peer)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->out; i++)
        n += w->asked[i]->peer == peer;
    return n;
}

/* The youngest question of the address that has most of them; at least one is out. */
static struct entry *of_the_crowd(const struct who *w, uint32_t *out_n)
{
    struct entry *of = w->asked[0];

    *out_n = 0;
    for (uint32_t i = 0; i < w->out; i++) {
        const uint32_t n = asked_by(w, w->asked[i]->peer);

        if (n >= *out_n) {
            of = w->asked[i];
            *out_n = n;
        }
    }
    return of;
}

/* Is there a place for one more question of this address? Somebody may lose his for it. */
static bool has_place(struct who *w, uint64_t peer)
{
    uint32_t most;

    if (w->out < WHO_OUT)
        return true;
    struct entry *const e = of_the_crowd(w, &most);
    if (most <= asked_by(w, peer) + 1)
        return false;
    w->options.cancel(e->call);
    settle(w, e, WHO_BUSY);
    return w->out < WHO_OUT;
}

static uint64_t hash_peer(const struct who *w, const unsigned char *peer)
{
    return siphash13(&w->options.keys[1], (struct str){(const char *)peer, HTTP_PEER_BYTES});
}

/* What is remembered is told, else he waits. The place of the question when it is to be asked. */
static struct entry *look_up(struct who *w, enum kind kind, const uint64_t key[2],
                             const struct waiter *of, uint64_t peer)
{
    const uint64_t now = w->options.now_ns();
    struct entry *e = find(w, kind, key, now);

    if (e && e->state != ASKED) {
        tell_now(w, kind, of, e);
        return NULL;
    }
    struct waiter *const waiter = arena_array(of->arena, 1, sizeof(*waiter));
    const bool is_new = !e;

    if (is_new && waiter && !w->stopped && has_place(w, peer))
        e = make_room(w, kind, key, now);
    if (!e || !waiter) {
        tell_now(w, kind, of, NULL);
        return NULL;
    }
    if (is_new) {
        *e = (struct entry){{key[0], key[1]}, .state = ASKED, .kind = kind, .who = w, .peer = peer};
        e->last = &e->first;
        w->asked[w->out++] = e;
    }
    *waiter = *of;
    *e->last = waiter;
    e->last = &waiter->next;
    return is_new ? e : NULL;
}

/* In one piece: while it grew a shorter copy of the token would be left behind. */
static void write_token(struct buf *out, struct str token)
{
    out->p = malloc(token.n + BODY_BYTES);
    out->room = out->p ? token.n + BODY_BYTES : 0;
    kube_token_review(out, token, WHO_AUDIENCE);
}

void who_token(struct who *w, const struct who_asker *asker, char *token, struct op_caller *out)
{
    const struct waiter waiter = {
        .out = out, .arena = asker->arena, .done = asker->done, .ctx = asker->ctx};
    const struct str text = str_of(token);
    const uint64_t key[2] = {siphash13(&w->options.keys[0], text),
                             siphash13(&w->options.keys[2], text)};
    struct buf body = {0};

    if (!find(w, TOKEN, key, w->options.now_ns()))
        write_token(&body, text);
    explicit_bzero(token, text.n);
    struct entry *const e = look_up(w, TOKEN, key, &waiter, hash_peer(w, asker->peer));
    if (e)
        ask(w, e, &body);
    else
        wipe(&body);
}

void who_access(struct who *w, const struct who_asker *asker, const struct op_caller *caller,
                const struct kube_attributes *wish)
{
    const struct waiter waiter = {.arena = asker->arena, .done = asker->done, .ctx = asker->ctx};
    const struct kube_user user = {caller->user, caller->uid, caller->groups, caller->extra};
    const struct str parts[] = {user.name,
                                user.uid,
                                user.groups,
                                user.extra,
                                str_of(wish->verb),
                                str_of(wish->group),
                                str_of(wish->resource),
                                wish->ns,
                                wish->name};
    struct buf text = {0}, body = {0};
    uint64_t key[2];

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        add_part(&text, parts[i]);
    if (!hash_buf(w, &text, key)) {
        asker->done(asker->ctx, WHO_BUSY);
        return;
    }
    struct entry *const e = look_up(w, ACCESS, key, &waiter, hash_peer(w, asker->peer));
    if (!e)
        return;
    kube_access_review(&body, &user, wish);
    ask(w, e, &body);
}

void who_stop(struct who *w)
{
    if (!w)
        return;
    w->stopped = true;
    for (int k = 0; k < KINDS; k++) {
        for (size_t i = 0; w->tables[k] && i < (size_t)SETS * WAYS; i++) {
            struct entry *const e = &w->tables[k][i];

            if (e->state != ASKED)
                continue;
            w->options.cancel(e->call);
            settle(w, e, WHO_BUSY);
        }
    }
}

void who_free(struct who *w)
{
    if (!w)
        return;
    who_stop(w);
    for (int k = 0; k < KINDS; k++) {
        for (size_t i = 0; w->tables[k] && i < (size_t)SETS * WAYS; i++)
            free(w->tables[k][i].is);
        free(w->tables[k]);
    }
    free(w);
}

/* --- without asking --- */

bool who_certificate(struct op_caller *out, const struct http_client *client, struct arena *arena)
{
    struct op_caller from = {.user = client->common_name};
    struct buf groups = {0};
    struct emit e;

    if (from.user.n == 0)
        return true;
    emit_init(&e, &groups, false);
    emit_array(&e);
    for (size_t i = 0; i < client->n_organizations; i++)
        emit_text(&e, client->organizations[i]);
    emit_text(&e, STR("system:authenticated")); /* as the API server adds for its own */
    emit_end(&e);
    from.groups = buf_view(&groups);
    const bool good = !groups.failed && copy_caller(out, &from, arena);
    buf_free(&groups);
    return good;
}

bool who_bearer(struct str header, struct str *out)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof(scheme) - 1;

    if (header.n <= n || strncasecmp(header.p, scheme, n) != 0)
        return false;
    const struct str token = str_trim((struct str){header.p + n, header.n - n});
    for (size_t i = 0; i < token.n; i++) { /* token68 of RFC 7235, "=" anywhere */
        if (!isalnum((unsigned char)token.p[i]) && !memchr("-._~+/=", token.p[i], 7))
            return false;
    }
    *out = token;
    return token.n > 0;
}

void who_metrics(const struct who *w, struct buf *out)
{
    static const char *const kinds[KINDS] = {"token", "access"};
    static const char *const results[] = {"yes", "no", "unknown"};

    metric_family(out, "numawise_operator_reviews_total", "counter",
                  "Questions to the API server about callers: whose token, may he.");
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < 3; i++)
            buf_printf(out, "numawise_operator_reviews_total{kind=\"%s\",result=\"%s\"} %llu\n",
                       kinds[k], results[i], atomic_load(&w->answers[k][i]));
    metric_family(out, "numawise_operator_reviews_remembered_total", "counter",
                  "Answers about callers that were still remembered.");
    for (int k = 0; k < KINDS; k++)
        buf_printf(out, "numawise_operator_reviews_remembered_total{kind=\"%s\"} %llu\n", kinds[k],
                   atomic_load(&w->remembered[k]));
}
