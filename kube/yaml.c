/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "kube/yaml_internal.h"

struct kube_yaml {
    struct str rest;     /* behind the current chunk */
    struct str chunk;    /* from one line "---" to the next */
    uint32_t first_line; /* of the chunk, from 0 */
    uint32_t next_line;  /* of the rest */
    bool open;           /* the parser stands inside the chunk */
    yaml_parser_t parser;
    struct buf json;
    struct kube_positions positions;
};

struct kube_yaml *kube_yaml_new(struct str text)
{
    struct kube_yaml *const y = calloc(1, sizeof(*y));

    if (!y)
        return NULL;
    y->rest = text;
    if (str_starts(text, "\xef\xbb\xbf"))
        y->rest = (struct str){text.p + 3, text.n - 3};
    return y;
}

static void close_chunk(struct kube_yaml *y)
{
    if (y->open)
        yaml_parser_delete(&y->parser);
    y->open = false;
}

void kube_yaml_free(struct kube_yaml *y)
{
    if (!y)
        return;
    close_chunk(y);
    buf_free(&y->json);
    kube_positions_free(&y->positions);
    free(y);
}

/* The first line of the text, its line end included. */
static struct str first_line(struct str text)
{
    const char *const end = text.n ? memchr(text.p, '\n', text.n) : NULL;

    return (struct str){text.p, end ? (size_t)(end - text.p) + 1 : text.n};
}

static bool is_marker(struct str line)
{
    return str_starts(line, "---") && (line.n == 3 || strchr(" \t\r\n", line.p[3]));
}

enum line_kind { LINE_BLANK, LINE_DIRECTIVE, LINE_CONTENT };

static enum line_kind line_kind(struct str line)
{
    size_t i = is_marker(line) ? 3 : 0;

    if (line.n && line.p[0] == '%')
        return LINE_DIRECTIVE;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r'))
        i++;
    return i == line.n || line.p[i] == '\n' || line.p[i] == '#' ? LINE_BLANK : LINE_CONTENT;
}

/*
 * Cut the next chunk off the rest: up to a line "---", which no scalar can contain (YAML 1.2.2,
 * 9.1.2), so that one broken document does not take the others with it. Directives stay with the
 * document they stand before. Returns whether the chunk has any content.
 */
static bool cut_chunk(struct kube_yaml *y)
{
    struct str rest = y->rest;
    uint32_t lines = 0;
    bool content = false, directive = false;

    while (rest.n) {
        const struct str line = first_line(rest);
        const enum line_kind kind = line_kind(line);

        if (lines && is_marker(line) && (content || !directive))
            break;
        directive = directive || (kind == LINE_DIRECTIVE && !content);
        content = content || kind == LINE_CONTENT;
        rest = (struct str){rest.p + line.n, rest.n - line.n};
        lines++;
    }
    y->chunk = (struct str){y->rest.p, y->rest.n - rest.n};
    y->rest = rest;
    y->first_line = y->next_line;
    y->next_line += lines;
    return content || directive;
}

/* Start the parser on the next chunk with content; 1, or 0 at the end, or -ENOMEM. */
static int open_chunk(struct kube_yaml *y)
{
    while (y->rest.n) {
        if (!cut_chunk(y))
            continue;
        if (!yaml_parser_initialize(&y->parser))
            return -ENOMEM;
        y->open = true;
        yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&y->parser, (const unsigned char *)y->chunk.p, y->chunk.n);
        return 1;
    }
    return 0;
}

/* A document without a value, as between two "---", is none. */
static bool is_nothing(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0 &&
           event->data.scalar.plain_implicit && !event->data.scalar.anchor;
}

/* Behind DOCUMENT-START: 1 with the document in y->json, 0 for an empty one, or an errno. */
static int read_document(struct yaml_builder *b, struct kube_place *out_place)
{
    yaml_event_t event;
    int rc = yaml_take(b, &event);

    if (rc < 0)
        return rc;
    *out_place = yaml_place(b, event.start_mark);
    const bool nothing = is_nothing(&event);
    if (!nothing)
        rc = yaml_build(b, &event, 0);
    yaml_event_delete(&event);
    if (rc < 0)
        return rc;
    rc = yaml_take(b, &event); /* DOCUMENT-END */
    if (rc < 0)
        return rc;
    yaml_event_delete(&event);
    return nothing ? 0 : 1;
}

/* The next document of the open chunk: 1, 0 at the chunk's end, or an errno. */
static int next_in_chunk(struct yaml_builder *b, struct kube_place *out_place)
{
    for (;;) {
        yaml_event_t event;
        int rc = yaml_take(b, &event);

        if (rc < 0)
            return rc;
        const yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
            return 0;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        rc = read_document(b, out_place);
        if (rc != 0)
            return rc;
    }
}

/* Readers of the JSON text may look beyond its end. */
static int pad(struct buf *json)
{
    static const char zeros[64];
    const size_t n = json->n;

    buf_add(json, zeros, sizeof(zeros));
    if (json->failed)
        return -ENOMEM;
    json->n = n;
    return 0;
}

static int read_next(struct kube_yaml *y, struct yaml_builder *b, struct kube_place *out_place)
{
    b->parser = &y->parser;
    b->out = &y->json;
    b->positions = &y->positions;
    for (;;) {
        if (!y->open) {
            const int rc = open_chunk(y);

            if (rc <= 0)
                return rc;
        }
        b->chunk = y->chunk;
        b->first_line = y->first_line;
        y->json.n = 0;
        y->positions.n = 0;
        const int rc = next_in_chunk(b, out_place);
        if (rc > 0)
            return rc;
        close_chunk(y);
        if (rc < 0)
            return rc;
    }
}

int kube_yaml_next(struct kube_yaml *y, struct kube_yaml_document *out,
                   struct kube_place *out_place, struct err *err)
{
    struct yaml_builder b = {0};
    struct kube_place place = {1, 1};
    int rc = read_next(y, &b, &place);

    yaml_builder_done(&b);
    if (rc > 0 && (pad(&y->json) < 0 || y->positions.failed))
        rc = -ENOMEM;
    if (rc == -ENOMEM)
        return err_set(err, rc, "no memory");
    if (rc < 0) {
        *out_place = b.place;
        return err_set(err, rc, "%s", b.err.text);
    }
    if (rc > 0)
        *out = (struct kube_yaml_document){buf_view(&y->json), place, &y->positions};
    return rc;
}
