/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers [--case NAME]... FILE...: what other schedulers would have said of admissions that the real
 * kubelet has judged (tests/data/kubelet-vectors), by models of ours (peer_models.h), each with
 * perfect and fresh figures of the node. Counted are the admissions in which the node's sums
 * suffice. Prints a table; exits 1 when numawise differs from the kubelet: then the figures, which
 * come from its replay, are not perfect either.
 *
 *   --case NAME  of the cases of these names (a * stands for anything), each admission that
 * somebody has wrong
 */
#include <assert.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "tests/vectors/peer_models.h"
#include "tests/vectors/vector_case.h"
#include "tests/vectors/vector_file.h"

enum { ROOM = 64 << 20, MAX_PODS = 64, MAX_CASES = 32 };

/* How one of them did. */
struct row {
    const char *name;
    bool (*admits)(const struct peer_node *, const struct score_pod *); /* NULL: numawise */
    uint64_t agrees, admits_failed, refuses_admitted, strict_agrees;
};

static struct row rows[] = {
    {.name = "kube-scheduler", .admits = peer_sums},
    {.name = "scheduler-plugins", .admits = peer_topology_match},
    {.name = "KAI", .admits = peer_evaluator},
    {.name = "numawise"},
};
enum { ROWS = sizeof(rows) / sizeof(*rows), COLUMN = 17 };

struct count {
    uint64_t judged, strict; /* strict: under single-numa-node or restricted */
    const char *cases[MAX_CASES];
    uint32_t n_cases; /* 0: all, and only sums of them are printed */
    struct arena arena;
};

/* A pod that the kubelet admitted and that has not been removed. */
struct running {
    struct score_pod pod;
    const struct score_request *req;
    struct score_container *containers;
};

struct replay {
    struct count *count;
    const char *name; /* of the case */
    size_t step;
    struct node_view node;
    uint32_t reserved;
    struct running pods[MAX_PODS];
    uint32_t n_pods;
};

static struct peer_node figures(struct replay *r)
{
    const struct score_pod *pods[MAX_PODS];
    struct peer_node n;

    for (uint32_t i = 0; i < r->n_pods; i++)
        pods[i] = &r->pods[i].pod;
    peer_node_fill(&n, &r->node, &r->node.state, pods, r->n_pods, r->reserved, &r->count->arena);
    return n;
}

static void tell(struct row *row, bool says, bool admitted, bool strict)
{
    row->agrees += says == admitted;
    row->strict_agrees += strict && says == admitted;
    row->admits_failed += says && !admitted;
    row->refuses_admitted += !says && admitted;
}

static void print_admission(const struct replay *r, const bool says[ROWS], bool admitted)
{
    bool all = true;

    for (size_t i = 0; i < ROWS; i++)
        all = all && says[i] == admitted;
    if (all)
        return;
    printf("%-30s %4zu  %-8s", r->name, r->step, admitted ? "admits" : "fails");
    for (size_t i = 0; i < ROWS; i++)
        printf(" %*s", i + 1 < ROWS ? -COLUMN : 0, says[i] ? "admits" : "refuses");
    putchar('\n');
}

/* Every row about one admission; `ours` is numawise's. */
static void judge(struct replay *r, const struct score_pod *pod, bool ours, bool admitted)
{
    const bool strict = r->node.kubelet.policy == KUBELET_POLICY_RESTRICTED ||
                        r->node.kubelet.policy == KUBELET_POLICY_SINGLE_NUMA_NODE;
    const struct peer_node sums = figures(r);
    bool says[ROWS];

    if (!peer_sums(&sums, pod))
        return;
    r->count->judged++;
    r->count->strict += strict;
    for (size_t i = 0; i < ROWS; i++) {
        const struct peer_node fresh = figures(r); /* a model takes off what it gives */

        says[i] = rows[i].admits ? rows[i].admits(&fresh, pod) : ours;
        tell(&rows[i], says[i], admitted, strict);
    }
    if (r->count->n_cases)
        print_admission(r, says, admitted);
}

static void clean_up(struct replay *r, const struct running *p)
{
    for (uint32_t i = 0; p->containers && i < p->req->n_containers; i++)
        kubelet_release(&r->node.state, &r->node, &p->containers[i]);
}

/* False when the kubelet crashed. */
static bool step_admit(struct replay *r, const json_t *pod, const json_t *result)
{
    struct arena *const a = &r->count->arena;
    const bool admitted = json_is_true(json_object_get(result, "admitted"));
    struct node_state after;
    struct kubelet_answer answer;
    struct running *const p = &r->pods[r->n_pods];
    struct score_request *req;

    if (json_object_get(result, "panic"))
        return false;
    assert(r->n_pods < MAX_PODS);
    vector_pod(&p->pod, pod, a);
    int rc = score_request_init(&req, &p->pod, a, NULL);
    if (rc == 0)
        rc = node_state_copy(&after, &r->node, a);
    if (rc == 0)
        rc = kubelet_admit(&after, &r->node, req, &answer, a);
    assert(rc == 0);
    judge(r, &p->pod, answer.verdict == SCORE_ADMITTED, admitted);
    r->node.state = after;
    p->req = req;
    p->containers = answer.containers;
    if (admitted)
        r->n_pods++;
    else
        clean_up(r, p);
    return true;
}

static struct running *find(struct replay *r, const json_t *uid)
{
    for (uint32_t i = 0; uid && i < r->n_pods; i++) {
        if (str_is(r->pods[i].pod.uid, json_string_value(uid)))
            return &r->pods[i];
    }
    return NULL;
}

static bool one_step(struct replay *r, const json_t *step, const json_t *result)
{
    struct running *p;

    if (json_object_get(step, "admit"))
        return step_admit(r, json_object_get(step, "admit"), result);
    p = find(r, json_object_get(step, "start"));
    if (p)
        kubelet_start(&r->node.state, &r->node, p->req, p->containers);
    p = find(r, json_object_get(step, "remove"));
    if (p) {
        clean_up(r, p);
        *p = r->pods[--r->n_pods];
    }
    return true;
}

static uint32_t count_reserved(const struct node_view *v)
{
    uint32_t n = 0;

    for (uint32_t w = 0; w < v->cpu_words; w++)
        n += (uint32_t)__builtin_popcountll(v->cpu_reserved[w]);
    return n;
}

static bool is_wanted(const struct count *count, const char *name)
{
    bool wanted = count->n_cases == 0;

    for (uint32_t i = 0; name && i < count->n_cases; i++)
        wanted = wanted || fnmatch(count->cases[i], name, 0) == 0;
    return wanted;
}

static void visit(void *ctx, const json_t *vector)
{
    struct count *const count = ctx;
    struct replay r = {.count = count, .name = json_string_value(json_object_get(vector, "name"))};
    const json_t *const results = json_object_get(vector, "results");
    uint32_t to_choose;

    arena_rewind(&count->arena, 0);
    if (json_object_get(vector, "startError") || !is_wanted(count, r.name))
        return;
    (void)vector_node(&r.node, json_object_get(vector, "node"), &to_choose, &count->arena);
    const int rc = node_view_complete(&r.node, &count->arena);
    assert(rc == 0);
    if (vector_reserve(&r.node, to_choose, &count->arena))
        return;
    /* a manager that is off chooses none, but the Node offers so many less all the same */
    r.reserved = to_choose ? to_choose : count_reserved(&r.node);
    for (r.step = 0; r.step < json_array_size(results); r.step++) {
        if (!one_step(&r, json_array_get(json_object_get(vector, "steps"), r.step),
                      json_array_get(results, r.step)))
            break;
    }
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print(const struct count *c)
{
    printf("%" PRIu64 " admissions in which the node's sums suffice, %" PRIu64
           " of them under restricted or single-numa-node\n\n",
           c->judged, c->strict);
    printf("%-18s %8s %14s %15s %10s\n", "", "", "admits what", "refuses what", "under the");
    printf("%-18s %8s %14s %15s %10s\n", "", "agrees", "would fail", "would run", "two");
    for (size_t i = 0; i < ROWS; i++)
        printf("%-18s %7.1f%% %14" PRIu64 " %15" PRIu64 " %9.1f%%\n", rows[i].name,
               percent(rows[i].agrees, c->judged), rows[i].admits_failed, rows[i].refuses_admitted,
               percent(rows[i].strict_agrees, c->strict));
}

static void print_head(void)
{
    printf("%-30s %4s  %-8s", "case", "step", "kubelet");
    for (size_t i = 0; i < ROWS; i++)
        printf(" %*s", i + 1 < ROWS ? -COLUMN : 0, rows[i].name);
    putchar('\n');
}

/* -1 to go on, else the exit status. */
static int read_options(struct count *count, int argc, char **argv)
{
    static const struct option known[] = {{"case", required_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};

    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c != 'c' || count->n_cases == MAX_CASES) {
            fputs("usage: peers [--case NAME]... FILE...\n", stderr);
            return 2;
        }
        count->cases[count->n_cases++] = optarg;
    }
    return -1;
}

int main(int argc, char **argv)
{
    char *const room = malloc(ROOM);
    struct count count = {0};
    const int status = read_options(&count, argc, argv);

    if (status >= 0)
        return free(room), status;
    assert(room);
    arena_init(&count.arena, room, ROOM);
    if (count.n_cases)
        print_head();
    for (int i = optind; i < argc; i++) {
        if (vector_file_each(argv[i], visit, &count))
            return 2;
    }
    if (!count.n_cases)
        print(&count);
    arena_rewind(&count.arena, 0);
    free(room);
    return rows[ROWS - 1].agrees != count.judged;
}
