/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may call the operator: the real program, and an API server that knows some tokens and some
 * roles, lies, hangs and is away. Pods of one tenant attack another one.
 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/api_doc.h"
#include "tests/support/data.h"
#include "tests/support/fake_api.h"
#include "tests/support/server.h"
#include "tests/support/tls.h"

enum { NODES, PODS, TOPOLOGIES, PATIENCE_MS = 30000 };

#define TOKENS "POST /apis/authentication.k8s.io/v1/tokenreviews"
#define ACCESS "POST /apis/authorization.k8s.io/v1/subjectaccessreviews"

static struct {
    struct fake_api *api;
    struct test_server server;
    char kubeconfig[TEST_PATH_BYTES];
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool holds_guesses; /* reviews of "guess-..." are not answered */
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

/* --- the API server --- */

/* What a token is: of which user, for whom, bound to which pod. */
static const struct {
    const char *token, *user, *audience, *pod, *uid;
} tokens[] = {
    {"tok.teller-0", "system:serviceaccount:bank:teller", "numawise", "teller-0", "uid-teller-0"},
    {"tok.teller-1", "system:serviceaccount:bank:teller", "numawise", "teller-1", "uid-teller-1"},
    /* Of a pod that is gone; another one has its name. */
    {"tok.teller-0-old", "system:serviceaccount:bank:teller", "numawise", "teller-0", "uid-before"},
    {"tok.unbound", "system:serviceaccount:bank:teller", "numawise", NULL, NULL},
    {"tok.evil-0", "system:serviceaccount:evil:default", "numawise", "evil-0", "uid-evil-0"},
    {"tok.jane", "jane", "numawise", NULL, NULL},
    {"tok.root", "root", "numawise", NULL, NULL},
    {"tok.elsewhere", "root", "https://kubernetes.default.svc", NULL, NULL},
    /* Somebody has chosen his name well. */
    {"tok.odd", "mallory\r\n2026-01-01 warn operator: all is well\xe2\x80\xae</script>\x1b[2J\"",
     "numawise", NULL, NULL},
};

static json_t *user_of(size_t i)
{
    json_t *const extra = json_object();

    if (tokens[i].pod) {
        json_object_set_new(extra, "authentication.kubernetes.io/pod-name",
                            json_pack("[s]", tokens[i].pod));
        json_object_set_new(extra, "authentication.kubernetes.io/pod-uid",
                            json_pack("[s]", tokens[i].uid));
    }
    return json_pack("{s:s,s:s,s:[s],s:o}", "username", tokens[i].user, "uid", "1", "groups",
                     "system:authenticated", "extra", extra);
}

static void hold_guesses(bool holds)
{
    (void)pthread_mutex_lock(&w.lock);
    w.holds_guesses = holds;
    (void)pthread_cond_broadcast(&w.released);
    (void)pthread_mutex_unlock(&w.lock);
}

static json_t *review_token(const json_t *spec)
{
    const char *const token = json_string_value(json_object_get(spec, "token"));

    (void)pthread_mutex_lock(&w.lock);
    while (w.holds_guesses && strncmp(token, "guess-", 6) == 0)
        (void)pthread_cond_wait(&w.released, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);

    assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "audiences"), 0)),
                        "numawise");
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        if (strcmp(token, tokens[i].token) == 0)
            return json_pack("{s:b,s:[s],s:o}", "authenticated", 1, "audiences", tokens[i].audience,
                             "user", user_of(i));
    }
    return json_pack("{s:s}", "error", "invalid bearer token");
}

/* root may everything; jane may read lock policies of bank, and so may who has her certificate. */
static json_t *review_access(const json_t *spec)
{
    const json_t *const wish = json_object_get(spec, "resourceAttributes");
    const char *const user = json_string_value(json_object_get(spec, "user"));
    const char *const ns = json_string_value(json_object_get(wish, "namespace"));
    const char *const verb = json_string_value(json_object_get(wish, "verb"));
    const char *const resource = json_string_value(json_object_get(wish, "resource"));
    const bool reads = strcmp(verb, "get") == 0 && strcmp(resource, "lockpolicies") == 0;
    const bool jane = strcmp(user, "jane") == 0 && ns && strcmp(ns, "bank") == 0 && reads;

    return json_pack("{s:b}", "allowed", strcmp(user, "root") == 0 || jane);
}

static int serve(void *ctx, const char *method, const char *target, struct str body,
                 struct buf *out)
{
    const bool token = strcmp(target, "/apis/authentication.k8s.io/v1/tokenreviews") == 0;

    (void)ctx;
    if (strcmp(method, "POST") != 0 ||
        (!token && strcmp(target, "/apis/authorization.k8s.io/v1/subjectaccessreviews") != 0))
        return 404;
    json_t *const question = json_loadb(body.p, body.n, 0, NULL);
    const json_t *const spec = json_object_get(question, "spec");
    json_t *const answer =
        json_pack("{s:s,s:o}", "kind", token ? "TokenReview" : "SubjectAccessReview", "status",
                  token ? review_token(spec) : review_access(spec));
    char *const text = json_dumps(answer, JSON_COMPACT);

    buf_text(out, text);
    free(text);
    json_decref(answer);
    json_decref(question);
    return 201;
}

static void put_pod(const char *ns, const char *name)
{
    char text[600];
    struct history *const h = fake_api_lock(w.api);

    (void)snprintf(text, sizeof(text),
                   "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\","
                   "\"namespace\":\"%s\",\"uid\":\"uid-%s\"},\"spec\":{\"nodeName\":\"n1\","
                   "\"containers\":[{\"name\":\"m\"}]},\"status\":{\"phase\":\"Running\"}}",
                   name, ns, name);
    (void)history_put_text(h, PODS, ns, name, str_of(text));
    fake_api_unlock(w.api);
}

/* --- the program --- */

static void start_api(void)
{
    static const struct fake_api_options options = {.bookmark_ms = 200};

    w.api = fake_api_new(&options);
    struct history *const h = fake_api_lock(w.api);
    (void)history_kind(h, "/api/v1/nodes", "v1", "Node", false);
    (void)history_kind(h, "/api/v1/pods", "v1", "Pod", false);
    (void)history_kind(h, "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies",
                       "topology.node.k8s.io/v1alpha2", "NodeResourceTopology", true);
    fake_api_unlock(w.api);
    fake_api_handle(w.api, serve, NULL);
    put_pod("bank", "teller-0");
    put_pod("bank", "teller-1");
    put_pod("evil", "evil-0");
    put_pod("evil", "evil-1");
    test_temporary(w.kubeconfig, "access");
    fake_api_write_kubeconfig(w.api, w.kubeconfig);
}

static int start(void **state)
{
    const char *const source[] = {"--kubeconfig", w.kubeconfig, NULL};

    (void)state;
    start_api();
    test_server_run(&w.server, source, NULL);
    test_server_wait(&w.server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (w.server.pid)
        assert_int_equal(test_server_stop(&w.server, SIGTERM), 0);
    w.server.pid = 0;
    hold_guesses(false);
    fake_api_free(w.api);
    (void)unlink(w.kubeconfig);
    return 0;
}

/* --- calls --- */

struct reply {
    int status;
    char head[2048], body[8192];
};

/* With this header line, "" = none. False: the connection ended. */
static bool send_call(int fd, const char *line, const char *method, const char *target,
                      const char *body)
{
    struct buf b = {0};

    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s", method, target, line);
    if (strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0)
        buf_printf(&b, "Content-Length: %zu\r\nContent-Type: application/json\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body);
    const bool sent = send(fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n;
    buf_free(&b);
    return sent;
}

static void hear(int fd, struct reply *out)
{
    struct test_reply r = {0};

    assert_true(test_receive(fd, &r));
    out->status = r.status;
    (void)snprintf(out->head, sizeof(out->head), "%.*s", (int)r.head.n, r.head.p);
    (void)snprintf(out->body, sizeof(out->body), "%.*s", (int)r.body.n, r.body.n ? r.body.p : "");
    test_reply_done(&r);
}

static int call_with(const char *line, const char *method, const char *target, const char *body,
                     struct reply *out)
{
    const int fd = test_connect(w.server.operator_port);

    assert_true(send_call(fd, line, method, target, body));
    hear(fd, out);
    (void)close(fd);
    if (strncmp(target, "/v1/", 4) == 0 && strlen(out->body) < sizeof(out->body) - 1)
        api_doc_expect(method, target, out->status, str_of(out->body));
    return out->status;
}

static int call(const char *token, const char *method, const char *target, const char *body,
                struct reply *out)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", token);
    return call_with(line, method, target, body, out);
}

static int get(const char *token, const char *target)
{
    struct reply r;

    return call(token, "GET", target, "", &r);
}

/* A refusal is a Status of Kubernetes; what is missing there is in its message. */
static void refuses(const char *token, const char *method, const char *target, const char *body,
                    int status, const char *message)
{
    struct reply r;

    if (call(token, method, target, body, &r) != status || !strstr(r.body, message))
        fail_msg("%s %s %s: %d: %s", token, method, target, r.status, r.body);
    json_t *const j = json_loads(r.body, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "Status");
    assert_int_equal(json_integer_value(json_object_get(j, "code")), status);
    json_decref(j);
}

static int report(const char *token, const char *ns, const char *pod, int sequence,
                  const char *lock)
{
    char body[512];
    struct reply r;

    (void)snprintf(body, sizeof(body),
                   "{\"reporter\":{\"namespace\":\"%s\",\"pod\":\"%s\",\"epoch\":1},\"sequence\":"
                   "%d,\"nowNs\":%d,\"edges\":[{\"from\":\"%s\",\"to\":\"after\"}]}",
                   ns, pod, sequence, sequence + 10, lock);
    return call(token, "POST", "/v1/lock-reports", body, &r);
}

#define BANK "/v1/lock-hierarchy?namespace=bank"

/* --- who calls --- */

static void nobody_is_answered_who_does_not_say_who_he_is(void **state)
{
    static const char *const lines[] = {
        "",
        "Authorization: Basic cm9vdDpyb290\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer tok.root extra\r\n",
        "Authorization: Bearer tok.nobody\r\n",
        "Authorization: Bearer tok.elsewhere\r\n",
        "Authorization: Bearer tok.root\r\nAuthorization: Bearer tok.root\r\n",
        "X-Remote-User: root\r\n",
    };
    struct reply r;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (call_with(lines[i], "GET", BANK, "", &r) != 401)
            fail_msg("%s: %d", lines[i], r.status);
        assert_non_null(strstr(r.head, "WWW-Authenticate: Bearer realm=\"numawise\"\r\n"));
        assert_non_null(strstr(r.body, "\"reason\": \"Unauthorized\""));
    }
    assert_int_equal(call("tok.root", "GET", BANK, "", &r), 200);
    assert_int_equal(call_with("", "GET", "/openapi.json", "", &r), 200);
    assert_int_equal(call_with("", "GET", "/healthz", "", &r), 200);
}

static void answers_are_remembered(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++)
        assert_int_equal(report("tok.teller-0", "bank", "teller-0", i, "a"), 202);
    assert_int_equal(fake_api_asked(w.api, TOKENS), 1);
    assert_int_equal(fake_api_asked(w.api, ACCESS), 0); /* his own business */
    for (int i = 0; i < 20; i++)
        assert_int_equal(get("tok.jane", BANK), 200);
    for (int i = 0; i < 20; i++)
        assert_int_equal(get("tok.nobody", BANK), 401);
    assert_int_equal(fake_api_asked(w.api, TOKENS), 3);
    assert_int_equal(fake_api_asked(w.api, ACCESS), 1);
}

static void a_pod_speaks_for_itself_alone(void **state)
{
    (void)state;
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "a"), 202);
    assert_int_equal(report("tok.teller-0", "bank", "teller-1", 1, "a"), 403);
    assert_int_equal(report("tok.teller-0", "evil", "evil-0", 1, "a"), 403);
    assert_int_equal(report("tok.teller-0", "evil", "teller-0", 1, "a"), 403);
    assert_int_equal(report("tok.teller-0-old", "bank", "teller-0", 2, "a"), 403);
    assert_int_equal(report("tok.unbound", "bank", "teller-0", 2, "a"), 403);
    assert_int_equal(report("tok.root", "bank", "teller-1", 1, "a"), 202); /* by its role */
    assert_int_equal(get("tok.teller-0", BANK), 200); /* of its own namespace */
    assert_int_equal(get("tok.unbound", BANK), 200);
    refuses("tok.teller-0", "GET", "/v1/lock-hierarchy", "", 403,
            "system:serviceaccount:bank:teller may not get lockpolicies in every namespace");
}

/* --- attacks --- */

/* T6: a workload forges reports that name pods of another tenant, to have them ended. */
static void forged_reports_reach_nobody_else(void **state)
{
    static const char *const cycle =
        "\"cycle\":[{\"namespace\":\"%s\",\"pod\":\"%s\",\"thread\":\"1\",\"holds\":\"a\","
        "\"waitsFor\":\"b\",\"scope\":\"shared\"},{\"namespace\":\"%s\",\"pod\":\"%s\","
        "\"thread\":\"1\",\"holds\":\"b\",\"waitsFor\":\"a\",\"scope\":\"shared\"}]";
    static const struct {
        const char *ns, *pod;   /* who he says he is */
        const char *parties[4]; /* whom he names */
        int status;
    } cases[] = {
        {"bank", "teller-0", {"bank", "teller-0", "bank", "teller-1"}, 403},
        {"evil", "evil-0", {"bank", "teller-0", "bank", "teller-1"}, 403},
        {"evil", "evil-1", {"evil", "evil-0", "evil", "evil-1"}, 403},
        /* Told, as the contract wants it, and never acted on. */
        {"evil", "evil-0", {"evil", "evil-0", "bank", "teller-0"}, 202},
        /* His own namespace, but the other party must say so, too. */
        {"evil", "evil-0", {"evil", "evil-0", "evil", "evil-1"}, 202},
    };
    char body[1024], parties[700];
    struct reply r;

    (void)state;
    for (int round = 1; round <= 4; round++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            const char *const *const p = cases[i].parties;
            const int sequence = round * 10 + (int)i;

            (void)snprintf(parties, sizeof(parties), cycle, p[0], p[1], p[2], p[3]);
            (void)snprintf(body, sizeof(body),
                           "{\"reporter\":{\"namespace\":\"%s\",\"pod\":\"%s\",\"epoch\":1},"
                           "\"sequence\":%d,\"durationNs\":90000000000,%s}",
                           cases[i].ns, cases[i].pod, sequence, parties);
            const int want = round > 1 && cases[i].status == 202 ? 200 : cases[i].status;
            if (call("tok.evil-0", "POST", "/v1/deadlocks", body, &r) != want)
                fail_msg("round %d, case %zu: %d: %s", round, i, r.status, r.body);
            assert_true(want == 403 || strstr(r.body, "\"confirmed\":false"));
        }
        (void)poll(NULL, 0, 600); /* well beyond the interval after which it could be confirmed */
    }
    /* Nor can he put locks into others' hands. */
    assert_int_equal(report("tok.evil-0", "bank", "teller-0", 1, "planted"), 403);
    assert_int_equal(report("tok.evil-0", "evil", "evil-0", 1, "planted"), 202);
    assert_int_equal(call("tok.root", "GET", BANK, "", &r), 200);
    assert_null(strstr(r.body, "planted"));
    struct buf log = {0};
    test_server_log(&w.server, &log);
    assert_null(strstr(log.p, "would resolve it"));
    buf_free(&log);
}

/* T6: and he cannot drown those of others: 400 calls at once, then 200 a second, are all he has. */
static void a_flood_of_reports_holds_up_nobody_else(void **state)
{
    const int fd = test_connect(w.server.operator_port);
    struct reply r;
    uint64_t taken = 0;
    char body[256];

    (void)state;
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "a"), 202);
    const uint64_t began_ns = clock_monotonic_ns();
    for (int i = 1; i <= 1200; i++) {
        /* Another container each time makes no other caller of him. */
        (void)snprintf(body, sizeof(body),
                       "{\"reporter\":{\"namespace\":\"evil\",\"pod\":\"evil-0\",\"container\":"
                       "\"c%d\",\"epoch\":1},\"sequence\":1,\"nowNs\":9}",
                       i);
        assert_true(send_call(fd, "Authorization: Bearer tok.evil-0\r\n", "POST",
                              "/v1/lock-reports", body));
        hear(fd, &r);
        taken += r.status == 202;
        if (r.status == 202)
            continue;
        assert_int_equal(r.status, 429);
        assert_non_null(strstr(r.head, "Retry-After: 1\r\n"));
        assert_non_null(strstr(r.body, "\"retryAfterSeconds\": 1"));
    }
    assert_true(taken <= 400 + (clock_monotonic_ns() - began_ns) / 5000000 + 1);
    assert_true(taken >= 400);
    (void)close(fd);
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 2, "a"), 202);
}

/* T7: what one tenant declares is nobody else's, and he sees nothing of others. */
static void a_tenant_neither_sees_nor_changes_another(void **state)
{
    static const struct {
        const char *method, *target, *body;
    } cases[] = {
        {"PUT", "/v1/lock-policies/bank/teller", "{}"},
        {"PUT", "/v1/lock-policies/bank/new", "{\"hierarchyRules\":[]}"},
        {"DELETE", "/v1/lock-policies/bank/teller", ""},
        {"GET", "/v1/lock-policies/bank/teller", ""},
        {"GET", BANK, ""},
        {"GET", "/v1/lock-hierarchy?namespace=b%61nk", ""},
        {"GET", "/v1/lock-hierarchy", ""},
        {"GET", "/v1/deadlocks", ""},
        {"GET", "/v1/deadlocks/bank", ""},
        {"GET", "/v1/deadlocks/bank/deadlock-1", ""},
        {"GET", "/v1/deadlocks/b%61nk", ""},
        /* In his own namespace policies are what a role is for: pods have none by themselves. */
        {"PUT", "/v1/lock-policies/evil/mine", "{}"},
        {"DELETE", "/v1/lock-policies/evil/mine", ""},
    };

    (void)state;
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "vault"), 202);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuses("tok.evil-0", cases[i].method, cases[i].target, cases[i].body, 403, " may not ");
    assert_int_equal(get("tok.evil-0", "/v1/lock-hierarchy?namespace=evil"), 200);
    /* jane's role is for one kind in one namespace. */
    assert_int_equal(get("tok.jane", BANK), 200);
    assert_int_equal(get("tok.jane", "/v1/lock-hierarchy?namespace=evil"), 403);
    assert_int_equal(get("tok.jane", "/v1/deadlocks/bank"), 403);
    refuses("tok.jane", "PUT", "/v1/lock-policies/bank/teller", "{}", 403,
            "jane may not update lockpolicies in bank");
}

/* No line of the log may be somebody else's: no control characters, nothing that turns text. */
static void check_log(const char *log)
{
    for (const unsigned char *p = (const unsigned char *)log; *p; p++)
        assert_true(*p == '\n' || (*p >= 0x20 && *p != 0x7f));
    assert_null(strstr(log, "\xe2\x80\xae"));
    for (const char *line = log; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(!*line || strncmp(line, "20", 2) == 0); /* each begins with its time */
        assert_int_not_equal(strncmp(line, "2026-01-01 warn operator: all is well", 37), 0);
    }
}

/* T4: names that would be lines of the log, orders to a terminal, or scripts. */
static void names_are_never_more_than_names(void **state)
{
    static const struct {
        const char *method, *target, *body;
        int status;
    } cases[] = {
        {"GET", BANK, "", 403},
        {"GET", "/v1/deadlocks/x%0a2026-01-01%20warn", "", 400},
        {"GET", "/v1/lock-policies/bank/%e2%80%ae", "", 400},
        {"GET", "/v1/%3Cscript%3Ealert(1)%3C/script%3E", "", 404},
        {"GET", "/v1/lock-hierarchy?namespace=%0d%0aSet-Cookie:%20a=b", "", 400},
        {"GET", "/v1/lock-hierarchy?%3Cscript%3E=1", "", 400},
        {"POST", "/v1/lock-reports", "{\"<script>\\u202e\\n\":1}", 400},
        {"POST", "/v1/lock-reports",
         "{\"reporter\":{\"namespace\":\"a\\nb\",\"pod\":\"p\"},\"sequence\":1,\"nowNs\":1}", 422},
    };
    struct buf log = {0};
    struct reply r;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (call("tok.odd", cases[i].method, cases[i].target, cases[i].body, &r) != cases[i].status)
            fail_msg("%s: %d: %s", cases[i].target, r.status, r.body);
        assert_null(strstr(r.head, "Set-Cookie"));
        assert_non_null(strstr(r.head, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(r.head, "Content-Type: application/json\r\n"));
        for (const char *p = r.body; *p; p++)
            assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
    }
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "</text><script>alert(1)//"),
                     202);
    assert_int_equal(call("tok.root", "GET", BANK "&format=svg", "", &r), 200);
    assert_null(strstr(r.body, "<script"));
    assert_non_null(strstr(r.head, "Content-Security-Policy: default-src 'none'"));
    test_server_log(&w.server, &log);
    check_log(log.p);
    assert_non_null(strstr(log.p, "refused with 403: GET /v1/lock-hierarchy by mallory\\u000d"));
    buf_free(&log);
}

/* What came in a header, or behind a "?", is in no line, however it went. */
static void the_log_tells_of_refusals_and_never_of_secrets(void **state)
{
    struct buf log = {0}, metrics = {0};
    struct reply r;

    (void)state;
    assert_int_equal(get("tok.secret-guess", BANK "&format=hidden"), 401);
    assert_int_equal(call_with("Authorization: Basic aGlkZGVu\r\n", "GET", BANK, "", &r), 401);
    assert_int_equal(get("tok.evil-0", BANK), 403);
    fake_api_fault(w.api, FAKE_STATUS, "/apis/authentication", FAKE_BOTH, 1, 500, 0);
    assert_int_equal(get("tok.jane", BANK), 503);
    test_server_log(&w.server, &log);
    assert_non_null(strstr(log.p, "refused with 401: GET /v1/lock-hierarchy by nobody known: the "
                                  "token is not valid"));
    assert_non_null(strstr(log.p, "refused with 403: GET /v1/lock-hierarchy by "
                                  "system:serviceaccount:evil:default of the pod evil-0: "));
    assert_null(strstr(log.p, "tok."));
    assert_null(strstr(log.p, "aGlkZGVu"));
    assert_null(strstr(log.p, "hidden"));
    buf_free(&log);
    assert_int_equal(test_get(w.server.console, "/metrics", &metrics), 200);
    buf_text(&metrics, "");
    assert_non_null(strstr(metrics.p, "numawise_operator_unauthorized_total 2\n"));
    assert_non_null(strstr(metrics.p, "numawise_operator_forbidden_total 1\n"));
    assert_non_null(strstr(
        metrics.p, "numawise_operator_reviews_total{kind=\"token\",result=\"unknown\"} 1\n"));
    buf_free(&metrics);
}

/* --- the API server misbehaves --- */

static void without_the_api_server_nobody_new_is_let_in(void **state)
{
    static const enum fake_fault faults[] = {FAKE_STATUS,  FAKE_RESET,    FAKE_HTML, FAKE_EMPTY,
                                             FAKE_GARBAGE, FAKE_NOT_JSON, FAKE_CUT,  FAKE_REDIRECT};
    struct reply r;
    char token[32];

    (void)state;
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "a"), 202);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        fake_api_fault(w.api, faults[i], "/apis/authentication", FAKE_BOTH, FAKE_ALWAYS, 500, 0);
        (void)snprintf(token, sizeof(token), "tok.%s", i % 2 ? "root" : "teller-1");
        if (call(token, "GET", BANK, "", &r) != 503)
            fail_msg("fault %zu: %d", i, r.status);
        assert_non_null(strstr(r.head, "Retry-After: 5\r\n"));
        assert_int_equal(report("tok.teller-0", "bank", "teller-0", (int)i + 2, "a"), 202);
        fake_api_heal(w.api);
    }
    /* Who somebody is, is known; but not what he may. */
    fake_api_fault(w.api, FAKE_STATUS, "/apis/authorization", FAKE_BOTH, FAKE_ALWAYS, 500, 0);
    assert_int_equal(get("tok.root", BANK), 503);
    fake_api_heal(w.api);
    assert_int_equal(get("tok.root", BANK), 200);
    fake_api_down(w.api);
    assert_int_equal(get("tok.jane", BANK), 503);
    assert_int_equal(get("tok.root", BANK), 200); /* remembered */
    fake_api_up(w.api);
    assert_int_equal(get("tok.jane", BANK), 200);
}

/* It never answers: everybody else is served meanwhile, and who waits is told in time. */
static void a_server_that_hangs_holds_up_only_who_needs_it(void **state)
{
    struct reply r;
    int fds[8];

    (void)state;
    assert_int_equal(report("tok.teller-0", "bank", "teller-0", 1, "a"), 202);
    fake_api_fault(w.api, FAKE_HANG, "/apis/authentication", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = test_connect(w.server.operator_port);
        assert_true(send_call(fds[i], "Authorization: Bearer tok.root\r\n", "GET", BANK, ""));
    }
    for (int i = 2; i < 30; i++)
        assert_int_equal(report("tok.teller-0", "bank", "teller-0", i, "a"), 202);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        hear(fds[i], &r);
        assert_int_equal(r.status, 503);
        (void)close(fds[i]);
    }
    assert_in_range(fake_api_asked(w.api, TOKENS), 2, 4); /* not each with one of his own */
}

static int connect_from(const char *address)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(w.server.operator_port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && inet_pton(AF_INET, address, &from.sin_addr) == 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Somebody guesses tokens from one address, all at once, and the API server takes its time with
 * each: every question that may be out is his. Who comes from elsewhere is served. */
static void a_flood_of_guesses_holds_up_nobody_from_elsewhere(void **state)
{
    static int fds[160];
    struct reply r;
    char line[64];

    (void)state;
    hold_guesses(true);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_from("127.0.0.9");
        (void)snprintf(line, sizeof(line), "Authorization: Bearer guess-%zu\r\n", i);
        assert_true(send_call(fds[i], line, "GET", BANK, ""));
    }
    for (int ms = 0; fake_api_asked(w.api, TOKENS) < 128 && ms < PATIENCE_MS; ms += 5)
        (void)poll(NULL, 0, 5);
    assert_true(fake_api_asked(w.api, TOKENS) >= 128);
    const int fd = connect_from("127.0.0.10");
    assert_true(send_call(fd, "Authorization: Bearer tok.root\r\n", "GET", BANK, ""));
    hear(fd, &r);
    assert_int_equal(r.status, 200);
    (void)close(fd);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        hear(fds[i], &r);
        assert_int_equal(r.status, 503);
        (void)close(fds[i]);
    }
    hold_guesses(false);
}

static void it_ends_though_answers_are_missing(void **state)
{
    struct test_reply r = {0};

    (void)state;
    fake_api_fault(w.api, FAKE_HANG, "/apis/authentication", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    const int fd = test_connect(w.server.operator_port);
    assert_true(send_call(fd, "Authorization: Bearer tok.root\r\n", "GET", BANK, ""));
    for (int ms = 0; fake_api_asked(w.api, TOKENS) == 0 && ms < PATIENCE_MS; ms += 5)
        (void)poll(NULL, 0, 5);
    assert_int_equal(test_server_stop(&w.server, SIGTERM), 0);
    w.server.pid = 0;
    if (test_receive(fd, &r)) /* an answer or an end, but no long wait */
        assert_int_equal(r.status, 503);
    test_reply_done(&r);
    (void)close(fd);
}

/* It has waited twice already, and its write is still out when the server has waited long enough.
 */
static void it_ends_though_a_write_is_out(void **state)
{
    struct test_reply r = {0};

    (void)state;
    fake_api_fault(w.api, FAKE_SLOW, "/apis/authentication", FAKE_BOTH, FAKE_ALWAYS, 2000, 0);
    fake_api_fault(w.api, FAKE_SLOW, "/apis/authorization", FAKE_BOTH, FAKE_ALWAYS, 2000, 0);
    fake_api_fault(w.api, FAKE_HANG, "/apis/concurrency.gokore.io/v1alpha1/namespaces/bank/",
                   FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    const int fd = test_connect(w.server.operator_port);
    assert_true(send_call(fd, "Authorization: Bearer tok.root\r\n", "PUT",
                          "/v1/lock-policies/bank/teller", "{}"));
    for (int ms = 0; fake_api_asked(w.api, TOKENS) == 0 && ms < PATIENCE_MS; ms += 5)
        (void)poll(NULL, 0, 5);
    assert_int_equal(test_server_stop(&w.server, SIGTERM), 0);
    w.server.pid = 0;
    if (test_receive(fd, &r))
        assert_int_equal(r.status, 503);
    test_reply_done(&r);
    (void)close(fd);
}

/* --- certificates --- */

static struct {
    char dir[128], config[160];
    struct tls_pair ca, other_ca, server, jane, stranger, nameless;
} pki;

static void in(char out[160], const char *name)
{
    (void)snprintf(out, 160, "%s/%s", pki.dir, name);
}

static void make_pki(void)
{
    const struct tls_wish ca = {.common_name = "callers", .is_ca = true};
    const struct tls_wish server = {.common_name = "numawise", .names = "IP:127.0.0.1"};
    const struct tls_wish jane = {.common_name = "jane", .organizations = {"dev"}};
    const struct tls_wish nameless = {.organizations = {"system:masters"}};
    const char *const tmp = getenv("TMPDIR");
    char path[160];

    (void)snprintf(pki.dir, sizeof(pki.dir), "%s/numawise-access-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(pki.dir));
    pki.ca = tls_make(&ca, NULL);
    pki.other_ca = tls_make(&ca, NULL);
    pki.server = tls_make(&server, &pki.ca);
    pki.jane = tls_make(&jane, &pki.ca);
    pki.stranger = tls_make(&jane, &pki.other_ca);
    pki.nameless = tls_make(&nameless, &pki.ca);
    in(path, "ca.crt");
    tls_write_certs(path, &pki.ca, NULL);
    in(path, "tls.crt");
    tls_write_certs(path, &pki.server, NULL);
    in(path, "tls.key");
    tls_write_key(path, &pki.server, NULL);
}

static void write_config(void)
{
    struct buf text = {0};

    in(pki.config, "config.yaml");
    buf_printf(&text,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "listeners:\n  operator: {tls: {certFile: %s/tls.crt, keyFile: %s/tls.key, "
               "clientCAFile: %s/ca.crt}}\n",
               pki.dir, pki.dir, pki.dir);
    test_write(pki.config, buf_view(&text));
    buf_free(&text);
}

static int start_with_tls(void **state)
{
    const char *const source[] = {"--kubeconfig", w.kubeconfig, NULL};
    const char *const extra[] = {"--config", pki.config, NULL};

    (void)state;
    make_pki();
    write_config();
    start_api();
    test_server_run(&w.server, source, extra);
    test_server_wait(&w.server);
    return 0;
}

static int stop_with_tls(void **state)
{
    struct tls_pair *const pairs[] = {&pki.ca,   &pki.other_ca, &pki.server,
                                      &pki.jane, &pki.stranger, &pki.nameless};

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        tls_pair_free(pairs[i]);
    test_remove_tree(pki.dir);
    return stop(state);
}

/* The status; 0: the connection was refused. */
static int get_by_tls(const struct tls_pair *own, const char *token, const char *target)
{
    const struct tls_client client = {.own = own, .ca = &pki.ca};
    SSL *const ssl = tls_client_dial(test_connect(w.server.operator_port), &client);
    char head[4096], body[256];
    struct buf b = {0};

    if (!ssl)
        return 0;
    buf_printf(&b, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", target);
    if (token)
        buf_printf(&b, "Authorization: Bearer %s\r\n", token);
    buf_text(&b, "\r\n");
    const int status =
        tls_say(ssl, b.p, b.n) ? tls_hear(ssl, head, sizeof(head), body, sizeof(body)) : 0;
    buf_free(&b);
    tls_client_close(ssl);
    return status < 0 ? 0 : status;
}

/* `numawise locks` over TLS: the server must be believed before it sees the token. */
static void people_look_over_tls(void **state)
{
    char url[64], token[160], ca[160];
    struct buf out = {0}, err = {0};

    (void)state;
    in(token, "token");
    in(ca, "ca.crt");
    test_write(token, STR("tok.root\n"));
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", w.server.operator_port);
    const char *const unknown[] = {"numawise", "locks",        "-n",  "bank", "--server",
                                   url,        "--token-file", token, NULL};
    assert_int_equal(test_run(unknown, &out, &err), 3);
    buf_text(&err, "");
    assert_non_null(strstr(err.p, "its certificate is not believed"));
    assert_int_equal(fake_api_asked(w.api, TOKENS), 0);
    const char *const known[] = {"numawise",
                                 "locks",
                                 "-n",
                                 "bank",
                                 "--server",
                                 url,
                                 "--token-file",
                                 token,
                                 "--certificate-authority",
                                 ca,
                                 NULL};
    assert_int_equal(test_run(known, &out, &err), 0);
    buf_text(&out, "");
    assert_non_null(strstr(out.p, "namespace bank: "));
    assert_int_equal(fake_api_asked(w.api, TOKENS), 1);
    buf_free(&out);
    buf_free(&err);
}

static void a_certificate_does_instead_of_a_token(void **state)
{
    static const char evil[] = "/v1/lock-hierarchy?namespace=evil";

    (void)state;
    assert_int_equal(get_by_tls(&pki.jane, NULL, BANK), 200);
    assert_int_equal(get_by_tls(&pki.jane, NULL, evil), 403);
    assert_int_equal(fake_api_asked(w.api, TOKENS), 0);
    assert_int_equal(get_by_tls(NULL, "tok.root", evil), 200);
    assert_int_equal(get_by_tls(NULL, NULL, BANK), 401);
    assert_int_equal(get_by_tls(NULL, "tok.nobody", BANK), 401);
    /* Where both come the certificate counts, if it names somebody. */
    assert_int_equal(get_by_tls(&pki.jane, "tok.root", evil), 403);
    assert_int_equal(get_by_tls(&pki.nameless, NULL, evil), 401);
    assert_int_equal(get_by_tls(&pki.nameless, "tok.root", evil), 200);
    assert_int_equal(get_by_tls(&pki.stranger, NULL, BANK), 0);
    assert_int_equal(get_by_tls(&pki.stranger, "tok.root", BANK), 0);
}

/* --- the start --- */

static void start_fails(const char *const *args, const char *why)
{
    struct buf out = {0}, err = {0};

    buf_text(&out, "");
    buf_text(&err, "");
    assert_int_equal(test_run(args, &out, &err), 2);
    if (!strstr(err.p, why))
        fail_msg("%s", err.p);
    buf_free(&out);
    buf_free(&err);
}

/* Tokens are not sent over a network for everybody to read. */
static void over_a_network_it_wants_tls(void **state)
{
    const char *const args[] = {
        "numawise", "serve",        "--kubeconfig", w.kubeconfig,  "--listen", "operator=0.0.0.0:0",
        "--listen", "extender=off", "--listen",     "console=off", NULL};

    (void)state;
    start_fails(args, "listeners.operator.address: 0.0.0.0:0 is not on this machine alone: it "
                      "needs listeners.operator.tls.certFile");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(nobody_is_answered_who_does_not_say_who_he_is),
        T(answers_are_remembered),
        T(a_pod_speaks_for_itself_alone),
        T(forged_reports_reach_nobody_else),
        T(a_flood_of_reports_holds_up_nobody_else),
        T(a_tenant_neither_sees_nor_changes_another),
        T(names_are_never_more_than_names),
        T(the_log_tells_of_refusals_and_never_of_secrets),
        T(without_the_api_server_nobody_new_is_let_in),
        T(a_server_that_hangs_holds_up_only_who_needs_it),
        T(a_flood_of_guesses_holds_up_nobody_from_elsewhere),
        T(it_ends_though_answers_are_missing),
        T(it_ends_though_a_write_is_out),
        T(over_a_network_it_wants_tls),
        cmocka_unit_test_setup_teardown(people_look_over_tls, start_with_tls, stop_with_tls),
        cmocka_unit_test_setup_teardown(a_certificate_does_instead_of_a_token, start_with_tls,
                                        stop_with_tls),
    };
#undef T

    return cmocka_run_group_tests_name("operator access", tests, NULL, NULL);
}
