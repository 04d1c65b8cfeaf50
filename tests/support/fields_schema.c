/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fields_schema.h"

#include <stdio.h>
#include <string.h>

#include "kube/fields.h"
#include "tests/support/test.h"

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

void fields_expect_in(json_t *schema, const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++)
        expect_field(schema, &f->at[i]);
}

static const struct field *find(const struct fields *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->at[i].path, path) == 0)
            return &f->at[i];
    }
    return NULL;
}

void fields_expect_known(json_t *schema, const struct fields *f, const char *path)
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
            fields_expect_known(child, f, at);
        else if (field->type == FIELD_OBJECTS) {
            (void)strncat(at, "[]", sizeof(at) - strlen(at) - 1);
            fields_expect_known(items, f, at);
        }
    }
}
