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

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/siphash.h"
#include "kube/config_file.h"
#include "kube/emit.h"
#include "kube/file.h"
#include "kube/positions.h"

enum { NAME_BYTES = 256, WALK_FDS = 16 };

struct bundle {
    char *dir;          /* where it goes */
    struct buf temp;    /* where it is made */
    bool made;          /* the latter is there */
    struct buf request; /* objects, a comma before each but the first */
    struct err err;     /* the first failure; code 0 = none */
};

/* --- files --- */

/* "TEMP/a/b", to be freed by buf_free. */
static void path_of(struct buf *out, const struct bundle *b, const char *a, const char *name)
{
    buf_printf(out, "%s/%s%s%s", b->temp.p, a, name ? "/" : "", name ? name : "");
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

static void put_file(struct bundle *b, const char *a, const char *name, struct str text)
{
    CLEANUP(buf_free) struct buf path = {0};

    path_of(&path, b, a, name);
    const int rc = path.failed ? -ENOMEM : write_file(path.p, text);
    if (rc)
        fail(b, rc, path.p);
}

static void make_dir(struct bundle *b, const char *name)
{
    CLEANUP(buf_free) struct buf path = {0};

    path_of(&path, b, name, NULL);
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

/*
 * "ml_train-0.json", "_gpu-1.json". Names of Kubernetes have neither '_' nor '%'; of others the odd
 * bytes are written as in a URL, and of those that are too long for a file the end as a hash.
 */
static int name_of(char out[NAME_BYTES], struct str ns, struct str name)
{
    enum { MOST = NAME_BYTES - (int)sizeof("_0123456789abcdef.json") };
    static const uint64_t key[2];
    const struct str parts[] = {ns, STR("_"), name};
    CLEANUP(buf_free) struct buf text = {0};

    for (size_t k = 0; k < ARRAY_LEN(parts); k++)
        for (size_t i = 0; i < parts[k].n; i++) {
            const unsigned char c = (unsigned char)parts[k].p[i];
            buf_printf(&text, isalnum(c) || c == '-' || c == '.' || k == 1 ? "%c" : "%%%02X", c);
        }
    if (text.failed)
        return -ENOMEM;
    if (text.n <= MOST)
        (void)snprintf(out, NAME_BYTES, "%.*s.json", (int)text.n, text.p);
    else
        (void)snprintf(out, NAME_BYTES, "%.*s_%016llx.json", MOST, text.p,
                       (unsigned long long)siphash13(key, buf_view(&text)));
    return 0;
}

/* "cluster/Pod" into `out`; the file's name into `name`. False: it is told in b->err. */
static bool place(struct bundle *b, struct buf *out, char name[NAME_BYTES], struct str kind,
                  struct str ns, struct str object)
{
    buf_printf(out, "cluster/%.*s", STR_ARG(kind));
    const int rc = out->failed ? -ENOMEM : name_of(name, ns, object);
    if (rc)
        fail(b, rc, NULL);
    return rc == 0;
}

static void keep(struct bundle *b, const struct source_delta *delta)
{
    CLEANUP(buf_free) struct buf dir = {0}, path = {0};
    char name[NAME_BYTES];

    if (!place(b, &dir, name, delta->type, delta->ns, delta->name))
        return;
    if (delta->verb == SOURCE_UPSERT) {
        make_dir(b, dir.p);
        put_file(b, dir.p, name, delta->json);
        return;
    }
    path_of(&path, b, dir.p, name);
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
    CLEANUP(buf_free) struct buf dir = {0}, path = {0}, text = {0};
    char file[NAME_BYTES];
    struct err err = {0};

    if (!place(b, &dir, file, kind, ns, name))
        return;
    path_of(&path, b, dir.p, file);
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
    char text[32];

    clock_format_rfc3339(text, now_us);
    buf_printf(&out, "%s\n", text);
    if (out.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, "clock", NULL, buf_view(&out));
}

static void put_config(struct bundle *b, const struct numawise_config *c)
{
    CLEANUP(buf_free) struct buf out = {0};

    buf_printf(&out,
               "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
               "extender:\n  mode: %s\n  maxScore: %lld\ntopology:\n  maxAge: ",
               c->mode == CONFIG_SHADOW ? "Shadow" : "Enforce", (long long)c->max_score);
    config_format_duration(&out, c->topology_max_age_ms);
    buf_text(&out, "\n");
    if (out.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, "config.yaml", NULL, buf_view(&out));
}

static void put_request(struct bundle *b)
{
    CLEANUP(buf_free) struct buf out = {0};

    buf_text(&out, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n");
    buf_str(&out, buf_view(&b->request));
    buf_text(&out, "\n]}\n");
    if (out.failed || b->request.failed)
        fail(b, -ENOMEM, NULL);
    put_file(b, "request.json", NULL, buf_view(&out));
}

int bundle_finish(struct bundle *b, const struct numawise_config *config, int64_t now_us,
                  struct err *err)
{
    put_clock(b, now_us);
    put_config(b, config);
    put_request(b);
    /* Over an empty directory; one that has filled in the meantime stays as it is. */
    if (b->err.code == 0 && rename(b->temp.p, b->dir))
        fail(b, -errno, b->dir);
    if (b->err.code)
        return err_set(err, b->err.code, "%s", b->err.text);
    b->made = false;
    return 0;
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

static int read_parts(struct bundle_replay *r, const char *clock, const char *config,
                      const char *cluster, struct err *err)
{
    int rc = read_clock(&r->now_us, clock, err);

    config_init(&r->config);
    if (rc == 0)
        rc = kube_config_read(&r->config, config, NULL, err);
    return rc ? rc
              : config_set_text(&r->config, config_find(STR("source.cluster")), str_of(cluster),
                                err);
}

int bundle_open(struct bundle_replay *out, const char *dir, struct err *err)
{
    static const char *const names[] = {"request.json", "clock", "config.yaml", "cluster"};
    struct bundle_replay r = {0};
    struct buf paths[ARRAY_LEN(names)] = {0};
    bool failed = false;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        buf_printf(&paths[i], "%s/%s", dir, names[i]);
        failed = failed || paths[i].failed;
    }
    int rc = failed ? err_set(err, -ENOMEM, "no memory")
                    : read_parts(&r, paths[1].p, paths[2].p, paths[3].p, err);
    if (rc == 0) {
        r.request = paths[0].p;
        paths[0] = (struct buf){0};
        *out = r;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        buf_free(&paths[i]);
    return rc;
}
