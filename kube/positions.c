/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/positions.h"

#include <stdlib.h>
#include <string.h>

static bool grow(struct kube_positions *p)
{
    const size_t room = p->room ? p->room * 2 : 64;
    struct kube_position *const at =
        p->failed ? NULL : realloc(p->at, room * sizeof(struct kube_position));

    if (!at) {
        p->failed = true;
        return false;
    }
    p->at = at;
    p->room = room;
    return true;
}

void kube_positions_add(struct kube_positions *p, size_t offset, struct kube_place place)
{
    kube_positions_cut(p, offset);
    if (p->n == p->room && !grow(p))
        return;
    p->at[p->n++] = (struct kube_position){offset, place};
}

void kube_positions_cut(struct kube_positions *p, size_t offset)
{
    while (p->n && p->at[p->n - 1].offset >= offset)
        p->n--;
}

/* The last entry at or before the offset, or NULL. */
static const struct kube_position *last_before(const struct kube_positions *p, size_t offset)
{
    size_t low = 0, high = p->n; /* entries below low are at or before the offset */

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (p->at[mid].offset <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? &p->at[low - 1] : NULL;
}

struct kube_place kube_positions_find(const struct kube_positions *p, size_t offset)
{
    const struct kube_position *const entry = last_before(p, offset);

    return entry ? entry->place : (struct kube_place){1, 1};
}

/* One step over a byte of text. */
static struct kube_place advance(struct kube_place at, char c)
{
    if (c == '\n')
        return (struct kube_place){at.line + 1, 1};
    at.column += ((unsigned char)c & 0xc0) != 0x80;
    return at;
}

static uint32_t count_characters(const char *p, size_t n)
{
    uint32_t more = 0; /* bytes that only go on with a character */

    for (size_t i = 0; i < n; i++)
        more += ((unsigned char)p[i] & 0xc0) == 0x80;
    return (uint32_t)n - more;
}

void kube_positions_index(struct kube_positions *p, struct str text)
{
    enum { EVERY = 4096 };
    uint32_t line = 1;

    for (size_t from = 0, end; from < text.n; from = end, line++) {
        const char *const stop = memchr(text.p + from, '\n', text.n - from);
        uint32_t column = 1;

        end = stop ? (size_t)(stop - text.p) + 1 : text.n;
        kube_positions_add(p, from, (struct kube_place){line, 1});
        for (size_t at = from + EVERY; at < end; at += EVERY) {
            column += count_characters(text.p + at - EVERY, EVERY);
            kube_positions_add(p, at, (struct kube_place){line, column});
        }
    }
}

struct kube_place kube_positions_find_in(const struct kube_positions *p, struct str text,
                                         size_t offset)
{
    const struct kube_position *const entry = last_before(p, offset);
    struct kube_place at = entry ? entry->place : (struct kube_place){1, 1};

    for (size_t i = entry ? entry->offset : 0; i < offset && i < text.n; i++)
        at = advance(at, text.p[i]);
    return at;
}

void kube_positions_free(struct kube_positions *p)
{
    free(p->at);
    *p = (struct kube_positions){0};
}

struct kube_place kube_place_in_text(struct str text, size_t offset)
{
    return kube_positions_find_in(&(struct kube_positions){0}, text, offset);
}

/* --- a walk over JSON text that somebody has already found valid --- */

static size_t skip_space(struct str json, size_t i)
{
    while (i < json.n && strchr(" \t\r\n", json.p[i]) && json.p[i])
        i++;
    return i;
}

/* From the opening quote to behind the closing one. */
static size_t skip_string(struct str json, size_t i)
{
    for (i++; i < json.n && json.p[i] != '"'; i++)
        i += json.p[i] == '\\';
    return i < json.n ? i + 1 : json.n;
}

static size_t skip_value(struct str json, size_t i)
{
    size_t depth = 0;

    while (i < json.n) {
        const char c = json.p[i];

        if (c == '"') {
            i = skip_string(json, i);
        } else if (c == '{' || c == '[') {
            depth++, i++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return i;
            depth--, i++;
        } else if (depth == 0 && strchr(", \t\r\n", c) && c) {
            return i;
        } else {
            i++;
            continue; /* inside a number or a word */
        }
        if (depth == 0)
            return i;
    }
    return json.n;
}

bool kube_json_step(struct str container, size_t *at, struct str *key, struct str *value)
{
    size_t i = skip_space(container, *at);

    if (i >= container.n)
        return false;
    if (*at == 0) {
        if (container.p[i] != '{' && container.p[i] != '[')
            return false;
        i = skip_space(container, i + 1);
    } else if (container.p[i] == ',') {
        i = skip_space(container, i + 1);
    }
    if (i >= container.n || container.p[i] == '}' || container.p[i] == ']')
        return false;
    if (container.p[skip_space(container, 0)] == '{') {
        const size_t end = skip_string(container, i);

        *key = (struct str){container.p + i, end - i};
        i = skip_space(container, end);
        i = skip_space(container, i < container.n ? i + 1 : i); /* the colon */
    }
    const size_t end = skip_value(container, i);
    *value = (struct str){container.p + i, end - i};
    *at = end;
    return end > i;
}

/* Without the quotes; escapes stay, as a key with escapes is never looked for. */
static struct str bare(struct str quoted)
{
    if (quoted.n < 2 || quoted.p[0] != '"')
        return quoted;
    return (struct str){quoted.p + 1, quoted.n - 2};
}

static bool is_list(struct str json)
{
    const size_t i = skip_space(json, 0);

    return i < json.n && json.p[i] == '[';
}

static bool find_member(struct str object, struct str name, struct str *out)
{
    struct str key = {0}, value;

    for (size_t at = 0; kube_json_step(object, &at, &key, &value);) {
        if (str_eq(bare(key), name)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* The element with this index, or with this "name". */
static bool find_element(struct str list, struct str which, struct str *out)
{
    uint64_t index = 0, i = 0;
    const bool by_index = str_u64(which, &index);
    struct str key = {0}, value, name;

    for (size_t at = 0; kube_json_step(list, &at, &key, &value); i++) {
        if (by_index ? i == index
                     : find_member(value, STR("name"), &name) && str_eq(bare(name), which)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* A member whose key is how `path` goes on, the longest one: keys may contain dots. */
static bool find_dotted(struct str object, struct str path, struct str *out, size_t *out_used)
{
    struct str key = {0}, value;
    bool found = false;

    *out_used = 0;
    for (size_t at = 0; kube_json_step(object, &at, &key, &value);) {
        const struct str name = bare(key);
        const bool starts = name.n <= path.n && name.n > 0 && memcmp(name.p, path.p, name.n) == 0;

        if (!starts || (name.n < path.n && path.p[name.n] != '.' && path.p[name.n] != '['))
            continue;
        if (name.n >= *out_used) {
            *out = value;
            *out_used = name.n;
            found = true;
        }
    }
    return found;
}

/* The text up to `close`, which must be there; used counts it and what stands before `from`. */
static bool cut_until(struct str path, size_t from, char close, struct str *out, size_t *out_used)
{
    const char *const end = path.n > from ? memchr(path.p + from, close, path.n - from) : NULL;

    if (!end)
        return false;
    *out = (struct str){path.p + from, (size_t)(end - path.p) - from};
    *out_used = (size_t)(end - path.p) + 1;
    return true;
}

static bool step_down(struct str json, struct str path, struct str *out, size_t *out_used)
{
    struct str name;

    if (path.p[0] == '[') {
        if (!cut_until(path, 1, ']', &name, out_used))
            return false;
        return is_list(json) ? find_element(json, name, out) : find_member(json, name, out);
    }
    if (path.p[0] == '"')
        return cut_until(path, 1, '"', &name, out_used) && find_member(json, name, out);
    return !is_list(json) && find_dotted(json, path, out, out_used);
}

struct str kube_json_find(struct str json, struct str field)
{
    while (field.n) {
        size_t used = 0;
        struct str next;

        if (field.p[0] == '.') {
            field = (struct str){field.p + 1, field.n - 1};
            continue;
        }
        if (!step_down(json, field, &next, &used))
            break;
        json = next;
        field = (struct str){field.p + used, field.n - used};
    }
    return json;
}
