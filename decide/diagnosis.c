/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/diagnosis.h"

#include "base/buf.h"
#include "decide/spread.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_compact.h"
#include "topology/cpuset.h"

enum { NAMED = 16 }; /* pods that are named before the others are only counted */

struct diagnosis {
    const struct node_view *node;
    diagnosis_tell tell;
    void *ctx;
    struct buf text;
};

static void tell(struct diagnosis *d, enum diagnosis_kind kind)
{
    if (!d->text.failed)
        d->tell(d->ctx, kind, buf_view(&d->text));
    d->text.n = 0;
}

/* "zone 0" or "zones 0,1" */
static void add_zones(struct diagnosis *d, uint64_t zones)
{
    const char *before = zones & (zones - 1) ? "zones " : "zone ";

    for (uint64_t z = zones; z; z &= z - 1, before = ",")
        buf_printf(&d->text, "%s%u", before, d->node->machine.zones[__builtin_ctzll(z)].id);
}

static void add_pod(struct diagnosis *d, const struct node_pod *pod)
{
    buf_printf(&d->text, "%.*s/%.*s", STR_ARG(pod->ns), STR_ARG(pod->name));
}

/* A list of pods, of which the first are named. */
static bool add_next(struct diagnosis *d, uint32_t *n, const char *first)
{
    if (++*n > NAMED)
        return false;
    buf_text(&d->text, *n == 1 ? first : ", ");
    return true;
}

static void add_rest(struct diagnosis *d, uint32_t n)
{
    if (n > NAMED)
        buf_printf(&d->text, " and %u more", n - NAMED);
}

/* --- what is not known --- */

static const char *reason_of(enum node_knowledge knowledge)
{
    static const enum score_reason reasons[] = {
        [NODE_NO_TOPOLOGY] = SCORE_NO_TOPOLOGY,
        [NODE_STALE] = SCORE_STALE_TOPOLOGY,
        [NODE_TOO_MANY_ZONES] = SCORE_TOO_MANY_ZONES,
        [NODE_NOT_MODELLED] = SCORE_NOT_MODELLED,
    };

    return score_reason_text(reasons[knowledge]);
}

/* Which pods meet too many zones there: none, those that ask for memory, all that are aligned. */
static void too_wide(struct diagnosis *d)
{
    const struct kubelet_config *const k = &d->node->kubelet;
    const bool all = k->policy != KUBELET_POLICY_NONE && !kubelet_can_compact(d->node, false);

    if (d->node->machine.n_zones <= KUBELET_HINT_ZONES || (!all && !k->memory_static))
        return;
    buf_printf(&d->text, "%s: %u zones, sets of more than %d are not worked out%s",
               score_reason_text(SCORE_TOO_MANY_ZONES), d->node->machine.n_zones,
               KUBELET_HINT_ZONES, all ? "" : " for the Static memory manager");
    tell(d, DIAGNOSIS_TOO_WIDE);
}

static void no_start(struct diagnosis *d)
{
    const char *const why = kubelet_start_error(d->node);

    if (!why)
        return;
    buf_printf(&d->text, "its kubelet does not start: %s", why);
    tell(d, DIAGNOSIS_NO_START);
}

static void unplaced(struct diagnosis *d)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < d->node->n_pods; i++) {
        if (d->node->pods[i].placement == NODE_POD_UNPLACED &&
            add_next(d, &n, "zones are not known of "))
            add_pod(d, &d->node->pods[i]);
    }
    add_rest(d, n);
    if (n)
        tell(d, DIAGNOSIS_UNPLACED);
}

static void assumed(struct diagnosis *d)
{
    for (uint32_t bit = 0; bit < SPREAD_ASSUMED; bit++) {
        if (d->node->assumed >> bit & 1)
            buf_printf(&d->text, "%s%s", d->text.n ? ", " : "", spread_assumed_text(bit));
    }
    if (d->text.n)
        tell(d, DIAGNOSIS_ASSUMED);
}

/* --- contradictions --- */

static bool holds_cpu(const struct node_pod *pod, uint32_t cpu)
{
    for (uint32_t h = 0; h < pod->n_holdings; h++) {
        if (pod->holdings[h].cpus && cpuset_has(pod->holdings[h].cpus, cpu))
            return true;
    }
    return false;
}

static bool holds_device(const struct node_pod *pod, uint32_t device)
{
    for (uint32_t h = 0; h < pod->n_holdings; h++) {
        if (pod->holdings[h].devices && cpuset_has(pod->holdings[h].devices, device))
            return true;
    }
    return false;
}

/* The first two pods that hold the same one of `n` things; how many do. */
static uint32_t holders(const struct node_view *node, uint32_t i,
                        bool (*holds)(const struct node_pod *, uint32_t),
                        const struct node_pod *out[2])
{
    uint32_t n = 0;

    for (uint32_t p = 0; p < node->n_pods; p++) {
        if (!holds(&node->pods[p], i))
            continue;
        if (n < 2)
            out[n] = &node->pods[p];
        n++;
    }
    return n;
}

/* One finding for all CPUs that two pods hold, or that a pod holds and the report calls free. */
static void cpus_contradict(struct diagnosis *d)
{
    const struct node_view *const node = d->node;
    const struct node_pod *by[2];

    for (uint32_t c = 0; c < node->machine.n_cpus; c++) {
        const uint32_t n = holders(node, c, holds_cpu, by);
        const bool is_free = n && cpuset_has(node->state.cpu_free, c);

        if (n < 2 && !is_free)
            continue;
        buf_printf(&d->text, "CPU %u is held by ", c);
        add_pod(d, by[0]);
        if (n > 1) {
            buf_text(&d->text, " and by ");
            add_pod(d, by[1]);
        } else {
            buf_text(&d->text, " and free by free-cpus");
        }
        tell(d, DIAGNOSIS_CONTRADICTED);
        return;
    }
}

static void devices_contradict(struct diagnosis *d)
{
    const struct node_view *const node = d->node;
    const struct node_pod *by[2];

    for (uint32_t i = 0; i < node->n_devices; i++) {
        if (holders(node, i, holds_device, by) < 2)
            continue;
        buf_printf(&d->text, "device %.*s is held by ", STR_ARG(node->devices[i].id));
        add_pod(d, by[0]);
        buf_text(&d->text, " and by ");
        add_pod(d, by[1]);
        tell(d, DIAGNOSIS_CONTRADICTED);
        return;
    }
}

/* --- memory --- */

/* Bytes that a pod, or one container of it, has by type inside `zones`; blocks that touch them. */
static uint32_t count_bytes(const struct node_holding *h, uint64_t zones, uint64_t *bytes)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < h->n_blocks; k++) {
        if (!(h->blocks[k].zones & zones))
            continue;
        bytes[h->blocks[k].type] += h->blocks[k].bytes;
        n++;
    }
    return n;
}

enum { MAX_TYPES = 16 };

/* Is there a zone that could hold it all if it were empty? */
static bool fits_one_zone(const struct node_view *node, const uint64_t *bytes)
{
    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        bool fits = true;

        for (uint32_t t = 0; t < node->n_memory_types; t++)
            fits =
                fits && node->memory_allocatable[(size_t)z * node->n_memory_types + t] >= bytes[t];
        if (fits)
            return true;
    }
    return false;
}

/* How a pod stands in a group: bytes by type, whether it needs more than one zone. */
struct share {
    uint64_t bytes[MAX_TYPES];
    bool any, needs;
};

static struct share share_of(const struct node_view *node, const struct node_pod *pod,
                             uint64_t zones)
{
    const bool together = node->kubelet.scope == KUBELET_SCOPE_POD;
    struct share s = {.any = false};

    for (uint32_t h = 0; h < pod->n_holdings; h++) {
        uint64_t here[MAX_TYPES] = {0};

        s.any = count_bytes(&pod->holdings[h], zones, here) || s.any;
        for (uint32_t t = 0; t < node->n_memory_types; t++)
            s.bytes[t] += here[t];
        s.needs = s.needs || !fits_one_zone(node, here);
    }
    s.needs = s.needs || (together && !fits_one_zone(node, s.bytes));
    return s;
}

/* "ml/a (1Gi)" or "ml/a (1Gi, hugepages-2Mi 512Mi)" */
static void add_share(struct diagnosis *d, const struct node_pod *pod, const struct share *s)
{
    const char *before = " (";

    add_pod(d, pod);
    for (uint32_t t = 0; t < d->node->n_memory_types; t++) {
        if (!s->bytes[t])
            continue;
        buf_text(&d->text, before);
        if (t)
            buf_printf(&d->text, "%.*s ", STR_ARG(d->node->memory_types[t].name));
        buf_bytes(&d->text, s->bytes[t]);
        before = ", ";
    }
    buf_text(&d->text, ")");
}

/* Append the pods of the group that need it, or those that do not. Returns how many. */
static uint32_t add_sharers(struct diagnosis *d, uint64_t zones, bool needs, const char *first)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < d->node->n_pods; i++) {
        const struct share s = share_of(d->node, &d->node->pods[i], zones);

        if (s.any && s.needs == needs && add_next(d, &n, first))
            add_share(d, &d->node->pods[i], &s);
    }
    add_rest(d, n);
    return n;
}

static void one_group(struct diagnosis *d, uint64_t cells, uint32_t zone)
{
    buf_text(&d->text, "memory of ");
    add_zones(d, cells);
    buf_text(&d->text, " is one group");
    const uint32_t need = add_sharers(d, cells, true, " for ");
    const uint32_t others = add_sharers(d, cells, false, need ? "; kept by " : ", held open by ");

    if (need) {
        buf_text(&d->text, others ? " when that has ended" : "");
    } else if (others) {
        buf_text(&d->text, others == 1 ? ", which does not need it" : ", none of which needs it");
    } else {
        const uint32_t blocks = d->node->state.assignments[zone];

        buf_printf(&d->text, ", held open by %u block%s of pods that are not known", blocks,
                   blocks == 1 ? "" : "s");
    }
    tell(d, need ? DIAGNOSIS_GROUP : DIAGNOSIS_HELD_OPEN);
}

/* All zones of a group have the same cells, and blocks in each. */
static bool is_sound(const struct node_state *s, uint64_t cells)
{
    for (uint64_t z = cells; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);

        if (s->cells[zone] != cells || s->assignments[zone] == 0)
            return false;
    }
    return true;
}

/* Groups, each told at its lowest zone; `sound`: those that agree with themselves. */
static void groups(struct diagnosis *d, bool sound)
{
    const struct node_state *const s = &d->node->state;

    for (uint32_t z = 0; z < d->node->machine.n_zones; z++) {
        const uint64_t cells = s->cells[z];
        const uint32_t lowest = cells ? (uint32_t)__builtin_ctzll(cells) : z;

        if ((cells & (cells - 1)) == 0 || is_sound(s, cells) != sound ||
            (lowest != z && s->cells[lowest] == cells))
            continue;
        if (sound) {
            one_group(d, cells, z);
            continue;
        }
        buf_printf(&d->text, "memory of zone %u is in a group of ", d->node->machine.zones[z].id);
        add_zones(d, cells);
        buf_text(&d->text, ", of which not all agree: such a kubelet may not start again");
        tell(d, DIAGNOSIS_BROKEN_GROUP);
    }
}

/* Zones that blocks or groups tie together with `zone`. */
static uint64_t tied(const struct node_view *node, uint32_t zone)
{
    uint64_t zones = UINT64_C(1) << zone, before = 0;

    while (zones != before) {
        before = zones;
        for (uint64_t z = before; z; z &= z - 1)
            zones |= node->state.cells[__builtin_ctzll(z)];
        for (uint32_t p = 0; p < node->n_pods; p++) {
            for (uint32_t h = 0; h < node->pods[p].n_holdings; h++) {
                const struct node_holding *const held = &node->pods[p].holdings[h];

                for (uint32_t k = 0; k < held->n_blocks; k++)
                    zones |= held->blocks[k].zones & zones ? held->blocks[k].zones : 0;
            }
        }
    }
    return zones;
}

/* Does the node say of more blocks in these zones than its pods are known to have? */
static bool has_unknown_blocks(const struct node_view *node, uint64_t zones)
{
    for (uint64_t z = zones; z; z &= z - 1) {
        uint64_t ignored[MAX_TYPES] = {0};
        uint32_t known = 0;

        for (uint32_t p = 0; p < node->n_pods; p++) {
            for (uint32_t h = 0; h < node->pods[p].n_holdings; h++)
                known += count_bytes(&node->pods[p].holdings[h], z & -z, ignored);
        }
        if (node->state.assignments[__builtin_ctzll(z)] > known)
            return true;
    }
    return false;
}

/* What is reserved in zones that belong together, and not by any block there. */
static void stranded_in(struct diagnosis *d, uint64_t zones)
{
    const struct node_view *const node = d->node;
    uint64_t held[MAX_TYPES] = {0};

    for (uint32_t p = 0; p < node->n_pods; p++) {
        for (uint32_t h = 0; h < node->pods[p].n_holdings; h++)
            (void)count_bytes(&node->pods[p].holdings[h], zones, held);
    }
    for (uint32_t t = 0; t < node->n_memory_types; t++) {
        uint64_t reserved = 0;

        for (uint64_t z = zones; z; z &= z - 1)
            reserved +=
                node->state
                    .memory_reserved[(uint32_t)__builtin_ctzll(z) * node->n_memory_types + t];
        if (reserved <= held[t])
            continue;
        buf_bytes(&d->text, reserved - held[t]);
        buf_printf(&d->text, " of %.*s in ", STR_ARG(node->memory_types[t].name));
        add_zones(d, zones);
        buf_text(&d->text, zones & (zones - 1) ? " are" : " is");
        buf_text(&d->text, " reserved by nobody, until the kubelet starts without its "
                           "memory_manager_state");
        tell(d, DIAGNOSIS_STRANDED);
    }
}

static void stranded(struct diagnosis *d)
{
    uint64_t seen = 0;

    for (uint32_t z = 0; z < d->node->machine.n_zones; z++) {
        const uint64_t zones = tied(d->node, z);

        if (!(seen >> z & 1) && !has_unknown_blocks(d->node, zones))
            stranded_in(d, zones);
        seen |= zones;
    }
}

static void memory(struct diagnosis *d)
{
    if (!d->node->kubelet.memory_static || d->node->n_memory_types > MAX_TYPES)
        return;
    groups(d, true);
    groups(d, false);
    if (d->node->blocks_known)
        stranded(d);
}

void diagnose_node(const struct node_view *node, diagnosis_tell on_finding, void *ctx)
{
    struct diagnosis d = {.node = node, .tell = on_finding, .ctx = ctx};

    if (node->knowledge != NODE_KNOWN) {
        buf_printf(&d.text, "%s: %.*s", reason_of(node->knowledge), STR_ARG(node->why_unknown));
        tell(&d, DIAGNOSIS_UNKNOWN);
    } else {
        too_wide(&d);
        no_start(&d);
        cpus_contradict(&d);
        devices_contradict(&d);
        unplaced(&d);
        assumed(&d);
        memory(&d);
    }
    buf_free(&d.text);
}
