/* SPDX-License-Identifier: Apache-2.0 */
/* For terminals: a line a class, then what is wrong, in sentences. */
#include <stdio.h>

#include "base/buf.h"
#include "operator/draw/draw.h"

enum { LEVEL = 7, CLASS_MIN = 5, CLASS_MAX = 40, CONTINUED = 8 /* names in a line */ };

/* A name of outside, without control characters that a terminal would act on. */
static void name(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c > 0x7e)
            buf_text(out, "?");
        else
            buf_add(out, &s.p[i], 1);
    }
}

static void head(struct buf *out, const struct lock_view *v)
{
    uint32_t declared = 0, observed = 0;

    for (uint32_t i = 0; i < v->n_edges; i++) {
        declared += v->edges[i].declared;
        observed += v->edges[i].reporters > 0;
    }
    buf_printf(out,
               "namespace %.*s: %u lock classes on %u levels; edges: %u declared, %u observed by "
               "%u reporters\n",
               STR_ARG(v->ns), v->n_classes, v->n_levels, declared, observed, v->n_reporters);
}

static int width_of(const struct lock_view *v)
{
    size_t width = CLASS_MIN;

    for (uint32_t i = 0; i < v->n_classes; i++)
        width = v->classes[i].name.n > width ? v->classes[i].name.n : width;
    return width < CLASS_MAX ? (int)width : CLASS_MAX;
}

/* "log.buf", "log.buf (violation)", "log.buf (cycle)" */
static void put_target(struct buf *out, const struct lock_view *v, const struct lock_view_edge *e)
{
    name(out, v->classes[e->to].name);
    if (e->violation)
        buf_text(out, " (violation)");
    else if (!e->basis)
        buf_text(out, " (cycle)");
}

static void put_class(struct buf *out, const struct lock_view *v, uint32_t i, uint32_t first,
                      uint32_t end, int width)
{
    const struct lock_view_class *const c = &v->classes[i];
    const size_t at = out->n;

    buf_printf(out, "%-*u", LEVEL, c->level);
    name(out, c->name);
    for (uint32_t k = first; k < end; k++) {
        const size_t column = out->n - at;

        if (k == first)
            buf_printf(out, "%*s",
                       column < (size_t)(LEVEL + width) ? LEVEL + width - (int)column + 2 : 2, "");
        else if ((k - first) % CONTINUED == 0)
            buf_printf(out, ",\n%*s", LEVEL + width + 2, "");
        else
            buf_text(out, ", ");
        put_target(out, v, &v->edges[k]);
    }
    buf_text(out, "\n");
}

/* Classes by level, then name; their edges lie together. */
static void put_classes(struct buf *out, const struct lock_view *v)
{
    const int width = width_of(v);

    if (v->n_classes)
        buf_printf(out, "\n%-*s%-*s  THEN\n", LEVEL, "LEVEL", width, "CLASS");
    for (uint32_t level = 0; level < v->n_levels; level++) {
        uint32_t edge = 0;

        for (uint32_t i = 0; i < v->n_classes; i++) {
            uint32_t end = edge;

            while (end < v->n_edges && v->edges[end].from == i)
                end++;
            if (v->classes[i].level == level)
                put_class(out, v, i, edge, end, width);
            edge = end;
        }
    }
}

static void put_violations(struct buf *out, const struct lock_view *v)
{
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        if (!e->violation)
            continue;
        buf_text(out, "violation: ");
        name(out, v->classes[e->to].name);
        buf_text(out, " was acquired while ");
        name(out, v->classes[e->from].name);
        buf_printf(out, " was held, %llu time%s by %u reporter%s, against the declared order\n",
                   (unsigned long long)e->count, e->count == 1 ? "" : "s", e->reporters,
                   e->reporters == 1 ? "" : "s");
    }
}

static void put_cycles(struct buf *out, const struct lock_view *v)
{
    for (uint32_t i = 0; i < v->n_cycles; i++) {
        struct buf line = {0};

        draw_cycle(&line, v, &v->cycles[i], " -> ");
        buf_text(out,
                 v->cycles[i].declared ? "policies contradict each other: " : "potential cycle: ");
        name(out, buf_view(&line));
        buf_text(out, "\n");
        out->failed = out->failed || line.failed;
        buf_free(&line);
    }
}

static void put_lock(struct buf *out, struct str class_name, struct str instance)
{
    name(out, class_name);
    buf_text(out, "/");
    name(out, instance);
}

static void put_thread(struct buf *out, const struct lock_view_party *p)
{
    name(out, p->pod);
    buf_text(out, " thread ");
    name(out, p->thread);
}

/* As databases say it: who waits for what, held by whom, once round. */
static void put_deadlocks(struct buf *out, const struct lock_view *v)
{
    for (uint32_t i = 0; i < v->n_deadlocks; i++) {
        const struct lock_view_deadlock *const d = &v->deadlocks[i];

        buf_printf(out, "deadlock, %s, for ", d->confirmed ? "confirmed" : "seen once");
        draw_duration(out, d->duration_ns);
        buf_text(out, ":\n");
        for (uint32_t k = 0; k < d->n; k++) {
            buf_text(out, "  ");
            put_thread(out, &d->parties[k]);
            buf_text(out, " waits for ");
            put_lock(out, d->parties[k].waits, d->parties[k].waits_instance);
            buf_text(out, ", held by ");
            put_thread(out, &d->parties[(k + 1) % d->n]);
            buf_text(out, "\n");
        }
    }
}

void draw_text(struct buf *out, const struct lock_view *v)
{
    head(out, v);
    put_classes(out, v);
    if (v->n_violations || v->n_cycles || v->n_deadlocks)
        buf_text(out, "\n");
    put_violations(out, v);
    put_cycles(out, v);
    put_deadlocks(out, v);
    if (v->more)
        buf_text(out, "There are more cycles than were looked for.\n");
}
