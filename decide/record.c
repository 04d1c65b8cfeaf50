/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cluster/block.h"
#include "cluster/context.h"
#include "cluster/pack.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/beside.h"
#include "decide/report.h"
#include "kube/emit.h"

_Static_assert(SCORE_REASONS <= 32 && SCORE_MAX < 1 << 10, "the fields of a cell fit");

/* A reason belongs to one verdict, so the cell need not hold it. */
enum score_verdict record_cell_verdict(const struct record *r, uint32_t cell)
{
    const enum score_reason reason = record_cell_reason(cell);

    if (reason == SCORE_REASON_NONE)
        return r->pass == DECIDE_JUDGED ? SCORE_ADMITTED : SCORE_UNKNOWN;
    return score_reason_verdict(reason);
}

/* Places from here on are names of the record's own. */
static uint32_t first_own(const struct record *r)
{
    return r->roster ? r->roster->n : 0;
}

struct str record_cell_name(const struct record *r, uint32_t cell)
{
    const uint32_t place = record_cell_place(cell), own = first_own(r);

    if (place == RECORD_NO_PLACE)
        return STR("");
    return place < own ? roster_name(r->roster, place) : r->names[place - own];
}

static const struct score_pod *pod_of(const struct record *r)
{
    return r->pod ? r->pod->value : NULL;
}

struct str record_ns(const struct record *r)
{
    return r->pod ? pod_of(r)->ns : STR("");
}

struct str record_name(const struct record *r)
{
    return r->pod ? pod_of(r)->name : STR("");
}

struct str record_uid(const struct record *r)
{
    return r->pod ? pod_of(r)->uid : STR("");
}

/* --- making one --- */

/* The candidates that are told in full, and how much the names are that no roster has. */
struct survey {
    uint32_t n, n_best;
    uint32_t at[RECORD_DETAILS];       /* candidates, best first, then samples */
    uint32_t by_place[RECORD_DETAILS]; /* indices of `at` by ascending candidate */
    uint32_t strangers;
    size_t stranger_bytes;
};

/* Is candidate `i` better than `j`? Places of nodes are in byte order of their names. */
static bool is_better(const struct decision *d, uint32_t i, uint32_t j)
{
    const struct decide_row *const x = &d->rows[i], *const y = &d->rows[j];

    return x->score != y->score ? x->score > y->score : x->position < y->position;
}

/* Keep the best ones by insertion: a bounded number of steps a node, mostly one. */
static void consider_best(struct survey *s, const struct decision *d, uint32_t i)
{
    uint32_t k = s->n_best;

    while (k && is_better(d, i, s->at[k - 1]))
        k--;
    if (k == RECORD_BEST)
        return;
    if (s->n_best < RECORD_BEST)
        s->n_best++;
    memmove(&s->at[k + 1], &s->at[k], (s->n_best - k - 1) * sizeof(s->at[0]));
    s->at[k] = i;
}

/* The chosen ones in the order in which they were sent. */
static void sort_by_place(struct survey *s)
{
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t at = k;

        for (; at && s->at[s->by_place[at - 1]] > s->at[k]; at--)
            s->by_place[at] = s->by_place[at - 1];
        s->by_place[at] = k;
    }
}

/* A reference to each one's view is taken soon: they lie anywhere in memory. */
static void fetch_chosen(const struct survey *s, const struct decision *d)
{
    for (uint32_t k = 0; k < s->n && d->snapshot; k++) {
        const uint32_t position = d->rows[s->at[k]].position;

        if (position != DECIDE_NO_NODE)
            __builtin_prefetch(cluster_snapshot_node_block(d->snapshot, position), 1);
    }
}

static void take_survey(struct survey *s, const struct decision *d, const struct str *names)
{
    uint32_t samples[SCORE_REASONS], n_samples = 0, seen = 1u << SCORE_REASON_NONE;

    *s = (struct survey){0};
    for (uint32_t i = 0; i < d->n; i++) {
        const struct decide_row *const row = &d->rows[i];

        if (row->marks & DECIDE_REPEATED)
            continue;
        if (row->position == DECIDE_NO_NODE) {
            s->strangers++;
            s->stranger_bytes += names[i].n;
        }
        if (row->verdict == SCORE_ADMITTED) {
            consider_best(s, d, i);
        } else if (d->pass == DECIDE_JUDGED && !(seen >> row->reason & 1)) {
            seen |= 1u << row->reason;
            samples[n_samples++] = i;
        }
    }
    memcpy(&s->at[s->n_best], samples, n_samples * sizeof(samples[0]));
    s->n = s->n_best + n_samples;
    sort_by_place(s);
    fetch_chosen(s, d);
}

/* A record under way. */
struct draft {
    const struct decision *d;
    const struct str *sent; /* [d->n] names */
    struct survey survey;
    struct record *r;
    struct str *names; /* the record's own */
    char *text;        /* of the next one */
    struct record_held *held;
    uint32_t n_seen; /* of the decision's held rows */
};

static struct block *view_of(const struct decision *d, uint32_t i)
{
    const uint32_t position = d->rows[i].position;

    return position == DECIDE_NO_NODE || !d->snapshot
               ? NULL
               : block_ref(cluster_snapshot_node_block(d->snapshot, position));
}

static int pack_into(void *ctx, struct arena *a, const void **out)
{
    struct score_pod *const pod = arena_array(a, 1, sizeof(*pod));

    *out = pod;
    return pod ? pack_pod(pod, ctx, a) : -ENOMEM;
}

/* False: out of memory. */
static bool copy_pod(struct record *r, const struct score_pod *pod)
{
    enum { FIRST_BYTES = 1024, CONTAINER_BYTES = 512 };
    void *const from = (void *)(uintptr_t)pod;

    if (!pod)
        return true;
    if (block_new(&r->pod, FIRST_BYTES + pod->n_containers * CONTAINER_BYTES, pack_into, from))
        return false;
    r->bytes += sizeof(*r->pod) + r->pod->used;
    return true;
}

static struct record *allocate(const struct record_input *in, uint32_t n_cells, uint32_t n_names,
                               size_t name_bytes)
{
    const struct decision *const d = in->report->decision;
    const size_t before_cells = sizeof(struct record) + n_names * sizeof(struct str);
    const size_t before_held = before_cells + n_cells * sizeof(uint32_t);
    const size_t before_text = before_held + d->n_held * sizeof(struct record_held);
    struct record *const r = malloc(before_text + name_bytes);

    if (!r)
        return NULL;
    *r = (struct record){
        .refs = 1,
        .bytes = before_text + name_bytes,
        .time_us = in->time_us,
        .verbs = in->verb,
        .pass = d->pass,
        .qos = d->qos,
        .mode = in->report->options->mode,
        .max_score = in->report->options->max_score,
        .terms = d->any,
        .context = in->report->options->context,
        .policies = d->context ? cluster_context_ref(d->context) : NULL,
        .generation = d->generation,
        .counts = {d->counts[0], d->counts[1], d->counts[2]},
        .n_cells = n_cells,
        .cells = (uint32_t *)(void *)((char *)r + before_cells),
        .held = (struct record_held *)(void *)((char *)r + before_held),
    };
    memcpy(r->id, in->id, RECORD_ID_BYTES);
    return r;
}

/* The name becomes one of the record's own, which has room for it. */
static uint32_t own_name(struct draft *f, struct str name)
{
    const uint32_t place = first_own(f->r) + f->r->n_names;

    if (name.n)
        memcpy(f->text, name.p, name.n);
    f->names[f->r->n_names++] = (struct str){f->text, name.n};
    f->text += name.n;
    return place;
}

/* The cell of candidate `i`. */
static uint32_t cell_of(struct draft *f, uint32_t i)
{
    const struct decide_row *const row = &f->d->rows[i];
    uint32_t place = row->position;

    if (!f->r->roster || place == DECIDE_NO_NODE)
        place = own_name(f, f->sent[i]);
    if (place >= RECORD_NO_PLACE) {
        place = RECORD_NO_PLACE;
        f->r->n_left_out++;
    }
    return record_cell(place, (enum score_reason)row->reason, row->score);
}

/* Candidate `i`, whose cell is the `n`th: was it held for others? They come in the order sent. */
static void keep_held(struct draft *f, uint32_t i, uint32_t n)
{
    const struct decision *const d = f->d;

    while (f->n_seen < d->n_held && d->held[f->n_seen].row < i)
        f->n_seen++;
    if (f->n_seen == d->n_held || d->held[f->n_seen].row != i)
        return;
    f->held[f->r->n_held++] =
        (struct record_held){n, d->rows[i].wire, (uint16_t)d->held[f->n_seen].pods};
}

/* Fill the cells and the chosen ones' details, which come in the order sent. */
static void fill(struct draft *f, bool whole)
{
    const struct survey *const s = &f->survey;
    struct record *const r = f->r;
    uint32_t n = 0, next = 0;

    for (uint32_t i = 0; i < f->d->n; i++) {
        const bool chosen = next < s->n && s->at[s->by_place[next]] == i;

        if ((f->d->rows[i].marks & DECIDE_REPEATED) || (!whole && !chosen))
            continue;
        if (chosen)
            r->details[s->by_place[next++]] = (struct record_detail){n, view_of(f->d, i)};
        if (f->d->decides && i == f->d->one)
            atomic_store(&r->decided, n + 1);
        keep_held(f, i, n);
        r->cells[n++] = cell_of(f, i);
    }
    assert(n == r->n_cells);
    r->n_details = s->n;
    r->n_left_out += r->counts[0] + r->counts[1] + r->counts[2] - n;
}

/* How much the names of the chosen ones are. */
static size_t chosen_bytes(const struct survey *s, const struct str *names)
{
    size_t n = 0;

    for (uint32_t k = 0; k < s->n; k++)
        n += names[s->at[k]].n;
    return n;
}

struct record *record_new(const struct record_input *in, bool whole)
{
    struct draft f = {.d = in->report->decision, .sent = in->report->ask->names};
    const struct decision *const d = f.d;
    struct roster *const roster =
        whole && d->snapshot ? cluster_snapshot_roster(d->snapshot) : NULL;
    const struct survey *const s = &f.survey;

    take_survey(&f.survey, d, f.sent);
    const uint32_t n_cells = whole ? d->counts[0] + d->counts[1] + d->counts[2] : s->n;
    const uint32_t n_names = whole ? s->strangers : s->n;
    f.r = allocate(in, n_cells, n_names, whole ? s->stranger_bytes : chosen_bytes(s, f.sent));
    if (!f.r)
        return NULL;
    f.r->roster = roster ? roster_ref(roster) : NULL;
    f.r->names = f.names = (struct str *)(f.r + 1);
    f.held = (struct record_held *)(f.r->cells + n_cells);
    f.text = (char *)(f.held + d->n_held);
    fill(&f, whole);
    if (copy_pod(f.r, in->report->ask->pod))
        return f.r;
    record_unref(f.r);
    return NULL;
}

struct record *record_ref(struct record *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void record_trim(struct record *r, uint32_t n)
{
    while (r->n_details > n)
        block_unref(r->details[--r->n_details].view);
}

void record_unref(struct record *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    record_trim(r, 0);
    block_unref(r->pod);
    cluster_context_unref(r->policies);
    roster_unref(r->roster);
    free(r);
}

/* --- a later decision --- */

/* The first cell from `at` on that is of candidate `i`; n_cells when none is. */
static uint32_t next_cell(const struct record *r, const struct report *report, uint32_t i,
                          uint32_t at)
{
    const uint32_t place = report->decision->rows[i].position;

    if (r->roster && place < RECORD_NO_PLACE) {
        while (at < r->n_cells && record_cell_place(r->cells[at]) != place)
            at++;
        return at;
    }
    while (at < r->n_cells && !str_eq(record_cell_name(r, r->cells[at]), report->ask->names[i]))
        at++;
    return at;
}

/* Of a record with a roster. */
static bool is_cell_of(const struct decide_row *row, uint32_t cell)
{
    return !(row->marks & DECIDE_REPEATED) && row->position < RECORD_NO_PLACE &&
           record_cell(row->position, (enum score_reason)row->reason, row->score) == cell;
}

/*
 * Is the decision about cells of the record? Write: their scores become those of the decision.
 * `*out_changes` otherwise: does any?
 */
static bool walk(struct record *r, const struct report *report, bool write, bool *out_changes)
{
    uint32_t at = 0;

    *out_changes = report->decision->decides;

    for (uint32_t i = 0; i < report->decision->n; i++, at++) {
        const struct decide_row *const row = &report->decision->rows[i];

        /* mostly prioritize asks about what filter has said, and that is still so */
        const bool as_before = at < r->n_cells && r->roster && is_cell_of(row, r->cells[at]);

        if (!as_before)
            at = next_cell(r, report, i, at);
        if (at == r->n_cells || (row->marks & DECIDE_REPEATED) ||
            record_cell_reason(r->cells[at]) != (enum score_reason)row->reason)
            return false;
        if (write && report->decision->decides && i == report->decision->one)
            atomic_store(&r->decided, at + 1);
        if (as_before)
            continue;
        *out_changes = true;
        if (write)
            r->cells[at] = record_cell(record_cell_place(r->cells[at]),
                                       (enum score_reason)row->reason, row->score);
    }
    return true;
}

bool record_join(struct record *r, const struct record_input *in)
{
    const struct decision *const d = in->report->decision;
    bool changes;

    if (d->pass != r->pass || d->n_held > 0 || r->n_held > 0 ||
        !walk(r, in->report, false, &changes))
        return false;
    if (changes) {
        (void)walk(r, in->report, true, &changes);
        atomic_store(&r->terms, d->any);
    }
    r->verbs |= in->verb;
    return true;
}

bool record_contradict(struct record *r, struct str uid, struct str node, enum score_reason reason)
{
    if (!str_eq(record_uid(r), uid))
        return false;
    for (uint32_t i = 0; i < r->n_cells; i++) {
        if (!str_eq(record_cell_name(r, r->cells[i]), node))
            continue;
        if (record_cell_verdict(r, r->cells[i]) != SCORE_ADMITTED)
            return false;
        atomic_store(&r->contradicted, (unsigned)reason | record_cell_place(r->cells[i]) << 5);
        return true;
    }
    return false;
}

const struct node_view *record_view(const struct record *r, struct str node)
{
    for (uint32_t k = 0; k < r->n_details; k++) {
        const struct block *const view = r->details[k].view;

        if (view && str_eq(record_cell_name(r, r->cells[r->details[k].cell]), node))
            return view->value;
    }
    return NULL;
}

/* --- reading one --- */

/* The rules that were: policies never change, and the pod is the one that was judged. */
static void rules_of(struct score_rules *out, const struct record *r)
{
    if (r->pass == DECIDE_JUDGED)
        cluster_context_rules(r->policies, out, pod_of(r), r->qos);
    else
        score_rules_default(out, POD_BURSTABLE);
}

/* A record as a report about the nodes that are told in full. */
struct told {
    const struct record *r;
    struct score_rules rules;
    struct str names[RECORD_DETAILS];
    struct decide_row rows[RECORD_DETAILS];
    const struct node_view *views[RECORD_DETAILS];
    struct decide_ask ask;
    struct decide_options options;
    struct decision decision;
    struct report report;
};

static void tell_detail(struct told *t, const uint32_t *cells, uint32_t k)
{
    const struct record_detail *const detail = &t->r->details[k];
    const uint32_t cell = cells[detail->cell];

    t->names[k] = record_cell_name(t->r, cell);
    t->views[k] = detail->view ? detail->view->value : NULL;
    const enum score_verdict verdict = record_cell_verdict(t->r, cell);
    const bool refused = verdict == SCORE_UNKNOWN && t->rules.reject_unknown;

    t->rows[k] = (struct decide_row){.position = DECIDE_NO_NODE,
                                     .verdict = (uint8_t)verdict,
                                     .reason = (uint8_t)record_cell_reason(cell),
                                     .score = (uint16_t)record_cell_score(cell),
                                     .marks = refused ? DECIDE_REFUSED : 0};
}

/* False when there is no room for what the kubelet derives from the pod. */
static bool tell(struct told *t, const struct record *r, const uint32_t *cells, struct arena *a)
{
    struct score_request *request = NULL;

    if (r->pass == DECIDE_JUDGED && score_request_init(&request, pod_of(r), a, NULL))
        return false;
    *t = (struct told){
        .r = r,
        .ask = {.pod = pod_of(r), .n = r->n_details, .names = t->names},
        .options = {.mode = r->mode, .max_score = r->max_score, .context = r->context},
        .decision = {.generation = r->generation,
                     .pass = r->pass,
                     .qos = r->qos,
                     .context = r->policies,
                     .rules = &t->rules,
                     .weights = &t->rules.weights,
                     .request = request,
                     .n = r->n_details,
                     .rows = t->rows,
                     .views = t->views},
        .report = {.ask = &t->ask, .decision = &t->decision, .options = &t->options},
    };
    rules_of(&t->rules, r);
    if (request)
        score_request_rule(request, &t->rules);
    for (uint32_t k = 0; k < r->n_details; k++)
        tell_detail(t, cells, k);
    return true;
}

struct ranked {
    const struct record *r;
    const uint32_t *cells;
};

static int by_rank(const void *x, const void *y, void *ctx)
{
    const struct ranked *const k = ctx;
    const uint32_t a = k->cells[*(const uint32_t *)x], b = k->cells[*(const uint32_t *)y];
    const enum score_verdict va = record_cell_verdict(k->r, a), vb = record_cell_verdict(k->r, b);

    if (va != vb)
        return va < vb ? -1 : 1;
    if (record_cell_score(a) != record_cell_score(b))
        return record_cell_score(a) > record_cell_score(b) ? -1 : 1;
    return str_cmp(record_cell_name(k->r, a), record_cell_name(k->r, b));
}

/* Which detail is about the cell at `i`; n_details when none is. */
static uint32_t detail_of(const struct record *r, uint32_t i)
{
    uint32_t k = 0;

    while (k < r->n_details && r->details[k].cell != i)
        k++;
    return k;
}

/* What is known of a node that is not told in full. */
static void put_short(struct emit *e, const struct record *r, uint32_t cell)
{
    const enum score_reason reason = record_cell_reason(cell);

    emit_key(e, "name"), emit_text(e, record_cell_name(r, cell));
    emit_key(e, "verdict"), emit_words(e, score_verdict_text(record_cell_verdict(r, cell)));
    emit_key(e, "reason"), emit_words(e, score_reason_text(reason));
}

static const struct record_held *held_of(const struct record *r, uint32_t i)
{
    for (uint32_t k = 0; k < r->n_held; k++)
        if (r->held[k].cell == i)
            return &r->held[k];
    return NULL;
}

/* What prioritize said of the node at `i`. */
static uint32_t wire_of(const struct record *r, uint32_t i, uint32_t cell, bool admits,
                        const struct record_held *held)
{
    const unsigned decided = atomic_load(&r->decided);

    if (decided)
        return decided == i + 1 ? r->max_score : 0;
    if (held)
        return held->wire;
    return admits ? score_wire(record_cell_score(cell), r->max_score) : 0;
}

/* The node of the cell at `i`; `t` NULL: none is told in full. */
static void put_cell(struct emit *e, const struct record *r, const uint32_t *cells, uint32_t i,
                     const struct told *t, struct arena *scratch)
{
    const uint32_t cell = cells[i], score = record_cell_score(cell), k = detail_of(r, i);
    const bool admits = record_cell_verdict(r, cell) == SCORE_ADMITTED;
    const bool full = t && k < r->n_details;
    const struct record_held *const held = held_of(r, i);

    emit_object(e);
    const bool told = full && report_node_json(e, &t->report, k, scratch) == 0;
    if (!told)
        put_short(e, r, cell);
    report_score_json(e, told && admits ? &t->rules : NULL, score,
                      wire_of(r, i, cell, admits, held));
    if (atomic_load(&r->decided) == i + 1)
        emit_key(e, "decided"), emit_bool(e, true);
    if (held && held->pods)
        emit_key(e, "heldFor"), emit_uint(e, held->pods);
    else if (held)
        emit_key(e, "doubted"), emit_bool(e, true);
    emit_end(e);
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

static void put_contradiction(struct emit *e, const struct record *r)
{
    const unsigned c = atomic_load(&r->contradicted);

    if (c == 0)
        return;
    emit_key(e, "contradicted"), emit_object(e);
    emit_key(e, "node"), emit_text(e, record_cell_name(r, c >> 5));
    emit_key(e, "reason"), emit_words(e, score_reason_text((enum score_reason)(c & 31)));
    emit_end(e);
}

void record_summary_json(struct emit *e, const struct record *r, unsigned verbs,
                         const struct str *best)
{
    struct score_rules rules;
    const struct report_head head = {
        .ns = record_ns(r),
        .name = record_name(r),
        .id = {r->id, RECORD_ID_BYTES},
        .rules = &rules,
        .context = r->policies,
        .qos = pod_qos_text(r->qos),
        .generation = r->generation,
        .best = best,
        .note = str_of(decide_pass_text(r->pass)),
    };

    rules_of(&rules, r);
    report_head_json(e, &head);
    emit_key(e, "uid"), emit_text(e, record_uid(r));
    emit_key(e, "time"), emit_time(e, r->time_us);
    emit_key(e, "verbs"), put_verbs(e, verbs);
    emit_key(e, "mode"), emit_words(e, r->mode == DECIDE_SHADOW ? "Shadow" : "Enforce");
    emit_key(e, "admitted"), emit_uint(e, r->counts[SCORE_ADMITTED]);
    emit_key(e, "rejected"), emit_uint(e, r->counts[SCORE_REJECTED]);
    emit_key(e, "unknown"), emit_uint(e, r->counts[SCORE_UNKNOWN]);
    put_contradiction(e, r);
}

static void put_record(struct emit *e, const struct ranked *ranked, unsigned verbs,
                       const uint32_t *order, struct arena *scratch)
{
    const struct record *const r = ranked->r;
    const size_t mark = arena_mark(scratch);
    struct told told;
    struct score_rules rules;
    const bool full = tell(&told, r, ranked->cells, scratch);
    const uint32_t first = r->n_cells ? ranked->cells[order[0]] : 0;
    const bool admits = r->n_cells && record_cell_verdict(r, first) == SCORE_ADMITTED;
    const struct str best = admits ? record_cell_name(r, first) : STR("");

    emit_object(e);
    record_summary_json(e, r, verbs, admits ? &best : NULL);
    emit_key(e, "nodesLeftOut"), emit_uint(e, r->n_left_out);
    rules_of(&rules, r);
    emit_key(e, "ignoredHints"), report_hints_json(e, pod_of(r), &rules);
    emit_key(e, "nodes"), emit_array(e);
    for (uint32_t k = 0; k < r->n_cells; k++)
        put_cell(e, r, ranked->cells, order[k], full ? &told : NULL, scratch);
    emit_end(e);
    emit_end(e);
    arena_rewind(scratch, mark);
}

void record_json(struct buf *out, const struct record *r, unsigned verbs, const uint32_t *cells,
                 struct arena *scratch)
{
    struct ranked ranked = {r, cells};
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
    put_record(&e, &ranked, verbs, order, scratch);
    buf_text(out, "\n");
    free(order);
}
