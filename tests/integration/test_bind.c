/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb bind of the real program at an API server that keeps its word, lies, hangs or is away.
 * Every answer is held against what the API server knows: success is said if and only if the pod is
 * on that node. (What other answers do to kube-scheduler was measured: it believes {} and null.)
 */
#include "tests/support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/server.h"

enum { NODES, PODS, TOPOLOGIES, PATIENCE_MS = 30000, BIND_MS = 3000 };

#define HEAD "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"

/* What the API server does with a Binding besides making it. */
enum manner { HONEST, BINDS_AND_FAILS, BINDS_AND_HANGS, BINDS_AND_HIDES };

static struct {
    struct fake_api *api;
    struct test_server server;
    char kubeconfig[TEST_PATH_BYTES], config[TEST_PATH_BYTES];
    _Atomic enum manner manner;
    _Atomic int bindings; /* POSTs that arrived */
    pthread_mutex_t lock;
    char annotation[256]; /* of the last one */
} w = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the API server ---- */

static json_t *pod_now(struct history *h, const char *ns, const char *name)
{
    const struct str text = history_object(h, PODS, ns, name, history_version(h));

    return text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
}

static const char *text_at(const json_t *j, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(j, a), b));
}

static int bind_pod(struct history *h, const char *ns, const char *name, const json_t *binding)
{
    json_t *const pod = pod_now(h, ns, name);
    const char *const uid = text_at(binding, "metadata", "uid");
    int status = 201;

    if (!pod)
        return 404;
    if (!uid || strcmp(uid, text_at(pod, "metadata", "uid")) != 0 ||
        text_at(pod, "spec", "nodeName")) {
        status = 409;
    } else {
        json_object_set(json_object_get(pod, "spec"), "nodeName",
                        json_object_get(json_object_get(binding, "target"), "name"));
        json_object_del(json_object_get(pod, "metadata"), "resourceVersion");
        char *const text = json_dumps(pod, JSON_COMPACT);
        (void)history_put_text(h, PODS, ns, name, str_of(text));
        free(text);
    }
    json_decref(pod);
    return status;
}

static void keep_annotation(const json_t *binding)
{
    const json_t *const all = json_object_get(json_object_get(binding, "metadata"), "annotations");
    const char *const zones =
        json_string_value(json_object_get(all, "orchestration.gokore.io/predicted-zones"));

    pthread_mutex_lock(&w.lock);
    (void)snprintf(w.annotation, sizeof(w.annotation), "%s", zones ? zones : "(none)");
    pthread_mutex_unlock(&w.lock);
}

static int post_binding(const char *ns, const char *name, struct str body, struct buf *out)
{
    json_t *const binding = json_loadb(body.p, body.n, 0, NULL);
    const enum manner manner = w.manner;

    w.bindings++;
    keep_annotation(binding);
    const int status = bind_pod(fake_api_lock(w.api), ns, name, binding);
    fake_api_unlock(w.api);
    json_decref(binding);
    if (manner == BINDS_AND_HIDES) { /* nor can the pod be read */
        char target[160];
        (void)snprintf(target, sizeof(target), "/api/v1/namespaces/%s/pods/%s", ns, name);
        fake_api_fault(w.api, FAKE_RESET, target, FAKE_LISTS, FAKE_ALWAYS, 0, 0);
    }
    for (int ms = 0; manner == BINDS_AND_HANGS && w.manner == manner && ms < PATIENCE_MS; ms += 5)
        (void)poll(NULL, 0, 5);
    const bool lies = manner == BINDS_AND_FAILS || manner == BINDS_AND_HIDES;
    if (lies || status != 201)
        history_status(out, status == 201 ? 500 : status, "Odd", "the pod's own reason", "", 0);
    else
        history_status(out, 201, "", "", "", 0);
    return lies && status == 201 ? 500 : status;
}

static int get_pod(const char *ns, const char *name, struct buf *out)
{
    struct history *const h = fake_api_lock(w.api);
    const struct str text = history_object(h, PODS, ns, name, history_version(h));

    buf_str(out, text);
    fake_api_unlock(w.api);
    if (!text.n)
        history_status(out, 404, "NotFound", "no such pod", "", 0);
    return text.n ? 200 : 404;
}

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    char ns[64], name[64], rest[32] = "";

    (void)ctx;
    if (sscanf(target, "/api/v1/namespaces/%63[^/]/pods/%63[^/]%31s", ns, name, rest) < 2)
        return 404;
    if (strcmp(method, "POST") == 0 && strcmp(rest, "/binding") == 0)
        return post_binding(ns, name, body, out);
    return strcmp(method, "GET") == 0 && !rest[0] ? get_pod(ns, name, out) : 404;
}

/* Two zones of 8 CPUs, static, single-numa-node: a pod of 6 CPUs fits twice. */
static void put_node(const char *name)
{
    char text[1600];
    struct history *const h = fake_api_lock(w.api);

    (void)snprintf(
        text, sizeof(text),
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\"},"
        "\"status\":{\"allocatable\":{\"cpu\":\"16\",\"memory\":\"64Gi\",\"pods\":\"110\"},"
        "\"capacity\":{\"cpu\":\"16\",\"memory\":\"64Gi\",\"pods\":\"110\"}}}",
        name);
    (void)history_put_text(h, NODES, "", name, str_of(text));
#define ZONE(id, own, other)                                                                       \
    "{\"name\":\"node-" id "\",\"type\":\"Node\",\"costs\":[{\"name\":\"node-0\",\"value\":" own   \
    "},{\"name\":\"node-1\",\"value\":" other "}],\"resources\":[{\"name\":\"cpu\","               \
    "\"capacity\":\"8\",\"allocatable\":\"8\",\"available\":\"8\"},{\"name\":\"memory\","          \
    "\"capacity\":\"32Gi\",\"allocatable\":\"32Gi\",\"available\":\"32Gi\"}]}"
    (void)snprintf(text, sizeof(text),
                   "{\"apiVersion\":\"topology.node.k8s.io/v1alpha2\",\"kind\":"
                   "\"NodeResourceTopology\",\"metadata\":{\"name\":\"%s\"},\"attributes\":["
                   "{\"name\":\"topologyManagerPolicy\",\"value\":\"single-numa-node\"},"
                   "{\"name\":\"topologyManagerScope\",\"value\":\"container\"},"
                   "{\"name\":\"orchestration.gokore.io/placements\",\"value\":\"{}\"}],"
                   "\"zones\":[" ZONE("0", "10", "21") "," ZONE("1", "21", "10") "]}",
                   name);
    (void)history_put_text(h, TOPOLOGIES, "", name, str_of(text));
    fake_api_unlock(w.api);
}

static void put_pod(const char *name, unsigned cpus)
{
    char text[900];
    struct history *const h = fake_api_lock(w.api);

    (void)snprintf(text, sizeof(text),
                   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\","
                   "\"namespace\":\"ml\",\"uid\":\"uid-%s\"},\"spec\":{\"containers\":[{\"name\":"
                   "\"main\",\"resources\":{\"requests\":{\"cpu\":\"%u\",\"memory\":\"1Gi\"},"
                   "\"limits\":{\"cpu\":\"%u\",\"memory\":\"1Gi\"}}}]},\"status\":{\"phase\":"
                   "\"Pending\"}}",
                   name, name, cpus, cpus);
    (void)history_put_text(h, PODS, "ml", name, str_of(text));
    fake_api_unlock(w.api);
}

/* "" while it has none. */
static void node_of(const char *name, char out[64])
{
    json_t *const pod = pod_now(fake_api_lock(w.api), "ml", name);
    const char *const node = text_at(pod, "spec", "nodeName");

    (void)snprintf(out, 64, "%s", node ? node : "");
    json_decref(pod);
    fake_api_unlock(w.api);
}

/* ---- the program ---- */

static void start_with(const char *extender)
{
    static const struct fake_api_options options = {.bookmark_ms = 200};
    const char *const source[] = {"--kubeconfig", w.kubeconfig, NULL};
    const char *const extra[] = {"--config", w.config, NULL};
    struct buf text = {0};

    w.api = fake_api_new(&options);
    w.manner = HONEST;
    w.bindings = 0;
    struct history *const h = fake_api_lock(w.api);
    (void)history_kind(h, "/api/v1/nodes", "v1", "Node", false);
    (void)history_kind(h, "/api/v1/pods", "v1", "Pod", false);
    (void)history_kind(h, "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies",
                       "topology.node.k8s.io/v1alpha2", "NodeResourceTopology", true);
    fake_api_unlock(w.api);
    fake_api_handle(w.api, serve, NULL);
    test_temporary(w.kubeconfig, "bind");
    test_temporary(w.config, "bind.yaml");
    fake_api_write_kubeconfig(w.api, w.kubeconfig);
    buf_printf(&text, HEAD "extender: {%s}\nlimits: {bindTimeout: %dms}\n", extender, BIND_MS);
    test_write(w.config, buf_view(&text));
    buf_free(&text);
    put_node("n1");
    put_node("n2");
    test_server_run(&w.server, source, extra);
    test_server_wait(&w.server);
}

static int start(void **state)
{
    (void)state;
    start_with("bind: true");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    w.manner = HONEST;
    if (w.server.pid)
        assert_int_equal(test_server_stop(&w.server, SIGTERM), 0);
    w.server.pid = 0;
    fake_api_free(w.api);
    (void)unlink(w.kubeconfig);
    (void)unlink(w.config);
    return 0;
}

/* ---- asking ---- */

static bool ask(int fd, const char *pod, const char *uid, const char *node)
{
    char body[512];

    (void)snprintf(body, sizeof(body),
                   "{\"PodName\":\"%s\",\"PodNamespace\":\"ml\",\"PodUID\":\"%s\",\"Node\":\"%s\"}",
                   pod, uid, node);
    return test_send(fd, "POST", "/scheduler/bind", str_of(body));
}

/*
 * The error of the answer in `error` [512], "" for success. It is 200, one JSON object with one
 * member, a text; and success is true.
 */
static void hear(int fd, const char *pod, const char *node, char *error)
{
    struct test_reply r;
    char now[64];

    assert_true(test_receive(fd, &r));
    assert_int_equal(r.status, 200);
    json_t *const j = json_loadb(r.body.p, r.body.n, 0, NULL);
    assert_true(json_is_object(j));
    assert_int_equal(json_object_size(j), 1);
    const char *const text = json_string_value(json_object_get(j, "Error"));
    assert_non_null(text);
    (void)snprintf(error, 512, "%s", text);
    json_decref(j);
    test_reply_done(&r);
    if (error[0])
        return;
    node_of(pod, now);
    assert_string_equal(now, node);
}

static void bind_as(const char *pod, const char *uid, const char *node, char *error)
{
    const int fd = test_connect(w.server.extender);

    assert_true(ask(fd, pod, uid, node));
    hear(fd, pod, node, error);
    (void)close(fd);
}

static void bind_to(const char *pod, const char *node, char *error)
{
    char uid[64];

    (void)snprintf(uid, sizeof(uid), "uid-%s", pod);
    bind_as(pod, uid, node, error);
}

static void expect_bound(const char *pod, const char *node)
{
    char error[512];

    bind_to(pod, node, error);
    assert_string_equal(error, "");
}

static void expect_error(const char *pod, const char *node, const char *text)
{
    char error[512];

    bind_to(pod, node, error);
    if (!error[0] || !strstr(error, text))
        fail_msg("\"%s\", not \"%s\"", error, text);
}

static double metric(const char *name)
{
    struct buf b = {0};

    assert_int_equal(test_get(w.server.console, "/metrics", &b), 200);
    const char *const at = strstr(b.p, name);
    assert_non_null(at);
    const double v = atof(at + strlen(name));
    buf_free(&b);
    return v;
}

#define BINDS(result) metric("numawise_extender_binds_total{result=\"" result "\"} ")

/* ---- the facts ---- */

static void a_pod_is_bound_with_its_uid_and_its_zones(void **state)
{
    (void)state;
    put_pod("a", 6);
    expect_bound("a", "n1");
    pthread_mutex_lock(&w.lock);
    assert_string_equal(w.annotation, "{\"main\":[0]}");
    pthread_mutex_unlock(&w.lock);
    expect_bound("a", "n1"); /* said again: known from the watch, or from a conflict */
    expect_bound("a", "n1");
    assert_int_equal(BINDS("bound"), 1);
    assert_int_equal(BINDS("already"), 2);
    put_pod("b", 6);
    expect_bound("b", "n1");
    pthread_mutex_lock(&w.lock);
    assert_string_equal(w.annotation, "{\"main\":[1]}"); /* the first one is counted */
    pthread_mutex_unlock(&w.lock);
    put_pod("c", 6);
    const int posts = w.bindings;
    expect_error("c", "n1",
                 "numawise: TopologyAffinityError on n1: zone 0: cpu needs 6, free 2 of 8; zone 1: "
                 "cpu needs 6, free 2 of 8");
    assert_int_equal(w.bindings, posts);
    assert_int_equal(BINDS("rejected"), 1);
    expect_error("a", "n2", "already bound to n1");
    assert_int_equal(BINDS("conflict"), 1);
    expect_bound("c", "n2");
}

/* Both fit, each alone: who comes second is looked at with the first one there. */
static void two_at_a_time_do_not_both_get_the_last_zone(void **state)
{
    const int one = test_connect(w.server.extender), two = test_connect(w.server.extender);
    char errors[2][512];

    (void)state;
    for (int round = 0; round < 10; round++) {
        char names[3][16], node[16];
        (void)snprintf(node, sizeof(node), "x%d", round);
        put_node(node);
        for (int i = 0; i < 3; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "p%d-%d", round, i);
            put_pod(names[i], 6);
        }
        expect_bound(names[0], node);
        char uids[2][40];
        for (int i = 0; i < 2; i++)
            (void)snprintf(uids[i], sizeof(uids[i]), "uid-%s", names[i + 1]);
        assert_true(ask(one, names[1], uids[0], node));
        assert_true(ask(two, names[2], uids[1], node));
        hear(one, names[1], node, errors[0]);
        hear(two, names[2], node, errors[1]);
        assert_int_equal((errors[0][0] == 0) + (errors[1][0] == 0), 1);
        assert_non_null(strstr(errors[errors[0][0] == 0], "TopologyAffinityError"));
    }
    (void)close(one);
    (void)close(two);
}

enum { MANY = 64, MANY_NODES = 16 };

/* Four pods a node, two of which fit, all at once. */
static void of_many_at_once_as_many_are_bound_as_fit(void **state)
{
    int fd[MANY], bound[MANY_NODES] = {0};
    char name[16], uid[24], node[16], error[512];

    (void)state;
    for (int i = 0; i < MANY_NODES; i++) {
        (void)snprintf(node, sizeof(node), "m%d", i);
        put_node(node);
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "q%d", i);
        put_pod(name, 6);
        fd[i] = test_connect(w.server.extender);
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "q%d", i);
        (void)snprintf(uid, sizeof(uid), "uid-q%d", i);
        (void)snprintf(node, sizeof(node), "m%d", i % MANY_NODES);
        assert_true(ask(fd[i], name, uid, node));
    }
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "q%d", i);
        (void)snprintf(node, sizeof(node), "m%d", i % MANY_NODES);
        hear(fd[i], name, node, error);
        bound[i % MANY_NODES] += error[0] == 0;
        if (error[0] && !strstr(error, "TopologyAffinityError") && !strstr(error, "is not through"))
            fail_msg("%s", error);
        (void)close(fd[i]);
    }
    for (int i = 0; i < MANY_NODES; i++)
        assert_in_range(bound[i], 1, 2);
}

/* What kube-scheduler knows and we do not (yet) is bound all the same; the API server decides. */
static void what_is_not_known_is_the_api_servers_to_say(void **state)
{
    char error[512];

    (void)state;
    expect_error("nobody", "n1", "404");
    put_pod("u", 6);
    bind_as("u", "uid-of-another", "n1", error);
    assert_non_null(strstr(error, "another pod has this name now"));
    assert_int_equal(metric("\nnumawise_extender_binds_unchecked_total "), 2);
    assert_int_equal(BINDS("failed"), 1);
    assert_int_equal(BINDS("conflict"), 1);
    expect_bound("u", "no-such-node"); /* Unknown passes, as in filter */
}

/* Before: nothing was written. After: it was, and that is found out. */
static void an_api_server_in_trouble_gets_no_success_out_of_us(void **state)
{
    static const struct {
        enum fake_fault fault;
        int arg;
    } before[] = {{FAKE_STATUS, 500}, {FAKE_STATUS, 429}, {FAKE_STATUS, 403}, {FAKE_RESET, 0},
                  {FAKE_CLOSE, 0},    {FAKE_HTML, 0},     {FAKE_EMPTY, 0},    {FAKE_NOT_JSON, 0},
                  {FAKE_GARBAGE, 0},  {FAKE_HANG, 0},     {FAKE_STALL, 0},    {FAKE_REDIRECT, 0}};
    char name[16], error[512];
    int errors = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        (void)snprintf(name, sizeof(name), "t%zu", i);
        put_pod(name, 6);
        fake_api_fault(w.api, before[i].fault, "/api/v1/namespaces/ml/pods", FAKE_LISTS, 1,
                       before[i].arg, 0);
        const uint64_t began = clock_monotonic_ns();
        bind_to(name, "n1", error); /* success only where it is true */
        assert_true(error[0] == 0 || strncmp(error, "numawise: ", 10) == 0);
        errors += error[0] != 0;
        assert_true((clock_monotonic_ns() - began) / 1000000 < BIND_MS + PATIENCE_MS);
        fake_api_heal(w.api);
    }
    assert_true(errors >= 10); /* where half of an answer came, the binding was made */
    put_node("n3");
    put_pod("t-after", 6);
    w.manner = BINDS_AND_FAILS;
    expect_bound("t-after", "n3");
    w.manner = BINDS_AND_HANGS;
    put_pod("t-hang", 6);
    expect_bound("t-hang", "n2");
    w.manner = HONEST;
    assert_true(BINDS("already") >= 2);
    /* it binds, says nothing, and then cannot be asked: nobody knows, so nobody says yes */
    fake_api_fault(w.api, FAKE_STATUS, "/api/v1/namespaces/ml/pods/t-never", FAKE_LISTS,
                   FAKE_ALWAYS, 500, 0);
    put_pod("t-never", 6);
    expect_error("t-never", "n2", "what came of it is not known");
    fake_api_heal(w.api);
    fake_api_down(w.api);
    put_pod("t-down", 6);
    expect_error("t-down", "n2", "numawise: ");
    fake_api_up(w.api);
}

/* No watch of pods tells anything from now on. */
static void silence(void)
{
    fake_api_fault(w.api, FAKE_STATUS, "/api/v1/pods", FAKE_WATCHES, FAKE_ALWAYS, 500, 0);
    fake_api_cut(w.api);
}

static const char of_n1[] = "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1";

/* Tried again as kube-scheduler does, until it is bound. */
static void expect_bound_later(const char *pod, const char *node)
{
    char error[512] = "-";

    for (int ms = 0; ms < PATIENCE_MS && error[0]; ms += 50) {
        bind_to(pod, node, error);
        if (error[0]) {
            assert_non_null(strstr(error, "an earlier binding to n1 is not through"));
            (void)poll(NULL, 0, 50);
        }
    }
    assert_string_equal(error, "");
}

/*
 * The watch is down for longer than anybody waits: the API server takes bindings all the while, and
 * none is made to a node on which somebody is not seen.
 */
static void a_node_waits_for_those_who_were_bound_there_however_long(void **state)
{
    (void)state;
    put_pod("a", 6);
    put_pod("b", 6);
    put_pod("c", 6);
    put_pod("d", 6);
    expect_bound("d", "n2"); /* and with it they are all known */
    silence();
    expect_bound("a", "n1");
    const int posts = w.bindings;
    for (int i = 0; i < 3; i++) /* BIND_MS each */
        expect_error("b", "n1", "an earlier binding to n1 is not through");
    assert_int_equal(w.bindings, posts);
    assert_true(fake_api_asked(w.api, of_n1) >= 3);
    assert_int_equal(metric("\nnumawise_extender_bind_lists_total "), fake_api_asked(w.api, of_n1));
    fake_api_heal(w.api);
    expect_bound_later("b", "n1");
    pthread_mutex_lock(&w.lock);
    assert_string_equal(w.annotation, "{\"main\":[1]}"); /* the first one is counted */
    pthread_mutex_unlock(&w.lock);
    expect_error("c", "n1", "TopologyAffinityError");
}

/* A binding that was made and that nobody has confirmed counts, and one that was not does not. */
static void what_came_of_a_binding_is_found_out_before_the_next_one(void **state)
{
    (void)state;
    put_pod("a", 6);
    put_pod("b", 6);
    put_pod("c", 6);
    put_pod("d", 6);
    expect_bound("d", "n2");
    silence();
    w.manner = BINDS_AND_HIDES;
    expect_error("a", "n1", "what came of it is not known");
    w.manner = HONEST;
    expect_error("b", "n1", "an earlier binding to n1 is not through");
    fake_api_heal(w.api);
    expect_bound_later("b", "n1");
    expect_error("c", "n1", "TopologyAffinityError");

    /* nothing was written: who comes next is bound at once */
    const unsigned asked = fake_api_asked(w.api, "GET /api/v1/pods?fieldSelector=");
    put_node("n3");
    put_pod("e", 6);
    fake_api_fault(w.api, FAKE_RESET, "/api/v1/namespaces/ml/pods/e", FAKE_LISTS, FAKE_ALWAYS, 0,
                   0);
    expect_error("e", "n3", "what came of it is not known");
    expect_bound("c", "n3");
    assert_int_equal(fake_api_asked(w.api, "GET /api/v1/pods?fieldSelector="), asked + 1);
    fake_api_heal(w.api);
    pthread_mutex_lock(&w.lock);
    assert_string_equal(w.annotation, "{\"main\":[0]}");
    pthread_mutex_unlock(&w.lock);
}

static void what_is_no_binding_is_refused_without_a_body(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "null",
        "[]",
        "{}",
        "{\"PodName\":\"a\",\"PodNamespace\":\"ml\",\"PodUID\":\"u\"}",
        "{\"PodName\":\"\",\"PodNamespace\":\"ml\",\"PodUID\":\"u\",\"Node\":\"n\"}",
        "{\"PodName\":\"../x\",\"PodNamespace\":\"ml\",\"PodUID\":\"u\",\"Node\":\"n\"}",
        "{\"PodName\":\"a\",\"PodNamespace\":\"ml/pods/b\",\"PodUID\":\"u\",\"Node\":\"n\"}",
        "{\"PodName\":\"a\",\"PodNamespace\":\"ml?x=\",\"PodUID\":\"u\",\"Node\":\"n\"}",
        "{\"PodName\":\"a\",\"PodNamespace\":\"ml\",\"PodUID\":\"u\",\"Node\":\"n m\"}",
        "{\"PodName\":5,\"PodNamespace\":\"ml\",\"PodUID\":\"u\",\"Node\":\"n\"}",
    };
    const int fd = test_connect(w.server.extender);
    const int posts = w.bindings;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct test_reply r;
        assert_true(test_send(fd, "POST", "/scheduler/bind", str_of(bodies[i])));
        assert_true(test_receive(fd, &r));
        assert_int_equal(r.status, 400);
        assert_int_equal(r.body.n, 0);
        assert_false(r.closes);
        test_reply_done(&r);
    }
    assert_int_equal(w.bindings, posts);
    (void)close(fd);
}

/* As kube-scheduler v1.36.3 sent them; keys fold case and the last one wins, as in Go. */
static void recorded_requests_are_understood(void **state)
{
    static const char *const files[] = {"bind-a", "bind-b", "bind-c"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[64], error[512];
        struct buf message = {0};
        const int fd = test_connect(w.server.extender);
        (void)snprintf(path, sizeof(path), "scheduler-requests/%s.http", files[i]);
        assert_int_equal(test_data_read(path, &message), 0);
        assert_true(test_send(fd, "POST", "/scheduler/bind", test_http_body(buf_view(&message))));
        hear(fd, "", "", error);
        assert_non_null(strstr(error, "/api/v1/namespaces/default/pods/"));
        assert_non_null(strstr(error, "/binding: 404"));
        buf_free(&message);
        (void)close(fd);
    }
    put_pod("k", 6);
    const int fd = test_connect(w.server.extender);
    char error[512];
    assert_true(
        test_send(fd, "POST", "/scheduler/bind",
                  STR("{\"node\":\"zz\",\"NODE\":\"n1\",\"podname\":\"k\",\"podNameSpace\":\"ml\","
                      "\"poduid\":\"uid-k\",\"more\":[{}]}")));
    hear(fd, "k", "n1", error);
    assert_string_equal(error, "");
    (void)close(fd);
}

static void in_shadow_what_would_be_refused_is_bound(void **state)
{
    (void)state;
    put_pod("s", 12);
    expect_bound("s", "n1");
}

static void off_is_not_there(void **state)
{
    const int fd = test_connect(w.server.extender);
    struct test_reply r;

    (void)state;
    assert_true(test_send(fd, "POST", "/scheduler/bind", STR("{}")));
    assert_true(test_receive(fd, &r));
    assert_int_equal(r.status, 404);
    test_reply_done(&r);
    (void)close(fd);
}

/* In flight at the end: answered, with an error, for nobody knows what came of it. */
static void at_the_end_nobody_is_left_without_an_answer(void **state)
{
    const int fd = test_connect(w.server.extender);
    char error[512];

    (void)state;
    put_pod("e", 6);
    fake_api_fault(w.api, FAKE_HANG, "/api/v1/namespaces/ml/pods/e", FAKE_LISTS, FAKE_ALWAYS, 0, 0);
    assert_true(ask(fd, "e", "uid-e", "n1"));
    for (int ms = 0; ms < PATIENCE_MS &&
                     fake_api_asked(w.api, "POST /api/v1/namespaces/ml/pods/e/binding") == 0;
         ms += 5)
        (void)poll(NULL, 0, 5);
    assert_int_equal(kill(w.server.pid, SIGTERM), 0);
    hear(fd, "e", "n1", error);
    assert_true(error[0] != 0);
    (void)close(fd);
    assert_int_equal(test_server_stop(&w.server, 0), 0);
    w.server.pid = 0;
    fake_api_heal(w.api);
}

static int start_shadow(void **state)
{
    (void)state;
    start_with("bind: true, mode: Shadow");
    return 0;
}

static int start_off(void **state)
{
    (void)state;
    start_with("");
    return 0;
}

static void a_directory_cannot_bind(void **state)
{
    char path[TEST_PATH_BYTES];
    const char *const args[] = {"numawise", "serve", "--cluster", TEST_EXAMPLES "/cluster",
                                "--config", path,    NULL};
    struct buf out = {0}, err = {0};

    (void)state;
    test_temporary(path, "bind.yaml");
    test_write(path, STR(HEAD "extender: {bind: true}\n"));
    assert_int_equal(test_run(args, &out, &err), 2);
    assert_non_null(strstr(err.p, "extender.bind: needs an API server"));
    buf_free(&out);
    buf_free(&err);
    (void)unlink(path);
}

#define BOUND(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOUND(a_pod_is_bound_with_its_uid_and_its_zones),
        BOUND(two_at_a_time_do_not_both_get_the_last_zone),
        BOUND(of_many_at_once_as_many_are_bound_as_fit),
        BOUND(what_is_not_known_is_the_api_servers_to_say),
        BOUND(an_api_server_in_trouble_gets_no_success_out_of_us),
        BOUND(a_node_waits_for_those_who_were_bound_there_however_long),
        BOUND(what_came_of_a_binding_is_found_out_before_the_next_one),
        BOUND(what_is_no_binding_is_refused_without_a_body),
        BOUND(recorded_requests_are_understood),
        BOUND(at_the_end_nobody_is_left_without_an_answer),
        cmocka_unit_test_setup_teardown(in_shadow_what_would_be_refused_is_bound, start_shadow,
                                        stop),
        cmocka_unit_test_setup_teardown(off_is_not_there, start_off, stop),
        cmocka_unit_test(a_directory_cannot_bind),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
