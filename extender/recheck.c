/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/recheck.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "decide/report.h"
#include "decide/spread.h"
#include "kube/emit.h"

static bool has_zone(uint64_t zones, uint32_t z)
{
    return zones >> z & 1;
}

static void write_zones(struct buf *out, const struct node_view *v, const struct score_pod *pod,
                        const struct score_detail *detail)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    for (uint32_t i = 0; detail->containers && i < pod->n_containers; i++) {
        const uint64_t zones = spread_zones(v, &detail->containers[i]);

        if (!zones)
            continue;
        emit_key_str(&e, pod->containers[i].name), emit_array(&e);
        for (uint32_t z = 0; z < v->machine.n_zones; z++)
            if (has_zone(zones, z))
                emit_uint(&e, v->machine.zones[z].id);
        emit_end(&e);
    }
    emit_end(&e);
}

/* NULL: it could not be written for lack of memory. */
static int keep_zones(struct recheck *out, const struct node_view *v, const struct score_pod *pod,
                      const struct score_detail *detail, struct arena *a)
{
    CLEANUP(buf_free) struct buf text = {0};

    write_zones(&text, v, pod, detail);
    if (text.failed)
        return -ENOMEM;
    return text.n > 2 ? str_copy(&out->zones, buf_view(&text), a) : 0;
}

static int detail(struct recheck *out, const struct report *report, struct arena *a)
{
    const struct node_view *const v = decide_node(report->decision, 0);
    struct score_detail d;

    const int rc = report_detail(&d, report, 0, a);
    if (rc)
        return rc;
    out->why = d.message;
    return v && out->verdict == SCORE_ADMITTED ? keep_zones(out, v, report->ask->pod, &d, a) : 0;
}

int recheck(struct recheck *out, const struct cluster_snapshot *snapshot,
            const struct score_pod *pod, struct str node, const struct decide_options *options,
            struct arena *a, struct err *err)
{
    const struct decide_ask ask = {.pod = pod, .n = 1, .names = &node};
    struct decision decision;
    struct recheck r = {0};

    int rc = decide_run(&decision, &ask, snapshot, options, a, err);
    if (rc)
        return rc;
    const struct report report = {.ask = &ask, .decision = &decision, .options = options};
    r.verdict = (enum score_verdict)decision.rows[0].verdict;
    r.reason = (enum score_reason)decision.rows[0].reason;
    rc = detail(&r, &report, a);
    if (rc)
        return err_set(err, rc, "no memory to look at %.*s", STR_ARG(node));
    *out = r;
    return 0;
}
