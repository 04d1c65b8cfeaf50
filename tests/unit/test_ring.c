/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions made by hand: no node is in a snapshot, so nothing of scoring/ is asked. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "decide/record.h"
#include "decide/report.h"
#include "decide/ring.h"

enum { MANY = 3000, ARENA_BYTES = 64 * 1024 };

static char room[ARENA_BYTES];

/* A decision over `n` nodes named PREFIX-i. */
struct made {
    struct score_pod pod;
    struct decide_ask ask;
    struct decide_options options;
    struct decision d;
    struct report report;
    struct decide_row rows[MANY];
    struct str names[MANY];
    char texts[MANY][32];
};

static struct made *make(uint32_t n, const char *pod, const char *prefix)
{
    struct made *const m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->pod = (struct score_pod){.ns = STR("ml"), .name = str_of(pod), .uid = str_of(pod)};
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(m->texts[i], sizeof(m->texts[i]), "%s-%04u", prefix, i);
        m->names[i] = str_of(m->texts[i]);
        m->rows[i].position = DECIDE_NO_NODE;
        m->rows[i].verdict = SCORE_ADMITTED;
        m->rows[i].score = (uint16_t)(i % 1000);
        m->rows[i].wire = 1;
    }
    m->ask = (struct decide_ask){.pod = &m->pod, .n = n, .names = m->names};
    m->options = (struct decide_options){.max_score = 10};
    m->d = (struct decision){
        .generation = 7,
        .weights = score_default_weights(SCORE_CLASS_DEFAULT),
        .counts = {n},
        .n = n,
        .rows = m->rows,
    };
    m->report = (struct report){.ask = &m->ask, .decision = &m->d, .options = &m->options};
    return m;
}

static void reject(struct made *m, uint32_t i, enum score_reason reason)
{
    m->rows[i].verdict = SCORE_REJECTED;
    m->rows[i].reason = (uint8_t)reason;
    m->rows[i].score = 0;
    m->d.counts[SCORE_ADMITTED]--;
    m->d.counts[SCORE_REJECTED]++;
}

static int add(struct ring *r, const struct made *m, unsigned verb, int64_t now_us)
{
    return ring_add(r, &m->report, verb, now_us);
}

static json_t *parse(struct buf *b)
{
    json_error_t error;
    json_t *const j = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, &error);

    if (!j)
        print_error("%s at %d of: %s\n", error.text, error.position, b->p);
    assert_non_null(j);
    buf_free(b);
    return j;
}

static json_t *list(struct ring *r, const char *pod)
{
    struct buf b = {0};

    assert_int_equal(ring_list(r, str_of(pod), &b), 0);
    json_t *const whole = parse(&b);
    json_t *const decisions = json_incref(json_object_get(whole, "decisions"));
    json_decref(whole);
    return decisions;
}

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_t *render(struct ring *r, const char *id)
{
    struct buf b = {0};
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(ring_render(r, str_of(id), &b, &a), 0);
    assert_int_equal(arena_mark(&a), 0);
    return parse(&b);
}

static void a_decision_can_be_read_back_with_every_node(void **state)
{
    struct made *const m = make(40, "train-0", "node");
    struct ring *r;

    reject(m, 5, SCORE_TOPOLOGY_AFFINITY_ERROR);
    reject(m, 6, SCORE_TOPOLOGY_AFFINITY_ERROR);
    assert_int_equal(ring_new(&r, RING_DEFAULT_BYTES, NULL), 0);
    assert_int_equal(add(r, m, RECORD_FILTER, 1700000000000000), 0);
    json_t *const l = list(r, "");
    assert_int_equal(json_array_size(l), 1);
    const json_t *const line = json_array_get(l, 0);
    assert_string_equal(text(line, "pod"), "ml/train-0");
    assert_string_equal(text(line, "best"), "node-0039");
    json_t *const whole = render(r, text(line, "decision"));
    const json_t *const nodes = json_object_get(whole, "nodes");
    assert_int_equal(json_array_size(nodes), 40);
    /* 38 admitted by falling score, then the two rejected ones by name. */
    assert_string_equal(text(json_array_get(nodes, 0), "name"), "node-0039");
    assert_string_equal(text(json_array_get(nodes, 37), "name"), "node-0000");
    assert_string_equal(text(json_array_get(nodes, 38), "name"), "node-0005");
    assert_string_equal(text(json_array_get(nodes, 39), "verdict"), "Rejected");
    assert_string_equal(text(json_array_get(nodes, 39), "reason"), "TopologyAffinityError");
    /* The best 16 and one sample of the reason are told in full. */
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(json_object_get(json_array_get(nodes, i), "certainty") != NULL,
                         i < 16 || i == 38);
    json_decref(whole);
    json_decref(l);
    ring_free(r);
    free(m);
}

static void prioritize_joins_the_filter_of_its_pod_and_snapshot(void **state)
{
    struct made *const f = make(20, "p", "n"), *const p = make(10, "p", "n");
    struct ring *r;

    assert_int_equal(ring_new(&r, RING_DEFAULT_BYTES, NULL), 0);
    for (uint32_t i = 0; i < 10; i++)
        p->rows[i].score = 900;
    assert_int_equal(add(r, f, RECORD_FILTER, 1000), 0);
    assert_int_equal(add(r, p, RECORD_PRIORITIZE, 2000), 0);
    json_t *const l = list(r, "ml/p");
    assert_int_equal(json_array_size(l), 1);
    json_t *const whole = render(r, text(json_array_get(l, 0), "decision"));
    assert_int_equal(json_array_size(json_object_get(whole, "verbs")), 2);
    assert_int_equal(json_array_size(json_object_get(whole, "nodes")), 20);
    const json_t *const first = json_array_get(json_object_get(whole, "nodes"), 0);
    assert_string_equal(text(first, "name"), "n-0000");
    assert_int_equal(json_integer_value(json_object_get(first, "score")), 900);
    json_decref(whole);
    json_decref(l);
    ring_free(r);
    free(f);
    free(p);
}

static void prioritize_of_another_snapshot_pod_or_order_is_a_decision_of_its_own(void **state)
{
    struct made *const f = make(5, "p", "n"), *const p = make(5, "p", "n");
    struct str first;
    struct ring *r;

    assert_int_equal(ring_new(&r, RING_DEFAULT_BYTES, NULL), 0);
    assert_int_equal(add(r, f, RECORD_FILTER, 1000), 0);
    p->d.generation = 8;
    assert_int_equal(add(r, p, RECORD_PRIORITIZE, 2000), 0);
    p->d.generation = 7;
    p->pod.uid = STR("other");
    assert_int_equal(add(r, p, RECORD_PRIORITIZE, 3000), 0);
    p->pod.uid = STR("p");
    first = p->names[0];
    p->names[0] = p->names[4];
    p->names[4] = first;
    assert_int_equal(add(r, p, RECORD_PRIORITIZE, 4000), 0);
    json_t *const l = list(r, "");
    assert_int_equal(json_array_size(l), 4);
    json_decref(l);
    ring_free(r);
    free(f);
    free(p);
}

static void the_oldest_go_first_and_the_bound_is_never_passed(void **state)
{
    struct ring_stats stats;
    struct ring *r;

    assert_int_equal(ring_new(&r, RING_LEAST_BYTES, NULL), 0);
    for (int i = 0; i < 500; i++) {
        char pod[16], prefix[16];
        (void)snprintf(pod, sizeof(pod), "pod-%03d", i);
        (void)snprintf(prefix, sizeof(prefix), "rack%d", i % 7);
        struct made *const m = make((uint32_t)(1 + i % 90), pod, prefix);
        assert_int_equal(add(r, m, RECORD_FILTER, i * 1000), 0);
        free(m);
        ring_stats(r, &stats);
        assert_true(stats.bytes <= RING_LEAST_BYTES);
        assert_int_equal(stats.kept + stats.evicted, i + 1);
    }
    assert_true(stats.evicted > 0 && stats.kept > 1);
    json_t *const l = list(r, "");
    assert_int_equal(json_array_size(l), stats.kept);
    assert_string_equal(text(json_array_get(l, 0), "pod"), "ml/pod-499");
    /* Ids sort by age as text; a list is newest first. */
    for (size_t i = 1; i < json_array_size(l); i++)
        assert_true(strcmp(text(json_array_get(l, i - 1), "decision"),
                           text(json_array_get(l, i), "decision")) > 0);
    json_decref(l);
    ring_free(r);
}

static void a_decision_too_large_keeps_what_is_told_in_full(void **state)
{
    struct made *const m = make(MANY, "big", "node-with-a-long-name");
    struct ring_stats stats;
    struct ring *r;

    reject(m, 1234, SCORE_KUBELET_CRASH);
    assert_int_equal(ring_new(&r, RING_LEAST_BYTES, NULL), 0);
    assert_int_equal(add(r, m, RECORD_FILTER, 1000), 0);
    ring_stats(r, &stats);
    assert_true(stats.bytes <= RING_LEAST_BYTES);
    json_t *const l = list(r, "");
    json_t *const whole = render(r, text(json_array_get(l, 0), "decision"));
    assert_int_equal(json_array_size(json_object_get(whole, "nodes")), 17);
    assert_int_equal(json_integer_value(json_object_get(whole, "nodesLeftOut")), MANY - 17);
    assert_int_equal(json_integer_value(json_object_get(whole, "admitted")), MANY - 1);
    json_decref(whole);
    json_decref(l);
    ring_free(r);
    free(m);
}

static void a_smaller_bound_drops_the_oldest_at_once(void **state)
{
    struct ring_stats stats;
    struct ring *r;
    struct err err;

    assert_int_equal(ring_new(&r, RING_LEAST_BYTES - 1, &err), -EINVAL);
    assert_int_equal(ring_new(&r, 8 * RING_LEAST_BYTES, &err), 0);
    struct made *const m = make(100, "p", "n");
    for (int i = 0; i < 40; i++)
        assert_int_equal(add(r, m, RECORD_FILTER, i), 0);
    ring_stats(r, &stats);
    assert_int_equal(stats.kept, 40);
    assert_int_equal(ring_resize(r, RING_LEAST_BYTES, &err), 0);
    ring_stats(r, &stats);
    assert_true(stats.kept < 40 && stats.kept > 0 && stats.bytes <= RING_LEAST_BYTES);
    ring_free(r);
    free(m);
}

static void an_unknown_id_is_said(void **state)
{
    struct buf b = {0};
    struct ring *r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(ring_new(&r, RING_LEAST_BYTES, NULL), 0);
    assert_int_equal(ring_render(r, STR("01J9"), &b, &a), -ENOENT);
    assert_int_equal(b.n, 0);
    json_t *const l = list(r, "ml/nobody");
    assert_int_equal(json_array_size(l), 0);
    json_decref(l);
    ring_free(r);
}

static void a_clock_that_steps_back_does_not_break_the_order(void **state)
{
    struct made *const m = make(1, "p", "n");
    struct ring *r;

    assert_int_equal(ring_new(&r, RING_DEFAULT_BYTES, NULL), 0);
    for (int64_t now = 5; now >= -1; now--)
        assert_int_equal(add(r, m, RECORD_FILTER, now * 1000000), 0);
    json_t *const l = list(r, "");
    assert_int_equal(json_array_size(l), 7);
    for (size_t i = 1; i < 7; i++)
        assert_true(strcmp(text(json_array_get(l, i - 1), "decision"),
                           text(json_array_get(l, i), "decision")) > 0);
    json_decref(l);
    ring_free(r);
    free(m);
}

struct writer {
    struct ring *ring;
    int rounds;
};

static void *write_many(void *ctx)
{
    const struct writer *const w = ctx;

    for (int i = 0; i < w->rounds; i++) {
        struct made *const m = make((uint32_t)(1 + i % 50), "p", "n");
        if (ring_add(w->ring, &m->report, i % 2 ? RECORD_PRIORITIZE : RECORD_FILTER, i))
            abort();
        free(m);
    }
    return NULL;
}

static void reading_while_another_thread_adds_gives_whole_documents(void **state)
{
    struct writer w = {.rounds = 2000};
    pthread_t thread;

    assert_int_equal(ring_new(&w.ring, RING_LEAST_BYTES, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_many, &w), 0);
    for (int i = 0; i < 200; i++) {
        json_t *const l = list(w.ring, "");
        struct buf b = {0};
        struct arena a;

        if (json_array_size(l)) {
            const char *const id = text(json_array_get(l, json_array_size(l) / 2), "decision");
            /* It may be gone by now; otherwise it is whole. */
            arena_init(&a, room, sizeof(room));
            if (ring_render(w.ring, str_of(id), &b, &a) == 0)
                json_decref(parse(&b));
        }
        json_decref(l);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    ring_free(w.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_can_be_read_back_with_every_node),
        cmocka_unit_test(prioritize_joins_the_filter_of_its_pod_and_snapshot),
        cmocka_unit_test(prioritize_of_another_snapshot_pod_or_order_is_a_decision_of_its_own),
        cmocka_unit_test(the_oldest_go_first_and_the_bound_is_never_passed),
        cmocka_unit_test(a_decision_too_large_keeps_what_is_told_in_full),
        cmocka_unit_test(a_smaller_bound_drops_the_oldest_at_once),
        cmocka_unit_test(an_unknown_id_is_said),
        cmocka_unit_test(a_clock_that_steps_back_does_not_break_the_order),
        cmocka_unit_test(reading_while_another_thread_adds_gives_whole_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
