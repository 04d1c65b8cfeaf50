/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/file.h"
#include "kube/positions.h"
#include "kube/quantity.h"
#include "kube/scan.h"
#include "kube/yaml.h"

enum { PATH_BYTES = 256 };

/* One reading of one file. */
struct reading {
    const char *path;
    const struct kube_config_report *report;
    struct err *err;
    struct numawise_config *config;
    struct str json;
    const struct kube_positions *positions;
    uint32_t problems;
};

static void tell(struct reading *r, struct kube_place place, const char *text)
{
    if (r->report && r->report->problem)
        r->report->problem(r->report->ctx, r->path, place.line, place.column, text);
    if (r->problems++ == 0)
        (void)err_set(r->err, -EINVAL, "%s:%u:%u: %s", r->path, place.line, place.column, text);
}

/* At the place of a piece of the JSON text. */
static void tell_at(struct reading *r, struct str at, const char *fmt, ...) PRINTF(3, 4);
static void tell_at(struct reading *r, struct str at, const char *fmt, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    tell(r, kube_positions_find(r->positions, (size_t)(at.p - r->json.p)), text);
}

/* --- values --- */

static int parse_number(const struct config_setting *s, struct str text, int64_t *out,
                        struct err *err)
{
    int rc = 0;

    if (s->type == CONFIG_BYTES) {
        if (kube_quantity(text, KUBE_UNITS, out, NULL) < 0)
            rc = err_set(err, -EINVAL, "%s: \"%.*s\" is not a size (8Mi, 1000)", s->path,
                         STR_ARG(text));
    } else if (config_parse_duration(text, out) < 0) {
        rc = err_set(err, -EINVAL, "%s: \"%.*s\" is not a duration (500ms, 5m, 1h30m)", s->path,
                     STR_ARG(text));
    }
    return rc;
}

static int parse_integer(const struct config_setting *s, struct str text, int64_t *out,
                         struct err *err)
{
    const bool negative = text.n && text.p[0] == '-';
    const struct str digits = negative ? (struct str){text.p + 1, text.n - 1} : text;
    uint64_t v;

    if (!str_u64(digits, &v) || v > INT64_MAX)
        return err_set(err, -EINVAL, "%s: \"%.*s\" is not an integer", s->path, STR_ARG(text));
    *out = negative ? -(int64_t)v : (int64_t)v;
    return 0;
}

static int parse_bool(const struct config_setting *s, struct str text, int64_t *out,
                      struct err *err)
{
    if (!str_is(text, "true") && !str_is(text, "false"))
        return err_set(err, -EINVAL, "%s: expected true or false", s->path);
    *out = str_is(text, "true");
    return 0;
}

int kube_config_set(struct numawise_config *c, const struct config_setting *s, struct str value,
                    struct err *err)
{
    int64_t v = 0;
    int rc = 0;

    if (s->type == CONFIG_TEXT || s->type == CONFIG_ADDRESS || s->type == CONFIG_CHOICE ||
        s->type == CONFIG_LIST)
        return config_set_text(c, s, value, err);
    if (s->type == CONFIG_BOOL)
        rc = parse_bool(s, value, &v, err);
    else if (s->type == CONFIG_INTEGER)
        rc = parse_integer(s, value, &v, err);
    else
        rc = parse_number(s, value, &v, err);
    return rc < 0 ? rc : config_set_number(c, s, v, err);
}

/*
 * The text of a JSON scalar, decoded; `room` holds it. YAML reads `address: off` as false, as
 * kubectl does; everybody who writes it means the word.
 */
static struct str scalar_text(const struct config_setting *s, struct str json, char *room)
{
    if (s->type == CONFIG_ADDRESS && str_is(json, "false"))
        return STR("off");
    if (json.p[0] != '"')
        return json;
    return (struct str){room, scan_unescape(room, (struct str){json.p + 1, json.n - 2})};
}

/* May a JSON value of this kind stand for the setting? A size may be a plain number. */
static const char *wrong_kind(const struct config_setting *s, char c)
{
    const bool number = c == '-' || (c >= '0' && c <= '9'), text = c == '"';

    switch (s->type) {
    case CONFIG_BOOL:
        return c == 't' || c == 'f' ? NULL : "expected true or false";
    case CONFIG_INTEGER:
        return number ? NULL : "expected an integer";
    case CONFIG_BYTES:
        return number || text ? NULL : "expected a size (8Mi, 1000)";
    case CONFIG_DURATION:
        return text || c == '0' ? NULL : "expected a duration (500ms, 5m, 1h30m)";
    case CONFIG_CHOICE:
    case CONFIG_TEXT:
        return text ? NULL : "expected text (in quotes)";
    case CONFIG_ADDRESS:
        return text || c == 'f' ? NULL : "expected text (in quotes)";
    case CONFIG_LIST:
        return c == '[' ? NULL : "expected a list";
    }
    return "unknown type";
}

/* A list of strings; what is decoded lies in `room`, as long as the list's own text. */
static int set_list(struct reading *r, const struct config_setting *s, struct str value, char *room,
                    struct err *err)
{
    struct str items[CONFIG_LIST_ITEMS + 1]; /* one too many is for config_set_list to refuse */
    struct str key = {0}, item;
    size_t n = 0;

    for (size_t at = 0; n < ARRAY_LEN(items) && kube_json_step(value, &at, &key, &item); n++) {
        if (item.p[0] != '"')
            return err_set(err, -EINVAL, "%s: expected texts (in quotes)", s->path);
        items[n] = scalar_text(s, item, room);
        room += items[n].n;
    }
    return config_set_list(r->config, s, items, n, err);
}

static void read_setting(struct reading *r, const struct config_setting *s, struct str value)
{
    const char *const wrong = wrong_kind(s, value.p[0]);
    struct err err;
    int rc;

    if (wrong) {
        tell_at(r, value, "%s: %s", s->path, wrong);
        return;
    }
    char *const room = malloc(value.n + 1);

    if (!room)
        rc = err_set(&err, -ENOMEM, "%s: no memory", s->path);
    else if (s->type == CONFIG_LIST)
        rc = set_list(r, s, value, room, &err);
    else
        rc = kube_config_set(r->config, s, scalar_text(s, value, room), &err);
    free(room);
    if (rc < 0)
        tell_at(r, value, "%s", err.text);
}

/* --- blocks --- */

static struct str unquoted(struct str key)
{
    return (struct str){key.p + 1, key.n - 2};
}

static void tell_unknown(struct reading *r, struct str block, struct str key, const char *path)
{
    char near[64];

    if (config_nearest(block, unquoted(key), near, sizeof(near)))
        tell_at(r, key, "%s: unknown field (did you mean %s?)", path, near);
    else
        tell_at(r, key, "%s: unknown field", path);
}

static void read_block(struct reading *r, struct str block, struct str json);

static void read_member(struct reading *r, struct str block, struct str key, struct str value)
{
    const struct str name = unquoted(key);
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%.*s%s%.*s", STR_ARG(block), block.n ? "." : "",
                   STR_ARG(name));
    const bool one_name = name.n > 0 && !memchr(name.p, '.', name.n);
    const struct config_setting *const s = one_name ? config_find(str_of(path)) : NULL;
    const bool is_block = one_name && config_is_block(str_of(path));

    if (!s && !is_block)
        tell_unknown(r, block, key, path);
    else if (str_is(value, "null"))
        return; /* as if it were not there */
    else if (s)
        read_setting(r, s, value);
    else if (value.p[0] != '{')
        tell_at(r, value, "%s: expected an object", path);
    else
        read_block(r, str_of(path), value);
}

static void read_block(struct reading *r, struct str block, struct str json)
{
    struct str key = {0}, value;

    for (size_t at = 0; kube_json_step(json, &at, &key, &value);) {
        if (block.n == 0 && (str_is(key, "\"apiVersion\"") || str_is(key, "\"kind\"")))
            continue;
        read_member(r, block, key, value);
    }
}

/* apiVersion and kind must be there and be ours. */
static void check_header(struct reading *r, const char *name, const char *want)
{
    struct str key = {0}, value;

    for (size_t at = 0; kube_json_step(r->json, &at, &key, &value);) {
        if (!str_eq(unquoted(key), str_of(name)))
            continue;
        if (value.p[0] != '"' || !str_eq(unquoted(value), str_of(want)))
            tell_at(r, value, "%s: expected %s", name, want);
        return;
    }
    tell_at(r, r->json, "%s: missing, expected %s", name, want);
}

static void read_object(struct reading *r)
{
    struct err err;

    if (r->json.p[0] != '{') {
        tell_at(r, r->json, "expected an object");
        return;
    }
    check_header(r, "apiVersion", CONFIG_API_VERSION);
    check_header(r, "kind", CONFIG_KIND);
    read_block(r, (struct str){0}, r->json);
    if (r->problems == 0 && config_check(r->config, &err) < 0) {
        const char *const colon = strchr(err.text, ':');

        tell_at(r, kube_json_find(r->json, (struct str){err.text, (size_t)(colon - err.text)}),
                "%s", err.text);
    }
}

/* --- the file --- */

static int read_documents(struct reading *r, struct kube_yaml *y)
{
    struct kube_yaml_document d;
    struct kube_place place;
    struct err err;

    for (uint32_t n = 0;; n++) {
        const int rc = kube_yaml_next(y, &d, &place, &err);

        if (rc == -ENOMEM)
            return err_set(r->err, rc, "%s: no memory", r->path);
        if (rc < 0) {
            tell(r, place, err.text);
            continue;
        }
        if (rc == 0 && n == 0)
            tell(r, (struct kube_place){1, 1}, "the file is empty, expected kind " CONFIG_KIND);
        if (rc == 0)
            return r->problems ? -EINVAL : 0;
        r->json = d.json;
        r->positions = d.positions;
        if (n == 0)
            read_object(r);
        else
            tell(r, d.place, "a second document: a configuration is one");
    }
}

static void free_yaml(struct kube_yaml **y)
{
    kube_yaml_free(*y);
}

int kube_config_read_text(struct numawise_config *c, struct str text, const char *path,
                          const struct kube_config_report *report, struct err *err)
{
    CLEANUP(free_yaml) struct kube_yaml *y = kube_yaml_new(text);
    struct numawise_config config = *c;
    struct reading r = {.path = path, .report = report, .err = err, .config = &config};
    const int rc = y ? read_documents(&r, y) : err_set(err, -ENOMEM, "%s: no memory", path);

    if (rc == 0)
        *c = config;
    return rc;
}

int kube_config_read(struct numawise_config *c, const char *path,
                     const struct kube_config_report *report, struct err *err)
{
    CLEANUP(buf_free) struct buf text = {0};
    const int rc = kube_file_read(path, &text, err);

    return rc < 0 ? rc : kube_config_read_text(c, buf_view(&text), path, report, err);
}
