/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spec of a kind of ours as one table: what a field is called, what it may be, what it is when
 * nothing is said, and where its value goes. The decoder and the page in docs/reference are made
 * from it, and a test holds the schema of the CRD against it.
 */
#ifndef KUBE_FIELDS_H
#define KUBE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;
struct kube_meta;
struct scan;

enum field_type {
    FIELD_INTEGER,  /* int64_t */
    FIELD_PERCENT,  /* int64_t 0..100; "15%" or 15 */
    FIELD_BOOL,     /* bool */
    FIELD_WORD,     /* int64_t, index of the word */
    FIELD_WORDS,    /* uint32_t, bit per word: a list without order */
    FIELD_NAME,     /* struct str: a DNS-1123 label */
    FIELD_TEXT,     /* struct str of at most `max` bytes */
    FIELD_PLAIN,    /* struct str: as one of FIELD_TEXTS, or a number as it stands */
    FIELD_TIME,     /* int64_t microseconds; RFC 3339 */
    FIELD_DURATION, /* int64_t milliseconds, `min` to `max`; "500ms", "1m30s" */
    FIELD_TEXTS,    /* const struct str *, its count at `count`: a list, no two equal; each is
                       printable ASCII, 1 to `max` bytes, without blanks at its ends */
    FIELD_INTEGERS, /* const int64_t *, its count at `count`: a list without order, no two equal */
    FIELD_SELECTOR, /* struct score_selector */
    FIELD_OBJECT,  /* of the fields below; `offset` of a bool that says it was there, or NO_FIELD */
    FIELD_OBJECTS, /* list: `const struct item *`, its count at `count` */
    FIELD_OTHER,   /* an object that `read` reads into what is at `offset` */
};

/* An integer that has no default and was not given; POLICY_NONE of scoring/policy.h. */
#define FIELD_NONE INT64_MIN
#define NO_FIELD   SIZE_MAX

struct field {
    const char *path; /* "spec.numa.stealThreshold", "spec.qosClassMapping[].name" */
    const char *help; /* sentences */
    enum field_type type;
    int64_t min, max;         /* of an integer, and of each of FIELD_INTEGERS */
    int64_t initial;          /* value when it is not given */
    const char *const *words; /* NULL behind the last */
    uint32_t most;            /* items of a list; 0 = 16 */
    bool required;
    size_t offset; /* from the start of the root's struct, or of the list item's */
    size_t count;  /* of FIELD_OBJECTS, FIELD_INTEGERS and FIELD_TEXTS: offset of the uint32_t */
    size_t size;   /* of FIELD_OBJECTS: bytes of an item */
    bool (*read)(struct scan *s, void *at, struct arena *a); /* false after a failure of `s` */
};

enum { FIELDS_MAX = 128 };

struct fields {
    const struct field *at; /* [n], a parent before its children */
    size_t n;
};

/*
 * Read the object that is due, whose path is `path` ("spec"), into `out`. Everything is set to its
 * initial value first. False on failure, which is the scanner's and names the field: a wrong type,
 * a value out of range, a field given twice, one that is required and missing; with `strict` an
 * unknown one, too, with what was perhaps meant.
 */
bool fields_read(struct scan *s, const struct fields *f, const char *path, bool strict, void *out,
                 struct arena *a);

/*
 * Decode a whole object of a kind of ours: its metadata into `meta`, its spec into `out`. 0,
 * -EINVAL (also: no spec), -E2BIG, -ENOMEM; then the arena is as it was before.
 */
int fields_decode(const struct fields *f, bool strict, struct kube_meta *meta, void *out,
                  struct str json, struct arena *a, struct err *err) MUST_CHECK;

/* Set everything below `path` to its initial value, as if an empty object had been read. */
void fields_init(const struct fields *f, const char *path, void *out);

/* Is it a text as those of FIELD_TEXTS, of at most `most` bytes? */
bool fields_is_plain(struct str text, size_t most);

/* A DNS-1123 subdomain, as names of objects are: 1 to 253 bytes. */
bool fields_is_subdomain(struct str name);

/* Rows of a Markdown table: field, values, default, meaning. */
void fields_print(struct buf *out, const struct fields *f);

#endif
