/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"

static void assert_decodes(const char *text, const char *want)
{
    struct buf b = {0};

    buf_text(&b, "x");
    assert_int_equal(base64_decode(&b, str_of(text)), 0);
    assert_int_equal(b.n, 1 + strlen(want));
    assert_memory_equal(b.p + 1, want, strlen(want));
    buf_free(&b);
}

static void assert_refused(const char *text)
{
    struct buf b = {0};

    buf_text(&b, "x");
    assert_int_equal(base64_decode(&b, str_of(text)), -EINVAL);
    assert_int_equal(b.n, 1);
    buf_free(&b);
}

/* RFC 4648, section 10 */
static void the_vectors_of_the_rfc(void **state)
{
    assert_decodes("", "");
    assert_decodes("Zg==", "f");
    assert_decodes("Zm8=", "fo");
    assert_decodes("Zm9v", "foo");
    assert_decodes("Zm9vYg==", "foob");
    assert_decodes("Zm9vYmE=", "fooba");
    assert_decodes("Zm9vYmFy", "foobar");
}

static void every_character_has_its_value(void **state)
{
    struct buf b = {0};

    assert_int_equal(base64_decode(&b, STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                           "0123456789+/")),
                     0);
    assert_int_equal(b.n, 48);
    for (unsigned i = 0; i < 64; i++) { /* the i-th group of six bits is i */
        const unsigned at = i * 6, byte = at / 8, shift = at % 8;
        const unsigned two = (unsigned)(unsigned char)b.p[byte] << 8 |
                             (byte + 1 < 48 ? (unsigned)(unsigned char)b.p[byte + 1] : 0);

        assert_int_equal(two >> (10 - shift) & 63, i);
    }
    buf_free(&b);
}

static void line_ends_are_passed_over_and_nothing_else(void **state)
{
    assert_decodes("Zm9v\nYmFy\r\n", "foobar");
    assert_decodes("Z\ng=\n=", "f");
    assert_refused("Zm9v YmFy");
    assert_refused("Zm9-");
    assert_refused("Zm9_");
}

static void padding_must_be_there_and_right(void **state)
{
    assert_refused("Z");
    assert_refused("Zg");
    assert_refused("Zg=");
    assert_refused("Zg===");
    assert_refused("=");
    assert_refused("Z===");
    assert_refused("Zg==Zg==");
    assert_refused("Zm8=Zm8=");
    assert_refused("Z=g=");
    assert_refused("Zh=="); /* bits that no byte has */
    assert_refused("Zm9=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(every_character_has_its_value),
        cmocka_unit_test(line_ends_are_passed_over_and_nothing_else),
        cmocka_unit_test(padding_must_be_there_and_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
