/* SPDX-License-Identifier: Apache-2.0 */
#include "admission/findings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

void adm_refuse(struct adm_findings *f, struct str field, const char *why)
{
    struct kube_cause cause;

    if (f->n_causes == ADM_CAUSES) {
        f->more_causes++;
        return;
    }
    if (str_copy(&cause.field, field, f->arena) || str_copy(&cause.message, str_of(why), f->arena))
        f->failed = true;
    else
        f->causes[f->n_causes++] = cause;
}

void adm_warn(struct adm_findings *f, const char *fmt, ...)
{
    static const char prefix[] = "numawise: ", cut[] = "...";
    char text[ADM_WARNING_BYTES + 1];
    const size_t skip = sizeof(prefix) - 1, room = sizeof(text) - skip;
    va_list args;

    if (f->n_warnings == ADM_WARNINGS)
        return;
    memcpy(text, prefix, skip);
    va_start(args, fmt);
    const int n = vsnprintf(text + skip, room, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n >= room)
        memcpy(text + ADM_WARNING_BYTES - (sizeof(cut) - 1), cut, sizeof(cut));
    if (str_copy(&f->warnings[f->n_warnings], str_of(text), f->arena))
        f->failed = true;
    else
        f->n_warnings++;
}

/* All causes in a sentence: what a client shows that knows nothing of details. */
static int put_message(struct str *out, const struct adm_findings *f)
{
    CLEANUP(buf_free) struct buf text = {0};

    for (uint32_t i = 0; i < f->n_causes; i++)
        buf_printf(&text, "%s%.*s: %.*s", i ? "; " : "", STR_ARG(f->causes[i].field),
                   STR_ARG(f->causes[i].message));
    if (f->more_causes)
        buf_printf(&text, "; and %u more", f->more_causes);
    return text.failed ? -ENOMEM : str_copy(out, buf_view(&text), f->arena);
}

int adm_verdict(struct kube_verdict *out, struct adm_findings *f)
{
    struct kube_verdict v = {.allowed = f->n_causes == 0,
                             .code = 422,
                             .reason = "Invalid",
                             .causes = f->causes,
                             .n_causes = f->n_causes,
                             .warnings = f->warnings,
                             .n_warnings = f->n_warnings};

    if (f->failed || (!v.allowed && put_message(&v.message, f)))
        return -ENOMEM;
    *out = v;
    return 0;
}
