/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of CPU ids as bitmaps, and the Linux list form "0-3,8". A set is an array of words. */
#ifndef TOPOLOGY_CPUSET_H
#define TOPOLOGY_CPUSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;

enum { TOPO_MAX_CPUS = 4096 };

/* Words that hold CPU ids 0 .. n_cpus-1. */
static inline uint32_t cpuset_words(uint32_t n_cpus)
{
    return (n_cpus + 63) / 64;
}

static inline bool cpuset_has(const uint64_t *set, uint32_t cpu)
{
    return set[cpu / 64] >> (cpu % 64) & 1;
}

static inline void cpuset_add(uint64_t *set, uint32_t cpu)
{
    set[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void cpuset_del(uint64_t *set, uint32_t cpu)
{
    set[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

uint32_t cpuset_count(const uint64_t *set, uint32_t words);

/* The smallest id in the set that is >= from, or words * 64 when there is none. */
uint32_t cpuset_next(const uint64_t *set, uint32_t words, uint32_t from);

/*
 * Read a Linux CPU list ("", "0-3,8", spaces and a final newline allowed) into `set` [words],
 * which is cleared first. Returns 0; -EINVAL (syntax, range backwards); -E2BIG (an id beyond the
 * words). The set's content is unspecified after an error.
 */
int cpuset_parse(uint64_t *set, uint32_t words, struct str list, struct err *err) MUST_CHECK;

/* The highest id in a list plus one, 0 for an empty one; -EINVAL or -E2BIG (>= TOPO_MAX_CPUS). */
int cpuset_span(struct str list, struct err *err) MUST_CHECK;

/* Append "0-3,8". */
void cpuset_format(struct buf *out, const uint64_t *set, uint32_t words);

#endif
