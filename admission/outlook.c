/* SPDX-License-Identifier: Apache-2.0 */
#include "admission/outlook.h"

#include <errno.h>
#include <string.h>

#include "admission/findings.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "decide/decide.h"
#include "decide/memo.h"
#include "decide/offer.h"
#include "decide/report.h"
#include "scoring/without.h"

enum { MEMO_BYTES = 1024 * 1024, MEMO_SHAPES = 16 };

int adm_foresight_init(struct adm_foresight *f, struct err *err)
{
    *f = (struct adm_foresight){.left_ns = ADM_SAVED_MS * UINT64_C(1000000)};
    return memo_new(&f->memo, MEMO_BYTES, MEMO_SHAPES, err);
}

void adm_foresight_done(struct adm_foresight *f)
{
    memo_free(f->memo);
    *f = (struct adm_foresight){0};
}

bool adm_has_time(struct adm_foresight *f, uint64_t now_ns)
{
    const uint64_t most = ADM_SAVED_MS * UINT64_C(1000000);
    const uint64_t more = f->asked_ns ? (now_ns - f->asked_ns) / ADM_SHARE : 0;

    f->left_ns = more > most - f->left_ns ? most : f->left_ns + more;
    f->asked_ns = now_ns;
    return f->left_ns > 0;
}

void adm_spent(struct adm_foresight *f, uint64_t ns)
{
    f->left_ns -= ns < f->left_ns ? ns : f->left_ns;
}

/* --- why nowhere --- */

/* Nodes with one reason. */
struct group {
    enum score_reason reason; /* NONE: the kubelet would admit it, but there is no room in sum */
    uint32_t n, first;        /* how many, and the first row */
};

enum {
    GROUPS = SCORE_REASONS,
    TOLD = 4,
    AROUND = 36, /* bytes of "numawise: ", ", others" and " (where it passes)" */
};

static bool is_unknown(const struct group *g)
{
    return g->reason != SCORE_REASON_NONE && score_reason_verdict(g->reason) == SCORE_UNKNOWN;
}

/* The most nodes first, and those that nothing is known of last. */
static bool goes_before(const struct group *x, const struct group *y)
{
    if (is_unknown(x) != is_unknown(y))
        return is_unknown(y);
    return x->n > y->n;
}

static uint32_t group_rows(struct group out[GROUPS], const struct decision *d)
{
    struct group all[GROUPS] = {0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        struct group *const g = &all[d->rows[i].reason];

        if (g->n++ == 0)
            g->first = i;
    }
    for (uint32_t r = 0; r < GROUPS; r++) {
        uint32_t at = n;

        if (all[r].n == 0)
            continue;
        all[r].reason = (enum score_reason)r;
        for (; at > 0 && goes_before(&all[r], &out[at - 1]); at--)
            out[at] = out[at - 1];
        out[at] = all[r];
        n++;
    }
    return n;
}

/*
 * As many clauses of `message` as fit into `room` bytes, "zone 0: cpu needs 40, free 38 of 64",
 * without who holds what: those are pods of others.
 */
static void add_clauses(struct buf *out, struct str message, size_t room)
{
    const size_t from = out->n;
    bool is_cut = false;

    while (message.p && message.n) {
        const char *const end = memmem(message.p, message.n, "; ", 2);
        struct str clause = {message.p, end ? (size_t)(end - message.p) : message.n};
        const char *const held = memmem(clause.p, clause.n, ", held by ", 10);

        message = end ? (struct str){end + 2, message.n - clause.n - 2}
                      : (struct str){message.p + message.n, 0};
        if (held)
            clause.n = (size_t)(held - clause.p);
        if (out->n - from + clause.n + 9 > room) /* " (", "; ", "; ...", ")" */
            is_cut = true;
        else
            buf_printf(out, "%s%.*s", out->n == from ? " (" : "; ", STR_ARG(clause));
    }
    if (out->n > from)
        buf_text(out, is_cut ? "; ...)" : ")");
}

/* Why the first row of a group is refused, in words. */
static int say_why(struct buf *out, const struct report *r, const struct group *g, struct arena *a)
{
    struct score_detail detail;

    if (g->reason == SCORE_REASON_NONE) {
        offer_text(out, decide_lack(r->decision, g->first));
        return 0;
    }
    const int rc = report_detail(&detail, r, g->first, a);
    if (rc == 0)
        buf_str(out, detail.message);
    return rc;
}

static const char *name_of(const struct group *g)
{
    return g->reason == SCORE_REASON_NONE ? "no room in sum" : score_reason_text(g->reason);
}

static void add_name(struct buf *out, const struct group *g, bool is_first)
{
    buf_printf(out, "%s%s on %u", is_first ? "" : ", ", name_of(g), g->n);
}

/* "TopologyAffinityError on 9 (zone 0: cpu needs 40, free 38 of 64), NoTopology on 3" */
static int add_groups(struct buf *out, const struct report *r, const struct group *groups,
                      uint32_t n, struct arena *a)
{
    const uint32_t told = n < TOLD ? n : TOLD;
    CLEANUP(buf_free) struct buf names = {0};
    uint32_t known = 0; /* they come first */
    int rc = 0;

    for (uint32_t i = 0; i < told; i++) {
        add_name(&names, &groups[i], i == 0);
        known += !is_unknown(&groups[i]);
    }
    size_t room = ADM_WARNING_BYTES - AROUND;
    room -= out->n + names.n < room ? out->n + names.n : room;
    for (uint32_t i = 0; rc == 0 && i < told; i++) {
        CLEANUP(buf_free) struct buf why = {0};

        add_name(out, &groups[i], i == 0);
        const size_t named = out->n;
        if (i >= known)
            continue;
        rc = say_why(&why, r, &groups[i], a);
        /* most of what is left goes to the more frequent reason */
        add_clauses(out, buf_view(&why), i + 1 == known ? room : room * 2 / 3);
        room -= out->n - named;
        out->failed |= why.failed;
    }
    return rc || names.failed ? -ENOMEM : 0;
}

/* --- and if they were empty? --- */

/* Would the kubelet of this node admit the pod if nobody else were there, as far as is known? */
static int fits_when_empty(bool *out, const struct decision *d, uint32_t i, struct arena *a)
{
    const struct node_view *const v = decide_node(d, i);
    const struct offer_lack *const lack = decide_lack(d, i);

    *out = true;
    if (lack) {
        *out = lack->needs <= lack->of;
        return 0;
    }
    /* What is assumed may be otherwise, who is not placed cannot be taken away, and what pods
       requested of the network stays taken. */
    if (!v || d->rows[i].verdict != SCORE_REJECTED || v->assumed || v->n_unplaced ||
        d->rows[i].reason == SCORE_NETWORK_BANDWIDTH)
        return 0;
    bool *const gone = arena_array(a, v->n_pods, sizeof(*gone));
    if (!gone)
        return -ENOMEM;
    memset(gone, true, v->n_pods * sizeof(*gone));
    return score_fits_without(out, v, gone, d->request, a);
}

/* Is it certain that no node would admit the pod, whoever ends? */
static int is_hopeless(bool *out, const struct decision *d, struct arena *a)
{
    bool fits = d->n > ADM_EMPTY_NODES;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && !fits && i < d->n; i++) {
        const size_t mark = arena_mark(a);

        rc = fits_when_empty(&fits, d, i, a);
        arena_rewind(a, mark);
    }
    *out = !fits;
    return rc;
}

/* --- the whole --- */

static void say_nodes(struct buf *out, const char *who, uint32_t n, bool hopeless)
{
    if (n == 1)
        buf_printf(out, "the only node does not admit %s", who);
    else
        buf_printf(out, "none of %u nodes admits %s", n, who);
    buf_text(out, hopeless ? ", and none would if it were empty: " : " now: ");
}

static int tell(struct buf *out, const struct adm_question *q, const struct report *r,
                struct arena *a)
{
    const struct decision *const d = r->decision;
    struct group groups[GROUPS];
    bool hopeless;
    int rc = is_hopeless(&hopeless, d, a);

    if (rc)
        return rc;
    const uint32_t n = group_rows(groups, d);
    say_nodes(out, q->who, d->n, hopeless);
    rc = add_groups(out, r, groups, n, a);
    if (rc == 0 && n > TOLD)
        buf_text(out, ", others");
    if (rc == 0 && d->counts[SCORE_UNKNOWN] > d->refused)
        buf_text(out, " (where it passes)");
    return rc || out->failed ? -ENOMEM : 0;
}

/* Does some node admit the pod, and would kube-scheduler offer it? */
static bool has_room(const struct decision *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (decide_is_candidate(d, i))
            return true;
    return false;
}

/* `text` gets what is to be said where there is no room. */
static int look(enum adm_outlook *out, struct buf *text, struct adm_foresight *f,
                const struct adm_question *q, struct arena *a, struct err *err)
{
    const uint32_t n = cluster_snapshot_nodes(q->snapshot);
    struct str *const names = arena_array(a, n, sizeof(*names));
    const struct decide_ask ask = {.pod = q->pod, .n = n, .names = names};
    const struct decide_options options = {
        .mode = DECIDE_ENFORCE,
        .max_score = DECIDE_DEFAULT_MAX_SCORE,
        .offers = true, /* there is no kube-scheduler here to leave nodes out */
        .context = {.now_us = q->now_us, .max_age_us = q->max_age_us},
        .memo = f->memo,
    };
    struct decision d;

    if (!names)
        return err_set(err, -ENOMEM, "no memory for %u nodes", n);
    for (uint32_t i = 0; i < n; i++)
        names[i] = cluster_snapshot_node(q->snapshot, i)->name;
    const int rc = decide_run(&d, &ask, q->snapshot, &options, a, err);
    if (rc)
        return rc;
    *out = d.pass != DECIDE_JUDGED                     ? ADM_UNJUDGED
           : has_room(&d)                              ? ADM_ROOM
           : d.counts[SCORE_REJECTED] + d.no_room == 0 ? ADM_UNJUDGED
                                                       : ADM_NOWHERE;
    const struct report report = {.ask = &ask, .decision = &d, .options = &options};
    if (*out == ADM_NOWHERE && tell(text, q, &report, a))
        return err_set(err, -ENOMEM, "no memory to say why");
    return 0;
}

int adm_look(enum adm_outlook *out, struct adm_findings *findings, struct adm_foresight *f,
             const struct adm_question *q, struct arena *scratch, struct err *err)
{
    const size_t mark = arena_mark(scratch);
    CLEANUP(buf_free) struct buf text = {0};

    if (cluster_snapshot_nodes(q->snapshot) > ADM_NODES) {
        *out = ADM_SKIPPED;
        return 0;
    }
    const int rc = look(out, &text, f, q, scratch, err);
    arena_rewind(scratch, mark); /* before the warning, which may live in the same arena */
    if (rc == 0 && *out == ADM_NOWHERE)
        adm_warn(findings, "%s", text.p);
    return rc;
}
