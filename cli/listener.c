/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listener.h"

#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"

/* Names, rows and scratch of one request: 15,000 nodes with long names take about 4 MiB. */
enum { EXTENDER_ARENA_BYTES = 32 * 1024 * 1024, ARENA_BYTES = 256 * 1024 };

/* A body of 1 MiB full of the shortest lock claims that there are, decoded. */
enum { OPERATOR_ARENA_BYTES = 8 * 1024 * 1024 };

/* Two pods of a body, and a row for each of 10,000 nodes. */
enum { ADMISSION_ARENA_BYTES = 16 * 1024 * 1024 };

static size_t arena_bytes(enum config_role role)
{
    if (role == CONFIG_EXTENDER)
        return EXTENDER_ARENA_BYTES;
    if (role == CONFIG_ADMISSION)
        return ADMISSION_ARENA_BYTES;
    return role == CONFIG_OPERATOR ? OPERATOR_ARENA_BYTES : ARENA_BYTES;
}

struct http_limits listener_limits(const struct numawise_config *c, enum config_role role)
{
    return (struct http_limits){
        .head_bytes = (size_t)c->limits.head_bytes,
        .target_bytes = (size_t)c->limits.target_bytes,
        .body_bytes = (size_t)c->limits.body_bytes[role],
        .arena_bytes = arena_bytes(role),
        .headers = (unsigned)c->limits.headers,
        .connections = (unsigned)c->limits.connections,
        .head_ms = (unsigned)c->limits.head_ms,
        .body_ms = (unsigned)c->limits.body_ms,
        .write_ms = (unsigned)c->limits.write_ms,
        .idle_ms = (unsigned)c->limits.idle_ms,
    };
}

/* ---- TLS ---- */

/* Callers of the operator may bring a token instead, where there is somebody to ask about it. */
static bool takes_tokens(const struct numawise_config *c, enum config_role role)
{
    return role == CONFIG_OPERATOR && !c->cluster.p[0];
}

static int use(struct listener *l, const struct numawise_config *config, enum config_role role,
               struct err *err)
{
    const struct config_listener *const c = &config->listeners[role];
    const char *names[CONFIG_LIST_ITEMS];
    const size_t n = config_list_items(&c->allowed_names, names);
    const struct http_tls tls = {
        .cert_file = c->cert_file.p,
        .key_file = c->key_file.p,
        .client_ca_file = c->client_ca_file.p[0] ? c->client_ca_file.p : NULL,
        .allowed_names = names,
        .n_allowed_names = n,
        .client_optional = c->client_ca_file.p[0] && takes_tokens(config, role),
    };

    return http_server_secure(l->server, &tls, err);
}

int listener_secure(struct listener *l, const struct numawise_config *c, enum config_role role,
                    struct err *err)
{
    if (!c->listeners[role].cert_file.p[0])
        return 0;
    const int rc = use(l, c, role, err);
    l->is_secure = rc >= 0;
    return rc < 0 ? rc : 0;
}

void listener_renew(struct listener *l, const struct numawise_config *c, enum config_role role)
{
    const char *const name = config_role_names[role];
    const bool wants_tls = c->listeners[role].cert_file.p[0] != 0;
    struct err err = {0};

    if (!l->server)
        return;
    if (wants_tls != l->is_secure)
        log_line(LOG_LEVEL_WARN, "serve", "listener %s: TLS is switched %s only by a restart", name,
                 wants_tls ? "on" : "off");
    if (!wants_tls || !l->is_secure)
        return;
    const int rc = use(l, c, role, &err);
    if (rc > 0)
        log_line(LOG_LEVEL_INFO, "serve", "listener %s: certificate and clients as they are now",
                 name);
    else if (rc < 0)
        log_line(LOG_LEVEL_ERROR, "serve", "listener %s: the old certificate stays: %s", name,
                 err.text);
    atomic_fetch_add(&l->reloads[rc < 0], rc != 0);
}

/* ---- figures ---- */

/* One figure of every listener, at `field` of http_stats. */
static void figure(const struct listener *all, struct buf *out, const char *name, const char *type,
                   const char *help, size_t field, bool only_tls)
{
    metric_family(out, name, type, help);
    for (int role = 0; role < CONFIG_ROLES; role++) {
        struct http_stats stats;
        uint64_t value;
        if (!all[role].server || (only_tls && !all[role].is_secure))
            continue;
        http_server_stats(all[role].server, &stats);
        memcpy(&value, (const char *)&stats + field, sizeof(value));
        buf_printf(out, "%s{listener=\"%s\"} %llu\n", name, config_role_names[role],
                   (unsigned long long)value);
    }
}

static void failures(const struct listener *all, struct buf *out)
{
    static const char name[] = "numawise_http_tls_handshake_failures_total";

    metric_family(out, name, "counter", "Handshakes that did not come through, by reason.");
    for (int role = 0; role < CONFIG_ROLES; role++) {
        struct http_stats stats;
        if (!all[role].server || !all[role].is_secure)
            continue;
        http_server_stats(all[role].server, &stats);
        for (int i = 0; i < HTTP_TLS_FAILURES; i++)
            buf_printf(out, "%s{listener=\"%s\",reason=\"%s\"} %llu\n", name,
                       config_role_names[role], http_tls_failure_names[i],
                       (unsigned long long)stats.tls_failures[i]);
    }
}

static void reloads(const struct listener *all, struct buf *out)
{
    static const char name[] = "numawise_http_certificate_reloads_total";
    static const char *const results[] = {"ok", "failed"};

    metric_family(out, name, "counter", "Changed certificates and names taken over, or refused.");
    for (int role = 0; role < CONFIG_ROLES; role++)
        for (int i = 0; all[role].server && all[role].is_secure && i < 2; i++)
            buf_printf(out, "%s{listener=\"%s\",result=\"%s\"} %llu\n", name,
                       config_role_names[role], results[i],
                       (unsigned long long)atomic_load(&all[role].reloads[i]));
}

void listener_metrics(const struct listener *all, struct buf *out)
{
    figure(all, out, "numawise_http_connections_total", "counter", "Connections accepted.",
           offsetof(struct http_stats, connections), false);
    figure(all, out, "numawise_http_connections_open", "gauge", "Connections open now.",
           offsetof(struct http_stats, open), false);
    figure(all, out, "numawise_http_requests_total", "counter", "Requests answered.",
           offsetof(struct http_stats, requests), false);
    figure(all, out, "numawise_http_rejected_total", "counter",
           "Requests refused before they reached a role.", offsetof(struct http_stats, rejected),
           false);
    figure(all, out, "numawise_http_tls_handshakes_total", "counter",
           "Handshakes that came through.", offsetof(struct http_stats, handshakes), true);
    failures(all, out);
    figure(all, out, "numawise_http_certificate_expiry_timestamp_seconds", "gauge",
           "When the certificate of the listener expires, Unix time.",
           offsetof(struct http_stats, certificate_expires_s), true);
    reloads(all, out);
}
