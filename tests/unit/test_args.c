/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <string.h>

#include "base/attr.h"
#include "cli/args.h"

enum { NODE, OUTPUT, QUIET, MAX_ARGS = 8 };

static const struct args_flag flags[] = {
    [NODE] = {"node", 0, "NODE", "one"},
    [OUTPUT] = {"output", 'o', "FORM", "two"},
    [QUIET] = {"quiet", 'q', NULL, "three"},
};

static const struct args_command command = {"try", "[FLAGS]", "Tries.\n", flags, ARRAY_LEN(flags)};

static struct args args;

/* Start over these words, NULL-terminated, behind the name of the command. */
static void begin(const char *const *words)
{
    static char texts[MAX_ARGS][64];
    static char *argv[MAX_ARGS + 1];
    int n = 0;

    (void)strcpy(texts[n], "try"); /* args wants char **, though it changes nothing */
    argv[n] = texts[n];
    for (n = 1; *words; words++, n++) {
        assert_true(n < MAX_ARGS && strlen(*words) < sizeof(texts[n]));
        (void)strcpy(texts[n], *words);
        argv[n] = texts[n];
    }
    args_init(&args, &command, n, argv);
}

#define BEGIN(...) begin((const char *const[]){__VA_ARGS__, NULL})

static void expect(int what, const char *value)
{
    assert_int_equal(args_next(&args), what);
    assert_string_equal(args.value, value);
}

static void a_value_stands_behind_its_flag_or_an_equals_sign(void **state)
{
    BEGIN("--node", "a", "--node=b", "-o", "c", "-od", "--node=");
    expect(NODE, "a");
    expect(NODE, "b");
    expect(OUTPUT, "c");
    expect(OUTPUT, "d");
    expect(NODE, "");
    assert_int_equal(args_next(&args), ARGS_END);
    assert_int_equal(args_next(&args), ARGS_END);
}

static void words_and_flags_mix_in_any_order(void **state)
{
    BEGIN("x", "-q", "y", "--quiet", "-");
    expect(ARGS_WORD, "x");
    assert_int_equal(args_next(&args), QUIET);
    expect(ARGS_WORD, "y");
    assert_int_equal(args_next(&args), QUIET);
    expect(ARGS_WORD, "-");
    assert_int_equal(args_next(&args), ARGS_END);
}

static void behind_two_dashes_there_are_words_only(void **state)
{
    BEGIN("--", "--node", "-q", "--");
    expect(ARGS_WORD, "--node");
    expect(ARGS_WORD, "-q");
    expect(ARGS_WORD, "--");
    assert_int_equal(args_next(&args), ARGS_END);
}

static void a_value_may_look_like_a_flag(void **state)
{
    BEGIN("--node", "--quiet", "--output=a=b");
    expect(NODE, "--quiet");
    expect(OUTPUT, "a=b");
}

static void help_has_two_names(void **state)
{
    BEGIN("-h", "--help");
    assert_int_equal(args_next(&args), ARGS_HELP);
    assert_int_equal(args_next(&args), ARGS_HELP);
}

static void expect_error(const char *text)
{
    assert_int_equal(args_next(&args), ARGS_ERROR);
    if (!strstr(args.err.text, text))
        fail_msg("\"%s\" says nothing of %s", args.err.text, text);
}

static void what_is_wrong_is_said_with_the_nearest_flag(void **state)
{
    BEGIN("--nod", "x");
    expect_error("did you mean \"--node\"?");
    BEGIN("--zzzzzzzz");
    expect_error("unknown flag \"--zzzzzzzz\"");
    BEGIN("-x");
    expect_error("unknown flag \"-x\"");
    BEGIN("--node");
    expect_error("a value is missing after \"--node\"");
    BEGIN("-o");
    expect_error("a value is missing after \"-o\"");
    BEGIN("--quiet=yes");
    expect_error("no value goes with");
    BEGIN("-qx");
    expect_error("no value goes with");
    assert_int_equal(args_usage_error(&command, "%s", "why"), EXIT_USAGE);
}

struct taken {
    int n, last, stop_at; /* what is told at the last one */
};

static int take(void *ctx, int what, const char *value)
{
    struct taken *const t = ctx;

    t->last = what;
    return ++t->n == t->stop_at ? EXIT_NO : EXIT_YES;
}

static void all_are_taken_until_one_is_wrong(void **state)
{
    struct taken t = {.stop_at = 0};

    BEGIN("--node", "a", "x", "-q");
    assert_int_equal(args_read(&command, args.argc, args.argv, take, &t), EXIT_YES);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.last, QUIET);
    t = (struct taken){.stop_at = 2};
    assert_int_equal(args_read(&command, args.argc, args.argv, take, &t), EXIT_NO);
    assert_int_equal(t.last, ARGS_WORD);
    t = (struct taken){.stop_at = 0};
    BEGIN("x", "--nodes", "a", "y");
    assert_int_equal(args_read(&command, args.argc, args.argv, take, &t), EXIT_USAGE);
    assert_int_equal(t.n, 1);
    BEGIN("-h", "x");
    assert_int_equal(args_read(&command, args.argc, args.argv, take, &t), ARGS_HELP);
    assert_int_equal(t.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_stands_behind_its_flag_or_an_equals_sign),
        cmocka_unit_test(words_and_flags_mix_in_any_order),
        cmocka_unit_test(behind_two_dashes_there_are_words_only),
        cmocka_unit_test(a_value_may_look_like_a_flag),
        cmocka_unit_test(help_has_two_names),
        cmocka_unit_test(what_is_wrong_is_said_with_the_nearest_flag),
        cmocka_unit_test(all_are_taken_until_one_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
