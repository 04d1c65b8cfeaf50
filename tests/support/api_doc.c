/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/api_doc.h"

#include "tests/support/test.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/schema.h"

json_t *api_doc(void)
{
    static json_t *doc;

    if (!doc)
        doc = schema_read("openapi.json");
    return doc;
}

/* "/v1/deadlocks/{namespace}" is the template of "/v1/deadlocks/bank". */
static bool is_template_of(struct str t, struct str path)
{
    while (t.n && path.n) {
        const struct str want = str_cut(&t, '/'), is = str_cut(&path, '/');

        if (want.n && want.p[0] == '{' ? is.n == 0 : !str_eq(want, is))
            return false;
    }
    return t.n == 0 && path.n == 0;
}

static json_t *operation_of(const char *method, struct str path)
{
    char lower[16] = "";
    const char *key;
    json_t *item;

    for (size_t i = 0; method[i] && i < sizeof(lower) - 1; i++)
        lower[i] = (char)tolower((unsigned char)method[i]);
    json_object_foreach(json_object_get(api_doc(), "paths"), key, item)
    {
        json_t *const op = json_object_get(item, lower);

        if (op && is_template_of(str_of(key), path))
            return op;
    }
    return NULL;
}

static bool has_parameter(const json_t *op, struct str name)
{
    const json_t *const all = json_object_get(op, "parameters");

    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *const p = json_array_get(all, i);

        if (strcmp(json_string_value(json_object_get(p, "in")), "query") == 0 &&
            str_is(name, json_string_value(json_object_get(p, "name"))))
            return true;
    }
    return false;
}

static void expect_parameters(const json_t *op, const char *target, struct str query)
{
    while (query.n) {
        struct str value = str_cut(&query, '&');
        const struct str name = str_cut(&value, '=');

        if (!has_parameter(op, name))
            fail_msg("%s: %.*s is not described", target, STR_ARG(name));
    }
}

static void expect_body(json_t *response, const char *what, struct str body)
{
    json_t *const content = json_object_get(response, "content");
    json_t *const json = json_object_get(content, "application/json");

    if (!content && body.n)
        fail_msg("%s: a body, and none is described", what);
    if (!json || body.n == 0 || (body.p[0] != '{' && json_object_size(content) > 1))
        return; /* a drawing */
    json_t *const value = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    if (!value)
        fail_msg("%s: not JSON", what);
    schema_expect_in(value, json_object_get(json, "schema"), api_doc());
    json_decref(value);
}

void api_doc_expect(const char *method, const char *target, int status, struct str body)
{
    char code[16], what[512];
    struct str query = str_of(target);
    const struct str path = str_cut(&query, '?');
    json_t *const op = operation_of(method, path);

    (void)snprintf(what, sizeof(what), "%s %s: %d", method, target, status);
    (void)snprintf(code, sizeof(code), "%d", status);
    if (!op && (status == 404 || status == 405 || status == 401 || status == 503))
        return;
    if (!op)
        fail_msg("%s: the call is not described", what);
    json_t *const response = json_object_get(json_object_get(op, "responses"), code);
    if (!response)
        fail_msg("%s: the answer is not described: %.*s", what, STR_ARG(body));
    if (status < 400)
        expect_parameters(op, what, query);
    expect_body(response, what, body);
}
