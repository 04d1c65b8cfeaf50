/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut inside a multi-byte character would make the whole message invalid UTF-8. */
static void trim_utf8(char *s, size_t cap)
{
    size_t n = strnlen(s, cap);

    if (n + 1 < cap)
        return;
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    if (n > 0 && (unsigned char)s[n - 1] >= 0xc0)
        n--;
    s[n] = 0;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;

        va_start(ap, fmt);
        err->code = code;
        (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        trim_utf8(err->text, sizeof(err->text));
    }
    return code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        char was[ERR_TEXT_BYTES];
        va_list ap;

        memcpy(was, err->text, sizeof(was));
        va_start(ap, fmt);
        const int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        size_t at = n < 0 ? 0 : (size_t)n < sizeof(err->text) ? (size_t)n : sizeof(err->text) - 1;

        for (const char *s = ": "; *s && at + 1 < sizeof(err->text); s++)
            err->text[at++] = *s;
        for (const char *s = was; *s && at + 1 < sizeof(err->text); s++)
            err->text[at++] = *s;
        err->text[at] = 0;
        trim_utf8(err->text, sizeof(err->text));
        err->code = code;
    }
    return code;
}
