/* SPDX-License-Identifier: Apache-2.0 */
/* One source for fields: the decoders' tables, the CRDs' schemas and the pages say the same. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/adjustment.h"
#include "kube/deadlock.h"
#include "kube/file.h"
#include "kube/lock_policy.h"
#include "kube/policy.h"
#include "kube/signal.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

#define TOP TEST_DATA "/../../"

static const struct {
    const char *crd, *page;
    const struct fields *fields;
    void (*print)(struct buf *out);
} kinds[] = {
    {TOP "deploy/crds/concurrencypolicies.yaml", TOP "docs/reference/concurrency-policy.md",
     &kube_policy_fields, kube_policy_reference},
    {TOP "deploy/crds/lockpolicies.yaml", TOP "docs/reference/lock-policy.md",
     &kube_lock_policy_fields, kube_lock_policy_reference},
    {TOP "deploy/crds/resourceadjustments.yaml", TOP "docs/reference/resource-adjustment.md",
     &kube_adjustment_fields, kube_adjustment_reference},
    {TOP "deploy/crds/deadlockreports.yaml", TOP "docs/reference/deadlock-report.md",
     &kube_deadlock_fields, kube_deadlock_reference},
    {TOP "deploy/crds/signals.yaml", TOP "docs/reference/signal.md", &kube_signal_fields,
     kube_signal_reference},
};

static int keep(void *ctx, const struct kube_document *doc)
{
    *(json_t **)ctx = json_loadb(doc->json.p, doc->json.n, JSON_REJECT_DUPLICATES, NULL);
    return 0;
}

static json_t *crd_of(const char *path)
{
    json_t *crd = NULL;
    const struct kube_visitor visitor = {.object = keep, .ctx = &crd};

    assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
    assert_non_null(crd);
    return crd;
}

static json_t *schema_of(json_t *crd)
{
    json_t *const version =
        json_array_get(json_object_get(json_object_get(crd, "spec"), "versions"), 0);

    return json_object_get(json_object_get(version, "schema"), "openAPIV3Schema");
}

/* The schema at a table's path; `[]` steps into a list's items. `out_parent` requires it or not. */
static json_t *schema_at(json_t *schema, const char *path, json_t **out_parent, struct str *out_key)
{
    struct str rest = str_of(path);

    while (schema && rest.n) {
        struct str key = str_cut(&rest, '.');
        const bool items = str_ends(key, "[]");
        char name[64];

        key.n -= items ? 2 : 0;
        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        *out_parent = schema;
        *out_key = key;
        schema = json_object_get(json_object_get(schema, "properties"), name);
        if (items)
            schema = json_object_get(schema, "items");
    }
    return schema;
}

static const char *type_of(const struct field *f)
{
    switch (f->type) {
    case FIELD_INTEGER:
        return "integer";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_WORD:
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_PLAIN:
    case FIELD_TIME:
    case FIELD_DURATION:
        return "string";
    case FIELD_WORDS:
    case FIELD_INTEGERS:
    case FIELD_TEXTS:
    case FIELD_OBJECTS:
        return "array";
    case FIELD_SELECTOR:
    case FIELD_OBJECT:
    case FIELD_OTHER:
        return "object";
    case FIELD_PERCENT:
        break;
    }
    return NULL; /* of two types: no `type` */
}

static void expect_number(const json_t *schema, const char *key, int64_t want, const char *path)
{
    const json_t *const v = json_object_get(schema, key);

    if (!json_is_integer(v) || json_integer_value(v) != want)
        fail_msg("%s: %s is not %lld", path, key, (long long)want);
}

static void expect_words(const json_t *schema, const struct field *f)
{
    const json_t *const list = json_object_get(schema, "enum");
    size_t n = 0;

    for (; f->words[n]; n++) {
        const char *const word = json_string_value(json_array_get(list, n));

        if (!word || strcmp(word, f->words[n]))
            fail_msg("%s: enum lacks %s", f->path, f->words[n]);
    }
    if (json_array_size(list) != n)
        fail_msg("%s: enum has more", f->path);
}

static void expect_initial(const json_t *schema, const struct field *f)
{
    const json_t *const v = json_object_get(schema, "default");
    bool same = !v;

    if (f->required || f->initial == FIELD_NONE)
        same = !v;
    else if (f->type == FIELD_INTEGER)
        same = json_is_integer(v) && json_integer_value(v) == f->initial;
    else if (f->type == FIELD_BOOL)
        same = json_is_boolean(v) && json_is_true(v) == (f->initial != 0);
    else if (f->type == FIELD_WORD)
        same = v && strcmp(json_string_value(v), f->words[f->initial]) == 0;
    if (!same)
        fail_msg("%s: another default", f->path);
}

static bool is_required(const json_t *parent, struct str key)
{
    const json_t *const list = json_object_get(parent, "required");
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        if (str_is(key, json_string_value(v)))
            return true;
    }
    return false;
}

static void expect_field(json_t *root, const struct field *f)
{
    json_t *parent = NULL;
    struct str key = {0};
    const json_t *const schema = schema_at(root, f->path, &parent, &key);
    const char *const type = json_string_value(json_object_get(schema, "type"));
    const char *const help = json_string_value(json_object_get(schema, "description"));
    const json_t *const items = json_object_get(schema, "items");

    if (!schema)
        fail_msg("%s: not in the schema", f->path);
    if ((type == NULL) != (type_of(f) == NULL) || (type && strcmp(type, type_of(f))))
        fail_msg("%s: another type", f->path);
    if (!help || strcmp(help, f->help))
        fail_msg("%s: another description", f->path);
    if (is_required(parent, key) != f->required)
        fail_msg("%s: required or not", f->path);
    if (f->type == FIELD_INTEGER) {
        expect_number(schema, "minimum", f->min, f->path);
        expect_number(schema, "maximum", f->max, f->path);
    } else if (f->type == FIELD_INTEGERS) {
        expect_number(items, "minimum", f->min, f->path);
        expect_number(items, "maximum", f->max, f->path);
    }
    if (f->type == FIELD_TEXTS)
        expect_number(items, "maxLength", f->max, f->path);
    if (f->type == FIELD_INTEGERS || f->type == FIELD_OBJECTS || f->type == FIELD_TEXTS)
        expect_number(schema, "maxItems", f->most ? f->most : 16, f->path);
    if (f->type == FIELD_WORD || f->type == FIELD_WORDS)
        expect_words(f->type == FIELD_WORD ? schema : items, f);
    expect_initial(schema, f);
}

static void every_field_of_a_table_is_in_the_schema_as_it_is(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        json_t *const crd = crd_of(kinds[k].crd);

        for (size_t i = 0; i < kinds[k].fields->n; i++)
            expect_field(schema_of(crd), &kinds[k].fields->at[i]);
        json_decref(crd);
    }
}

static const struct field *find(const struct fields *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->at[i].path, path) == 0)
            return &f->at[i];
    }
    return NULL;
}

/* Down to where the table says that an object is read as a whole. */
static void expect_known(json_t *schema, const struct fields *f, const char *path)
{
    const char *key;
    json_t *child;

    json_object_foreach(json_object_get(schema, "properties"), key, child)
    {
        json_t *const items = json_object_get(child, "items");
        char at[256];

        (void)snprintf(at, sizeof(at), "%s.%s", path, key);
        const struct field *const field = find(f, at);
        if (!field)
            fail_msg("%s: the decoder does not know it", at);
        else if (field->type == FIELD_OBJECT)
            expect_known(child, f, at);
        else if (field->type == FIELD_OBJECTS) {
            (void)strncat(at, "[]", sizeof(at) - strlen(at) - 1);
            expect_known(items, f, at);
        }
    }
}

static void every_field_of_a_schema_is_in_the_table(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        json_t *const crd = crd_of(kinds[k].crd);
        json_t *const spec = json_object_get(json_object_get(schema_of(crd), "properties"), "spec");

        assert_non_null(spec);
        expect_known(spec, kinds[k].fields, "spec");
        json_decref(crd);
    }
}

/* What CEL costs follows from bounds: each text, list and map has one. */
static void expect_bounds(json_t *schema, const char *path)
{
    const char *const type = json_string_value(json_object_get(schema, "type"));
    json_t *const extra = json_object_get(schema, "additionalProperties");
    json_t *const items = json_object_get(schema, "items"), *child;
    const char *key;

    if (type && strcmp(type, "string") == 0 && !json_object_get(schema, "maxLength") &&
        !json_object_get(schema, "enum") && !json_object_get(schema, "format"))
        fail_msg("%s: a text without bound", path);
    if (type && strcmp(type, "integer") == 0 && !json_object_get(schema, "minimum"))
        fail_msg("%s: an integer without bounds", path);
    if (items && !json_object_get(schema, "maxItems"))
        fail_msg("%s: a list without bound", path);
    if (extra && !json_object_get(schema, "maxProperties"))
        fail_msg("%s: a map without bound", path);
    if (items)
        expect_bounds(items, path);
    if (extra)
        expect_bounds(extra, path);
    json_object_foreach(json_object_get(schema, "properties"), key, child)
        expect_bounds(child, key);
}

static void everything_is_bounded(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        json_t *const crd = crd_of(kinds[k].crd);
        json_t *const top = json_object_get(schema_of(crd), "properties");

        expect_bounds(json_object_get(top, "spec"), "spec");
        expect_bounds(json_object_get(top, "status"), "status");
        json_decref(crd);
    }
}

/* To renew: NUMAWISE_WRITE_REFERENCE=1 build/tests/unit/test_crds */
static void the_pages_are_what_the_tables_say(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct buf want = {0}, got = {0};

        kinds[k].print(&want);
        if (getenv("NUMAWISE_WRITE_REFERENCE")) {
            FILE *const f = fopen(kinds[k].page, "w");

            assert_non_null(f);
            assert_int_equal(fwrite(want.p, 1, want.n, f), want.n);
            assert_int_equal(fclose(f), 0);
        }
        assert_int_equal(test_file_read(kinds[k].page, &got), 0);
        assert_true(str_eq(buf_view(&got), buf_view(&want)));
        buf_free(&want);
        buf_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_table_is_in_the_schema_as_it_is),
        cmocka_unit_test(every_field_of_a_schema_is_in_the_table),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(the_pages_are_what_the_tables_say),
    };

    return cmocka_run_group_tests_name("crds", tests, NULL, NULL);
}
