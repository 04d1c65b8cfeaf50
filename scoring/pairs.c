/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/pairs.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "scoring/weigh.h"

struct telling {
    const struct score_device_ask *ask;
    const struct score_choice *gpus, *nics; /* nics NULL: those of the node */
    struct arena *a;
};

/* The `i`-th that may be taken. */
static uint32_t candidate(const struct score_choice *c, uint32_t i)
{
    return i < c->n_sure ? c->sure[i] : c->open[i - c->n_sure];
}

static uint32_t count_nics(const struct telling *t)
{
    return t->nics ? t->nics->n_sure + t->nics->n_open : t->ask->node->n_nics;
}

static enum topo_link link_to(const struct telling *t, uint32_t gpu, uint32_t i)
{
    const struct node_view *const node = t->ask->node;

    return t->nics ? node_device_link(node, gpu, candidate(t->nics, i))
                   : node_nic_link(node, gpu, i);
}

static struct str name_of(const struct telling *t, uint32_t i)
{
    const struct node_view *const node = t->ask->node;

    return t->nics ? node->devices[candidate(t->nics, i)].id : node->nics[i].name;
}

/* The nearer, the larger. */
static uint32_t nearness(const void *ctx, uint32_t gpu, uint32_t nic)
{
    const struct telling *const t = ctx;

    return TOPO_LINK_FAR - node_device_link(t->ask->node, gpu, nic);
}

static int tell_pair(struct score_pair *out, const struct telling *t, uint32_t i)
{
    const uint32_t gpu = candidate(t->gpus, i), n = count_nics(t);
    struct str *const names = arena_array(t->a, n, sizeof(*names));
    struct score_pair p = {.gpu = gpu, .link = TOPO_LINK_FAR, .nics = names, .odds = 1000};

    if (!names)
        return -ENOMEM;
    for (uint32_t k = 0; k < n; k++) {
        const enum topo_link link = link_to(t, gpu, k);

        if (link < p.link)
            p.n_nics = 0;
        if (link > p.link)
            continue;
        p.link = link;
        names[p.n_nics++] = name_of(t, k);
    }
    p.taken = i < t->gpus->n_sure ? 1000 : t->gpus->pick * 1000 / t->gpus->n_open;
    if (t->nics)
        p.odds = score_choice_chance(t->nics, gpu, nearness, t, TOPO_LINK_FAR - p.link);
    *out = p;
    return 0;
}

static int by_gpu(const void *x, const void *y)
{
    const struct score_pair *const a = x, *const b = y;

    return (a->gpu > b->gpu) - (a->gpu < b->gpu);
}

static int tell_pairs(struct score_device_tale *out, const struct telling *t)
{
    const uint32_t n = t->gpus->n_sure + t->gpus->n_open;
    struct score_pair *const pairs = arena_array(t->a, n, sizeof(*pairs));
    int rc = pairs ? 0 : -ENOMEM;

    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = tell_pair(&pairs[i], t, i);
    if (rc)
        return rc;
    qsort(pairs, n, sizeof(*pairs), by_gpu);
    out->pairs = pairs;
    out->n_pairs = n;
    return 0;
}

int score_device_tell(struct score_device_tale *out, const struct score_device_ask *ask,
                      struct arena *a)
{
    struct telling t = {.ask = ask, .a = a};
    struct score_device_tale tale = {.any = ask->n > 0};

    if (tale.any) {
        tale.has_value = score_devices(&tale.value, ask);
        score_device_odds(&tale.odds, ask);
    }
    if (score_device_feed(&t.gpus, &t.nics, ask) && count_nics(&t) && tell_pairs(&tale, &t))
        return -ENOMEM;
    *out = tale;
    return 0;
}
