/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two replicas of the operator over one API server, through random histories: deadlocks come and
 * go, writes and evictions are late, lost, or done without an answer, replicas crash at any point,
 * lose the lease and get it back. However that goes: no pod is ended twice, none without its
 * intention having been stored, budgets hold, and enough replicas stay. In some the lease lies, so
 * that two lead: then, too, no pod is ended twice. Time is simulated.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "kube/api.h"
#include "operator/act.h"
#include "operator/parts.h"
#include "tests/support/data.h"

enum {
    SCHEDULES = 20,
    MINUTES = 40,
    PODS = 16, /* four of each of four workloads, by turns on two nodes */
    OWNERS = 4,
    MESSAGES = 64,
    OBJECTS = 128,
    ENDS = 256,
    LEASE_S = 15, /* so long nobody leads after one that is not heard of */
    SLACK_S = 40, /* an eviction may reach the server so long after its intention */
};

#define S UINT64_C(1000000000)

static const int64_t start_us = INT64_C(1790000000) * 1000000;

struct pod {
    unsigned uid, version;
    bool ends;
    uint64_t gone_at, born; /* when it is replaced; seconds */
    uint64_t locked_at;     /* 0: it is not deadlocked */
    uint64_t epoch, sequence;
};

struct object {
    char name[64], ns[16];
    unsigned version, told[2]; /* as the replicas have been told */
    struct buf spec, status;
};

/* A write or a question on its way. */
struct message {
    bool used, arrived;
    int replica;
    unsigned life;             /* of the replica: an answer to one that has crashed is nobody's */
    uint64_t arrives, answers; /* seconds; 0 = never */
    uint64_t expires;
    /* Of a write. */
    writer_done stored;
    char name[64], ns[16];
    bool exists;
    unsigned expects;
    struct buf spec, status;
    /* Of a question. */
    void (*done)(void *ctx, const struct kube_answer *a);
    enum kube_method method;
    int pod;
    unsigned uid, version;
    void *ctx;
    /* What is answered. */
    int status_code, code;
    struct buf body;
};

struct replica {
    struct world *w;
    int me;
    struct op *op;
    unsigned life;
    uint64_t leads_until; /* by its own clock: seconds */
};

struct end {
    uint64_t at;
    int pod;
    unsigned uid;
};

static struct world {
    bool lies; /* the lease has been edited by hand: two may lead */
    uint64_t *seed;
    uint64_t now; /* seconds */
    struct cluster *cluster;
    struct source_sink sink;
    struct replica replicas[2];
    int holder; /* of the lease, -1 = nobody */
    uint64_t held_until;
    int32_t transitions;
    struct pod pods[PODS];
    struct object objects[OBJECTS];
    unsigned n_objects, version, uids;
    struct message messages[MESSAGES];
    struct end ends[ENDS];
    unsigned n_ends;
    /* What has happened, over all schedules. */
    unsigned crashes_after_intention, answers_lost, conflicts, refused, all_ends;
} w;

static uint64_t below(uint64_t n)
{
    return test_random(w.seed, n);
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

static uint64_t now_ns(void)
{
    return (1000 + w.now) * S;
}

static int64_t now_us(void)
{
    return start_us + (int64_t)w.now * 1000000;
}

static int owner_of(int pod)
{
    return pod / 4;
}

/* --- pods --- */

static void tell_pod(int i)
{
    char text[1024], name[24], created[40];
    const struct pod *const p = &w.pods[i];

    (void)snprintf(name, sizeof(name), "pod-%d", i);
    clock_format_rfc3339(created, start_us + ((int64_t)p->born - 100000) * 1000000);
    (void)snprintf(
        text, sizeof(text),
        "{\"metadata\":{\"namespace\":\"bank\",\"name\":\"%s\",\"uid\":\"u-%u\","
        "\"creationTimestamp\":\"%s\"%s,\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":"
        "\"set-%d\",\"controller\":true}]},\"spec\":{\"nodeName\":\"n%d\",\"containers\":[{"
        "\"name\":\"m\"}]},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"True\"}]}}",
        name, p->uid, created, p->ends ? ",\"deletionTimestamp\":\"2026-09-21T00:00:00Z\"" : "",
        owner_of(i), i % 2);
    const size_t n = strlen(text);
    memset(text + n, 0, 64);
    const struct source_delta delta = {.kind = SOURCE_POD,
                                       .type = STR("Pod"),
                                       .ns = STR("bank"),
                                       .name = str_of(name),
                                       .json = {text, n}};
    assert_int_equal(w.sink.delta(w.sink.ctx, &delta, NULL), 0);
    w.sink.settled(w.sink.ctx);
}

static void set_policy(void)
{
    static const char text[] =
        "{\"apiVersion\":\"orchestration.gokore.io/v1beta1\",\"kind\":\"ConcurrencyPolicy\","
        "\"metadata\":{\"name\":\"p\"},\"spec\":{\"deadlock\":{\"thresholdSeconds\":5,"
        "\"strategy\":\"EvictPod\",\"mode\":\"Enforce\",\"cooldownSeconds\":60}}}";
    char padded[sizeof(text) + 64] = "";

    memcpy(padded, text, sizeof(text));
    const struct source_delta delta = {.kind = SOURCE_POLICY,
                                       .type = STR("ConcurrencyPolicy"),
                                       .name = STR("p"),
                                       .json = {padded, sizeof(text) - 1}};
    assert_int_equal(w.sink.delta(w.sink.ctx, &delta, NULL), 0);
    w.sink.settled(w.sink.ctx);
}

/* An end that counts: all that is promised holds at this moment. */
static void end_pod(int i)
{
    struct pod *const p = &w.pods[i];
    unsigned of_owner = 0, of_node = 0, of_all = 0, healthy = 0;
    char uid[32];
    bool intended = false;

    (void)snprintf(uid, sizeof(uid), "\"uid\":\"u-%u\"", p->uid);
    for (unsigned k = 0; k < w.n_objects; k++) {
        const struct buf *const s = &w.objects[k].status;
        const char *const act = s->n ? memmem(s->p, s->n, "\"act\":", 6) : NULL;

        intended = intended || (act && memmem(act, s->n - (size_t)(act - s->p), uid, strlen(uid)) &&
                                memmem(act, s->n - (size_t)(act - s->p), "Intended", 8));
    }
    if (!intended)
        fail_msg("pod %d (u-%u) ends, and nobody has recorded that he means to", i, p->uid);
    for (unsigned k = 0; k < w.n_ends; k++) {
        const struct end *const e = &w.ends[k];
        const bool lately = w.now - e->at < 300 - SLACK_S;

        if (e->uid == p->uid)
            fail_msg("u-%u is ended twice", p->uid);
        of_owner += lately && owner_of(e->pod) == owner_of(i);
        of_node += lately && e->pod % 2 == i % 2;
        of_all += w.now - e->at < 3600 - SLACK_S;
    }
    for (int k = 0; k < PODS; k++)
        healthy += k != i && owner_of(k) == owner_of(i) && !w.pods[k].ends;
    assert_true(w.lies || (of_owner < 1 && of_node < 2 && of_all < 5 && healthy >= 2));
    assert_true(w.n_ends < ENDS);
    w.ends[w.n_ends++] = (struct end){w.now, i, p->uid};
    w.all_ends++;
    p->ends = true;
    p->version++;
    p->gone_at = w.now + 5 + below(25);
    tell_pod(i);
}

static void change_pods(void)
{
    for (int i = 0; i < PODS; i++) {
        struct pod *const p = &w.pods[i];

        if (p->ends && w.now >= p->gone_at) {
            *p = (struct pod){.uid = ++w.uids, .version = 1, .born = 100000 + w.now};
            tell_pod(i);
        } else if (!p->ends && !p->locked_at && one_in(300)) {
            p->locked_at = w.now + 1;
            p->epoch++;
            p->sequence = 0;
        } else if (p->locked_at && one_in(200)) {
            p->locked_at = 0; /* somebody has let go */
            p->epoch++;
            p->sequence = 0;
        } else if (one_in(30)) {
            p->version++; /* its kubelet writes a status */
        }
    }
}

/* --- what replicas ask --- */

static struct message *new_message(struct replica *r)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct message *const m = &w.messages[i];

        if (m->used)
            continue;
        *m = (struct message){.used = true, .replica = r->me, .life = r->life};
        /* Lost on the way there, or on the way back, or just late. */
        m->arrives = one_in(20) ? 0 : w.now + (one_in(10) ? below(25) : below(2));
        m->answers = one_in(20) || !m->arrives ? 0 : m->arrives + below(3);
        return m;
    }
    fail_msg("too many messages");
    return NULL;
}

static void put_object(void *ctx, const struct writer_object *o, writer_done stored, void *done_ctx)
{
    struct message *const m = new_message(ctx);
    uint64_t version = 0;

    m->stored = stored;
    m->ctx = done_ctx;
    m->expires = w.now + 4;
    (void)snprintf(m->name, sizeof(m->name), "%.*s", STR_ARG(o->name));
    (void)snprintf(m->ns, sizeof(m->ns), "%.*s", STR_ARG(o->ns));
    m->exists = o->exists;
    assert_true(!o->exists || str_u64(o->resource_version, &version));
    m->expects = (unsigned)version;
    buf_str(&m->spec, o->spec);
    buf_str(&m->status, o->status);
}

static void remove_object(void *ctx, const struct writer_object *o, writer_done stored, void *d)
{
    (void)ctx, (void)o, (void)stored, (void)d;
    fail_msg("nothing is to be removed");
}

static int send_request(void *ctx, const struct kube_request *q, struct kube_call **out,
                        struct err *err)
{
    struct message *const m = new_message(ctx);
    const char *const uid = q->body.n ? memmem(q->body.p, q->body.n, "\"u-", 3) : NULL;
    const char *const version =
        q->body.n ? memmem(q->body.p, q->body.n, "resourceVersion\":\"", 18) : NULL;

    (void)out, (void)err;
    m->done = q->done;
    m->ctx = q->ctx;
    m->method = q->method;
    m->expires = w.now + (q->timeout_ms + 999) / 1000;
    assert_int_equal(sscanf(q->path, "/api/v1/namespaces/bank/pods/pod-%d", &m->pod), 1);
    assert_true(m->pod >= 0 && m->pod < PODS);
    assert_true(q->method == KUBE_GET || (uid && version));
    m->uid = uid ? (unsigned)strtoul(uid + 3, NULL, 10) : 0;
    m->version = version ? (unsigned)strtoul(version + 18, NULL, 10) : 0;
    return 0;
}

/* --- the API server --- */

static struct object *find_object(const char *name)
{
    for (unsigned i = 0; i < w.n_objects; i++) {
        if (strcmp(w.objects[i].name, name) == 0)
            return &w.objects[i];
    }
    return NULL;
}

static void put_json(struct buf *out, const struct object *x)
{
    buf_printf(out,
               "{\"apiVersion\":\"orchestration.gokore.io/v1beta1\",\"kind\":\"DeadlockReport\","
               "\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"o-%s\","
               "\"resourceVersion\":\"%u\",\"generation\":1,\"creationTimestamp\":"
               "\"2026-09-20T00:00:00Z\"},\"spec\":%.*s,\"status\":%.*s}",
               x->name, x->ns, x->name, x->version, STR_ARG(buf_view(&x->spec)),
               STR_ARG(x->status.n ? buf_view(&x->status) : STR("{}")));
    buf_add(out, (const char[64]){0}, 64);
}

static void take_write(struct message *m)
{
    struct object *x = find_object(m->name);

    if (m->exists ? !x || x->version != m->expects : x != NULL) {
        m->status_code = 409;
        m->code = -ESTALE;
        w.conflicts++;
        return;
    }
    if (!x) {
        assert_true(w.n_objects < OBJECTS);
        x = &w.objects[w.n_objects++];
        *x = (struct object){.version = 0};
        (void)snprintf(x->name, sizeof(x->name), "%s", m->name);
        (void)snprintf(x->ns, sizeof(x->ns), "%s", m->ns);
        buf_str(&x->spec, buf_view(&m->spec));
    }
    x->status.n = 0;
    buf_str(&x->status, buf_view(&m->status));
    x->version = ++w.version;
    put_json(&m->body, x);
    m->body.n -= 64;
}

static void take_get(struct message *m)
{
    const struct pod *const p = &w.pods[m->pod];

    m->status_code = 200;
    buf_printf(&m->body, "{\"metadata\":{\"uid\":\"u-%u\",\"resourceVersion\":\"%u\"%s}}", p->uid,
               p->version, p->ends ? ",\"deletionTimestamp\":\"2026-09-21T00:00:00Z\"" : "");
    buf_add(&m->body, (const char[64]){0}, 64);
    m->body.n -= 64;
}

static void take_eviction(struct message *m)
{
    const struct pod *const p = &w.pods[m->pod];

    buf_add(&m->body, (const char[64]){0}, 64);
    m->body.n = 0;
    if (p->uid != m->uid || p->version != m->version) {
        m->status_code = 409;
        m->code = -EEXIST;
    } else if (one_in(6)) {
        m->status_code = 429;
        m->code = -EAGAIN;
        w.refused++;
    } else if (one_in(12)) {
        m->status_code = 500;
        m->code = -EAGAIN;
        if (one_in(2))
            end_pod(m->pod);
    } else {
        m->status_code = 201;
        end_pod(m->pod);
    }
}

static void give_answer(struct message *m, bool late)
{
    struct kube_answer a = {.status = m->status_code, .retry_after_ms = -1};
    struct err err = {.code = late ? -ETIMEDOUT : m->code};
    struct message taken = *m;

    *m = (struct message){.used = false}; /* whoever is answered may ask again */
    a.err = err;
    if (late)
        a.status = 0;
    else
        a.body = buf_view(&taken.body);
    w.answers_lost += late && taken.arrived && taken.method == KUBE_POST && taken.done != NULL;
    if (w.replicas[taken.replica].life == taken.life) {
        if (taken.stored)
            taken.stored(taken.ctx, err.code, a.body, &err);
        else
            taken.done(taken.ctx, &a);
    }
    buf_free(&taken.body);
    buf_free(&taken.spec);
    buf_free(&taken.status);
}

static void deliver(void)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct message *const m = &w.messages[i];

        if (m->used && !m->arrived && m->arrives && w.now >= m->arrives) {
            m->arrived = true;
            if (m->stored)
                take_write(m);
            else if (m->method == KUBE_GET)
                take_get(m);
            else
                take_eviction(m);
        }
        if (m->used && m->arrived && m->answers && w.now >= m->answers && w.now < m->expires) {
            give_answer(m, false);
        } else if (m->used && w.now >= m->expires && (m->arrived || !m->arrives)) {
            give_answer(m, true);
        } else if (m->used && w.now == m->expires) {
            /* Nobody waits any more for what still is on its way. */
            struct message copy = *m;

            copy.status_code = copy.code = 0;
            copy.body = copy.spec = copy.status = (struct buf){0};
            m->life = UINT32_MAX;
            struct err err = {.code = -ETIMEDOUT};
            const struct kube_answer a = {.err = err, .retry_after_ms = -1};
            if (w.replicas[copy.replica].life == copy.life) {
                if (copy.stored)
                    copy.stored(copy.ctx, -ETIMEDOUT, (struct str){0}, &err);
                else
                    copy.done(copy.ctx, &a);
            }
        }
    }
}

/* Watches tell each replica of each change, later. */
static void tell_objects(void)
{
    for (unsigned i = 0; i < w.n_objects; i++) {
        struct object *const x = &w.objects[i];

        for (int r = 0; r < 2; r++) {
            if (x->told[r] == x->version || one_in(3))
                continue;
            struct buf text = {0};

            put_json(&text, x);
            char version[16];
            (void)snprintf(version, sizeof(version), "%u", x->version);
            const struct source_delta delta = {.kind = SOURCE_DEADLOCK,
                                               .ns = str_of(x->ns),
                                               .name = str_of(x->name),
                                               .resource_version = str_of(version),
                                               .json = {text.p, text.n - 64}};
            assert_int_equal(op_delta(w.replicas[r].op, &delta, NULL), 0);
            x->told[r] = x->version;
            buf_free(&text);
        }
    }
}

/* --- replicas --- */

static bool leads(void *ctx, struct str *out_url)
{
    const struct replica *const r = ctx;

    *out_url = (struct str){0};
    return w.now < r->leads_until;
}

static int32_t epoch(void *ctx)
{
    (void)ctx;
    return w.transitions;
}

static void read_clock(uint64_t *out_ns, int64_t *out_us)
{
    *out_ns = now_ns();
    *out_us = now_us();
}

static void begin_life(struct replica *r, int me)
{
    const struct op_options options = {.cluster = w.cluster,
                                       .writer = {put_object, remove_object, r, true},
                                       .hash_key = {7 + (uint64_t)me, 8},
                                       .leads = leads,
                                       .leads_ctx = r,
                                       .act = {.send = send_request, .epoch = epoch, .ctx = r},
                                       .clock = read_clock};

    *r = (struct replica){.w = &w, .me = me, .life = r->life + 1};
    assert_int_equal(op_new(&r->op, &options, NULL), 0);
    op_set_acting(r->op, true);
    op_list(r->op, SOURCE_DEADLOCK, false);
    for (unsigned i = 0; i < w.n_objects; i++)
        w.objects[i].told[me] = 0;
    for (unsigned i = 0; i < w.n_objects; i++) { /* a list is whole */
        struct buf text = {0};
        char version[16];

        put_json(&text, &w.objects[i]);
        (void)snprintf(version, sizeof(version), "%u", w.objects[i].version);
        const struct source_delta delta = {.kind = SOURCE_DEADLOCK,
                                           .ns = str_of(w.objects[i].ns),
                                           .name = str_of(w.objects[i].name),
                                           .resource_version = str_of(version),
                                           .json = {text.p, text.n - 64}};
        assert_int_equal(op_delta(r->op, &delta, NULL), 0);
        w.objects[i].told[me] = w.objects[i].version;
        buf_free(&text);
    }
    op_listed(r->op, SOURCE_DEADLOCK);
}

static void end_life(struct replica *r)
{
    /* What is out is answered by nobody; what it keeps for that is given back. */
    for (int i = 0; i < MESSAGES; i++) {
        struct message *const m = &w.messages[i];
        struct err err = {.code = -EIO};

        if (!m->used || m->replica != r->me || m->life != r->life)
            continue;
        m->life = UINT32_MAX;
        if (m->stored)
            m->stored(m->ctx, -EIO, (struct str){0}, &err);
    }
    for (int i = 0; i < MESSAGES; i++) { /* and what that made it ask is not sent */
        struct message *const m = &w.messages[i];

        if (m->used && m->replica == r->me && m->life == r->life)
            m->used = false;
    }
    w.crashes_after_intention += r->op->acts.busy != 0;
    op_free(r->op);
    r->op = NULL;
    r->leads_until = 0;
}

static void change_lease(void)
{
    if (w.lies && one_in(60))
        w.replicas[below(2)].leads_until = w.now + 60;
    struct replica *const r = w.holder >= 0 ? &w.replicas[w.holder] : NULL;

    if (r && one_in(200)) { /* it is not heard of: it stops acting before another one begins */
        w.holder = -1;
        w.held_until = w.now + LEASE_S;
        if (r->leads_until > w.now + LEASE_S - 5)
            r->leads_until = w.now + LEASE_S - 5;
        if (one_in(2)) {
            r->leads_until = 0;
            op_resign(r->op);
        }
    } else if (r) {
        r->leads_until = w.now + 10;
        w.held_until = w.now + LEASE_S;
    } else if (w.now >= w.held_until) {
        for (int i = 0; i < 2; i++) {
            if (w.replicas[i].leads_until)
                op_resign(w.replicas[i].op);
            w.replicas[i].leads_until = 0;
        }
        w.holder = (int)below(2);
        w.transitions++;
        w.replicas[w.holder].leads_until = w.now + 10;
    }
}

/* Trackers of pods that are deadlocked speak to whoever leads; to another one from the start. */
static void report(void)
{
    for (int i = 0; i < PODS; i++) {
        struct pod *const p = &w.pods[i];
        char name[24];

        (void)snprintf(name, sizeof(name), "pod-%d", i);
        for (int k = 0; k < 2 && p->epoch; k++) {
            struct replica *const r = &w.replicas[k];
            struct str url;

            if (!leads(r, &url))
                continue;
            const struct lock_claim held[2] = {
                {STR("accounts"), STR("a"), STR("1"), false, p->locked_at * S},
                {STR("ledger"), STR("l"), STR("2"), false, p->locked_at * S}};
            const struct lock_claim waiting[2] = {
                {STR("ledger"), STR("l"), STR("1"), false, p->locked_at * S},
                {STR("accounts"), STR("a"), STR("2"), false, p->locked_at * S}};
            const uint32_t n = p->locked_at ? 2 : 0;
            struct lock_report said = {.ns = STR("bank"),
                                       .pod = str_of(name),
                                       .container = STR("m"),
                                       .epoch = p->uid * 1000 + p->epoch,
                                       .sequence = ++p->sequence,
                                       .now_ns = (w.now + 1) * S,
                                       .held = held,
                                       .waiting = waiting,
                                       .n_held = n,
                                       .n_waiting = n};
            struct lock_answer answer;

            assert_int_equal(lock_book_report(&r->op->book, &said, now_ns(), &answer, NULL), 0);
            if (answer.receipt == LOCK_GAP) {
                p->sequence = answer.have + 1;
                said.sequence = p->sequence;
                assert_int_equal(lock_book_report(&r->op->book, &said, now_ns(), &answer, NULL), 0);
            }
        }
    }
}

static void run(void)
{
    const struct cluster_options options = {0};

    assert_int_equal(cluster_new(&w.cluster, &options, NULL), 0);
    w.sink = cluster_sink(w.cluster);
    w.now = 1;
    w.n_objects = w.version = w.n_ends = 0;
    w.holder = -1;
    w.held_until = 0;
    w.sink.settled(w.sink.ctx);
    set_policy();
    for (int i = 0; i < PODS; i++) {
        w.pods[i] = (struct pod){.uid = ++w.uids, .version = 1};
        tell_pod(i);
    }
    for (int i = 0; i < 2; i++)
        begin_life(&w.replicas[i], i);
    for (; w.now < 60 * MINUTES; w.now++) {
        change_lease();
        change_pods();
        report();
        deliver();
        tell_objects();
        for (int i = 0; i < 2; i++) {
            struct replica *const r = &w.replicas[i];

            /* More often right where it hurts: an act is under way. */
            if (one_in(r->op->acts.busy ? 60 : 900)) {
                const uint64_t led = r->leads_until;

                end_life(r);
                begin_life(r, i);
                (void)led; /* its identity is another: the lease has to run out */
                if (w.holder == i) {
                    w.holder = -1;
                    w.held_until = w.now + LEASE_S;
                }
            }
            op_tick(r->op, now_ns(), now_us());
        }
    }
    for (int i = 0; i < 2; i++)
        end_life(&w.replicas[i]);
    for (int i = 0; i < MESSAGES; i++) {
        buf_free(&w.messages[i].body);
        buf_free(&w.messages[i].spec);
        buf_free(&w.messages[i].status);
        w.messages[i].used = false;
    }
    for (unsigned i = 0; i < w.n_objects; i++) {
        buf_free(&w.objects[i].spec);
        buf_free(&w.objects[i].status);
    }
    cluster_free(w.cluster);
}

static void no_pod_is_ended_twice_and_budgets_hold(void **state)
{
    uint64_t seed = test_seed(20261126);

    (void)state;
    log_setup(LOG_LEVEL_ERROR, false);
    w.seed = &seed;
    for (int i = 0; i < SCHEDULES; i++) {
        w.lies = i % 4 == 3;
        run();
    }
    print_message("%u pods ended, %u crashes with an act under way, %u answers lost, %u conflicts, "
                  "%u refused\n",
                  w.all_ends, w.crashes_after_intention, w.answers_lost, w.conflicts, w.refused);
    assert_true(w.all_ends > SCHEDULES / 2 && w.crashes_after_intention > 0 && w.conflicts > 0 &&
                w.refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_pod_is_ended_twice_and_budgets_hold)};

    return cmocka_run_group_tests_name("acts of two replicas", tests, NULL, NULL);
}
