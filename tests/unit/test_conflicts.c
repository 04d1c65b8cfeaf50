/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator tells policies in their conditions: whether they count, and who wins. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "tests/support/operator_bench.h"
#include "tests/support/test.h"

/* To the cluster and to the operator, as the loop does. */
static void tell(struct bench *b, enum source_verb verb, enum source_kind kind, const char *name,
                 const char *json)
{
    static char text[2048];

    memset(text, 0, sizeof(text));
    for (size_t i = 0; json[i]; i++)
        text[i] = (char)(json[i] == '\'' ? '"' : json[i]);
    const struct source_delta delta = {
        .verb = verb, .kind = kind, .name = str_of(name), .json = {text, strlen(text)}};
    assert_int_equal(b->sink.delta(b->sink.ctx, &delta, NULL), 0);
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    b->sink.settled(b->sink.ctx);
}

static void put_namespace(struct bench *b, const char *name, const char *team)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "{'metadata':{'name':'%s','labels':{'team':'%s'}}}", name,
                   team);
    tell(b, SOURCE_UPSERT, SOURCE_NAMESPACE, name, text);
}

/* `team`: of the namespaces it selects; "" = all. What it was told stays. */
static void put_policy(struct bench *b, const char *name, int generation, int precedence,
                       const char *team)
{
    const struct op_object *const old =
        op_objects_find(&b->op->objects, OP_POLICY, (struct str){0}, str_of(name));
    const struct str status = old ? old->status : (struct str){0};
    char text[2048], selector[128] = "";

    if (*team)
        (void)snprintf(selector, sizeof(selector),
                       ",'namespaceSelector':{'matchLabels':{'team':'%s'}}", team);
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s','uid':'u','resourceVersion':'1','generation':%d},"
                   "'spec':{'precedence':%d%s}%s%.*s}",
                   name, generation, precedence, selector, status.n ? ",'status':" : "",
                   STR_ARG(status));
    tell(b, SOURCE_UPSERT, SOURCE_POLICY, name, text);
}

static void tick(struct bench *b, int seconds)
{
    b->now_ns += (uint64_t)seconds * 1000000000;
    b->now_us += (int64_t)seconds * 1000000;
    op_tick(b->op, b->now_ns, b->now_us);
}

/* "Accepted=True Valid;Conflicted=True Outranked wide counts in ..." */
static void expect(struct bench *b, const char *name, const char *want)
{
    const struct op_object *const x =
        op_objects_find(&b->op->objects, OP_POLICY, (struct str){0}, str_of(name));
    json_t *const status = json_loadb(x->status.p, x->status.n, 0, NULL);
    char got[1024] = "";
    size_t i, n = 0;
    json_t *c;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        const char *const message = json_string_value(json_object_get(c, "message"));

        assert_int_equal(json_integer_value(json_object_get(c, "observedGeneration")),
                         x->generation);
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s=%s %s%s%s", i ? ";" : "",
                              json_string_value(json_object_get(c, "type")),
                              json_string_value(json_object_get(c, "status")),
                              json_string_value(json_object_get(c, "reason")), *message ? " " : "",
                              message);
    }
    assert_string_equal(got, want);
    assert_int_equal(json_integer_value(json_object_get(status, "observedGeneration")),
                     x->generation);
    json_decref(status);
}

static int64_t since(struct bench *b, const char *name, size_t condition)
{
    const struct op_object *const x =
        op_objects_find(&b->op->objects, OP_POLICY, (struct str){0}, str_of(name));
    json_t *const status = json_loadb(x->status.p, x->status.n, 0, NULL);
    const json_t *const c = json_array_get(json_object_get(status, "conditions"), condition);
    int64_t us;

    assert_int_equal(clock_parse_rfc3339(
                         str_of(json_string_value(json_object_get(c, "lastTransitionTime"))), &us),
                     0);
    json_decref(status);
    return us;
}

#define COUNTS "Accepted=True Valid;Conflicted=False NoConflict"

static void losers_are_told_who_counts_and_where(void **state)
{
    struct bench *const b = *state;

    put_namespace(b, "bank", "a");
    put_namespace(b, "lab", "b");
    put_policy(b, "wide", 1, 1, "");
    put_policy(b, "narrow", 1, 0, "a");
    put_policy(b, "alone", 1, 9, "c"); /* there is no such namespace */
    tick(b, 1);
    assert_int_equal(b->puts, 3);
    expect(b, "wide", COUNTS);
    expect(b, "alone", COUNTS);
    expect(b, "narrow",
           "Accepted=True Valid;Conflicted=True Outranked wide counts in namespace bank");
    put_policy(b, "all", 1, 2, "");
    tick(b, 1);
    expect(b, "all", COUNTS);
    expect(b, "wide",
           "Accepted=True Valid;Conflicted=True Outranked all counts in namespace bank, "
           "and others win in others");
}

static void what_was_said_is_not_said_again(void **state)
{
    struct bench *const b = *state;

    put_namespace(b, "bank", "a");
    put_policy(b, "wide", 1, 1, "");
    put_policy(b, "narrow", 1, 0, "a");
    tick(b, 1);
    assert_int_equal(b->puts, 2);
    for (int i = 0; i < 5; i++)
        tick(b, 1);
    put_policy(b, "narrow", 1, 0, "a"); /* told once more, as after a list */
    put_namespace(b, "shop", "b");
    tick(b, 1);
    assert_int_equal(b->puts, 2);
    const int64_t accepted = since(b, "narrow", 0);
    put_policy(b, "narrow", 2, 5, "a"); /* now it wins in bank */
    tick(b, 7);
    expect(b, "narrow", COUNTS);
    expect(b, "wide",
           "Accepted=True Valid;Conflicted=True Outranked narrow counts in namespace bank");
    assert_int_equal(since(b, "narrow", 0), accepted); /* has not changed */
    assert_int_equal(since(b, "narrow", 1), b->now_us);
    tell(b, SOURCE_DELETE, SOURCE_POLICY, "narrow", "");
    tick(b, 1);
    expect(b, "wide", COUNTS);
}

static void what_could_not_be_written_is_written_later(void **state)
{
    struct bench *const b = *state;

    put_namespace(b, "bank", "a");
    put_policy(b, "wide", 1, 1, "");
    b->fail_with = -EACCES;
    tick(b, 1);
    assert_int_equal(b->puts, 1);
    tick(b, 9);
    assert_int_equal(b->puts, 1);
    tick(b, 1);
    assert_int_equal(b->puts, 2);
    expect(b, "wide", COUNTS);
}

static void without_namespaces_nobody_knows(void **state)
{
    struct bench *const b = *state;

    put_policy(b, "wide", 3, 1, "");
    tick(b, 1);
    expect(b, "wide", "Accepted=True Valid;Conflicted=Unknown NoNamespaces no namespace is known");
    put_namespace(b, "bank", "a");
    tick(b, 1);
    expect(b, "wide", COUNTS);
}

static void what_does_not_decode_is_not_accepted(void **state)
{
    static char json[] = "{\"metadata\":{\"name\":\"odd\",\"generation\":1},\"spec\":{\"numa\":"
                         "{\"stealThreshold\":-5}}}\0"
                         "################################################################";
    struct bench *const b = *state;
    const struct source_delta delta = {
        .kind = SOURCE_POLICY, .name = STR("odd"), .json = {json, strlen(json)}};

    put_namespace(b, "bank", "a");
    assert_int_equal(b->sink.delta(b->sink.ctx, &delta, NULL), -EINVAL);
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    tick(b, 1);
    expect(b, "odd",
           "Accepted=False Invalid spec.numa.stealThreshold: -5 is not in 0..4096;"
           "Conflicted=False NoConflict");
}

/* A store that takes its time: what is out. */
struct slow {
    struct writer_object o[64];
    struct buf status[64];
    writer_done done[64];
    void *ctx[64];
    unsigned n;
};

static void put_later(void *ctx, const struct writer_object *o, writer_done stored, void *ctx_of_it)
{
    struct slow *const s = ctx;

    assert_true(s->n < ARRAY_LEN(s->o));
    s->o[s->n] = *o;
    buf_str(&s->status[s->n], o->status);
    s->done[s->n] = stored;
    s->ctx[s->n++] = ctx_of_it;
}

static void answer_all(struct slow *s)
{
    static const char zeros[64];

    for (unsigned i = 0; i < s->n; i++) {
        struct buf json = {0};

        buf_printf(&json,
                   "{\"metadata\":{\"name\":\"%.*s\",\"generation\":1},\"spec\":{},\"status\":%s}",
                   STR_ARG(s->o[i].name), s->status[i].p);
        const size_t n = json.n;
        buf_add(&json, zeros, sizeof(zeros));
        s->done[i](s->ctx[i], 0, (struct str){json.p, n}, NULL);
        buf_free(&json);
        buf_free(&s->status[i]);
    }
    s->n = 0;
}

static void many_are_told_some_at_a_time(void **state)
{
    struct bench *const b = *state;
    struct slow slow = {.n = 0};

    b->op->options.writer.put = put_later;
    b->op->options.writer.ctx = &slow;
    put_namespace(b, "bank", "a");
    for (int i = 0; i < 40; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "p%02d", i);
        put_policy(b, name, 1, i, "");
    }
    tick(b, 1);
    assert_int_equal(slow.n, 32);
    tick(b, 1);
    assert_int_equal(slow.n, 32); /* none is told twice while it is out */
    answer_all(&slow);
    tick(b, 1);
    assert_int_equal(slow.n, 8);
    answer_all(&slow);
    tick(b, 1);
    assert_int_equal(slow.n, 0);
    expect(b, "p39", COUNTS);
    expect(b, "p00", "Accepted=True Valid;Conflicted=True Outranked p39 counts in namespace bank");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, operator_bench_set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        T(losers_are_told_who_counts_and_where),       T(what_was_said_is_not_said_again),
        T(what_could_not_be_written_is_written_later), T(without_namespaces_nobody_knows),
        T(what_does_not_decode_is_not_accepted),       T(many_are_told_some_at_a_time),
    };

    return cmocka_run_group_tests_name("conflicts", tests, NULL, NULL);
}
