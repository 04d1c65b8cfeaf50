/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/encode.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "kube/emit.h"
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

/* Names are short: two words that may overlap are quicker than a call. */
static void copy_short(char *to, const char *from, size_t n)
{
    uint64_t head, tail;

    if (n < sizeof(head) || n > 2 * sizeof(head)) {
        memcpy(to, from, n);
        return;
    }
    memcpy(&head, from, sizeof(head));
    memcpy(&tail, from + n - sizeof(tail), sizeof(tail));
    memcpy(to, &head, sizeof(head));
    memcpy(to + n - sizeof(tail), &tail, sizeof(tail));
}

static inline void put(struct piece *w, const char *p, size_t n)
{
    assert(n <= w->room - (size_t)(w->p - w->start));
    if (__builtin_constant_p(n))
        memcpy(w->p, p, n);
    else
        copy_short(w->p, p, n);
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

    if (n < 10) {
        put(w, &"0123456789"[n], 1);
        return;
    }
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

static bool fails(const struct decision *d, enum decide_mode mode, uint32_t i)
{
    return !(d->rows[i].marks & DECIDE_REPEATED) && !decide_passes(&d->rows[i], mode);
}

static const char failed_head[] = "],\"FailedNodes\":{},\"FailedAndUnresolvableNodes\":{";
static const char filter_tail[] = "},\"Error\":\"\"}";

/* The texts of all reasons; returns the longest one's bytes. */
static size_t reason_texts(struct str out[SCORE_REASONS])
{
    size_t longest = 0;

    for (int i = 0; i < SCORE_REASONS; i++) {
        out[i] = str_of(score_reason_wire((enum score_reason)i));
        longest = out[i].n > longest ? out[i].n : longest;
    }
    return longest;
}

/* Everything behind the survivors. `head` closes their list. */
static void put_failed(struct http_reply *reply, const char *head,
                       const struct kube_extender_args *args, const struct decision *d,
                       enum decide_mode mode)
{
    static const char colon[] = ":\"", quote[] = "\"";
    const size_t extra = sizeof(colon) + sizeof(quote) + sizeof(",");
    struct str reasons[SCORE_REASONS];
    const size_t longest = reason_texts(reasons);
    struct piece w;
    bool first = true;

    if (!open_piece(&w, reply,
                    strlen(head) + sizeof(filter_tail) + args->quoted_bytes +
                        (d->counts[SCORE_REJECTED] + d->refused) * (longest + extra)))
        return;
    put_text(&w, head);
    for (uint32_t i = 0; i < d->n; i++) {
        if (!fails(d, mode, i))
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put_str(&w, kube_args_quoted(args, i));
        put(&w, colon, sizeof(colon) - 1);
        put_str(&w, reasons[d->rows[i].reason]);
        put(&w, quote, sizeof(quote) - 1);
    }
    put_text(&w, filter_tail);
    close_piece(&w);
}

static void filter_names(struct http_reply *reply, const struct kube_extender_args *args,
                         const struct decision *d, enum decide_mode mode)
{
    static const char head[] = "{\"Nodes\":null,\"NodeNames\":[";
    struct piece w;
    bool first = true;

    if (!open_piece(&w, reply, sizeof(head) + args->quoted_bytes + d->n))
        return;
    put_text(&w, head);
    for (uint32_t i = 0; i < d->n; i++) {
        if (!decide_hands_back(d, mode, i))
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put_str(&w, kube_args_quoted(args, i));
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
    for (; i + 1 < d->n && decide_hands_back(d, mode, i + 1); i++) {
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
        if (!decide_hands_back(d, mode, i))
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

/* Of the nodes that are named; 0 where none is. */
static unsigned lowest_score(const struct decision *d)
{
    unsigned lowest = UINT_MAX;

    for (uint32_t i = 0; i < d->n; i++)
        if (!(d->rows[i].marks & DECIDE_REPEATED) && d->rows[i].wire < lowest)
            lowest = d->rows[i].wire;
    return lowest == UINT_MAX ? 0 : lowest;
}

void ext_encode_prioritize(struct http_reply *reply, const struct kube_extender_args *args,
                           const struct decision *d, bool sparse)
{
    static const char host[] = "{\"Host\":", score[] = ",\"Score\":";
    const size_t extra = sizeof(host) + sizeof(score) + UINT_DIGITS + sizeof("},");
    const unsigned base = sparse ? lowest_score(d) : 0;
    struct piece w;
    bool first = true;

    if (!open_piece(&w, reply, sizeof("[]") + args->quoted_bytes + d->n * extra))
        return;
    put(&w, "[", 1);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->rows[i].marks & DECIDE_REPEATED || (sparse && d->rows[i].wire == base))
            continue;
        if (!first)
            put(&w, ",", 1);
        first = false;
        put(&w, host, sizeof(host) - 1);
        put_str(&w, kube_args_quoted(args, i));
        put(&w, score, sizeof(score) - 1);
        put_uint(&w, d->rows[i].wire - base);
        put(&w, "}", 1);
    }
    put(&w, "]", 1);
    close_piece(&w);
}

void ext_encode_bind(struct http_reply *reply, const char *error)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct emit e;

    emit_init(&e, &text, false);
    emit_object(&e);
    emit_key(&e, "Error"), emit_words(&e, error);
    emit_end(&e);
    const struct str said =
        text.failed ? STR("{\"Error\":\"numawise: no memory\"}") : buf_view(&text);
    http_add(reply, said.p, said.n);
}
