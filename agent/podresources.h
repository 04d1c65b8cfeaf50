/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet's podresources API v1: which devices can be given out, and what pods hold, asked over
 * the kubelet's unix socket. gRPC is one POST over HTTP/2, which libcurl speaks; an answer is one
 * protobuf message. It is decoded here by hand: seven small messages of which we read a dozen
 * fields, straight into the arena, every length checked against what is left, without recursion.
 * libprotobuf-c would build a tree on the heap first, as deep and as large as the bytes ask for,
 * and bring a code generator into the build; what it saves is the forty lines of `struct wire`.
 */
#ifndef AGENT_PODRESOURCES_H
#define AGENT_PODRESOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct arena;
struct buf;
struct err;
struct topo_machine;

/* AllocatableResourcesResponse, without its memory, which the memory manager's state has better. */
struct agent_allocatable {
    const struct kube_nrt_device *devices; /* [n_devices] the healthy ones, by resource, then id */
    uint32_t n_devices;
    struct str cpus; /* CPU list: those that are not reserved; empty under the CPU policy none */
};

/* What containers hold: ns, pod and container are set, uid is empty; in the order of the answer. */
struct agent_pods {
    const struct kube_nrt_holding
        *holdings; /* [n_holdings]; those that hold nothing are left out */
    uint32_t n_holdings;
};

/*
 * Decode the message inside an answer. Unknown fields are skipped. 0; -EPROTO: no such message;
 * -E2BIG: a CPU id beyond TOPO_MAX_CPUS; -ENOMEM: the arena (or the heap) is full. `out` is written
 * only on success.
 */
int agent_allocatable_decode(struct agent_allocatable *out, struct str message,
                             const struct topo_machine *m, struct arena *a,
                             struct err *err) MUST_CHECK;
int agent_pods_decode(struct agent_pods *out, struct str message, const struct topo_machine *m,
                      struct arena *a, struct err *err) MUST_CHECK;

/*
 * The one message in the body of a gRPC answer: behind a byte for "not compressed" and four for its
 * length (grpc: PROTOCOL-HTTP2.md, Length-Prefixed-Message). 0 or -EPROTO.
 */
int agent_grpc_message(struct str *out, struct str body, struct err *err) MUST_CHECK;

/*
 * Ask the kubelet at the unix socket for "List" or "GetAllocatableResources", with an empty
 * request, and append the message it answers with. Blocks, LIMIT_PODRESOURCES_MS at most. 0;
 * -EHOSTUNREACH: nobody there, or the connection broke; -ETIMEDOUT; -EFBIG: more than
 * LIMIT_PODRESOURCES_BYTES; -EPROTO: no gRPC, or the kubelet says no (`err` has its code and text);
 * -ENOMEM.
 */
int agent_podresources_ask(struct buf *out, const char *socket, const char *method,
                           struct err *err) MUST_CHECK;

#endif
