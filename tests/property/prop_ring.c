/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kept decision says is what was decided, however the cluster changes afterwards: what is
 * read at once equals the report of the decision itself, and what is read later equals that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "decide/decide.h"
#include "decide/record.h"
#include "decide/report.h"
#include "decide/ring.h"
#include "tests/support/data.h"
#include "tests/support/random_cluster.h"
#include "tests/support/test.h"

enum { ROUNDS = 500, ROOM = 1 << 20, KEPT = 24, RING_BYTES = 256 * 1024 };

static char *room;
static struct cluster *cluster;
static struct ring *ring;
static int64_t the_time;

static int64_t now_us(void)
{
    return the_time;
}

/* Decisions read when they were made. */
static struct kept {
    char id[RECORD_ID_BYTES + 1];
    struct buf text;
} kept[KEPT];

static json_t *parse(const struct buf *b)
{
    json_t *const j = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(j);
    return j;
}

static void render(struct buf *out, const char *id, int *rc)
{
    struct arena a;

    arena_init(&a, room, ROOM);
    *rc = ring_render(ring, str_of(id), out, &a);
    assert_int_equal(arena_mark(&a), 0);
}

static void newest_id(char id[RECORD_ID_BYTES + 1])
{
    struct buf b = {0};

    assert_int_equal(ring_list(ring, STR(""), &b), 0);
    json_t *const list = parse(&b);
    const json_t *const first = json_array_get(json_object_get(list, "decisions"), 0);
    strcpy(id, json_string_value(json_object_get(first, "decision")));
    json_decref(list);
    buf_free(&b);
}

static const json_t *node_named(const json_t *decision, const char *name)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(decision, "nodes"), i, node)
    {
        if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
            return node;
    }
    return NULL;
}

/* Every member of every node: a node that is told in short has fewer. */
static unsigned compare(const struct buf *from_ring, const struct buf *from_report)
{
    json_t *const x = parse(from_ring), *const y = parse(from_report);
    const json_t *node;
    unsigned full = 0;
    size_t i;

    assert_int_equal(json_array_size(json_object_get(x, "nodes")), RANDOM_NAMES);
    assert_true(json_equal(json_object_get(x, "best"), json_object_get(y, "best")));
    assert_true(json_equal(json_object_get(x, "ignoredHints"), json_object_get(y, "ignoredHints")));
    json_array_foreach(json_object_get(x, "nodes"), i, node)
    {
        const json_t *const other = node_named(y, json_string_value(json_object_get(node, "name")));
        const char *key;
        json_t *value;

        assert_non_null(other);
        json_object_foreach((json_t *)(uintptr_t)node, key, value)
        {
            if (!json_equal(value, json_object_get(other, key)))
                fail_msg("%s differs", key);
        }
        full += json_object_size(node) == json_object_size(other);
    }
    json_decref(x);
    json_decref(y);
    return full;
}

/* One decision, kept, and read back at once; returns how many nodes were told in full. */
static unsigned decide_and_keep(struct kept *k, uint64_t *seed)
{
    struct cluster_snapshot *const s = cluster_get(cluster);
    const struct decide_options options = {.max_score = 100, .context = {.now_us = the_time}};
    struct buf text = {0}, report_text = {0};
    struct random_pod p;
    struct decision d;
    struct arena a;
    int rc;

    random_pod(&p, seed);
    const struct decide_ask ask = {.pod = &p.pod, .n = RANDOM_NAMES, .names = random_names};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, s, &options, &a, NULL), 0);
    assert_int_equal(report_json(&report_text, &report, &a, NULL), 0);
    assert_int_equal(ring_add(ring, &report, RECORD_FILTER, the_time), 0);
    cluster_snapshot_unref(s);
    arena_rewind(&a, 0);

    newest_id(k->id);
    render(&text, k->id, &rc);
    assert_int_equal(rc, 0);
    const unsigned full = compare(&text, &report_text);
    buf_free(&report_text);
    buf_free(&k->text);
    k->text = text;
    return full;
}

/* Read again: the same bytes, or gone. */
static bool is_as_it_was(const struct kept *k)
{
    struct buf text = {0};
    int rc;

    if (k->text.n == 0)
        return false;
    render(&text, k->id, &rc);
    if (rc) {
        assert_int_equal(rc, -ENOENT);
        return false;
    }
    assert_true(str_eq(buf_view(&text), buf_view(&k->text)));
    buf_free(&text);
    return true;
}

/* The pod's kubelet on the best node says otherwise; is the newest case about this decision? */
static bool contradict(const struct kept *k)
{
    json_t *const j = parse(&k->text);
    const char *const best = json_string_value(json_object_get(j, "best"));
    char id[RECORD_ID_BYTES + 1] = "";
    struct buf cases = {0};
    bool told = false;

    if (best &&
        ring_contradict(ring, STR("u"), str_of(best), SCORE_TOPOLOGY_AFFINITY_ERROR, id) == 0) {
        assert_int_equal(ring_cases(ring, &cases), 0);
        struct str rest = buf_view(&cases), last = STR("");
        unsigned n = 0;
        for (; rest.n; n++)
            last = str_cut(&rest, '\n');
        assert_true(n > 0 && n <= RING_CASES && cases.n <= RING_BYTES / 8);
        json_t *const line = json_loadb(last.p, last.n, JSON_REJECT_DUPLICATES, NULL);
        told = strcmp(json_string_value(json_object_get(line, "name")), k->id) == 0;
        assert_string_equal(id, k->id);
        json_decref(line);
    }
    buf_free(&cases);
    json_decref(j);
    return told;
}

static void a_kept_decision_stays_what_was_decided(void **state)
{
    const struct cluster_options options = {.now_us = now_us};
    uint64_t seed = test_seed(909);
    unsigned full = 0, again = 0, told = 0;
    struct ring_stats stats;

    room = malloc(ROOM);
    assert_non_null(room);
    the_time = random_observed_us;
    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    assert_int_equal(ring_new(&ring, RING_BYTES, NULL), 0);
    const struct source_sink sink = cluster_sink(cluster);
    for (int i = 0; i < ROUNDS; i++) {
        random_change(&sink, &seed);
        the_time += 1000000;
        full += decide_and_keep(&kept[i % KEPT], &seed);
        again += i >= KEPT &&
                 is_as_it_was(&kept[(unsigned)(i + 1 + (int)test_random(&seed, KEPT - 1)) % KEPT]);
        if (test_random(&seed, 4) == 0 && contradict(&kept[i % KEPT])) {
            buf_free(&kept[i % KEPT].text); /* it says so now */
            told++;
        }
        ring_stats(ring, &stats);
        assert_true(stats.bytes <= RING_BYTES);
    }
    assert_true(told > stats.cases && stats.cases > 4);
    assert_true(stats.evicted > 0 && full > ROUNDS && again > ROUNDS / 2);
    cluster_free(cluster); /* what is kept does not need it */
    for (int i = 0; i < KEPT; i++) {
        (void)is_as_it_was(&kept[i]);
        buf_free(&kept[i].text);
    }
    ring_free(ring);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_kept_decision_stays_what_was_decided)};

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
