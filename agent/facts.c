/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/facts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/facts_held.h"
#include "agent/kubelet_config.h"
#include "agent/kubelet_state.h"
#include "agent/podresources.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "kube/file.h"
#include "kube/nrt_emit.h"
#include "topology/cpuset.h"
#include "topology/model.h"

#define OURS "orchestration.gokore.io/"

/* What was read, and of what. */
struct sources {
    const struct agent_paths *paths;
    const struct topo_machine *m;
    struct arena *a;
    struct err *err;
    bool has_config, has_cpu, has_memory, has_checkpoint, has_allocatable, has_pods;
    bool no_plugins; /* the checkpoint's directory is there, and it is not: nothing to hand out */
    struct agent_config config;
    struct agent_cpu_state cpu;
    struct agent_memory_state memory;
    struct agent_checkpoint checkpoint;
    struct agent_allocatable allocatable;
    struct agent_pods pods;
    struct buf lacking;
};

static int no_room(struct sources *s)
{
    return err_set(s->err, -ENOMEM, "no room in the arena");
}

static void lack(struct sources *s, const char *why)
{
    if (s->lacking.n)
        buf_text(&s->lacking, "; ");
    buf_text(&s->lacking, why);
}

/* Not there, or not for us. */
static bool is_missing(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -EACCES || rc == -EPERM;
}

/* --- files --- */

static int ask_configz(struct sources *s, struct err *err)
{
    /* read by words of eight bytes */
    static const char zeros[64] = {0};
    struct buf json = {0};
    int rc = agent_configz_ask(&json, &s->paths->configz, err);
    const size_t n = json.n;

    buf_add(&json, zeros, sizeof(zeros));
    if (rc == 0 && json.failed)
        rc = err_set(err, -ENOMEM, "no memory for the kubelet's settings");
    if (rc == 0 && (rc = agent_configz_decode(&s->config, (struct str){json.p, n}, s->a, err)) != 0)
        rc = err_wrap(err, rc, "the kubelet at %s: /configz", s->paths->configz.address);
    buf_free(&json);
    return rc;
}

/* What it runs with; else, what its files would have it run with. */
static int read_config(struct sources *s)
{
    struct err why = {0};

    if (s->paths->configz.address) {
        const int rc = ask_configz(s, &why);

        s->has_config = rc == 0;
        if (rc == -ENOMEM)
            return err_set(s->err, rc, "%s", why.text);
        if (rc == 0)
            return 0;
        lack(s, why.text);
    }
    if (!s->paths->config)
        return 0;
    const int rc =
        agent_config_read(&s->config, s->paths->config, s->paths->config_dir, s->a, &why);
    s->has_config = rc == 0;
    if (is_missing(rc)) {
        lack(s, why.text);
        return 0;
    }
    return rc ? err_set(s->err, rc, "%s", why.text) : 0;
}

static int decode_cpu(struct sources *s, struct str json, struct err *err)
{
    return agent_cpu_state_decode(&s->cpu, json, s->a, err);
}

static int decode_memory(struct sources *s, struct str json, struct err *err)
{
    return agent_memory_state_decode(&s->memory, json, s->m, s->a, err);
}

static int decode_checkpoint(struct sources *s, struct str json, struct err *err)
{
    return agent_checkpoint_decode(&s->checkpoint, json, s->m, s->a, err);
}

/* `quiet`: that it is missing says something by itself. */
static int read_state(struct sources *s, const char *path, bool *has, bool quiet,
                      int (*decode)(struct sources *s, struct str json, struct err *err))
{
    struct buf text = {0};
    struct err why = {0};

    if (!path)
        return 0;
    int rc = kube_file_read(path, &text, &why);
    if (is_missing(rc)) {
        if (!quiet)
            lack(s, why.text);
        buf_free(&text);
        return 0;
    }
    if (rc == 0 && text.n > LIMIT_KUBELET_FILE_BYTES)
        rc = err_set(&why, -E2BIG, "%s: larger than %d bytes", path, LIMIT_KUBELET_FILE_BYTES);
    else if (rc == 0 && (rc = decode(s, buf_view(&text), &why)) != 0)
        rc = err_wrap(&why, rc, "%s", path);
    *has = rc == 0;
    buf_free(&text);
    return rc ? err_set(s->err, rc, "%s", why.text) : 0;
}

/* Is there no such file in a directory that is there? The kubelet makes it with the first plugin.
 */
static bool is_not_yet_there(const char *path)
{
    const char *const slash = path ? strrchr(path, '/') : NULL;
    struct buf dir = {0};
    struct stat st;

    if (!slash || slash == path || stat(path, &st) == 0 || errno != ENOENT)
        return false;
    buf_add(&dir, path, (size_t)(slash - path));
    const bool there = !dir.failed && stat(dir.p, &st) == 0 && S_ISDIR(st.st_mode);
    buf_free(&dir);
    return there;
}

static int read_files(struct sources *s)
{
    int rc = read_config(s);

    if (rc == 0)
        rc = read_state(s, s->paths->cpu_state, &s->has_cpu, false, decode_cpu);
    if (rc == 0)
        rc = read_state(s, s->paths->memory_state, &s->has_memory, false, decode_memory);
    s->no_plugins = is_not_yet_there(s->paths->checkpoint);
    if (rc == 0)
        rc = read_state(s, s->paths->checkpoint, &s->has_checkpoint, s->no_plugins,
                        decode_checkpoint);
    return rc;
}

/* --- the socket --- */

static int decode_allocatable(struct sources *s, struct str message, struct err *err)
{
    return agent_allocatable_decode(&s->allocatable, message, s->m, s->a, err);
}

static int decode_pods(struct sources *s, struct str message, struct err *err)
{
    return agent_pods_decode(&s->pods, message, s->m, s->a, err);
}

static int ask(struct sources *s, const char *method, bool *has,
               int (*decode)(struct sources *s, struct str message, struct err *err))
{
    struct buf message = {0};
    struct err why = {0};
    int rc = agent_podresources_ask(&message, s->paths->podresources, method, &why);

    if (rc == 0 && (rc = decode(s, buf_view(&message), &why)) != 0)
        rc = err_wrap(&why, rc, "%s: %s", s->paths->podresources, method);
    buf_free(&message);
    *has = rc == 0;
    if (rc == -ENOMEM)
        return err_set(s->err, rc, "%s", why.text);
    if (rc)
        lack(s, why.text);
    return 0;
}

/* Do the state files say of every manager what is held? */
static bool files_suffice(const struct sources *s)
{
    const bool memory_static = s->has_config && str_is(s->config.memory_policy, "Static");

    return s->has_cpu && (s->has_memory || !memory_static) && (s->has_checkpoint || s->no_plugins);
}

static int ask_kubelet(struct sources *s)
{
    if (!s->paths->podresources)
        return 0;
    int rc = ask(s, "GetAllocatableResources", &s->has_allocatable, decode_allocatable);
    if (rc == 0 && !files_suffice(s))
        rc = ask(s, "List", &s->has_pods, decode_pods);
    return rc;
}

/* --- reserved CPUs --- */

/*
 * A manager's state says the policy that the kubelet runs with; the configuration may have been
 * changed since it started, or a flag have stood above it.
 */
static struct str cpu_policy(const struct sources *s)
{
    return s->has_cpu ? s->cpu.policy : s->config.cpu_policy;
}

/* The CPUs of zone `z`, or of all where it is TOPO_NONE, into `set`. */
static void present_cpus(const struct topo_machine *m, uint32_t z, uint64_t *set)
{
    memset(set, 0, cpuset_words(m->n_cpus) * sizeof(*set));
    for (uint32_t c = 0; c < m->n_cpus; c++) {
        if (m->cpus[c].zone != TOPO_NONE && (z == TOPO_NONE || m->cpus[c].zone == z))
            cpuset_add(set, c);
    }
}

static bool is_subset(const uint64_t *x, const uint64_t *y, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        if (x[i] & ~y[i])
            return false;
    }
    return true;
}

static bool is_given_list(struct sources *s, uint64_t *set, const uint64_t *present, uint32_t words)
{
    if (!s->has_config || s->config.reserved_cpus.n == 0)
        return false;
    if (cpuset_parse(set, words, s->config.reserved_cpus, NULL) == 0 &&
        is_subset(set, present, words))
        return true;
    lack(s, "reservedSystemCPUs names CPUs that the machine does not have");
    return false;
}

/* Those that the kubelet chose by itself are the ones that it does not count as allocatable. */
static bool is_left_out(const struct sources *s, uint64_t *set, const uint64_t *present,
                        uint32_t words)
{
    if (!s->has_allocatable || s->allocatable.cpus.n == 0 ||
        cpuset_parse(set, words, s->allocatable.cpus, NULL) < 0)
        return false;
    for (uint32_t i = 0; i < words; i++)
        set[i] = present[i] & ~set[i];
    return true;
}

/* `*out` NULL: not known. Without the static policy no CPU is kept from anybody. */
static int find_reserved(struct sources *s, const uint64_t **out)
{
    const uint32_t words = cpuset_words(s->m->n_cpus);
    uint64_t *const set = arena_array(s->a, words, sizeof(*set));
    uint64_t *const present = arena_array(s->a, words, sizeof(*present));

    *out = NULL;
    if (!set || !present)
        return no_room(s);
    present_cpus(s->m, TOPO_NONE, present);
    if (is_given_list(s, set, present, words) || is_left_out(s, set, present, words)) {
        *out = set;
    } else if (s->has_config && s->config.reserved_cpus.n == 0) {
        if (!str_is(cpu_policy(s), "static") || s->config.reserved_milli == 0) {
            memset(set, 0, words * sizeof(*set));
            *out = set;
        } else {
            lack(s, "CPUs are reserved by their number, and nothing says which they are");
        }
    }
    return 0;
}

/* --- settings --- */

enum { ATTRIBUTES = 9 };

struct attributes {
    struct kube_nrt_attribute *at; /* [ATTRIBUTES] */
    uint32_t n;
};

static void put(struct attributes *l, const char *name, struct str value)
{
    l->at[l->n++] = (struct kube_nrt_attribute){str_of(name), value};
}

static int put_reserved(struct sources *s, struct attributes *l, const uint64_t *reserved)
{
    struct buf b = {0};
    struct str list;

    if (!reserved)
        return 0;
    cpuset_format(&b, reserved, cpuset_words(s->m->n_cpus));
    const int rc = b.failed ? -ENOMEM : str_copy(&list, buf_view(&b), s->a);
    buf_free(&b);
    if (rc)
        return no_room(s);
    put(l, KUBE_NRT_RESERVED_CPUS, list);
    return 0;
}

static void put_topology(struct attributes *l, const struct agent_config *c)
{
    put(l, "topologyManagerPolicy", c->topology_policy);
    put(l, "topologyManagerScope", c->topology_scope);
    if (c->max_zones.n)
        put(l, "topologyManagerMaxNUMANodes", c->max_zones);
    if (c->prefer_closest.n)
        put(l, "topologyManagerOptionPreferClosestNumaNodes", c->prefer_closest);
    put(l, OURS "topology-manager-policy-options", c->topology_options);
}

static int find_attributes(struct sources *s, struct agent_facts *f)
{
    struct attributes l = {.at = arena_array(s->a, ATTRIBUTES, sizeof(*l.at))};

    if (!l.at)
        return no_room(s);
    if (s->has_config)
        put_topology(&l, &s->config);
    if (s->has_cpu || s->has_config)
        put(&l, OURS "cpu-manager-policy", cpu_policy(s));
    if (s->has_config)
        put(&l, OURS "cpu-manager-policy-options", s->config.cpu_options);
    if (s->has_memory || s->has_config)
        put(&l, OURS "memory-manager-policy",
            s->has_memory ? s->memory.policy : s->config.memory_policy);
    int rc = find_reserved(s, &f->reserved);
    if (rc == 0)
        rc = put_reserved(s, &l, f->reserved);
    f->attributes = l.at;
    f->n_attributes = l.n;
    return rc;
}

/* --- what is held --- */

static uint32_t append(struct kube_nrt_holding *to, uint32_t n, const struct kube_nrt_holding *from,
                       uint32_t n_from)
{
    for (uint32_t i = 0; i < n_from; i++)
        to[n + i] = from[i];
    return n + n_from;
}

static int find_holdings(struct sources *s, struct agent_facts *f)
{
    const bool files = files_suffice(s);
    const size_t room =
        files ? (size_t)s->cpu.n_holdings + s->memory.n_holdings + s->checkpoint.n_holdings
              : s->pods.n_holdings;
    struct kube_nrt_holding *const h = arena_array(s->a, room, sizeof(*h));
    uint32_t n = 0;

    if (!h)
        return no_room(s);
    if (files) {
        n = append(h, n, s->cpu.holdings, s->cpu.n_holdings);
        n = append(h, n, s->memory.holdings, s->memory.n_holdings);
        n = append(h, n, s->checkpoint.holdings, s->checkpoint.n_holdings);
    } else {
        n = append(h, n, s->pods.holdings, s->pods.n_holdings);
    }
    const int kept = agent_held_fold(h, n, s->a);
    if (kept < 0)
        return no_room(s);
    f->has_holdings = files || s->has_pods;
    f->holdings = h;
    f->n_holdings = (uint32_t)kept;
    return 0;
}

/*
 * Only podresources knows the zones of a device that nobody has. Those that are registered, or
 * given out, and which it leaves out, are not healthy.
 */
static int find_devices(struct sources *s, struct agent_facts *f)
{
    const uint32_t registered = s->checkpoint.n_devices;
    struct kube_nrt_device *const d =
        arena_array(s->a, (size_t)registered + s->allocatable.n_devices, sizeof(*d));

    if (!d)
        return no_room(s);
    for (uint32_t i = 0; i < registered; i++) {
        d[i] = s->checkpoint.devices[i];
        d[i].healthy = false;
    }
    for (uint32_t i = 0; i < s->allocatable.n_devices; i++)
        d[registered + i] = s->allocatable.devices[i];
    f->has_devices = s->has_allocatable || s->no_plugins || (s->has_checkpoint && registered == 0);
    f->devices = d;
    f->n_devices =
        f->has_devices ? agent_devices_fold(d, registered + s->allocatable.n_devices) : 0;
    return 0;
}

/* --- zones --- */

/* CPUs that some container has for itself; what is not on the machine is left out. */
static void held_cpus(const struct agent_facts *f, uint64_t *set, uint64_t *scratch)
{
    const uint32_t words = cpuset_words(TOPO_MAX_CPUS);

    memset(set, 0, words * sizeof(*set));
    for (uint32_t i = 0; i < f->n_holdings; i++) {
        if (cpuset_parse(scratch, words, f->holdings[i].cpus, NULL) < 0)
            continue;
        for (uint32_t w = 0; w < words; w++)
            set[w] |= scratch[w];
    }
}

static int find_free_cpus(struct sources *s, const uint64_t *held, uint32_t z,
                          struct kube_nrt_zone_use *use)
{
    const uint32_t words = cpuset_words(s->m->n_cpus);
    uint64_t free[TOPO_MAX_CPUS / 64] = {0};
    struct buf b = {0};

    present_cpus(s->m, z, free);
    for (uint32_t w = 0; w < words; w++)
        free[w] &= ~held[w];
    cpuset_format(&b, free, words);
    const int rc = b.failed ? -ENOMEM : str_copy(&use->free_cpus, buf_view(&b), s->a);
    buf_free(&b);
    use->has_free_cpus = rc == 0;
    return rc ? no_room(s) : 0;
}

static int find_zones(struct sources *s, struct agent_facts *f)
{
    struct kube_nrt_zone_use *const zones = arena_array(s->a, s->m->n_zones, sizeof(*zones));
    uint64_t held[TOPO_MAX_CPUS / 64], scratch[TOPO_MAX_CPUS / 64];
    int rc = 0;

    if (!zones)
        return no_room(s);
    held_cpus(f, held, scratch);
    for (uint32_t z = 0; z < s->m->n_zones && rc == 0; z++) {
        if (s->has_memory)
            zones[z] = s->memory.zones[z];
        if (f->has_holdings)
            rc = find_free_cpus(s, held, z, &zones[z]);
    }
    f->zones = zones;
    return rc;
}

static int join(struct sources *s, struct agent_facts *f)
{
    int rc = find_attributes(s, f);

    if (rc == 0)
        rc = find_holdings(s, f);
    if (rc == 0)
        rc = find_devices(s, f);
    if (rc == 0)
        rc = find_zones(s, f);
    if (rc == 0 && (s->lacking.failed || str_copy(&f->lacking, buf_view(&s->lacking), s->a)))
        rc = no_room(s);
    return rc;
}

int agent_read(struct agent_facts *out, const struct agent_paths *paths,
               const struct topo_machine *m, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct sources s = {.paths = paths, .m = m, .a = a, .err = err};
    struct agent_facts f = {0};
    int rc = read_files(&s);

    if (rc == 0)
        rc = ask_kubelet(&s);
    if (rc == 0)
        rc = join(&s, &f);
    buf_free(&s.lacking);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = f;
    return 0;
}
