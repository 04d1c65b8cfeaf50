/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "kube/meta.h"
#include "kube/positions.h"
#include "kube/scan.h"
#include "kube/yaml.h"

/* apiVersion, kind, namespace, name, uid and resourceVersion of what the API server lets in. */
enum { META_BYTES = 16 * 1024 };

/* --- reading --- */

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static int check_regular(int fd, const char *path, size_t *out_bytes, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(err, -EISDIR, "%s: is a directory", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s: not a regular file", path);
    if (st.st_size > LIMIT_FILE_BYTES)
        return err_set(err, -E2BIG, "%s: larger than %d bytes", path, LIMIT_FILE_BYTES);
    *out_bytes = (size_t)st.st_size;
    return 0;
}

/* Read to the end; a file that grows meanwhile is read as far as the limit allows. */
static int read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    char piece[64 * 1024];

    for (;;) {
        const ssize_t n = read(fd, piece, sizeof(piece));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, -errno, "%s: %s", path, strerror(errno));
        if (n == 0)
            return out->failed ? err_set(err, -ENOMEM, "%s: no memory", path) : 0;
        buf_add(out, piece, (size_t)n);
        if (out->n > LIMIT_FILE_BYTES)
            return err_set(err, -E2BIG, "%s: larger than %d bytes", path, LIMIT_FILE_BYTES);
    }
}

static void add_padding(struct buf *b)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = b->n;

    buf_add(b, zeros, sizeof(zeros));
    b->n = b->failed ? b->n : n;
}

int kube_file_read(const char *path, struct buf *out, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t bytes = 0;

    if (fd < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    int rc = check_regular(fd, path, &bytes, err);
    if (rc == 0)
        rc = read_all(fd, path, out, err);
    if (rc < 0)
        return rc;
    add_padding(out);
    return out->failed ? err_set(err, -ENOMEM, "%s: no memory", path) : 0;
}

/* --- places --- */

/* Where the JSON text of a document comes from. */
struct origin {
    const struct kube_positions *map; /* YAML: of values; JSON: kube_positions_index */
    struct str text;                  /* JSON: the file; YAML: empty */
    size_t base;                      /* offset of the object in the text that `map` speaks of */
    size_t added; /* bytes of kind and apiVersion that stand for the object's '{' */
};

static struct kube_place place_of(const struct origin *o, size_t offset)
{
    const size_t at = o->base + (offset < o->added ? 0 : offset - o->added + (o->added ? 1 : 0));

    return o->text.n ? kube_positions_find_in(o->map, o->text, at)
                     : kube_positions_find(o->map, at);
}

void kube_document_locate(const struct kube_document *doc, struct str field, uint32_t *out_line,
                          uint32_t *out_column)
{
    const struct str value = kube_json_find(doc->json, field);
    const struct kube_place place =
        place_of(doc->positions, value.n ? (size_t)(value.p - doc->json.p) : 0);

    *out_line = place.line;
    *out_column = place.column;
}

/* --- walking --- */

struct walk {
    const char *path;
    const struct kube_visitor *visitor;
    struct buf item;    /* an item with its kind in front */
    struct arena arena; /* over `meta`: a list's strings, then its item's */
    char meta[META_BYTES];
};

static void tell(const struct walk *w, struct kube_place place, const char *text)
{
    if (w->visitor->problem)
        w->visitor->problem(w->visitor->ctx, w->path, place.line, place.column, text);
}

/* The field that a decoder's message begins with: all before ": ". */
static struct str field_of(const char *text)
{
    const char *const end = strstr(text, ": ");

    return (struct str){text, end ? (size_t)(end - text) : 0};
}

/* Tell of a message that a decoder gave for the object `json`. */
static void tell_field(const struct walk *w, struct str json, const struct origin *o,
                       const char *text)
{
    const struct kube_document doc = {.json = json, .positions = o};
    struct kube_place place;

    kube_document_locate(&doc, field_of(text), &place.line, &place.column);
    tell(w, place, text);
}

static int visit(struct walk *w, struct str json, const struct origin *o,
                 const struct kube_meta *list);

static bool is_plain_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\' || (unsigned char)s.p[i] < 0x20)
            return false;
    }
    return true;
}

/* From the value of the first "items" of an object that is valid to the object's end; or empty. */
static struct str items_of(struct str json)
{
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s))
        while (scan_key(&s)) {
            const char *const at = scan_at(&s, "items") ? scan_here(&s) : NULL;

            if (at)
                return (struct str){at, (size_t)(json.p + json.n - at)};
        }
    return STR("");
}

/*
 * Whether an object begins with what a list says of itself: then that is known without going
 * through all of its items, as kube_meta_decode does in search of metadata.
 */
static bool begins_as_list(struct kube_meta *out, struct str json, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct kube_meta meta = {0};
    bool begins = true;
    struct scan s;

    scan_init(&s, json, 0);
    if (!scan_object(&s))
        return false;
    while (begins && scan_key(&s) && !scan_at(&s, "items"))
        begins = kube_meta_field(&s, &meta, a);
    if (!begins || scan_failed(&s) || !meta.api_version.n || !str_ends(meta.kind, "List")) {
        arena_rewind(a, mark);
        return false;
    }
    *out = meta;
    return true;
}

static int visit_items(struct walk *w, struct str items, const struct origin *o,
                       const struct kube_meta *list, const char *start)
{
    struct str value;
    struct scan s;
    int rc = 0;

    scan_init(&s, items, 0);
    if (scan_array(&s))
        while (rc == 0 && scan_item(&s) && scan_raw(&s, &value)) {
            const struct origin inner = {o->map, o->text, o->base + (size_t)(value.p - start), 0};

            rc = visit(w, value, &inner, list);
        }
    return rc;
}

/* Give the item of a typed list the kind that only the list says. */
static bool name_kind(struct walk *w, struct str *json, struct origin *o, struct kube_meta *meta,
                      const struct kube_meta *list)
{
    struct str key = {0}, value;
    size_t at = 0;

    if (!list || list->kind.n <= strlen("List"))
        return false;
    meta->kind = (struct str){list->kind.p, list->kind.n - strlen("List")};
    meta->api_version = list->api_version;
    w->item.n = 0;
    buf_printf(&w->item, "{\"apiVersion\":\"%.*s\",\"kind\":\"%.*s\"", STR_ARG(meta->api_version),
               STR_ARG(meta->kind));
    buf_text(&w->item, kube_json_step(*json, &at, &key, &value) ? "," : "");
    o->added = w->item.n;
    buf_add(&w->item, json->p + 1, json->n - 1);
    add_padding(&w->item);
    *json = buf_view(&w->item);
    return true;
}

/* One object that is no list. */
static int visit_object(struct walk *w, struct str json, struct origin o, struct kube_meta meta,
                        const struct kube_meta *list)
{
    const struct kube_place place = place_of(&o, 0);

    if (meta.kind.n == 0 && !name_kind(w, &json, &o, &meta, list)) {
        tell(w, place, "kind: missing");
        return 0;
    }
    if (w->item.failed)
        return -ENOMEM;
    const struct kube_document doc = {w->path, place.line, place.column, meta, json, &o};
    return w->visitor->object(w->visitor->ctx, &doc);
}

/* `list`: the list that the object is an item of, or NULL. */
static int visit(struct walk *w, struct str json, const struct origin *o,
                 const struct kube_meta *list)
{
    const size_t mark = arena_mark(&w->arena);
    struct kube_meta meta;
    struct err err;
    int rc = 0;

    if ((list || !begins_as_list(&meta, json, &w->arena)) &&
        kube_meta_decode(&meta, json, &w->arena, &err) < 0) {
        tell_field(w, json, o, err.code == -ENOMEM ? "metadata: too long" : err.text);
        return 0;
    }
    const struct str items = str_ends(meta.kind, "List") ? items_of(json) : STR("");
    if (items.n && items.p[0] == '[' && is_plain_word(meta.kind) && is_plain_word(meta.api_version))
        rc = visit_items(w, items, o, &meta, json.p);
    else
        rc = visit_object(w, json, *o, meta, list);
    arena_rewind(&w->arena, mark);
    return rc;
}

/* Where a failed scan of JSON text stopped; its message says so, too. */
static size_t failed_at(const struct scan *s, const char *text)
{
    size_t offset = 0;

    if (sscanf(text, "offset %zu:", &offset) == 1)
        return offset;
    return (size_t)(s->p - s->text);
}

static void tell_json(const struct walk *w, const struct origin *o, size_t from, struct scan *s)
{
    struct err err = {0};
    const int rc = scan_end(s, &err);
    const char *const colon = strstr(err.text, ": ");
    const bool grammar = rc < 0 && strncmp(err.text, "offset ", 7) == 0 && colon;
    const char *const text = grammar ? colon + 2 : err.text;

    tell(w, place_of(o, from + failed_at(s, err.text)), text);
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

/* One value after the other; what is behind a broken one cannot be told apart. */
static int walk_json(struct walk *w, struct str text)
{
    CLEANUP(kube_positions_free) struct kube_positions lines = {0};
    const char *const end = text.p + text.n;

    kube_positions_index(&lines, text);
    if (lines.failed)
        return -ENOMEM;
    for (const char *p = skip_blanks(text.p, end); p < end; p = skip_blanks(p, end)) {
        const struct origin whole = {&lines, text, 0, 0};
        struct str json;
        struct scan s;

        scan_init(&s, (struct str){p, (size_t)(end - p)}, 0);
        if (!scan_raw(&s, &json)) {
            tell_json(w, &whole, (size_t)(p - text.p), &s);
            return 0;
        }
        const struct origin here = {&lines, text, (size_t)(json.p - text.p), 0};
        const int rc = visit(w, json, &here, NULL);
        if (rc != 0)
            return rc;
        p = json.p + json.n;
    }
    return 0;
}

static void free_yaml(struct kube_yaml **y)
{
    kube_yaml_free(*y);
}

static int walk_yaml(struct walk *w, struct str text)
{
    CLEANUP(free_yaml) struct kube_yaml *y = kube_yaml_new(text);

    if (!y)
        return -ENOMEM;
    for (;;) {
        struct kube_yaml_document d;
        struct kube_place place;
        struct err err;
        int rc = kube_yaml_next(y, &d, &place, &err);

        if (rc == 0 || rc == -ENOMEM)
            return rc;
        if (rc < 0) {
            tell(w, place, err.text);
            continue;
        }
        const struct origin o = {d.positions, {0}, 0, 0};
        rc = visit(w, d.json, &o, NULL);
        if (rc != 0)
            return rc;
    }
}

static void walk_free(struct walk **w)
{
    if (*w)
        buf_free(&(*w)->item);
    free(*w);
}

int kube_text_visit(struct str text, const char *path, const struct kube_visitor *visitor,
                    struct err *err)
{
    CLEANUP(walk_free) struct walk *w = malloc(sizeof(*w));
    int rc = -ENOMEM;

    if (w) {
        memset(w, 0, offsetof(struct walk, meta));
        w->path = path;
        w->visitor = visitor;
        arena_init(&w->arena, w->meta, sizeof(w->meta));
        rc = str_ends(str_of(path), ".json") ? walk_json(w, text) : walk_yaml(w, text);
    }
    if (rc == -ENOMEM)
        return err_set(err, rc, "%s: no memory", path);
    return rc;
}

int kube_file_visit(const char *path, const struct kube_visitor *visitor, struct err *err)
{
    CLEANUP(buf_free) struct buf text = {0};
    const int rc = kube_file_read(path, &text, err);

    return rc < 0 ? rc : kube_text_visit(buf_view(&text), path, visitor, err);
}
