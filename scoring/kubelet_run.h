/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One admission under way: the state it changes and all the room it will need, taken from the
 * arena before anything changes, so that the managers behind it cannot fail for want of memory.
 * Private to kubelet*.c.
 */
#ifndef SCORING_KUBELET_RUN_H
#define SCORING_KUBELET_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_merge.h"
#include "scoring/kubelet_request.h"
#include "scoring/kubelet_take.h"

/* Memory of finished init containers that later containers may use, by exact mask and type. */
struct kubelet_reuse {
    uint64_t zones;
    uint32_t type;
    uint64_t bytes;
};

struct kubelet_run {
    const struct node_view *node;
    struct node_state *state;
    const struct score_request *req;
    struct kubelet_answer *answer;
    bool zones_only; /* kubelet_admit_zones */
    /* What the answer's containers point to, still to be changed. */
    uint64_t *cpus, *devices;  /* [n_containers*W], [n_containers*device words] */
    struct node_block *blocks; /* [n_containers*most_blocks] */
    /* What this pod's ordinary init containers leave to later ones. */
    uint64_t *reuse_cpus; /* [W] */
    bool any_reuse_cpus, any_reuse_devices;
    uint64_t *reuse_devices;            /* [device words] */
    struct kubelet_reuse *reuse_memory; /* [n_reuse] */
    uint32_t n_reuse;
    /* Room to work in. */
    uint64_t *cpu_scratch;    /* [2*W] */
    uint64_t *device_scratch; /* [device words] */
    /* The rest is set aside in `spare`, and in place after kubelet_run_lists, kubelet_run_take:
       most admissions need none of it. */
    struct arena spare;
    struct kubelet_hints *lists; /* one per provider and resource of the widest request */
    uint32_t n_lists;
    uint64_t *sums;   /* [1 << zones] */
    uint32_t *counts; /* [2 << zones] */
    struct kubelet_take take;
};

/* What container i will hold. */
static inline uint64_t *kubelet_run_cpus(const struct kubelet_run *run, uint32_t i)
{
    return run->cpus + (size_t)i * run->node->cpu_words;
}
static inline uint64_t *kubelet_run_devices(const struct kubelet_run *run, uint32_t i)
{
    return run->devices + (size_t)i * node_device_words(run->node);
}
static inline struct node_block *kubelet_run_blocks(const struct kubelet_run *run, uint32_t i)
{
    return run->blocks + (size_t)i * run->req->most_blocks;
}
/* What the Topology Manager stored for container i; nil where it was not asked. */
static inline struct kubelet_hint kubelet_run_hint(const struct kubelet_run *run, uint32_t i)
{
    const struct score_container *const c = &run->answer->containers[i];
    return (struct kubelet_hint){c->has_affinity, c->preferred, c->affinity};
}

/* Are sets of zones worked out at all? The memory manager needs them under policy none, too. */
bool kubelet_needs_hints(const struct kubelet_run *run);

/* Take all room from `a`; node, state, req and answer are set. 0, -ENOMEM. */
int kubelet_run_init(struct kubelet_run *run, struct arena *a) MUST_CHECK;

/* Put in place what hints are collected in, where kubelet_needs_hints, and what CPUs are chosen in.
 */
void kubelet_run_lists(struct kubelet_run *run);
struct kubelet_take *kubelet_run_take(struct kubelet_run *run);

/*
 * Ask all providers, in the kubelet's order, and merge. False: rejected or crashed, and the answer
 * says so.
 */
bool kubelet_run_merge(struct kubelet_run *run, const struct kubelet_wants *wants, bool whole,
                       struct kubelet_hint *out);

/* The same by single zones, where these decide it: `out`, no admission, or not known this way. */
enum kubelet_single { KUBELET_SINGLE_FOUND, KUBELET_SINGLE_NONE, KUBELET_SINGLE_OPEN };
enum kubelet_single kubelet_single_merge(struct kubelet_run *run, const struct kubelet_wants *wants,
                                         struct kubelet_hint *out);

/*
 * Fail the admission: fills the answer, on the hot path without words; always returns false, for
 * the caller to pass on.
 */
bool kubelet_fail(struct kubelet_run *run, enum score_reason reason, const char *fmt, ...)
    PRINTF(3, 4);

/* "Allocate failed due to ..., which is unexpected" */
bool kubelet_fail_unexpected(struct kubelet_run *run, const char *fmt, ...) PRINTF(2, 3);

/* Its sets of zones have 64 bits, by id: false, with the crash as the answer, where ids reach
 * beyond.
 */
bool kubelet_zones_fit(struct kubelet_run *run);

/* The next unused hint list, cleared. */
struct kubelet_hints *kubelet_new_list(struct kubelet_run *run);

/* Add a list that is the same as another one. Hints of both that differ meet in smaller masks. */
void kubelet_repeat_list(struct kubelet_run *run, const struct kubelet_hints *list);

/*
 * The fewest zones that have `want` of something, all of it counted, free or not: largest[k] is
 * what the k richest of `zones` zones have together. All of them when even they do not suffice.
 */
uint32_t kubelet_width(const uint32_t *largest, uint32_t zones, uint64_t want);

/* Mark the masks of `width` zones as preferred; true when the list has no mask at all. */
bool kubelet_prefer(struct kubelet_hints *list, uint32_t n_zones, uint32_t width);

/*
 * The providers. `hints` appends lists to run->lists for what is wanted (of a container, or of
 * the whole pod); `allocate` serves container i, false after kubelet_fail.
 */
/* CPUs that may be allocated [W], those that init containers left among them; in scratch. */
const uint64_t *kubelet_cpu_pool(struct kubelet_run *run);
void kubelet_cpu_hints(struct kubelet_run *run, const struct kubelet_wants *wants);
bool kubelet_cpu_allocate(struct kubelet_run *run, uint32_t i);
/* Index of the type; UINT32_MAX: the machine does not have it. */
uint32_t kubelet_page_size(const struct node_view *node, struct str name);
static inline uint32_t kubelet_memory_type(const struct node_view *node,
                                           const struct kubelet_want *want)
{
    return want->is_main_memory ? 0 : kubelet_page_size(node, want->name);
}
/* False after a crash: a type of memory that the machine, or one of the zones, does not have. */
bool kubelet_memory_exists(struct kubelet_run *run, const struct kubelet_wants *wants,
                           uint64_t zones);
/* False after a crash. */
bool kubelet_memory_hints(struct kubelet_run *run, const struct kubelet_wants *wants);
bool kubelet_memory_allocate(struct kubelet_run *run, uint32_t i);
void kubelet_memory_release(struct node_state *state, const struct node_view *node,
                            const struct node_block *blocks, uint32_t n);
/* NULL: no plugin ever registered it here, so it is not the device manager's business. */
const struct node_resource *kubelet_resource(const struct node_view *node, struct str name);
/*
 * The resource's devices that may be counted, as a set in scratch; returns how many they are. And
 * how many of that set are in a zone.
 */
uint32_t kubelet_devices_usable(struct kubelet_run *run, const struct node_resource *r, bool whole);
uint32_t kubelet_devices_in(const struct kubelet_run *run, const struct node_resource *r,
                            uint32_t zone);
/* `whole`: reusable devices do not count for the pod as a whole. */
void kubelet_device_hints(struct kubelet_run *run, const struct kubelet_wants *wants, bool whole);
bool kubelet_device_allocate(struct kubelet_run *run, uint32_t i);

#endif
