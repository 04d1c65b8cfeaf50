/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node is judged without the heap: every call of malloc and its kin from this program's objects
 * goes through a count (the linker's --wrap), and there is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 8 << 20 };

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static unsigned calls;

void *__wrap_malloc(size_t n)
{
    calls++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    calls++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    calls++;
    return __real_realloc(p, n);
}

static void write_node(struct buf *b, uint32_t zones, const char *policy, const char *memory)
{
    buf_text(b, "{'zones':[");
    for (uint32_t z = 0; z < zones; z++) {
        buf_printf(b, "%s{'id':%u,'distances':[", z ? "," : "", z);
        for (uint32_t k = 0; k < zones; k++)
            buf_printf(b, "%s%d", k ? "," : "", k == z ? 10 : 20);
        buf_text(b, "],'cores':[");
        for (uint32_t c = 0; z < 8 && c < 4; c++) /* CPUs in up to 8 zones, memory in all */
            buf_printf(b, "%s{'socket':%u,'uncore':%u,'cpus':[%u]}", c ? "," : "", z, z, z * 4 + c);
        buf_text(b, "],'memory':{'total':8589934592,'reserved':1073741824}}");
    }
    buf_printf(b,
               "],'devices':[{'resource':'x.com/gpu','id':'g','zones':[0],'healthy':true}],"
               "'kubelet':{'topologyManagerPolicy':'%s','topologyManagerScope':'container',"
               "'topologyManagerPolicyOptions':{'max-allowable-numa-nodes':'64'},"
               "'cpuManagerPolicy':'static','reservedCPUs':'0','memoryManagerPolicy':'%s'}}",
               policy, memory);
}

static void judge(uint32_t zones, const char *policy, const char *memory, const char *text)
{
    static const struct score_context no_clock = {0};
    struct buf node_text = {0};
    struct arena a;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    struct score_result result;
    struct score_detail detail;
    json_t *node_json, *pod_json;
    void *const room = malloc(ROOM);

    assert_non_null(room);
    arena_init(&a, room, ROOM);
    write_node(&node_text, zones, policy, memory);
    vector_node_text(&node, node_text.p, &node_json, &a);
    vector_pod_text(&pod, text, &pod_json, &a);
    calls = 0;
    const int made = score_request_init(&req, &pod, &a, NULL);
    const int judged = made ? made : score_node(&result, req, &node, &no_clock, &a);
    const int told = judged ? judged : score_node_explain(&detail, req, &node, &no_clock, &a);
    const unsigned after = calls;
    assert_true(made == 0 && judged == 0 && told == 0);
    assert_int_equal(after, 0);
    json_decref(node_json);
    json_decref(pod_json);
    buf_free(&node_text);
    arena_rewind(&a, 0);
    free(room);
}

#define POD(limits) "{'uid':'p','containers':[{'name':'main','limits':{" limits "}}]}"

static void judging_a_node_takes_nothing_from_the_heap(void **state)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    static const char *const pods[] = {
        POD("'cpu':'2','memory':'1Gi'"),                    /* fits */
        POD("'cpu':'5','memory':'9Gi'"),                    /* needs several zones */
        POD("'cpu':'2','memory':'1Gi','x.com/gpu':'1'"),    /* a device */
        POD("'cpu':'200','memory':'900Gi','x.com/gpu':'4'") /* fits nowhere */
    };

    for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
        for (size_t k = 0; k < ARRAY_LEN(pods); k++) {
            for (uint32_t zones = 1; zones <= 8; zones *= 2)
                judge(zones, policies[p], "Static", pods[k]);
            judge(36, policies[p], "None", pods[k]); /* over fewer zones than there are */
        }
    }
}

/* The count counts: what reads the pod above does allocate. */
static void the_count_counts(void **state)
{
    struct buf b = {0};

    calls = 0;
    buf_text(&b, "x");
    assert_int_equal(calls, 1);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_count_counts),
        cmocka_unit_test(judging_a_node_takes_nothing_from_the_heap),
    };

    return cmocka_run_group_tests_name("no_allocation", tests, NULL, NULL);
}
