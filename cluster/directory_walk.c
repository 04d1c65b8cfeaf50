/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/directory_walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

bool walk_is_manifest(const char *name)
{
    const char *const dot = strrchr(name, '.');

    return name[0] != '.' && dot &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct walk_stamp walk_stamp_of(const struct stat *st)
{
    return (struct walk_stamp){st->st_dev, st->st_ino, st->st_size, ns_of(st->st_mtim),
                               ns_of(st->st_ctim)};
}

bool walk_stamp_same(const struct walk_stamp *a, const struct walk_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

bool walk_stamp_is_fresh(const struct walk_stamp *s, int64_t now_us)
{
    return s->changed_ns / 1000 > now_us - 1000000;
}

char *walk_join(const char *root, const char *path)
{
    char *full = NULL;

    if (asprintf(&full, "%s%s%s", root, *path && *root ? "/" : "", path) < 0)
        return NULL;
    return full;
}

static void free_text(char **p)
{
    free(*p);
}

static int cmp_found(const void *x, const void *y)
{
    return strcmp(((const struct walk_found *)x)->path, ((const struct walk_found *)y)->path);
}

/* Takes `path` over in any case. */
static int add(struct walk *w, char *path, const struct stat *st)
{
    if (w->n == w->room) {
        const size_t room = w->room ? w->room * 2 : 64;
        struct walk_found *const at = realloc(w->at, room * sizeof(*at));

        if (!at) {
            free(path);
            return -ENOMEM;
        }
        w->at = at;
        w->room = room;
    }
    w->at[w->n++] = (struct walk_found){path, walk_stamp_of(st)};
    return 0;
}

/* The directories that are open, to see a loop. */
struct chain {
    const struct chain *up;
    dev_t device;
    ino_t inode;
    uint32_t depth;
};

static bool is_loop(const struct chain *up, const struct stat *st)
{
    for (const struct chain *c = up; c; c = c->up) {
        if (c->device == st->st_dev && c->inode == st->st_ino)
            return true;
    }
    return false;
}

static void tell(const struct walk *w, const char *full, const char *why)
{
    if (w->problem)
        w->problem(w->ctx, full, why);
}

static int walk_directory(struct walk *w, const char *root, const char *path,
                          const struct chain *up);

static int walk_entry(struct walk *w, const char *root, const char *path, const char *name,
                      const struct chain *here)
{
    CLEANUP(free_text) char *relative = walk_join(path, name);
    CLEANUP(free_text) char *full = relative ? walk_join(root, relative) : NULL;
    struct stat st;

    if (!full)
        return -ENOMEM;
    if (stat(full, &st) < 0) {
        if (walk_is_manifest(name) && errno != ENOENT)
            tell(w, full, strerror(errno)); /* ENOENT: gone again, or a link to nothing */
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        if (is_loop(here, &st))
            return 0;
        return walk_directory(w, root, relative, here);
    }
    if (!S_ISREG(st.st_mode) || !walk_is_manifest(name))
        return 0;
    char *const kept = relative;
    relative = NULL;
    return add(w, kept, &st);
}

static bool is_worth_a_look(const struct dirent *e)
{
    const bool other = e->d_type != DT_DIR && e->d_type != DT_LNK && e->d_type != DT_UNKNOWN;

    return e->d_name[0] != '.' && !(other && !walk_is_manifest(e->d_name));
}

static void close_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static int read_entries(struct walk *w, const char *root, const char *path, const char *full,
                        const struct chain *here)
{
    CLEANUP(close_dir) DIR *d = opendir(full);
    const struct dirent *e;
    int rc = 0;

    if (!d && errno != ENOENT)
        tell(w, full, strerror(errno));
    while (d && rc == 0 && (e = readdir(d)) != NULL) {
        if (is_worth_a_look(e))
            rc = walk_entry(w, root, path, e->d_name, here);
    }
    return rc;
}

static int walk_directory(struct walk *w, const char *root, const char *path,
                          const struct chain *up)
{
    CLEANUP(free_text) char *full = walk_join(root, path);
    struct chain here = {.up = up, .depth = up ? up->depth + 1 : 0};
    struct stat st;

    if (!full)
        return -ENOMEM;
    if (here.depth > WALK_DEPTH || w->directories >= WALK_DIRECTORIES) {
        tell(w, full, "too many directories: not read");
        return 0;
    }
    if (stat(full, &st) < 0)
        return 0;
    here.device = st.st_dev;
    here.inode = st.st_ino;
    w->directories++;
    if (w->enter)
        w->enter(w->ctx, full, path); /* before it is read: what comes later is noticed */
    return read_entries(w, root, path, full, &here);
}

int walk_run(struct walk *w, const char *root, struct err *err)
{
    CLEANUP(close_dir) DIR *d = opendir(root);

    if (!d)
        return err_set(err, -errno, "%s: %s", root, strerror(errno));
    if (walk_directory(w, root, "", NULL))
        return err_set(err, -ENOMEM, "%s: no memory", root);
    if (w->n)
        qsort(w->at, w->n, sizeof(*w->at), cmp_found);
    return 0;
}

void walk_done(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->at[i].path);
    free(w->at);
    w->at = NULL;
    w->n = w->room = 0;
}
