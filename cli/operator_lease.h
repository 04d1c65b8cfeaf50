/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several operators over one API server leads: for operator_loop.c, on its thread. */
#ifndef CLI_OPERATOR_LEASE_H
#define CLI_OPERATOR_LEASE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/config.h"
#include "base/str.h"
#include "kube/leader.h"

struct op;

enum { OPERATOR_LEASE_BYTES = 512 };

struct operator_lease {
    char name[OPERATOR_LEASE_BYTES];   /* "NAMESPACE/NAME"; empty: there is one replica */
    char identity[LEASE_HOLDER_BYTES]; /* URL, "_", and what no other one has, also not before */
    struct leader *leader;             /* NULL: not begun, or there is one replica */
    struct op *op;
};

/* What the settings say: 0; -EINVAL (operator.lease, operator.advertise); -EIO. */
int operator_lease_read(struct operator_lease *l, const struct numawise_config *config,
                        struct err *err) MUST_CHECK;

/* Begin, where there are several. `op` forgets what it was told when it leads no more. */
int operator_lease_run(struct operator_lease *l, struct kube_api *api, struct event_base *base,
                       struct op *op, struct err *err) MUST_CHECK;
void operator_lease_done(struct operator_lease *l);

/* As op_act_door.epoch; `ctx` likewise. */
int32_t operator_lease_epoch(void *ctx);

/* As op_options.leads; `ctx` is the struct operator_lease. */
bool operator_lease_leads(void *ctx, struct str *out_url);

#endif
