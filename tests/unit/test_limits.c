/* SPDX-License-Identifier: Apache-2.0 */
/* ResourceQuotas and LimitRanges, as the API server counts by them. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/limit_range.h"
#include "kube/object.h"
#include "kube/quota.h"
#include "scoring/request.h"
#include "tests/support/data.h"

static _Alignas(max_align_t) char room[32768];
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, room, sizeof(room));
    return 0;
}

typedef int (*decoder)(void *out, struct str json, struct arena *a, struct err *err);

static int quota_of(void *out, struct str json, struct arena *a, struct err *err)
{
    return kube_quota_decode(out, json, a, err);
}

static int range_of(void *out, struct str json, struct arena *a, struct err *err)
{
    return kube_limit_range_decode(out, json, a, err);
}

static int pod_of(void *out, struct str json, struct arena *a, struct err *err)
{
    return kube_pod_decode(out, json, a, err);
}

/* JSON with ' for "; what was read lives in the arena, the text is gone. */
static int decode_in(decoder f, void *out, const char *json, struct arena *a, struct err *err)
{
    char *const text = test_padded(str_of(json), 0);

    assert_non_null(text);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    const int rc = f(out, (struct str){text, strlen(json)}, a, err);
    free(text);
    return rc;
}

static void decode(decoder f, void *out, const char *json)
{
    struct err err = {0};

    if (decode_in(f, out, json, &arena, &err))
        fail_msg("%s: %s", json, err.text);
}

/* --- quotas --- */

static const struct kube_quota_entry *entry(const struct kube_quota *q, const char *name)
{
    for (uint32_t i = 0; i < q->n; i++) {
        if (str_is(q->entries[i].name, name))
            return &q->entries[i];
    }
    fail_msg("no %s", name);
    return NULL;
}

#define QUOTA(rest) "{'metadata':{'name':'q','namespace':'shop'}," rest "}"
#define POD(spec)   "{'metadata':{'name':'p','namespace':'shop'},'spec':{" spec "}}"
#define TWO                                                                                        \
    "'containers':[{'name':'a','resources':{'requests':{'cpu':'1500m','memory':'1Gi',"             \
    "'nvidia.com/gpu':'2'},'limits':{'cpu':'2','memory':'1Gi','nvidia.com/gpu':'2'}}},"            \
    "{'name':'b','resources':{'requests':{'cpu':'250m'}}}]"

static void a_quota_counts_what_pods_ask_for(void **state)
{
    struct kube_quota q;
    struct score_pod pod;

    (void)state;
    decode(
        quota_of, &q,
        QUOTA("'spec':{'hard':{'cpu':'1'}},'status':{'hard':{'cpu':'4','requests.cpu':'3500m',"
              "'limits.cpu':'9','memory':'10Gi','limits.memory':'20Gi','pods':'7',"
              "'requests.nvidia.com/gpu':'8','nvidia.com/gpu':'9','services':'3','hugepages-2Mi':"
              "'4Mi','requests.storage':'1Gi','count/pods':'5','requests.ephemeral-storage':"
              "'1Gi'},'used':{'cpu':'1250m','memory':'2Gi','pods':'1'}}"));
    assert_true(str_is(q.ns, "shop") && str_is(q.name, "q"));
    assert_int_equal(q.n, 9); /* not services, storage, objects, devices without "requests." */
    decode(pod_of, &pod, POD(TWO));
    assert_true(kube_quota_covers(&q, &pod));
    assert_int_equal(entry(&q, "cpu")->hard, 4000);
    assert_int_equal(entry(&q, "cpu")->used, 1250);
    assert_int_equal(entry(&q, "requests.cpu")->hard, 3500);
    assert_int_equal(entry(&q, "requests.cpu")->used, -1);
    assert_int_equal(kube_quota_usage(entry(&q, "cpu"), &pod), 1750);
    assert_int_equal(kube_quota_usage(entry(&q, "requests.cpu"), &pod), 1750);
    assert_int_equal(kube_quota_usage(entry(&q, "limits.cpu"), &pod), 2000);
    assert_int_equal(kube_quota_usage(entry(&q, "limits.memory"), &pod), INT64_C(1) << 30);
    assert_int_equal(kube_quota_usage(entry(&q, "requests.nvidia.com/gpu"), &pod), 2);
    assert_int_equal(kube_quota_usage(entry(&q, "pods"), &pod), 1);
    /* b sets no limit: a quota of limits would want one. */
    assert_null(kube_quota_unsaid(entry(&q, "cpu"), &pod));
    assert_true(str_is(kube_quota_unsaid(entry(&q, "limits.cpu"), &pod)->name, "b"));
    assert_true(str_is(kube_quota_unsaid(entry(&q, "memory"), &pod)->name, "b"));
    assert_null(kube_quota_unsaid(entry(&q, "requests.nvidia.com/gpu"), &pod));
}

static void init_containers_count_at_their_worst(void **state)
{
    struct kube_quota q;
    struct score_pod pod;

    (void)state;
    decode(quota_of, &q, QUOTA("'spec':{'hard':{'limits.cpu':'1'}}"));
    /* max(sidecar 1 + init 5, sidecar 1 + apps 2) */
    decode(pod_of, &pod,
           POD("'initContainers':[{'name':'s','restartPolicy':'Always','resources':{'limits':{"
               "'cpu':'1'}}},{'name':'i','resources':{'limits':{'cpu':'5'}}}],'containers':[{"
               "'name':'a','resources':{'limits':{'cpu':'2'}}}]"));
    assert_int_equal(kube_quota_usage(&q.entries[0], &pod), 6000);
}

static void a_quota_covers_the_pods_of_its_scopes(void **state)
{
    static const struct {
        const char *scopes, *pod;
        bool covers;
    } cases[] = {
        {"'scopes':[]", TWO, true},
        {"'scopes':['BestEffort']", TWO, false},
        {"'scopes':['BestEffort']", "'containers':[{'name':'a'}]", true},
        {"'scopes':['NotBestEffort']", TWO, true},
        {"'scopes':['NotBestEffort','Terminating']", TWO, false},
        {"'scopes':['Terminating']", "'activeDeadlineSeconds':9," TWO, true},
        {"'scopes':['Terminating']", "'activeDeadlineSeconds':null," TWO, false},
        {"'scopes':['NotTerminating']", TWO, true},
        {"'scopes':['VolumeAttributesClass']", TWO, false},
        {"'scopes':['PriorityClass']", TWO, false},
        {"'scopes':['PriorityClass']", "'priorityClassName':'gold'," TWO, true},
#define CLASS(op, values)                                                                          \
    "'scopeSelector':{'matchExpressions':[{'scopeName':'PriorityClass','operator':'" op            \
    "','values':[" values "]}]}"
        {CLASS("In", "'silver','gold'"), "'priorityClassName':'gold'," TWO, true},
        {CLASS("In", "'silver'"), "'priorityClassName':'gold'," TWO, false},
        {CLASS("In", "'silver'"), TWO, false},
        {CLASS("NotIn", "'silver'"), TWO, true},
        {CLASS("NotIn", "'gold'"), "'priorityClassName':'gold'," TWO, false},
        {CLASS("Exists", ""), "'priorityClassName':'gold'," TWO, true},
        {CLASS("DoesNotExist", ""), "'priorityClassName':'gold'," TWO, false},
        {"'scopeSelector':{'matchExpressions':[{'scopeName':'BestEffort','operator':'Exists'}]}",
         TWO, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];
        struct kube_quota q;
        struct score_pod pod;

        (void)snprintf(text, sizeof(text), QUOTA("'spec':{'hard':{'cpu':'1'},%s}"),
                       cases[i].scopes);
        decode(quota_of, &q, text);
        (void)snprintf(text, sizeof(text), POD("%s"), cases[i].pod);
        decode(pod_of, &pod, text);
        if (kube_quota_covers(&q, &pod) != cases[i].covers)
            fail_msg("case %zu: %s", i, cases[i].scopes);
        pod.ns = STR("other");
        assert_false(kube_quota_covers(&q, &pod));
    }
}

/* --- limit ranges --- */

#define RANGE(limits) "{'metadata':{'name':'r','namespace':'shop'},'spec':{'limits':[" limits "]}}"

static void a_limit_range_bounds_each_container_and_the_pod(void **state)
{
    static const struct {
        const char *limits, *why; /* NULL: allowed */
    } cases[] = {
        {"{'type':'Container','max':{'cpu':'2'}}",
         "max cpu 2000m, and the limit of container b: none is set"},
        {"{'type':'Container','min':{'cpu':'250m'}}", NULL},
        {"{'type':'Container','min':{'cpu':'251m'}}",
         "min cpu 251m, and the request of container b: 250m"},
        {"{'type':'Container','min':{'memory':'1Mi'}}",
         "min memory 1Mi, and the request of container b: none is set"},
        {"{'type':'Pod','max':{'cpu':'2'}}", NULL},
        {"{'type':'Pod','max':{'cpu':'1999m'}}", "max cpu 1999m, and the limit of the pod: 2000m"},
        {"{'type':'Pod','min':{'cpu':'1751m'}}",
         "min cpu 1751m, and the request of the pod: 1750m"},
        {"{'type':'Pod','min':{'cpu':'1'},'max':{'memory':'1Gi','nvidia.com/gpu':'2'}}", NULL},
        {"{'type':'Pod','max':{'nvidia.com/gpu':'1'}}",
         "max nvidia.com/gpu 1, and the limit of the pod: 2"},
        /* 2000 / 1750 = 1.143 */
        {"{'type':'Pod','maxLimitRequestRatio':{'cpu':'1143m'}}", NULL},
        {"{'type':'Pod','maxLimitRequestRatio':{'cpu':'1142m'}}",
         "maxLimitRequestRatio cpu 1.142, and of the pod the limit is beyond that"},
        {"{'type':'PersistentVolumeClaim','max':{'storage':'1Gi'}}", NULL},
        {"{'type':'PersistentVolumeClaim','max':{'cpu':'1m'}},{'type':'Pod','max':{'cpu':'1m'}}",
         "max cpu 1m, and the limit of the pod: 2000m"},
    };
    struct score_pod pod;

    (void)state;
    decode(pod_of, &pod, POD(TWO));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[512], why[256] = "";
        struct kube_limit_range r;

        (void)snprintf(text, sizeof(text), RANGE("%s"), cases[i].limits);
        decode(range_of, &r, text);
        if (kube_limit_range_allows(&r, &pod, why, sizeof(why)) != !cases[i].why ||
            strcmp(why, cases[i].why ? cases[i].why : "") != 0)
            fail_msg("%s\n  is     %s\n  wanted %s", text, why, cases[i].why);
    }
}

static int64_t amount(const struct pod_amount *at, uint32_t n, const char *resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_is(at[i].resource, resource))
            return at[i].amount;
    }
    return -1;
}

/* default: else max; defaultRequest: else default, else min; and never over what is said. */
static void what_is_not_said_is_filled_in(void **state)
{
    struct kube_limit_range r;
    struct score_pod pod;

    (void)state;
    decode(pod_of, &pod, POD(TWO));
    decode(range_of, &r,
           RANGE("{'type':'Container','max':{'cpu':'8'},'min':{'memory':'64Mi'},'default':{"
                 "'ephemeral-storage':'5'},'defaultRequest':{'ephemeral-storage':'3'}}"));
    const struct score_pod *made = &pod;
    assert_int_equal(kube_limit_range_default(&made, &r, &arena), 0);
    const struct pod_container *const a = &made->containers[0], *const b = &made->containers[1];
    assert_int_equal(amount(a->limits, a->n_limits, "cpu"), 2000);
    assert_int_equal(amount(a->requests, a->n_requests, "cpu"), 1500);
    assert_int_equal(amount(b->limits, b->n_limits, "cpu"), 8000);
    assert_int_equal(amount(b->requests, b->n_requests, "cpu"), 250);
    assert_int_equal(amount(b->limits, b->n_limits, "memory"), -1);
    assert_int_equal(amount(b->requests, b->n_requests, "memory"), 64 << 20);
    assert_int_equal(amount(b->limits, b->n_limits, "ephemeral-storage"), 5);
    assert_int_equal(amount(b->requests, b->n_requests, "ephemeral-storage"), 3);
    assert_int_equal(pod.containers[1].n_limits, 0); /* the other one is as it was */
}

/* --- what is odd --- */

static void what_is_broken_leaves_no_trace(void **state)
{
    static const char *const broken[] = {
        "",
        "null",
        "[]",
        QUOTA("'spec':{'hard':{'cpu':'many'}}"),
        QUOTA("'spec':{'hard':{'cpu':'-1'}}"),
        QUOTA("'spec':{'scopeSelector':{'matchExpressions':[{'operator':'Near'}]}}"),
        QUOTA("'status':{'used':{'memory':'1Q'}}"),
    };
    static const char *const ranges[] = {
        "null", RANGE("{'type':'Pod','max':{'cpu':'x'}}"),
        RANGE("{'type':'Pod','maxLimitRequestRatio':{'cpu':'-2'}}"), "{'spec':{'limits':{}}}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct kube_quota q = {.n = 77};
        struct err err = {0};

        if (decode_in(quota_of, &q, broken[i], &arena, &err) == 0)
            fail_msg("%s", broken[i]);
        assert_true(err.text[0] && q.n == 77);
    }
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        struct kube_limit_range r = {.n = 77};
        struct err err = {0};

        if (decode_in(range_of, &r, ranges[i], &arena, &err) == 0)
            fail_msg("%s", ranges[i]);
        assert_true(err.text[0] && r.n == 77);
    }
}

static void every_arena_size_is_enough_or_leaves_no_trace(void **state)
{
    static const char quota[] =
        QUOTA("'spec':{'hard':{'cpu':'1','limits.memory':'2'},'scopeSelector':{'matchExpressions':["
              "{'scopeName':'PriorityClass','operator':'In','values':['a','b']}]}},'status':{"
              "'hard':{'cpu':'2'},'used':{'cpu':'1'}}");
    static const char range[] =
        RANGE("{'type':'Container','max':{'cpu':'8'},'min':{'memory':'64Mi'},"
              "'maxLimitRequestRatio':{'cpu':'2'}},{'type':'Pod','max':{'cpu':'9'}}");
    bool fitted = false;

    (void)state;
    for (size_t n = 0; n < 2000; n += 8) {
        struct kube_quota q = {.n = 77};
        struct kube_limit_range r = {.n = 77};
        struct arena a;

        arena_init(&a, room, n);
        const int rc = decode_in(quota_of, &q, quota, &a, NULL);
        assert_int_equal(q.n, rc ? 77 : 1);
        arena_init(&a, room, n);
        const int rc_range = decode_in(range_of, &r, range, &a, NULL);
        assert_int_equal(r.n, rc_range ? 77 : 2);
        fitted = rc == 0 && rc_range == 0;
    }
    assert_true(fitted);
}

/* A LimitRange of so many limits. */
static int many_limits(struct kube_limit_range *out, uint32_t n, struct arena *a, struct err *err)
{
    CLEANUP(buf_free) struct buf json = {0};

    buf_text(&json, "{'metadata':{'name':'r'},'spec':{'limits':[");
    for (uint32_t i = 0; i < n; i++)
        buf_text(&json, i ? ",{'type':'Container'}" : "{'type':'Container'}");
    buf_text(&json, "]}}");
    return decode_in(range_of, out, json.p, a, err);
}

static void limits_are_bounded(void **state)
{
    static _Alignas(max_align_t) char block[1 << 18];
    struct kube_limit_range r;
    struct arena a;
    struct err err;

    arena_init(&a, block, sizeof(block));
    assert_int_equal(many_limits(&r, KUBE_LIMITS_MAX, &a, &err), 0);
    assert_int_equal(r.n, KUBE_LIMITS_MAX);
    assert_int_equal(many_limits(&r, KUBE_LIMITS_MAX + 1, &a, &err), -E2BIG);
    assert_string_equal(err.text, "spec.limits: more than 64 limits");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
    const struct CMUnitTest tests[] = {
        T(a_quota_counts_what_pods_ask_for),
        T(init_containers_count_at_their_worst),
        T(a_quota_covers_the_pods_of_its_scopes),
        T(a_limit_range_bounds_each_container_and_the_pod),
        T(what_is_not_said_is_filled_in),
        T(what_is_broken_leaves_no_trace),
        T(every_arena_size_is_enough_or_leaves_no_trace),
        T(limits_are_bounded),
    };
#undef T

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
