/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/locality.h"

#include <assert.h>
#include <string.h>

#include "scoring/weigh.h"

uint32_t score_locality(const struct topo_matrix *dist, const struct score_split *split)
{
    uint64_t cpu = 0, mem = 0, sum = 0; /* sum = E * C * M, at most 2^20 * 2^24 * 510 < 2^53 */

    for (uint32_t i = 0; i < dist->n; i++) {
        const uint32_t away = split->away ? split->away[i] : 0;
        uint64_t reads = 0; /* of a CPU of zone i */

        cpu += split->cpu[i];
        mem += split->mem[i];
        for (uint32_t j = 0; j < dist->n && split->cpu[i]; j++)
            reads += (uint64_t)split->mem[j] * (dist->d[i * dist->n + j] + away);
        sum += split->cpu[i] * reads;
    }
    assert(cpu > 0 && cpu <= 1 << 20 && mem > 0 && mem <= 1 << 24);
    return (uint32_t)(cpu * mem * SCORE_MAX * TOPO_LOCAL / sum);
}

void score_away(uint32_t *out, const struct topo_matrix *dist, uint64_t preferred)
{
    for (uint32_t i = 0; i < dist->n; i++) {
        uint32_t nearest = TOPO_UNREACHABLE;

        for (uint64_t p = preferred; p; p &= p - 1) {
            const uint32_t d = dist->d[i * dist->n + (uint32_t)__builtin_ctzll(p)];

            nearest = d < nearest ? d : nearest;
        }
        out[i] = nearest - TOPO_LOCAL;
    }
}

/* --- HMAT --- */

/* The mean of two figures of which 0 is none. */
static uint32_t mean_of(uint32_t a, uint32_t b)
{
    return a && b ? (uint32_t)(((uint64_t)a + b) / 2) : a | b;
}

static uint32_t latency(const struct topo_zone *z)
{
    return mean_of(z->read_latency_ns, z->write_latency_ns);
}

static uint32_t bandwidth(const struct topo_zone *z)
{
    return mean_of(z->read_bandwidth_mbs, z->write_bandwidth_mbs);
}

typedef uint32_t figure(const struct topo_zone *z);

static bool all_have(const struct topo_machine *m, figure *of)
{
    for (uint32_t z = 0; z < m->n_zones; z++) {
        if (m->zones[z].memory_bytes && !of(&m->zones[z]))
            return false;
    }
    return true;
}

/* The least or the largest figure of a zone with CPUs; 0 when they have none. */
static uint32_t best(const struct topo_machine *m, uint64_t cpu_zones, figure *of, bool largest)
{
    uint32_t v = 0;

    for (uint64_t z = cpu_zones; z; z &= z - 1) {
        const uint32_t f = of(&m->zones[__builtin_ctzll(z)]);

        if (f && (v == 0 || (largest ? f > v : f < v)))
            v = f;
    }
    return v;
}

/* From the zone with CPUs that is nearest to memory zone `to`: where its figures hold. */
static uint32_t nearest(const struct topo_machine *m, uint64_t cpu_zones, uint32_t to)
{
    uint32_t d = TOPO_UNREACHABLE;

    for (uint64_t z = cpu_zones; z; z &= z - 1) {
        const uint32_t from = m->distances.d[(uint32_t)__builtin_ctzll(z) * m->n_zones + to];

        d = from < d ? from : d;
    }
    return d;
}

__extension__ typedef unsigned __int128 wide;

/* What a zone's figures are measured against; 0 = it does not count. */
struct scale {
    uint32_t latency, bandwidth;
};

/* Both ratios over one denominator, so that it is rounded once. */
static uint32_t distance(const struct topo_machine *m, const struct scale *s, uint32_t from,
                         uint32_t to, uint32_t near)
{
    const struct topo_zone *const z = &m->zones[to];
    const wide slower = s->latency ? latency(z) : 0, least = s->latency ? s->latency : 1;
    const wide thinner = s->bandwidth ? s->bandwidth : 0, own = s->bandwidth ? bandwidth(z) : 1;
    const wide parts = s->latency && s->bandwidth ? 2 : 1;
    const wide num = TOPO_LOCAL * m->distances.d[from * m->n_zones + to] *
                     (slower * own + thinner * least),
               den = near * least * own * parts, d = (2 * num + den) / (2 * den);

    return d < TOPO_LOCAL ? TOPO_LOCAL : d > TOPO_UNREACHABLE ? TOPO_UNREACHABLE : (uint32_t)d;
}

bool score_access(uint32_t *out, const struct topo_machine *m, uint64_t cpu_zones)
{
    const struct scale s = {
        .latency = all_have(m, latency) ? best(m, cpu_zones, latency, false) : 0,
        .bandwidth = all_have(m, bandwidth) ? best(m, cpu_zones, bandwidth, true) : 0,
    };
    const uint32_t n = m->n_zones;

    memcpy(out, m->distances.d, (size_t)n * n * sizeof(*out));
    if (!s.latency && !s.bandwidth)
        return false;
    for (uint32_t to = 0; to < n; to++) {
        const uint32_t near = nearest(m, cpu_zones, to);

        for (uint32_t from = 0; from < n && m->zones[to].memory_bytes; from++)
            out[from * n + to] = distance(m, &s, from, to, near);
    }
    return true;
}
