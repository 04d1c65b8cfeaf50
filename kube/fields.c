/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fields.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "kube/labels.h"
#include "kube/meta.h"
#include "kube/scan.h"

enum { USUAL_ITEMS = 16, LABEL_BYTES = 63, SUBDOMAIN_BYTES = 253, TEXT_BYTES = 1024 };

/* One reading of one object. */
struct reader {
    struct scan *s;
    const struct fields *f;
    struct arena *a;
    bool strict;
};

/* --- the table --- */

/* The last part of a child's path; empty when `f` is no child of `parent`. */
static struct str child_name(const struct field *f, struct str parent)
{
    const size_t n = strlen(f->path);

    if (n < parent.n + 2 || memcmp(f->path, parent.p, parent.n) || f->path[parent.n] != '.')
        return (struct str){0};
    const struct str name = {f->path + parent.n + 1, n - parent.n - 1};
    return memchr(name.p, '.', name.n) || memchr(name.p, '[', name.n) ? (struct str){0} : name;
}

/* "spec.numa", or the items of a list: "spec.qosClassMapping[]". */
static struct str inside(const struct field *f, char *room)
{
    const size_t n = strlen(f->path);

    memcpy(room, f->path, n);
    if (f->type == FIELD_OBJECTS) {
        memcpy(room + n, "[]", 2);
        return (struct str){room, n + 2};
    }
    return (struct str){room, n};
}

enum { PATH_BYTES = 128 };

static const struct field *find_child(const struct reader *r, struct str parent, struct str key)
{
    for (size_t i = 0; i < r->f->n; i++) {
        if (key.n && str_eq(child_name(&r->f->at[i], parent), key))
            return &r->f->at[i];
    }
    return NULL;
}

static void *at_offset(void *out, size_t offset)
{
    return (char *)out + offset;
}

static void set_initial(const struct field *f, void *out)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_PERCENT:
    case FIELD_WORD:
    case FIELD_TIME:
    case FIELD_DURATION:
        *(int64_t *)at_offset(out, f->offset) = f->initial;
        break;
    case FIELD_BOOL:
        *(bool *)at_offset(out, f->offset) = f->initial;
        break;
    case FIELD_WORDS:
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_PLAIN:
    case FIELD_INTEGERS:
    case FIELD_TEXTS:
    case FIELD_SELECTOR:
    case FIELD_OBJECT:
    case FIELD_OBJECTS:
    case FIELD_OTHER:
        break; /* zero */
    }
}

/* Everything of the same struct: not what is inside list items. */
static void init_below(const struct fields *f, struct str path, void *out)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *const p = f->at[i].path;

        if (strncmp(p, path.p, path.n) == 0 && p[path.n] == '.' && !strchr(p + path.n, '['))
            set_initial(&f->at[i], out);
    }
}

void fields_init(const struct fields *f, const char *path, void *out)
{
    init_below(f, str_of(path), out);
}

/* --- values --- */

static bool read_integer(struct reader *r, const struct field *f, int64_t *out)
{
    int64_t v;

    if (!scan_int64(r->s, &v))
        return false;
    if (v < f->min || v > f->max)
        return scan_fail(r->s, -EINVAL, "%lld is not in %lld..%lld", (long long)v,
                         (long long)f->min, (long long)f->max);
    *out = v;
    return true;
}

static void read_percent(struct reader *r, int64_t *out)
{
    static const struct field bounds = {.min = 0, .max = 100};
    struct str text;
    uint64_t v;

    if (scan_kind(r->s) == SCAN_NUMBER) {
        (void)read_integer(r, &bounds, out);
        return;
    }
    if (!scan_word(r->s, &text))
        return;
    if (!str_ends(text, "%") || !str_u64((struct str){text.p, text.n - 1}, &v) || v > 100)
        (void)scan_fail(r->s, -EINVAL, "\"%.*s\" is not 0%% to 100%%", STR_ARG(text));
    else
        *out = (int64_t)v;
}

/* -1, and a failure that lists the words. */
static int64_t find_word(struct reader *r, const struct field *f, struct str text)
{
    char list[128];
    size_t n = 0, i = 0;

    while (f->words[i] && !str_is(text, f->words[i]))
        i++;
    if (f->words[i])
        return (int64_t)i;
    for (i = 0; f->words[i] && n + strlen(f->words[i]) + 3 < sizeof(list); i++) {
        if (i) {
            memcpy(list + n, ", ", 2);
            n += 2;
        }
        memcpy(list + n, f->words[i], strlen(f->words[i]));
        n += strlen(f->words[i]);
    }
    (void)scan_fail(r->s, -EINVAL, "\"%.*s\" is none of %.*s", text.n < 60 ? (int)text.n : 60,
                    text.n ? text.p : "", (int)n, list);
    return -1;
}

static void read_word(struct reader *r, const struct field *f, int64_t *out)
{
    struct str text;
    int64_t v;

    if (scan_word(r->s, &text) && (v = find_word(r, f, text)) >= 0)
        *out = v;
}

static void read_words(struct reader *r, const struct field *f, uint32_t *out)
{
    struct str text;

    if (!scan_array(r->s))
        return;
    while (scan_item(r->s)) {
        const int64_t v = scan_word(r->s, &text) ? find_word(r, f, text) : -1;

        if (v < 0) {
            (void)scan_fail(r->s, -EINVAL, "expected a word");
        } else if (*out >> v & 1) {
            (void)scan_fail(r->s, -EINVAL, "given twice");
        } else {
            *out |= 1u << v;
        }
    }
}

/* Lower case letters, digits and, inside, hyphens. */
static bool is_plain_label(struct str s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    for (size_t i = 0; i < s.n; i++) {
        if (!memchr(plain, s.p[i], sizeof(plain) - 1))
            return false;
    }
    return s.n > 0 && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

static bool is_label(struct str s)
{
    return s.n <= LABEL_BYTES && is_plain_label(s);
}

bool fields_is_subdomain(struct str name)
{
    if (name.n == 0 || name.n > SUBDOMAIN_BYTES || name.p[name.n - 1] == '.')
        return false;
    while (name.n) {
        if (!is_plain_label(str_cut(&name, '.')))
            return false;
    }
    return true;
}

static void read_text(struct reader *r, const struct field *f, struct str *out)
{
    struct str text;

    if (!scan_text(r->s, &text, r->a))
        return;
    if (f->type == FIELD_NAME && !is_label(text))
        (void)scan_fail(r->s, -EINVAL, "not a name: up to %d of a-z, 0-9 and, inside, -",
                        LABEL_BYTES);
    else if (f->type == FIELD_TEXT && text.n > (size_t)f->max)
        (void)scan_fail(r->s, -EINVAL, "longer than %lld bytes", (long long)f->max);
    else
        *out = text;
}

static void read_time(struct reader *r, int64_t *out)
{
    struct str text;

    if (scan_word(r->s, &text) && clock_parse_rfc3339(text, out) < 0)
        (void)scan_fail(r->s, -EINVAL, "not a time such as 2026-11-24T03:02:01Z");
}

/* Whole numbers with the units ms, s, m, h: the pattern of the CRDs. */
static bool is_whole_duration(struct str text)
{
    size_t i = 0;

    while (i < text.n) {
        const size_t first = i;

        while (i < text.n && text.p[i] >= '0' && text.p[i] <= '9')
            i++;
        if (i == first || i == text.n || !memchr("smh", text.p[i], 3))
            return false;
        i += text.p[i] == 'm' && i + 1 < text.n && text.p[i + 1] == 's' ? 2 : 1;
    }
    return text.n > 0 && text.n <= 32;
}

static void read_duration(struct reader *r, const struct field *f, int64_t *out)
{
    struct str text;
    int64_t v;

    if (!scan_word(r->s, &text))
        return;
    if (!is_whole_duration(text) || config_parse_duration(text, &v) < 0)
        (void)scan_fail(r->s, -EINVAL, "not a duration such as 500ms or 1m30s");
    else if (v < f->min || v > f->max)
        (void)scan_fail(r->s, -EINVAL, "%lld ms are not in %lld..%lld", (long long)v,
                        (long long)f->min, (long long)f->max);
    else
        *out = v;
}

/* Room for the list that is due, which is then entered; NULL: null, or failed. */
static void *enter_list(struct reader *r, const struct field *f, size_t size, uint32_t *out_room)
{
    const uint32_t most = f->most ? f->most : USUAL_ITEMS;
    uint32_t n = 0;

    if (scan_kind(r->s) == SCAN_ARRAY && !scan_count(r->s, &n))
        return NULL;
    if (n > most) {
        (void)scan_fail(r->s, -E2BIG, "more than %u", most);
        return NULL;
    }
    void *const list = arena_array(r->a, n, size);
    if (!list)
        (void)scan_fail(r->s, -ENOMEM, "no room in the arena");
    *out_room = n;
    return list && scan_array(r->s) ? list : NULL;
}

static void read_integers(struct reader *r, const struct field *f, void *out)
{
    uint32_t room, n = 0;
    int64_t *const list = enter_list(r, f, sizeof(*list), &room);

    if (!list)
        return;
    while (scan_item(r->s) && n < room) {
        if (!read_integer(r, f, &list[n])) {
            (void)scan_fail(r->s, -EINVAL, "expected an integer");
            return;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (list[i] == list[n])
                (void)scan_fail(r->s, -EINVAL, "given twice");
        }
        n++;
    }
    *(const int64_t **)at_offset(out, f->offset) = list;
    *(uint32_t *)at_offset(out, f->count) = n;
}

bool fields_is_plain(struct str text, size_t most)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x20 || text.p[i] > 0x7e)
            return false;
    }
    return text.n > 0 && text.n <= most && text.p[0] != ' ' && text.p[text.n - 1] != ' ';
}

static void read_plain(struct reader *r, const struct field *f, struct str *out)
{
    struct str text;

    if (!scan_scalar(r->s, &text, r->a))
        return;
    if (fields_is_plain(text, (size_t)f->max))
        *out = text;
    else
        (void)scan_fail(r->s, -EINVAL, "expected 1 to %lld printable ASCII characters",
                        (long long)f->max);
}

static void read_texts(struct reader *r, const struct field *f, void *out)
{
    uint32_t room, n = 0;
    struct str *const list = enter_list(r, f, sizeof(*list), &room);

    if (!list)
        return;
    while (scan_item(r->s) && n < room) {
        if (!scan_text(r->s, &list[n], r->a) || !fields_is_plain(list[n], (size_t)f->max)) {
            (void)scan_fail(r->s, -EINVAL, "expected text, 1 to %lld printable ASCII characters",
                            (long long)f->max);
            return;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (str_eq(list[i], list[n]))
                (void)scan_fail(r->s, -EINVAL, "given twice");
        }
        n++;
    }
    *(const struct str **)at_offset(out, f->offset) = list;
    *(uint32_t *)at_offset(out, f->count) = n;
}

static void read_object(struct reader *r, struct str path, void *out);

static void read_objects(struct reader *r, const struct field *f, void *out)
{
    char room_for_path[PATH_BYTES];
    const struct str path = inside(f, room_for_path);
    uint32_t room, n = 0;
    char *const list = enter_list(r, f, f->size, &room);

    if (!list)
        return;
    while (scan_item(r->s) && n < room) {
        void *const item = list + (size_t)n++ * f->size;

        if (scan_kind(r->s) == SCAN_NULL)
            (void)scan_fail(r->s, -EINVAL, "expected an object");
        init_below(r->f, path, item);
        read_object(r, path, item);
    }
    *(const void **)at_offset(out, f->offset) = list;
    *(uint32_t *)at_offset(out, f->count) = n;
}

static void read_inner(struct reader *r, const struct field *f, void *out)
{
    char room_for_path[PATH_BYTES];

    if (f->offset != NO_FIELD && scan_kind(r->s) != SCAN_NULL)
        *(bool *)at_offset(out, f->offset) = true;
    read_object(r, inside(f, room_for_path), out);
}

static void read_field(struct reader *r, const struct field *f, void *out)
{
    void *const at = f->offset == NO_FIELD ? NULL : at_offset(out, f->offset);

    switch (f->type) {
    case FIELD_INTEGER:
        (void)read_integer(r, f, at);
        break;
    case FIELD_PERCENT:
        read_percent(r, at);
        break;
    case FIELD_BOOL:
        (void)scan_bool(r->s, at);
        break;
    case FIELD_WORD:
        read_word(r, f, at);
        break;
    case FIELD_WORDS:
        read_words(r, f, at);
        break;
    case FIELD_NAME:
    case FIELD_TEXT:
        read_text(r, f, at);
        break;
    case FIELD_PLAIN:
        read_plain(r, f, at);
        break;
    case FIELD_TIME:
        read_time(r, at);
        break;
    case FIELD_DURATION:
        read_duration(r, f, at);
        break;
    case FIELD_INTEGERS:
        read_integers(r, f, out);
        break;
    case FIELD_TEXTS:
        read_texts(r, f, out);
        break;
    case FIELD_SELECTOR:
        (void)kube_selector_read(r->s, at, r->a);
        break;
    case FIELD_OBJECT:
        read_inner(r, f, out);
        break;
    case FIELD_OBJECTS:
        read_objects(r, f, out);
        break;
    case FIELD_OTHER:
        (void)f->read(r->s, at, r->a);
        break;
    }
}

/* --- objects --- */

struct seen {
    uint64_t bits[FIELDS_MAX / 64];
};

static void unknown(struct reader *r, struct str parent)
{
    const char *names[FIELDS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < r->f->n; i++) {
        const struct str name = child_name(&r->f->at[i], parent);

        if (name.n)
            names[n++] = name.p;
    }
    const char *const near = str_nearest(r->s->key, names, n);
    if (near)
        (void)scan_fail(r->s, -EINVAL, "unknown field (did you mean \"%s\"?)", near);
    else
        (void)scan_fail(r->s, -EINVAL, "unknown field");
}

static void check_required(struct reader *r, struct str parent, const struct seen *seen)
{
    for (size_t i = 0; i < r->f->n; i++) {
        const struct field *const f = &r->f->at[i];
        const struct str name = child_name(f, parent);

        if (name.n && f->required && !(seen->bits[i / 64] >> i % 64 & 1))
            (void)scan_fail(r->s, -EINVAL, "%.*s is missing", STR_ARG(name));
    }
}

/* As deep as the table is, whatever the text. */
static void read_object(struct reader *r, struct str path, void *out)
{
    struct seen seen = {{0}};

    if (!scan_object(r->s))
        return;
    while (scan_key(r->s)) {
        const struct field *const f = find_child(r, path, r->s->key);
        const size_t i = f ? (size_t)(f - r->f->at) : 0;

        if (!f && r->strict)
            unknown(r, path);
        if (!f)
            continue;
        if (seen.bits[i / 64] >> i % 64 & 1)
            (void)scan_fail(r->s, -EINVAL, "given twice");
        seen.bits[i / 64] |= UINT64_C(1) << i % 64;
        read_field(r, f, out);
    }
    check_required(r, path, &seen);
}

bool fields_read(struct scan *s, const struct fields *f, const char *path, bool strict, void *out,
                 struct arena *a)
{
    struct reader r = {s, f, a, strict};

    assert(f->n <= FIELDS_MAX);
    fields_init(f, path, out);
    read_object(&r, str_of(path), out);
    return !scan_failed(s);
}

int fields_decode(const struct fields *f, bool strict, struct kube_meta *meta, void *out,
                  struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    bool has_spec = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (kube_meta_field(&s, meta, a) || !scan_at(&s, "spec"))
                continue;
            has_spec = scan_kind(&s) == SCAN_OBJECT;
            (void)fields_read(&s, f, "spec", strict, out, a);
        }
    }
    const int rc = kube_decode_end(&s, a, mark, err);
    if (rc || has_spec)
        return rc;
    arena_rewind(a, mark);
    return err_set(err, -EINVAL, "spec: missing");
}

/* --- the page --- */

static void print_words(struct buf *out, const struct field *f)
{
    for (size_t i = 0; f->words[i]; i++)
        buf_printf(out, "%s`%s`", i ? ", " : "", f->words[i]);
}

static void print_values(struct buf *out, const struct field *f)
{
    const unsigned most = f->most ? f->most : USUAL_ITEMS;

    switch (f->type) {
    case FIELD_INTEGER:
        buf_printf(out, "%lld to %lld", (long long)f->min, (long long)f->max);
        break;
    case FIELD_PERCENT:
        buf_text(out, "`0%` to `100%`");
        break;
    case FIELD_BOOL:
        buf_text(out, "`true`, `false`");
        break;
    case FIELD_WORD:
        print_words(out, f);
        break;
    case FIELD_WORDS:
        buf_text(out, "list of ");
        print_words(out, f);
        break;
    case FIELD_NAME:
        buf_text(out, "name (DNS label)");
        break;
    case FIELD_TEXT:
    case FIELD_PLAIN:
        buf_printf(out, "text, %lld bytes", (long long)f->max);
        break;
    case FIELD_TIME:
        buf_text(out, "time (RFC 3339)");
        break;
    case FIELD_DURATION:
        buf_text(out, "duration, `");
        config_format_duration(out, f->min);
        buf_text(out, "` to `");
        config_format_duration(out, f->max);
        buf_text(out, "`");
        break;
    case FIELD_TEXTS:
        buf_printf(out, "up to %u texts of up to %lld bytes, no two equal", most,
                   (long long)f->max);
        break;
    case FIELD_INTEGERS:
        buf_printf(out, "up to %u of %lld to %lld", most, (long long)f->min, (long long)f->max);
        break;
    case FIELD_SELECTOR:
        buf_text(out, "label selector");
        break;
    case FIELD_OBJECT:
    case FIELD_OTHER:
        buf_text(out, "object");
        break;
    case FIELD_OBJECTS:
        buf_printf(out, "up to %u objects", most);
        break;
    }
}

static bool is_number(const struct field *f)
{
    return f->type == FIELD_INTEGER || f->type == FIELD_PERCENT;
}

static void print_initial(struct buf *out, const struct field *f)
{
    if (f->required)
        buf_text(out, "required");
    else if (f->type == FIELD_BOOL)
        buf_printf(out, "`%s`", f->initial ? "true" : "false");
    else if (f->type == FIELD_WORD && f->initial >= 0)
        buf_printf(out, "`%s`", f->words[f->initial]);
    else if (is_number(f) && f->initial != FIELD_NONE)
        buf_printf(out, "`%lld`", (long long)f->initial);
}

void fields_print(struct buf *out, const struct fields *f)
{
    buf_text(out, "| field | values | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < f->n; i++) {
        buf_printf(out, "| `%s` | ", f->at[i].path);
        print_values(out, &f->at[i]);
        buf_text(out, " | ");
        print_initial(out, &f->at[i]);
        buf_printf(out, " | %s |\n", f->at[i].help);
    }
}
