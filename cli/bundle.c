/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bundle.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/tar.h"
#include "decide/replay.h"
#include "kube/config_file.h"
#include "kube/emit.h"
#include "kube/file.h"
#include "kube/positions.h"

enum { WALK_FDS = 16 };

struct bundle {
    char *dir;          /* where it goes */
    struct buf temp;    /* where it is made */
    bool made;          /* the latter is there */
    struct buf request; /* objects, a comma before each but the first */
    struct err err;     /* the first failure; code 0 = none */
};

/* --- files --- */

/* "TEMP/a/b", to be freed by buf_free. */
static void path_of(struct buf *out, const struct bundle *b, const char *name)
{
    buf_printf(out, "%s/%s", b->temp.p, name);
}

/* Every failure on the way; only the first one is told. */
static void fail(struct bundle *b, int code, const char *path)
{
    if (b->err.code == 0)
        (void)err_set(&b->err, code, "%s: %s", path ? path : b->dir, strerror(-code));
}

static int write_file(const char *path, struct str text)
{
    FILE *const f = fopen(path, "we");

    if (!f)
        return -errno;
    const bool wrote = fwrite(text.p, 1, text.n, f) == text.n;
    const bool closed = fclose(f) == 0;
    return wrote && closed ? 0 : errno ? -errno : -EIO;
}

static void put_file(struct bundle *b, const char *name, struct str text)
{
    CLEANUP(buf_free) struct buf path = {0};

    path_of(&path, b, name);
    const int rc = path.failed ? -ENOMEM : write_file(path.p, text);
    if (rc)
        fail(b, rc, path.p);
}

static void make_dir(struct bundle *b, const char *name)
{
    CLEANUP(buf_free) struct buf path = {0};

    path_of(&path, b, name);
    if (path.failed)
        fail(b, -ENOMEM, NULL);
    else if (mkdir(path.p, 0777) && errno != EEXIST)
        fail(b, -errno, path.p);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)remove(path);
    return 0;
}

/* --- the place --- */

/* 0 when there is nothing, or a directory without anything in it. */
static int check_free(const char *dir, struct err *err)
{
    DIR *const d = opendir(dir);
    const struct dirent *e = NULL;

    if (!d)
        return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", dir, strerror(errno));
    while ((e = readdir(d)) && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
        ;
    const bool is_empty = e == NULL;
    (void)closedir(d);
    return is_empty ? 0 : err_set(err, -ENOTEMPTY, "%s is not empty", dir);
}

int bundle_new(struct bundle **out, const char *dir, struct err *err)
{
    const int rc = check_free(dir, err);

    if (rc)
        return rc;
    struct bundle *const b = calloc(1, sizeof(*b));
    if (!b || !(b->dir = strdup(dir))) {
        free(b);
        return err_set(err, -ENOMEM, "no memory");
    }
    for (size_t n = strlen(b->dir); n > 1 && b->dir[n - 1] == '/'; n--)
        b->dir[n - 1] = 0;
    buf_printf(&b->temp, "%s.%d", b->dir, (int)getpid());
    if (b->temp.failed)
        fail(b, -ENOMEM, NULL);
    else if (mkdir(b->temp.p, 0777))
        fail(b, -errno, b->temp.p);
    b->made = b->err.code == 0;
    make_dir(b, "cluster");
    if (b->err.code) {
        const struct err why = b->err;

        bundle_free(b);
        return err_set(err, why.code, "%s", why.text);
    }
    *out = b;
    return 0;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    if (b->made)
        (void)nftw(b->temp.p, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    buf_free(&b->temp);
    buf_free(&b->request);
    free(b->dir);
    free(b);
}

/* --- the cluster --- */

/* "cluster/Pod/ml_train-0.json", and "cluster/Pod" into `dir`. False: it is told in b->err. */
static bool place(struct bundle *b, struct buf *dir, struct buf *path, struct str kind,
                  struct str ns, struct str object)
{
    buf_printf(dir, "cluster/%.*s", STR_ARG(kind));
    buf_text(path, "cluster/");
    replay_place(path, kind, ns, object);
    if (dir->failed || path->failed)
        fail(b, -ENOMEM, NULL);
    return !dir->failed && !path->failed;
}

static void keep(struct bundle *b, const struct source_delta *delta)
{
    CLEANUP(buf_free) struct buf dir = {0}, name = {0}, path = {0};

    if (!place(b, &dir, &name, delta->type, delta->ns, delta->name))
        return;
    if (delta->verb == SOURCE_UPSERT) {
        make_dir(b, dir.p);
        put_file(b, name.p, delta->json);
        return;
    }
    path_of(&path, b, name.p);
    if (path.failed || (unlink(path.p) && errno != ENOENT))
        fail(b, path.failed ? -ENOMEM : -errno, path.p);
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    keep(ctx, delta);
    return 0;
}

struct source_sink bundle_sink(struct bundle *b)
{
    return (struct source_sink){.delta = on_delta, .ctx = b};
}

/* --- the request --- */

/* The text with metadata.namespace, which it does not have: last, so that it wins. */
static void put_in_namespace(struct buf *out, struct str json, const char *ns)
{
    const struct str meta = kube_json_find(json, STR("metadata"));
    const bool is_there = meta.p != json.p && meta.p[0] == '{';
    const struct str object = is_there ? meta : json;
    const char *const end = object.p + object.n - 1; /* its closing brace */
    struct str key, value;
    size_t at = 0;
    struct emit e;

    buf_add(out, json.p, (size_t)(end - json.p));
    buf_text(out, kube_json_step(object, &at, &key, &value) ? "," : "");
    buf_text(out, is_there ? "\"namespace\":" : "\"metadata\":{\"namespace\":");
    emit_init(&e, out, false);
    emit_text(&e, str_of(ns));
    buf_text(out, is_there ? "" : "}");
    buf_add(out, end, (size_t)(json.p + json.n - end));
}

void bundle_ask(struct bundle *b, struct str json, const char *ns)
{
    buf_text(&b->request, b->request.n ? ",\n" : "");
    if (ns)
        put_in_namespace(&b->request, json, ns);
    else
        buf_str(&b->request, json);
}

void bundle_ask_kept(struct bundle *b, struct str kind, struct str ns, struct str name)
{
    CLEANUP(buf_free) struct buf dir = {0}, file = {0}, path = {0}, text = {0};
    struct err err = {0};

    if (!place(b, &dir, &file, kind, ns, name))
        return;
    path_of(&path, b, file.p);
    const int rc = path.failed ? -ENOMEM : kube_file_read(path.p, &text, &err);
    if (rc)
        fail(b, rc, path.p);
    else
        bundle_ask(b, buf_view(&text), NULL);
}

/* --- the rest --- */

static void put_clock(struct bundle *b, int64_t now_us)
{
    CLEANUP(buf_free) struct buf out = {0};

    replay_clock(&out, now_us);
    if (out.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, REPLAY_CLOCK, buf_view(&out));
}

static void put_config(struct bundle *b, const struct numawise_config *c)
{
    CLEANUP(buf_free) struct buf out = {0};

    replay_config(&out, c->mode == CONFIG_SHADOW ? DECIDE_SHADOW : DECIDE_ENFORCE,
                  (uint32_t)c->max_score, c->topology_max_age_ms);
    if (out.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, REPLAY_CONFIG, buf_view(&out));
}

static void put_request(struct bundle *b)
{
    CLEANUP(buf_free) struct buf out = {0};

    buf_text(&out, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n");
    buf_str(&out, buf_view(&b->request));
    buf_text(&out, "\n]}\n");
    if (out.failed || b->request.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, REPLAY_REQUEST, buf_view(&out));
}

static int move(struct bundle *b, struct err *err)
{
    /* Over an empty directory; one that has filled in the meantime stays as it is. */
    if (b->err.code == 0 && rename(b->temp.p, b->dir))
        fail(b, -errno, b->dir);
    if (b->err.code)
        return err_set(err, b->err.code, "%s", b->err.text);
    b->made = false;
    return 0;
}

int bundle_finish(struct bundle *b, const struct numawise_config *config, int64_t now_us,
                  struct err *err)
{
    put_clock(b, now_us);
    put_config(b, config);
    put_request(b);
    return move(b, err);
}

/* --- a bundle that a server has made --- */

/* One of the files that a bundle has; the kind of an object of the cluster goes to `dir`. */
static bool belongs(const char *path, struct buf *dir)
{
    static const char *const names[] = {REPLAY_REQUEST, REPLAY_CLOCK, REPLAY_CONFIG,
                                        REPLAY_PREMISES, REPLAY_DECISION};
    struct str rest = str_of(path);

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    if (!str_is(str_cut(&rest, '/'), "cluster") || rest.n == 0)
        return false;
    const struct str kind = str_cut(&rest, '/');
    buf_printf(dir, "cluster/%.*s", STR_ARG(kind));
    return rest.n && !memchr(rest.p, '/', rest.n);
}

static int unpack_one(struct bundle *b, const char *path, struct str text, struct err *err)
{
    CLEANUP(buf_free) struct buf dir = {0};

    if (!belongs(path, &dir))
        return err_set(err, -EPROTO, "archive: %s is no part of a bundle", path);
    if (dir.n)
        make_dir(b, dir.p);
    put_file(b, path, text);
    return 0;
}

int bundle_unpack(struct bundle *b, struct str tar, struct err *err)
{
    struct tar_reader reader = {0};
    char path[TAR_PATH_BYTES];
    struct str text;
    int rc;

    while ((rc = tar_next(&reader, tar, path, &text, err)) > 0)
        if ((rc = unpack_one(b, path, text, err)))
            return rc;
    if (rc == 0 && reader.n == 0)
        rc = err_set(err, -EPROTO, "archive: there is nothing in it");
    return rc ? rc : move(b, err);
}

/* --- replaying --- */

static int read_clock(int64_t *out, const char *path, struct err *err)
{
    CLEANUP(buf_free) struct buf text = {0};
    const int rc = kube_file_read(path, &text, err);

    if (rc)
        return rc;
    while (text.n && isspace((unsigned char)text.p[text.n - 1]))
        text.n--;
    return clock_parse_rfc3339(buf_view(&text), out)
               ? err_set(err, -EINVAL, "%s: not a moment as in RFC 3339", path)
               : 0;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Of a server's bundle. */
static int read_premises(struct premises *out, const char *path, struct err *err)
{
    enum { ROOM = 4096 };
    char room[ROOM];
    CLEANUP(buf_free) struct buf text = {0};
    struct err why = {0};
    struct arena a;
    int rc = kube_file_read(path, &text, err);

    if (rc)
        return rc;
    arena_init(&a, room, sizeof(room));
    rc = premises_read(out, buf_view(&text), &a, &why);
    arena_rewind(&a, 0);
    return rc ? err_set(err, rc, "%s: %s", path, why.text) : 0;
}

enum part { REQUEST, CLOCK, CONFIG, CLUSTER, PREMISES, DECISION, PARTS };

static int read_parts(struct bundle_replay *r, const struct buf paths[PARTS], struct err *err)
{
    int rc = read_clock(&r->now_us, paths[CLOCK].p, err);

    config_init(&r->config);
    if (rc == 0)
        rc = kube_config_read(&r->config, paths[CONFIG].p, NULL, err);
    if (rc == 0)
        rc = config_set_text(&r->config, config_find(STR("source.cluster")),
                             str_of(paths[CLUSTER].p), err);
    r->is_of_server = is_there(paths[PREMISES].p);
    if (rc == 0 && r->is_of_server)
        rc = read_premises(&r->premises, paths[PREMISES].p, err);
    if (rc == 0 && is_there(paths[DECISION].p))
        rc = kube_file_read(paths[DECISION].p, &r->said, err);
    return rc;
}

int bundle_open(struct bundle_replay *out, const char *dir, struct err *err)
{
    static const char *const names[PARTS] = {
        [REQUEST] = REPLAY_REQUEST, [CLOCK] = REPLAY_CLOCK,       [CONFIG] = REPLAY_CONFIG,
        [CLUSTER] = "cluster",      [PREMISES] = REPLAY_PREMISES, [DECISION] = REPLAY_DECISION};
    struct bundle_replay r = {0};
    struct buf paths[PARTS] = {0};
    bool failed = false;

    for (size_t i = 0; i < PARTS; i++) {
        buf_printf(&paths[i], "%s/%s", dir, names[i]);
        failed = failed || paths[i].failed;
    }
    const int rc = failed ? err_set(err, -ENOMEM, "no memory") : read_parts(&r, paths, err);
    if (rc == 0) {
        r.request = paths[REQUEST].p;
        paths[REQUEST] = (struct buf){0};
        *out = r;
    } else {
        buf_free(&r.said);
    }
    for (size_t i = 0; i < PARTS; i++)
        buf_free(&paths[i]);
    return rc;
}

void bundle_replay_done(struct bundle_replay *r)
{
    free(r->request);
    buf_free(&r->said);
}
