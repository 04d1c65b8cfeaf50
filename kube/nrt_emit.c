/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/nrt_emit.h"

#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "kube/emit.h"
#include "topology/cpuset.h"
#include "topology/model.h"

#define PREFIX "orchestration.gokore.io/"

/* --- attributes of the object --- */

enum value_form { FORM_TEXT, FORM_WORD, FORM_CPUS, FORM_TIME, FORM_NUMBER };

struct form {
    const char *name; /* without our prefix */
    const char *full;
    enum value_form form;
    const char *words; /* of FORM_WORD, each followed by a blank */
};

static const struct form forms[] = {
    {"cpu-manager-policy", PREFIX "cpu-manager-policy", FORM_WORD, "none static "},
    {"memory-manager-policy", PREFIX "memory-manager-policy", FORM_WORD, "None Static "},
    {"cpu-manager-policy-options", PREFIX "cpu-manager-policy-options", FORM_TEXT, NULL},
    {"topology-manager-policy-options", PREFIX "topology-manager-policy-options", FORM_TEXT, NULL},
    {"reserved-cpus", KUBE_NRT_RESERVED_CPUS, FORM_CPUS, NULL},
    {"observed-at", PREFIX "observed-at", FORM_TIME, NULL},
    {"generation", PREFIX "generation", FORM_NUMBER, NULL},
    {"placements", PREFIX "placements", FORM_TEXT, NULL},
    {"devices", PREFIX "devices", FORM_TEXT, NULL},
    {"pci", PREFIX "pci", FORM_TEXT, NULL},
    {"topologyManagerPolicy", "topologyManagerPolicy", FORM_WORD,
     "none best-effort restricted single-numa-node "},
    {"topologyManagerScope", "topologyManagerScope", FORM_WORD, "container pod "},
    {"topologyManagerMaxNUMANodes", "topologyManagerMaxNUMANodes", FORM_NUMBER, NULL},
    {"topologyManagerOptionPreferClosestNumaNodes", "topologyManagerOptionPreferClosestNumaNodes",
     FORM_WORD, "true false "},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static const struct form *find_form(struct str name)
{
    for (size_t i = 0; i < FORMS; i++) {
        if (str_is(name, forms[i].name) || str_is(name, forms[i].full))
            return &forms[i];
    }
    return NULL;
}

static int unknown_attribute(struct str name, struct err *err)
{
    const char *names[FORMS];

    if (str_starts(name, PREFIX))
        name = (struct str){name.p + sizeof(PREFIX) - 1, name.n - (sizeof(PREFIX) - 1)};
    for (size_t i = 0; i < FORMS; i++)
        names[i] = forms[i].name;
    const char *const near = str_nearest(name, names, FORMS);
    if (near)
        return err_set(err, -ENOENT, "unknown attribute \"%.*s\" (did you mean \"%s\"?)",
                       STR_ARG(name), near);
    return err_set(err, -ENOENT, "unknown attribute \"%.*s\"", STR_ARG(name));
}

static bool is_word_of(struct str words, struct str value)
{
    while (words.n) {
        if (str_eq(str_cut(&words, ' '), value) && value.n)
            return true;
    }
    return false;
}

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    }
    return true;
}

static int check_value(const struct form *f, struct str value, struct err *err)
{
    uint64_t number;
    int64_t us;

    if (!is_printable(value))
        return err_set(err, -EINVAL, "%s: not printable ASCII", f->name);
    switch (f->form) {
    case FORM_TEXT:
        break;
    case FORM_WORD:
        if (!is_word_of(str_of(f->words), value))
            return err_set(err, -EINVAL, "%s: \"%.*s\" is not one of: %s", f->name, STR_ARG(value),
                           f->words);
        break;
    case FORM_CPUS: {
        const int span = cpuset_span(value, err);
        if (span < 0)
            return err_wrap(err, -EINVAL, "%s", f->name);
        break;
    }
    case FORM_TIME:
        if (clock_parse_rfc3339(value, &us) < 0)
            return err_set(err, -EINVAL,
                           "%s: \"%.*s\" is not a time like"
                           " 2026-11-24T03:02:01.123456Z",
                           f->name, STR_ARG(value));
        break;
    case FORM_NUMBER:
        if (!str_u64(value, &number))
            return err_set(err, -EINVAL, "%s: \"%.*s\" is not a whole number", f->name,
                           STR_ARG(value));
        break;
    }
    return 0;
}

int kube_nrt_attribute_check(struct kube_nrt_attribute *out, struct str name, struct str value,
                             struct err *err)
{
    const struct form *const f = find_form(name);

    if (!f)
        return unknown_attribute(name, err);
    const int rc = check_value(f, value, err);
    if (rc == 0)
        *out = (struct kube_nrt_attribute){str_of(f->full), value};
    return rc;
}

/* --- YAML --- */

/* A JSON string is a YAML string. */
static void put_quoted(struct buf *out, struct str s)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_text(&e, s);
}

static void put_attribute(struct buf *out, const char *indent, const char *name, struct str value)
{
    buf_printf(out, "%s- name: %s\n%s  value: ", indent, name, indent);
    put_quoted(out, value);
    buf_text(out, "\n");
}

/* --- the attribute pci --- */

static void emit_device_links(struct emit *e, const struct topo_machine *m, uint32_t i)
{
    emit_key(e, "links");
    emit_object(e);
    for (uint32_t j = 0; j < m->n_devices; j++) {
        const uint32_t mbs = m->link_mbs[i * m->n_devices + j];

        if (mbs == 0 || j == i)
            continue;
        emit_key_str(e, m->devices[j].name);
        emit_uint(e, mbs);
    }
    emit_end(e);
}

static void emit_device(struct emit *e, const struct topo_machine *m, uint32_t i)
{
    const struct topo_device *const d = &m->devices[i];

    emit_key_str(e, d->name);
    emit_object(e);
    emit_key(e, "kind"), emit_words(e, topo_device_kind_text(d->kind));
    emit_key(e, "address"), emit_text(e, d->pci);
    emit_key(e, "path");
    emit_array(e);
    for (uint32_t k = 0; k < d->n_path; k++)
        emit_text(e, d->path[k]);
    emit_end(e);
    emit_key(e, "zones");
    emit_array(e);
    for (uint32_t z = 0; z < m->n_zones; z++) {
        if (d->zones >> z & 1)
            emit_uint(e, m->zones[z].id);
    }
    emit_end(e);
    if (d->kind == TOPO_NIC || d->kind == TOPO_INFINIBAND) {
        emit_key(e, "name"), emit_text(e, d->name);
        emit_key(e, "speed"), emit_uint(e, d->speed_mbps);
    }
    if (d->kind == TOPO_GPU && m->link_mbs)
        emit_device_links(e, m, i);
    emit_end(e);
}

static bool has_attribute(const struct kube_nrt_publication *p, const char *name)
{
    for (uint32_t i = 0; i < p->n_attributes; i++) {
        if (str_is(p->attributes[i].name, name))
            return true;
    }
    return false;
}

static void put_pci(struct buf *out, const struct kube_nrt_publication *p)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct emit e;

    if (p->machine->n_devices == 0 || has_attribute(p, PREFIX "pci"))
        return;
    emit_init(&e, &json, false);
    emit_object(&e);
    for (uint32_t i = 0; i < p->machine->n_devices; i++)
        emit_device(&e, p->machine, i);
    emit_end(&e);
    out->failed = out->failed || json.failed;
    put_attribute(out, "", PREFIX "pci", buf_view(&json));
}

/* --- zones --- */

enum { MAX_WORDS = TOPO_MAX_CPUS / 64 };

/* What a zone's CPUs are listed by. */
enum group { GROUP_ALL, GROUP_CORE, GROUP_L3 };

static uint16_t group_of(const struct topo_cpu *cpu, enum group by)
{
    return by == GROUP_CORE ? cpu->core : by == GROUP_L3 ? cpu->l3 : 0;
}

/* The CPUs of one group of a zone; the lowest of them. */
static uint32_t collect(uint64_t set[MAX_WORDS], const struct topo_machine *m, uint32_t zone,
                        enum group by, uint16_t value)
{
    for (uint32_t i = 0; i < MAX_WORDS; i++)
        set[i] = 0;
    for (uint32_t i = 0; i < m->n_cpus; i++) {
        if (m->cpus[i].zone == zone && group_of(&m->cpus[i], by) == value)
            cpuset_add(set, i);
    }
    return cpuset_next(set, MAX_WORDS, 0);
}

/*
 * The CPU lists of all groups of a zone, joined by ';' in the order of their first CPUs. Nothing
 * when a CPU of the zone is in no group. Quadratic in the CPUs of a zone: a few hundred at most.
 */
static void list_groups(struct buf *out, const struct topo_machine *m, uint32_t zone, enum group by)
{
    const size_t start = out->n;

    for (uint32_t i = 0; i < m->n_cpus; i++) {
        uint64_t set[MAX_WORDS];

        if (m->cpus[i].zone != zone)
            continue;
        if (group_of(&m->cpus[i], by) == TOPO_NONE) {
            buf_free(out);
            return;
        }
        if (collect(set, m, zone, by, group_of(&m->cpus[i], by)) != i)
            continue; /* its group was written with its first CPU */
        buf_text(out, out->n > start ? ";" : "");
        cpuset_format(out, set, MAX_WORDS);
    }
}

static void put_groups(struct buf *out, const struct topo_machine *m, uint32_t zone, enum group by,
                       const char *name)
{
    CLEANUP(buf_free) struct buf list = {0};

    list_groups(&list, m, zone, by);
    out->failed = out->failed || list.failed;
    if (list.n > 0 || by == GROUP_ALL)
        put_attribute(out, "  ", name, buf_view(&list));
}

static void put_number(struct buf *out, const char *name, uint32_t value, bool is_known)
{
    if (is_known)
        buf_printf(out, "  - name: %s\n    value: \"%u\"\n", name, value);
}

static void put_zone_attributes(struct buf *out, const struct topo_machine *m, uint32_t zone)
{
    const struct topo_zone *const z = &m->zones[zone];

    buf_text(out, "  attributes:\n");
    put_number(out, PREFIX "socket", z->socket, z->socket != TOPO_NONE);
    put_groups(out, m, zone, GROUP_ALL, PREFIX "cpus");
    put_groups(out, m, zone, GROUP_CORE, PREFIX "cores");
    put_groups(out, m, zone, GROUP_L3, PREFIX "l3");
    put_number(out, PREFIX "read-bandwidth", z->read_bandwidth_mbs, z->read_bandwidth_mbs);
    put_number(out, PREFIX "write-bandwidth", z->write_bandwidth_mbs, z->write_bandwidth_mbs);
    put_number(out, PREFIX "read-latency", z->read_latency_ns, z->read_latency_ns);
    put_number(out, PREFIX "write-latency", z->write_latency_ns, z->write_latency_ns);
}

static void put_costs(struct buf *out, const struct topo_machine *m, uint32_t zone)
{
    if (!m->has_distances)
        return;
    buf_text(out, "  costs:\n");
    for (uint32_t j = 0; j < m->n_zones; j++)
        buf_printf(out, "  - name: node-%u\n    value: %u\n", m->zones[j].id,
                   m->distances.d[zone * m->n_zones + j]);
}

static void put_resource(struct buf *out, const char *name, uint64_t capacity, uint64_t allocatable)
{
    buf_printf(out,
               "  - name: %s\n    capacity: \"%" PRIu64 "\"\n    allocatable: \"%" PRIu64
               "\"\n    available: \"%" PRIu64 "\"\n",
               name, capacity, allocatable, allocatable);
}

static void put_cpus(struct buf *out, const struct kube_nrt_publication *p, uint32_t zone)
{
    uint64_t set[MAX_WORDS];
    uint32_t reserved = 0;

    collect(set, p->machine, zone, GROUP_ALL, 0);
    for (uint32_t i = 0; p->reserved && i < p->machine->n_cpus; i++)
        reserved += cpuset_has(set, i) && cpuset_has(p->reserved, i);
    const uint32_t all = cpuset_count(set, MAX_WORDS);
    put_resource(out, "cpu", all, all - reserved);
}

static uint64_t page_count(const struct topo_zone *z, uint64_t page_bytes)
{
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (z->hugepages[i].page_bytes == page_bytes)
            return z->hugepages[i].count;
    }
    return 0;
}

static bool machine_has_pages(const struct topo_machine *m, uint64_t page_bytes)
{
    for (uint32_t i = 0; i < m->n_zones; i++) {
        if (page_count(&m->zones[i], page_bytes) > 0)
            return true;
    }
    return false;
}

/* hugepages-2Mi, in the largest unit that divides the size, as the kubelet names them. */
static void put_pages(struct buf *out, const struct topo_pages *pages)
{
    CLEANUP(buf_free) struct buf name = {0};

    buf_text(&name, "hugepages-");
    buf_bytes(&name, pages->page_bytes);
    out->failed = out->failed || name.failed;
    if (!name.failed)
        put_resource(out, name.p, pages->page_bytes * pages->count,
                     pages->page_bytes * pages->count);
}

static void put_memory(struct buf *out, const struct topo_machine *m, const struct topo_zone *z)
{
    uint64_t huge = 0;

    for (uint32_t i = 0; i < z->n_hugepages; i++)
        huge += z->hugepages[i].page_bytes * z->hugepages[i].count;
    put_resource(out, "memory", z->memory_bytes,
                 huge < z->memory_bytes ? z->memory_bytes - huge : 0);
    for (uint32_t i = 0; i < z->n_hugepages; i++) {
        if (machine_has_pages(m, z->hugepages[i].page_bytes))
            put_pages(out, &z->hugepages[i]);
    }
}

static void put_zone(struct buf *out, const struct kube_nrt_publication *p, uint32_t zone)
{
    buf_printf(out, "- name: node-%u\n  type: Node\n", p->machine->zones[zone].id);
    put_zone_attributes(out, p->machine, zone);
    put_costs(out, p->machine, zone);
    buf_text(out, "  resources:\n");
    put_cpus(out, p, zone);
    put_memory(out, p->machine, &p->machine->zones[zone]);
}

static void put_owner(struct buf *out, const struct kube_nrt_publication *p)
{
    if (p->owner_uid.n == 0)
        return;
    buf_text(out, "  ownerReferences:\n  - apiVersion: v1\n    kind: Node\n    name: ");
    put_quoted(out, p->node);
    buf_text(out, "\n    uid: ");
    put_quoted(out, p->owner_uid);
    buf_text(out, "\n");
}

void kube_nrt_emit(struct buf *out, const struct kube_nrt_publication *p)
{
    buf_text(out, "apiVersion: topology.node.k8s.io/v1alpha2\nkind: NodeResourceTopology\n"
                  "metadata:\n  name: ");
    put_quoted(out, p->node);
    buf_text(out, "\n");
    put_owner(out, p);
    if (p->n_attributes > 0 || p->machine->n_devices > 0)
        buf_text(out, "attributes:\n");
    for (uint32_t i = 0; i < p->n_attributes; i++) {
        CLEANUP(buf_free) struct buf name = {0};

        buf_str(&name, p->attributes[i].name);
        put_attribute(out, "", name.p ? name.p : "", p->attributes[i].value);
    }
    put_pci(out, p);
    buf_text(out, "zones:\n");
    for (uint32_t i = 0; i < p->machine->n_zones; i++)
        put_zone(out, p, i);
}
