/* SPDX-License-Identifier: Apache-2.0 */
/* `explain --bundle` and `--replay`: what is written gives the same bytes again. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/data.h"
#include "tests/support/server.h"

static char work[] = "/tmp/test_bundle.XXXXXX";
static char cluster[TEST_PATH_BYTES];

static void path_of(char out[TEST_PATH_BYTES], const char *name)
{
    assert_in_range(snprintf(out, TEST_PATH_BYTES, "%s/%s", work, name), 1, TEST_PATH_BYTES - 1);
}

static void put(const char *name, const char *text)
{
    char path[TEST_PATH_BYTES];

    path_of(path, name);
    test_write(path, str_of(text));
}

/* The example, with what a directory may have besides: overrides, odd names, what is broken. */
static int start(void **state)
{
    char path[TEST_PATH_BYTES];

    assert_non_null(mkdtemp(work));
    path_of(cluster, "cluster");
    assert_int_equal(mkdir(cluster, 0777), 0);
    test_copy_tree(TEST_EXAMPLES "/cluster", cluster);
    path_of(path, "cluster/numawise");
    assert_int_equal(mkdir(path, 0777), 0);
    put("cluster/a.yaml",
        "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: two, namespace: ml}\n"
        "spec: {template: {spec: {containers: [{name: c, resources: {limits: {cpu: 2, memory: "
        "1Gi}}}]}}}\n---\n"
        "kind: Job\napiVersion: batch/v1\nmetadata: {name: two, namespace: ml}\n"
        "spec: {template: {spec: {containers: [{name: c, resources: {limits: {cpu: 60, memory: "
        "1Gi}}}]}}}\n---\n"
        "kind: Pod\napiVersion: v1\nmetadata: {name: 'odd/na_me', namespace: ml}\n"
        "spec: {nodeName: cpu-1, containers: [{name: c, resources: {limits: {cpu: 1, memory: "
        "1Gi}}}]}\n---\n"
        "kind: Pod\napiVersion: v1\nmetadata: {name: gone, namespace: ml}\n"
        "spec: {nodeName: cpu-1, containers: [{name: c, resources: {limits: {cpu: 8, memory: "
        "1Gi}}}]}\n---\n"
        "kind: Secret\napiVersion: v1\nmetadata: {name: s, namespace: ml}\n"
        "stringData: {password: hunter2}\n---\n"
        "kind: Pod\napiVersion: v1\nmetadata: {name: broken}\nspec: {containers: 7}\n");
    put("cluster/numawise/gone.yaml",
        "kind: Pod\napiVersion: v1\nmetadata: {name: gone, namespace: ml, annotations: "
        "{numawise.gokore.io/deleted: 'true'}}\n");
    return 0;
}

static int stop(void **state)
{
    test_remove_tree(work);
    return 0;
}

#define EXPECT(code, in_stderr, out, ...)                                                          \
    test_run_expect((const char *const[]){"numawise", "explain", __VA_ARGS__, NULL}, code,         \
                    in_stderr, out)

static void same(const struct buf *a, const struct buf *b)
{
    assert_true(a->n > 0);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->p, b->p, a->n);
}

/* Both forms, of what was decided just now and of the bundle. */
static void replays(const char *name, int code, const char *const *ask)
{
    char dir[TEST_PATH_BYTES];
    const char *args[16] = {"numawise", "explain"};
    size_t n = 2;
    struct buf first = {0}, again = {0}, table = {0}, table_again = {0};

    path_of(dir, name);
    while (*ask)
        args[n++] = *ask++;
    args[n++] = "--cluster", args[n++] = cluster;
    test_run_expect(args, code, "", &table);
    args[n++] = "-o", args[n++] = "json", args[n++] = "--bundle", args[n++] = dir;
    test_run_expect(args, code, "", &first);
    EXPECT(code, "", &again, "--replay", dir, "-o", "json");
    same(&first, &again);
    EXPECT(code, "", &table_again, "--replay", dir);
    same(&table, &table_again);
    buf_free(&first);
    buf_free(&again);
    buf_free(&table);
    buf_free(&table_again);
}

#define REPLAYS(name, code, ...) replays(name, code, (const char *const[]){__VA_ARGS__, NULL})

static void the_same_bytes_come_again(void **state)
{
    REPLAYS("pending", 0, "-f", TEST_EXAMPLES "/workloads/train.yaml");
    REPLAYS("several", 0, "-f", TEST_EXAMPLES "/workloads/web.yaml", "-n", "ml");
    REPLAYS("running", 0, "ml/odd/na_me");
    REPLAYS("deployment", 0, "two", "-n", "ml");
}

static bool is_there(const char *name)
{
    char path[TEST_PATH_BYTES];

    path_of(path, name);
    return access(path, F_OK) == 0;
}

/* What counts is in it, and nothing else. */
static void objects_are_those_that_counted(void **state)
{
    static const char *const kept[] = {
        "all/cluster/Deployment/ml_two.json", "all/cluster/Job/ml_two.json",
        "all/cluster/Pod/ml_odd%2Fna%5Fme.json", "all/cluster/Node/_cpu-1.json",
        "all/cluster/NodeResourceTopology/_cpu-1.json"};
    static const char *const left_out[] = {"all/cluster/Secret", "all/cluster/Pod/ml_gone.json",
                                           "all/cluster/Pod/default_broken.json"};
    char dir[TEST_PATH_BYTES], path[TEST_PATH_BYTES];
    struct buf text = {0}, node = {0};

    path_of(dir, "all");
    EXPECT(0, "a.yaml:29:20: spec.containers", NULL, "ml/two", "--cluster", cluster, "--bundle",
           dir);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (!is_there(kept[i]))
            fail_msg("%s is not there", kept[i]);
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        if (is_there(left_out[i]))
            fail_msg("%s is there", left_out[i]);
    path_of(path, "all/request.json");
    assert_int_equal(test_file_read(path, &text), 0);
    assert_non_null(strstr(text.p, "\"Deployment\""));
    assert_null(strstr(text.p, "\"Job\""));
    buf_free(&text);
    EXPECT(0, "", &node, "--replay", dir, "--node", "gpu-1", "-o", "json");
    assert_null(strstr(node.p, "\"cpu-1\""));
    buf_free(&node);
}

/* An hour later everything is too old; the bundle's clock stands still, and is what counts. */
static void its_clock_is_the_one_that_counts(void **state)
{
    char dir[TEST_PATH_BYTES], text[1024], now[32];
    struct buf first = {0}, again = {0}, later = {0};

    clock_format_rfc3339(now, clock_realtime_us() - 1000000);
    (void)snprintf(text, sizeof(text),
                   "kind: Node\napiVersion: v1\nmetadata: {name: new}\n"
                   "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 9}}\n---\n"
                   "kind: NodeResourceTopology\napiVersion: topology.node.k8s.io/v1alpha2\n"
                   "metadata: {name: new}\n"
                   "attributes: [{name: orchestration.gokore.io/observed-at, value: '%s'}]\n"
                   "zones: [{name: node-0, type: Node, resources: [{name: cpu, capacity: 4, "
                   "allocatable: 4, available: 4}]}]\n",
                   now);
    put("cluster/new.yaml", text);
    path_of(dir, "clock-test");
    EXPECT(0, "", &first, "-f", TEST_EXAMPLES "/workloads/web.yaml", "--cluster", cluster, "-o",
           "json", "--node", "new", "--bundle", dir);
    assert_non_null(strstr(first.p, "\"Admitted\""));
    assert_true(is_there("clock-test/cluster/Node/_new.json"));
    path_of(text, "cluster/new.yaml");
    assert_int_equal(unlink(text), 0);
    EXPECT(0, "", &again, "--replay", dir, "--node", "new", "-o", "json");
    same(&first, &again);
    put("clock-test/clock", "2096-01-01T00:00:00Z\n");
    EXPECT(1, "", &later, "--replay", dir, "--node", "new", "-o", "json");
    assert_non_null(strstr(later.p, "\"StaleTopology\""));
    put("clock-test/clock", "yesterday\n");
    EXPECT(3, "clock-test/clock: not a moment", NULL, "--replay", dir);
    buf_free(&first);
    buf_free(&again);
    buf_free(&later);
}

/* The settings of that time, whatever those of now are. */
static void its_settings_are_those_that_count(void **state)
{
    char dir[TEST_PATH_BYTES], config[TEST_PATH_BYTES];
    struct buf first = {0}, again = {0}, usual = {0};

    path_of(dir, "settings");
    path_of(config, "config.yaml");
    put("config.yaml", "apiVersion: numawise.config.gokore.io/v1alpha1\n"
                       "kind: NumawiseConfiguration\nextender: {maxScore: 100, mode: Shadow}\n"
                       "topology: {maxAge: 1h30m}\n");
    EXPECT(0, "", &first, "-f", TEST_EXAMPLES "/workloads/train.yaml", "--cluster", cluster,
           "--config", config, "-o", "json", "--bundle", dir);
    EXPECT(0, "", &usual, "-f", TEST_EXAMPLES "/workloads/train.yaml", "--cluster", cluster, "-o",
           "json");
    assert_string_not_equal(first.p, usual.p);
    assert_int_equal(setenv("NUMAWISE_EXTENDER_MAXSCORE", "7", 1), 0);
    EXPECT(0, "", &again, "--replay", dir, "-o", "json");
    assert_int_equal(unsetenv("NUMAWISE_EXTENDER_MAXSCORE"), 0);
    same(&first, &again);
    buf_free(&first);
    buf_free(&again);
    buf_free(&usual);
}

static void a_place_that_is_taken_is_refused_and_nothing_is_left_behind(void **state)
{
    char dir[TEST_PATH_BYTES], path[TEST_PATH_BYTES];
    struct buf text = {0};

    path_of(dir, "taken");
    assert_int_equal(mkdir(dir, 0777), 0);
    put("taken/mine", "mine");
    const unsigned before = test_entries(work);
    EXPECT(2, "taken is not empty", NULL, "ml/two", "--cluster", cluster, "--bundle", dir);
    path_of(path, "taken/mine");
    EXPECT(3, "taken/mine: Not a directory", NULL, "ml/two", "--cluster", cluster, "--bundle",
           path);
    assert_int_equal(test_entries(dir), 3);
    assert_int_equal(test_file_read(path, &text), 0);
    assert_string_equal(text.p, "mine");
    path_of(path, "no/such/place");
    EXPECT(3, "No such file", NULL, "ml/two", "--cluster", cluster, "--bundle", path);
    path_of(path, "fresh");
    EXPECT(3, "no pod or workload", NULL, "ml/nope", "--cluster", cluster, "--bundle", path);
    EXPECT(3, "no node", NULL, "ml/two", "--cluster", cluster, "--node", "x", "--bundle", path);
    assert_int_equal(test_entries(work), before);
    assert_int_equal(mkdir(path, 0700), 0);
    EXPECT(0, "", NULL, "ml/two", "--cluster", cluster, "--bundle", path);
    EXPECT(0, "", NULL, "--replay", path);
    buf_free(&text);
}

static void flags_that_do_not_go_together_are_usage(void **state)
{
    EXPECT(2, "POD and --replay", NULL, "p", "--replay", "d");
    EXPECT(2, "-f and --replay", NULL, "-f", "x", "--replay", "d");
    EXPECT(2, "--cluster and --replay", NULL, "--cluster", "x", "--replay", "d");
    EXPECT(2, "--config and --replay", NULL, "--config", "x", "--replay", "d");
    EXPECT(2, "-n and --replay", NULL, "-n", "x", "--replay", "d");
    EXPECT(2, "--server and --replay", NULL, "--server", "x", "--replay", "d");
    EXPECT(2, "--bundle and --replay", NULL, "--bundle", "x", "--replay", "d");
    EXPECT(3, "No such file", NULL, "--replay", "d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_come_again),
        cmocka_unit_test(objects_are_those_that_counted),
        cmocka_unit_test(its_clock_is_the_one_that_counts),
        cmocka_unit_test(its_settings_are_those_that_count),
        cmocka_unit_test(a_place_that_is_taken_is_refused_and_nothing_is_left_behind),
        cmocka_unit_test(flags_that_do_not_go_together_are_usage),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
