/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of the API: well formed as OpenAPI 3.1 wants it, as far as we use it; about just
 * the calls that there are; and with the fields that the decoders know.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "kube/adjustment.h"
#include "kube/deadlock.h"
#include "kube/fields.h"
#include "kube/lock_policy.h"
#include "kube/signal.h"
#include "operator/body.h"
#include "operator/openapi.h"
#include "operator/operator.h"
#include "tests/support/fields_schema.h"
#include "tests/support/test.h"

static json_t *doc;

static int set_up(void **state)
{
    doc = json_loadb(op_openapi, op_openapi_bytes, JSON_REJECT_DUPLICATES, NULL);
    return doc ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(doc);
    return 0;
}

static json_t *at(json_t *v, const char *path)
{
    struct str rest = str_of(path);

    while (v && rest.n) {
        const struct str key = str_cut(&rest, ' ');
        char name[128];

        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        v = json_object_get(v, name);
    }
    return v;
}

static json_t *schema(const char *name)
{
    json_t *const v = json_object_get(at(doc, "components schemas"), name);

    if (!v)
        fail_msg("no schema %s", name);
    return v;
}

/* Every reference leads to a schema; every schema is referred to. */
static void follow(json_t *v, json_t *used)
{
    static const char prefix[] = "#/components/schemas/";
    const char *key;
    json_t *child;
    size_t i;

    json_array_foreach(v, i, child) follow(child, used);
    json_object_foreach(v, key, child)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *const to = json_string_value(child);

            assert_non_null(to);
            assert_int_equal(strncmp(to, prefix, sizeof(prefix) - 1), 0);
            (void)schema(to + sizeof(prefix) - 1);
            json_object_set_new(used, to + sizeof(prefix) - 1, json_true());
        }
        follow(child, used);
    }
}

static void every_reference_leads_somewhere(void **state)
{
    json_t *const used = json_object(), *v;
    const char *key;

    assert_int_equal(strncmp(json_string_value(at(doc, "openapi")), "3.1.", 4), 0);
    assert_true(json_is_string(at(doc, "info title")) && json_is_string(at(doc, "info version")));
    follow(doc, used);
    json_object_foreach(at(doc, "components schemas"), key, v)
    {
        if (!json_object_get(used, key))
            fail_msg("schema %s is not used", key);
    }
    json_decref(used);
}

/* --- operations --- */

/* Parameters of the path are those in its braces; those of the query have names of their own. */
static void check_parameters(const char *path, json_t *op)
{
    json_t *p;
    size_t i;
    int in_path = 0, braces = 0;

    for (const char *b = path; (b = strchr(b, '{')); b++)
        braces++;
    json_array_foreach(json_object_get(op, "parameters"), i, p)
    {
        const char *const name = json_string_value(json_object_get(p, "name"));
        char braced[64];

        assert_non_null(name);
        assert_true(json_is_object(json_object_get(p, "schema")));
        assert_true(json_is_string(json_object_get(p, "description")));
        (void)snprintf(braced, sizeof(braced), "{%s}", name);
        if (strcmp(json_string_value(json_object_get(p, "in")), "path") == 0) {
            assert_true(json_is_true(json_object_get(p, "required")));
            assert_non_null(strstr(path, braced));
            if (!json_is_string(json_object_get(p, "example")))
                fail_msg("%s: %s has no example", path, name);
            in_path++;
        }
    }
    assert_int_equal(in_path, braces);
}

/* What any call may be answered with, also one that is yet to come; those two say when to return.
 */
static void check_common_responses(json_t *op, const char *id)
{
    static const char *const codes[] = {"401", "403", "429", "503"};
    json_t *const all = json_object_get(op, "responses");

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (!json_object_get(all, codes[i]))
            fail_msg("%s: %s is not described", id, codes[i]);
    }
    assert_non_null(at(all, "401 headers WWW-Authenticate"));
    assert_non_null(at(all, "429 headers Retry-After"));
    assert_non_null(at(all, "503 headers Retry-After"));
    if (json_object_get(op, "requestBody") || json_object_get(op, "parameters"))
        assert_non_null(json_object_get(all, "400"));
    if (!json_object_get(op, "requestBody"))
        return;
    assert_true(json_object_get(all, "413") && json_object_get(all, "422"));
    if (json_object_size(at(op, "requestBody content application/json examples")) == 0)
        fail_msg("%s: its body has no examples (tests/integration/test_openapi_http.c sends them)",
                 id);
}

/* Some answer is a success; every other is a Status. */
static void check_responses(json_t *op)
{
    const char *code;
    json_t *r;
    int good = 0;

    json_object_foreach(json_object_get(op, "responses"), code, r)
    {
        assert_true(json_is_string(json_object_get(r, "description")));
        good += code[0] == '2';
        if (code[0] == '2' || code[0] == '3')
            continue;
        const char *const to = json_string_value(at(r, "content application/json schema $ref"));
        assert_string_equal(to ? to : "", "#/components/schemas/Status");
    }
    assert_true(good > 0);
}

static void every_operation_is_whole(void **state)
{
    json_t *const ids = json_object(), *item, *op;
    const char *path, *method;

    json_object_foreach(at(doc, "paths"), path, item)
    {
        json_object_foreach(item, method, op)
        {
            const char *const id = json_string_value(json_object_get(op, "operationId"));

            assert_non_null(id);
            if (json_object_get(ids, id))
                fail_msg("operationId %s twice", id);
            json_object_set_new(ids, id, json_true());
            assert_true(json_is_string(json_object_get(op, "summary")));
            check_parameters(path, op);
            check_responses(op);
            check_common_responses(op, id);
        }
    }
    json_decref(ids);
}

/* --- what there is --- */

static const char *method_of(enum http_method m)
{
    return m == HTTP_GET ? "get" : m == HTTP_PUT ? "put" : m == HTTP_POST ? "post" : "delete";
}

static uint32_t parts_of(const char *path)
{
    uint32_t n = 0;

    for (const char *p = strchr(path + sizeof("/v1/") - 1, '/'); p; p = strchr(p + 1, '/'))
        n++;
    return n;
}

static bool has_parameter(json_t *op, const char *name)
{
    json_t *p;
    size_t i;

    json_array_foreach(json_object_get(op, "parameters"), i, p)
    {
        if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0 &&
            strcmp(json_string_value(json_object_get(p, "in")), "query") == 0)
            return true;
    }
    return false;
}

/* Does the description have a call of this method with so many parts, and its parameters? */
static bool is_described(const struct op_route *r, uint32_t parts)
{
    const char *path;
    json_t *item;
    char prefix[128];

    (void)snprintf(prefix, sizeof(prefix), "/v1/%s", r->path);
    json_object_foreach(at(doc, "paths"), path, item)
    {
        const size_t n = strlen(prefix);
        json_t *const op = json_object_get(item, method_of(r->method));

        if (!op || strncmp(path, prefix, n) != 0 || (path[n] && path[n] != '/'))
            continue;
        if (parts_of(path) - parts_of(prefix) != parts + (r->action != NULL) ||
            (r->action && strcmp(strrchr(path, '/') + 1, r->action) != 0))
            continue;
        for (const char *const *p = r->parameters; *p; p++)
            assert_true(has_parameter(op, *p));
        return true;
    }
    return false;
}

static void just_the_calls_that_there_are_are_described(void **state)
{
    struct op_route r;
    size_t calls = 0, described = 0;
    const char *path;
    json_t *item;

    for (size_t i = 0; op_route_at(i, &r); i++) {
        for (uint32_t parts = r.least; parts <= r.most; parts++, calls++) {
            if (!is_described(&r, parts))
                fail_msg("%s /v1/%s with %u parts is not described", method_of(r.method), r.path,
                         parts);
        }
    }
    json_object_foreach(at(doc, "paths"), path, item) described += json_object_size(item);
    assert_int_equal(described, calls);
}

/* --- fields --- */

static void expect(const char *name, const char *root, const struct fields *f)
{
    json_t *const wrapped = json_pack("{s:{s:O}}", "properties", root, schema(name));

    assert_non_null(wrapped);
    fields_expect_in(wrapped, f);
    fields_expect_known(schema(name), f, root);
    json_decref(wrapped);
}

static void bodies_have_the_fields_that_are_read(void **state)
{
    expect("LockPolicySpec", "spec", &kube_lock_policy_fields);
    expect("DeadlockReportSpec", "spec", &kube_deadlock_fields);
    expect("LockReport", "report", &op_report_fields);
    expect("DeadlockClaim", "claim", &op_claim_fields);
    expect("SignalSpec", "spec", &kube_signal_fields);
    expect("ResourceAdjustmentSpec", "spec", &kube_adjustment_fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reference_leads_somewhere),
        cmocka_unit_test(every_operation_is_whole),
        cmocka_unit_test(just_the_calls_that_there_are_are_described),
        cmocka_unit_test(bodies_have_the_fields_that_are_read),
    };

    return cmocka_run_group_tests_name("openapi", tests, set_up, tear_down);
}
