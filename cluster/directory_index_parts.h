/* SPDX-License-Identifier: Apache-2.0 */
/* What directory_index.c and directory_read.c need of each other. */
#ifndef CLUSTER_DIRECTORY_INDEX_PARTS_H
#define CLUSTER_DIRECTORY_INDEX_PARTS_H

#include <stdbool.h>

#include "cluster/directory_index.h"

/* Read the file again, deliver what counts of it, mark the objects it has and had. */
void index_read(struct index *x, struct index_file *f);

/* The object with the type, ns and name of `like`, made where there is none. NULL: no memory. */
struct index_object *index_object(struct index *x, const struct index_object *like);
void index_touch_object(struct index *x, struct index_object *o);

/* Whether the entry, linked or not, comes before those of all other files. */
bool index_wins(const struct index_entry *e);
void index_link(struct index_entry *e);
void index_unlink(struct index_entry *e);

/* The object is no more: say so to the sink where it had it. */
void index_withdraw(struct index *x, struct index_object *o);

/* "ROOT/PATH" + place + ": text". */
void index_tell_at(struct index *x, const struct index_file *f, const char *place,
                   const char *text);

#endif
