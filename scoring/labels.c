/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/labels.h"

#include "base/siphash.h"

enum { VALUE_BITS = 24 };

static uint64_t hash_of(struct str text)
{
    static const uint64_t key[2] = {UINT64_C(0x6c6162656c), UINT64_C(0x73656c656374)};

    return siphash13(key, text);
}

uint64_t score_label(struct str key, struct str value)
{
    const uint64_t low = (UINT64_C(1) << VALUE_BITS) - 1;

    return (hash_of(key) & ~low) | (hash_of(value) & low);
}

static bool holds(const struct score_requirement *r, struct score_labels labels)
{
    bool exists = false, is_in = false;

    for (uint32_t i = 0; i < labels.n; i++) {
        if ((labels.at[i] ^ r->key) >> VALUE_BITS)
            continue;
        exists = true;
        for (uint32_t k = 0; k < r->n_values; k++)
            is_in = is_in || labels.at[i] == r->values[k];
    }
    switch (r->op) {
    case SCORE_IN:
        return is_in;
    case SCORE_NOT_IN:
        return !is_in;
    case SCORE_EXISTS:
        return exists;
    case SCORE_DOES_NOT_EXIST:
        break;
    }
    return !exists;
}

bool score_selects(const struct score_selector *s, struct score_labels labels)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (!holds(&s->at[i], labels))
            return false;
    }
    return true;
}
