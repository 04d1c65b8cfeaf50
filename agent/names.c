/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names.h"

#include <errno.h>
#include <stdlib.h>

#include "kube/scan.h"

/* On the copy that the API server has of a pod from a file: its uid within the kubelet. */
#define MIRROR "kubernetes.io/config.mirror"

static struct str annotation(struct scan *s)
{
    struct str value = {0};

    if (scan_object(s))
        while (scan_key(s))
            if (scan_at(s, MIRROR))
                (void)scan_string(s, &value); /* hexadecimal: nothing is escaped */
    return value;
}

/* Empty: it is no pod from a file. */
static struct str mirror_of(struct str object)
{
    struct str value = {0};
    struct scan s;

    scan_init(&s, object, 0);
    if (scan_object(&s))
        while (scan_key(&s))
            if (scan_at(&s, "metadata") && scan_object(&s))
                while (scan_key(&s))
                    if (scan_at(&s, "annotations"))
                        value = annotation(&s);
    return scan_end(&s, NULL) ? (struct str){0} : value;
}

static struct str keep(char **at, struct str s)
{
    const struct str kept = {*at, s.n};

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

/* All texts of a pod are one block, which begins with the namespace. */
static int make(struct agent_name *out, const struct agent_name *from)
{
    char *at = malloc(from->ns.n + from->name.n + from->uid.n + from->own.n + 1);

    if (!at)
        return -ENOMEM;
    *out = (struct agent_name){.ns = {at, 0}};
    out->ns = keep(&at, from->ns);
    out->name = keep(&at, from->name);
    out->uid = keep(&at, from->uid);
    out->own = keep(&at, from->own);
    return 0;
}

static void drop_text(struct agent_name *pod)
{
    free((char *)(uintptr_t)pod->ns.p);
}

static struct agent_name *find_name(const struct agent_names *p, struct str ns, struct str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->list[i].name, name) && str_eq(p->list[i].ns, ns))
            return &p->list[i];
    return NULL;
}

static int grow(struct agent_names *p)
{
    const size_t room = p->room ? 2 * p->room : 64;
    struct agent_name *const list = reallocarray(p->list, room, sizeof(*list));

    if (!list)
        return -ENOMEM;
    p->list = list;
    p->room = room;
    return 0;
}

int agent_names_put(struct agent_names *p, struct str ns, struct str name, struct str uid,
                    struct str object)
{
    const struct str mirror = mirror_of(object);
    const struct agent_name new = {ns, name, uid, mirror.n ? mirror : uid, false};
    struct agent_name *old = find_name(p, ns, name), made;

    if (old && str_eq(old->uid, uid) && str_eq(old->own, new.own)) {
        old->marked = false;
        return 0;
    }
    if (!old && p->n == p->room && grow(p))
        return -ENOMEM;
    if (make(&made, &new))
        return -ENOMEM;
    if (old)
        drop_text(old);
    else
        old = &p->list[p->n++];
    *old = made;
    return 1;
}

static void take_out(struct agent_names *p, struct agent_name *pod)
{
    drop_text(pod);
    *pod = p->list[--p->n];
}

void agent_names_remove(struct agent_names *p, struct str ns, struct str name)
{
    struct agent_name *const pod = find_name(p, ns, name);

    if (pod)
        take_out(p, pod);
}

void agent_names_mark(struct agent_names *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->list[i].marked = true;
}

void agent_names_sweep(struct agent_names *p)
{
    for (size_t i = p->n; i-- > 0;)
        if (p->list[i].marked)
            take_out(p, &p->list[i]);
}

const struct agent_name *agent_names_find(const struct agent_names *p, struct str uid,
                                          struct str ns, struct str name)
{
    if (uid.n == 0)
        return find_name(p, ns, name);
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->list[i].own, uid))
            return &p->list[i];
    return NULL;
}

void agent_names_done(struct agent_names *p)
{
    for (size_t i = 0; i < p->n; i++)
        drop_text(&p->list[i]);
    free(p->list);
    *p = (struct agent_names){0};
}
