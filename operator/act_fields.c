/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/act_fields.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

void act_put_time(struct emit *e, const char *key, int64_t us)
{
    if (us)
        emit_key(e, key), emit_time(e, us);
}

bool act_read_time(struct scan *s, const char *key, int64_t *out)
{
    struct str word;

    if (!scan_at(s, key))
        return false;
    if (scan_word(s, &word) && clock_parse_rfc3339(word, out))
        *out = 0;
    return true;
}

void act_read_text(struct scan *s, const struct act_text *texts, size_t n)
{
    struct str word;

    for (size_t i = 0; i < n; i++) {
        if (scan_at(s, texts[i].key) && scan_word(s, &word))
            (void)snprintf(texts[i].to, texts[i].room, "%.*s", STR_ARG(word));
    }
}

int act_read_word(struct scan *s, const char *const *words, int n, int other)
{
    struct str word;

    if (!scan_word(s, &word))
        return other;
    for (int i = 1; i < n; i++) {
        if (str_is(word, words[i]))
            return i;
    }
    return other;
}

bool act_read(struct str status, void (*read)(struct scan *s, void *record), void *record)
{
    bool found = false;
    struct scan s;
    struct err err;

    /* Most statuses have none; it is not worth a walk through them. */
    if (status.n == 0 || !memmem(status.p, status.n, "\"act\"", 5))
        return false;
    scan_init(&s, status, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "act") || scan_kind(&s) != SCAN_OBJECT || !scan_object(&s))
                continue;
            found = true;
            while (scan_key(&s))
                read(&s, record);
        }
    }
    return scan_end(&s, &err) == 0 && found;
}
