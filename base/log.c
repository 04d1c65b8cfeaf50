/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static enum log_level log_verbosity = LOG_LEVEL_INFO;
static bool log_json;

void log_setup(enum log_level verbosity, bool json)
{
    log_verbosity = verbosity;
    log_json = json;
}

/* A character of UTF-8 at `s`, which a zero ends: its bytes, and which it is. 0: it is none. */
static size_t read_utf8(const unsigned char *s, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    uint32_t c = n ? s[0] & (0x7fU >> n) : 0;

    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return n;
}

/*
 * What makes a line look like another one: controls, ends of lines and paragraphs, and what turns
 * the direction of text or cannot be seen (Unicode's Bidi_Control and default ignorable ones).
 */
static bool misleads(uint32_t c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/*
 * Text may hold anything that came from outside: keep one line one line, and JSON valid. Characters
 * beyond the first 65536 that mislead become U+FFFD.
 */
static size_t escape(char *out, size_t room, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = 0;

    while (*s && n + 7 < room) {
        uint32_t c = *s;
        const size_t bytes = c < 0x80 ? 1 : read_utf8(s, &c);

        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || bytes == 0 || misleads(c)) {
            n += (size_t)snprintf(out + n, room - n, "\\u%04x",
                                  bytes == 0 || c > 0xffff ? 0xfffdU : c);
        } else {
            memcpy(out + n, s, bytes);
            n += bytes;
        }
        s += bytes ? bytes : 1;
    }
    out[n] = 0;
    return n;
}

bool log_is_on(enum log_level level)
{
    return level <= log_verbosity;
}

static void write_line(enum log_level level, const char *component, uint64_t request,
                       const char *fmt, va_list ap) PRINTF(4, 0);

/* `request` 0 = about none. */
static void PRINTF(4, 0) write_line(enum log_level level, const char *component, uint64_t request,
                                    const char *fmt, va_list ap)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char text[1024], safe[2048], line[2400], now[32], about[40] = "";

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    (void)escape(safe, sizeof(safe), text);
    clock_format_rfc3339(now, clock_realtime_us());
    if (request)
        (void)snprintf(about, sizeof(about), "%s%" PRIu64 "%s",
                       log_json ? ",\"request\":" : "request ", request, log_json ? "" : ": ");
    const int n =
        log_json
            ? snprintf(line, sizeof(line),
                       "{\"ts\":\"%s\",\"level\":\"%s\",\"component\":\"%s\"%s,\"msg\":\"%s\"}\n",
                       now, names[level], component, about, safe)
            : snprintf(line, sizeof(line), "%s %-5s %s: %s%s\n", now, names[level], component,
                       about, safe);
    /* One write, so that lines of several threads never mix; a full pipe loses the line only. */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

void log_line(enum log_level level, const char *component, const char *fmt, ...)
{
    va_list ap;

    if (!log_is_on(level))
        return;
    va_start(ap, fmt);
    write_line(level, component, 0, fmt, ap);
    va_end(ap);
}

void log_request(enum log_level level, const char *component, uint64_t request, const char *fmt,
                 ...)
{
    va_list ap;

    if (!log_is_on(level))
        return;
    va_start(ap, fmt);
    write_line(level, component, request, fmt, ap);
    va_end(ap);
}
