/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found about one object: causes to refuse it, and warnings for whoever sends it. Both are
 * bounded; what is too much is counted and said at the end.
 */
#ifndef ADMISSION_FINDINGS_H
#define ADMISSION_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "kube/admission.h"

struct arena;

/*
 * An API server cuts a warning at 256 bytes where all of them have more than 4096, and drops those
 * beyond: 15 of 250 stay whole.
 */
enum { ADM_CAUSES = 32, ADM_WARNINGS = 15, ADM_WARNING_BYTES = 250 };

/* Zero-initialise, with the arena that texts are copied to. */
struct adm_findings {
    struct arena *arena;
    struct kube_cause causes[ADM_CAUSES];
    struct str warnings[ADM_WARNINGS];
    uint32_t n_causes, n_warnings;
    uint32_t more_causes; /* that there was no room for */
    bool failed;          /* the arena is full */
};

/* The object is refused for this field. */
void adm_refuse(struct adm_findings *f, struct str field, const char *why);

/* "numawise: " and the text, cut at ADM_WARNING_BYTES. */
void adm_warn(struct adm_findings *f, const char *fmt, ...) PRINTF(2, 3);

/* The verdict that follows; it borrows from `f` and its arena. 0; -ENOMEM: the arena is full. */
int adm_verdict(struct kube_verdict *out, struct adm_findings *f) MUST_CHECK;

#endif
