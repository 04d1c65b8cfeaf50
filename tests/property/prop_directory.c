/* SPDX-License-Identifier: Apache-2.0 */
/*
 * However a directory is edited: the cluster that followed every edit is the cluster that one
 * would read fresh.
 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster_bench.h"
#include "tests/support/data.h"

enum { EDITS = 300, BURST = 12, PATHS = 9, NODES = 5, PODS = 6, TEXT = 4096 };

static const char *const paths[PATHS] = {
    "a.yaml",
    "b.yaml",
    "c.json",
    "x/a.yaml",
    "x/y/b.yml",
    "z/c.yaml",
    "numawise/n/1.yaml",
    "numawise/p/2.yaml",
    "numawise/p/3.yaml",
};

static size_t add_object(char *at, size_t room, uint64_t *seed)
{
    static const char *const deleted[] = {"",
                                          ",'annotations':{'numawise.gokore.io/deleted':'true'}"};
    const char *const mark = deleted[test_random(seed, 4) == 0];
    const int node = (int)test_random(seed, NODES);
    int n;

    switch (test_random(seed, 3)) {
    case 0:
        n = snprintf(at, room, "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n%d'%s}}\n",
                     node, mark);
        break;
    case 1:
        n = snprintf(at, room,
                     "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology',"
                     "'metadata':{'name':'n%d'%s},'attributes':[{'name':'topologyManagerPolicy',"
                     "'value':'single-numa-node'},{'name':'orchestration.gokore.io/placements',"
                     "'value':'{}'}],'zones':[{'name':'node-0','resources':[{'name':'cpu',"
                     "'capacity':'%d'}]}]}\n",
                     node, mark, 2 + (int)test_random(seed, 9));
        break;
    default:
        n = snprintf(at, room,
                     "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p%d'%s},'spec':"
                     "{'nodeName':'n%d','containers':[{'name':'c','resources':{'limits':{'cpu':"
                     "'%d','memory':'1Gi'},'requests':{'cpu':'%d','memory':'1Gi'}}}]}}\n",
                     (int)test_random(seed, PODS), mark, node, node + 1, node + 1);
        break;
    }
    return (size_t)n;
}

static void make_text(char *text, const char *path, uint64_t *seed)
{
    const bool list = strstr(path, ".json") != NULL;
    const uint64_t n = test_random(seed, 5);
    size_t at = 0;

    at += (size_t)snprintf(text, TEXT, "%s",
                           list ? "{'apiVersion':'v1','kind':'List','items':[\n" : "");
    for (uint64_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, TEXT - at, "%s", i == 0 ? "" : list ? "," : "---\n");
        at += add_object(text + at, TEXT - at, seed);
    }
    (void)snprintf(text + at, TEXT - at, "%s", list ? "]}\n" : "");
}

static void edit(struct cluster_bench *b, uint64_t *seed)
{
    const char *const path = paths[test_random(seed, PATHS)];
    char text[TEXT];

    make_text(text, path, seed);
    switch (test_random(seed, 4)) {
    case 0:
        cluster_bench_remove(b, path);
        break;
    case 1:
        cluster_bench_replace(b, path, text);
        break;
    default:
        cluster_bench_write(b, path, text);
        break;
    }
}

static void render_fresh(struct cluster_bench *b, struct buf *out)
{
    static const struct cluster_options options = {.hash_key = {11, 13}};
    struct cluster *c;
    struct directory *d;

    assert_int_equal(cluster_new(&c, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(c);
    assert_int_equal(directory_open(&d, b->root, NULL, &sink, NULL, NULL, NULL), 0);
    cluster_bench_render(c, out);
    directory_close(d);
    cluster_free(c);
}

static bool is_as_fresh(struct cluster_bench *b, void *ctx)
{
    const struct buf *const want = ctx;
    struct buf have = {0};

    cluster_bench_render(b->cluster, &have);
    const bool same = str_eq(buf_view(&have), buf_view(want));
    buf_free(&have);
    return same;
}

static void the_followed_cluster_is_the_one_read_fresh(void **state)
{
    uint64_t seed = test_seed(20261124);
    struct cluster_bench *const b = cluster_bench_new();

    (void)state;
    /* Whether pods are known at all is remembered: let it be known from the start. */
    cluster_bench_write(b, "pod.yaml",
                        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'always'},'spec':"
                        "{'containers':[{'name':'c'}]}}\n");
    cluster_bench_follow(b);
    for (int done = 0; done < EDITS;) {
        struct buf want = {0}, have = {0};

        for (uint64_t n = 1 + test_random(&seed, BURST); n > 0; n--, done++)
            edit(b, &seed);
        render_fresh(b, &want);
        const bool same = cluster_bench_wait(b, is_as_fresh, &want);
        cluster_bench_render(b->cluster, &have);
        if (!same)
            fail_msg("after %d edits: followed\n%s\nfresh\n%s", done, have.p, want.p);
        buf_free(&want);
        buf_free(&have);
    }
    cluster_bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_followed_cluster_is_the_one_read_fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
