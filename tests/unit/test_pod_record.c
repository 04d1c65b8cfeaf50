/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/pod_record.h"
#include "cluster/same.h"
#include "kube/object.h"
#include "tests/support/data.h"

enum { ROOM = 65536 };

static const uint64_t key[2] = {3, 4};

struct bench {
    struct pod_shapes shapes;
    struct arena a; /* over the room */
    _Alignas(max_align_t) char room[ROOM];
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct bench));
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    pod_shapes_done(&b->shapes);
    free(b);
    return 0;
}

/* A pod of a workload: of its own it has a name, a uid, a node and times. Text with ' for ". */
static void pod_text(char *out, size_t n, const char *name, const char *uid, const char *node,
                     const char *cpu)
{
    (void)snprintf(out, n,
                   "{'metadata':{'namespace':'ml','name':'%s','uid':'%s','creationTimestamp':"
                   "'2026-11-24T03:02:01Z','labels':{'app':'a'},'annotations':{"
                   "'orchestration.gokore.io/qos-class':'critical'}},'spec':{'nodeName':'%s',"
                   "'priority':-5,'containers':[{'name':'c','resources':{'limits':{'cpu':'%s',"
                   "'memory':'1Gi'}}}]},'status':{'phase':'Failed','reason':'Evicted','startTime':"
                   "'2026-11-24T03:02:09.25Z'}}",
                   name, uid, node, cpu);
}

static struct score_pod decode(struct bench *b, const char *name, const char *uid, const char *node,
                               const char *cpu)
{
    char quoted[1024];
    struct score_pod pod;

    pod_text(quoted, sizeof(quoted), name, uid, node, cpu);
    char *const text = test_padded(str_of(quoted), 'x');
    for (size_t i = 0; i < strlen(quoted); i++)
        text[i] = (char)(quoted[i] == '\'' ? '"' : quoted[i]);
    arena_init(&b->a, b->room, ROOM);
    assert_int_equal(kube_pod_decode(&pod, (struct str){text, strlen(quoted)}, &b->a, NULL), 0);
    free(text);
    return pod;
}

static struct pod_record *record(struct bench *b, const struct score_pod *pod)
{
    struct pod_record *r;

    assert_int_equal(pod_record_new(&r, &b->shapes, key, pod, 42, 0), 0);
    return r;
}

#define UUID "0d0f9f5e-7a0e-4a53-9f0f-3a5e0f0c9a11"

static void opened_it_says_the_same(void **state)
{
    /* The last ones are no UUIDs as formatting would give them back. */
    static const char *const uids[] = {UUID,
                                       "",
                                       "u",
                                       "00000000-0000-0000-0000-000000000000",
                                       "ffffffff-ffff-ffff-ffff-ffffffffffff",
                                       "0D0F9F5E-7a0e-4a53-9f0f-3a5e0f0c9a11",
                                       "0d0f9f5e07a0e-4a53-9f0f-3a5e0f0c9a11",
                                       "0d0f9f5e-7a0e-4a53-9f0f-3a5e0f0c9a1g",
                                       UUID "0",
                                       "0d0f9f5e7a0e4a539f0f3a5e0f0c9a1100000"};
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
        for (int bound = 0; bound < 2; bound++) {
            const char *const node = bound ? "n1" : "";
            const struct score_pod pod = decode(b, "p", uids[i], node, "2");
            struct pod_record *const r = record(b, &pod);
            struct cluster_pod opened;

            arena_rewind(&b->a, 0);
            memset(b->room, 'x', ROOM); /* nothing of it is borrowed */
            pod_record_open(r, &opened);
            struct bench *const other = calloc(1, sizeof(*other));
            const struct score_pod want = decode(other, "p", uids[i], node, "2");
            assert_true(same_pod(&opened.pod, &want));
            assert_true(str_is(opened.pod.uid, uids[i]));
            assert_int_equal(r->hash, 42);
            assert_true(str_is(pod_record_name(r), "p") && str_is(pod_record_ns(r), "ml"));
            assert_true(str_is(pod_record_node(r), node));
            free(other);
            pod_record_unref(r);
        }
    }
}

static void what_pods_have_alike_is_kept_once(void **state)
{
    struct bench *const b = *state;
    const struct score_pod one = decode(b, "p1", UUID, "n1", "2");
    struct pod_record *const a = record(b, &one);
    const struct score_pod two = decode(b, "p2", "", "n2", "2");
    struct pod_record *const c = record(b, &two);
    const struct score_pod three = decode(b, "p3", "", "n1", "3");
    struct pod_record *const d = record(b, &three);

    assert_ptr_equal(a->shape, c->shape);
    assert_ptr_not_equal(a->shape, d->shape);
    assert_ptr_equal(a->labels, d->labels);
    assert_ptr_equal(a->node, d->node);
    assert_ptr_not_equal(a->node, c->node);
    assert_int_equal(b->shapes.shapes.n, 2);
    pod_record_unref(a);
    pod_record_unref(c);
    pod_record_unref(d);
}

/* A pod of a workload in a hundred bytes beside its name. */
static void a_record_is_small(void **state)
{
    assert_true(sizeof(struct pod_record) <= 56);
}

static void what_nobody_holds_any_more_is_forgotten(void **state)
{
    struct bench *const b = *state;
    struct pod_record *kept[8] = {NULL};
    char cpu[16];

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(cpu, sizeof(cpu), "%d", 1 + i);
        const struct score_pod pod = decode(b, "p", "", "n", cpu);
        struct pod_record *const r = record(b, &pod);

        pod_record_unref(kept[i % 8]);
        kept[i % 8] = r;
    }
    assert_true(b->shapes.shapes.n < 1100);
    for (int i = 0; i < 8; i++) {
        struct cluster_pod opened;

        pod_record_open(kept[i], &opened);
        assert_int_equal(opened.pod.containers[0].limits[0].amount, (4992 + i + 1) * 1000);
        pod_record_unref(kept[i]);
    }
}

static void records_outlive_what_made_them(void **state)
{
    struct bench *const b = *state;
    const struct score_pod pod = decode(b, "p", UUID, "n1", "2");
    struct pod_record *const r = record(b, &pod);
    struct cluster_pod opened;

    pod_shapes_done(&b->shapes);
    pod_record_open(r, &opened);
    assert_true(str_is(opened.pod.node, "n1"));
    assert_int_equal(opened.pod.priority, -5);
    pod_record_unref(r);
}

static void names_have_a_length(void **state)
{
    struct bench *const b = *state;
    struct score_pod pod = decode(b, "p", "", "n", "1");
    char *const text = calloc(1, 70000);
    struct pod_record *r = NULL;

    memset(text, 'a', 69999);
    pod.name = (struct str){text, 65535};
    assert_int_equal(pod_record_new(&r, &b->shapes, key, &pod, 1, 0), 0);
    pod_record_unref(r);
    pod.name.n = 65536;
    assert_int_equal(pod_record_new(&r, &b->shapes, key, &pod, 1, 0), -E2BIG);
    pod.name.n = 1;
    pod.uid = (struct str){text, 256};
    assert_int_equal(pod_record_new(&r, &b->shapes, key, &pod, 1, 0), -E2BIG);
    free(text);
}

/* Readers let records go while the writer makes new ones of the same shapes. */
enum { READERS = 2, TURNS = 20000 };

struct shelf {
    pthread_mutex_t lock;
    struct pod_record *at[64];
    bool done;
};

static void *read_and_drop(void *ctx)
{
    struct shelf *const s = ctx;
    uint64_t seed = 9;

    for (bool done = false; !done;) {
        const size_t i = test_random(&seed, 64);
        struct cluster_pod opened;

        (void)pthread_mutex_lock(&s->lock);
        struct pod_record *const r = s->at[i];
        s->at[i] = NULL;
        done = s->done;
        (void)pthread_mutex_unlock(&s->lock);
        if (!r)
            continue;
        pod_record_open(r, &opened);
        assert(str_is(opened.pod.name, "p") && opened.pod.n_containers == 1);
        pod_record_unref(r);
    }
    return NULL;
}

static void readers_let_go_while_the_writer_shares(void **state)
{
    struct bench *const b = *state;
    struct shelf s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t readers[READERS];
    char cpu[16];

    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_and_drop, &s), 0);
    for (int i = 0; i < TURNS; i++) {
        (void)snprintf(cpu, sizeof(cpu), "%d", 1 + i % 3000);
        const struct score_pod pod = decode(b, "p", UUID, "n1", cpu);
        struct pod_record *const r = record(b, &pod);

        (void)pthread_mutex_lock(&s.lock);
        struct pod_record *const before = s.at[i % 64];
        s.at[i % 64] = r;
        (void)pthread_mutex_unlock(&s.lock);
        pod_record_unref(before);
    }
    (void)pthread_mutex_lock(&s.lock);
    s.done = true;
    (void)pthread_mutex_unlock(&s.lock);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    for (int i = 0; i < 64; i++)
        pod_record_unref(s.at[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(opened_it_says_the_same),
        T(what_pods_have_alike_is_kept_once),
        T(a_record_is_small),
        T(what_nobody_holds_any_more_is_forgotten),
        T(records_outlive_what_made_them),
        T(names_have_a_length),
        T(readers_let_go_while_the_writer_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
