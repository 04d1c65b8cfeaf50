/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/room.h"

#include "base/buf.h"
#include "kube/emit.h"
#include "scoring/demand.h"
#include "scoring/fragmentation.h"

enum { MIB_A_STEP = DEMAND_MEMORY_BYTES >> 20, SAID = 4 /* kinds in a line */ };

static uint32_t amount_of(const struct demand_kind *k, uint32_t column)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->wants[i].column == column)
            return k->wants[i].amount;
    }
    return 0;
}

static void kind_json(struct emit *e, const struct score_demand *d, const struct demand_kind *k,
                      const struct frag_slots *s)
{
    emit_object(e);
    emit_key(e, "weight"), emit_uint(e, k->weight);
    emit_key(e, "cpus"), emit_uint(e, amount_of(k, DEMAND_CPUS));
    emit_key(e, "memoryMiB"), emit_uint(e, amount_of(k, DEMAND_MEMORY) * MIB_A_STEP);
    emit_key(e, "devices"), emit_object(e);
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->wants[i].column >= DEMAND_DEVICES)
            emit_key_str(e, demand_resource(d, k->wants[i].column - DEMAND_DEVICES)),
                emit_uint(e, k->wants[i].amount);
    }
    emit_end(e);
    emit_key(e, "alone"), emit_bool(e, k->alone);
    emit_key(e, "zones"), emit_uint(e, s->zones);
    emit_key(e, "before"), emit_uint(e, s->before);
    emit_key(e, "after"), emit_uint(e, s->after);
    emit_key(e, "whole"), emit_uint(e, s->whole);
    emit_end(e);
}

void room_json(struct emit *e, const struct frag_tale *tale, const struct score_demand *demand)
{
    emit_object(e);
    emit_key(e, "filled"), emit_uint(e, tale->answer.filled);
    emit_key(e, "kept"), emit_uint(e, tale->answer.kept);
    emit_key(e, "room"), emit_array(e);
    for (uint32_t i = 0; demand && i < demand->n; i++) {
        if (tale->slots[i].zones)
            kind_json(e, demand, &demand->kinds[i], &tale->slots[i]);
    }
    emit_end(e);
    emit_end(e);
}

/* "30 cpus, 32Gi, 2 nvidia.com/gpu, alone" */
static void say_kind(struct buf *out, const struct score_demand *d, const struct demand_kind *k)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct demand_want *const w = &k->wants[i];
        const uint32_t mib = w->amount * MIB_A_STEP;

        buf_text(out, i ? ", " : "");
        if (w->column == DEMAND_CPUS)
            buf_printf(out, "%u cpu%s", w->amount, w->amount == 1 ? "" : "s");
        else if (w->column == DEMAND_MEMORY)
            buf_printf(out, "%u%s", mib % 1024 ? mib : mib / 1024, mib % 1024 ? "Mi" : "Gi");
        else
            buf_printf(out, "%u %.*s", w->amount,
                       STR_ARG(demand_resource(d, w->column - DEMAND_DEVICES)));
    }
    buf_text(out, k->alone ? ", alone" : "");
}

void room_text(struct buf *out, const struct frag_tale *tale, const struct score_demand *demand)
{
    uint32_t n = 0;

    buf_printf(out, "fragmentation: filled %u, kept %u", tale->answer.filled, tale->answer.kept);
    for (uint32_t i = 0; demand && i < demand->n; i++) {
        const struct frag_slots *const s = &tale->slots[i];

        if (s->before <= s->after || n++ >= SAID)
            continue;
        buf_text(out, "; room for ");
        say_kind(out, demand, &demand->kinds[i]);
        if (s->zones > 1)
            buf_printf(out, " over %u zones", s->zones);
        buf_printf(out, ": %u > %u", s->before, s->after);
    }
    if (n > SAID)
        buf_printf(out, "; less for %u more", n - SAID);
}
