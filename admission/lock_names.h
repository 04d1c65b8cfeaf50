/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which LockPolicies there are, by name: for a warning to whoever names another one. Fed by the
 * source's thread, asked by the listener's.
 */
#ifndef ADMISSION_LOCK_NAMES_H
#define ADMISSION_LOCK_NAMES_H

#include <stdbool.h>

#include "base/attr.h"
#include "cluster/source.h"

struct err;
struct lock_names;

int lock_names_new(struct lock_names **out, struct err *err) MUST_CHECK; /* 0, -ENOMEM */
void lock_names_free(struct lock_names *l);                              /* NULL is fine */

/* A sink that hands on to `next` what it is told, and notes names of LockPolicies. */
struct source_sink lock_names_sink(struct lock_names *l, const struct source_sink *next);

/* Is it certain that there is no LockPolicy of this name? Not before all have been listed. */
bool lock_names_lack(struct lock_names *l, struct str ns, struct str name);

#endif
