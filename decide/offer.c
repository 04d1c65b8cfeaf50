/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/offer.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "decide/decide.h"
#include "scoring/fit.h"

static bool some_node_lists(const struct node_view *const *nodes, uint32_t n, struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; nodes[i] && k < nodes[i]->n_fits; k++) {
            if (str_eq(nodes[i]->fits[k].resource, resource))
                return true;
        }
    }
    return false;
}

/* False: there is room. */
static bool find_lack(struct offer_lack *out, const struct node_view *const *nodes,
                      const struct decide_ask *ask, const struct node_view *node)
{
    int64_t needs;
    const struct node_fit *const fit = score_fit(ask->pod, node, &needs);

    if (fit) {
        const int64_t left = fit->allocatable - fit->requested;

        *out = (struct offer_lack){fit->resource, fit->kind, needs, left > 0 ? left : 0,
                                   fit->allocatable};
        return true;
    }
    const struct str missing = node->n_fits ? score_fit_missing(ask->pod, node) : STR("");
    if (missing.n == 0 || !some_node_lists(nodes, ask->n, missing))
        return false;
    *out = (struct offer_lack){missing, POD_EXTENDED, score_requested(ask->pod, missing), 0, 0};
    return true;
}

int offer_rows(const struct offer_lack **out, const struct decide_row *rows,
               const struct node_view *const *nodes, const struct decide_ask *ask, struct arena *a)
{
    for (uint32_t i = 0; i < ask->n; i++) {
        struct offer_lack lack;

        out[i] = NULL;
        if (rows[i].verdict != SCORE_ADMITTED || !nodes[i] ||
            !find_lack(&lack, nodes, ask, nodes[i]))
            continue;
        struct offer_lack *const kept = arena_array(a, 1, sizeof(*kept));
        if (!kept)
            return -ENOMEM;
        *kept = lack;
        out[i] = kept;
    }
    return 0;
}

static void put_amount(struct buf *out, const char *before, enum pod_resource_kind kind,
                       int64_t amount)
{
    const bool thousandths = kind == POD_CPU && amount % 1000 != 0;

    buf_printf(out, "%s%lld%s", before,
               (long long)(kind == POD_CPU && !thousandths ? amount / 1000 : amount),
               thousandths ? "m" : "");
}

void offer_text(struct buf *out, const struct offer_lack *lack)
{
    buf_str(out, lack->resource);
    put_amount(out, " needs ", lack->kind, lack->needs);
    put_amount(out, ", free ", lack->kind, lack->free);
    put_amount(out, " of ", lack->kind, lack->of);
}
