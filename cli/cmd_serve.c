/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise serve`: the roles on their listeners, over a directory that is a cluster. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admission/lock_names.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/certificate_watch.h"
#include "cli/commands.h"
#include "cli/node_events.h"
#include "cli/operator_loop.h"
#include "cli/roles.h"
#include "cli/serve_source.h"
#include "cli/settings.h"
#include "cli/watch.h"
#include "cluster/cluster.h"
#include "extender/extender.h"
#include "kube/scan.h"

enum { CONFIG, CLUSTER, KUBECONFIG, LISTEN, ADDRESSES_FILE };

static const struct args_flag flags[] = {
    [CONFIG] = {"config", 0, "FILE", "configuration (kind NumawiseConfiguration)"},
    [CLUSTER] = {"cluster", 0, "DIR", "directory of manifests that is the cluster"},
    [KUBECONFIG] = {"kubeconfig", 0, "FILE", "how to reach the API server that is the cluster"},
    [LISTEN] = {"listen", 0, "ROLE=ADDR:PORT",
                "address of a listener, or ROLE=off; repeatable; "
                "port 0: the kernel chooses"},
    [ADDRESSES_FILE] = {"addresses-file", 0, "FILE",
                        "gets pid and addresses as JSON when all "
                        "listeners accept"},
};

static const struct args_command command = {
    "serve", "[--config FILE] [--cluster DIR | --kubeconfig FILE] [--listen ROLE=ADDR:PORT]...",
    "Answers kube-scheduler's filter and prioritize (role extender), people (role console), and\n"
    "an API server's question whether to store an object (role admission), from an API server, or\n"
    "from a directory of Kubernetes manifests. Without either: what the\n"
    "variable KUBECONFIG lists, else the ServiceAccount of the pod it runs in.\n"
    "Roles: extender, operator, console, admission.\n"
    "Prints one line a listener when all of them accept. SIGTERM: answers what is in flight\n"
    "and ends. SIGHUP, or a changed configuration file: reads it again.\n",
    flags, ARRAY_LEN(flags)};

struct options {
    struct settings_flags settings;
    const char *addresses_file;
};

/* A running server. Everything is used by the main thread only. */
struct serve {
    const struct options *options;
    struct numawise_config config; /* in force */
    struct event_base *base;
    struct cluster *cluster;
    struct serve_source source;
    struct operator_loop *op_loop; /* NULL: off */
    struct lock_names *locks;      /* NULL: admission is off */
    struct node_events node_events;
    bool started, synced, announced;
    int rc; /* what ended the loop */
    struct err err;
    struct roles roles;
    struct watch *config_watch;
    struct certificate_watch certificates;
    struct event *signals[3], *tick;
};

enum { DEMAND_EVERY_S = 5 /* where what pods want changes for long, it counts so often */ };
enum { TICK_S = 5 /* how often to look for topology that has become too old */ };

static int read_args(struct options *o, int argc, char **argv)
{
    struct args a;
    int what;

    args_init(&a, &command, argc, argv);
    while ((what = args_next(&a)) != ARGS_END) {
        if (what == CONFIG)
            o->settings.config = a.value;
        else if (what == CLUSTER)
            o->settings.cluster = a.value;
        else if (what == KUBECONFIG)
            o->settings.kubeconfig = a.value;
        else if (what == ADDRESSES_FILE)
            o->addresses_file = a.value;
        else if (what == LISTEN && o->settings.n_listen < SETTINGS_LISTEN_MAX)
            o->settings.listen[o->settings.n_listen++] = a.value;
        else if (what == ARGS_WORD || what == LISTEN)
            return args_usage_error(&command, "unexpected \"%s\"", a.value);
        else
            return what == ARGS_HELP ? (args_finish(&a, what), -1) : args_finish(&a, what);
    }
    return EXIT_YES;
}

static int complain(const struct err *err)
{
    (void)fprintf(stderr, "numawise serve: %s\n", err->text);
    return err->code == -EINVAL ? EXIT_USAGE : EXIT_UNREADABLE;
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
    struct serve *const s = ctx;

    log_line(LOG_LEVEL_INFO, "serve", "signal %d: answering what is in flight, then ending",
             (int)fd);
    atomic_store(&s->roles.health.stopping, true);
    (void)event_base_loopbreak(s->base);
}

static void on_difference(void *ctx, const struct config_setting *setting)
{
    log_line(setting->reloadable ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "serve", "%s has changed%s",
             setting->path, setting->reloadable ? "" : ": it takes effect after a restart");
}

static void on_certificate(void *ctx)
{
    struct serve *const s = ctx;

    roles_renew_certificates(&s->roles, &s->config);
}

static void reload(void *ctx)
{
    struct serve *const s = ctx;
    struct numawise_config next;
    struct err err;

    if (settings_read(&next, &s->options->settings, &err)) {
        log_line(LOG_LEVEL_ERROR, "serve", "the old configuration stays: %s", err.text);
        return;
    }
    settings_compare(&s->config, &next, on_difference, s);
    cluster_set_max_age(s->cluster, next.topology_max_age_ms * 1000);
    s->config = next;
    certificate_watch_set(&s->certificates, &s->config, s->base, on_certificate, s);
    roles_reload(&s->roles, &s->config);
    operator_loop_reload(s->op_loop, &s->config);
    serve_source_reload(&s->source, &s->config);
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
    struct serve *const s = ctx;

    reload(s);
    serve_source_rescan(&s->source);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct serve *const s = ctx;

    cluster_tick(s->cluster);
    struct cluster_snapshot *const snapshot = cluster_get(s->cluster);
    node_events_look(&s->node_events, snapshot, s->source.recorder, clock_monotonic_ns());
    cluster_snapshot_unref(snapshot);
}

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

/* Once all listeners accept and everything was read: the world may know. */
static void announce(struct serve *s)
{
    if (!s->started || !s->synced || s->announced)
        return;
    s->announced = true;
    if (s->options->addresses_file)
        s->rc = roles_write_addresses(&s->roles, s->options->addresses_file, &s->err);
    if (s->rc)
        (void)event_base_loopbreak(s->base);
    else
        roles_announce(&s->roles);
}

static void on_synced(void *ctx)
{
    struct serve *const s = ctx;

    s->synced = true;
    announce(s);
}

static void on_failed(void *ctx, const struct score_pod *pod)
{
    const struct serve *const s = ctx;

    if (s->roles.ext)
        ext_pod_failed(s->roles.ext, pod, s->source.recorder);
}

static void on_unusable(void *ctx, const struct node_view *view)
{
    struct serve *const s = ctx;

    node_events_add(&s->node_events, view, clock_monotonic_ns());
}

static int open_cluster(struct serve *s, struct err *err)
{
    const struct cluster_options options = {
        .max_age_us = s->config.topology_max_age_ms * 1000,
        .since_us = s->config.cluster.p[0] ? 0 : clock_realtime_us(), /* a directory has no order */
        .demand_every_us = DEMAND_EVERY_S * INT64_C(1000000),
        .failed = on_failed,
        .unusable = on_unusable,
        .ctx = s,
        /* Unknown outside: the clock in nanoseconds and where the loader put us. */
        .hash_key = {scramble(clock_monotonic_ns()), scramble((uint64_t)(uintptr_t)s)},
    };
    int rc = cluster_new(&s->cluster, &options, err);

    if (rc == 0 && !config_is_off(&s->config.listeners[CONFIG_OPERATOR]))
        rc = operator_loop_new(&s->op_loop, &s->config, s->cluster, options.hash_key, err);
    if (rc == 0 && !config_is_off(&s->config.listeners[CONFIG_ADMISSION]))
        rc = lock_names_new(&s->locks, err);
    if (rc)
        return rc;
    struct source_sink sink = cluster_sink(s->cluster);
    if (s->op_loop)
        sink = operator_loop_sink(s->op_loop, &sink);
    if (s->locks)
        sink = lock_names_sink(s->locks, &sink);
    rc = serve_source_open(&s->source, &s->config, s->base, s->cluster, &sink, on_synced, s, err);
    if (rc == 0 && s->op_loop && s->source.server)
        rc = operator_loop_ask(s->op_loop, &s->source.access, s->source.server, s->config.events,
                               err);
    return rc;
}

static int watch_signals(struct serve *s, struct err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    const struct timeval every = {TICK_S, 0};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        s->signals[i] =
            evsignal_new(s->base, numbers[i], numbers[i] == SIGHUP ? on_hangup : on_stop, s);
        if (!s->signals[i] || event_add(s->signals[i], NULL))
            return err_set(err, -EIO, "cannot handle signals");
    }
    s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
    if (!s->tick || event_add(s->tick, &every))
        return err_set(err, -EIO, "no timer");
    return 0;
}

static int open_all(struct serve *s, struct err *err)
{
    const char *const path = settings_config_path(&s->options->settings);

    s->base = event_base_new();
    int rc = s->base ? 0 : err_set(err, -EIO, "no event loop");
    if (rc == 0)
        rc = watch_signals(s, err);
    if (rc == 0)
        rc = open_cluster(s, err);
    if (rc == 0 && path)
        rc = watch_new(&s->config_watch, path, s->base, reload, s, err);
    return rc;
}

static void close_all(struct serve *s)
{
    watch_free(s->config_watch);
    certificate_watch_done(&s->certificates);
    operator_loop_stop(s->op_loop); /* it asks the source's API server */
    serve_source_done(&s->source);
    operator_loop_free(s->op_loop);
    lock_names_free(s->locks);
    cluster_free(s->cluster);
    for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
        if (s->signals[i])
            event_free(s->signals[i]);
    if (s->tick)
        event_free(s->tick);
    if (s->base)
        event_base_free(s->base);
}

/*
 * Who waits for an answer goes before what has changed: this thread, which follows the cluster,
 * gives way to those of the listeners, which have been started before. It still gets its share.
 */
static void give_way(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
}

/* Until a signal. 0, or what kept it from starting. */
static int run(struct serve *s, struct err *err)
{
    int rc = open_all(s, err);

    if (rc)
        return rc;
    const struct roles_state state = {s->cluster, &s->source, s->op_loop, s->locks};
    rc = roles_start(&s->roles, &s->config, &state, err);
    if (rc)
        return rc;
    certificate_watch_set(&s->certificates, &s->config, s->base, on_certificate, s);
    roles_renew_certificates(&s->roles, &s->config); /* changed since they were read */
    s->started = true;
    announce(s);
    give_way();
    if (s->rc == 0)
        (void)event_base_dispatch(s->base);
    roles_stop(&s->roles);
    *err = s->err;
    return s->rc;
}

int cmd_serve(int argc, char **argv)
{
    struct options options = {0};
    struct serve *const s = calloc(1, sizeof(*s));
    struct err err = {0};
    int rc = read_args(&options, argc, argv);

    if (rc || !s) {
        free(s);
        return rc < 0 ? EXIT_YES : rc ? rc : EXIT_UNREADABLE;
    }
    s->options = &options;
    rc = settings_read(&s->config, &options.settings, &err);
    if (rc == 0) {
        scan_limit_depth((uint32_t)s->config.limits.json_nesting);
        log_setup((enum log_level)s->config.log_verbosity, s->config.log_format == CONFIG_LOG_JSON);
        rc = run(s, &err);
        close_all(s);
    }
    free(s);
    return rc ? complain(&err) : EXIT_YES;
}
