/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of client-go's tools/leaderelection tests, in this machine's words. Times in seconds.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "kube/lease.h"

#define S  UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static const struct lease_times usual = {15000, 10000, 2000};
static const int64_t wall_us = 1700000000000000;

static struct lease_record record(const char *version, const char *holder, int64_t renewed_us)
{
    struct lease_record r = {
        .duration_s = 15, .transitions = 3, .acquired_us = 77, .renewed_us = renewed_us};

    (void)snprintf(r.version, sizeof(r.version), "%s", version);
    (void)snprintf(r.holder, sizeof(r.holder), "%s", holder);
    return r;
}

static void expect_step(struct lease *l, uint64_t now, enum lease_step want)
{
    struct lease_record send;
    uint64_t until;

    assert_int_equal(lease_next(l, now, wall_us, &send, &until), want);
}

static struct lease_record expect_write(struct lease *l, uint64_t now, enum lease_step want)
{
    struct lease_record send = {0};
    uint64_t until;

    assert_int_equal(lease_next(l, now, wall_us, &send, &until), want);
    return send;
}

static void expect_wait(struct lease *l, uint64_t now, uint64_t want_until)
{
    struct lease_record send;
    uint64_t until;

    assert_int_equal(lease_next(l, now, wall_us, &send, &until), LEASE_WAIT);
    assert_int_equal(until, want_until);
}

/* What was sent is accepted, as version `version`. */
static void accept(struct lease *l, struct lease_record sent, const char *version, uint64_t now)
{
    (void)snprintf(sent.version, sizeof(sent.version), "%s", version);
    lease_answer(l, LEASE_OK, &sent, now, 0);
}

/* Leads since `now`, with version "10". */
static struct lease leader(uint64_t now)
{
    struct lease l;

    lease_init(&l, "me", &usual);
    expect_step(&l, now, LEASE_GET);
    lease_answer(&l, LEASE_MISSING, NULL, now, 0);
    accept(&l, expect_write(&l, now, LEASE_CREATE), "10", now);
    assert_true(lease_may_act(&l, now));
    return l;
}

/* ---- acquire and renew ---- */

static void without_a_lease_one_is_created(void **state)
{
    struct lease l;

    (void)state;
    lease_init(&l, "me", &usual);
    assert_false(lease_may_act(&l, 0));
    expect_step(&l, 5 * S, LEASE_GET);
    expect_wait(&l, 5 * S, UINT64_MAX); /* one thing at a time */
    lease_answer(&l, LEASE_MISSING, NULL, 5 * S, 0);
    const struct lease_record sent = expect_write(&l, 5 * S, LEASE_CREATE);
    assert_string_equal(sent.holder, "me");
    assert_int_equal(sent.duration_s, 15);
    assert_int_equal(sent.transitions, 0);
    assert_int_equal(sent.acquired_us, wall_us);
    assert_int_equal(sent.renewed_us, wall_us);
    assert_false(lease_may_act(&l, 5 * S));
    accept(&l, sent, "1", 6 * S);
    assert_true(lease_may_act(&l, 6 * S));
    expect_wait(&l, 6 * S, 7 * S); /* a retry after it was sent */
}

static void one_that_nobody_holds_is_taken_at_once(void **state)
{
    struct lease l;
    const struct lease_record empty = record("4", "", 1);

    (void)state;
    lease_init(&l, "me", &usual);
    expect_step(&l, 0, LEASE_GET);
    lease_answer(&l, LEASE_OK, &empty, 1 * S, 0);
    const struct lease_record sent = expect_write(&l, 1 * S, LEASE_UPDATE);
    assert_string_equal(sent.version, "4");
    assert_string_equal(sent.holder, "me");
    assert_int_equal(sent.transitions, 4);
    assert_int_equal(sent.acquired_us, wall_us);
    accept(&l, sent, "5", 1 * S);
    assert_true(lease_may_act(&l, 1 * S));
}

/* A Lease without a spec: kubectl create lease. */
static void an_empty_one_is_taken(void **state)
{
    struct lease l;
    const struct lease_record empty = {.version = "1"};

    (void)state;
    lease_init(&l, "me", &usual);
    expect_step(&l, 0, LEASE_GET);
    lease_answer(&l, LEASE_OK, &empty, 0, 0);
    assert_int_equal(expect_write(&l, 0, LEASE_UPDATE).transitions, 1);
}

/* 15 s from when it was first seen here, whatever its own times say. */
static void one_that_another_holds_is_taken_when_it_has_not_changed_for_its_duration(void **state)
{
    struct lease l;
    struct lease_record r = record("4", "other", 1); /* renewed in 1970 */

    (void)state;
    lease_init(&l, "me", &usual);
    expect_step(&l, 100 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 101 * S, 0);
    expect_wait(&l, 101 * S, 103 * S);
    expect_step(&l, 103 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 103 * S, UINT32_MAX);
    expect_wait(&l, 103 * S, 107400 * MS - MS);        /* up to 2.2 times the retry */
    (void)snprintf(r.version, sizeof(r.version), "5"); /* a label was set: no sign of life */
    expect_step(&l, 115 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 116 * S - 1, 0);
    expect_step(&l, 118 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 118 * S, 0);
    const struct lease_record sent = expect_write(&l, 118 * S, LEASE_UPDATE);
    assert_string_equal(sent.version, "5");
    assert_int_equal(sent.transitions, 4);
    lease_answer(&l, LEASE_CONFLICT, NULL, 118 * S, 0); /* another was faster */
    assert_false(lease_may_act(&l, 118 * S));
    expect_wait(&l, 118 * S, 120 * S);
}

static void one_that_is_renewed_is_never_taken(void **state)
{
    struct lease l;

    (void)state;
    lease_init(&l, "me", &usual);
    for (uint64_t t = 0; t < 1000; t += 5) {
        const struct lease_record r = record("4", "other", (int64_t)t);
        expect_step(&l, t * S, LEASE_GET);
        lease_answer(&l, LEASE_OK, &r, t * S, 0);
        expect_wait(&l, t * S, (t + 2) * S);
    }
}

/* The duration that counts is the record's, not ours. */
static void the_holder_says_how_long_to_wait(void **state)
{
    struct lease l;
    struct lease_record r = record("4", "other", 1);

    (void)state;
    r.duration_s = 60;
    lease_init(&l, "me", &usual);
    expect_step(&l, 0, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 0, 0);
    expect_step(&l, 59 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 60 * S - 1, 0);
    expect_step(&l, 62 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 62 * S, 0);
    expect_step(&l, 62 * S, LEASE_UPDATE);
}

static void who_leads_renews_without_looking(void **state)
{
    struct lease l = leader(0);

    (void)state;
    for (uint64_t t = 2; t < 100; t += 2) {
        const struct lease_record sent = expect_write(&l, t * S, LEASE_UPDATE);
        assert_int_equal(sent.transitions, 0);
        assert_int_equal(sent.acquired_us, wall_us);
        accept(&l, sent, "11", t * S + MS);
        assert_true(lease_may_act(&l, t * S + MS));
    }
    assert_int_equal(l.slow_paths, 0);
}

/* The fast path fails: it looks in the same round, and writes on top of what it found. */
static void a_leader_whose_write_is_refused_looks_and_writes_again(void **state)
{
    struct lease l = leader(0);
    struct lease_record r = record("12", "me", 5);

    (void)state;
    expect_step(&l, 2 * S, LEASE_UPDATE);
    lease_answer(&l, LEASE_CONFLICT, NULL, 2 * S, 0);
    expect_step(&l, 2 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 2 * S, 0);
    const struct lease_record sent = expect_write(&l, 2 * S, LEASE_UPDATE);
    assert_string_equal(sent.version, "12");
    assert_int_equal(sent.transitions, 3);
    assert_int_equal(sent.acquired_us, 77);
    accept(&l, sent, "13", 3 * S);
    assert_true(lease_may_act(&l, 12 * S - 1)); /* 10 s from when it was sent */
    assert_false(lease_may_act(&l, 12 * S));
    assert_int_equal(l.slow_paths, 1);
}

static void a_leader_that_sees_another_leads_no_more(void **state)
{
    struct lease l = leader(0);
    const struct lease_record r = record("12", "other", 5);

    (void)state;
    expect_step(&l, 2 * S, LEASE_UPDATE);
    lease_answer(&l, LEASE_CONFLICT, NULL, 2 * S, 0);
    expect_step(&l, 2 * S, LEASE_GET);
    assert_true(lease_may_act(&l, 2 * S));
    lease_answer(&l, LEASE_OK, &r, 2 * S, 0);
    assert_false(lease_may_act(&l, 2 * S));
    expect_wait(&l, 2 * S, 4 * S);
}

static void a_leader_whose_lease_is_gone_leads_no_more_and_makes_a_new_one(void **state)
{
    struct lease l = leader(0);

    (void)state;
    expect_step(&l, 2 * S, LEASE_UPDATE);
    lease_answer(&l, LEASE_MISSING, NULL, 2 * S, 0);
    expect_step(&l, 2 * S, LEASE_GET);
    lease_answer(&l, LEASE_MISSING, NULL, 2 * S, 0);
    assert_false(lease_may_act(&l, 2 * S));
    const struct lease_record sent = expect_write(&l, 2 * S, LEASE_CREATE);
    lease_answer(&l, LEASE_CONFLICT, NULL, 2 * S, 0); /* another was faster */
    assert_false(lease_may_act(&l, 2 * S));
    (void)sent;
}

/* ---- time ---- */

/* No answer: it acts until ten seconds after the last renewal was sent, and asks on. */
static void without_renewal_it_stops_acting_at_the_deadline(void **state)
{
    struct lease l = leader(0);
    uint64_t until;
    struct lease_record send;

    (void)state;
    for (uint64_t t = 2; t < 10; t += 2) {
        const enum lease_step step = lease_next(&l, t * S, wall_us, &send, &until);
        assert_int_equal(step, t == 2 ? LEASE_UPDATE : LEASE_GET);
        lease_answer(&l, LEASE_FAILED, NULL, t * S, 0);
        if (t == 2) {
            expect_step(&l, t * S, LEASE_GET);
            lease_answer(&l, LEASE_FAILED, NULL, t * S, 0);
        }
        assert_true(lease_may_act(&l, t * S));
    }
    expect_wait(&l, 9 * S, 10 * S);
    assert_true(lease_may_act(&l, 10 * S - 1));
    assert_false(lease_may_act(&l, 10 * S));
    expect_step(&l, 10 * S, LEASE_GET);
    assert_false(l.leads);
    const struct lease_record r = record("10", "me", 5); /* nobody has taken it */
    lease_answer(&l, LEASE_OK, &r, 10 * S, 0);
    accept(&l, expect_write(&l, 10 * S, LEASE_UPDATE), "11", 10 * S);
    assert_true(lease_may_act(&l, 10 * S));
}

/* Stopped for a minute: the first thing it could do is no longer allowed. */
static void a_process_that_was_stopped_does_not_act(void **state)
{
    struct lease l = leader(0);

    (void)state;
    assert_true(lease_may_act(&l, 1 * S));
    assert_false(lease_may_act(&l, 61 * S));
    expect_step(&l, 61 * S, LEASE_UPDATE); /* somebody else's version by now */
    assert_false(l.leads);
    lease_answer(&l, LEASE_CONFLICT, NULL, 61 * S, 0);
    assert_false(lease_may_act(&l, 61 * S));
}

/* The answer was on its way while it was stopped. */
static void an_answer_that_is_too_old_allows_nothing(void **state)
{
    struct lease l = leader(0);
    const struct lease_record sent = expect_write(&l, 2 * S, LEASE_UPDATE);

    (void)state;
    accept(&l, sent, "11", 62 * S);
    assert_false(lease_may_act(&l, 62 * S));
    expect_step(&l, 62 * S, LEASE_UPDATE);
    assert_false(l.leads);
}

/* The write arrived, its answer did not: what is found is ours. */
static void a_write_without_an_answer_is_found_later(void **state)
{
    struct lease l;
    const struct lease_record r = record("1", "me", 5);

    (void)state;
    lease_init(&l, "me", &usual);
    expect_step(&l, 0, LEASE_GET);
    lease_answer(&l, LEASE_MISSING, NULL, 0, 0);
    expect_step(&l, 0, LEASE_CREATE);
    lease_answer(&l, LEASE_FAILED, NULL, 5 * S, 0);
    assert_false(lease_may_act(&l, 5 * S));
    expect_step(&l, 7 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &r, 7 * S, 0);
    assert_false(lease_may_act(&l, 7 * S)); /* not before it was written by this round */
    expect_step(&l, 7 * S, LEASE_UPDATE);
}

/* ---- release ---- */

static void a_leader_releases_and_another_need_not_wait(void **state)
{
    struct lease l = leader(0), other;
    struct lease_record held = record("10", "me", 5);

    (void)state;
    lease_release(&l, 3 * S);
    assert_false(lease_may_act(&l, 3 * S));
    expect_step(&l, 3 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &held, 3 * S, 0);
    struct lease_record sent = expect_write(&l, 3 * S, LEASE_UPDATE);
    assert_string_equal(sent.holder, "");
    assert_string_equal(sent.version, "10");
    assert_int_equal(sent.duration_s, 1);
    assert_int_equal(sent.transitions, 3);
    accept(&l, sent, "11", 3 * S);
    expect_step(&l, 3 * S, LEASE_DONE);
    (void)snprintf(sent.version, sizeof(sent.version), "11");
    lease_init(&other, "other", &usual);
    expect_step(&other, 0, LEASE_GET);
    lease_answer(&other, LEASE_OK, &sent, 0, 0);
    expect_step(&other, 0, LEASE_UPDATE);
}

static void a_release_is_tried_again_after_a_conflict(void **state)
{
    struct lease l = leader(0);
    const struct lease_record held = record("10", "me", 5);

    (void)state;
    lease_release(&l, 3 * S);
    for (int i = 0; i < 3; i++) {
        expect_step(&l, 3 * S, LEASE_GET);
        lease_answer(&l, LEASE_OK, &held, 3 * S, 0);
        expect_step(&l, 3 * S, LEASE_UPDATE);
        lease_answer(&l, LEASE_CONFLICT, NULL, 3 * S, 0);
    }
    expect_step(&l, 3 * S, LEASE_GET);
    lease_answer(&l, LEASE_FAILED, NULL, 3 * S, 0); /* four failures: others will have to wait */
    expect_step(&l, 3 * S, LEASE_DONE);
}

static void what_another_holds_is_not_released(void **state)
{
    struct lease l = leader(0), follower;
    const struct lease_record other = record("12", "other", 5);

    (void)state;
    lease_release(&l, 3 * S);
    lease_release(&l, 3 * S); /* said twice is said once */
    expect_step(&l, 3 * S, LEASE_GET);
    lease_answer(&l, LEASE_OK, &other, 3 * S, 0);
    expect_step(&l, 3 * S, LEASE_DONE);
    lease_init(&follower, "me", &usual);
    expect_step(&follower, 0, LEASE_GET);
    lease_answer(&follower, LEASE_OK, &other, 0, 0);
    lease_release(&follower, 1 * S);
    expect_step(&follower, 1 * S, LEASE_DONE); /* never held: nothing is asked */
}

static void without_a_lease_there_is_nothing_to_release(void **state)
{
    struct lease l = leader(0);

    (void)state;
    lease_release(&l, 3 * S);
    expect_step(&l, 3 * S, LEASE_GET);
    lease_answer(&l, LEASE_MISSING, NULL, 3 * S, 0);
    expect_step(&l, 3 * S, LEASE_DONE);
}

/* Cancelled while its write is out: that one is waited for, looked at, and undone. */
static void a_write_that_is_out_is_released_too(void **state)
{
    struct lease l;

    (void)state;
    lease_init(&l, "me", &usual);
    expect_step(&l, 0, LEASE_GET);
    lease_answer(&l, LEASE_MISSING, NULL, 0, 0);
    struct lease_record sent = expect_write(&l, 0, LEASE_CREATE);
    lease_release(&l, 1 * S);
    expect_step(&l, 1 * S, LEASE_WAIT);
    accept(&l, sent, "1", 2 * S);
    assert_false(lease_may_act(&l, 2 * S));
    expect_step(&l, 2 * S, LEASE_GET);
    (void)snprintf(sent.version, sizeof(sent.version), "1");
    lease_answer(&l, LEASE_OK, &sent, 2 * S, 0);
    assert_string_equal(expect_write(&l, 2 * S, LEASE_UPDATE).holder, "");
}

/* ---- configuration, and the object ---- */

static void times_that_cannot_be_safe_are_refused(void **state)
{
    static const struct {
        struct lease_times times;
        const char *text;
    } cases[] = {
        {{15000, 10000, 2000}, NULL},
        {{0, 10000, 2000}, "leaseDuration: not whole seconds"},
        {{15500, 10000, 2000}, "leaseDuration: not whole seconds"},
        {{10000, 10000, 2000}, "leaseDuration: not longer than renewDeadline"},
        {{15000, 10000, 0}, "renewDeadline: not longer than 1.2 times retryPeriod"},
        {{15000, 2400, 2000}, "renewDeadline: not longer than 1.2 times retryPeriod"},
        {{15000, 2401, 2000}, NULL},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(lease_check(&cases[i].times, &err), cases[i].text ? -EINVAL : 0);
        if (cases[i].text)
            assert_string_equal(err.text, cases[i].text);
    }
}

static int decode(struct lease_record *out, const char *json)
{
    char text[2048] = {0};
    struct err err;

    (void)snprintf(text, sizeof(text), "%s", json);
    return lease_decode(out, (struct str){text, strlen(text)}, &err);
}

static void what_is_written_is_read_again(void **state)
{
    struct lease_record r = record("ignored", "a-\"b\"", 1700000000123456), got;
    struct buf b = {0};

    (void)state;
    lease_encode(&b, "numawise-system", "numawise", &r);
    assert_string_equal(
        b.p, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
             "\"namespace\":\"numawise-system\",\"name\":\"numawise\"},\"spec\":{"
             "\"holderIdentity\":\"a-\\\"b\\\"\",\"leaseDurationSeconds\":15,"
             "\"acquireTime\":\"1970-01-01T00:00:00.000077Z\","
             "\"renewTime\":\"2023-11-14T22:13:20.123456Z\",\"leaseTransitions\":3}}");
    buf_free(&b);
    lease_encode_patch(&b, &r);
    assert_int_equal(decode(&got, b.p), 0);
    assert_memory_equal(&got, &r, sizeof(r));
    buf_free(&b);
}

static void a_lease_of_others_is_read(void **state)
{
    struct lease_record r;

    (void)state;
    assert_int_equal(
        decode(&r, "{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"9\",\"labels\":{}},"
                   "\"spec\":{\"holderIdentity\":null,\"strategy\":\"OldestEmulationVersion\"}}"),
        0);
    assert_string_equal(r.version, "9");
    assert_string_equal(r.holder, "");
    assert_int_equal(r.duration_s, 0);
    assert_int_equal(decode(&r, "{\"metadata\":{\"resourceVersion\":\"9\"}}"), 0);
    assert_int_equal(decode(&r, "{\"metadata\":{}}"), -EINVAL);
    assert_int_equal(decode(&r, "[]"), -EINVAL);
    assert_int_equal(
        decode(&r, "{\"metadata\":{\"resourceVersion\":\"9\"},\"spec\":{\"leaseTransitions\":-1}}"),
        -EINVAL);
    assert_int_equal(
        decode(&r, "{\"metadata\":{\"resourceVersion\":\"9\"},\"spec\":{\"renewTime\":\"soon\"}}"),
        -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_lease_one_is_created),
        cmocka_unit_test(one_that_nobody_holds_is_taken_at_once),
        cmocka_unit_test(an_empty_one_is_taken),
        cmocka_unit_test(one_that_another_holds_is_taken_when_it_has_not_changed_for_its_duration),
        cmocka_unit_test(one_that_is_renewed_is_never_taken),
        cmocka_unit_test(the_holder_says_how_long_to_wait),
        cmocka_unit_test(who_leads_renews_without_looking),
        cmocka_unit_test(a_leader_whose_write_is_refused_looks_and_writes_again),
        cmocka_unit_test(a_leader_that_sees_another_leads_no_more),
        cmocka_unit_test(a_leader_whose_lease_is_gone_leads_no_more_and_makes_a_new_one),
        cmocka_unit_test(without_renewal_it_stops_acting_at_the_deadline),
        cmocka_unit_test(a_process_that_was_stopped_does_not_act),
        cmocka_unit_test(an_answer_that_is_too_old_allows_nothing),
        cmocka_unit_test(a_write_without_an_answer_is_found_later),
        cmocka_unit_test(a_leader_releases_and_another_need_not_wait),
        cmocka_unit_test(a_release_is_tried_again_after_a_conflict),
        cmocka_unit_test(what_another_holds_is_not_released),
        cmocka_unit_test(without_a_lease_there_is_nothing_to_release),
        cmocka_unit_test(a_write_that_is_out_is_released_too),
        cmocka_unit_test(times_that_cannot_be_safe_are_refused),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_lease_of_others_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
