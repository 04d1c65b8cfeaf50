/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reflector on a loop: asks the API server what the reflector wants asked, when it wants it. All
 * on the loop's thread.
 */
#ifndef KUBE_FOLLOWER_H
#define KUBE_FOLLOWER_H

#include <stdint.h>

#include "base/attr.h"
#include "kube/reflector.h"

struct event;
struct event_base;
struct kube_api;
struct kube_call;

struct kube_follower {
    struct kube_reflector reflector;
    struct kube_api *api;
    struct kube_call *call;
    struct event *timer;
    void (*heard)(void *ctx); /* the reflector's state may be another; after what the sink heard */
    void *ctx;                /* of `heard` */
};

/*
 * Begins with the loop's next turn. `path` is kept, as kube_reflector_init keeps it; `seed` as
 * there. 0, -ENOMEM; kube_follower_done is due in either case.
 */
int kube_follower_init(struct kube_follower *f, struct event_base *base, struct kube_api *api,
                       const char *path, const struct kube_reflector_sink *sink, uint64_t seed,
                       void (*heard)(void *ctx), void *ctx) MUST_CHECK;
void kube_follower_done(struct kube_follower *f);

/* The clock that its reflector goes by; never 0, which means never. */
uint64_t kube_follower_now_ns(void);

#endif
