/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server for tests: real HTTP/1.1 on loopback, over TLS where asked for, that answers from a
 * struct history and can be told to lie, hang and die. A thread a connection; everything here may
 * be called from any thread.
 */
#ifndef TESTS_SUPPORT_FAKE_API_H
#define TESTS_SUPPORT_FAKE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "tests/support/history.h"

struct fake_api;

struct fake_api_options {
    const char *cert, *key; /* PEM files: TLS */
    const char *client_ca;  /* PEM file: a client certificate of it is wanted */
    const char *token;      /* Authorization must be "Bearer TOKEN", else 401; NULL: anybody */
    uint32_t bookmark_ms;   /* 0 = none but the one at the end of a watch */
    uint32_t page;          /* a list has no more items a page than this; 0 = as asked for */
    bool whole_at_zero;     /* resourceVersion=0 lists all in one, as the watch cache does */
};

/* Listens on 127.0.0.1, a port of the kernel's choice. Fails the test when it cannot. */
struct fake_api *fake_api_new(const struct fake_api_options *options);
void fake_api_free(struct fake_api *f); /* every connection is cut */

uint16_t fake_api_port(const struct fake_api *f);
/* "http://127.0.0.1:PORT", or https; valid as long as `f`. */
const char *fake_api_url(const struct fake_api *f);

/* The kinds of its history, numbered as they stand here; see history_kind. */
struct fake_kind {
    const char *path, *api_version, *kind;
    bool sorted;
};
void fake_api_add_kinds(struct fake_api *f, const struct fake_kind *kinds, size_t n);

/* A kubeconfig of it, without credentials. */
void fake_api_write_kubeconfig(const struct fake_api *f, const char *path);

/* Between these two the history is the caller's; watches go on at unlock. */
struct history *fake_api_lock(struct fake_api *f);
void fake_api_unlock(struct fake_api *f);

void fake_api_set_token(struct fake_api *f, const char *token);

/* --- what it is to do wrong --- */

enum fake_fault {
    FAKE_STATUS,      /* a Status of code `arg`; `seconds` = Retry-After, 0 = none */
    FAKE_GONE,        /* 410 with a Status */
    FAKE_TOO_LARGE,   /* 504 ResourceVersionTooLarge */
    FAKE_GONE_EVENT,  /* a watch that begins with an ERROR event of code 410 */
    FAKE_ERROR_EVENT, /* the same with code 500 */
    FAKE_RESET,       /* RST instead of an answer */
    FAKE_CLOSE,       /* FIN instead of an answer */
    FAKE_HANG,        /* never an answer */
    FAKE_STALL,       /* half of the answer, and then nothing more */
    FAKE_CUT,         /* half of the answer, and then FIN */
    FAKE_HTML,        /* 200 and a page, as from a proxy */
    FAKE_REDIRECT,    /* 302 */
    FAKE_EMPTY,       /* 200, JSON, no body */
    FAKE_GARBAGE,     /* no HTTP at all */
    FAKE_NOT_JSON,    /* 200, says it is JSON and is not */
    FAKE_GZIP,        /* 200, Content-Encoding: gzip, truncated */
    FAKE_SLOW,        /* the answer comes after `arg` ms */
    FAKE_LONG_SILENCE /* a watch that opens and then says nothing, no bookmark either */
};

enum { FAKE_ALWAYS = -1 };

/*
 * The next `times` requests whose target begins with `prefix` meet this fault; watches only, or all
 * but watches, or both. The first fault that fits counts.
 */
enum fake_which { FAKE_BOTH, FAKE_LISTS, FAKE_WATCHES };
void fake_api_fault(struct fake_api *f, enum fake_fault fault, const char *prefix,
                    enum fake_which which, int times, int arg, int seconds);
void fake_api_heal(struct fake_api *f); /* no fault any more; what hangs is cut */

/* Cut every connection now; new ones are served. */
void fake_api_cut(struct fake_api *f);

/* Stop and go on listening, on the same port: as a server that is restarted. */
void fake_api_down(struct fake_api *f);
void fake_api_up(struct fake_api *f);

/* --- other requests than lists and watches --- */

/*
 * Answers what is no list or watch: status and body (NULL: 404 for everything). On the thread of
 * the connection, without the lock.
 */
typedef int (*fake_api_handler)(void *ctx, const char *method, const char *target, struct str body,
                                struct buf *out);
void fake_api_handle(struct fake_api *f, fake_api_handler handler, void *ctx);

/* --- what it was asked --- */

/* The requests so far whose line begins with `line` ("GET /api/v1/pods?limit="). */
unsigned fake_api_asked(struct fake_api *f, const char *line);

/* All request lines, one a line; and of the last request head and body. */
void fake_api_lines(struct fake_api *f, struct buf *out);
void fake_api_last(struct fake_api *f, struct buf *head, struct buf *body);

#endif
