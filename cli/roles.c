/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/roles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admission/admission.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/operator_loop.h"
#include "cli/serve_source.h"
#include "cluster/apiserver.h"
#include "cluster/cluster.h"
#include "cluster/prometheus.h"
#include "console/console.h"
#include "decide/crew.h"
#include "decide/ring.h"
#include "extender/extender.h"
#include "kube/emit.h"
#include "kube/recorder.h"
#include "net/http.h"
#include "operator/call.h"

enum { MAX_ROUTES = HEALTH_ROUTES + CONSOLE_ROUTES };

_Static_assert((int)EXT_ROUTES <= (int)CONSOLE_ROUTES && (int)ADM_ROUTES <= (int)CONSOLE_ROUTES,
               "the routes of a role fit");

static struct ext_settings settings_of(const struct numawise_config *c)
{
    return (struct ext_settings){
        .mode = c->mode == CONFIG_SHADOW ? DECIDE_SHADOW : DECIDE_ENFORCE,
        .max_score = (uint32_t)c->max_score,
        .max_age_us = c->topology_max_age_ms * 1000,
        .shortlist = (uint32_t)c->shortlist,
        .decide = c->decide,
        .sparse_scores = c->sparse_scores,
    };
}

static struct adm_settings admission_settings_of(const struct numawise_config *c)
{
    return (struct adm_settings){.max_age_us = c->topology_max_age_ms * 1000,
                                 .predict = c->admission_predict};
}

/* What a role serves. */
static size_t routes_of(struct roles *r, enum config_role role, struct http_route out[MAX_ROUTES])
{
    health_routes(&r->health, out);
    if (role == CONFIG_EXTENDER) {
        return HEALTH_ROUTES + ext_routes(r->ext, out + HEALTH_ROUTES);
    }
    if (role == CONFIG_CONSOLE) {
        console_routes(r->console, out + HEALTH_ROUTES);
        return HEALTH_ROUTES + CONSOLE_ROUTES;
    }
    if (role == CONFIG_OPERATOR) {
        operator_loop_routes(r->op_loop, out + HEALTH_ROUTES);
        return HEALTH_ROUTES + OPERATOR_ROUTES;
    }
    adm_routes(r->adm, out + HEALTH_ROUTES);
    return HEALTH_ROUTES + ADM_ROUTES;
}

static int start_role(struct roles *r, const struct numawise_config *c, enum config_role role,
                      struct err *err)
{
    struct http_route routes[MAX_ROUTES];
    struct listener *const l = &r->listeners[role];
    const struct http_limits limits = listener_limits(c, role);
    const size_t n = routes_of(r, role, routes);

    int rc = http_server_new(&l->server, config_role_names[role], routes, n, &limits, err);
    if (rc == 0 && role == CONFIG_OPERATOR)
        http_server_refuse_with(l->server, op_refusal);
    if (rc == 0)
        rc = listener_secure(l, c, role, err);
    if (rc == 0)
        rc = http_server_listen(l->server, c->listeners[role].address.p, err);
    if (rc == 0)
        rc = http_server_start(l->server, err);
    if (rc)
        return err_wrap(err, rc, "listener %s", config_role_names[role]);
    return 0;
}

static void http_metrics(void *ctx, struct buf *out)
{
    const struct roles *const r = ctx;

    listener_metrics(r->listeners, out);
}

static int make_admission(struct roles *r, const struct numawise_config *c,
                          const struct roles_state *state, struct err *err)
{
    const struct adm_settings settings = admission_settings_of(c);
    const int rc = adm_new(&r->adm, state->cluster, state->locks, &settings, err);

    if (rc == 0)
        console_add_metrics(r->console, (struct console_metrics){adm_metrics, r->adm});
    return rc;
}

static int make_roles(struct roles *r, const struct numawise_config *c,
                      const struct roles_state *state, struct err *err)
{
    const struct serve_source *const source = state->source;
    const struct ext_settings settings = settings_of(c);
    int rc = ring_new(&r->ring, (size_t)c->decisions_max_bytes, err);

    if (rc == 0)
        rc = ext_new(&r->ext, state->cluster, r->ring, &settings, err);
    if (rc == 0)
        rc = ext_add_crew(r->ext, c->threads ? (uint32_t)c->threads : crew_size(), err);
    if (rc == 0 && source->server) /* a directory is not raced for */
        ext_add_second_look(r->ext, (uint32_t)c->second_look_ms);
    if (rc == 0 && c->bind)
        rc = ext_add_bind(r->ext, &source->access, (uint32_t)c->limits.bind_ms, err);
    if (rc == 0 && c->retry.p[0])
        rc = ext_add_retry(r->ext, &source->access, c->retry.p, err);
    if (rc == 0 && c->preempt)
        ext_add_preempt(r->ext);
    if (rc == 0)
        rc = console_new(&r->console, state->cluster, r->ring, err);
    if (rc)
        return rc;
    console_add_metrics(r->console, (struct console_metrics){ext_metrics, r->ext});
    console_add_metrics(r->console, (struct console_metrics){http_metrics, r});
    return config_is_off(&c->listeners[CONFIG_ADMISSION]) ? 0 : make_admission(r, c, state, err);
}

/* The console last: whoever reads metrics there sees every other listener. */
static const enum config_role order[CONFIG_ROLES] = {CONFIG_EXTENDER, CONFIG_OPERATOR,
                                                     CONFIG_ADMISSION, CONFIG_CONSOLE};

static bool is_kind_ready(void *ctx, char *why)
{
    return apiserver_kind_ready(ctx, why, HEALTH_WHY_BYTES);
}

static void tell_of_source(struct roles *r, struct apiserver *source)
{
    console_add_metrics(r->console, (struct console_metrics){apiserver_metrics, source});
    for (unsigned i = 0; i < apiserver_kinds(source); i++) {
        struct api_part *const kind = apiserver_kind(source, i);

        health_add(&r->health,
                   (struct health_check){apiserver_kind_check(kind), false, is_kind_ready, kind});
    }
}

int roles_start(struct roles *r, const struct numawise_config *config,
                const struct roles_state *state, struct err *err)
{
    const struct serve_source *const source = state->source;
    struct operator_loop *const op_loop = state->op_loop;

    *r = (struct roles){.op_loop = op_loop};
    health_init(&r->health, state->cluster);
    int rc = make_roles(r, config, state, err);

    if (rc == 0 && source->server)
        tell_of_source(r, source->server);
    if (rc == 0 && source->recorder)
        console_add_metrics(r->console, (struct console_metrics){recorder_text, source->recorder});
    if (rc == 0)
        console_add_metrics(r->console,
                            (struct console_metrics){prometheus_metrics, source->prometheus});
    if (rc == 0 && op_loop) {
        console_add_metrics(r->console, (struct console_metrics){operator_loop_metrics, op_loop});
        if (config->operator_lease.p[0])
            health_add(&r->health, (struct health_check){"operator-lease", true,
                                                         operator_loop_is_healthy, op_loop});
        rc = operator_loop_start(op_loop, err);
    }
    for (int i = 0; rc == 0 && i < CONFIG_ROLES; i++)
        if (!config_is_off(&config->listeners[order[i]]))
            rc = start_role(r, config, order[i], err);
    if (rc)
        roles_stop(r);
    return rc;
}

void roles_reload(struct roles *r, const struct numawise_config *config)
{
    const struct ext_settings settings = settings_of(config);

    ext_set(r->ext, &settings);
    if (r->adm) {
        const struct adm_settings admission = admission_settings_of(config);

        adm_set(r->adm, &admission);
    }
    roles_renew_certificates(r, config);
}

void roles_renew_certificates(struct roles *r, const struct numawise_config *config)
{
    for (int role = 0; role < CONFIG_ROLES; role++)
        listener_renew(&r->listeners[role], config, (enum config_role)role);
}

void roles_stop(struct roles *r)
{
    atomic_store(&r->health.stopping, true);
    for (int i = 0; i < CONFIG_ROLES; i++)
        if (r->listeners[order[i]].server)
            http_server_stop(r->listeners[order[i]].server);
    if (r->ext)
        ext_stop(r->ext);
    operator_loop_stop(r->op_loop);
    for (int i = 0; i < CONFIG_ROLES; i++)
        http_server_free(r->listeners[order[i]].server);
    console_free(r->console);
    ext_free(r->ext);
    adm_free(r->adm);
    ring_free(r->ring);
    memset(r->listeners, 0, sizeof(r->listeners));
    r->console = NULL;
    r->ext = NULL;
    r->adm = NULL;
    r->ring = NULL;
}

static void url_to(struct buf *out, const struct roles *r, enum config_role role)
{
    buf_text(out, http_server_url(r->listeners[role].server));
    if (role == CONFIG_EXTENDER)
        buf_text(out, EXT_PREFIX);
    else if (role == CONFIG_ADMISSION)
        buf_text(out, ADM_PATH);
}

void roles_announce(const struct roles *r)
{
    for (int role = 0; role < CONFIG_ROLES; role++) {
        struct buf url = {0};
        if (!r->listeners[role].server)
            continue;
        url_to(&url, r, (enum config_role)role);
        (void)printf("%s %.*s\n", config_role_names[role], STR_ARG(buf_view(&url)));
        buf_free(&url);
    }
    (void)fflush(stdout);
}

static void addresses_json(const struct roles *r, struct buf *out)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "pid"), emit_int(&e, getpid());
    for (int role = 0; role < CONFIG_ROLES; role++) {
        struct buf url = {0};
        if (!r->listeners[role].server)
            continue;
        url_to(&url, r, (enum config_role)role);
        emit_key(&e, config_role_names[role]), emit_text(&e, buf_view(&url));
        buf_free(&url);
    }
    emit_end(&e);
    buf_text(out, "\n");
}

/* A file that is whole or not there at all. */
static int write_whole(const char *path, struct str text)
{
    char temporary[4096];

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >=
        sizeof(temporary))
        return -ENAMETOOLONG;
    FILE *const f = fopen(temporary, "we");
    if (!f)
        return -errno;
    const bool wrote = fwrite(text.p, 1, text.n, f) == text.n;
    const bool closed = fclose(f) == 0;
    if (wrote && closed && rename(temporary, path) == 0)
        return 0;
    const int rc = errno ? -errno : -EIO;
    (void)unlink(temporary);
    return rc;
}

int roles_write_addresses(const struct roles *r, const char *path, struct err *err)
{
    struct buf text = {0};

    addresses_json(r, &text);
    const int rc = text.failed ? -ENOMEM : write_whole(path, buf_view(&text));
    buf_free(&text);
    return rc ? err_set(err, rc, "%s: %s", path, strerror(-rc)) : 0;
}
