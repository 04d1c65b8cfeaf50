/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

static void the_defaults_are_those_of_the_contract(void **state)
{
    struct numawise_config c;

    config_init(&c);
    assert_string_equal(c.listeners[CONFIG_EXTENDER].address.p, "127.0.0.1:8787");
    assert_string_equal(c.listeners[CONFIG_OPERATOR].address.p, "127.0.0.1:8788");
    assert_string_equal(c.listeners[CONFIG_CONSOLE].address.p, "127.0.0.1:8789");
    assert_true(config_is_off(&c.listeners[CONFIG_ADMISSION]));
    assert_false(config_is_off(&c.listeners[CONFIG_CONSOLE]));
    assert_int_equal(c.mode, CONFIG_ENFORCE);
    assert_int_equal(c.max_score, 10);
    assert_int_equal(c.decisions_max_bytes, 8 * 1024 * 1024);
    assert_int_equal(c.topology_max_age_ms, 300000);
    assert_int_equal(c.limits.head_bytes, 16384);
    assert_int_equal(c.limits.headers, 64);
    assert_int_equal(c.limits.body_bytes[CONFIG_EXTENDER], 134217728);
    assert_int_equal(c.limits.body_bytes[CONFIG_ADMISSION], 3145728);
    assert_int_equal(c.limits.body_bytes[CONFIG_OPERATOR], 1048576);
    assert_int_equal(c.limits.body_bytes[CONFIG_CONSOLE], 1048576);
    assert_int_equal(c.limits.head_ms, 3000);
    assert_int_equal(c.limits.body_ms, 10000);
    assert_int_equal(c.limits.write_ms, 10000);
    assert_int_equal(c.limits.idle_ms, 120000);
    assert_int_equal(c.limits.connections, 1024);
}

/* Each default is within its own range, each path is there once and no block and setting at once.
 */
static void the_table_is_sound(void **state)
{
    struct numawise_config c;

    config_init(&c);
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *const s = &config_settings[i];
        const bool number = s->type == CONFIG_BOOL || s->type == CONFIG_INTEGER ||
                            s->type == CONFIG_BYTES || s->type == CONFIG_DURATION;

        assert_ptr_equal(config_find(str_of(s->path)), s);
        assert_false(config_is_block(str_of(s->path)));
        if (number)
            assert_int_equal(config_set_number(&c, s, s->initial, NULL), 0);
        else if (s->type == CONFIG_CHOICE)
            assert_int_equal(config_set_text(&c, s, str_of(s->words[s->initial]), NULL), 0);
        else
            assert_int_equal(config_set_text(&c, s, str_of(s->initial_text), NULL), 0);
    }
}

static const struct config_setting *find(const char *path)
{
    const struct config_setting *const s = config_find(str_of(path));

    assert_non_null(s);
    return s;
}

static void numbers_have_a_range(void **state)
{
    struct numawise_config c;
    struct err err;

    config_init(&c);
    assert_int_equal(config_set_number(&c, find("extender.maxScore"), 100, &err), 0);
    assert_int_equal(c.max_score, 100);
    assert_int_equal(config_set_number(&c, find("extender.maxScore"), 101, &err), -ERANGE);
    assert_string_equal(err.text, "extender.maxScore: 101 is outside 1..100");
    assert_int_equal(config_set_number(&c, find("extender.maxScore"), 0, &err), -ERANGE);
    assert_int_equal(config_set_number(&c, find("decisions.maxBytes"), 1, &err), -ERANGE);
    assert_string_equal(err.text, "decisions.maxBytes: 1 is outside 64Ki..1Gi");
    assert_int_equal(config_set_number(&c, find("decisions.maxBytes"), -1024, &err), -ERANGE);
    assert_string_equal(err.text, "decisions.maxBytes: -1024 is outside 64Ki..1Gi");
    assert_int_equal(config_set_number(&c, find("limits.headTimeout"), 3600000, &err), -ERANGE);
    assert_string_equal(err.text, "limits.headTimeout: 1h is outside 10ms..5m");
    assert_int_equal(c.max_score, 100);
    assert_int_equal(config_set_number(&c, find("extender.mode"), 1, &err), -EINVAL);
    assert_int_equal(config_set_text(&c, find("extender.maxScore"), STR("x"), &err), -EINVAL);
}

static void choices_and_addresses_are_checked(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", "0.0.0.0:65535", "[::1]:80", "[::]:8787",
                                       "off"};
    static const char *const bad[] = {"",        "127.0.0.1",    "localhost:80", "127.0.0.1:65536",
                                      ":80",     "127.0.0.1:",   "::1:80",       "[127.0.0.1]:80",
                                      "[::1:80", "127.0.0.1:08", "Off",          "1.2.3:80"};
    struct numawise_config c;
    struct err err;

    config_init(&c);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(
            config_set_text(&c, find("listeners.console.address"), str_of(good[i]), &err), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(
            config_set_text(&c, find("listeners.console.address"), str_of(bad[i]), &err), -EINVAL);
    assert_string_equal(c.listeners[CONFIG_CONSOLE].address.p, "off");
    assert_int_equal(config_set_text(&c, find("extender.mode"), STR("Shadow"), &err), 0);
    assert_int_equal(c.mode, CONFIG_SHADOW);
    assert_int_equal(config_set_text(&c, find("extender.mode"), STR("shadow"), &err), -EINVAL);
    assert_string_equal(err.text, "extender.mode: \"shadow\" (did you mean Shadow?)");
    assert_int_equal(config_set_text(&c, find("logging.format"), STR("klog v2"), &err), -EINVAL);
    assert_string_equal(err.text, "logging.format: \"klog v2\" is none of text, json");
}

static void durations_are_read_as_in_go(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } cases[] = {
        {"500ms", 0, 500},
        {"5m", 0, 300000},
        {"1h30m", 0, 5400000},
        {"1.5s", 0, 1500},
        {"0", 0, 0},
        {"0s", 0, 0},
        {".5s", 0, 500},
        {"1500us", 0, 2},
        {"1500\xc2\xb5s", 0, 2},
        {"400000ns", 0, 0},
        {"2h0m1s", 0, 7201000},
        {"1m1m", 0, 120000},
        {"", -EINVAL, 0},
        {"5", -EINVAL, 0},
        {"m", -EINVAL, 0},
        {"5 m", -EINVAL, 0},
        {"-5m", -EINVAL, 0},
        {"5M", -EINVAL, 0},
        {"1.2.3s", -EINVAL, 0},
        {".s", -EINVAL, 0},
        {"5d", -EINVAL, 0},
        {"5m3", -EINVAL, 0},
        {"99999999999999h", -ERANGE, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 0;

        if (config_parse_duration(str_of(cases[i].text), &ms) != cases[i].rc || ms != cases[i].ms)
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
    }
}

static void format(int64_t ms, const char *duration, int64_t n, const char *bytes)
{
    struct buf b = {0};

    config_format_duration(&b, ms);
    assert_string_equal(b.p, duration);
    b.n = 0;
    buf_bytes(&b, (uint64_t)n);
    assert_string_equal(b.p, bytes);
    buf_free(&b);
}

static void durations_and_sizes_are_printed_short(void **state)
{
    format(0, "0s", 0, "0");
    format(300000, "5m", 8 * 1024 * 1024, "8Mi");
    format(5400000, "1h30m", 1536, "1536");
    format(1500, "1s500ms", 1024, "1Ki");
}

static void blocks_know_their_nearest_name(void **state)
{
    char near[64];

    assert_true(config_is_block(STR("")) && config_is_block(STR("limits.body")));
    assert_false(config_is_block(STR("limits.bod")) || config_is_block(STR("nothing")));
    assert_string_equal(config_nearest(STR("extender"), STR("maxscore"), near, sizeof(near)),
                        "maxScore");
    assert_string_equal(config_nearest(STR(""), STR("listener"), near, sizeof(near)), "listeners");
    assert_string_equal(config_nearest(STR("listeners.console"), STR("tl"), near, sizeof(near)),
                        "tls");
    assert_null(config_nearest(STR("extender"), STR("colour"), near, sizeof(near)));
}

static void two_listeners_cannot_share_an_address(void **state)
{
    struct numawise_config c;
    struct err err;

    config_init(&c);
    assert_int_equal(config_check(&c, &err), 0);
    c.listeners[CONFIG_CONSOLE] = c.listeners[CONFIG_EXTENDER];
    assert_int_equal(config_check(&c, &err), -EINVAL);
    assert_string_equal(err.text, "listeners.console.address: 127.0.0.1:8787 is the address of "
                                  "listeners.extender, too");
    c.listeners[CONFIG_CONSOLE] = c.listeners[CONFIG_EXTENDER] =
        (struct config_listener){.address = {"127.0.0.1:0"}}; /* the kernel gives two ports */
    assert_int_equal(config_check(&c, &err), 0);
}

static void a_list_is_texts_with_a_bound(void **state)
{
    const struct config_setting *const s = find("listeners.extender.tls.allowedNames");
    struct str many[CONFIG_LIST_ITEMS + 1];
    char long_text[1000];
    const char *items[CONFIG_LIST_ITEMS];
    struct numawise_config c;
    struct err err;

    config_init(&c);
    const struct config_list *const l = &c.listeners[CONFIG_EXTENDER].allowed_names;
    assert_int_equal(config_list_items(l, items), 0);
    assert_int_equal(config_set_text(&c, s, STR("system:kube-scheduler, b"), &err), 0);
    assert_int_equal(config_list_items(l, items), 2);
    assert_string_equal(items[0], "system:kube-scheduler");
    assert_string_equal(items[1], "b");
    assert_int_equal(config_set_list(&c, s, (struct str[]){STR("a,b")}, 1, &err), 0);
    assert_int_equal(config_list_items(l, items), 1);
    assert_string_equal(items[0], "a,b");

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = STR("x");
    assert_int_equal(config_set_list(&c, s, many, CONFIG_LIST_ITEMS + 1, &err), -ERANGE);
    assert_int_equal(config_set_list(&c, s, many, CONFIG_LIST_ITEMS, &err), 0);
    assert_int_equal(config_list_items(l, items), CONFIG_LIST_ITEMS);
    memset(long_text, 'x', sizeof(long_text));
    for (size_t i = 0; i < 5; i++)
        many[i] = (struct str){long_text, i < 4 ? 1000 : 90};
    assert_int_equal(config_set_list(&c, s, many, 5, &err), 0); /* 4 * 1001 + 91 + 1 = 4096 */
    many[4].n = 91;
    assert_int_equal(config_set_list(&c, s, many, 5, &err), -ERANGE);
    assert_string_equal(err.text,
                        "listeners.extender.tls.allowedNames: longer than 4095 bytes together");
    many[1] = STR("");
    assert_int_equal(config_set_list(&c, s, many, 2, &err), -EINVAL);
    assert_int_equal(config_list_items(l, items), 5); /* what was there stays */
    assert_int_equal(config_set_list(&c, s, NULL, 0, &err), 0);
    assert_int_equal(config_list_items(l, items), 0);
    assert_int_equal(config_set_list(&c, find("source.cluster"), NULL, 0, &err), -EINVAL);
}

static void what_tls_needs_is_there_or_said(void **state)
{
    static const struct {
        const char *cert, *key, *ca, *names, *address, *text;
    } cases[] = {
        {"c", "", "", "", "off", "certFile: there is no keyFile beside it"},
        {"", "k", "", "", "off", "keyFile: there is no certFile beside it"},
        {"", "", "a", "", "off", "clientCAFile: there is no certFile beside it"},
        {"c", "k", "", "n", "off", "allowedNames: there is no clientCAFile beside it"},
        {"", "", "", "", "127.0.0.1:1", "the API server calls webhooks by TLS only"},
        {"c", "k", "a", "n", "127.0.0.1:1", NULL},
        {"c", "k", "", "", "127.0.0.1:1", NULL},
    };
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct numawise_config c;
        config_init(&c);
        struct config_listener *const l = &c.listeners[CONFIG_ADMISSION];
        (void)snprintf(l->cert_file.p, 8, "%s", cases[i].cert);
        (void)snprintf(l->key_file.p, 8, "%s", cases[i].key);
        (void)snprintf(l->client_ca_file.p, 8, "%s", cases[i].ca);
        (void)snprintf(l->allowed_names.p, 8, "%s", cases[i].names);
        (void)snprintf(l->address.p, 16, "%s", cases[i].address);
        assert_int_equal(config_check(&c, &err), cases[i].text ? -EINVAL : 0);
        if (cases[i].text)
            assert_non_null(strstr(err.text, cases[i].text));
    }
}

static void bind_needs_an_api_server(void **state)
{
    struct numawise_config c;
    struct err err;

    config_init(&c);
    assert_false(c.bind);
    assert_int_equal(c.limits.bind_ms, 1500);
    c.bind = true;
    assert_int_equal(config_check(&c, &err), 0);
    (void)snprintf(c.cluster.p, 8, "dir");
    assert_int_equal(config_check(&c, &err), -EINVAL);
    assert_string_equal(err.text, "extender.bind: needs an API server, and source.cluster is a "
                                  "directory");
}

static void retry_names_an_object_of_an_api_server(void **state)
{
    static const char *const wrong[] = {"numawise-retry",
                                        "/numawise-retry",
                                        "numawise-system/",
                                        "a/b/c",
                                        "a/../b",
                                        "a/b?c",
                                        "Numawise/retry",
                                        "a /b",
                                        "./b",
                                        "a/b%2fc"};
    struct numawise_config c;
    struct err err;

    config_init(&c);
    assert_string_equal(c.retry.p, "");
    (void)snprintf(c.retry.p, sizeof(c.retry.p), "numawise-system/numawise-retry");
    assert_int_equal(config_check(&c, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        (void)snprintf(c.retry.p, sizeof(c.retry.p), "%s", wrong[i]);
        if (config_check(&c, &err) != -EINVAL)
            fail_msg("%s", wrong[i]);
        assert_non_null(strstr(err.text, "extender.retry: "));
        assert_non_null(strstr(err.text, "is not NAMESPACE/NAME"));
    }
    memset(c.retry.p, 'a', sizeof(c.retry.p) - 1); /* as long as it gets */
    c.retry.p[100] = '/';
    assert_int_equal(config_check(&c, &err), -EINVAL);
    (void)snprintf(c.retry.p, sizeof(c.retry.p), "a/b");
    (void)snprintf(c.cluster.p, 8, "dir");
    assert_int_equal(config_check(&c, &err), -EINVAL);
    assert_string_equal(err.text, "extender.retry: needs an API server, and source.cluster is a "
                                  "directory");
}

static void acting_needs_an_api_server_and_a_lease(void **state)
{
    struct numawise_config c;
    struct err err = {0};

    (void)state;
    config_init(&c);
    assert_int_equal(c.act, CONFIG_ACT_DRY_RUN);
    c.act = CONFIG_ACT_ENFORCE;
    assert_int_equal(config_check(&c, &err), -EINVAL);
    assert_string_equal(err.text, "operator.act: Enforce needs operator.lease, so that one "
                                  "replica acts");
    (void)snprintf(c.operator_lease.p, 8, "a/b");
    assert_int_equal(config_check(&c, &err), 0);
    (void)snprintf(c.cluster.p, 8, "dir");
    assert_int_equal(config_check(&c, &err), -EINVAL);
    assert_string_equal(err.text, "operator.act: Enforce needs an API server, and source.cluster "
                                  "is a directory");
}

/* To renew: NUMAWISE_WRITE_REFERENCE=1 build/tests/unit/test_config */
static void the_reference_page_is_what_the_table_says(void **state)
{
    static const char path[] = TEST_DATA "/../../docs/reference/configuration.md";
    struct buf want = {0}, got = {0};

    config_print_reference(&want);
    if (getenv("NUMAWISE_WRITE_REFERENCE")) {
        FILE *const f = fopen(path, "w");

        assert_non_null(f);
        assert_int_equal(fwrite(want.p, 1, want.n, f), want.n);
        assert_int_equal(fclose(f), 0);
    }
    assert_int_equal(test_file_read(path, &got), 0);
    assert_true(str_eq(buf_view(&got), buf_view(&want)));
    buf_free(&want);
    buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_contract),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(numbers_have_a_range),
        cmocka_unit_test(choices_and_addresses_are_checked),
        cmocka_unit_test(durations_are_read_as_in_go),
        cmocka_unit_test(durations_and_sizes_are_printed_short),
        cmocka_unit_test(blocks_know_their_nearest_name),
        cmocka_unit_test(two_listeners_cannot_share_an_address),
        cmocka_unit_test(acting_needs_an_api_server_and_a_lease),
        cmocka_unit_test(a_list_is_texts_with_a_bound),
        cmocka_unit_test(bind_needs_an_api_server),
        cmocka_unit_test(retry_names_an_object_of_an_api_server),
        cmocka_unit_test(what_tls_needs_is_there_or_said),
        cmocka_unit_test(the_reference_page_is_what_the_table_says),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
