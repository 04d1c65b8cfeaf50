/* SPDX-License-Identifier: Apache-2.0 */
/* Whose pods arrive. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/simulate_input.h"
#include "cli/source.h"
#include "kube/file.h"
#include "kube/object.h"
#include "kube/positions.h"

enum { PADDING = 64, ROOM = 32 * 1024 * 1024, MAX_SHARE = 1000000 };

struct reader {
    struct simulate_workloads *w;
    const char *ns;
    struct err *err;
    int rc;
};

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    struct reader *const r = ctx;

    if (r->rc == 0)
        r->rc = err_set(r->err, -EINVAL, "%s:%u:%u: %s", path, line, column, text);
}

/* Replicas of a workload, parallelism of a Job; one of anything else, or where it says none. */
static uint32_t share_of(struct str kind, struct str json)
{
    uint64_t n;
    const struct str field = str_is(kind, "Job") ? STR("spec.parallelism") : STR("spec.replicas");

    return str_u64(kube_json_find(json, field), &n) && n > 0 && n <= MAX_SHARE ? (uint32_t)n : 1;
}

static int on_object(void *ctx, const struct kube_document *doc)
{
    struct reader *const r = ctx;
    struct simulate_workloads *const w = r->w;
    struct err why;

    if (!kube_is_workload(doc->meta.kind))
        return 0;
    if (w->n == SIMULATE_MAX_SHAPES)
        return err_set(r->err, -E2BIG, "%s: more than %d workloads", doc->path,
                       SIMULATE_MAX_SHAPES);
    struct simulate_shape *const s = &w->shapes[w->n];
    char *const json = arena_array(&w->arena, doc->json.n + PADDING, 1);
    if (!json || str_copy(&s->kind, doc->meta.kind, &w->arena))
        return err_set(r->err, -ENOMEM, "no memory for the workloads");
    memcpy(json, doc->json.p, doc->json.n);
    s->json = (struct str){json, doc->json.n};
    if (kube_pod_decode(&s->pod, s->json, &w->arena, &why)) {
        uint32_t line, column;

        source_locate(doc, &why, &line, &column);
        on_problem(ctx, doc->path, line, column, why.text);
        return 0;
    }
    if (doc->meta.ns.n == 0 && r->ns)
        s->pod.ns = str_of(r->ns);
    s->pod.node = (struct str){0};
    s->share = share_of(s->kind, s->json);
    w->n++;
    return 0;
}

static int read_file(struct reader *r, const char *path)
{
    const struct kube_visitor visitor = {on_object, on_problem, r};
    const int rc = kube_file_visit(path, &visitor, r->err);

    return rc ? rc : r->rc;
}

static int is_manifest(const struct dirent *e)
{
    const struct str name = str_of(e->d_name);

    return e->d_name[0] != '.' &&
           (str_ends(name, ".yaml") || str_ends(name, ".yml") || str_ends(name, ".json"));
}

/* By bytes, whatever the locale says. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_directory(struct reader *r, const char *path)
{
    struct dirent **entries;
    const int n = scandir(path, &entries, is_manifest, by_name);
    int rc = n < 0 ? err_set(r->err, -errno, "%s: %s", path, strerror(errno)) : 0;

    for (int i = 0; i < n; i++) {
        struct buf file = {0};

        buf_printf(&file, "%s/%s", path, entries[i]->d_name);
        if (rc == 0)
            rc = file.failed ? err_set(r->err, -ENOMEM, "no memory") : read_file(r, file.p);
        buf_free(&file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return rc;
}

int simulate_workloads_read(struct simulate_workloads *w, const char *path, const char *ns,
                            struct err *err)
{
    struct reader r = {.w = w, .ns = ns, .err = err};
    const uint32_t before = w->n;
    struct stat st;

    if (!w->room) {
        w->room = malloc(ROOM);
        if (!w->room)
            return err_set(err, -ENOMEM, "no memory for the workloads");
        arena_init(&w->arena, w->room, ROOM);
    }
    const int rc = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? read_directory(&r, path)
                                                               : read_file(&r, path);
    if (rc == 0 && w->n == before)
        return err_set(err, -ENOENT, "%s: there is no pod or workload in it", path);
    return rc;
}

void simulate_workloads_done(struct simulate_workloads *w)
{
    if (w->room)
        arena_rewind(&w->arena, 0);
    free(w->room);
    w->room = NULL;
    w->n = 0;
}

int simulate_workloads_mix(struct simulate_workloads *w, const char *text, struct err *err)
{
    struct str value = str_of(text), ns = {0};
    struct str name = str_cut(&value, '=');
    uint64_t n;
    bool found = false;

    if (!strchr(text, '=') || !str_u64(value, &n) || n < 1 || n > MAX_SHARE)
        return err_set(err, -EINVAL, "\"%s\" is not of the form NAME=N with N from 1 to %d", text,
                       MAX_SHARE);
    const struct str whole = name;
    if (memchr(name.p, '/', name.n))
        ns = str_cut(&name, '/');
    for (uint32_t i = 0; i < w->n; i++) {
        if (!str_eq(w->shapes[i].pod.name, name) || (ns.n && !str_eq(w->shapes[i].pod.ns, ns)))
            continue;
        w->shapes[i].share = (uint32_t)n;
        found = true;
    }
    return found ? 0 : err_set(err, -ENOENT, "no workload is called \"%.*s\"", STR_ARG(whole));
}
