/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/body.h"

#include <errno.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/limits.h"
#include "kube/fields.h"
#include "kube/scan.h"

static const char *const scopes[] = {"process", "shared", NULL};

struct reporter {
    struct str ns, pod, container;
    int64_t epoch;
};

struct item {
    struct str class_name, instance, thread;
    int64_t scope, since_ns;
};

struct edge {
    struct str from, to;
    int64_t count;
};

struct report {
    struct reporter reporter;
    int64_t sequence, now_ns, goroutines, locks;
    const struct item *held, *waiting;
    const struct edge *edges;
    uint32_t n_held, n_waiting, n_edges;
};

struct claim {
    struct reporter reporter;
    int64_t sequence, duration_ns;
    const struct deadlock_party *cycle;
    uint32_t n;
};

/* clang-format off: one line a fact */
#define REPORTER(root, type)                                                                       \
    {root ".reporter", "Who says so.", FIELD_OBJECT, .required = true, .offset = NO_FIELD},        \
        {root ".reporter.namespace", "Of the pod.", FIELD_NAME, .required = true,                  \
         .offset = offsetof(struct type, reporter.ns)},                                            \
        {root ".reporter.pod", "Name of the pod.", FIELD_TEXT,                                     \
         .max = 253,           .required = true,   .offset = offsetof(struct type, reporter.pod)}, \
        {root ".reporter.container", "Name of the container.", FIELD_TEXT, .max = 63,              \
         .offset = offsetof(struct type, reporter.container)},                                     \
        {root ".reporter.epoch", "Larger after each restart.", FIELD_INTEGER, .max = INT64_MAX,    \
         .offset = offsetof(struct type, reporter.epoch)},                                         \
    {                                                                                              \
        root ".sequence", "1, 2, 3... in an epoch.", FIELD_INTEGER,                                \
            .max = INT64_MAX - 1, .required = true, .offset = offsetof(struct type, sequence)      \
    }
#define ITEMS(list)                                                                                \
    {"report." #list,                                                                              \
     "Locks.",                                                                                     \
     FIELD_OBJECTS,                                                                                \
     .most = LIMIT_LOCK_REPORT_ITEMS,                                                              \
     .offset = offsetof(struct report, list),                                                      \
     .count = offsetof(struct report, n_##list),                                                   \
     .size = sizeof(struct item)},                                                                 \
        {"report." #list "[].class",                                                               \
         "Lock class.",                                                                            \
         FIELD_PLAIN,                                                                              \
         .max = LIMIT_LOCK_NAME_BYTES,                                                             \
         .required = true,                                                                         \
         .offset = offsetof(struct item, class_name)},                                             \
        {"report." #list "[].instance", "Which lock of the class; without it the only one.",       \
         FIELD_PLAIN, .max = LIMIT_LOCK_NAME_BYTES, .offset = offsetof(struct item, instance)},    \
        {"report." #list "[].scope",                                                               \
         "process: its process's own; shared: one for all pods of the namespace.", FIELD_WORD,     \
         .words = scopes, .offset = offsetof(struct item, scope)},                                 \
        {"report." #list "[].thread",                                                              \
         "As the reporter calls it; a thread waits for one lock at a time.",                       \
         FIELD_PLAIN,                                                                              \
         .max = LIMIT_LOCK_NAME_BYTES,                                                             \
         .required = true,                                                                         \
         .offset = offsetof(struct item, thread)},                                                 \
    {                                                                                              \
        "report." #list "[].sinceNs", "Since when, by the reporter's clock.", FIELD_INTEGER,       \
            .max = INT64_MAX, .required = true, .offset = offsetof(struct item, since_ns)          \
    }

static const struct field report_table[] = {
    REPORTER("report", report),
    {"report.nowNs", "The reporter's monotonic clock.", FIELD_INTEGER, .max = INT64_MAX,
     .required = true, .offset = offsetof(struct report, now_ns)},
    ITEMS(held),
    ITEMS(waiting),
    {"report.edges", "Orders seen since the report before.", FIELD_OBJECTS,
     .most = LIMIT_LOCK_REPORT_ITEMS, .offset = offsetof(struct report, edges),
     .count = offsetof(struct report, n_edges), .size = sizeof(struct edge)},
    {"report.edges[].from", "Lock class that was held.", FIELD_PLAIN, .max = LIMIT_LOCK_NAME_BYTES,
     .required = true, .offset = offsetof(struct edge, from)},
    {"report.edges[].to", "Lock class that was acquired meanwhile.", FIELD_PLAIN,
     .max = LIMIT_LOCK_NAME_BYTES, .required = true, .offset = offsetof(struct edge, to)},
    {"report.edges[].count", "How often.", FIELD_INTEGER, .min = 1, .max = INT64_MAX, .initial = 1,
     .offset = offsetof(struct edge, count)},
    {"report.goroutines", "How many there are.", FIELD_INTEGER, .max = INT64_MAX,
     .offset = offsetof(struct report, goroutines)},
    {"report.locks", "How many there are.", FIELD_INTEGER, .max = INT64_MAX,
     .offset = offsetof(struct report, locks)},
};

#define IN(member) .offset = offsetof(struct deadlock_party, member)
static const struct field claim_table[] = {
    REPORTER("claim", claim),
    {"claim.durationNs", "How long it has lasted.", FIELD_INTEGER, .max = INT64_MAX,
     .offset = offsetof(struct claim, duration_ns)},
    {"claim.cycle", "Who waits for whom.", FIELD_OBJECTS, .most = DEADLOCK_PARTIES,
     .required = true, .offset = offsetof(struct claim, cycle), .count = offsetof(struct claim, n),
     .size = sizeof(struct deadlock_party)},
    {"claim.cycle[].namespace", "Of the pod.", FIELD_NAME, .required = true, IN(ns)},
    {"claim.cycle[].pod", "Name of the pod.", FIELD_TEXT, .max = 253, .required = true, IN(pod)},
    {"claim.cycle[].container", "Name of the container.", FIELD_TEXT, .max = 63, IN(container)},
    {"claim.cycle[].thread", "As the reporter calls it; a thread waits for one lock at a time.",
     FIELD_PLAIN, .max = LIMIT_LOCK_NAME_BYTES, IN(thread)},
    {"claim.cycle[].holds", "The lock that the one before waits for.", FIELD_PLAIN, .max = 257,
     .required = true, IN(holds)},
    {"claim.cycle[].waitsFor", "The lock that it waits for.", FIELD_PLAIN, .max = 257,
     .required = true, IN(waits_for)},
    {"claim.cycle[].scope",
     "process: its process's own; shared: one for all pods of the namespace.", FIELD_WORD,
     .words = scopes, IN(scope)},
};
/* clang-format on */

const struct fields op_report_fields = {report_table, ARRAY_LEN(report_table)};
const struct fields op_claim_fields = {claim_table, ARRAY_LEN(claim_table)};

static int read(const struct fields *f, const char *root, struct str body, void *out,
                struct arena *a, struct err *err)
{
    struct scan s;

    scan_init(&s, body, SCAN_STRICT);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    (void)fields_read(&s, f, root, true, out, a);
    return scan_end(&s, err);
}

static const struct lock_claim *items_of(const struct item *from, uint32_t n, struct arena *a)
{
    struct lock_claim *const to = arena_array(a, n, sizeof(*to));

    for (uint32_t i = 0; to && i < n; i++)
        to[i] = (struct lock_claim){.class_name = from[i].class_name,
                                    .instance = from[i].instance,
                                    .thread = from[i].thread,
                                    .shared = from[i].scope,
                                    .since_ns = (uint64_t)from[i].since_ns};
    return to;
}

static const struct lock_seen *edges_of(const struct edge *from, uint32_t n, struct arena *a)
{
    struct lock_seen *const to = arena_array(a, n, sizeof(*to));

    for (uint32_t i = 0; to && i < n; i++)
        to[i] = (struct lock_seen){from[i].from, from[i].to, (uint64_t)from[i].count};
    return to;
}

static int check_reporter(const struct reporter *r, struct err *err)
{
    return fields_is_subdomain(r->pod) ? 0
                                       : err_set(err, -EINVAL, "reporter.pod: not a name of a pod");
}

int op_body_report(struct lock_report *out, struct str body, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct report r = {.sequence = 0};
    int rc = read(&op_report_fields, "report", body, &r, a, err);

    if (rc == 0)
        rc = check_reporter(&r.reporter, err);
    const struct lock_report report = {
        .ns = r.reporter.ns,
        .pod = r.reporter.pod,
        .container = r.reporter.container,
        .epoch = (uint64_t)r.reporter.epoch,
        .sequence = (uint64_t)r.sequence,
        .now_ns = (uint64_t)r.now_ns,
        .held = rc ? NULL : items_of(r.held, r.n_held, a),
        .waiting = rc ? NULL : items_of(r.waiting, r.n_waiting, a),
        .edges = rc ? NULL : edges_of(r.edges, r.n_edges, a),
        .n_held = r.n_held,
        .n_waiting = r.n_waiting,
        .n_edges = r.n_edges,
        .goroutines = (uint64_t)r.goroutines,
        .locks = (uint64_t)r.locks,
    };
    if (rc == 0 && (!report.held || !report.waiting || !report.edges))
        rc = err_set(err, -ENOMEM, "no memory");
    if (rc)
        arena_rewind(a, mark);
    else
        *out = report;
    return rc;
}

/* Every party waits for what the next one holds, the last for what the first one does. */
static int check_cycle(const struct claim *c, struct err *err)
{
    if (c->n == 0)
        return err_set(err, -EINVAL, "cycle: is empty");
    for (uint32_t i = 0; i < c->n; i++) {
        const uint32_t next = (i + 1) % c->n;

        if (!fields_is_subdomain(c->cycle[i].pod))
            return err_set(err, -EINVAL, "cycle[%u].pod: not a name of a pod", i);
        if (!str_eq(c->cycle[i].waits_for, c->cycle[next].holds))
            return err_set(err, -EINVAL, "cycle[%u].holds: is not what cycle[%u] waits for", next,
                           i);
    }
    return 0;
}

int op_body_claim(struct op_claim *out, struct str body, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct claim c = {.sequence = 0};
    int rc = read(&op_claim_fields, "claim", body, &c, a, err);

    if (rc == 0)
        rc = check_reporter(&c.reporter, err);
    if (rc == 0)
        rc = check_cycle(&c, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = (struct op_claim){.ns = c.reporter.ns,
                             .pod = c.reporter.pod,
                             .container = c.reporter.container,
                             .epoch = (uint64_t)c.reporter.epoch,
                             .sequence = (uint64_t)c.sequence,
                             .duration_ns = (uint64_t)c.duration_ns,
                             .cycle = c.cycle,
                             .n = c.n};
    return 0;
}
