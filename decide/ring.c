/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/ring.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cluster/block.h"
#include "cluster/context.h"
#include "cluster/origin.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "decide/kubelet_case.h"
#include "decide/pins.h"
#include "decide/record.h"
#include "decide/report.h"
#include "kube/emit.h"

enum { JOIN_REACH = 16 /* records to look back for the filter of a prioritize */ };

struct ring {
    pthread_mutex_t lock;
    size_t max_bytes;
    size_t bytes; /* of the records themselves */
    struct pins pins;
    struct record *newest, *oldest;
    uint64_t last_ms, counter;
    uint64_t kept, added, evicted, lost;
    struct kept_case *first_case, **last_case; /* oldest first */
    size_t case_bytes;
    uint64_t cases, cases_lost;
};

/* On the heap, its text behind it. */
struct kept_case {
    struct kept_case *next;
    size_t n;
};

static int check_size(size_t max_bytes, struct err *err)
{
    if (max_bytes >= RING_LEAST_BYTES)
        return 0;
    return err_set(err, -EINVAL, "decisions.maxBytes is at least %d", RING_LEAST_BYTES);
}

int ring_new(struct ring **out, size_t max_bytes, struct err *err)
{
    if (check_size(max_bytes, err))
        return -EINVAL;
    struct ring *const r = calloc(1, sizeof(*r));
    if (!r || pthread_mutex_init(&r->lock, NULL)) {
        free(r);
        return err_set(err, -ENOMEM, "no memory for the decisions");
    }
    r->max_bytes = max_bytes;
    r->last_case = &r->first_case;
    *out = r;
    return 0;
}

/* Of a view, with what it was made of. */
static size_t view_bytes(const struct block *b)
{
    const struct origin *const origin = origin_of(b);

    return sizeof(*b) + b->used + (origin ? origin->bytes : 0);
}

static void unpin(struct ring *r, const struct record *record)
{
    for (uint32_t k = 0; k < record->n_details; k++) {
        if (record->details[k].view)
            pins_drop(&r->pins, record->details[k].view);
    }
    if (record->policies)
        pins_drop(&r->pins, record->policies);
    if (record->roster)
        pins_drop(&r->pins, record->roster);
}

/*
 * Count what the record keeps alive. The views may take a quarter of the bytes: behind that, nodes
 * are no longer told in full. False: out of memory, nothing is counted.
 */
static bool pin(struct ring *r, struct record *record)
{
    const size_t most = r->pins.bytes + r->max_bytes / 4;
    uint32_t k = 0;

    if (record->roster && !pins_take(&r->pins, record->roster, record->roster->bytes))
        return false;
    if (record->policies &&
        !pins_take(&r->pins, record->policies, cluster_context_bytes(record->policies))) {
        if (record->roster)
            pins_drop(&r->pins, record->roster);
        return false;
    }
    for (; k < record->n_details && r->pins.bytes <= most; k++) {
        const struct block *const view = record->details[k].view;

        if (view && !pins_take(&r->pins, view, view_bytes(view)))
            break;
    }
    record_trim(record, k);
    return true;
}

static void unlink_record(struct ring *r, struct record *record)
{
    *(record->newer ? &record->newer->older : &r->newest) = record->older;
    *(record->older ? &record->older->newer : &r->oldest) = record->newer;
    r->bytes -= record->bytes;
    r->kept--;
    unpin(r, record);
    record_unref(record);
}

static void link_record(struct ring *r, struct record *record)
{
    record->older = r->newest;
    record->newer = NULL;
    *(r->newest ? &r->newest->newer : &r->oldest) = record;
    r->newest = record;
    r->bytes += record->bytes;
    r->kept++;
}

/* ---- cases ---- */

static void drop_case(struct ring *r)
{
    struct kept_case *const c = r->first_case;

    r->first_case = c->next;
    if (!c->next)
        r->last_case = &r->first_case;
    r->case_bytes -= sizeof(*c) + c->n;
    r->cases--;
    free(c);
}

static size_t case_room(const struct ring *r)
{
    return r->max_bytes / 8;
}

static void keep_case(struct ring *r, struct str text)
{
    const size_t bytes = sizeof(struct kept_case) + text.n;
    struct kept_case *const c = text.n && bytes <= case_room(r) ? malloc(bytes) : NULL;

    if (!c) {
        r->cases_lost++;
        return;
    }
    *c = (struct kept_case){.n = text.n};
    memcpy(c + 1, text.p, text.n);
    while (r->cases == RING_CASES || r->case_bytes + bytes > case_room(r))
        drop_case(r);
    *r->last_case = c;
    r->last_case = &c->next;
    r->case_bytes += bytes;
    r->cases++;
}

static size_t all_bytes(const struct ring *r)
{
    return r->bytes + r->pins.bytes + r->case_bytes;
}

/* Drop the oldest until it fits. The table of pins shrinks only when nothing is left. */
static void shrink(struct ring *r)
{
    while (r->case_bytes > case_room(r))
        drop_case(r);
    while (r->oldest && all_bytes(r) > r->max_bytes) {
        unlink_record(r, r->oldest);
        r->evicted++;
    }
    if (!r->oldest && all_bytes(r) > r->max_bytes)
        pins_done(&r->pins);
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    while (r->oldest)
        unlink_record(r, r->oldest);
    while (r->first_case)
        drop_case(r);
    pins_done(&r->pins);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

int ring_resize(struct ring *r, size_t max_bytes, struct err *err)
{
    if (check_size(max_bytes, err))
        return -EINVAL;
    (void)pthread_mutex_lock(&r->lock);
    r->max_bytes = max_bytes;
    shrink(r);
    (void)pthread_mutex_unlock(&r->lock);
    return 0;
}

/*
 * A ULID's form: 48 bits of milliseconds, then 80 bits, here a counter. Sorts by time as text;
 * when the clock steps back the last millisecond goes on. The counter starts at 1 with the process.
 */
static void next_id(struct ring *r, int64_t now_us, char id[RECORD_ID_BYTES + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const uint64_t ms = now_us > 0 ? (uint64_t)now_us / 1000 : 0;

    r->last_ms = ms > r->last_ms ? ms : r->last_ms;
    uint64_t time = r->last_ms, count = ++r->counter;
    for (int i = 9; i >= 0; i--, time >>= 5)
        id[i] = digits[time & 31];
    for (int i = RECORD_ID_BYTES - 1; i >= 10; i--, count >>= 5)
        id[i] = digits[count & 31];
    id[RECORD_ID_BYTES] = 0;
}

/* Is it a filter of the same pod, seen in the same snapshot, that prioritize has not joined? */
static bool awaits(const struct record *record, const struct report *report)
{
    const struct score_pod *const pod = report->ask->pod;

    return pod && record->verbs == RECORD_FILTER &&
           record->generation == report->decision->generation &&
           str_eq(record_uid(record), pod->uid) && str_eq(record_name(record), pod->name) &&
           str_eq(record_ns(record), pod->ns);
}

static bool join(struct ring *r, const struct record_input *in)
{
    struct record *record = r->newest;

    if (in->verb != RECORD_PRIORITIZE)
        return false;
    for (int i = 0; record && i < JOIN_REACH; i++, record = record->older)
        if (awaits(record, in->report))
            return record_join(record, in);
    return false;
}

/* True when it is kept; a record that alone is over its share is dropped again. */
static bool keep(struct ring *r, const struct record_input *in, bool whole)
{
    struct record *const record = record_new(in, whole);

    if (!record || (whole && record->bytes > r->max_bytes / 2) || !pin(r, record)) {
        record_unref(record);
        return false;
    }
    link_record(r, record);
    shrink(r);
    return r->newest == record;
}

/* Can the ring afford the names of all nodes, beside what is to be kept of them? */
static bool fits_whole(const struct ring *r, const struct decision *d)
{
    return !d->snapshot || cluster_snapshot_roster(d->snapshot)->bytes <= r->max_bytes / 4;
}

int ring_add(struct ring *r, const struct report *report, unsigned verb, int64_t now_us)
{
    char id[RECORD_ID_BYTES + 1];
    const struct record_input in = {.report = report, .id = id, .time_us = now_us, .verb = verb};

    (void)pthread_mutex_lock(&r->lock);
    r->added++;
    bool kept = join(r, &in);
    if (!kept) {
        next_id(r, now_us, id);
        kept = (fits_whole(r, report->decision) && keep(r, &in, true)) || keep(r, &in, false);
    }
    r->lost += !kept;
    (void)pthread_mutex_unlock(&r->lock);
    return kept ? 0 : -E2BIG;
}

static struct record *find(const struct ring *r, struct str id)
{
    struct record *record = r->newest;

    while (record && !str_is(id, record->id))
        record = record->older;
    return record;
}

struct record *ring_take(struct ring *r, struct str id)
{
    (void)pthread_mutex_lock(&r->lock);
    struct record *const record = find(r, id);
    if (record)
        (void)record_ref(record);
    (void)pthread_mutex_unlock(&r->lock);
    return record;
}

/* A record for its reader, and as copies what may change in it. */
struct reading {
    struct record *record;
    unsigned verbs;
    uint32_t *cells;
};

static int open_reading(struct reading *out, struct record *record)
{
    const size_t bytes = record->n_cells * sizeof(*record->cells);
    uint32_t *const cells = malloc(bytes + 1);

    if (!cells)
        return -ENOMEM;
    memcpy(cells, record->cells, bytes);
    *out = (struct reading){record_ref(record), record->verbs, cells};
    return 0;
}

int ring_render(struct ring *r, struct str id, struct buf *out, struct arena *scratch)
{
    struct reading it = {0};

    (void)pthread_mutex_lock(&r->lock);
    struct record *const record = find(r, id);
    int rc = record ? open_reading(&it, record) : -ENOENT;
    (void)pthread_mutex_unlock(&r->lock);
    if (rc == 0) {
        record_json(out, it.record, it.verbs, it.cells, scratch);
        rc = out->failed ? -ENOMEM : 0;
    }
    record_unref(it.record);
    free(it.cells);
    return rc;
}

/* "ns/name", or everything when `pod` is empty. */
static bool is_about(const struct record *record, struct str pod)
{
    struct str name = pod;
    const struct str ns = str_cut(&name, '/');

    return pod.n == 0 || (str_eq(ns, record_ns(record)) && str_eq(name, record_name(record)));
}

/* The best node of a record: admitted, highest score, first name; n_cells when there is none. */
static uint32_t best_cell(const struct record *record)
{
    uint32_t best = record->n_cells;

    for (uint32_t k = 0; k < record->n_details; k++) {
        const uint32_t i = record->details[k].cell, cell = record->cells[i];

        if (record_cell_verdict(record, cell) != SCORE_ADMITTED)
            continue;
        if (best == record->n_cells ||
            record_cell_score(cell) > record_cell_score(record->cells[best]) ||
            (record_cell_score(cell) == record_cell_score(record->cells[best]) &&
             str_cmp(record_cell_name(record, cell),
                     record_cell_name(record, record->cells[best])) < 0))
            best = i;
    }
    return best;
}

static void list_one(const struct record *record, struct emit *e)
{
    const uint32_t best = best_cell(record);
    const bool any = best < record->n_cells;
    const struct str name = any ? record_cell_name(record, record->cells[best]) : STR("");

    emit_object(e);
    record_summary_json(e, record, record->verbs, any ? &name : NULL);
    emit_end(e);
}

int ring_list(struct ring *r, struct str pod, struct buf *out)
{
    struct emit e;
    int n = 0;

    emit_init(&e, out, true);
    emit_object(&e);
    emit_key(&e, "decisions"), emit_array(&e);
    (void)pthread_mutex_lock(&r->lock);
    for (const struct record *record = r->newest; record && n < RING_LIST; record = record->older)
        if (is_about(record, pod)) {
            list_one(record, &e);
            n++;
        }
    (void)pthread_mutex_unlock(&r->lock);
    emit_end(&e);
    emit_end(&e);
    buf_text(out, "\n");
    return out->failed ? -ENOMEM : 0;
}

/* A case of what the kubelet of `node` said of the record's pod; nothing where it is not known. */
static void case_text(struct buf *out, const struct record *record, struct str node,
                      enum score_reason reason)
{
    CLEANUP(buf_free) struct buf why = {0};
    const struct node_view *const view = record_view(record, node);
    char when[32];

    if (!view || view->knowledge != NODE_KNOWN)
        return;
    clock_format_rfc3339(when, record->time_us);
    buf_printf(
        &why,
        "%.*s/%.*s on %.*s: admitted by a decision of %s, refused by the kubelet. `state` is "
        "what was known of the node then",
        STR_ARG(record_ns(record)), STR_ARG(record_name(record)), STR_ARG(node), when);
    const struct kubelet_case c = {.name = {record->id, RECORD_ID_BYTES},
                                   .why = buf_view(&why),
                                   .node = view,
                                   .pod = record->pod->value,
                                   .reason = reason};
    kubelet_case_json(out, &c);
    out->n = why.failed || out->failed ? 0 : out->n;
}

int ring_contradict(struct ring *r, struct str uid, struct str node, enum score_reason reason,
                    char *id)
{
    CLEANUP(buf_free) struct buf text = {0};

    (void)pthread_mutex_lock(&r->lock);
    struct record *record = r->newest;
    while (record && !record_contradict(record, uid, node, reason))
        record = record->older;
    if (record)
        (void)record_ref(record);
    (void)pthread_mutex_unlock(&r->lock);
    if (!record)
        return -ENOENT;
    memcpy(id, record->id, sizeof(record->id));
    case_text(&text, record, node, reason);
    record_unref(record);
    (void)pthread_mutex_lock(&r->lock);
    keep_case(r, buf_view(&text));
    shrink(r);
    (void)pthread_mutex_unlock(&r->lock);
    return 0;
}

int ring_cases(struct ring *r, struct buf *out)
{
    (void)pthread_mutex_lock(&r->lock);
    for (const struct kept_case *c = r->first_case; c; c = c->next)
        buf_add(out, c + 1, c->n);
    (void)pthread_mutex_unlock(&r->lock);
    return out->failed ? -ENOMEM : 0;
}

void ring_stats(struct ring *r, struct ring_stats *out)
{
    (void)pthread_mutex_lock(&r->lock);
    *out = (struct ring_stats){
        .bytes = all_bytes(r),
        .max_bytes = r->max_bytes,
        .kept = r->kept,
        .added = r->added,
        .evicted = r->evicted,
        .lost = r->lost,
        .cases = r->cases,
        .cases_lost = r->cases_lost,
    };
    (void)pthread_mutex_unlock(&r->lock);
}
