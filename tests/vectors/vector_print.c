/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vectors/vector_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "topology/cpuset.h"

enum { COLUMN = 34 }; /* what is longer stands on lines of its own */

static const json_t *get(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

static const char *word_of(const json_t *o, const char *key)
{
    const char *const s = json_string_value(get(o, key));

    return s ? s : "";
}

static const char *text_of(const struct buf *b, const char *otherwise)
{
    return b->n ? b->p : otherwise;
}

/* Amounts are unsigned in the kubelet; the reader has folded them into jansson's signed ones. */
static void add_bytes(struct buf *b, const json_t *v)
{
    const uint64_t bytes = (uint64_t)json_integer_value(v);
    const char *const units[] = {"", "Ki", "Mi", "Gi"};
    uint32_t u = 0;
    uint64_t n = bytes;

    while (u < 3 && n && n % 1024 == 0) {
        n /= 1024;
        u++;
    }
    buf_printf(b, "%" PRIu64 "%s", n, units[u]);
}

/* "0", "0,1"; "any" for the nil mask. */
static void add_zones(struct buf *b, const json_t *zones)
{
    size_t i;
    json_t *z;

    if (!json_is_array(zones))
        buf_text(b, "any");
    json_array_foreach(zones, i, z)
        buf_printf(b, "%s%" JSON_INTEGER_FORMAT, i ? "," : "", json_integer_value(z));
}

static bool lies_in(const json_t *device, const json_t *zone_id)
{
    size_t i;
    json_t *z;

    json_array_foreach(get(device, "zones"), i, z) if (json_equal(z, zone_id)) return true;
    return false;
}

/* --- the machine --- */

static void add_cpus(struct buf *b, const json_t *cores)
{
    uint64_t cpus[TOPO_MAX_CPUS / 64] = {0}, sockets[TOPO_MAX_CPUS / 64] = {0};
    uint64_t l3[TOPO_MAX_CPUS / 64] = {0};
    const uint32_t words = TOPO_MAX_CPUS / 64;
    size_t i, k;
    json_t *core, *cpu;

    json_array_foreach(cores, i, core)
    {
        cpuset_add(sockets, (uint32_t)json_integer_value(get(core, "socket")));
        cpuset_add(l3, (uint32_t)json_integer_value(get(core, "uncore")));
        json_array_foreach(get(core, "cpus"), k, cpu)
            cpuset_add(cpus, (uint32_t)json_integer_value(cpu));
    }
    if (json_array_size(cores) == 0) {
        buf_text(b, "no CPUs");
        return;
    }
    buf_text(b, "CPUs ");
    cpuset_format(b, cpus, words);
    buf_printf(b, " in %zu cores, socket ", json_array_size(cores));
    cpuset_format(b, sockets, words);
    if (cpuset_count(l3, words) > 1)
        buf_printf(b, ", %u L3 groups", cpuset_count(l3, words));
}

static void add_memory(struct buf *b, const char *name, const json_t *memory)
{
    buf_printf(b, "; %s ", name);
    add_bytes(b, get(memory, "total"));
    if (json_integer_value(get(memory, "reserved"))) {
        buf_text(b, ", reserved ");
        add_bytes(b, get(memory, "reserved"));
    }
}

static void add_device(struct buf *b, const json_t *device)
{
    buf_printf(b, "; %s %s%s", word_of(device, "resource"), word_of(device, "id"),
               json_is_true(get(device, "healthy")) ? "" : " (unhealthy)");
}

static void print_zone(const json_t *node, const json_t *zone)
{
    struct buf b = {0};
    const char *key;
    json_t *value, *device, *distance;
    size_t i;

    add_cpus(&b, get(zone, "cores"));
    add_memory(&b, "memory", get(zone, "memory"));
    json_object_foreach(json_object_get(zone, "hugepages"), key, value) add_memory(&b, key, value);
    json_array_foreach(get(node, "devices"), i, device) if (lies_in(device, get(zone, "id")))
        add_device(&b, device);
    if (json_array_size(get(node, "zones")) > 2)
        buf_text(&b, "; distances");
    json_array_foreach(get(zone, "distances"), i,
                       distance) if (json_array_size(get(node, "zones")) > 2)
        buf_printf(&b, " %" JSON_INTEGER_FORMAT, json_integer_value(distance));
    printf("zone %-4" JSON_INTEGER_FORMAT " %s\n", json_integer_value(get(zone, "id")),
           text_of(&b, ""));
    buf_free(&b);
}

static void print_devices_without_zone(const json_t *devices)
{
    size_t i;
    json_t *device;

    json_array_foreach(devices, i, device) if (json_array_size(get(device, "zones")) == 0)
        printf("no zone   %s %s%s\n", word_of(device, "resource"), word_of(device, "id"),
               json_is_true(get(device, "healthy")) ? "" : " (unhealthy)");
}

static void add_options(struct buf *b, json_t *options)
{
    const char *key;
    json_t *value;

    json_object_foreach(options, key, value)
        buf_printf(b, ", %s=%s", key, json_string_value(value));
}

static void print_kubelet(json_t *kubelet)
{
    struct buf b = {0};

    buf_printf(&b, "%s, scope %s", word_of(kubelet, "topologyManagerPolicy"),
               word_of(kubelet, "topologyManagerScope"));
    add_options(&b, json_object_get(kubelet, "topologyManagerPolicyOptions"));
    buf_printf(&b, "; CPU Manager %s", word_of(kubelet, "cpuManagerPolicy"));
    add_options(&b, json_object_get(kubelet, "cpuManagerPolicyOptions"));
    if (get(kubelet, "reservedCPUCount"))
        buf_printf(&b, ", %" JSON_INTEGER_FORMAT " CPUs reserved",
                   json_integer_value(get(kubelet, "reservedCPUCount")));
    else if (*word_of(kubelet, "reservedCPUs"))
        buf_printf(&b, ", reserved %s", word_of(kubelet, "reservedCPUs"));
    buf_printf(&b, "; Memory Manager %s", word_of(kubelet, "memoryManagerPolicy"));
    printf("kubelet   %s\n", text_of(&b, ""));
    buf_free(&b);
}

void vector_print_case(const json_t *vector)
{
    json_t *const node = json_object_get(vector, "node");
    size_t i;
    json_t *zone;

    printf("case      %s\nwhy       %s\n", word_of(vector, "name"), word_of(vector, "why"));
    json_array_foreach(get(node, "zones"), i, zone) print_zone(node, zone);
    print_devices_without_zone(get(node, "devices"));
    print_kubelet(json_object_get(node, "kubelet"));
}

/* --- both answers --- */

/* A row of the two columns; nothing where neither has anything to tell. */
static void print_row(const char *who, const char *what, const char *kubelet, const char *numawise)
{
    char label[24];

    (void)snprintf(label, sizeof(label), "%s%s%s", who, *who ? " " : "", what);
    if (!*kubelet && !*numawise)
        return;
    if (strcmp(kubelet, numawise) == 0 && strlen(kubelet) >= COLUMN)
        printf("  %-16s both: %s\n", label, kubelet);
    else if (strlen(kubelet) >= COLUMN)
        printf("  %-16s %s\n  %-16s %-*s%s\n", label, kubelet, "", COLUMN, "", numawise);
    else
        printf("  %-16s %-*s%s\n", label, COLUMN, *kubelet ? kubelet : "-",
               *numawise ? numawise : "-");
}

void vector_print_start_error(const json_t *vector, const char *numawise)
{
    print_row("", "no start", word_of(vector, "startError"), numawise ? numawise : "");
}

static void add_amounts(struct buf *b, const json_t *container)
{
    json_t *const all = json_object();
    const char *key;
    json_t *value;

    json_object_update(all, json_object_get(container, "limits"));
    json_object_update(all, json_object_get(container, "requests"));
    json_object_foreach(all, key, value) buf_printf(b, " %s %s", key, json_string_value(value));
    json_decref(all);
}

static void add_containers(struct buf *b, const json_t *list, bool init)
{
    size_t i;
    json_t *c;

    json_array_foreach(list, i, c)
    {
        buf_printf(b, "; %s%s:", init ? get(c, "restartPolicy") ? "sidecar " : "init " : "",
                   word_of(c, "name"));
        add_amounts(b, c);
    }
}

static const char *answer_text(const json_t *a)
{
    if (get(a, "panic"))
        return "KubeletCrash";
    return json_is_true(get(a, "admitted")) ? "admitted" : word_of(a, "reason");
}

static void hint_text(struct buf *b, const json_t *c)
{
    if (!json_is_true(get(c, "hinted")))
        return;
    add_zones(b, get(c, "affinity"));
    buf_text(b, json_is_true(get(c, "preferred")) ? ", preferred" : ", not preferred");
}

static void cpus_text(struct buf *b, const json_t *c)
{
    buf_text(b, word_of(c, "cpus"));
}

static void blocks_text(struct buf *b, const json_t *c)
{
    size_t i;
    json_t *block;

    json_array_foreach(get(c, "memory"), i, block)
    {
        const char *const type = word_of(block, "type");

        buf_text(b, i ? "; " : "");
        if (strcmp(type, "memory") != 0)
            buf_printf(b, "%s ", type);
        add_bytes(b, get(block, "bytes"));
        buf_text(b, " in ");
        add_zones(b, get(block, "zones"));
    }
}

static void devices_text(struct buf *b, const json_t *c)
{
    const char *key;
    size_t i;
    json_t *list, *id;

    json_object_foreach(json_object_get(c, "devices"), key, list)
    {
        buf_printf(b, "%s%s", b->n ? "; " : "", key);
        json_array_foreach(list, i, id) buf_printf(b, " %s", json_string_value(id));
    }
}

static void print_field(const char *what, void (*write)(struct buf *, const json_t *),
                        const json_t *want, const json_t *got)
{
    struct buf kubelet = {0}, numawise = {0};

    write(&kubelet, want);
    write(&numawise, got);
    print_row(word_of(want, "name"), what, text_of(&kubelet, ""), text_of(&numawise, ""));
    buf_free(&kubelet);
    buf_free(&numawise);
}

static void add_free_memory(struct buf *b, const json_t *memory)
{
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(memory, "free"), key, value)
    {
        buf_printf(b, "; %s ", key);
        add_bytes(b, value);
    }
    if (json_array_size(get(memory, "cells")) > 1) {
        buf_text(b, "; group of zones ");
        add_zones(b, get(memory, "cells"));
    }
}

/* The free devices of a zone: `free` has the ids of each resource, the zones are the node's. */
static void add_free_devices(struct buf *b, const json_t *devices, const json_t *free,
                             const json_t *zone_id)
{
    size_t i, k;
    json_t *device, *id;

    json_array_foreach(devices, i, device)
    {
        json_array_foreach(get(free, word_of(device, "resource")), k, id)
        {
            if (json_equal(id, get(device, "id")) && lies_in(device, zone_id))
                buf_printf(b, "; %s %s", word_of(device, "resource"), json_string_value(id));
        }
    }
}

/* One line per zone of what is free. */
static void print_free(const char *label, const json_t *node, const json_t *state)
{
    size_t i;
    json_t *zone;

    json_array_foreach(get(node, "zones"), i, zone)
    {
        struct buf b = {0};
        char name[24];

        (void)snprintf(name, sizeof(name), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(get(zone, "id")));
        const char *const cpus = word_of(get(state, "freeCPUs"), name);
        if (get(get(state, "freeCPUs"), name))
            buf_printf(&b, "; CPUs %s", *cpus ? cpus : "none");
        add_free_memory(&b, get(get(state, "memory"), name));
        add_free_devices(&b, get(node, "devices"), get(state, "freeDevices"), get(zone, "id"));
        if (b.n > 0) /* without the first "; " */
            printf("  %-16s zone %s: %s\n", i ? "" : label, name, b.p + 2);
        buf_free(&b);
    }
}

static void print_state(const char *label, const json_t *node, const json_t *want,
                        const json_t *got)
{
    print_free(label, node, want);
    if (!json_equal(want, got)) /* also where the record leaves a field unspecified */
        print_free("numawise's", node, got);
}

static void print_answers(const json_t *want, const json_t *got)
{
    size_t i;
    json_t *c;

    printf("  %-16s %-*s%s\n", "", COLUMN, "kubelet", "numawise");
    print_row("", "answer", answer_text(want), answer_text(got));
    print_row("", "message", get(want, "panic") ? word_of(want, "panic") : word_of(want, "message"),
              word_of(got, "message"));
    json_array_foreach(get(want, "containers"), i, c)
    {
        const json_t *const ours = json_array_get(get(got, "containers"), i);

        print_field("zones", hint_text, c, ours);
        print_field("CPUs", cpus_text, c, ours);
        print_field("memory", blocks_text, c, ours);
        print_field("devices", devices_text, c, ours);
    }
    if (*word_of(got, "proof") && strcmp(word_of(got, "proof"), word_of(got, "message")) != 0)
        printf("  %-16s %s\n", "proof", word_of(got, "proof"));
}

void vector_print_step(size_t at, const json_t *vector, const json_t *want, const json_t *got)
{
    const json_t *const step = json_array_get(get(vector, "steps"), at);
    const json_t *const node = get(vector, "node"), *const pod = get(step, "admit");
    struct buf b = {0};

    if (pod) {
        buf_printf(&b, "admit %s, %s", word_of(pod, "uid"), word_of(want, "qos"));
        add_containers(&b, get(pod, "initContainers"), true);
        add_containers(&b, get(pod, "containers"), false);
    } else {
        buf_printf(&b, "%s %s", get(step, "start") ? "start" : "remove",
                   word_of(step, get(step, "start") ? "start" : "remove"));
    }
    printf("step %-4zu %s\n", at, text_of(&b, ""));
    buf_free(&b);
    if (pod)
        print_answers(want, got);
    if (get(want, "state"))
        print_state("free then", node, get(want, "state"), get(got, "state"));
    if (get(want, "settled"))
        print_state("free later", node, get(want, "settled"), get(got, "settled"));
}
