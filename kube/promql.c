/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/promql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

/* A float64 in decimals without exponent, as Go's FormatFloat('f', -1) prints it. */
enum { FIGURE_BYTES = 352, MESSAGE_BYTES = 160 };

size_t promql_room(size_t n)
{
    return 4 * n + 4096;
}

/* --- decoding --- */

struct reader {
    struct promql_answer answer;
    uint32_t room;   /* of answer.samples */
    bool failed;     /* status: "error" */
    struct str said; /* error */
    bool has_result;
};

static bool figure_of(struct str text, int64_t *out)
{
    char room[FIGURE_BYTES], *end;

    if (text.n == 0 || text.n >= sizeof(room))
        return false;
    memcpy(room, text.p, text.n);
    room[text.n] = 0;
    const double v = strtod(room, &end);
    if (*end || !(v >= 0) || v > (double)SIGNAL_MOST)
        return false;
    *out = (int64_t)(v + 0.5);
    return true;
}

static void read_labels(struct scan *s, struct promql_sample *out, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "node"))
            (void)scan_text(s, &out->node, a);
        else if (scan_at(s, "device"))
            (void)scan_text(s, &out->device, a);
    }
}

/* [1435781451.781, "412.7"] */
static bool read_value(struct scan *s, int64_t *out)
{
    struct str text = {0};

    if (!scan_array(s))
        return false;
    for (int i = 0; scan_item(s); i++) {
        if (i == 1)
            (void)scan_word(s, &text);
    }
    return !scan_failed(s) && figure_of(text, out);
}

static void read_element(struct scan *s, struct reader *r, struct arena *a)
{
    struct promql_sample sample = {.value = -1};
    bool has_value = false;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "metric"))
            read_labels(s, &sample, a);
        else if (scan_at(s, "value"))
            has_value = read_value(s, &sample.value);
    }
    if (has_value && sample.node.n)
        r->answer.samples[r->answer.n++] = sample;
    else
        r->answer.odd++;
}

static void read_result(struct scan *s, struct reader *r, struct arena *a)
{
    uint32_t n;

    r->has_result = true;
    if (scan_kind(s) != SCAN_ARRAY || !scan_count(s, &n)) {
        (void)scan_fail(s, -EINVAL, "expected an array");
        return;
    }
    r->answer.n = r->answer.odd = 0;
    r->answer.samples = arena_array(a, n, sizeof(*r->answer.samples));
    if (!r->answer.samples)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    if (!scan_array(s))
        return;
    while (scan_item(s))
        read_element(s, r, a);
}

static void read_data(struct scan *s, struct reader *r, struct arena *a)
{
    struct str type;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "resultType")) {
            if (scan_word(s, &type) && !str_is(type, "vector"))
                (void)scan_fail(s, -EINVAL, "a %.*s; the query must give an instant vector",
                                STR_ARG(type));
        } else if (scan_at(s, "result")) {
            read_result(s, r, a);
        }
    }
}

/* --- order --- */

static int by_place(const void *x, const void *y)
{
    const struct promql_sample *const a = x, *const b = y;
    const int order = str_cmp(a->node, b->node);

    return order ? order : str_cmp(a->device, b->device);
}

static void put_in_order(struct promql_answer *p)
{
    struct promql_sample *const s = p->samples;
    uint32_t n = 0;

    if (p->n)
        qsort(s, p->n, sizeof(*s), by_place);
    for (uint32_t i = 0; i < p->n; i++) {
        p->nodes += i == 0 || !str_eq(s[i].node, s[i - 1].node);
        if (n && by_place(&s[n - 1], &s[i]) == 0)
            s[n - 1].value = s[i].value > s[n - 1].value ? s[i].value : s[n - 1].value;
        else
            s[n++] = s[i];
    }
    p->n = n;
}

static int refused(struct str why, struct err *err)
{
    return err_set(err, -EPROTO, "%.*s", why.n < MESSAGE_BYTES ? (int)why.n : MESSAGE_BYTES, why.p);
}

int promql_decode(struct promql_answer *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reader r = {.failed = false};
    struct str status;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "status"))
                r.failed = scan_word(&s, &status) && str_is(status, "error");
            else if (scan_at(&s, "error"))
                (void)scan_text(&s, &r.said, a);
            else if (scan_at(&s, "data"))
                read_data(&s, &r, a);
        }
    }
    int rc = scan_end(&s, err);
    if (rc == 0 && r.failed)
        rc = refused(r.said.n ? r.said : STR("no reason is given"), err);
    if (rc == 0 && !r.has_result)
        rc = err_set(err, -EINVAL, "data.result: missing");
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    put_in_order(&r.answer);
    *out = r.answer;
    return 0;
}

/* --- the Signal --- */

static void add_devices(struct emit *e, const struct promql_sample *s, uint32_t n)
{
    emit_key(e, "devices");
    emit_object(e);
    for (uint32_t i = 0; i < n; i++)
        emit_key_str(e, s[i].device), emit_int(e, s[i].value);
    emit_end(e);
}

/* The samples of one node, that of the node as a whole before all others. */
static void add_node(struct emit *e, const struct promql_sample *s, uint32_t n)
{
    const uint32_t whole = s->device.n == 0;

    emit_key_str(e, s->node);
    emit_object(e);
    if (whole)
        emit_key(e, "value"), emit_int(e, s->value);
    if (n > whole)
        add_devices(e, s + whole, n - whole);
    emit_end(e);
}

static void add_nodes(struct emit *e, const struct promql_answer *p)
{
    uint32_t n;

    for (uint32_t i = 0; i < p->n; i += n) {
        const struct promql_sample *const s = &p->samples[i];

        for (n = 1; i + n < p->n && str_eq(s[n].node, s->node); n++)
            ;
        add_node(e, s, n);
    }
}

void promql_signal(struct buf *out, struct str name, enum signal_kind kind, int64_t ttl_s,
                   const struct promql_answer *answer)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, KUBE_SIGNAL_API);
    emit_key(&e, "kind"), emit_words(&e, KUBE_SIGNAL_KIND);
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, name);
    emit_end(&e);
    emit_key(&e, "spec"), emit_object(&e);
    emit_key(&e, "kind"), emit_words(&e, signal_kind_text(kind));
    emit_key(&e, "unit"), emit_words(&e, signal_unit_text(kind));
    emit_key(&e, "ttlSeconds"), emit_int(&e, ttl_s);
    emit_key(&e, "nodes"), emit_object(&e);
    add_nodes(&e, answer);
    emit_end(&e);
    emit_end(&e);
    emit_end(&e);
}
