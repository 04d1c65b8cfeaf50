/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

struct watch {
    char *path;
    int fd;
    struct event *readable, *settle;
    void (*changed)(void *ctx);
    void *ctx;
    struct stat seen;
};

enum { SETTLE_MS = 100 };

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The directory has been quiet for a moment: is it our file that changed? */
static void on_settle(evutil_socket_t fd, short what, void *ctx)
{
    struct watch *const w = ctx;
    struct stat now;

    if (stat(w->path, &now) || is_same_file(&now, &w->seen))
        return;
    w->seen = now;
    w->changed(w->ctx);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct watch *const w = ctx;
    const struct timeval soon = {0, SETTLE_MS * 1000};
    char events[4096];

    while (read(w->fd, events, sizeof(events)) > 0)
        continue;
    (void)event_add(w->settle, &soon);
}

static int follow_directory(struct watch *w)
{
    char *const copy = strdup(w->path);
    const uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB;

    if (!copy)
        return -ENOMEM;
    const int wd = inotify_add_watch(w->fd, dirname(copy), mask);
    const int rc = wd < 0 ? -errno : 0;
    free(copy);
    return rc;
}

static int start(struct watch *w, const char *path, struct event_base *base)
{
    w->path = strdup(path);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (!w->path || w->fd < 0)
        return w->path ? -errno : -ENOMEM;
    (void)stat(path, &w->seen);
    w->readable = event_new(base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
    w->settle = evtimer_new(base, on_settle, w);
    if (!w->readable || !w->settle || event_add(w->readable, NULL))
        return -ENOMEM;
    return follow_directory(w);
}

int watch_new(struct watch **out, const char *path, struct event_base *base,
              void (*changed)(void *ctx), void *ctx, struct err *err)
{
    struct watch *const w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, -ENOMEM, "no memory to follow %s", path);
    *w = (struct watch){.fd = -1, .changed = changed, .ctx = ctx};
    const int rc = start(w, path, base);
    if (rc) {
        watch_free(w);
        return err_set(err, rc, "cannot follow %s: %s", path, strerror(-rc));
    }
    *out = w;
    return 0;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->readable)
        event_free(w->readable);
    if (w->settle)
        event_free(w->settle);
    if (w->fd >= 0)
        (void)close(w->fd);
    free(w->path);
    free(w);
}
