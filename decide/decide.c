/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/decide.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/snapshot.h"
#include "decide/memo.h"
#include "decide/offer.h"
#include "kube/hints.h"
#include "scoring/shape.h"

const char *decide_class_text(enum score_class class)
{
    switch (class) {
    case SCORE_CLASS_DEFAULT:
        return "default";
    case SCORE_CLASS_CRITICAL:
        return "critical";
    case SCORE_CLASS_BEST_EFFORT:
        return "best-effort";
    }
    return "";
}

const char *decide_pass_text(enum decide_pass pass)
{
    switch (pass) {
    case DECIDE_JUDGED:
        return "";
    case DECIDE_NOT_UNDERSTOOD:
        return "the pod was not understood: every node passes";
    case DECIDE_IGNORED:
        return "the hint orchestration.gokore.io/ignore is \"true\": every node passes";
    }
    return "";
}

bool decide_passes(const struct decide_row *row, enum decide_mode mode)
{
    return mode == DECIDE_SHADOW || row->result.verdict != SCORE_REJECTED;
}

bool decide_is_candidate(const struct decide_row *row)
{
    return row->result.verdict == SCORE_ADMITTED && !row->lack;
}

int decide_compare(const struct decision *d, const struct str *names, uint32_t i, uint32_t j)
{
    const struct decide_row *const x = &d->rows[i], *const y = &d->rows[j];

    if (x->result.verdict != y->result.verdict)
        return x->result.verdict < y->result.verdict ? -1 : 1;
    if ((x->lack == NULL) != (y->lack == NULL))
        return x->lack ? 1 : -1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return str_cmp(names[i], names[j]);
}

__extension__ typedef unsigned __int128 wide;

/*
 * Multiply-and-fold over eight bytes at a time. The key is an address of this run: nobody outside
 * knows it, so names cannot be chosen to collide.
 */
static uint64_t hash_name(struct str s, uint64_t key)
{
    uint64_t h = key ^ s.n;

    for (size_t at = 0; at < s.n; at += 8) {
        uint64_t word = 0;
        memcpy(&word, s.p + at, s.n - at < 8 ? s.n - at : 8);
        const wide product = (wide)(h ^ word) * (key | UINT64_C(0x9e3779b97f4a7c15));
        h = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return h;
}

/* Candidates already seen, by open addressing; slots hold index + 1. */
struct seen {
    uint32_t *slots;
    uint32_t mask;
};

static int seen_init(struct seen *s, uint32_t n, struct arena *a)
{
    uint64_t size = 2;

    while (size < 2 * (uint64_t)n)
        size *= 2;
    if (size > UINT32_MAX)
        return -ENOMEM;
    s->slots = arena_array(a, size, sizeof(*s->slots));
    s->mask = (uint32_t)(size - 1);
    return s->slots ? 0 : -ENOMEM;
}

static uint32_t first_slot(const struct seen *s, const struct decide_row *row, struct str name)
{
    const uint64_t key = (uint64_t)(uintptr_t)s->slots;
    const uint64_t h = row->node ? (uint64_t)(uintptr_t)row->node >> 4 : hash_name(name, key);

    return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & s->mask;
}

/* True when candidate `i` came before; a node of the snapshot is its view, another its name. */
static bool seen_before(struct seen *s, const struct decide_ask *ask, const struct decide_row *rows,
                        uint32_t i)
{
    uint32_t at = first_slot(s, &rows[i], ask->names[i]);

    for (; s->slots[at]; at = (at + 1) & s->mask) {
        const uint32_t j = s->slots[at] - 1;
        if (rows[i].node == rows[j].node && (rows[i].node || str_eq(ask->names[i], ask->names[j])))
            return true;
    }
    s->slots[at] = i + 1;
    return false;
}

static int find_rows(struct decide_row *rows, const struct decide_ask *ask,
                     const struct cluster_snapshot *snapshot, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct seen seen;
    const int rc = seen_init(&seen, ask->n, a);

    for (uint32_t i = 0; rc == 0 && i < ask->n; i++) {
        rows[i].position = cluster_snapshot_position(snapshot, ask->names[i]);
        rows[i].node = rows[i].position == UINT32_MAX
                           ? NULL
                           : cluster_snapshot_node(snapshot, rows[i].position);
        rows[i].result = (struct score_result){.verdict = SCORE_UNKNOWN};
        rows[i].repeated = seen_before(&seen, ask, rows, i);
    }
    arena_rewind(a, mark);
    return rc;
}

/* The answers remembered for the request's shape; NULL where nothing is. */
static int recall(struct memo_shape **out, const struct decision *d,
                  const struct decide_options *options, uint32_t nodes, struct arena *a)
{
    struct str shape;

    *out = NULL;
    if (!options->memo)
        return 0;
    const int rc = score_shape(&shape, d->request, a);
    if (rc == 0)
        *out = memo_find(options->memo, shape, nodes);
    return rc;
}

static int judge_row(struct decide_row *row, const struct decision *d, struct memo_shape *known,
                     struct arena *a)
{
    const uint64_t revision = row->node->revision;

    if (known && memo_get(known, row->position, revision, &row->result))
        return 0;
    const int rc = score_node_timeless(&row->result, d->request, row->node, a);
    if (rc == 0 && known)
        memo_put(known, row->position, revision, &row->result);
    return rc;
}

static int judge(struct decision *d, struct decide_row *rows, const struct decide_options *options,
                 uint32_t nodes, struct arena *a)
{
    struct memo_shape *known;
    int rc = recall(&known, d, options, nodes, a);

    for (uint32_t i = 0; rc == 0 && i < d->n; i++) {
        struct decide_row *const row = &rows[i];

        if (!row->node)
            row->result.reason = SCORE_NO_TOPOLOGY;
        if (!row->node || row->repeated)
            continue;
        rc = judge_row(row, d, known, a);
        if (rc)
            break;
        score_node_clock(&row->result, row->node, &options->context);
        if (row->result.verdict == SCORE_ADMITTED)
            d->any |= row->result.known;
    }
    return rc;
}

static void weigh(const struct decision *d, struct decide_row *rows, uint32_t max_score)
{
    for (uint32_t i = 0; i < d->n; i++) {
        const struct score_result *const r = &rows[i].result;
        if (r->verdict != SCORE_ADMITTED)
            continue;
        const uint32_t score = score_weigh(d->weights, r->term, r->known, d->any);
        rows[i].score = (uint16_t)score;
        rows[i].wire = (uint16_t)score_wire(score, max_score);
    }
}

static enum decide_pass why_pass(const struct score_pod *pod)
{
    if (!pod)
        return DECIDE_NOT_UNDERSTOOD;
    return kube_hints_ignore(pod) ? DECIDE_IGNORED : DECIDE_JUDGED;
}

static int ask_scoring(struct decision *d, struct decide_row *rows, const struct decide_ask *ask,
                       const struct decide_options *options, uint32_t nodes, struct arena *a,
                       struct err *err)
{
    struct score_request *request;
    int rc = score_request_init(&request, ask->pod, a, err);

    if (rc)
        return rc;
    d->request = request;
    d->qos = score_request_qos(request);
    d->class = d->qos == POD_BEST_EFFORT ? SCORE_CLASS_BEST_EFFORT : SCORE_CLASS_DEFAULT;
    d->weights = score_default_weights(d->class);
    rc = judge(d, rows, options, nodes, a);
    if (rc == 0 && options->offers)
        rc = offer_rows(rows, ask, a);
    if (rc)
        return err_set(err, rc, "no memory to judge %u nodes", ask->n);
    weigh(d, rows, options->max_score);
    return 0;
}

int decide_run(struct decision *out, const struct decide_ask *ask,
               const struct cluster_snapshot *snapshot, const struct decide_options *options,
               struct arena *a, struct err *err)
{
    struct decision d = {
        .generation = cluster_snapshot_generation(snapshot),
        .pass = why_pass(ask->pod),
        .qos = ask->pod ? pod_qos_of(ask->pod) : POD_BEST_EFFORT,
        .weights = score_default_weights(SCORE_CLASS_DEFAULT),
        .n = ask->n,
    };
    struct decide_row *const rows = arena_array(a, ask->n, sizeof(*rows));

    assert(options->max_score >= 1 && options->max_score <= DECIDE_LIMIT_MAX_SCORE);
    if (!rows || find_rows(rows, ask, snapshot, a))
        return err_set(err, -ENOMEM, "no memory for %u candidates", ask->n);
    if (d.pass == DECIDE_JUDGED) {
        const int rc =
            ask_scoring(&d, rows, ask, options, cluster_snapshot_nodes(snapshot), a, err);
        if (rc)
            return rc;
    }
    for (uint32_t i = 0; i < d.n; i++) {
        d.counts[rows[i].result.verdict] += !rows[i].repeated;
        d.no_room += rows[i].lack && !rows[i].repeated;
    }
    d.rows = rows;
    *out = d;
    return 0;
}
