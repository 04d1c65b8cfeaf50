/* SPDX-License-Identifier: Apache-2.0 */
/* Objects told to a sink by hand. */
#ifndef TESTS_SUPPORT_DELIVER_H
#define TESTS_SUPPORT_DELIVER_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cluster/source.h"
#include "tests/support/test.h"

/*
 * `delta` with `text` as its object: JSON with ' for " and ` for \". It stands in memory that is
 * gone afterwards: nothing may be kept of it. What the sink returns; `err` may be NULL.
 */
static inline int deliver_delta(const struct source_sink *sink, struct source_delta delta,
                                const char *text, struct err *err)
{
    char *const json = calloc(1, 2 * strlen(text) + 64); /* and what the scanner may look at */
    size_t n = 0;

    assert_non_null(json);
    for (; *text; text++) {
        if (*text == '`')
            json[n++] = '\\';
        json[n++] = (char)(*text == '\'' || *text == '`' ? '"' : *text);
    }
    delta.json = (struct str){json, n};
    const int rc = sink->delta(sink->ctx, &delta, err);
    free(json);
    return rc;
}

/* It is as `text` says, or gone where that is "". */
static inline void deliver(const struct source_sink *sink, enum source_kind kind, const char *type,
                           const char *ns, const char *name, const char *text)
{
    const struct source_delta delta = {.verb = *text ? SOURCE_UPSERT : SOURCE_DELETE,
                                       .kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name)};
    struct err err = {0};

    if (deliver_delta(sink, delta, text, &err))
        fail_msg("%s %s: %s", type, name, err.text);
}

#endif
