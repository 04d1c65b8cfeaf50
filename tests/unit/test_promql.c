/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus answers, as samples and as a Signal. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/promql.h"
#include "tests/support/data.h"

static char memory[65536];

/* JSON with ' for ". */
static int decode(struct promql_answer *out, const char *json, struct err *err)
{
    char *const text = test_padded(str_of(json), '}');
    struct arena a;

    for (char *p = text; *p && p < text + strlen(json); p++)
        *p = *p == '\'' ? '"' : *p;
    arena_init(&a, memory, sizeof(memory));
    const int rc = promql_decode(out, (struct str){text, strlen(json)}, &a, err);
    free(text);
    return rc;
}

#define VECTOR(elements)                                                                           \
    "{'status':'success','data':{'resultType':'vector','result':[" elements "]}}"

static void expect(const struct promql_answer *a, uint32_t i, const char *node, const char *device,
                   int64_t value)
{
    assert_true(i < a->n);
    assert_true(str_is(a->samples[i].node, node));
    assert_true(str_is(a->samples[i].device, device));
    assert_int_equal(a->samples[i].value, value);
}

static void samples_are_read_by_node_and_device(void **state)
{
    struct promql_answer a;

    assert_int_equal(decode(&a,
                            VECTOR("{'metric':{'__name__':'b','node':'n2','device':'eth0','x':'y'},"
                                   "'value':[1435781451.781,'412.5']},"
                                   "{'metric':{'node':'n1'},'value':[1,'7']},"
                                   "{'value':[1,'0'],'metric':{'device':'\\u0061','node':'n2'}},"
                                   "{'metric':{'node':'n2','device':''},'value':[1,'3.4999']}"),
                            NULL),
                     0);
    assert_int_equal(a.n, 4);
    assert_int_equal(a.nodes, 2);
    assert_int_equal(a.odd, 0);
    expect(&a, 0, "n1", "", 7);
    expect(&a, 1, "n2", "", 3);
    expect(&a, 2, "n2", "a", 0);
    expect(&a, 3, "n2", "eth0", 413);
}

static void of_two_figures_of_one_thing_the_larger_counts(void **state)
{
    struct promql_answer a;

    assert_int_equal(decode(&a,
                            VECTOR("{'metric':{'node':'n','job':'a'},'value':[1,'5']},"
                                   "{'metric':{'node':'n','job':'b'},'value':[1,'9']},"
                                   "{'metric':{'node':'n','job':'c'},'value':[1,'2']}"),
                            NULL),
                     0);
    assert_int_equal(a.n, 1);
    expect(&a, 0, "n", "", 9);
}

static void what_is_no_figure_is_left_out_and_counted(void **state)
{
    static const char *const odd[] = {"NaN",  "+Inf", "-Inf", "-1", "1e16", "", "9007199254740994",
                                      "5 ms", "1,5"};
    struct promql_answer a;

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct buf json = {0};

        buf_printf(&json,
                   VECTOR("{'metric':{'node':'n'},'value':[1,'%s']},"
                          "{'metric':{'node':'n'},'value':[1,'9007199254740992']}"),
                   odd[i]);
        assert_int_equal(decode(&a, json.p, NULL), 0);
        assert_int_equal(a.n, 1);
        assert_int_equal(a.odd, 1);
        expect(&a, 0, "n", "", SIGNAL_MOST);
        buf_free(&json);
    }
    assert_int_equal(decode(&a,
                            VECTOR("{'metric':{},'value':[1,'1']},"
                                   "{'metric':{'node':''},'value':[1,'1']},"
                                   "{'metric':{'node':'n'},'histogram':[1,{'count':'3'}]},"
                                   "{'metric':{'node':'n'},'value':[]},"
                                   "{'metric':{'node':'n'},'value':null},"
                                   "{'metric':null,'value':[1,'1']},null"),
                            NULL),
                     0);
    assert_int_equal(a.n, 0);
    assert_int_equal(a.odd, 6);
}

static void an_empty_vector_is_an_answer(void **state)
{
    struct promql_answer a = {.n = 7};

    assert_int_equal(decode(&a, VECTOR(""), NULL), 0);
    assert_int_equal(a.n, 0);
}

static void failures_are_told_in_their_own_words(void **state)
{
    static const struct {
        const char *json;
        int code;
        const char *text;
    } cases[] = {
        {"{'status':'error','errorType':'bad_data','error':'1:5: parse error: a'}", -EPROTO,
         "1:5: parse error: a"},
        {"{'status':'error'}", -EPROTO, "no reason is given"},
        {"{'status':'success','data':{'resultType':'scalar','result':[1,'2']}}", -EINVAL,
         "data.resultType: a scalar; the query must give an instant vector"},
        {"{'status':'success','data':{'resultType':'matrix','result':[]}}", -EINVAL,
         "data.resultType: a matrix; the query must give an instant vector"},
        {"{'status':'success','data':{}}", -EINVAL, "data.result: missing"},
        {"{}", -EINVAL, "data.result: missing"},
        {"[]", -EINVAL, "expected an object"},
        {"{'data':{'result':{}}}", -EINVAL, "data.result: expected an array"},
        {"{'data':{'result':[5]}}", -EINVAL, "data.result[0]: expected an object, found a number"},
        {VECTOR("{'metric':{'node':5}}"), -EINVAL,
         "data.result[0].metric.node: expected a string, found a number"},
        {VECTOR("{'value':{}}"), -EINVAL,
         "data.result[0].value: expected an array, found an object"},
        {VECTOR("{'value':[1,2]}"), -EINVAL,
         "data.result[0].value[1]: expected a string, found a number"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct promql_answer a = {.n = 7};
        struct err err = {0};

        assert_int_equal(decode(&a, cases[i].json, &err), cases[i].code);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(a.n, 7);
    }
}

/* Whatever the room: the answer, or no trace of it. The room that is asked for is enough. */
static void a_small_arena_is_no_memory(void **state)
{
    static const char json[] = "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\","
                               "\"result\":[{\"metric\":{\"node\":\"n\",\"device\":\"eth0\"},"
                               "\"value\":[1,\"1\"]},{},{},{}]}}";
    char *const text = test_padded(str_of(json), '}');
    bool was_enough = false;

    for (size_t room = 0; room <= promql_room(strlen(json)); room += 8) {
        struct promql_answer out = {.n = 7};
        struct arena a;

        arena_init(&a, memory, room);
        const int rc = promql_decode(&out, (struct str){text, strlen(json)}, &a, NULL);

        assert_true(rc == 0 || (rc == -ENOMEM && out.n == 7 && !was_enough));
        was_enough = rc == 0;
    }
    assert_true(was_enough);
    free(text);
}

/* More elements than bytes of an answer can pay for: refused, whatever they are. */
static void elements_that_are_none_find_no_room(void **state)
{
    struct promql_answer out = {.n = 7};
    struct buf json = {0};
    struct err err;
    struct arena a;

    buf_text(&json, "{\"data\":{\"result\":[{}");
    for (int i = 0; i < 1000; i++)
        buf_text(&json, ",{}");
    buf_text(&json, "]}}");
    char *const text = test_padded(buf_view(&json), '}');
    assert_true(promql_room(json.n) <= sizeof(memory));
    arena_init(&a, memory, promql_room(json.n));
    assert_int_equal(promql_decode(&out, (struct str){text, json.n}, &a, &err), -ENOMEM);
    assert_string_equal(err.text, "data.result: no room in the arena");
    assert_int_equal(out.n, 7);
    free(text);
    buf_free(&json);
}

/* What is written is what the decoder of Signals reads. */
static void the_signal_says_what_the_samples_say(void **state)
{
    struct promql_sample samples[] = {
        {STR("a\"b"), STR("eth0"), 5},
        {STR("n1"), STR(""), 7},
        {STR("n2"), STR(""), 1},
        {STR("n2"), STR("x"), 2},
        {STR("n2"), STR("y"), SIGNAL_MOST},
    };
    const struct promql_answer answer = {samples, ARRAY_LEN(samples), 3, 0};
    struct kube_signal s;
    struct buf out = {0};
    struct err err;
    struct arena a;

    promql_signal(&out, STR("p:q"), SIGNAL_QUEUE, 90, &answer);
    char *const text = test_padded(buf_view(&out), '}');
    arena_init(&a, memory, sizeof(memory));
    if (kube_signal_decode(&s, (struct str){text, out.n}, true, &a, &err))
        fail_msg("%s", err.text);
    assert_true(str_is(s.name, "p:q"));
    assert_int_equal(s.kind, SIGNAL_QUEUE);
    assert_int_equal(s.unit, 2);
    assert_int_equal(s.ttl_s, 90);
    assert_int_equal(s.observed_us, 0);
    assert_int_equal(s.nodes.n, 3);
    const struct signal_node *const odd = kube_signal_node(&s, STR("a\"b")),
                                    *const n1 = kube_signal_node(&s, STR("n1")),
                                    *const n2 = kube_signal_node(&s, STR("n2"));
    assert_int_equal(odd->value, FIELD_NONE);
    assert_int_equal(odd->n_devices, 1);
    assert_int_equal(odd->devices[0].value, 5);
    assert_int_equal(n1->value, 7);
    assert_int_equal(n1->n_devices, 0);
    assert_int_equal(n2->value, 1);
    assert_int_equal(n2->n_devices, 2);
    assert_true(str_is(n2->devices[1].id, "y"));
    assert_int_equal(n2->devices[1].value, SIGNAL_MOST);
    free(text);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_read_by_node_and_device),
        cmocka_unit_test(of_two_figures_of_one_thing_the_larger_counts),
        cmocka_unit_test(what_is_no_figure_is_left_out_and_counted),
        cmocka_unit_test(an_empty_vector_is_an_answer),
        cmocka_unit_test(failures_are_told_in_their_own_words),
        cmocka_unit_test(a_small_arena_is_no_memory),
        cmocka_unit_test(elements_that_are_none_find_no_room),
        cmocka_unit_test(the_signal_says_what_the_samples_say),
    };

    return cmocka_run_group_tests_name("promql", tests, NULL, NULL);
}
