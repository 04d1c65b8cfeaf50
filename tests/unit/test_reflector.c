/* SPDX-License-Identifier: Apache-2.0 */
/* The reflector, driven by hand: what it asks, when, and what it tells of what comes. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/api.h"
#include "kube/reflector.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

/* All at second 1000 at first. What the sink was told, in one line. */
struct bench {
    struct kube_reflector r;
    struct buf told;
    uint64_t now;
    struct kube_reflector_ask ask;
    int upsert_rc;
};

static void on_begin(void *ctx, bool again)
{
    buf_text(&((struct bench *)ctx)->told, again ? "again( " : "( ");
}

static int on_upsert(void *ctx, const struct kube_name *name, struct str object)
{
    struct bench *const b = ctx;

    if (b->upsert_rc == 0)
        buf_printf(&b->told, "+%.*s@%.*s ", STR_ARG(name->name), STR_ARG(name->version));
    return b->upsert_rc;
}

static void on_remove(void *ctx, const struct kube_name *name)
{
    buf_printf(&((struct bench *)ctx)->told, "-%.*s@%.*s ", STR_ARG(name->name),
               STR_ARG(name->version));
}

static void on_end(void *ctx)
{
    buf_text(&((struct bench *)ctx)->told, ") ");
}

static void on_odd(void *ctx, const struct kube_name *name, const char *why)
{
    buf_text(&((struct bench *)ctx)->told, "? ");
}

static int setup(void **state)
{
    struct bench *const b = calloc(1, sizeof(*b));
    const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, b};

    kube_reflector_init(&b->r, "/api/v1/pods", &sink, 7);
    b->now = 1000 * S;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    kube_reflector_done(&b->r);
    buf_free(&b->told);
    free(b);
    return 0;
}

/* It asks now, and for this; of a watch without its own time. */
static void assert_asks(struct bench *b, const char *want)
{
    uint64_t due = 0;
    char path[512];

    if (!kube_reflector_next(&b->r, b->now, &b->ask, &due))
        fail_msg("asks nothing before %llu ms from now, not %s",
                 (unsigned long long)((due - b->now) / MS), want);
    (void)snprintf(path, sizeof(path), "%s", b->ask.path);
    char *const own = strstr(path, "&timeoutSeconds=");
    if (own)
        *own = 0;
    assert_string_equal(path, want);
    assert_false(kube_reflector_next(&b->r, b->now, &b->ask, &due)); /* one at a time */
    assert_true(due == UINT64_MAX);
}

/* It waits, between `least` and `most`; then the clock stands there. */
static void assert_waits(struct bench *b, uint64_t least_ms, uint64_t most_ms)
{
    uint64_t due = 0;

    assert_false(kube_reflector_next(&b->r, b->now, &b->ask, &due));
    if (due < b->now + least_ms * MS || due > b->now + most_ms * MS)
        fail_msg("waits %llu ms", (unsigned long long)((due - b->now) / MS));
    b->now = due;
}

/* Text with ' for ". */
static int data(struct bench *b, const char *quoted)
{
    char *const text = strdup(quoted);
    const size_t n = strlen(text);

    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    kube_reflector_started(&b->r, b->now);
    const int rc = kube_reflector_data(&b->r, b->now, text, n);
    free(text);
    return rc;
}

static void answered(struct bench *b, int status, int code, const char *text)
{
    struct kube_answer a = {
        .status = status, .retry_after_ms = -1, .details = {.retry_after_s = -1}};

    if (code)
        (void)err_set(&a.err, code, "%s", text);
    kube_reflector_answered(&b->r, b->now, &a);
}

static void success(struct bench *b)
{
    answered(b, 200, 0, "");
}

static void lost(struct bench *b)
{
    answered(b, 0, -EHOSTUNREACH, "no connection");
}

static void refused(struct bench *b, int status, const char *cause, int64_t retry_ms)
{
    struct kube_answer a = {.status = status, .retry_after_ms = retry_ms};

    (void)snprintf(a.details.cause, sizeof(a.details.cause), "%s", cause);
    (void)err_set(&a.err, -EAGAIN, "refused with %d", status);
    kube_reflector_answered(&b->r, b->now, &a);
}

/* An answer that the reflector itself ends. */
static void spoiled(struct bench *b, const char *quoted)
{
    const int rc = data(b, quoted);

    assert_int_not_equal(rc, 0);
    answered(b, 0, rc, "ended by its receiver");
}

static void assert_told(struct bench *b, const char *want)
{
    assert_string_equal(b->told.n ? b->told.p : "", want);
    b->told.n = 0;
}

#define POD(name, version)                                                                         \
    "{'metadata':{'name':'" name "','namespace':'a','resourceVersion':'" version "'}}"
#define LIST(version, more, items)                                                                 \
    "{'kind':'PodList','metadata':{'resourceVersion':'" version "'" more "},'items':[" items "]}"
#define LATE_LIST(version, items) /* as of a CustomResourceDefinition */                           \
    "{'items':[" items "],'kind':'XList','metadata':{'resourceVersion':'" version "'}}"
#define EVENT(type, name, version) "{'type':'" type "','object':" POD(name, version) "}\n"
#define BOOKMARK(version)                                                                          \
    "{'type':'BOOKMARK','object':{'kind':'Pod','metadata':{'resourceVersion':'" version "'}}}\n"
#define WATCH(version) "/api/v1/pods?watch=1&resourceVersion=" version "&allowWatchBookmarks=true"
#define SINCE(version)                                                                             \
    "/api/v1/pods?limit=500&resourceVersion=" version "&resourceVersionMatch=NotOlderThan"
#define LATEST "/api/v1/pods?limit=500"

/* Listed at 10, with a@3, and a watch is out. */
static void be_watching(struct bench *b)
{
    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("10", "", POD("a", "3"))), 0);
    success(b);
    assert_asks(b, WATCH("10"));
    b->told.n = 0;
}

/* --- the plain way --- */

static void first_a_list_and_then_a_watch_from_there(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_false(b->r.state.synced);
    assert_int_equal(data(b, LIST("10", "", POD("a", "3") "," POD("b", "9"))), 0);
    assert_false(b->r.state.synced);
    success(b);
    assert_told(b, "( +a@3 +b@9 ) ");
    assert_true(b->r.state.synced);
    assert_asks(b, WATCH("10"));
    assert_int_equal(data(b, EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "14")), 0);
    assert_int_equal(data(b, EVENT("DELETED", "b", "15") BOOKMARK("20")), 0);
    assert_told(b, "+c@11 +a@14 -b@15 ");
    b->now += 300 * S;
    success(b); /* the server ends it, as it always does */
    assert_asks(b, WATCH("20"));
    assert_told(b, "");
    assert_int_equal(b->r.state.lists, 1);
    assert_int_equal(b->r.state.watches, 2);
    assert_int_equal(b->r.state.events, 3);
    assert_int_equal(b->r.state.bookmarks, 1);
    assert_int_equal(b->r.state.failures, 0);
}

/* The agent follows the pods of its own node only. */
static void a_selector_of_the_collection_stays_with_every_question(void **state)
{
#define OWN "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1"
    struct bench *const b = *state;

    b->r.collection = OWN;
    assert_asks(b, OWN "&limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("10", ",'continue':'x'", POD("a", "3"))), 0);
    success(b);
    assert_asks(b, OWN "&limit=500&continue=x");
    assert_int_equal(data(b, LIST("10", "", POD("b", "4"))), 0);
    success(b);
    assert_asks(b, OWN "&watch=1&resourceVersion=10&allowWatchBookmarks=true");
#undef OWN
}

static void lists_come_page_by_page(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("10", ",'continue':'a+/=b'", POD("a", "3"))), 0);
    success(b);
    assert_told(b, "( +a@3 ");
    assert_asks(b, "/api/v1/pods?limit=500&continue=a%2B%2F%3Db");
    assert_int_equal(data(b, LIST("10", ",'continue':'c'", "")), 0); /* a page may be empty */
    success(b);
    assert_asks(b, "/api/v1/pods?limit=500&continue=c");
    assert_false(b->r.state.synced);
    assert_int_equal(data(b, LIST("10", "", POD("b", "4"))), 0);
    success(b);
    assert_told(b, "+b@4 ) ");
    assert_asks(b, WATCH("10"));
}

static void the_watch_has_a_time_of_its_own_and_a_limit_beyond_it(void **state)
{
    struct bench *const b = *state;
    unsigned least = 1000, most = 0;

    be_watching(b);
    for (int i = 0; i < 300; i++) {
        const unsigned seconds = (unsigned)atoi(strstr(b->ask.path, "timeoutSeconds=") + 15);

        least = seconds < least ? seconds : least;
        most = seconds > most ? seconds : most;
        assert_int_equal(b->ask.timeout_ms, (seconds + 30) * 1000);
        b->now += seconds * S;
        success(b);
        assert_asks(b, WATCH("10"));
    }
    assert_in_range(least, 300, 310);
    assert_in_range(most, 590, 600);
}

static void opaque_versions_are_handed_back_as_they_came(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("v:9", "", POD("a", "v:8"))), 0);
    success(b);
    assert_asks(b, WATCH("v%3A9"));
    assert_int_equal(data(b, EVENT("MODIFIED", "a", "v:10") EVENT("MODIFIED", "a", "v:2")), 0);
    assert_told(b, "( +a@v:8 ) +a@v:10 +a@v:2 "); /* nothing can be compared */
    lost(b);
    assert_waits(b, 800, 1600);
    assert_asks(b, WATCH("v%3A2"));
}

/* --- losing the connection --- */

static void a_lost_watch_goes_on_where_it_was(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, EVENT("ADDED", "c", "11") "{'type':'ADDED','object':{'meta"), 0);
    lost(b); /* in the middle of an event */
    assert_told(b, "+c@11 ");
    assert_waits(b, 800, 1600);
    assert_asks(b, WATCH("11"));
    assert_int_equal(data(b, EVENT("ADDED", "d", "12")), 0);
    assert_told(b, "+d@12 ");
    assert_int_equal(b->r.state.lists, 1);
}

static void waiting_doubles_up_to_half_a_minute_and_begins_anew_when_all_is_well(void **state)
{
    static const uint64_t waits[] = {800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
    struct bench *const b = *state;

    be_watching(b);
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        lost(b);
        assert_waits(b, waits[i], 2 * waits[i]);
        assert_asks(b, WATCH("10"));
    }
    b->now += 119 * S;
    lost(b); /* not for long enough */
    assert_waits(b, 30000, 60000);
    assert_asks(b, WATCH("10"));
    b->now += 120 * S;
    lost(b);
    assert_waits(b, 800, 1600);
    assert_int_equal(b->r.state.trouble, KUBE_REFLECT_UNREACHABLE);
    assert_string_equal(b->r.last.text, "no connection");
    assert_asks(b, WATCH("10"));
    assert_int_equal(data(b, BOOKMARK("11")), 0);
    assert_int_equal(b->r.state.trouble, KUBE_REFLECT_FINE);
    assert_string_equal(b->r.last.text, "");
}

static void no_two_reflectors_wait_alike(void **state)
{
    struct bench *const b = *state;
    uint64_t first = 0;
    bool differ = false;

    for (uint64_t seed = 1; seed < 9; seed++) {
        struct kube_reflector r;
        struct kube_reflector_ask ask;
        const struct kube_answer a = {.err = {.code = -EHOSTUNREACH}, .retry_after_ms = -1};
        uint64_t due;

        kube_reflector_init(&r, "/x", &b->r.sink, seed);
        assert_true(kube_reflector_next(&r, S, &ask, &due));
        kube_reflector_answered(&r, S, &a);
        assert_false(kube_reflector_next(&r, S, &ask, &due));
        differ = differ || (first && first != due);
        first = due;
        kube_reflector_done(&r);
    }
    assert_true(differ);
}

static void a_watch_that_ends_at_once_is_a_failure(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    for (int i = 0; i < 2; i++) {
        b->now += 999 * MS;
        success(b);
        assert_waits(b, 800, 4000);
        assert_asks(b, WATCH("10"));
    }
    success(b); /* perhaps the version is what it does not like */
    assert_waits(b, 3200, 6400);
    assert_asks(b, SINCE("10"));
    assert_int_equal(b->r.state.short_watches, 3);
}

static void one_that_said_something_first_only_waits_out_its_second(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, BOOKMARK("11")), 0);
    b->now += 400 * MS;
    success(b);
    assert_waits(b, 600, 600);
    assert_asks(b, WATCH("11"));
    assert_int_equal(b->r.state.failures, 0);
}

static void a_silent_watch_is_asked_for_anew(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(b->ask.idle_ms, 90000);
    kube_reflector_started(&b->r, b->now);
    b->now += 90 * S;
    answered(b, 0, -ETIMEDOUT, "no answer in time");
    assert_asks(b, WATCH("10"));
    b->now += 90 * S; /* but one that never began is lost */
    answered(b, 0, -ETIMEDOUT, "no answer in time");
    assert_waits(b, 800, 1600);
}

/* --- what the server says --- */

static void a_version_too_old_to_watch_from_means_a_list_since_then(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, EVENT("ADDED", "c", "11")), 0);
    refused(b, 410, "", -1);
    assert_waits(b, 800, 1600);
    assert_asks(b, SINCE("11"));
    assert_int_equal(data(b, LIST("50", "", POD("c", "40"))), 0);
    success(b);
    assert_told(b, "+c@11 ( +c@40 ) "); /* so that a is gone */
    assert_asks(b, WATCH("50"));
    assert_int_equal(b->r.state.expired, 1);
    assert_int_equal(b->r.state.trouble, KUBE_REFLECT_FINE);
}

static void and_at_once_where_the_last_list_is_some_time_ago(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    b->now += 9 * S;
    assert_int_equal(data(b, EVENT("ADDED", "c", "11")), 0);
    b->now += 1 * S;
    refused(b, 410, "", -1);
    assert_asks(b, SINCE("11"));
    assert_int_equal(data(b, LIST("12", "", "")), 0);
    success(b);
    assert_asks(b, WATCH("12"));
    refused(b, 410, "", -1); /* no list after the other */
    assert_waits(b, 800, 1600);
    assert_asks(b, SINCE("12"));
}

static void the_same_as_an_event(void **state)
{
    static const char *const events[] = {
        "{'type':'ERROR','object':{'kind':'Status','code':410,'reason':'Expired'}}\n",
        "{'type':'ERROR','object':{'kind':'Status','reason':'Gone'}}\n",
        "{'type':'ERROR','object':{'kind':'Status','code':410}}\n",
    };
    struct bench *const b = *state;

    be_watching(b);
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        assert_int_equal(data(b, BOOKMARK("11")), 0);
        spoiled(b, events[i]);
        assert_waits(b, 800, 12800);
        assert_asks(b, SINCE("11"));
        assert_int_equal(data(b, LIST("11", "", "")), 0);
        success(b);
        assert_asks(b, WATCH("11"));
    }
    assert_int_equal(b->r.state.expired, 3);
}

static void a_list_that_expires_on_the_way_begins_anew(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(data(b, LIST("10", ",'continue':'c'", POD("a", "3"))), 0);
        success(b);
        assert_asks(b, "/api/v1/pods?limit=500&continue=c");
        refused(b, 410, "", -1);
        assert_told(b, "( +a@3 ");
        if (i == 2)
            assert_waits(b, 800, 1600);
        assert_asks(b, i < 2 ? LATEST : "/api/v1/pods"); /* in one piece, as pages grow old */
    }
    assert_int_equal(data(b, LIST("10", "", POD("a", "3"))), 0);
    success(b);
    assert_told(b, "( +a@3 ) ");
    assert_asks(b, WATCH("10"));
}

static void a_list_as_of_a_version_that_is_gone_is_had_as_of_now(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    refused(b, 410, "", -1);
    assert_waits(b, 800, 1600);
    assert_asks(b, SINCE("10"));
    refused(b, 410, "", -1);
    assert_asks(b, LATEST); /* at once */
    refused(b, 410, "", -1);
    assert_waits(b, 1600, 3200); /* there is nothing below that */
    assert_asks(b, LATEST);
}

static void a_server_that_lags_behind_is_asked_for_the_latest(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    refused(b, 410, "", -1);
    assert_waits(b, 800, 1600);
    assert_asks(b, SINCE("10"));
    refused(b, 504, "ResourceVersionTooLarge", 1000);
    assert_asks(b, LATEST);
    assert_int_equal(data(b, LIST("12", "", "")), 0);
    success(b);
    assert_asks(b, WATCH("12"));
    /* A watch it only makes wait, up to a point. */
    for (int i = 0; i < 2; i++) {
        refused(b, 504, "ResourceVersionTooLarge", 1000);
        assert_waits(b, 1600, 12800);
        assert_asks(b, WATCH("12"));
    }
    refused(b, 504, "ResourceVersionTooLarge", 1000);
    assert_waits(b, 6400, 12800);
    assert_asks(b, LATEST);
}

static void a_server_that_is_busy_is_obeyed_and_no_list_follows(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    refused(b, 429, "", 7000);
    assert_waits(b, 7000, 7000);
    assert_asks(b, WATCH("10"));
    refused(b, 503, "", -1);
    assert_waits(b, 1600, 3200);
    assert_asks(b, WATCH("10"));
    refused(b, 429, "", 100); /* our own wait is longer */
    assert_waits(b, 3200, 6400);
    assert_asks(b, WATCH("10"));
    refused(b, 503, "", 3600000); /* and some things are not obeyed */
    assert_waits(b, 120000, 120000);
    assert_asks(b, WATCH("10"));
    assert_int_equal(b->r.state.lists, 1);
}

static void an_error_within_the_watch_is_waited_out_and_then_cured_by_a_list(void **state)
{
    static const char event[] = "{'type':'ERROR','object':{'kind':'Status','code':500,'message':"
                                "'etcd','details':{'retryAfterSeconds':9}}}\n";
    struct bench *const b = *state;

    be_watching(b);
    for (int i = 0; i < 2; i++) {
        spoiled(b, event);
        assert_waits(b, 9000, 9000);
        assert_asks(b, WATCH("10"));
    }
    assert_string_equal(b->r.last.text, "/api/v1/pods: the watch ended with an error: 500 etcd");
    spoiled(b, event);
    assert_waits(b, 9000, 9000);
    assert_asks(b, SINCE("10"));
}

static void being_forbidden_is_told_and_tried_again(void **state)
{
    struct bench *const b = *state;
    uint64_t begun = b->now;
    unsigned asked = 1;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    while (b->now - begun < 600 * S) {
        refused(b, 403, "", -1);
        assert_int_equal(b->r.state.trouble, KUBE_REFLECT_FORBIDDEN);
        assert_waits(b, 800, 60000);
        assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
        asked++;
    }
    assert_true(asked <= 600 / 4); /* 0.25 a second at most; it is far less */
    assert_false(b->r.state.synced);
    assert_int_equal(data(b, LIST("10", "", "")), 0);
    success(b);
    assert_int_equal(b->r.state.trouble, KUBE_REFLECT_FINE);
    refused((assert_asks(b, WATCH("10")), b), 404, "", -1);
    assert_int_equal(b->r.state.trouble, KUBE_REFLECT_ABSENT);
    assert_true(b->r.state.synced);
}

static void what_is_no_list_is_tried_again_page_by_page_and_then_whole(void **state)
{
    static const char *const bad[] = {
        "<html>", "{'metadata':{'resourceVersion':'10'},'items':[{}", "{'items':[]}", "[]",
        "{}",     "{'metadata':{'resourceVersion':'10'},'items':["};
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("10", ",'continue':'c'", POD("a", "3"))), 0);
    success(b);
    for (size_t i = 0; i < 2; i++) {
        assert_asks(b, "/api/v1/pods?limit=500&continue=c");
        if (data(b, bad[i]))
            answered(b, 0, -EPROTO, "");
        else
            success(b);
        assert_waits(b, 800, 6400);
    }
    assert_asks(b, "/api/v1/pods?limit=500&continue=c");
    success(b); /* nothing at all */
    assert_waits(b, 3200, 6400);
    assert_asks(b, LATEST);
    for (size_t i = 2; i < ARRAY_LEN(bad); i++) {
        if (data(b, bad[i]))
            answered(b, 0, -EPROTO, "");
        else
            success(b);
        assert_waits(b, 800, 60000);
        assert_asks(b, LATEST);
    }
    assert_false(b->r.state.synced);
    assert_string_equal(b->r.last.text, "/api/v1/pods: an answer that is no list or watch");
}

/* What went between the tries must not be taken for something that is still there. */
static void a_first_page_that_is_tried_again_marks_again(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, "{'metadata':{'resourceVersion':'10'},'items':[" POD("a", "3")), 0);
    lost(b);
    assert_told(b, "( +a@3 ");
    assert_waits(b, 800, 1600);
    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("12", "", POD("b", "11"))), 0);
    success(b);
    assert_told(b, "( +b@11 ) ");
}

static void pages_of_two_lists_are_not_mixed(void **state)
{
    struct bench *const b = *state;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    assert_int_equal(data(b, LIST("10", ",'continue':'c'", POD("a", "3"))), 0);
    success(b);
    assert_asks(b, "/api/v1/pods?limit=500&continue=c");
    spoiled(b, LIST("11", "", POD("b", "11")));
    assert_told(b, "( +a@3 ");
    assert_false(b->r.state.synced);
}

/* --- order --- */

static void what_is_known_is_not_told_twice(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, EVENT("ADDED", "c", "11") EVENT("ADDED", "c", "11")), 0);
    assert_int_equal(data(b, EVENT("DELETED", "c", "12") EVENT("DELETED", "c", "12")), 0);
    assert_told(b, "+c@11 -c@12 ");
    assert_int_equal(b->r.state.repeated, 2);
}

static void an_older_event_ends_the_watch_and_a_list_decides(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, EVENT("ADDED", "c", "15")), 0);
    spoiled(b, EVENT("MODIFIED", "a", "12"));
    assert_told(b, "+c@15 ");
    assert_waits(b, 800, 1600);
    assert_asks(b, LATEST);
    assert_int_equal(data(b, LIST("16", "", POD("a", "3") "," POD("c", "15"))), 0);
    success(b);
    assert_told(b, "( +a@3 +c@15 ) "); /* it was nothing */
    assert_int_equal(b->r.state.rewound, 0);
}

/* A watch from a version that is still to come is silent; only bookmarks give it away. */
static void a_server_that_went_back_is_followed_and_it_is_told(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    spoiled(b, BOOKMARK("7"));
    assert_waits(b, 800, 1600);
    assert_asks(b, LATEST);
    assert_int_equal(data(b, LIST("8", "", POD("a", "2"))), 0);
    success(b);
    assert_told(b, "( again( +a@2 ) ");
    assert_int_equal(b->r.state.rewound, 1);
    assert_asks(b, WATCH("8"));
    assert_int_equal(data(b, EVENT("MODIFIED", "a", "9")), 0);
    assert_told(b, "+a@9 ");
}

/* The version stands behind the items, which were then taken for old ones: once more. */
static void also_where_the_list_says_its_version_last(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    spoiled(b, BOOKMARK("7"));
    assert_waits(b, 800, 1600);
    assert_asks(b, LATEST);
    spoiled(b, LATE_LIST("8", POD("a", "2")));
    assert_told(b, "( +a@2 ");
    assert_asks(b, LATEST);
    assert_int_equal(data(b, LATE_LIST("8", POD("a", "2"))), 0);
    success(b);
    assert_told(b, "again( +a@2 ) ");
    assert_int_equal(b->r.state.rewound, 1);
    assert_asks(b, WATCH("8"));
}

static void a_list_older_than_what_is_known_is_not_believed_at_once(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(data(b, EVENT("ADDED", "c", "15")), 0);
    refused(b, 410, "", -1);
    assert_waits(b, 800, 1600);
    assert_asks(b, SINCE("15"));
    b->told.n = 0;
    spoiled(b, LIST("12", "", POD("a", "3"))); /* from another server, that lags */
    assert_told(b, "");
    assert_asks(b, LATEST);
    assert_int_equal(data(b, LIST("15", "", POD("c", "15"))), 0);
    success(b);
    assert_told(b, "( +c@15 ) ");
    assert_int_equal(b->r.state.rewound, 0);
}

/* --- the rest --- */

static void odd_objects_are_left_out_and_the_rest_goes_on(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    assert_int_equal(
        data(b, "{'type':'ADDED','object':{'spec':{}}}\n"
                "{'type':'ADDED','object':{'metadata':{'name':'x'}}}\n"
                "{'type':'NEW','object':{'metadata':{'name':'y'}}}\n" EVENT("ADDED", "c", "11")),
        0);
    assert_told(b, "? ? +c@11 ");
    assert_int_equal(b->r.state.left_out, 2);
    spoiled(b, "{'type':'ADDED'}\n");
    assert_waits(b, 800, 1600);
    assert_asks(b, WATCH("11"));
}

static void what_could_not_be_kept_comes_again(void **state)
{
    struct bench *const b = *state;

    be_watching(b);
    b->upsert_rc = -ENOMEM;
    spoiled(b, EVENT("ADDED", "c", "11"));
    assert_waits(b, 800, 1600);
    assert_asks(b, WATCH("10"));
    b->upsert_rc = 0;
    assert_int_equal(data(b, EVENT("ADDED", "c", "11")), 0);
    assert_told(b, "+c@11 ");
    refused(b, 410, "", -1);
    assert_waits(b, 1600, 3200);
    assert_asks(b, SINCE("11"));
    b->upsert_rc = -ENOMEM;
    spoiled(b, LIST("12", "", POD("c", "11")));
    assert_waits(b, 3200, 6400);
    assert_asks(b, SINCE("11"));
}

static void it_says_when_it_was_last_current(void **state)
{
    struct bench *const b = *state;
    const uint64_t asked = b->now;

    assert_asks(b, "/api/v1/pods?limit=500&resourceVersion=0");
    b->now += 3 * S;
    assert_int_equal(data(b, LIST("10", "", "")), 0);
    success(b);
    assert_true(b->r.state.current_ns == asked); /* the list is as of then */
    assert_asks(b, WATCH("10"));
    b->now += 60 * S;
    assert_int_equal(data(b, BOOKMARK("10")), 0);
    assert_true(b->r.state.current_ns == b->now);
    const uint64_t heard = b->now;
    lost(b);
    assert_waits(b, 800, 1600);
    assert_true(b->r.state.current_ns == heard);
}

int main(void)
{
#define USUAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        USUAL(first_a_list_and_then_a_watch_from_there),
        USUAL(a_selector_of_the_collection_stays_with_every_question),
        USUAL(lists_come_page_by_page),
        USUAL(the_watch_has_a_time_of_its_own_and_a_limit_beyond_it),
        USUAL(opaque_versions_are_handed_back_as_they_came),
        USUAL(a_lost_watch_goes_on_where_it_was),
        USUAL(waiting_doubles_up_to_half_a_minute_and_begins_anew_when_all_is_well),
        USUAL(no_two_reflectors_wait_alike),
        USUAL(a_watch_that_ends_at_once_is_a_failure),
        USUAL(one_that_said_something_first_only_waits_out_its_second),
        USUAL(a_silent_watch_is_asked_for_anew),
        USUAL(a_version_too_old_to_watch_from_means_a_list_since_then),
        USUAL(and_at_once_where_the_last_list_is_some_time_ago),
        USUAL(the_same_as_an_event),
        USUAL(a_list_that_expires_on_the_way_begins_anew),
        USUAL(a_list_as_of_a_version_that_is_gone_is_had_as_of_now),
        USUAL(a_server_that_lags_behind_is_asked_for_the_latest),
        USUAL(a_server_that_is_busy_is_obeyed_and_no_list_follows),
        USUAL(an_error_within_the_watch_is_waited_out_and_then_cured_by_a_list),
        USUAL(being_forbidden_is_told_and_tried_again),
        USUAL(what_is_no_list_is_tried_again_page_by_page_and_then_whole),
        USUAL(a_first_page_that_is_tried_again_marks_again),
        USUAL(pages_of_two_lists_are_not_mixed),
        USUAL(what_is_known_is_not_told_twice),
        USUAL(an_older_event_ends_the_watch_and_a_list_decides),
        USUAL(a_server_that_went_back_is_followed_and_it_is_told),
        USUAL(also_where_the_list_says_its_version_last),
        USUAL(a_list_older_than_what_is_known_is_not_believed_at_once),
        USUAL(odd_objects_are_left_out_and_the_rest_goes_on),
        USUAL(what_could_not_be_kept_comes_again),
        USUAL(it_says_when_it_was_last_current),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
