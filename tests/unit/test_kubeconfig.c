/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "kube/kubeconfig.h"

/* One context, one cluster, one user; `%s` of each part is what the test puts in. */
#define CONFIG(cluster, user)                                                                      \
    "apiVersion: v1\nkind: Config\ncurrent-context: here\n"                                        \
    "contexts:\n- name: here\n  context: {cluster: c, user: u, namespace: ml}\n"                   \
    "clusters:\n- name: c\n  cluster: {" cluster "}\n"                                             \
    "users:\n- name: u\n  user: {" user "}\n"

#define SERVER "server: 'https://10.0.0.1:6443'"

static struct kube_access accepted(const char *yaml)
{
    struct kube_access a;
    struct err err = {0};

    if (kube_access_read_text(&a, str_of(yaml), "/etc/kube/config", &err) < 0)
        fail_msg("%s", err.text);
    return a;
}

static void refused(const char *yaml, int code, const char *want)
{
    struct kube_access a = {.ns = NULL};
    struct err err = {0};

    assert_int_equal(kube_access_read_text(&a, str_of(yaml), "config", &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.text, want);
    assert_null(a.server);
}

static void the_current_context_says_whom_to_ask_and_as_whom(void **state)
{
    struct kube_access a = accepted(
        "current-context: b\n"
        "contexts:\n"
        "- name: a\n  context: {cluster: one, user: one}\n"
        "- context: {user: two, cluster: two, namespace: ml}\n  name: b\n"
        "clusters:\n"
        "- {name: one, cluster: {server: 'https://one'}}\n"
        "- name: two\n"
        "  cluster:\n"
        "    server: https://[fd00::1]:6443/k8s/clusters/c-1/\n"
        "    certificate-authority: ca.crt\n"
        "    tls-server-name: kubernetes\n"
        "    proxy-url: http://proxy:3128\n"
        "    insecure-skip-tls-verify: false\n"
        "    extensions: [{name: x, extension: {y: z}}]\n"
        "users:\n"
        "- {name: one, user: {token: no}}\n"
        "- {name: two, user: {client-certificate: pki/a.crt, client-key: /pki/a.key, as: '', "
        "as-groups: [], exec: null}}\n");

    assert_string_equal(a.server, "https://[fd00::1]:6443/k8s/clusters/c-1");
    assert_string_equal(a.server_name, "kubernetes");
    assert_string_equal(a.proxy, "http://proxy:3128");
    assert_string_equal(a.ns, "ml");
    assert_string_equal(a.from, "context b of /etc/kube/config");
    assert_string_equal(a.ca.path, "/etc/kube/ca.crt"); /* beside the file */
    assert_string_equal(a.cert.path, "/etc/kube/pki/a.crt");
    assert_string_equal(a.key.path, "/pki/a.key");
    assert_null(a.ca.text);
    assert_null(a.token);
    assert_null(a.token_file);
    kube_access_done(&a);
    assert_null(a.server);
}

static void data_is_decoded(void **state)
{
    struct kube_access a =
        accepted(CONFIG(SERVER ", certificate-authority-data: Zm9v, certificate-authority: f",
                        "client-certificate-data: Zg==, client-key-data: Zm8="));

    assert_string_equal(a.ca.text, "foo");
    assert_string_equal(a.ca.path, "/etc/kube/f"); /* the text wins where it is used */
    assert_string_equal(a.cert.text, "f");
    assert_string_equal(a.key.text, "fo");
    kube_access_done(&a);
    refused(CONFIG(SERVER ", certificate-authority-data: Zm9", ""), -EINVAL,
            "config:9:74: certificate-authority-data: not PEM in base64");
    refused(CONFIG(SERVER ", certificate-authority-data: AAAA", ""), -EINVAL,
            "config:9:74: certificate-authority-data: not PEM in base64"); /* zero bytes */
}

static void tokens_come_from_a_file_or_stand_there(void **state)
{
    struct kube_access a = accepted(CONFIG(SERVER, "token: abc.def, tokenFile: t"));

    assert_string_equal(a.token, "abc.def");
    assert_string_equal(a.token_file, "/etc/kube/t");
    kube_access_done(&a);
    refused(CONFIG(SERVER, "token: \"a\\nb\""), -EINVAL,
            "config: context here: token: a character that no token has");
}

static void what_weakens_tls_is_refused(void **state)
{
    refused(CONFIG(SERVER ", insecure-skip-tls-verify: true", ""), -ENOTSUP,
            "config:9:72: insecure-skip-tls-verify: the server's certificate is always verified: "
            "give certificate-authority, and tls-server-name where the name differs");
    refused(CONFIG("server: 'http://10.0.0.1:8080'", ""), -EINVAL,
            "config: context here: server: http:// is for this machine only: everybody else is "
            "asked over TLS");
    refused(CONFIG("server: 'http://127.0.0.1.example.com'", ""), -EINVAL,
            "config: context here: server: http:// is for this machine only: everybody else is "
            "asked over TLS");
    static const char *const here[] = {
        CONFIG("server: 'http://127.0.0.1:8001'", ""),
        CONFIG("server: 'http://localhost'", ""),
        CONFIG("server: 'http://[::1]:8001/a'", ""),
    };
    for (size_t i = 0; i < ARRAY_LEN(here); i++) {
        struct kube_access a = accepted(here[i]);
        kube_access_done(&a);
    }
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    refused(CONFIG(SERVER, "exec: {command: aws}"), -ENOTSUP,
            "config:12:16: exec: credential plugins are not supported: use a client certificate or "
            "a token");
    refused(CONFIG(SERVER, "auth-provider: {name: gcp}"), -ENOTSUP,
            "config:12:25: auth-provider: credential plugins are not supported: use a client "
            "certificate or a token");
    refused(CONFIG(SERVER, "username: a"), -ENOTSUP,
            "config:12:20: username: passwords are not supported, nor by Kubernetes since 1.19: "
            "use a client certificate or a token");
    refused(CONFIG(SERVER, "as: root"), -ENOTSUP,
            "config:12:14: as: impersonation is not supported");
}

static void what_is_missing_or_wrong_is_said(void **state)
{
    refused("", -EINVAL, "config: empty, expected kind Config");
    refused("[]", -EINVAL, "config:1:1: expected an object");
    refused("a: {", -EINVAL,
            "config:2:1: did not find expected node content (while parsing a flow node that starts "
            "at line 2)");
    refused("contexts: []\n", -EINVAL, "config: current-context: missing");
    refused("current-context: [a]\n", -EINVAL, "config:1:18: current-context: expected a string");
    refused("current-context: a\n", -EINVAL, "config: contexts: there is no \"a\"");
    refused("current-context: a\ncontexts: {a: b}\n", -EINVAL,
            "config:2:11: contexts: expected a list");
    refused("current-context: a\ncontexts: [{name: a}]\n", -EINVAL,
            "config:2:12: contexts[a]: expected an object");
    refused("current-context: a\ncontexts: [{name: a, context: {user: u}}]\n", -EINVAL,
            "config:2:31: clusters: there is no \"\"");
    refused("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n", -EINVAL,
            "config:2:41: clusters: there is no \"c\"");
    refused("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
            "clusters: [{name: c, cluster: {}}]\n",
            -EINVAL, "config: context a: server: missing");
    refused("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
            "clusters:\n- {name: c, cluster: {server: 'https://a'}}\n"
            "- {name: c, cluster: {server: 'https://b'}}\n",
            -EINVAL, "config:5:3: clusters[c]: given twice");
    refused(CONFIG("server: 10", ""), -EINVAL,
            "config:9:21: server: expected a string, found a number");
    refused(CONFIG("server: 'ftp://h'", ""), -EINVAL,
            "config: context here: server: expected https://HOST:PORT");
    refused(CONFIG("server: 'https:///x'", ""), -EINVAL,
            "config: context here: server: expected https://HOST:PORT");
    refused(CONFIG("server: 'https://h?x'", ""), -EINVAL,
            "config: context here: server: a character that no address has");
    refused(CONFIG("server: 'https://u:p@h'", ""), -EINVAL,
            "config: context here: server: a character that no address has");
    refused(CONFIG(SERVER, "client-certificate: a"), -EINVAL,
            "config: context here: client-certificate and client-key: one without the other");
}

/* A context without a user is anonymous, as for kubectl. */
static void a_user_may_be_missing(void **state)
{
    struct kube_access a = accepted("current-context: a\n"
                                    "contexts: [{name: a, context: {cluster: c, user: ''}}]\n"
                                    "clusters: [{name: c, cluster: {server: 'https://h'}}]\n");

    assert_null(a.token);
    kube_access_done(&a);
}

/* --- files --- */

struct dir {
    char root[64];
};

static int setup(void **state)
{
    const char *const tmp = getenv("TMPDIR");
    struct dir *const d = calloc(1, sizeof(*d));

    (void)snprintf(d->root, sizeof(d->root), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->root));
    *state = d;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    return remove(path);
}

static int teardown(void **state)
{
    (void)nftw(((struct dir *)*state)->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

static void put(const struct dir *d, const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", d->root, name);
    FILE *const f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void files_are_merged_and_the_first_wins(void **state)
{
    const struct dir *const d = *state;
    char list[512], want[128];
    struct kube_access a;

    put(d, "one",
        "clusters: [{name: c, cluster: {server: 'https://one', certificate-authority: ca}}]\n");
    (void)snprintf(list, sizeof(list), "%s/sub", d->root);
    assert_int_equal(mkdir(list, 0700), 0);
    put(d, "sub/two",
        "current-context: x\n"
        "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://two'}}]\n"
        "users: [{name: u, user: {tokenFile: t}}]\n");
    put(d, "three",
        "current-context: y\n"
        "contexts: [{name: x, context: {cluster: d}}]\n"
        "users: [{name: u, user: {token: three}}]\n");
    (void)snprintf(list, sizeof(list), ":%s/none:%s/one:%s/sub/two:%s/three", d->root, d->root,
                   d->root, d->root);
    assert_int_equal(kube_access_merge(&a, list, NULL), 0);
    assert_string_equal(a.server, "https://one");
    assert_null(a.token);
    (void)snprintf(want, sizeof(want), "%s/ca", d->root);
    assert_string_equal(a.ca.path, want); /* each path beside the file that has it */
    (void)snprintf(want, sizeof(want), "%s/sub/t", d->root);
    assert_string_equal(a.token_file, want);
    kube_access_done(&a);
}

static void files_that_cannot_be_read_are_told(void **state)
{
    const struct dir *const d = *state;
    struct kube_access a;
    struct err err;
    char path[128], want[256];

    (void)snprintf(path, sizeof(path), "%s/none", d->root);
    (void)snprintf(want, sizeof(want), "%s: No such file or directory", path);
    assert_int_equal(kube_access_read(&a, path, &err), -ENOENT);
    assert_string_equal(err.text, want);
    assert_int_equal(kube_access_merge(&a, path, &err), -ENOENT);
    assert_string_equal(err.text, "KUBECONFIG: none of its files is there");
    assert_int_equal(kube_access_read(&a, d->root, &err), -EISDIR);
}

static void a_pod_has_its_service_account(void **state)
{
    const struct dir *const d = *state;
    struct kube_access a;
    struct err err;
    char want[128];

    assert_int_equal(kube_access_in_cluster(&a, NULL, "443", d->root, &err), -ENOENT);
    assert_string_equal(err.text, "not in a pod: KUBERNETES_SERVICE_HOST and "
                                  "KUBERNETES_SERVICE_PORT are not set");
    assert_int_equal(kube_access_in_cluster(&a, "10.96.0.1", "", d->root, &err), -ENOENT);
    assert_int_equal(kube_access_in_cluster(&a, "10.96.0.1", "443", d->root, &err), -ENOENT);
    (void)snprintf(want, sizeof(want), "%s/token: No such file or directory", d->root);
    assert_string_equal(err.text, want);
    put(d, "token", "abc\n");
    assert_int_equal(kube_access_in_cluster(&a, "10.96.0.1", "443", d->root, &err), -ENOENT);
    put(d, "ca.crt", "x");
    assert_int_equal(kube_access_in_cluster(&a, "10.96.0.1", "4 3", d->root, &err), -EINVAL);
    assert_int_equal(kube_access_in_cluster(&a, "10.96.0.1", "443", d->root, &err), 0);
    assert_string_equal(a.server, "https://10.96.0.1:443");
    assert_null(a.ns);
    (void)snprintf(want, sizeof(want), "%s/token", d->root);
    assert_string_equal(a.token_file, want);
    (void)snprintf(want, sizeof(want), "%s/ca.crt", d->root);
    assert_string_equal(a.ca.path, want);
    kube_access_done(&a);
    put(d, "namespace", "numawise-system\n");
    assert_int_equal(kube_access_in_cluster(&a, "fd00::1", "6443", d->root, &err), 0);
    assert_string_equal(a.server, "https://[fd00::1]:6443");
    assert_string_equal(a.ns, "numawise-system");
    kube_access_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_current_context_says_whom_to_ask_and_as_whom),
        cmocka_unit_test(data_is_decoded),
        cmocka_unit_test(tokens_come_from_a_file_or_stand_there),
        cmocka_unit_test(what_weakens_tls_is_refused),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
        cmocka_unit_test(what_is_missing_or_wrong_is_said),
        cmocka_unit_test(a_user_may_be_missing),
        cmocka_unit_test_setup_teardown(files_are_merged_and_the_first_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_has_its_service_account, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
