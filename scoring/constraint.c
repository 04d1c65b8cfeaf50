/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/constraint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "scoring/kubelet_request.h"
#include "scoring/network.h"
#include "scoring/outcome.h"
#include "scoring/terms.h"
#include "topology/cpuset.h"

/* One question, answered with words where somebody reads them. */
struct inquiry {
    const struct outcome *o;
    const struct score_rules *rules;
    struct constraint_text *why;
};

/* Add to what is said so far, "; " in between; cut at the end of the room. */
static void say(struct constraint_text *why, const char *fmt, ...) PRINTF(2, 3);
static void say(struct constraint_text *why, const char *fmt, ...)
{
    va_list ap;

    if (!why)
        return;
    size_t n = strlen(why->p);
    n += (size_t)snprintf(why->p + n, sizeof(why->p) - n, "%s", n ? "; " : "");
    if (n >= sizeof(why->p))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(why->p + n, sizeof(why->p) - n, fmt, ap);
    va_end(ap);
}

/* --- of the pod --- */

static bool exceeds(int64_t asked, int64_t most)
{
    return asked != POLICY_NONE && most != POLICY_NONE && asked > most;
}

enum score_reason constraint_of_pod(const struct score_rules *r, struct constraint_text *why)
{
    if (exceeds(r->locks, r->max_locks)) {
        say(why, "max-locks is %" PRId64 ", the QoS class may have %" PRId64, r->locks,
            r->max_locks);
        return SCORE_LOCK_LIMIT;
    }
    if (exceeds(r->goroutines, r->max_goroutines)) {
        say(why, "max-goroutines is %" PRId64 ", the QoS class may have %" PRId64, r->goroutines,
            r->max_goroutines);
        return SCORE_GOROUTINE_LIMIT;
    }
    return SCORE_REASON_NONE;
}

/* --- NUMA_EXCLUSIVE --- */

/* Zones in which somebody holds something: by the state, whoever it is. */
static uint64_t held_zones(const struct node_view *v)
{
    uint64_t zones = node_device_zones(v, v->state.device_held);

    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        const uint64_t *const in = &v->cpus.zone_set[(size_t)z * v->cpu_words];
        bool held = v->state.assignments[z] > 0;

        for (uint32_t w = 0; w < v->cpu_words; w++)
            held = held || (in[w] & ~v->cpu_reserved[w] & ~v->state.cpu_free[w]);
        zones |= (uint64_t)held << z;
    }
    return zones;
}

/* A pod that holds something in the zone; NULL: nobody knows which. */
static const struct node_pod *holder(const struct node_view *v, uint32_t zone, bool exclusive)
{
    for (uint32_t i = 0; i < v->n_pods; i++) {
        if ((v->pods[i].exclusive || !exclusive) && node_pod_zones(v, &v->pods[i]) >> zone & 1)
            return &v->pods[i];
    }
    return NULL;
}

static void tell_holders(const struct inquiry *q, uint64_t zones, bool exclusive)
{
    const struct node_view *const v = q->o->node;

    for (uint64_t z = zones; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z), id = v->machine.zones[zone].id;
        const struct node_pod *const pod = holder(v, zone, exclusive);

        if (pod)
            say(q->why, "zone %u: held by %.*s/%.*s%s", id, STR_ARG(pod->ns), STR_ARG(pod->name),
                exclusive ? ", which must be alone" : "");
        else
            say(q->why, "zone %u: held by a pod that is not known", id);
    }
}

static bool is_shared(const struct inquiry *q)
{
    const uint64_t others = q->rules->numa_exclusive ? q->o->zones & held_zones(q->o->node) : 0;
    const uint64_t theirs = q->o->zones & q->o->node->exclusive_zones;

    if (q->why) {
        tell_holders(q, others, false);
        tell_holders(q, theirs & ~others, true);
    }
    return others || theirs;
}

/* --- CROSS_ACCESS --- */

/* What containers with CPUs of their own have, added up. */
struct spread {
    uint32_t by_zone[TOPO_MAX_ZONES], cpus;
    uint64_t far; /* permille * CPUs */
};

/* Accesses of a container that cross zones, permille. */
static uint32_t far_of(const struct outcome_container *c, uint32_t zones)
{
    uint64_t near = 0, memory = 0;

    for (uint32_t z = 0; z < zones; z++) {
        near += (uint64_t)c->cpu[z] * c->memory[z];
        memory += c->memory[z];
    }
    return 1000 - (uint32_t)(near * 1000 / (c->cpus * memory));
}

static void add_up(struct spread *s, const struct outcome *o)
{
    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const struct outcome_container *const c = &o->containers[i];

        if (!c->runs || !c->has_own || !c->cpus)
            continue;
        for (uint32_t z = 0; z < o->node->machine.n_zones; z++)
            s->by_zone[z] += c->cpu[z];
        s->cpus += c->cpus;
        s->far += (uint64_t)far_of(c, o->node->machine.n_zones) * c->cpus;
    }
}

static bool crosses_too_often(const struct inquiry *q, int64_t most)
{
    const struct node_view *const v = q->o->node;
    struct spread s = {.cpus = 0};
    uint32_t home = 0;

    add_up(&s, q->o);
    for (uint32_t z = 1; z < v->machine.n_zones; z++)
        home = s.by_zone[z] > s.by_zone[home] ? z : home;
    const uint32_t stolen = s.cpus - s.by_zone[home];
    if (stolen <= q->rules->steal_threshold || s.far <= (uint64_t)most * 10 * s.cpus)
        return false;
    const unsigned far = (unsigned)(s.far / s.cpus);
    say(q->why,
        "%u of %u CPUs are outside zone %u, %u may be; %u.%u%% of the accesses cross zones, "
        "%" PRId64 "%% may",
        stolen, s.cpus, v->machine.zones[home].id, q->rules->steal_threshold, far / 10, far % 10,
        most);
    return true;
}

static bool crosses(const struct inquiry *q)
{
    const int64_t most = q->rules->cross_percent;

    return most != POLICY_NONE && crosses_too_often(q, most);
}

/* --- ALLOWED_DISTANCE --- */

static uint32_t distance(const struct topo_machine *m, uint32_t a, uint32_t b)
{
    const uint32_t ab = m->distances.d[a * m->n_zones + b], ba = m->distances.d[b * m->n_zones + a];

    return ab > ba ? ab : ba;
}

static bool is_too_far(const struct inquiry *q)
{
    const struct topo_machine *const m = &q->o->node->machine;
    const uint32_t most =
        q->rules->allowed_distance < TOPO_LOCAL ? TOPO_LOCAL : (uint32_t)q->rules->allowed_distance;

    if (q->rules->allowed_distance == POLICY_NONE)
        return false;
    for (uint64_t i = q->o->zones; i; i &= i - 1) {
        for (uint64_t j = i & (i - 1); j; j &= j - 1) {
            const uint32_t a = (uint32_t)__builtin_ctzll(i), b = (uint32_t)__builtin_ctzll(j);

            /* also two zones that are 10 apart are not the same one */
            if (most > TOPO_LOCAL && distance(m, a, b) <= most)
                continue;
            say(q->why, "zones %u and %u are %u apart, %u may be", m->zones[a].id, m->zones[b].id,
                distance(m, a, b), most);
            return true;
        }
    }
    return false;
}

/* --- NUMA_POLICY --- */

/* Distances between all pairs of a set, both ways. */
static uint32_t sum_within(const struct topo_machine *m, uint64_t zones)
{
    uint32_t sum = 0;

    for (uint64_t i = zones; i; i &= i - 1) {
        for (uint64_t j = zones; j; j &= j - 1)
            sum += m->distances
                       .d[(uint32_t)__builtin_ctzll(i) * m->n_zones + (uint32_t)__builtin_ctzll(j)];
    }
    return sum;
}

/* Zones beyond which sets of zones are not gone through. */
enum { MOST_ZONES = 12 };

/* Are these the closest zones with CPUs, of all sets of as many? By the mean distance. */
static bool are_closest(const struct node_view *v, uint64_t zones)
{
    const uint32_t n = v->machine.n_zones;
    const uint64_t used = zones & v->cpus.zones;
    const int k = __builtin_popcountll(used);
    const uint32_t sum = sum_within(&v->machine, used);

    if (k < 2 || n > MOST_ZONES)
        return true;
    for (uint64_t set = 1; set < UINT64_C(1) << n; set++) {
        if (__builtin_popcountll(set) == k && (set & ~v->cpus.zones) == 0 &&
            sum_within(&v->machine, set) < sum)
            return false;
    }
    return true;
}

static void tell_zones(const struct inquiry *q, uint64_t zones, const char *rule)
{
    const struct topo_machine *const m = &q->o->node->machine;
    char list[TOPO_MAX_ZONES * 5] = "";
    size_t n = 0;

    for (uint64_t z = q->why ? zones : 0; z && n < sizeof(list) - 12; z &= z - 1)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%u", n ? "," : "",
                              m->zones[__builtin_ctzll(z)].id);
    say(q->why, "the pod would use zones %s (numa-policy: %s)", list, rule);
    if (q->o->floating)
        say(q->why, "a container without CPUs of its own runs wherever the shared pool is");
}

static bool is_fed(const struct inquiry *q)
{
    for (uint32_t i = 0; i < q->o->req->n_containers; i++) {
        struct score_device_ask ask;

        if (score_terms_devices(&ask, q->o, i) && !score_device_feed_possible(&ask))
            return false;
    }
    return true;
}

static bool breaks_own_policy(const struct inquiry *q)
{
    const uint64_t zones = q->o->zones | q->o->floating;
    const uint32_t width = (uint32_t)__builtin_popcountll(zones);
    char span[16];

    if (q->rules->gpu_nic == SCORE_GPU_NIC_REQUIRE && !is_fed(q)) {
        say(q->why, "no choice of devices gives each GPU a NIC below its root "
                    "(gpu-nic-affinity: require)");
        return true;
    }
    switch (q->rules->numa) {
    case HINT_NUMA_SINGLE:
        if (width > 1)
            tell_zones(q, zones, "single");
        return width > 1;
    case HINT_NUMA_SPAN:
        (void)snprintf(span, sizeof(span), "span<=%u", q->rules->span);
        if (width > q->rules->span)
            tell_zones(q, zones, span);
        return width > q->rules->span;
    case HINT_NUMA_CLOSEST:
        if (are_closest(q->o->node, zones))
            return false;
        tell_zones(q, zones, "closest");
        return true;
    case HINT_NUMA_NONE:
        break;
    }
    return false;
}

/* --- NETWORK_BANDWIDTH --- */

static const char *const directions[] = {"ingress", "egress"};

/* As a pod would say it: 25G. */
struct rate {
    char p[24];
};

static struct rate rate(uint64_t bits)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    struct rate r;
    size_t u = 0;

    while (bits && bits % 1000 == 0 && u + 1 < ARRAY_LEN(units)) {
        bits /= 1000;
        u++;
    }
    (void)snprintf(r.p, sizeof(r.p), "%" PRIu64 "%s", bits, units[u]);
    return r;
}

/* Ports of a choice that could carry `need`: of what is sure all, of the open ones so many. */
static bool ports_have_room(const struct node_view *v, const struct score_choice *c, int direction,
                            uint64_t need)
{
    uint32_t roomy = 0;

    for (uint32_t i = 0; i < c->n_sure + c->n_open; i++) {
        const uint32_t d = i < c->n_sure ? c->sure[i] : c->open[i - c->n_sure];
        const uint16_t nic = v->devices[d].nic;
        const bool has = !nic || v->nics[nic - 1].capacity == 0 ||
                         score_nic_free(&v->nics[nic - 1], (enum node_direction)direction) >= need;

        if (i < c->n_sure && !has)
            return false;
        roomy += has;
    }
    return roomy >= score_choice_taken(c);
}

static void tell_ports(const struct inquiry *q, const struct score_choice *c, int direction,
                       uint64_t need)
{
    const struct node_view *const v = q->o->node;

    for (uint32_t i = 0; q->why && i < c->n_sure + c->n_open; i++) {
        const uint32_t d = i < c->n_sure ? c->sure[i] : c->open[i - c->n_sure];
        const struct node_nic *const nic =
            v->devices[d].nic ? &v->nics[v->devices[d].nic - 1] : NULL;

        if (nic && nic->capacity)
            say(q->why, "%.*s: %s needs %s, free %s of %s", STR_ARG(nic->name),
                directions[direction], rate(need).p,
                rate(score_nic_free(nic, (enum node_direction)direction)).p, rate(nic->capacity).p);
    }
}

/* Ports are shared out evenly: each carries its part. */
static bool own_ports_lack(const struct inquiry *q, uint32_t ports)
{
    for (uint32_t i = 0; i < q->o->req->n_containers; i++) {
        const struct outcome_container *const c = &q->o->containers[i];

        for (uint32_t k = 0; c->runs && k < c->n_choices; k++) {
            if (score_choice_kind(q->o->node, &c->choices[k]) != NODE_DEVICE_NIC)
                continue;
            for (int d = 0; d < 2; d++) {
                const uint64_t need = q->rules->network[d] / ports;

                if (ports_have_room(q->o->node, &c->choices[k], d, need))
                    continue;
                tell_ports(q, &c->choices[k], d, need);
                return true;
            }
        }
    }
    return false;
}

static bool lacks_bandwidth(const struct inquiry *q)
{
    const uint64_t *const need = q->rules->network;
    const uint32_t ports = need[0] || need[1] ? score_terms_ports(q->o) : 0;

    if (ports)
        return own_ports_lack(q, ports);
    for (int d = 0; d < 2; d++) {
        struct score_network_room room;

        if (!need[d] || !score_network_room(&room, q->o->node, (enum node_direction)d))
            continue;
        if (need[d] <= room.free && need[d] <= room.fastest)
            continue;
        say(q->why, "network: %s needs %s, free %s of %s", directions[d], rate(need[d]).p,
            rate(room.free).p, rate(room.capacity).p);
        if (need[d] <= room.free)
            say(q->why, "the fastest port has %s", rate(room.fastest).p);
        return true;
    }
    return false;
}

/* --- the order --- */

/* Most pods: no rule below can be broken. */
static bool is_free(const struct score_rules *r, const struct node_view *node)
{
    return !r->numa_exclusive && !node->exclusive_zones && r->cross_percent == POLICY_NONE &&
           r->allowed_distance == POLICY_NONE && r->numa == HINT_NUMA_NONE &&
           r->gpu_nic != SCORE_GPU_NIC_REQUIRE && !r->network[0] && !r->network[1];
}

enum score_reason constraint_of_placement(const struct outcome *o, struct constraint_text *why)
{
    static const struct {
        enum score_reason reason;
        bool (*breaks)(const struct inquiry *q);
    } rules[] = {
        {SCORE_NUMA_EXCLUSIVE, is_shared},          {SCORE_CROSS_ACCESS, crosses},
        {SCORE_ALLOWED_DISTANCE, is_too_far},       {SCORE_NUMA_POLICY, breaks_own_policy},
        {SCORE_NETWORK_BANDWIDTH, lacks_bandwidth},
    };
    const struct inquiry q = {o, o->req->rules, why};

    if (is_free(q.rules, o->node))
        return SCORE_REASON_NONE;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].breaks(&q))
            return rules[i].reason;
    }
    return SCORE_REASON_NONE;
}
