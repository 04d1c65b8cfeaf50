/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of acts have alike: status.act of the object that something is done for. */
#ifndef OPERATOR_ACT_FIELDS_H
#define OPERATOR_ACT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct emit;
struct scan;

/* The moment, RFC 3339; nothing where it is 0. */
void act_put_time(struct emit *e, const char *key, int64_t us);

/* False: the current key is another one. What is no moment is 0. */
bool act_read_time(struct scan *s, const char *key, int64_t *out);

/* The current key's text, cut to its room; nothing where it is none of these. */
struct act_text {
    const char *key;
    char *to;
    size_t room;
};
void act_read_text(struct scan *s, const struct act_text *texts, size_t n);

/* Which of words[1..n) the value is; `other` where it is none. */
int act_read_word(struct scan *s, const char *const *words, int n, int other);

/* Calls `read` at each member of status.act. False: there is none, or `status` is not JSON. */
bool act_read(struct str status, void (*read)(struct scan *s, void *record), void *record);

#endif
