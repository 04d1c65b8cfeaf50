/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replays a decision of a server: asked of the real program, unpacked by it, decided once more
 * by it, also when nothing is any more as it was.
 */
#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/tar.h"
#include "tests/support/data.h"
#include "tests/support/server.h"

enum { ID_BYTES = 32, PATIENCE_MS = 60000 };

static struct test_server server;
static char work[] = "/tmp/test_bundle_server.XXXXXX";
static char cluster[TEST_PATH_BYTES], console[TEST_URL_BYTES];

static void path_of(char out[TEST_PATH_BYTES], const char *name)
{
    assert_in_range(snprintf(out, TEST_PATH_BYTES, "%s/%s", work, name), 1, TEST_PATH_BYTES - 1);
}

static int start(void **state)
{
    char path[TEST_PATH_BYTES];
    const char *const extra[] = {"--config", path, NULL};

    assert_non_null(mkdtemp(work));
    path_of(cluster, "cluster");
    assert_int_equal(mkdir(cluster, 0777), 0);
    test_copy_tree(TEST_EXAMPLES "/cluster", cluster);
    path_of(path, "config.yaml");
    test_write(path, STR("apiVersion: numawise.config.gokore.io/v1alpha1\n"
                         "kind: NumawiseConfiguration\nextender: {maxScore: 100}\n"));
    test_server_start(&server, cluster, extra);
    (void)snprintf(console, sizeof(console), "http://127.0.0.1:%u", server.console);
    return 0;
}

static int stop(void **state)
{
    const int code = test_server_stop(&server, SIGTERM);

    test_remove_tree(work);
    return code;
}

/* --- asking --- */

static json_t *get_json(const char *target)
{
    struct buf text = {0};

    assert_int_equal(test_get(server.console, target, &text), 200);
    json_t *const j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    buf_free(&text);
    return j;
}

static void newest(char id[ID_BYTES])
{
    json_t *const list = get_json("/v1/decisions");
    const json_t *const first = json_array_get(json_object_get(list, "decisions"), 0);

    (void)snprintf(id, ID_BYTES, "%s", json_string_value(json_object_get(first, "decision")));
    json_decref(list);
}

/* kube-scheduler asks about a pod, and then for scores. */
static void decide(const char *pod, const char *names, char id[ID_BYTES])
{
    struct buf body = {0};

    buf_printf(&body, "{\"Pod\":%s,\"Nodes\":null,\"NodeNames\":%s}", pod, names);
    assert_int_equal(test_call(server.extender, "POST", "/scheduler/filter", buf_view(&body), NULL),
                     200);
    assert_int_equal(
        test_call(server.extender, "POST", "/scheduler/prioritize", buf_view(&body), NULL), 200);
    buf_free(&body);
    newest(id);
}

#define ALL "[\"gpu-2\",\"epyc-1\",\"cpu-2\",\"gpu-1\",\"cpu-1\",\"gpu-3\",\"epyc-2\",\"ghost\"]"

#define POD(name, extra, limits)                                                                   \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"ml\",\"uid\":\"uid-" name "\"" extra     \
    "},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{" limits "}}}]}}"

static const char gpus[] = POD("gpus",
                               ",\"labels\":{\"app\":\"x\",\"tier\":\"gold\"},\"annotations\":{"
                               "\"orchestration.gokore.io/gpu-nic-affinity\":\"prefer\","
                               "\"orchestration.gokore.io/network-bandwidth\":\"5G\","
                               "\"orchestration.gokore.io/colour\":\"red\"}",
                               "\"cpu\":\"8\",\"memory\":\"16Gi\",\"nvidia.com/gpu\":\"2\"");
static const char large[] = POD("large", "", "\"cpu\":\"30\",\"memory\":\"1Gi\"");
/* what a memory manager cannot read as a whole number it refuses */
static const char odd[] = POD("odd", "", "\"cpu\":\"30\",\"memory\":\"1.3Gi\"");
static const char plain[] = POD("plain", "", "");
static const char huge[] = POD("huge", "", "\"cpu\":\"4000\",\"memory\":\"1Gi\"");
static const char ignored[] =
    POD("ignored", ",\"annotations\":{\"orchestration.gokore.io/ignore\":\"true\"}", "");
static const char broken[] =
    "{\"metadata\":{\"name\":\"broken\",\"uid\":\"b\"},\"spec\":{\"containers\":7}}";

/* --- what it says --- */

#define EXPECT(code, in_stderr, out, ...)                                                          \
    test_run_expect((const char *const[]){"numawise", "explain", __VA_ARGS__, NULL}, code,         \
                    in_stderr, out)

static const json_t *node_named(const json_t *decision, const char *name)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(decision, "nodes"), i, node)
    {
        if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
            return node;
    }
    return NULL;
}

/*
 * Every member of every node that is told again, but the score on the wire where pods were on their
 * way there; how many nodes they are.
 */
static size_t same_nodes(const json_t *said, const json_t *again)
{
    const json_t *node;
    size_t i;

    assert_true(json_equal(json_object_get(said, "best"), json_object_get(again, "best")));
    json_array_foreach(json_object_get(again, "nodes"), i, node)
    {
        const char *const name = json_string_value(json_object_get(node, "name"));
        const json_t *const other = node_named(said, name);
        const bool held = json_object_get(other, "heldFor");
        const char *key;
        json_t *value;

        assert_non_null(other);
        json_object_foreach((json_t *)(uintptr_t)node, key, value)
        {
            if (!json_equal(value, json_object_get(other, key)) &&
                !(held && strcmp(key, "wireScore") == 0))
                fail_msg("%s: %s differs", name, key);
        }
    }
    return json_array_size(json_object_get(again, "nodes"));
}

/* Objects of a bundle are such as `check` finds nothing wrong with. */
static void expect_sound(const char *dir)
{
    char path[TEST_PATH_BYTES + 16];
    const char *const args[] = {"numawise", "check", path, NULL};

    (void)snprintf(path, sizeof(path), "%s/cluster", dir);
    test_run_expect(args, 0, "", NULL);
}

/* Download, replay, compare; the bundle is in `name`. */
static size_t replays(const char *id, const char *name, int code)
{
    char dir[TEST_PATH_BYTES], target[TEST_PATH_BYTES];
    struct buf table = {0}, again = {0};

    path_of(dir, name);
    EXPECT(code, "", &table, "--decision", id, "--server", console, "--bundle", dir);
    assert_non_null(strstr(table.p, id));
    if (strcmp(name, "gpus") != 0 && strcmp(name, "later") != 0) /* with a hint that nobody knows */
        expect_sound(dir);
    EXPECT(code, "", &again, "--replay", dir, "-o", "json");
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s", id);
    json_t *const said = get_json(target), *const now = json_loadb(again.p, again.n, 0, NULL);
    assert_non_null(now);
    const size_t n = same_nodes(said, now);
    json_decref(said);
    json_decref(now);
    buf_free(&table);
    buf_free(&again);
    return n;
}

static void decisions_replay(void **state)
{
    char id[ID_BYTES];

    decide(gpus, ALL, id);
    /* a kubelet without the device's plugin does not look at it: all admit */
    assert_int_equal(replays(id, "gpus", 0), 7);
    decide(large, ALL, id);
    assert_int_equal(replays(id, "large", 0), 7); /* six admit */
    decide(large, "[\"cpu-1\",\"gpu-3\"]", id);
    assert_int_equal(replays(id, "two", 0), 2);
    decide(odd, ALL, id);
    assert_in_range(replays(id, "odd", 0), 2, 6);
    decide(plain, ALL, id);
    assert_int_equal(replays(id, "plain", 0), 7);
    decide(huge, ALL, id);
    assert_true(replays(id, "huge", 1) > 0);
    decide(ignored, ALL, id);
    assert_int_equal(replays(id, "ignored", 0), 0); /* nobody was judged */
}

static void get_bundle(const char *id, struct buf *out)
{
    char target[TEST_PATH_BYTES];

    (void)snprintf(target, sizeof(target), "/v1/decisions/%s/bundle", id);
    assert_int_equal(test_get(server.console, target, out), 200);
}

static void overwrite(const char *name, const char *text)
{
    char path[TEST_PATH_BYTES];

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", cluster, name), 1, sizeof(path) - 1);
    test_write(path, str_of(text));
}

static void remove_tree_of(const char *name)
{
    char path[TEST_PATH_BYTES];

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", cluster, name), 1, sizeof(path) - 1);
    test_remove_tree(path);
}

/* Last: nodes, pods, policies and signals go, one node comes back as another machine. */
static void what_has_changed_since_changes_nothing(void **state)
{
    struct buf before = {0}, after = {0};
    char id[ID_BYTES];

    decide(gpus, ALL, id);
    get_bundle(id, &before);
    overwrite("policies.yaml", "");
    overwrite("signals.yaml", "");
    overwrite("namespaces.yaml", "");
    remove_tree_of("pods");
    remove_tree_of("nodes");
    overwrite("late.yaml", "kind: Node\napiVersion: v1\nmetadata: {name: gpu-1}\n"
                           "status: {allocatable: {cpu: 1}}\n");
    test_await_figure(server.console, PATIENCE_MS, "numawise_snapshot_nodes 1\n");
    get_bundle(id, &after);
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.p, after.p, before.n);
    assert_int_equal(replays(id, "later", 0), 7);
    buf_free(&before);
    buf_free(&after);
}

static int status_of(const char *method, const char *target, struct buf *body)
{
    return test_call(server.console, method, target, STR(""), body);
}

static void what_cannot_be_had_is_refused_and_said(void **state)
{
    char id[ID_BYTES], target[TEST_PATH_BYTES], dir[TEST_PATH_BYTES];
    struct buf body = {0};

    assert_int_equal(status_of("GET", "/v1/decisions/01J9/bundle", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/decisions//bundle", NULL), 404);
    assert_int_equal(status_of("GET", "/v1/decisions/bundle", NULL), 404);
    decide(broken, ALL, id);
    (void)snprintf(target, sizeof(target), "/v1/decisions/%s/bundle", id);
    assert_int_equal(status_of("POST", target, NULL), 405);
    assert_int_equal(status_of("GET", target, &body), 410);
    json_t *const j = json_loadb(body.p, body.n, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "Status");
    assert_string_equal(json_string_value(json_object_get(j, "reason")), "Gone");
    assert_int_equal(json_integer_value(json_object_get(j, "code")), 410);
    assert_string_equal(json_string_value(json_object_get(j, "message")),
                        "the pod was not understood, and is not kept");
    json_decref(j);
    buf_free(&body);
    path_of(dir, "none");
    EXPECT(3, "the pod was not understood", NULL, "--decision", id, "--server", console, "--bundle",
           dir);
    assert_int_equal(access(dir, F_OK), -1);
    EXPECT(1, "no decision 01J9", NULL, "--decision", "01J9", "--server", console, "--bundle", dir);
    assert_int_equal(access(dir, F_OK), -1);
}

static void a_place_that_is_taken_stays_as_it_is(void **state)
{
    char id[ID_BYTES], dir[TEST_PATH_BYTES], path[TEST_PATH_BYTES];

    decide(plain, ALL, id);
    path_of(dir, "taken");
    assert_int_equal(mkdir(dir, 0777), 0);
    path_of(path, "taken/mine");
    test_write(path, STR("mine"));
    const unsigned before = test_entries(work);
    EXPECT(2, "taken is not empty", NULL, "ml/plain", "--server", console, "--bundle", dir);
    assert_int_equal(test_entries(dir), 3);
    assert_int_equal(test_entries(work), before);
}

/* A detector that never detects is none. */
static void a_bundle_that_was_changed_is_not_what_the_server_decided(void **state)
{
    char id[ID_BYTES], dir[TEST_PATH_BYTES], path[TEST_PATH_BYTES];
    struct buf out = {0};

    decide(large, ALL, id);
    (void)replays(id, "changed", 0);
    path_of(dir, "changed");
    path_of(path, "changed/cluster/NodeResourceTopology/_epyc-1.json");
    assert_int_equal(unlink(path), 0);
    EXPECT(3, "not what the server decided: ", &out, "--replay", dir);
    assert_non_null(strstr(out.p, "NoTopology"));
    buf_free(&out);
    path_of(path, "changed/decision.json"); /* with nothing to compare it with, it is an answer */
    assert_int_equal(unlink(path), 0);
    EXPECT(0, "", NULL, "--replay", dir);
    path_of(path, "changed/premises.json");
    test_write(path, STR("{\"terms\":[\"colour\"]}"));
    EXPECT(3, "premises.json: terms[0]: there is no such term", NULL, "--replay", dir);
}

/* --- servers that send what they like --- */

static const char decision[] =
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"pod\":\"a/b\",\"class\":\"default\","
    "\"qosClass\":\"Burstable\",\"decision\":\"01\",\"snapshot\":1,\"best\":null,"
    "\"ignoredHints\":[],\"nodes\":[]}";

struct strange {
    struct str head, tar; /* the answer when it is asked for a bundle */
};

static void answer(void *ctx, int fd, const char *request)
{
    const struct strange *const s = ctx;

    if (strstr(request, "/bundle "))
        (void)(test_send_bytes(fd, s->head) && test_send_bytes(fd, s->tar));
    else
        (void)test_send_bytes(fd, str_of(decision));
}

/* Nothing is left, inside or outside of the place. */
static void expect_of(const char *head, struct str tar, const char *why)
{
    struct strange strange = {str_of(head), tar};
    char url[TEST_URL_BYTES], dir[TEST_PATH_BYTES];
    const pid_t pid = test_strange_start(answer, &strange, url);
    const unsigned before = test_entries(work);

    path_of(dir, "strange");
    EXPECT(3, why, NULL, "--decision", "01", "--server", url, "--bundle", dir);
    assert_int_equal(test_entries(work), before);
    test_strange_stop(pid);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

/* An archive of one file whose name, of as many bytes as `like` has, is then another. */
static void expect_of_path(const char *like, const char *path, const char *why)
{
    struct buf tar = {0};
    unsigned sum = 0;

    assert_int_equal(tar_add(&tar, str_of(like), STR("text"), 0), 0);
    tar_end(&tar);
    memset(tar.p, 0, 100);
    memcpy(tar.p, path, strlen(path));
    memset(tar.p + 148, ' ', 8);
    for (int i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += (unsigned char)tar.p[i];
    (void)snprintf(tar.p + 148, 8, "%06o", sum);
    expect_of(OK_HEAD, buf_view(&tar), why);
    buf_free(&tar);
}

static void a_strange_archive_leaves_nothing(void **state)
{
    struct buf large_one = {0};

    expect_of(OK_HEAD, STR(""), "cut off");
    expect_of(OK_HEAD, STR("<html></html>"), "cut off");
    buf_printf(&large_one, "%*s", 17 * 1024 * 1024, "");
    expect_of(OK_HEAD, buf_view(&large_one), "larger than 16 MiB");
    large_one.n = 4096;
    memset(large_one.p, 0, large_one.n);
    expect_of(OK_HEAD, buf_view(&large_one), "there is nothing in it");
    memset(large_one.p, 'x', large_one.n);
    expect_of(OK_HEAD, buf_view(&large_one), "this is no header");
    buf_free(&large_one);
    expect_of_path("clock", "../evil", "leads elsewhere");
    expect_of_path("clock", "/tmp/evil", "leads elsewhere");
    expect_of_path("clock", "cluster/../../evil", "leads elsewhere");
    expect_of_path("clock", "evil", "evil is no part of a bundle");
    expect_of_path("clock", "cluster", "no part of a bundle");
    expect_of_path("clock", "cluster/Pod", "no part of a bundle");
    expect_of_path("clock", "cluster/Pod/a/b", "no part of a bundle");
    expect_of("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", STR(""), "has no bundle of");
    expect_of("HTTP/1.1 409 No\r\nConnection: close\r\n\r\n",
              STR("{\"kind\":\"Status\",\"message\":\"it differs\"}"),
              "of decision 01: it differs");
    expect_of("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", STR(""), "status 503");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_replay),
        cmocka_unit_test(what_cannot_be_had_is_refused_and_said),
        cmocka_unit_test(a_place_that_is_taken_stays_as_it_is),
        cmocka_unit_test(a_bundle_that_was_changed_is_not_what_the_server_decided),
        cmocka_unit_test(a_strange_archive_leaves_nothing),
        cmocka_unit_test(what_has_changed_since_changes_nothing),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
