/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPUs and network ports of recorded machines, from hwloc's file to what `explain` says: which GPU
 * may come with which port, with which odds. The figures are worked out by hand beside them.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

static char dir[] = "/tmp/numawise-gpus-XXXXXX";
static json_t *answer; /* of the last explain */

static void write_file(const char *name, struct str text)
{
    char path[TEST_PATH_BYTES];

    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) > 0);
    test_write(path, text);
}

/* One device of a resource. */
struct device {
    const char *resource, *id;
    int zone;
};

/* {"nvidia.com/gpu":[{"id":"cuda0","zones":[1],"healthy":true}]} */
static void put_devices(struct buf *out, const struct device *d, size_t n)
{
    buf_text(out, "orchestration.gokore.io/devices={");
    for (size_t i = 0; i < n; i++) {
        const bool first = i == 0 || strcmp(d[i].resource, d[i - 1].resource) != 0;

        if (first)
            buf_printf(out, "%s\"%s\":[", i ? "]," : "", d[i].resource);
        buf_printf(out, "%s{\"id\":\"%s\",\"zones\":[%d],\"healthy\":true}", first ? "" : ",",
                   d[i].id, d[i].zone);
    }
    buf_text(out, "]}");
}

/* The machine as a node `m`, whose kubelet admits everything. */
static void give_machine(const char *xml, const struct device *d, size_t n)
{
    struct buf devices = {0}, out = {0}, err = {0}, node = {0};
    char path[TEST_PATH_BYTES];

    assert_true(snprintf(path, sizeof(path), TEST_DATA "/machines/%s.xml", xml) > 0);
    put_devices(&devices, d, n);
    const char *const args[] = {"numawise",    "topology",
                                "--xml",       path,
                                "-o",          "manifest",
                                "--node-name", "m",
                                "--attribute", "topologyManagerPolicy=best-effort",
                                "--attribute", "orchestration.gokore.io/cpu-manager-policy=static",
                                "--attribute", "orchestration.gokore.io/reserved-cpus=0",
                                "--attribute", devices.p,
                                NULL};
    assert_int_equal(test_run(args, &out, &err), 0);
    write_file("report.yaml", buf_view(&out));
    buf_text(&node, "apiVersion: v1\nkind: Node\nmetadata: {name: m}\n"
                    "status: {capacity: {cpu: '96', memory: 2Ti, nvidia.com/gpu: '16', "
                    "rdma/hca: '8'}}\n");
    write_file("node.yaml", buf_view(&node));
    buf_free(&devices);
    buf_free(&out);
    buf_free(&err);
    buf_free(&node);
}

/* A job that wants what `limits` says; its node in the answer, and the table. */
static const json_t *explain(const char *limits, const char *affinity, struct buf *table)
{
    struct buf text = {0}, out = {0}, err = {0};
    char pod[TEST_PATH_BYTES];

    buf_printf(&text,
               "apiVersion: v1\nkind: Pod\nmetadata:\n  name: train\n  annotations:\n"
               "    orchestration.gokore.io/gpu-nic-affinity: %s\n"
               "spec:\n  containers:\n  - name: main\n    resources: {limits: {%s}}\n",
               affinity, limits);
    assert_true(snprintf(pod, sizeof(pod), "%s.pod.yaml", dir) > 0);
    test_write(pod, buf_view(&text));
    const char *const args[] = {"numawise", "explain", "-f",   pod, "--cluster",
                                dir,        "-o",      "json", NULL};
    const char *const plain[] = {"numawise", "explain", "-f", pod, "--cluster", dir, NULL};
    (void)test_run(args, &out, &err);
    json_decref(answer);
    answer = json_loadb(out.p, out.n, 0, NULL);
    if (!answer)
        fail_msg("%s", err.p);
    json_t *const schema = schema_read("explain.schema.json");
    schema_expect(answer, schema);
    json_decref(schema);
    table->n = 0;
    (void)test_run(plain, table, &err);
    (void)remove(pod);
    buf_free(&text);
    buf_free(&out);
    buf_free(&err);
    return json_array_get(json_object_get(answer, "nodes"), 0);
}

static const json_t *odds_of(const json_t *node)
{
    return json_object_get(json_array_get(json_object_get(node, "containers"), 0), "deviceOdds");
}

static int number(const json_t *of, const char *key)
{
    const json_t *const v = json_object_get(of, key);

    assert_true(json_is_integer(v));
    return (int)json_integer_value(v);
}

static const char *text(const json_t *of, const char *key)
{
    return json_string_value(json_object_get(of, key));
}

static void expect_pair(const json_t *odds, size_t i, const char *gpu, int taken, const char *nics,
                        const char *link, int chance)
{
    const json_t *const p = json_array_get(json_object_get(odds, "pairs"), i);
    struct buf list = {0};
    size_t k;
    json_t *nic;

    assert_non_null(p);
    json_array_foreach(json_object_get(p, "nics"), k, nic)
        buf_printf(&list, "%s%s", k ? "," : "", json_string_value(nic));
    assert_string_equal(text(p, "gpu"), gpu);
    assert_int_equal(number(p, "taken"), taken);
    assert_string_equal(list.p, nics);
    assert_string_equal(text(p, "link"), link);
    assert_int_equal(number(p, "odds"), chance);
    buf_free(&list);
}

static int setup(void **state)
{
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    test_remove_tree(dir);
    json_decref(answer);
    answer = NULL;
    return 0;
}

/* Socket 1: a GPU alone below a bridge; two functions of another below that of the HCA; two
   Ethernet ports below a fourth. */
static const struct device workstation[] = {
    {"nvidia.com/gpu", "0000:03:00.0", 0},
    {"nvidia.com/gpu", "0000:83:00.0", 1},
    {"nvidia.com/gpu", "cuda0", 1},
    {"nvidia.com/gpu", "opencl0d1", 1},
    {"rdma/hca", "eth0", 1},
    {"rdma/hca", "mlx5_0", 1},
};

static void pairs_and_odds_are_named(void **state)
{
    struct buf table = {0};

    give_machine("32em64t-2n8c2t-pci-wholeio", workstation, ARRAY_LEN(workstation));
    const json_t *const node =
        explain("cpu: 2, memory: 1Gi, nvidia.com/gpu: 2, rdma/hca: 1", "require", &table);
    const json_t *const odds = odds_of(node);
    assert_string_equal(text(node, "verdict"), "Admitted");
    /* two of three GPUs; one of two ports */
    assert_int_equal(json_array_size(json_object_get(odds, "pairs")), 3);
    expect_pair(odds, 0, "0000:83:00.0", 666, "eth0,mlx5_0", "PHB", 1000);
    expect_pair(odds, 1, "cuda0", 666, "mlx5_0", "PIX", 500);
    expect_pair(odds, 2, "opencl0d1", 666, "mlx5_0", "PIX", 500);
    assert_int_equal(number(odds, "allFed"), 1000); /* one host bridge */
    /*
     * peers: 700, 700, 800 by the pair; feed: 800 of the first GPU, 1000 or 800 of the others; cpu
     * 1000. Mean (1000 + 733 + 866) / 3; least (1000 + 700 + 800) / 3; most (1000 + 800 + 1000)
     * / 3.
     */
    assert_int_equal(number(odds, "mean"), 866);
    assert_int_equal(number(odds, "least"), 833);
    assert_int_equal(number(odds, "most"), 933);
    assert_int_equal(number(json_object_get(node, "terms"), "devices"), 866);
    assert_non_null(strstr(table.p, "cuda0 (66.6%) mlx5_0 PIX (50%)"));
    assert_non_null(strstr(table.p, "each has one below its root: sure"));
    assert_non_null(strstr(table.p, "devices 866, from 833 to 933 by what is picked"));
    buf_free(&table);
}

static void a_gpu_that_no_port_feeds_is_told(void **state)
{
    struct buf table = {0};

    give_machine("32em64t-2n8c2t-pci-wholeio", workstation, ARRAY_LEN(workstation));
    const json_t *node =
        explain("cpu: 2, memory: 1Gi, nvidia.com/gpu: 4, rdma/hca: 2", "require", &table);
    assert_string_equal(text(node, "reason"), "NumaPolicy");
    assert_string_equal(text(node, "message"),
                        "no choice of devices gives each GPU a NIC below its "
                        "root (gpu-nic-affinity: require)");
    node = explain("cpu: 2, memory: 1Gi, nvidia.com/gpu: 4, rdma/hca: 2", "prefer", &table);
    assert_string_equal(text(node, "verdict"), "Admitted");
    expect_pair(odds_of(node), 0, "0000:03:00.0", 1000, "eth0,mlx5_0", "SYS", 1000);
    assert_int_equal(number(odds_of(node), "allFed"), 0);
    assert_non_null(strstr(table.p, "each has one below its root: never"));
    /* the kubelet takes one of zone 0, where the only one is, and the ports that pods share are far
     */
    node = explain("cpu: 2, memory: 1Gi, nvidia.com/gpu: 1", "require", &table);
    assert_string_equal(text(node, "reason"), "NumaPolicy");
    buf_free(&table);
}

/* 16 GPUs behind one another's switches, and no port was recorded. */
static void a_machine_without_ports_says_so(void **state)
{
    struct device gpus[16];
    char ids[16][8];
    struct buf table = {0};

    for (int i = 0; i < 16; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "nvml%d", i);
        gpus[i] = (struct device){"nvidia.com/gpu", ids[i], i / 8};
    }
    give_machine("nvidiaDGX2", gpus, ARRAY_LEN(gpus));
    const json_t *const node =
        explain("cpu: 1, memory: 64Gi, nvidia.com/gpu: 8", "require", &table);
    assert_string_equal(text(node, "verdict"), "Admitted");
    assert_int_equal(json_array_size(json_object_get(odds_of(node), "pairs")), 0);
    assert_null(json_object_get(odds_of(node), "allFed"));
    /* all eight of a zone, each linked to each: cpu 1000, peers 1000 */
    assert_int_equal(number(odds_of(node), "mean"), 1000);
    assert_non_null(strstr(table.p, "nearest port: none is known of this node"));
    buf_free(&table);
}

/* What `numawise topology ARGS...` prints. */
static void print_topology(struct buf *out, const char *const *args)
{
    struct buf err = {0};

    if (test_run(args, out, &err))
        fail_msg("%s", err.p ? err.p : "");
    buf_free(&err);
}

#define PRINT(out, ...)                                                                            \
    print_topology(out, (const char *const[]){"numawise", "topology", __VA_ARGS__, NULL})

/* A report says of a machine what there is to say: the node is shown as the machine was. */
static void a_node_is_shown_with_the_devices_of_its_machine(void **state)
{
    static const char *const machines[] = {"nvidiaDGX2", "96em64t-4n4d3ca2co-pci",
                                           "32em64t-2n8c2t-pci-wholeio"};
    static const char *const formats[] = {"table", "json"};

    for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
        char path[TEST_PATH_BYTES], report[TEST_PATH_BYTES];
        struct buf manifest = {0}, again = {0};

        give_machine(machines[i], workstation, ARRAY_LEN(workstation));
        assert_true(snprintf(path, sizeof(path), TEST_DATA "/machines/%s.xml", machines[i]) > 0);
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            struct buf machine = {0}, node = {0};

            PRINT(&machine, "--xml", path, "-o", formats[k]);
            PRINT(&node, "m", "--cluster", dir, "-o", formats[k]);
            assert_string_equal(node.p, machine.p);
            buf_free(&machine);
            buf_free(&node);
        }
        assert_true(snprintf(report, sizeof(report), "%s/report.yaml", dir) > 0);
        assert_int_equal(test_file_read(report, &manifest), 0);
        PRINT(&again, "m", "--cluster", dir, "-o", "manifest");
        assert_string_equal(again.p, manifest.p);
        buf_free(&manifest);
        buf_free(&again);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pairs_and_odds_are_named),
        T(a_gpu_that_no_port_feeds_is_told),
        T(a_machine_without_ports_says_so),
        T(a_node_is_shown_with_the_devices_of_its_machine),
    };

    return cmocka_run_group_tests_name("gpus", tests, NULL, NULL);
}
