/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/configz.h"
#include "base/buf.h"
#include "base/err.h"

static void an_address_is_an_ip_address_and_perhaps_a_port(void **state)
{
    static const char *const good[] = {"10.0.0.7", "10.0.0.7:1", "10.0.0.7:65535", "::1",
                                       "fe80::1",  "[::1]",      "[::1]:10250"};
    static const char *const bad[] = {"",
                                      "node",
                                      "node:10250",
                                      "10.0.0",
                                      "10.0.0.7:",
                                      "10.0.0.7:0",
                                      "10.0.0.7:65536",
                                      "10.0.0.7:+1",
                                      "10.0.0.7:1x",
                                      "10.0.0.7:000001",
                                      "[::1",
                                      "[::1]x",
                                      "[10.0.0.7",
                                      "::1:",
                                      "[::1]:",
                                      "10.0.0.7 ",
                                      "https://10.0.0.7"};
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (agent_configz_check(good[i], &err))
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (agent_configz_check(bad[i], &err) != -EINVAL)
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

/* Nobody is asked before there is somebody to believe. */
static void without_a_certificate_to_believe_nobody_is_asked(void **state)
{
    struct agent_configz from = {.address = "127.0.0.1:1", .name = "n1"};
    struct buf out = {0};
    struct err err;

    assert_int_equal(agent_configz_ask(&out, &from, &err), -EINVAL);
    assert_string_equal(err.text, "the kubelet at 127.0.0.1:1: no certificate is given to believe");
    from.ca[1] = "/nowhere/ca.crt";
    assert_int_equal(agent_configz_ask(&out, &from, &err), -EINVAL);
    assert_non_null(strstr(err.text, "/nowhere/ca.crt: No such file or directory"));
    assert_int_equal(out.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_an_ip_address_and_perhaps_a_port),
        cmocka_unit_test(without_a_certificate_to_believe_nobody_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
