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

/* Text may hold anything that came from outside: keep one line one line, and JSON valid. */
static size_t escape(char *out, size_t room, const char *s)
{
    size_t n = 0;

    for (; *s && n + 7 < room; s++) {
        const unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, room - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
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
