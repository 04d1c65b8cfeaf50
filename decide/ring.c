/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/ring.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/snapshot.h"
#include "decide/record.h"
#include "decide/report.h"
#include "kube/emit.h"

enum {
    JOIN_REACH = 16, /* records to look back for the filter of a prioritize */
    NODE_BYTES = 96, /* a generous mean: cell, name, its entry in the table */
};

struct ring {
    pthread_mutex_t lock;
    size_t max_bytes;
    size_t bytes; /* of the records */
    struct record *newest, *oldest;
    struct names names;
    struct buf text; /* working space of ring_add */
    uint64_t last_ms, counter;
    uint64_t kept, added, evicted, lost;
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
    *out = r;
    return 0;
}

static void unlink_record(struct ring *r, struct record *record)
{
    *(record->newer ? &record->newer->older : &r->newest) = record->older;
    *(record->older ? &record->older->newer : &r->oldest) = record->newer;
    r->bytes -= record->bytes;
    r->kept--;
    record_free(record, &r->names);
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

static size_t all_bytes(const struct ring *r)
{
    return r->bytes + r->names.bytes;
}

/* Drop the oldest until it fits. The table of names shrinks only when nothing is left. */
static void shrink(struct ring *r)
{
    while (r->oldest && all_bytes(r) > r->max_bytes) {
        unlink_record(r, r->oldest);
        r->evicted++;
    }
    if (!r->oldest && all_bytes(r) > r->max_bytes)
        names_done(&r->names);
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    while (r->oldest)
        unlink_record(r, r->oldest);
    names_done(&r->names);
    buf_free(&r->text);
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
            return record_join(record, in, &r->names);
    return false;
}

/* True when it is kept; a record that alone is over the bound is dropped again. */
static bool keep(struct ring *r, const struct record_input *in, bool with_cells,
                 struct arena *scratch)
{
    struct record *const record = record_new(in, &r->names, with_cells, &r->text, scratch);

    if (!record)
        return false;
    link_record(r, record);
    shrink(r);
    return r->newest == record;
}

/* Most decisions are about the nodes of the last one: their names are then known by place. */
static void set_places(struct ring *r, const struct decision *d)
{
    const uint32_t nodes = d->snapshot ? cluster_snapshot_nodes(d->snapshot) : 0;

    if (nodes && nodes <= r->max_bytes / 2 / NODE_BYTES)
        (void)names_set_places(&r->names, cluster_snapshot_names_serial(d->snapshot), nodes);
    else
        names_forget_places(&r->names);
}

/* One decision may take half of the bytes with its nodes' names, so that it drives out no more. */
static bool fits_whole(const struct ring *r, const struct report *report)
{
    return report->decision->n <= r->max_bytes / 2 / NODE_BYTES;
}

/* Working space stays small between decisions. */
static void trim(struct ring *r)
{
    if (r->text.failed || r->text.room > RING_LEAST_BYTES)
        buf_free(&r->text);
}

int ring_add(struct ring *r, const struct report *report, unsigned verb, int64_t now_us,
             struct arena *scratch)
{
    char id[RECORD_ID_BYTES + 1];
    struct record_input in = {.report = report, .id = id, .time_us = now_us, .verb = verb};

    (void)pthread_mutex_lock(&r->lock);
    r->added++;
    set_places(r, report->decision);
    bool kept = join(r, &in);
    if (!kept) {
        next_id(r, now_us, id);
        kept =
            (fits_whole(r, report) && keep(r, &in, true, scratch)) || keep(r, &in, false, scratch);
    }
    r->lost += !kept;
    trim(r);
    (void)pthread_mutex_unlock(&r->lock);
    return kept ? 0 : -E2BIG;
}

/* A record and the names of its cells, outside of the lock. */
struct copy {
    struct record *record;
    struct str *names; /* [n_cells] */
    char *bytes;
};

static void copy_done(struct copy *c)
{
    free(c->record);
    free(c->names);
    free(c->bytes);
}

static size_t names_bytes(const struct ring *r, const struct record *record)
{
    size_t n = 1;

    for (uint32_t i = 0; i < record->n_cells; i++)
        n += names_get(&r->names, record_cell_name(record->data[i])).n;
    return n;
}

static void copy_names(struct copy *c, const struct ring *r)
{
    char *p = c->bytes;

    for (uint32_t i = 0; i < c->record->n_cells; i++) {
        const struct str name = names_get(&r->names, record_cell_name(c->record->data[i]));
        if (name.n)
            memcpy(p, name.p, name.n);
        c->names[i] = (struct str){p, name.n};
        p += name.n;
    }
}

static int copy_init(struct copy *c, const struct ring *r, const struct record *record)
{
    c->record = malloc(record->bytes);
    c->names = calloc(record->n_cells + 1, sizeof(*c->names));
    c->bytes = malloc(names_bytes(r, record));
    if (!c->record || !c->names || !c->bytes)
        return -ENOMEM;
    memcpy(c->record, record, record->bytes);
    copy_names(c, r);
    return 0;
}

static const struct record *find(const struct ring *r, struct str id)
{
    const struct record *record = r->newest;

    while (record && !str_is(id, record->id))
        record = record->older;
    return record;
}

int ring_render(struct ring *r, struct str id, struct buf *out)
{
    struct copy copy = {0};

    (void)pthread_mutex_lock(&r->lock);
    const struct record *const record = find(r, id);
    int rc = record ? copy_init(&copy, r, record) : -ENOENT;
    (void)pthread_mutex_unlock(&r->lock);
    if (rc == 0) {
        record_json(out, copy.record, copy.names);
        rc = out->failed ? -ENOMEM : 0;
    }
    copy_done(&copy);
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
static uint32_t best_cell(const struct ring *r, const struct record *record)
{
    uint32_t best = record->n_cells;

    for (uint32_t k = 0; k < record->n_details; k++) {
        const uint32_t i = record_details(record)[k].cell;
        const uint32_t cell = record->data[i];
        if (record_cell_verdict(record, cell) != SCORE_ADMITTED)
            continue;
        if (best == record->n_cells ||
            record_cell_score(cell) > record_cell_score(record->data[best]) ||
            (record_cell_score(cell) == record_cell_score(record->data[best]) &&
             str_cmp(names_get(&r->names, record_cell_name(cell)),
                     names_get(&r->names, record_cell_name(record->data[best]))) < 0))
            best = i;
    }
    return best;
}

static void list_one(const struct ring *r, const struct record *record, struct emit *e)
{
    const uint32_t best = best_cell(r, record);
    struct str name = STR("");

    if (best < record->n_cells)
        name = names_get(&r->names, record_cell_name(record->data[best]));
    emit_object(e);
    record_summary_json(e, record, best < record->n_cells ? &name : NULL);
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
            list_one(r, record, &e);
            n++;
        }
    (void)pthread_mutex_unlock(&r->lock);
    emit_end(&e);
    emit_end(&e);
    buf_text(out, "\n");
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
    };
    (void)pthread_mutex_unlock(&r->lock);
}
