/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/devices.h"

#include <string.h>

#include "scoring/weigh.h"

/* Values of a link, permille: docs/scoring.md section 7. */
static const uint32_t peer_values[] = {
    [TOPO_LINK_SELF] = 1000,   [TOPO_LINK_DIRECT] = 1000, [TOPO_LINK_SWITCH] = 800,
    [TOPO_LINK_BRIDGES] = 750, [TOPO_LINK_ROOT] = 700,    [TOPO_LINK_ZONE] = 600,
    [TOPO_LINK_SOCKET] = 500,  [TOPO_LINK_FAR] = 400,
};
static const uint32_t feed_values[] = {
    [TOPO_LINK_SELF] = 1000,   [TOPO_LINK_DIRECT] = 1000, [TOPO_LINK_SWITCH] = 1000,
    [TOPO_LINK_BRIDGES] = 900, [TOPO_LINK_ROOT] = 800,    [TOPO_LINK_ZONE] = 700,
    [TOPO_LINK_SOCKET] = 500,  [TOPO_LINK_FAR] = 400,
};
static const uint32_t cpu_values[] = {
    [TOPO_LINK_ZONE] = 1000,
    [TOPO_LINK_SOCKET] = 700,
    [TOPO_LINK_FAR] = 400,
};

/* --- parts --- */

/* Where the CPUs are, looked up once for all devices. */
struct cpu_ask {
    const struct score_device_ask *ask;
    uint64_t zones; /* that have some */
};

static uint32_t cpu_value(const void *ctx, uint32_t d)
{
    const struct cpu_ask *const c = ctx;
    const struct node_view *const node = c->ask->node;
    const uint64_t zones = node->devices[d].zones;
    uint64_t sum = 0, cpus = 0;

    if ((c->zones & (c->zones - 1)) == 0)
        return cpu_values[topo_zones_link(&node->machine, c->zones, zones)];
    for (uint64_t z = c->zones; z; z &= z - 1) {
        const uint32_t here = c->ask->cpu[__builtin_ctzll(z)];

        sum += (uint64_t)here * cpu_values[topo_zones_link(&node->machine, z & -z, zones)];
        cpus += here;
    }
    return (uint32_t)(sum / cpus);
}

static uint32_t peer_value(const void *ctx, uint32_t a, uint32_t b)
{
    const struct score_device_ask *const ask = ctx;

    return peer_values[node_device_link(ask->node, a, b)];
}

static uint32_t feed_of(const struct score_device_ask *ask, enum topo_link link)
{
    return ask->gpu_nic == SCORE_GPU_NIC_REQUIRE && !score_link_is_fed(link) ? 0
                                                                             : feed_values[link];
}

static uint32_t feed_value(const void *ctx, uint32_t gpu, uint32_t nic)
{
    const struct score_device_ask *const ask = ctx;

    return feed_of(ask, node_device_link(ask->node, gpu, nic));
}

enum node_device_kind score_choice_kind(const struct node_view *node, const struct score_choice *c)
{
    return (enum node_device_kind)node->devices[c->resource->first].kind;
}

static uint64_t cpu_zones(const struct score_device_ask *ask)
{
    uint64_t zones = 0;

    for (uint32_t z = 0; z < ask->node->machine.n_zones; z++)
        zones |= (uint64_t)(ask->cpu[z] > 0) << z;
    return zones;
}

/* Sums that become means at the end. */
struct mean {
    uint64_t sum, n;
};

static void add_cpu(struct mean *m, const struct score_device_ask *ask)
{
    const struct cpu_ask cpus = {ask, cpu_zones(ask)};
    struct mean part = {0};

    if (!cpus.zones)
        return;
    for (uint32_t i = 0; i < ask->n; i++) {
        const uint32_t taken = score_choice_taken(&ask->choices[i]);

        if (ask->choices[i].resource->zones == 0)
            continue;
        part.sum += (uint64_t)taken * score_choice_mean(&ask->choices[i], cpu_value, &cpus);
        part.n += taken;
    }
    if (part.n) {
        m->sum += part.sum / part.n;
        m->n++;
    }
}

static void add_peers(struct mean *m, const struct score_device_ask *ask)
{
    struct mean part = {0};

    for (uint32_t i = 0; i < ask->n; i++) {
        const struct score_choice *const c = &ask->choices[i];
        const uint64_t taken = score_choice_taken(c), pairs = taken * (taken - 1) / 2;

        if (pairs == 0 || score_choice_kind(ask->node, c) != NODE_DEVICE_GPU)
            continue;
        part.sum += pairs * score_choice_pairs(c, peer_value, ask);
        part.n += pairs;
    }
    if (part.n) {
        m->sum += part.sum / part.n;
        m->n++;
    }
}

static const struct score_choice *find_kind(const struct score_device_ask *ask,
                                            enum node_device_kind kind)
{
    for (uint32_t i = 0; i < ask->n; i++) {
        if (score_choice_kind(ask->node, &ask->choices[i]) == kind)
            return &ask->choices[i];
    }
    return NULL;
}

static bool wants_shared(const struct score_device_ask *ask)
{
    return (ask->gpu_nic == SCORE_GPU_NIC_PREFER || ask->gpu_nic == SCORE_GPU_NIC_REQUIRE) &&
           ask->node->n_nics > 0;
}

/* What feeds GPUs: the choice of NICs, or the node's own. */
struct feed {
    const struct score_device_ask *ask;
    const struct score_choice *nics; /* NULL: those of the node */
};

bool score_device_feed(const struct score_choice **gpus, const struct score_choice **nics,
                       const struct score_device_ask *ask)
{
    *gpus = find_kind(ask, NODE_DEVICE_GPU);
    *nics = find_kind(ask, NODE_DEVICE_NIC);
    return ask->gpu_nic != SCORE_GPU_NIC_NONE && *gpus && (*nics || wants_shared(ask));
}

static bool find_feed(struct feed *out, const struct score_device_ask *ask)
{
    const struct score_choice *gpus;

    *out = (struct feed){.ask = ask};
    return score_device_feed(&gpus, &out->nics, ask);
}

/* The best that a GPU may expect. */
static uint32_t fed_value(const void *ctx, uint32_t gpu)
{
    const struct feed *const f = ctx;
    uint32_t best = 0;

    if (f->nics)
        return score_choice_best(f->nics, gpu, feed_value, f->ask);
    for (uint32_t i = 0; i < f->ask->node->n_nics; i++) {
        const uint32_t v = feed_of(f->ask, node_nic_link(f->ask->node, gpu, i));

        best = v > best ? v : best;
    }
    return best;
}

static void add_feed(struct mean *m, const struct score_device_ask *ask)
{
    struct mean part = {0};
    struct feed f;

    if (!find_feed(&f, ask))
        return;
    for (uint32_t i = 0; i < ask->n; i++) {
        const struct score_choice *const c = &ask->choices[i];

        if (score_choice_kind(ask->node, c) != NODE_DEVICE_GPU)
            continue;
        part.sum += (uint64_t)score_choice_taken(c) * score_choice_mean(c, fed_value, &f);
        part.n += score_choice_taken(c);
    }
    m->sum += part.sum / part.n;
    m->n++;
}

bool score_devices(uint32_t *out, const struct score_device_ask *ask)
{
    struct mean m = {0};

    add_cpu(&m, ask);
    add_peers(&m, ask);
    add_feed(&m, ask);
    if (m.n)
        *out = (uint32_t)(m.sum / m.n);
    return m.n > 0;
}

/* --- the best case --- */

enum { MAX_GPUS = 64 };

/* GPUs (bit i: the i-th of sure, then of open) that a NIC feeds. */
static uint64_t feeds(const struct score_device_ask *ask, const struct score_choice *gpus,
                      uint32_t nic)
{
    const uint32_t n = gpus->n_sure + gpus->n_open;
    uint64_t set = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t gpu = i < gpus->n_sure ? gpus->sure[i] : gpus->open[i - gpus->n_sure];

        if (score_link_is_fed(node_device_link(ask->node, gpu, nic)))
            set |= UINT64_C(1) << i;
    }
    return set;
}

/* Of the open NICs the one that feeds most of `wanted`; what it feeds. */
static uint64_t best_nic(const struct score_device_ask *ask, const struct score_choice *gpus,
                         const struct score_choice *nics, uint64_t wanted)
{
    uint64_t best = 0;

    for (uint32_t i = 0; i < nics->n_open; i++) {
        const uint64_t fed = feeds(ask, gpus, nics->open[i]);

        if (__builtin_popcountll(fed & wanted) > __builtin_popcountll(best & wanted))
            best = fed;
    }
    return best;
}

static bool is_fed_possible(const struct score_device_ask *ask, const struct score_choice *gpus,
                            const struct score_choice *nics)
{
    const uint64_t sure = gpus->n_sure == 64 ? UINT64_MAX : (UINT64_C(1) << gpus->n_sure) - 1;
    uint32_t picks = nics->pick;
    uint64_t fed = 0;

    for (uint32_t i = 0; i < nics->n_sure; i++)
        fed |= feeds(ask, gpus, nics->sure[i]);
    while (picks > 0) {
        const uint64_t wanted = sure & ~fed ? sure & ~fed : ~fed;
        const uint64_t more = best_nic(ask, gpus, nics, wanted);

        if (!(more & wanted))
            break;
        fed |= more;
        picks--;
    }
    return (sure & ~fed) == 0 && (uint32_t)__builtin_popcountll(fed & ~sure) >= gpus->pick;
}

/* Each GPU that may be taken is fed, whatever else is picked. */
static bool is_fed_sure(const struct score_device_ask *ask, const struct score_choice *gpus,
                        const struct score_choice *nics)
{
    for (uint32_t i = 0; i < gpus->n_sure + gpus->n_open; i++) {
        const uint32_t gpu = i < gpus->n_sure ? gpus->sure[i] : gpus->open[i - gpus->n_sure];

        if (score_choice_chance(nics, gpu, feed_value, ask, feed_values[TOPO_LINK_ROOT]) < 1000)
            return false;
    }
    return true;
}

/* With the node's own NICs nothing is chosen but GPUs. */
static bool is_shared_possible(const struct score_device_ask *ask, const struct score_choice *gpus)
{
    const struct feed f = {ask, NULL};
    uint32_t fed = 0;

    for (uint32_t i = 0; i < gpus->n_sure; i++) {
        if (fed_value(&f, gpus->sure[i]) < feed_values[TOPO_LINK_ROOT])
            return false;
    }
    for (uint32_t i = 0; i < gpus->n_open; i++)
        fed += fed_value(&f, gpus->open[i]) >= feed_values[TOPO_LINK_ROOT];
    return fed >= gpus->pick;
}

bool score_device_feed_possible(const struct score_device_ask *ask)
{
    struct feed f;

    if (!find_feed(&f, ask))
        return true;
    for (uint32_t i = 0; i < ask->n; i++) {
        const struct score_choice *const c = &ask->choices[i];

        if (score_choice_kind(ask->node, c) != NODE_DEVICE_GPU || c->n_sure + c->n_open > MAX_GPUS)
            continue;
        if (f.nics ? !is_fed_possible(ask, c, f.nics) : !is_shared_possible(ask, c))
            return false;
    }
    return true;
}

/* --- all cases --- */

/* C(n, k), or more than SCORE_DEVICE_SUBSETS. */
static uint64_t count_subsets(const struct score_choice *c)
{
    uint64_t n = 1;

    for (uint32_t i = 0; c && i < c->pick && n <= SCORE_DEVICE_SUBSETS; i++)
        n = n * (c->n_open - i) / (i + 1);
    return n;
}

/* The subsets of one choice, one after the other: indices of `open`, ascending. */
struct walk {
    const struct score_choice *from;
    uint32_t at[MAX_GPUS], taken[2 * MAX_GPUS];
};

static void walk_start(struct walk *w, const struct score_choice *from)
{
    w->from = from;
    for (uint32_t i = 0; from && i < from->pick; i++)
        w->at[i] = i;
}

/* The next one; false behind the last. */
static bool walk_next(struct walk *w)
{
    const uint32_t k = w->from ? w->from->pick : 0;
    uint32_t i = k;

    while (i > 0 && w->at[i - 1] == w->from->n_open - k + i - 1)
        i--;
    if (i == 0)
        return false;
    w->at[i - 1]++;
    for (; i < k; i++)
        w->at[i] = w->at[i - 1] + 1;
    return true;
}

/* The choice as if the plugin had made it. */
static struct score_choice walk_choice(struct walk *w)
{
    const struct score_choice *const from = w->from;

    for (uint32_t i = 0; i < from->n_sure; i++)
        w->taken[i] = from->sure[i];
    for (uint32_t i = 0; i < from->pick; i++)
        w->taken[from->n_sure + i] = from->open[w->at[i]];
    return (struct score_choice){
        .resource = from->resource, .sure = w->taken, .n_sure = score_choice_taken(from)};
}

/* Is every GPU fed, now that everything is sure? */
static bool is_all_fed(const struct score_device_ask *ask)
{
    struct feed f;

    return !find_feed(&f, ask) || score_device_feed_possible(ask);
}

enum { MAX_RESOURCES = 16 };

/* Everything that may come out, one after the other. */
struct survey {
    struct score_device_ask ask;
    struct score_choice choices[MAX_RESOURCES];
    struct walk gpus, nics;
    uint32_t gpu, nic; /* index of their choice; ask.n: none */
    uint64_t n, fed;
    uint32_t least, most;
};

static void look(struct survey *s)
{
    uint32_t value = 0;

    if (s->gpu < s->ask.n)
        s->choices[s->gpu] = walk_choice(&s->gpus);
    if (s->nic < s->ask.n)
        s->choices[s->nic] = walk_choice(&s->nics);
    (void)score_devices(&value, &s->ask);
    s->least = s->n == 0 || value < s->least ? value : s->least;
    s->most = value > s->most ? value : s->most;
    s->fed += is_all_fed(&s->ask);
    s->n++;
}

static uint32_t index_of(const struct score_device_ask *ask, const struct score_choice *c)
{
    return c ? (uint32_t)(c - ask->choices) : ask->n;
}

static void go_through(struct score_device_odds *out, const struct score_device_ask *ask,
                       const struct score_choice *gpus, const struct score_choice *nics)
{
    struct survey s = {.ask = *ask, .gpu = index_of(ask, gpus), .nic = index_of(ask, nics)};

    memcpy(s.choices, ask->choices, ask->n * sizeof(s.choices[0]));
    s.ask.choices = s.choices;
    walk_start(&s.gpus, gpus);
    do {
        walk_start(&s.nics, nics);
        do
            look(&s);
        while (walk_next(&s.nics));
    } while (walk_next(&s.gpus));
    *out = (struct score_device_odds){.least = s.least,
                                      .most = s.most,
                                      .fed = (uint32_t)(s.fed * 1000 / s.n),
                                      .sure = s.fed == s.n,
                                      .possible = s.fed > 0,
                                      .exact = true};
}

/* Nothing but the one GPU and the one NIC choice is open, and their subsets can be gone through. */
static bool can_go_through(const struct score_device_ask *ask, const struct score_choice *gpus,
                           const struct score_choice *nics)
{
    for (uint32_t i = 0; i < ask->n; i++) {
        if (&ask->choices[i] != gpus && &ask->choices[i] != nics && ask->choices[i].pick)
            return false;
        if (score_choice_taken(&ask->choices[i]) > MAX_GPUS)
            return false;
    }
    return ask->n <= MAX_RESOURCES &&
           count_subsets(gpus) * count_subsets(nics) <= SCORE_DEVICE_SUBSETS;
}

void score_device_odds(struct score_device_odds *out, const struct score_device_ask *ask)
{
    const struct score_choice *const gpus = find_kind(ask, NODE_DEVICE_GPU);
    const struct score_choice *const nics = find_kind(ask, NODE_DEVICE_NIC);

    if (can_go_through(ask, gpus, nics)) {
        go_through(out, ask, gpus, nics);
        return;
    }
    *out =
        (struct score_device_odds){.most = SCORE_MAX, .possible = score_device_feed_possible(ask)};
    out->sure = gpus && nics && is_fed_sure(ask, gpus, nics);
    out->fed = out->sure ? 1000 : 0;
}
