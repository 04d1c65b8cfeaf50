/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/encode.h"

#include <assert.h>
#include <string.h>

#include "net/http.h"

/* A piece of reply whose size was reckoned before. */
struct piece {
    struct http_reply *reply;
    char *start, *p;
    size_t room;
};

/* False: out of memory, the reply has become a 503. */
static bool open_piece(struct piece *w, struct http_reply *reply, size_t room)
{
    *w = (struct piece){.reply = reply, .room = room};
    w->start = w->p = http_reserve(reply, room);
    return w->start;
}

static void put(struct piece *w, const char *p, size_t n)
{
    assert(n <= w->room - (size_t)(w->p - w->start));
    memcpy(w->p, p, n);
    w->p += n;
}

static void put_text(struct piece *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_str(struct piece *w, struct str s)
{
    put(w, s.p, s.n);
}

static void put_uint(struct piece *w, unsigned n)
{
    char digits[16];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put(w, digits + at, sizeof(digits) - at);
}

static void close_piece(struct piece *w)
{
    http_commit(w->reply, (size_t)(w->p - w->start));
}

enum { UINT_DIGITS = 10 };

static bool survives(const struct decision *d, enum decide_mode mode, uint32_t i)
{
    return !d->rows[i].marks && decide_passes(&d->rows[i], mode);
}

static bool fails(const struct decision *d, enum decide_mode mode, uint32_t i)
{
    return !(d->rows[i].marks & DECIDE_REPEATED) && !decide_passes(&d->rows[i], mode);
}

static const char failed_head[] = "],\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{";
static const char filter_tail[] = "},\"Error\":\"\"}";

/* Everything behind the survivors. `head` closes their list. */
static void put_failed(struct http_reply *reply, const char *head,
                       const struct kube_extender_args *args, const struct decision *d,
                       enum decide_mode mode)
{
    struct piece w;
    size_t room = strlen(head) + sizeof(filter_tail);
    bool first = true;

    for (uint32_t i = 0; i < d->n; i++)
        if (fails(d, mode, i))
            room += args->quoted[i].n +
                    strlen(score_reason_wire((enum score_reason)d->rows[i].reason)) + 4;
    if (!open_piece(&w, reply, room))
        return;
    put_text(&w, head);
    for (uint32_t i = 0; i < d->n; i++) {
        if (!fails(d, mode, i))
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put_str(&w, args->quoted[i]);
        put(&w, ":\"", 2);
        put_text(&w, score_reason_wire((enum score_reason)d->rows[i].reason));
        put(&w, "\"", 1);
    }
    put_text(&w, filter_tail);
    close_piece(&w);
}

static void filter_names(struct http_reply *reply, const struct kube_extender_args *args,
                         const struct decision *d, enum decide_mode mode)
{
    static const char head[] = "{\"Nodes\":null,\"NodeNames\":[";
    struct piece w;
    size_t room = sizeof(head);
    bool first = true;

    for (uint32_t i = 0; i < d->n; i++)
        room += args->quoted[i].n + 1;
    if (!open_piece(&w, reply, room))
        return;
    put_text(&w, head);
    for (uint32_t i = 0; i < d->n; i++) {
        if (!survives(d, mode, i))
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put_str(&w, args->quoted[i]);
    }
    close_piece(&w);
    put_failed(reply, failed_head, args, d, mode);
}

/*
 * Survivors that stand side by side in the body, with one comma between them, go out as one piece:
 * mostly the whole list is one.
 */
static uint32_t run_end(const struct kube_extender_args *args, const struct decision *d,
                        enum decide_mode mode, uint32_t i)
{
    for (; i + 1 < d->n && survives(d, mode, i + 1); i++) {
        const char *const end = args->items[i].p + args->items[i].n;
        if (args->items[i + 1].p != end + 1 || *end != ',')
            break;
    }
    return i;
}

static void filter_objects(struct http_reply *reply, const struct kube_extender_args *args,
                           const struct decision *d, enum decide_mode mode)
{
    static const char head[] = "{\"Nodes\":{\"metadata\":{},\"items\":[";
    static const char tail[] =
        "]},\"NodeNames\":null,\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{";
    bool first = true;

    http_add(reply, head, sizeof(head) - 1);
    for (uint32_t i = 0; i < d->n; i++) {
        if (!survives(d, mode, i))
            continue;
        const uint32_t last = run_end(args, d, mode, i);
        const char *const end = args->items[last].p + args->items[last].n;
        if (!first)
            http_add(reply, ",", 1);
        first = false;
        http_add_ref(reply, args->items[i].p, (size_t)(end - args->items[i].p));
        i = last;
    }
    put_failed(reply, tail, args, d, mode);
}

void ext_encode_filter(struct http_reply *reply, const struct kube_extender_args *args,
                       const struct decision *d, enum decide_mode mode)
{
    if (args->mode == KUBE_ARGS_NODES)
        filter_objects(reply, args, d, mode);
    else
        filter_names(reply, args, d, mode);
}

void ext_encode_prioritize(struct http_reply *reply, const struct kube_extender_args *args,
                           const struct decision *d)
{
    static const char host[] = "{\"Host\":", score[] = ",\"Score\":";
    struct piece w;
    size_t room = 2;
    bool first = true;

    for (uint32_t i = 0; i < d->n; i++)
        room += args->quoted[i].n + sizeof(host) + sizeof(score) + UINT_DIGITS;
    if (!open_piece(&w, reply, room))
        return;
    put(&w, "[", 1);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->rows[i].marks & DECIDE_REPEATED)
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put_text(&w, host);
        put_str(&w, args->quoted[i]);
        put_text(&w, score);
        put_uint(&w, d->rows[i].wire);
        put(&w, "}", 1);
    }
    put(&w, "]", 1);
    close_piece(&w);
}
