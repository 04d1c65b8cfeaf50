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
#include "tests/support/fields_schema.h"
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

static void every_field_of_a_table_is_in_the_schema_as_it_is(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        json_t *const crd = crd_of(kinds[k].crd);

        fields_expect_in(schema_of(crd), kinds[k].fields);
        json_decref(crd);
    }
}

static void every_field_of_a_schema_is_in_the_table(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        json_t *const crd = crd_of(kinds[k].crd);
        json_t *const spec = json_object_get(json_object_get(schema_of(crd), "properties"), "spec");

        assert_non_null(spec);
        fields_expect_known(spec, kinds[k].fields, "spec");
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
