/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON for people and tools into a growing buffer: commas, indentation and escapes are done
 * here. Used by decide/ and cli/; answers to kube-scheduler are written elsewhere.
 *
 *     emit_init(&e, &buf, true);
 *     emit_object(&e);
 *     emit_key(&e, "name"), emit_text(&e, name);
 *     emit_end(&e);
 */
#ifndef KUBE_EMIT_H
#define KUBE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct buf;

enum { EMIT_MAX_DEPTH = 64 };

/* All the emitter's own. Misuse (a value without key in an object, ...) is a bug: assert. */
struct emit {
    struct buf *out;
    bool pretty;      /* a line an entry, indented by two spaces; else without any blank */
    bool after_key;   /* a key was written, its value is due */
    uint32_t depth;   /* open objects and arrays */
    uint64_t objects; /* bit per level: it is an object */
    uint64_t filled;  /* bit per level: it has an entry */
};

/* Start one JSON value at the end of `out`, which keeps track of a full heap (buf.failed). */
void emit_init(struct emit *e, struct buf *out, bool pretty);

/* True when the value is whole: everything that was opened is closed. */
bool emit_is_done(const struct emit *e);

void emit_object(struct emit *e);
void emit_array(struct emit *e);
void emit_end(struct emit *e); /* closes the innermost one */

/* Inside an object, before each value. */
void emit_key(struct emit *e, const char *key);
void emit_key_str(struct emit *e, struct str key);

/*
 * Text is escaped as RFC 8259 wants; what is not valid UTF-8 becomes U+FFFD, one per byte, so that
 * the output is always valid.
 */
void emit_text(struct emit *e, struct str text);
void emit_words(struct emit *e, const char *text); /* terminated text; NULL gives "" */
void emit_time(struct emit *e, int64_t us);        /* since 1970; as RFC 3339 */
void emit_int(struct emit *e, int64_t v);
void emit_uint(struct emit *e, uint64_t v);
void emit_bool(struct emit *e, bool v);
void emit_null(struct emit *e);

/* A value that is JSON already, such as a slice of a body; taken as it stands. */
void emit_raw(struct emit *e, struct str json);

#endif
