/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/same.h"
#include "kube/object.h"
#include "tests/support/data.h"

enum { ROOM = 16384 };

static _Alignas(max_align_t) char room[2][ROOM];

/* A piece of the text and what stands in its place; both with ' for ". */
struct edit {
    const char *from, *to;
};

static char *edited(const char *text, const struct edit *e)
{
    const char *const at = e ? strstr(text, e->from) : text;
    const size_t skip = e ? strlen(e->from) : 0, more = e ? strlen(e->to) : 0;

    assert_non_null(at);
    char *const out = calloc(1, strlen(text) + more + 65);
    memcpy(out, text, (size_t)(at - text));
    if (more)
        memcpy(out + (at - text), e->to, more);
    (void)strcat(out, at + skip);
    for (char *p = out; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return out;
}

static const char pod_text[] =
    "{'metadata':{'namespace':'ml','name':'p','uid':'u','creationTimestamp':'2026-11-24T03:02:01Z',"
    "'resourceVersion':'7','labels':{'app':'a'},'annotations':{'orchestration.gokore.io/qos-class':"
    "'critical','other':'x'}},'spec':{'nodeName':'n1','priority':5,'resourceClaims':[],'resources':"
    "{'requests':{'cpu':'9'},'limits':{'cpu':'9'}},'initContainers':[{'name':'i'}],'containers':[{"
    "'name':'c','image':'x','resources':{'requests':{'cpu':'2','memory':'1Gi'},'limits':{'cpu':'2',"
    "'memory':'1Gi'}}}]},'status':{'phase':'Running','reason':'r','conditions':[{'type':'Ready',"
    "'status':'True'},{'type':'PodScheduled','status':'True','lastTransitionTime':"
    "'2026-11-24T03:02:02Z'}]}}";

enum same { DIFFERENT, FOR_NODE, SAME };

static enum same pods_same(const struct edit *e)
{
    struct score_pod pods[2];

    for (int i = 0; i < 2; i++) {
        char *const text = edited(pod_text, i ? e : NULL);
        struct arena a;

        arena_init(&a, room[i], ROOM);
        assert_int_equal(kube_pod_decode(&pods[i], (struct str){text, strlen(text)}, &a, NULL), 0);
        free(text);
    }
    static const uint64_t key[2] = {1, 2};
    const bool same = same_pod(&pods[0], &pods[1]);
    assert_int_equal(same_pod(&pods[1], &pods[0]), same);
    assert_true(!same || same_pod_for_node(&pods[0], &pods[1]));
    assert_true(!same || same_pod_hash(key, &pods[0]) == same_pod_hash(key, &pods[1]));
    return same ? SAME : same_pod_for_node(&pods[0], &pods[1]) ? FOR_NODE : DIFFERENT;
}

static void whatever_is_read_of_a_pod_counts(void **state)
{
    static const struct edit edits[] = {
        {"'ml'", "'web'"},
        {"'name':'p'", "'name':'q'"},
        {"'uid':'u'", "'uid':'v'"},
        {"03:02:01Z", "03:02:00Z"},
        {"03:02:02Z", "03:02:03Z"},
        {"'app':'a'", "'app':'b'"},
        {"'app':'a'", "'app':'a','x':'y'"},
        {"'critical'", "'batch'"},
        {"qos-class", "weights"},
        {"'other'", "'orchestration.gokore.io/other'"},
        {"'n1'", "'n2'"},
        {"'priority':5", "'priority':6"},
        {"'resourceClaims':[]", "'resourceClaims':[{}]"},
        {"'requests':{'cpu':'9'},", "'requests':{'cpu':'8'},"},
        {"'limits':{'cpu':'9'}", "'limits':{'cpu':'10'}"},
        {"'name':'i'", "'name':'j'"},
        {"'name':'i'", "'name':'i','restartPolicy':'Always'"},
        {"'name':'c'", "'name':'d'"},
        {"'containers':[", "'containers':[{'name':'b'},"},
        {"'memory':'1Gi'},'limits'", "'memory':'2Gi'},'limits'"},
        {"'limits':{'cpu':'2'", "'limits':{'cpu':'3'"},
        {"'limits':{'cpu':'2'", "'limits':{'nvidia.com/gpu':'1','cpu':'2'"},
        {"'Running'", "'Pending'"},
        {"'reason':'r'", "'reason':'s'"},
        {"'uid':'u'", "'uid':'u','deletionTimestamp':'2026-11-24T03:02:01Z'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(edits); i++)
        if (pods_same(&edits[i]) != DIFFERENT)
            fail_msg("%s for %s makes no difference", edits[i].to, edits[i].from);
}

static void what_is_not_read_does_not(void **state)
{
    static const struct edit edits[] = {
        {"'resourceVersion':'7'", "'resourceVersion':'8'"},
        {"'image':'x'", "'image':'y'"},
        {"'other':'x'", "'other':'y'"},
        {"'status':{", "'status':{'podIP':'10.0.0.1',"},
    };

    for (size_t i = 0; i < ARRAY_LEN(edits); i++)
        if (pods_same(&edits[i]) != SAME)
            fail_msg("%s for %s makes a difference", edits[i].to, edits[i].from);
}

static void what_only_matters_to_its_end_is_told_apart(void **state)
{
    static const struct edit edits[] = {
        {"{'type':'Ready','status':'True'}", "{'type':'Ready','status':'False'}"},
        {"'uid':'u'", "'uid':'u','ownerReferences':[{'kind':'Job','name':'j','controller':true}]"},
        {"'spec':{", "'spec':{'volumes':[{'name':'v','emptyDir':{}}],"},
    };

    for (size_t i = 0; i < ARRAY_LEN(edits); i++)
        if (pods_same(&edits[i]) != FOR_NODE)
            fail_msg("%s for %s: %u", edits[i].to, edits[i].from, pods_same(&edits[i]));
}

static const char node_text[] =
    "{'metadata':{'name':'n','uid':'u','resourceVersion':'7'},'status':{'capacity':{'cpu':'8'},"
    "'allocatable':{'cpu':'7','memory':'1Gi'},'nodeInfo':{'kubeletVersion':'v1.36.0'},'conditions':"
    "[{'type':'Ready','lastHeartbeatTime':'2026-11-24T03:02:01Z'}]}}";

static bool nodes_same(const struct edit *e)
{
    struct kube_node nodes[2];

    for (int i = 0; i < 2; i++) {
        char *const text = edited(node_text, i ? e : NULL);
        struct arena a;

        arena_init(&a, room[i], ROOM);
        assert_int_equal(kube_node_decode(&nodes[i], (struct str){text, strlen(text)}, &a, NULL),
                         0);
        free(text);
    }
    return same_node(&nodes[0], &nodes[1]);
}

static void of_a_node_what_it_has_and_runs(void **state)
{
    static const struct edit differ[] = {
        {"'uid':'u'", "'uid':'v'"},
        {"'cpu':'8'", "'cpu':'9'"},
        {"'cpu':'7'", "'cpu':'6'"},
        {"'memory':'1Gi'", "'memory':'2Gi'"},
        {"'memory':'1Gi'", "'hugepages-2Mi':'1Gi'"},
        {"'memory':'1Gi'", "'memory':'1Gi','a/b':'1'"},
        {"v1.36.0", "v1.36.1"},
    };
    static const struct edit same[] = {{"03:02:01Z", "03:02:11Z"},
                                       {"'resourceVersion':'7'", "'resourceVersion':'8'"}};

    for (size_t i = 0; i < ARRAY_LEN(differ); i++)
        if (nodes_same(&differ[i]))
            fail_msg("%s makes no difference", differ[i].to);
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_true(nodes_same(&same[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_read_of_a_pod_counts),
        cmocka_unit_test(what_is_not_read_does_not),
        cmocka_unit_test(what_only_matters_to_its_end_is_told_apart),
        cmocka_unit_test(of_a_node_what_it_has_and_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
