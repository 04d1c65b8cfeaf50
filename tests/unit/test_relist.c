/* SPDX-License-Identifier: Apache-2.0 */
/* A source that lists everything again: what is as it was costs nothing, what is not named is gone.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"

struct bench {
    struct cluster *c;
    struct source_sink sink;
};

static int setup(void **state)
{
    static const struct cluster_options options = {.hash_key = {7, 9}};
    struct bench *const b = calloc(1, sizeof(*b));

    assert_int_equal(cluster_new(&b->c, &options, NULL), 0);
    b->sink = cluster_sink(b->c);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    cluster_free(b->c);
    free(b);
    return 0;
}

static int put(struct bench *b, enum source_kind kind, const char *name, uint64_t version,
               const char *text)
{
    const struct source_delta delta = {.kind = kind,
                                       .type = STR("Pod"),
                                       .ns = kind == SOURCE_POD ? STR("a") : STR(""),
                                       .name = str_of(name),
                                       .version = version,
                                       .unlisted = strchr(name, ':') != NULL};

    return deliver_delta(&b->sink, delta, text, NULL);
}

static void put_node(struct bench *b, const char *name, uint64_t version, int files)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','resourceVersion':'%d'},'status':{'allocatable':{"
                   "'ephemeral-storage':'%d'}}}",
                   name, (int)version, files);
    assert_int_equal(put(b, SOURCE_NODE, name, version, text), 0);
}

static void put_nrt(struct bench *b, const char *name, uint64_t version, int cpus)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','resourceVersion':'%d'},'zones':[{'name':'node-0',"
                   "'resources':[{'name':'cpu','capacity':'%d'}]}]}",
                   name, (int)version, cpus);
    assert_int_equal(put(b, SOURCE_NRT, name, version, text), 0);
}

static void put_pod(struct bench *b, const char *name, uint64_t version, const char *node)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'a','name':'%s','resourceVersion':'%d'},'spec':{"
                   "'nodeName':'%s','containers':[{'name':'c'}]}}",
                   name, (int)version, node);
    assert_int_equal(put(b, SOURCE_POD, name, version, text), 0);
}

static void begin(struct bench *b, enum source_kind kind, bool again)
{
    b->sink.begin(b->sink.ctx, kind, again);
}

static void end(struct bench *b, enum source_kind kind)
{
    b->sink.end(b->sink.ctx, kind);
}

static uint64_t settle(struct bench *b)
{
    b->sink.settled(b->sink.ctx);
    struct cluster_snapshot *const s = cluster_get(b->c);
    const uint64_t generation = cluster_snapshot_generation(s);

    cluster_snapshot_unref(s);
    return generation;
}

/* "n1:4 n2:? /p1@n1": nodes with the CPUs of their one zone, and those of the pods p1..p9. */
static void assert_holds(struct bench *b, const char *want)
{
    struct cluster_snapshot *const s = cluster_get(b->c);
    char got[256] = "", pod[8];
    size_t n = 0;

    for (uint32_t i = 0; i < cluster_snapshot_nodes(s); i++) {
        const struct node_view *const v = cluster_snapshot_node(s, i);

        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s:", n ? " " : "", STR_ARG(v->name));
        n += v->knowledge == NODE_KNOWN
                 ? (size_t)snprintf(got + n, sizeof(got) - n, "%u", v->machine.n_cpus)
                 : (size_t)snprintf(got + n, sizeof(got) - n, "?");
    }
    for (int i = 1; i < 10; i++) {
        (void)snprintf(pod, sizeof(pod), "p%d", i);
        struct cluster_pod room;
        const struct score_pod *const p = cluster_snapshot_pod(s, STR("a"), str_of(pod), &room);

        if (p)
            n += (size_t)snprintf(got + n, sizeof(got) - n, " /%s@%.*s", pod, STR_ARG(p->node));
    }
    cluster_snapshot_unref(s);
    assert_string_equal(got, want);
}

static void fill(struct bench *b)
{
    begin(b, SOURCE_NODE, false);
    put_node(b, "n1", 11, 4);
    put_node(b, "n2", 12, 4);
    end(b, SOURCE_NODE);
    begin(b, SOURCE_NRT, false);
    put_nrt(b, "n1", 13, 4);
    put_nrt(b, "n2", 14, 4);
    end(b, SOURCE_NRT);
    begin(b, SOURCE_POD, false);
    put_pod(b, "p1", 15, "n1");
    put_pod(b, "p2", 16, "n1");
    put_pod(b, "p3", 17, "n2");
    end(b, SOURCE_POD);
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p1@n1 /p2@n1 /p3@n2");
}

static void what_a_list_does_not_name_is_gone(void **state)
{
    struct bench *const b = *state;

    fill(b);
    begin(b, SOURCE_POD, false);
    put_pod(b, "p2", 16, "n1");
    put_pod(b, "p4", 20, "n2");
    (void)settle(b); /* not before its end */
    assert_holds(b, "n1:4 n2:4 /p1@n1 /p2@n1 /p3@n2 /p4@n2");
    end(b, SOURCE_POD);
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p2@n1 /p4@n2");
    begin(b, SOURCE_NRT, false);
    put_nrt(b, "n2", 14, 4);
    end(b, SOURCE_NRT);
    (void)settle(b);
    assert_holds(b, "n1:? n2:4 /p2@n1 /p4@n2"); /* other kinds stay */
    begin(b, SOURCE_NODE, false);
    end(b, SOURCE_NODE);
    (void)settle(b);
    assert_holds(b, " /p2@n1 /p4@n2");
}

static void a_list_that_names_all_again_changes_nothing(void **state)
{
    struct bench *const b = *state;

    fill(b);
    const uint64_t before = settle(b);
    begin(b, SOURCE_NODE, false);
    begin(b, SOURCE_NRT, false);
    begin(b, SOURCE_POD, false);
    put_node(b, "n1", 11, 9); /* not even looked at: the version is known */
    put_node(b, "n2", 12, 4);
    put_nrt(b, "n1", 13, 99);
    put_nrt(b, "n2", 14, 4);
    put_pod(b, "p1", 15, "elsewhere");
    put_pod(b, "p2", 16, "n1");
    put_pod(b, "p3", 17, "n2");
    end(b, SOURCE_NODE);
    end(b, SOURCE_NRT);
    end(b, SOURCE_POD);
    assert_int_equal(settle(b), before);
    assert_holds(b, "n1:4 n2:4 /p1@n1 /p2@n1 /p3@n2");
}

static void a_list_that_was_not_ended_takes_nothing_away(void **state)
{
    struct bench *const b = *state;

    fill(b);
    begin(b, SOURCE_POD, false);
    put_pod(b, "p1", 15, "n1");
    begin(b, SOURCE_POD, false); /* once more */
    put_pod(b, "p1", 15, "n1");
    put_pod(b, "p2", 16, "n1");
    put_pod(b, "p3", 17, "n2");
    end(b, SOURCE_POD);
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p1@n1 /p2@n1 /p3@n2");
}

static void versions_only_rise_unless_a_list_says_again(void **state)
{
    struct bench *const b = *state;

    fill(b);
    put_nrt(b, "n1", 20, 8);
    put_nrt(b, "n1", 19, 6);
    put_pod(b, "p1", 3, "n2");
    put_node(b, "n1", 1, 2);
    (void)settle(b);
    assert_holds(b, "n1:8 n2:4 /p1@n1 /p2@n1 /p3@n2");
    begin(b, SOURCE_NRT, true);
    put_nrt(b, "n1", 5, 6);
    put_nrt(b, "n2", 14, 2); /* the same version need not be the same thing */
    end(b, SOURCE_NRT);
    (void)settle(b);
    assert_holds(b, "n1:6 n2:2 /p1@n1 /p2@n1 /p3@n2");
    put_nrt(b, "n1", 4, 8); /* and from there on they rise again */
    put_pod(b, "p1", 3, "n2");
    (void)settle(b);
    assert_holds(b, "n1:6 n2:2 /p1@n1 /p2@n1 /p3@n2");
}

/* As a directory, or a server whose versions are no numbers. */
static void without_versions_everything_counts(void **state)
{
    struct bench *const b = *state;

    fill(b);
    put_nrt(b, "n1", 0, 8);
    (void)settle(b);
    assert_holds(b, "n1:8 n2:4 /p1@n1 /p2@n1 /p3@n2");
    put_nrt(b, "n1", 2, 6);
    (void)settle(b);
    assert_holds(b, "n1:6 n2:4 /p1@n1 /p2@n1 /p3@n2");
}

/* The status of nodes and pods is written all the time; what counts of it seldom changes. */
static void a_new_version_that_says_the_same_makes_no_snapshot(void **state)
{
    struct bench *const b = *state;

    fill(b);
    const uint64_t before = settle(b);
    put_node(b, "n1", 30, 4);
    put_pod(b, "p1", 32, "n1");
    assert_int_equal(settle(b), before);
    put_node(b, "n1", 40, 5);
    assert_int_equal(settle(b), before + 1);
    put_pod(b, "p1", 41, "n2");
    assert_int_equal(settle(b), before + 2);
    assert_holds(b, "n1:4 n2:4 /p1@n2 /p2@n1 /p3@n2");
}

static void put_ready(struct bench *b, uint64_t version, const char *ready)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'a','name':'p1','resourceVersion':'%d'},'spec':{"
                   "'nodeName':'n1','containers':[{'name':'c'}]},'status':{'conditions':[{'type':"
                   "'Ready','status':'%s'}]}}",
                   (int)version, ready);
    assert_int_equal(put(b, SOURCE_POD, "p1", version, text), 0);
}

static bool is_ready(struct bench *b)
{
    struct cluster_snapshot *const s = cluster_get(b->c);
    struct cluster_pod room;
    const bool ready =
        cluster_snapshot_pod(s, STR("a"), STR("p1"), &room)->traits & (uint32_t)POD_READY;

    cluster_snapshot_unref(s);
    return ready;
}

/* Whoever would end pods wants to know; nothing is built again for it. */
static void what_no_node_asks_for_makes_no_view(void **state)
{
    struct bench *const b = *state;

    fill(b);
    struct cluster_snapshot *const before = cluster_get(b->c);
    for (uint64_t version = 30; version < 33; version++) {
        put_ready(b, version, version % 2 ? "False" : "True");
        (void)settle(b);
        assert_int_equal(is_ready(b), version % 2 == 0);
    }
    struct cluster_snapshot *const now = cluster_get(b->c);
    assert_ptr_equal(cluster_snapshot_node(now, 0), cluster_snapshot_node(before, 0));
    cluster_snapshot_unref(before);
    cluster_snapshot_unref(now);
    put_pod(b, "p1", 40, "n2"); /* its old node lets go of what it has by now */
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p1@n2 /p2@n1 /p3@n2");
}

static void what_does_not_decode_is_there_all_the_same(void **state)
{
    struct bench *const b = *state;

    fill(b);
    begin(b, SOURCE_POD, false);
    assert_int_equal(put(b, SOURCE_POD, "p1", 50, "{'metadata':{'name':5}}"), -EINVAL);
    end(b, SOURCE_POD);
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p1@n1");
    begin(b, SOURCE_POD, false); /* its last good version has not become the one that is broken */
    put_pod(b, "p1", 50, "n2");
    end(b, SOURCE_POD);
    (void)settle(b);
    assert_holds(b, "n1:4 n2:4 /p1@n2");
}

static void put_signal(struct bench *b, const char *name, int value)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'spec':{'kind':'computeUtilization','unit':"
                   "'permille','ttlSeconds':86400,'nodes':{'n1':{'value':%d}}}}",
                   name, value);
    assert_int_equal(put(b, SOURCE_SIGNAL, name, 0, text), 0);
}

static int utilization(struct bench *b)
{
    (void)settle(b);
    struct cluster_snapshot *const s = cluster_get(b->c);
    const struct node_load *const l = &cluster_snapshot_find(s, STR("n1"))->load;
    const int v = l->has_utilization ? (int)l->utilization : -1;

    cluster_snapshot_unref(s);
    return v;
}

static void what_no_list_names_is_not_gone_for_that(void **state)
{
    struct bench *const b = *state;

    fill(b);
    put_signal(b, "ours:busy", 300); /* a name that no object can have */
    begin(b, SOURCE_SIGNAL, false);
    put_signal(b, "listed", 500);
    end(b, SOURCE_SIGNAL);
    assert_int_equal(utilization(b), 500);
    begin(b, SOURCE_SIGNAL, false);
    put_signal(b, "ours:busy", 400); /* while it is under way */
    end(b, SOURCE_SIGNAL);
    assert_int_equal(utilization(b), 400);
    begin(b, SOURCE_SIGNAL, true);
    end(b, SOURCE_SIGNAL);
    assert_int_equal(utilization(b), 400);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_a_list_does_not_name_is_gone),
        T(a_list_that_names_all_again_changes_nothing),
        T(a_list_that_was_not_ended_takes_nothing_away),
        T(versions_only_rise_unless_a_list_says_again),
        T(without_versions_everything_counts),
        T(a_new_version_that_says_the_same_makes_no_snapshot),
        T(what_no_node_asks_for_makes_no_view),
        T(what_does_not_decode_is_there_all_the_same),
        T(what_no_list_names_is_not_gone_for_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
