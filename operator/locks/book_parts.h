/* SPDX-License-Identifier: Apache-2.0 */
/* What book.c and detect.c share. */
#ifndef OPERATOR_LOCKS_BOOK_PARTS_H
#define OPERATOR_LOCKS_BOOK_PARTS_H

struct lock_book;
struct lock_space;

void lock_deadlocks_free(struct lock_space *s); /* forget all, whatever their state */
void lock_book_tidy(struct lock_book *b, struct lock_space *s); /* let it go when it is empty */

#endif
