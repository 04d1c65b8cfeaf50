/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise simulate` over the example cluster: what it says, what it refuses, and that it fits. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

#define CLUSTER   TEST_EXAMPLES "/cluster"
#define WORKLOADS TEST_EXAMPLES "/workloads"

enum { MOST_ARGS = 32 };

static struct buf out, err;
static char dir[] = "/tmp/numawise-simulate-XXXXXX";

/* The words after the fixed ones, NULL-terminated. */
static int run(const char *const *words)
{
    const char *args[MOST_ARGS] = {"numawise", "simulate", "--cluster", CLUSTER};
    size_t n = 4;

    for (; *words; words++) {
        assert_true(n + 1 < MOST_ARGS);
        args[n++] = *words;
    }
    buf_free(&out);
    buf_free(&err);
    buf_text(&out, "");
    buf_text(&err, "");
    return test_run(args, &out, &err);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static json_t *run_json(const char *const *words, int code)
{
    json_error_t why;
    const int rc = run(words);

    if (rc != code)
        fail_msg("ended with %d: %s", rc, err.p);
    json_t *const said = json_loads(out.p, 0, &why);
    if (!said)
        fail_msg("line %d: %s", why.line, why.text);
    json_t *const schema = schema_read("simulate.schema.json");
    schema_expect(said, schema);
    json_decref(schema);
    return said;
}

static json_int_t number(json_t *said, size_t i, const char *key)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(said, "runs"), i), key));
}

static json_t *workload(json_t *said, size_t i, const char *name)
{
    json_t *const run_i = json_array_get(json_object_get(said, "runs"), i);
    size_t k;
    json_t *w;

    json_array_foreach(json_object_get(run_i, "workloads"), k, w)
    {
        if (strcmp(json_string_value(json_object_get(w, "name")), name) == 0)
            return w;
    }
    fail_msg("no workload %s", name);
    return NULL;
}

static json_int_t of(json_t *w, const char *key)
{
    return json_integer_value(json_object_get(w, key));
}

/* --- what it says --- */

/* Of every run: who arrived was placed or not, the parts add up to the whole. */
static void assert_adds_up(json_t *said)
{
    json_t *r, *w, *zones, *reasons, *reason;
    const json_int_t pods = of(said, "pods");
    const char *key;
    size_t i, k;

    json_array_foreach(json_object_get(said, "runs"), i, r)
    {
        json_int_t arrived = 0, placed = 0, refusals = 0, sum = 0, by_reason = 0;

        json_array_foreach(json_object_get(r, "workloads"), k, w)
        {
            arrived += of(w, "arrived");
            placed += of(w, "placed");
            refusals += of(w, "refusals");
        }
        json_array_foreach(json_object_get(r, "podsByZones"), k, zones) sum +=
            json_integer_value(zones);
        reasons = json_object_get(r, "refusalsByReason");
        json_object_foreach(reasons, key, reason) by_reason += json_integer_value(reason);
        json_t *const course = json_object_get(r, "course");
        json_t *const last = json_array_get(course, json_array_size(course) - 1);
        assert_int_equal(arrived, pods);
        assert_int_equal(placed, of(r, "placed"));
        assert_int_equal(sum, placed);
        assert_int_equal(pods, placed + of(r, "pending") + of(r, "givenUp"));
        assert_int_equal(refusals, of(r, "refusals"));
        assert_int_equal(by_reason, refusals);
        assert_int_equal(of(last, "arrived"), pods);
        assert_int_equal(of(last, "running"), placed - of(r, "ended"));
        assert_int_equal(of(last, "refusals"), refusals);
        assert_int_equal(of(last, "unplaced"), of(r, "pending") + of(r, "givenUp"));
        assert_int_equal(of(last, "brokenCpusPermille"),
                         of(json_object_get(r, "brokenCpusPermille"), "after"));
    }
}

/*
 * By README.md: cpu-1 has 26 + 28 free CPUs, enough for 30 by sum, and its kubelet refuses them.
 * It is the only one whom kube-scheduler may choose here; with numawise the pod stays pending.
 */
static void one_pod_on_one_node_goes_as_explain_says(void **state)
{
    json_t *const said = run_json(
        WORDS("-f", WORKLOADS "/latency.yaml", "--nodes", "1", "-o", "json", "--tries", "4"), 1);

    assert_int_equal(of(said, "pods"), 1);
    assert_int_equal(number(said, 0, "nodes"), 1);
    assert_int_equal(number(said, 0, "refusals"), 4);
    assert_int_equal(number(said, 0, "givenUp"), 1);
    assert_int_equal(number(said, 1, "refusals"), 0);
    assert_int_equal(number(said, 1, "pending"), 1);
    assert_int_equal(of(said, "refusalsAvoided"), 4);
    json_decref(said);
}

/* A kubelet of another policy takes it, spread over both zones, 21 apart or local: 1 pod. */
static void a_setting_of_a_kubelet_changes_what_it_does(void **state)
{
    json_t *const said =
        run_json(WORDS("-f", WORKLOADS "/latency.yaml", "--nodes", "1", "--compare", "--set",
                       "node/cpu-1.topologyManagerPolicy=best-effort", "-o", "json"),
                 0);

    assert_int_equal(json_array_size(json_object_get(said, "runs")), 4);
    assert_int_equal(number(said, 0, "placed"), 0);
    assert_int_equal(number(said, 1, "placed"), 0);
    for (size_t i = 2; i < 4; i++) {
        assert_int_equal(number(said, i, "placed"), 1);
        assert_int_equal(number(said, i, "refusals"), 0);
        assert_true(number(said, i, "accessDistanceMilli") > 10000);
    }
    json_decref(said);
}

static void a_thousand_pods_on_fivehundred_nodes_add_up(void **state)
{
    json_t *const said =
        run_json(WORDS("-f", WORKLOADS, "--nodes", "500", "--pods", "1000", "-o", "json"), 1);

    assert_adds_up(said);
    assert_int_equal(number(said, 0, "nodes"), 500);
    assert_true(number(said, 0, "refusals") > 0);
    assert_int_equal(number(said, 1, "refusals"), 0);
    assert_int_equal(of(said, "refusalsAvoided"), number(said, 0, "refusals"));
    assert_true(number(said, 1, "accessDistanceMilli") < number(said, 0, "accessDistanceMilli"));
    json_decref(said);
}

static void who_ends_makes_room(void **state)
{
    json_t *said = run_json(WORDS("-f", WORKLOADS "/cache.yaml", "--nodes", "3", "--pods", "120",
                                  "--lifetime", "10", "-o", "json"),
                            0);

    assert_adds_up(said);
    assert_int_equal(number(said, 1, "placed"), 120);
    assert_true(number(said, 1, "ended") >= 100); /* at most 19 stay for longer */
    json_decref(said);
    said = run_json(
        WORDS("-f", WORKLOADS "/cache.yaml", "--nodes", "3", "--pods", "120", "-o", "json"), 1);
    assert_true(number(said, 1, "placed") < 120);
    json_decref(said);
}

static void a_mix_is_drawn_in_its_proportions(void **state)
{
    json_t *const said = run_json(WORDS("-f", WORKLOADS "/web.yaml", "-f", WORKLOADS "/cache.yaml",
                                        "--mix", "shop=9", "--mix", "default/cache=1", "--nodes",
                                        "40", "--pods", "1000", "-o", "json"),
                                  0);

    assert_in_range(of(workload(said, 0, "cache"), "arrived"), 70, 130); /* of 1000, 3 sigma */
    assert_int_equal(of(workload(said, 0, "cache"), "arrived"),
                     of(workload(said, 1, "cache"), "arrived"));
    json_decref(said);
}

/*
 * Caches that need not be alone in their zones, and such that must: cpu-1 and cpu-2 have pods in
 * each zone and edge-1 a single zone, which takes one, if any.
 */
static void policies_are_compared(void **state)
{
    static const char text[] = "apiVersion: orchestration.gokore.io/v1beta1\n"
                               "kind: ConcurrencyPolicy\nmetadata: {name: what-if}\n"
                               "spec:\n  precedence: 1000\n  qosClassMapping:\n"
                               "  - {priority: 1, name: all, numaExclusive: %s, "
                               "match: {qosClasses: [Guaranteed]}}\n";
    char policy[512], path[2][TEST_PATH_BYTES];

    for (int i = 0; i < 2; i++) {
        (void)snprintf(policy, sizeof(policy), text, i ? "true" : "false");
        (void)snprintf(path[i], sizeof(path[i]), "%s/%s.yaml", dir, i ? "alone" : "together");
        test_write(path[i], str_of(policy));
    }
    json_t *const said =
        run_json(WORDS("-f", WORKLOADS "/cache.yaml", "--nodes", "3", "--pods", "6", "--compare",
                       "--policy", path[0], "--policy", path[1], "-o", "json"),
                 1);
    json_t *const runs = json_object_get(said, "runs");
    assert_int_equal(json_array_size(runs), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(runs, 1), "setup")),
                        "together.yaml");
    assert_int_equal(number(said, 0, "placed"), 6);
    assert_int_equal(number(said, 1, "placed"), 6);
    assert_in_range(number(said, 2, "placed"), 0, 1);
    json_decref(said);
}

static void equal_runs_say_the_same(void **state)
{
    const char *const formats[] = {"table", "json", "svg"};

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const char *const *const words = WORDS("-f", WORKLOADS, "--nodes", "20", "--pods", "90",
                                               "--seed", "77", "-o", formats[i]);
        struct buf first = {0};

        (void)run(words);
        buf_str(&first, buf_view(&out));
        (void)run(words);
        assert_string_equal(first.p, out.p);
        assert_int_equal(err.n, 0); /* no terminal, no progress */
        buf_free(&first);
    }
    (void)run(WORDS("-f", WORKLOADS, "--nodes", "20", "--pods", "90", "--seed", "77"));
    assert_non_null(strstr(out.p, "90 pods arrive on 20 nodes; seed 77\n"));
    assert_non_null(strstr(out.p, "kube-scheduler alone"));
    assert_non_null(strstr(out.p, "\nrefusals avoided: "));
}

/* --- what it refuses --- */

static void wrong_flags_end_with_2_and_say_what_is_wrong(void **state)
{
    static const struct {
        const char *flag, *value, *said;
    } cases[] = {
        {"--pods", "0", "--pods 0: not a whole number from 1 to 100000"},
        {"--pods", "many", "--pods many"},
        {"--nodes", "20001", "--nodes 20001: not a whole number from 1 to 20000"},
        {"--lifetime", "-1", "--lifetime -1"},
        {"--tries", "0", "--tries 0"},
        {"--weight", "0", "--weight 0"},
        {"--seed", "x", "--seed x"},
        {"--set", "cpu-1.topologyManagerPolicy=none", "node/NODE.SETTING=VALUE"},
        {"--set", "node/cpu-1", "node/NODE.SETTING=VALUE"},
        {"--set", "node/cpu-1=none", "node/NODE.SETTING=VALUE"},
        {"--set", "node/cpu-1.topologyManagerPolice=none", "did you mean \"topologyManagerPolicy"},
        {"--set", "node/cpu-1.topologyManagerPolicy=some", "\"some\" is not one of: none"},
        {"--set", "node/*.memoryManagerPolicy=static", "None Static"},
        {"-o", "yaml", "neither table nor json nor svg"},
        {"--polic", "x", "did you mean \"--policy\"?"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(run(WORDS("-f", WORKLOADS, cases[i].flag, cases[i].value)), 2);
        if (!strstr(err.p, cases[i].said))
            fail_msg("%s %s: %s", cases[i].flag, cases[i].value, err.p);
        assert_int_equal(out.n, 0);
    }
    assert_int_equal(run(WORDS("--pods", "1")), 2);
    assert_non_null(strstr(err.p, "Give -f FILE"));
    assert_int_equal(run(WORDS("-f", WORKLOADS, "--compare")), 2);
    assert_non_null(strstr(err.p, "--policy or --set"));
    assert_int_equal(run(WORDS("-f", WORKLOADS, "--policy", "a", "--policy", "b")), 2);
    assert_non_null(strstr(err.p, "--compare"));
}

static void what_is_not_there_ends_with_3(void **state)
{
    char path[TEST_PATH_BYTES];

    assert_int_equal(run(WORDS("-f", "/nonexistent.yaml")), 3);
    assert_non_null(strstr(err.p, "/nonexistent.yaml"));
    assert_int_equal(run(WORDS("-f", CLUSTER "/policies.yaml")), 3);
    assert_non_null(strstr(err.p, "there is no pod or workload in it"));
    assert_int_equal(run(WORDS("-f", WORKLOADS, "--mix", "nobody=1")), 3);
    assert_non_null(strstr(err.p, "no workload is called \"nobody\""));
    assert_int_equal(run(WORDS("-f", WORKLOADS, "--policy", WORKLOADS "/web.yaml")), 3);
    assert_non_null(strstr(err.p, "there is no ConcurrencyPolicy in it"));
    assert_int_equal(
        run(WORDS("-f", WORKLOADS, "--set", "node/nowhere.topologyManagerPolicy=none")), 3);
    assert_non_null(strstr(err.p, "there is no node \"nowhere\""));
    (void)snprintf(path, sizeof(path), "%s/broken.yaml", dir);
    test_write(path, STR("kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n"
                         "    resources: {limits: {cpu: lots}}\n"));
    assert_int_equal(run(WORDS("-f", path)), 3);
    assert_non_null(strstr(err.p, "broken.yaml:6:"));
}

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    buf_free(&out);
    buf_free(&err);
    test_remove_tree(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pod_on_one_node_goes_as_explain_says),
        cmocka_unit_test(a_setting_of_a_kubelet_changes_what_it_does),
        cmocka_unit_test(a_thousand_pods_on_fivehundred_nodes_add_up),
        cmocka_unit_test(who_ends_makes_room),
        cmocka_unit_test(a_mix_is_drawn_in_its_proportions),
        cmocka_unit_test(policies_are_compared),
        cmocka_unit_test(equal_runs_say_the_same),
        cmocka_unit_test(wrong_flags_end_with_2_and_say_what_is_wrong),
        cmocka_unit_test(what_is_not_there_ends_with_3),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
