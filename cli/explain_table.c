/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a decision that was read from a server; the local one is decide/report_table.c. */
#include <string.h>

#include "base/buf.h"
#include "cli/explain_server.h"
#include "kube/decision_json.h"

enum { LABEL = 11, INDENT = 4, NODE_MIN = 8, ZONES_MIN = 5 };

static const char *const headings[SCORE_TERM_COUNT] = {
    "LOCAL", "DEVICES", "FRAGM", "NETWORK", "COMPUTE", "INTERF", "FRESH",
};

static void line(struct buf *out, const char *label, struct str text)
{
    if (text.n)
        buf_printf(out, "%-*s%.*s\n", LABEL, label, STR_ARG(text));
}

/* " zone 1", " zones 0,2", " any zone" */
static void put_zones(struct buf *out, struct str zones)
{
    if (zones.n == 0)
        buf_text(out, " any zone");
    else
        buf_printf(out, " zone%s %.*s", memchr(zones.p, ',', zones.n) ? "s" : "", STR_ARG(zones));
}

static void container(struct buf *out, const struct told_container *c)
{
    buf_printf(out, "%*s%.*s%s:", LABEL + 2, "", STR_ARG(c->name), c->init ? " (init)" : "");
    put_zones(out, c->zones);
    if (c->zones.n && !c->preferred)
        buf_text(out, " (not preferred)");
    if (c->cpus.n)
        buf_printf(out, ", cpus %.*s", STR_ARG(c->cpus));
    if (c->memory_zones.n) {
        buf_text(out, ", memory on");
        put_zones(out, c->memory_zones);
    }
    for (uint32_t i = 0; i < c->n_devices; i++) {
        const struct told_devices *const d = &c->devices[i];
        buf_printf(out, ", %lld %.*s on", (long long)d->count, STR_ARG(d->resource));
        put_zones(out, str_is(d->zone, "any") ? STR("") : d->zone);
    }
    buf_text(out, "\n");
}

static void best(struct buf *out, const struct told_decision *d)
{
    if (!d->has_best) {
        line(out, "best",
             d->note.n ? STR("none: no node was judged") : STR("none: no node admits the pod"));
        return;
    }
    buf_printf(out, "%-*s%.*s", LABEL, "best", STR_ARG(d->best));
    for (uint32_t i = 0; i < d->n_nodes; i++) {
        const struct told_node *const n = &d->nodes[i];
        if (!str_eq(n->name, d->best))
            continue;
        buf_printf(out, ", score %lld of 1000, on the wire %lld\n", (long long)n->score,
                   (long long)n->wire);
        for (uint32_t k = 0; k < n->n_containers; k++)
            container(out, &n->containers[k]);
        return;
    }
    buf_text(out, "\n");
}

static bool is_admitted(const struct told_node *n)
{
    return str_is(n->verdict, "Admitted");
}

static void head(struct buf *out, const struct told_decision *d)
{
    uint32_t admitted = 0, rejected = 0, without_room = 0;

    for (uint32_t i = 0; i < d->n_nodes; i++) {
        const bool lacks = d->nodes[i].not_offered.n;
        without_room += lacks;
        admitted += is_admitted(&d->nodes[i]) && !lacks;
        rejected += str_is(d->nodes[i].verdict, "Rejected");
    }
    buf_printf(out, "%-*s%.*s  class %.*s, QoS %.*s\n", LABEL, "pod", STR_ARG(d->pod),
               STR_ARG(d->class), STR_ARG(d->qos));
    line(out, "policy", d->policy);
    line(out, "decision", d->id);
    line(out, "made at", d->time);
    buf_printf(out, "%-*s%lld, %u nodes: %u admitted, ", LABEL, "snapshot", (long long)d->snapshot,
               d->n_nodes, admitted);
    if (without_room)
        buf_printf(out, "%u without room, ", without_room);
    buf_printf(out, "%u rejected, %u unknown\n", rejected,
               d->n_nodes - admitted - without_room - rejected);
    if (d->left_out)
        buf_printf(out, "%-*s%lld nodes that were not kept\n", LABEL, "left out",
                   (long long)d->left_out);
    line(out, "note", d->note);
    for (uint32_t i = 0; i < d->n_hints; i++)
        buf_printf(out, "%-*s%.*s: %.*s\n", LABEL, "ignored", STR_ARG(d->hints[i].annotation),
                   STR_ARG(d->hints[i].why));
}

/* "zone 0: memory needs 1073741824, free 0 of 0": a resource counted in bytes? */
static bool is_in_bytes(struct str clause)
{
    return memmem(clause.p, clause.n, "memory needs ", 13) ||
           memmem(clause.p, clause.n, "hugepages-", 10);
}

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
        buf_text(out, clause.n ? " " : "\n");
    }
}

/* The proof, a line a clause. */
static void clauses(struct buf *out, struct str text)
{
    while (text.n) {
        const struct str clause = str_trim(str_cut(&text, ';'));
        buf_printf(out, "%*s", INDENT, "");
        put_clause(out, clause);
    }
}

/* Columns that depend on what is shown. */
struct columns {
    int node, zones;
    bool terms[SCORE_TERM_COUNT];
};

static bool is_shown(const struct told_node *n, const char *only)
{
    return !only || str_is(n->name, only);
}

static struct columns measure(const struct told_decision *d, const char *only)
{
    struct columns c = {.node = NODE_MIN, .zones = ZONES_MIN};

    for (uint32_t i = 0; i < d->n_nodes; i++) {
        const struct told_node *const n = &d->nodes[i];
        if (!is_shown(n, only))
            continue;
        c.node = (int)n->name.n > c.node ? (int)n->name.n : c.node;
        c.zones = (int)n->zones.n > c.zones ? (int)n->zones.n : c.zones;
        for (int t = 0; t < SCORE_TERM_COUNT; t++)
            c.terms[t] |= n->terms[t] >= 0;
    }
    return c;
}

static void head_row(struct buf *out, const struct columns *c)
{
    buf_printf(out, "\n%-*s  %-8s  %-*s  %5s  %4s", c->node, "NODE", "VERDICT", c->zones, "ZONES",
               "SCORE", "WIRE");
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        if (c->terms[t])
            buf_printf(out, "  %s", headings[t]);
    buf_text(out, "\n");
}

/* A node that is not told in full has neither zones nor terms. */
static void admitted_row(struct buf *out, const struct columns *c, const struct told_node *n)
{
    const struct str zones = n->zones.n ? n->zones : n->n_containers ? STR("any") : STR("-");

    buf_printf(out, "%-*.*s  %5lld  %4lld", c->zones, STR_ARG(zones), (long long)n->score,
               (long long)n->wire);
    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        const int width = (int)strlen(headings[t]);
        if (!c->terms[t])
            continue;
        if (n->terms[t] >= 0)
            buf_printf(out, "  %*lld", width, (long long)n->terms[t]);
        else
            buf_printf(out, "  %*s", width, "-");
    }
    buf_text(out, "\n");
}

static void node_row(struct buf *out, const struct columns *c, const struct told_node *n)
{
    const bool lacks = n->not_offered.n;

    buf_printf(out, "%-*.*s  %-8.*s  ", c->node, STR_ARG(n->name),
               STR_ARG(lacks ? STR("No room") : n->verdict));
    if (is_admitted(n) && !lacks) {
        admitted_row(out, c, n);
        return;
    }
    const struct str why = lacks ? STR("kube-scheduler does not offer it") : n->reason;
    buf_printf(out, "%-*s  %5s  %4s%s%.*s\n", c->zones, "-", "-", "-", why.n ? "  " : "",
               STR_ARG(why));
    clauses(out, lacks ? n->not_offered : n->message);
    for (uint32_t i = 0; i < n->n_without; i++)
        buf_printf(out, "%*swould fit without %.*s\n", INDENT, "", STR_ARG(n->without[i]));
}

void explain_table(struct buf *out, const struct told_decision *d, const char *only)
{
    const struct columns columns = measure(d, only);

    head(out, d);
    best(out, d);
    head_row(out, &columns);
    for (uint32_t i = 0; i < d->n_nodes; i++)
        if (is_shown(&d->nodes[i], only))
            node_row(out, &columns, &d->nodes[i]);
}
