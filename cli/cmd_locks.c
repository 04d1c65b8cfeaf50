/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise locks`: the lock hierarchy, of a cluster directory or as a server knows it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/locks_server.h"
#include "cluster/directory.h"
#include "kube/emit.h"
#include "kube/fetch.h"
#include "kube/lock_policy.h"
#include "net/site.h"
#include "operator/declare.h"
#include "operator/draw/draw.h"
#include "operator/locks/book.h"

enum { CLUSTER, SERVER, TOKEN, AUTHORITY, NAMESPACE, OUTPUT };

static const struct args_flag flags[] = {
    [CLUSTER] = {"cluster", 0, "DIR", "directory of manifests that is the cluster"},
    [SERVER] = {"server", 0, "URL", "the operator's address, as serve prints it"},
    [TOKEN] = {"token-file", 0, "FILE", "a token for the audience numawise, shown to the server"},
    [AUTHORITY] = {"certificate-authority", 0, "FILE", "whom to believe over https"},
    [NAMESPACE] = {"namespace", 'n', "NS", "only this namespace"},
    [OUTPUT] = {"output", 'o', "FORMAT", "text, json, dot, mermaid or svg"},
};

static const struct args_command command = {
    "locks",
    "[--cluster DIR | --server URL [--token-file FILE] [--certificate-authority FILE]] [-n NS] [-o "
    "text|json|dot|mermaid|svg]",
    "Shows the lock hierarchy: classes by level, what LockPolicies declare, what contradicts it.\n"
    "A directory has policies only; what pods observe, and their deadlocks, a server knows.\n"
    "Exit code 1: there is a cycle.\n",
    flags, ARRAY_LEN(flags)};

enum { ARENA_BYTES = 1024 * 1024 };

/* --- a directory --- */

struct reading {
    struct lock_book book;
    struct arena arena;
};

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    struct reading *const r = ctx;
    struct kube_lock_policy policy;

    if (delta->kind != SOURCE_LOCK_POLICY || delta->verb != SOURCE_UPSERT)
        return 0;
    arena_rewind(&r->arena, 0);
    int rc = kube_lock_policy_decode(&policy, delta->json, false, &r->arena, err);
    if (rc == 0) {
        policy.meta.ns = delta->ns;
        rc = op_declare(&r->book, &policy, err);
    }
    return rc;
}

static void on_settled(void *ctx)
{
    (void)ctx;
}

static void on_problem(void *ctx, const char *text)
{
    (void)ctx;
    (void)fprintf(stderr, "%s\n", text);
}

static bool is_wanted(const struct lock_space *s, const char *ns)
{
    return !ns || str_is(s->ns, ns);
}

/* All namespaces in one object, as the server answers. */
static int draw_json_list(struct buf *out, struct reading *r, bool *cycle)
{
    struct emit e;

    emit_init(&e, out, true);
    emit_object(&e);
    emit_key(&e, "namespaces");
    emit_array(&e);
    for (struct lock_space *s = r->book.spaces; s; s = s->next) {
        struct lock_view *v;

        if (lock_view_new(&v, s, 0))
            return -ENOMEM;
        draw_json_object(&e, v);
        *cycle = *cycle || v->n_cycles;
        lock_view_free(v);
    }
    emit_end(&e);
    emit_end(&e);
    buf_text(out, "\n");
    return out->failed ? -ENOMEM : 0;
}

static int draw_space(struct buf *out, struct lock_space *s, enum draw_format format, bool *cycle)
{
    struct lock_view *v;
    int rc = lock_view_new(&v, s, 0);

    if (rc)
        return rc;
    if (out->n)
        buf_text(out, "\n");
    rc = draw(out, v, format);
    *cycle = *cycle || v->n_cycles;
    lock_view_free(v);
    return rc;
}

static int draw_spaces(struct buf *out, struct reading *r, const char *ns, enum draw_format format,
                       bool *cycle)
{
    int rc = 0;

    for (struct lock_space *s = r->book.spaces; rc == 0 && s; s = s->next) {
        if (is_wanted(s, ns))
            rc = draw_space(out, s, format, cycle);
    }
    return rc;
}

/* A namespace without locks has an empty hierarchy. */
static int draw_nothing(struct buf *out, const char *ns, enum draw_format format)
{
    struct lock_view *v;
    int rc = lock_view_empty(&v, str_of(ns ? ns : "default"));

    if (rc)
        return rc;
    rc = draw(out, v, format);
    lock_view_free(v);
    return rc;
}

/* A drawing is of one namespace. */
static int need_one(const struct reading *r, const char *ns, enum draw_format format)
{
    struct buf names = {0};

    if (ns || r->book.n_spaces < 2 || format == DRAW_TEXT || format == DRAW_JSON)
        return EXIT_YES;
    for (const struct lock_space *s = r->book.spaces; s; s = s->next)
        buf_printf(&names, "%s%.*s", names.n ? ", " : "", STR_ARG(s->ns));
    const int code = args_usage_error(&command, "-n NS: of which namespace, %s?", names.p);
    buf_free(&names);
    return code;
}

static int show(struct reading *r, const char *ns, enum draw_format format)
{
    struct buf out = {0};
    bool cycle = false;
    int rc = need_one(r, ns, format);

    if (rc)
        return rc;
    if (!ns && format == DRAW_JSON)
        rc = draw_json_list(&out, r, &cycle);
    else
        rc = draw_spaces(&out, r, ns, format, &cycle);
    if (rc == 0 && out.n == 0)
        rc = draw_nothing(&out, ns, format);
    if (rc == 0)
        (void)fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    if (rc)
        (void)fputs("numawise locks: no memory\n", stderr);
    return rc ? EXIT_UNREADABLE : cycle ? EXIT_NO : EXIT_YES;
}

static int of_directory(const char *path, const char *ns, enum draw_format format)
{
    struct reading r = {0};
    const struct source_sink sink = {.delta = on_delta, .settled = on_settled, .ctx = &r};
    struct directory *directory;
    uint64_t key[2] = {0, 0};
    struct err err;
    void *const room = malloc(ARENA_BYTES);
    int code = EXIT_UNREADABLE;

    if (!room)
        return code;
    (void)getrandom(key, sizeof(key), GRND_NONBLOCK);
    arena_init(&r.arena, room, ARENA_BYTES);
    lock_book_init(&r.book, key);
    if (directory_open(&directory, path, NULL, &sink, on_problem, NULL, &err)) {
        (void)fprintf(stderr, "numawise locks: %s\n", err.text);
    } else {
        code = show(&r, ns, format);
        directory_close(directory);
    }
    lock_book_done(&r.book);
    free(room);
    return code;
}

/* --- the command --- */

/* Nobody reads on the way: TLS, or no way at all. */
static bool keeps_secrets(const char *url)
{
    const char *const host = strstr(url, "://") + 3;

    return str_starts(str_of(url), "https://") ||
           site_is_local((struct str){host, strcspn(host, "/")});
}

static int run(const char *cluster, const struct locks_server *server, enum draw_format format)
{
    struct err err;

    if (cluster && server->url)
        return args_usage_error(&command, "--cluster or --server, not both");
    if (!cluster && !server->url)
        return args_usage_error(&command, "of what? Give --cluster DIR or --server URL");
    if (cluster)
        return of_directory(cluster, server->ns, format);
    if (fetch_check(server->url, &err))
        return args_usage_error(&command, "--server: %s", err.text);
    if (server->access.token_file && !keeps_secrets(server->url))
        return args_usage_error(&command,
                                "--token-file: over http:// a token is shown to this machine only; "
                                "give an https:// address");
    return locks_from_server(server, format);
}

int cmd_locks(int argc, char **argv)
{
    const char *cluster = NULL;
    struct locks_server server = {0};
    enum draw_format format = DRAW_TEXT;
    struct args a;
    int what;

    args_init(&a, &command, argc, argv);
    while ((what = args_next(&a)) != ARGS_END) {
        if (what == CLUSTER)
            cluster = a.value;
        else if (what == SERVER)
            server.url = a.value;
        else if (what == TOKEN)
            server.access.token_file = a.value;
        else if (what == AUTHORITY)
            server.access.ca_file = a.value;
        else if (what == NAMESPACE)
            server.ns = a.value;
        else if (what == OUTPUT)
            format = draw_format_of(str_of(a.value));
        else if (what == ARGS_WORD)
            return args_usage_error(&command, "unexpected \"%s\"", a.argv[a.at - 1]);
        else
            return args_finish(&a, what);
        if (format == DRAW_FORMATS)
            return args_usage_error(&command, "-o %s: text, json, dot, mermaid or svg", a.value);
    }
    if (!cluster && !server.url)
        cluster = getenv("NUMAWISE_CLUSTER");
    return run(cluster, &server, format);
}
