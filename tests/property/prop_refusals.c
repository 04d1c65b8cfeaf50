/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many refused pods are due equals what a slow reference says, which keeps names where the
 * program keeps bits, and asks about one node at a time, without a memo: while nodes, reports, pods
 * and policies come, change and go, pods are asked about on some of the nodes, are bound and pass.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "cluster/snapshot.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "extender/refusals.h"
#include "tests/support/data.h"
#include "tests/support/deliver.h"
#include "tests/support/random_cluster.h"
#include "tests/support/test.h"

enum { ROUNDS = 30000, ROOM = 1 << 20, WAITERS = 6 };

#define MS UINT64_C(1000000)

/* What the reference knows of a pod. */
struct waiter {
    char name[8], uid[24];
    bool is_kept;
    bool asked[RANDOM_NAMES], was_there[RANDOM_NAMES], strangers;
    uint64_t generation, taken_ns, fits_ns;
    uint64_t made_ns, made_generation;
    unsigned times;
    bool due;
};

struct world {
    struct cluster *cluster;
    struct source_sink sink;
    struct memo *memo;
    struct arena arena;
    struct refusals refusals;
    struct waiter waiters[WAITERS];
    uint64_t now_ns, seed, refused, due, passed;
    unsigned uids;
};

/* ---- the cluster ---- */

/* A pod that waits, or is on a node; each that waits anew is another one. */
static void put_pod(struct world *w, struct waiter *p, const char *node)
{
    const unsigned cpus = 4 + (unsigned)test_random(&w->seed, 5);
    char text[512];

    if (!node[0])
        (void)snprintf(p->uid, sizeof(p->uid), "uid-%u", w->uids++);
    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'name':'%s','namespace':'wait','uid':'%s'},'spec':{'nodeName':'%s',"
        "'containers':[{'name':'c','resources':{'limits':{'cpu':'%u','memory':'1Gi'}}}]}"
        "}",
        p->name, p->uid, node, cpus);
    deliver(&w->sink, SOURCE_POD, "Pod", "wait", p->name, text);
    w->sink.settled(w->sink.ctx);
}

static const struct decide_options plain = {.max_score = DECIDE_DEFAULT_MAX_SCORE};

static bool admits(struct world *w, const struct cluster_snapshot *s, const struct score_pod *pod,
                   struct str node)
{
    const struct decide_ask ask = {.pod = pod, .names = &node, .n = 1};
    struct decision d;

    assert_int_equal(decide_run(&d, &ask, s, &plain, &w->arena, NULL), 0);
    const bool is = d.counts[SCORE_ADMITTED] == 1;
    arena_rewind(&w->arena, 0);
    return is;
}

/* ---- the reference ---- */

static const struct score_pod *waiting(const struct cluster_snapshot *s, const struct waiter *p,
                                       struct cluster_pod *room)
{
    const struct score_pod *const pod = cluster_snapshot_pod(s, STR("wait"), str_of(p->name), room);

    return pod && str_is(pod->uid, p->uid) && pod->node.n == 0 ? pod : NULL;
}

static void see_nodes(struct waiter *p, const struct cluster_snapshot *s)
{
    for (int i = 0; i < RANDOM_NAMES; i++) {
        const bool is_there = cluster_snapshot_find(s, random_names[i]) != NULL;

        p->asked[i] = is_there && (p->was_there[i] ? p->asked[i] : p->strangers);
        p->was_there[i] = is_there;
    }
}

static void keep(struct world *w, struct waiter *p, const struct cluster_snapshot *s,
                 const struct str *names, uint32_t n)
{
    p->strangers = false;
    for (int i = 0; i < RANDOM_NAMES; i++) {
        p->was_there[i] = cluster_snapshot_find(s, random_names[i]) != NULL;
        p->asked[i] = false;
        for (uint32_t k = 0; k < n; k++)
            if (str_eq(names[k], random_names[i])) {
                p->asked[i] = p->was_there[i];
                p->strangers |= !p->was_there[i];
            }
    }
    if (!p->is_kept || w->now_ns - p->made_ns > UINT64_C(300000) * MS)
        p->made_ns = p->made_generation = p->times = 0;
    p->is_kept = true;
    p->generation = cluster_snapshot_generation(s);
    p->taken_ns = w->now_ns;
    p->fits_ns = 0;
}

static void look_slowly(struct world *w, struct waiter *p, const struct cluster_snapshot *s)
{
    struct cluster_pod room;
    const struct score_pod *const pod = waiting(s, p, &room);
    bool fits = false;

    if (!pod || w->now_ns - p->taken_ns > UINT64_C(600000) * MS)
        p->is_kept = false;
    if (!p->is_kept || p->generation >= cluster_snapshot_generation(s))
        return;
    see_nodes(p, s);
    for (int i = 0; i < RANDOM_NAMES; i++)
        fits = fits || (p->asked[i] && admits(w, s, pod, random_names[i]));
    p->generation = cluster_snapshot_generation(s);
    p->fits_ns = !fits ? 0 : p->fits_ns ? p->fits_ns : w->now_ns;
}

/* 2 s, 4 s, ... after it was due, at most 300 s. */
static uint64_t pause_ms(unsigned times)
{
    uint64_t ms = 2000;

    while (--times && ms < 300000)
        ms *= 2;
    return ms < 300000 ? ms : 300000;
}

static bool is_due(const struct world *w, const struct waiter *p)
{
    if (!p->is_kept || p->fits_ns == 0 || w->now_ns < p->fits_ns + 1000 * MS)
        return false;
    return p->times == 0 || (p->generation > p->made_generation &&
                             w->now_ns >= p->made_ns + pause_ms(p->times) * MS);
}

/* ---- what happens ---- */

/* Filter is asked about some of the nodes. */
static void ask(struct world *w, struct waiter *p)
{
    struct cluster_snapshot *const s = cluster_get(w->cluster);
    struct str names[RANDOM_NAMES];
    struct cluster_pod room;
    struct decide_ask ask = {.names = names, .pod = waiting(s, p, &room)};
    struct decision d;
    uint64_t since_ns;

    for (int i = 0; i < RANDOM_NAMES; i++)
        if (test_random(&w->seed, 3) == 0)
            names[ask.n++] = random_names[i];
    if (ask.pod) {
        assert_int_equal(decide_run(&d, &ask, s, &plain, &w->arena, NULL), 0);
        if (refusal_is_one(&d, DECIDE_ENFORCE)) {
            struct refusal *const f = refusal_new(&d, &ask);
            assert_non_null(f);
            refusals_put(&w->refusals, f, w->now_ns);
            keep(w, p, s, names, ask.n);
            w->refused++;
        } else {
            const bool was = refusals_pass(&w->refusals, str_of(p->uid), w->now_ns, &since_ns);
            assert_int_equal(was, p->is_kept);
            w->passed += was;
            p->is_kept = false;
        }
    }
    arena_rewind(&w->arena, 0);
    cluster_snapshot_unref(s);
}

static void look(struct world *w)
{
    struct cluster_snapshot *const s = cluster_get(w->cluster);
    struct decide_options options = plain;
    uint32_t kept = 0, due = 0;

    options.memo = w->memo;
    refusals_sweep(&w->refusals, s, w->now_ns);
    while (refusals_look(&w->refusals, s, &options, &w->arena, w->now_ns))
        assert_int_equal(w->arena.used, 0);
    for (int i = 0; i < WAITERS; i++) {
        look_slowly(w, &w->waiters[i], s);
        w->waiters[i].due = is_due(w, &w->waiters[i]);
        kept += w->waiters[i].is_kept;
        due += w->waiters[i].due;
    }
    cluster_snapshot_unref(s);
    assert_int_equal(w->refusals.n, kept);
    assert_int_equal(refusals_due(&w->refusals, w->now_ns), due);
    w->due += due;
    if (due == 0)
        return;
    const bool failed = test_random(&w->seed, 4) == 0;
    refusals_made(&w->refusals, failed, w->now_ns);
    for (int i = 0; i < WAITERS && !failed; i++)
        if (w->waiters[i].due) {
            w->waiters[i].made_ns = w->now_ns;
            w->waiters[i].made_generation = w->waiters[i].generation;
            w->waiters[i].times++;
        }
}

static void step(struct world *w)
{
    struct waiter *const p = &w->waiters[test_random(&w->seed, WAITERS)];

    switch (test_random(&w->seed, 16)) {
    case 0:
        look(w); /* or the one before it, which nobody has known, would be kept for long */
        put_pod(w, p, "");
        p->is_kept = false;
        look(w);
        break;
    case 1:
        if (test_random(&w->seed, 8) == 0)
            put_pod(w, p, "somewhere");
        break;
    case 2:
    case 3:
    case 4:
        ask(w, p);
        break;
    case 5:
    case 6:
        random_change(&w->sink, &w->seed);
        break;
    default:
        w->now_ns += test_random(&w->seed, test_random(&w->seed, 30) ? 1500 : 200000) * MS;
        look(w);
    }
}

static void as_many_are_due_as_a_slow_reference_says(void **state)
{
    static const struct cluster_options options = {.max_age_us = 0};
    static struct world w;
    char *const room = malloc(ROOM);

    assert_non_null(room);
    w.seed = test_seed(26);
    w.now_ns = 1000000 * MS;
    arena_init(&w.arena, room, ROOM);
    assert_int_equal(cluster_new(&w.cluster, &options, NULL), 0);
    assert_int_equal(memo_new(&w.memo, MEMO_DEFAULT_BYTES, MEMO_DEFAULT_SHAPES, NULL), 0);
    w.sink = cluster_sink(w.cluster);
    for (int i = 0; i < WAITERS; i++) {
        (void)snprintf(w.waiters[i].name, sizeof(w.waiters[i].name), "w%d", i);
        put_pod(&w, &w.waiters[i], "");
    }
    for (int i = 0; i < ROUNDS; i++)
        step(&w);
    print_message("%" PRIu64 " refusals, %" PRIu64 " times due, %" PRIu64 " passed\n", w.refused,
                  w.due, w.passed);
    assert_true(w.refused > ROUNDS / 200 && w.due > ROUNDS / 500 && w.passed > ROUNDS / 500);
    refusals_done(&w.refusals);
    memo_free(w.memo);
    cluster_free(w.cluster);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_many_are_due_as_a_slow_reference_says)};

    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
