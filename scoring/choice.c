/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/choice.h"

#include <assert.h>
#include <errno.h>

#include "base/arena.h"

/* Append the free devices that touch `zones` (0: any), or that do not. */
static uint32_t list(uint32_t *out, const struct node_view *node, const struct node_resource *r,
                     const uint64_t *held, uint64_t zones, bool inside)
{
    uint32_t n = 0;

    for (uint32_t w = node_resource_first(r); w < node_resource_end(r); w++) {
        const uint64_t free = node_resource_word(r, w) & node->device_healthy[w] & ~held[w];
        const uint64_t near = zones ? node_touching_word(node, zones, w) : UINT64_MAX;

        for (uint64_t d = free & (inside ? near : ~near); d; d &= d - 1)
            out[n++] = w * 64 + (uint32_t)__builtin_ctzll(d);
    }
    return n;
}

int score_choice_init(struct score_choice *out, const struct node_view *node,
                      const struct node_resource *resource, const uint64_t *held, uint64_t zones,
                      uint32_t want, struct arena *a)
{
    uint32_t *const devices = arena_array(a, resource->n, sizeof(*devices));
    struct score_choice c = {.resource = resource};

    if (!devices)
        return -ENOMEM;
    const uint32_t inside = list(devices, node, resource, held, zones, true);
    if (want >= inside) {
        c.sure = devices;
        c.n_sure = inside;
        c.pick = want - inside;
        c.open = devices + inside;
        c.n_open = c.pick ? list(devices + inside, node, resource, held, zones, false) : 0;
    } else {
        c.open = devices;
        c.n_open = inside;
        c.pick = want;
    }
    if (c.pick >= c.n_open) { /* no choice left; the two lists stand side by side */
        c.sure = devices;
        c.n_sure += c.n_open;
        c.n_open = c.pick = 0;
    }
    if (c.pick == 0)
        c.n_open = 0;
    *out = c;
    return 0;
}

uint32_t score_choice_mean(const struct score_choice *c, score_device_value *value, const void *ctx)
{
    const uint64_t n = c->n_open ? c->n_open : 1;
    uint64_t sure = 0, open = 0;

    for (uint32_t i = 0; i < c->n_sure; i++)
        sure += value(ctx, c->sure[i]);
    for (uint32_t i = 0; i < c->n_open; i++)
        open += value(ctx, c->open[i]);
    return (uint32_t)((sure * n + open * c->pick) / (score_choice_taken(c) * n));
}

static uint64_t sum_pairs(const uint32_t *at, uint32_t n, score_pair_value *value, const void *ctx)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++)
            sum += value(ctx, at[i], at[j]);
    }
    return sum;
}

/* A pair of the open ones comes with the chance pick (pick-1) / (n (n-1)). */
uint32_t score_choice_pairs(const struct score_choice *c, score_pair_value *value, const void *ctx)
{
    const uint64_t n = c->n_open > 1 ? c->n_open : 2, k = c->pick, taken = score_choice_taken(c);
    const uint64_t sure = sum_pairs(c->sure, c->n_sure, value, ctx);
    const uint64_t open = k > 1 ? sum_pairs(c->open, c->n_open, value, ctx) : 0;
    uint64_t across = 0;

    for (uint32_t i = 0; i < c->n_open; i++) {
        for (uint32_t j = 0; j < c->n_sure; j++)
            across += value(ctx, c->open[i], c->sure[j]);
    }
    const uint64_t sum = sure * n * (n - 1) + across * k * (n - 1) + open * k * (k ? k - 1 : 0);
    return (uint32_t)(sum / (n * (n - 1) * (taken * (taken - 1) / 2)));
}

/* How many of the open devices have which value with one device, best first. */
struct tally {
    uint32_t value[SCORE_CHOICE_VALUES], count[SCORE_CHOICE_VALUES], n;
};

static void add(struct tally *t, uint32_t value)
{
    uint32_t i = 0;

    while (i < t->n && t->value[i] > value)
        i++;
    if (i == t->n || t->value[i] != value) {
        assert(t->n < SCORE_CHOICE_VALUES);
        for (uint32_t k = t->n++; k > i; k--) {
            t->value[k] = t->value[k - 1];
            t->count[k] = t->count[k - 1];
        }
        t->value[i] = value;
        t->count[i] = 0;
    }
    t->count[i]++;
}

#define WHOLE (UINT64_C(1) << 32)

/* C(worse, pick) / C(n, pick) in units of 2^-32: none of the better ones is taken. */
static uint64_t chance_of_none(uint64_t worse, uint64_t n, uint64_t pick)
{
    uint64_t chance = WHOLE;

    if (worse < pick)
        return 0;
    for (uint64_t i = 0; i < pick; i++)
        chance = chance * (worse - i) / (n - i);
    return chance;
}

static uint32_t best_sure(const struct score_choice *c, uint32_t device, score_pair_value *value,
                          const void *ctx)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < c->n_sure; i++) {
        const uint32_t v = value(ctx, device, c->sure[i]);

        best = v > best ? v : best;
    }
    return best;
}

uint32_t score_choice_best(const struct score_choice *c, uint32_t device, score_pair_value *value,
                           const void *ctx)
{
    const uint32_t floor = best_sure(c, device, value, ctx);
    uint64_t sum = floor * WHOLE;
    uint32_t worse = c->n_open;
    struct tally t = {.n = 0};

    for (uint32_t i = 0; i < c->n_open; i++)
        add(&t, value(ctx, device, c->open[i]));
    for (uint32_t i = 0; i < t.n && t.value[i] > floor; i++) {
        const uint32_t next = i + 1 < t.n && t.value[i + 1] > floor ? t.value[i + 1] : floor;

        worse -= t.count[i];
        /* where nothing is sure, something of the open ones is: the last step down is certain */
        sum += (t.value[i] - next) * (WHOLE - chance_of_none(worse, c->n_open, c->pick));
    }
    return (uint32_t)(sum / WHOLE);
}

uint32_t score_choice_chance(const struct score_choice *c, uint32_t device, score_pair_value *value,
                             const void *ctx, uint32_t at_least)
{
    uint32_t worse = 0;

    if (best_sure(c, device, value, ctx) >= at_least)
        return 1000;
    if (c->pick == 0)
        return 0;
    for (uint32_t i = 0; i < c->n_open; i++)
        worse += value(ctx, device, c->open[i]) < at_least;
    const uint64_t none = chance_of_none(worse, c->n_open, c->pick);
    return (uint32_t)((WHOLE - none) * 1000 / WHOLE);
}
