/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reflector against an API server that changes, lies, hangs and dies at random, on a clock of
 * the test's own. The server's whole history is known, so it can be said of everything that was
 * told whether it is true:
 *
 * - ordered, unique: an object's states come in the order of the server's, each at most once
 *   between two lists; what was told to be gone does not come back
 * - reliable, resumable, bookmarkable: when the server is well again, the cache is what the server
 *   has, 5 s after what was left to wait
 * - atomic: every state that is told is one that the server had, whole
 *
 * And that nobody is asked too often while the server is away.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "kube/api.h"
#include "kube/reflector.h"
#include "tests/support/data.h"
#include "tests/support/history.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

enum {
    ROUNDS = 400,
    OBJECTS = 12,
    STATES = 4000,
    STEP_MS = 20,
    FAULT_S = 400, /* how long the server is not well */
    BOOKMARK_S = 10,
    BODY = 1 << 20,
};

/* What the server made of an object. */
struct state {
    uint32_t object;
    uint64_t version;
    uint64_t hash; /* of its text; 0 = deleted */
    uint32_t epoch;
};

/* What the cache holds of an object, and what was last said of it. */
struct cached {
    bool there, marked;
    uint64_t version, hash;
    uint64_t told; /* highest version that it was told with, its end included */
};

enum mood {
    MOOD_WELL,
    MOOD_REFUSES,  /* no connection */
    MOOD_STATUS,   /* some status without a Status */
    MOOD_GONE,     /* 410 for everything */
    MOOD_EVENT,    /* an ERROR event, 410 or 500, at the start of a watch */
    MOOD_NONSENSE, /* no list, no watch */
    MOOD_CUTS,     /* the connection ends somewhere */
    MOOD_HANGS,    /* somewhere nothing more comes */
    MOOD_REPEATS,  /* events come twice, and older ones after newer */
    MOOD_SHORT,    /* watches end at once */
    MOODS,
};

/* What is under way between the two. */
struct transfer {
    bool open, watch, hung, cut, done;
    int status;
    struct buf body; /* to be delivered from `at` */
    size_t at;
    struct history_watch cursor;
    uint64_t until, bookmark, heard;
};

struct world {
    uint64_t seed, now;
    struct history *h;
    unsigned kind;
    bool sorted;
    uint32_t epoch;
    enum mood mood;
    struct state states[STATES];
    uint32_t n_states;
    struct cached cache[OBJECTS];
    struct kube_reflector r;
    struct kube_reflector_ask ask;
    struct transfer t;
    bool again, listing;
    unsigned asked;
    uint64_t begun; /* the list under way */
};

static uint64_t hash_of(struct str text)
{
    static const uint64_t key[2] = {5, 6};

    return siphash13(key, text) | 1;
}

static uint32_t object_of(const struct kube_name *name)
{
    char text[16];

    assert_true(name->name.n > 1 && name->name.n < sizeof(text));
    memcpy(text, name->name.p, name->name.n);
    text[name->name.n] = 0;
    const uint32_t object = (uint32_t)atoi(text + 1);
    assert_true(object < OBJECTS);
    return object;
}

/* --- the server changes --- */

static void note(struct world *w, uint32_t object, uint64_t version, uint64_t hash)
{
    assert_true(w->n_states < STATES);
    w->states[w->n_states++] = (struct state){object, version, hash, w->epoch};
}

/*
 * Where a text is told, kind and apiVersion may stand before it: the hash is of what follows
 * `metadata`, which is unique, as it has the version.
 */
static struct str own_part(struct str text)
{
    const char *const at = memmem(text.p, text.n, "\"metadata\"", 10);

    assert_non_null(at);
    return (struct str){at, (size_t)(text.p + text.n - at)};
}

static void change(struct world *w)
{
    const uint32_t object = (uint32_t)test_random(&w->seed, OBJECTS);
    char name[16], rest[64];

    (void)snprintf(name, sizeof(name), "o%u", object);
    if (test_random(&w->seed, 4) == 0) {
        const uint64_t version = history_delete(w->h, w->kind, "", name);
        if (version)
            note(w, object, version, 0);
        return;
    }
    (void)snprintf(rest, sizeof(rest), "'spec':{'x':'%llu}]\\\\\\\\'}",
                   (unsigned long long)test_random(&w->seed, 1000000));
    const uint64_t version =
        history_put(w->h, w->kind, "", name, test_random(&w->seed, 8) ? NULL : "other", rest);
    const struct str text = history_object(w->h, w->kind, "", name, version);
    note(w, object, version, hash_of(own_part(text)));
}

static void maybe_forget(struct world *w)
{
    const uint64_t v = history_version(w->h);

    if (test_random(&w->seed, 3))
        history_compact(w->h, v - test_random(&w->seed, 5));
    else if (w->epoch < 2 && v > 130) { /* somebody puts back a backup */
        history_compact(w->h, 0);
        history_rewind(w->h, v - 1 - test_random(&w->seed, 20));
        w->epoch++;
    }
}

/* --- what is told is true --- */

static void on_begin(void *ctx, bool again)
{
    struct world *const w = ctx;

    w->listing = true;
    w->again = again;
    w->begun = history_version(w->h);
    for (uint32_t i = 0; i < OBJECTS; i++)
        w->cache[i].marked = w->cache[i].there;
    if (again)
        assert_true(w->epoch > 0);
}

/* The server had this state, in the epoch it is in or, before a list says so, in an earlier one. */
static bool was_so(const struct world *w, uint32_t object, uint64_t version, uint64_t hash)
{
    for (uint32_t i = w->n_states; i-- > 0;) {
        const struct state *const s = &w->states[i];

        if (s->object == object && s->version == version && s->hash == hash)
            return true;
    }
    return false;
}

static int on_upsert(void *ctx, const struct kube_name *name, struct str object)
{
    struct world *const w = ctx;
    const uint32_t i = object_of(name);
    struct cached *const c = &w->cache[i];
    const uint64_t hash = hash_of(own_part(object));

    if (w->mood != MOOD_WELL && test_random(&w->seed, 200) == 0)
        return -ENOMEM;
    assert_true(was_so(w, i, name->number, hash));
    c->marked = false;
    /* As the store does: a list may name again what is known, and lag behind it where it lies. */
    if (c->there && c->version == name->number && !w->again) {
        assert_true(w->listing);
        assert_true(c->hash == hash || w->epoch > 0);
        return 0;
    }
    if (!w->again)
        assert_true(name->number > c->told || w->epoch > 0);
    *c = (struct cached){true, false, name->number, hash, name->number};
    return 0;
}

static void on_remove(void *ctx, const struct kube_name *name)
{
    struct world *const w = ctx;
    struct cached *const c = &w->cache[object_of(name)];

    assert_false(w->listing);
    assert_true(was_so(w, object_of(name), name->number, 0));
    assert_true(name->number > c->told || w->epoch > 0);
    c->there = false;
    c->told = name->number;
}

static void on_end(void *ctx)
{
    struct world *const w = ctx;

    for (uint32_t i = 0; i < OBJECTS; i++) {
        if (!w->cache[i].marked)
            continue;
        w->cache[i].there = w->cache[i].marked = false;
        if (w->r.version.number > w->cache[i].told)
            w->cache[i].told = w->r.version.number;
    }
    w->listing = w->again = false;
}

static void on_odd(void *ctx, const struct kube_name *name, const char *why)
{
    fail_msg("left out: %s", why);
}

/* --- the way between --- */

static void finish(struct world *w, int status, int code, const struct buf *body)
{
    struct kube_answer a = {
        .status = status, .retry_after_ms = -1, .details = {.retry_after_s = -1}};

    if (body)
        (void)kube_status_decode(&a.details, buf_view(body));
    if (status >= 400 || code)
        (void)err_set(&a.err, code ? code : -EAGAIN, "status %d", status);
    if ((status == 429 || status == 503) && test_random(&w->seed, 2))
        a.retry_after_ms = 1000;
    w->t.open = false;
    kube_reflector_answered(&w->r, w->now, &a);
}

static struct str value_in(const char *path, const char *name)
{
    const char *const at = strstr(path, name);

    if (!at)
        return (struct str){NULL, 0};
    const char *const from = at + strlen(name);
    return (struct str){from, strcspn(from, "&")};
}

static void pad(struct buf *b)
{
    static const char zeros[64];
    const size_t n = b->n;

    buf_add(b, zeros, sizeof(zeros));
    b->n = n;
}

static void answer_list(struct world *w)
{
    struct transfer *const t = &w->t;
    const struct history_query q = {
        .limit = 1 + (uint32_t)test_random(&w->seed, 8),
        .from = value_in(w->ask.path, "continue="),
        .version = value_in(w->ask.path, "resourceVersion="),
    };

    t->status = history_list(w->h, w->kind, &q, &t->body);
}

static void answer_watch(struct world *w)
{
    struct transfer *const t = &w->t;

    t->status = history_watch_open(w->h, w->kind, value_in(w->ask.path, "resourceVersion="),
                                   &t->cursor, &t->body);
    t->until = w->now + (uint64_t)atoi(strstr(w->ask.path, "timeoutSeconds=") + 15) * S;
    t->bookmark = w->now + BOOKMARK_S * S;
}

static void add_nonsense(struct world *w)
{
    static const char *const texts[] = {"<html>",
                                        "[]",
                                        "",
                                        "{\"items\":[{",
                                        "null",
                                        "{\"type\":\"ADDED\"}\n",
                                        "{\"metadata\":{}}",
                                        ("{\"metadata\":{\"resourceVersion\":\"99999\"},"
                                         "\"items\":[")};

    buf_text(&w->t.body, texts[test_random(&w->seed, ARRAY_LEN(texts))]);
}

static void add_error_event(struct world *w)
{
    struct buf status = {0};

    history_status(&status, test_random(&w->seed, 2) ? 410 : 500, "", "told to", "", 0);
    buf_printf(&w->t.body, "{\"type\":\"ERROR\",\"object\":%.*s}\n", (int)status.n, status.p);
    buf_free(&status);
}

/* A request arrives at a server of this mood. */
static void begin(struct world *w)
{
    static const int statuses[] = {401, 403, 404, 429, 500, 503, 504, 302};
    struct transfer *const t = &w->t;

    t->body.n = t->at = 0;
    *t = (struct transfer){.open = true, .body = t->body, .heard = w->now};
    t->watch = strstr(w->ask.path, "watch=1") != NULL;
    w->asked++;
    if (w->mood == MOOD_REFUSES) {
        finish(w, 0, -EHOSTUNREACH, NULL);
        return;
    }
    if (w->mood == MOOD_STATUS) {
        finish(w, statuses[test_random(&w->seed, ARRAY_LEN(statuses))], 0, NULL);
        return;
    }
    if (w->mood == MOOD_GONE) {
        finish(w, 410, 0, NULL);
        return;
    }
    t->hung = w->mood == MOOD_HANGS && test_random(&w->seed, 2);
    t->status = 200;
    if (w->mood == MOOD_NONSENSE)
        add_nonsense(w), t->done = true;
    else if (w->mood == MOOD_EVENT && t->watch)
        add_error_event(w), t->done = true;
    else if (w->mood == MOOD_SHORT && t->watch)
        t->done = true;
    else if (t->watch)
        answer_watch(w);
    else
        answer_list(w);
    if (t->status != 200) {
        pad(&t->body);
        finish(w, t->status, 0, &t->body);
    } else {
        kube_reflector_started(&w->r, w->now);
    }
}

/* Repeat a line that was sent, or go back to older ones. */
static void repeat(struct world *w, size_t before)
{
    struct transfer *const t = &w->t;
    char *const copy = t->body.n > before ? strndup(t->body.p + before, t->body.n - before) : NULL;

    if (copy && test_random(&w->seed, 3) == 0)
        buf_text(&t->body, copy);
    free(copy);
}

/* What the watch has to say by now. */
static void go_on_watching(struct world *w)
{
    struct transfer *const t = &w->t;
    const size_t before = t->body.n;
    const uint32_t most = w->mood == MOOD_WELL ? 64 : 4;

    if (!history_watch_more(w->h, &t->cursor, 1 + (uint32_t)test_random(&w->seed, most), &t->body))
        t->cut = true; /* the server was put back: its connections are gone */
    if (w->mood == MOOD_REPEATS)
        repeat(w, before);
    if (w->now >= t->bookmark) {
        history_bookmark(w->h, &t->cursor, &t->body);
        t->bookmark = w->now + BOOKMARK_S * S;
    }
    t->done = t->done || w->now >= t->until;
}

/* A piece of any length, cut anywhere. */
static void deliver(struct world *w)
{
    struct transfer *const t = &w->t;
    const size_t left = t->body.n - t->at;
    size_t n = left;

    if (left && test_random(&w->seed, 2))
        n = 1 + test_random(&w->seed, left);
    if (w->mood == MOOD_HANGS && n && test_random(&w->seed, 4) == 0) {
        t->hung = true;
        n = test_random(&w->seed, n + 1);
    }
    if (w->mood == MOOD_CUTS && test_random(&w->seed, 4) == 0) {
        t->cut = true;
        n = test_random(&w->seed, n + 1);
    }
    if (n) {
        char *const piece = malloc(n);

        memcpy(piece, t->body.p + t->at, n);
        t->at += n;
        t->heard = w->now;
        const int rc = kube_reflector_data(&w->r, w->now, piece, n);
        free(piece);
        if (rc) {
            finish(w, 0, rc, NULL);
            return;
        }
    }
    if (t->cut)
        finish(w, 0, -EHOSTUNREACH, NULL);
    else if (t->at == t->body.n && (t->done || !t->watch))
        finish(w, 200, 0, NULL);
}

static void carry(struct world *w)
{
    struct transfer *const t = &w->t;

    if (!t->open)
        return;
    if (w->now - t->heard >= w->ask.idle_ms * MS) {
        finish(w, 0, -ETIMEDOUT, NULL);
        return;
    }
    if (t->hung)
        return;
    if (t->watch && !t->done)
        go_on_watching(w);
    deliver(w);
}

static void step(struct world *w)
{
    uint64_t due;

    w->now += STEP_MS * MS;
    carry(w);
    if (!w->t.open && kube_reflector_next(&w->r, w->now, &w->ask, &due))
        begin(w);
}

/* --- */

static bool is_equal(const struct world *w)
{
    char name[16];

    for (uint32_t i = 0; i < OBJECTS; i++) {
        (void)snprintf(name, sizeof(name), "o%u", i);
        const struct str text = history_object(w->h, w->kind, "", name, history_version(w->h));

        if ((text.n > 0) != w->cache[i].there ||
            (text.n && hash_of(own_part(text)) != w->cache[i].hash))
            return false;
    }
    return true;
}

/* How long it may take from now on: what is left to wait, and five seconds. */
static uint64_t allowance(struct world *w)
{
    uint64_t due = w->now;

    w->mood = MOOD_WELL;
    if (w->t.open)
        finish(w, 0, -EHOSTUNREACH, NULL); /* it was restarted */
    if (kube_reflector_next(&w->r, w->now, &w->ask, &due)) {
        begin(w);
        due = w->now;
    }
    return (due > w->now ? due - w->now : 0) + 5 * S;
}

static void run(struct world *w)
{
    uint64_t next_mood = 0;
    const uint64_t well_at = w->now + FAULT_S * S;

    while (w->now < well_at) {
        if (w->now >= next_mood) {
            w->mood = (enum mood)test_random(&w->seed, MOODS);
            next_mood = w->now + test_random(&w->seed, 40) * S;
        }
        if (test_random(&w->seed, 25) == 0 && w->n_states < STATES - 1)
            change(w);
        /* Not in the end: then what the server forgot would be waited out twice. */
        if (test_random(&w->seed, 4000) == 0 && w->now + 60 * S < well_at)
            maybe_forget(w);
        step(w);
    }
    const bool went_back = w->r.version.number > history_version(w->h);
    const uint64_t limit = w->now + allowance(w) + (went_back ? (BOOKMARK_S + 5) * S : 0);
    while (w->now < limit)
        step(w);
    if (!is_equal(w))
        fail_msg("not the same %llu ms later", (unsigned long long)((w->now - well_at) / MS));
    assert_true(w->r.state.synced);
    /* And from then on it follows. */
    for (int i = 0; i < 20; i++)
        change(w);
    const uint64_t follow = w->now + 5 * S;
    while (w->now < follow && !is_equal(w))
        step(w);
    assert_true(is_equal(w));
}

static void one_round(uint64_t seed, bool sorted)
{
    struct world *const w = calloc(1, sizeof(*w));
    const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, w};

    w->seed = seed;
    w->now = 1000 * S;
    w->h = history_new();
    w->sorted = sorted;
    w->kind = history_kind(w->h, "/apis/x/v1/things", "x/v1", "Thing", sorted);
    for (int i = 0; i < 30; i++)
        change(w);
    kube_reflector_init(&w->r, "/apis/x/v1/things", &sink, seed);
    run(w);
    kube_reflector_done(&w->r);
    buf_free(&w->t.body);
    history_free(w->h);
    free(w);
}

static void the_cache_is_what_the_server_has(void **state)
{
    uint64_t seed = test_seed(20261124);

    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t own = seed + (uint64_t)i * 7919;

        print_message("round %d, NUMAWISE_SEED=%llu\n", i, (unsigned long long)own);
        one_round(own | 1, own >> 3 & 1);
    }
}

/* A server that is away for an hour is asked less than once in four seconds. */
static void a_server_that_is_away_is_not_besieged(void **state)
{
    for (int mood = MOOD_REFUSES; mood < MOOD_HANGS; mood++) {
        struct world *const w = calloc(1, sizeof(*w));
        const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, w};

        w->seed = 17;
        w->now = 1000 * S;
        w->h = history_new();
        w->kind = history_kind(w->h, "/apis/x/v1/things", "x/v1", "Thing", false);
        change(w);
        kube_reflector_init(&w->r, "/apis/x/v1/things", &sink, 5);
        while (!w->r.state.synced)
            step(w);
        w->mood = (enum mood)mood;
        if (w->t.open)
            finish(w, 0, -EHOSTUNREACH, NULL);
        w->asked = 0;
        for (const uint64_t end = w->now + 3600 * S; w->now < end;)
            step(w);
        if (w->asked > 3600 / 4)
            fail_msg("mood %d: asked %u times", mood, w->asked);
        assert_true(w->asked > 3600 / 120);
        kube_reflector_done(&w->r);
        buf_free(&w->t.body);
        history_free(w->h);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_is_what_the_server_has),
        cmocka_unit_test(a_server_that_is_away_is_not_besieged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
