/* SPDX-License-Identifier: Apache-2.0 */
/* What the managers share while one admission runs: its room, its refusals, its hint lists. */
#include "scoring/kubelet_run.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* All sets of masks stand behind `sums`. */
void kubelet_run_lists(struct kubelet_run *run)
{
    const uint32_t zones = run->node->machine.n_zones, n = run->req->most_lists;
    const size_t masks = (size_t)1 << zones, words = mask_set_words(zones);

    if (run->lists)
        return;
    struct arena_parts parts = arena_parts(&run->spare);
    run->lists = arena_part(&parts, n, sizeof(*run->lists));
    run->sums = arena_part(&parts, masks + n * 2 * words, sizeof(*run->sums));
    run->counts = arena_part(&parts, 2 * masks, sizeof(*run->counts));
    const int rc = arena_seal(&parts);
    assert(rc == 0); /* spare_bytes */
    for (uint32_t i = 0; i < n; i++) {
        run->lists[i].masks = run->sums + masks + i * 2 * words;
        run->lists[i].preferred = run->lists[i].masks + words;
    }
}

struct kubelet_take *kubelet_run_take(struct kubelet_run *run)
{
    if (run->take.node)
        return &run->take;
    struct arena_parts parts = arena_parts(&run->spare);
    kubelet_take_init(&run->take, run->node, &parts);
    const int rc = arena_seal(&parts);
    assert(rc == 0);
    return &run->take;
}

/* What the two may need together. Without hints there may be more zones than a set of masks has. */
static size_t spare_bytes(const struct kubelet_run *run)
{
    const size_t zones = run->node->machine.n_zones, n = run->req->most_lists;
    size_t bytes = kubelet_take_bytes(run->node);

    if (kubelet_needs_hints(run))
        bytes +=
            n * (sizeof(*run->lists) + 2 * mask_set_words((uint32_t)zones) * sizeof(uint64_t)) +
            ((sizeof(*run->sums) + 2 * sizeof(*run->counts)) << zones) + 3 * ARENA_PART_SLACK;
    return bytes;
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
    const size_t n = req->n_containers, blocks = n * req->most_blocks, spare = spare_bytes(run);
    struct arena_parts parts = arena_parts(a);

    run->answer->containers = arena_part(&parts, n, sizeof(*run->answer->containers));
    uint64_t *const words = arena_part(
        &parts, (n + 3) * node->cpu_words + (n + 2) * node_device_words(node), sizeof(*words));
    run->blocks = arena_part(&parts, blocks, sizeof(*run->blocks));
    run->reuse_memory = arena_part(&parts, blocks, sizeof(*run->reuse_memory));
    void *const room = arena_part(&parts, spare, 1);
    if (arena_seal(&parts))
        return -ENOMEM;
    memset(run->answer->containers, 0, n * sizeof(*run->answer->containers));
    memset(words, 0, point_words(run, words) * sizeof(*words));
    arena_init(&run->spare, room, spare);
    return 0;
}
