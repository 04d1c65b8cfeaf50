/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/declare.h"

#include "kube/lock_policy.h"
#include "operator/locks/book.h"

int op_declare(struct lock_book *book, const struct kube_lock_policy *policy, struct err *err)
{
    struct lock_rule rules[LOCK_POLICY_RULES];

    for (uint32_t i = 0; i < policy->n_rules; i++)
        rules[i] = (struct lock_rule){policy->rules[i].name, policy->rules[i].order,
                                      policy->rules[i].n_order};
    return lock_book_declare(book, policy->meta.ns, policy->meta.name, rules, policy->n_rules, err);
}
