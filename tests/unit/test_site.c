/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "net/site.h"

/* In a block of its own, so that AddressSanitizer sees a read past it. */
static bool is_local(const char *host)
{
    const size_t n = strlen(host);
    char *const copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, host, n);
    const bool is = site_is_local((struct str){copy, n});
    free(copy);
    return is;
}

static void names_that_nobody_else_can_own_are_local(void **state)
{
    static const char *const hosts[] = {"localhost",      "LocalHost:8788",      "127.0.0.1",
                                        "127.0.0.1:8788", "127.255.3.4:1",       "[::1]",
                                        "[::1]:8788",     "[0:0:0:0:0:0:0:1]:80"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (!is_local(hosts[i]))
            fail_msg("%s", hosts[i]);
    }
}

static void all_others_are_not(void **state)
{
    static const char *const hosts[] = {
        "",
        "evil.example",
        "evil.example:8788",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8788",
        "evil.localhost",
        "localhos",
        "localhost:80a",
        "localhost:80:80",
        "10.0.0.1",
        "128.0.0.1:80",
        "127.1",
        "0127.0.0.1",
        "2130706433",
        "0.0.0.0:8788",
        "[::]",
        "[::2]:80",
        "[::ffff:127.0.0.1]",
        "::1",
        "[::1",
        "[::1]x",
        "[localhost]",
        "[127.0.0.1]",
        ":8788",
        "[]:80",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (is_local(hosts[i]))
            fail_msg("%s", hosts[i]);
    }
    assert_false(site_is_local((struct str){0})); /* HTTP/1.0 may come without a Host */
    assert_false(site_is_own(STR("http://"), (struct str){0}));
}

static void a_page_is_of_the_site_that_served_it(void **state)
{
    static const struct {
        const char *origin, *host;
        bool own;
    } cases[] = {
        {"http://127.0.0.1:8788", "127.0.0.1:8788", true},
        {"https://Numawise.example", "numawise.example", true},
        {"HTTP://[::1]:8788", "[::1]:8788", true},
        {"http://127.0.0.1:8789", "127.0.0.1:8788", false},
        {"http://127.0.0.1", "127.0.0.1:8788", false},
        {"http://evil.example", "127.0.0.1:8788", false},
        {"http://127.0.0.1:8788.evil.example", "127.0.0.1:8788", false},
        {"null", "127.0.0.1:8788", false},
        {"", "127.0.0.1:8788", false},
        {"http://", "", false},
        {"ftp://127.0.0.1", "127.0.0.1", false},
        {"127.0.0.1", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (site_is_own(str_of(cases[i].origin), str_of(cases[i].host)) != cases[i].own)
            fail_msg("%s at %s", cases[i].origin, cases[i].host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_nobody_else_can_own_are_local),
        cmocka_unit_test(all_others_are_not),
        cmocka_unit_test(a_page_is_of_the_site_that_served_it),
    };

    return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
