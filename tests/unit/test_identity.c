/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "net/identity.h"
#include "tests/support/tls.h"

static bool is_allowed(const struct identity *id, const char *name)
{
    char copy[300];
    char *const list[] = {copy};

    (void)snprintf(copy, sizeof(copy), "%s", name);
    return identity_is_allowed(id, list, 1);
}

static void names_come_from_subject_and_alternatives(void **state)
{
    struct tls_pair p =
        tls_make(&(struct tls_wish){.common_name = "user",
                                    .organizations = {"g1", "g2"},
                                    .names = "DNS:A.B,IP:10.0.0.1,URI:u:X,email:m@n"},
                 NULL);
    struct identity *const id = identity_new(p.cert);

    (void)state;
    assert_true(str_is(id->client.common_name, "user"));
    assert_int_equal(id->client.n_organizations, 2);
    assert_true(str_is(id->client.organizations[1], "g2"));
    assert_int_equal(id->client.n_names, 2); /* addresses and mail are nobody's name here */
    assert_true(is_allowed(id, "user"));
    assert_true(is_allowed(id, "a.b"));
    assert_true(is_allowed(id, "u:X"));
    assert_false(is_allowed(id, "A.B"));
    assert_false(is_allowed(id, "u:x"));
    assert_false(is_allowed(id, "g1"));
    assert_false(is_allowed(id, "use"));
    assert_false(is_allowed(id, "users"));
    assert_false(is_allowed(id, ""));
    identity_unref(id);
    tls_pair_free(&p);
}

static void a_certificate_without_names_is_nobody(void **state)
{
    struct tls_pair p = tls_make(&(struct tls_wish){0}, NULL);
    struct identity *const id = identity_new(p.cert);

    (void)state;
    assert_int_equal(id->client.common_name.n, 0);
    assert_false(is_allowed(id, ""));
    identity_ref(id);
    identity_unref(id);
    identity_unref(id);
    identity_unref(NULL);
    tls_pair_free(&p);
}

/* 40 names of 60 bytes, 32 of which may be kept; those that do not are not cut but left out. */
static void what_does_not_fit_is_left_out_whole(void **state)
{
    char names[4096] = "";
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%sDNS:%02d.%057d", i ? "," : "", i, 0);
    struct tls_pair p = tls_make(&(struct tls_wish){.common_name = "c", .names = names}, NULL);
    struct identity *const id = identity_new(p.cert);
    assert_true(str_is(id->client.common_name, "c"));
    assert_int_equal(id->client.n_names, IDENTITY_NAMES);
    for (size_t i = 0; i < id->client.n_names; i++)
        assert_int_equal(id->client.names[i].n, 60);
    assert_true(id->text_n <= IDENTITY_TEXT_BYTES);
    identity_unref(id);
    tls_pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_subject_and_alternatives),
        cmocka_unit_test(a_certificate_without_names_is_nobody),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
