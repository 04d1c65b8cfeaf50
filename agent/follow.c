/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/follow.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "kube/follower.h"

struct agent_follow {
    struct buf collection;
    struct kube_follower follower;
    enum kube_reflector_trouble said;
    struct agent_names pods;
    void (*changed)(void *ctx);
    void *ctx;
};

/* --- what the reflector tells --- */

static void on_begin(void *ctx, bool again)
{
    agent_names_mark(&((struct agent_follow *)ctx)->pods);
}

static int on_upsert(void *ctx, const struct kube_name *name, struct str object)
{
    struct agent_follow *const f = ctx;
    const int rc = agent_names_put(&f->pods, name->ns, name->name, name->uid, object);

    if (rc > 0)
        f->changed(f->ctx);
    return rc < 0 ? rc : 0;
}

static void on_remove(void *ctx, const struct kube_name *name)
{
    struct agent_follow *const f = ctx;

    agent_names_remove(&f->pods, name->ns, name->name);
    f->changed(f->ctx);
}

static void on_end(void *ctx)
{
    struct agent_follow *const f = ctx;

    agent_names_sweep(&f->pods);
    f->changed(f->ctx);
}

static void on_odd(void *ctx, const struct kube_name *name, const char *why)
{
    log_line(LOG_LEVEL_WARN, "agent", "pods: %s", why);
}

static void look_at_trouble(void *ctx)
{
    struct agent_follow *const f = ctx;
    const enum kube_reflector_trouble trouble = f->follower.reflector.state.trouble;

    if (trouble == f->said)
        return;
    f->said = trouble;
    if (trouble == KUBE_REFLECT_FINE)
        log_line(LOG_LEVEL_INFO, "agent", "pods: followed again");
    else
        log_line(LOG_LEVEL_WARN, "agent", "%s; pods that are not known are not named",
                 f->follower.reflector.last.text);
    f->changed(f->ctx);
}

/* --- agent/follow.h --- */

int agent_follow_new(struct agent_follow **out, struct event_base *base, struct kube_api *api,
                     const char *node, void (*changed)(void *ctx), void *ctx, struct err *err)
{
    struct agent_follow *const f = calloc(1, sizeof(*f));

    if (!f)
        return err_set(err, -ENOMEM, "no memory to follow pods");
    const struct kube_reflector_sink sink = {on_begin, on_upsert, on_remove, on_end, on_odd, f};
    f->changed = changed;
    f->ctx = ctx;
    f->said = KUBE_REFLECT_FINE;
    buf_printf(&f->collection, "/api/v1/pods?fieldSelector=spec.nodeName%%3D%s", node);
    const int rc = kube_follower_init(
        &f->follower, base, api, f->collection.p, &sink,
        (kube_follower_now_ns() ^ (uintptr_t)f) * UINT64_C(0x9e3779b97f4a7c15), look_at_trouble, f);
    if (f->collection.failed || rc) {
        agent_follow_free(f);
        return err_set(err, -ENOMEM, "no memory to follow pods");
    }
    *out = f;
    return 0;
}

void agent_follow_free(struct agent_follow *f)
{
    if (!f)
        return;
    kube_follower_done(&f->follower);
    buf_free(&f->collection);
    agent_names_done(&f->pods);
    free(f);
}

const struct agent_names *agent_follow_names(const struct agent_follow *f)
{
    return &f->pods;
}

const struct kube_reflector *agent_follow_reflector(const struct agent_follow *f)
{
    return &f->follower.reflector;
}
