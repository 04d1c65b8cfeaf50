/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise explain`: the decision that `serve` would make, in words. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/bundle.h"
#include "cli/commands.h"
#include "cli/explain_server.h"
#include "cli/settings.h"
#include "cli/source.h"
#include "cluster/snapshot.h"
#include "decide/decide.h"
#include "decide/report.h"
#include "kube/decision_json.h"
#include "kube/fetch.h"
#include "kube/file.h"

enum { POD_FILE, CLUSTER, CONFIG, NAMESPACE, NODE, OUTPUT, SERVER, DECISION, BUNDLE, REPLAY };

static const struct args_flag flags[] = {
    [POD_FILE] = {"filename", 'f', "FILE", "pods and workloads to explain, YAML or JSON"},
    [CLUSTER] = {"cluster", 0, "DIR", "directory of manifests that is the cluster"},
    [CONFIG] = {"config", 0, "FILE", "the server's configuration: maxScore, maxAge"},
    [NAMESPACE] = {"namespace", 'n', "NS", "where POD is; for FILE, where it names none"},
    [NODE] = {"node", 0, "NODE", "only this node"},
    [OUTPUT] = {"output", 'o', "table|json", "json: docs/reference/explain.schema.json"},
    [SERVER] = {"server", 0, "URL",
                "a running server's console: the newest decision it keeps about POD"},
    [DECISION] = {"decision", 0, "ID", "with --server: the decision of this id"},
    [BUNDLE] = {"bundle", 0, "DIR", "write what replays it: objects, request, settings, clock"},
    [REPLAY] = {"replay", 0, "DIR", "what --bundle wrote, decided once more"},
};

static const struct args_command command = {
    "explain",
    "POD | -f FILE | --decision ID | --replay DIR [--cluster DIR | --server URL] [-n NS] "
    "[--node NODE] [-o table|json] [--bundle DIR]",
    "Would the pod be placed, where, and why: for every node what its kubelet would do, on which\n"
    "zones, and the score. POD is NAME or NS/NAME, of a pod or of a workload (its template).\n"
    "With --server it is the decision that was made there, not one made now.\n"
    "Exit code 0: some node admits it (or each pod of FILE); 1: none does, or none was made.\n",
    flags, ARRAY_LEN(flags)};

struct options {
    struct settings_flags settings;
    const char *file, *pod, *ns, *node, *server, *decision, *bundle, *replay;
    bool json;
};

/* Arena of one pod: its values, a row a node, what is told about one node at a time. */
enum { BASE_ARENA_BYTES = 16 * 1024 * 1024, NODE_ARENA_BYTES = 1024 };

static int set_output(struct options *o, const char *text)
{
    o->json = strcmp(text, "json") == 0;
    if (o->json || strcmp(text, "table") == 0)
        return EXIT_YES;
    return args_usage_error(&command, "-o %s: neither table nor json", text);
}

static int set_flag(struct options *o, int flag, const char *value)
{
    const char **const texts[] = {
        [POD_FILE] = &o->file,
        [CLUSTER] = &o->settings.cluster,
        [CONFIG] = &o->settings.config,
        [NAMESPACE] = &o->ns,
        [NODE] = &o->node,
        [SERVER] = &o->server,
        [DECISION] = &o->decision,
        [BUNDLE] = &o->bundle,
        [REPLAY] = &o->replay,
    };

    if (flag == OUTPUT)
        return set_output(o, value);
    *texts[flag] = value;
    return EXIT_YES;
}

/* A flag, or the word that is the pod. */
static int take_arg(void *ctx, int what, const char *value)
{
    struct options *const o = ctx;

    if (what != ARGS_WORD)
        return set_flag(o, what, value);
    if (o->pod)
        return args_usage_error(&command, "one POD at a time, not also \"%s\"", value);
    o->pod = value;
    return EXIT_YES;
}

/* The server decides by its own cluster and configuration, and keeps what it was asked about. */
static int check_server_args(const struct options *o)
{
    struct err err;

    if (!o->server)
        return args_usage_error(&command, "--decision ID needs --server URL, which keeps it");
    if (o->file || o->settings.cluster || o->settings.config)
        return args_usage_error(&command, "%s and --server exclude each other",
                                o->file               ? "-f"
                                : o->settings.cluster ? "--cluster"
                                                      : "--config");
    if (!o->pod == !o->decision)
        return args_usage_error(&command, "--server: give either a POD or --decision ID");
    if (o->ns && (o->decision || strchr(o->pod, '/')))
        return args_usage_error(&command, "%s says it all, -n does not go with it",
                                o->decision ? "--decision" : o->pod);
    return fetch_check(o->server, &err) ? args_usage_error(&command, "--server %s", err.text)
                                        : EXIT_YES;
}

/* A bundle has everything but how it is told. */
static int check_replay_args(const struct options *o)
{
    if (o->pod)
        return args_usage_error(&command, "POD and --replay exclude each other");
    const char *const other = o->file               ? "-f"
                              : o->settings.cluster ? "--cluster"
                              : o->settings.config  ? "--config"
                              : o->ns               ? "-n"
                              : o->server           ? "--server"
                              : o->decision         ? "--decision"
                              : o->bundle           ? "--bundle"
                                                    : NULL;
    return other ? args_usage_error(&command, "%s and --replay exclude each other", other)
                 : EXIT_YES;
}

static int check_args(const struct options *o)
{
    if (o->replay)
        return check_replay_args(o);
    if (o->server || o->decision)
        return check_server_args(o);
    if (!o->pod && !o->file)
        return args_usage_error(&command, "what to explain? Name a POD or give -f FILE");
    if (o->pod && o->file)
        return args_usage_error(&command, "POD and -f FILE exclude each other");
    if (o->pod && o->ns && strchr(o->pod, '/'))
        return args_usage_error(&command, "%s names a namespace, and so does -n", o->pod);
    return EXIT_YES;
}

/* What all pods of one run share. */
struct run {
    const struct options *options;
    struct decide_options decide;
    struct source source;
    const char *file;                   /* to ask about, NULL: options->pod */
    int64_t now_us;                     /* when all of it happens */
    struct bundle *bundle;              /* what replays it goes there; NULL: nowhere */
    const struct bundle_replay *replay; /* what is replayed; NULL: nothing */
    struct str *names;                  /* [n_names] nodes to judge */
    uint32_t n_names;
    struct arena arena;
    void *room;
    struct buf out;
    uint32_t n_pods;
    bool refused;        /* some pod is admitted nowhere */
    bool differs;        /* what is replayed is not what was decided */
    uint32_t n_problems; /* of FILE */
};

/* All nodes are judged, so that the scores are the server's, also when one is told of. */
static int choose_nodes(struct run *r, struct err *err)
{
    const struct cluster_snapshot *const s = r->source.snapshot;
    const char *const only = r->options->node;
    const uint32_t n = cluster_snapshot_nodes(s);

    if (only && !cluster_snapshot_find(s, str_of(only)))
        return err_set(err, -ENOENT, "there is no node \"%s\" in the cluster", only);
    r->names = calloc(n + 1, sizeof(*r->names));
    if (!r->names)
        return err_set(err, -ENOMEM, "no memory for %u nodes", n);
    for (uint32_t i = 0; i < n; i++)
        r->names[i] = cluster_snapshot_node(s, i)->name;
    r->n_names = n;
    return 0;
}

static int open_arena(struct run *r, struct err *err)
{
    const size_t room = BASE_ARENA_BYTES + (size_t)r->n_names * NODE_ARENA_BYTES;

    r->room = malloc(room);
    if (!r->room)
        return err_set(err, -ENOMEM, "no memory");
    arena_init(&r->arena, r->room, room);
    return 0;
}

static void note_of(char *out, size_t room, const struct score_pod *pod, const struct decision *d)
{
    out[0] = 0;
    if (d->pass != DECIDE_JUDGED)
        (void)snprintf(out, room, "%s", decide_pass_text(d->pass));
    else if (pod->node.n)
        (void)snprintf(out, room,
                       "the pod is on node %.*s already: what it holds there counts as taken",
                       STR_ARG(pod->node));
}

/* Is there a node, among those told of, that admits the pod? */
static bool is_admitted(const struct run *r, const struct decision *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (decide_is_candidate(d, i) &&
            (!r->options->node || str_is(r->names[i], r->options->node)))
            return true;
    return false;
}

/* Is it what the server has decided? All nodes of the bundle are. */
static int compare(struct run *r, struct report report, struct err *err)
{
    CLEANUP(buf_free) struct buf now = {0};

    report.only = STR("");
    const int rc = report_json(&now, &report, &r->arena, err);
    if (rc)
        return rc;
    struct err why = {0};
    r->differs = decision_compare(buf_view(&r->replay->said), buf_view(&now), &why);
    if (r->differs)
        (void)fprintf(stderr, "numawise explain: not what the server decided: %s\n", why.text);
    return 0;
}

static int explain_pod(struct run *r, const struct score_pod *pod, struct err *err)
{
    const struct decide_ask ask = {.pod = pod, .n = r->n_names, .names = r->names};
    struct decision d;
    char note[512];
    int rc = decide_run(&d, &ask, r->source.snapshot, &r->decide, &r->arena, err);

    if (rc)
        return rc;
    note_of(note, sizeof(note), pod, &d);
    const struct report report = {
        .ask = &ask,
        .decision = &d,
        .options = &r->decide,
        .note = str_of(note),
        .only = str_of(r->options->node),
    };
    if (r->n_pods++ && !r->options->json)
        buf_text(&r->out, "\n");
    r->refused |= d.pass == DECIDE_JUDGED && !is_admitted(r, &d);
    if (r->replay && r->replay->said.n && (rc = compare(r, report, err)))
        return rc;
    return r->options->json ? report_json(&r->out, &report, &r->arena, err)
                            : report_table(&r->out, &report, &r->arena, err);
}

/* The object behind a pod of the cluster: of several with one name the first kind answers. */
static void keep_named(struct run *r, struct str ns, struct str name)
{
    struct cluster_pod room;
    uint32_t i = 0;

    while (
        i < CLUSTER_POD_KINDS &&
        !cluster_snapshot_object(r->source.snapshot, str_of(cluster_pod_kinds[i]), ns, name, &room))
        i++;
    assert(i < CLUSTER_POD_KINDS);
    bundle_ask_kept(r->bundle, str_of(cluster_pod_kinds[i]), ns, name);
}

static int explain_named(struct run *r, struct err *err)
{
    struct str name = str_of(r->options->pod);
    struct str ns = r->options->ns ? str_of(r->options->ns) : STR("default");

    if (strchr(r->options->pod, '/'))
        ns = str_cut(&name, '/');
    struct cluster_pod room;
    const struct score_pod *const pod = cluster_snapshot_pod(r->source.snapshot, ns, name, &room);
    if (!pod)
        return err_set(err, -ENOENT, "there is no pod or workload %.*s/%.*s in the cluster",
                       STR_ARG(ns), STR_ARG(name));
    if (r->bundle)
        keep_named(r, ns, name);
    return explain_pod(r, pod, err);
}

/* One object of FILE. */
struct visit {
    struct run *run;
    struct err *err;
};

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    const struct visit *const v = ctx;

    v->run->n_problems++;
    (void)fprintf(stderr, "%s:%u:%u: %s\n", path, line, column, text);
}

static int on_object(void *ctx, const struct kube_document *doc)
{
    const struct visit *const v = ctx;
    struct run *const r = v->run;
    const size_t mark = arena_mark(&r->arena);
    struct score_pod pod;
    struct err why;

    if (!kube_is_workload(doc->meta.kind))
        return 0;
    if (kube_pod_decode(&pod, doc->json, &r->arena, &why)) {
        uint32_t line, column;
        source_locate(doc, &why, &line, &column);
        on_problem(ctx, doc->path, line, column, why.text);
        arena_rewind(&r->arena, mark);
        return 0;
    }
    const char *const ns = doc->meta.ns.n == 0 ? r->options->ns : NULL;
    if (ns)
        pod.ns = str_of(ns);
    if (r->bundle)
        bundle_ask(r->bundle, doc->json, ns);
    const int rc = explain_pod(r, &pod, v->err);
    arena_rewind(&r->arena, mark);
    return rc;
}

static int explain_file(struct run *r, struct err *err)
{
    struct visit visit = {r, err};
    const struct kube_visitor visitor = {on_object, on_problem, &visit};
    const int rc = kube_file_visit(r->file, &visitor, err);

    if (rc)
        return rc;
    if (r->n_problems && r->n_pods == 0)
        return err_set(err, -EPROTO, "%s: nothing in it could be read", r->file);
    if (r->n_pods == 0)
        return err_set(err, -ENOENT, "%s: there is no pod or workload in it", r->file);
    return 0;
}

static int answer(struct run *r, const struct numawise_config *config, struct err *err)
{
    const struct premises *const premises =
        r->replay && r->replay->is_of_server ? &r->replay->premises : NULL;

    r->decide = (struct decide_options){
        .mode = config->mode == CONFIG_SHADOW ? DECIDE_SHADOW : DECIDE_ENFORCE,
        .max_score = (uint32_t)config->max_score,
        /* there is no kube-scheduler here to leave nodes out */
        .offers = !premises,
        .terms = premises ? premises->terms : 0,
        .context = {.now_us = r->now_us, .max_age_us = config->topology_max_age_ms * 1000},
    };
    const struct source_sink sink = bundle_sink(r->bundle);
    int rc = source_read(&r->source, config, r->now_us, premises, r->bundle ? &sink : NULL, err);
    if (rc)
        return rc;
    rc = choose_nodes(r, err);
    if (rc == 0)
        rc = open_arena(r, err);
    if (rc == 0)
        rc = r->file ? explain_file(r, err) : explain_named(r, err);
    if (rc == 0 && r->bundle)
        rc = bundle_finish(r->bundle, config, r->now_us, err);
    if (rc == 0)
        (void)fwrite(r->out.p, 1, r->out.n, stdout);
    buf_free(&r->out);
    free(r->room);
    free(r->names);
    source_done(&r->source);
    return rc;
}

static int ask_server(const struct options *o)
{
    struct explain_server ask = {
        .url = o->server,
        .pod = o->pod,
        .ns = o->ns,
        .decision = o->decision,
        .node = o->node,
        .json = o->json,
    };
    struct err err = {0};
    int rc = o->bundle ? bundle_new(&ask.bundle, o->bundle, &err) : 0;
    const bool is_taken = rc == -ENOTEMPTY;

    if (rc == 0)
        rc = explain_server(&ask, &err);
    bundle_free(ask.bundle);
    if (rc >= 0)
        return rc ? EXIT_NO : EXIT_YES;
    (void)fprintf(stderr, "numawise explain: %s\n", err.text);
    if (is_taken)
        return EXIT_USAGE;
    return rc == -ENOENT ? EXIT_NO : rc == -EINVAL ? EXIT_USAGE : EXIT_UNREADABLE;
}

static int read_settings(struct numawise_config *out, const struct options *o, struct err *err)
{
    const int rc = settings_read(out, &o->settings, err);

    return rc ? rc : settings_need_directory(out, err);
}

static int explain_replayed(struct run *r, struct err *err)
{
    struct bundle_replay replay;
    int rc = bundle_open(&replay, r->options->replay, err);

    if (rc)
        return rc;
    r->file = replay.request;
    r->now_us = replay.now_us;
    r->replay = &replay;
    rc = answer(r, &replay.config, err);
    r->replay = NULL;
    bundle_replay_done(&replay);
    return rc;
}

static int explain_now(struct run *r, const struct numawise_config *config, struct err *err)
{
    r->file = r->options->file;
    r->now_us = clock_realtime_us();
    const int rc = answer(r, config, err);
    bundle_free(r->bundle);
    return rc;
}

int cmd_explain(int argc, char **argv)
{
    struct options options = {0};
    struct run run = {.options = &options};
    struct numawise_config config;
    struct err err = {0};
    bool is_usage = false;
    int rc = args_read(&command, argc, argv, take_arg, &options);

    if (rc == EXIT_YES)
        rc = check_args(&options);
    if (rc)
        return rc == ARGS_HELP ? EXIT_YES : rc;
    if (options.server)
        return ask_server(&options);
    if (options.replay) {
        rc = explain_replayed(&run, &err);
    } else {
        rc = read_settings(&config, &options, &err);
        if (rc == 0 && options.bundle)
            rc = bundle_new(&run.bundle, options.bundle, &err);
        is_usage = rc == -EINVAL || rc == -ENOTEMPTY;
        if (rc == 0)
            rc = explain_now(&run, &config, &err);
    }
    if (rc == 0 && run.differs)
        return EXIT_UNREADABLE;
    if (rc == 0)
        return run.refused ? EXIT_NO : EXIT_YES;
    (void)fprintf(stderr, "numawise explain: %s\n", err.text);
    return is_usage ? EXIT_USAGE : EXIT_UNREADABLE;
}
