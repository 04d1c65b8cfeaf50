/* SPDX-License-Identifier: Apache-2.0 */
/* The table of objects and files; directory_read.c reads the files. */
#include "cluster/directory_index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/siphash.h"
#include "cluster/directory_index_parts.h"

enum { FIRST_BUCKETS = 256, ROUNDS = 8 };

int index_init(struct index *x, const char *root)
{
    /* Without randomness a zero key: then only who knows it can make texts collide. */
    if (getrandom(x->key, sizeof(x->key), GRND_NONBLOCK) < 0)
        x->key[0] = x->key[1] = 0;
    x->root = strdup(root);
    x->buckets = calloc(FIRST_BUCKETS, sizeof(struct index_object *));
    x->mask = FIRST_BUCKETS - 1;
    return x->root && x->buckets ? 0 : -ENOMEM;
}

static void free_entries(struct index_entry *e)
{
    while (e) {
        struct index_entry *const next = e->sibling;

        free(e);
        e = next;
    }
}

static void free_file(struct index_file *f)
{
    free_entries(f->entries);
    free(f->path);
    free(f);
}

void index_done(struct index *x)
{
    for (size_t i = 0; i < x->n_files; i++)
        free_file(x->files[i]);
    for (size_t i = 0; x->buckets && i <= x->mask; i++) {
        for (struct index_object *o = x->buckets[i], *next; o; o = next) {
            next = o->chain;
            free(o);
        }
    }
    free(x->files);
    free(x->buckets);
    free(x->root);
}

void index_tell(struct index *x, const char *full, const char *text)
{
    char line[4096 + ERR_TEXT_BYTES];

    x->stats.problems++;
    if (!x->problem)
        return;
    (void)snprintf(line, sizeof(line), "%s: %s", full, text);
    x->problem(x->problem_ctx, line);
}

/* --- objects --- */

static uint64_t hash_key(const struct index *x, const struct index_object *o)
{
    const uint64_t by_type[2] = {siphash13(x->key, o->type), x->key[1]};
    const uint64_t by_ns[2] = {siphash13(by_type, o->ns), x->key[0]};

    return siphash13(by_ns, o->name);
}

static void grow(struct index *x)
{
    const size_t mask = x->mask * 2 + 1;
    struct index_object **const buckets = calloc(mask + 1, sizeof(struct index_object *));

    if (!buckets)
        return; /* longer chains do no harm */
    for (size_t i = 0; i <= x->mask; i++) {
        for (struct index_object *o = x->buckets[i], *next; o; o = next) {
            next = o->chain;
            o->chain = buckets[o->key_hash & mask];
            buckets[o->key_hash & mask] = o;
        }
    }
    free(x->buckets);
    x->buckets = buckets;
    x->mask = mask;
}

static struct str append(char **to, struct str s)
{
    const struct str copy = {*to, s.n};

    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

struct index_object *index_object(struct index *x, const struct index_object *like)
{
    const uint64_t hash = hash_key(x, like);
    struct index_object *o = x->buckets[hash & x->mask];

    while (o && (o->key_hash != hash || !str_eq(o->name, like->name) || !str_eq(o->ns, like->ns) ||
                 !str_eq(o->type, like->type)))
        o = o->chain;
    if (o || !(o = calloc(1, sizeof(*o) + like->type.n + like->ns.n + like->name.n)))
        return o;
    char *text = (char *)(o + 1);
    o->type = append(&text, like->type);
    o->ns = append(&text, like->ns);
    o->name = append(&text, like->name);
    o->kind = like->kind;
    o->key_hash = hash;
    o->chain = x->buckets[hash & x->mask];
    x->buckets[hash & x->mask] = o;
    if (++x->n_objects > x->mask)
        grow(x);
    return o;
}

static void free_object(struct index *x, struct index_object *o)
{
    struct index_object **at = &x->buckets[o->key_hash & x->mask];

    while (*at != o)
        at = &(*at)->chain;
    *at = o->chain;
    x->n_objects--;
    free(o);
}

void index_touch_object(struct index *x, struct index_object *o)
{
    if (o->is_touched)
        return;
    o->is_touched = true;
    o->touched = x->touched;
    x->touched = o;
}

/* --- whose word counts --- */

static bool file_precedes(const struct index_file *a, const struct index_file *b)
{
    return a->is_override != b->is_override ? a->is_override : strcmp(a->path, b->path) < 0;
}

/* A text that cannot be delivered counts only as long as what it had before is in force. */
static bool counts(const struct index_entry *e)
{
    const bool usable = !e->broken && !e->kept;

    return usable || (e->object->delivered && e->object->from == e->file);
}

bool index_wins(const struct index_entry *e)
{
    for (const struct index_entry *o = e->object->entries; o; o = o->next) {
        if (o->file != e->file && counts(o) && file_precedes(o->file, e->file))
            return false;
    }
    return true;
}

void index_link(struct index_entry *e)
{
    struct index_entry **at = &e->object->entries;

    while (*at && file_precedes((*at)->file, e->file))
        at = &(*at)->next;
    e->next = *at;
    *at = e;
}

void index_unlink(struct index_entry *e)
{
    struct index_entry **at = &e->object->entries;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

void index_withdraw(struct index *x, struct index_object *o)
{
    const struct source_delta delta = {
        .verb = SOURCE_DELETE, .kind = o->kind, .type = o->type, .ns = o->ns, .name = o->name};

    o->from = NULL;
    if (!o->delivered)
        return;
    o->delivered = false;
    x->stats.objects--;
    (void)x->sink.delta(x->sink.ctx, &delta, NULL);
}

/* An object twice: said once for each file whose word does not count. Overrides are meant to. */
static void tell_losers(struct index *x, const struct index_object *o,
                        const struct index_entry *winner)
{
    for (struct index_entry *e = o->entries; e; e = e->next) {
        char place[64], text[ERR_TEXT_BYTES];

        if (e == winner || e->said || e->file->is_override != winner->file->is_override)
            continue;
        e->said = true;
        (void)snprintf(place, sizeof(place), ":%u:%u", e->line, e->column);
        (void)snprintf(text, sizeof(text), "%.*s %.*s%s%.*s is also in %s, which wins",
                       STR_ARG(o->type), STR_ARG(o->ns), o->ns.n ? "/" : "", STR_ARG(o->name),
                       winner->file->path);
        index_tell_at(x, e->file, place, text);
    }
}

void index_tell_at(struct index *x, const struct index_file *f, const char *place, const char *text)
{
    char *const path = walk_join(x->root, f->path);
    char full[4096];

    (void)snprintf(full, sizeof(full), "%s%s", path ? path : f->path, place);
    free(path);
    index_tell(x, full, text);
}

/* The file is to be read. */
static void mark(struct index *x, struct index_file *f)
{
    x->n_dirty += !f->dirty;
    f->dirty = true;
}

/* After files came and went: who counts now, and must its file be read again for its text? */
static void settle_object(struct index *x, struct index_object *o)
{
    struct index_entry *w = o->entries;

    while (w && !counts(w))
        w = w->next;
    if (!w) {
        index_withdraw(x, o);
        if (!o->entries)
            free_object(x, o);
        return;
    }
    tell_losers(x, o, w);
    if (w->deleted)
        index_withdraw(x, o);
    else if (w->broken || w->kept)
        return; /* the last good version stays */
    else if (o->delivered && o->delivered_hash == w->hash)
        o->from = w->file;
    else
        mark(x, w->file);
}

/* --- files --- */

static struct index_file *new_file(const char *path)
{
    struct index_file *const f = calloc(1, sizeof(*f));

    if (!f || !(f->path = strdup(path))) {
        free(f);
        return NULL;
    }
    f->is_override = strncmp(path, "numawise/", strlen("numawise/")) == 0;
    return f;
}

static int reserve(struct index *x, size_t n)
{
    if (n <= x->files_room)
        return 0;
    const size_t room = n * 2;
    struct index_file **const files = realloc(x->files, room * sizeof(struct index_file *));
    if (!files)
        return -ENOMEM;
    x->files = files;
    x->files_room = room;
    return 0;
}

static int cmp_paths(const void *x, const void *y)
{
    return strcmp((*(struct index_file *const *)x)->path, (*(struct index_file *const *)y)->path);
}

static bool is_changed(const struct index_file *f, const struct walk_stamp *stamp)
{
    return f->fresh || !walk_stamp_same(&f->stamp, stamp);
}

int index_compare(struct index *x, const struct walk_found *found, size_t n)
{
    const size_t before = x->n_files;
    size_t at = 0;

    if (reserve(x, before + n))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        while (at < before && strcmp(x->files[at]->path, found[i].path) < 0)
            mark(x, x->files[at++]); /* gone */
        if (at < before && strcmp(x->files[at]->path, found[i].path) == 0) {
            if (is_changed(x->files[at], &found[i].stamp))
                mark(x, x->files[at]);
            at++;
            continue;
        }
        if (!(x->files[x->n_files] = new_file(found[i].path)))
            return -ENOMEM;
        mark(x, x->files[x->n_files]);
        x->n_files++; /* behind the sorted part, until the end */
    }
    while (at < before)
        mark(x, x->files[at++]);
    if (x->n_files > before)
        qsort(x->files, x->n_files, sizeof(struct index_file *), cmp_paths);
    return 0;
}

int index_touch(struct index *x, const char *path)
{
    size_t low = 0, high = x->n_files;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int cmp = strcmp(x->files[mid]->path, path);

        if (cmp == 0) {
            mark(x, x->files[mid]);
            return 0;
        }
        low = cmp < 0 ? mid + 1 : low;
        high = cmp < 0 ? high : mid;
    }
    struct index_file *const f = new_file(path);
    if (!f || reserve(x, x->n_files + 1)) {
        if (f)
            free_file(f);
        return -ENOMEM;
    }
    memmove(&x->files[low + 1], &x->files[low], (x->n_files - low) * sizeof(struct index_file *));
    x->files[low] = f;
    x->n_files++;
    mark(x, f);
    return 0;
}

/* One pass over the files that are marked: overrides first, then in the order that counts. */
static bool read_dirty(struct index *x)
{
    bool any = false;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < x->n_files && x->n_dirty > 0; i++) {
            struct index_file *const f = x->files[i];

            if (!f->dirty || f->is_override != (pass == 0))
                continue;
            f->dirty = false;
            x->n_dirty--;
            any = true;
            index_read(x, f);
            x->any_gone = x->any_gone || f->gone;
        }
    }
    return any;
}

static void settle_touched(struct index *x)
{
    for (struct index_object *o; (o = x->touched) != NULL;) {
        x->touched = o->touched;
        o->is_touched = false;
        settle_object(x, o);
    }
}

static void drop_gone(struct index *x)
{
    size_t n = 0, left = 0;

    if (!x->any_gone)
        return;
    for (size_t i = 0; i < x->n_files; i++) {
        if (x->files[i]->gone && !x->files[i]->dirty) {
            free_file(x->files[i]);
            continue;
        }
        left += x->files[i]->gone;
        x->files[n++] = x->files[i];
    }
    x->n_files = n;
    x->any_gone = left > 0;
}

void index_update(struct index *x)
{
    /* A file that changes under our eyes may need one round more, each time. */
    for (int round = 0; round < ROUNDS && read_dirty(x); round++)
        settle_touched(x);
    drop_gone(x);
    x->sink.settled(x->sink.ctx);
}
