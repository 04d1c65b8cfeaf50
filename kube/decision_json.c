/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/decision_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "scoring/weigh.h"

/* What is read into; the first failure sticks, and everything read after it is empty. */
struct reader {
    struct arena *a;
    int rc; /* 0, -EPROTO, -ENOMEM */
};

static void fail(struct reader *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
}

static void *room(struct reader *r, size_t n, size_t size)
{
    void *const p = arena_array(r->a, n, size);

    if (!p)
        fail(r, -ENOMEM);
    return p;
}

static struct str copy(struct reader *r, const char *p, size_t n)
{
    char *const text = arena_copy(r->a, p, n);

    if (!text) {
        fail(r, -ENOMEM);
        return STR("");
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    return (struct str){text, n};
}

/* A member that may be left out; of another type it is an error. */
static struct str text_of(struct reader *r, const json_t *j)
{
    if (j && !json_is_string(j))
        fail(r, -EPROTO);
    return json_is_string(j) ? copy(r, json_string_value(j), json_string_length(j)) : STR("");
}

static struct str text(struct reader *r, const json_t *object, const char *key)
{
    return text_of(r, json_object_get(object, key));
}

static struct str needed(struct reader *r, const json_t *object, const char *key)
{
    if (!json_object_get(object, key))
        fail(r, -EPROTO);
    return text(r, object, key);
}

static int64_t number(struct reader *r, const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *const j = json_object_get(object, key);

    if (j && !json_is_integer(j))
        fail(r, -EPROTO);
    return json_is_integer(j) ? json_integer_value(j) : otherwise;
}

static bool is_true(struct reader *r, const json_t *object, const char *key)
{
    const json_t *const j = json_object_get(object, key);

    if (j && !json_is_boolean(j))
        fail(r, -EPROTO);
    return json_is_true(j);
}

static const json_t *array(struct reader *r, const json_t *object, const char *key)
{
    const json_t *const j = json_object_get(object, key);

    if (j && !json_is_array(j))
        fail(r, -EPROTO);
    return json_is_array(j) ? j : NULL;
}

/* Small sorted sets of zone ids. */
enum { MAX_ZONE = 1024 };
struct zones {
    bool has[MAX_ZONE];
};

static struct str list(struct reader *r, const struct zones *z)
{
    struct buf b = {0};

    for (int i = 0; i < MAX_ZONE; i++)
        if (z->has[i])
            buf_printf(&b, "%s%d", b.n ? "," : "", i);
    if (b.failed)
        fail(r, -ENOMEM);
    const struct str s = copy(r, b.n ? b.p : "", b.failed ? 0 : b.n);
    buf_free(&b);
    return s;
}

static void add_zones(struct reader *r, struct zones *z, const json_t *object, const char *key)
{
    const json_t *const j = array(r, object, key);

    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *const id = json_array_get(j, i);
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= MAX_ZONE)
            fail(r, -EPROTO);
        else
            z->has[value] = true;
    }
}

static struct str zone_list(struct reader *r, const json_t *object, const char *key)
{
    struct zones z = {0};

    add_zones(r, &z, object, key);
    return list(r, &z);
}

/* {"nvidia.com/gpu": {"1": 4}} */
static size_t count_devices(struct reader *r, const json_t *devices)
{
    const char *resource;
    json_t *by_zone;
    size_t n = 0;

    if (devices && !json_is_object(devices))
        fail(r, -EPROTO);
    json_object_foreach((json_t *)(uintptr_t)devices, resource, by_zone) n +=
        json_object_size(by_zone);
    return n;
}

static void read_devices(struct reader *r, const json_t *devices, struct told_container *out)
{
    const char *resource, *zone;
    json_t *by_zone, *count;

    out->devices = room(r, count_devices(r, devices), sizeof(*out->devices));
    if (r->rc)
        return;
    json_object_foreach((json_t *)(uintptr_t)devices, resource, by_zone)
    {
        json_object_foreach(by_zone, zone, count)
        {
            struct told_devices *const d = &out->devices[out->n_devices++];
            d->resource = copy(r, resource, strlen(resource));
            d->zone = copy(r, zone, strlen(zone));
            d->count = json_integer_value(count);
        }
    }
}

static void read_container(struct reader *r, const json_t *j, struct told_container *out)
{
    out->name = needed(r, j, "name");
    out->cpus = text(r, j, "cpus");
    out->zones = zone_list(r, j, "zones");
    out->memory_zones = zone_list(r, j, "memoryZones");
    out->init = is_true(r, j, "init");
    out->preferred = is_true(r, j, "preferred");
    read_devices(r, json_object_get(j, "devices"), out);
}

static void read_containers(struct reader *r, const json_t *j, struct told_node *out)
{
    const json_t *const containers = array(r, j, "containers");
    const size_t n = json_array_size(containers);
    struct zones all = {0};

    out->containers = room(r, n, sizeof(*out->containers));
    for (size_t i = 0; r->rc == 0 && i < n; i++) {
        const json_t *const c = json_array_get(containers, i);
        add_zones(r, &all, c, "zones");
        read_container(r, c, &out->containers[i]);
    }
    out->n_containers = (uint32_t)n;
    out->zones = list(r, &all);
}

static void read_without(struct reader *r, const json_t *j, struct told_node *out)
{
    const json_t *const pods = array(r, j, "wouldFitWithout");
    const size_t n = json_array_size(pods);

    out->without = room(r, n, sizeof(*out->without));
    for (size_t i = 0; r->rc == 0 && i < n; i++)
        out->without[i] = text_of(r, json_array_get(pods, i));
    out->n_without = (uint32_t)n;
}

static void read_node(struct reader *r, const json_t *j, struct told_node *out)
{
    const json_t *const terms = json_object_get(j, "terms");

    out->name = needed(r, j, "name");
    out->verdict = needed(r, j, "verdict");
    out->reason = text(r, j, "reason");
    out->message = text(r, j, "message");
    out->not_offered = text(r, j, "notOffered");
    out->score = number(r, j, "score", 0);
    out->wire = number(r, j, "wireScore", 0);
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        out->terms[t] = number(r, terms, score_term_text((enum score_term)t), -1);
    read_containers(r, j, out);
    read_without(r, j, out);
}

static void read_nodes(struct reader *r, const json_t *j, struct told_decision *out)
{
    const json_t *const nodes = array(r, j, "nodes");
    const size_t n = json_array_size(nodes);

    if (!nodes)
        fail(r, -EPROTO);
    out->nodes = room(r, n, sizeof(*out->nodes));
    for (size_t i = 0; r->rc == 0 && i < n; i++)
        read_node(r, json_array_get(nodes, i), &out->nodes[i]);
    out->n_nodes = (uint32_t)n;
}

static void read_hints(struct reader *r, const json_t *j, struct told_decision *out)
{
    const json_t *const hints = array(r, j, "ignoredHints");
    const size_t n = json_array_size(hints);

    out->hints = room(r, n, sizeof(*out->hints));
    for (size_t i = 0; r->rc == 0 && i < n; i++) {
        out->hints[i].annotation = needed(r, json_array_get(hints, i), "annotation");
        out->hints[i].why = text(r, json_array_get(hints, i), "why");
    }
    out->n_hints = (uint32_t)n;
}

static void read_decision(struct reader *r, const json_t *j, struct told_decision *out)
{
    const json_t *const best = json_object_get(j, "best");
    const json_t *const policy = json_object_get(j, "policy"); /* null: none counts */

    out->pod = needed(r, j, "pod");
    out->class = needed(r, j, "class");
    out->qos = needed(r, j, "qosClass");
    out->id = needed(r, j, "decision");
    out->note = text(r, j, "note");
    out->time = text(r, j, "time");
    out->policy = json_is_string(policy) ? text_of(r, policy) : STR("");
    out->has_best = json_is_string(best);
    out->best = out->has_best ? text_of(r, best) : STR("");
    out->snapshot = number(r, j, "snapshot", 0);
    out->left_out = number(r, j, "nodesLeftOut", 0);
    read_hints(r, j, out);
    read_nodes(r, j, out);
}

static json_t *load(struct str json)
{
    return json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, NULL);
}

static int report(int rc, const char *what, struct err *err)
{
    if (rc == -ENOMEM)
        return err_set(err, rc, "no memory for %s", what);
    return rc ? err_set(err, rc, "the answer is not %s: is this the address of a numawise console?",
                        what)
              : 0;
}

int decision_decode(struct told_decision *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct told_decision d = {.n_nodes = 0};
    struct reader r = {.a = a};
    json_t *const j = load(json);

    if (!json_is_object(j))
        fail(&r, -EPROTO);
    else
        read_decision(&r, j, &d);
    json_decref(j);
    if (r.rc)
        arena_rewind(a, mark);
    else
        *out = d;
    return report(r.rc, "a decision", err);
}

int decision_first(struct str *id, struct str json, struct arena *a, struct err *err)
{
    struct reader r = {.a = a};
    json_t *const j = load(json);
    const json_t *const all = json_is_object(j) ? array(&r, j, "decisions") : NULL;
    struct str first = STR("");

    if (!all)
        fail(&r, -EPROTO);
    else if (json_array_size(all))
        first = needed(&r, json_array_get(all, 0), "decision");
    json_decref(j);
    if (r.rc == 0)
        *id = first;
    return report(r.rc, "a list of decisions", err);
}

static void keep_only(json_t *nodes, const char *name)
{
    for (size_t i = json_array_size(nodes); i-- > 0;) {
        const char *const at = json_string_value(json_object_get(json_array_get(nodes, i), "name"));
        if (!at || strcmp(at, name) != 0)
            (void)json_array_remove(nodes, i);
    }
}

int decision_only(struct buf *out, struct str json, const char *name, struct err *err)
{
    json_t *const j = load(json);

    if (!json_is_object(j)) {
        json_decref(j);
        return report(-EPROTO, "a decision", err);
    }
    keep_only(json_object_get(j, "nodes"), name);
    char *const again = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!again)
        return report(-ENOMEM, "a decision", err);
    buf_text(out, again);
    buf_text(out, "\n");
    free(again);
    return out->failed ? report(-ENOMEM, "a decision", err) : 0;
}

/* --- comparing --- */

static const json_t *node_named(const json_t *decision, const char *name)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(decision, "nodes"), i, node)
    {
        const char *const at = json_string_value(json_object_get(node, "name"));
        if (at && name && strcmp(at, name) == 0)
            return node;
    }
    return NULL;
}

static bool has_any(const json_t *node, const char *const *keys)
{
    while (*keys && !json_object_get(node, *keys))
        keys++;
    return *keys;
}

/* Was one node alone given a score on the wire? */
static bool is_decided(const json_t *decision)
{
    static const char *const keys[] = {"decided", NULL};
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(decision, "nodes"), i,
                       node) if (has_any(node, keys)) return true;
    return false;
}

static int compare_members(const json_t *said, const json_t *now, const char *const *but,
                           const char *where, struct err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)now, key, value)
    {
        const char *const *skip = but;

        while (*skip && strcmp(*skip, key) != 0)
            skip++;
        if (!*skip && !json_equal(value, json_object_get(said, key)))
            return err_set(err, -EDOM, "%s%s%s differs", where, *where ? ": " : "", key);
    }
    return 0;
}

static int compare(const json_t *said, const json_t *now, struct err *err)
{
    static const char *const head[] = {"decision", "snapshot", "nodes", NULL};
    static const char *const wire[] = {"wireScore", NULL}, *const none[] = {NULL};
    static const char *const lowered[] = {"heldFor", "doubted", NULL};
    const bool decided = is_decided(said);
    const json_t *node;
    size_t i;
    int rc = compare_members(said, now, head, "", err);

    json_array_foreach(json_object_get(now, "nodes"), i, node)
    {
        const char *const name = json_string_value(json_object_get(node, "name"));
        const json_t *const other = node_named(said, name);

        if (rc == 0 && !other)
            rc = err_set(err, -EDOM, "%s: the decision does not tell of it", name ? name : "");
        if (rc == 0)
            rc = compare_members(other, node, decided || has_any(other, lowered) ? wire : none,
                                 name, err);
    }
    return rc;
}

int decision_compare(struct str said, struct str now, struct err *err)
{
    json_t *const x = load(said), *const y = load(now);
    const int rc = json_is_object(x) && json_is_object(y) ? compare(x, y, err)
                                                          : report(-EPROTO, "a decision", err);

    json_decref(x);
    json_decref(y);
    return rc;
}
