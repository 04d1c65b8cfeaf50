/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise simulate`: pods that arrive one after the other, each seeing those before it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "cli/simulate_input.h"
#include "cli/simulate_report.h"
#include "cluster/cluster.h"
#include "decide/simulate.h"

enum {
    WORKLOAD,
    CLUSTER,
    CONFIG,
    NAMESPACE,
    PODS,
    MIX,
    LIFETIME,
    NODES,
    POLICY,
    SET,
    COMPARE,
    TRIES,
    WEIGHT,
    SEED,
    OUTPUT
};

static const struct args_flag flags[] = {
    [WORKLOAD] = {"filename", 'f', "FILE|DIR", "pods and workloads that arrive (repeatable)"},
    [CLUSTER] = {"cluster", 0, "DIR", "directory of manifests that is the cluster"},
    [CONFIG] = {"config", 0, "FILE", "the server's configuration: maxScore"},
    [NAMESPACE] = {"namespace", 'n', "NS", "of workloads that name none"},
    [PODS] = {"pods", 0, "N", "how many arrive (default: the replicas of all)"},
    [MIX] = {"mix", 0, "NAME=N",
             "N parts of the arrivals are of NAME, not its replicas "
             "(repeatable)"},
    [LIFETIME] = {"lifetime", 0, "N", "a pod ends after N arrivals on average (default: never)"},
    [NODES] = {"nodes", 0, "N", "as if there were N: the cluster's in turn, empty but the first"},
    [POLICY] = {"policy", 0, "FILE", "as if these ConcurrencyPolicies were there, too"},
    [SET] = {"set", 0, "node/NODE.SETTING=VALUE",
             "as if a kubelet were set so; NODE * is all (repeatable)"},
    [COMPARE] = {"compare", 0, NULL, "beside it, the cluster as it is; or two --policy"},
    [TRIES] = {"tries", 0, "N", "a pod that a kubelet refuses is made so often (default 5)"},
    [WEIGHT] = {"weight", 0, "N", "of numawise in kube-scheduler's configuration (default 13)"},
    [SEED] = {"seed", 0, "N", "of the arrivals (default 1)"},
    [OUTPUT] = {"output", 'o', "table|json|svg", "json: docs/reference/simulate.schema.json"},
};

static const struct args_command command = {
    "simulate",
    "-f FILE... --cluster DIR [--pods N] [--nodes N] [--policy FILE] [--set "
    "node/NODE.SETTING=VALUE] [--compare] [-o table|json|svg]",
    "Place pods one after the other, each seeing those before it: by kube-scheduler alone, which\n"
    "knows sums, and with numawise. What each kubelet then does is what explain says it would.\n"
    "SETTING: topologyManagerPolicy, topologyManagerScope, topologyManagerPolicyOptions,\n"
    "cpuManagerPolicy, cpuManagerPolicyOptions, memoryManagerPolicy. Nothing is changed anywhere.\n"
    "Exit code 0: with numawise every pod is placed; 1: some are not.\n",
    flags, ARRAY_LEN(flags)};

enum output { TABLE, JSON, SVG, OUTPUTS };
enum { MAX_POLICIES = 2, DEFAULT_TRIES = 5, DEFAULT_WEIGHT = 13, MAX_TRIES = 1000 };

struct options {
    struct settings_flags settings;
    const char *files[SIMULATE_MAX_FILES], *mixes[SIMULATE_MAX_FILES], *policies[MAX_POLICIES];
    const char *ns;
    struct simulate_set sets[SIMULATE_MAX_SETS];
    uint32_t n_files, n_mixes, n_policies, n_sets;
    uint32_t pods, lifetime, nodes, tries, weight; /* pods, nodes: 0 = not said */
    uint64_t seed;
    bool compare;
    enum output output;
};

/* --- flags --- */

static int set_output(struct options *o, const char *text)
{
    static const char *const names[OUTPUTS] = {"table", "json", "svg"};

    for (int i = 0; i < OUTPUTS; i++) {
        if (strcmp(text, names[i]) == 0) {
            o->output = (enum output)i;
            return EXIT_YES;
        }
    }
    return args_usage_error(&command, "-o %s: neither table nor json nor svg", text);
}

static int set_number(uint32_t *out, int flag, const char *text, uint32_t least, uint32_t most)
{
    uint64_t n;

    if (!str_u64(str_of(text), &n) || n < least || n > most)
        return args_usage_error(&command, "--%s %s: not a whole number from %u to %u",
                                flags[flag].name, text, least, most);
    *out = (uint32_t)n;
    return EXIT_YES;
}

static int add_text(const char **list, uint32_t *n, uint32_t most, int flag, const char *text)
{
    if (*n == most)
        return args_usage_error(&command, "--%s: more than %u times", flags[flag].name, most);
    list[(*n)++] = text;
    return EXIT_YES;
}

static int add_set(struct options *o, const char *text)
{
    struct err err;

    if (o->n_sets == SIMULATE_MAX_SETS)
        return args_usage_error(&command, "--set: more than %d times", SIMULATE_MAX_SETS);
    if (simulate_set_parse(&o->sets[o->n_sets], text, &err))
        return args_usage_error(&command, "--set: %s", err.text);
    o->n_sets++;
    return EXIT_YES;
}

static int set_seed(struct options *o, const char *text)
{
    return str_u64(str_of(text), &o->seed)
               ? EXIT_YES
               : args_usage_error(&command, "--seed %s: not a whole number", text);
}

static int set_flag(void *ctx, int flag, const char *value)
{
    struct options *const o = ctx;

    switch (flag) {
    case WORKLOAD:
        return add_text(o->files, &o->n_files, SIMULATE_MAX_FILES, flag, value);
    case MIX:
        return add_text(o->mixes, &o->n_mixes, SIMULATE_MAX_FILES, flag, value);
    case POLICY:
        return add_text(o->policies, &o->n_policies, MAX_POLICIES, flag, value);
    case PODS:
        return set_number(&o->pods, flag, value, 1, SIMULATE_MAX_PODS);
    case LIFETIME:
        return set_number(&o->lifetime, flag, value, 1, SIMULATE_MAX_PODS);
    case NODES:
        return set_number(&o->nodes, flag, value, 1, SIMULATE_MAX_NODES);
    case TRIES:
        return set_number(&o->tries, flag, value, 1, MAX_TRIES);
    case WEIGHT:
        return set_number(&o->weight, flag, value, 1, MAX_TRIES);
    case SEED:
        return set_seed(o, value);
    case SET:
        return add_set(o, value);
    case OUTPUT:
        return set_output(o, value);
    case CLUSTER:
        o->settings.cluster = value;
        return EXIT_YES;
    case CONFIG:
        o->settings.config = value;
        return EXIT_YES;
    case NAMESPACE:
        o->ns = value;
        return EXIT_YES;
    case COMPARE:
        o->compare = true;
        return EXIT_YES;
    default:
        return args_usage_error(&command, "\"%s\"? Workloads are given by -f FILE", value);
    }
}

static int check_args(const struct options *o)
{
    if (o->n_files == 0)
        return args_usage_error(&command, "whose pods arrive? Give -f FILE");
    if (o->n_policies == MAX_POLICIES && !o->compare)
        return args_usage_error(&command, "two --policy are for --compare");
    if (o->compare && o->n_policies == 0 && o->n_sets == 0)
        return args_usage_error(&command, "--compare what? Give --policy or --set");
    return EXIT_YES;
}

/* --- the runs --- */

/* One column: who places, on what. */
struct plan {
    enum simulate_placer placer;
    struct simulate_changes changes;
    const char *setup;
};

static uint32_t add_plan(struct plan *plans, uint32_t n, enum simulate_placer placer,
                         const struct simulate_changes *changes, const char *setup)
{
    plans[n] = (struct plan){placer, *changes, setup};
    return n + 1;
}

static const char *base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Kube-scheduler alone does not know policies: it runs once for each setting of the kubelets. */
static uint32_t make_plans(struct plan plans[SIMULATE_RUNS], const struct options *o)
{
    const struct simulate_changes as_is = {.nodes = o->nodes};
    struct simulate_changes changed = {o->nodes, o->sets, o->n_sets, o->policies[0]};
    uint32_t n = 0;

    if (o->n_policies == 2) {
        n = add_plan(plans, n, SIMULATE_STOCK, &changed, "");
        n = add_plan(plans, n, SIMULATE_NUMAWISE, &changed, base_name(o->policies[0]));
        changed.policy = o->policies[1];
        return add_plan(plans, n, SIMULATE_NUMAWISE, &changed, base_name(o->policies[1]));
    }
    if (o->compare) {
        n = add_plan(plans, n, SIMULATE_STOCK, &as_is, "as it is");
        n = add_plan(plans, n, SIMULATE_NUMAWISE, &as_is, "as it is");
    }
    if (!o->compare || o->n_sets)
        n = add_plan(plans, n, SIMULATE_STOCK, &changed, o->compare ? "changed" : "");
    return add_plan(plans, n, SIMULATE_NUMAWISE, &changed, o->compare ? "changed" : "");
}

struct progress {
    uint32_t run, n_runs, pods, last;
};

/* For people only: a terminal. */
static void show_progress(void *ctx, uint32_t pod, uint32_t shape, const struct node_view *node,
                          uint32_t refusals)
{
    struct progress *const p = ctx;
    const uint32_t percent = (uint32_t)(((uint64_t)pod + 1) * 100 / p->pods);

    if (percent == p->last)
        return;
    p->last = percent;
    (void)fprintf(stderr, "\rrun %u of %u: %u of %u pods, %u %%", p->run, p->n_runs, pod + 1,
                  p->pods, percent);
    if (pod + 1 == p->pods)
        (void)fprintf(stderr, "%s", p->run == p->n_runs ? "\n" : "");
}

struct whole {
    const struct options *options;
    struct numawise_config config;
    struct simulate_workloads workloads;
    struct simulate_run runs[SIMULATE_RUNS];
    uint32_t n_runs, pods;
};

static int run_plan(struct whole *w, const struct plan *plan, uint32_t n_plans, struct err *err)
{
    const struct options *const o = w->options;
    struct simulate_run *const run = &w->runs[w->n_runs];
    struct progress progress = {w->n_runs + 1, n_plans, w->pods, 0};
    const struct simulate_options options = {
        .shapes = w->workloads.shapes,
        .n_shapes = w->workloads.n,
        .placer = plan->placer,
        .pods = w->pods,
        .lifetime = o->lifetime,
        .tries = o->tries,
        .weight = o->weight,
        .max_score = (uint32_t)w->config.max_score,
        .seed = o->seed,
        .arrived = isatty(STDERR_FILENO) ? show_progress : NULL,
        .ctx = &progress,
    };
    struct cluster *cluster;
    int rc = simulate_cluster(&cluster, &w->config, &plan->changes, err);

    if (rc)
        return rc;
    run->placer = plan->placer;
    (void)snprintf(run->setup, sizeof(run->setup), "%s", plan->setup);
    rc = simulate_run(&run->result, cluster, &options, err);
    cluster_free(cluster);
    w->n_runs += rc == 0;
    return rc;
}

static int read_workloads(struct whole *w, struct err *err)
{
    const struct options *const o = w->options;
    uint64_t shares = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < o->n_files; i++)
        rc = simulate_workloads_read(&w->workloads, o->files[i], o->ns, err);
    for (uint32_t i = 0; rc == 0 && i < o->n_mixes; i++) {
        rc = simulate_workloads_mix(&w->workloads, o->mixes[i], err);
        if (rc)
            return err_wrap(err, rc, "--mix");
    }
    for (uint32_t i = 0; i < w->workloads.n; i++)
        shares += w->workloads.shapes[i].share;
    w->pods = o->pods ? o->pods : shares < SIMULATE_MAX_PODS ? (uint32_t)shares : SIMULATE_MAX_PODS;
    return rc;
}

static int report(const struct whole *w, struct err *err)
{
    static void (*const writers[OUTPUTS])(struct buf *, const struct simulate_report *) = {
        [TABLE] = simulate_table, [JSON] = simulate_json, [SVG] = simulate_svg};
    const struct options *const o = w->options;
    const struct simulate_report r = {
        .runs = w->runs,
        .n_runs = w->n_runs,
        .shapes = w->workloads.shapes,
        .n_shapes = w->workloads.n,
        .seed = o->seed,
        .pods = w->pods,
        .lifetime = o->lifetime,
        .tries = o->tries,
        .weight = o->weight,
    };
    struct buf out = {0};

    writers[o->output](&out, &r);
    const int rc = out.failed ? err_set(err, -ENOMEM, "no memory for the report") : 0;
    if (rc == 0)
        (void)fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return rc;
}

static int answer(struct whole *w, struct err *err)
{
    struct plan plans[SIMULATE_RUNS];
    const uint32_t n = make_plans(plans, w->options);
    int rc = read_workloads(w, err);

    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = run_plan(w, &plans[i], n, err);
    return rc ? rc : report(w, err);
}

/* Every pod, in the last run with numawise. */
static bool all_placed(const struct whole *w)
{
    return w->runs[w->n_runs - 1].result.placed == w->pods;
}

int cmd_simulate(int argc, char **argv)
{
    struct options options = {.tries = DEFAULT_TRIES, .weight = DEFAULT_WEIGHT, .seed = 1};
    struct whole *const w = calloc(1, sizeof(*w));
    struct err err = {0};
    int rc = args_read(&command, argc, argv, set_flag, &options);

    if (rc == EXIT_YES)
        rc = check_args(&options);
    if (rc || !w) {
        free(w);
        return rc == ARGS_HELP ? EXIT_YES : rc ? rc : EXIT_UNREADABLE;
    }
    w->options = &options;
    rc = settings_read(&w->config, &options.settings, &err);
    const bool is_usage = rc == -EINVAL;
    if (rc == 0)
        rc = settings_need_directory(&w->config, &err);
    if (rc == 0)
        rc = answer(w, &err);
    const int code = rc              ? is_usage ? EXIT_USAGE : EXIT_UNREADABLE
                     : all_placed(w) ? EXIT_YES
                                     : EXIT_NO;
    if (rc)
        (void)fprintf(stderr, "numawise simulate: %s\n", err.text);
    for (uint32_t i = 0; i < w->n_runs; i++)
        simulate_result_done(&w->runs[i].result);
    simulate_workloads_done(&w->workloads);
    free(w);
    return code;
}
