/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resizing a pod for a ResourceAdjustment: what keeps it from being done, what pods and answers
 * say, and, carried out over a store and an API server that are told what to do, what is sent and
 * when. The pod web-0 asks for 250m and 128Mi on a node of 8 CPUs; 512 shares are 500m.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "kube/api.h"
#include "kube/emit.h"
#include "kube/fields.h"
#include "operator/call.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "operator/resize.h"
#include "tests/support/operator_bench.h"

#define S INT64_C(1000000)

/* --- guards --- */

static const struct resize_facts all_well = {.on = true,
                                             .enforced = true,
                                             .wanted = true,
                                             .in_place = true,
                                             .reversible = true,
                                             .reachable = true,
                                             .elected = true,
                                             .asked = true,
                                             .may = true,
                                             .leads = true,
                                             .same_epoch = true,
                                             .read = true,
                                             .closed = true,
                                             .most_in_namespace = 10,
                                             .same_size = true,
                                             .fits = true};

/* One thing that is wrong is enough, each time. */
static void every_guard_holds_by_itself(void **state)
{
#define WRONG(what, value, hold)                                                                   \
    do {                                                                                           \
        struct resize_facts f = all_well;                                                          \
        f.what = value;                                                                            \
        assert_int_equal(resize_look(&f), hold);                                                   \
        assert_true(hold == RESIZE_GO || resize_hold_words[hold][0]);                              \
    } while (0)
    (void)state;
    assert_int_equal(resize_look(&all_well), RESIZE_GO);
    WRONG(on, false, RESIZE_OFF);
    WRONG(enforced, false, RESIZE_DRY_RUN);
    WRONG(wanted, false, RESIZE_UNWANTED);
    WRONG(in_place, false, RESIZE_OTHERWISE);
    WRONG(opted_out, true, RESIZE_OPTED_OUT);
    WRONG(restarts, true, RESIZE_RESTARTS);
    WRONG(reversible, false, RESIZE_ONE_WAY);
    WRONG(reachable, false, RESIZE_UNREACHABLE);
    WRONG(elected, false, RESIZE_NO_LEASE);
    WRONG(asked, false, RESIZE_NOT_ASKED);
    WRONG(may, false, RESIZE_MAY_NOT);
    WRONG(leads, false, RESIZE_NOT_LEADER);
    WRONG(same_epoch, false, RESIZE_EPOCH);
    WRONG(read, false, RESIZE_UNREAD);
    WRONG(age_ns, UINT64_C(120000000001), RESIZE_AGED);
    WRONG(age_ns, UINT64_C(120000000000), RESIZE_GO);
    WRONG(ended, true, RESIZE_ENDED);
    WRONG(attempts, 10, RESIZE_GIVEN_UP);
    WRONG(attempts, 9, RESIZE_GO);
    WRONG(waits, true, RESIZE_WAITS);
    WRONG(busy, true, RESIZE_BUSY);
    WRONG(closed, false, RESIZE_OPEN);
    WRONG(in_hour, 30, RESIZE_MOST);
    WRONG(in_hour, 29, RESIZE_GO);
    WRONG(in_namespace, 10, RESIZE_MOST_HERE);
    WRONG(in_namespace, 9, RESIZE_GO);
    WRONG(settles, true, RESIZE_SETTLES);
    WRONG(same_size, false, RESIZE_OTHER_SIZE);
    WRONG(fits, false, RESIZE_UNFIT);
#undef WRONG
}

/* --- the record --- */

static void a_record_is_read_as_it_was_written(void **state)
{
    const struct resize_record r = {.outcome = RESIZE_REVERTING,
                                    .reason = "KubeletDeferred",
                                    .message = "a \"quoted\" text",
                                    .pod = "web-0",
                                    .uid = "p-0",
                                    .container = "main",
                                    .requester = "clerk@example.com",
                                    .from = {250, FIELD_NONE, 134217728, FIELD_NONE},
                                    .to = {500, 1000, 268435456, 536870912},
                                    .generation = 3,
                                    .intended_us = 1790000000 * S,
                                    .requested_us = 1790000001 * S,
                                    .ended_us = 1790000002 * S,
                                    .retry_us = 1790000009 * S,
                                    .attempts = 4,
                                    .epoch = 7,
                                    .earlier_us = {1789999000 * S, 1789999500 * S},
                                    .n_earlier = 2};
    struct resize_record got;
    struct buf text = {0};
    struct emit e;

    (void)state;
    emit_init(&e, &text, false);
    emit_object(&e);
    emit_key(&e, "act"), resize_record_put(&e, &r);
    emit_end(&e);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    resize_record_read(&got, (struct str){text.p, n});
    assert_int_equal(got.outcome, RESIZE_REVERTING);
    assert_string_equal(got.reason, r.reason);
    assert_string_equal(got.message, r.message);
    assert_string_equal(got.pod, r.pod);
    assert_string_equal(got.uid, r.uid);
    assert_string_equal(got.container, r.container);
    assert_string_equal(got.requester, r.requester);
    assert_true(resize_is(&got.from, &r.from) && resize_is(&got.to, &r.to));
    assert_int_equal(got.generation, 3);
    assert_int_equal(got.intended_us, r.intended_us);
    assert_int_equal(got.requested_us, r.requested_us);
    assert_int_equal(got.ended_us, r.ended_us);
    assert_int_equal(got.retry_us, r.retry_us);
    assert_int_equal(got.n_earlier, 2);
    assert_int_equal(got.earlier_us[1], r.earlier_us[1]);
    assert_int_equal(got.attempts, 4);
    assert_int_equal(got.epoch, 7);
    buf_free(&text);
}

/* Within the hour; the oldest of too many goes. */
static void what_was_done_before_is_remembered(void **state)
{
    struct resize_record r = {.outcome = RESIZE_APPLIED, .intended_us = 3600 * S}, next;

    (void)state;
    resize_record_pass(&next, &r, 7199 * S);
    assert_int_equal(next.n_earlier, 1);
    assert_int_equal(next.earlier_us[0], 3600 * S);
    next.outcome = RESIZE_SUPPRESSED;
    next.intended_us = 7199 * S;
    resize_record_pass(&r, &next, 7200 * S); /* an hour ago; and what was suppressed was not */
    assert_int_equal(r.n_earlier, 0);
    r = (struct resize_record){.outcome = RESIZE_GONE, .intended_us = 7199 * S};
    resize_record_pass(&next, &r, 7200 * S); /* nothing was asked */
    assert_int_equal(next.n_earlier, 0);
    r.requested_us = 7199 * S;
    resize_record_pass(&next, &r, 7200 * S);
    assert_int_equal(next.n_earlier, 1);
    r = (struct resize_record){.outcome = RESIZE_REVERTED, .n_earlier = RESIZE_EARLIER};
    for (int i = 0; i < RESIZE_EARLIER; i++)
        r.earlier_us[i] = (100 + i) * S;
    r.intended_us = 200 * S;
    resize_record_pass(&next, &r, 201 * S);
    assert_int_equal(next.n_earlier, RESIZE_EARLIER);
    assert_int_equal(next.earlier_us[0], 101 * S);
    assert_int_equal(next.earlier_us[RESIZE_EARLIER - 1], 200 * S);
}

/* It becomes part of a path: of a name that is none nothing is asked. */
static void what_is_no_name_of_a_pod_is_left_out(void **state)
{
    static const char *const names[] = {"../../secrets/s", "a/resize", "A", "a?b", "..", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct resize_record r;
        char text[512] = "";
        const int n = snprintf(text, sizeof(text) - 64,
                               "{\"act\":{\"outcome\":\"Intended\",\"pod\":\"%s\"}}", names[i]);

        resize_record_read(&r, (struct str){text, (size_t)n});
        assert_int_equal(r.outcome, RESIZE_INTENDED);
        assert_string_equal(r.pod, "");
    }
}

/* --- pods and answers --- */

static struct resize_seen see(const char *json)
{
    struct resize_seen seen;
    char text[2048] = "";
    size_t n = 0;

    for (; json[n]; n++)
        text[n] = json[n] == '\'' ? '"' : json[n];
    resize_see(&seen, (struct str){text, n}, "main");
    return seen;
}

static void a_pod_says_what_its_container_has(void **state)
{
    const struct resize_seen s = see(
        "{'spec':{'containers':[{'name':'side','resources':{'requests':{'cpu':'1'}}},{'name':"
        "'main','resources':{'requests':{'cpu':'500m','memory':'128Mi'},'limits':{'cpu':'1'}}}]"
        "},'status':{'containerStatuses':[{'allocatedResources':{'cpu':'250m','memory':"
        "'134217728'},'name':'main','resources':{'requests':{'cpu':'250m'},'limits':{'cpu':'700m'"
        "}}},{'name':'side','allocatedResources':{'cpu':'1'}}],"
        "'conditions':[{'type':'Ready','status':'True','message':'no'},{'type':"
        "'PodResizePending','status':'True','reason':'Deferred','message':'not now'}]}}");

    (void)state;
    assert_true(s.found);
    assert_true(resize_is(&s.spec, &(struct adjust_amounts){500, 1000, 134217728, FIELD_NONE}));
    assert_true(resize_is_granted(&s, &(struct adjust_amounts){250, 7, 134217728, 7}));
    assert_false(resize_is_granted(&s, &s.spec));
    /* Limits as the container has them: others are nobody's former ones. */
    assert_true(resize_is_still(&s, &(struct adjust_amounts){250, 700, 134217728, FIELD_NONE}));
    assert_false(resize_is_still(&s, &(struct adjust_amounts){250, 701, 134217728, FIELD_NONE}));
    assert_false(resize_is_still(&s, &(struct adjust_amounts){250, 700, 134217728, 1}));
    assert_false(resize_is_still(&s, &(struct adjust_amounts){251, 700, 134217728, FIELD_NONE}));
    assert_int_equal(s.pending, RESIZE_DEFERRED);
    assert_false(s.in_progress);
    assert_string_equal(s.message, "not now");
}

static void conditions_count_where_they_hold(void **state)
{
#define CONDITION(type, status, reason)                                                            \
    see("{'spec':{},'status':{'conditions':[{'type':'" type "','status':'" status                  \
        "','reason':'" reason "'}]}}")
    (void)state;
    assert_int_equal(CONDITION("PodResizePending", "True", "Infeasible").pending,
                     RESIZE_INFEASIBLE);
    assert_int_equal(CONDITION("PodResizePending", "True", "Later").pending, RESIZE_DEFERRED);
    assert_int_equal(CONDITION("PodResizePending", "False", "Infeasible").pending,
                     RESIZE_NOT_PENDING);
    assert_true(CONDITION("PodResizeInProgress", "True", "").in_progress);
    assert_false(CONDITION("PodResizeInProgress", "False", "").in_progress);
    assert_false(see("{'spec':{'containers':[{'name':'other'}]}}").found);
    assert_false(see("{'spec':{'containers':[{'name':'main'}]}").found); /* not whole */
#undef CONDITION
}

static void answers_mean_what_the_api_says(void **state)
{
    static const struct {
        int status, code;
        enum resize_outcome outcome; /* INTENDED: nobody knows */
        const char *reason;
        int64_t retry_s;
    } cases[] = {{200, 0, RESIZE_REQUESTED, "", 0},
                 {429, -EAGAIN, RESIZE_REFUSED, "Throttled", 5},
                 {403, -EACCES, RESIZE_REFUSED, "Forbidden", 600},
                 {401, -EACCES, RESIZE_REFUSED, "Forbidden", 600},
                 {422, -EINVAL, RESIZE_REFUSED, "Invalid", 600},
                 {404, -ENOENT, RESIZE_INTENDED, "", 0},
                 {409, -EEXIST, RESIZE_INTENDED, "", 0},
                 {500, -EAGAIN, RESIZE_INTENDED, "", 0},
                 {0, -ETIMEDOUT, RESIZE_INTENDED, "", 0},
                 {0, -EHOSTUNREACH, RESIZE_INTENDED, "", 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct resize_record r = {.outcome = RESIZE_INTENDED, .attempts = 1};
        const struct kube_answer a = {
            .status = cases[i].status, .retry_after_ms = -1, .err = {.code = cases[i].code}};

        assert_int_equal(resize_take_answer(&r, &a, 1000 * S), cases[i].outcome != RESIZE_INTENDED);
        assert_int_equal(r.outcome, cases[i].outcome);
        assert_string_equal(r.reason, cases[i].reason);
        assert_int_equal(r.retry_us, cases[i].retry_s ? (1000 + cases[i].retry_s) * S : 0);
    }
}

/* Only what changes, of exactly this pod in exactly this version. */
static void a_patch_says_what_changes(void **state)
{
    const struct resize_record r = {.uid = "p-0",
                                    .container = "main",
                                    .from = {250, 500, 134217728, FIELD_NONE},
                                    .to = {500, 1000, 134217728, FIELD_NONE}};
    struct buf text = {0};

    (void)state;
    resize_patch(&text, &r, &r.to, "77");
    buf_add(&text, "", 1);
    assert_string_equal(text.p,
                        "{\"metadata\":{\"uid\":\"p-0\",\"resourceVersion\":\"77\"},\"spec\":{"
                        "\"containers\":[{\"name\":\"main\",\"resources\":{\"requests\":{\"cpu\":"
                        "\"500m\"},\"limits\":{\"cpu\":\"1000m\"}}}]}}");
    buf_free(&text);
}

/* --- carried out --- */

static const struct op_caller clerk = {.user = {"clerk", 5},
                                       .groups = {"[\"system:authenticated\"]", 24}};

#define CALL   "/v1/resource-adjustments/default"
#define WANTED "{'metadata':{'name':'wanted'},'spec':{'target':{'name':'web-0'},'cpuShares':512}}"

/* The pod as the API server has it, and what its kubelet does. */
static struct sim {
    const char *uid;
    int version, patches, gets;
    long cpu, allocated;
    const char *pending; /* the reason of PodResizePending; NULL: none */
    bool in_progress, ends, gone;
    bool kubelet;  /* grants what is asked at once */
    int answer;    /* to the next patch; 0: it is taken */
    bool done_too; /* and is done all the same */
    unsigned next; /* the first question that was not looked at */
    char last[512];
} sim;

static void set_policy(struct bench *b, const char *adjustment)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ConcurrencyPolicy',"
                   "'metadata':{'name':'p'},'spec':{'adjustment':{%s}}}",
                   adjustment);
    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "p", text);
    op_tick(b->op, b->now_ns, b->now_us);
}

static void tell_pod(struct bench *b, const char *container)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'default','name':'web-0','uid':'%s'},'spec':{"
                   "'nodeName':'n1','containers':[{'name':'main','resources':{'requests':{'cpu':"
                   "'%ldm','memory':'128Mi'}}%s}]},'status':{'phase':'Running'}}",
                   sim.uid, sim.cpu, container);
    add_object(b, SOURCE_POD, "Pod", "default", "web-0", text);
}

static void put_pod(struct buf *out)
{
    buf_printf(out,
               "{'metadata':{'uid':'%s','resourceVersion':'%d'%s},'spec':{'containers':[{'name':"
               "'main','resources':{'requests':{'cpu':'%ldm','memory':'128Mi'}}}]},'status':{"
               "'containerStatuses':[{'name':'main','allocatedResources':{'cpu':'%ldm','memory':"
               "'128Mi'}}],'conditions':[{'type':'PodResizeInProgress','status':'%s'}",
               sim.uid, sim.version, sim.ends ? ",'deletionTimestamp':'2026-09-21T00:00:00Z'" : "",
               sim.cpu, sim.allocated, sim.in_progress ? "True" : "False");
    if (sim.pending)
        buf_printf(out,
                   ",{'type':'PodResizePending','status':'True','reason':'%s','message':'no room'}",
                   sim.pending);
    buf_text(out, "]}}");
    buf_add(out, "", 1);
}

static void take_patch(struct bench *b, unsigned i)
{
    const char *const body = b->asks[i].body.p;
    const char *const cpu = strstr(body, "\"cpu\":\"");
    char version[64];
    const int status = sim.answer;

    sim.patches++;
    (void)snprintf(sim.last, sizeof(sim.last), "%s", body);
    (void)snprintf(version, sizeof(version), "\"resourceVersion\":\"%d\"", sim.version);
    assert_string_equal(b->asks[i].path.p, "/api/v1/namespaces/default/pods/web-0/resize");
    assert_non_null(cpu);
    if (!strstr(body, version)) {
        answer_ask(b, i, 409, -EEXIST, "{}");
        return;
    }
    sim.answer = 0;
    if (status == 0 || sim.done_too) {
        sim.cpu = strtol(cpu + 7, NULL, 10);
        sim.version++;
        if (sim.kubelet)
            sim.allocated = sim.cpu;
        if (sim.cpu == sim.allocated)
            sim.pending = NULL;
        tell_pod(b, "");
    }
    if (status == 0)
        answer_ask(b, i, 200, 0, "{}");
    else
        answer_ask(b, i, status < 0 ? 0 : status,
                   status == 403   ? -EACCES
                   : status == 422 ? -EINVAL
                   : status == 404 ? -ENOENT
                                   : -EAGAIN,
                   "{}");
}

static void take_get(struct bench *b, unsigned i)
{
    struct buf text = {0};

    sim.gets++;
    put_pod(&text);
    if (sim.gone)
        answer_ask(b, i, 404, -ENOENT, "{}");
    else
        answer_ask(b, i, 200, 0, text.p);
    buf_free(&text);
}

static void answer_all(struct bench *b)
{
    for (; sim.next < b->n_asks; sim.next++) {
        if (!b->asks[sim.next].done || b->asks[sim.next].method == KUBE_POST)
            continue;
        if (b->asks[sim.next].method == KUBE_PATCH)
            take_patch(b, sim.next);
        else
            take_get(b, sim.next);
    }
}

static void tick(struct bench *b)
{
    b->now_ns += 1000000000;
    b->now_us += 1000000;
    op_tick(b->op, b->now_ns, b->now_us);
}

static void go_on(struct bench *b, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        tick(b);
        answer_all(b);
    }
}

static int set_up(void **state)
{
    const int rc = operator_bench_set_up(state);
    struct bench *const b = *state;

    operator_bench_know(b);
    b->may_resize = true;
    op_list(b->op, SOURCE_ADJUSTMENT, false);
    op_listed(b->op, SOURCE_ADJUSTMENT);
    sim = (struct sim){.uid = "p-0", .version = 77, .cpu = 250, .allocated = 250, .kubelet = true};
    add_object(b, SOURCE_NODE, "Node", "", "n1",
               "{'metadata':{'name':'n1'},'status':{'allocatable':{'cpu':'8','memory':'16Gi',"
               "'pods':'110'}}}");
    tell_pod(b, "");
    set_policy(b, "'mode':'Enforce'");
    op_set_acting(b->op, true);
    return rc;
}

static void ask(struct bench *b, const struct op_caller *caller, const char *body)
{
    struct answer a = call_as(b, caller, HTTP_POST, CALL, body);

    if (a.status != 202)
        fail_msg("%d: %s", a.status, a.text.p);
    done(&a);
}

/* A member of the object's status; of a condition, "Applied.reason". */
static const char *status_of(struct bench *b, const char *key)
{
    static char text[600];
    struct answer a = call(b, HTTP_GET, CALL "/wanted", "");
    char path[64];

    text[0] = 0;
    if (key[0] >= 'A' && key[0] <= 'Z') {
        const char *const dot = strchr(key, '.');
        const json_t *c;
        size_t i;

        json_array_foreach((json_t *)(uintptr_t)at(&a, "status.conditions"), i, c)
        {
            const char *const type = json_string_value(json_object_get(c, "type"));

            if (strlen(type) == (size_t)(dot - key) && strncmp(type, key, strlen(type)) == 0)
                (void)snprintf(text, sizeof(text), "%s",
                               json_string_value(json_object_get(c, dot + 1)));
        }
    } else {
        (void)snprintf(path, sizeof(path), "status.%s", key);
        (void)snprintf(text, sizeof(text), "%s", text_at(&a, path));
    }
    done(&a);
    return text;
}

#define IS(key, value) assert_string_equal(status_of(b, key), value)

/* It is asked for, and nobody is asked to do it. */
static void expect_held(struct bench *b, const char *body, const char *reason)
{
    ask(b, &clerk, body);
    go_on(b, 20);
    IS("ActionSuppressed.reason", reason);
    assert_int_equal(b->n_asks, 0);
}

/* The resize is sent; the kubelet does not grant it. */
static void ask_in_vain(struct bench *b)
{
    sim.kubelet = false;
    ask(b, &clerk, WANTED);
    go_on(b, 2);
}

/* The operator crashes; of wishes this is all that is stored. */
static void restart_with(struct bench *b, struct str object)
{
    char *const text = calloc(1, object.n + 64);

    memcpy(text, object.p, object.n);
    sim.next = b->n_asks;
    operator_bench_restart(b, SOURCE_ADJUSTMENT, (struct str){text, object.n});
    op_set_acting(b->op, true);
    free(text);
}

static void the_intention_is_stored_before_anything_is_asked(void **state)
{
    struct bench *const b = *state;

    b->epoch = 4;
    ask(b, &clerk, WANTED);
    IS("outcome", "Feasible");
    IS("Applied.reason", "Pending");
    IS("Applied.message", "would resize container main of pod web-0 in place (pods/resize): cpu "
                          "500m");
    assert_int_equal(b->n_asks, 0);
    tick(b);
    assert_int_equal(b->reviews, 1);
    assert_int_equal(b->n_asks, 1); /* the pod, and its intention is there */
    assert_int_equal(b->asks[0].method, KUBE_GET);
    assert_string_equal(b->asks[0].path.p, "/api/v1/namespaces/default/pods/web-0");
    IS("act.outcome", "Intended");
    IS("act.requestedBy", "clerk");
    IS("act.uid", "p-0");
    answer_all(b);
    assert_int_equal(sim.patches, 1);
    assert_string_equal(sim.last,
                        "{\"metadata\":{\"uid\":\"p-0\",\"resourceVersion\":\"77\"},\"spec\":{"
                        "\"containers\":[{\"name\":\"main\",\"resources\":{\"requests\":{\"cpu\":"
                        "\"500m\"}}}]}}");
    go_on(b, 1);
    IS("act.outcome", "Requested");
    IS("outcome", "Feasible");
    go_on(b, 6);
    IS("act.outcome", "Applied");
    IS("outcome", "Applied");
    IS("Applied.status", "True");
    assert_non_null(strstr(b->told.p, "PodResized default/web-0 p-0: "));
    assert_int_equal(b->op->acts.busy, 0);
    ask(b, &clerk, WANTED);
    go_on(b, 1300); /* and never again for this spec, whoever asks */
    assert_int_equal(sim.patches, 1);
}

static void who_may_not_patch_the_pod_gets_nothing(void **state)
{
    struct bench *const b = *state;

    b->may_resize = false;
    ask(b, &clerk, WANTED);
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    IS("outcome", "Feasible");
    IS("ActionSuppressed.reason", "RequesterMayNot");
    assert_true(b->reviews > 0);
    b->may_resize = true; /* a role is given to him */
    go_on(b, 30);
    assert_int_equal(sim.patches, 1);
}

/* What an object says of itself, and who may write one, counts for nothing. */
static void an_object_alone_is_never_carried_out(void **state)
{
    struct bench *const b = *state;
    static const char text[] =
        "{\"apiVersion\":\"orchestration.gokore.io/v1beta1\",\"kind\":"
        "\"ResourceAdjustment\",\"metadata\":{\"name\":\"wanted\",\"namespace\":"
        "\"default\",\"uid\":\"u-wanted\",\"generation\":1,\"annotations\":{"
        "\"requestedBy\":\"clerk\"},\"managedFields\":[{\"manager\":\"clerk\"}]},\"spec\":"
        "{\"target\":{\"name\":\"web-0\"},\"cpuShares\":512}}";

    restart_with(b, str_of(text));
    go_on(b, 700);
    IS("outcome", "Feasible");
    IS("ActionSuppressed.reason", "NotAskedFor");
    assert_int_equal(b->n_asks, 0);
    assert_int_equal(b->reviews, 0);
    succeeds(b, HTTP_POST, CALL "/wanted/accept", "", 202); /* everybody is nobody */
    go_on(b, 20);
    assert_int_equal(b->n_asks, 0);
    struct answer a = call_as(b, &clerk, HTTP_POST, CALL "/wanted/accept", "");
    assert_int_equal(a.status, 202);
    done(&a);
    go_on(b, 20);
    IS("outcome", "Applied");
    assert_int_equal(sim.patches, 1);
}

static void nothing_is_done_unless_both_say_so(void **state)
{
    struct bench *const b = *state;

    op_set_acting(b->op, false);
    ask(b, &clerk, WANTED);
    go_on(b, 20);
    IS("ActionSuppressed.reason", "DryRun");
    op_set_acting(b->op, true);
    set_policy(b, "");
    go_on(b, 20);
    IS("ActionSuppressed.reason", "DryRun");
    assert_non_null(strstr(status_of(b, "ActionSuppressed.message"), "spec.adjustment.mode"));
    assert_int_equal(b->n_asks, 0);
    assert_int_equal(b->reviews, 0);
    set_policy(b, "'mode':'Enforce'");
    go_on(b, 20);
    assert_int_equal(sim.patches, 1);
}

/* What is asked for is tried for ten minutes. */
static void what_was_asked_long_ago_is_not_done(void **state)
{
    struct bench *const b = *state;

    b->age_ns = UINT64_C(121000000000); /* what is known of pods is too old */
    ask(b, &clerk, WANTED);
    go_on(b, 610);
    b->age_ns = 0;
    go_on(b, 60);
    assert_int_equal(b->n_asks, 0);
    IS("ActionSuppressed.reason", "NotAskedFor");
    ask(b, &clerk, WANTED);
    go_on(b, 20);
    assert_int_equal(sim.patches, 1);
}

/* --- what may happen between the intention and the call --- */

static void change_mode(struct bench *b)
{
    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", "p",
               "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ConcurrencyPolicy',"
               "'metadata':{'name':'p'},'spec':{}}");
}

static void take_role(struct bench *b)
{
    b->may_resize = false;
    b->now_ns += UINT64_C(31000000000); /* an answer is remembered for 30 s */
}

static void other_pod(struct bench *b)
{
    (void)b;
    sim.uid = "p-1";
}

static void other_size(struct bench *b)
{
    (void)b;
    sim.cpu = 300;
}

static void other_resize(struct bench *b)
{
    (void)b;
    sim.pending = "Deferred";
}

static void full_node(struct bench *b)
{
    add_object(b, SOURCE_POD, "Pod", "default", "big",
               "{'metadata':{'namespace':'default','name':'big','uid':'p-9'},'spec':{'nodeName':"
               "'n1','containers':[{'name':'m','resources':{'requests':{'cpu':'7700m'}}}]},'status'"
               ":{'phase':'Running'}}");
}

static void open_breaker(struct bench *b)
{
    b->op->acts.breaker.open_until_ns = UINT64_MAX;
}

static void changes_before_the_call_stop_it(void **state)
{
    static const struct {
        void (*change)(struct bench *b);
        const char *outcome, *reason;
    } cases[] = {{lose_lease, "Suppressed", "Changed"},
                 {change_epoch, "Suppressed", "Changed"},
                 {switch_off, "Suppressed", "DryRun"},
                 {change_mode, "Suppressed", "DryRun"},
                 {take_role, "Suppressed", "RequesterMayNot"},
                 {age_pods, "Suppressed", "Changed"},
                 {other_pod, "Gone", "NotFound"},
                 {other_size, "Suppressed", "Changed"},
                 {other_resize, "Suppressed", "ResizeUnderWay"},
                 {full_node, "Suppressed", "NoLongerFits"},
                 {open_breaker, "Suppressed", "CircuitOpen"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *mine;

        assert_int_equal(set_up(&mine), 0);
        struct bench *const b = mine;
        ask(b, &clerk, WANTED);
        tick(b);
        assert_int_equal(b->n_asks, 1);
        cases[i].change(b);
        answer_all(b);
        b->follows = false;
        tick(b);
        if (strcmp(status_of(b, "act.outcome"), cases[i].outcome) != 0 ||
            strcmp(status_of(b, "act.reason"), cases[i].reason) != 0 || sim.patches)
            fail_msg("case %zu: %s, %d patches", i, status_of(b, "act.reason"), sim.patches);
        assert_int_equal(b->op->acts.busy, 0);
        operator_bench_tear_down(&mine);
    }
}

static void a_store_that_fails_keeps_it_from_being_done(void **state)
{
    struct bench *const b = *state;

    ask(b, &clerk, WANTED);
    b->fail_with = -ESTALE;
    go_on(b, 1);
    assert_int_equal(b->n_asks, 0); /* somebody else may have recorded one */
    go_on(b, 12);
    assert_int_equal(sim.patches, 1); /* nobody has */
}

/* --- what is refused --- */

static void a_refusal_is_told_and_tried_again_later(void **state)
{
    struct bench *const b = *state;

    sim.answer = 429;
    ask(b, &clerk, WANTED);
    go_on(b, 2);
    IS("act.outcome", "Refused");
    IS("act.reason", "Throttled");
    assert_non_null(strstr(b->told.p, "PodNotResized default/web-0 p-0: "));
    go_on(b, 20);
    assert_int_equal(sim.patches, 2);
    IS("outcome", "Applied");
}

static void a_server_without_the_subresource_is_named(void **state)
{
    struct bench *const b = *state;

    sim.answer = 404;
    ask(b, &clerk, WANTED);
    go_on(b, 20);
    IS("act.outcome", "Refused");
    IS("act.reason", "ResizeUnsupported");
    assert_int_equal(sim.patches, 1);
}

static void what_nobody_answers_is_found_out(void **state)
{
    struct bench *const b = *state;

    sim.answer = 500;
    sim.done_too = true;
    ask(b, &clerk, WANTED);
    go_on(b, 20);
    IS("outcome", "Applied");
    assert_int_equal(sim.patches, 1);
}

static void what_was_not_done_is_not_done_again(void **state)
{
    struct bench *const b = *state;

    sim.answer = -1; /* no answer, and nothing done */
    ask(b, &clerk, WANTED);
    go_on(b, 80);
    IS("act.outcome", "Intended");
    IS("act.reason", "NoAnswer");
    go_on(b, 20);
    IS("act.outcome", "Failed");
    go_on(b, 700);
    ask(b, &clerk, WANTED);
    go_on(b, 60);
    assert_int_equal(sim.patches, 1);
}

static void what_would_restart_a_container_is_not_done(void **state)
{
    struct bench *const b = *state;

    tell_pod(b, ",'resizePolicy':[{'resourceName':'cpu','restartPolicy':'RestartContainer'}]");
    expect_held(b, WANTED, "RestartsContainer");
}

static void a_pod_that_wants_to_be_left_alone_is(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_POD, "Pod", "default", "web-0",
               "{'metadata':{'namespace':'default','name':'web-0','uid':'p-0','annotations':{"
               "'orchestration.gokore.io/ignore':'true'}},'spec':{'nodeName':'n1','containers':[{"
               "'name':'main','resources':{'requests':{'cpu':'250m','memory':'128Mi'}}}]},'status':"
               "{'phase':'Running'}}");
    expect_held(b, WANTED, "OptedOut");
}

/* A request that was not there could not be taken away again. */
static void what_cannot_be_given_back_is_not_done(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_POD, "Pod", "default", "web-0",
               "{'metadata':{'namespace':'default','name':'web-0','uid':'p-0'},'spec':{'nodeName':"
               "'n1','containers':[{'name':'main','resources':{'requests':{'memory':'128Mi'}}}]},"
               "'status':{'phase':'Running'}}");
    expect_held(b, WANTED, "NotReversible");
}

static void what_is_not_in_place_is_not_done(void **state)
{
    struct bench *const b = *state;

    expect_held(b,
                "{'metadata':{'name':'wanted'},'spec':{'target':{'name':'web-0'},'cpuShares':512,"
                "'lockLimit':4}}",
                "NotCarriedOut");
}

/* --- what the kubelet says --- */

static void what_is_infeasible_is_given_back_at_once(void **state)
{
    struct bench *const b = *state;

    ask_in_vain(b);
    assert_int_equal(sim.cpu, 500);
    sim.pending = "Infeasible";
    go_on(b, 10);
    assert_int_equal(sim.patches, 2);
    assert_int_equal(sim.cpu, 250);
    IS("outcome", "Infeasible");
    IS("reason", "KubeletInfeasible");
    IS("act.outcome", "Reverted");
    IS("act.message", "no room");
    assert_int_equal(b->op->acts.busy, 0);
}

static void what_was_given_back_may_be_asked_for_again(void **state)
{
    struct bench *const b = *state;

    ask_in_vain(b);
    sim.pending = "Infeasible";
    go_on(b, 100); /* not by itself */
    assert_int_equal(sim.patches, 2);
    sim.kubelet = true;
    ask(b, &clerk, WANTED);
    go_on(b, 20);
    IS("outcome", "Applied");
    assert_int_equal(sim.patches, 3);
}

/* Two try to give back, and the switch comes between. */
static void giving_back_is_looked_at_once_more(void **state)
{
    struct bench *const b = *state;

    ask_in_vain(b);
    sim.pending = "Infeasible";
    while (b->n_asks == sim.next) /* until the pod is looked at */
        tick(b);
    take_get(b, sim.next++);
    IS("act.outcome", "Reverting");
    b->follows = true;
    answer_all(b);
    assert_int_equal(sim.patches, 1);
    b->follows = false;
    go_on(b, 20);
    IS("act.outcome", "Reverted");
    assert_int_equal(sim.patches, 2);
}

static void what_is_deferred_is_given_back_when_it_is_late(void **state)
{
    struct bench *const b = *state;

    set_policy(b, "'mode':'Enforce','deadlineSeconds':60");
    ask_in_vain(b);
    sim.pending = "Deferred";
    go_on(b, 50);
    IS("act.outcome", "Requested");
    IS("act.reason", "Deferred");
    assert_int_equal(sim.patches, 1);
    go_on(b, 30);
    IS("act.outcome", "Reverted");
    IS("act.reason", "KubeletDeferred");
    assert_int_equal(sim.cpu, 250);
}

/* The kubelet takes it after all, right before it would be given back. */
static void what_the_kubelet_has_taken_is_not_given_back(void **state)
{
    struct bench *const b = *state;

    set_policy(b, "'mode':'Enforce','deadlineSeconds':60");
    ask_in_vain(b);
    sim.allocated = 500;
    sim.in_progress = true;
    go_on(b, 90);
    IS("act.outcome", "Failed");
    IS("act.reason", "InProgress");
    assert_int_equal(sim.patches, 1);
}

static void the_switch_stops_giving_back_too(void **state)
{
    struct bench *const b = *state;

    ask_in_vain(b);
    op_set_acting(b->op, false);
    sim.pending = "Infeasible";
    go_on(b, 30);
    IS("act.outcome", "Failed");
    IS("act.reason", "KubeletInfeasible");
    assert_non_null(strstr(status_of(b, "act.message"), "operator.act is DryRun"));
    assert_int_equal(sim.patches, 1);
}

/* --- a crash --- */

static void restart(struct bench *b)
{
    restart_with(b, (struct str){b->stored.p, b->stored.n - 64});
}

static void a_crash_after_the_intention_does_nothing(void **state)
{
    struct bench *const b = *state;

    ask(b, &clerk, WANTED);
    tick(b);
    IS("act.outcome", "Intended");
    restart(b);
    go_on(b, 85);
    IS("act.outcome", "Intended");
    go_on(b, 20);
    IS("act.outcome", "Failed");
    IS("act.reason", "Interrupted");
    go_on(b, 700);
    assert_int_equal(sim.patches, 0);
}

static void a_crash_after_the_call_is_followed_up(void **state)
{
    struct bench *const b = *state;

    ask(b, &clerk, WANTED);
    tick(b);
    sim.cpu = sim.allocated = 500; /* it came through */
    sim.version++;
    restart(b);
    go_on(b, 20);
    IS("outcome", "Applied");
    assert_int_equal(sim.patches, 0);
}

static void a_crash_while_the_kubelet_is_waited_for(void **state)
{
    struct bench *const b = *state;

    ask_in_vain(b);
    IS("act.outcome", "Requested");
    sim.pending = "Infeasible";
    restart(b);
    go_on(b, 20);
    IS("act.outcome", "Reverted");
    assert_int_equal(sim.patches, 2);
    assert_int_equal(sim.cpu, 250);
}

/* Of a wish for 500m there is this record; ' for ". */
static void restart_with_record(struct bench *b, const char *act)
{
    struct buf text = {0};

    buf_printf(
        &text,
        "{'apiVersion':'orchestration.gokore.io/v1beta1','kind':'ResourceAdjustment',"
        "'metadata':{'name':'wanted','namespace':'default','uid':'u-wanted','generation':1},"
        "'spec':{'target':{'name':'web-0'},'cpuShares':512},'status':{'observedGeneration':1,"
        "'outcome':'Feasible','path':'InPlace','reason':'Fits','message':'','act':{%s}}}",
        act);
    for (size_t i = 0; i < text.n; i++)
        text.p[i] = text.p[i] == '\'' ? '"' : text.p[i];
    restart_with(b, buf_view(&text));
    buf_free(&text);
}

/* Somebody who may write a status cannot make the operator give a pod a size of his. */
static void a_forged_record_gives_no_size(void **state)
{
    static const char *const outcomes[] = {"Intended", "Requested", "Reverting"};
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        char act[512];

        (void)snprintf(act, sizeof(act),
                       "'kind':'ResizePod','outcome':'%s','pod':'web-0','uid':'p-0','container':"
                       "'main','requestedBy':'admin','generation':1,'attempts':1,'from':{"
                       "'cpuMillicores':7000,'memoryBytes':134217728},'to':{'cpuMillicores':250,"
                       "'memoryBytes':134217728},'intendedAt':'2026-09-21T00:00:00.000000Z'",
                       outcomes[i]);
        sim.pending = "Infeasible";
        restart_with_record(b, act);
        IS("act.requestedBy", "admin");
        go_on(b, 150);
        assert_int_equal(sim.patches, 0);
    }
}

/* Nor limits, where a resize is really pending. */
static void a_forged_record_gives_no_limits(void **state)
{
    struct bench *const b = *state;

    sim.cpu = 500;
    sim.pending = "Infeasible";
    restart_with_record(b, "'kind':'ResizePod','outcome':'Requested','pod':'web-0','uid':'p-0',"
                           "'container':'main','generation':1,'attempts':1,'from':{"
                           "'cpuMillicores':250,'cpuLimitMillicores':9000,'memoryBytes':134217728},"
                           "'to':{'cpuMillicores':500,'memoryBytes':134217728},'intendedAt':"
                           "'2026-09-21T00:00:00.000000Z'");
    go_on(b, 150);
    assert_int_equal(sim.patches, 0);
    IS("act.outcome", "Failed");
}

/* --- budgets --- */

static void ask_another(struct bench *b, int i)
{
    char pod[512], body[256], name[16];

    (void)snprintf(name, sizeof(name), "pod-%d", i);
    (void)snprintf(pod, sizeof(pod),
                   "{'metadata':{'namespace':'default','name':'%s','uid':'q-%d'},'spec':{"
                   "'nodeName':'n1','containers':[{'name':'main','resources':{'requests':{'cpu':"
                   "'10m','memory':'128Mi'}}}]},'status':{'phase':'Running'}}",
                   name, i);
    add_object(b, SOURCE_POD, "Pod", "default", name, pod);
    (void)snprintf(body, sizeof(body),
                   "{'metadata':{'name':'a-%d'},'spec':{'target':{'name':'%s'},'cpuShares':20}}", i,
                   name);
    ask(b, &clerk, body);
}

/* Whatever is asked for: so many GETs are made, each after its intention. */
static void budgets_hold_also_when_objects_are_deleted(void **state)
{
    struct bench *const b = *state;

    set_policy(b, "'mode':'Enforce','perNamespacePerHour':3");
    for (int i = 0; i < 6; i++)
        ask_another(b, i);
    for (int s = 0; s < 120; s++) {
        tick(b);
        for (; sim.next < b->n_asks; sim.next++) {
            const bool patch = b->asks[sim.next].method == KUBE_PATCH;
            const char *const q = strstr(b->asks[sim.next].path.p, "pod-");
            char text[512];

            sim.patches += patch;
            (void)snprintf(text, sizeof(text),
                           "{'metadata':{'uid':'q-%c','resourceVersion':'1'},'spec':{'containers':"
                           "[{'name':'main','resources':{'requests':{'cpu':'10m','memory':'128Mi'"
                           "}}}]}}",
                           q[4]);
            answer_ask(b, sim.next, 200, 0, patch ? "{}" : text);
            if (patch) { /* and its object goes */
                char target[64];

                (void)snprintf(target, sizeof(target), CALL "/a-%c", q[4]);
                succeeds(b, HTTP_DELETE, target, "", 200);
            }
        }
    }
    assert_int_equal(sim.patches, 3);
    int held = 0;
    for (int i = 0; i < 6; i++) {
        char target[64];

        (void)snprintf(target, sizeof(target), CALL "/a-%d", i);
        struct answer a = call(b, HTTP_GET, target, "");
        held += a.status == 200 && strstr(a.text.p, "NamespaceBudget");
        done(&a);
    }
    assert_int_equal(held, 3);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
#define C(f) cmocka_unit_test_setup_teardown(f, set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        T(every_guard_holds_by_itself),
        T(a_record_is_read_as_it_was_written),
        T(what_was_done_before_is_remembered),
        T(what_is_no_name_of_a_pod_is_left_out),
        T(a_pod_says_what_its_container_has),
        T(conditions_count_where_they_hold),
        T(answers_mean_what_the_api_says),
        T(a_patch_says_what_changes),
        C(the_intention_is_stored_before_anything_is_asked),
        C(who_may_not_patch_the_pod_gets_nothing),
        C(an_object_alone_is_never_carried_out),
        C(nothing_is_done_unless_both_say_so),
        C(what_was_asked_long_ago_is_not_done),
        T(changes_before_the_call_stop_it),
        C(a_store_that_fails_keeps_it_from_being_done),
        C(a_refusal_is_told_and_tried_again_later),
        C(a_server_without_the_subresource_is_named),
        C(what_nobody_answers_is_found_out),
        C(what_was_not_done_is_not_done_again),
        C(what_would_restart_a_container_is_not_done),
        C(a_pod_that_wants_to_be_left_alone_is),
        C(what_cannot_be_given_back_is_not_done),
        C(what_is_not_in_place_is_not_done),
        C(what_is_infeasible_is_given_back_at_once),
        C(what_was_given_back_may_be_asked_for_again),
        C(giving_back_is_looked_at_once_more),
        C(what_is_deferred_is_given_back_when_it_is_late),
        C(what_the_kubelet_has_taken_is_not_given_back),
        C(the_switch_stops_giving_back_too),
        C(a_crash_after_the_intention_does_nothing),
        C(a_crash_after_the_call_is_followed_up),
        C(a_crash_while_the_kubelet_is_waited_for),
        C(a_forged_record_gives_no_size),
        C(a_forged_record_gives_no_limits),
        C(budgets_hold_also_when_objects_are_deleted),
    };
#undef T
#undef C

    return cmocka_run_group_tests_name("resizes", tests, NULL, NULL);
}
