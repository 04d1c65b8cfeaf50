/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict, bounded pull scanner for JSON (RFC 8259, the whole grammar; UTF-8 is checked): a
 * decoder asks for what it wants in the order of the text, everything else is skipped at the speed
 * of memory. No heap, no recursion on input, no tree.
 *
 *     scan_init(&s, text, 0);
 *     if (scan_object(&s))
 *         while (scan_key(&s)) {
 *             if (scan_at(&s, "name"))
 *                 (void)scan_text(&s, &name, arena);
 *         }
 *     return scan_end(&s, err);
 *
 * Failure sticks: the first one is kept with its place, and from then on every function here
 * returns false at once, so that loops end and a decoder looks once, at scan_end.
 *
 * null counts as absent, as in Go: every typed reader consumes it, returns false, leaves its
 * output alone, and that is no failure. Where null is wrong, look at scan_kind first. A value that
 * nobody reads is skipped by the next scan_key, scan_item or scan_end.
 *
 * Strings: invalid UTF-8 and raw control characters are grammar errors. An escaped lone surrogate
 * ("\ud800") is legal grammar; it decodes to U+FFFD, as in Go. "\u0000" decodes to a zero byte.
 * Numbers may be of any length; only a reader that wants an integer has a range.
 */
#ifndef KUBE_SCAN_H
#define KUBE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

struct arena;

/* The text must be followed by this many readable bytes; what they hold does not matter. */
enum { SCAN_PADDING_BYTES = 64 };

enum scan_flags {
    SCAN_FOLD = 1 << 0,   /* keys match without regard to ASCII case, as in extender bodies */
    SCAN_STRICT = 1 << 1, /* scan_once fails on a key that comes twice; else the last wins */
};

enum scan_kind {
    SCAN_NOTHING, /* failed, or no value can start here (which is a failure, too) */
    SCAN_NULL,
    SCAN_BOOL,
    SCAN_NUMBER,
    SCAN_STRING,
    SCAN_ARRAY,
    SCAN_OBJECT,
};

enum { SCAN_KEY_BYTES = 128 };

/* One open array or object, and which of its values is being read. */
struct scan_step {
    struct str key; /* objects: as it stands in the text, without quotes */
    uint32_t count; /* values announced so far */
    bool is_object;
};

/* Reading `key` is part of the interface; the rest is the scanner's own. */
struct scan {
    struct str key;   /* current key, decoded; valid until the next scan_key */
    const char *p;    /* next byte to read; after a value: behind its last byte */
    const char *text; /* where the text starts */
    const char *stop; /* behind its last byte */
    uint32_t flags;
    uint32_t depth;                           /* open arrays and objects */
    uint32_t deepest;                         /* how many there may be */
    bool pending;                             /* a value is announced and not yet read */
    struct err err;                           /* code 0 = not failed */
    char key_room[SCAN_KEY_BYTES];            /* for decoded keys */
    char word_room[SCAN_KEY_BYTES];           /* for scan_word */
    struct scan_step steps[LIMIT_JSON_DEPTH]; /* [depth] in use */
};

/* Let nothing nest deeper, 1..LIMIT_JSON_DEPTH: for the whole process, before it has threads. */
void scan_limit_depth(uint32_t depth);

/* Start at the one value of `text`, which is borrowed and followed by SCAN_PADDING_BYTES. */
void scan_init(struct scan *s, struct str text, uint32_t flags);

/*
 * To be called when the value was read: only blanks may follow. Skips the value when nobody read
 * it. 0; -EINVAL (malformed, or a decoder's scan_fail), -E2BIG (nested deeper than
 * LIMIT_JSON_DEPTH), or another code given to scan_fail. Texts are "offset N: what was expected"
 * for grammar, "path.of.field: what is wrong" for values.
 */
int scan_end(struct scan *s, struct err *err) MUST_CHECK;

/* The kind of the value that is due, without reading it. */
enum scan_kind scan_kind(struct scan *s);

/* Where the value that is due starts (blanks are passed). */
const char *scan_here(struct scan *s);

/*
 * Enter an object, then loop over scan_key: it steps to the next key (`s->key`) and returns false
 * behind the last one, where the object is left. A value that was not read is skipped.
 * Keys longer than SCAN_KEY_BYTES that have escapes stay undecoded in `s->key`.
 */
bool scan_object(struct scan *s);
bool scan_key(struct scan *s);

/* Whether the current key is `name`; with SCAN_FOLD without regard to ASCII case. */
static inline bool scan_at(const struct scan *s, const char *name)
{
    const size_t n = __builtin_strlen(name);

    return s->key.n == n && (s->flags & SCAN_FOLD ? strncasecmp(s->key.p, name, n) == 0
                                                  : memcmp(s->key.p, name, n) == 0);
}

/* The current key, decoded whole, in the arena. Fails with -ENOMEM. */
bool scan_key_copy(struct scan *s, struct str *out, struct arena *a);

/*
 * For decoders that refuse duplicate keys: true when bit `bit` was not yet in `*seen`, or when
 * the scanner is not SCAN_STRICT; otherwise fails with "given twice". Sets the bit.
 */
bool scan_once(struct scan *s, uint64_t *seen, uint32_t bit);

/* Enter an array, then loop over scan_item, which is true while a value is due. */
bool scan_array(struct scan *s);
bool scan_item(struct scan *s);

/*
 * For long arrays of strings, instead of scan_item: the strings that come next, raw, `max` at
 * most. Stops before anything else (another kind, the end, a failure), which scan_item meets then.
 * Sets `*odd` when one of them has escapes or other bytes than ASCII; never clears it.
 */
uint32_t scan_strings(struct scan *s, struct str *out, uint32_t max, bool *odd);

/*
 * How many values the array or object that is due has; nothing is read. 0 for null. Costs one
 * skip over it, so decoders that allocate exactly stay linear. Fails when it is neither.
 */
bool scan_count(struct scan *s, uint32_t *out);

/*
 * Typed readers. All: true and `out` written; false on null or failure. scan_word is for short
 * texts that are compared and forgotten: it stands until the next scan_word, and one with escapes
 * and over SCAN_KEY_BYTES stays undecoded.
 */
bool scan_string(struct scan *s, struct str *out);                /* raw slice between the quotes */
bool scan_text(struct scan *s, struct str *out, struct arena *a); /* decoded copy in the arena */
bool scan_word(struct scan *s, struct str *out);                  /* decoded, until the next */
bool scan_number(struct scan *s, struct str *out);                /* raw slice */
bool scan_scalar(struct scan *s, struct str *out, struct arena *a); /* text, or a number's slice */
bool scan_int64(struct scan *s, int64_t *out); /* no fraction, no exponent, as in Go */
bool scan_bool(struct scan *s, bool *out);

/*
 * Skip a value of any kind, null too; scan_raw also gives it as it stands, without blanks.
 * Skipping a value that was already read does nothing; reading one twice is a bug (assert).
 */
bool scan_skip(struct scan *s);
bool scan_raw(struct scan *s, struct str *out);

/*
 * A decoder's own failure, at the value last announced: "path: text". Keeps the first failure.
 * Always returns false.
 */
bool scan_fail(struct scan *s, int code, const char *fmt, ...) PRINTF(3, 4);
static inline bool scan_failed(const struct scan *s)
{
    return s->err.code != 0;
}

/*
 * The path of the value last announced, "spec.containers[0].resources.limits.cpu"; keys with other
 * bytes than letters, digits, '_' and '-' stand in brackets: "limits[nvidia.com/gpu]". Cut at
 * `room` - 1 bytes and terminated; room at least 1. Returns its length.
 */
size_t scan_path(const struct scan *s, char *out, size_t room);

/*
 * Decode the escapes of a raw string slice into `out`, which has room for raw.n bytes (escapes
 * never grow). Returns the bytes written. The slice must come from this scanner.
 */
size_t scan_unescape(char *out, struct str raw);

#endif
