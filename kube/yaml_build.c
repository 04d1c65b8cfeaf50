/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "kube/yaml.h"
#include "kube/yaml_internal.h"
#include "kube/yaml_scalar.h"

/* An alias costs its text and the search for it. */
enum { ALIAS_COST_BYTES = 64 };

struct kube_place yaml_place(const struct yaml_builder *b, yaml_mark_t mark)
{
    return (struct kube_place){b->first_line + (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

int yaml_fail(struct yaml_builder *b, yaml_mark_t mark, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    b->err.code = code;
    (void)vsnprintf(b->err.text, sizeof(b->err.text), fmt, ap);
    va_end(ap);
    b->place = yaml_place(b, mark);
    return code;
}

/* libyaml's own words for what is wrong. */
static int fail_parser(struct yaml_builder *b)
{
    const yaml_parser_t *const p = b->parser;
    const char *const problem = p->problem ? p->problem : "not valid YAML";

    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (p->error == YAML_READER_ERROR) {
        const struct kube_place at = kube_place_in_text(b->chunk, p->problem_offset);

        yaml_fail(b, (yaml_mark_t){0}, -EINVAL, "%s", problem);
        b->place = (struct kube_place){b->first_line + at.line, at.column};
        return -EINVAL;
    }
    if (p->context)
        return yaml_fail(b, p->problem_mark, -EINVAL, "%s (%s that starts at line %u)", problem,
                         p->context, yaml_place(b, p->context_mark).line);
    return yaml_fail(b, p->problem_mark, -EINVAL, "%s", problem);
}

int yaml_take(struct yaml_builder *b, yaml_event_t *out)
{
    if (yaml_parser_parse(b->parser, out))
        return 0;
    return fail_parser(b);
}

void yaml_builder_done(struct yaml_builder *b)
{
    for (size_t i = 0; i < b->n_anchors; i++) {
        free(b->anchors[i].name);
        buf_free(&b->anchors[i].json);
    }
    free(b->anchors);
    free(b->keys);
    b->anchors = NULL;
    b->keys = NULL;
    b->n_anchors = b->room_anchors = b->n_keys = b->room_keys = 0;
}

/* Double the room of an array; the old one stays valid on failure. */
static void *grown(void *p, size_t *room, size_t size)
{
    const size_t more = *room ? *room * 2 : 16;
    void *const q = realloc(p, more * size);

    if (q)
        *room = more;
    return q;
}

/* --- anchors --- */

static struct yaml_anchor *find_anchor(const struct yaml_builder *b, const unsigned char *name)
{
    for (size_t i = 0; i < b->n_anchors; i++) {
        if (strcmp(b->anchors[i].name, (const char *)name) == 0)
            return &b->anchors[i];
    }
    return NULL;
}

static struct yaml_anchor *add_anchor(struct yaml_builder *b, const unsigned char *name)
{
    if (b->n_anchors == b->room_anchors) {
        void *const p = grown(b->anchors, &b->room_anchors, sizeof(*b->anchors));

        if (!p)
            return NULL;
        b->anchors = p;
    }
    char *const copy = strdup((const char *)name);
    if (!copy)
        return NULL;
    b->anchors[b->n_anchors] = (struct yaml_anchor){.name = copy};
    return &b->anchors[b->n_anchors++];
}

static int spend_alias(struct yaml_builder *b, yaml_mark_t mark, size_t bytes)
{
    b->alias_bytes += bytes + ALIAS_COST_BYTES;
    if (b->alias_bytes <= KUBE_YAML_ALIAS_BYTES)
        return 0;
    return yaml_fail(b, mark, -E2BIG, "anchors and aliases add up to more than %d bytes",
                     KUBE_YAML_ALIAS_BYTES);
}

static uint32_t height_of(struct str json)
{
    uint32_t depth = 0, height = 0;
    bool quoted = false;

    for (size_t i = 0; i < json.n; i++) {
        const char c = json.p[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            height = ++depth > height ? depth : height;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
    }
    return height;
}

/* Keep what was written from `from` on under the anchor's name; a second one replaces the first. */
static int keep_anchor(struct yaml_builder *b, const yaml_event_t *e, const unsigned char *name,
                       size_t from)
{
    struct yaml_anchor *anchor = find_anchor(b, name);
    const struct str json = {b->out->p + from, b->out->n - from};
    const int rc = spend_alias(b, e->start_mark, json.n);

    if (rc < 0)
        return rc;
    if (!anchor && b->n_anchors == KUBE_YAML_ANCHORS)
        return yaml_fail(b, e->start_mark, -E2BIG, "more than %d anchors", KUBE_YAML_ANCHORS);
    if (!anchor)
        anchor = add_anchor(b, name);
    if (!anchor)
        return -ENOMEM;
    anchor->json.n = 0;
    buf_str(&anchor->json, json);
    anchor->height = height_of(json);
    return anchor->json.failed ? -ENOMEM : 0;
}

static int find_alias(struct yaml_builder *b, const yaml_event_t *e, struct str *out,
                      uint32_t *out_height)
{
    const struct yaml_anchor *const anchor = find_anchor(b, e->data.alias.anchor);

    if (!anchor)
        return yaml_fail(b, e->start_mark, -EINVAL,
                         "alias *%s: no such anchor is complete before it",
                         (const char *)e->data.alias.anchor);
    *out = buf_view(&anchor->json);
    *out_height = anchor->height;
    return spend_alias(b, e->start_mark, out->n);
}

static int too_deep(struct yaml_builder *b, const yaml_event_t *e)
{
    return yaml_fail(b, e->start_mark, -E2BIG, "nested deeper than %d", LIMIT_JSON_DEPTH);
}

static int build_alias(struct yaml_builder *b, const yaml_event_t *e, uint32_t depth)
{
    struct str json;
    uint32_t height = 0;
    const int rc = find_alias(b, e, &json, &height);

    if (rc < 0)
        return rc;
    if (depth + height > LIMIT_JSON_DEPTH)
        return too_deep(b, e);
    buf_str(b->out, json);
    return 0;
}

/* --- scalars --- */

static const char tag_prefix[] = "tag:yaml.org,2002:";

/* The tag's name without its prefix; "" for none. */
static const char *tag_of(const yaml_char_t *tag)
{
    const char *const text = (const char *)tag;

    if (!text)
        return "";
    return strncmp(text, tag_prefix, strlen(tag_prefix)) == 0 ? text + strlen(tag_prefix) : text;
}

static bool tag_agrees(const char *tag, enum yaml_kind kind)
{
    if (strcmp(tag, "int") == 0)
        return kind == YAML_KIND_INT;
    if (strcmp(tag, "float") == 0)
        return kind == YAML_KIND_INT || kind == YAML_KIND_FLOAT;
    if (strcmp(tag, "bool") == 0)
        return kind == YAML_KIND_BOOL;
    return strcmp(tag, "null") == 0 && kind == YAML_KIND_NULL;
}

static int fail_scalar(struct yaml_builder *b, const yaml_event_t *e, const char *what)
{
    return yaml_fail(b, e->start_mark, -EINVAL, "%.40s: %s", (const char *)e->data.scalar.value,
                     what);
}

static int write_scalar(struct yaml_builder *b, const yaml_event_t *e)
{
    const struct str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    const char *const tag = tag_of(e->data.scalar.tag);
    const bool quoted = !*tag && e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    const bool string = quoted || strcmp(tag, "str") == 0;
    enum yaml_kind kind = YAML_KIND_STRING;

    if (!string)
        kind = yaml_resolve(text, b->out);
    if (kind == YAML_KIND_NOT_FINITE)
        return fail_scalar(b, e, "JSON has no such number");
    if (kind == YAML_KIND_TOO_LARGE)
        return fail_scalar(b, e, "integer beyond 64 bits");
    if (!string && *tag && !tag_agrees(tag, kind))
        return yaml_fail(b, e->start_mark, -EINVAL, "tag %.80s does not fit the value", tag);
    if (kind == YAML_KIND_STRING)
        yaml_quote(b->out, text);
    return 0;
}

/* --- mappings --- */

/* Make the JSON scalar at `from` a key: a string as it is, others in quotes. */
static int make_key(struct yaml_builder *b, const yaml_event_t *e, size_t from)
{
    char text[128];
    const size_t n = b->out->n - from;
    const char c = n ? b->out->p[from] : 0;

    if (c == '"')
        return 0;
    if (c == '{' || c == '[' || n == 0 || n > sizeof(text) ||
        str_is((struct str){b->out->p + from, n}, "null"))
        return yaml_fail(b, e->start_mark, -EINVAL, "a key must be text, a number or a boolean");
    memcpy(text, b->out->p + from, n);
    b->out->n = from;
    yaml_quote(b->out, (struct str){text, n});
    return 0;
}

static int build_key(struct yaml_builder *b, const yaml_event_t *e)
{
    const size_t from = b->out->n;
    const struct kube_place place = yaml_place(b, e->start_mark);

    if (e->type != YAML_SCALAR_EVENT && e->type != YAML_ALIAS_EVENT)
        return yaml_fail(b, e->start_mark, -EINVAL, "a key must be text, a number or a boolean");
    int rc = yaml_build(b, e, LIMIT_JSON_DEPTH - 1);
    if (rc == 0)
        rc = make_key(b, e, from);
    if (rc < 0)
        return rc;
    if (b->n_keys == b->room_keys) {
        void *const p = grown(b->keys, &b->room_keys, sizeof(*b->keys));

        if (!p)
            return -ENOMEM;
        b->keys = p;
    }
    b->keys[b->n_keys++] = (struct yaml_key){from, b->out->n - from, place};
    buf_text(b->out, ":");
    return 0;
}

static bool is_merge_key(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           strcmp((const char *)e->data.scalar.value, "<<") == 0 &&
           (e->data.scalar.plain_implicit || strcmp(tag_of(e->data.scalar.tag), "merge") == 0);
}

/* Read one value; it is only wanted for what it leaves in `out`. */
static int build_next(struct yaml_builder *b, uint32_t depth)
{
    yaml_event_t e;
    int rc = yaml_take(b, &e);

    if (rc < 0)
        return rc;
    rc = yaml_build(b, &e, depth);
    yaml_event_delete(&e);
    return rc;
}

/* Write the value of `<<`, take it away again and keep it: the mapping's own keys come first. */
static int set_aside(struct yaml_builder *b, struct buf *aside, uint32_t depth)
{
    const size_t from = b->out->n;
    const int rc = build_next(b, depth);

    if (rc < 0)
        return rc;
    buf_text(aside, aside->n ? "," : "[");
    buf_add(aside, b->out->p + from, b->out->n - from);
    b->out->n = from;
    kube_positions_cut(b->positions, from);
    return aside->failed ? -ENOMEM : 0;
}

static int compare_keys(const void *x, const void *y, void *text)
{
    const struct yaml_key *const a = x, *const b = y;
    const int c = str_cmp((struct str){(const char *)text + a->offset, a->n},
                          (struct str){(const char *)text + b->offset, b->n});

    return c ? c : (a->offset > b->offset) - (a->offset < b->offset);
}

/* Sort the keys of the mapping and find the first one that comes twice. */
static int check_keys(struct yaml_builder *b, size_t base)
{
    const struct yaml_key *twice = NULL;

    if (b->n_keys - base < 2)
        return 0;
    qsort_r(b->keys + base, b->n_keys - base, sizeof(*b->keys), compare_keys, b->out->p);
    for (size_t i = base + 1; i < b->n_keys; i++) {
        const struct yaml_key *const a = &b->keys[i - 1], *const k = &b->keys[i];
        const bool same =
            a->n == k->n && memcmp(b->out->p + a->offset, b->out->p + k->offset, k->n) == 0;

        if (same && (!twice || k->offset < twice->offset))
            twice = k;
    }
    if (!twice)
        return 0;
    yaml_fail(b, (yaml_mark_t){0}, -EINVAL, "key %.*s is given twice", (int)twice->n,
              b->out->p + twice->offset);
    b->place = twice->place;
    return -EINVAL;
}

static int build_members(struct yaml_builder *b, struct buf *aside, uint32_t depth)
{
    const size_t base = b->n_keys;

    for (;;) {
        yaml_event_t e;
        int rc = yaml_take(b, &e);

        if (rc < 0)
            return rc;
        const bool end = e.type == YAML_MAPPING_END_EVENT;
        const bool merge = is_merge_key(&e);
        if (!end && !merge) {
            if (b->n_keys > base)
                buf_text(b->out, ",");
            rc = build_key(b, &e);
        }
        yaml_event_delete(&e);
        if (end)
            return check_keys(b, base);
        if (rc == 0)
            rc = merge ? set_aside(b, aside, depth) : build_next(b, depth);
        if (rc < 0)
            return rc;
    }
}

static int build_mapping(struct yaml_builder *b, const yaml_event_t *start, uint32_t depth)
{
    CLEANUP(buf_free) struct buf aside = {0};
    const size_t base = b->n_keys;

    buf_text(b->out, "{");
    int rc = build_members(b, &aside, depth + 1);
    if (rc == 0 && aside.n) {
        buf_text(&aside, "]");
        rc = aside.failed ? -ENOMEM : yaml_merge(b, buf_view(&aside), base);
        if (rc == -EINVAL)
            b->place = yaml_place(b, start->start_mark);
    }
    buf_text(b->out, "}");
    b->n_keys = base;
    return rc;
}

static int build_sequence(struct yaml_builder *b, uint32_t depth)
{
    buf_text(b->out, "[");
    for (bool first = true;; first = false) {
        yaml_event_t e;
        int rc = yaml_take(b, &e);

        if (rc < 0)
            return rc;
        const bool end = e.type == YAML_SEQUENCE_END_EVENT;
        if (!end) {
            buf_text(b->out, first ? "" : ",");
            rc = yaml_build(b, &e, depth + 1);
        }
        yaml_event_delete(&e);
        if (rc < 0)
            return rc;
        if (end)
            break;
    }
    buf_text(b->out, "]");
    return 0;
}

/* What the four kinds of event have in common. */
static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT)
        return e->data.scalar.anchor;
    if (e->type == YAML_MAPPING_START_EVENT)
        return e->data.mapping_start.anchor;
    return e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor : NULL;
}

static int build_container(struct yaml_builder *b, const yaml_event_t *e, uint32_t depth)
{
    const bool mapping = e->type == YAML_MAPPING_START_EVENT;
    const char *const tag =
        tag_of(mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag);

    if (*tag && strcmp(tag, "!") != 0 && strcmp(tag, mapping ? "map" : "seq") != 0)
        return yaml_fail(b, e->start_mark, -EINVAL, "tag %.80s does not fit the value", tag);
    if (depth >= LIMIT_JSON_DEPTH)
        return too_deep(b, e);
    return mapping ? build_mapping(b, e, depth) : build_sequence(b, depth);
}

int yaml_build(struct yaml_builder *b, const yaml_event_t *event, uint32_t depth)
{
    const size_t from = b->out->n;
    int rc;

    kube_positions_add(b->positions, from, yaml_place(b, event->start_mark));
    if (event->type == YAML_ALIAS_EVENT)
        rc = build_alias(b, event, depth);
    else if (event->type == YAML_SCALAR_EVENT)
        rc = write_scalar(b, event);
    else
        rc = build_container(b, event, depth);
    if (rc == 0 && (b->out->failed || b->positions->failed))
        rc = -ENOMEM;
    if (rc == 0 && anchor_of(event))
        rc = keep_anchor(b, event, anchor_of(event), from);
    return rc;
}
