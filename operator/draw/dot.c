/* SPDX-License-Identifier: Apache-2.0 */
/* For Graphviz: a row a level, violations red, cycles thick. */
#include "base/buf.h"
#include "operator/draw/draw.h"

/* In quotes. Graphviz reads a backslash before other letters as an escape of its own. */
static void quoted(struct buf *out, struct str s)
{
    buf_text(out, "\"");
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            buf_text(out, "\\");
        if (c < 0x20 || c > 0x7e)
            buf_text(out, "?");
        else
            buf_add(out, &s.p[i], 1);
    }
    buf_text(out, "\"");
}

static void put_class(struct buf *out, const struct lock_view_class *c)
{
    buf_text(out, "    ");
    quoted(out, c->name);
    if (!c->declared)
        buf_text(out, " [style=\"rounded,dashed\"]");
    buf_text(out, ";\n");
}

static void put_levels(struct buf *out, const struct lock_view *v)
{
    for (uint32_t level = 0; level < v->n_levels; level++) {
        buf_printf(out, "  subgraph level_%u {\n    rank=same;\n    \"\\n%u\";\n", level, level);
        for (uint32_t i = 0; i < v->n_classes; i++) {
            if (v->classes[i].level == level)
                put_class(out, &v->classes[i]);
        }
        buf_text(out, "  }\n");
    }
}

/*
 * The levels' own names in a column, which keeps the rows in order. No class has their ids, as a
 * class's backslashes are doubled.
 */
static void put_ruler(struct buf *out, const struct lock_view *v)
{
    if (v->n_levels == 0)
        return;
    buf_text(out, "  {\n    node [shape=plaintext, fontcolor=\"#57606a\"];\n"
                  "    edge [style=invis];\n");
    for (uint32_t level = 0; level < v->n_levels; level++)
        buf_printf(out, "    \"\\n%u\" [label=\"level %u\"];\n", level, level);
    for (uint32_t level = 1; level < v->n_levels; level++)
        buf_printf(out, "    \"\\n%u\" -> \"\\n%u\";\n", level - 1, level);
    buf_text(out, "  }\n");
}

static void put_edge(struct buf *out, const struct lock_view *v, const struct lock_view_edge *e)
{
    buf_text(out, "  ");
    quoted(out, v->classes[e->from].name);
    buf_text(out, " -> ");
    quoted(out, v->classes[e->to].name);
    buf_printf(out, " [style=%s", e->declared ? "solid" : "dashed");
    if (e->cyclic)
        buf_text(out, ", penwidth=3");
    if (e->violation)
        buf_text(out, ", color=\"#cf222e\", fontcolor=\"#cf222e\"");
    if (!e->basis)
        buf_text(out, ", constraint=false");
    if (e->count)
        buf_printf(out, ", label=\"%llu\"", (unsigned long long)e->count);
    buf_text(out, "];\n");
}

void draw_dot(struct buf *out, const struct lock_view *v)
{
    buf_text(out, "digraph ");
    quoted(out, v->ns);
    buf_text(out, " {\n  rankdir=TB;\n"
                  "  node [shape=box, style=rounded, fontname=\"monospace\", fontsize=11];\n"
                  "  edge [color=\"#57606a\", fontname=\"sans-serif\", fontsize=9];\n");
    put_ruler(out, v);
    put_levels(out, v);
    for (uint32_t i = 0; i < v->n_edges; i++)
        put_edge(out, v, &v->edges[i]);
    buf_text(out, "}\n");
}
