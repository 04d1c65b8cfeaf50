/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replays a decision is what it was made of, however the cluster has changed since: a cluster
 * made of its objects gives the decision again, and to any other pod the same answers as the nodes
 * of that time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/snapshot.h"
#include "decide/decide.h"
#include "decide/premises.h"
#include "decide/record.h"
#include "decide/replay.h"
#include "decide/report.h"
#include "decide/ring.h"
#include "kube/decision_json.h"
#include "tests/support/data.h"
#include "tests/support/random_cluster.h"
#include "tests/support/test.h"

enum { ROUNDS = 250, ROOM = 1 << 20, KEPT = 16, OTHERS = 4, RING_BYTES = 4 * 1024 * 1024 };

static char *room;
static struct cluster *cluster;
static struct ring *ring;
static int64_t the_time, then;

static int64_t now_us(void)
{
    return the_time;
}

static int64_t then_us(void)
{
    return then;
}

/* Decisions, and the snapshots that they were made on. */
static struct kept {
    struct cluster_snapshot *snapshot;
    char id[RECORD_ID_BYTES + 1];
    int64_t time_us;
} kept[KEPT];

static void newest_id(char id[RECORD_ID_BYTES + 1])
{
    struct buf b = {0};

    assert_int_equal(ring_list(ring, STR(""), &b), 0);
    const char *const at = strstr(b.p, "\"decision\": \"");
    assert_non_null(at);
    memcpy(id, at + sizeof("\"decision\": \"") - 1, RECORD_ID_BYTES);
    id[RECORD_ID_BYTES] = 0;
    buf_free(&b);
}

static void decide_and_keep(struct kept *k, uint64_t *seed)
{
    const struct decide_options options = {.mode = test_random(seed, 4) ? DECIDE_ENFORCE
                                                                        : DECIDE_SHADOW,
                                           .max_score = 100,
                                           .context = {.now_us = the_time}};
    struct random_pod p;
    struct decision d;
    struct arena a;

    cluster_snapshot_unref(k->snapshot);
    k->snapshot = cluster_get(cluster);
    k->time_us = the_time;
    random_pod(&p, seed);
    /* no decoder gives pods of these two kinds */
    p.pod.has_pod_level = false;
    if (p.pod.n_hints == 2 && str_eq(p.hints[0].key, p.hints[1].key))
        p.pod.n_hints = 1;
    const struct decide_ask ask = {.pod = &p.pod, .n = RANDOM_NAMES, .names = random_names};
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, k->snapshot, &options, &a, NULL), 0);
    assert_int_equal(ring_add(ring, &report, RECORD_FILTER, the_time), 0);
    arena_rewind(&a, 0);
    newest_id(k->id);
}

static const struct replay_file *find(const struct replay_files *f, const char *path)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->at[i].path.p, path) == 0)
            return &f->at[i];
    fail_msg("there is no %s", path);
    return NULL;
}

/* In memory of its own, to be freed. */
static struct str padded(const struct buf *text)
{
    char *const p = test_padded(buf_view(text), '"');

    assert_non_null(p);
    return (struct str){p, text->n};
}

/* A cluster that knows nothing but the files. */
static struct cluster *rebuild(const struct replay_files *f, struct premises *premises)
{
    const struct str json = padded(&find(f, REPLAY_PREMISES)->text);
    char scratch[1024];
    struct arena a;
    struct cluster *c;

    arena_init(&a, scratch, sizeof(scratch));
    assert_int_equal(premises_read(premises, json, &a, NULL), 0);
    free((void *)(uintptr_t)json.p);
    const struct cluster_options options = {
        .now_us = then_us, .since_us = premises->since_us, .demand = &premises->demand};
    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct replay_file *const file = &f->at[i];
        const struct str text = padded(&file->text);
        const struct source_delta delta = {.verb = SOURCE_UPSERT,
                                           .kind = file->kind,
                                           .type = str_of(file->type),
                                           .ns = file->ns,
                                           .name = file->name,
                                           .json = text};

        if (file->is_object && !file->left_out)
            assert_int_equal(sink.delta(sink.ctx, &delta, NULL), 0);
        free((void *)(uintptr_t)text.p);
    }
    sink.settled(sink.ctx);
    return c;
}

/* What is said of these nodes to the pod. */
static void answer(struct buf *out, const struct cluster_snapshot *s, const struct score_pod *pod,
                   const struct str *names, uint32_t n)
{
    const struct decide_options options = {.max_score = 1000, .context = {.now_us = then}};
    const struct decide_ask ask = {.pod = pod, .n = n, .names = names};
    struct decision d;
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    struct arena a;

    arena_init(&a, room, ROOM);
    assert_int_equal(decide_run(&d, &ask, s, &options, &a, NULL), 0);
    assert_int_equal(report_json(out, &report, &a, NULL), 0);
    arena_rewind(&a, 0);
}

/* Both were asked by pods whose labels somebody asks for; nobody knows the others. */
static void answers_alike(const struct cluster_snapshot *was, const struct cluster_snapshot *is,
                          uint64_t *seed)
{
    struct str names[RANDOM_NAMES];
    struct buf x = {0}, y = {0};
    struct random_pod p;
    struct err err = {0};
    uint32_t n = cluster_snapshot_nodes(is);

    assert_true(n <= RANDOM_NAMES);
    for (uint32_t i = 0; i < n; i++)
        names[i] = cluster_snapshot_node(is, i)->name;
    random_pod(&p, seed);
    answer(&x, was, &p.pod, names, n);
    answer(&y, is, &p.pod, names, n);
    if (decision_compare(buf_view(&x), buf_view(&y), &err) ||
        decision_compare(buf_view(&y), buf_view(&x), &err))
        fail_msg("%s: %s\n%s", err.text, x.p, y.p);
    buf_free(&x);
    buf_free(&y);
}

/* How many nodes it has. */
static uint32_t replays(const struct kept *k, uint64_t *seed)
{
    struct record *const record = ring_take(ring, str_of(k->id));
    struct replay_files files = {0};
    struct buf said = {0};
    struct premises premises;
    struct err err = {0};
    struct arena a;

    assert_non_null(record);
    arena_init(&a, room, ROOM);
    assert_int_equal(ring_render(ring, str_of(k->id), &said, &a), 0);
    if (replay_record(&files, record, buf_view(&said), &err))
        fail_msg("%s of %s", err.text, said.p);
    then = k->time_us;
    struct cluster *const c = rebuild(&files, &premises);
    struct cluster_snapshot *const s = cluster_get(c);
    const uint32_t n = cluster_snapshot_nodes(s);
    for (int i = 0; i < OTHERS; i++)
        answers_alike(k->snapshot, s, seed);
    cluster_snapshot_unref(s);
    cluster_free(c);
    replay_files_done(&files);
    record_unref(record);
    buf_free(&said);
    return n;
}

static void what_replays_a_decision_is_what_it_was_made_of(void **state)
{
    const struct cluster_options options = {.now_us = now_us, .since_us = random_observed_us};
    uint64_t seed = test_seed(8);
    uint32_t nodes = 0;

    the_time = random_observed_us;
    room = malloc(ROOM);
    assert_non_null(room);
    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    assert_int_equal(ring_new(&ring, RING_BYTES, NULL), 0);
    const struct source_sink sink = cluster_sink(cluster);
    for (int i = 0; i < 40; i++)
        random_change(&sink, &seed);
    for (int i = 0; i < KEPT; i++)
        decide_and_keep(&kept[i], &seed);
    for (int round = 0; round < ROUNDS; round++) {
        the_time += (int64_t)test_random(&seed, 3000000);
        cluster_tick(cluster);
        random_change(&sink, &seed);
        decide_and_keep(&kept[test_random(&seed, KEPT)], &seed);
        nodes += replays(&kept[test_random(&seed, KEPT)], &seed);
    }
    print_message("%u nodes in %d bundles\n", nodes, ROUNDS);
    assert_true(nodes > ROUNDS);
    for (int i = 0; i < KEPT; i++)
        cluster_snapshot_unref(kept[i].snapshot);
    ring_free(ring);
    cluster_free(cluster);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_replays_a_decision_is_what_it_was_made_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
