/* SPDX-License-Identifier: Apache-2.0 */
/* The merge key of YAML 1.1 (https://yaml.org/type/merge.html), on JSON text. */
#include <errno.h>
#include <stdlib.h>

#include "kube/yaml_internal.h"

/* A member of a source, in the order of the sources. */
struct member {
    struct str key, value;
    size_t order;
    bool drop;
};

struct members {
    struct member *at; /* [n] */
    size_t n, room;
};

static void members_free(struct members *m)
{
    free(m->at);
}

static int add_member(struct members *m, struct str key, struct str value)
{
    if (m->n == m->room) {
        const size_t room = m->room ? m->room * 2 : 16;
        void *const p = realloc(m->at, room * sizeof(*m->at));

        if (!p)
            return -ENOMEM;
        m->at = p;
        m->room = room;
    }
    m->at[m->n] = (struct member){key, value, m->n, false};
    m->n++;
    return 0;
}

static int by_key(const void *x, const void *y)
{
    const struct member *const a = x, *const b = y;
    const int c = str_cmp(a->key, b->key);

    return c ? c : (a->order > b->order) - (a->order < b->order);
}

static int by_order(const void *x, const void *y)
{
    const struct member *const a = x, *const b = y;

    return (a->order > b->order) - (a->order < b->order);
}

/* `source` is a mapping, or a list of sources: one level for `<<: [*a, *b]`, one of our own. */
static int collect(struct yaml_builder *b, struct members *m, struct str source, int lists)
{
    struct str key = {0}, value;

    if (source.p[0] != '{' && (source.p[0] != '[' || lists == 0))
        return err_set(&b->err, -EINVAL, "<< takes a mapping or a list of mappings");
    for (size_t at = 0; kube_json_step(source, &at, &key, &value);) {
        const int rc =
            source.p[0] == '{' ? add_member(m, key, value) : collect(b, m, value, lists - 1);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Both are sorted by the same order, so one walk finds what the mapping has itself. */
static void drop_known(const struct yaml_builder *b, size_t base, struct members *m)
{
    size_t own = base;

    for (size_t i = 0; i < m->n; i++) {
        struct member *const it = &m->at[i];
        int c = 1;

        while (own < b->n_keys) {
            const struct yaml_key *const k = &b->keys[own];

            c = str_cmp((struct str){b->out->p + k->offset, k->n}, it->key);
            if (c >= 0)
                break;
            own++;
        }
        it->drop = (own < b->n_keys && c == 0) || (i > 0 && str_eq(m->at[i - 1].key, it->key));
    }
}

int yaml_merge(struct yaml_builder *b, struct str source, size_t base)
{
    CLEANUP(members_free) struct members m = {0};
    const int rc = collect(b, &m, source, 2);
    bool first = b->n_keys == base;

    if (rc < 0 || m.n == 0)
        return rc;
    qsort(m.at, m.n, sizeof(*m.at), by_key);
    drop_known(b, base, &m);
    qsort(m.at, m.n, sizeof(*m.at), by_order);
    for (size_t i = 0; i < m.n; i++) {
        if (m.at[i].drop)
            continue;
        buf_text(b->out, first ? "" : ",");
        buf_str(b->out, m.at[i].key);
        buf_text(b->out, ":");
        buf_str(b->out, m.at[i].value);
        first = false;
    }
    return b->out->failed ? -ENOMEM : 0;
}
