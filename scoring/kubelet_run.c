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
    if (run->zones_only)
        return false;
    va_start(ap, fmt);
    (void)vsnprintf(answer->message, sizeof(answer->message), fmt, ap);
    va_end(ap);
    return false;
}

bool kubelet_fail_unexpected(struct kubelet_run *run, const char *fmt, ...)
{
    char why[ERR_TEXT_BYTES - 64] = "";
    va_list ap;

    if (run->zones_only)
        return kubelet_fail(run, SCORE_UNEXPECTED_ADMISSION_ERROR, "%s", why);
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

/* Where hints are collected: all sets of masks behind `sums`. */
static void place_lists(struct kubelet_run *run, uint32_t n_lists, struct arena_parts *parts)
{
    const uint32_t zones = run->node->machine.n_zones;
    const size_t masks = (size_t)1 << zones, words = mask_set_words(zones);

    run->lists = arena_part(parts, n_lists, sizeof(*run->lists));
    run->sums = arena_part(parts, masks + (size_t)n_lists * 2 * words, sizeof(*run->sums));
    run->counts = arena_part(parts, 2 * masks, sizeof(*run->counts));
}

static void point_lists(struct kubelet_run *run, uint32_t n_lists)
{
    /* without lists there may be more zones than a set of masks has */
    const uint32_t words = n_lists ? mask_set_words(run->node->machine.n_zones) : 0;
    uint64_t *at = n_lists ? run->sums + ((size_t)1 << run->node->machine.n_zones) : NULL;

    for (uint32_t i = 0; i < n_lists; i++, at += 2 * (size_t)words) {
        run->lists[i].masks = at;
        run->lists[i].preferred = at + words;
    }
}

/* Words in one part: what is read before it is written comes first. */
static size_t point_words(struct kubelet_run *run, uint64_t *at)
{
    const size_t n = run->req->n_containers, words = run->node->cpu_words,
                 device_words = node_device_words(run->node);

    run->cpus = at;
    run->reuse_cpus = run->cpus + n * words;
    run->devices = run->reuse_cpus + words;
    run->reuse_devices = run->devices + n * device_words;
    run->device_scratch = run->reuse_devices + device_words;
    run->cpu_scratch = run->device_scratch + device_words;
    return (size_t)(run->device_scratch - at);
}

int kubelet_run_init(struct kubelet_run *run, struct arena *a)
{
    const struct node_view *const node = run->node;
    const struct score_request *const req = run->req;
    const uint32_t n_lists = kubelet_needs_hints(run) ? req->most_lists : 0;
    const size_t n = req->n_containers, blocks = n * req->most_blocks;
    struct arena_parts parts = arena_parts(a);

    run->answer->containers = arena_part(&parts, n, sizeof(*run->answer->containers));
    uint64_t *const words = arena_part(
        &parts, (n + 4) * node->cpu_words + (n + 2) * node_device_words(node), sizeof(*words));
    run->blocks = arena_part(&parts, blocks, sizeof(*run->blocks));
    run->reuse_memory = arena_part(&parts, blocks, sizeof(*run->reuse_memory));
    if (n_lists)
        place_lists(run, n_lists, &parts);
    kubelet_take_init(&run->take, node, &parts);
    if (arena_seal(&parts))
        return -ENOMEM;
    memset(run->answer->containers, 0, n * sizeof(*run->answer->containers));
    memset(words, 0, point_words(run, words) * sizeof(*words));
    point_lists(run, n_lists);
    return 0;
}
