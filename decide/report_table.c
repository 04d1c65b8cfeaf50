/* SPDX-License-Identifier: Apache-2.0 */
/* The table of `explain`: a header, what the best node would give, one row a node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/context.h"
#include "decide/offer.h"
#include "decide/report.h"
#include "decide/room.h"
#include "decide/spread.h"
#include "kube/hints.h"
#include "scoring/pairs.h"
#include "topology/cpuset.h"

enum { COLUMNS = 120, INDENT = 4, LABEL = 11, NODE_MIN = 8 };

static const char *const headings[SCORE_TERM_COUNT] = {
    "LOCAL", "DEVICES", "FRAGM", "NETWORK", "COMPUTE", "INTERF", "FRESH",
};

static void label(struct buf *out, const char *text)
{
    buf_printf(out, "%-*s", LABEL, text);
}

/* Where the text being written stands, for breaking lines. */
struct line {
    struct buf *out;
    size_t at, indent; /* column; of later lines */
    bool begun;        /* something stands on this line already */
};

/* Append a piece and a blank before it, on a new line when it does not fit. */
static void place(struct line *l, struct str piece)
{
    if (l->begun && l->at + 1 + piece.n > COLUMNS) {
        buf_printf(l->out, "\n%*s", (int)l->indent, "");
        l->at = l->indent;
    } else if (l->begun) {
        buf_text(l->out, " ");
        l->at++;
    }
    buf_str(l->out, piece);
    l->at += piece.n;
    l->begun = true;
}

/* Up to and with the first "; ", or all of it. */
static struct str next_clause(struct str *rest)
{
    const char *const end = memmem(rest->p, rest->n, "; ", 2);
    const struct str clause = {rest->p, end ? (size_t)(end - rest->p) + 1 : rest->n};
    const size_t skip = end ? clause.n + 1 : clause.n;

    *rest = (struct str){rest->p + skip, rest->n - skip};
    return clause;
}

/*
 * Append `text` from column `at`, later lines indented: clauses ("...; ") stay whole where they
 * fit on a line.
 */
static void wrap(struct buf *out, struct str text, size_t at, size_t indent)
{
    struct line l = {.out = out, .at = at, .indent = indent};

    while (text.n) {
        struct str clause = next_clause(&text);
        if (clause.n + indent <= COLUMNS)
            place(&l, clause);
        else
            while (clause.n)
                place(&l, str_cut(&clause, ' '));
    }
    buf_text(out, "\n");
}

/* "zone 1" or "zones 0,2" or "any zone" */
static void say_zones(struct buf *out, const struct topo_machine *m, uint64_t zones)
{
    const char *before = __builtin_popcountll(zones) == 1 ? "zone " : "zones ";

    if (!zones)
        buf_text(out, "any zone");
    for (uint32_t z = 0; z < m->n_zones; z++)
        if (zones >> z & 1) {
            buf_printf(out, "%s%u", before, m->zones[z].id);
            before = ",";
        }
}

/* "0,2" for the ZONES column: what all containers together touch. */
static void list_zones(struct buf *out, const struct topo_machine *m, uint64_t zones)
{
    const char *before = "";

    if (!zones)
        buf_text(out, "any");
    for (uint32_t z = 0; z < m->n_zones; z++)
        if (zones >> z & 1) {
            buf_printf(out, "%s%u", before, m->zones[z].id);
            before = ",";
        }
}

static void say_devices(struct buf *out, const struct node_view *v, const struct score_container *c)
{
    for (uint32_t i = 0; i < v->n_resources; i++)
        for (uint32_t z = 0; z <= v->machine.n_zones; z++) {
            const uint32_t n = spread_devices(v, c, &v->resources[i], z);
            if (n == 0)
                continue;
            buf_printf(out, ", %u %.*s on ", n, STR_ARG(v->resources[i].name));
            say_zones(out, &v->machine, z < v->machine.n_zones ? UINT64_C(1) << z : 0);
        }
}

static void say_container(struct buf *out, const struct node_view *v,
                          const struct pod_container *pc, const struct score_container *c)
{
    struct buf line = {0};

    buf_printf(&line, "%.*s%s: ", STR_ARG(pc->name),
               pc->kind == POD_APP    ? ""
               : pc->kind == POD_INIT ? " (init)"
                                      : " (sidecar)");
    say_zones(&line, &v->machine, spread_zones(v, c));
    if (c->hinted && c->has_affinity && !c->preferred)
        buf_text(&line, " (not preferred)");
    if (c->cpus) {
        buf_text(&line, ", cpus ");
        cpuset_format(&line, c->cpus, v->cpu_words);
    }
    if (c->n_blocks) {
        buf_text(&line, ", memory on ");
        say_zones(&line, &v->machine, spread_memory_zones(c));
    }
    say_devices(&line, v, c);
    buf_printf(out, "%*s", LABEL + 2, "");
    wrap(out, buf_view(&line), LABEL + 2, LABEL + 2 + INDENT);
    out->failed |= line.failed;
    buf_free(&line);
}

static void put_percent(struct buf *out, uint32_t permille)
{
    buf_printf(out, permille % 10 ? "%u.%u%%" : "%u%%", permille / 10, permille % 10);
}

/* "GPU-4 (50%) mlx5_4 PIX (25%)": chances that are not certain. */
static void say_pair(struct buf *out, const struct node_view *v, const struct score_pair *p)
{
    buf_str(out, v->devices[p->gpu].id);
    if (p->taken < 1000) {
        buf_text(out, " (");
        put_percent(out, p->taken);
        buf_text(out, ")");
    }
    for (uint32_t i = 0; i < p->n_nics; i++)
        buf_printf(out, "%s%.*s", i ? "," : " ", STR_ARG(p->nics[i]));
    buf_printf(out, " %s", topo_link_text(p->link));
    if (p->odds < 1000) {
        buf_text(out, " (");
        put_percent(out, p->odds);
        buf_text(out, ")");
    }
}

static void say_fed(struct buf *out, const struct score_device_odds *odds)
{
    buf_text(out, "; each has one below its root: ");
    if (odds->sure)
        buf_text(out, "sure");
    else if (!odds->possible)
        buf_text(out, "never");
    else if (odds->exact)
        put_percent(out, odds->fed);
    else
        buf_text(out, "possible");
}

/* GPUs with the nearest port each, as the device plugin may hand them out. */
static void say_odds(struct buf *out, const struct node_view *v, const struct score_device_tale *t,
                     const struct score_rules *rules)
{
    const bool asked =
        rules->gpu_nic == SCORE_GPU_NIC_REQUIRE || rules->gpu_nic == SCORE_GPU_NIC_PREFER;
    struct buf line = {0};

    for (uint32_t i = 0; i < t->n_pairs; i++) {
        buf_text(&line, i ? "; " : "nearest port: ");
        say_pair(&line, v, &t->pairs[i]);
    }
    if (t->n_pairs)
        say_fed(&line, &t->odds);
    else if (asked && t->any)
        buf_text(&line, "nearest port: none is known of this node");
    if (t->has_value && t->odds.exact && t->odds.least < t->odds.most)
        buf_printf(&line, "%sdevices %u, from %u to %u by what is picked", line.n ? "; " : "",
                   t->value, t->odds.least, t->odds.most);
    if (line.n) {
        buf_printf(out, "%*s", LABEL + 2 + INDENT, "");
        wrap(out, buf_view(&line), LABEL + 2 + INDENT, LABEL + 2 + 2 * INDENT);
    }
    out->failed |= line.failed;
    buf_free(&line);
}

static void say_room(struct buf *out, const struct frag_tale *tale, const struct score_rules *rules)
{
    struct buf line = {0};

    room_text(&line, tale, rules->demand);
    buf_printf(out, "%*s", LABEL + 2, "");
    wrap(out, buf_view(&line), LABEL + 2, LABEL + 2 + INDENT);
    out->failed |= line.failed;
    buf_free(&line);
}

static int say_best(struct buf *out, const struct report *r, const uint32_t *order, uint32_t n,
                    struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    struct score_detail detail;

    label(out, "best");
    if (n == 0 || !decide_is_candidate(r->decision, order[0])) {
        buf_text(out, !r->decision->request  ? "none: no node was judged\n"
                      : r->decision->no_room ? "none: no node that has room admits the pod\n"
                                             : "none: no node admits the pod\n");
        return 0;
    }
    const struct decide_row *const row = &r->decision->rows[order[0]];
    const int rc = report_detail(&detail, r, order[0], scratch);
    if (rc)
        return rc;
    buf_printf(out, "%.*s, score %u of %d, on the wire %u of %u\n",
               STR_ARG(r->ask->names[order[0]]), row->score, SCORE_MAX, row->wire,
               r->options->max_score);
    for (uint32_t i = 0; detail.containers && i < r->ask->pod->n_containers; i++) {
        const struct node_view *const v = decide_node(r->decision, order[0]);

        say_container(out, v, &r->ask->pod->containers[i], &detail.containers[i]);
        say_odds(out, v, &detail.devices[i], r->decision->rules);
    }
    if (detail.fragmentation)
        say_room(out, detail.fragmentation, r->decision->rules);
    arena_rewind(scratch, mark);
    return 0;
}

static void say_hints(struct buf *out, const struct score_pod *pod, const struct score_rules *rules)
{
    for (uint32_t i = 0; pod && i < pod->n_hints; i++) {
        struct err why;
        if (!decide_hint_is_ignored(&pod->hints[i], rules, &why))
            continue;
        label(out, "ignored");
        kube_hint_annotation(out, pod->hints[i].key);
        buf_printf(out, ": %s\n", why.text);
    }
}

/* On how many nodes this input was a default. */
static uint32_t count_assumed(const struct report *r, uint32_t bit)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->decision->n; i++) {
        const struct node_view *const node = decide_node(r->decision, i);
        n += node && !(r->decision->rows[i].marks & DECIDE_REPEATED) &&
             node->knowledge == NODE_KNOWN && (node->assumed >> bit & 1);
    }
    return n;
}

/* "assumed  memoryManagerPolicy (3 nodes), distances (8 nodes)" */
static void say_assumed(struct buf *out, const struct report *r)
{
    struct buf list = {0};

    for (uint32_t bit = 0; r->decision->request && bit < SPREAD_ASSUMED; bit++) {
        const uint32_t n = count_assumed(r, bit);
        if (n)
            buf_printf(&list, "%s%s (%u node%s)", list.n ? ", " : "", spread_assumed_text(bit), n,
                       n == 1 ? "" : "s");
    }
    if (list.n) {
        label(out, "assumed");
        wrap(out, buf_view(&list), LABEL, LABEL);
    }
    out->failed |= list.failed;
    buf_free(&list);
}

/* "policy  trading (wide loses and is Conflicted)" */
static void say_policies(struct buf *out, const struct decision *d, const struct score_pod *pod)
{
    const struct score_policy *losers[REPORT_LOSERS];
    const uint32_t n =
        pod && d->context ? cluster_context_losers(d->context, pod->ns, losers, REPORT_LOSERS) : 0;

    if (!d->rules->policy)
        return;
    label(out, "policy");
    buf_str(out, d->rules->policy->name);
    for (uint32_t i = 0; i < n && i < REPORT_LOSERS; i++)
        buf_printf(out, "%s%.*s", i ? ", " : " (over ", STR_ARG(losers[i]->name));
    buf_text(out, n ? ": Conflicted)\n" : "\n");
}

/* Weights that are not the class's defaults: "locality 40 (hint), devices 30 (policy)" */
static void say_weights(struct buf *out, const struct score_rules *rules)
{
    struct buf list = {0};

    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        if (rules->source[t] != WEIGHT_DEFAULT)
            buf_printf(&list, "%s%s %u (%s)", list.n ? ", " : "",
                       score_term_text((enum score_term)t), rules->weights.w[t],
                       weight_source_text((enum weight_source)rules->source[t]));
    }
    if (list.n) {
        label(out, "weights");
        wrap(out, buf_view(&list), LABEL, LABEL);
    }
    out->failed |= list.failed;
    buf_free(&list);
}

/* Is the word among those separated by blanks? */
static bool is_listed(struct str list, struct str word)
{
    while (list.n) {
        if (str_eq(str_cut(&list, ' '), word))
            return true;
    }
    return false;
}

/* Signals that have left the score of some node. */
static void say_stale(struct buf *out, const struct report *r)
{
    struct buf list = {0};

    for (uint32_t i = 0; r->decision->request && i < r->decision->n; i++) {
        const struct node_view *const v = decide_node(r->decision, i);

        for (uint32_t k = 0; v && k < v->n_stale; k++) {
            if (!is_listed(buf_view(&list), v->stale[k]))
                buf_printf(&list, "%s%.*s", list.n ? " " : "", STR_ARG(v->stale[k]));
        }
    }
    if (list.n) {
        label(out, "stale");
        buf_printf(out, "signals that are too old to count: ");
        wrap(out, buf_view(&list), LABEL + 35, LABEL);
    }
    out->failed |= list.failed;
    buf_free(&list);
}

static void say_head(struct buf *out, const struct report *r)
{
    const struct decision *const d = r->decision;
    const struct score_pod *const pod = r->ask->pod;

    label(out, "pod");
    if (pod)
        buf_printf(out, "%.*s/%.*s", STR_ARG(pod->ns), STR_ARG(pod->name));
    buf_printf(out, "  class %.*s, QoS %s\n", STR_ARG(score_class_name(d->rules)),
               pod_qos_text(d->qos));
    say_policies(out, d, pod);
    if (r->id.n) {
        label(out, "decision");
        buf_printf(out, "%.*s\n", STR_ARG(r->id));
    }
    label(out, "snapshot");
    buf_printf(out, "%llu, %u nodes: %u admitted, ", (unsigned long long)d->generation,
               d->counts[0] + d->counts[1] + d->counts[2], d->counts[SCORE_ADMITTED] - d->no_room);
    if (d->no_room)
        buf_printf(out, "%u without room, ", d->no_room);
    buf_printf(out, "%u rejected, %u unknown\n", d->counts[SCORE_REJECTED],
               d->counts[SCORE_UNKNOWN]);
    if (r->note.n) {
        label(out, "note");
        wrap(out, r->note, LABEL, LABEL);
    }
    say_weights(out, d->rules);
    say_assumed(out, r);
    say_stale(out, r);
    say_hints(out, pod, d->rules);
}

/* Columns that depend on what is shown. */
struct columns {
    int node, zones;
    uint32_t terms; /* bit per score_term */
};

static void head_row(struct buf *out, const struct columns *c)
{
    buf_printf(out, "\n%-*s  %-8s  %-*s  %5s  %4s", c->node, "NODE", "VERDICT", c->zones, "ZONES",
               "SCORE", "WIRE");
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        if (c->terms >> t & 1)
            buf_printf(out, "  %s", headings[t]);
    buf_text(out, "\n");
}

static uint64_t all_zones(const struct report *r, const struct node_view *v,
                          const struct score_detail *detail)
{
    uint64_t zones = 0;

    for (uint32_t i = 0; detail->containers && i < r->ask->pod->n_containers; i++)
        zones |= spread_zones(v, &detail->containers[i]);
    return zones;
}

static void admitted_row(struct buf *out, const struct report *r, const struct columns *c,
                         uint32_t i, const struct score_detail *detail)
{
    const struct decide_row *const row = &r->decision->rows[i];
    const struct node_view *const node = decide_node(r->decision, i);
    struct buf zones = {0};

    list_zones(&zones, &node->machine, all_zones(r, node, detail));
    buf_printf(out, "%-*.*s  %5u  %4u", c->zones, STR_ARG(buf_view(&zones)), row->score, row->wire);
    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        const int width = (int)strlen(headings[t]);
        if (!(c->terms >> t & 1))
            continue;
        if (detail->result.known >> t & 1)
            buf_printf(out, "  %*u", width, detail->result.term[t]);
        else
            buf_printf(out, "  %*s", width, "-");
    }
    buf_text(out, "\n");
    out->failed |= zones.failed;
    buf_free(&zones);
}

static bool is_in_bytes(struct str clause)
{
    return str_starts(clause, "memory ") || str_starts(clause, "hugepages-");
}

/* "memory needs 1073741824, free ..." with amounts that people read. */
static void put_clause(struct buf *out, struct str clause)
{
    const bool bytes = is_in_bytes(clause);

    while (clause.n) {
        const struct str word = str_cut(&clause, ' ');
        const bool comma = str_ends(word, ",");
        uint64_t amount;
        if (bytes && str_u64((struct str){word.p, word.n - comma}, &amount)) {
            buf_bytes(out, amount);
            buf_text(out, comma ? "," : "");
        } else
            buf_str(out, word);
        if (clause.n)
            buf_text(out, " ");
    }
}

/*
 * "zone 3" of "zone 3: cpu needs ...", "zones 0,1 together"; empty for other texts. The rest stays
 * in `clause`.
 */
static struct str take_zone(struct str *clause)
{
    const char *const colon = memmem(clause->p, clause->n, ": ", 2);

    if ((!str_starts(*clause, "zone ") && !str_starts(*clause, "zones ")) || !colon)
        return STR("");
    const struct str zone = {clause->p, (size_t)(colon - clause->p)};
    *clause = (struct str){colon + 2, clause->n - zone.n - 2};
    return zone;
}

static void end_line(struct buf *out, struct buf *line)
{
    if (line->n) {
        buf_printf(out, "%*s", INDENT, "");
        wrap(out, buf_view(line), INDENT, 2 * INDENT);
    }
    line->n = 0;
}

/* The proof, a line a zone. */
static void say_message(struct buf *out, struct str message)
{
    struct buf line = {0};
    struct str before = STR("");

    while (message.n) {
        struct str clause = next_clause(&message);
        clause.n -= str_ends(clause, ";");
        const struct str zone = take_zone(&clause);
        if (line.n && zone.n && str_eq(zone, before)) {
            buf_text(&line, "; ");
        } else {
            end_line(out, &line);
            buf_str(&line, zone);
            buf_text(&line, zone.n ? ": " : "");
        }
        put_clause(&line, clause);
        before = zone;
    }
    end_line(out, &line);
    out->failed |= line.failed;
    buf_free(&line);
}

static void other_row(struct buf *out, const struct columns *c, const struct score_detail *detail,
                      bool refused)
{
    const char *const reason = score_reason_text(detail->result.reason);

    buf_printf(out, "%-*s  %5s  %4s%s%s%s\n", c->zones, "-", "-", "-", *reason ? "  " : "", reason,
               refused ? ", which the policy refuses" : "");
    say_message(out, detail->message);
    for (uint32_t i = 0; i < detail->n_would_fit_without; i++)
        buf_printf(out, "%*swould fit without %.*s\n", INDENT, "",
                   STR_ARG(detail->would_fit_without[i]));
}

/* The kubelet would take the pod, but in sum the Node has no room: nobody will be asked. */
static void lack_row(struct buf *out, const struct columns *c, const struct offer_lack *lack)
{
    struct buf text = {0};

    buf_printf(out, "%-*s  %5s  %4s  kube-scheduler does not offer it\n%*s", c->zones, "-", "-",
               "-", INDENT, "");
    offer_text(&text, lack);
    put_clause(out, buf_view(&text));
    buf_text(out, "\n");
    out->failed |= text.failed;
    buf_free(&text);
}

static int node_row(struct buf *out, const struct report *r, const struct columns *c, uint32_t i,
                    struct arena *scratch)
{
    const struct decide_row *const row = &r->decision->rows[i];
    const struct offer_lack *const lack = decide_lack(r->decision, i);
    const size_t mark = arena_mark(scratch);
    struct score_detail detail;
    const int rc = report_detail(&detail, r, i, scratch);

    if (rc)
        return rc;
    buf_printf(out, "%-*.*s  %-8s  ", c->node, STR_ARG(r->ask->names[i]),
               lack ? "No room" : score_verdict_text((enum score_verdict)row->verdict));
    if (lack)
        lack_row(out, c, lack);
    else if (row->verdict == SCORE_ADMITTED)
        admitted_row(out, r, c, i, &detail);
    else
        other_row(out, c, &detail, row->marks & DECIDE_REFUSED);
    arena_rewind(scratch, mark);
    return 0;
}

static int zones_width(uint32_t zones)
{
    const int width = (int)zones * 2 - 1; /* "0,1" */

    return width < 5 ? 5 : width > 15 ? 15 : width;
}

static struct columns measure(const struct report *r)
{
    struct columns c = {.node = NODE_MIN, .zones = 5, .terms = r->decision->any};

    for (uint32_t i = 0; i < r->decision->n; i++) {
        const struct decide_row *const row = &r->decision->rows[i];
        if ((int)r->ask->names[i].n > c.node)
            c.node = (int)r->ask->names[i].n;
        if (row->verdict == SCORE_ADMITTED &&
            zones_width(decide_node(r->decision, i)->machine.n_zones) > c.zones)
            c.zones = zones_width(decide_node(r->decision, i)->machine.n_zones);
    }
    return c;
}

int report_table(struct buf *out, const struct report *r, struct arena *scratch, struct err *err)
{
    const size_t mark = arena_mark(scratch);
    uint32_t *const order = arena_array(scratch, r->decision->n, sizeof(*order));
    const struct columns columns = measure(r);

    if (!order)
        return err_set(err, -ENOMEM, "no memory to report on %u nodes", r->decision->n);
    const uint32_t n = report_order(order, r);
    say_head(out, r);
    int rc = say_best(out, r, order, n, scratch);
    head_row(out, &columns);
    for (uint32_t k = 0; rc == 0 && k < n; k++)
        rc = node_row(out, r, &columns, order[k], scratch);
    arena_rewind(scratch, mark);
    return rc || out->failed ? err_set(err, -ENOMEM, "no memory for the report") : 0;
}
