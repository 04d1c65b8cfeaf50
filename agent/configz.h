/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kubelet runs with, asked of its own server (/configz): the flags, the files and the
 * defaults as one, where the files alone say what it would run with without flags. It needs the
 * right to `get` nodes/configz (Kubernetes 1.33), which gives nothing else.
 */
#ifndef AGENT_CONFIGZ_H
#define AGENT_CONFIGZ_H

#include "base/attr.h"

struct buf;
struct err;

struct agent_configz {
    const char *address; /* "10.0.0.7:10250", "fe80::1", where it listens; NULL: it is not asked */
    const char *name;    /* the Node's: the kubelet's certificate is for it */
    /*
     * PEM files of whom to believe, where they are there: what the kubelet signed for itself, and
     * the cluster's CA. NULL = none.
     */
    const char *ca[2];
    const char *token_file; /* shown to nobody who is not believed; NULL: none */
    /*
     * Its last answer, or empty, of whoever asks again and again: it stands while the kubelet
     * cannot be reached, for what starts again runs with the same mostly, and its files would say
     * something else. NULL: none is kept.
     */
    struct buf *last;
};

/* Is `address` an IP address, or one and a port ("[::1]:10250")? 0 or -EINVAL. */
int agent_configz_check(const char *address, struct err *err) MUST_CHECK;

/*
 * Append what it answers, JSON for agent_configz_decode, or answered last. Blocks as fetch_get,
 * whose codes it returns; -EACCES: the kubelet refuses; -EAGAIN: it cannot tell now (401, for it
 * asks the API server who calls, and 5xx); -EPROTO: another answer; -EINVAL: no address, or none of
 * the files in `ca` can be read.
 */
int agent_configz_ask(struct buf *out, const struct agent_configz *from,
                      struct err *err) MUST_CHECK;

#endif
