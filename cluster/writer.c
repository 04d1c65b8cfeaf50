/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "kube/emit.h"

enum { PADDING = 64, UID_BYTES = 37 };

struct directory_writer {
    char *root;
    int dir;  /* root/numawise, -1 = not opened yet */
    int lock; /* its file .lock, held as long as this lives; -1 = not yet */
};

int directory_writer_new(struct directory_writer **out, const char *root, struct err *err)
{
    struct directory_writer *const w = calloc(1, sizeof(*w));

    if (!w || !(w->root = strdup(root))) {
        free(w);
        return err_set(err, -ENOMEM, "no memory");
    }
    w->dir = w->lock = -1;
    *out = w;
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void directory_writer_free(struct directory_writer *w)
{
    if (!w)
        return;
    close_fd(w->lock); /* which lets the lock go */
    close_fd(w->dir);
    free(w->root);
    free(w);
}

/* --- the only writer --- */

static int fail(struct err *err, const struct directory_writer *w, const char *what)
{
    const int rc = errno ? -errno : -EIO;

    return err_set(err, rc, "%s/numawise/%s: %s", w->root, what, strerror(-rc));
}

/* The directory `name` in `at`, made where it is not there. */
static int open_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0777) && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int take_lock(struct directory_writer *w, struct err *err)
{
    const int root = open(w->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (w->dir < 0 && root >= 0)
        w->dir = open_dir(root, "numawise");
    const int rc = w->dir < 0 ? fail(err, w, "") : 0;
    close_fd(root);
    if (rc)
        return rc;
    const int lock = openat(w->dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0)
        return fail(err, w, ".lock");
    if (flock(lock, LOCK_EX | LOCK_NB)) {
        const bool taken = errno == EWOULDBLOCK;

        close_fd(lock);
        return taken ? err_set(err, -EBUSY, "%s: another process writes there", w->root)
                     : fail(err, w, ".lock");
    }
    w->lock = lock;
    return 0;
}

/* --- files --- */

static int write_all(int fd, struct str text)
{
    while (text.n) {
        const ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text = (struct str){text.p + n, text.n - (size_t)n};
    }
    return 0;
}

/* After a crash there is the old file or the new one, never half of one. */
static int replace(int dir, const char *name, struct str text)
{
    char temporary[300];

    (void)snprintf(temporary, sizeof(temporary), ".%s", name);
    const int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    bool ok = write_all(fd, text) == 0 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    ok = ok && renameat(dir, temporary, dir, name) == 0 && fsync(dir) == 0;
    if (!ok) {
        const int saved = errno;

        (void)unlinkat(dir, temporary, 0);
        errno = saved;
    }
    return ok ? 0 : -1;
}

static int unlink_file(int dir, const char *name)
{
    return (unlinkat(dir, name, 0) == 0 || errno == ENOENT) && fsync(dir) == 0 ? 0 : -1;
}

/*
 * "bank_teller.yaml" in numawise/LockPolicy/. Names are those of Kubernetes: no '/', no '_'.
 * Without text the file goes.
 */
static int store(struct directory_writer *w, const struct writer_object *o, struct str text,
                 struct err *err)
{
    char name[sizeof("_.yaml") + 63 + 253];
    int rc = w->lock < 0 ? take_lock(w, err) : 0;

    if (rc)
        return rc;
    if (o->ns.n > 63 || o->name.n > 253 || (o->ns.n && memchr(o->ns.p, '/', o->ns.n)) ||
        memchr(o->name.p, '/', o->name.n))
        return err_set(err, -EINVAL, "not the name of an object: %.*s", STR_ARG(o->name));
    (void)snprintf(name, sizeof(name), "%.*s_%.*s.yaml", STR_ARG(o->ns), STR_ARG(o->name));
    if (strlen(name) + 2 > 255)
        return err_set(err, -ENAMETOOLONG, "%s: longer than a file's name may be", name);
    const int dir = open_dir(w->dir, o->kind);
    errno = dir < 0 ? errno : 0;
    if (dir < 0 || (text.n ? replace(dir, name, text) : unlink_file(dir, name)))
        rc = fail(err, w, name);
    close_fd(dir);
    return rc;
}

/* --- objects --- */

/* A random uid, version 4 (RFC 4122). */
static int make_uid(char out[UID_BYTES])
{
    unsigned char b[16];

    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        return -EIO;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(out, UID_BYTES,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return 0;
}

/* Versions only grow, also over one that an API server gave. */
static uint64_t next_version(struct str version)
{
    uint64_t v;

    return str_u64(version, &v) && v < UINT64_MAX ? v + 1 : 1;
}

static void put_time(struct emit *e, const char *key, int64_t us)
{
    char text[32];

    clock_format_rfc3339(text, us);
    emit_key(e, key), emit_words(e, text);
}

static void put_meta(struct emit *e, const struct writer_object *o, const char *uid, bool deleted)
{
    char version[24];

    (void)snprintf(version, sizeof(version), "%llu",
                   (unsigned long long)next_version(o->resource_version));
    emit_key(e, "metadata");
    emit_object(e);
    emit_key(e, "name"), emit_text(e, o->name);
    if (o->ns.n)
        emit_key(e, "namespace"), emit_text(e, o->ns);
    emit_key(e, "uid");
    if (o->uid.n)
        emit_text(e, o->uid);
    else
        emit_words(e, uid);
    emit_key(e, "resourceVersion"), emit_words(e, version);
    emit_key(e, "generation"), emit_int(e, o->generation + (o->spec_changed || !o->exists));
    put_time(e, "creationTimestamp", o->created_us ? o->created_us : clock_realtime_us());
    if (deleted || o->made_here || !o->exists) {
        emit_key(e, "annotations");
        emit_object(e);
        emit_key(e, deleted ? "numawise.gokore.io/deleted" : WRITER_MADE_HERE);
        emit_words(e, "true");
        emit_end(e);
    }
    emit_end(e);
}

/* JSON, which is YAML too. */
static int compose(struct buf *out, const struct writer_object *o, bool deleted, struct err *err)
{
    char uid[UID_BYTES] = "";
    struct emit e;

    if (o->uid.n == 0 && make_uid(uid))
        return err_set(err, -EIO, "no randomness for a uid");
    emit_init(&e, out, true);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, o->api_version);
    emit_key(&e, "kind"), emit_words(&e, o->kind);
    put_meta(&e, o, uid, deleted);
    if (o->spec.n)
        emit_key(&e, "spec"), emit_raw(&e, o->spec);
    if (o->status.n && !deleted)
        emit_key(&e, "status"), emit_raw(&e, o->status);
    emit_end(&e);
    buf_text(out, "\n");
    return out->failed ? err_set(err, -ENOMEM, "no memory") : 0;
}

static void write_object(struct directory_writer *w, const struct writer_object *o, bool deleted,
                         writer_done done, void *done_ctx)
{
    static const char zeros[PADDING];
    struct buf text = {0};
    struct err err = {0};
    int rc = compose(&text, o, deleted, &err);

    if (rc == 0)
        rc = store(w, o, buf_view(&text), &err);
    const size_t n = text.n;
    if (rc == 0)
        buf_add(&text, zeros, sizeof(zeros));
    if (rc == 0 && text.failed)
        rc = err_set(&err, -ENOMEM, "no memory");
    done(done_ctx, rc, rc || deleted ? (struct str){0} : (struct str){text.p, n}, &err);
    buf_free(&text);
}

static void put_object(void *ctx, const struct writer_object *o, writer_done done, void *done_ctx)
{
    write_object(ctx, o, false, done, done_ctx);
}

/* What is removed may stand in somebody's own file, too: it stays, marked, and hides that one. */
static void remove_object(void *ctx, const struct writer_object *o, writer_done done,
                          void *done_ctx)
{
    struct err err = {0};

    if (!o->made_here)
        write_object(ctx, o, true, done, done_ctx);
    else
        done(done_ctx, store(ctx, o, (struct str){0}, &err), (struct str){0}, &err);
}

struct writer directory_writer(struct directory_writer *w)
{
    return (struct writer){.put = put_object, .remove = remove_object, .ctx = w};
}
