/* SPDX-License-Identifier: Apache-2.0 */
/* What a LockPolicy says, in the book of locks. */
#ifndef OPERATOR_DECLARE_H
#define OPERATOR_DECLARE_H

#include "base/attr.h"

struct err;
struct kube_lock_policy;
struct lock_book;

/* As lock_book_declare: its rules, instead of those it had. */
int op_declare(struct lock_book *book, const struct kube_lock_policy *policy,
               struct err *err) MUST_CHECK;

#endif
