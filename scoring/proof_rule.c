/* SPDX-License-Identifier: Apache-2.0 */
/* The rules by which the Topology Manager refuses, in words. */
#include <stdio.h>

#include "scoring/proof_parts.h"
#include "topology/cpuset.h"

enum { MOST_ZONES = KUBELET_HINT_ZONES, RULE_BYTES = 256 };

/* One resource, or all types of memory, which have one width. Amounts by zone. */
struct stock {
    char name[RULE_BYTES];
    uint64_t need, all[TOPO_MAX_ZONES], usable[TOPO_MAX_ZONES], free[TOPO_MAX_ZONES];
    uint64_t zones;           /* that have any of it */
    uint32_t width, in_reach; /* fewest zones that have it, that have it free; 0 = none */
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t sum_over(const uint64_t *amounts, uint64_t zones)
{
    uint64_t sum = 0;

    for (uint64_t z = zones; z; z &= z - 1)
        sum = plus(sum, amounts[__builtin_ctzll(z)]);
    return sum;
}

/* How many of the zones that have most of it have `need` together; 0 when all have not. */
static uint32_t fewest(const uint64_t *amounts, uint64_t zones, uint64_t need)
{
    uint64_t sum = 0;

    for (uint32_t n = 1; zones; n++) {
        uint32_t most = (uint32_t)__builtin_ctzll(zones);

        for (uint64_t z = zones; z; z &= z - 1)
            most =
                amounts[__builtin_ctzll(z)] > amounts[most] ? (uint32_t)__builtin_ctzll(z) : most;
        sum = plus(sum, amounts[most]);
        zones &= ~(UINT64_C(1) << most);
        if (sum >= need)
            return n;
    }
    return 0;
}

static void measure(struct stock *s)
{
    s->width = fewest(s->all, s->zones, s->need);
    s->in_reach = fewest(s->free, s->zones, s->need);
}

/* --- the providers --- */

static bool cpu_stock(struct stock *s, const struct proof_case *c)
{
    const struct node_view *const node = c->node;

    if (!c->wants->cpus || !node->kubelet.cpu_static)
        return false;
    *s = (struct stock){.name = "cpu", .need = c->wants->cpus, .zones = node->cpus.zones};
    for (uint64_t z = s->zones; z; z &= z - 1) {
        const uint32_t zone = (uint32_t)__builtin_ctzll(z);
        const uint64_t *const in = &node->cpus.zone_set[(size_t)zone * node->cpu_words];

        s->all[zone] = node->cpus.zone_n[zone];
        for (uint32_t w = 0; w < node->cpu_words; w++) {
            const uint64_t usable = in[w] & ~node->cpu_reserved[w];
            const uint64_t free = (usable & c->state->cpu_free[w]) | (c->reuse ? c->reuse[w] : 0);

            s->usable[zone] += (uint64_t)__builtin_popcountll(usable);
            s->free[zone] += (uint64_t)__builtin_popcountll(free & in[w]);
        }
    }
    measure(s);
    return true;
}

/* Not of devices that lie in several zones: they do not add up. */
static bool device_stock(struct stock *s, const struct proof_case *c,
                         const struct kubelet_want *want)
{
    const struct node_view *const node = c->node;
    const struct node_resource *r = NULL;

    for (uint32_t i = 0; i < node->n_resources; i++)
        r = str_eq(node->resources[i].name, want->name) ? &node->resources[i] : r;
    if (!r || !r->zones)
        return false;
    *s = (struct stock){.need = want->amount, .zones = r->zones};
    (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(want->name));
    for (uint32_t d = r->first; d < r->first + r->n; d++) {
        const uint64_t zones = node->devices[d].zones;

        if (zones & (zones - 1))
            return false;
        if (!zones)
            continue;
        const uint32_t zone = (uint32_t)__builtin_ctzll(zones);
        s->all[zone]++;
        s->usable[zone]++;
        s->free[zone] += node->devices[d].healthy && !cpuset_has(c->state->device_held, d);
    }
    measure(s);
    return true;
}

static uint32_t type_of(const struct node_view *node, struct str name)
{
    uint32_t t = 0;

    while (t < node->n_memory_types && !str_eq(node->memory_types[t].name, name))
        t++;
    return t;
}

/* Does the set of zones have all types? */
static bool has_memory(const struct proof_case *c, const uint64_t *by_zone, uint64_t zones)
{
    const uint32_t types = c->node->n_memory_types;

    for (uint32_t i = 0; i < c->wants->n_memory; i++) {
        const uint32_t t = type_of(c->node, c->wants->memory[i].name);
        uint64_t sum = 0;

        for (uint64_t z = zones; z && t < types; z &= z - 1)
            sum = plus(sum, by_zone[(size_t)__builtin_ctzll(z) * types + t]);
        if (sum < c->wants->memory[i].amount)
            return false;
    }
    return true;
}

static uint32_t fewest_joint(const struct proof_case *c, const uint64_t *by_zone)
{
    uint32_t least = 0;

    for (uint64_t m = 1; m < UINT64_C(1) << c->node->machine.n_zones; m++) {
        const uint32_t n = (uint32_t)__builtin_popcountll(m);

        if ((!least || n < least) && has_memory(c, by_zone, m))
            least = n;
    }
    return least;
}

/* All types of memory together. The amounts are those of the first type that is short. */
static bool memory_stock(struct stock *s, const struct proof_case *c)
{
    const struct node_view *const node = c->node;
    const uint32_t n = node->machine.n_zones, types = node->n_memory_types;
    size_t at = 0;

    if (!c->wants->n_memory || !node->kubelet.memory_static || n > MOST_ZONES)
        return false;
    *s = (struct stock){.zones = (UINT64_C(1) << n) - 1};
    for (uint32_t i = 0; i < c->wants->n_memory && at < sizeof(s->name); i++)
        at += (size_t)snprintf(s->name + at, sizeof(s->name) - at, "%s%.*s", i ? " and " : "",
                               STR_ARG(c->wants->memory[i].name));
    s->width = fewest_joint(c, node->memory_allocatable);
    s->in_reach = fewest_joint(c, c->state->memory_free);
    for (uint32_t i = 0; i < c->wants->n_memory; i++) {
        const uint32_t t = type_of(node, c->wants->memory[i].name);

        s->need = c->wants->memory[i].amount;
        for (uint32_t z = 0; z < n && t < types; z++) {
            s->usable[z] = node->memory_allocatable[(size_t)z * types + t];
            s->free[z] = c->state->memory_free[(size_t)z * types + t];
        }
        if (sum_over(s->free, s->zones) < s->need) {
            (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(c->wants->memory[i].name));
            break;
        }
    }
    return true;
}

/* Calls `tell` for each resource of the request whose zones add up. */
static void each_stock(const struct proof_case *c, void (*tell)(void *ctx, const struct stock *s),
                       void *ctx)
{
    struct stock s;

    if (cpu_stock(&s, c))
        tell(ctx, &s);
    if (memory_stock(&s, c))
        tell(ctx, &s);
    for (uint32_t i = 0; i < c->wants->n_devices; i++) {
        if (device_stock(&s, c, &c->wants->devices[i]))
            tell(ctx, &s);
    }
}

/* --- widths --- */

struct telling {
    struct proof_text *text;
    const struct proof_case *c;
    uint32_t n, least, most; /* resources told of; widths */
};

static void tell_width(void *ctx, const struct stock *s)
{
    struct telling *const t = ctx;
    const bool several = s->zones & (s->zones - 1);

    if (s->in_reach == 0 && s->width != 1 && several) {
        proof_clause(t->text);
        proof_zones(t->text, t->c->node, s->zones);
        proof_add(t->text, " together: %s needs %llu, free %llu of %llu", s->name,
                  (unsigned long long)s->need, (unsigned long long)sum_over(s->free, s->zones),
                  (unsigned long long)sum_over(s->usable, s->zones));
        t->n++;
    } else if (s->in_reach > s->width) {
        proof_clause(t->text);
        proof_add(t->text, "restricted: %u zone%s enough %s, free or not, so %u are refused",
                  s->width, s->width == 1 ? " has" : "s have", s->name, s->in_reach);
        t->n++;
    }
}

bool proof_widths(struct proof_text *t, const struct proof_case *c)
{
    struct telling telling = {.text = t, .c = c};

    each_stock(c, tell_width, &telling);
    return telling.n > 0;
}

static void compare_width(void *ctx, const struct stock *s)
{
    struct telling *const t = ctx;

    t->most = s->width > t->most ? s->width : t->most;
    t->least = t->n == 0 || s->width < t->least ? s->width : t->least;
    t->n++;
}

static void list_width(void *ctx, const struct stock *s)
{
    struct telling *const t = ctx;

    proof_add(t->text, "%s %s takes %u", t->n++ ? "," : "", s->name, s->width);
}

bool proof_is_wide(const struct proof_case *c)
{
    struct telling t = {.c = c};

    each_stock(c, compare_width, &t);
    return t.most > 1;
}

/* --- the rule --- */

/* Zones of the CPUs that init containers leave. */
static uint64_t pinned(const struct proof_case *c)
{
    uint64_t zones = 0;

    for (uint32_t cpu = 0; c->reuse && c->wants->cpus && cpu < c->node->machine.n_cpus; cpu++) {
        if (cpuset_has(c->reuse, cpu))
            zones |= UINT64_C(1) << c->node->machine.cpus[cpu].zone;
    }
    return zones;
}

void proof_rule(struct proof_text *t, const struct proof_case *c, uint64_t roomy)
{
    const bool restricted = c->node->kubelet.policy == KUBELET_POLICY_RESTRICTED;
    const uint64_t pins = pinned(c);
    struct telling widths = {.text = t, .c = c};

    each_stock(c, compare_width, &widths);
    proof_clause(t);
    if (pins && roomy & ~pins) {
        proof_add(t, "cpu: the init containers leave CPUs in ");
        proof_zones(t, c->node, pins);
        proof_add(t, ", which any set of zones must hold");
    } else if (restricted && widths.least != widths.most) {
        widths.n = 0;
        proof_add(t, "restricted: all must take the same zones, but");
        each_stock(c, list_width, &widths);
    } else {
        proof_add(t, restricted
                         ? "restricted: no set of zones is preferred by every resource at once"
                         : "single-numa-node: no zone is preferred by every resource at once");
    }
}
