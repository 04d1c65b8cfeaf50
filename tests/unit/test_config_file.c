/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

#define HEAD "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"

static void note(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    buf_printf(ctx, "%s:%u:%u: %s\n", path, line, column, text);
}

/* All problems of a text; "" when it is right and `c` is written. */
static char *problems(struct numawise_config *c, const char *yaml)
{
    struct buf all = {0};
    const struct kube_config_report report = {note, &all};
    struct err err = {0};

    buf_text(&all, "");
    const int rc = kube_config_read_text(c, str_of(yaml), "c.yaml", &report, &err);
    assert_int_equal(rc, all.n ? -EINVAL : 0);
    if (rc < 0) /* err holds the first */
        assert_memory_equal(all.p, err.text, strlen(err.text));
    return all.p;
}

static struct numawise_config accepted(const char *yaml)
{
    struct numawise_config c;

    config_init(&c);
    char *const all = problems(&c, yaml);
    assert_string_equal(all, "");
    free(all);
    return c;
}

static void refused(const char *yaml, const char *want)
{
    struct numawise_config c, before;

    config_init(&c);
    before = c;
    char *const all = problems(&c, yaml);
    assert_string_equal(all, want);
    assert_memory_equal(&c, &before, sizeof(c));
    free(all);
}

static void a_file_changes_what_it_says_and_nothing_else(void **state)
{
    const struct numawise_config c = accepted(HEAD "listeners:\n"
                                                   "  extender: {address: '0.0.0.0:9000'}\n"
                                                   "  console:\n"
                                                   "    address: \"off\"\n"
                                                   "    tls:\n"
                                                   "source: {cluster: /var/lib/cl\\\"uster}\n"
                                                   "extender:\n"
                                                   "  mode: Shadow\n"
                                                   "  bind: false\n"
                                                   "  maxScore: 100\n"
                                                   "decisions: {maxBytes: 16Mi}\n"
                                                   "topology: {maxAge: 1h30m}\n"
                                                   "limits:\n"
                                                   "  body: {extender: 1048576}\n"
                                                   "  idleTimeout: 95s\n"
                                                   "logging: {format: json, verbosity: 3}\n");

    assert_string_equal(c.listeners[CONFIG_EXTENDER].address.p, "0.0.0.0:9000");
    assert_string_equal(c.listeners[CONFIG_CONSOLE].address.p, "off");
    assert_string_equal(c.listeners[CONFIG_OPERATOR].address.p, "127.0.0.1:8788");
    assert_string_equal(c.cluster.p, "/var/lib/cl\\\"uster");
    assert_int_equal(c.mode, CONFIG_SHADOW);
    assert_int_equal(c.max_score, 100);
    assert_int_equal(c.decisions_max_bytes, 16 * 1024 * 1024);
    assert_int_equal(c.topology_max_age_ms, 5400000);
    assert_int_equal(c.limits.body_bytes[CONFIG_EXTENDER], 1048576);
    assert_int_equal(c.limits.body_bytes[CONFIG_CONSOLE], 1048576);
    assert_int_equal(c.limits.idle_ms, 95000);
    assert_int_equal(c.limits.head_ms, 3000);
    assert_int_equal(c.log_format, CONFIG_LOG_JSON);
    assert_int_equal(c.log_verbosity, 3);
}

static void the_shortest_file_is_the_header(void **state)
{
    struct numawise_config c;

    config_init(&c);
    const struct numawise_config read = accepted(HEAD);
    assert_memory_equal(&read, &c, sizeof(c));
}

static void off_needs_no_quotes(void **state)
{
    const struct numawise_config c = accepted(HEAD "listeners: {console: {address: off}}\n");

    assert_true(config_is_off(&c.listeners[CONFIG_CONSOLE]));
}

static void every_error_is_told_with_its_place(void **state)
{
    refused(HEAD "extender:\n  maxscore: 10\n  mode: enforce\n  decide: 1\nlisteners:\n  console:\n"
                 "    address: nowhere\nfoo: 1\n",
            "c.yaml:4:3: extender.maxscore: unknown field (did you mean maxScore?)\n"
            "c.yaml:5:9: extender.mode: \"enforce\" (did you mean Enforce?)\n"
            "c.yaml:6:11: extender.decide: expected true or false\n"
            "c.yaml:9:14: listeners.console.address: \"nowhere\" is not a numeric address with a "
            "port (127.0.0.1:8787) or off\n"
            "c.yaml:10:1: foo: unknown field\n");
}

static void values_must_have_their_type_and_range(void **state)
{
    refused(HEAD "extender:\n  maxScore: \"10\"\n  bind: 1\n  mode: 5\n",
            "c.yaml:4:13: extender.maxScore: expected an integer\n"
            "c.yaml:5:9: extender.bind: expected true or false\n"
            "c.yaml:6:9: extender.mode: expected text (in quotes)\n");
    refused(HEAD "extender: {maxScore: 101}\n",
            "c.yaml:3:22: extender.maxScore: 101 is outside 1..100\n");
    refused(HEAD "extender: {maxScore: -1}\n",
            "c.yaml:3:22: extender.maxScore: -1 is outside 1..100\n");
    refused(HEAD "extender: {maxScore: 1.5}\n",
            "c.yaml:3:22: extender.maxScore: \"1.5\" is not an integer\n");
    refused(HEAD "extender: {maxScore: 99999999999999999999}\n",
            "c.yaml:3:22: extender.maxScore: \"99999999999999999999\" is not an integer\n");
    refused(HEAD "topology: {maxAge: 5}\n",
            "c.yaml:3:20: topology.maxAge: expected a duration (500ms, 5m, 1h30m)\n");
    refused(HEAD "topology: {maxAge: 5 min}\n",
            "c.yaml:3:20: topology.maxAge: \"5 min\" is not a duration (500ms, 5m, 1h30m)\n");
    refused(HEAD "decisions: {maxBytes: 8MB}\n",
            "c.yaml:3:23: decisions.maxBytes: \"8MB\" is not a size (8Mi, 1000)\n");
    refused(HEAD "decisions: {maxBytes: [8]}\n",
            "c.yaml:3:23: decisions.maxBytes: expected a size (8Mi, 1000)\n");
    refused(HEAD "extender: 5\n", "c.yaml:3:11: extender: expected an object\n");
    refused(HEAD "listeners: {console: {address: on}}\n",
            "c.yaml:3:32: listeners.console.address: expected text (in quotes)\n");
}

static void names_with_dots_are_no_paths(void **state)
{
    refused(HEAD "extender.maxScore: 5\n", "c.yaml:3:1: extender.maxScore: unknown field\n");
}

#define ASKED "queries: {computeQueue: up}"

static void what_is_said_of_prometheus_belongs_together(void **state)
{
    const struct numawise_config c =
        accepted(HEAD "signals:\n  prometheus:\n    address: https://p:9090/prometheus\n"
                      "    interval: 30s\n    timeToLive: 30s\n    tokenFile: /t\n"
                      "    queries:\n      networkBandwidth: 'sum by (node) (rate(b[1m]))'\n");

    assert_string_equal(c.prometheus.address.p, "https://p:9090/prometheus");
    assert_string_equal(c.prometheus.queries[0].p, "sum by (node) (rate(b[1m]))");
    assert_string_equal(c.prometheus.queries[1].p, "");
    assert_int_equal(c.prometheus.interval_ms, 30000);
    refused(HEAD "signals: {prometheus: {" ASKED "}}\n",
            "c.yaml:3:48: signals.prometheus.queries.computeQueue: there is no "
            "signals.prometheus.address\n");
    refused(HEAD "signals: {prometheus: {address: 'http://p'}}\n",
            "c.yaml:3:33: signals.prometheus.address: there is nothing to ask in "
            "signals.prometheus.queries\n");
    refused(HEAD "signals: {prometheus: {address: 'http://p', timeToLive: 14s, " ASKED "}}\n",
            "c.yaml:3:57: signals.prometheus.timeToLive: shorter than "
            "signals.prometheus.interval\n");
    refused(HEAD "signals: {prometheus: {address: 'http://p', tokenFile: /t, " ASKED "}}\n",
            "c.yaml:3:56: signals.prometheus.tokenFile: needs an address with https://\n");
    refused(HEAD "signals: {prometheus: {address: 'http://p', caFile: /c, " ASKED "}}\n",
            "c.yaml:3:53: signals.prometheus.caFile: needs an address with https://\n");
    static const char *const wrong[] = {"p:9090",     "ftp://p",    "http://",   "http:///x",
                                        "http://a b", "http://u@p", "http://p?x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf text = {0};

        buf_printf(&text, HEAD "signals: {prometheus: {address: '%s', " ASKED "}}\n", wrong[i]);
        refused(text.p, "c.yaml:3:33: signals.prometheus.address: expected http://HOST:PORT or "
                        "https://HOST:PORT\n");
        buf_free(&text);
    }
}

static void there_is_one_source(void **state)
{
    const struct numawise_config c = accepted(HEAD "source: {kubeconfig: /etc/kubeconfig}\n");

    assert_string_equal(c.kubeconfig.p, "/etc/kubeconfig");
    assert_string_equal(c.cluster.p, "");
    refused(HEAD "source:\n  cluster: /a\n  kubeconfig: /b\n",
            "c.yaml:5:15: source.kubeconfig: source.cluster is given, too\n");
}

static void tls_of_a_listener_is_read(void **state)
{
    const char *names[CONFIG_LIST_ITEMS];
    const struct numawise_config c = accepted(
        HEAD "listeners:\n  extender:\n    tls: {certFile: a, keyFile: b, clientCAFile: c,\n"
             "      allowedNames: [\"system:kube-scheduler\", \"tab\\there\"]}\n");

    assert_string_equal(c.listeners[CONFIG_EXTENDER].cert_file.p, "a");
    assert_string_equal(c.listeners[CONFIG_EXTENDER].key_file.p, "b");
    assert_string_equal(c.listeners[CONFIG_EXTENDER].client_ca_file.p, "c");
    assert_int_equal(config_list_items(&c.listeners[CONFIG_EXTENDER].allowed_names, names), 2);
    assert_string_equal(names[0], "system:kube-scheduler");
    assert_string_equal(names[1], "tab\there");
    refused(HEAD "listeners:\n  extender:\n    tls: {certFile: a, keyFile: b, allowedNames: [x]}\n",
            "c.yaml:5:50: listeners.extender.tls.allowedNames: there is no clientCAFile beside "
            "it\n");
    refused(HEAD "listeners: {console: {tls: {allowedNames: [5]}}}\n",
            "c.yaml:3:43: listeners.console.tls.allowedNames: expected texts (in quotes)\n");
    refused(HEAD "listeners: {console: {tls: {allowedNames: x}}}\n",
            "c.yaml:3:43: listeners.console.tls.allowedNames: expected a list\n");
}

static void the_header_is_checked(void **state)
{
    refused("kind: NumawiseConfiguration\n",
            "c.yaml:1:1: apiVersion: missing, expected numawise.config.gokore.io/v1alpha1\n");
    refused("apiVersion: v1\nkind: Pod\n",
            "c.yaml:1:13: apiVersion: expected numawise.config.gokore.io/v1alpha1\n"
            "c.yaml:2:7: kind: expected NumawiseConfiguration\n");
    refused("", "c.yaml:1:1: the file is empty, expected kind NumawiseConfiguration\n");
    refused("- a\n", "c.yaml:1:1: expected an object\n");
    refused(HEAD "---\n" HEAD, "c.yaml:4:1: a second document: a configuration is one\n");
}

static void what_is_not_yaml_is_told_with_its_place(void **state)
{
    refused(HEAD "extender:\n  maxScore: 5\n  maxScore: 6\n",
            "c.yaml:5:3: key \"maxScore\" is given twice\n");
    refused(HEAD "extender:\n\tmaxScore: 5\n",
            "c.yaml:4:1: found character that cannot start any token (while scanning for the next "
            "token that starts at line 4)\n");
}

static void addresses_that_meet_are_refused(void **state)
{
    refused(HEAD "listeners:\n  operator: {address: '127.0.0.1:8787'}\n",
            "c.yaml:4:23: listeners.operator.address: 127.0.0.1:8787 is the address of "
            "listeners.extender, too\n");
}

static void what_is_printed_can_be_read_again(void **state)
{
    struct numawise_config c = accepted(
        HEAD "source: {cluster: \"a\\tb\\\"c\\\\\"}\n"
             "topology: {maxAge: 1500ms}\nextender: {mode: Shadow}\n"
             "listeners: {admission: {address: '[::1]:443', tls: {certFile: /c, keyFile: /k,\n"
             "  clientCAFile: /a, allowedNames: [a, \"b \\\"c\"]}}}\n");
    struct buf text = {0};

    config_print(&text, &c);
    const struct numawise_config again = accepted(text.p);
    assert_memory_equal(&again, &c, sizeof(c));
    assert_non_null(strstr(text.p, "limits:\n  head: 16Ki\n  target: 1Ki\n  headers: 64\n  "
                                   "jsonNesting: 64\n  body:\n    extender: 128Mi\n"
                                   "    operator: 1Mi\n"));
    buf_free(&text);
}

static void flags_and_environment_set_one_setting(void **state)
{
    static const struct {
        const char *path, *value;
        int rc;
    } cases[] = {
        {"extender.maxScore", "20", 0},          {"extender.maxScore", "x", -EINVAL},
        {"extender.maxScore", "1000", -ERANGE},  {"limits.jsonNesting", "31", -ERANGE},
        {"extender.bind", "false", 0},           {"extender.bind", "1", -EINVAL},
        {"topology.maxAge", "10m", 0},           {"decisions.maxBytes", "16Mi", 0},
        {"decisions.maxBytes", "x", -EINVAL},    {"extender.mode", "Shadow", 0},
        {"listeners.console.address", "off", 0}, {"source.cluster", "/c", 0},
    };
    struct numawise_config c;

    config_init(&c);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            kube_config_set(&c, config_find(str_of(cases[i].path)), str_of(cases[i].value), NULL),
            cases[i].rc);
    assert_int_equal(c.max_score, 20);
    assert_int_equal(c.topology_max_age_ms, 600000);
    assert_int_equal(c.decisions_max_bytes, 16 << 20);
    assert_string_equal(c.cluster.p, "/c");
}

static void a_missing_file_is_an_error_of_its_own(void **state)
{
    struct numawise_config c;
    struct err err;

    config_init(&c);
    assert_int_equal(kube_config_read(&c, TEST_DATA "/no-such-file", NULL, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/no-such-file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_changes_what_it_says_and_nothing_else),
        cmocka_unit_test(the_shortest_file_is_the_header),
        cmocka_unit_test(off_needs_no_quotes),
        cmocka_unit_test(every_error_is_told_with_its_place),
        cmocka_unit_test(values_must_have_their_type_and_range),
        cmocka_unit_test(names_with_dots_are_no_paths),
        cmocka_unit_test(what_is_said_of_prometheus_belongs_together),
        cmocka_unit_test(there_is_one_source),
        cmocka_unit_test(tls_of_a_listener_is_read),
        cmocka_unit_test(the_header_is_checked),
        cmocka_unit_test(what_is_not_yaml_is_told_with_its_place),
        cmocka_unit_test(addresses_that_meet_are_refused),
        cmocka_unit_test(what_is_printed_can_be_read_again),
        cmocka_unit_test(flags_and_environment_set_one_setting),
        cmocka_unit_test(a_missing_file_is_an_error_of_its_own),
    };

    return cmocka_run_group_tests_name("config file", tests, NULL, NULL);
}
