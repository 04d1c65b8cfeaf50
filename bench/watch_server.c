/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/watch_server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/synth.h"
#include "kube/file.h"
#include "tests/support/fake_api.h"

enum { NODES, PODS, TOPOLOGIES, KINDS };
enum { TURN_MS = 10, LEAST_PAUSE_US = 500 };

struct world {
    struct fake_api *api;
    uint32_t nodes, zones, pods;
    uint64_t seed;
    uint32_t *generation;   /* [nodes * pods] how often the pod was replaced */
    uint32_t *round;        /* [nodes] of its report */
    unsigned listed[KINDS]; /* requests for lists of each kind before they were forgotten */
};

static uint64_t random_of(struct world *w, uint64_t below)
{
    w->seed ^= w->seed >> 12;
    w->seed ^= w->seed << 25;
    w->seed ^= w->seed >> 27;
    return (w->seed * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

/* --- objects --- */

static void add_managed(struct buf *b)
{
    static const char *const fields[] = {"image",
                                         "imagePullPolicy",
                                         "name",
                                         "resources",
                                         "terminationMessagePath",
                                         "terminationMessagePolicy",
                                         "volumeMounts",
                                         "env",
                                         "ports",
                                         "livenessProbe"};

    buf_text(b, ",\"managedFields\":[");
    for (int k = 0; k < 2; k++) {
        buf_printf(b,
                   "%s{\"manager\":\"%s\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":"
                   "\"2026-11-24T03:02:01Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":"
                   "{\"f:containers\":{\"k:{\\\"name\\\":\\\"c%d\\\"}\":{\".\":{}",
                   k ? "," : "", k ? "kubelet" : "kube-controller-manager", k);
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            buf_printf(b, ",\"f:%s\":{\".\":{},\"f:x%zu\":{}}", fields[i], i);
        buf_text(b, "}}}}}");
    }
    buf_text(b, "]");
}

static void add_container(struct buf *b, int k, const char *resources)
{
    buf_printf(
        b,
        "%s{\"name\":\"c%d\",\"image\":\"registry.example.internal/platform/service-%02d:"
        "v1.%d.0\",\"args\":[\"--config=/etc/service/config.yaml\",\"--v=2\"],\"ports\":[{"
        "\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"POD_NAME\","
        "\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.name\"}}"
        "}],\"resources\":%s,\"volumeMounts\":[{\"name\":\"kube-api-access-x2x4z\","
        "\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],"
        "\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":8080,\"scheme\":"
        "\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1},"
        "\"terminationMessagePath\":\"/dev/termination-log\",\"imagePullPolicy\":"
        "\"IfNotPresent\"}",
        k ? "," : "", k, k * 7 + 3, k, resources);
}

static void add_conditions(struct buf *b, uint64_t beat)
{
    static const char *const types[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                        "ContainersReady", "PodScheduled"};

    buf_text(b, "\"conditions\":[");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        buf_printf(b,
                   "%s{\"type\":\"%s\",\"status\":\"True\",\"observedGeneration\":1,"
                   "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-11-24T03:%02u:01Z\"}",
                   i ? "," : "", types[i], i == 2 ? (unsigned)(beat % 60) : 2);
    buf_text(b, "]");
}

static void add_statuses(struct buf *b, uint64_t beat)
{
    buf_text(b, ",\"containerStatuses\":[");
    for (int k = 0; k < 2; k++)
        buf_printf(b,
                   "%s{\"name\":\"c%d\",\"state\":{\"running\":{\"startedAt\":"
                   "\"2026-11-24T03:02:03Z\"}},\"lastState\":{},\"ready\":true,\"restartCount\":%u,"
                   "\"image\":\"registry.example.internal/platform/service-%02d:v1.%d.0\","
                   "\"imageID\":\"registry.example.internal/platform/service@sha256:"
                   "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef\","
                   "\"containerID\":\"containerd://0bf18a086007016e948b04aed3b82103a36bea41755b6cd"
                   "dfaf10ace3c6ef5f\",\"started\":true}",
                   k ? "," : "", k, (unsigned)(beat % 7), k * 7 + 3, k);
    buf_text(b, "]");
}

/* What of a node's pods holds CPUs for itself, as its report says; the rest is plain. */
static bool is_holder(const struct world *w, uint32_t node, uint32_t k)
{
    return k < w->zones && (node * 7 + k * 3) % 16 > 0;
}

static void pod_name(const struct world *w, uint32_t node, uint32_t k, char out[64])
{
    if (is_holder(w, node, k))
        (void)snprintf(out, 64, "holder-%u-%u", node, k);
    else
        (void)snprintf(out, 64, "service-%02u-7c5ddbdf54-%05u-%u", k, node,
                       w->generation[node * w->pods + k]);
}

static void put_pod(struct world *w, struct history *h, uint32_t node, uint32_t k, uint64_t beat)
{
    struct buf b = {0};
    char name[64], resources[160];
    const uint32_t held = 2 * ((node * 7 + k * 3) % 16);

    pod_name(w, node, k, name);
    if (is_holder(w, node, k))
        (void)snprintf(resources, sizeof(resources),
                       "{\"limits\":{\"cpu\":\"%u\",\"memory\":\"%uGi\"},\"requests\":{\"cpu\":"
                       "\"%u\",\"memory\":\"%uGi\"}}",
                       held, held, held, held);
    else
        (void)snprintf(resources, sizeof(resources),
                       "{\"limits\":{\"memory\":\"512Mi\"},\"requests\":{\"cpu\":\"250m\","
                       "\"memory\":\"256Mi\"}}");
    buf_printf(
        &b,
        "{\"metadata\":{\"name\":\"%s\",\"generateName\":\"service-%02u-7c5ddbdf54-\","
        "\"namespace\":\"bench\",\"uid\":\"00000000-0000-4000-9%03u-%06u%06u\","
        "\"generation\":1,\"creationTimestamp\":\"2026-11-24T03:02:00Z\",\"labels\":{\"app\":"
        "\"service-%02u\",\"pod-template-hash\":\"7c5ddbdf54\"},\"annotations\":{\"t\":"
        "\"%" PRIu64 "\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":"
        "\"ReplicaSet\",\"name\":\"service-%02u-7c5ddbdf54\",\"uid\":"
        "\"6b0a7c55-2d39-4d0e-8f0c-0f6a1c7e9d21\",\"controller\":true,"
        "\"blockOwnerDeletion\":true}]",
        name, k, is_holder(w, node, k) ? k : 900 + k,
        is_holder(w, node, k) ? 0 : w->generation[node * w->pods + k], node, k,
        clock_monotonic_ns(), k);
    add_managed(&b);
    buf_text(&b, "},\"spec\":{\"containers\":[");
    add_container(&b, 0, resources);
    if (!is_holder(w, node, k))
        add_container(&b, 1, "{}");
    buf_printf(&b,
               "],\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":"
               "\"ClusterFirst\",\"serviceAccountName\":\"default\",\"nodeName\":\"node-%05u\","
               "\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":"
               "\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\","
               "\"tolerationSeconds\":300}],\"priority\":0},\"status\":{\"phase\":\"Running\","
               "\"qosClass\":\"Burstable\",\"startTime\":\"2026-11-24T03:02:01Z\",",
               node);
    add_conditions(&b, beat);
    add_statuses(&b, beat);
    buf_text(&b, "}}");
    (void)history_put_text(h, PODS, "bench", name, buf_view(&b));
    buf_free(&b);
}

static int put_document(void *ctx, const struct kube_document *doc)
{
    struct history *const h = ctx;
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(doc->meta.name));
    (void)history_put_text(h, str_is(doc->meta.kind, "Node") ? NODES : TOPOLOGIES, "", name,
                           doc->json);
    return 0;
}

static void put_node(struct world *w, struct history *h, uint32_t node)
{
    static const char zeros[64];
    const struct kube_visitor visitor = {put_document, NULL, h};
    struct buf b = {0};

    synth_node(&b, node, w->zones, w->round[node]);
    const size_t n = b.n;
    buf_add(&b, zeros, sizeof(zeros));
    if (kube_text_visit((struct str){b.p, n}, "node.json", &visitor, NULL))
        abort();
    buf_free(&b);
}

/* --- what happens --- */

static void change(struct world *w, struct history *h)
{
    const uint32_t node = (uint32_t)random_of(w, w->nodes);
    const uint32_t k = (uint32_t)random_of(w, w->pods);
    const uint64_t what = random_of(w, 100);

    if (what < 2) {
        put_node(w, h, node); /* the same load, observed anew */
    } else if (what < 12 && !is_holder(w, node, k)) {
        char name[64];

        pod_name(w, node, k, name);
        (void)history_delete(h, PODS, "bench", name);
        w->generation[node * w->pods + k]++;
        put_pod(w, h, node, k, 0);
    } else {
        put_pod(w, h, node, k, random_of(w, 1000));
    }
}

static void storm(struct world *w, uint32_t rate, uint32_t seconds)
{
    const uint64_t from = clock_monotonic_ns(), turns = seconds * UINT64_C(1000) / TURN_MS;

    for (uint64_t i = 0; i < turns; i++) {
        const uint64_t due = from + (i + 1) * TURN_MS * UINT64_C(1000000);
        struct history *const h = fake_api_lock(w->api);
        const uint64_t target = history_version(h) + rate * TURN_MS / 1000;

        while (history_version(h) < target)
            change(w, h);
        fake_api_unlock(w->api);
        /* Also when it is late: the lock is not fair, and the watches need it, too. */
        const uint64_t now = clock_monotonic_ns();
        (void)usleep(now + LEAST_PAUSE_US * UINT64_C(1000) < due ? (useconds_t)((due - now) / 1000)
                                                                 : LEAST_PAUSE_US);
    }
}

static unsigned lists_of(struct world *w, unsigned kind)
{
    static const char *const lines[] = {
        [NODES] = "GET /api/v1/nodes?limit",
        [PODS] = "GET /api/v1/pods?limit",
        [TOPOLOGIES] = "GET /apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies?limit",
    };

    return fake_api_asked(w->api, lines[kind]);
}

/* Of how many kinds a list was asked for since. */
static unsigned listed_again(struct world *w)
{
    unsigned n = 0;

    for (unsigned kind = 0; kind < KINDS; kind++)
        n += lists_of(w, kind) > w->listed[kind];
    return n;
}

/* Each kind has changed while nobody could see it. */
static void forget(struct world *w)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        w->listed[kind] = lists_of(w, kind);
    fake_api_cut(w->api);
    struct history *const h = fake_api_lock(w->api);
    put_node(w, h, 0);
    put_pod(w, h, 0, w->pods - 1, 1);
    history_compact(h, history_version(h));
    fake_api_unlock(w->api);
}

static void dump_one(void *ctx, struct str key, struct str text)
{
    const char *const uid = strstr(text.p, "\"uid\":\"") + 7;

    (void)fprintf(ctx, "%.*s %.*s\n", STR_ARG(key), (int)strcspn(uid, "\""), uid);
}

static void dump(struct world *w, FILE *out)
{
    struct history *const h = fake_api_lock(w->api);

    history_each(h, PODS, dump_one, out);
    (void)fputs("\n", out);
    fake_api_unlock(w->api);
}

static void answer(struct world *w, FILE *in, FILE *out)
{
    char line[128];
    unsigned rate, seconds;

    while (fgets(line, sizeof(line), in)) {
        if (sscanf(line, "storm %u %u", &rate, &seconds) == 2) {
            storm(w, rate, seconds);
        } else if (strncmp(line, "forget", 6) == 0) {
            forget(w);
        } else if (strncmp(line, "dump", 4) == 0) {
            dump(w, out);
        } else if (strncmp(line, "listed", 6) == 0) {
            (void)fprintf(out, "%u\n", listed_again(w));
            (void)fflush(out);
            continue;
        }
        struct history *const h = fake_api_lock(w->api);
        (void)fprintf(out, "%" PRIu64 "\n", history_version(h));
        fake_api_unlock(w->api);
        (void)fflush(out);
    }
}

static void fill(struct world *w)
{
    struct history *const h = fake_api_lock(w->api);

    (void)history_kind(h, "/api/v1/nodes", "v1", "Node", false);
    (void)history_kind(h, "/api/v1/pods", "v1", "Pod", false);
    (void)history_kind(h, "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies",
                       "topology.node.k8s.io/v1alpha2", "NodeResourceTopology", true);
    for (uint32_t i = 0; i < w->nodes; i++) {
        put_node(w, h, i);
        for (uint32_t k = 0; k < w->pods; k++)
            put_pod(w, h, i, k, 0);
    }
    fake_api_unlock(w->api);
}

static _Noreturn void run(uint32_t nodes, uint32_t zones, uint32_t pods, FILE *in, FILE *out)
{
    static const struct fake_api_options options = {.bookmark_ms = 1000, .whole_at_zero = true};
    struct world w = {.nodes = nodes, .zones = zones, .pods = pods, .seed = 20261124};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    w.api = fake_api_new(&options);
    w.generation = calloc((size_t)nodes * pods, sizeof(*w.generation));
    w.round = calloc(nodes, sizeof(*w.round));
    fill(&w);
    (void)fprintf(out, "%u\n", fake_api_port(w.api));
    (void)fflush(out);
    answer(&w, in, out);
    _exit(0);
}

/* --- watch_server.h, in the parent --- */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static uint64_t read_number(struct watch_server *s)
{
    char line[64];

    if (!fgets(line, sizeof(line), s->hear))
        die("the API server has ended");
    return strtoull(line, NULL, 10);
}

void watch_server_start(struct watch_server *out, uint32_t nodes, uint32_t zones, uint32_t pods)
{
    int to[2], from[2];

    if (pipe(to) || pipe(from))
        die("no pipes");
    (void)fflush(NULL);
    *out = (struct watch_server){.pid = fork()};
    if (out->pid == 0) {
        (void)close(to[1]);
        (void)close(from[0]);
        run(nodes, zones, pods, fdopen(to[0], "r"), fdopen(from[1], "w"));
    }
    (void)close(to[0]);
    (void)close(from[1]);
    out->say = fdopen(to[1], "w");
    out->hear = fdopen(from[0], "r");
    out->port = (uint16_t)read_number(out);
}

void watch_server_stop(struct watch_server *s)
{
    (void)fclose(s->say);
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)fclose(s->hear);
}

static void say(struct watch_server *s, const char *line)
{
    (void)fputs(line, s->say);
    (void)fflush(s->say);
}

void watch_server_storm(struct watch_server *s, uint32_t rate, uint32_t seconds)
{
    char line[64];

    (void)snprintf(line, sizeof(line), "storm %u %u\n", rate, seconds);
    say(s, line);
}

uint64_t watch_server_wait(struct watch_server *s)
{
    return read_number(s);
}

void watch_server_forget(struct watch_server *s)
{
    say(s, "forget\n");
    (void)read_number(s);
}

bool watch_server_listed(struct watch_server *s)
{
    say(s, "listed\n");
    return read_number(s) == KINDS;
}

void watch_server_dump(struct watch_server *s)
{
    say(s, "dump\n");
}
