/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `numawise agent` beside a made kubelet and an API server of the test: what it publishes, when,
 * and that nothing half known is ever published as if it were whole.
 */
#include "tests/support/test.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/server.h"

#define REPORTS "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
#define MACHINE TEST_DATA "/machines/96em64t-4n4d3ca2co-pci.xml" /* 4 zones of 24 CPUs */
#define OURS    "orchestration.gokore.io/"
#define UID_A   "0b9a1f0e-0000-4000-8000-00000000000a"
#define UID_B   "0b9a1f0e-0000-4000-8000-00000000000b"

enum { WAIT_MS = 60000, BYTES = 512 };

/* What the API server has of the one report. Used by its threads and the test's. */
struct store {
    pthread_mutex_t lock;
    struct buf report;  /* as it was written last; empty: none */
    char target[BYTES]; /* of that write */
    unsigned writes;
    const char *node_uid; /* NULL: there is no Node */
};

struct bench {
    struct fake_api *api;
    unsigned pods; /* the kind */
    struct store store;
    char work[TEST_PATH_BYTES], kubeconfig[TEST_PATH_BYTES], kubelet[TEST_PATH_BYTES];
    struct test_server agent; /* pid 0: it does not run */
    uint16_t port;
};

/* --- the API server --- */

static int handle(void *ctx, const char *method, const char *target, struct str body,
                  struct buf *out)
{
    struct bench *const b = ctx;
    struct store *const s = &b->store;
    int status = 404;

    (void)pthread_mutex_lock(&s->lock);
    if (strcmp(method, "GET") == 0 && strcmp(target, "/api/v1/nodes/n1") == 0 && s->node_uid) {
        buf_printf(out,
                   "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n1\","
                   "\"uid\":\"%s\",\"resourceVersion\":\"5\"}}",
                   s->node_uid);
        status = 200;
    } else if (strcmp(method, "GET") == 0 && strcmp(target, REPORTS "/n1") == 0 && s->report.n) {
        buf_str(out, buf_view(&s->report));
        status = 200;
    } else if (strcmp(method, "PATCH") == 0 && strstr(target, REPORTS "/n1?") == target) {
        status = s->report.n ? 200 : 201;
        s->report.n = 0;
        buf_str(&s->report, body);
        buf_str(out, body);
        (void)snprintf(s->target, sizeof(s->target), "%s", target);
        s->writes++;
    } else {
        history_status(out, 404, "NotFound", "not found", "", 0);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return status;
}

static void set_node(struct bench *b, const char *uid)
{
    (void)pthread_mutex_lock(&b->store.lock);
    b->store.node_uid = uid;
    (void)pthread_mutex_unlock(&b->store.lock);
}

static unsigned writes(struct bench *b)
{
    (void)pthread_mutex_lock(&b->store.lock);
    const unsigned n = b->store.writes;
    (void)pthread_mutex_unlock(&b->store.lock);
    return n;
}

/* The report as it is now; to be freed. */
static json_t *report(struct bench *b)
{
    json_error_t error;

    (void)pthread_mutex_lock(&b->store.lock);
    json_t *const j = json_loadb(b->store.report.p, b->store.report.n, 0, &error);
    (void)pthread_mutex_unlock(&b->store.lock);
    if (!j)
        fail_msg("%s", error.text);
    return j;
}

static const char *word(json_t *v, const char *key)
{
    const char *const s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

/* Of an object or a zone: its attribute, without our prefix; "" when it has none. */
static const char *attribute(json_t *of, const char *name)
{
    json_t *at;
    size_t i;

    json_array_foreach(json_object_get(of, "attributes"), i, at)
    {
        const char *const full = word(at, "name");
        const char *const own = strncmp(full, OURS, strlen(OURS)) == 0 ? full + strlen(OURS) : full;

        if (strcmp(own, name) == 0)
            return word(at, "value");
    }
    return "";
}

static uint64_t generation(struct bench *b)
{
    json_t *const r = report(b);
    const uint64_t n = strtoull(attribute(r, "generation"), NULL, 10);

    json_decref(r);
    return n;
}

/* CPUs that the report gives to container main of this pod; "" = none, or no such pod. */
static void cpus_of(struct bench *b, const char *pod, char out[64])
{
    json_t *const r = report(b);
    json_t *const placements = json_loads(attribute(r, "placements"), 0, NULL);
    json_t *const main_ =
        json_object_get(json_object_get(json_object_get(placements, pod), "containers"), "main");

    (void)snprintf(out, 64, "%s", word(main_, "cpus"));
    json_decref(placements);
    json_decref(r);
}

/* --- the kubelet --- */

static void put_file(struct bench *b, const char *name, const char *text)
{
    char path[TEST_PATH_BYTES + 64];

    (void)snprintf(path, sizeof(path), "%s/%s", b->kubelet, name);
    test_write(path, str_of(text));
}

/* `entries` like "\"uid\":{\"main\":\"1-2\"}", and what is left of the 96 CPUs. */
static void put_cpus(struct bench *b, const char *rest, const char *entries)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "{\"policyName\":\"static\",\"defaultCpuSet\":\"%s\",\"entries\":{%s},"
                   "\"checksum\":1}",
                   rest, entries);
    put_file(b, "cpu_manager_state", text);
}

static void make_kubelet(struct bench *b)
{
    char path[TEST_PATH_BYTES + 64];

    (void)snprintf(b->kubelet, sizeof(b->kubelet), "%.400s/kubelet", b->work);
    assert_int_equal(mkdir(b->kubelet, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/device-plugins", b->kubelet);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(b, "config.yaml",
             "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
             "cpuManagerPolicy: static\ntopologyManagerPolicy: single-numa-node\n"
             "reservedSystemCPUs: \"0\"\n");
    put_file(b, "memory_manager_state",
             "{\"policyName\":\"None\",\"machineState\":{},\"checksum\":1}");
    put_file(b, "device-plugins/kubelet_internal_checkpoint",
             "{\"Data\":{\"PodDeviceEntries\":null,\"RegisteredDevices\":{}},\"Checksum\":1}");
    put_cpus(b, "0-1,4-95", "\"" UID_A "\":{\"main\":\"2-3\"}");
}

static void put_pod(struct bench *b, const char *name, const char *uid)
{
    (void)history_put(fake_api_lock(b->api), b->pods, "ml", name, uid,
                      "'spec':{'nodeName':'n1'},'status':{'phase':'Running'}");
    fake_api_unlock(b->api);
}

/* --- the agent --- */

static int set_up(void **state)
{
    static const struct fake_api_options plain;
    struct bench *const b = calloc(1, sizeof(*b));
    const char *const tmp = getenv("TMPDIR");

    (void)pthread_mutex_init(&b->store.lock, NULL);
    b->store.node_uid = "node-uid";
    b->api = fake_api_new(&plain);
    b->pods = history_kind(fake_api_lock(b->api), "/api/v1/pods", "v1", "Pod", false);
    fake_api_unlock(b->api);
    fake_api_handle(b->api, handle, b);
    put_pod(b, "a", UID_A);
    (void)snprintf(b->work, sizeof(b->work), "%s/numawise-agent-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->work));
    make_kubelet(b);
    (void)snprintf(b->kubeconfig, sizeof(b->kubeconfig), "%.400s/kubeconfig", b->work);
    fake_api_write_kubeconfig(b->api, b->kubeconfig);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *const b = *state;

    if (b->agent.pid)
        assert_int_equal(test_server_stop(&b->agent, SIGTERM), 0);
    fake_api_free(b->api);
    test_remove_tree(b->work);
    buf_free(&b->store.report);
    (void)pthread_mutex_destroy(&b->store.lock);
    free(b);
    return 0;
}

static void start(struct bench *b)
{
    char plugins[TEST_PATH_BYTES + 64];
    const char *const args[] = {"numawise",
                                "agent",
                                "--xml",
                                MACHINE,
                                "--kubeconfig",
                                b->kubeconfig,
                                "--kubelet-dir",
                                b->kubelet,
                                "--device-plugins",
                                plugins,
                                "--podresources",
                                "off",
                                "--node-name",
                                "n1",
                                "--listen",
                                "127.0.0.1:0",
                                NULL};
    struct buf said = {0};

    (void)snprintf(plugins, sizeof(plugins), "%s/device-plugins", b->kubelet);
    test_program_start(&b->agent, args);
    for (int ms = 0; b->port == 0 && ms < WAIT_MS; ms += 5) {
        test_program_output(&b->agent, &said);
        const char *const colon = said.n ? strrchr(said.p, ':') : NULL;
        if (colon && said.p[said.n - 1] == '\n')
            b->port = (uint16_t)atoi(colon + 1);
        (void)poll(NULL, 0, 5);
    }
    buf_free(&said);
    if (b->port == 0) {
        test_server_log(&b->agent, &said);
        fail_msg("it does not listen: %s", said.p);
    }
}

static void stop(struct bench *b)
{
    assert_int_equal(test_server_stop(&b->agent, SIGTERM), 0);
    b->agent.pid = 0;
    b->port = 0;
}

/* The value of one series, -1 when there is none. */
static double figure(struct bench *b, const char *series)
{
    struct buf text = {0};
    double value = -1;

    assert_int_equal(test_get(b->port, "/metrics", &text), 200);
    buf_add(&text, "", 1);
    const char *at = strstr(text.p, series);
    while (at && (at != text.p && at[-1] != '\n'))
        at = strstr(at + 1, series);
    if (at)
        value = strtod(at + strlen(series), NULL);
    buf_free(&text);
    return value;
}

static void said(struct bench *b, const char *what)
{
    struct buf log = {0};

    test_server_log(&b->agent, &log);
    if (!log.p || !strstr(log.p, what))
        fail_msg("it did not say \"%s\": %s", what, log.p ? log.p : "");
    buf_free(&log);
}

/* Until `*held` is so, or long enough for any machine. */
static void await(struct bench *b, bool (*holds)(struct bench *b, const void *what),
                  const void *what, const char *fact)
{
    for (int ms = 0; ms < WAIT_MS; ms += 5) {
        if (holds(b, what))
            return;
        (void)poll(NULL, 0, 5);
    }
    struct buf log = {0};
    test_server_log(&b->agent, &log);
    fail_msg("%s did not come: %s", fact, log.p);
}

static bool has_written(struct bench *b, const void *least)
{
    return writes(b) >= *(const unsigned *)least;
}

static void await_writes(struct bench *b, unsigned least)
{
    await(b, has_written, &least, "a write");
}

static bool has_cpus(struct bench *b, const void *what)
{
    const char *const *const pair = what; /* pod, CPUs */
    char cpus[64] = "?";

    if (writes(b))
        cpus_of(b, pair[0], cpus);
    return strcmp(cpus, pair[1]) == 0;
}

static void await_cpus(struct bench *b, const char *pod, const char *cpus)
{
    const char *const pair[] = {pod, cpus};

    await(b, has_cpus, pair, cpus);
}

struct series {
    const char *name;
    double above;
};

static bool has_counted(struct bench *b, const void *what)
{
    const struct series *const s = what;

    return figure(b, s->name) > s->above;
}

#define LOOKS "numawise_agent_reads_total{source=\"kubelet\",result=\"ok\"}"

/* Until it has looked `more` times more. */
static void await_looks(struct bench *b, const char *series, unsigned more)
{
    const struct series s = {series, figure(b, series) + more - 0.5};

    await(b, has_counted, &s, series);
}

/* --- tests --- */

static void what_the_node_has_and_who_holds_it_is_published(void **state)
{
    struct bench *const b = *state;
    int64_t observed;

    start(b);
    await_writes(b, 1);
    json_t *const r = report(b);
    json_t *const meta = json_object_get(r, "metadata");
    json_t *const owner = json_array_get(json_object_get(meta, "ownerReferences"), 0);
    assert_string_equal(word(r, "apiVersion"), "topology.node.k8s.io/v1alpha2");
    assert_string_equal(word(r, "kind"), "NodeResourceTopology");
    assert_string_equal(word(meta, "name"), "n1");
    assert_string_equal(word(owner, "kind"), "Node");
    assert_string_equal(word(owner, "uid"), "node-uid");
    assert_string_equal(attribute(r, "topologyManagerPolicy"), "single-numa-node");
    assert_string_equal(attribute(r, "cpu-manager-policy"), "static");
    assert_string_equal(attribute(r, "reserved-cpus"), "0");
    assert_string_equal(attribute(r, "generation"), "1");
    assert_int_equal(clock_parse_rfc3339(str_of(attribute(r, "observed-at")), &observed), 0);
    assert_true(observed <= clock_realtime_us());
    json_t *const zones = json_object_get(r, "zones");
    assert_int_equal(json_array_size(zones), 4);
    assert_string_equal(attribute(json_array_get(zones, 0), "cpus"), "0-23");
    assert_string_equal(attribute(json_array_get(zones, 0), "free-cpus"), "0-1,4-23");
    json_t *const placements = json_loads(attribute(r, "placements"), 0, NULL);
    assert_int_equal(json_object_size(placements), 1);
    assert_string_equal(word(json_object_get(placements, "ml/a"), "uid"), UID_A);
    json_decref(placements);
    json_decref(r);
    await_cpus(b, "ml/a", "2-3");
    (void)pthread_mutex_lock(&b->store.lock);
    assert_string_equal(b->store.target, REPORTS "/n1?fieldManager=numawise-agent&force=true");
    (void)pthread_mutex_unlock(&b->store.lock);
    assert_true(fake_api_asked(b->api, "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=") >
                0);
    assert_int_equal(test_get(b->port, "/livez", NULL), 200);
    assert_int_equal(test_get(b->port, "/readyz", NULL), 200);
    assert_true(figure(b, "numawise_agent_publications_total{result=\"written\"} ") == 1);
    assert_true(figure(b, "numawise_agent_lacking{what=\"placements\"} ") == 0);
    assert_true(figure(b, "numawise_agent_last_publication_timestamp_seconds ") > 1e9);
    assert_true(figure(b, "process_resident_memory_bytes ") > 0);
}

static void a_change_of_the_kubelets_state_is_followed(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    put_cpus(b, "0-1,8-95", "\"" UID_A "\":{\"main\":\"2-7\"}");
    await_cpus(b, "ml/a", "2-7");
    assert_int_equal(generation(b), 2);
    put_cpus(b, "0-95", "");
    await_cpus(b, "ml/a", "");
    assert_int_equal(generation(b), 3);
    put_file(b, "config.yaml",
             "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
             "cpuManagerPolicy: static\ntopologyManagerPolicy: restricted\n"
             "reservedSystemCPUs: \"0\"\n");
    await_writes(b, 4);
    json_t *const r = report(b);
    assert_string_equal(attribute(r, "topologyManagerPolicy"), "restricted");
    json_decref(r);
}

static void nothing_is_written_when_nothing_has_changed(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    const unsigned before = writes(b);
    for (int i = 0; i < 3; i++) {
        put_cpus(b, "0-1,4-95", "\"" UID_A "\":{\"main\":\"2-3\"}");
        await_looks(b, LOOKS, 1);
    }
    put_pod(b, "x", UID_B); /* holds nothing */
    await_looks(b, LOOKS, 1);
    assert_int_equal(writes(b), before);
}

/* The kubelet may know a pod before we are told of it, and never the other way round for long. */
static void a_pod_that_is_told_late_is_published_with_its_name(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    put_cpus(b, "0-1,6-95", "\"" UID_A "\":{\"main\":\"2-3\"},\"" UID_B "\":{\"main\":\"4-5\"}");
    await_looks(b, LOOKS, 1);
    put_pod(b, "b", UID_B);
    await_cpus(b, "ml/b", "4-5");
    await_cpus(b, "ml/a", "2-3");
}

static void a_server_in_trouble_is_tried_again_until_it_takes_it(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    fake_api_fault(b->api, FAKE_STATUS, REPORTS, FAKE_BOTH, 1, 503, 0);
    put_cpus(b, "0-1,8-95", "\"" UID_A "\":{\"main\":\"2-7\"}");
    await_cpus(b, "ml/a", "2-7");
    assert_true(figure(b, "numawise_agent_publications_total{result=\"failed\"} ") == 1);
    assert_int_equal(generation(b), 3); /* 2 was tried, and nobody knows what became of it */
    said(b, "503");
    fake_api_cut(b->api);
    fake_api_fault(b->api, FAKE_RESET, REPORTS, FAKE_BOTH, 1, 0, 0);
    put_cpus(b, "0-1,6-95", "\"" UID_A "\":{\"main\":\"2-5\"}");
    await_cpus(b, "ml/a", "2-5");
}

static void generations_go_on_after_a_restart(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    put_cpus(b, "0-1,8-95", "\"" UID_A "\":{\"main\":\"2-7\"}");
    await_cpus(b, "ml/a", "2-7");
    const uint64_t last = generation(b);
    const unsigned before = writes(b);
    stop(b);
    start(b);
    await_writes(b, before + 1);
    assert_int_equal(generation(b), last + 1);
}

/* What was published stays, and grows old: nothing is made of half a file. */
static void a_broken_state_file_publishes_nothing_and_is_said(void **state)
{
    struct bench *const b = *state;

    start(b);
    await_cpus(b, "ml/a", "2-3");
    const unsigned before = writes(b);
    put_file(b, "cpu_manager_state", "{\"policyName\":\"static\",\"defaultCpuSet\":7}");
    await_looks(b, "numawise_agent_reads_total{source=\"kubelet\",result=\"failed\"}", 1);
    said(b, "cpu_manager_state");
    put_file(b, "cpu_manager_state", "{\"policyName\":\"sta");
    await_looks(b, "numawise_agent_reads_total{source=\"kubelet\",result=\"again\"}", 1);
    assert_int_equal(writes(b), before);
    put_cpus(b, "0-1,8-95", "\"" UID_A "\":{\"main\":\"2-7\"}");
    await_cpus(b, "ml/a", "2-7");
    assert_int_equal(writes(b), before + 1);
}

/* Without the file nobody knows what is held; that is said by saying nothing. */
static void what_is_not_known_is_left_out(void **state)
{
    struct bench *const b = *state;
    char path[TEST_PATH_BYTES + 64];

    (void)snprintf(path, sizeof(path), "%s/cpu_manager_state", b->kubelet);
    assert_int_equal(unlink(path), 0);
    start(b);
    await_writes(b, 1);
    json_t *r = report(b);
    assert_string_equal(attribute(r, "placements"), "");
    assert_string_equal(attribute(json_array_get(json_object_get(r, "zones"), 0), "free-cpus"), "");
    json_decref(r);
    assert_true(figure(b, "numawise_agent_lacking{what=\"placements\"} ") == 1);
    said(b, "cpu_manager_state");
    put_cpus(b, "0-1,4-95", "\"" UID_A "\":{\"main\":\"2-3\"}");
    await_cpus(b, "ml/a", "2-3");
    assert_true(figure(b, "numawise_agent_lacking{what=\"placements\"} ") == 0);
}

static bool has_asked_for_the_node(struct bench *b, const void *what)
{
    return fake_api_asked(b->api, "GET /api/v1/nodes/n1") >= *(const unsigned *)what;
}

/* A report that nobody owns would outlive its node. */
static void nothing_is_published_for_a_node_that_is_not_there_yet(void **state)
{
    struct bench *const b = *state;
    const unsigned once = 1;

    set_node(b, NULL);
    start(b);
    await(b, has_asked_for_the_node, &once, "a question for the Node");
    assert_int_equal(writes(b), 0);
    assert_int_equal(test_get(b->port, "/readyz", NULL), 503);
    set_node(b, "late");
    await_writes(b, 1);
    json_t *const r = report(b);
    assert_string_equal(
        word(json_array_get(json_object_get(json_object_get(r, "metadata"), "ownerReferences"), 0),
             "uid"),
        "late");
    json_decref(r);
}

/* --- once --- */

static void once(struct bench *b, const char *format, const char *kubeconfig, struct buf *out,
                 struct buf *err)
{
    char plugins[TEST_PATH_BYTES + 64];
    const char *args[20] = {"numawise", "agent",
                            "--once",   "-o",
                            format,     "--xml",
                            MACHINE,    "--node-name",
                            "n1",       "--kubelet-dir",
                            b->kubelet, "--podresources",
                            "off",      "--device-plugins",
                            plugins};

    (void)snprintf(plugins, sizeof(plugins), "%s/device-plugins", b->kubelet);
    if (kubeconfig) {
        args[15] = "--kubeconfig";
        args[16] = kubeconfig;
    }
    if (test_run(args, out, err) != 0)
        fail_msg("%s", err->p);
}

/* The machine's memory, 205083447296 bytes, is 200276804Ki; the node keeps nothing back. */
static const char node_manifest[] =
    "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
    "status: {capacity: {cpu: '96', memory: 200276804Ki, pods: '110'}, allocatable: {cpu: '95',"
    " memory: 200276804Ki, pods: '110'}, nodeInfo: {kubeletVersion: v1.36.3}}\n";

static const char pod_manifest[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: new, namespace: ml}\nspec:\n  containers:\n"
    "  - {name: main, image: x, resources: {requests: {cpu: '4', memory: 1Gi}, limits: {cpu: '4',"
    " memory: 1Gi}}}\n";

/* What it prints is a manifest that the other commands take, and know a node by exactly. */
static void a_decision_about_what_it_prints_is_exact(void **state)
{
    struct bench *const b = *state;
    char cluster[TEST_PATH_BYTES + 16], path[TEST_PATH_BYTES + 64], pod[TEST_PATH_BYTES + 16];
    struct buf out = {0}, err = {0};

    (void)snprintf(cluster, sizeof(cluster), "%s/cluster", b->work);
    assert_int_equal(mkdir(cluster, 0700), 0);
    once(b, "manifest", b->kubeconfig, &out, &err);
    (void)snprintf(path, sizeof(path), "%s/report.yaml", cluster);
    test_write(path, buf_view(&out));
    (void)snprintf(path, sizeof(path), "%s/node.yaml", cluster);
    test_write(path, str_of(node_manifest));
    (void)snprintf(pod, sizeof(pod), "%s/pod.yaml", b->work);
    test_write(pod, str_of(pod_manifest));
    const char *const check[] = {"numawise", "check", cluster, NULL};
    buf_free(&out), buf_free(&err);
    if (test_run(check, &out, &err) != 0)
        fail_msg("%s%s", out.p, err.p);
    const char *const explain[] = {"numawise", "explain", "-f",   pod, "--cluster",
                                   cluster,    "-o",      "json", NULL};
    buf_free(&out), buf_free(&err);
    if (test_run(explain, &out, &err) != 0)
        fail_msg("%s%s", out.p, err.p);
    json_t *const j = json_loadb(out.p, out.n, 0, NULL);
    json_t *const node = json_array_get(json_object_get(j, "nodes"), 0);
    json_t *const main_ = json_array_get(json_object_get(node, "containers"), 0);
    assert_string_equal(word(node, "verdict"), "Admitted");
    if (strcmp(word(node, "certainty"), "Exact") != 0)
        fail_msg("%s", out.p);
    assert_string_equal(word(main_, "cpus"), "1,4-6"); /* 0 is reserved, ml/a has 2 and 3 */
    json_decref(j);
    buf_free(&out), buf_free(&err);
}

static void without_an_api_server_names_are_not_known_and_that_is_said(void **state)
{
    struct bench *const b = *state;
    struct buf out = {0}, err = {0};

    (void)unsetenv("KUBECONFIG");
    once(b, "json", NULL, &out, &err);
    json_t *r = json_loadb(out.p, out.n, 0, NULL);
    assert_non_null(r);
    assert_string_equal(attribute(r, "placements"), "");
    assert_string_equal(attribute(json_array_get(json_object_get(r, "zones"), 0), "free-cpus"),
                        "0-1,4-23");
    assert_non_null(strstr(err.p, "names are not known"));
    json_decref(r);
    buf_free(&out), buf_free(&err);
    put_cpus(b, "0-95", ""); /* nothing is held: that needs no names */
    once(b, "json", NULL, &out, &err);
    r = json_loadb(out.p, out.n, 0, NULL);
    assert_string_equal(attribute(r, "placements"), "{}");
    json_decref(r);
    buf_free(&out), buf_free(&err);
}

static void usage_is_checked(void **state)
{
    static const struct {
        const char *args[6];
        int code;
        const char *says;
    } cases[] = {
        {{"numawise", "agent", "--node-name", "N_1"}, 2, "--node-name"},
        {{"numawise", "agent", "-o", "table"}, 2, "not manifest or json"},
        {{"numawise", "agent", "n1"}, 2, "unexpected \"n1\""},
        {{"numawise", "agent", "--once", "--xml", "/nonexistent"}, 3, "/nonexistent"},
        {{"numawise", "agent", "--kubeconfig", "/nonexistent"}, 3, "/nonexistent"},
    };

    (void)setenv("NODE_NAME", "n1", 1); /* whatever this host is called */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = {0}, err = {0};

        assert_int_equal(test_run(cases[i].args, &out, &err), cases[i].code);
        if (!strstr(err.p, cases[i].says))
            fail_msg("%s", err.p);
        buf_free(&out), buf_free(&err);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_the_node_has_and_who_holds_it_is_published),
        T(a_change_of_the_kubelets_state_is_followed),
        T(nothing_is_written_when_nothing_has_changed),
        T(a_pod_that_is_told_late_is_published_with_its_name),
        T(a_server_in_trouble_is_tried_again_until_it_takes_it),
        T(generations_go_on_after_a_restart),
        T(a_broken_state_file_publishes_nothing_and_is_said),
        T(what_is_not_known_is_left_out),
        T(nothing_is_published_for_a_node_that_is_not_there_yet),
        T(a_decision_about_what_it_prints_is_exact),
        T(without_an_api_server_names_are_not_known_and_that_is_said),
        cmocka_unit_test(usage_is_checked),
    };
#undef T

    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
