/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Victims on nodes of two zones of 8 CPUs each, single-numa-node, static: small enough to see who
 * has to go. And at random, against all subsets.
 */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "decide/decide.h"
#include "decide/victims.h"
#include "kube/budget.h"
#include "scoring/without.h"
#include "tests/support/data.h"

enum { ROOM = 4 * 1024 * 1024, MOST = 12, ROUNDS = 300 };

/* A pod on the node: CPUs of its own, in the order in which they came. */
struct lodger {
    const char *name;
    unsigned cpus;
    int priority;
    const char *app; /* label, may be NULL */
};

static struct cluster *cluster;
static struct source_sink sink;
static char *room, *work;
static struct arena arena, scratch;
static uint32_t looks;

static int setup(void **state)
{
    static const struct cluster_options options = {.max_age_us = 0};

    (void)state;
    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    sink = cluster_sink(cluster);
    deliver(&sink, SOURCE_NODE, "Node", "", "n",
            "{'metadata':{'name':'n'},'status':{'allocatable':{'cpu':'16','memory':'64Gi',"
            "'pods':'110'},'capacity':{'cpu':'16','memory':'64Gi','pods':'110'}}}");
    deliver(&sink, SOURCE_NRT, "NodeResourceTopology", "", "n",
            "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology',"
            "'metadata':{'name':'n'},'attributes':[{'name':'topologyManagerPolicy','value':"
            "'single-numa-node'},{'name':'topologyManagerScope','value':'container'},"
            "{'name':'orchestration.gokore.io/placements','value':'{}'}],'zones':["
            "{'name':'node-0','type':'Node','resources':[{'name':'cpu','capacity':'8',"
            "'allocatable':'8','available':'8'}]},{'name':'node-1','type':'Node','resources':["
            "{'name':'cpu','capacity':'8','allocatable':'8','available':'8'}]}]}");
    room = malloc(ROOM);
    work = malloc(ROOM);
    assert_true(room && work);
    arena_init(&arena, room, ROOM);
    arena_init(&scratch, work, ROOM);
    looks = 10000;
    return 0;
}

/* All budgets are known: there is none. */
static int setup_with_budgets(void **state)
{
    (void)setup(state);
    sink.begin(sink.ctx, SOURCE_BUDGET, false);
    sink.end(sink.ctx, SOURCE_BUDGET);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cluster_free(cluster);
    free(room);
    free(work);
    return 0;
}

static void pod_text(char out[1024], const struct lodger *l, const char *node, unsigned start)
{
    (void)snprintf(out, 1024,
                   "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'ml','uid':"
                   "'uid-%s','labels':{'app':'%s'}},'spec':{'priority':%d,'nodeName':'%s',"
                   "'containers':[{'name':'c','resources':{'requests':{'cpu':'%u','memory':'1Gi'},"
                   "'limits':{'cpu':'%u','memory':'1Gi'}}}]},'status':{'phase':'Running',"
                   "'startTime':'2026-01-01T00:00:%02uZ'}}",
                   l->name, l->name, l->app ? l->app : "none", l->priority, node, l->cpus, l->cpus,
                   start);
}

static void lodge(const struct lodger *l, uint32_t n)
{
    char text[1024];

    for (uint32_t i = 0; i < n; i++) {
        pod_text(text, &l[i], "n", i);
        deliver(&sink, SOURCE_POD, "Pod", "ml", l[i].name, text);
    }
    sink.settled(sink.ctx);
}

static void budget(const char *name, const char *app, int allowed)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'%s',"
                   "'namespace':'ml'},'spec':{'selector':{'matchLabels':{'app':'%s'}}},'status':{"
                   "'disruptionsAllowed':%d}}",
                   name, app, allowed);
    deliver(&sink, SOURCE_BUDGET, "PodDisruptionBudget", "ml", name, text);
}

/* ---- asking ---- */

struct asking {
    struct cluster_snapshot *snapshot;
    struct decision decision;
    struct kube_pod_room {
        struct pod_amount amounts[2];
        struct pod_container container;
    } in;
    struct score_pod pod;
    struct decide_ask ask;
    struct str node, uids[MOST];
    char texts[MOST][32];
    struct victims_ask victims;
};

/* A pod of `cpus` and a priority, and whom kube-scheduler proposes: "a,b". */
static void begin(struct asking *q, unsigned cpus, int priority, const char *proposed,
                  int64_t violations)
{
    static const struct decide_options options = {.max_score = 10};
    struct str rest = str_of(proposed);

    *q = (struct asking){.node = STR("n"), .snapshot = cluster_get(cluster)};
    q->in.amounts[0] = (struct pod_amount){STR("cpu"), POD_CPU, cpus * 1000};
    q->in.amounts[1] = (struct pod_amount){STR("memory"), POD_MEMORY, 1 << 30};
    q->in.container = (struct pod_container){.name = STR("c"),
                                             .kind = POD_APP,
                                             .requests = q->in.amounts,
                                             .limits = q->in.amounts,
                                             .n_requests = 2,
                                             .n_limits = 2};
    q->pod = (struct score_pod){.ns = STR("ml"),
                                .name = STR("new"),
                                .uid = STR("uid-new"),
                                .priority = priority,
                                .containers = &q->in.container,
                                .n_containers = 1};
    q->ask = (struct decide_ask){.pod = &q->pod, .n = 1, .names = &q->node};
    assert_int_equal(decide_run(&q->decision, &q->ask, q->snapshot, &options, &arena, NULL), 0);
    q->victims = (struct victims_ask){.snapshot = q->snapshot,
                                      .node = decide_node(&q->decision, 0),
                                      .pod = &q->pod,
                                      .req = q->decision.request,
                                      .uids = q->uids,
                                      .violations = violations,
                                      .looks = &looks};
    q->victims.budgets = cluster_snapshot_budgets(q->snapshot, &q->victims.n_budgets);
    while (rest.n) {
        const struct str name = str_cut(&rest, ',');
        const uint32_t i = q->victims.n++;
        (void)snprintf(q->texts[i], sizeof(q->texts[i]), "uid-%.*s", STR_ARG(name));
        q->uids[i] = str_of(q->texts[i]);
    }
}

static void end(struct asking *q)
{
    cluster_snapshot_unref(q->snapshot);
    arena_rewind(&arena, 0);
}

static void expect(unsigned cpus, int priority, const char *proposed, int64_t proposed_violations,
                   enum victims_answer answer, const char *uids, int64_t violations)
{
    struct asking q;
    struct victims v;
    char got[256] = "";
    size_t n = 0;

    begin(&q, cpus, priority, proposed, proposed_violations);
    assert_int_equal(victims_choose(&v, &q.victims, &arena, &scratch), 0);
    for (uint32_t i = 0; i < v.n; i++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", i ? "," : "",
                              (int)(v.uids[i].n - 4), v.uids[i].p + 4);
    assert_string_equal(got, uids);
    assert_int_equal(v.answer, answer);
    assert_int_equal(v.violations, violations);
    end(&q);
}

/* ---- worked out by hand ---- */

static void whose_end_helps_is_kept(void **state)
{
    static const struct lodger l[] = {{"a", 6, 0, NULL}, {"b", 6, 5, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l)); /* a in zone 0, b in zone 1, 2 CPUs free in each */
    expect(6, 10, "a", 0, VICTIMS_KEPT, "a", 0);
    expect(6, 10, "b", 0, VICTIMS_CHANGED, "a", 0); /* a is less important, and helps as well */
    expect(6, 3, "a", 0, VICTIMS_KEPT, "a", 0);
    expect(9, 10, "a,b", 0, VICTIMS_USELESS, "", 0); /* more than a zone has */
}

/* 4 + 4 in each zone: kube-scheduler takes the two that came last by its count, one in each zone.
 */
static void those_who_go_free_one_zone(void **state)
{
    static const struct lodger l[] = {
        {"a", 4, 0, NULL}, {"b", 4, 1, NULL}, {"c", 4, 0, NULL}, {"d", 4, 2, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l));                             /* a, b in zone 0; c, d in zone 1 */
    expect(8, 10, "c,a", 0, VICTIMS_CHANGED, "b,a", 0); /* highest 1 is less than 2; b first */
    expect(8, 2, "c,a", 0, VICTIMS_CHANGED, "b,a", 0);
    expect(8, 1, "c,a", 0, VICTIMS_USELESS, "", 0); /* b and d may not go */
    expect(4, 10, "d", 0, VICTIMS_CHANGED, "c", 0); /* of a and c the one that began later */
}

static void one_is_better_than_two(void **state)
{
    static const struct lodger l[] = {{"a", 2, 0, NULL}, {"b", 6, 0, NULL}, {"c", 8, 3, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l)); /* a, b in zone 0; c has zone 1 */
    expect(8, 10, "b,a", 0, VICTIMS_CHANGED, "c", 0);
    expect(8, 2, "b,a", 0, VICTIMS_KEPT, "a,b", 0);
}

/* Free in sum, in no zone enough: kube-scheduler has another reason to propose a (a port, say). */
static void who_is_proposed_for_another_reason_goes_and_another_with_it(void **state)
{
    static const struct lodger l[] = {{"a", 1, 0, NULL}, {"b", 5, 1, NULL}, {"c", 5, 2, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l)); /* zone 0: a, b; zone 1: c; 5 CPUs free */
    expect(5, 10, "a", 0, VICTIMS_CHANGED, "b,a", 0);
    expect(3, 10, "a", 0, VICTIMS_KEPT, "a", 0);
    expect(5, 10, "", 0, VICTIMS_CHANGED, "b", 0); /* nobody proposed: whoever helps */
    expect(2, 10, "", 0, VICTIMS_NEEDLESS, "", 0);
}

static void a_budget_weighs_more_than_number_and_importance(void **state)
{
    static const struct lodger l[] = {
        {"a", 4, 0, "web"}, {"b", 4, 0, "web"}, {"c", 4, 5, "db"}, {"d", 4, 6, "db"}};

    (void)state;
    budget("web", "web", 1); /* one of a and b may go, not both */
    budget("db", "db", 2);
    lodge(l, ARRAY_LEN(l));
    expect(8, 10, "b,a", 1, VICTIMS_CHANGED, "d,c", 0);
    expect(8, 5, "b,a", 1, VICTIMS_KEPT, "a,b", 1); /* c and d may not go; a is the older one */
    expect(4, 10, "b", 0, VICTIMS_KEPT, "b", 0);
    budget("web", "web", 0);
    budget("db", "db", 0);
    sink.settled(sink.ctx);
    expect(8, 10, "b,a", 2, VICTIMS_KEPT, "a,b", 2);
    expect(4, 10, "b", 1, VICTIMS_KEPT, "b", 1);
}

/* What kube-scheduler counted for those that stay proposed; of others nobody knows. */
static void without_budgets_the_count_is_never_too_small(void **state)
{
    static const struct lodger l[] = {
        {"a", 4, 0, NULL}, {"b", 4, 1, NULL}, {"c", 4, 0, NULL}, {"d", 4, 2, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l));
    expect(8, 10, "c,a", 2, VICTIMS_CHANGED, "b,a", 2);
    expect(8, 10, "c,a", 0, VICTIMS_CHANGED, "b,a", 1);
    expect(8, 10, "b,a", 1, VICTIMS_KEPT, "b,a", 1);
}

/* They hold no CPU for themselves, but room in sum. */
static void plain_pods_go_where_the_sum_is_short(void **state)
{
    static const struct lodger l[] = {{"a", 8, 5, NULL}};
    char text[1024];

    (void)state;
    lodge(l, ARRAY_LEN(l)); /* zone 0 is full, zone 1 is free */
    for (int i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof(text),
                       "{'metadata':{'name':'w%d','namespace':'ml','uid':'uid-w%d'},'spec':{"
                       "'priority':%d,'nodeName':'n','containers':[{'name':'c','resources':{"
                       "'requests':{'cpu':'4'}}}]},'status':{'phase':'Running'}}",
                       i, i, i);
        deliver(&sink, SOURCE_POD, "Pod", "ml", i ? "w1" : "w0", text);
    }
    sink.settled(sink.ctx);
    expect(4, 10, "w1", 0, VICTIMS_CHANGED, "w0", 0); /* either lets it in */
    expect(8, 10, "a", 0, VICTIMS_KEPT, "a", 0);      /* one and not two */
    expect(8, 4, "w1,w0", 0, VICTIMS_KEPT, "w1,w0", 0);
    expect(8, 1, "w0", 0, VICTIMS_USELESS, "", 0);
}

static void who_is_not_known_is_not_judged(void **state)
{
    static const struct lodger l[] = {{"a", 8, 0, NULL}, {"b", 8, 20, NULL}};

    (void)state;
    lodge(l, ARRAY_LEN(l));
    expect(8, 10, "a,x", 3, VICTIMS_UNJUDGED, "a,x", 3);
    expect(8, 10, "b", 0, VICTIMS_UNJUDGED, "b", 0); /* of higher priority, as far as we know */
    looks = 0;
    expect(8, 10, "a", 0, VICTIMS_UNJUDGED, "a", 0);
}

static void every_arena_size_answers_or_says_so(void **state)
{
    static const struct lodger l[] = {{"a", 4, 0, NULL}, {"b", 4, 1, NULL}, {"c", 4, 0, NULL}};
    struct asking q;
    bool answered[2] = {false}, refused[2] = {false};

    (void)state;
    lodge(l, ARRAY_LEN(l));
    begin(&q, 8, 10, "a", 0);
    for (size_t n = 0; n < 20200; n += 40) {
        static _Alignas(max_align_t) char small[20200];
        struct arena a;
        struct victims v = {.n = 77};
        arena_init(&a, small, n < 200 ? n : n - 200);
        looks = 1000;
        const int rc = n < 200 ? victims_choose(&v, &q.victims, &a, &scratch)
                               : victims_choose(&v, &q.victims, &arena, &a);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(v.n, rc ? 77 : 1); /* c alone frees zone 1 */
        answered[n >= 200] |= rc == 0;
        refused[n >= 200] |= rc != 0;
    }
    assert_true(answered[0] && answered[1] && refused[0] && refused[1]);
    end(&q);
}

/* ---- at random, against every subset ---- */

static void random_lodgers(struct lodger *l, char names[MOST][8], uint32_t *n, uint64_t *seed)
{
    unsigned free[2] = {8, 8}; /* how the kubelet fills them does not matter: what fits in one */

    *n = 0;
    for (int i = 0; i < 7; i++) {
        const unsigned cpus = 1 + (unsigned)test_random(seed, 5);
        const int z = free[0] >= cpus ? 0 : 1;
        if (free[z] < cpus)
            continue;
        free[z] -= cpus;
        (void)snprintf(names[*n], 8, "p%u", *n);
        l[*n] = (struct lodger){names[*n], cpus, (int)test_random(seed, 4),
                                test_random(seed, 2) ? "web" : "db"};
        ++*n;
    }
}

struct reference {
    int64_t violations, sum;
    uint32_t n;
    int32_t highest;
};

/* The same words as in the header, the slow way; false: the set does not let the pod in. */
static bool judge(struct reference *out, const struct asking *q, const bool *gone)
{
    const struct node_view *const v = q->victims.node;
    struct cluster_pod looked_up;
    int64_t used = 0, left[2] = {0};
    bool in = false;

    *out = (struct reference){.highest = INT32_MIN};
    for (uint32_t i = 0; i < v->n_pods; i++) {
        const struct score_pod *const p =
            cluster_snapshot_pod(q->snapshot, STR("ml"), v->pods[i].name, &looked_up);
        if (!gone[i]) {
            used += p->containers[0].requests[0].amount;
            continue;
        }
        if (p->priority >= q->pod.priority)
            return false;
        out->n++;
        out->sum += p->priority;
        out->highest = p->priority > out->highest ? p->priority : out->highest;
    }
    for (uint32_t b = 0; b < q->victims.n_budgets; b++)
        left[b] = q->victims.budgets[b]->allowed;
    /* one app has one budget here, so the order in which they go does not matter */
    for (uint32_t i = 0; i < v->n_pods; i++)
        for (uint32_t b = 0; gone[i] && b < q->victims.n_budgets; b++) {
            const struct score_pod *const p =
                cluster_snapshot_pod(q->snapshot, STR("ml"), v->pods[i].name, &looked_up);
            if (kube_budget_counts(q->victims.budgets[b], p))
                out->violations += --left[b] < 0;
        }
    if (used + q->in.amounts[0].amount > 16000)
        return false;
    assert_int_equal(score_fits_without(&in, v, gone, q->victims.req, &arena), 0);
    return in;
}

static int compare(const struct reference *a, const struct reference *b)
{
    if (a->violations != b->violations)
        return a->violations < b->violations ? -1 : 1;
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    if (a->highest != b->highest)
        return a->highest < b->highest ? -1 : 1;
    return a->sum < b->sum ? -1 : a->sum > b->sum;
}

static void mark(bool *gone, const struct asking *q, const struct victims *v)
{
    for (uint32_t i = 0; i < q->victims.node->n_pods; i++) {
        gone[i] = false;
        for (uint32_t k = 0; k < v->n; k++)
            gone[i] |= str_eq(v->uids[k], q->victims.node->pods[i].uid);
    }
}

static void a_random_choice_is_as_good_as_any_subset(void **state)
{
    uint64_t seed = test_seed(20261125);
    unsigned useless = 0, small = 0, large = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct lodger l[MOST];
        char names[MOST][8];
        struct asking q;
        struct victims v;
        struct reference best = {0}, now;
        bool found = false, gone[MOST] = {0};
        uint32_t n;

        (void)teardown(NULL);
        (void)setup_with_budgets(NULL);
        random_lodgers(l, names, &n, &seed);
        budget("web", "web", (int)test_random(&seed, 3));
        budget("db", "db", (int)test_random(&seed, 3));
        lodge(l, n);
        begin(&q, 1 + (unsigned)test_random(&seed, 8), 1 + (int)test_random(&seed, 4), "", 0);
        assert_int_equal(victims_choose(&v, &q.victims, &arena, &scratch), 0);
        if (v.answer == VICTIMS_NEEDLESS) {
            assert_true(judge(&now, &q, gone));
            end(&q);
            continue;
        }
        for (uint32_t set = 1; set < 1U << n; set++) {
            for (uint32_t i = 0; i < n; i++)
                gone[i] = set >> i & 1;
            if (!judge(&now, &q, gone) || (found && compare(&now, &best) >= 0))
                continue;
            best = now;
            found = true;
        }
        assert_int_equal(found, v.answer != VICTIMS_USELESS);
        if (found) {
            mark(gone, &q, &v);
            assert_true(judge(&now, &q, gone));
            assert_int_equal(now.violations, v.violations);
            if (best.n <= 2)
                assert_int_equal(compare(&now, &best), 0);
            for (uint32_t i = 0; i < n && now.n > 2; i++) { /* nobody can be left out */
                struct reference without;
                if (!gone[i])
                    continue;
                gone[i] = false;
                assert_false(judge(&without, &q, gone));
                gone[i] = true;
            }
        }
        useless += !found;
        small += found && best.n <= 2;
        large += found && best.n > 2;
        end(&q);
    }
    print_message("%u without victims, %u with one or two, %u with more\n", useless, small, large);
    assert_true(useless > 10 && small > 50 && large > 3);
}

#define ON_A_NODE(test) cmocka_unit_test_setup_teardown(test, setup_with_budgets, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_NODE(whose_end_helps_is_kept),
        ON_A_NODE(those_who_go_free_one_zone),
        ON_A_NODE(one_is_better_than_two),
        ON_A_NODE(who_is_proposed_for_another_reason_goes_and_another_with_it),
        ON_A_NODE(a_budget_weighs_more_than_number_and_importance),
        cmocka_unit_test_setup_teardown(without_budgets_the_count_is_never_too_small, setup,
                                        teardown),
        ON_A_NODE(plain_pods_go_where_the_sum_is_short),
        ON_A_NODE(who_is_not_known_is_not_judged),
        ON_A_NODE(every_arena_size_answers_or_says_so),
        ON_A_NODE(a_random_choice_is_as_good_as_any_subset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
