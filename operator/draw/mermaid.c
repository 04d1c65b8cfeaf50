/* SPDX-License-Identifier: Apache-2.0 */
/* For Mermaid, as code hosts and wikis render it. */
#include "base/buf.h"
#include "operator/draw/draw.h"

/* A label in quotes; Mermaid has no escapes in it but the entities of HTML. */
static void label(struct buf *out, struct str s)
{
    buf_text(out, "[\"");
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c > 0x7e)
            buf_text(out, "?");
        else if (c < 0x80 && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
                 !(c >= 'a' && c <= 'z') && c != '.' && c != '-' && c != '_' && c != ' ')
            buf_printf(out, "#%u;", c);
        else
            buf_add(out, &s.p[i], 1);
    }
    buf_text(out, "\"]");
}

static void put_levels(struct buf *out, const struct lock_view *v)
{
    for (uint32_t level = 0; level < v->n_levels; level++) {
        buf_printf(out, "  subgraph level_%u[\"level %u\"]\n    direction LR\n", level, level);
        for (uint32_t i = 0; i < v->n_classes; i++) {
            if (v->classes[i].level != level)
                continue;
            buf_printf(out, "    c%u", i);
            label(out, v->classes[i].name);
            buf_text(out, "\n");
        }
        buf_text(out, "  end\n");
    }
}

/* Mermaid counts links from 0 on; those to be styled are named by number. */
static void put_styles(struct buf *out, const struct lock_view *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        if (e->violation)
            buf_printf(out, "  linkStyle %u stroke:#cf222e,stroke-width:4px\n", i);
        else if (e->cyclic)
            buf_printf(out, "  linkStyle %u stroke-width:4px\n", i);
    }
}

void draw_mermaid(struct buf *out, const struct lock_view *v)
{
    const uint32_t n = v->n_edges < DRAW_MERMAID_EDGES ? v->n_edges : DRAW_MERMAID_EDGES;

    buf_text(out, "graph TD\n");
    put_levels(out, v);
    for (uint32_t i = 0; i < n; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        buf_printf(out, "  c%u %s", e->from, e->declared ? "-->" : "-.->");
        if (e->violation)
            buf_printf(out, "|%llu|", (unsigned long long)e->count);
        buf_printf(out, " c%u\n", e->to);
    }
    put_styles(out, v, n);
    if (n < v->n_edges)
        buf_printf(out, "  more[\"and %u more edges\"]\n", v->n_edges - n);
}
