/* SPDX-License-Identifier: Apache-2.0 */
/* What is compared of two decisions; reading one is tested where servers say it. */
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "kube/decision_json.h"

#define NODE(name, more) "{\"name\":\"" name "\",\"score\":7,\"wireScore\":1" more "}"
#define DECISION(id, best, nodes)                                                                  \
    "{\"decision\":\"" id "\",\"snapshot\":" id ",\"best\":\"" best "\",\"nodes\":[" nodes "]}"

static void expect(const char *said, const char *now, int code, const char *why)
{
    struct err err = {0};

    assert_int_equal(decision_compare(str_of(said), str_of(now), &err), code);
    if (!strstr(err.text, why))
        fail_msg("\"%s\", expected \"%s\"", err.text, why);
}

static void some_of_the_nodes_are_enough_and_names_of_decisions_do_not_count(void **state)
{
    const char *const said = DECISION("1", "a", NODE("a", "") "," NODE("b", ""));

    expect(said, DECISION("2", "a", NODE("b", "")), 0, "");
    expect(said, DECISION("2", "a", ""), 0, "");
    expect(said, said, 0, "");
}

static void what_differs_is_named(void **state)
{
    const char *const said = DECISION("1", "a", NODE("a", "") "," NODE("b", ""));

    expect(said, DECISION("1", "b", NODE("a", "")), -EDOM, "best differs");
    expect(said, DECISION("1", "a", "{\"name\":\"b\",\"score\":8}"), -EDOM, "b: score differs");
    expect(said, DECISION("1", "a", "{\"name\":\"b\",\"wireScore\":2}"), -EDOM,
           "b: wireScore differs");
    expect(said, DECISION("1", "a", NODE("b", ",\"more\":1")), -EDOM, "b: more differs");
    expect(said, DECISION("1", "a", NODE("c", "")), -EDOM, "c: the decision does not tell of it");
    expect(said, DECISION("1", "a", "{}"), -EDOM, "does not tell of it");
    expect(said, "[]", -EPROTO, "");
    expect("{", said, -EPROTO, "");
}

/* Who is on the way, in doubt or alone chosen is not known where it is decided once more. */
static void scores_on_the_wire_count_where_nothing_else_made_them(void **state)
{
    const char *const now =
        DECISION("1", "a", "{\"name\":\"a\",\"wireScore\":5},{\"name\":\"b\",\"wireScore\":1}");

    expect(DECISION("1", "a", NODE("a", ",\"heldFor\":2") "," NODE("b", "")), now, 0, "");
    expect(DECISION("1", "a", NODE("a", ",\"doubted\":true") "," NODE("b", "")), now, 0, "");
    expect(DECISION("1", "a", NODE("a", "") "," NODE("b", ",\"decided\":true")), now, 0, "");
    expect(DECISION("1", "a", NODE("a", "") "," NODE("b", ",\"heldFor\":2")), now, -EDOM,
           "a: wireScore differs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_of_the_nodes_are_enough_and_names_of_decisions_do_not_count),
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(scores_on_the_wire_count_where_nothing_else_made_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
