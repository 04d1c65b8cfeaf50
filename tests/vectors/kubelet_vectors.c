/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubelet_vectors [--case NAME] [--print] FILE...: replays admissions judged by the real kubelet
 * (tests/data/kubelet-vectors) and compares every field that can be compared. Prints each
 * difference with the case's name and the step; ends with "N passed, M failed" (cases); exits 1 on
 * any difference. A case ends where numawise says that it does not know (TooManyZones).
 *
 *   --case NAME  only the cases of this name; exit 2 when there is none
 *   --print      print each case for a person: why it exists, the machine, the kubelet's settings;
 *                then step by step the pod, what the real kubelet answered beside what numawise
 *                answers, the proof of a refusal, and what is free in each zone afterwards
 *                ("free later": after a rejected pod was cleaned up)
 */
#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "scoring/proof.h"
#include "tests/vectors/vector_case.h"
#include "tests/vectors/vector_file.h"
#include "tests/vectors/vector_print.h"
#include "topology/cpuset.h"

enum { ROOM = 32 << 20, MAX_PODS = 4096, SHOWN = 4 };

/* A pod that was admitted and not removed, or rejected and not yet cleaned up. */
struct pod {
    struct str uid;
    const struct score_request *req;
    struct score_container *containers;
};

struct options {
    const char *only; /* the name of the cases to run, NULL = all */
    bool print;
};

struct replay {
    struct node_view node;
    const json_t *vector;
    bool print;
    struct arena *arena;
    struct str name; /* of the case */
    size_t step;
    uint32_t differences;
    struct pod pods[MAX_PODS];
    uint32_t n_pods;
};

static uint64_t admissions, agreed, unknown; /* of all files */

/* --- our values as the recorded JSON has them --- */

static json_t *zones_json(const struct node_view *node, uint64_t zones)
{
    json_t *const list = json_array();

    for (uint64_t z = zones; z; z &= z - 1)
        json_array_append_new(list, json_integer(node->machine.zones[__builtin_ctzll(z)].id));
    return list;
}

static json_t *cpus_json(const struct node_view *node, const uint64_t *cpus)
{
    struct buf b = {0};

    if (!cpus)
        return json_null();
    cpuset_format(&b, cpus, node->cpu_words);
    json_t *const text = json_stringn(b.p ? b.p : "", b.n);
    buf_free(&b);
    return text;
}

/* Devices held by one container, or (free_ones) healthy and held by nobody, by resource. */
static json_t *devices_json(const struct node_view *node, const uint64_t *held, bool free_ones)
{
    json_t *const all = json_object();

    for (uint32_t i = 0; i < node->n_resources; i++) {
        const struct node_resource *const r = &node->resources[i];
        json_t *const list = json_array();

        for (uint32_t d = r->first; d < r->first + r->n; d++) {
            const bool in = held && cpuset_has(held, d);

            if (free_ones ? !in && node->devices[d].healthy : in)
                json_array_append_new(list,
                                      json_stringn(node->devices[d].id.p, node->devices[d].id.n));
        }
        if (free_ones || json_array_size(list) > 0)
            json_object_setn_new(all, r->name.p, r->name.n, list);
        else
            json_decref(list);
    }
    return all;
}

static json_t *blocks_json(const struct node_view *node, const struct score_container *c)
{
    json_t *const list = json_array();

    for (uint32_t i = 0; i < c->n_blocks; i++) {
        const struct node_block *const b = &c->blocks[i];
        const struct str type = node->memory_types[b->type].name;

        json_array_append_new(list,
                              json_pack("{s:o, s:s%, s:I}", "zones", zones_json(node, b->zones),
                                        "type", type.p, type.n, "bytes", (json_int_t)b->bytes));
    }
    return list;
}

static json_t *memory_json(const struct node_view *node, const struct node_state *s, uint32_t zone)
{
    json_t *const free_by = json_object(), *const reserved = json_object();

    for (uint32_t t = 0; t < node->n_memory_types; t++) {
        const struct str type = node->memory_types[t].name;
        if (node->memory_types[t].lacking >> zone & 1)
            continue;
        const size_t at = (size_t)zone * node->n_memory_types + t;

        json_object_setn_new(free_by, type.p, type.n, json_integer((json_int_t)s->memory_free[at]));
        json_object_setn_new(reserved, type.p, type.n,
                             json_integer((json_int_t)s->memory_reserved[at]));
    }
    return json_pack("{s:i, s:o, s:o, s:o}", "assignments", (int)s->assignments[zone], "cells",
                     zones_json(node, s->cells[zone]), "free", free_by, "reserved", reserved);
}

static json_t *free_cpus_json(const struct node_view *node, const struct node_state *s,
                              uint32_t zone)
{
    const uint64_t *const in = &node->cpus.zone_set[(size_t)zone * node->cpu_words];
    uint64_t set[TOPO_MAX_CPUS / 64];

    for (uint32_t w = 0; w < node->cpu_words; w++)
        set[w] = s->cpu_free[w] & ~node->cpu_reserved[w] & in[w];
    return cpus_json(node, set);
}

static json_t *state_json(const struct node_view *node, const struct node_state *s)
{
    json_t *const cpus = json_object(), *const memory = json_object(), *const all = json_object();

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "%u", node->machine.zones[z].id);
        if (node->kubelet.cpu_static)
            json_object_set_new(cpus, id, free_cpus_json(node, s, z));
        if (node->kubelet.memory_static)
            json_object_set_new(memory, id, memory_json(node, s, z));
    }
    json_object_set_new(all, "freeCPUs", cpus);
    if (node->kubelet.memory_static)
        json_object_set_new(all, "memory", memory);
    else
        json_decref(memory);
    if (node->n_resources > 0)
        json_object_set_new(all, "freeDevices", devices_json(node, s->device_held, true));
    return all;
}

static json_t *container_json(const struct replay *r, uint32_t i, const struct score_container *c,
                              const struct score_request *req)
{
    const struct str name = req->pod->containers[i].name;

    return json_pack(
        "{s:s%, s:b, s:o, s:b, s:o, s:o, s:o}", "name", name.p, name.n, "hinted", c->hinted,
        "affinity", c->has_affinity ? zones_json(&r->node, c->affinity) : json_null(), "preferred",
        c->preferred, "cpus", cpus_json(&r->node, c->cpus), "memory", blocks_json(&r->node, c),
        "devices", devices_json(&r->node, c->devices, false));
}

/* Our whole answer in the form of the record, and the proof of a refusal. */
static json_t *answer_json(const struct replay *r, const struct score_request *req,
                           const struct kubelet_answer *answer)
{
    json_t *const containers = json_array();
    struct str proof = {0};

    for (uint32_t i = 0; answer->containers && i < req->n_containers; i++)
        json_array_append_new(containers, container_json(r, i, &answer->containers[i], req));
    if (answer->verdict != SCORE_ADMITTED) {
        const int rc = score_proof(&proof, &r->node, &r->node.state, req, answer, r->arena);
        assert(rc == 0);
    }
    return json_pack("{s:b, s:s, s:s, s:s%, s:o, s:o}", "admitted",
                     answer->verdict == SCORE_ADMITTED, "reason", score_reason_text(answer->reason),
                     "message", answer->message, "proof", proof.p ? proof.p : "", proof.n,
                     "containers", containers, "state", state_json(&r->node, &r->node.state));
}

/* --- comparing --- */

static bool is_unspecified(const json_t *result, const char *field)
{
    size_t i;
    json_t *name;

    json_array_foreach(json_object_get(result, "unspecified"), i,
                       name) if (strcmp(json_string_value(name), field) == 0) return true;
    return false;
}

/* Steals `got`. An absent field of the record is null. */
static void compare(struct replay *r, const char *what, const json_t *want, json_t *got)
{
    if (!json_equal(want ? want : json_null(), got) && r->differences++ < SHOWN) {
        char *const w = json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        char *const g = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS);

        printf("%.*s: step %zu: %s: kubelet %s, numawise %s\n", STR_ARG(r->name), r->step, what, w,
               g);
        free(w);
        free(g);
    }
    json_decref(got);
}

static void compare_container(struct replay *r, const json_t *result, const json_t *want,
                              const struct score_container *got)
{
    const char *const name = json_string_value(json_object_get(want, "name"));
    char field[128];

#define FIELD(suffix) ((void)snprintf(field, sizeof(field), "containers.%s." suffix, name), field)
    compare(r, FIELD("hinted"), json_object_get(want, "hinted"), json_boolean(got->hinted));
    compare(r, FIELD("affinity"), json_object_get(want, "affinity"),
            got->has_affinity ? zones_json(&r->node, got->affinity) : json_null());
    compare(r, FIELD("preferred"), json_object_get(want, "preferred"),
            json_boolean(got->preferred));
    compare(r, FIELD("cpus"), json_object_get(want, "cpus"), cpus_json(&r->node, got->cpus));
    compare(r, FIELD("memory"), json_object_get(want, "memory"), blocks_json(&r->node, got));
    if (!is_unspecified(result, FIELD("devices")))
        compare(r, FIELD("devices"), json_object_get(want, "devices"),
                devices_json(&r->node, got->devices, false));
#undef FIELD
}

static void compare_state(struct replay *r, const json_t *result, const char *key)
{
    const json_t *const want = json_object_get(result, key);
    if (is_unspecified(result, "state"))
        return;
    json_t *const got = state_json(&r->node, &r->node.state);
    json_t *const expect = json_copy((json_t *)(uintptr_t)want);

    if (is_unspecified(result, "state.freeDevices") && strcmp(key, "state") == 0) {
        json_object_del(expect, "freeDevices");
        json_object_del(got, "freeDevices");
    }
    compare(r, key, expect, got);
    json_decref(expect);
}

/* --- replaying --- */

static const struct score_request *request_of(struct replay *r, const json_t *pod)
{
    struct score_pod *const p = arena_array(r->arena, 1, sizeof(*p));
    struct score_request *req = NULL;

    assert(p);
    vector_pod(p, pod, r->arena);
    const int rc = score_request_init(&req, p, r->arena, NULL);
    assert(rc == 0);
    return req;
}

static void clean_up(struct replay *r, const struct pod *p)
{
    for (uint32_t i = 0; i < p->req->n_containers; i++)
        kubelet_release(&r->node.state, &r->node, &p->containers[i]);
}

/* CPUs per zone that one container got: [zones] as JSON. */
static json_t *counts_json(const struct node_view *node, const uint64_t *cpus)
{
    json_t *const counts = json_array();

    for (uint32_t z = 0; z < node->machine.n_zones; z++) {
        const uint64_t *const in = &node->cpus.zone_set[(size_t)z * node->cpu_words];
        int n = 0;

        for (uint32_t w = 0; cpus && w < node->cpu_words; w++)
            n += __builtin_popcountll(cpus[w] & in[w]);
        json_array_append_new(counts, json_integer(n));
    }
    return counts;
}

static json_t *hint_json(const struct node_view *node, const struct score_container *c)
{
    return json_pack("{s:b, s:o, s:b}", "hinted", c->hinted, "affinity",
                     c->has_affinity ? zones_json(node, c->affinity) : json_null(), "preferred",
                     c->preferred);
}

/* The answer of the hot path, on a copy of the state. */
static struct kubelet_answer admit_by_zones(struct replay *r, const struct score_request *req)
{
    struct kubelet_answer answer;
    struct node_state state;
    int rc = node_state_copy(&state, &r->node, r->arena);

    if (rc == 0)
        rc = kubelet_admit_zones(&state, &r->node, req, &answer, r->arena);
    assert(rc == 0);
    return answer;
}

static void compare_two(struct replay *r, const char *what, json_t *exact, json_t *zones)
{
    compare(r, what, exact, zones);
    json_decref(exact);
}

/* What the hot path leaves open may differ inside a zone, and nowhere else. */
static void compare_zones(struct replay *r, uint32_t n, const struct kubelet_answer *zones,
                          const struct kubelet_answer *exact)
{
    compare_two(r, "reason by zones", json_string(score_reason_text(exact->reason)),
                json_string(score_reason_text(zones->reason)));
    for (uint32_t i = 0; exact->containers && i < n; i++) {
        const struct score_container *const x = &exact->containers[i], *const y =
                                                                           &zones->containers[i];

        compare_two(r, "hint by zones", hint_json(&r->node, x), hint_json(&r->node, y));
        compare_two(r, "CPUs by zones", counts_json(&r->node, x->cpus),
                    counts_json(&r->node, y->cpus));
        compare_two(r, "memory by zones", blocks_json(&r->node, x), blocks_json(&r->node, y));
        compare_two(r, "devices by zones", devices_json(&r->node, x->devices, false),
                    devices_json(&r->node, y->devices, false));
    }
}

/* Compare an answer with the record; false when the kubelet crashed. `p` gets what it holds. */
static bool judge(struct replay *r, struct pod *p, const struct kubelet_answer *answer,
                  const json_t *want)
{
    const json_t *const containers = json_object_get(want, "containers");

    if (answer->verdict == SCORE_UNKNOWN &&
        (r->node.machine.n_zones > KUBELET_HINT_ZONES ||
         r->node.kubelet.cpu_options & KUBELET_DISTRIBUTE_ACROSS_NUMA)) {
        unknown++;
        return false;
    }
    if (!is_unspecified(want, "qos"))
        compare(r, "qos", json_object_get(want, "qos"), json_string(pod_qos_text(p->req->qos)));
    if (json_object_get(want, "panic")) {
        compare(r, "panic", json_true(), json_boolean(answer->reason == SCORE_KUBELET_CRASH));
        return false;
    }
    const bool admitted = answer->verdict == SCORE_ADMITTED;
    compare(r, "admitted", json_object_get(want, "admitted"), json_boolean(admitted));
    if (!admitted || json_object_get(want, "reason"))
        compare(r, "reason", json_object_get(want, "reason"),
                json_string(score_reason_text(answer->reason)));
    if ((!admitted || json_object_get(want, "message")) && !is_unspecified(want, "message"))
        compare(r, "message", json_object_get(want, "message"), json_string(answer->message));
    p->containers = answer->containers;
    const bool told = !is_unspecified(want, "containers");
    for (uint32_t i = 0; told && p->containers && i < p->req->n_containers; i++)
        compare_container(r, want, json_array_get(containers, i), &p->containers[i]);
    compare_state(r, want, "state");
    if (admitted) {
        assert(r->n_pods < MAX_PODS);
        r->pods[r->n_pods++] = *p;
        return true;
    }
    if (p->containers)
        clean_up(r, p);
    compare_state(r, want, json_object_get(want, "settled") ? "settled" : "state");
    return true;
}

/* Steals `got`, which is NULL where nothing is to be printed. */
static void print_step(const struct replay *r, const json_t *want, json_t *got)
{
    if (!got)
        return;
    json_object_set_new(got, "settled", state_json(&r->node, &r->node.state));
    vector_print_step(r->step, r->vector, want, got);
    json_decref(got);
}

static bool step_admit(struct replay *r, const json_t *pod, const json_t *want)
{
    struct kubelet_answer answer;
    struct pod p = {.uid = str_of(json_string_value(json_object_get(pod, "uid"))),
                    .req = request_of(r, pod)};

    const struct kubelet_answer zones = admit_by_zones(r, p.req);
    const int rc = kubelet_admit(&r->node.state, &r->node, p.req, &answer, r->arena);
    assert(rc == 0);
    compare_zones(r, p.req->n_containers, &zones, &answer);
    json_t *const got = r->print ? answer_json(r, p.req, &answer) : NULL;
    const bool alive = judge(r, &p, &answer, want);
    print_step(r, want, got);
    return alive;
}

static struct pod *find_pod(struct replay *r, const json_t *uid)
{
    for (uint32_t i = 0; i < r->n_pods; i++) {
        if (str_is(r->pods[i].uid, json_string_value(uid)))
            return &r->pods[i];
    }
    return NULL; /* it was rejected */
}

static bool one_step(struct replay *r, const json_t *step, const json_t *want)
{
    struct pod *p;

    if (json_object_get(step, "admit"))
        return step_admit(r, json_object_get(step, "admit"), want);
    p = find_pod(r, json_object_get(step, "start"));
    if (p)
        kubelet_start(&r->node.state, &r->node, p->req, p->containers);
    p = find_pod(r, json_object_get(step, "remove"));
    if (p) {
        clean_up(r, p);
        *p = r->pods[--r->n_pods];
    }
    compare_state(r, want, "state");
    print_step(r, want,
               r->print ? json_pack("{s:o}", "state", state_json(&r->node, &r->node.state)) : NULL);
    return true;
}

static void replay_steps(struct replay *r, const json_t *vector)
{
    const json_t *const results = json_object_get(vector, "results");
    size_t i;
    json_t *step;

    json_array_foreach(json_object_get(vector, "steps"), i, step)
    {
        const json_t *const want = json_array_get(results, i);
        const uint32_t before = r->differences;

        r->step = i;
        if (!want || !one_step(r, step, want))
            break;
        if (json_object_get(step, "admit")) {
            admissions++;
            agreed += r->differences == before;
        }
    }
}

static bool run_case(const json_t *vector, const struct options *o, struct arena *a)
{
    struct replay r = {.vector = vector,
                       .print = o->print,
                       .arena = a,
                       .name = str_of(json_string_value(json_object_get(vector, "name")))};
    uint32_t reserved_count;

    if (r.print)
        vector_print_case(vector);
    const char *broken = vector_node(&r.node, json_object_get(vector, "node"), &reserved_count, a);
    const int rc = node_view_complete(&r.node, a);
    assert(rc == 0);
    if (!broken)
        broken = vector_reserve(&r.node, reserved_count, a);
    if (!broken)
        broken = kubelet_start_error(&r.node);
    if (json_object_get(vector, "startError") || broken) {
        if (r.print)
            vector_print_start_error(vector, broken);
        compare(&r, "startError",
                json_object_get(vector, "startError") ? json_true() : json_false(),
                json_boolean(broken != NULL));
        return r.differences == 0;
    }
    if (r.node.kubelet.cpu_static)
        compare(&r, "reservedCPUs", json_object_get(vector, "reservedCPUs"),
                cpus_json(&r.node, r.node.cpu_reserved));
    replay_steps(&r, vector);
    return r.differences == 0;
}

static bool is_wanted(const json_t *vector, const struct options *o)
{
    return !o->only || strcmp(o->only, json_string_value(json_object_get(vector, "name"))) == 0;
}

struct run {
    struct options options;
    struct arena arena;
    uint64_t passed, failed;
};

static void visit_case(void *ctx, const json_t *vector)
{
    struct run *const r = ctx;

    arena_rewind(&r->arena, 0);
    if (is_wanted(vector, &r->options))
        ++*(run_case(vector, &r->options, &r->arena) ? &r->passed : &r->failed);
}

static const char usage[] =
    "usage: kubelet_vectors [--case NAME] [--print] FILE...\n"
    "Replays admissions that the real kubelet has judged and compares; exit 1 on a difference.\n"
    "  --case NAME  only the cases of this name; exit 2 when there is none\n"
    "  --print      print each case for a person to read, both answers side by side\n"
    "  --help\n";

/* -1 to go on, else the exit status. */
static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {{"case", required_argument, NULL, 'c'},
                                          {"print", no_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};

    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == 'c')
            o->only = optarg;
        else if (c == 'p')
            o->print = true;
        else
            return fputs(usage, stderr), 2;
    }
    return optind < argc ? -1 : (fputs(usage, stderr), 2);
}

int main(int argc, char **argv)
{
    struct run run = {0};
    char *const room = malloc(ROOM);
    const int status = read_options(&run.options, argc, argv);

    if (status >= 0)
        return free(room), status;
    assert(room);
    arena_init(&run.arena, room, ROOM);
    for (int i = optind; i < argc; i++) {
        if (vector_file_each(argv[i], visit_case, &run))
            return 2;
    }
    arena_rewind(&run.arena, 0);
    free(room);
    if (run.options.only && run.passed + run.failed == 0) {
        fprintf(stderr, "kubelet_vectors: no case %s\n", run.options.only);
        return 2;
    }
    if (unknown)
        printf("%" PRIu64 " cases end early: too many zones for numawise\n", unknown);
    printf("kubelet v1.36.3: %" PRIu64 " of %" PRIu64 " admissions agree\n", agreed, admissions);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", run.passed, run.failed);
    return run.failed != 0;
}
