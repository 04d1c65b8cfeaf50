/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/config.h"

static int64_t number_of(const struct numawise_config *c, const struct config_setting *s)
{
    const char *const at = (const char *)c + s->offset;

    if (s->type == CONFIG_BOOL)
        return *(const bool *)(const void *)at;
    if (s->type == CONFIG_CHOICE)
        return *(const int *)(const void *)at;
    return *(const int64_t *)(const void *)at;
}

/* In double quotes, with what JSON and YAML both escape alike. */
static void add_quoted(struct buf *out, const char *text)
{
    buf_text(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            buf_printf(out, "\\u%04x", (unsigned char)*text);
        else
            buf_add(out, text, 1);
    }
    buf_text(out, "\"");
}

static void add_number(struct buf *out, const struct config_setting *s, int64_t v)
{
    if (s->type == CONFIG_BOOL)
        buf_text(out, v ? "true" : "false");
    else if (s->type == CONFIG_CHOICE)
        buf_text(out, s->words[v]);
    else if (s->type == CONFIG_BYTES)
        buf_bytes(out, (uint64_t)v);
    else if (s->type == CONFIG_DURATION)
        config_format_duration(out, v);
    else
        buf_printf(out, "%" PRId64, v);
}

static void add_list(struct buf *out, const struct config_list *l)
{
    const char *items[CONFIG_LIST_ITEMS];
    const size_t n = config_list_items(l, items);

    buf_text(out, "[");
    for (size_t i = 0; i < n; i++) {
        buf_text(out, i ? ", " : "");
        add_quoted(out, items[i]);
    }
    buf_text(out, "]");
}

/* NULL: the default. */
static void add_value(struct buf *out, const struct config_setting *s,
                      const struct numawise_config *c)
{
    static const struct config_list none;

    if (s->type == CONFIG_LIST) {
        add_list(out, !c ? &none : (const void *)((const char *)c + s->offset));
    } else if (s->type == CONFIG_TEXT || s->type == CONFIG_ADDRESS) {
        const bool initial = !c;
        const char *const text =
            initial ? s->initial_text : (const char *)c + s->offset; /* struct config_text */

        add_quoted(out, text ? text : "");
    } else {
        add_number(out, s, c ? number_of(c, s) : s->initial);
    }
}

/* How many segments of `path` the path before it has, too. */
static size_t shared_segments(const char *path, const char *before)
{
    size_t n = 0;

    for (; *path && *path == *before; path++, before++)
        n += *path == '.';
    return n;
}

/* The lines of the blocks that begin with this setting, then its own name. */
static void add_names(struct buf *out, const char *path, const char *before)
{
    const size_t shared = shared_segments(path, before);

    for (size_t depth = 0;; depth++) {
        const size_t n = strcspn(path, ".");

        if (depth >= shared)
            buf_printf(out, "%*s%.*s:", (int)depth * 2, "", (int)n, path);
        if (!path[n])
            return;
        if (depth >= shared)
            buf_text(out, "\n");
        path += n + 1;
    }
}

void config_print(struct buf *out, const struct numawise_config *c)
{
    const char *before = "";

    buf_text(out, "apiVersion: " CONFIG_API_VERSION "\nkind: " CONFIG_KIND "\n");
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *const s = &config_settings[i];

        add_names(out, s->path, before);
        buf_text(out, " ");
        add_value(out, s, c);
        buf_text(out, "\n");
        before = s->path;
    }
}

static void add_range(struct buf *out, const struct config_setting *s)
{
    switch (s->type) {
    case CONFIG_BOOL:
        buf_text(out, "`true`, `false`");
        break;
    case CONFIG_CHOICE:
        for (size_t i = 0; s->words[i]; i++)
            buf_printf(out, "%s`%s`", i ? ", " : "", s->words[i]);
        break;
    case CONFIG_TEXT:
        buf_text(out, "text");
        break;
    case CONFIG_ADDRESS:
        buf_text(out, "address and port, `off`");
        break;
    case CONFIG_LIST:
        buf_text(out, "list of texts");
        break;
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        add_number(out, s, s->min);
        buf_text(out, " to ");
        add_number(out, s, s->max);
        break;
    }
}

static void add_row(struct buf *out, const struct config_setting *s)
{
    buf_printf(out, "| `%s` | ", s->path);
    add_range(out, s);
    buf_text(out, " | `");
    add_value(out, s, NULL);
    buf_printf(out, "` | %s | %s |\n", s->reloadable ? "at once" : "restart", s->help);
}

static const char intro[] =
    "# Configuration\n"
    "\n"
    "`numawise serve --config FILE` reads one YAML document:\n"
    "\n"
    "```yaml\n"
    "apiVersion: " CONFIG_API_VERSION "\n"
    "kind: " CONFIG_KIND "\n"
    "extender:\n"
    "  maxScore: 10\n"
    "topology:\n"
    "  maxAge: 5m\n"
    "```\n"
    "\n"
    "Every setting may be left out. Unknown settings, settings given twice and values outside "
    "their\n"
    "range are errors; `numawise check FILE` names each with line and column. A flag wins over "
    "the\n"
    "environment, the environment over the file, the file over the default.\n"
    "\n"
    "Sizes are Kubernetes quantities (`8Mi`, `1000`). Durations are numbers with a unit, as in Go\n"
    "(`500ms`, `5m`, `1h30m`).\n"
    "\n"
    "This page is printed from the table in `base/config_table.c`; a test fails when they differ.\n"
    "\n"
    "| setting | values | default | a change counts | meaning |\n"
    "|---|---|---|---|---|\n";

void config_print_reference(struct buf *out)
{
    buf_text(out, intro);
    for (size_t i = 0; i < config_n_settings; i++)
        add_row(out, &config_settings[i]);
}
