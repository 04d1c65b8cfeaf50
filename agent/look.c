/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/gpu_ids.h"
#include "agent/names.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/nrt_emit.h"
#include "topology/discover.h"

/* Of either arena, for they change places. Pages that nobody writes to take no memory. */
enum { ROOM_BYTES = 2 * TOPO_DISCOVER_ARENA_BYTES };

int agent_look_init(struct agent_look *l, struct err *err)
{
    *l = (struct agent_look){.rooms = {malloc(ROOM_BYTES), malloc(ROOM_BYTES)}};
    if (!l->rooms[0] || !l->rooms[1]) {
        agent_look_done(l);
        return err_set(err, -ENOMEM, "no memory for what a machine has");
    }
    arena_init(&l->lasting, l->rooms[0], ROOM_BYTES);
    arena_init(&l->fresh, l->rooms[1], ROOM_BYTES);
    return 0;
}

void agent_look_done(struct agent_look *l)
{
    agent_sick_done(&l->sick);
    free(l->rooms[0]);
    free(l->rooms[1]);
    *l = (struct agent_look){.n_holdings = 0};
}

static void forget(struct agent_look *l)
{
    l->facts = (struct agent_facts){.n_attributes = 0};
    l->holdings = NULL;
    l->n_holdings = 0;
    l->n_gpus = 0;
    l->unnamed = 0;
    l->observed_us = 0;
    arena_rewind(&l->fresh, 0);
}

/* Of a recorded machine there is no driver but in a copy of its files. */
static void find_gpus(struct agent_look *l, const struct topo_source *source)
{
    const bool copied = source->kind == TOPO_SOURCE_FSROOT;

    l->gpu_dir[0] = '\0';
    if (copied || source->kind == TOPO_SOURCE_HERE)
        (void)snprintf(l->gpu_dir, sizeof(l->gpu_dir), "%s%s", copied ? source->text : "",
                       AGENT_GPU_DIR);
}

int agent_look_discover(struct agent_look *l, const struct topo_source *source, struct err *err)
{
    struct topo_machine machine;

    /* Into the other arena first: what is there now is to stay if this fails. */
    forget(l);
    const int rc = topo_discover(&machine, source, &l->fresh, err);
    if (rc)
        return rc;
    const struct arena old = l->lasting;
    void *const room = l->rooms[0];
    l->lasting = l->fresh;
    l->fresh = old;
    l->rooms[0] = l->rooms[1];
    l->rooms[1] = room;
    arena_rewind(&l->fresh, 0);
    l->machine = machine;
    agent_sick_forget(&l->sick);
    find_gpus(l, source);
    return 0;
}

/* --- devices --- */

static int add_sick(struct agent_look *l)
{
    struct agent_facts *const f = &l->facts;

    return f->has_devices ? agent_sick_join(&l->sick, &f->devices, &f->n_devices, &l->fresh) : 0;
}

/* --- names --- */

static int name_holdings(struct agent_look *l, const struct agent_names *pods)
{
    const struct agent_facts *const f = &l->facts;
    struct kube_nrt_holding *const named = arena_array(&l->fresh, f->n_holdings, sizeof(*named));
    uint32_t unnamed = 0;

    if (!named)
        return -ENOMEM;
    for (uint32_t i = 0; i < f->n_holdings; i++) {
        const struct kube_nrt_holding *const h = &f->holdings[i];
        const struct agent_name *const pod = agent_names_find(pods, h->uid, h->ns, h->pod);

        named[i] = *h;
        unnamed +=
            !pod && h->pod.n == 0; /* published by its uid: readers give back what it holds */
        if (pod && (str_copy(&named[i].ns, pod->ns, &l->fresh) ||
                    str_copy(&named[i].pod, pod->name, &l->fresh) ||
                    str_copy(&named[i].uid, pod->uid, &l->fresh)))
            return -ENOMEM;
    }
    l->holdings = named;
    l->n_holdings = f->n_holdings;
    l->unnamed = unnamed;
    return 0;
}

int agent_look_read(struct agent_look *l, const struct agent_paths *paths,
                    const struct agent_names *pods, int64_t now_us, struct err *err)
{
    forget(l);
    int rc = agent_read(&l->facts, paths, &l->machine, &l->fresh, err);
    if (rc == 0 && ((rc = add_sick(l)) || (rc = name_holdings(l, pods)) ||
                    (rc = agent_gpu_ids(&l->gpus, &l->n_gpus, l->gpu_dir, l->facts.devices,
                                        l->facts.n_devices, &l->fresh))))
        (void)err_set(err, rc, "more containers and devices than there is room for");
    if (rc)
        forget(l);
    else
        l->observed_us = now_us;
    return rc;
}

/* --- what is published --- */

void agent_look_emit(struct buf *out, const struct agent_look *l, const struct agent_label *label)
{
    const struct agent_facts *const f = &l->facts;
    const bool placed = f->has_holdings && (l->unnamed == 0 || label->all_pods);
    const struct kube_nrt_publication p = {
        .machine = &l->machine,
        .node = label->node,
        .owner_uid = label->owner_uid,
        .attributes = f->attributes,
        .n_attributes = f->n_attributes,
        .reserved = f->reserved,
        .devices = f->devices,
        .n_devices = f->n_devices,
        .has_devices = f->has_devices,
        .holdings = l->holdings, /* what they hold is not available, whoever they are */
        .n_holdings = l->n_holdings,
        .has_placements = placed,
        .use = f->zones,
        .pci_names = l->gpus,
        .n_pci_names = l->n_gpus,
        .observed_us = label->generation ? l->observed_us : 0,
        .generation = label->generation,
    };

    if (label->json)
        kube_nrt_emit_json(out, &p);
    else
        kube_nrt_emit(out, &p);
}
