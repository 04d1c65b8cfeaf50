/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls and what he may: a fake server to ask, a clock that is told, no sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/api.h"
#include "net/http.h"
#include "operator/call.h"
#include "operator/who.h"
#include "tests/support/test.h"

enum { ASKED_MAX = 512, ROOM = 4096 };

/* --- the server --- */

struct kube_call {
    void (*done)(void *ctx, const struct kube_answer *answer);
    void *ctx;
    bool open, cancelled;
    char path[96], body[1024];
};

static struct {
    struct kube_call calls[ASKED_MAX];
    unsigned asked, cancelled;
    int refuse; /* what the next questions are answered with at once */
    uint64_t now_ns;
} world;

static uint64_t now_ns(void)
{
    return world.now_ns;
}

static int on_send(void *ctx, const struct kube_request *r, struct kube_call **out, struct err *err)
{
    if (world.refuse)
        return err_set(err, world.refuse, "too many questions");
    assert_in_range(world.asked, 0, ASKED_MAX - 1);
    struct kube_call *const c = &world.calls[world.asked++];
    *c = (struct kube_call){.done = r->done, .ctx = r->ctx, .open = true};
    (void)snprintf(c->path, sizeof(c->path), "%s", r->path);
    (void)snprintf(c->body, sizeof(c->body), "%.*s", STR_ARG(r->body));
    assert_int_equal(r->method, KUBE_POST);
    *out = c;
    return 0;
}

static void on_cancel(struct kube_call *call)
{
    assert_true(call->open);
    call->open = false;
    world.cancelled++;
}

/* The `i`-th question is answered; JSON with ' for ". */
static void reply(unsigned i, const char *json)
{
    struct kube_call *const c = &world.calls[i];
    char text[2048] = "";

    for (size_t k = 0; json[k]; k++)
        text[k] = json[k] == '\'' ? '"' : json[k];
    const struct kube_answer a = {
        .status = 201, .body = {text, strlen(json)}, .retry_after_ms = -1};
    assert_true(c->open);
    c->open = false;
    c->done(c->ctx, &a);
}

static void reply_error(unsigned i, int code)
{
    struct kube_call *const c = &world.calls[i];
    struct kube_answer a = {.status = 0, .retry_after_ms = -1};

    (void)err_set(&a.err, code, "POST: connection refused");
    assert_true(c->open);
    c->open = false;
    c->done(c->ctx, &a);
}

static int set_up(void **state)
{
    static const struct who_options options = {
        .keys = {1, 2, 3, 4}, .send = on_send, .cancel = on_cancel, .now_ns = now_ns};
    struct who *w;

    memset(&world, 0, sizeof(world));
    world.now_ns = 1;
    assert_int_equal(who_new(&w, &options, NULL), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    who_free(*state);
    return 0;
}

/* --- those who ask --- */

struct asker {
    char *room, token[128]; /* [ROOM] */
    struct arena arena;
    struct op_caller is;
    int heard;
    enum who_verdict verdict;
    bool wiped; /* the token was gone when he heard */
};

/* Rooms are taken in turn: what an arena closes to AddressSanitizer must not lie on the stack. */
static void begin(struct asker *a)
{
    static char rooms[256][ROOM];
    static unsigned next;

    *a = (struct asker){.room = rooms[next++ % 256]};
}

static void on_heard(void *ctx, enum who_verdict verdict)
{
    struct asker *const a = ctx;

    a->heard++;
    a->verdict = verdict;
    a->wiped = a->token[0] == 0;
}

/* The token is in `a`, and its arena is made. */
static void ask_so(struct who *w, struct asker *a, unsigned char from)
{
    const unsigned char peer[HTTP_PEER_BYTES] = {10, 0, 0, from};
    const struct who_asker asker = {peer, &a->arena, on_heard, a};

    who_token(w, &asker, a->token, &a->is);
}

static void ask_from(struct who *w, struct asker *a, const char *token, unsigned char from)
{
    begin(a);
    (void)snprintf(a->token, sizeof(a->token), "%s", token);
    arena_init(&a->arena, a->room, ROOM);
    ask_so(w, a, from);
    assert_int_equal(a->token[0], 0);
}

static void ask(struct who *w, struct asker *a, const char *token)
{
    ask_from(w, a, token, 1);
}

static void may(struct who *w, struct asker *a, const struct op_caller *caller, const char *ns)
{
    const struct kube_attributes wish = {
        .verb = "get", .group = "g", .resource = "r", .ns = str_of(ns)};

    begin(a);
    arena_init(&a->arena, a->room, ROOM);
    const unsigned char peer[HTTP_PEER_BYTES] = {10, 0, 0, 1};
    const struct who_asker asker = {peer, &a->arena, on_heard, a};
    who_access(w, &asker, caller, &wish);
}

static void seconds(uint64_t s)
{
    world.now_ns += s * UINT64_C(1000000000);
}

#define TELLER                                                                                     \
    "{'kind':'TokenReview','status':{'authenticated':true,'audiences':['numawise'],'user':{"       \
    "'username':'system:serviceaccount:bank:teller','uid':'u','groups':['g1'],'extra':{"           \
    "'authentication.kubernetes.io/pod-name':['teller-0'],"                                        \
    "'authentication.kubernetes.io/pod-uid':['p-1']}}}}"
#define NOBODY  "{'kind':'TokenReview','status':{'error':'no'}}"
#define ALLOWED "{'kind':'SubjectAccessReview','status':{'allowed':true}}"
#define DENIED  "{'kind':'SubjectAccessReview','status':{'allowed':false}}"

static void a_token_is_asked_about_once_a_minute(void **state)
{
    struct asker a;

    ask(*state, &a, "secret");
    assert_int_equal(a.heard, 0);
    assert_string_equal(world.calls[0].path, KUBE_TOKEN_REVIEWS);
    assert_non_null(
        strstr(world.calls[0].body, "\"token\":\"secret\",\"audiences\":[\"numawise\"]"));
    reply(0, TELLER);
    assert_int_equal(a.heard, 1);
    assert_int_equal(a.verdict, WHO_YES);
    assert_true(a.wiped);
    assert_true(str_is(a.is.user, "system:serviceaccount:bank:teller"));
    assert_true(str_is(a.is.ns, "bank") && str_is(a.is.pod, "teller-0"));
    assert_true(str_is(a.is.pod_uid, "p-1") && str_is(a.is.groups, "[\"g1\"]"));
    assert_false(a.is.everybody);

    seconds(WHO_TOKEN_S - 1);
    ask(*state, &a, "secret");
    assert_int_equal(a.heard, 1); /* at once */
    assert_int_equal(a.verdict, WHO_YES);
    assert_true(a.wiped && str_is(a.is.pod, "teller-0"));
    assert_int_equal(world.asked, 1);

    seconds(1);
    ask(*state, &a, "secret");
    assert_int_equal(a.heard, 0);
    reply(1, NOBODY); /* it was withdrawn meanwhile */
    assert_int_equal(a.verdict, WHO_NO);
}

static void a_no_is_remembered_shorter(void **state)
{
    struct asker a;

    ask(*state, &a, "wrong");
    reply(0, NOBODY);
    assert_int_equal(a.verdict, WHO_NO);
    seconds(WHO_NO_S - 1);
    ask(*state, &a, "wrong");
    assert_int_equal(a.verdict, WHO_NO);
    assert_int_equal(world.asked, 1);
    seconds(1);
    ask(*state, &a, "wrong");
    assert_int_equal(world.asked, 2);
    reply(1, TELLER);
    assert_int_equal(a.verdict, WHO_YES);
}

static void those_with_the_same_token_wait_for_one_answer(void **state)
{
    static struct asker a[20], other;

    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        ask(*state, &a[i], "secret");
    ask(*state, &other, "secret2");
    assert_int_equal(world.asked, 2);
    reply(0, TELLER);
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        assert_true(a[i].heard == 1 && a[i].verdict == WHO_YES && str_is(a[i].is.pod, "teller-0"));
    assert_int_equal(other.heard, 0);
    reply(1, NOBODY);
    assert_int_equal(other.verdict, WHO_NO);
}

/* The server is away, refuses us, or answers with something else: nobody is let in, and the next
 * one asks anew. */
static void without_an_answer_nobody_is_let_in(void **state)
{
    static const int codes[] = {-EHOSTUNREACH, -ETIMEDOUT, -EACCES, -EAGAIN, -EPROTO};
    struct asker a;
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        ask(*state, &a, "secret");
        reply_error(n++, codes[i]);
        assert_int_equal(a.verdict, WHO_BUSY);
    }
    ask(*state, &a, "secret");
    reply(n++, "{'kind':'TokenReview','status':{'authenticated':'yes'}}");
    assert_int_equal(a.verdict, WHO_BUSY);
    ask(*state, &a, "secret");
    reply(n++, ALLOWED);
    assert_int_equal(a.verdict, WHO_BUSY);
    world.refuse = -EBUSY;
    ask(*state, &a, "secret");
    assert_int_equal(a.heard, 1);
    assert_int_equal(a.verdict, WHO_BUSY);
    world.refuse = 0;
    ask(*state, &a, "secret");
    reply(n++, TELLER);
    assert_int_equal(a.verdict, WHO_YES);
    assert_int_equal(world.asked, n);
}

static void what_somebody_may_is_remembered_for_him_and_for_that(void **state)
{
    const struct op_caller jane = {.user = STR("jane"), .groups = STR("[\"a\"]")},
                           june = {.user = STR("june"), .groups = STR("[\"a\"]")},
                           boss = {.user = STR("jane"), .groups = STR("[\"b\"]")},
                           glued = {.user = STR("jane[\"a\"]")};
    struct asker a;

    may(*state, &a, &jane, "bank");
    assert_string_equal(world.calls[0].path, KUBE_ACCESS_REVIEWS);
    assert_non_null(strstr(world.calls[0].body, "\"user\":\"jane\",\"groups\":[\"a\"]"));
    reply(0, ALLOWED);
    assert_int_equal(a.verdict, WHO_YES);
    may(*state, &a, &jane, "bank");
    assert_int_equal(a.verdict, WHO_YES);
    assert_int_equal(world.asked, 1);
    may(*state, &a, &jane, "shop");
    reply(1, DENIED);
    assert_int_equal(a.verdict, WHO_NO);
    may(*state, &a, &june, "bank");
    may(*state, &a, &boss, "bank");
    may(*state, &a, &glued, "bank");
    assert_int_equal(world.asked, 5);
    for (unsigned i = 2; i < 5; i++)
        reply(i, DENIED);
    may(*state, &a, &jane, "bank");
    assert_int_equal(a.verdict, WHO_YES);
    seconds(WHO_ACCESS_S);
    may(*state, &a, &jane, "bank"); /* the role may have been taken away */
    assert_int_equal(world.asked, 6);
    reply(5, DENIED);
    assert_int_equal(a.verdict, WHO_NO);
}

/* A flood of tokens: a bounded number of questions, and who is known already is not held up. */
static void a_flood_of_tokens_is_bounded(void **state)
{
    static struct asker a[WHO_OUT + 50];
    static struct asker known;
    char token[32];
    int busy = 0;

    ask(*state, &known, "secret");
    reply(0, TELLER);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        (void)snprintf(token, sizeof(token), "guess-%u", i);
        ask(*state, &a[i], token);
        busy += a[i].heard == 1 && a[i].verdict == WHO_BUSY;
    }
    assert_int_equal(world.asked, 1 + WHO_OUT);
    assert_int_equal(busy, 50);
    ask(*state, &known, "secret");
    assert_int_equal(known.verdict, WHO_YES);
    for (unsigned i = 0; i < WHO_OUT; i++)
        reply(1 + i, NOBODY);
    ask(*state, &known, "another");
    assert_int_equal(world.asked, 2 + WHO_OUT);
    reply(1 + WHO_OUT, TELLER);
    assert_int_equal(known.verdict, WHO_YES);
}

/* From one address, or from some: who comes from another one has a place, and the youngest question
 * of the crowd is dropped for it. */
static void a_flood_holds_up_nobody_from_elsewhere(void **state)
{
    static struct asker a[WHO_OUT];
    static struct asker own, other, third, fourth;
    char token[32];

    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        (void)snprintf(token, sizeof(token), "guess-%u", i);
        ask_from(*state, &a[i], token, i < 100 ? 1 : 2); /* 100 of one, 28 of another */
    }
    ask_from(*state, &own, "guess-more", 1);
    assert_true(own.heard == 1 && own.verdict == WHO_BUSY);
    assert_int_equal(world.cancelled, 0);

    ask_from(*state, &other, "secret", 3);
    assert_int_equal(other.heard, 0);
    assert_int_equal(world.cancelled, 1);
    assert_true(a[99].heard == 1 && a[99].verdict == WHO_BUSY);
    assert_int_equal(a[98].heard + a[127].heard, 0);
    reply(WHO_OUT, TELLER);
    assert_true(other.verdict == WHO_YES && str_is(other.is.pod, "teller-0"));

    ask_from(*state, &third, "more", 1); /* the place that is free now is anybody's */
    assert_int_equal(third.heard, 0);
    ask_from(*state, &fourth, "still-more", 2); /* 28 of 128: less than the other's */
    assert_int_equal(fourth.heard, 0);
    assert_int_equal(world.cancelled, 2);
    who_stop(*state); /* they hear while they are there */
}

/* As many addresses as places, a question each: nobody has more than his share. */
static void nobody_loses_a_place_to_one_who_has_as_many(void **state)
{
    static struct asker a[WHO_OUT];
    static struct asker other;
    char token[32];

    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        (void)snprintf(token, sizeof(token), "t-%u", i);
        ask_from(*state, &a[i], token, (unsigned char)i);
    }
    ask_from(*state, &other, "other", 200);
    assert_true(other.heard == 1 && other.verdict == WHO_BUSY);
    assert_int_equal(world.cancelled, 0);
}

/* Tens of thousands of guesses, each answered with a no: who is known stays known. */
static void a_no_makes_nobody_forgotten(void **state)
{
    static struct asker known, a;
    char token[32];

    ask(*state, &known, "secret");
    reply(0, TELLER);
    for (int i = 0; i < 40000; i++) {
        world.asked = 1;
        (void)snprintf(token, sizeof(token), "guess-%d", i);
        ask_from(*state, &a, token, 2);
        assert_int_equal(a.heard, 0);
        reply(1, NOBODY);
    }
    world.asked = 1;
    ask(*state, &known, "secret");
    assert_true(known.heard == 1 && known.verdict == WHO_YES);
    assert_int_equal(world.asked, 1);
}

/* Many more tokens than there are places: the table does not grow, and answers stay right. */
static void old_answers_make_room_for_new_ones(void **state)
{
    char token[32];

    for (int i = 0; i < 20000; i++) {
        struct asker a;

        world.asked = 0;
        (void)snprintf(token, sizeof(token), "t-%d", i % 15000);
        ask(*state, &a, token);
        if (a.heard == 0)
            reply(0, i % 15000 % 2 ? TELLER : NOBODY);
        assert_int_equal(a.verdict, i % 15000 % 2 ? WHO_YES : WHO_NO);
    }
}

static void a_caller_with_too_many_groups_is_not_kept(void **state)
{
    static char json[40000], body[40100];
    struct asker a;
    size_t n = (size_t)snprintf(json, sizeof(json),
                                "{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,"
                                "\"audiences\":[\"numawise\"],\"user\":{\"username\":\"u\","
                                "\"groups\":[\"g\"");

    while (n < 30000)
        n += (size_t)snprintf(json + n, sizeof(json) - n, ",\"some-group\"");
    (void)snprintf(json + n, sizeof(json) - n, "]}}}");
    ask(*state, &a, "secret");
    (void)snprintf(body, sizeof(body), "%s", json);
    const struct kube_answer answer = {.status = 201, .body = {body, strlen(json)}};
    world.calls[0].done(world.calls[0].ctx, &answer);
    assert_int_equal(a.verdict, WHO_BUSY);
}

static void a_full_arena_is_no_yes(void **state)
{
    struct asker a;

    ask(*state, &a, "secret");
    reply(0, TELLER);
    for (size_t room = 0; room < 200; room++) {
        begin(&a);
        (void)snprintf(a.token, sizeof(a.token), "secret");
        arena_init(&a.arena, a.room, room);
        ask_so(*state, &a, 1);
        assert_int_equal(a.heard, 1);
        assert_true(a.verdict == WHO_BUSY ? a.is.user.n == 0 : str_is(a.is.pod, "teller-0"));
    }
    begin(&a);
    (void)snprintf(a.token, sizeof(a.token), "new");
    arena_init(&a.arena, a.room, 8);
    ask_so(*state, &a, 1);
    assert_true(a.heard == 1 && a.verdict == WHO_BUSY);
    assert_int_equal(world.asked, 1);
}

static void at_the_end_everybody_hears(void **state)
{
    struct asker a, b, c;

    ask(*state, &a, "secret");
    ask(*state, &b, "secret");
    ask(*state, &c, "other");
    who_stop(*state);
    assert_int_equal(world.cancelled, 2);
    assert_true(a.heard == 1 && b.heard == 1 && c.heard == 1);
    assert_true(a.verdict == WHO_BUSY && b.verdict == WHO_BUSY && c.verdict == WHO_BUSY);
    ask(*state, &a, "secret");
    assert_true(a.heard == 1 && a.verdict == WHO_BUSY);
    assert_int_equal(world.asked, 2);
}

/* --- without asking --- */

static void the_header_is_read_strictly(void **state)
{
    static const struct {
        const char *header, *token;
    } cases[] = {
        {"Bearer abc", "abc"},  {"bearer  a.b-c_d~e+f/g== ", "a.b-c_d~e+f/g=="},
        {"BEARER x", "x"},      {"Bearer", NULL},
        {"Bearer ", NULL},      {"Basic abc", NULL},
        {"Bearerabc", NULL},    {"Bearer a b", NULL},
        {"Bearer a,b", NULL},   {"Bearer a\"b", NULL},
        {"Bearer a\x80", NULL}, {"", NULL},
        {"Bearer\tabc", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str token = {0};
        const bool is = who_bearer(str_of(cases[i].header), &token);

        assert_int_equal(is, cases[i].token != NULL);
        assert_true(!is || str_is(token, cases[i].token));
    }
}

static void a_certificate_names_a_user_and_groups(void **state)
{
    static const struct str orgs[] = {{"dev", 3}, {"a\"b", 3}};
    const struct http_client client = {
        .common_name = STR("jane"), .organizations = orgs, .n_organizations = 2};
    const struct http_client account = {.common_name = STR("system:serviceaccount:bank:teller")};
    const struct http_client nobody = {.organizations = orgs, .n_organizations = 2};
    struct asker a = {.heard = 0};

    begin(&a);
    arena_init(&a.arena, a.room, ROOM);
    assert_true(who_certificate(&a.is, &client, &a.arena));
    assert_true(str_is(a.is.user, "jane"));
    assert_true(str_is(a.is.groups, "[\"dev\",\"a\\\"b\",\"system:authenticated\"]"));
    /* Only a token speaks for a namespace by itself. */
    assert_true(who_certificate(&a.is, &account, &a.arena));
    assert_int_equal(a.is.ns.n, 0);
    a.is = (struct op_caller){.everybody = false};
    assert_true(who_certificate(&a.is, &nobody, &a.arena));
    assert_int_equal(a.is.user.n + a.is.groups.n, 0);
    arena_init(&a.arena, a.room, 4);
    assert_false(who_certificate(&a.is, &client, &a.arena));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_token_is_asked_about_once_a_minute),
        T(a_no_is_remembered_shorter),
        T(those_with_the_same_token_wait_for_one_answer),
        T(without_an_answer_nobody_is_let_in),
        T(what_somebody_may_is_remembered_for_him_and_for_that),
        T(a_flood_of_tokens_is_bounded),
        T(a_flood_holds_up_nobody_from_elsewhere),
        T(nobody_loses_a_place_to_one_who_has_as_many),
        T(a_no_makes_nobody_forgotten),
        T(old_answers_make_room_for_new_ones),
        T(a_caller_with_too_many_groups_is_not_kept),
        T(a_full_arena_is_no_yes),
        T(at_the_end_everybody_hears),
        cmocka_unit_test(the_header_is_read_strictly),
        cmocka_unit_test(a_certificate_names_a_user_and_groups),
    };
#undef T

    return cmocka_run_group_tests_name("who", tests, NULL, NULL);
}
