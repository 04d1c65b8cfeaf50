/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/kubelet_config.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/file.h"

#define HEAD "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

static char room[256 * 1024];

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        assert_int_equal((s).n, strlen(text));                                                     \
        assert_memory_equal((s).p, (text), (s).n);                                                 \
    } while (0)

/* A directory of this test's own, which becomes the current one. */
static int enter(void **state)
{
    char *const dir = strdup("/tmp/numawise-config-XXXXXX");

    *state = dir;
    return dir && mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    static const char *const names[] = {
        "base", "d/90-last.conf", "d/10-first.conf", "d/notes.txt", "d/20-more/x.conf", "d/20-more",
        "d"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)remove(names[i]);
    const int rc = chdir("/") == 0 && rmdir(*state) == 0 ? 0 : -1;
    free(*state);
    return rc;
}

static void write_file(const char *name, const char *text)
{
    FILE *const f = fopen(name, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int read_config(struct agent_config *c, const char *dir, struct err *err)
{
    struct arena a;

    arena_init(&a, room, sizeof(room));
    return agent_config_read(c, "base", dir, &a, err);
}

static void a_whole_file_is_read(void **state)
{
    struct agent_config c;
    struct arena a;
    struct err err = {0};

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_config_read(&c, TEST_DATA "/kubelet-state/config.yaml", NULL, &a, &err),
                     0);
    assert_str(c.topology_policy, "restricted");
    assert_str(c.topology_scope, "pod");
    assert_str(c.topology_options,
               "max-allowable-numa-nodes=8,prefer-closest-numa-nodes=true"); /* by name */
    assert_str(c.max_zones, "8");
    assert_str(c.prefer_closest, "true");
    assert_str(c.cpu_policy, "static");
    assert_str(c.cpu_options, "distribute-cpus-across-numa=true,full-pcpus-only=true");
    assert_str(c.memory_policy, "Static");
    assert_str(c.reserved_cpus, "");
    assert_int_equal(c.reserved_milli, 2000); /* 500m + 1.5 */
}

static void what_is_not_given_is_what_the_kubelet_takes(void **state)
{
    struct agent_config c;

    write_file("base", HEAD "cpuManagerPolicy: \"\"\nmemoryManagerPolicy: null\n");
    assert_int_equal(read_config(&c, NULL, NULL), 0);
    assert_str(c.topology_policy, "none");
    assert_str(c.topology_scope, "container");
    assert_str(c.topology_options, "");
    assert_str(c.cpu_policy, "none");
    assert_str(c.cpu_options, "");
    assert_str(c.memory_policy, "None");
    assert_int_equal(c.reserved_milli, 0);
}

static void later_files_of_the_directory_win(void **state)
{
    struct agent_config c;
    struct err err = {0};

    write_file("base", HEAD "topologyManagerPolicy: restricted\ncpuManagerPolicy: static\n"
                            "cpuManagerPolicyOptions: {full-pcpus-only: \"true\", a: \"1\"}\n"
                            "kubeReserved: {cpu: \"4\"}\nreservedSystemCPUs: 0-3\n");
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(mkdir("d/20-more", 0700), 0);
    write_file("d/90-last.conf", HEAD "topologyManagerPolicy: single-numa-node\n"
                                      "reservedSystemCPUs: null\n");
    write_file("d/10-first.conf", HEAD "topologyManagerPolicy: best-effort\n"
                                       "cpuManagerPolicyOptions: {a: null, b: \"2\"}\n");
    write_file("d/20-more/x.conf", HEAD "kubeReserved: {cpu: null, memory: 1Gi}\n"
                                        "cpuManagerPolicyOptions: {b: \"3\"}\n");
    write_file("d/notes.txt", "not a configuration");
    assert_int_equal(read_config(&c, "d", &err), 0);
    assert_str(c.topology_policy, "single-numa-node");
    assert_str(c.cpu_policy, "static");
    assert_str(c.cpu_options, "b=3,full-pcpus-only=true");
    assert_str(c.reserved_cpus, "");
    assert_int_equal(c.reserved_milli, 0);
}

static void a_missing_file_is_told_from_a_missing_directory(void **state)
{
    struct agent_config c = {.reserved_milli = 77};
    struct err err = {0};

    assert_int_equal(read_config(&c, NULL, &err), -ENOENT);
    write_file("base", HEAD);
    assert_int_equal(read_config(&c, "d", &err), -EINVAL);
    assert_non_null(strstr(err.text, "d: No such file"));
    assert_int_equal(c.reserved_milli, 77);
}

static void a_broken_file_is_named_with_its_field(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "base: empty"},
        {"kind: KubeletConfiguration\n", "base: apiVersion is missing"},
        {"apiVersion: kubelet.config.k8s.io/v1beta1\n", "base: kind is missing"},
        {"kind: Pod\n", "base: kind: expected \"KubeletConfiguration\""},
        {"kind: [\n", "base: line "},
        {HEAD "cpuManagerPolicy: true\n", "base: cpuManagerPolicy: "},
        {HEAD "cpuManagerPolicy: a b\x01\n", "base: "},
        {HEAD "cpuManagerPolicyOptions: {full-pcpus-only: true}\n",
         "base: cpuManagerPolicyOptions.full-pcpus-only: "},
        {HEAD "cpuManagerPolicyOptions: {x: \"1,y=2\"}\n", "base: cpuManagerPolicyOptions.x: "},
        {HEAD "topologyManagerPolicyOptions: [a]\n", "base: topologyManagerPolicyOptions: "},
        {HEAD "reservedSystemCPUs: 3-1\n", "base: reservedSystemCPUs: "},
        {HEAD "systemReserved: {cpu: lots}\n", "base: systemReserved.cpu: "},
        {HEAD "systemReserved: {cpu: \"-1\"}\n", "base: systemReserved.cpu: "},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_config c;
        struct err err = {0};

        write_file("base", cases[i].text);
        assert_int_equal(read_config(&c, NULL, &err), -EINVAL);
        if (strncmp(err.text, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("%s\nsays: %s", cases[i].text, err.text);
    }
}

static int decode_configz(struct agent_config *c, const char *text, struct err *err)
{
    char padded[512] = {0}; /* 64 readable bytes behind it */
    struct arena a;

    (void)snprintf(padded, sizeof(padded) - 64, "%s", text);
    arena_init(&a, room, sizeof(room));
    const int rc = agent_configz_decode(c, (struct str){padded, strlen(padded)}, &a, err);
    assert_true(rc == 0 || a.used == 0);
    return rc;
}

/* A kubelet's own answer: its file says best-effort, a drop-in restricted, a flag what counts. */
static void what_the_kubelet_runs_with_is_read(void **state)
{
    struct agent_config c;
    struct arena a;
    struct buf text = {0};
    struct err err = {0};

    assert_int_equal(kube_file_read(TEST_DATA "/kubelet-state/configz.json", &text, &err), 0);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_configz_decode(&c, (struct str){text.p, n}, &a, &err), 0);
    buf_free(&text);
    assert_str(c.topology_policy, "single-numa-node");
    assert_str(c.topology_scope, "pod");
    assert_str(c.topology_options, "");
    assert_str(c.cpu_policy, "static");
    assert_str(c.cpu_options, "full-pcpus-only=true");
    assert_str(c.memory_policy, "Static");
    assert_str(c.reserved_cpus, "0");
    assert_int_equal(c.reserved_milli, 1000); /* the kubelet's own count of the list */
}

static void another_answer_is_none(void **state)
{
    struct agent_config c = {.reserved_milli = 77};
    struct err err = {0};

    assert_int_equal(decode_configz(&c, "{}", &err), -EINVAL);
    assert_string_equal(err.text, "kubeletconfig is missing");
    assert_int_equal(decode_configz(&c, "{\"kubeletconfig\":[]}", &err), -EINVAL);
    assert_int_equal(decode_configz(&c, "{\"kubeletconfig\":{\"cpuManagerPolicy\":7}}", &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "kubeletconfig.cpuManagerPolicy"));
    assert_int_equal(decode_configz(&c, "<html>", &err), -EINVAL);
    assert_int_equal(c.reserved_milli, 77);
    assert_int_equal(decode_configz(&c, "{\"other\":1,\"kubeletconfig\":{}}", &err), 0);
    assert_str(c.topology_policy, "none");
}

static void every_arena_size_gives_all_or_nothing(void **state)
{
    int rc = -ENOMEM;

    write_file("base", HEAD "cpuManagerPolicyOptions: {full-pcpus-only: \"true\"}\n");
    for (size_t n = 0; n < sizeof(room) && rc; n += 8) {
        struct agent_config c;
        struct arena a;

        arena_init(&a, room, n);
        rc = agent_config_read(&c, "base", NULL, &a, NULL);
        assert_true(rc == 0 || (rc == -ENOMEM && a.used == 0));
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read),
        IN_A_DIRECTORY(what_is_not_given_is_what_the_kubelet_takes),
        IN_A_DIRECTORY(later_files_of_the_directory_win),
        IN_A_DIRECTORY(a_missing_file_is_told_from_a_missing_directory),
        IN_A_DIRECTORY(a_broken_file_is_named_with_its_field),
        cmocka_unit_test(what_the_kubelet_runs_with_is_read),
        cmocka_unit_test(another_answer_is_none),
        IN_A_DIRECTORY(every_arena_size_gives_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
