/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/object_emit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "kube/emit.h"
#include "kube/hints.h"
#include "kube/positions.h"
#include "topology/model.h"

#define PREFIX "orchestration.gokore.io/"

/* --- what all have --- */

static void begin(struct emit *e, struct buf *out, const char *api, const char *kind)
{
    emit_init(e, out, true);
    emit_object(e);
    emit_key(e, "apiVersion"), emit_words(e, api);
    emit_key(e, "kind"), emit_words(e, kind);
    emit_key(e, "metadata"), emit_object(e);
}

static void end(struct emit *e)
{
    emit_end(e);
    buf_text(e->out, "\n");
}

static void put_text(struct emit *e, const char *key, struct str text)
{
    if (text.n)
        emit_key(e, key), emit_text(e, text);
}

static void put_time(struct emit *e, const char *key, int64_t us)
{
    if (us)
        emit_key(e, key), emit_time(e, us);
}

/* "8500m" */
static void emit_amount(struct emit *e, enum pod_resource_kind kind, int64_t amount)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld%s", (long long)amount, kind == POD_CPU ? "m" : "");
    emit_words(e, text);
}

static void put_amount(struct emit *e, const struct pod_amount *amount, bool *odd)
{
    const bool is_memory = amount->kind == POD_MEMORY || amount->kind == POD_HUGEPAGES;
    char text[32];

    emit_key_str(e, amount->resource);
    if (is_memory && *odd && amount->amount > 0 && amount->amount < INT64_MAX / 1000) {
        (void)snprintf(text, sizeof(text), "%lldm", (long long)amount->amount * 1000 - 1);
        emit_words(e, text);
    } else {
        emit_amount(e, amount->kind, amount->amount);
    }
    *odd = *odd && !is_memory;
}

void kube_amounts_emit(struct emit *e, const char *key, const struct pod_amount *amounts,
                       uint32_t n, bool odd)
{
    emit_key(e, key), emit_object(e);
    for (uint32_t i = 0; i < n; i++)
        put_amount(e, &amounts[i], &odd);
    emit_end(e);
}

/* --- Node --- */

void kube_node_emit(struct buf *out, const struct kube_node *node, struct str name)
{
    struct emit e;

    begin(&e, out, "v1", "Node");
    emit_key(&e, "name"), emit_text(&e, name);
    put_text(&e, "uid", node->meta.uid);
    emit_end(&e);
    emit_key(&e, "status"), emit_object(&e);
    kube_amounts_emit(&e, "capacity", node->capacity, node->n_capacity, false);
    kube_amounts_emit(&e, "allocatable", node->allocatable, node->n_allocatable, false);
    emit_key(&e, "nodeInfo"), emit_object(&e);
    put_text(&e, "kubeletVersion", node->kubelet_version);
    emit_end(&e);
    emit_end(&e);
    end(&e);
}

/* --- NodeResourceTopology: attributes --- */

static void put_attribute(struct emit *e, struct str name, struct str value)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, name);
    emit_key(e, "value"), emit_text(e, value);
    emit_end(e);
}

static void put_word(struct emit *e, const char *name, const char *value)
{
    put_attribute(e, str_of(name), str_of(value));
}

static void put_number(struct emit *e, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    put_word(e, name, text);
}

static const char *truth(bool yes)
{
    return yes ? "true" : "false";
}

static void put_topology_options(struct emit *e, const struct kube_nrt *nrt)
{
    char text[96];

    if (nrt->has_topology_options && nrt->has_max_zones) {
        (void)snprintf(text, sizeof(text),
                       "prefer-closest-numa-nodes=%s,max-allowable-numa-nodes=%u",
                       truth(nrt->kubelet.prefer_closest), nrt->kubelet.max_zones);
        put_word(e, PREFIX "topology-manager-policy-options", text);
    } else if (nrt->has_topology_options) {
        put_word(e, "topologyManagerOptionPreferClosestNumaNodes",
                 truth(nrt->kubelet.prefer_closest));
    } else if (nrt->has_max_zones) {
        put_number(e, "topologyManagerMaxNUMANodes", nrt->kubelet.max_zones);
    }
}

static void put_cpu_options(struct emit *e, const struct kube_nrt *nrt)
{
    static const char *const names[] = {
        "full-pcpus-only",        "distribute-cpus-across-numa",
        "align-by-socket",        "prefer-align-cpus-by-uncorecache",
        "strict-cpu-reservation", "distribute-cpus-across-cores"};
    CLEANUP(buf_free) struct buf list = {0};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (nrt->kubelet.cpu_options >> i & 1)
            buf_printf(&list, "%s%s=true", list.n ? "," : "", names[i]);
    e->out->failed = e->out->failed || list.failed;
    put_attribute(e, STR(PREFIX "cpu-manager-policy-options"), buf_view(&list));
}

/*
 * "name=value": an attribute, or one of a list of options, of which the CPU Manager's is the one
 * where there is such a list.
 */
static void put_unknown(struct emit *e, const struct kube_nrt *nrt)
{
    const struct str setting = nrt->unknown_setting;
    struct str value = setting;
    const struct str name = str_cut(&value, '=');

    if (str_starts(name, "topologyManager") || str_starts(name, PREFIX))
        put_attribute(e, name, value);
    else if (!str_is(name, "topologyPolicies"))
        put_attribute(e,
                      nrt->has_cpu_options ? STR(PREFIX "cpu-manager-policy-options")
                                           : STR(PREFIX "topology-manager-policy-options"),
                      setting);
}

static void put_kubelet(struct emit *e, const struct kube_nrt *nrt)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    const struct kubelet_config *const k = &nrt->kubelet;

    if (nrt->has_policy)
        put_word(e, "topologyManagerPolicy", policies[k->policy]);
    if (nrt->has_scope)
        put_word(e, "topologyManagerScope", k->scope == KUBELET_SCOPE_POD ? "pod" : "container");
    put_topology_options(e, nrt);
    if (nrt->has_cpu_manager)
        put_word(e, PREFIX "cpu-manager-policy", k->cpu_static ? "static" : "none");
    if (nrt->has_cpu_options)
        put_cpu_options(e, nrt);
    if (nrt->has_memory_manager)
        put_word(e, PREFIX "memory-manager-policy", k->memory_static ? "Static" : "None");
    if (nrt->has_reserved)
        put_attribute(e, STR(PREFIX "reserved-cpus"), nrt->reserved_cpus);
    if (nrt->unknown_setting.n)
        put_unknown(e, nrt);
}

/* --- the attributes that are JSON themselves --- */

static void put_zones(struct emit *e, const struct kube_nrt *nrt, uint64_t zones, bool elsewhere)
{
    emit_key(e, "zones"), emit_array(e);
    for (uint64_t z = zones; z; z &= z - 1)
        emit_uint(e, nrt->zones[__builtin_ctzll(z)].id);
    if (elsewhere)
        emit_int(e, -1); /* no zone has this id */
    emit_end(e);
}

static void put_blocks(struct emit *e, const struct kube_nrt *nrt, const struct kube_nrt_holding *h)
{
    emit_key(e, "memory"), emit_array(e);
    for (uint32_t i = 0; i < h->n_blocks; i++) {
        emit_object(e);
        put_zones(e, nrt, h->blocks[i].zones, false);
        emit_key(e, "type"), emit_text(e, h->blocks[i].type);
        emit_key(e, "bytes"), emit_uint(e, h->blocks[i].bytes);
        emit_end(e);
    }
    emit_end(e);
}

static void put_uses(struct emit *e, const struct kube_nrt_holding *h)
{
    emit_key(e, "devices"), emit_object(e);
    for (uint32_t i = 0; i < h->n_devices; i++) {
        const struct str resource = h->devices[i].resource;

        if (i == 0 || !str_eq(resource, h->devices[i - 1].resource))
            emit_key_str(e, resource), emit_array(e);
        emit_text(e, h->devices[i].id);
        if (i + 1 == h->n_devices || !str_eq(resource, h->devices[i + 1].resource))
            emit_end(e);
    }
    emit_end(e);
}

static bool is_same_pod(const struct kube_nrt_holding *a, const struct kube_nrt_holding *b)
{
    return str_eq(a->ns, b->ns) && str_eq(a->pod, b->pod) && str_eq(a->uid, b->uid);
}

static void begin_pod(struct emit *e, const struct kube_nrt_holding *h)
{
    CLEANUP(buf_free) struct buf key = {0};

    buf_str(&key, h->ns), buf_text(&key, "/"), buf_str(&key, h->pod);
    e->out->failed = e->out->failed || key.failed;
    emit_key_str(e, buf_view(&key)), emit_object(e);
    put_text(e, "uid", h->uid);
    emit_key(e, "containers"), emit_object(e);
}

static void put_placements(struct emit *e, const struct kube_nrt *nrt)
{
    emit_object(e);
    for (uint32_t i = 0; i < nrt->n_holdings; i++) {
        const struct kube_nrt_holding *const h = &nrt->holdings[i];

        if (i == 0 || !is_same_pod(h, h - 1))
            begin_pod(e, h);
        emit_key_str(e, h->container), emit_object(e);
        put_text(e, "cpus", h->cpus);
        put_blocks(e, nrt, h);
        put_uses(e, h);
        emit_end(e);
        if (i + 1 == nrt->n_holdings || !is_same_pod(h, h + 1))
            emit_end(e), emit_end(e);
    }
    emit_end(e);
}

static void put_devices(struct emit *e, const struct kube_nrt *nrt)
{
    emit_object(e);
    for (uint32_t i = 0; i < nrt->n_devices; i++) {
        const struct kube_nrt_device *const d = &nrt->devices[i];

        if (i == 0 || !str_eq(d->resource, d[-1].resource))
            emit_key_str(e, d->resource), emit_array(e);
        emit_object(e);
        emit_key(e, "id"), emit_text(e, d->id);
        put_zones(e, nrt, d->zones, d->elsewhere);
        emit_key(e, "healthy"), emit_bool(e, d->healthy);
        emit_end(e);
        if (i + 1 == nrt->n_devices || !str_eq(d->resource, d[1].resource))
            emit_end(e);
    }
    emit_end(e);
}

static void put_pci_device(struct emit *e, const struct kube_nrt *nrt, const struct kube_nrt_pci *d)
{
    emit_key_str(e, d->id), emit_object(e);
    emit_key(e, "kind"), emit_words(e, topo_device_kind_text(d->kind));
    put_text(e, "address", d->address);
    emit_key(e, "path"), emit_array(e);
    for (uint32_t i = 0; i < d->n_path; i++)
        emit_text(e, d->path[i]);
    emit_end(e);
    emit_key(e, "links"), emit_object(e);
    for (uint32_t i = 0; i < d->n_links; i++)
        emit_key_str(e, d->links[i].to), emit_uint(e, d->links[i].mbs);
    emit_end(e);
    put_zones(e, nrt, d->zones, false);
    put_text(e, "name", d->name);
    emit_key(e, "speed"), emit_uint(e, d->speed_mbps);
    put_text(e, "physfn", d->physfn);
    put_text(e, "bond", d->bond);
    emit_end(e);
}

static void put_pci(struct emit *e, const struct kube_nrt *nrt)
{
    emit_object(e);
    for (uint32_t i = 0; i < nrt->n_pci; i++)
        put_pci_device(e, nrt, &nrt->pci[i]);
    emit_end(e);
}

static void put_payload(struct emit *e, const char *name, const struct kube_nrt *nrt,
                        void (*put)(struct emit *e, const struct kube_nrt *nrt))
{
    CLEANUP(buf_free) struct buf json = {0};
    struct emit inner;

    emit_init(&inner, &json, false);
    put(&inner, nrt);
    e->out->failed = e->out->failed || json.failed;
    put_attribute(e, str_of(name), buf_view(&json));
}

static void put_attributes(struct emit *e, const struct kube_nrt *nrt)
{
    char when[32];

    emit_key(e, "attributes"), emit_array(e);
    put_kubelet(e, nrt);
    if (nrt->observed_us) {
        clock_format_rfc3339(when, nrt->observed_us);
        put_word(e, PREFIX "observed-at", when);
    }
    if (nrt->has_generation)
        put_number(e, PREFIX "generation", nrt->generation);
    if (nrt->has_placements)
        put_payload(e, PREFIX "placements", nrt, put_placements);
    if (nrt->has_devices)
        put_payload(e, PREFIX "devices", nrt, put_devices);
    if (nrt->n_pci)
        put_payload(e, PREFIX "pci", nrt, put_pci);
    emit_end(e);
}

/* --- its zones --- */

static void put_list(struct emit *e, const char *name, struct str list)
{
    if (list.n)
        put_attribute(e, str_of(name), list);
}

static void put_known(struct emit *e, const char *name, uint32_t value)
{
    if (value)
        put_number(e, name, value);
}

static void put_cells(struct emit *e, const struct kube_nrt *nrt, uint64_t cells)
{
    CLEANUP(buf_free) struct buf ids = {0};

    for (uint64_t z = cells; z; z &= z - 1)
        buf_printf(&ids, "%s%u", ids.n ? "," : "", nrt->zones[__builtin_ctzll(z)].id);
    e->out->failed = e->out->failed || ids.failed;
    put_attribute(e, STR(PREFIX "memory-cells"), buf_view(&ids));
}

static void put_free(struct emit *e, const struct kube_nrt_free *f)
{
    CLEANUP(buf_free) struct buf name = {0};
    char bytes[24];

    buf_text(&name, PREFIX), buf_str(&name, f->type), buf_text(&name, "-free");
    e->out->failed = e->out->failed || name.failed;
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)f->bytes);
    put_attribute(e, buf_view(&name), str_of(bytes));
}

static void put_zone_attributes(struct emit *e, const struct kube_nrt *nrt,
                                const struct kube_nrt_zone *z)
{
    emit_key(e, "attributes"), emit_array(e);
    if (z->has_socket)
        put_number(e, PREFIX "socket", z->socket);
    if (z->has_assignments)
        put_number(e, PREFIX "memory-assignments", z->assignments);
    if (z->has_free_cpus)
        put_attribute(e, STR(PREFIX "free-cpus"), z->free_cpus);
    put_list(e, PREFIX "cpus", z->cpus);
    put_list(e, PREFIX "cores", z->cores);
    put_list(e, PREFIX "l3", z->l3);
    if (z->cells)
        put_cells(e, nrt, z->cells);
    for (uint32_t i = 0; i < z->n_free; i++)
        put_free(e, &z->free[i]);
    put_known(e, PREFIX "read-bandwidth", z->read_bandwidth_mbs);
    put_known(e, PREFIX "write-bandwidth", z->write_bandwidth_mbs);
    put_known(e, PREFIX "read-latency", z->read_latency_ns);
    put_known(e, PREFIX "write-latency", z->write_latency_ns);
    emit_end(e);
}

static void put_zone_name(struct emit *e, uint32_t id)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "node-%u", id);
    emit_key(e, "name"), emit_words(e, name);
}

static void put_costs(struct emit *e, const struct kube_nrt *nrt, const struct kube_nrt_zone *z)
{
    emit_key(e, "costs"), emit_array(e);
    for (uint32_t i = 0; z->costs && i < nrt->n_zones; i++) {
        emit_object(e);
        put_zone_name(e, nrt->zones[i].id);
        emit_key(e, "value"), emit_uint(e, z->costs[i]);
        emit_end(e);
    }
    emit_end(e);
}

static void put_resource(struct emit *e, const struct kube_nrt_resource *r)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, r->name);
    if (r->has_capacity)
        emit_key(e, "capacity"), emit_amount(e, r->kind, r->capacity);
    emit_key(e, "allocatable"), emit_amount(e, r->kind, r->allocatable);
    emit_key(e, "available"), emit_amount(e, r->kind, r->available);
    emit_end(e);
}

static void put_zone(struct emit *e, const struct kube_nrt *nrt, const struct kube_nrt_zone *z)
{
    emit_object(e);
    put_zone_name(e, z->id);
    emit_key(e, "type"), emit_words(e, "Node");
    put_costs(e, nrt, z);
    put_zone_attributes(e, nrt, z);
    emit_key(e, "resources"), emit_array(e);
    for (uint32_t i = 0; i < z->n_resources; i++)
        put_resource(e, &z->resources[i]);
    emit_end(e);
    emit_end(e);
}

/* Of more zones than can be judged only the number is known, and counts. */
static void put_nameless_zones(struct emit *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        emit_object(e);
        put_zone_name(e, i);
        emit_end(e);
    }
}

void kube_nrt_emit_values(struct buf *out, const struct kube_nrt *nrt, struct str name)
{
    const struct str setting = nrt->unknown_setting, old = STR("topologyPolicies=");
    struct emit e;

    begin(&e, out, "topology.node.k8s.io/v1alpha2", "NodeResourceTopology");
    emit_key(&e, "name"), emit_text(&e, name);
    put_text(&e, "uid", nrt->meta.uid);
    emit_end(&e);
    if (str_starts(setting, old.p)) {
        emit_key(&e, "topologyPolicies"), emit_array(&e);
        emit_text(&e, (struct str){setting.p + old.n, setting.n - old.n});
        emit_end(&e);
    }
    put_attributes(&e, nrt);
    emit_key(&e, "zones"), emit_array(&e);
    if (!nrt->zones)
        put_nameless_zones(&e, nrt->n_zones);
    for (uint32_t i = 0; nrt->zones && i < nrt->n_zones; i++)
        put_zone(&e, nrt, &nrt->zones[i]);
    emit_end(&e);
    end(&e);
}

/* --- labels that are asked for --- */

static bool is_text(struct str json)
{
    return json.n >= 2 && json.p[0] == '"' && !memchr(json.p, '\\', json.n);
}

static struct str unquoted(struct str json)
{
    return (struct str){json.p + 1, json.n - 2};
}

/* Texts with escapes are no labels of Kubernetes. */
static void ask(struct kube_asked_labels *all, struct str key, struct str value)
{
    if (!is_text(key) || (value.n && !is_text(value)))
        return;
    if (all->n == all->room) {
        const uint32_t room = all->room ? all->room * 2 : 16;
        struct kube_asked_label *const at = realloc(all->at, room * sizeof(*at));

        if (!at) {
            all->failed = true;
            return;
        }
        all->at = at;
        all->room = room;
    }
    all->at[all->n++] =
        (struct kube_asked_label){unquoted(key), value.n ? unquoted(value) : (struct str){0}};
}

static void ask_match_labels(struct kube_asked_labels *all, struct str labels)
{
    struct str key, value;
    size_t at = 0;

    while (labels.p[0] == '{' && kube_json_step(labels, &at, &key, &value))
        ask(all, key, value);
}

/* One of matchExpressions. */
static void ask_expression(struct kube_asked_labels *all, struct str expression)
{
    struct str name = {0}, values = {0}, key, value;
    size_t at = 0;

    while (expression.p[0] == '{' && kube_json_step(expression, &at, &key, &value)) {
        if (str_is(key, "\"key\""))
            name = value;
        else if (str_is(key, "\"values\""))
            values = value;
    }
    ask(all, name, (struct str){0});
    at = 0;
    while (values.n && values.p[0] == '[' && kube_json_step(values, &at, &key, &value))
        ask(all, name, value);
}

static void ask_expressions(struct kube_asked_labels *all, struct str list)
{
    struct str key, value;
    size_t at = 0;

    while (list.p[0] == '[' && kube_json_step(list, &at, &key, &value))
        ask_expression(all, value);
}

/* What decodes is at most LIMIT_JSON_DEPTH deep. */
void kube_asked_labels_read(struct kube_asked_labels *all, struct str json)
{
    struct str key = {0}, value;
    size_t at = 0;

    while (json.n && (json.p[0] == '{' || json.p[0] == '[') &&
           kube_json_step(json, &at, &key, &value)) {
        if (json.p[0] == '{' && str_is(key, "\"matchLabels\""))
            ask_match_labels(all, value);
        else if (json.p[0] == '{' && str_is(key, "\"matchExpressions\""))
            ask_expressions(all, value);
        else
            kube_asked_labels_read(all, value);
    }
}

void kube_asked_labels_done(struct kube_asked_labels *all)
{
    free(all->at);
    *all = (struct kube_asked_labels){0};
}

static bool has_label(struct score_labels labels, uint64_t label)
{
    uint32_t i = 0;

    while (i < labels.n && labels.at[i] != label)
        i++;
    return i < labels.n;
}

static bool has_key(struct score_labels labels, struct str name)
{
    const struct score_requirement exists = {SCORE_EXISTS, score_label(name, STR("")), NULL, 0};
    const struct score_selector selector = {&exists, 1};

    return score_selects(&selector, labels);
}

/* Is the i-th the first of its key that is among the labels? */
static bool is_first(const struct kube_asked_labels *asked, uint32_t i, struct score_labels labels)
{
    for (uint32_t k = 0; k < i; k++)
        if (str_eq(asked->at[k].key, asked->at[i].key) &&
            has_label(labels, score_label(asked->at[k].key, asked->at[k].value)))
            return false;
    return true;
}

static bool is_told(const struct kube_asked_labels *asked, struct str key,
                    struct score_labels labels)
{
    for (uint32_t k = 0; k < asked->n; k++)
        if (str_eq(asked->at[k].key, key) &&
            has_label(labels, score_label(key, asked->at[k].value)))
            return true;
    return false;
}

/* A key whose value nobody asks for has one that nobody asks for. */
static void put_labels(struct emit *e, struct score_labels labels,
                       const struct kube_asked_labels *asked)
{
    emit_key(e, "labels"), emit_object(e);
    for (uint32_t i = 0; asked && i < asked->n; i++) {
        const struct kube_asked_label *const l = &asked->at[i];
        bool again = false;

        if (has_label(labels, score_label(l->key, l->value)) && is_first(asked, i, labels))
            emit_key_str(e, l->key), emit_text(e, l->value);
        for (uint32_t k = 0; k < i; k++)
            again = again || str_eq(asked->at[k].key, l->key);
        if (!again && has_key(labels, l->key) && !is_told(asked, l->key, labels))
            emit_key_str(e, l->key), emit_words(e, "numawise-not-asked-for");
    }
    emit_end(e);
}

void kube_namespace_emit(struct buf *out, struct str name, struct score_labels labels,
                         const struct kube_asked_labels *asked)
{
    struct emit e;

    begin(&e, out, "v1", "Namespace");
    emit_key(&e, "name"), emit_text(&e, name);
    put_labels(&e, labels, asked);
    emit_end(&e);
    end(&e);
}

/* --- Pod --- */

static void put_hints(struct emit *e, const struct score_pod *pod)
{
    emit_key(e, "annotations"), emit_object(e);
    for (uint32_t i = 0; i < pod->n_hints; i++) {
        const struct pod_hint *const hint = &pod->hints[i];
        const bool is_whole =
            str_is(hint->key, KUBE_HINT_INGRESS) || str_is(hint->key, KUBE_HINT_EGRESS);
        CLEANUP(buf_free) struct buf key = {0};

        buf_text(&key, is_whole ? "" : KUBE_HINT_PREFIX);
        buf_str(&key, hint->key);
        e->out->failed = e->out->failed || key.failed;
        emit_key_str(e, buf_view(&key)), emit_text(e, hint->value);
    }
    emit_end(e);
}

static void put_restart(struct emit *e, const char *resource)
{
    emit_object(e);
    emit_key(e, "resourceName"), emit_words(e, resource);
    emit_key(e, "restartPolicy"), emit_words(e, "RestartContainer");
    emit_end(e);
}

static void put_container(struct emit *e, const struct pod_container *c)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, c->name);
    if (c->kind == POD_SIDECAR)
        emit_key(e, "restartPolicy"), emit_words(e, "Always");
    emit_key(e, "resources"), emit_object(e);
    kube_amounts_emit(e, "requests", c->requests, c->n_requests, c->odd_memory);
    kube_amounts_emit(e, "limits", c->limits, c->n_limits, c->odd_memory);
    emit_end(e);
    if (c->restarts_for_cpu || c->restarts_for_memory) {
        emit_key(e, "resizePolicy"), emit_array(e);
        if (c->restarts_for_cpu)
            put_restart(e, "cpu");
        if (c->restarts_for_memory)
            put_restart(e, "memory");
        emit_end(e);
    }
    emit_end(e);
}

static void put_containers(struct emit *e, const char *key, const struct score_pod *pod, bool init)
{
    emit_key(e, key), emit_array(e);
    for (uint32_t i = 0; i < pod->n_containers; i++)
        if ((pod->containers[i].kind != POD_APP) == init)
            put_container(e, &pod->containers[i]);
    emit_end(e);
}

static void put_spec(struct emit *e, const struct score_pod *pod)
{
    emit_key(e, "spec"), emit_object(e);
    put_text(e, "nodeName", pod->node);
    emit_key(e, "priority"), emit_int(e, pod->priority);
    put_containers(e, "initContainers", pod, true);
    put_containers(e, "containers", pod, false);
    if (pod->has_pod_level) {
        emit_key(e, "resources"), emit_object(e);
        kube_amounts_emit(e, "requests", pod->pod_requests, pod->n_pod_requests, false);
        kube_amounts_emit(e, "limits", pod->pod_limits, pod->n_pod_limits, false);
        emit_end(e);
    }
    if (pod->has_claims) {
        emit_key(e, "resourceClaims"), emit_array(e), emit_object(e);
        emit_key(e, "name"), emit_words(e, "claim");
        emit_end(e), emit_end(e);
    }
    emit_end(e);
}

static void put_status(struct emit *e, const struct score_pod *pod)
{
    static const char *const phases[] = {"Pending", "Running", "Succeeded", "Failed", "Unknown"};

    emit_key(e, "status"), emit_object(e);
    emit_key(e, "phase"), emit_words(e, phases[pod->phase]);
    put_text(e, "reason", pod->reason);
    if (pod->bound_us) {
        emit_key(e, "conditions"), emit_array(e), emit_object(e);
        emit_key(e, "type"), emit_words(e, "PodScheduled");
        emit_key(e, "status"), emit_words(e, "True");
        put_time(e, "lastTransitionTime", pod->bound_us);
        emit_end(e), emit_end(e);
    }
    emit_end(e);
}

void kube_pod_emit(struct buf *out, const struct score_pod *pod,
                   const struct kube_asked_labels *asked)
{
    struct emit e;

    begin(&e, out, "v1", "Pod");
    emit_key(&e, "name"), emit_text(&e, pod->name);
    emit_key(&e, "namespace"), emit_text(&e, pod->ns);
    put_text(&e, "uid", pod->uid);
    put_time(&e, "creationTimestamp", pod->created_us);
    if (pod->deleting)
        emit_key(&e, "deletionTimestamp"), emit_words(&e, "1970-01-01T00:00:00Z");
    put_labels(&e, pod->labels, asked);
    put_hints(&e, pod);
    emit_end(&e);
    put_spec(&e, pod);
    put_status(&e, pod);
    end(&e);
}
