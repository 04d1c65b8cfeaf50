/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/premises.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "scoring/weigh.h"

/* --- writing --- */

static void put_kind(struct emit *e, const struct demand_kind *k)
{
    emit_object(e);
    emit_key(e, "weight"), emit_uint(e, k->weight);
    emit_key(e, "alone"), emit_bool(e, k->alone);
    emit_key(e, "wants"), emit_array(e);
    for (uint32_t i = 0; i < k->n; i++) {
        emit_object(e);
        emit_key(e, "column"), emit_uint(e, k->wants[i].column);
        emit_key(e, "amount"), emit_uint(e, k->wants[i].amount);
        emit_end(e);
    }
    emit_end(e);
    emit_end(e);
}

static void put_demand(struct emit *e, const struct score_demand *d)
{
    emit_key(e, "demand"), emit_object(e);
    emit_key(e, "resources"), emit_array(e);
    for (uint32_t i = 0; i < d->n_resources; i++)
        emit_text(e, demand_resource(d, i));
    emit_end(e);
    emit_key(e, "kinds"), emit_array(e);
    for (uint32_t i = 0; i < d->n; i++)
        put_kind(e, &d->kinds[i]);
    emit_end(e);
    emit_end(e);
}

void premises_emit(struct buf *out, const struct premises *p)
{
    struct emit e;

    emit_init(&e, out, true);
    emit_object(&e);
    if (p->since_us)
        emit_key(&e, "since"), emit_time(&e, p->since_us);
    emit_key(&e, "terms"), emit_array(&e);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        if (p->terms >> t & 1)
            emit_words(&e, score_term_text((enum score_term)t));
    emit_end(&e);
    put_demand(&e, &p->demand);
    emit_end(&e);
    buf_text(out, "\n");
}

/* --- reading --- */

static bool read_in(struct scan *s, int64_t least, int64_t most, uint32_t *out)
{
    int64_t v = 0;

    if (!scan_int64(s, &v))
        return scan_fail(s, -EINVAL, "expected an integer");
    if (v < least || v > most)
        return scan_fail(s, -EINVAL, "not in %lld..%lld", (long long)least, (long long)most);
    *out = (uint32_t)v;
    return true;
}

static void read_want(struct scan *s, struct demand_kind *k)
{
    uint32_t column = 0, amount = 0;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "column"))
            (void)read_in(s, 0, DEMAND_COLUMNS - 1, &column);
        else if (scan_at(s, "amount"))
            (void)read_in(s, 1, DEMAND_MOST, &amount);
    }
    if (amount == 0 || (k->n && k->wants[k->n - 1].column >= column))
        (void)scan_fail(s, -EINVAL, "a column has one amount, and columns rise");
    else if (!scan_failed(s))
        demand_put(k, column, amount);
}

static void read_wants(struct scan *s, struct demand_kind *k)
{
    if (!scan_array(s))
        return;
    while (scan_item(s))
        read_want(s, k); /* columns rise, so that there are no more than there is room for */
}

static void read_kind(struct scan *s, struct score_demand *d)
{
    struct demand_kind k = {0};

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "weight"))
            (void)read_in(s, 1, DEMAND_PARTS, &k.weight);
        else if (scan_at(s, "alone"))
            (void)scan_bool(s, &k.alone);
        else if (scan_at(s, "wants") && k.n == 0)
            read_wants(s, &k);
    }
    if (k.weight == 0 || d->n == DEMAND_KINDS)
        (void)scan_fail(s, -EINVAL, "no weight, or more than %d kinds", DEMAND_KINDS);
    else
        d->kinds[d->n++] = k;
}

static void read_resource(struct scan *s, struct score_demand *d)
{
    struct str name;

    if (!scan_word(s, &name))
        return;
    if (name.n > DEMAND_NAME_BYTES || d->n_resources == DEMAND_RESOURCES) {
        (void)scan_fail(s, -E2BIG, "more than %d resources, or than %d bytes", DEMAND_RESOURCES,
                        DEMAND_NAME_BYTES);
        return;
    }
    struct demand_name *const to = &d->resources[d->n_resources++];
    to->n = (uint8_t)name.n;
    if (name.n)
        memcpy(to->p, name.p, name.n);
}

/* Every column is one that there is. */
static void check_columns(struct scan *s, const struct score_demand *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t k = 0; k < d->kinds[i].n; k++)
            if (d->kinds[i].wants[k].column >= DEMAND_DEVICES + d->n_resources)
                (void)scan_fail(s, -EINVAL, "column %u is no resource's",
                                d->kinds[i].wants[k].column);
}

static void read_demand(struct scan *s, struct score_demand *d)
{
    memset(d, 0, sizeof(*d));
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "resources") && scan_array(s)) {
            while (scan_item(s))
                read_resource(s, d);
        } else if (scan_at(s, "kinds") && scan_array(s)) {
            while (scan_item(s))
                read_kind(s, d);
        }
    }
    check_columns(s, d);
    d->serial = d->n > 0;
}

static void read_term(struct scan *s, uint32_t *terms)
{
    struct str word;
    int t = 0;

    if (!scan_word(s, &word))
        return;
    while (t < SCORE_TERM_COUNT && !str_is(word, score_term_text((enum score_term)t)))
        t++;
    if (t == SCORE_TERM_COUNT)
        (void)scan_fail(s, -EINVAL, "there is no such term");
    else
        *terms |= UINT32_C(1) << t;
}

static void read_since(struct scan *s, int64_t *out, struct arena *scratch)
{
    struct str text;

    if (scan_text(s, &text, scratch) && clock_parse_rfc3339(text, out))
        (void)scan_fail(s, -EINVAL, "expected a time such as 2026-11-24T03:02:01Z");
}

int premises_read(struct premises *out, struct str json, struct arena *scratch, struct err *err)
{
    const size_t mark = arena_mark(scratch);
    struct premises p = {.since_us = 0};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "since"))
                read_since(&s, &p.since_us, scratch);
            else if (scan_at(&s, "demand"))
                read_demand(&s, &p.demand);
            else if (scan_at(&s, "terms") && scan_array(&s))
                while (scan_item(&s))
                    read_term(&s, &p.terms);
        }
    }
    const int rc = scan_end(&s, err);
    arena_rewind(scratch, mark);
    if (rc == 0)
        *out = p;
    return rc;
}
