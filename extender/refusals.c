/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/refusals.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"

enum { CHUNK = 512 /* nodes judged in one go: the first that admits is enough */ };

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

struct refusal {
    struct refusal *next;
    struct str ns, name, uid; /* behind it */
    struct roster *roster;    /* a reference */
    uint64_t *asked;          /* a bit for each of its names: who was asked about */
    bool strangers;           /* nodes were, that are not of the roster */
    bool was_known;           /* the pod is, or was, in the cluster as we know it */
    bool asking;              /* due, and kube-scheduler is being made to ask since told_ns */
    uint64_t generation;      /* it was judged over; 0 = not yet */
    uint64_t taken_ns;        /* filter was asked last */
    uint64_t fits_ns;         /* some node has admitted it since; 0 = none does */
    uint64_t told_ns;         /* made to ask, and it was not said that this failed; 0 = never */
    uint64_t made_ns, made_generation; /* it has been made to ask last; 0 = never */
    uint32_t times;                    /* in a row */
};

bool refusal_is_one(const struct decision *d, enum decide_mode mode)
{
    return mode == DECIDE_ENFORCE && d->pass == DECIDE_JUDGED && d->n > 0 &&
           d->counts[SCORE_ADMITTED] == 0 && d->counts[SCORE_UNKNOWN] == d->refused;
}

/* ---- one ---- */

static uint64_t *new_bits(uint32_t n)
{
    return calloc(n / 64 + 1, sizeof(uint64_t));
}

static void set_bit(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static struct str put(char **at, struct str text)
{
    char *const p = *at;

    for (size_t i = 0; i < text.n; i++)
        p[i] = text.p[i];
    *at += text.n;
    return (struct str){p, text.n};
}

struct refusal *refusal_new(const struct decision *d, const struct decide_ask *ask)
{
    const struct score_pod *const pod = ask->pod;
    struct roster *const roster = cluster_snapshot_roster(d->snapshot);
    struct refusal *const f = malloc(sizeof(*f) + pod->ns.n + pod->name.n + pod->uid.n);
    uint64_t *const asked = f ? new_bits(roster->n) : NULL;

    if (!asked) {
        free(f);
        return NULL;
    }
    char *at = (char *)(f + 1);
    *f = (struct refusal){.ns = put(&at, pod->ns),
                          .name = put(&at, pod->name),
                          .uid = put(&at, pod->uid),
                          .roster = roster_ref(roster),
                          .asked = asked,
                          .generation = d->generation};
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->rows[i].position == DECIDE_NO_NODE)
            f->strangers = true;
        else
            set_bit(asked, d->rows[i].position);
    }
    return f;
}

void refusal_free(struct refusal *f)
{
    if (!f)
        return;
    roster_unref(f->roster);
    free(f->asked);
    free(f);
}

/* Nodes have come or gone. Of those that were not known some may be the new ones. */
static bool move_to(struct refusal *f, struct roster *roster)
{
    if (roster->serial == f->roster->serial)
        return true;
    uint64_t *const asked = new_bits(roster->n);
    if (!asked)
        return false;
    for (uint32_t i = 0; i < roster->n; i++) {
        const uint32_t before = roster_find(f->roster, roster_name(roster, i));

        if (before < f->roster->n ? has_bit(f->asked, before) : f->strangers)
            set_bit(asked, i);
    }
    roster_unref(f->roster);
    free(f->asked);
    f->roster = roster_ref(roster);
    f->asked = asked;
    return true;
}

/* The next names from position `*at` on; how many. */
static uint32_t next_names(const struct refusal *f, struct str names[CHUNK], uint32_t *at)
{
    uint32_t n = 0;

    for (; *at < f->roster->n && n < CHUNK; ++*at)
        if (has_bit(f->asked, *at))
            names[n++] = roster_name(f->roster, *at);
    return n;
}

/* Does one of the nodes admit it? Without memory none does. */
static bool is_admitted(const struct refusal *f, const struct score_pod *pod,
                        const struct cluster_snapshot *s, const struct decide_options *options,
                        struct arena *a)
{
    struct str names[CHUNK];
    struct decide_ask ask = {.pod = pod, .names = names};
    struct decision d;
    bool admitted = false;

    for (uint32_t at = 0; !admitted && (ask.n = next_names(f, names, &at)) > 0;) {
        const size_t mark = arena_mark(a);
        const int rc = decide_run(&d, &ask, s, options, a, NULL);

        admitted = rc == 0 && d.counts[SCORE_ADMITTED] > 0;
        arena_rewind(a, mark);
        if (rc)
            return false;
    }
    return admitted;
}

/* ---- all ---- */

static struct refusal **link_of(struct refusals *r, struct str uid)
{
    struct refusal **link = &r->first;

    while (*link && !str_eq((*link)->uid, uid))
        link = &(*link)->next;
    return link;
}

static void drop(struct refusals *r, struct refusal **link)
{
    struct refusal *const f = *link;

    *link = f->next;
    refusal_free(f);
    r->n--;
}

void refusals_done(struct refusals *r)
{
    while (r->first)
        drop(r, &r->first);
}

/* The newest stand first, so the last one was asked about longest ago. */
static void drop_last(struct refusals *r)
{
    struct refusal **link = &r->first;

    while ((*link)->next)
        link = &(*link)->next;
    drop(r, link);
}

/* After it was due, before it may be due again. */
static uint64_t pause_of(const struct refusal *f)
{
    const uint64_t most = REFUSALS_AGAIN_MOST_S * S;
    const uint64_t ns = f->times < 16 ? (REFUSALS_AGAIN_MS * MS << f->times) / 2 : most;

    return ns < most ? ns : most;
}

static void inherit(struct refusal *f, const struct refusal *old, uint64_t now_ns)
{
    f->was_known = old->was_known;
    f->asking = old->asking;
    f->told_ns = old->told_ns;
    if (old->made_ns == 0 || now_ns - old->made_ns > REFUSALS_AGAIN_MOST_S * S)
        return;
    f->made_ns = old->made_ns;
    f->made_generation = old->made_generation;
    f->times = old->times;
}

void refusals_put(struct refusals *r, struct refusal *f, uint64_t now_ns)
{
    struct refusal **const link = link_of(r, f->uid);

    if (*link) {
        inherit(f, *link, now_ns);
        drop(r, link);
    } else if (r->n == REFUSALS_MOST) {
        drop_last(r);
    }
    f->taken_ns = now_ns;
    f->next = r->first;
    r->first = f;
    r->n++;
}

bool refusals_pass(struct refusals *r, struct str uid, uint64_t now_ns, uint64_t *out_ns)
{
    struct refusal **const link = link_of(r, uid);

    if (!*link)
        return false;
    *out_ns = (*link)->told_ns ? now_ns - (*link)->told_ns : 0;
    drop(r, link);
    return true;
}

/* The pod; NULL: there is none that waits. */
static const struct score_pod *waiting(struct refusal *f, const struct cluster_snapshot *s,
                                       struct cluster_pod *room)
{
    const struct score_pod *const pod = cluster_snapshot_pod(s, f->ns, f->name, room);
    const bool is_it = pod && str_eq(pod->uid, f->uid);

    f->was_known |= is_it;
    return is_it && pod->node.n == 0 && !pod->deleting ? pod : NULL;
}

/* kube-scheduler may know of a pod before we do. */
static bool is_over(struct refusal *f, const struct cluster_snapshot *s, uint64_t now_ns)
{
    struct cluster_pod room;

    return now_ns - f->taken_ns > REFUSALS_FOR_S * S || (!waiting(f, s, &room) && f->was_known);
}

void refusals_sweep(struct refusals *r, const struct cluster_snapshot *s, uint64_t now_ns)
{
    for (struct refusal **link = &r->first; *link;)
        if (is_over(*link, s, now_ns))
            drop(r, link);
        else
            link = &(*link)->next;
}

static struct refusal *judged_longest_ago(const struct refusals *r)
{
    struct refusal *found = r->first;

    for (struct refusal *f = r->first; f; f = f->next)
        if (f->generation < found->generation)
            found = f;
    return found;
}

bool refusals_look(struct refusals *r, const struct cluster_snapshot *s,
                   const struct decide_options *options, struct arena *a, uint64_t now_ns)
{
    struct refusal *const f = judged_longest_ago(r);
    struct cluster_pod room;

    if (!f || f->generation >= cluster_snapshot_generation(s))
        return false;
    const struct score_pod *const pod = waiting(f, s, &room);
    const bool fits =
        pod && move_to(f, cluster_snapshot_roster(s)) && is_admitted(f, pod, s, options, a);

    f->generation = cluster_snapshot_generation(s);
    if (!fits)
        f->fits_ns = 0;
    else if (f->fits_ns == 0)
        f->fits_ns = now_ns;
    return true;
}

void refusals_admit_all(struct refusals *r, uint64_t now_ns)
{
    for (struct refusal *f = r->first; f; f = f->next)
        f->fits_ns = f->fits_ns ? f->fits_ns : now_ns;
}

static bool is_due(const struct refusal *f, uint64_t now_ns)
{
    return f->fits_ns && now_ns - f->fits_ns >= REFUSALS_SETTLE_MS * MS &&
           (f->made_ns == 0 ||
            (f->generation > f->made_generation && now_ns - f->made_ns >= pause_of(f)));
}

uint32_t refusals_due(struct refusals *r, uint64_t now_ns)
{
    uint32_t n = 0;

    for (struct refusal *f = r->first; f; f = f->next) {
        f->asking = is_due(f, now_ns);
        f->told_ns = f->asking ? now_ns : f->told_ns;
        n += f->asking;
    }
    return n;
}

void refusals_made(struct refusals *r, bool failed, uint64_t now_ns)
{
    for (struct refusal *f = r->first; f; f = f->next) {
        if (f->asking && failed) {
            f->told_ns = 0;
        } else if (f->asking) {
            f->made_ns = now_ns;
            f->made_generation = f->generation;
            f->times++;
        }
        f->asking = false;
    }
}
