/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

enum { KINDS = 16, LISTS = 8, FIRST_SLOTS = 64 };

/* One version of an object. */
struct object {
    unsigned refs;
    uint64_t version;
    uint64_t uid;
    char *key;  /* "ns/name", or "name" */
    char *text; /* JSON */
};

enum change { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct event {
    unsigned kind;
    enum change change;
    uint64_t version;
    struct object *object; /* of a deletion: its last state, with the deletion's version */
};

struct kind {
    char *path, *api_version, *name;
    bool sorted;
    struct object **at; /* [n] as they are now */
    uint32_t n, room;
    uint32_t *slots; /* [mask + 1] 1 + index into `at`; 0 = free */
    uint32_t mask;
};

/* A list that is given page by page: as of one version. */
struct listing {
    uint64_t id, version;
    unsigned kind;
    struct object **at; /* [n] by key */
    uint32_t n;
};

struct history {
    struct kind kinds[KINDS];
    unsigned n_kinds;
    struct event *log; /* [n] */
    size_t n, room;
    uint64_t version, compacted, next_uid, next_list;
    uint32_t epoch;
    struct listing lists[LISTS];
};

static void *must(void *p)
{
    assert(p);
    return p;
}

static struct object *take(struct object *o)
{
    o->refs++;
    return o;
}

static void drop(struct object *o)
{
    if (--o->refs)
        return;
    free(o->key);
    free(o->text);
    free(o);
}

/* --- one kind's objects --- */

static uint32_t hash_of(const char *key)
{
    static const uint64_t seed[2] = {1, 2};

    return (uint32_t)siphash13(seed, str_of(key));
}

/* The slot where `key` is, or would be. */
static uint32_t slot_of(const struct kind *k, const char *key)
{
    uint32_t i = hash_of(key) & k->mask;

    while (k->slots[i] && strcmp(k->at[k->slots[i] - 1]->key, key) != 0)
        i = (i + 1) & k->mask;
    return i;
}

static void index_all(struct kind *k, uint32_t slots)
{
    free(k->slots);
    k->slots = must(calloc(slots, sizeof(*k->slots)));
    k->mask = slots - 1;
    for (uint32_t i = 0; i < k->n; i++)
        k->slots[slot_of(k, k->at[i]->key)] = i + 1;
}

static struct object *find(const struct kind *k, const char *key)
{
    const uint32_t at = k->slots[slot_of(k, key)];

    return at ? k->at[at - 1] : NULL;
}

static void set(struct kind *k, struct object *o)
{
    const uint32_t slot = slot_of(k, o->key);

    if (k->slots[slot]) {
        struct object **const at = &k->at[k->slots[slot] - 1];
        drop(*at);
        *at = take(o);
        return;
    }
    if (k->n == k->room) {
        k->room = k->room ? k->room * 2 : FIRST_SLOTS;
        k->at = must(realloc(k->at, k->room * sizeof(struct object *)));
    }
    k->at[k->n++] = take(o);
    k->slots[slot] = k->n;
    if (k->n * 2 > k->mask)
        index_all(k, (k->mask + 1) * 2);
}

/* Close the hole at `slot`: what was pushed on from there moves back. */
static void close_slot(struct kind *k, uint32_t slot)
{
    k->slots[slot] = 0;
    for (uint32_t i = (slot + 1) & k->mask; k->slots[i]; i = (i + 1) & k->mask) {
        const uint32_t value = k->slots[i];

        k->slots[i] = 0;
        k->slots[slot_of(k, k->at[value - 1]->key)] = value;
    }
}

static void unset(struct kind *k, const char *key)
{
    const uint32_t slot = slot_of(k, key), at = k->slots[slot] - 1;
    struct object *const gone = k->at[at], *const last = k->at[k->n - 1];

    close_slot(k, slot);
    if (last != gone) {
        k->slots[slot_of(k, last->key)] = at + 1;
        k->at[at] = last;
    }
    k->n--;
    drop(gone);
}

/* --- history.h: changes --- */

struct history *history_new(void)
{
    struct history *const h = must(calloc(1, sizeof(*h)));

    h->version = 100; /* no small number that could be a mistake */
    return h;
}

static void drop_listing(struct listing *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        drop(l->at[i]);
    free(l->at);
    *l = (struct listing){0};
}

void history_free(struct history *h)
{
    for (unsigned i = 0; i < LISTS; i++)
        drop_listing(&h->lists[i]);
    for (size_t i = 0; i < h->n; i++)
        drop(h->log[i].object);
    for (unsigned i = 0; i < h->n_kinds; i++) {
        struct kind *const k = &h->kinds[i];

        while (k->n)
            drop(k->at[--k->n]);
        free(k->at);
        free(k->slots);
        free(k->path);
        free(k->api_version);
        free(k->name);
    }
    free(h->log);
    free(h);
}

unsigned history_kind(struct history *h, const char *path, const char *api_version,
                      const char *kind, bool sorted)
{
    struct kind *const k = &h->kinds[h->n_kinds];

    assert(h->n_kinds < KINDS);
    k->path = must(strdup(path));
    k->api_version = must(strdup(api_version));
    k->name = must(strdup(kind));
    k->sorted = sorted;
    index_all(k, FIRST_SLOTS);
    return h->n_kinds++;
}

static char *key_of(const char *ns, const char *name)
{
    struct buf b = {0};

    buf_printf(&b, "%s%s%s", ns, *ns ? "/" : "", name);
    return must(b.p);
}

static void add_event(struct history *h, unsigned kind, enum change change, struct object *o)
{
    if (h->n == h->room) {
        h->room = h->room ? h->room * 2 : 256;
        h->log = must(realloc(h->log, h->room * sizeof(*h->log)));
    }
    h->log[h->n++] = (struct event){kind, change, o->version, o};
}

static void add_unquoted(struct buf *b, const char *text)
{
    const size_t from = b->n;

    buf_text(b, text);
    for (size_t i = from; i < b->n; i++)
        if (b->p[i] == '\'')
            b->p[i] = '"';
}

static struct object *make(const struct kind *k, uint64_t version, uint64_t uid, const char *ns,
                           const char *name, const char *uid_text, const char *rest)
{
    struct object *const o = must(calloc(1, sizeof(*o)));
    struct buf b = {0};
    char made[32];

    (void)snprintf(made, sizeof(made), "uid-%llu", (unsigned long long)uid);
    if (k->sorted)
        buf_printf(&b, "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{", k->api_version,
                   k->name);
    else /* as in a list of Go's own types: the items do not say what they are */
        buf_printf(&b, "{\"metadata\":{");
    buf_printf(&b, "\"name\":\"%s\"", name);
    if (*ns)
        buf_printf(&b, ",\"namespace\":\"%s\"", ns);
    buf_printf(&b, ",\"resourceVersion\":\"%llu\",\"uid\":\"%s\"}", (unsigned long long)version,
               uid_text ? uid_text : made);
    if (*rest) {
        buf_text(&b, ",");
        add_unquoted(&b, rest);
    }
    buf_text(&b, "}");
    o->refs = 1;
    o->version = version;
    o->uid = uid;
    o->key = key_of(ns, name);
    o->text = must(b.p);
    return o;
}

uint64_t history_put(struct history *h, unsigned kind, const char *ns, const char *name,
                     const char *uid, const char *rest)
{
    struct kind *const k = &h->kinds[kind];
    char *const key = key_of(ns, name);
    const struct object *const before = find(k, key);
    struct object *const o =
        make(k, ++h->version, before ? before->uid : ++h->next_uid, ns, name, uid, rest);

    add_event(h, kind, before ? CHANGE_MODIFIED : CHANGE_ADDED, o);
    set(k, o);
    free(key);
    return h->version;
}

uint64_t history_put_text(struct history *h, unsigned kind, const char *ns, const char *name,
                          struct str text)
{
    static const char field[] = "\"metadata\":{";
    struct kind *const k = &h->kinds[kind];
    const char *const at = must(memmem(text.p, text.n, field, sizeof(field) - 1));
    const size_t before = (size_t)(at - text.p) + sizeof(field) - 1;
    struct object *const o = must(calloc(1, sizeof(*o)));
    struct buf b = {0};

    o->refs = 1;
    o->version = ++h->version;
    o->key = key_of(ns, name);
    buf_add(&b, text.p, before);
    buf_printf(&b, "\"resourceVersion\":\"%llu\",", (unsigned long long)o->version);
    buf_add(&b, text.p + before, text.n - before);
    o->text = must(b.p);
    add_event(h, kind, find(k, o->key) ? CHANGE_MODIFIED : CHANGE_ADDED, o);
    set(k, o);
    return o->version;
}

/* The text with another resourceVersion. */
static char *with_version(const char *text, uint64_t version)
{
    static const char field[] = "\"resourceVersion\":\"";
    const char *const at = strstr(text, field) + sizeof(field) - 1;
    struct buf b = {0};

    buf_add(&b, text, (size_t)(at - text));
    buf_printf(&b, "%llu%s", (unsigned long long)version, strchr(at, '"'));
    return must(b.p);
}

uint64_t history_delete(struct history *h, unsigned kind, const char *ns, const char *name)
{
    struct kind *const k = &h->kinds[kind];
    char *const key = key_of(ns, name);
    const struct object *const before = find(k, key);

    if (before) {
        struct object *const o = must(calloc(1, sizeof(*o)));

        o->refs = 1;
        o->version = ++h->version;
        o->key = must(strdup(key));
        o->text = with_version(before->text, o->version);
        add_event(h, kind, CHANGE_DELETED, o);
        unset(k, key);
    }
    free(key);
    return before ? h->version : 0;
}

uint64_t history_version(const struct history *h)
{
    return h->version;
}

uint32_t history_count(const struct history *h, unsigned kind)
{
    return h->kinds[kind].n;
}

void history_compact(struct history *h, uint64_t version)
{
    h->compacted = version;
    for (unsigned i = 0; i < LISTS; i++)
        if (h->lists[i].version < version)
            drop_listing(&h->lists[i]);
}

void history_rewind(struct history *h, uint64_t version)
{
    assert(version >= h->compacted);
    while (h->n && h->log[h->n - 1].version > version)
        drop(h->log[--h->n].object);
    for (unsigned i = 0; i < h->n_kinds; i++)
        while (h->kinds[i].n)
            unset(&h->kinds[i], h->kinds[i].at[0]->key);
    for (size_t i = 0; i < h->n; i++) {
        struct kind *const k = &h->kinds[h->log[i].kind];

        if (h->log[i].change == CHANGE_DELETED)
            unset(k, h->log[i].object->key);
        else
            set(k, h->log[i].object);
    }
    for (unsigned i = 0; i < LISTS; i++)
        drop_listing(&h->lists[i]);
    h->version = version;
    h->epoch++;
}

struct str history_object(const struct history *h, unsigned kind, const char *ns, const char *name,
                          uint64_t version)
{
    char *const key = key_of(ns, name);
    struct str text = {0};

    for (size_t i = h->n; i-- > 0;) {
        const struct event *const e = &h->log[i];

        if (e->version > version || e->kind != kind || strcmp(e->object->key, key) != 0)
            continue;
        if (e->change != CHANGE_DELETED)
            text = str_of(e->object->text);
        break;
    }
    free(key);
    return text;
}

void history_each(const struct history *h, unsigned kind,
                  void (*visit)(void *ctx, struct str key, struct str text), void *ctx)
{
    for (uint32_t i = 0; i < h->kinds[kind].n; i++)
        visit(ctx, str_of(h->kinds[kind].at[i]->key), str_of(h->kinds[kind].at[i]->text));
}

/* --- answers --- */

int history_find(const struct history *h, struct str path)
{
    for (unsigned i = 0; i < h->n_kinds; i++)
        if (str_is(path, h->kinds[i].path))
            return (int)i;
    return -1;
}

int history_find_kind(const struct history *h, struct str kind)
{
    for (unsigned i = 0; i < h->n_kinds; i++)
        if (str_is(kind, h->kinds[i].name))
            return (int)i;
    return -1;
}

void history_status(struct buf *out, int code, const char *reason, const char *message,
                    const char *cause, unsigned retry_s)
{
    buf_printf(out,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
               "\"message\":\"%s\",\"reason\":\"%s\"",
               message, reason);
    if (*cause || retry_s) {
        buf_text(out, ",\"details\":{");
        if (*cause)
            buf_printf(out, "\"causes\":[{\"reason\":\"%s\"}]%s", cause, retry_s ? "," : "");
        if (retry_s)
            buf_printf(out, "\"retryAfterSeconds\":%u", retry_s);
        buf_text(out, "}");
    }
    buf_printf(out, ",\"code\":%d}\n", code);
}

static int gone(struct buf *out, const char *message)
{
    history_status(out, 410, "Expired", message, "", 0);
    return 410;
}

static int by_key(const void *x, const void *y)
{
    return strcmp((*(struct object *const *)x)->key, (*(struct object *const *)y)->key);
}

/* Everything of a kind as it is now, in the place of the oldest list. */
static struct listing *begin_listing(struct history *h, unsigned kind)
{
    struct listing *const l = &h->lists[h->next_list % LISTS];
    const struct kind *const k = &h->kinds[kind];

    drop_listing(l);
    l->id = h->next_list++;
    l->version = h->version;
    l->kind = kind;
    l->n = k->n;
    l->at = must(calloc(k->n + 1, sizeof(struct object *)));
    for (uint32_t i = 0; i < k->n; i++)
        l->at[i] = take(k->at[i]);
    qsort(l->at, l->n, sizeof(struct object *), by_key);
    return l;
}

static void add_metadata(struct buf *out, const struct listing *l, uint32_t next)
{
    buf_printf(out, "\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)l->version);
    if (next < l->n)
        buf_printf(out, ",\"continue\":\"%llu.%u\",\"remainingItemCount\":%u",
                   (unsigned long long)l->id, next, l->n - next);
    buf_text(out, "}");
}

static void add_items(struct buf *out, const struct listing *l, uint32_t from, uint32_t to)
{
    buf_text(out, "\"items\":[");
    for (uint32_t i = from; i < to; i++) {
        buf_text(out, i > from ? "," : "");
        buf_text(out, l->at[i]->text);
    }
    buf_text(out, "]");
}

static int add_page(const struct history *h, const struct listing *l, uint32_t from, uint32_t limit,
                    struct buf *out)
{
    const struct kind *const k = &h->kinds[l->kind];
    const uint32_t to = limit && limit < l->n - from ? from + limit : l->n;

    if (k->sorted) {
        buf_printf(out, "{\"apiVersion\":\"%s\",", k->api_version);
        add_items(out, l, from, to);
        buf_printf(out, ",\"kind\":\"%sList\",", k->name);
        add_metadata(out, l, to);
    } else {
        buf_printf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",", k->name, k->api_version);
        add_metadata(out, l, to);
        buf_text(out, ",");
        add_items(out, l, from, to);
    }
    buf_text(out, "}\n");
    return 200;
}

static int go_on(struct history *h, unsigned kind, const struct history_query *q, struct buf *out)
{
    struct str from = q->from;
    uint64_t id = 0, at = 0;
    const struct str first = str_cut(&from, '.');

    if (!str_u64(first, &id) || !str_u64(from, &at)) {
        history_status(out, 400, "BadRequest", "continue key is not valid", "", 0);
        return 400;
    }
    const struct listing *const l = &h->lists[id % LISTS];
    if (!l->at || l->id != id || l->kind != kind || at > l->n)
        return gone(out, "The provided continue parameter is too old");
    return add_page(h, l, (uint32_t)at, q->limit, out);
}

int history_list(struct history *h, unsigned kind, const struct history_query *q, struct buf *out)
{
    uint64_t version = 0;

    if (q->from.n)
        return go_on(h, kind, q, out);
    if (str_u64(q->version, &version) && version > h->version) {
        history_status(out, 504, "Timeout", "Too large resource version", "ResourceVersionTooLarge",
                       1);
        return 504;
    }
    return add_page(h, begin_listing(h, kind), 0, q->limit, out);
}

/* The first event after `version`. */
static size_t position_of(const struct history *h, uint64_t version)
{
    size_t low = 0, high = h->n;

    while (low < high) {
        const size_t mid = (low + high) / 2;

        if (h->log[mid].version <= version)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int history_watch_open(struct history *h, unsigned kind, struct str version,
                       struct history_watch *watch, struct buf *out)
{
    uint64_t from = 0;

    if (!str_u64(version, &from) || from < h->compacted)
        return gone(out, "too old resource version");
    *watch = (struct history_watch){
        .kind = kind, .at = position_of(h, from), .version = from, .epoch = h->epoch};
    return 200;
}

/* The kind stands at the front of what says it not. */
static void add_typed(struct buf *out, const struct kind *k, const char *text)
{
    if (k->sorted || strncmp(text, "{\"metadata\"", 11) != 0)
        buf_text(out, text);
    else
        buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",%s", k->name, k->api_version,
                   text + 1);
}

bool history_watch_more(const struct history *h, struct history_watch *watch, uint32_t max,
                        struct buf *out)
{
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};

    if (watch->epoch != h->epoch)
        return false;
    for (; watch->at < h->n && max; watch->at++) {
        const struct event *const e = &h->log[watch->at];

        if (e->kind != watch->kind || e->version <= watch->version)
            continue;
        buf_printf(out, "{\"type\":\"%s\",\"object\":", types[e->change]);
        add_typed(out, &h->kinds[e->kind], e->object->text);
        buf_text(out, "}\n");
        watch->version = e->version;
        max--;
    }
    return true;
}

void history_bookmark(const struct history *h, struct history_watch *watch, struct buf *out)
{
    const struct kind *const k = &h->kinds[watch->kind];
    const bool behind = watch->at < h->n;

    if (!behind && h->version > watch->version)
        watch->version = h->version;
    buf_printf(out,
               "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
               "\"metadata\":{\"resourceVersion\":\"%llu\",\"creationTimestamp\":null}}}\n",
               k->name, k->api_version, (unsigned long long)(behind ? watch->version : h->version));
}
