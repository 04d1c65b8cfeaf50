/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/budget.h"
#include "tests/support/cluster_bench.h"

/* Files are JSON with ' for ", which is YAML, too. */

#define NODE(name) "{'apiVersion':'v1','kind':'Node','metadata':{'name':'" name "'}}\n"
#define NRT_META(name, cpus, meta)                                                                 \
    "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology','metadata':"      \
    "{'name':'" name "'" meta "},'zones':[{'name':'node-0','resources':[{'name':'cpu',"            \
    "'capacity':'" cpus "'}]}]}\n"
#define NRT(name, cpus) NRT_META(name, cpus, "")
#define DELETED(name, cpus)                                                                        \
    NRT_META(name, cpus, ",'annotations':{'numawise.gokore.io/deleted':'true'}")
#define NEXT "---\n"

static int setup(void **state)
{
    *state = cluster_bench_new();
    return 0;
}

static int teardown(void **state)
{
    cluster_bench_free(*state);
    return 0;
}

struct want {
    const char *node;
    int cpus;
};

static bool has_cpus(struct cluster_bench *b, void *ctx)
{
    const struct want *const w = ctx;

    return cluster_bench_cpus(b, w->node) == w->cpus;
}

static void assert_becomes(struct cluster_bench *b, const char *node, int cpus)
{
    struct want w = {node, cpus};

    if (!cluster_bench_wait(b, has_cpus, &w))
        fail_msg("%s has %d CPUs, not %d; problems:\n%s", node, cluster_bench_cpus(b, node), cpus,
                 b->problems.p ? b->problems.p : "");
}

static bool has_settled(struct cluster_bench *b, void *ctx)
{
    return b->settled >= *(const uint64_t *)ctx;
}

/* The next batch is through. */
static void assert_settles(struct cluster_bench *b)
{
    uint64_t want = b->settled + 1;

    assert_true(cluster_bench_wait(b, has_settled, &want));
}

static void assert_said(const struct cluster_bench *b, const char *words)
{
    if (!b->problems.p || !strstr(b->problems.p, words))
        fail_msg("nobody says \"%s\" in:\n%s", words, b->problems.p ? b->problems.p : "");
}

/* --- reading once --- */

static void every_depth_suffix_document_and_list_is_read(void **state)
{
    struct cluster_bench *const b = *state;
    struct directory_stats stats;

    cluster_bench_write(b, "a.yaml",
                        NODE("n1") NEXT NRT("n1", "4") NEXT
                        "{'apiVersion':'v1','kind':'Service','metadata':{'name':'s'}}\n");
    cluster_bench_write(b, "x/y/z/b.yml", NODE("n2"));
    cluster_bench_write(
        b, "x/c.json",
        "{'apiVersion':'v1','kind':'List','items':[" NRT("n2", "6") "," NODE("n3") "]}");
    cluster_bench_write(b, "x/readme.txt", NODE("n4"));
    cluster_bench_write(b, ".hidden.yaml", NODE("n4"));
    cluster_bench_write(b, "a.yaml~", NODE("n4"));
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    assert_int_equal(cluster_bench_cpus(b, "n2"), 6);
    assert_int_equal(cluster_bench_cpus(b, "n3"), 0);
    assert_int_equal(cluster_bench_cpus(b, "n4"), -1);
    directory_stats(b->directory, &stats);
    assert_int_equal(stats.files, 3);
    assert_int_equal(stats.objects, 5);
    assert_int_equal(stats.skipped, 1);
    assert_int_equal(stats.problems, 0);
}

static void a_directory_that_cannot_be_read_is_an_error(void **state)
{
    struct cluster_bench *const b = *state;
    struct directory *d = NULL;
    struct source_sink sink = cluster_sink(b->cluster);
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/none", b->root);
    assert_int_equal(directory_open(&d, path, NULL, &sink, NULL, NULL, NULL), -ENOENT);
    cluster_bench_write(b, "file", "");
    (void)snprintf(path, sizeof(path), "%s/file", b->root);
    assert_int_equal(directory_open(&d, path, NULL, &sink, NULL, NULL, NULL), -ENOTDIR);
    assert_null(d);
}

static void of_an_object_given_twice_the_first_path_wins_and_it_is_said(void **state)
{
    struct cluster_bench *const b = *state;
    struct directory_stats stats;

    cluster_bench_write(b, "z.yaml", NRT("n1", "9"));
    cluster_bench_write(b, "a/z.yaml", NODE("n1") NEXT NRT("n1", "4") NEXT NRT("n1", "7"));
    cluster_bench_write(b, "b.yaml", NRT("n1", "8"));
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    assert_said(b, "/b.yaml:1:1: NodeResourceTopology n1 is also in a/z.yaml, which wins");
    assert_said(b, "/z.yaml:1:1: NodeResourceTopology n1 is also in a/z.yaml, which wins");
    assert_said(b, "/a/z.yaml:5:1: NodeResourceTopology n1 is also in line 3, which wins");
    cluster_bench_remove(b, "a/z.yaml");
    assert_becomes(b, "n1", -1); /* the Node is gone */
    cluster_bench_write(b, "y.yaml", NODE("n1"));
    assert_becomes(b, "n1", 8); /* and b.yaml took over */
    cluster_bench_remove(b, "b.yaml");
    assert_becomes(b, "n1", 9);
    directory_stats(b->directory, &stats);
    assert_int_equal(stats.files, 2); /* y.yaml and z.yaml */
}

static void what_is_below_numawise_overrides_and_removes(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_write(b, "a.yaml",
                        NODE("n1") NEXT NRT("n1", "4") NEXT NODE("n2")
                            NEXT DELETED("n2", "5")); /* an annotation elsewhere means nothing */
    cluster_bench_write(b, "numawise/noderesourcetopologies/_n1.yaml", NRT("n1", "8"));
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 8);
    assert_int_equal(cluster_bench_cpus(b, "n2"), 5);
    assert_int_equal(b->problems.n, 0);
    cluster_bench_replace(b, "numawise/noderesourcetopologies/_n1.yaml", DELETED("n1", "8"));
    assert_becomes(b, "n1", 0);
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "3"));
    assert_becomes(b, "n2", -1);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 0); /* still removed */
    cluster_bench_remove(b, "numawise/noderesourcetopologies/_n1.yaml");
    assert_becomes(b, "n1", 3);
}

static void a_broken_object_is_told_with_its_place_and_the_rest_works(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_write(b, "a.yaml",
                        NODE("n1") NEXT "apiVersion: topology.node.k8s.io/v1alpha2\n"
                                        "kind: NodeResourceTopology\nmetadata:\n  name: n1\n"
                                        "zones:\n- name: node-0\n  resources:\n"
                                        "  - name: cpu\n    capacity: many\n" NEXT NODE("n2"));
    cluster_bench_write(b, "b.json", "{'kind':");
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 0);
    assert_int_equal(cluster_bench_cpus(b, "n2"), 0);
    assert_said(b, "/a.yaml:11:15: zones[0].resources[0].capacity");
    assert_said(b, "/b.json:1:");
}

/* --- following --- */

static void files_that_come_change_and_go_are_followed(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_follow(b);
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "4"));
    assert_becomes(b, "n1", 4);
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "5"));
    assert_becomes(b, "n1", 5);
    cluster_bench_replace(b, "a.yaml", NODE("n1") NEXT NRT("n1", "6"));
    assert_becomes(b, "n1", 6);
    cluster_bench_write(b, "a.yaml", NODE("n1"));
    assert_becomes(b, "n1", 0);
    cluster_bench_remove(b, "a.yaml");
    assert_becomes(b, "n1", -1);
}

/* -1: nobody knows any budget; else what all of them allow, and a hundred for each. */
static int budgets_now(struct cluster_bench *b)
{
    struct cluster_snapshot *const s = cluster_get(b->cluster);
    uint32_t n;
    const struct kube_budget *const *const budgets = cluster_snapshot_budgets(s, &n);
    int sum = budgets ? (int)n * 100 : -1;

    for (uint32_t i = 0; i < n; i++)
        sum += (int)budgets[i]->allowed;
    cluster_snapshot_unref(s);
    return sum;
}

static bool has_budgets(struct cluster_bench *b, void *ctx)
{
    return budgets_now(b) == *(const int *)ctx;
}

static void assert_budgets(struct cluster_bench *b, int want)
{
    if (!cluster_bench_wait(b, has_budgets, &want))
        fail_msg("%d, not %d; problems:\n%s", budgets_now(b), want,
                 b->problems.p ? b->problems.p : "");
}

#define BUDGET(ns, name, allowed)                                                                  \
    "{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'" name             \
    "','namespace':'" ns "'},'spec':{'selector':{'matchLabels':{'a':'b'}}},'status':{"             \
    "'disruptionsAllowed':" allowed "}}\n"

/* One of its namespace each, though of one name. */
static void budgets_are_followed(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_write(b, "a.yaml", NODE("n1"));
    cluster_bench_follow(b);
    assert_int_equal(budgets_now(b), -1);
    cluster_bench_write(b, "b.yaml", BUDGET("x", "web", "1") NEXT BUDGET("y", "web", "2"));
    assert_budgets(b, 203);
    cluster_bench_write(b, "b.yaml", BUDGET("x", "web", "7") NEXT BUDGET("y", "web", "2"));
    assert_budgets(b, 209);
    cluster_bench_write(b, "c.yaml", BUDGET("y", "web", "50")); /* the first path wins */
    cluster_bench_write(b, "b.yaml", BUDGET("y", "web", "2"));
    assert_budgets(b, 102);
    cluster_bench_remove(b, "b.yaml");
    assert_budgets(b, 150);
    cluster_bench_write(b, "c.yaml", BUDGET("y", "web", "'many'")); /* its last good state stays */
    assert_settles(b);
    assert_int_equal(budgets_now(b), 150);
    cluster_bench_remove(b, "c.yaml");
    assert_budgets(b, 0); /* known: there is none */
}

static void new_directories_are_followed_with_what_they_hold(void **state)
{
    struct cluster_bench *const b = *state;
    char from[128], to[128];

    cluster_bench_follow(b);
    cluster_bench_write(b, "x/y/a.yaml", NODE("n1"));
    assert_becomes(b, "n1", 0);
    cluster_bench_write(b, "x/y/b.yaml", NRT("n1", "4"));
    assert_becomes(b, "n1", 4);
    (void)snprintf(from, sizeof(from), "%s/x", b->root);
    (void)snprintf(to, sizeof(to), "%s/w", b->root);
    assert_int_equal(rename(from, to), 0);
    assert_settles(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    cluster_bench_write(b, "w/y/b.yaml", NRT("n1", "5"));
    assert_becomes(b, "n1", 5);
    (void)snprintf(from, sizeof(from), "%s/.away", b->root);
    assert_int_equal(rename(to, from), 0);
    assert_becomes(b, "n1", -1);
}

static void only_what_changed_is_delivered(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NODE("n2") NEXT NRT("n2", "4"));
    cluster_bench_follow(b);
    assert_int_equal(b->upserts, 3);
    cluster_bench_write(b, "a.yaml",
                        "# a comment\n" NODE("n1") NEXT NODE("n2") NEXT NRT("n2", "5"));
    assert_becomes(b, "n2", 5);
    assert_int_equal(b->upserts, 4);
    cluster_bench_write(b, "b.yaml", NODE("n1") NEXT NODE("n2")); /* says the same, and loses */
    assert_settles(b);
    assert_int_equal(b->upserts, 4);
    cluster_bench_remove(b, "a.yaml"); /* b.yaml takes over with the same text */
    assert_becomes(b, "n2", 0);
    assert_int_equal(b->upserts, 4);
    assert_int_equal(b->deletes, 1);
}

static void a_file_that_breaks_keeps_its_last_good_objects(void **state)
{
    struct cluster_bench *const b = *state;

    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "4"));
    cluster_bench_write(b, "b.yaml", NRT("n1", "9"));
    cluster_bench_follow(b);
    cluster_bench_write(b, "a.yaml", "{'kind': [\n");
    assert_settles(b);
    assert_said(b, "/a.yaml:");
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "many"));
    assert_settles(b);
    assert_said(b, "zones[0].resources[0].capacity");
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "5"));
    assert_becomes(b, "n1", 5);
    cluster_bench_write(b, "a.yaml", "{'kind': [\n");
    assert_settles(b);
    cluster_bench_remove(b, "a.yaml");
    cluster_bench_write(b, "c.yaml", NODE("n1"));
    assert_becomes(b, "n1", 9);
}

/* ROOT/a.yaml -> ..data/a.yaml, ..data -> ..1: as a ConfigMap is mounted. */
static void a_configmap_that_is_swapped_is_followed(void **state)
{
    struct cluster_bench *const b = *state;
    char data[128], fresh[128], link[128];

    (void)snprintf(data, sizeof(data), "%s/..data", b->root);
    (void)snprintf(fresh, sizeof(fresh), "%s/..data_tmp", b->root);
    (void)snprintf(link, sizeof(link), "%s/a.yaml", b->root);
    cluster_bench_write(b, "..1/a.yaml", NODE("n1") NEXT NRT("n1", "4"));
    assert_int_equal(symlink("..1", data), 0);
    assert_int_equal(symlink("..data/a.yaml", link), 0);
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 4);
    cluster_bench_write(b, "..2/a.yaml", NODE("n1") NEXT NRT("n1", "5"));
    assert_int_equal(symlink("..2", fresh), 0);
    assert_int_equal(rename(fresh, data), 0);
    assert_becomes(b, "n1", 5);
}

static void links_in_a_circle_end(void **state)
{
    struct cluster_bench *const b = *state;
    char path[128];

    cluster_bench_write(b, "x/a.yaml", NODE("n1"));
    (void)snprintf(path, sizeof(path), "%s/x/up", b->root);
    assert_int_equal(symlink("..", path), 0);
    (void)snprintf(path, sizeof(path), "%s/self.yaml", b->root);
    assert_int_equal(symlink("self.yaml", path), 0);
    cluster_bench_follow(b);
    assert_int_equal(cluster_bench_cpus(b, "n1"), 0);
}

static void a_storm_of_changes_makes_few_snapshots(void **state)
{
    struct cluster_bench *const b = *state;
    uint64_t before;

    cluster_bench_follow(b);
    before = b->settled;
    const uint64_t start = clock_monotonic_ns();
    for (int i = 0; i < 2000; i++) {
        char path[32], text[128];

        (void)snprintf(path, sizeof(path), "d%d/n%d.yaml", i % 10, i);
        (void)snprintf(text, sizeof(text),
                       "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n%d'}}\n", i);
        cluster_bench_write(b, path, text);
        if (i % 10 == 0)
            (void)event_base_loop(b->base, EVLOOP_NONBLOCK);
    }
    for (int i = 0; i < 2000; i += 7) {
        char name[16];

        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_becomes(b, name, 0);
    }
    assert_becomes(b, "n1999", 0);
    const uint64_t ms = (clock_monotonic_ns() - start) / 1000000;
    assert_int_equal(b->upserts, 2000); /* each once */
    /* no batch ends earlier than 50 ms after its first change */
    assert_in_range(b->settled - before, 1, 2 + ms / 50);
}

/* More notices than the kernel keeps: it says so, and the directory is compared as a whole. */
static void a_queue_that_ran_over_loses_nothing(void **state)
{
    struct cluster_bench *const b = *state;
    FILE *const f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    char path[2][128];
    int most = 0;

    if (f) {
        if (fscanf(f, "%d", &most) != 1)
            most = 0;
        (void)fclose(f);
    }
    if (most == 0 || most > 20000)
        skip();
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "4"));
    cluster_bench_write(b, "b.yaml", NODE("n2"));
    cluster_bench_follow(b);
    (void)snprintf(path[0], sizeof(path[0]), "%s/a.yaml", b->root);
    (void)snprintf(path[1], sizeof(path[1]), "%s/b.yaml", b->root);
    for (int i = 0; i < most + 100; i++) /* equal neighbours would be one notice */
        assert_int_equal(chmod(path[i % 2], 0644), 0);
    cluster_bench_write(b, "z.yaml", NODE("n3")); /* its notices are lost */
    cluster_bench_write(b, "a.yaml", NODE("n1") NEXT NRT("n1", "5"));
    assert_becomes(b, "n3", 0);
    assert_becomes(b, "n1", 5);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_depth_suffix_document_and_list_is_read),
        T(a_directory_that_cannot_be_read_is_an_error),
        T(of_an_object_given_twice_the_first_path_wins_and_it_is_said),
        T(what_is_below_numawise_overrides_and_removes),
        T(a_broken_object_is_told_with_its_place_and_the_rest_works),
        T(files_that_come_change_and_go_are_followed),
        T(budgets_are_followed),
        T(new_directories_are_followed_with_what_they_hold),
        T(only_what_changed_is_delivered),
        T(a_file_that_breaks_keeps_its_last_good_objects),
        T(a_configmap_that_is_swapped_is_followed),
        T(links_in_a_circle_end),
        T(a_storm_of_changes_makes_few_snapshots),
        T(a_queue_that_ran_over_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
