/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "decide/premises.h"
#include "scoring/weigh.h"
#include "tests/support/data.h"

static int read(struct premises *out, const char *json, struct err *err)
{
    char *const text = test_padded(str_of(json), '"');
    _Alignas(max_align_t) char room[1024];
    struct arena a;

    assert_non_null(text);
    arena_init(&a, room, sizeof(room));
    const int rc = premises_read(out, (struct str){text, strlen(json)}, &a, err);
    assert_int_equal(arena_mark(&a), 0);
    free(text);
    return rc;
}

static struct premises filled(void)
{
    struct premises p = {.since_us = INT64_C(1795497600123456),
                         .terms = (1u << SCORE_TERM_COUNT) - 2};
    struct demand_kind *const first = &p.demand.kinds[0], *const last = &p.demand.kinds[1];

    p.demand.n = 2;
    p.demand.n_resources = 1;
    p.demand.resources[0] = (struct demand_name){.n = 14, .p = "nvidia.com/gpu"};
    first->weight = DEMAND_PARTS;
    demand_put(first, DEMAND_CPUS, 8);
    demand_put(first, DEMAND_DEVICES, DEMAND_MOST);
    last->weight = 1;
    last->alone = true;
    p.demand.serial = 1;
    return p;
}

static void what_is_written_is_read(void **state)
{
    const struct premises p = filled(), none = {0};
    struct premises back;
    struct buf text = {0};

    premises_emit(&text, &p);
    assert_int_equal(read(&back, text.p, NULL), 0);
    assert_true(back.since_us == p.since_us);
    assert_int_equal(back.terms, p.terms);
    assert_memory_equal(&back.demand, &p.demand, sizeof(p.demand));
    text.n = 0;
    premises_emit(&text, &none);
    assert_int_equal(read(&back, text.p, NULL), 0);
    assert_true(back.since_us == 0 && back.terms == 0 && back.demand.n == 0);
    assert_memory_equal(&back.demand, &none.demand, sizeof(none.demand));
    buf_free(&text);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"[]", "expected an object"},
        {"null", "expected an object"},
        {"{\"since\":\"noon\"}", "since: "},
        {"{\"terms\":[\"locality\",\"colour\"]}", "terms[1]: there is no such term"},
        {"{\"demand\":{\"kinds\":[{\"weight\":33}]}}", "demand.kinds[0].weight: not in 1..32"},
        {"{\"demand\":{\"kinds\":[{\"alone\":true}]}}", "no weight"},
        {"{\"demand\":{\"kinds\":[{\"weight\":1,\"wants\":[{\"column\":0,\"amount\":0}]}]}}",
         "amount: not in 1.."},
        {"{\"demand\":{\"kinds\":[{\"weight\":1,\"wants\":[{\"column\":0}]}]}}",
         "a column has one amount"},
        {"{\"demand\":{\"kinds\":[{\"weight\":1,\"wants\":[{\"column\":1,\"amount\":1},"
         "{\"column\":1,\"amount\":1}]}]}}",
         "columns rise"},
        {"{\"demand\":{\"kinds\":[{\"weight\":1,\"wants\":[{\"column\":2,\"amount\":1}]}]}}",
         "column 2 is no resource's"},
        {"{\"demand\":{\"resources\":[1,2,3,4,5,6,7,8,9]}}", "demand.resources"},
        {"{\"demand\":{\"resources\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}}",
         "more than 8 resources"},
        {"{\"demand\":", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct premises out = {.terms = 77};
        struct err err = {0};

        assert_true(read(&out, cases[i].json, &err) < 0);
        assert_int_equal(out.terms, 77);
        if (!strstr(err.text, cases[i].why))
            fail_msg("\"%s\", expected \"%s\"", err.text, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
