/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/watch.h"

#include <errno.h>
#include <string.h>

#include "kube/scan.h"
#include "kube/scan_bytes.h"

enum { KEPT_BYTES = 256 * 1024 /* of the buffer, from one stream to the next */ };

void kube_split_begin(struct kube_splitter *s, enum kube_split_form form, size_t max,
                      kube_split_value value, void *ctx)
{
    struct buf hold = s->hold;

    if (hold.room > KEPT_BYTES)
        buf_free(&hold);
    hold.n = 0;
    hold.failed = false;
    *s = (struct kube_splitter){.form = form, .value = value, .ctx = ctx, .max = max, .hold = hold};
}

void kube_split_done(struct kube_splitter *s)
{
    buf_free(&s->hold);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* --- one value --- */

static void enter(struct kube_splitter *s, enum kube_split_part part, bool wanted, char first)
{
    s->place = KUBE_IN_VALUE;
    s->part = part;
    s->wanted = wanted;
    s->dropped = false;
    s->scalar = first != '{' && first != '[' && first != '"';
    s->depth = 0;
    s->hold.n = 0;
}

/*
 * Behind the value that goes on at `p`, or `end` when it goes on behind that; *out_whole says
 * which. Only quotes and brackets are looked at.
 */
static const char *pass(struct kube_splitter *s, const char *p, const char *end, bool *out_whole)
{
    *out_whole = false;
    for (; p < end; p++) {
        if (s->string) {
            if (s->escape) {
                s->escape = false;
                continue;
            }
            p = end - p > 64 ? scan_plain_wide(p, end - 16) : p; /* reads 15 bytes further */
            s->escape = *p == '\\';
            s->string = *p != '"';
        } else if (*p == '"') {
            s->string = true;
            continue;
        } else if (*p == '{' || *p == '[') {
            s->depth++;
            continue;
        } else if (*p == '}' || *p == ']') {
            if (s->depth == 0)
                break; /* behind a scalar */
            s->depth--;
        } else if (!(s->scalar && (*p == ',' || is_blank(*p)))) {
            continue;
        } else {
            break;
        }
        if (s->depth == 0 && !s->string && !s->scalar) {
            p++;
            *out_whole = true;
            return p;
        }
    }
    *out_whole = p < end;
    return p;
}

static bool pad(struct buf *b)
{
    static const char zeros[SCAN_PADDING_BYTES];
    const size_t n = b->n;

    buf_add(b, zeros, sizeof(zeros));
    b->n = n;
    return !b->failed;
}

/* Keep what there is so far of a value that goes on. */
static int hold(struct kube_splitter *s, const char *from, const char *to)
{
    const size_t n = (size_t)(to - from);

    if (!s->wanted || s->dropped)
        return 0;
    if (n > s->max - s->hold.n) {
        s->dropped = true;
        if (s->hold.n < KUBE_SPLIT_HEAD_BYTES)
            buf_add(&s->hold, from, n < KUBE_SPLIT_HEAD_BYTES ? n : (size_t)KUBE_SPLIT_HEAD_BYTES);
        if (s->hold.n > KUBE_SPLIT_HEAD_BYTES)
            s->hold.n = KUBE_SPLIT_HEAD_BYTES;
    } else {
        buf_add(&s->hold, from, n);
    }
    return s->hold.failed ? -ENOMEM : 0;
}

/* The value ends at `to`. Where 64 bytes follow it in the piece it is given from there. */
static int give(struct kube_splitter *s, const char *from, const char *to, const char *end)
{
    const bool here =
        s->hold.n == 0 && end - to >= SCAN_PADDING_BYTES && (size_t)(to - from) <= s->max;

    if (!s->wanted)
        return 0;
    if (here)
        return s->value(s->ctx, s->part, (struct str){from, (size_t)(to - from)});
    const int rc = hold(s, from, to);
    if (rc || !pad(&s->hold))
        return -ENOMEM;
    return s->value(s->ctx, s->dropped ? KUBE_PART_TOO_LARGE : s->part, buf_view(&s->hold));
}

/* --- the places --- */

static void begin_value(struct kube_splitter *s, char first)
{
    const struct str key = {s->key, s->key_n};

    if (s->form == KUBE_SPLIT_EVENTS)
        enter(s, KUBE_PART_EVENT, true, first);
    else if (s->place == KUBE_AT_ITEM)
        enter(s, KUBE_PART_ITEM, true, first);
    else
        enter(s, KUBE_PART_METADATA, str_is(key, "metadata"), first);
}

static void leave_value(struct kube_splitter *s)
{
    if (s->form == KUBE_SPLIT_EVENTS)
        s->place = KUBE_AT_START;
    else
        s->place = s->part == KUBE_PART_ITEM ? KUBE_AT_ITEM_COMMA : KUBE_AT_COMMA;
}

/* Keys are of ASCII letters wherever they are ours; an escape makes one of another name. */
static void take_key_byte(struct kube_splitter *s, char c)
{
    if (s->escape) {
        s->escape = false;
    } else if (c == '\\') {
        s->escape = true;
    } else if (c == '"') {
        s->place = KUBE_AT_COLON;
        return;
    }
    if (s->key_n < sizeof(s->key))
        s->key[s->key_n++] = c;
}

/* One byte outside of values; *out_again: it is the first of a value. */
static int step(struct kube_splitter *s, char c, bool *out_again)
{
    if (s->place == KUBE_IN_KEY) {
        take_key_byte(s, c);
        return 0;
    }
    if (is_blank(c))
        return 0;
    switch (s->place) {
    case KUBE_AT_START:
        if (c != '{')
            return -EPROTO;
        *out_again = s->form == KUBE_SPLIT_EVENTS;
        s->place = KUBE_AT_KEY;
        return 0;
    case KUBE_AT_KEY:
        if (c == '}' && !s->any) {
            s->place = KUBE_AT_END;
            return 0;
        }
        s->place = KUBE_IN_KEY;
        s->key_n = 0;
        return c == '"' ? 0 : -EPROTO;
    case KUBE_AT_COLON:
        s->place = KUBE_AT_VALUE;
        return c == ':' ? 0 : -EPROTO;
    case KUBE_AT_VALUE:
        s->any = false;
        if (c == '[' && str_is((struct str){s->key, s->key_n}, "items"))
            s->place = KUBE_AT_ITEM;
        else
            *out_again = true;
        return strchr("}],:", c) ? -EPROTO : 0;
    case KUBE_AT_ITEM:
        if (c == ']' && !s->any)
            s->place = KUBE_AT_COMMA;
        else
            *out_again = true;
        return c == '{' || s->place == KUBE_AT_COMMA ? 0 : -EPROTO;
    case KUBE_AT_ITEM_COMMA:
        s->any = c == ',';
        s->place = c == ']' ? KUBE_AT_COMMA : KUBE_AT_ITEM;
        return c == ',' || c == ']' ? 0 : -EPROTO;
    case KUBE_AT_COMMA:
        s->any = c == ',';
        s->place = c == '}' ? KUBE_AT_END : KUBE_AT_KEY;
        return c == ',' || c == '}' ? 0 : -EPROTO;
    case KUBE_IN_KEY:
    case KUBE_IN_VALUE:
    case KUBE_AT_END:
        break;
    }
    return -EPROTO;
}

int kube_split_feed(struct kube_splitter *s, const char *p, size_t n)
{
    const char *const end = p + n;
    int rc = 0;

    while (rc == 0 && p < end) {
        if (s->place != KUBE_IN_VALUE) {
            bool again = false;

            rc = step(s, *p, &again);
            if (rc == 0 && again)
                begin_value(s, *p);
            else
                p++;
            continue;
        }
        bool whole;
        const char *const to = pass(s, p, end, &whole);
        if (!whole) {
            rc = hold(s, p, to);
        } else {
            const char *const from = p;

            rc = give(s, from, to, end);
            leave_value(s);
        }
        p = to;
    }
    return rc;
}

int kube_split_end(const struct kube_splitter *s)
{
    const enum kube_split_place want = s->form == KUBE_SPLIT_LIST ? KUBE_AT_END : KUBE_AT_START;

    return s->place == want ? 0 : -EPROTO;
}

/* --- names --- */

static void read_slice(struct scan *s, struct str *out)
{
    if (scan_kind(s) == SCAN_STRING)
        (void)scan_string(s, out);
}

static void read_metadata(struct scan *s, struct kube_name *out)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "namespace"))
            read_slice(s, &out->ns);
        else if (scan_at(s, "name"))
            read_slice(s, &out->name);
        else if (scan_at(s, "uid"))
            read_slice(s, &out->uid);
        else if (scan_at(s, "resourceVersion"))
            read_slice(s, &out->version);
        else if (scan_at(s, "continue"))
            read_slice(s, &out->more);
    }
}

static bool is_plain(struct str s)
{
    return s.n == 0 || !memchr(s.p, '\\', s.n);
}

/* Names, uids and versions have no characters that need an escape. */
static bool finish(struct kube_name *out)
{
    if (!str_u64(out->version, &out->number))
        out->number = 0;
    return is_plain(out->ns) && is_plain(out->name) && is_plain(out->uid) &&
           is_plain(out->version) && is_plain(out->more);
}

bool kube_name_read(struct kube_name *out, struct str object)
{
    struct scan s;

    *out = (struct kube_name){.number = 0};
    scan_init(&s, object, 0);
    if (object.n && scan_kind(&s) == SCAN_OBJECT && scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "metadata"))
                continue;
            read_metadata(&s, out);
            break;
        }
    }
    return finish(out) && out->name.n > 0;
}

bool kube_list_read(struct kube_name *out, struct str metadata)
{
    struct scan s;

    *out = (struct kube_name){.number = 0};
    scan_init(&s, metadata, 0);
    if (metadata.n)
        read_metadata(&s, out);
    return scan_end(&s, NULL) == 0 && finish(out) && out->version.n > 0;
}

static enum kube_event_type type_of(struct str text)
{
    static const char *const names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    unsigned i = 0;

    while (i < ARRAY_LEN(names) && !str_is(text, names[i]))
        i++;
    return (enum kube_event_type)i;
}

/* {"type":"ADDED","object":{...}} and nothing else, as Go writes it: most of a watch is this. */
static bool read_plain_event(struct kube_event *out, struct str text)
{
    static const char before[] = "{\"type\":\"", between[] = "\",\"object\":{";
    enum { BEFORE = sizeof(before) - 1, BETWEEN = sizeof(between) - 1, LONGEST = 8 };

    if (text.n < BEFORE + LONGEST + BETWEEN + 2 || memcmp(text.p, before, BEFORE) != 0 ||
        text.p[text.n - 1] != '}' || text.p[text.n - 2] != '}')
        return false;
    const char *const type = text.p + BEFORE, *const end = memchr(type, '"', LONGEST + 1);
    if (!end || memcmp(end, between, BETWEEN) != 0)
        return false;
    const char *const object = end + BETWEEN - 1;
    *out = (struct kube_event){type_of((struct str){type, (size_t)(end - type)}),
                               {object, (size_t)(text.p + text.n - 1 - object)}};
    return true;
}

int kube_event_read(struct kube_event *out, struct str text)
{
    struct str type = {0}, object = {0};
    struct scan s;

    if (read_plain_event(out, text))
        return 0;
    scan_init(&s, text, 0);
    if (scan_kind(&s) == SCAN_OBJECT && scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "type"))
                read_slice(&s, &type);
            else if (scan_at(&s, "object") && scan_kind(&s) == SCAN_OBJECT)
                (void)scan_raw(&s, &object);
        }
    }
    if (scan_end(&s, NULL) < 0 || type.n == 0 || object.n == 0)
        return -EPROTO;
    *out = (struct kube_event){type_of(type), object};
    return 0;
}
