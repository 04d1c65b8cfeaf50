/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: skipping and pulling agree, and nothing outside text and padding is read. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 16 };

/* The scalar that is due, by the reader of its kind. */
static void read_scalar(struct scan *s, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct str text;
    int64_t v;
    bool b;

    switch (scan_kind(s)) {
    case SCAN_STRING:
        (void)scan_text(s, &text, a);
        break;
    case SCAN_NUMBER:
        (void)(s->depth & 1 ? scan_int64(s, &v) : scan_number(s, &text));
        break;
    case SCAN_BOOL:
        (void)scan_bool(s, &b);
        break;
    case SCAN_NOTHING:
    case SCAN_NULL:
    case SCAN_ARRAY:
    case SCAN_OBJECT:
        (void)scan_skip(s);
        break;
    }
    arena_rewind(a, mark);
}

static bool enter(struct scan *s)
{
    const enum scan_kind kind = scan_kind(s);
    uint32_t n;

    if (kind != SCAN_OBJECT && kind != SCAN_ARRAY)
        return false;
    if (s->depth < 2)
        (void)scan_count(s, &n);
    return kind == SCAN_OBJECT ? scan_object(s) : scan_array(s);
}

static void pull(struct scan *s, struct arena *a)
{
    bool objects[LIMIT_JSON_DEPTH], due = true, odd = false;
    struct str strings[3];
    uint32_t depth = 0;
    char path[64];

    for (;;) {
        if (due && enter(s))
            objects[depth++] = s->steps[s->depth - 1].is_object;
        else if (due)
            read_scalar(s, a);
        if (depth == 0)
            return;
        if (!objects[depth - 1] && !scan_failed(s))
            (void)scan_strings(s, strings, 3, &odd);
        due = objects[depth - 1] ? scan_key(s) : scan_item(s);
        depth -= !due;
        (void)scan_path(s, path, sizeof(path));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES), *const room = malloc(ROOM);
    struct scan s;
    struct arena a;
    struct err err = {.text = ""};

    if (!text || !room)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, size & 1 ? '"' : '}', SCAN_PADDING_BYTES);
    scan_init(&s, (struct str){text, size}, 0);
    const int rc = scan_end(&s, NULL);
    arena_init(&a, room, ROOM);
    scan_init(&s, (struct str){text, size}, SCAN_FOLD);
    pull(&s, &a);
    const int pulled = scan_end(&s, &err);
    /* The typed readers may refuse more: integers that are none, texts over the arena. */
    assert(pulled < 0 || rc == 0);
    assert((pulled < 0) == (err.text[0] != 0));
    free(room);
    free(text);
    return 0;
}
