/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/schema.h"

#include "tests/support/test.h"

#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

enum { PATH = 512 };

static json_t *root; /* of the schema that is at hand, where its references lead */

static void expect(json_t *value, json_t *schema, const char *path);

static bool is_of_type(const json_t *value, const char *type)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static void expect_type(const json_t *value, const json_t *type, const char *path)
{
    bool ok = json_is_string(type) && is_of_type(value, json_string_value(type));

    for (size_t i = 0; i < json_array_size(type); i++)
        ok |= is_of_type(value, json_string_value(json_array_get(type, i)));
    if (!ok)
        fail_msg("%s: wrong type", path);
}

static void expect_word(const json_t *value, const json_t *words, const char *path)
{
    bool ok = !words;

    for (size_t i = 0; i < json_array_size(words); i++)
        ok |= json_equal(value, json_array_get(words, i));
    if (!ok)
        fail_msg("%s: \"%s\" is not one of its words", path, json_string_value(value));
}

static void expect_range(const json_t *value, const json_t *schema, const char *path)
{
    const json_t *const min = json_object_get(schema, "minimum");
    const json_t *const max = json_object_get(schema, "maximum");
    const json_int_t v = json_integer_value(value);

    if (json_is_integer(value) &&
        ((min && v < json_integer_value(min)) || (max && v > json_integer_value(max))))
        fail_msg("%s: %lld is out of range", path, (long long)v);
}

static void expect_keywords(json_t *schema, const char *path)
{
    static const char *const known[] = {"$schema",     "title",         "description",
                                        "type",        "required",      "additionalProperties",
                                        "properties",  "items",         "enum",
                                        "minimum",     "maximum",       "$ref",
                                        "oneOf",       "const",         "default",
                                        "format",      "pattern",       "minLength",
                                        "maxLength",   "minItems",      "maxItems",
                                        "uniqueItems", "minProperties", "maxProperties",
                                        "$defs"};
    const char *key;
    json_t *value;

    json_object_foreach(schema, key, value)
    {
        bool ok = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok |= strcmp(key, known[i]) == 0;
        if (!ok)
            fail_msg("%s: the schema's keyword %s is not known here", path, key);
    }
}

static void expect_members(json_t *value, json_t *schema, const char *path)
{
    json_t *const properties = json_object_get(schema, "properties");
    json_t *const others = json_object_get(schema, "additionalProperties");
    const json_t *const required = json_object_get(schema, "required");
    const char *key;
    json_t *member;

    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *const name = json_string_value(json_array_get(required, i));
        if (!json_object_get(value, name))
            fail_msg("%s: %s is missing", path, name);
    }
    json_object_foreach(value, key, member)
    {
        json_t *const own = json_object_get(properties, key);
        char deeper[PATH];
        (void)snprintf(deeper, sizeof(deeper), "%s.%s", path, key);
        if (!own && !json_is_object(others))
            fail_msg("%s: not in the schema", deeper);
        expect(member, own ? own : others, deeper);
    }
}

/* At most, or at least, what the keyword says. */
static void expect_count(const json_t *schema, const char *least, const char *most, size_t n,
                         const char *path)
{
    const json_t *const min = json_object_get(schema, least), *const max =
                                                                  json_object_get(schema, most);

    if ((min && n < (size_t)json_integer_value(min)) ||
        (max && n > (size_t)json_integer_value(max)))
        fail_msg("%s: %zu is too few or too many", path, n);
}

static void expect_text(const json_t *value, const json_t *schema, const char *path)
{
    const char *const pattern = json_string_value(json_object_get(schema, "pattern"));
    regex_t re;

    expect_count(schema, "minLength", "maxLength", json_string_length(value), path);
    if (!pattern)
        return;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, json_string_value(value), 0, NULL, 0))
        fail_msg("%s: \"%s\" is not as %s", path, json_string_value(value), pattern);
    regfree(&re);
}

/* "#/components/schemas/NAME" */
static json_t *followed(json_t *schema, const char *path)
{
    const char *const to = json_string_value(json_object_get(schema, "$ref"));
    json_t *at = root;
    char part[128];

    if (!to)
        return schema;
    for (const char *p = strchr(to, '/'); p; p = strchr(p, '/')) {
        const size_t n = strcspn(++p, "/");

        (void)snprintf(part, sizeof(part), "%.*s", (int)n, p);
        at = json_object_get(at, part);
    }
    if (!at)
        fail_msg("%s: %s leads nowhere", path, to);
    return at;
}

/* The alternative of whose required members all are there; of several that with the most. */
static json_t *chosen(const json_t *value, json_t *list, const char *path)
{
    json_t *best = NULL, *alternative;
    size_t i, k, most = 0;

    json_array_foreach(list, i, alternative)
    {
        const json_t *const required = json_object_get(followed(alternative, path), "required");
        for (k = 0; k < json_array_size(required); k++) {
            if (!json_object_get(value, json_string_value(json_array_get(required, k))))
                break;
        }
        if (k == json_array_size(required) && (!best || k > most)) {
            best = alternative;
            most = k;
        }
    }
    if (!best)
        fail_msg("%s: none of the alternatives", path);
    return best;
}

static void expect(json_t *value, json_t *schema, const char *path)
{
    schema = followed(schema, path);
    expect_keywords(schema, path);
    if (json_object_get(schema, "oneOf")) {
        expect(value, chosen(value, json_object_get(schema, "oneOf"), path), path);
        return;
    }
    expect_type(value, json_object_get(schema, "type"), path);
    expect_word(value, json_object_get(schema, "enum"), path);
    if (json_object_get(schema, "const") && !json_equal(value, json_object_get(schema, "const")))
        fail_msg("%s: not what it always is", path);
    expect_range(value, schema, path);
    if (json_is_string(value))
        expect_text(value, schema, path);
    if (json_is_object(value)) {
        expect_count(schema, "minProperties", "maxProperties", json_object_size(value), path);
        expect_members(value, schema, path);
    }
    if (json_is_array(value))
        expect_count(schema, "minItems", "maxItems", json_array_size(value), path);
    for (size_t i = 0; i < json_array_size(value); i++) {
        char deeper[PATH];
        (void)snprintf(deeper, sizeof(deeper), "%s[%zu]", path, i);
        expect(json_array_get(value, i), json_object_get(schema, "items"), deeper);
    }
}

void schema_expect_in(json_t *value, json_t *schema, json_t *document)
{
    root = document;
    expect(value, schema, "$");
}

void schema_expect(json_t *value, json_t *schema)
{
    schema_expect_in(value, schema, schema);
}

json_t *schema_read(const char *name)
{
    char path[PATH];
    json_error_t error;

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_REFERENCE, name);
    json_t *const schema = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!schema)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return schema;
}
