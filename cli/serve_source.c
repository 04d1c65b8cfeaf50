/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serve_source.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "cluster/apiserver.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "cluster/prometheus.h"
#include "kube/api.h"
#include "kube/recorder.h"

static void on_problem(void *ctx, const char *text)
{
    log_line(LOG_LEVEL_WARN, "cluster", "%s", text);
}

static void say_directory(const struct serve_source *s, const char *path, struct cluster *cluster)
{
    struct cluster_snapshot *const snapshot = cluster_get(cluster);
    struct directory_stats stats;

    directory_stats(s->directory, &stats);
    log_line(LOG_LEVEL_INFO, "cluster",
             "%s: %u nodes; %llu objects in %llu files, %llu of other kinds, %llu problems", path,
             cluster_snapshot_nodes(snapshot), (unsigned long long)stats.objects,
             (unsigned long long)stats.files, (unsigned long long)stats.skipped,
             (unsigned long long)stats.problems);
    cluster_snapshot_unref(snapshot);
}

static int open_directory(struct serve_source *s, const char *path, struct event_base *base,
                          struct cluster *cluster, const struct source_sink *sink, struct err *err)
{
    const int rc = directory_open(&s->directory, path, base, sink, on_problem, NULL, err);

    if (rc == 0)
        say_directory(s, path, cluster);
    return rc;
}

static const char *variable(const char *name)
{
    const char *const value = getenv(name);

    return value && *value ? value : NULL;
}

int serve_source_access(struct kube_access *out, const char *path, struct err *err)
{
    const char *const list = variable("KUBECONFIG"), *const host = "KUBERNETES_SERVICE_HOST";

    if (*path)
        return kube_access_read(out, path, err);
    if (list)
        return kube_access_merge(out, list, err);
    if (!variable(host))
        return err_set(err, -ENODATA,
                       "give --kubeconfig FILE, set KUBECONFIG, or run in a cluster");
    return kube_access_in_cluster(out, variable(host), variable("KUBERNETES_SERVICE_PORT"),
                                  KUBE_ACCOUNT_DIR, err);
}

static int open_server(struct serve_source *s, const struct numawise_config *config,
                       struct event_base *base, const struct source_sink *sink,
                       const struct apiserver_options *options, struct err *err)
{
    static const struct kube_api_options usual;
    int rc = serve_source_access(&s->access, config->kubeconfig.p, err);

    if (rc == -ENODATA)
        return err_set(err, -ENOENT,
                       "no source: give --cluster DIR or --kubeconfig FILE, set KUBECONFIG, or run "
                       "in a cluster");
    if (rc == 0)
        rc = kube_api_new(&s->api, base, &s->access, &usual, err);
    if (rc)
        return rc;
    if (config->events)
        rc = recorder_new(&s->recorder, s->api, err);
    if (rc)
        return rc;
    log_line(LOG_LEVEL_INFO, "cluster", "%s: reading, as %s says", s->access.server,
             s->access.from);
    return apiserver_new(&s->server, base, s->api, sink, options, err);
}

int serve_source_open(struct serve_source *out, const struct numawise_config *config,
                      struct event_base *base, struct cluster *cluster,
                      const struct source_sink *sink, void (*synced)(void *ctx), void *ctx,
                      struct err *err)
{
    const struct apiserver_options options = {
        .synced = synced,
        .ctx = ctx,
        .budgets = config->preempt,
        .operator_kinds = !config_is_off(&config->listeners[CONFIG_OPERATOR]),
        .lock_policies = !config_is_off(&config->listeners[CONFIG_ADMISSION]),
    };
    const char *const directory = config->cluster.p;

    *out = (struct serve_source){.directory = NULL};
    int rc = prometheus_new(&out->prometheus, base, cluster, &config->prometheus, err);
    if (rc)
        return rc;
    if (!*directory)
        return open_server(out, config, base, sink, &options, err);
    rc = open_directory(out, directory, base, cluster, sink, err);
    if (rc == 0)
        synced(ctx);
    return rc;
}

void serve_source_reload(struct serve_source *s, const struct numawise_config *config)
{
    struct err err;

    if (prometheus_set(s->prometheus, &config->prometheus, &err))
        log_line(LOG_LEVEL_ERROR, "serve", "the settings before stay: %s", err.text);
}

void serve_source_rescan(struct serve_source *s)
{
    struct err err;

    if (s->directory && directory_rescan(s->directory, &err))
        log_line(LOG_LEVEL_ERROR, "cluster", "%s", err.text);
}

void serve_source_done(struct serve_source *s)
{
    prometheus_free(s->prometheus);
    directory_close(s->directory);
    apiserver_free(s->server);
    recorder_free(s->recorder);
    kube_api_free(s->api);
    kube_access_done(&s->access);
}
