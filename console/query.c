/* SPDX-License-Identifier: Apache-2.0 */
#include "console/query.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte of a value; false at a broken percent sign. */
static bool take(struct str *s, char *out)
{
    size_t n = 1;

    *out = s->p[0];
    if (*out == '%') {
        if (s->n < 3 || hex(s->p[1]) < 0 || hex(s->p[2]) < 0)
            return false;
        *out = (char)(hex(s->p[1]) * 16 + hex(s->p[2]));
        n = 3;
    }
    *s = (struct str){s->p + n, s->n - n};
    return true;
}

static int resolve(struct query_pod *pod, struct str value)
{
    while (value.n) {
        if (pod->n == sizeof(pod->text) || !take(&value, &pod->text[pod->n]))
            return -EINVAL;
        pod->n++;
    }
    return 0;
}

int query_read_pod(struct query_pod *out, struct str query)
{
    static const char default_ns[] = "default/";
    const size_t shift = sizeof(default_ns) - 1;
    struct query_pod pod = {.n = 0};

    if (query.n == 0) {
        *out = pod;
        return 0;
    }
    const struct str key = str_cut(&query, '=');
    if (!str_is(key, "pod") || resolve(&pod, query) || pod.n == 0)
        return -EINVAL;
    if (!memchr(pod.text, '/', pod.n)) {
        if (pod.n + shift > sizeof(pod.text))
            return -EINVAL;
        memmove(pod.text + shift, pod.text, pod.n);
        memcpy(pod.text, default_ns, shift);
        pod.n += shift;
    }
    *out = pod;
    return 0;
}
