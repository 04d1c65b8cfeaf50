/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory Manager, policy Static. A block of memory lies in one zone or in a group of zones; zones
 * joined to a group serve nothing else while a block lives there. k8s:
 * memorymanager/policy_static.go.
 */
#include <string.h>

#include "scoring/kubelet_run.h"
#include "scoring/mask_set.h"

static const uint32_t no_type = UINT32_MAX;

uint32_t kubelet_page_size(const struct node_view *node, struct str name)
{
    for (uint32_t t = 1; t < node->n_memory_types; t++) {
        if (str_eq(node->memory_types[t].name, name))
            return t;
    }
    return no_type;
}

static uint64_t reusable(const struct kubelet_run *run, uint64_t mask, uint32_t type)
{
    for (uint32_t i = 0; i < run->n_reuse; i++) {
        if (run->reuse_memory[i].zones == mask && run->reuse_memory[i].type == type)
            return run->reuse_memory[i].bytes;
    }
    return 0;
}

/* A block may not mix: a zone of a group serves that group only, a zone with blocks no group. */
static bool breaks_group(const struct node_state *state, uint64_t mask, uint64_t busy)
{
    for (uint64_t z = mask & busy; z; z &= z - 1) {
        const uint64_t cells = state->cells[__builtin_ctzll(z)];

        if ((cells & (cells - 1)) == 0 || cells != mask)
            return true;
    }
    return false;
}

static uint64_t busy_zones(const struct kubelet_run *run)
{
    uint64_t busy = 0;

    for (uint32_t z = 0; z < run->node->machine.n_zones; z++)
        busy |= (uint64_t)(run->state->assignments[z] > 0) << z;
    return busy;
}

/*
 * The masks a block may lie in: one zone that is in no group; zones of which none holds a block;
 * or just the zones of a living group.
 */
static void allowed(const struct kubelet_run *run, uint64_t *set)
{
    const uint32_t n = run->node->machine.n_zones;
    const uint64_t busy = busy_zones(run);

    mask_set_subsets(set, n, ~busy & ((UINT64_C(1) << n) - 1));
    for (uint32_t z = 0; z < n; z++) {
        const uint64_t cells = run->state->cells[z];
        const bool grouped = cells & (cells - 1);

        if (grouped)
            mask_set_del(set, UINT64_C(1) << z);
        else
            mask_set_add(set, UINT64_C(1) << z);
        if (grouped && busy >> z & 1 && !breaks_group(run->state, cells, busy))
            mask_set_add(set, cells);
    }
}

/* What init containers left counts for the very mask it lies in. `sums` are free bytes by mask. */
static void add_reusable(const struct kubelet_run *run, uint64_t *set, uint64_t want, uint32_t type)
{
    for (uint32_t i = 0; i < run->n_reuse; i++) {
        const struct kubelet_reuse *const r = &run->reuse_memory[i];

        if (r->type != type)
            continue;
        if (run->sums[r->zones] + r->bytes >= want)
            mask_set_add(set, r->zones);
        else
            mask_set_del(set, r->zones);
    }
}

/* Does every zone have it all? Then every set of zones does, and no sums are needed. */
static bool everywhere(const struct node_view *node, const uint64_t *by_zone, uint64_t want)
{
    bool all = want >> 59 == 0; /* sums of what is below 2^59 do not wrap */

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        const uint64_t here = by_zone[(size_t)z * node->n_memory_types];

        all = all && here >= want && here >> 59 == 0;
    }
    return all;
}

/*
 * The list of each type, for all have the same (calculateHints): a mask must hold each type. False
 * where nothing is left: the kubelet then offers an empty map, which the Topology Manager reads as
 * "does not care". The width is that of the masks that could hold it all if nothing were taken.
 */
static bool calculate(struct kubelet_run *run, const struct kubelet_wants *wants,
                      struct kubelet_hints *list)
{
    const struct node_view *const node = run->node;
    const uint32_t n = node->machine.n_zones, stride = node->n_memory_types;
    uint64_t fits[MASK_SET_WORDS], free[MASK_SET_WORDS];

    mask_set_subsets(fits, n, (UINT64_C(1) << n) - 1);
    for (uint32_t i = 0; i < wants->n_memory; i++) {
        const uint32_t type = kubelet_memory_type(node, &wants->memory[i]);

        if (!everywhere(node, node->memory_allocatable + type, wants->memory[i].amount))
            mask_set_keep_bytes(fits, n, node->memory_allocatable + type, stride,
                                wants->memory[i].amount, run->sums);
    }
    allowed(run, list->masks);
    for (uint32_t i = 0; i < wants->n_memory; i++) {
        const uint32_t type = kubelet_memory_type(node, &wants->memory[i]);

        if (run->n_reuse == 0 &&
            everywhere(node, run->state->memory_free + type, wants->memory[i].amount))
            continue;
        mask_set_subsets(free, n, (UINT64_C(1) << n) - 1);
        mask_set_keep_bytes(free, n, run->state->memory_free + type, stride,
                            wants->memory[i].amount, run->sums);
        add_reusable(run, free, wants->memory[i].amount, type);
        for (uint32_t w = 0; w < mask_set_words(n); w++)
            list->masks[w] &= free[w];
    }
    for (uint32_t w = 0; w < mask_set_words(n); w++)
        list->masks[w] &= fits[w];
    return !kubelet_prefer(list, n, mask_set_width(fits, n));
}

/* Only Guaranteed pods get memory of their own. */
static bool is_asked(const struct kubelet_run *run)
{
    return run->node->kubelet.memory_static && run->req->qos == POD_GUARANTEED;
}

/*
 * A page size that the machine lacks is a nil dereference in the kubelet, also where only one of
 * the zones lacks it that are looked at: zones without memory do.
 */
bool kubelet_memory_exists(struct kubelet_run *run, const struct kubelet_wants *wants,
                           uint64_t zones)
{
    if (!is_asked(run) || wants->odd_memory)
        return true;
    for (uint32_t i = 0; i < wants->n_memory; i++) {
        const uint32_t type = kubelet_memory_type(run->node, &wants->memory[i]);

        if (type == no_type)
            return kubelet_fail(run, SCORE_KUBELET_CRASH,
                                "the kubelet dies of %.*s, which this machine does not have",
                                STR_ARG(wants->memory[i].name));
        if (run->node->memory_types[type].lacking & zones)
            return kubelet_fail(run, SCORE_KUBELET_CRASH,
                                "the kubelet dies of %.*s, which a zone of this machine does not "
                                "have",
                                STR_ARG(wants->memory[i].name));
    }
    return true;
}

bool kubelet_memory_hints(struct kubelet_run *run, const struct kubelet_wants *wants)
{
    if (!is_asked(run) || wants->odd_memory)
        return true; /* of an odd one no hints at all: the error comes with the allocation */
    if (!kubelet_memory_exists(run, wants, UINT64_MAX))
        return false;
    if (wants->n_memory > 0) {
        struct kubelet_hints *const list = kubelet_new_list(run);

        list->any = !calculate(run, wants, list); /* nothing at all is the empty map */
        for (uint32_t i = 1; i < wants->n_memory; i++)
            kubelet_repeat_list(run, list);
    }
    return true;
}

/* The manager's own hints; the merge is over, so that its room is free. */
static struct kubelet_hints *own_hints(struct kubelet_run *run, const struct kubelet_wants *wants)
{
    kubelet_run_lists(run);
    return calculate(run, wants, &run->lists[0]) ? &run->lists[0] : NULL;
}

/*
 * findBestHint: preferred first, then the narrowest, then the lowest; among supersets of `of`.
 * `list` NULL: there is none.
 */
static bool best_hint(struct kubelet_hints *list, uint32_t n, uint64_t of, struct kubelet_hint *out)
{
    uint64_t *set = list ? list->preferred : NULL;
    uint64_t mask = 1;

    if (!list)
        return false;
    mask_set_keep_supersets(list->preferred, n, of);
    mask_set_keep_supersets(list->masks, n, of);
    out->preferred = mask_set_width(set, n) > 0;
    if (!out->preferred)
        set = list->masks;
    mask_set_keep_size(set, n, mask_set_width(set, n));
    out->has_affinity = mask_set_next(set, n, &mask);
    out->affinity = mask;
    return out->has_affinity;
}

static bool has_free(const struct kubelet_run *run, const struct kubelet_wants *wants,
                     uint64_t mask)
{
    const struct node_view *const node = run->node;

    for (uint32_t i = 0; i < wants->n_memory; i++) {
        const uint32_t type = kubelet_memory_type(node, &wants->memory[i]);
        uint64_t free = 0;

        for (uint64_t z = mask; z; z &= z - 1)
            free +=
                run->state->memory_free[(uint32_t)__builtin_ctzll(z) * node->n_memory_types + type];
        if (free < wants->memory[i].amount)
            return false;
    }
    return true;
}

/*
 * The zones the blocks will lie in: the stored hint, or the manager's own choice where that is
 * nil, extended where it lacks free memory. What init containers left does not count here.
 */
static bool choose_zones(struct kubelet_run *run, const struct kubelet_wants *wants,
                         const struct kubelet_hint *stored, uint64_t *out)
{
    const uint32_t zones = run->node->machine.n_zones;
    struct kubelet_hint hint = *stored;

    if (!kubelet_memory_exists(run, wants, hint.has_affinity ? hint.affinity : UINT64_MAX))
        return false;
    if (!hint.has_affinity) {
        if (!kubelet_zones_fit(run))
            return false;
        if (!best_hint(own_hints(run, wants), zones, 0, &hint))
            return kubelet_fail_unexpected(run, "[memorymanager] failed to get the default NUMA "
                                                "affinity, no NUMA nodes with enough memory is "
                                                "available");
        if (!hint.preferred && stored->preferred)
            return kubelet_fail_unexpected(
                run, "[memorymanager] failed to find the default preferred hint");
    }
    if (!has_free(run, wants, hint.affinity)) {
        const struct kubelet_hint was = hint;

        if (!kubelet_memory_exists(run, wants, UINT64_MAX))
            return false;
        if (!best_hint(own_hints(run, wants), zones, was.affinity, &hint))
            return kubelet_fail_unexpected(run, "[memorymanager] failed to find NUMA nodes to "
                                                "extend the current topology hint");
        if (!hint.preferred && was.preferred)
            return kubelet_fail_unexpected(
                run, "[memorymanager] failed to find the extended preferred hint");
    }
    /* A single zone is not checked: it may break into a living group (k/k#113035). */
    if ((hint.affinity & (hint.affinity - 1)) != 0 &&
        breaks_group(run->state, hint.affinity, busy_zones(run)))
        return kubelet_fail_unexpected(run, "[memorymanager] preferred hint violates NUMA node "
                                            "allocation");
    *out = hint.affinity;
    return true;
}

/* Take `need` bytes from the zones, lowest first, as much as each has. */
static void reserve(struct kubelet_run *run, uint64_t zones, uint32_t type, uint64_t need)
{
    struct node_state *const s = run->state;

    for (uint64_t z = zones; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);
        const size_t at = (size_t)zone * run->node->n_memory_types + type;
        const uint64_t part = s->memory_free[at] < need ? s->memory_free[at] : need;

        s->assignments[zone]++;
        s->cells[zone] = zones;
        s->memory_free[at] -= part;
        s->memory_reserved[at] += part;
        need -= part;
    }
}

static void update_reuse(struct kubelet_run *run, uint32_t i, const struct node_block *b)
{
    struct kubelet_reuse *entry = NULL;

    if (run->n_reuse == 0 && run->req->containers[i].kind != POD_INIT)
        return;
    for (uint32_t k = 0; k < run->n_reuse && !entry; k++) {
        if (run->reuse_memory[k].zones == b->zones && run->reuse_memory[k].type == b->type)
            entry = &run->reuse_memory[k];
    }
    if (run->req->containers[i].kind == POD_INIT) {
        if (!entry) {
            entry = &run->reuse_memory[run->n_reuse++];
            *entry = (struct kubelet_reuse){b->zones, b->type, 0};
        }
        entry->bytes = b->bytes > entry->bytes ? b->bytes : entry->bytes;
    } else if (entry) {
        entry->bytes -= b->bytes < entry->bytes ? b->bytes : entry->bytes;
    }
}

/* The blocks of finished init containers shrink by what this container takes over. */
static void shrink_init_blocks(struct kubelet_run *run, uint32_t i, const struct node_block *b)
{
    uint64_t left = b->bytes;

    for (uint32_t c = 0; run->n_reuse && c < i && left > 0; c++) {
        if (run->req->containers[c].kind != POD_INIT)
            continue;
        struct node_block *const blocks = kubelet_run_blocks(run, c);

        for (uint32_t k = 0; k < run->answer->containers[c].n_blocks; k++) {
            if (blocks[k].type != b->type || blocks[k].zones != b->zones)
                continue;
            const uint64_t part = blocks[k].bytes < left ? blocks[k].bytes : left;

            blocks[k].bytes -= part;
            left -= part;
        }
    }
}

bool kubelet_memory_allocate(struct kubelet_run *run, uint32_t i)
{
    const struct kubelet_wants *const wants = &run->req->containers[i].wants;
    struct score_container *const got = &run->answer->containers[i];
    struct node_block *const blocks = kubelet_run_blocks(run, i);
    uint64_t zones = 0;

    if (!is_asked(run))
        return true;
    if (wants->odd_memory)
        return kubelet_fail_unexpected(run,
                                       "[memorymanager] failed to represent quantity as int64");
    const struct kubelet_hint hint = kubelet_run_hint(run, i);
    if (!choose_zones(run, wants, &hint, &zones))
        return false;
    for (uint32_t k = 0; k < wants->n_memory; k++) {
        const uint32_t type = kubelet_memory_type(run->node, &wants->memory[k]);
        const uint64_t want = wants->memory[k].amount, reuse = reusable(run, zones, type);

        blocks[k] = (struct node_block){zones, type, want};
        reserve(run, zones, type, reuse < want ? want - reuse : 0);
    }
    got->blocks = blocks;
    got->n_blocks = wants->n_memory;
    for (uint32_t k = 0; k < wants->n_memory; k++) {
        update_reuse(run, i, &blocks[k]);
        shrink_init_blocks(run, i, &blocks[k]);
    }
    return true;
}

/*
 * Memory goes back to the lowest zones first, out of whatever is reserved there, other pods'
 * memory included: so it wanders between the zones of a group, and what finds too little reserved
 * is lost to all (corrections 4 and 5 of the recorded vectors; docs/scoring.md).
 */
void kubelet_memory_release(struct node_state *s, const struct node_view *node,
                            const struct node_block *blocks, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        uint64_t left = blocks[k].bytes;

        for (uint64_t z = blocks[k].zones; z; z &= z - 1) {
            const uint32_t zone = (uint32_t)__builtin_ctzll(z);
            const size_t at = (size_t)zone * node->n_memory_types + blocks[k].type;
            const uint64_t part = s->memory_reserved[at] < left ? s->memory_reserved[at] : left;

            if (s->assignments[zone] > 0 && --s->assignments[zone] == 0)
                s->cells[zone] = UINT64_C(1) << zone;
            s->memory_free[at] += part;
            s->memory_reserved[at] -= part;
            left -= part;
        }
    }
}
