/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/intern.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "tests/support/test.h"

static unsigned made;

/* The value is the text handed in; "" cannot be made. */
static int copy(void *ctx, struct arena *a, const void **out)
{
    made++;
    *out = arena_copy(a, ctx, strlen(ctx));
    return *(const char *)ctx ? 0 : -EINVAL;
}

static bool same(const void *value, const void *key)
{
    return strcmp(value, key) == 0;
}

/* Few hashes, so that many texts have one. */
static int add(struct intern *t, struct block **out, const char *text, struct block *shared)
{
    const struct intern_key key = {(uint64_t)(text[0] * 7) % 8, same, text};

    return intern_get(t, out, &key, copy, (char *)(uintptr_t)text, shared);
}

static struct block *get(struct intern *t, const char *text)
{
    struct block *b = NULL;

    assert_int_equal(add(t, &b, text, NULL), 0);
    assert_string_equal(b->value, text);
    return b;
}

static void equal_keys_give_one_block(void **state)
{
    struct intern t = {0};
    struct block *const x = get(&t, "x"), *const y = get(&t, "y"), *const again = get(&t, "x");

    assert_ptr_equal(x, again);
    assert_ptr_not_equal(x, y);
    assert_int_equal(t.n, 2);
    block_unref(x);
    block_unref(y);
    block_unref(again);
    intern_done(&t);
}

static void what_cannot_be_made_is_not_there(void **state)
{
    struct intern t = {0};
    struct block *b = NULL;

    assert_int_equal(add(&t, &b, "", NULL), -EINVAL);
    assert_null(b);
    assert_int_equal(t.n, 0);
    intern_done(&t);
}

/* Thousands come and go, each used for a while: the table keeps few that nobody uses. */
static void what_nobody_uses_goes(void **state)
{
    enum { USED = 50, MANY = 5000 };
    struct intern t = {0};
    struct block *used[USED] = {0};
    char text[16];

    made = 0;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "%u", i);
        block_unref(used[i % USED]);
        used[i % USED] = get(&t, text);
        assert_true(t.n <= 4 * USED + 64);
    }
    const unsigned before = made;
    for (unsigned i = MANY - USED; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "%u", i);
        struct block *const b = get(&t, text);
        assert_ptr_equal(b, used[i % USED]); /* a sweep takes none that is used */
        block_unref(b);
    }
    assert_int_equal(made, before);
    intern_done(&t);
    assert_string_equal(used[0]->value, "4950"); /* blocks outlive the table */
    for (unsigned i = 0; i < USED; i++)
        block_unref(used[i]);
}

/* A block that points into another keeps it. */
static void what_is_shared_lives_as_long(void **state)
{
    struct intern t = {0};
    struct block *const below = get(&t, "below");
    struct block *above;

    assert_int_equal(add(&t, &above, "above", below), 0);
    block_unref(below);
    intern_done(&t);
    assert_ptr_equal(above->shared, below);
    assert_string_equal(above->shared->value, "below");
    block_unref(above);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_give_one_block),
        cmocka_unit_test(what_cannot_be_made_is_not_there),
        cmocka_unit_test(what_nobody_uses_goes),
        cmocka_unit_test(what_is_shared_lives_as_long),
    };

    return cmocka_run_group_tests_name("intern", tests, NULL, NULL);
}
