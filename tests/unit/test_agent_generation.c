/* SPDX-License-Identifier: Apache-2.0 */
/* What was published is read back: an agent that is started anew goes on from there. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "agent/generation.h"
#include "base/str.h"

#define OURS "orchestration.gokore.io/"

/* Text with ' for ". */
static uint64_t generation_of(const char *quoted)
{
    char text[1024] = {0};

    assert_true(strlen(quoted) + 64 < sizeof(text));
    for (size_t i = 0; quoted[i]; i++)
        text[i] = quoted[i] == '\'' ? '"' : quoted[i];
    return agent_generation((struct str){text, strlen(text)});
}

static void the_generation_is_found_among_attributes(void **state)
{
    assert_int_equal(
        generation_of("{'kind':'NodeResourceTopology','attributes':[{'name':'topologyManagerScope',"
                      "'value':'7'},{'value':'41','name':'" OURS "generation'},{'name':'" OURS
                      "placements','value':'{}'}],'zones':[{'name':'node-0','attributes':[{'name':"
                      "'" OURS "generation','value':'9'}]}]}"),
        41);
    assert_int_equal(generation_of("{'attributes':[{'name':'" OURS
                                   "generation','value':'18446744073709551614'}]}"),
                     UINT64_C(18446744073709551614));
}

/* Of another exporter, or of nobody who counts: the first of ours is 1. */
static void where_there_is_none_it_is_zero(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{'attributes':null}",
        "{'attributes':[]}",
        "{'attributes':[{'name':'generation','value':'3'}]}",
        "{'attributes':[{'name':'" OURS "generation'}]}",
        "{'attributes':[{'name':'" OURS "generation','value':'-3'}]}",
        "{'attributes':[{'name':'" OURS "generation','value':'3x'}]}",
        "{'attributes':[{'name':'" OURS "generation','value':'3'}]",
        "[]",
        "",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(generation_of(texts[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generation_is_found_among_attributes),
        cmocka_unit_test(where_there_is_none_it_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
