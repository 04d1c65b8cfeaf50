/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `numawise topology` as a person sees it: exit codes, tables, JSON, manifest. The golden texts in
 * data/golden were compared with lstopo and with the recordings line by line.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/topology_node.h"
#include "kube/nrt_emit.h"
#include "scoring/node_view.h"
#include "tests/support/data.h"
#include "topology/model.h"

static char machine_path[1024];

static char *machine(const char *name)
{
    (void)snprintf(machine_path, sizeof(machine_path), "%s/machines/%s", TEST_DATA, name);
    return machine_path;
}

/* --- the cluster's double: one node --- */

int topology_visit_node(const char *dir, const char *node,
                        int (*visit)(const struct topology_node *n, void *ctx), void *ctx,
                        struct err *err)
{
    static const struct topo_zone zone = {.id = 5, .socket = 1, .memory_bytes = 4096};
    static const struct topo_cpu cpu = {0, 1, 0, TOPO_NONE};
    static const uint32_t d = 10;
    static const uint64_t reserved = 0;
    const struct node_view v = {
        .cpu_words = 1,
        .cpu_reserved = &reserved,
        .machine = {.n_zones = 1, .zones = &zone, .distances = {1, &d}, .n_cpus = 1, .cpus = &cpu}};

    if (strcmp(node, "gpu-0") != 0)
        return err_set(err, -ENOENT, "there is no node \"%s\" in %s", node, dir);
    static const struct kube_nrt_attribute settings[] = {
        {{"topologyManagerPolicy", 21}, {"restricted", 10}},
        {{"orchestration.gokore.io/reserved-cpus", 37}, {"0", 1}}};
    const struct topology_node n = {
        .view = &v, .machine = v.machine, .settings = settings, .n_settings = 2};
    return visit(&n, ctx);
}

/* --- running the command --- */

struct result {
    int code;
    struct buf out, err;
};

static void take_file(struct buf *out, FILE *f)
{
    char block[4096];
    size_t n;

    rewind(f);
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        buf_add(out, block, n);
    buf_add(out, "", 0);
    (void)fclose(f);
}

static int swap(int fd, FILE *to)
{
    const int was = dup(fd);

    assert_true(was >= 0 && to);
    assert_true(dup2(fileno(to), fd) >= 0);
    return was;
}

static void swap_back(int fd, int was)
{
    assert_true(dup2(was, fd) >= 0);
    (void)close(was);
}

/* Up to ten words behind "topology"; NULL ends them. */
static struct result run(const char *const *words)
{
    char *argv[12] = {(char[]){"topology"}};
    char *copies[12] = {NULL};
    struct result r = {0};
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = copies[argc] = strdup(words[argc - 1]);
    (void)fflush(NULL);
    FILE *const out = tmpfile(), *const err = tmpfile();
    const int was_out = swap(STDOUT_FILENO, out), was_err = swap(STDERR_FILENO, err);
    r.code = cmd_topology(argc, argv);
    (void)fflush(NULL);
    swap_back(STDOUT_FILENO, was_out);
    swap_back(STDERR_FILENO, was_err);
    take_file(&r.out, out);
    take_file(&r.err, err);
    for (int i = 0; i < argc; i++)
        free(copies[i]);
    return r;
}

static void done(struct result *r)
{
    buf_free(&r->out);
    buf_free(&r->err);
}

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* --- exit codes --- */

static void assert_ends(const char *const *words, int code, const char *said)
{
    struct result r = run(words);

    assert_int_equal(r.code, code);
    assert_non_null(strstr(r.err.p, said));
    assert_int_equal(r.out.n, 0);
    done(&r);
}

static void wrong_usage_ends_with_2_and_says_what_is_meant(void **state)
{
    assert_ends(WORDS("--xm", "x"), 2, "did you mean \"--xml\"?");
    assert_ends(WORDS("--xml"), 2, "--xml");
    assert_ends(WORDS("-o", "jsonn"), 2, "did you mean \"json\"?");
    assert_ends(WORDS("gpu-0"), 2, "--cluster");
    assert_ends(WORDS("--cluster", "x"), 2, "name of a node");
    assert_ends(WORDS("a", "b", "--cluster", "x"), 2, "\"b\"");
    assert_ends(WORDS("--xml", "a", "--fsroot", "b"), 2, "only one");
    assert_ends(WORDS("--node-name", "Not_A_Name", "-o", "manifest"), 2, "Not_A_Name");
    assert_ends(WORDS("--node-name", "a..b", "-o", "manifest"), 2, "a..b");
    assert_ends(WORDS("--node-name", "", "-o", "manifest"), 2, "--node-name");
}

static void wrong_attributes_end_with_2(void **state)
{
    static const struct {
        const char *attribute, *said;
    } cases[] = {
        {"reserved-cpu=0", "did you mean \"reserved-cpus\"?"},
        {"orchestration.gokore.io/generatoin=1", "did you mean \"generation\"?"},
        {"entirely-unknown=1", "unknown attribute"},
        {"reserved-cpus", "NAME=VALUE"},
        {"reserved-cpus=0-", "\"0-\""},
        {"reserved-cpus=4", "no CPU 4"},
        {"cpu-manager-policy=dynamic", "none static"},
        {"memory-manager-policy=static", "None Static"},
        {"topologyManagerPolicy=best", "best-effort"},
        {"topologyManagerPolicy=", "best-effort"},
        {"generation=-1", "whole number"},
        {"observed-at=yesterday", "not a time"},
        {"placements={\n}", "printable"},
    };

    for (size_t k = 0; k < ARRAY_LEN(cases); k++)
        assert_ends(WORDS("--synthetic", "numa:2 pu:2", "-o", "manifest", "--attribute",
                          cases[k].attribute),
                    2, cases[k].said);
    assert_ends(
        WORDS("-o", "manifest", "--attribute", "generation=1", "--attribute", "generation=2"), 2,
        "twice");
    assert_ends(WORDS("--attribute", "generation=1"), 2, "manifest");
}

static void assert_drawn(const char *const *words, const char *const *texts)
{
    struct result r = run(words);

    assert_int_equal(r.code, 0);
    for (; *texts; texts++)
        if (!strstr(r.out.p, *texts))
            fail_msg("the picture does not say %s", *texts);
    done(&r);
}

/* Two packages of a zone each, 21 apart; 16 GPUs with links. What is legible tests/lint asks. */
static void a_picture_says_what_the_machine_is(void **state)
{
    assert_drawn(WORDS("--xml", machine("nvidiaDGX2.xml"), "-o", "svg"),
                 WORDS("<svg xmlns", ">nvidiaDGX2.xml</text>", ">Package 0<", ">NUMA zone 1<",
                       ">754.5 GiB<", ">L3, CPUs 0-1<", ">PCI 0000:2b<", ">GPU nvml15<", ">21<",
                       ">NV<", ">SYS<", "a link of their own (NVLink)", "</svg>"));
    assert_drawn(WORDS("gpu-0", "--cluster", "x", "-o", "svg"),
                 WORDS(">gpu-0</text>", ">NUMA zone 5<", "not known: 10 and 20 are assumed"));
    assert_drawn(WORDS("--synthetic", "numa:2 pu:2", "-o", "svg"), WORDS(">numa:2 pu:2</text>"));
    assert_ends(WORDS("-o", "svgg"), 2, "did you mean \"svg\"?");
}

static uint32_t count_lines(const char *text)
{
    uint32_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void broken_input_ends_with_3_and_one_line(void **state)
{
    const char *const cases[][2] = {
        {"--xml", "/nonexistent.xml"},
        {"--xml", machine("COPYING")},
        {"--fsroot", "/nonexistent"},
        {"--synthetic", "nonsense"},
    };

    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct result r = run(WORDS(cases[k][0], cases[k][1]));

        assert_int_equal(r.code, 3);
        assert_int_equal(count_lines(r.err.p), 1);
        assert_non_null(strstr(r.err.p, cases[k][1]));
        assert_int_equal(r.out.n, 0);
        done(&r);
    }
    assert_ends(WORDS("gpu-1", "--cluster", "dir"), 3, "there is no node \"gpu-1\" in dir");
}

static void help_is_no_error(void **state)
{
    struct result r = run(WORDS("--help"));

    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out.p, "--synthetic"));
    assert_int_equal(r.err.n, 0);
    done(&r);
}

/* --- golden texts --- */

static void assert_golden(struct result *r, const char *name)
{
    struct buf want = {0};

    assert_int_equal(r->code, 0);
    assert_int_equal(test_data_read(name, &want), 0);
    if (!str_eq(buf_view(&r->out), buf_view(&want)))
        fail_msg("%s differs; the command printed:\n%s", name, r->out.p);
    buf_free(&want);
    done(r);
}

static void a_dgx2_is_printed_as_recorded(void **state)
{
    struct result r = run(WORDS("--xml", machine("nvidiaDGX2.xml")));

    assert_golden(&r, "golden/topology-dgx2.txt");
}

static void a_machine_with_sparse_zones_is_printed_as_recorded(void **state)
{
    const bool quick = access("/dev/shm", W_OK | X_OK) == 0; /* thousands of files */
    char dir[64];
    struct buf tar = {0};

    (void)snprintf(dir, sizeof(dir), "%s/numawise-sparse-XXXXXX", quick ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    buf_printf(&tar, "tar --strip-components=1 --no-same-owner -xjf '%s' -C '%s'",
               machine("48amd64-4pa2n6c-sparse.tar.bz2"), dir);
    assert_int_equal(system(tar.p), 0);
    struct result table = run(WORDS("--fsroot", dir));
    struct result manifest =
        run(WORDS("--fsroot", dir, "-o", "manifest", "--node-name", "sparse.example", "--attribute",
                  "reserved-cpus=0,18-19", "--attribute",
                  "orchestration.gokore.io/cpu-manager-policy=static"));
    buf_free(&tar);
    buf_printf(&tar, "rm -rf '%s'", dir);
    assert_int_equal(system(tar.p), 0);
    buf_free(&tar);
    assert_golden(&table, "golden/topology-sparse.txt");
    assert_golden(&manifest, "golden/topology-sparse.yaml");
}

static void a_node_of_a_cluster_is_printed_like_a_machine(void **state)
{
    struct result r = run(WORDS("gpu-0", "--cluster", "dir"));

    assert_int_equal(r.code, 0);
    assert_string_equal(r.out.p, "ZONE  SOCKET  MEMORY  HUGE PAGES  CPUS\n"
                                 "5     1       4 KiB   -           0\n"
                                 "\nDistances: not known.\n\nDevices: none.\n");
    done(&r);
}

static void a_manifest_of_a_node_has_the_settings_of_its_kubelet(void **state)
{
    struct result r = run(WORDS("gpu-0", "--cluster", "dir", "-o", "manifest"));

    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out.p, "  name: \"gpu-0\"\nattributes:\n"
                                    "- name: topologyManagerPolicy\n  value: \"restricted\"\n"
                                    "- name: orchestration.gokore.io/reserved-cpus\n"
                                    "  value: \"0\"\nzones:\n"));
    done(&r);
    r = run(WORDS("gpu-0", "--cluster", "dir", "-o", "manifest", "--attribute",
                  "topologyManagerPolicy=none"));
    assert_non_null(strstr(r.out.p, "value: \"none\""));
    assert_null(strstr(r.out.p, "restricted"));
    done(&r);
}

/* --- JSON against its schema --- */

static bool is_of_type(const json_t *value, const char *type)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static void check_type(const json_t *value, const json_t *type)
{
    bool ok = json_is_string(type) && is_of_type(value, json_string_value(type));
    const json_t *one;
    size_t i;

    json_array_foreach(type, i, one) ok = ok || is_of_type(value, json_string_value(one));
    assert_true(ok);
}

static void check_number(const json_t *value, const json_t *schema)
{
    const json_t *const min = json_object_get(schema, "minimum");
    const json_t *const max = json_object_get(schema, "maximum");

    if (!json_is_integer(value))
        return;
    assert_true(!min || json_integer_value(value) >= json_integer_value(min));
    assert_true(!max || json_integer_value(value) <= json_integer_value(max));
}

static void check_enum(const json_t *value, const json_t *words)
{
    const json_t *word;
    bool ok = !words;
    size_t i;

    json_array_foreach(words, i, word) ok = ok || json_equal(word, value);
    assert_true(ok);
}

/* The keywords that the schema uses; an unknown one fails, so that none is skipped silently. */
static void check_keywords(json_t *schema)
{
    static const char *const known[] = {"$schema",
                                        "title",
                                        "description",
                                        "type",
                                        "required",
                                        "enum",
                                        "properties",
                                        "items",
                                        "minItems",
                                        "maxItems",
                                        "minimum",
                                        "maximum",
                                        "additionalProperties"};
    const char *key;
    json_t *value;

    json_object_foreach(schema, key, value)
    {
        bool ok = false;

        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok = ok || strcmp(key, known[i]) == 0;
        assert_true(ok);
    }
}

static void check(json_t *value, json_t *schema);

static void check_object(json_t *value, json_t *schema)
{
    json_t *const properties = json_object_get(schema, "properties");
    json_t *member, *name;
    const char *key;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, name)
        assert_non_null(json_object_get(value, json_string_value(name)));
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    json_object_foreach(value, key, member)
    {
        assert_non_null(json_object_get(properties, key));
        check(member, json_object_get(properties, key));
    }
}

static void check_array(json_t *value, json_t *schema)
{
    json_t *member;
    size_t i;

    assert_true(json_array_size(value) >=
                (size_t)json_integer_value(json_object_get(schema, "minItems")));
    json_array_foreach(value, i, member) check(member, json_object_get(schema, "items"));
}

static void check(json_t *value, json_t *schema)
{
    check_keywords(schema);
    check_type(value, json_object_get(schema, "type"));
    check_enum(value, json_object_get(schema, "enum"));
    check_number(value, schema);
    if (json_is_object(value))
        check_object(value, schema);
    if (json_is_array(value))
        check_array(value, schema);
}

static json_t *parse(struct str text)
{
    json_error_t error;
    json_t *const json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);

    if (!json)
        fail_msg("line %d: %s", error.line, error.text);
    return json;
}

static json_t *json_of(const char *kind, const char *text)
{
    struct result r = run(WORDS(kind, text, "-o", "json"));

    assert_int_equal(r.code, 0);
    json_t *const json = parse(buf_view(&r.out));
    done(&r);
    return json;
}

static json_t *schema(void)
{
    struct buf text = {0};

    assert_int_equal(test_file_read(TEST_DATA "/../../docs/reference/topology.schema.json", &text),
                     0);
    json_t *const json = parse(buf_view(&text));
    buf_free(&text);
    return json;
}

static void json_is_what_its_schema_says(void **state)
{
    static const char *const names[] = {
        "16amd64-4distances.xml",         "16amd64-8n2c-cpusets.xml",
        "16intel64-manyVFs.xml",          "28intel64-2p2g7c-CoDgroups.v1.xml",
        "32em64t-2n8c2t-pci-wholeio.xml", "64intel64-fakeKNL-SNC4-hybrid.xml",
        "8intel64-4n2t-memattrs.xml",     "96em64t-4n4d3ca2co-pci.xml",
        "memorysidecaches.xml",           "nvidiaDGX2.xml",
        "power8gpudistances.xml",
    };
    json_t *const s = schema();

    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        json_t *const json = json_of("--xml", machine(names[k]));

        check(json, s);
        json_decref(json);
    }
    json_t *const json = json_of("--synthetic", "package:2 numa:2 core:2 pu:2");
    check(json, s);
    json_decref(json);
    json_decref(s);
}

static void json_has_zones_by_linux_id_and_unknown_things_as_null(void **state)
{
    json_t *const json = json_of("--xml", machine("16amd64-8n2c-cpusets.xml"));
    json_t *const zones = json_object_get(json, "zones");
    json_t *const last = json_array_get(zones, 4);
    json_t *const row = json_array_get(json_object_get(json, "distances"), 2);

    assert_int_equal(json_array_size(zones), 5);
    assert_int_equal(json_integer_value(json_object_get(last, "id")), 5);
    assert_true(json_is_null(json_object_get(last, "socket")));
    assert_string_equal(json_string_value(json_object_get(last, "cpus")), "");
    assert_int_equal(json_integer_value(json_array_get(row, 2)), 10);
    assert_int_equal(json_integer_value(json_array_get(row, 0)), 20);
    json_decref(json);
}

static void json_says_null_where_distances_are_not_known(void **state)
{
    json_t *const json = json_of("--xml", machine("64intel64-fakeKNL-SNC4-hybrid.xml"));
    json_t *const attributes = json_object_get(json, "memattrs");
    json_t *const last = json_array_get(attributes, 7);

    assert_true(json_is_null(json_object_get(json, "distances")));
    assert_int_equal(json_array_size(attributes), 8);
    assert_int_equal(json_integer_value(json_object_get(last, "zone")), 7);
    assert_int_equal(json_integer_value(json_object_get(last, "readBandwidthMBs")), 90000);
    assert_null(json_object_get(last, "readLatencyNs"));
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_says_what_the_machine_is),
        cmocka_unit_test(wrong_usage_ends_with_2_and_says_what_is_meant),
        cmocka_unit_test(wrong_attributes_end_with_2),
        cmocka_unit_test(broken_input_ends_with_3_and_one_line),
        cmocka_unit_test(help_is_no_error),
        cmocka_unit_test(a_dgx2_is_printed_as_recorded),
        cmocka_unit_test(a_machine_with_sparse_zones_is_printed_as_recorded),
        cmocka_unit_test(a_node_of_a_cluster_is_printed_like_a_machine),
        cmocka_unit_test(a_manifest_of_a_node_has_the_settings_of_its_kubelet),
        cmocka_unit_test(json_is_what_its_schema_says),
        cmocka_unit_test(json_has_zones_by_linux_id_and_unknown_things_as_null),
        cmocka_unit_test(json_says_null_where_distances_are_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
