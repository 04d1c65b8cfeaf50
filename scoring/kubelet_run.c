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

/* Room for the widest request: CPU, and one list for each type of memory and device resource. */
static int lists_init(struct kubelet_run *run, struct arena *a)
{
    const uint32_t zones = run->node->machine.n_zones, words = mask_set_words(zones);
    uint32_t most = run->req->whole.n_devices + run->req->whole.n_memory;

    for (uint32_t i = 0; i < run->req->n_containers; i++) {
        const struct kubelet_wants *const wants = &run->req->containers[i].wants;
        const uint32_t n = wants->n_devices + wants->n_memory;

        most = n > most ? n : most;
    }
    most += 2; /* CPU; and the memory manager may look for itself where nothing was asked for */
    run->lists = arena_array(a, most, sizeof(*run->lists));
    run->sums = arena_array(a, (size_t)1 << zones, sizeof(*run->sums));
    run->counts = arena_array(a, (size_t)2 << zones, sizeof(*run->counts));
    uint64_t *const sets = arena_array(a, (size_t)most * 2 * words, sizeof(*sets));
    if (!run->lists || !run->sums || !run->counts || !sets)
        return -ENOMEM;
    for (uint32_t i = 0; i < most; i++) {
        run->lists[i].masks = sets + (size_t)i * 2 * words;
        run->lists[i].preferred = run->lists[i].masks + words;
    }
    return 0;
}

/* What the answer will point to: per container CPUs, memory blocks, devices. */
static int results_init(struct kubelet_run *run, struct arena *a)
{
    const uint32_t n = run->req->n_containers, device_words = node_device_words(run->node);

    run->answer->containers = arena_array(a, n, sizeof(*run->answer->containers));
    run->hint = arena_array(a, n, sizeof(*run->hint));
    run->cpus = arena_array(a, n, sizeof(*run->cpus));
    run->blocks = arena_array(a, n, sizeof(*run->blocks));
    run->devices = arena_array(a, n, sizeof(*run->devices));
    if (!run->answer->containers || !run->hint || !run->cpus || !run->blocks || !run->devices)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct kubelet_wants *const w = &run->req->containers[i].wants;

        run->cpus[i] = arena_array(a, w->cpus ? run->node->cpu_words : 0, sizeof(uint64_t));
        run->blocks[i] = arena_array(a, w->n_memory, sizeof(struct node_block));
        run->devices[i] = arena_array(a, device_words, sizeof(uint64_t));
        if (!run->cpus[i] || !run->blocks[i] || !run->devices[i])
            return -ENOMEM;
    }
    return 0;
}

int kubelet_run_init(struct kubelet_run *run, struct arena *a)
{
    const struct node_view *const node = run->node;
    uint32_t n_memory = 0;

    for (uint32_t i = 0; i < run->req->n_containers; i++)
        n_memory += run->req->containers[i].wants.n_memory;
    run->reuse_cpus = arena_array(a, node->cpu_words, sizeof(uint64_t));
    run->reuse_devices = arena_array(a, node_device_words(node), sizeof(uint64_t));
    run->reuse_memory = arena_array(a, n_memory, sizeof(*run->reuse_memory));
    run->cpu_scratch = arena_array(a, 3 * (size_t)node->cpu_words, sizeof(uint64_t));
    run->device_scratch = arena_array(a, node_device_words(node), sizeof(uint64_t));
    if (kubelet_needs_hints(run) && lists_init(run, a))
        return -ENOMEM;
    if (!run->reuse_cpus || !run->reuse_devices || !run->reuse_memory || !run->cpu_scratch ||
        !run->device_scratch || results_init(run, a) || kubelet_take_init(&run->take, node, a))
        return -ENOMEM;
    return 0;
}
