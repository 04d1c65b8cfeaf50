/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources say together, and what is left when some are not there. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/facts.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/nrt_emit.h"
#include "tests/support/data.h"
#include "tests/support/grpc.h"
#include "tests/support/podresources_bytes.h"
#include "tests/support/two_zones.h"

#define TRAIN "6b7d1f6e-6f0c-4c1e-9d0e-0b6a1f1c2d3e"
#define DB    "a0a0a0a0-1111-4222-8333-944455556666"
#define LEVEL "c3c3c3c3-1111-4222-8333-944455556666"

static char room[256 * 1024];

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        assert_int_equal((s).n, strlen(text));                                                     \
        assert_memory_equal((s).p, (text), (s).n);                                                 \
    } while (0)

/* A directory for a socket and for files of the test's own. */
struct place {
    char dir[64], socket[96], file[96];
    struct agent_paths paths; /* the recorded files, and that socket */
    struct arena a;
};

static int enter(void **state)
{
    struct place *const p = calloc(1, sizeof(*p));
    const char *const tmp = getenv("TMPDIR");

    assert_non_null(p);
    (void)snprintf(p->dir, sizeof(p->dir), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->socket, sizeof(p->socket), "%s/kubelet.sock", p->dir);
    (void)snprintf(p->file, sizeof(p->file), "%s/file", p->dir);
    arena_init(&p->a, room, sizeof(room));
    assert_int_equal(agent_paths_under(&p->paths, TEST_DATA "/kubelet-state",
                                       TEST_DATA "/kubelet-state/device-plugins", &p->a),
                     0);
    p->paths.podresources = p->socket;
    *state = p;
    return 0;
}

static int leave(void **state)
{
    struct place *const p = *state;

    (void)unlink(p->file);
    const int rc = rmdir(p->dir);
    free(p);
    return rc;
}

static void write_file(const char *name, struct str text)
{
    FILE *const f = fopen(name, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

/* With the recorded answers of podresources: the first, and the list of pods when that is asked. */
static void read_all(struct place *p, struct agent_facts *f, bool pods_too)
{
    const struct str allocatable = allocatable_answer(), list = list_answer();
    const struct grpc_answer answers[] = {
        {.body = allocatable.p, .n = allocatable.n, .status = "0"},
        {.body = list.p, .n = list.n, .status = "0"},
    };
    struct grpc_server *const s = grpc_start(p->socket, answers, pods_too ? 2 : 1);
    struct err err = {0};

    const int rc = agent_read(f, &p->paths, two_zones(), &p->a, &err);
    grpc_stop(s);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
}

static struct str attribute(const struct agent_facts *f, const char *name)
{
    for (uint32_t i = 0; i < f->n_attributes; i++) {
        if (str_is(f->attributes[i].name, name))
            return f->attributes[i].value;
    }
    return (struct str){"(absent)", 8};
}

static void settings_are_attributes(void **state)
{
    struct agent_facts f;

    read_all(*state, &f, false);
    assert_str(f.lacking, "");
    assert_int_equal(f.n_attributes, 9);
    assert_str(attribute(&f, "topologyManagerPolicy"), "restricted");
    assert_str(attribute(&f, "topologyManagerScope"), "pod");
    assert_str(attribute(&f, "topologyManagerMaxNUMANodes"), "8");
    assert_str(attribute(&f, "topologyManagerOptionPreferClosestNumaNodes"), "true");
    assert_str(attribute(&f, "orchestration.gokore.io/topology-manager-policy-options"),
               "max-allowable-numa-nodes=8,prefer-closest-numa-nodes=true");
    assert_str(attribute(&f, "orchestration.gokore.io/cpu-manager-policy"), "static");
    assert_str(attribute(&f, "orchestration.gokore.io/cpu-manager-policy-options"),
               "distribute-cpus-across-numa=true,full-pcpus-only=true");
    assert_str(attribute(&f, "orchestration.gokore.io/memory-manager-policy"), "Static");
    /* All ten CPUs without the allocatable 1-3 and 5-7. */
    assert_str(attribute(&f, KUBE_NRT_RESERVED_CPUS), "0,4,8-9");
    assert_int_equal(f.reserved[0], 1 << 0 | 1 << 4 | 1 << 8 | 1 << 9);
    for (uint32_t i = 0; i < f.n_attributes; i++) {
        struct kube_nrt_attribute read;

        assert_int_equal(
            kube_nrt_attribute_check(&read, f.attributes[i].name, f.attributes[i].value, NULL), 0);
    }
}

static void three_files_speak_of_one_container(void **state)
{
    struct agent_facts f;

    read_all(*state, &f, false);
    assert_true(f.has_holdings);
    assert_int_equal(f.n_holdings, 3);
    assert_str(f.holdings[0].uid, TRAIN);
    assert_str(f.holdings[0].container, "main");
    assert_str(f.holdings[0].cpus, "1-3");
    assert_int_equal(f.holdings[0].n_blocks, 2);
    assert_int_equal(f.holdings[0].n_devices, 3);
    assert_str(f.holdings[0].devices[0].resource, "example.com/nic");
    assert_str(f.holdings[0].devices[1].id, "GPU-0");
    assert_str(f.holdings[0].devices[2].id, "GPU-1");
    assert_str(f.holdings[1].container, "sidecar");
    assert_str(f.holdings[1].cpus, "6");
    assert_int_equal(f.holdings[1].n_blocks + f.holdings[1].n_devices, 0);
    assert_str(f.holdings[2].uid, DB);
    assert_str(f.holdings[2].cpus, "7");
    assert_int_equal(f.holdings[2].n_devices, 1);
}

static void a_device_that_cannot_be_given_out_is_not_healthy(void **state)
{
    static const struct {
        const char *id;
        uint64_t zones;
        bool healthy;
    } want[] = {{"f0", 0, true},    {"f1", 0, false},   {"n0", 3, true},
                {"GPU-0", 1, true}, {"GPU-1", 2, true}, {"GPU-2", 0, false}};
    struct agent_facts f;

    read_all(*state, &f, false);
    assert_true(f.has_devices);
    assert_int_equal(f.n_devices, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_str(f.devices[i].id, want[i].id);
        assert_int_equal(f.devices[i].zones, want[i].zones);
        assert_int_equal(f.devices[i].healthy, want[i].healthy);
    }
}

static void zones_have_groups_and_free_cpus(void **state)
{
    struct agent_facts f;

    read_all(*state, &f, false);
    /* 0-4 without 1-3; 5-9 without 6 and 7. Reserved ones are held by nobody. */
    assert_true(f.zones[0].has_free_cpus && f.zones[1].has_free_cpus);
    assert_str(f.zones[0].free_cpus, "0,4");
    assert_str(f.zones[1].free_cpus, "5,8-9");
    assert_int_equal(f.zones[0].cells, 3);
    assert_int_equal(f.zones[1].assignments, 1);
    assert_int_equal(f.zones[0].n_memory, 2);
}

static void without_the_socket_zones_of_devices_and_reserved_cpus_are_not_known(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, NULL), 0);
    assert_true(f.has_holdings);
    assert_int_equal(f.n_holdings, 3);
    assert_false(f.has_devices);
    assert_int_equal(f.n_devices, 0);
    assert_null(f.reserved);
    assert_int_equal(f.n_attributes, 8);
    assert_non_null(strstr(f.lacking.p, "kubelet.sock: GetAllocatableResources: "));
    assert_non_null(strstr(f.lacking.p, "; CPUs are reserved by their number"));
}

static void without_a_state_file_the_kubelet_is_asked_for_its_pods(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    p->paths.cpu_state = p->file; /* which is not there */
    read_all(p, &f, true);
    assert_true(f.has_holdings);
    assert_int_equal(f.n_holdings, 1);
    assert_str(f.holdings[0].ns, "ml");
    assert_str(f.holdings[0].pod, "train");
    assert_str(f.holdings[0].uid, "");
    assert_str(f.holdings[0].cpus, "2-3");
    assert_str(f.zones[0].free_cpus, "0-1,4");
    assert_str(f.zones[1].free_cpus, "5-9");
    assert_non_null(strstr(f.lacking.p, "/file: No such file"));
    /* What the configuration says stands in for what the kubelet runs with. */
    assert_str(attribute(&f, "orchestration.gokore.io/cpu-manager-policy"), "static");
}

static void nothing_there_is_nothing_known(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    assert_int_equal(agent_paths_under(&p->paths, "/nowhere", "/nowhere", &p->a), 0);
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, NULL), 0);
    assert_false(f.has_holdings);
    assert_false(f.has_devices);
    assert_null(f.reserved);
    assert_int_equal(f.n_attributes + f.n_holdings + f.n_devices, 0);
    assert_false(f.zones[0].has_free_cpus);
    for (const char *const *name =
             (const char *const[]){"config.yaml", "cpu_manager_state", "memory_manager_state",
                                   "checkpoint", "GetAllocatable", "List", NULL};
         *name; name++)
        assert_non_null(strstr(f.lacking.p, *name));
}

static void a_checkpoint_that_was_never_written_is_no_devices(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    p->paths.checkpoint = p->file;
    p->paths.podresources = NULL;
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, NULL), 0);
    assert_true(f.has_devices && f.has_holdings);
    assert_int_equal(f.n_devices, 0);
    assert_int_equal(f.n_holdings, 3);
    assert_null(strstr(f.lacking.p, "file"));
}

static void what_a_pod_holds_as_a_whole_is_not_counted_again(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    p->paths.cpu_state = TEST_DATA "/kubelet-state/cpu_manager_state.pods";
    p->paths.memory_state = TEST_DATA "/kubelet-state/memory_manager_state.pods";
    p->paths.checkpoint = p->file;
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, NULL), 0);
    assert_int_equal(f.n_holdings, 1); /* container a has CPU 4 of the pod's 4-6 */
    assert_str(f.holdings[0].uid, LEVEL);
    assert_str(f.holdings[0].container, "");
    assert_str(f.holdings[0].cpus, "4-6");
    assert_int_equal(f.holdings[0].n_blocks, 1);
}

static void a_given_list_of_reserved_cpus_stands(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    write_file(p->file, STR("apiVersion: kubelet.config.k8s.io/v1beta1\n"
                            "kind: KubeletConfiguration\nreservedSystemCPUs: 0,5\n"));
    p->paths.config = p->file;
    read_all(p, &f, false);
    assert_str(attribute(&f, KUBE_NRT_RESERVED_CPUS), "0,5");
    assert_int_equal(f.reserved[0], 1 << 0 | 1 << 5);
    /* The kubelet runs with what its state says, whatever the file has become since. */
    assert_str(attribute(&f, "orchestration.gokore.io/cpu-manager-policy"), "static");
    assert_str(attribute(&f, "orchestration.gokore.io/memory-manager-policy"), "Static");
}

static void cpus_that_the_machine_has_not_are_not_reserved(void **state)
{
    struct place *const p = *state;
    struct agent_facts f;

    write_file(p->file, STR("apiVersion: kubelet.config.k8s.io/v1beta1\n"
                            "kind: KubeletConfiguration\nreservedSystemCPUs: 0,12\n"));
    p->paths.config = p->file;
    p->paths.podresources = NULL;
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, NULL), 0);
    assert_null(f.reserved);
    assert_non_null(strstr(f.lacking.p, "reservedSystemCPUs names CPUs"));
}

static void a_broken_file_is_told_from_half_a_one(void **state)
{
    struct place *const p = *state;
    struct agent_facts f = {.n_holdings = 77};
    struct err err = {0};
    struct buf text = {0};

    p->paths.podresources = NULL;
    p->paths.memory_state = p->file;
    write_file(p->file, STR("{\"policyName\":\"Static\",\"machineState\":{\"9\":{}}}"));
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "/file: machineState.9: the machine has no zone 9"));
    assert_int_equal(test_data_read("kubelet-state/memory_manager_state", &text), 0);
    write_file(p->file, (struct str){text.p, text.n / 2});
    buf_free(&text);
    assert_int_equal(agent_read(&f, &p->paths, two_zones(), &p->a, &err), -EAGAIN);
    assert_non_null(strstr(err.text, "/file: not whole: "));
    assert_int_equal(f.n_holdings, 77);
}

static void every_arena_size_gives_all_or_nothing(void **state)
{
    struct place *const p = *state;
    static char small[64 * 1024];
    int rc = -ENOMEM;

    p->paths.podresources = NULL;
    for (size_t n = 0; n < sizeof(small) && rc; n += 64) {
        struct agent_facts f;
        struct arena a;

        arena_init(&a, small, n);
        rc = agent_read(&f, &p->paths, two_zones(), &a, NULL);
        assert_true(rc == 0 || (rc == -ENOMEM && a.used == 0));
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(settings_are_attributes),
        TEST(three_files_speak_of_one_container),
        TEST(a_device_that_cannot_be_given_out_is_not_healthy),
        TEST(zones_have_groups_and_free_cpus),
        TEST(without_the_socket_zones_of_devices_and_reserved_cpus_are_not_known),
        TEST(without_a_state_file_the_kubelet_is_asked_for_its_pods),
        TEST(nothing_there_is_nothing_known),
        TEST(a_checkpoint_that_was_never_written_is_no_devices),
        TEST(what_a_pod_holds_as_a_whole_is_not_counted_again),
        TEST(a_given_list_of_reserved_cpus_stands),
        TEST(cpus_that_the_machine_has_not_are_not_reserved),
        TEST(a_broken_file_is_told_from_half_a_one),
        TEST(every_arena_size_gives_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
