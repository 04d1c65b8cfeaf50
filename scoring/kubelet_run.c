/* SPDX-License-Identifier: Apache-2.0 */
/* What the managers share while one admission runs: its room, its refusals, its hint lists. */
#include "scoring/kubelet_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/mask_set.h"

_Static_assert((int)KUBELET_HINT_ZONES == (int)MASK_SET_ZONES, "hints are sets of masks");

bool kubelet_fail(struct kubelet_run *run, enum score_reason reason, const char *fmt, ...)
{
    struct kubelet_answer *const answer = run->answer;
    va_list ap;

    answer->verdict = reason == SCORE_TOO_MANY_ZONES ? SCORE_UNKNOWN : SCORE_REJECTED;
    answer->reason = reason;
    va_start(ap, fmt);
    (void)vsnprintf(answer->message, sizeof(answer->message), fmt, ap);
    va_end(ap);
    return false;
}

bool kubelet_fail_unexpected(struct kubelet_run *run, const char *fmt, ...)
{
    char why[ERR_TEXT_BYTES - 64];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return kubelet_fail(run, SCORE_UNEXPECTED_ADMISSION_ERROR,
                        "Allocate failed due to %s, which is unexpected", why);
}

bool kubelet_zones_fit(struct kubelet_run *run)
{
    const struct topo_machine *const m = &run->node->machine;

    return m->zones[m->n_zones - 1].id < 64 ||
           kubelet_fail(run, SCORE_KUBELET_CRASH, "the kubelet dies of zone ids beyond 63");
}

struct kubelet_hints *kubelet_new_list(struct kubelet_run *run)
{
    struct kubelet_hints *const list = &run->lists[run->n_lists++];
    const size_t bytes = mask_set_words(run->node->machine.n_zones) * sizeof(uint64_t);

    list->any = list->impossible = false;
    memset(list->masks, 0, bytes);
    memset(list->preferred, 0, bytes);
    return list;
}

void kubelet_repeat_list(struct kubelet_run *run, const struct kubelet_hints *list)
{
    struct kubelet_hints *const again = &run->lists[run->n_lists++];
    const size_t bytes = mask_set_words(run->node->machine.n_zones) * sizeof(uint64_t);

    again->any = list->any;
    again->impossible = list->impossible;
    memcpy(again->masks, list->masks, bytes);
    memcpy(again->preferred, list->preferred, bytes);
}

uint32_t kubelet_width(const uint32_t *largest, uint32_t zones, uint64_t want)
{
    for (uint32_t k = 1; k < zones; k++) {
        if (largest[k] >= want)
            return k;
    }
    return zones;
}

bool kubelet_prefer(struct kubelet_hints *list, uint32_t n_zones, uint32_t width)
{
    uint64_t any = 0;

    for (uint32_t w = 0; w < mask_set_words(n_zones); w++)
        any |= list->preferred[w] = list->masks[w];
    mask_set_keep_size(list->preferred, n_zones, width);
    return any == 0;
}

bool kubelet_needs_hints(const struct kubelet_run *run)
{
    return run->node->kubelet.policy != KUBELET_POLICY_NONE ||
           (run->node->kubelet.memory_static && run->req->qos == POD_GUARANTEED);
}

/* The widest request: CPU, and one list for each type of memory and device resource. */
static uint32_t most_lists(const struct score_request *req)
{
    uint32_t most = req->whole.n_devices + req->whole.n_memory;

    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_wants *const wants = &req->containers[i].wants;
        const uint32_t n = wants->n_devices + wants->n_memory;

        most = n > most ? n : most;
    }
    return most +
           2; /* CPU; and the memory manager may look for itself where nothing was asked for */
}

static uint32_t most_blocks(const struct score_request *req)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < req->n_containers; i++)
        most = req->containers[i].wants.n_memory > most ? req->containers[i].wants.n_memory : most;
    return most;
}

/* Where hints are collected. `*out_sets`: of the masks of all lists. */
static void place_lists(struct kubelet_run *run, uint32_t n_lists, uint64_t **out_sets,
                        struct arena_parts *parts)
{
    const uint32_t zones = run->node->machine.n_zones;

    run->lists = arena_part(parts, n_lists, sizeof(*run->lists));
    run->sums = arena_part(parts, (size_t)1 << zones, sizeof(*run->sums));
    run->counts = arena_part(parts, (size_t)2 << zones, sizeof(*run->counts));
    *out_sets = arena_part(parts, (size_t)n_lists * 2 * mask_set_words(zones), sizeof(**out_sets));
}

static void point_lists(struct kubelet_run *run, uint32_t n_lists, uint64_t *sets)
{
    /* without lists there may be more zones than a set of masks has */
    const uint32_t words = n_lists ? mask_set_words(run->node->machine.n_zones) : 0;

    for (uint32_t i = 0; i < n_lists; i++) {
        run->lists[i].masks = sets + (size_t)i * 2 * words;
        run->lists[i].preferred = run->lists[i].masks + words;
    }
}

/* What is read before it is written. */
static void place_results(struct kubelet_run *run, struct arena_parts *parts)
{
    const uint32_t n = run->req->n_containers;
    const size_t words = run->node->cpu_words, device_words = node_device_words(run->node);

    run->answer->containers = arena_part(parts, n, sizeof(*run->answer->containers));
    run->hint = arena_part(parts, n, sizeof(*run->hint));
    run->cpus = arena_part(parts, n * words, sizeof(uint64_t));
    run->devices = arena_part(parts, n * device_words, sizeof(uint64_t));
    run->reuse_cpus = arena_part(parts, words, sizeof(uint64_t));
    run->reuse_devices = arena_part(parts, device_words, sizeof(uint64_t));
}

static void clear_results(const struct kubelet_run *run)
{
    const uint32_t n = run->req->n_containers;
    const size_t words = run->node->cpu_words, device_words = node_device_words(run->node);

    memset(run->answer->containers, 0, n * sizeof(*run->answer->containers));
    memset(run->hint, 0, n * sizeof(*run->hint));
    memset(run->cpus, 0, n * words * sizeof(uint64_t));
    memset(run->devices, 0, n * device_words * sizeof(uint64_t));
    memset(run->reuse_cpus, 0, words * sizeof(uint64_t));
    memset(run->reuse_devices, 0, device_words * sizeof(uint64_t));
}

int kubelet_run_init(struct kubelet_run *run, struct arena *a)
{
    const struct node_view *const node = run->node;
    const struct score_request *const req = run->req;
    const uint32_t n_lists = kubelet_needs_hints(run) ? most_lists(req) : 0;
    const size_t words = node->cpu_words, device_words = node_device_words(node);
    struct arena_parts parts = arena_parts(a);
    uint64_t *sets = NULL;

    run->most_blocks = most_blocks(req);
    place_results(run, &parts);
    run->blocks =
        arena_part(&parts, (size_t)req->n_containers * run->most_blocks, sizeof(*run->blocks));
    run->reuse_memory = arena_part(&parts, (size_t)req->n_containers * run->most_blocks,
                                   sizeof(*run->reuse_memory));
    run->cpu_scratch = arena_part(&parts, 3 * words, sizeof(uint64_t));
    run->device_scratch = arena_part(&parts, device_words, sizeof(uint64_t));
    if (n_lists)
        place_lists(run, n_lists, &sets, &parts);
    kubelet_take_init(&run->take, node, &parts);
    if (arena_seal(&parts))
        return -ENOMEM;
    clear_results(run);
    point_lists(run, n_lists, sets);
    return 0;
}
