/* SPDX-License-Identifier: Apache-2.0 */
/* Lock reports in words, for tests that a person reads. */
#ifndef TESTS_SUPPORT_LOCK_TEXT_H
#define TESTS_SUPPORT_LOCK_TEXT_H

#include <stdint.h>

#include "operator/locks/book.h"

enum { LOCK_TEXT_ITEMS = 32 };

struct lock_text {
    struct lock_report report;
    struct lock_claim held[LOCK_TEXT_ITEMS], waiting[LOCK_TEXT_ITEMS];
    struct lock_seen edges[LOCK_TEXT_ITEMS];
    char room[1024];
};

/*
 * "shop/a 1 2 at 90: t1 holds A/1 since 5, t1 waits B/x! since 9, A>B 3": namespace and pod, epoch,
 * sequence, the reporter's clock; then claims and edges. "!" = shared. Fails the test on anything
 * else.
 */
void lock_text_read(struct lock_text *out, const char *text);

/* Read and hand to the book; returns what it says. `answer` may be NULL. */
int lock_text_say(struct lock_book *b, uint64_t now_ns, const char *text,
                  struct lock_answer *answer);

#endif
