/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/operator_lease.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/log.h"
#include "operator/operator.h"

bool operator_lease_leads(void *ctx, struct str *out_url)
{
    const struct operator_lease *const l = ctx;

    *out_url = (struct str){0};
    if (!l->leader)
        return false; /* the API server is not connected yet */
    if (leader_may_act(l->leader))
        return true;
    const char *const holder = leader_holder(l->leader), *const end = strrchr(holder, '_');
    if (end && strcmp(holder, l->identity) != 0)
        *out_url = (struct str){holder, (size_t)(end - holder)};
    return false;
}

int32_t operator_lease_epoch(void *ctx)
{
    const struct operator_lease *const l = ctx;

    return l->leader ? leader_epoch(l->leader) : 0;
}

static void on_lead(void *ctx, bool leads_now)
{
    struct operator_lease *const l = ctx;

    log_line(LOG_LEVEL_INFO, "operator", "the lease %s: this replica %s", l->name,
             leads_now ? "leads" : "does not lead any more");
    if (!leads_now)
        op_resign(l->op);
}

static void on_lease_problem(void *ctx, const char *text)
{
    const struct operator_lease *const l = ctx;

    log_line(LOG_LEVEL_ERROR, "operator", "the lease %s: %s", l->name, text);
}

static bool is_url(const char *s)
{
    const size_t n = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;

    return n && s[n] && s[n] != ':' &&
           strspn(s + n, "abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789-.:[]") == strlen(s + n);
}

int operator_lease_read(struct operator_lease *l, const struct numawise_config *config,
                        struct err *err)
{
    const char *const lease = config->operator_lease.p, *const url = config->operator_advertise.p;
    uint64_t random;

    if (!lease[0])
        return 0;
    if (config->cluster.p[0])
        return err_set(err, -EINVAL,
                       "operator.lease: a cluster directory has one operator: it needs an API "
                       "server");
    if (!strchr(lease, '/') || strlen(lease) >= sizeof(l->name))
        return err_set(err, -EINVAL, "operator.lease: \"%s\" is not NAMESPACE/NAME", lease);
    if (!is_url(url) || strlen(url) > sizeof(l->identity) - 20)
        return err_set(err, -EINVAL,
                       "operator.advertise: with operator.lease the others must be able to send "
                       "callers here: a URL such as https://10.0.0.7:8788, without a path");
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(err, -EIO, "no random numbers");
    (void)snprintf(l->name, sizeof(l->name), "%s", lease);
    (void)snprintf(l->identity, sizeof(l->identity), "%s_%016llx", url, (unsigned long long)random);
    return 0;
}

int operator_lease_run(struct operator_lease *l, struct kube_api *api, struct event_base *base,
                       struct op *op, struct err *err)
{
    char ns[OPERATOR_LEASE_BYTES];
    const char *const slash = strchr(l->name, '/');
    const struct leader_options options = {.ns = ns,
                                           .name = slash ? slash + 1 : "",
                                           .identity = l->identity,
                                           .times = {15000, 10000, 2000},
                                           .changed = on_lead,
                                           .problem = on_lease_problem,
                                           .ctx = l};

    l->op = op;
    if (!slash)
        return 0;
    (void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - l->name), l->name);
    return leader_new(&l->leader, api, base, &options, err);
}

void operator_lease_done(struct operator_lease *l)
{
    leader_free(l->leader);
    l->leader = NULL;
}
