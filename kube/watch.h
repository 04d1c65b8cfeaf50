/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists and watches as they come from a socket, in pieces cut anywhere: the pieces become whole
 * values, one object at a time, and of each what it is called. No trees, and no more memory than
 * the one value that is under way.
 */
#ifndef KUBE_WATCH_H
#define KUBE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"

/* --- values out of a stream --- */

enum kube_split_form {
    KUBE_SPLIT_EVENTS, /* objects one behind the other */
    KUBE_SPLIT_LIST,   /* one object: its items one by one, and its metadata */
};

enum kube_split_part {
    KUBE_PART_EVENT,
    KUBE_PART_ITEM,
    KUBE_PART_METADATA,  /* of the list; before its items or behind them */
    KUBE_PART_TOO_LARGE, /* an event or item: only its first KUBE_SPLIT_HEAD_BYTES */
};

enum { KUBE_SPLIT_KEY_BYTES = 16, KUBE_SPLIT_HEAD_BYTES = 4096 };

/*
 * One value, followed by 64 readable bytes and gone with the next call. Its brackets match in
 * number, no more is checked: who decodes it finds out. Not 0 ends the splitting with that code.
 */
typedef int (*kube_split_value)(void *ctx, enum kube_split_part part, struct str text);

/* Where the bytes are that come next. */
enum kube_split_place {
    KUBE_AT_START, /* before an event, or before the list */
    KUBE_AT_KEY,   /* of the list: before a key or its end */
    KUBE_IN_KEY,
    KUBE_AT_COLON,
    KUBE_AT_VALUE, /* of a key of the list */
    KUBE_AT_ITEM,
    KUBE_IN_VALUE, /* `part` says which */
    KUBE_AT_COMMA, /* behind a value of the list */
    KUBE_AT_ITEM_COMMA,
    KUBE_AT_END, /* behind the list */
};

struct kube_splitter {
    enum kube_split_form form;
    kube_split_value value;
    void *ctx;
    size_t max; /* bytes of one value */
    enum kube_split_place place;
    enum kube_split_part part;
    bool wanted;  /* the value under way is given out */
    bool scalar;  /* and is neither object nor list nor string */
    bool string;  /* inside of a string */
    bool escape;  /* behind a backslash there */
    bool any;     /* a comma means one more */
    bool dropped; /* too large: only its head is held */
    uint32_t depth;
    char key[KUBE_SPLIT_KEY_BYTES]; /* of the list; a longer one is cut, and none of ours */
    size_t key_n;
    struct buf hold; /* the part of the value that earlier pieces had */
};

/* Zero-initialise; begin again as often as one likes, the buffer stays. */
void kube_split_begin(struct kube_splitter *s, enum kube_split_form form, size_t max,
                      kube_split_value value, void *ctx);

/* The next bytes. 0; -EPROTO: this is no such stream; -ENOMEM; or what `value` returned. */
int kube_split_feed(struct kube_splitter *s, const char *p, size_t n) MUST_CHECK;

/* The stream is over. 0; -EPROTO: in the middle of something, or before the list. */
int kube_split_end(const struct kube_splitter *s) MUST_CHECK;

void kube_split_done(struct kube_splitter *s);

/* --- what an object is called --- */

/* Slices of the object's text; empty = not said. */
struct kube_name {
    struct str ns, name, uid;
    struct str version; /* resourceVersion */
    uint64_t number;    /* of the version; 0 = it is none, and nothing can be compared */
    struct str more;    /* of a list: continue */
};

/*
 * Read `metadata` of an object, or of as much of it as there is: stops behind it. False: it has
 * none, or none with a name; or something in it that no name has. `out` is written in any case.
 */
bool kube_name_read(struct kube_name *out, struct str object);

/* The same for the metadata of a list, alone. False: no resourceVersion. */
bool kube_list_read(struct kube_name *out, struct str metadata);

enum kube_event_type {
    KUBE_EVENT_ADDED,
    KUBE_EVENT_MODIFIED,
    KUBE_EVENT_DELETED,
    KUBE_EVENT_BOOKMARK,
    KUBE_EVENT_ERROR,
    KUBE_EVENT_OTHER,
};

struct kube_event {
    enum kube_event_type type;
    struct str object; /* its text; followed by 64 readable bytes */
};

/*
 * 0; -EPROTO: not valid JSON, or without type or object. In the form in which Kubernetes writes an
 * event the object is not looked into: whoever decodes it finds out what is wrong there.
 */
int kube_event_read(struct kube_event *out, struct str text) MUST_CHECK;

#endif
