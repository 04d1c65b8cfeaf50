/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/draw/draw.h"

#include <errno.h>

#include "base/buf.h"

const char *const draw_names[DRAW_FORMATS] = {"text", "json", "dot", "mermaid", "svg"};
const char *const draw_types[DRAW_FORMATS] = {"text/plain; charset=utf-8", "application/json",
                                              "text/vnd.graphviz; charset=utf-8",
                                              "text/vnd.mermaid; charset=utf-8", "image/svg+xml"};

enum draw_format draw_format_of(struct str name)
{
    int i = 0;

    while (i < DRAW_FORMATS && !str_is(name, draw_names[i]))
        i++;
    return (enum draw_format)i;
}

int draw(struct buf *out, const struct lock_view *v, enum draw_format format)
{
    static void (*const writers[])(struct buf *, const struct lock_view *) = {
        [DRAW_TEXT] = draw_text,
        [DRAW_JSON] = draw_json,
        [DRAW_DOT] = draw_dot,
        [DRAW_MERMAID] = draw_mermaid,
    };

    if (format == DRAW_SVG)
        return draw_svg(out, v);
    writers[format](out, v);
    return out->failed ? -ENOMEM : 0;
}

void draw_cycle(struct buf *out, const struct lock_view *v, const struct lock_view_cycle *c,
                const char *arrow)
{
    for (uint32_t i = 0; i < c->n; i++) {
        buf_str(out, v->classes[c->classes[i]].name);
        buf_text(out, arrow);
    }
    buf_str(out, v->classes[c->classes[0]].name);
}

void draw_duration(struct buf *out, uint64_t ns)
{
    const unsigned long long ms = ns / 1000000;

    if (ms < 1000)
        buf_printf(out, "%llu ms", ms);
    else if (ms < 120 * 1000)
        buf_printf(out, "%llu.%llu s", ms / 1000, ms % 1000 / 100);
    else
        buf_printf(out, "%llu min", ms / 60000);
}
