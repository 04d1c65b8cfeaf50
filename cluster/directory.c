/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/directory.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/directory_index.h"
#include "cluster/directory_walk.h"

/*
 * A change is acted on when nothing more came for QUIET_MS, a storm of them after STORM_MS. Where
 * notices cannot be had the directory is compared every POLL_MS.
 */
enum { QUIET_MS = 50, STORM_MS = 250, POLL_MS = 2000, EVENT_BYTES = 64 * 1024, READS = 64 };

/*
 * IN_MODIFY is not among them: a file is read when its writer closes it. IN_CREATE tells of
 * directories and of links, which come whole.
 */
static const uint32_t watched = IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
                                IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/* One watched directory; links can lead to one inode, and so to one wd, by several paths. */
struct watch {
    int wd;
    bool seen; /* by the last walk */
    char *path;
};

struct directory {
    struct index index;
    int fd; /* inotify, -1 = not followed */
    struct event *readable, *timer;
    struct watch *watches; /* [n_watches] */
    size_t n_watches, watches_room;
    bool rescan;       /* more may have changed than the files that are marked */
    bool poll;         /* some directory cannot be watched */
    uint64_t since_ns; /* first change that waits, 0 = none */
};

/* --- watches --- */

static bool is_watched(struct directory *d, int wd, const char *path)
{
    for (size_t i = 0; i < d->n_watches; i++) {
        if (d->watches[i].wd == wd && strcmp(d->watches[i].path, path) == 0)
            return d->watches[i].seen = true;
    }
    return false;
}

static int remember(struct directory *d, int wd, const char *path)
{
    if (d->n_watches == d->watches_room) {
        const size_t room = d->watches_room ? d->watches_room * 2 : 16;
        struct watch *const watches = realloc(d->watches, room * sizeof(*watches));

        if (!watches)
            return -ENOMEM;
        d->watches = watches;
        d->watches_room = room;
    }
    char *const copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    d->watches[d->n_watches++] = (struct watch){wd, true, copy};
    return 0;
}

/* Take watch `i` out; the kernel's is removed when no other path needs it. */
static void forget(struct directory *d, size_t i, bool remove)
{
    const int wd = d->watches[i].wd;

    free(d->watches[i].path);
    d->watches[i] = d->watches[--d->n_watches];
    for (size_t k = 0; k < d->n_watches; k++)
        remove = remove && d->watches[k].wd != wd;
    if (remove)
        (void)inotify_rm_watch(d->fd, wd);
}

static void forget_unseen(struct directory *d)
{
    for (size_t i = d->n_watches; i-- > 0;) {
        if (!d->watches[i].seen)
            forget(d, i, true);
    }
}

static void on_enter(void *ctx, const char *full, const char *path)
{
    struct directory *const d = ctx;
    const int wd = d->fd < 0 ? -1 : inotify_add_watch(d->fd, full, watched);

    if (d->fd < 0)
        return;
    if (wd >= 0 && (is_watched(d, wd, path) || remember(d, wd, path) == 0))
        return;
    if (!d->poll)
        log_line(LOG_LEVEL_WARN, "cluster", "%s: %s: changes are looked for every %d s", full,
                 strerror(errno), POLL_MS / 1000);
    d->poll = true;
}

static void on_unreadable(void *ctx, const char *full, const char *why)
{
    struct directory *const d = ctx;

    index_tell(&d->index, full, why);
}

/* --- comparing --- */

/* Mark every file that differs from the disk. */
static int compare(struct directory *d, struct err *err)
{
    CLEANUP(walk_done) struct walk w = {.enter = on_enter, .problem = on_unreadable, .ctx = d};

    for (size_t i = 0; i < d->n_watches; i++)
        d->watches[i].seen = false;
    d->poll = false;
    const int rc = walk_run(&w, d->index.root, err);
    if (rc < 0) {
        d->poll = true; /* it may come back; until then everything stays */
        return rc;
    }
    forget_unseen(d);
    d->rescan = false;
    if (index_compare(&d->index, w.at, w.n))
        return err_set(err, -ENOMEM, "%s: no memory", d->index.root);
    return 0;
}

int directory_rescan(struct directory *d, struct err *err)
{
    const int rc = compare(d, err);

    if (rc == 0)
        index_update(&d->index);
    return rc;
}

/* --- following --- */

static void wait_ms(struct directory *d, uint64_t ms)
{
    const struct timeval t = {.tv_sec = (time_t)(ms / 1000),
                              .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    (void)evtimer_add(d->timer, &t);
}

/* Something waits: act on it soon, but not before a burst is over or has lasted too long. */
static void schedule(struct directory *d)
{
    const uint64_t now = clock_monotonic_ns();

    if (d->since_ns == 0)
        d->since_ns = now;
    const uint64_t waited_ms = (now - d->since_ns) / 1000000;
    const uint64_t left_ms = waited_ms < STORM_MS ? STORM_MS - waited_ms : 0;
    wait_ms(d, left_ms < QUIET_MS ? left_ms : QUIET_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct directory *const d = ctx;
    struct err err = {0};

    (void)fd, (void)what;
    d->since_ns = 0;
    if ((d->rescan || d->poll) && compare(d, &err))
        log_line(LOG_LEVEL_WARN, "cluster", "%s", err.text);
    index_update(&d->index);
    if (d->poll)
        wait_ms(d, POLL_MS);
}

static bool is_directory(const struct directory *d, const char *path)
{
    for (size_t i = 0; i < d->n_watches; i++) {
        if (strcmp(d->watches[i].path, path) == 0)
            return true;
    }
    return false;
}

/* A plain file that was just made is empty: its writer's close is still to come. */
static bool is_unfinished(const struct stat *st, bool exists, uint32_t mask)
{
    return (mask & IN_CREATE) && exists && S_ISREG(st->st_mode) && st->st_nlink == 1;
}

/* What the notice about `path` calls for. */
static void note_path(struct directory *d, const char *path, const char *name, uint32_t mask)
{
    char *const full = walk_join(d->index.root, path);
    struct stat st = {0};
    const bool exists = full && lstat(full, &st) == 0;

    free(full);
    if (walk_is_manifest(name)) {
        if (!is_unfinished(&st, exists, mask) && index_touch(&d->index, path))
            d->rescan = true;
    } else if ((exists && S_ISLNK(st.st_mode)) || is_directory(d, path)) {
        d->rescan = true; /* perhaps a link to a directory */
    }
}

static void note_name(struct directory *d, const char *in, const char *name, uint32_t mask)
{
    if (strncmp(name, "..", 2) == 0) { /* "..data" of a mounted ConfigMap: all its links change */
        d->rescan = true;
        return;
    }
    if (name[0] == '.')
        return;
    if (mask & IN_ISDIR) {
        d->rescan = d->rescan || !(mask & IN_ATTRIB);
        return;
    }
    char *const path = walk_join(in, name);
    if (path)
        note_path(d, path, name, mask);
    else
        d->rescan = true;
    free(path);
}

/* The kernel has dropped the watch, or the directory went elsewhere. */
static void note_lost(struct directory *d, const struct inotify_event *e)
{
    for (size_t i = d->n_watches; i-- > 0;) {
        if (d->watches[i].wd != e->wd)
            continue;
        d->rescan = true;
        if (e->mask & IN_IGNORED)
            forget(d, i, false);
    }
}

static void note(struct directory *d, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        d->rescan = true;
    if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        note_lost(d, e);
    if (e->len == 0)
        return;
    for (size_t i = 0; i < d->n_watches; i++) {
        if (d->watches[i].wd == e->wd)
            note_name(d, d->watches[i].path, e->name, e->mask);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct directory *const d = ctx;
    _Alignas(struct inotify_event) char room[EVENT_BYTES];
    ssize_t n;

    (void)what;
    for (int i = 0; i < READS && (n = read(fd, room, sizeof(room))) > 0; i++) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *const e = (const void *)(room + at);

            note(d, e);
            at += (ssize_t)sizeof(*e) + e->len;
        }
    }
    if (d->rescan || d->index.n_dirty > 0)
        schedule(d);
}

/* What changes from now on is told, so that the first walk is the only one. */
static int follow(struct directory *d, struct event_base *base, struct err *err)
{
    d->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (d->fd < 0)
        return err_set(err, -errno, "inotify: %s", strerror(errno));
    d->timer = evtimer_new(base, on_timer, d);
    d->readable = event_new(base, d->fd, EV_READ | EV_PERSIST, on_readable, d);
    if (!d->timer || !d->readable || event_add(d->readable, NULL) < 0)
        return err_set(err, -ENOMEM, "%s: no memory", d->index.root);
    return 0;
}

int directory_open(struct directory **out, const char *path, struct event_base *base,
                   const struct source_sink *sink, directory_problem problem, void *problem_ctx,
                   struct err *err)
{
    struct directory *const d = calloc(1, sizeof(*d));

    if (!d)
        return err_set(err, -ENOMEM, "%s: no memory", path);
    d->fd = -1;
    d->index.sink = *sink;
    d->index.problem = problem;
    d->index.problem_ctx = problem_ctx;
    int rc = index_init(&d->index, path);
    if (rc)
        (void)err_set(err, rc, "%s: no memory", path);
    if (rc == 0 && base)
        rc = follow(d, base, err);
    if (rc == 0)
        rc = directory_rescan(d, err);
    if (rc) {
        directory_close(d);
        return rc;
    }
    if (base && d->poll)
        wait_ms(d, POLL_MS);
    *out = d;
    return 0;
}

void directory_stats(const struct directory *d, struct directory_stats *out)
{
    *out = d->index.stats;
    out->files = d->index.n_files;
    out->skipped = 0;
    for (size_t i = 0; i < d->index.n_files; i++)
        out->skipped += d->index.files[i]->skipped;
}

void directory_close(struct directory *d)
{
    if (!d)
        return;
    if (d->readable)
        event_free(d->readable);
    if (d->timer)
        event_free(d->timer);
    while (d->n_watches)
        forget(d, d->n_watches - 1, false);
    free(d->watches);
    if (d->fd >= 0)
        (void)close(d->fd);
    index_done(&d->index);
    free(d);
}
