/* SPDX-License-Identifier: Apache-2.0 */
/* The fragmentation of a placement for people: who finds room before and after it. */
#ifndef DECIDE_ROOM_H
#define DECIDE_ROOM_H

struct buf;
struct emit;
struct frag_tale;
struct score_demand;

/* An object: the parts of the term, and the kinds that its zones could hold. `demand` or NULL. */
void room_json(struct emit *e, const struct frag_tale *tale, const struct score_demand *demand);

/* "fragmentation: filled 469, kept 250; room for 30 cpus, 32Gi: 1 > 0": kinds that lose some. */
void room_text(struct buf *out, const struct frag_tale *tale, const struct score_demand *demand);

#endif
