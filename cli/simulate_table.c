/* SPDX-License-Identifier: Apache-2.0 */
/* The runs as columns for a person, and as JSON for tools. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/simulate_report.h"
#include "kube/emit.h"

enum { LABEL = 34, COLUMN = 22 };

const char *simulate_placer_text(enum simulate_placer placer)
{
    return placer == SIMULATE_STOCK ? "kube-scheduler alone" : "with numawise";
}

static const struct simulate_run *last_of(const struct simulate_report *r,
                                          enum simulate_placer placer)
{
    const struct simulate_run *found = NULL;

    for (uint32_t i = 0; i < r->n_runs; i++)
        found = r->runs[i].placer == placer ? &r->runs[i] : found;
    return found;
}

int64_t simulate_avoided(const struct simulate_report *r)
{
    const struct simulate_run *const stock = last_of(r, SIMULATE_STOCK), *const ours = last_of(
                                                                             r, SIMULATE_NUMAWISE);

    return stock && ours ? (int64_t)stock->result.refusals - ours->result.refusals : 0;
}

/* --- the table --- */

/* What one cell says of one run; `arg` is the line's own. */
typedef void cell_of(struct buf *out, const struct simulate_run *run, uint32_t arg);

static void line(struct buf *out, const struct simulate_report *r, const char *label, cell_of *cell,
                 uint32_t arg)
{
    buf_printf(out, "%-*s", LABEL, label);
    for (uint32_t i = 0; i < r->n_runs; i++) {
        struct buf text = {0};

        cell(&text, &r->runs[i], arg);
        buf_printf(out, i + 1 < r->n_runs ? "  %-*s" : "  %.0d%s", i + 1 < r->n_runs ? COLUMN : 0,
                   text.p ? text.p : "");
        out->failed = out->failed || text.failed;
        buf_free(&text);
    }
    buf_text(out, "\n");
}

static void permille(struct buf *out, uint32_t v)
{
    buf_printf(out, "%u.%u %%", v / 10, v % 10);
}

static void placer_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    buf_text(out, simulate_placer_text(run->placer));
}

static void setup_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    buf_text(out, run->setup);
}

enum count { PLACED, ENDED, PENDING, GIVEN_UP, BLIND, REFUSALS };

static void count_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    const struct simulate_result *const r = &run->result;
    const uint32_t counts[] = {
        [PLACED] = r->placed,     [ENDED] = r->ended, [PENDING] = r->pending,
        [GIVEN_UP] = r->given_up, [BLIND] = r->blind, [REFUSALS] = r->refusals,
    };

    buf_printf(out, "%u", counts[arg]);
}

static void reason_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    buf_printf(out, "%u", run->result.by_reason[arg]);
}

static void distance_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    const uint32_t d = run->result.distance;

    if (d)
        buf_printf(out, "%u.%02u", d / 1000, d % 1000 / 10);
    else
        buf_text(out, "-");
}

static void zones_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    buf_printf(out, "%u", run->result.zones[arg]);
}

static void broken_cell(struct buf *out, const struct simulate_run *run, uint32_t devices)
{
    const uint32_t *const v = devices ? run->result.broken_devices : run->result.broken_cpus;

    permille(out, v[0]);
    buf_text(out, " > ");
    permille(out, v[1]);
}

static void used_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    buf_printf(out, "%u of %u", run->result.nodes_used, run->result.nodes);
}

static void load_cell(struct buf *out, const struct simulate_run *run, uint32_t arg)
{
    const struct simulate_result *const r = &run->result;

    buf_printf(out, "%u, %u, %u %%", r->cpu_least / 10, r->cpu_mean / 10, r->cpu_most / 10);
}

static void room_cell(struct buf *out, const struct simulate_run *run, uint32_t shape)
{
    const struct simulate_shape_result *const s = &run->result.shapes[shape];

    buf_printf(out, "%u > %u", s->room_before, s->room_after);
}

static void shape_cell(struct buf *out, const struct simulate_run *run, uint32_t shape)
{
    const struct simulate_shape_result *const s = &run->result.shapes[shape];

    buf_printf(out, "%u of %u", s->placed, s->arrived);
    if (s->refusals)
        buf_printf(out, ", %u refused", s->refusals);
}

static void put_head(struct buf *out, const struct simulate_report *r)
{
    const struct simulate_result *const first = &r->runs[0].result;

    buf_printf(out, "%u pods arrive on %u nodes; seed %llu", r->pods, first->nodes,
               (unsigned long long)r->seed);
    if (r->lifetime)
        buf_printf(out, "; each stays for %u arrivals on average", r->lifetime);
    buf_printf(out, "\na pod that a kubelet refuses is made up to %u times\n", r->tries);
    if (first->unknown_nodes)
        buf_printf(out, "of %u nodes the zones are not known\n", first->unknown_nodes);
    buf_text(out, "\n");
}

static void put_reasons(struct buf *out, const struct simulate_report *r)
{
    for (uint32_t reason = 0; reason < SCORE_REASONS; reason++) {
        bool any = false;
        char label[LABEL + 1];

        for (uint32_t i = 0; i < r->n_runs; i++)
            any = any || r->runs[i].result.by_reason[reason];
        (void)snprintf(label, sizeof(label), "  %s", score_reason_text((enum score_reason)reason));
        if (any)
            line(out, r, label, reason_cell, reason);
    }
}

static void put_shapes(struct buf *out, const struct simulate_report *r, const char *title,
                       cell_of *cell)
{
    buf_printf(out, "%s\n", title);
    for (uint32_t k = 0; k < r->n_shapes; k++) {
        char label[LABEL + 1];

        (void)snprintf(label, sizeof(label), "  %.*s/%.*s", STR_ARG(r->shapes[k].pod.ns),
                       STR_ARG(r->shapes[k].pod.name));
        line(out, r, label, cell, k);
    }
}

void simulate_table(struct buf *out, const struct simulate_report *r)
{
    bool setups = false, blind = false, devices = false;

    for (uint32_t i = 0; i < r->n_runs; i++) {
        const struct simulate_result *const k = &r->runs[i].result;

        setups = setups || r->runs[i].setup[0];
        blind = blind || k->blind;
        devices = devices || k->broken_devices[0] || k->broken_devices[1];
    }
    put_head(out, r);
    line(out, r, "", placer_cell, 0);
    if (setups)
        line(out, r, "", setup_cell, 0);
    line(out, r, "placed", count_cell, PLACED);
    line(out, r, "  in no zone of their own", zones_cell, 0);
    line(out, r, "  in one zone", zones_cell, 1);
    line(out, r, "  in two zones", zones_cell, 2);
    line(out, r, "  in more", zones_cell, 3);
    if (blind)
        line(out, r, "  where zones are not known", count_cell, BLIND);
    if (r->lifetime)
        line(out, r, "ended again", count_cell, ENDED);
    line(out, r, "never placed: no node was left", count_cell, PENDING);
    line(out, r, "never placed: refused each time", count_cell, GIVEN_UP);
    line(out, r, "refused by kubelets", count_cell, REFUSALS);
    put_reasons(out, r);
    line(out, r, "access distance, 10 = local", distance_cell, 0);
    line(out, r, "broken zones, free CPUs", broken_cell, 0);
    if (devices)
        line(out, r, "broken zones, free devices", broken_cell, 1);
    line(out, r, "nodes that got a pod", used_cell, 0);
    line(out, r, "CPU requested: least, mean, most", load_cell, 0);
    put_shapes(out, r, "placed of those that arrived", shape_cell);
    put_shapes(out, r, "nodes that take one more", room_cell);
    buf_printf(out, "\nrefusals avoided: %lld\n", (long long)simulate_avoided(r));
}

/* --- JSON --- */

static void emit_permille(struct emit *e, const char *key, const uint32_t v[2])
{
    emit_key(e, key);
    emit_object(e);
    emit_key(e, "before"), emit_uint(e, v[0]);
    emit_key(e, "after"), emit_uint(e, v[1]);
    emit_end(e);
}

static void emit_points(struct emit *e, const struct simulate_result *r)
{
    emit_array(e);
    for (uint32_t i = 0; i < r->n_points; i++) {
        const struct simulate_point *const p = &r->points[i];

        emit_object(e);
        emit_key(e, "arrived"), emit_uint(e, p->arrived);
        emit_key(e, "running"), emit_uint(e, p->running);
        emit_key(e, "refusals"), emit_uint(e, p->refusals);
        emit_key(e, "unplaced"), emit_uint(e, p->unplaced);
        emit_key(e, "brokenCpusPermille"), emit_uint(e, p->broken);
        emit_key(e, "accessDistanceMilli"), emit_uint(e, p->distance);
        emit_end(e);
    }
    emit_end(e);
}

static void emit_shapes(struct emit *e, const struct simulate_report *report,
                        const struct simulate_result *r)
{
    emit_array(e);
    for (uint32_t k = 0; k < report->n_shapes; k++) {
        const struct simulate_shape_result *const s = &r->shapes[k];

        emit_object(e);
        emit_key(e, "namespace"), emit_text(e, report->shapes[k].pod.ns);
        emit_key(e, "name"), emit_text(e, report->shapes[k].pod.name);
        emit_key(e, "arrived"), emit_uint(e, s->arrived);
        emit_key(e, "placed"), emit_uint(e, s->placed);
        emit_key(e, "refusals"), emit_uint(e, s->refusals);
        emit_key(e, "roomBefore"), emit_uint(e, s->room_before);
        emit_key(e, "roomAfter"), emit_uint(e, s->room_after);
        emit_end(e);
    }
    emit_end(e);
}

static void emit_outcome(struct emit *e, const struct simulate_result *r)
{
    emit_key(e, "placed"), emit_uint(e, r->placed);
    emit_key(e, "ended"), emit_uint(e, r->ended);
    emit_key(e, "pending"), emit_uint(e, r->pending);
    emit_key(e, "givenUp"), emit_uint(e, r->given_up);
    emit_key(e, "placedBlind"), emit_uint(e, r->blind);
    emit_key(e, "refusals"), emit_uint(e, r->refusals);
    emit_key(e, "refusalsByReason");
    emit_object(e);
    for (uint32_t i = 0; i < SCORE_REASONS; i++) {
        if (r->by_reason[i])
            emit_key(e, score_reason_text((enum score_reason)i)), emit_uint(e, r->by_reason[i]);
    }
    emit_end(e);
    emit_key(e, "podsByZones");
    emit_array(e);
    for (uint32_t i = 0; i < SIMULATE_ZONE_BINS; i++)
        emit_uint(e, r->zones[i]);
    emit_end(e);
    emit_key(e, "accessDistanceMilli"), emit_uint(e, r->distance);
}

static void emit_run(struct emit *e, const struct simulate_report *report,
                     const struct simulate_run *run)
{
    const struct simulate_result *const r = &run->result;

    emit_object(e);
    emit_key(e, "placer");
    emit_words(e, run->placer == SIMULATE_STOCK ? "kube-scheduler" : "numawise");
    emit_key(e, "setup"), emit_words(e, run->setup);
    emit_key(e, "nodes"), emit_uint(e, r->nodes);
    emit_key(e, "unknownNodes"), emit_uint(e, r->unknown_nodes);
    emit_outcome(e, r);
    emit_permille(e, "brokenCpusPermille", r->broken_cpus);
    emit_permille(e, "brokenDevicesPermille", r->broken_devices);
    emit_key(e, "nodesUsed"), emit_uint(e, r->nodes_used);
    emit_key(e, "cpuRequestedPermille");
    emit_object(e);
    emit_key(e, "least"), emit_uint(e, r->cpu_least);
    emit_key(e, "mean"), emit_uint(e, r->cpu_mean);
    emit_key(e, "most"), emit_uint(e, r->cpu_most);
    emit_end(e);
    emit_key(e, "workloads");
    emit_shapes(e, report, r);
    emit_key(e, "course");
    emit_points(e, r);
    emit_end(e);
}

void simulate_json(struct buf *out, const struct simulate_report *r)
{
    struct emit e;

    emit_init(&e, out, true);
    emit_object(&e);
    emit_key(&e, "seed"), emit_uint(&e, r->seed);
    emit_key(&e, "pods"), emit_uint(&e, r->pods);
    emit_key(&e, "lifetime"), emit_uint(&e, r->lifetime);
    emit_key(&e, "tries"), emit_uint(&e, r->tries);
    emit_key(&e, "weight"), emit_uint(&e, r->weight);
    emit_key(&e, "refusalsAvoided"), emit_int(&e, simulate_avoided(r));
    emit_key(&e, "runs");
    emit_array(&e);
    for (uint32_t i = 0; i < r->n_runs; i++)
        emit_run(&e, r, &r->runs[i]);
    emit_end(&e);
    emit_end(&e);
    buf_text(out, "\n");
}
