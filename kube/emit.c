/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/emit.h"

#include <assert.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "kube/scan_bytes.h"

void emit_init(struct emit *e, struct buf *out, bool pretty)
{
    *e = (struct emit){.out = out, .pretty = pretty};
}

bool emit_is_done(const struct emit *e)
{
    return e->depth == 0 && (e->filled & 1);
}

/* The bit of the innermost level; level 0 is the root, which holds one value. */
static uint64_t level(const struct emit *e)
{
    return UINT64_C(1) << e->depth;
}

static void new_line(struct emit *e)
{
    if (!e->pretty)
        return;
    buf_add(e->out, "\n", 1);
    for (uint32_t i = 0; i < e->depth; i++)
        buf_add(e->out, "  ", 2);
}

/* What separates an entry from the one before it. */
static void separate(struct emit *e)
{
    if (e->filled & level(e))
        buf_add(e->out, ",", 1);
    e->filled |= level(e);
    new_line(e);
}

static void before_value(struct emit *e)
{
    if (e->after_key) {
        e->after_key = false;
        return;
    }
    if (e->depth > 0) {
        assert(!(e->objects & level(e)));
        separate(e);
    } else {
        assert(!e->filled);
        e->filled = 1;
    }
}

static void open(struct emit *e, bool object)
{
    before_value(e);
    assert(e->depth + 1 < EMIT_MAX_DEPTH);
    e->depth++;
    e->filled &= ~level(e);
    e->objects = object ? e->objects | level(e) : e->objects & ~level(e);
    buf_add(e->out, object ? "{" : "[", 1);
}

void emit_object(struct emit *e)
{
    open(e, true);
}

void emit_array(struct emit *e)
{
    open(e, false);
}

void emit_end(struct emit *e)
{
    assert(e->depth > 0 && !e->after_key);
    const bool object = e->objects & level(e), filled = e->filled & level(e);

    e->depth--;
    if (filled)
        new_line(e);
    buf_add(e->out, object ? "}" : "]", 1);
}

static void escape(struct buf *out, unsigned char c)
{
    static const char short_form[] = "btn?fr"; /* 8 to 13; 11 has none */

    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        buf_printf(out, "\\%c", short_form[c - 8]);
    else
        buf_printf(out, "\\u%04x", c);
}

static void quote(struct buf *out, struct str s)
{
    const char *p = s.p, *const end = s.n ? s.p + s.n : s.p;

    buf_add(out, "\"", 1);
    while (p < end) {
        const char *const odd = scan_plain_scalar(p, end);

        buf_add(out, p, (size_t)(odd - p));
        p = odd;
        if (p == end)
            break;
        const unsigned char c = (unsigned char)*p;
        const size_t n = c < 0x80 ? 1 : scan_utf8_bytes(p, end);
        if (c < 0x80)
            escape(out, c);
        else if (n > 0)
            buf_add(out, p, n);
        else
            buf_text(out, "\xef\xbf\xbd");
        p += n ? n : 1;
    }
    buf_add(out, "\"", 1);
}

void emit_key_str(struct emit *e, struct str key)
{
    assert(e->depth > 0 && (e->objects & level(e)) && !e->after_key);
    separate(e);
    quote(e->out, key);
    buf_text(e->out, e->pretty ? ": " : ":");
    e->after_key = true;
}

void emit_key(struct emit *e, const char *key)
{
    emit_key_str(e, str_of(key));
}

void emit_text(struct emit *e, struct str text)
{
    before_value(e);
    quote(e->out, text);
}

void emit_words(struct emit *e, const char *text)
{
    emit_text(e, str_of(text));
}

void emit_time(struct emit *e, int64_t us)
{
    char text[32];

    clock_format_rfc3339(text, us);
    emit_words(e, text);
}

void emit_int(struct emit *e, int64_t v)
{
    before_value(e);
    buf_printf(e->out, "%" PRId64, v);
}

void emit_uint(struct emit *e, uint64_t v)
{
    before_value(e);
    buf_printf(e->out, "%" PRIu64, v);
}

void emit_bool(struct emit *e, bool v)
{
    before_value(e);
    buf_text(e->out, v ? "true" : "false");
}

void emit_null(struct emit *e)
{
    before_value(e);
    buf_text(e->out, "null");
}

void emit_raw(struct emit *e, struct str json)
{
    before_value(e);
    buf_str(e->out, json);
}
