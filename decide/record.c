/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "decide/report.h"
#include "kube/emit.h"

enum { NAME_BITS = 18, REASON_BITS = 4, SCORE_BITS = 10 };

_Static_assert(NAME_BITS + REASON_BITS + SCORE_BITS == 32, "four bytes a node");
_Static_assert(NAMES_MAX == 1 << NAME_BITS && SCORE_REASONS <= 1 << REASON_BITS, "fields fit");
_Static_assert(SCORE_MAX < 1 << SCORE_BITS, "a score fits");

uint32_t record_cell(uint32_t name, enum score_reason reason, uint32_t score)
{
    return name | (uint32_t)reason << NAME_BITS | score << (NAME_BITS + REASON_BITS);
}

uint32_t record_cell_name(uint32_t cell)
{
    return cell & (NAMES_MAX - 1);
}

enum score_reason record_cell_reason(uint32_t cell)
{
    return (enum score_reason)(cell >> NAME_BITS & ((1 << REASON_BITS) - 1));
}

uint32_t record_cell_score(uint32_t cell)
{
    return cell >> (NAME_BITS + REASON_BITS);
}

/* A reason belongs to one verdict, so the cell need not hold it. */
enum score_verdict record_cell_verdict(const struct record *r, uint32_t cell)
{
    switch (record_cell_reason(cell)) {
    case SCORE_REASON_NONE:
        return r->pass == DECIDE_JUDGED ? SCORE_ADMITTED : SCORE_UNKNOWN;
    case SCORE_NO_TOPOLOGY:
    case SCORE_STALE_TOPOLOGY:
    case SCORE_TOO_MANY_ZONES:
    case SCORE_NOT_MODELLED:
        return SCORE_UNKNOWN;
    case SCORE_TOPOLOGY_AFFINITY_ERROR:
    case SCORE_SMT_ALIGNMENT_ERROR:
    case SCORE_UNEXPECTED_ADMISSION_ERROR:
    case SCORE_KUBELET_CRASH:
    case SCORE_REASONS:
        break;
    }
    return SCORE_REJECTED;
}

const struct record_detail *record_details(const struct record *r)
{
    return (const struct record_detail *)(const void *)(r->data + r->n_cells);
}

static const char *texts(const struct record *r)
{
    return (const char *)(record_details(r) + r->n_details);
}

struct str record_ns(const struct record *r)
{
    return (struct str){texts(r), r->ns_bytes};
}

struct str record_name(const struct record *r)
{
    return (struct str){texts(r) + r->ns_bytes, r->name_bytes};
}

struct str record_uid(const struct record *r)
{
    return (struct str){record_name(r).p + r->name_bytes, r->uid_bytes};
}

struct str record_hints(const struct record *r)
{
    return (struct str){record_uid(r).p + r->uid_bytes, r->hints_bytes};
}

struct str record_text(const struct record *r)
{
    return (struct str){record_hints(r).p + r->hints_bytes, r->text_bytes};
}

/* The candidates that are told in full. */
struct chosen {
    uint32_t n;
    uint32_t at[RECORD_DETAILS];       /* candidates, best first, then samples */
    uint32_t by_place[RECORD_DETAILS]; /* indices of `at` by ascending candidate */
};

/* Is candidate `i` better than `j`? Places of nodes are in byte order of their names. */
static bool is_better(const struct decision *d, uint32_t i, uint32_t j)
{
    const struct decide_row *const x = &d->rows[i], *const y = &d->rows[j];

    return x->score != y->score ? x->score > y->score : x->position < y->position;
}

/* Keep the best RECORD_BEST by insertion: a bounded number of steps a node. */
static void choose_best(struct chosen *c, const struct decision *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t k = c->n;
        if (d->rows[i].marks & DECIDE_REPEATED || d->rows[i].verdict != SCORE_ADMITTED)
            continue;
        while (k && is_better(d, i, c->at[k - 1]))
            k--;
        if (k == RECORD_BEST)
            continue;
        if (c->n < RECORD_BEST)
            c->n++;
        memmove(&c->at[k + 1], &c->at[k], (c->n - k - 1) * sizeof(c->at[0]));
        c->at[k] = i;
    }
}

static void choose_samples(struct chosen *c, const struct decision *d)
{
    uint32_t seen = 1u << SCORE_REASON_NONE;

    if (d->pass != DECIDE_JUDGED)
        return;
    for (uint32_t i = 0; i < d->n; i++) {
        const uint32_t bit = 1u << d->rows[i].reason;
        if (d->rows[i].marks & DECIDE_REPEATED || (seen & bit))
            continue;
        seen |= bit;
        c->at[c->n++] = i;
    }
}

/* The chosen ones in the order in which they were sent. */
static void sort_by_place(struct chosen *c)
{
    for (uint32_t k = 0; k < c->n; k++) {
        uint32_t at = k;
        for (; at && c->at[c->by_place[at - 1]] > c->at[k]; at--)
            c->by_place[at] = c->by_place[at - 1];
        c->by_place[at] = k;
    }
}

/* What is about to be laid out. */
struct draft {
    const struct record_input *in;
    const struct decision *d;
    const struct score_pod *pod;
    struct chosen chosen;
    uint32_t len[RECORD_DETAILS]; /* of the text of each chosen node, 0 = none */
    uint32_t hints_bytes, text_bytes;
    uint32_t n_cells;
};

/* One chosen node as an object at the end of `text`; returns its length, 0 when it failed. */
static uint32_t tell_node(const struct draft *f, uint32_t i, struct buf *text,
                          struct arena *scratch)
{
    const size_t before = text->n;
    struct emit e;

    emit_init(&e, text, false);
    emit_object(&e);
    const int rc = report_node_json(&e, f->in->report, i, scratch);
    emit_end(&e);
    if (rc)
        text->n = before;
    return (uint32_t)(text->n - before);
}

/* Text of the hints, then of each chosen node, into `text`. False when out of memory. */
static bool tell(struct draft *f, struct buf *text, struct arena *scratch)
{
    struct emit e;

    text->n = 0;
    emit_init(&e, text, false);
    report_hints_json(&e, f->pod);
    f->hints_bytes = (uint32_t)text->n;
    for (uint32_t k = 0; k < f->chosen.n; k++)
        f->len[k] = tell_node(f, f->chosen.at[k], text, scratch);
    f->text_bytes = (uint32_t)text->n - f->hints_bytes;
    return !text->failed;
}

static uint32_t count_cells(const struct draft *f, bool with_cells)
{
    const struct decision *const d = f->d;

    return with_cells ? d->counts[0] + d->counts[1] + d->counts[2] : f->chosen.n;
}

static struct record *allocate(const struct draft *f)
{
    const size_t strings =
        (f->pod ? f->pod->ns.n + f->pod->name.n + f->pod->uid.n : 0) + f->hints_bytes;
    const size_t bytes = sizeof(struct record) + f->n_cells * sizeof(uint32_t) +
                         f->chosen.n * sizeof(struct record_detail) + strings + f->text_bytes;
    struct record *const r = strings < INT32_MAX ? malloc(bytes) : NULL;

    if (!r)
        return NULL;
    *r = (struct record){
        .bytes = bytes,
        .time_us = f->in->time_us,
        .verbs = f->in->verb,
        .pass = f->d->pass,
        .qos = f->d->qos,
        .class = f->d->class,
        .mode = f->in->report->options->mode,
        .max_score = f->in->report->options->max_score,
        .generation = f->d->generation,
        .counts = {f->d->counts[0], f->d->counts[1], f->d->counts[2]},
        .n_cells = f->n_cells,
        .n_details = f->chosen.n,
        .hints_bytes = f->hints_bytes,
        .text_bytes = f->text_bytes,
    };
    memcpy(r->id, f->in->id, RECORD_ID_BYTES);
    return r;
}

static uint32_t take_name(struct names *names, const struct decide_row *row, struct str name)
{
    return row->position < names->places.n ? names_take_at(names, row->position, name)
                                           : names_take(names, name);
}

static void fill_cells(struct record *r, const struct draft *f, struct names *names,
                       bool with_cells)
{
    const struct str *const sent = f->in->report->ask->names;
    struct record_detail *const details = (struct record_detail *)(void *)(r->data + r->n_cells);
    uint32_t n = 0, next = 0; /* next: of the chosen ones, which come in the order sent */

    for (uint32_t i = 0; i < f->d->n; i++) {
        const struct decide_row *const row = &f->d->rows[i];
        const bool chosen = next < f->chosen.n && f->chosen.at[f->chosen.by_place[next]] == i;
        if ((row->marks & DECIDE_REPEATED) || (!with_cells && !chosen))
            continue;
        if (chosen)
            details[f->chosen.by_place[next++]].cell = n;
        const uint32_t name = take_name(names, row, sent[i]);
        r->n_left_out += name == NAMES_NONE;
        r->data[n++] = record_cell(name, (enum score_reason)row->reason, row->score);
    }
    assert(n == r->n_cells);
    r->n_left_out += r->counts[0] + r->counts[1] + r->counts[2] - n;
}

static void fill_texts(struct record *r, const struct draft *f, const struct buf *text)
{
    struct record_detail *const details = (struct record_detail *)(void *)(r->data + r->n_cells);
    char *p = (char *)(details + r->n_details);
    uint32_t at = 0;

    if (f->pod) {
        const struct str parts[] = {f->pod->ns, f->pod->name, f->pod->uid};
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            if (parts[i].n)
                memcpy(p, parts[i].p, parts[i].n);
            p += parts[i].n;
        }
        r->ns_bytes = (uint32_t)parts[0].n;
        r->name_bytes = (uint32_t)parts[1].n;
        r->uid_bytes = (uint32_t)parts[2].n;
    }
    memcpy(p, text->p, text->n);
    for (uint32_t k = 0; k < r->n_details; k++) {
        details[k].at = at;
        details[k].len = f->len[k];
        at += f->len[k];
    }
}

struct record *record_new(const struct record_input *in, struct names *names, bool with_cells,
                          struct buf *text, struct arena *scratch)
{
    struct draft f = {.in = in, .d = in->report->decision, .pod = in->report->ask->pod};

    choose_best(&f.chosen, f.d);
    choose_samples(&f.chosen, f.d);
    sort_by_place(&f.chosen);
    if (!tell(&f, text, scratch))
        return NULL;
    f.n_cells = count_cells(&f, with_cells);
    struct record *const r = allocate(&f);
    if (!r)
        return NULL;
    fill_cells(r, &f, names, with_cells);
    fill_texts(r, &f, text);
    return r;
}

void record_free(struct record *r, struct names *names)
{
    for (uint32_t i = 0; r && i < r->n_cells; i++)
        names_drop(names, record_cell_name(r->data[i]));
    free(r);
}

/* The first cell from `at` on that has the candidate's name; n_cells when none has. */
static uint32_t next_cell(const struct record *r, const struct names *names,
                          const struct report *report, uint32_t i, uint32_t at)
{
    const uint32_t id = names_at(names, report->decision->rows[i].position);

    if (id != NAMES_NONE) {
        while (at < r->n_cells && record_cell_name(r->data[at]) != id)
            at++;
        return at;
    }
    while (at < r->n_cells &&
           !str_eq(names_get(names, record_cell_name(r->data[at])), report->ask->names[i]))
        at++;
    return at;
}

static bool walk(struct record *r, const struct record_input *in, const struct names *names,
                 bool write)
{
    const struct report *const report = in->report;
    uint32_t at = 0;

    for (uint32_t i = 0; i < report->decision->n; i++, at++) {
        const struct decide_row *const row = &report->decision->rows[i];
        at = next_cell(r, names, report, i, at);
        if (at == r->n_cells || (row->marks & DECIDE_REPEATED) ||
            record_cell_reason(r->data[at]) != (enum score_reason)row->reason)
            return false;
        if (write)
            r->data[at] = record_cell(record_cell_name(r->data[at]), (enum score_reason)row->reason,
                                      row->score);
    }
    return true;
}

bool record_join(struct record *r, const struct record_input *in, const struct names *names)
{
    if (in->report->decision->pass != r->pass || !walk(r, in, names, false))
        return false;
    (void)walk(r, in, names, true);
    r->verbs |= in->verb;
    return true;
}

struct ranked {
    const struct record *r;
    const struct str *name_of;
};

static int by_rank(const void *x, const void *y, void *ctx)
{
    const struct ranked *const k = ctx;
    const uint32_t i = *(const uint32_t *)x, j = *(const uint32_t *)y;
    const uint32_t a = k->r->data[i], b = k->r->data[j];
    const enum score_verdict va = record_cell_verdict(k->r, a), vb = record_cell_verdict(k->r, b);

    if (va != vb)
        return va < vb ? -1 : 1;
    if (record_cell_score(a) != record_cell_score(b))
        return record_cell_score(a) > record_cell_score(b) ? -1 : 1;
    return str_cmp(k->name_of[i], k->name_of[j]);
}

static const struct record_detail *detail_of(const struct record *r, uint32_t cell)
{
    for (uint32_t k = 0; k < r->n_details; k++)
        if (record_details(r)[k].cell == cell && record_details(r)[k].len)
            return &record_details(r)[k];
    return NULL;
}

/* What is known of a node that is not told in full. */
static void put_short(struct emit *e, const struct record *r, uint32_t cell, struct str name)
{
    const enum score_reason reason = record_cell_reason(cell);

    emit_key(e, "name"), emit_text(e, name);
    emit_key(e, "verdict"), emit_words(e, score_verdict_text(record_cell_verdict(r, cell)));
    emit_key(e, "reason"), emit_words(e, score_reason_text(reason));
}

/* The members behind those of `detail` (an object, or NULL) into one object in `text`. */
static void build_node(struct buf *text, const struct record *r, uint32_t i, struct str name,
                       const struct record_detail *detail)
{
    const uint32_t cell = r->data[i], score = record_cell_score(cell);
    const bool admits = record_cell_verdict(r, cell) == SCORE_ADMITTED;
    struct emit e;

    emit_init(&e, text, false);
    emit_object(&e);
    if (!detail)
        put_short(&e, r, cell, name);
    report_score_json(&e, detail && admits ? score_default_weights(r->class) : NULL, score,
                      admits ? score_wire(score, r->max_score) : 0);
    emit_end(&e);
}

static void put_cell(struct emit *e, const struct record *r, uint32_t i, struct str name)
{
    const struct record_detail *const detail = detail_of(r, i);
    struct buf text = {0}, whole = {0};

    build_node(&text, r, i, name, detail);
    if (detail && !text.failed) { /* {A} and {B} make {A,B} */
        buf_add(&whole, record_text(r).p + detail->at, detail->len - 1);
        buf_text(&whole, ",");
        buf_add(&whole, text.p + 1, text.n - 1);
    }
    emit_raw(e, detail ? buf_view(&whole) : buf_view(&text));
    e->out->failed |= text.failed | whole.failed;
    buf_free(&text);
    buf_free(&whole);
}

static void put_verbs(struct emit *e, unsigned verbs)
{
    static const char *const words[] = {"filter", "prioritize", "explain"};

    emit_array(e);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (verbs >> i & 1)
            emit_words(e, words[i]);
    emit_end(e);
}

void record_summary_json(struct emit *e, const struct record *r, const struct str *best)
{
    char when[32];
    const struct report_head head = {
        .ns = record_ns(r),
        .name = record_name(r),
        .id = {r->id, RECORD_ID_BYTES},
        .class = decide_class_text(r->class),
        .qos = pod_qos_text(r->qos),
        .generation = r->generation,
        .best = best,
        .note = str_of(decide_pass_text(r->pass)),
    };

    report_head_json(e, &head);
    clock_format_rfc3339(when, r->time_us);
    emit_key(e, "uid"), emit_text(e, record_uid(r));
    emit_key(e, "time"), emit_words(e, when);
    emit_key(e, "verbs"), put_verbs(e, r->verbs);
    emit_key(e, "mode"), emit_words(e, r->mode == DECIDE_SHADOW ? "Shadow" : "Enforce");
    emit_key(e, "admitted"), emit_uint(e, r->counts[SCORE_ADMITTED]);
    emit_key(e, "rejected"), emit_uint(e, r->counts[SCORE_REJECTED]);
    emit_key(e, "unknown"), emit_uint(e, r->counts[SCORE_UNKNOWN]);
}

static void put_record(struct emit *e, const struct record *r, const struct str *name_of,
                       const uint32_t *order)
{
    const bool admits = r->n_cells && record_cell_verdict(r, r->data[order[0]]) == SCORE_ADMITTED;

    emit_object(e);
    record_summary_json(e, r, admits ? &name_of[order[0]] : NULL);
    emit_key(e, "nodesLeftOut"), emit_uint(e, r->n_left_out);
    emit_key(e, "ignoredHints"), emit_raw(e, record_hints(r));
    emit_key(e, "nodes"), emit_array(e);
    for (uint32_t k = 0; k < r->n_cells; k++)
        put_cell(e, r, order[k], name_of[order[k]]);
    emit_end(e);
    emit_end(e);
}

void record_json(struct buf *out, const struct record *r, const struct str *name_of)
{
    struct ranked ranked = {r, name_of};
    uint32_t *const order = calloc(r->n_cells + 1, sizeof(*order));
    struct emit e;

    if (!order) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < r->n_cells; i++)
        order[i] = i;
    qsort_r(order, r->n_cells, sizeof(*order), by_rank, &ranked);
    emit_init(&e, out, true);
    put_record(&e, r, name_of, order);
    buf_text(out, "\n");
    free(order);
}
