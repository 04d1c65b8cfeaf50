/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deploy/manifests and the program say the same: the rules are those that the program needs and no
 * others, the settings are its settings, and its own pods do not wait for it.
 */
#include "tests/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission/admission.h"
#include "base/arena.h"
#include "base/attr.h"
#include "base/config.h"
#include "base/err.h"
#include "cluster/apiserver_parts.h"
#include "kube/config_file.h"
#include "kube/file.h"
#include "kube/hints.h"
#include "kube/object.h"
#include "scoring/request.h"

#define TEST_DEPLOY TEST_DATA "/../../deploy"

enum { OBJECTS = 64, ROOM = 64 * 1024 };

/* --- what there is --- */

static json_t *objects[OBJECTS];
static unsigned n_objects;

static const char *word(json_t *v, const char *key)
{
    const char *const s = json_string_value(json_object_get(v, key));

    return s ? s : "";
}

static int keep(void *ctx, const struct kube_document *doc)
{
    assert_true(n_objects < OBJECTS);
    objects[n_objects] = json_loadb(doc->json.p, doc->json.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(objects[n_objects]);
    n_objects++;
    return 0;
}

static void no_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s:%u:%u: %s", path, line, column, text);
}

static int set_up(void **state)
{
    static const char *const files[] = {
        "manifests/00-namespace.yaml",       "manifests/act/rbac.yaml",
        "manifests/agent/00-namespace.yaml", "manifests/admission/admission.yaml",
        "manifests/admission/rbac.yaml",     "manifests/admission/webhooks.yaml",
        "manifests/admission/objects.yaml",  "manifests/agent/admission.yaml",
        "manifests/agent/agent.yaml",        "manifests/agent/rbac.yaml",
        "manifests/bind/rbac.yaml",          "manifests/extender-rbac.yaml",
        "manifests/extender.yaml",           "manifests/operator-rbac.yaml",
        "manifests/operator.yaml",           "manifests/preempt/rbac.yaml",
        "manifests/resize/rbac.yaml",        "manifests/retry/rbac.yaml",
        "kube-scheduler/static-pod.yaml",
    };
    const struct kube_visitor visitor = {keep, no_problem, NULL};
    char path[512];

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof(path), TEST_DEPLOY "/%s", files[i]);
        assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    while (n_objects)
        json_decref(objects[--n_objects]);
    return 0;
}

static json_t *find(const char *kind, const char *name)
{
    for (unsigned i = 0; i < n_objects; i++)
        if (strcmp(word(objects[i], "kind"), kind) == 0 &&
            strcmp(word(json_object_get(objects[i], "metadata"), "name"), name) == 0)
            return objects[i];
    fail_msg("there is no %s %s", kind, name);
    return NULL;
}

/* --- rules --- */

static bool names(json_t *list, const char *want)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v) if (strcmp(json_string_value(v), want) == 0) return true;
    return false;
}

static bool allows(const char *role, const char *group, const char *resource, const char *verb)
{
    size_t i;
    json_t *rule;

    json_array_foreach(json_object_get(find("ClusterRole", role), "rules"), i,
                       rule) if (names(json_object_get(rule, "apiGroups"), group) &&
                                 names(json_object_get(rule, "resources"), resource) &&
                                 names(json_object_get(rule, "verbs"), verb)) return true;
    return false;
}

/* How many pairs of a resource and a verb the role allows. */
static size_t breadth(const char *role)
{
    size_t i, n = 0;
    json_t *rule;

    json_array_foreach(json_object_get(find("ClusterRole", role), "rules"), i, rule) n +=
        json_array_size(json_object_get(rule, "resources")) *
        json_array_size(json_object_get(rule, "verbs"));
    return n;
}

static bool follows(const char *role, const struct api_kind *k)
{
    return allows(role, k->group, k->resource, "list") &&
           allows(role, k->group, k->resource, "watch");
}

static void the_extender_reads_what_it_follows_and_writes_nothing(void **state)
{
    size_t n = 0;

    for (unsigned i = 0; i < APISERVER_KINDS; i++) {
        if (api_kinds[i].kind >= SOURCE_BUDGET)
            continue;
        if (!follows("numawise-extender", &api_kinds[i]))
            fail_msg("no rule for %s", api_kinds[i].resource);
        n++;
    }
    assert_true(n >= 6);
    assert_int_equal(breadth("numawise-extender"), 2 * n);
}

static void bind_adds_bindings_only_and_preempt_reads_budgets(void **state)
{
    assert_true(allows("numawise-extender-bind", "", "pods/binding", "create"));
    assert_true(allows("numawise-extender-bind", "", "pods", "get"));
    assert_int_equal(breadth("numawise-extender-bind"), 2);
    for (unsigned i = 0; i < APISERVER_KINDS; i++)
        if (api_kinds[i].kind == SOURCE_BUDGET)
            assert_true(follows("numawise-extender-preempt", &api_kinds[i]));
    assert_int_equal(breadth("numawise-extender-preempt"), 2);
}

/* One object, by its name, in the namespace of its own, and nothing but its change. */
static void retry_touches_its_own_object_and_no_other(void **state)
{
    json_t *const rules = json_object_get(find("Role", "numawise-extender-retry"), "rules");
    json_t *const rule = json_array_get(rules, 0);
    json_t *const object = find("CSIStorageCapacity", "numawise-retry");
    json_t *const bound =
        json_object_get(find("RoleBinding", "numawise-extender-retry"), "roleRef");

    assert_int_equal(json_array_size(rules), 1);
    assert_true(names(json_object_get(rule, "apiGroups"), "storage.k8s.io"));
    assert_true(names(json_object_get(rule, "resources"), "csistoragecapacities"));
    assert_true(names(json_object_get(rule, "resourceNames"), "numawise-retry"));
    assert_true(names(json_object_get(rule, "verbs"), "patch"));
    assert_int_equal(json_array_size(json_object_get(rule, "resources")), 1);
    assert_int_equal(json_array_size(json_object_get(rule, "resourceNames")), 1);
    assert_int_equal(json_array_size(json_object_get(rule, "verbs")), 1);
    assert_string_equal(word(json_object_get(object, "metadata"), "namespace"), "numawise-system");
    assert_null(json_object_get(object, "capacity"));
    assert_null(json_object_get(object, "nodeTopology")); /* of no node */
    assert_string_equal(word(bound, "name"), "numawise-extender-retry");
}

static void the_operator_reads_the_same_and_keeps_its_own(void **state)
{
    size_t n = 0;

    for (unsigned i = 0; i < APISERVER_KINDS; i++) {
        if (api_kinds[i].kind == SOURCE_BUDGET)
            continue;
        if (!follows("numawise-operator", &api_kinds[i]))
            fail_msg("no rule for %s", api_kinds[i].resource);
        n++;
    }
    assert_true(allows("numawise-operator", "concurrency.gokore.io", "lockpolicies", "create"));
    assert_true(
        allows("numawise-operator", "concurrency.gokore.io", "lockpolicies/status", "update"));
    assert_true(allows("numawise-operator", "authentication.k8s.io", "tokenreviews", "create"));
    /* create, update, delete of four kinds; four statuses; two reviews */
    assert_int_equal(breadth("numawise-operator"), 2 * n + 4 * 3 + 4 + 2);
    assert_false(allows("numawise-operator", "", "pods", "delete"));
    assert_false(allows("numawise-operator", "", "pods/eviction", "create"));
}

/* What ends pods is given apart, and is no more than that. */
static void acting_adds_evictions_only(void **state)
{
    assert_true(allows("numawise-operator-act", "", "pods", "get"));
    assert_true(allows("numawise-operator-act", "", "pods/eviction", "create"));
    assert_true(allows("numawise-operator-act", "events.k8s.io", "events", "create"));
    assert_true(allows("numawise-operator-act", "events.k8s.io", "events", "patch"));
    assert_int_equal(breadth("numawise-operator-act"), 4);
}

/* What resizes pods is given apart from that, and is no more either. */
static void resizing_adds_resizes_only(void **state)
{
    assert_true(allows("numawise-operator-resize", "", "pods", "get"));
    assert_true(allows("numawise-operator-resize", "", "pods/resize", "patch"));
    assert_true(allows("numawise-operator-resize", "events.k8s.io", "events", "create"));
    assert_true(allows("numawise-operator-resize", "events.k8s.io", "events", "patch"));
    assert_int_equal(breadth("numawise-operator-resize"), 4);
}

/* One replica leads; each has a name of its own, by which the other one sends callers to it. */
static void the_replicas_of_the_operator_know_who_leads(void **state)
{
    json_t *const rules = json_object_get(find("Role", "numawise-operator"), "rules");
    json_t *const set = find("StatefulSet", "numawise-operator");
    const char *const text =
        word(json_object_get(find("ConfigMap", "numawise-operator"), "data"), "numawise.yaml");
    struct numawise_config c;
    struct err err = {0};

    assert_true(names(json_object_get(json_array_get(rules, 0), "verbs"), "create"));
    assert_true(names(json_object_get(json_array_get(rules, 1), "verbs"), "get"));
    assert_true(names(json_object_get(json_array_get(rules, 1), "verbs"), "patch"));
    assert_true(
        names(json_object_get(json_array_get(rules, 1), "resourceNames"), "numawise-operator"));
    config_init(&c);
    assert_int_equal(kube_config_read_text(&c, str_of(text), "operator", NULL, &err), 0);
    assert_string_equal(c.operator_lease.p, "numawise-system/numawise-operator");
    const char *const service = word(json_object_get(set, "spec"), "serviceName");
    assert_string_equal(word(json_object_get(find("Service", service), "spec"), "clusterIP"),
                        "None");
}

/* Its Node and what the kubelet runs with, the pods, and reports; admission keeps it to the report
 * of its own node. */
static void the_agent_reads_little_and_writes_reports_only(void **state)
{
    static const char reports[] = "topology.node.k8s.io";

    assert_true(allows("numawise-agent", "", "nodes", "get"));
    assert_true(allows("numawise-agent", "", "nodes/configz", "get"));
    assert_true(allows("numawise-agent", "", "pods", "list"));
    assert_true(allows("numawise-agent", "", "pods", "watch"));
    assert_true(allows("numawise-agent", reports, "noderesourcetopologies", "get"));
    assert_true(allows("numawise-agent", reports, "noderesourcetopologies", "create"));
    assert_true(allows("numawise-agent", reports, "noderesourcetopologies", "patch"));
    assert_int_equal(breadth("numawise-agent"), 7);
    json_t *const spec =
        json_object_get(find("ValidatingAdmissionPolicy", "numawise-agent-own-node"), "spec");
    json_t *const condition = json_array_get(json_object_get(spec, "matchConditions"), 0);
    json_t *const account = find("ServiceAccount", "numawise-agent");
    char want[128];

    (void)snprintf(want, sizeof(want),
                   "request.userInfo.username == 'system:serviceaccount:%s:numawise-agent'",
                   word(json_object_get(account, "metadata"), "namespace"));
    assert_string_equal(word(condition, "expression"), want);
    assert_string_equal(word(spec, "failurePolicy"), "Fail");
    (void)find("ValidatingAdmissionPolicyBinding", "numawise-agent-own-node");
}

/* What the extender reads, and LockPolicies. */
static void the_webhook_reads_and_writes_nothing(void **state)
{
    size_t n = 0;

    for (unsigned i = 0; i < APISERVER_KINDS; i++) {
        if (api_kinds[i].kind >= SOURCE_BUDGET && api_kinds[i].kind != SOURCE_LOCK_POLICY)
            continue;
        if (!follows("numawise-admission", &api_kinds[i]))
            fail_msg("no rule for %s", api_kinds[i].resource);
        n++;
    }
    assert_true(n >= 7);
    assert_int_equal(breadth("numawise-admission"), 2 * n);
}

/* The API server finds the pods by the Service, and waits neither long nor for ever. */
static void each_webhook_leads_to_the_listener_and_holds_nobody_up(void **state)
{
    static const char *const configurations[] = {"numawise", "numawise-objects"};
    json_t *const service = find("Service", "numawise-admission");
    json_t *const port =
        json_array_get(json_object_get(json_object_get(service, "spec"), "ports"), 0);
    size_t i, n = 0;
    json_t *hook;

    for (size_t c = 0; c < ARRAY_LEN(configurations); c++) {
        json_array_foreach(
            json_object_get(find("ValidatingWebhookConfiguration", configurations[c]), "webhooks"),
            i, hook)
        {
            json_t *const to = json_object_get(json_object_get(hook, "clientConfig"), "service");

            assert_string_equal(word(to, "name"), "numawise-admission");
            assert_string_equal(word(to, "namespace"),
                                word(json_object_get(service, "metadata"), "namespace"));
            assert_string_equal(word(to, "path"), ADM_PATH);
            assert_int_equal(json_integer_value(json_object_get(to, "port")),
                             json_integer_value(json_object_get(port, "port")));
            assert_string_equal(word(hook, "failurePolicy"), "Ignore");
            assert_string_equal(word(hook, "sideEffects"), "None");
            assert_int_equal(json_integer_value(json_object_get(hook, "timeoutSeconds")), 2);
            assert_true(json_array_size(json_object_get(hook, "matchConditions")) > 0);
            n++;
        }
    }
    assert_int_equal(n, 4);
}

static json_t *only(json_t *object, const char *key)
{
    json_t *const list = json_object_get(object, key);

    assert_int_equal(json_array_size(list), 1);
    return json_array_get(list, 0);
}

/* On every node, before what it tells of, and able to change nothing there. */
static void the_agent_sees_its_host_and_touches_nothing(void **state)
{
    json_t *const set = find("DaemonSet", "numawise-agent");
    json_t *const spec =
        json_object_get(json_object_get(json_object_get(set, "spec"), "template"), "spec");
    json_t *const container = only(spec, "containers");
    json_t *const security = json_object_get(container, "securityContext");
    json_t *const mount = only(container, "volumeMounts");

    assert_string_equal(word(spec, "priorityClassName"), "system-node-critical");
    assert_string_equal(word(only(spec, "tolerations"), "operator"), "Exists");
    assert_true(json_is_true(json_object_get(mount, "readOnly")));
    assert_true(json_is_true(json_object_get(security, "readOnlyRootFilesystem")));
    assert_true(json_is_false(json_object_get(security, "allowPrivilegeEscalation")));
    assert_true(names(json_object_get(json_object_get(security, "capabilities"), "drop"), "ALL"));
    assert_null(json_object_get(security, "privileged"));
    assert_null(json_object_get(spec, "hostNetwork"));
    assert_null(json_object_get(spec, "hostPID"));
    assert_string_equal(word(json_object_get(only(spec, "volumes"), "hostPath"), "path"),
                        word(mount, "mountPath"));
}

static void every_role_is_bound_to_its_account(void **state)
{
    static const char *const bound[][2] = {{"numawise-extender", "numawise-extender"},
                                           {"numawise-extender-bind", "numawise-extender"},
                                           {"numawise-extender-preempt", "numawise-extender"},
                                           {"numawise-operator", "numawise-operator"},
                                           {"numawise-operator-act", "numawise-operator"},
                                           {"numawise-operator-resize", "numawise-operator"},
                                           {"numawise-agent", "numawise-agent"},
                                           {"numawise-admission", "numawise-admission"}};

    for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
        json_t *const b = find("ClusterRoleBinding", bound[i][0]);
        json_t *const who = json_array_get(json_object_get(b, "subjects"), 0);

        assert_string_equal(word(json_object_get(b, "roleRef"), "name"), bound[i][0]);
        assert_string_equal(word(who, "kind"), "ServiceAccount");
        assert_string_equal(word(who, "name"), bound[i][1]);
        (void)find("ServiceAccount", bound[i][1]);
    }
}

/* --- settings and pods --- */

static void settings_are_settings_of_the_program(void **state)
{
    static const char *const names[] = {"numawise-extender", "numawise-operator",
                                        "numawise-admission"};
    static const enum config_role roles[] = {CONFIG_EXTENDER, CONFIG_OPERATOR, CONFIG_ADMISSION};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *const text =
            word(json_object_get(find("ConfigMap", names[i]), "data"), "numawise.yaml");
        struct numawise_config c;
        struct err err = {0};

        config_init(&c);
        if (kube_config_read_text(&c, str_of(text), names[i], NULL, &err))
            fail_msg("%s", err.text);
        assert_string_equal(c.listeners[CONFIG_CONSOLE].address.p, "0.0.0.0:8789");
        assert_int_equal(config_check(&c, &err), 0);
        for (size_t k = 0; k < ARRAY_LEN(roles); k++)
            assert_int_equal(config_is_off(&c.listeners[roles[k]]), k != i);
        /* what comes over a network shows a certificate, or a token over TLS */
        assert_true(c.listeners[roles[i]].cert_file.p[0]);
        assert_true(i || c.listeners[CONFIG_EXTENDER].client_ca_file.p[0]);
    }
}

static struct score_pod pod_of(json_t *object, struct arena *a)
{
    char *const text = json_dumps(object, JSON_COMPACT);
    static char padded[ROOM];
    const size_t n = strlen(text);
    struct score_pod pod;
    struct err err = {0};

    assert_true(n + 64 < ROOM);
    memset(padded, 0, sizeof(padded));
    memcpy(padded, text, n);
    if (kube_pod_decode(&pod, (struct str){padded, n}, a, &err))
        fail_msg("%s", err.text);
    free(text);
    return pod;
}

/* They take nothing for themselves, and pass whatever is known of a node. */
static void own_pods_are_passed_and_plain(void **state)
{
    static const char *const own[][2] = {{"Deployment", "numawise-extender"},
                                         {"StatefulSet", "numawise-operator"},
                                         {"Deployment", "numawise-admission"},
                                         {"DaemonSet", "numawise-agent"}};
    static _Alignas(max_align_t) char room[ROOM];
    struct arena a;

    arena_init(&a, room, ROOM);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        const struct score_pod pod = pod_of(find(own[i][0], own[i][1]), &a);

        assert_true(kube_hints_ignore(&pod));
        assert_true(pod_is_plain(&pod));
    }
    const struct score_pod pod = pod_of(find("Pod", "numawise"), &a);
    assert_true(pod_is_plain(&pod));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_extender_reads_what_it_follows_and_writes_nothing),
        T(bind_adds_bindings_only_and_preempt_reads_budgets),
        T(retry_touches_its_own_object_and_no_other),
        T(the_operator_reads_the_same_and_keeps_its_own),
        T(acting_adds_evictions_only),
        T(resizing_adds_resizes_only),
        T(the_replicas_of_the_operator_know_who_leads),
        T(the_agent_reads_little_and_writes_reports_only),
        T(the_agent_sees_its_host_and_touches_nothing),
        T(the_webhook_reads_and_writes_nothing),
        T(each_webhook_leads_to_the_listener_and_holds_nobody_up),
        T(every_role_is_bound_to_its_account),
        T(settings_are_settings_of_the_program),
        T(own_pods_are_passed_and_plain),
    };
#undef T

    return cmocka_run_group_tests_name("manifests", tests, NULL, NULL);
}
