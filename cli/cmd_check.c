/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise check`: strict validation, each problem with file, line, column and field. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/check_cluster.h"
#include "cli/commands.h"
#include "cli/source.h"
#include "decide/one.h"
#include "kube/config_file.h"
#include "kube/file.h"
#include "kube/hints.h"
#include "kube/namespace.h"
#include "kube/object.h"
#include "kube/positions.h"
#include "kube/problem.h"

static const struct args_command command = {
    "check", "FILE|DIR...",
    "Validates configuration files, hints on pods and workloads, nodes and topology, policies,\n"
    "signals, lock policies, adjustments and deadlock reports. Prints\n"
    "FILE:LINE:COLUMN: FIELD: what is wrong. Kinds that numawise does not use are passed over.\n"
    "Of a DIR it tells also what is unknown, assumed or odd of the nodes in it, and which\n"
    "policies do not count: warnings and notes, which are no errors. Exit code 1: there were\n"
    "errors; 3: a file cannot be read.\n",
    NULL, 0};

struct check {
    const char *path;   /* file being read */
    bool is_config;     /* it holds a configuration */
    struct arena arena; /* of one object */
    struct check_cluster cluster;
    uint64_t files, objects, skipped, problems, warnings, unreadable;
};

enum { ARENA_BYTES = 64 * 1024 * 1024 };

static void problem(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    struct check *const c = ctx;

    c->problems++;
    check_cluster_say(&c->cluster, path, line, column, text);
}

/* A problem of one field of a document. */
static void field_problem(struct check *c, const struct kube_document *doc, const char *field,
                          const char *text)
{
    uint32_t line = doc->line, column = doc->column;
    char whole[ERR_TEXT_BYTES * 3];

    kube_document_locate(doc, str_of(field), &line, &column);
    (void)snprintf(whole, sizeof(whole), "%s: %s", field, text);
    problem(c, doc->path, line, column, whole);
}

static void decoder_problem(struct check *c, const struct kube_document *doc, const struct err *err)
{
    uint32_t line, column;

    source_locate(doc, err, &line, &column);
    problem(c, doc->path, line, column, err->text);
}

static void check_hints(struct check *c, const struct kube_document *doc,
                        const struct score_pod *pod)
{
    for (uint32_t i = 0; i < pod->n_hints; i++) {
        CLEANUP(buf_free) struct buf field = {0};
        struct err err;

        if (kube_hint_problem(&field, doc->meta.kind, &pod->hints[i], &err))
            field_problem(c, doc, field.failed ? "" : field.p, err.text);
    }
}

static bool is_hint(struct str quoted)
{
    return str_starts(quoted, "\"" KUBE_HINT_PREFIX) ||
           str_is(quoted, "\"" KUBE_HINT_INGRESS "\"") ||
           str_is(quoted, "\"" KUBE_HINT_EGRESS "\"");
}

/* JSON may have a key twice, of which the last counts: who wrote it meant one of them. */
static void check_doubles(struct check *c, const struct kube_document *doc)
{
    CLEANUP(buf_free) struct buf where = {0};
    struct str key, value, other;

    kube_pod_path(&where, doc->meta.kind);
    buf_text(&where, "metadata.annotations");
    const struct str all = kube_json_find(doc->json, buf_view(&where));

    for (size_t at = 0; kube_json_step(all, &at, &key, &value);) {
        bool is_double = false;

        for (size_t i = 0; is_hint(key) && kube_json_step(all, &i, &other, &value) && i < at;)
            is_double = is_double || str_eq(key, other);
        if (is_double) {
            CLEANUP(buf_free) struct buf field = {0};

            buf_printf(&field, "%.*s[%.*s]", STR_ARG(buf_view(&where)), (int)key.n - 2, key.p + 1);
            field_problem(c, doc, field.failed ? "" : field.p, "given twice");
        }
    }
}

/* Those with our prefix; others are for others to judge. */
static void check_attributes(struct check *c, const struct kube_document *doc,
                             const struct kube_nrt *nrt)
{
    for (uint32_t i = 0; i < nrt->n_attributes; i++) {
        CLEANUP(buf_free) struct buf field = {0};
        struct err err;

        if (kube_attribute_problem(&field, &nrt->attributes[i], &err))
            field_problem(c, doc, field.failed ? "" : field.p, err.text);
    }
}

/* --- documents --- */

static bool is_own(const struct kube_document *doc)
{
    return kube_is_own(doc->meta.api_version, doc->meta.kind);
}

static int decode(struct check *c, const struct kube_document *doc, struct err *err)
{
    struct kube_namespace ns;
    struct score_pod pod;
    struct kube_node node;
    struct kube_nrt nrt;

    if (is_own(doc))
        return kube_own_problem(doc->meta.api_version, doc->meta.kind, doc->json, &c->arena, err);
    if (str_is(doc->meta.kind, "Namespace"))
        return kube_namespace_decode(&ns, doc->json, &c->arena, err);
    if (str_is(doc->meta.kind, "Node"))
        return kube_node_decode(&node, doc->json, &c->arena, err);
    if (str_is(doc->meta.kind, "NodeResourceTopology")) {
        const int rc = kube_nrt_decode(&nrt, doc->json, &c->arena, err);

        if (rc == 0)
            check_attributes(c, doc, &nrt);
        return rc;
    }
    const int rc = kube_pod_decode(&pod, doc->json, &c->arena, err);
    if (rc == 0) {
        check_hints(c, doc, &pod);
        check_doubles(c, doc);
    }
    return rc;
}

static bool is_read(const struct kube_document *doc)
{
    const struct str kind = doc->meta.kind;

    return str_is(kind, "Node") || str_is(kind, "NodeResourceTopology") ||
           str_is(kind, "Namespace") || kube_is_workload(kind) || is_own(doc);
}

static int on_object(void *ctx, const struct kube_document *doc)
{
    struct check *const c = ctx;
    struct err err;

    if (str_is(doc->meta.kind, CONFIG_KIND)) {
        c->is_config = true;
        return 0;
    }
    if (!is_read(doc)) {
        c->skipped++;
        return 0;
    }
    c->objects++;
    if (decode(c, doc, &err))
        decoder_problem(c, doc, &err);
    else
        check_cluster_note(&c->cluster, doc);
    arena_rewind(&c->arena, 0);
    return 0;
}

static void check_config(struct check *c, const char *path)
{
    const struct kube_config_report report = {problem, c};
    struct numawise_config config;
    struct err err;

    c->objects++;
    config_init(&config);
    const int rc = kube_config_read(&config, path, &report, &err);
    if (rc == 0 && config_check(&config, &err))
        problem(c, path, 1, 1, err.text);
    else if (rc == 0 && config.decide)
        (void)printf(
            "%s: note: extender.decide: with a weight below %lld in kube-scheduler's configuration "
            "its own plugins outvote it\n",
            path, (long long)DECIDE_LEAST_WEIGHT(config.max_score));
}

static void check_file(struct check *c, const char *path)
{
    const struct kube_visitor visitor = {on_object, problem, c};
    struct err err;

    c->files++;
    c->is_config = false;
    if (kube_file_visit(path, &visitor, &err)) {
        c->unreadable++;
        (void)fprintf(stderr, "numawise check: %s\n", err.text);
        return;
    }
    if (c->is_config)
        check_config(c, path);
}

static bool is_manifest(const char *path)
{
    const struct str s = str_of(path);

    return str_ends(s, ".yaml") || str_ends(s, ".yml") || str_ends(s, ".json");
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What the manifests of a directory are together. */
static void check_directory(struct check *c, const char *path)
{
    struct err err;

    if (check_cluster_dir(&c->cluster, path, &err) || c->cluster.failed) {
        c->unreadable++;
        (void)fprintf(stderr, "numawise check: %s\n", c->cluster.failed ? "no memory" : err.text);
    }
    c->warnings += c->cluster.warnings;
}

/* A file as it is named; of a directory the manifests at any depth. */
static void check_path(struct check *c, char *path)
{
    char *const paths[] = {path, NULL};
    bool is_directory = false;

    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
    FTS *const tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);

    for (FTSENT *e; tree && (e = fts_read(tree));) {
        if (e->fts_info == FTS_F && (e->fts_level == FTS_ROOTLEVEL || is_manifest(e->fts_path)))
            check_file(c, e->fts_path);
        is_directory = is_directory || (e->fts_info == FTS_D && e->fts_level == FTS_ROOTLEVEL);
        if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS ||
            e->fts_info == FTS_SLNONE) {
            c->unreadable++;
            (void)fprintf(stderr, "numawise check: %s: %s\n", e->fts_path,
                          strerror(e->fts_errno ? e->fts_errno : ENOENT));
        }
    }
    if (tree)
        (void)fts_close(tree);
    if (is_directory)
        check_directory(c, path);
    check_cluster_done(&c->cluster);
}

static void say_sum(const struct check *c)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%llu files, %llu objects checked, %llu of other kinds, %llu problems",
                  (unsigned long long)c->files, (unsigned long long)c->objects,
                  (unsigned long long)c->skipped, (unsigned long long)c->problems);
    if (c->warnings)
        (void)fprintf(stderr, ", %llu warnings", (unsigned long long)c->warnings);
    (void)fputc('\n', stderr);
}

int cmd_check(int argc, char **argv)
{
    struct check c = {0};
    struct args a;
    int what, paths = 0;
    void *const room = malloc(ARENA_BYTES);

    if (!room)
        return EXIT_UNREADABLE;
    arena_init(&c.arena, room, ARENA_BYTES);
    args_init(&a, &command, argc, argv);
    while ((what = args_next(&a)) == ARGS_WORD) {
        check_path(&c, a.argv[a.at - 1]);
        paths++;
    }
    free(room);
    if (what != ARGS_END)
        return args_finish(&a, what);
    if (paths == 0)
        return args_usage_error(&command, "what to check? Name a FILE or a DIR");
    say_sum(&c);
    if (c.unreadable)
        return EXIT_UNREADABLE;
    return c.problems ? EXIT_NO : EXIT_YES;
}
