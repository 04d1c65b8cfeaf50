/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

#include "base/buf.h"

/* 0..63; -1 for a byte that stands for nothing. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, the last `pads` of which are '='. False: bits are set that no byte has. */
static bool add_group(struct buf *out, uint32_t bits, unsigned pads)
{
    const char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};

    if (pads && bits & (pads == 1 ? 0xff : 0xffff))
        return false;
    buf_add(out, bytes, 3 - pads);
    return true;
}

int base64_decode(struct buf *out, struct str text)
{
    const size_t before = out->n;
    uint32_t bits = 0;
    unsigned n = 0, pads = 0;
    bool good = true, ended = false;

    for (size_t i = 0; good && i < text.n; i++) {
        const char c = text.p[i];
        const int v = value_of(c);

        if (c == '\n' || c == '\r')
            continue;
        good = !ended && (v >= 0 ? pads == 0 : c == '=' && n >= 2);
        pads += v < 0;
        bits = bits << 6 | (v < 0 ? 0 : (uint32_t)v);
        if (good && ++n == 4) {
            good = add_group(out, bits, pads);
            ended = pads > 0;
            n = pads = bits = 0;
        }
    }
    if (out->failed)
        return -ENOMEM;
    if (good && n == 0)
        return 0;
    out->n = before;
    return -EINVAL;
}
