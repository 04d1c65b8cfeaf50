/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/program.h"
#include "bench/synth.h"

static const char *const verbs[CLIENT_VERBS] = {"filter", "prioritize"};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static struct str surviving_names(struct str reply)
{
    const char *const at = memmem(reply.p, reply.n, "\"NodeNames\":[", 13);
    const char *const end = at ? memchr(at, ']', reply.n - (size_t)(at - reply.p)) : NULL;

    if (!end)
        give_up("filter does not answer with NodeNames");
    return (struct str){at + 12, (size_t)(end - at) - 11};
}

/* What stands behind the nodes is short: looked for from the end. */
static struct str surviving_nodes(struct str reply)
{
    static const char head[] = "{\"Nodes\":", tail[] = ",\"NodeNames\":null";
    const size_t head_bytes = sizeof(head) - 1, tail_bytes = sizeof(tail) - 1;
    size_t at = reply.n;

    if (reply.n > head_bytes + tail_bytes && memcmp(reply.p, head, head_bytes) == 0)
        for (at -= tail_bytes; at > head_bytes && memcmp(reply.p + at, tail, tail_bytes) != 0;)
            at--;
    if (at <= head_bytes || at == reply.n)
        give_up("filter does not answer with Nodes");
    return (struct str){reply.p + head_bytes, at - head_bytes};
}

static uint64_t call(struct client *c, enum client_verb verb, struct str list, struct str *reply,
                     uint64_t *cpu_ns)
{
    const struct str parts[] = {
        STR("{\"Pod\":"),
        buf_view(&c->pod),
        c->by_nodes ? STR(",\"Nodes\":") : STR(",\"Nodes\":null,\"NodeNames\":"),
        list,
        c->by_nodes ? STR(",\"NodeNames\":null}") : STR("}"),
    };
    const uint64_t before = c->pid ? process_cpu_ns(c->pid) : 0;
    const uint64_t took = load_call(&c->load, verbs[verb], parts, 5, reply);

    *cpu_ns = c->pid ? process_cpu_ns(c->pid) - before : 0;
    return took;
}

static void add_pair(struct client_times *t, const uint64_t ns[CLIENT_VERBS],
                     const uint64_t cpu_ns[CLIENT_VERBS])
{
    for (int v = 0; v < CLIENT_VERBS; v++) {
        load_add(&t->of[v], ns[v]);
        t->cpu_ns[v] += cpu_ns[v];
        t->cpu_ns[CLIENT_PAIR] += cpu_ns[v];
    }
    load_add(&t->of[CLIENT_PAIR], ns[0] + ns[1]);
}

void client_pair(struct client *c, uint64_t shape, struct client_times *times,
                 struct client_sizes *sizes)
{
    uint64_t ns[CLIENT_VERBS], cpu_ns[CLIENT_VERBS];
    struct str list = buf_view(&c->list), reply;

    c->pod.n = 0;
    synth_pod(&c->pod, shape);
    for (int v = 0; v < CLIENT_VERBS; v++) {
        ns[v] = call(c, (enum client_verb)v, list, &reply, &cpu_ns[v]);
        if (sizes)
            sizes[v] = (struct client_sizes){list.n, reply.n};
        if (v == CLIENT_FILTER) /* it stays in place until prioritize is sent */
            list = c->by_nodes ? surviving_nodes(reply) : surviving_names(reply);
    }
    if (times)
        add_pair(times, ns, cpu_ns);
}

void client_floor_pair(struct client *c, uint64_t shape, const struct client_sizes *sizes,
                       struct client_times *times)
{
    uint64_t ns[CLIENT_VERBS], cpu_ns[CLIENT_VERBS];
    struct str reply;

    c->pod.n = 0;
    synth_pod(&c->pod, shape);
    for (int v = 0; v < CLIENT_VERBS; v++)
        ns[v] = call(c, (enum client_verb)v, (struct str){c->list.p, sizes[v].body}, &reply,
                     &cpu_ns[v]);
    add_pair(times, ns, cpu_ns);
}

void client_times_done(struct client_times *t)
{
    for (int v = 0; v <= CLIENT_PAIR; v++) {
        t->cpu_ns[v] /= t->of[v].n ? t->of[v].n : 1;
        load_sort(&t->of[v]);
    }
}
