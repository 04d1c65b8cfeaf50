/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's own objects (LockPolicy, ResourceAdjustment, DeadlockReport, Signals that are
 * pushed) and ConcurrencyPolicies as they are stored: JSON text with the few members that are
 * looked at. Fed by the source and by what was written.
 */
#ifndef OPERATOR_OBJECTS_H
#define OPERATOR_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;

enum op_kind { OP_LOCK_POLICY, OP_ADJUSTMENT, OP_DEADLOCK, OP_SIGNAL, OP_POLICY, OP_KINDS };

struct op_kind_name {
    const char *api_version, *kind, *plural; /* "lockpolicies" */
};
extern const struct op_kind_name op_kind_names[OP_KINDS];

enum op_adjusted { OP_NOT_LOOKED_AT, OP_OFFERED, OP_SETTLED };

struct op_object {
    struct str ns, name, uid, resource_version;
    int64_t generation;
    int64_t created_us;
    bool made_here;                    /* cluster/writer.h */
    bool marked;                       /* not told yet by the list that is under way */
    bool writing;                      /* its status is being stored */
    enum op_adjusted adjusted;         /* of a ResourceAdjustment; a DeadlockReport: settled */
    uint64_t retry_ns;                 /* its status is not stored before that again */
    struct str json;                   /* whole; followed by 64 readable bytes */
    struct str metadata, spec, status; /* slices of it, empty = not there */
};

struct op_objects {
    struct op_object **at[OP_KINDS]; /* [n] by namespace, name */
    uint32_t n[OP_KINDS], room[OP_KINDS];
};

/* NULL when there is none. */
struct op_object *op_objects_find(const struct op_objects *o, enum op_kind kind, struct str ns,
                                  struct str name);

/*
 * Take the object in, instead of one of its name. 0; -EINVAL (not JSON, no name); -E2BIG:
 * LIMIT_OPERATOR_OBJECTS are there; -ENOMEM.
 */
int op_objects_put(struct op_objects *o, enum op_kind kind, struct str ns, struct str name,
                   struct str json, struct err *err) MUST_CHECK;
void op_objects_remove(struct op_objects *o, enum op_kind kind, struct str ns, struct str name);
void op_objects_done(struct op_objects *o);

#endif
