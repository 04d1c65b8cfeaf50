/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock tracker's side of the operator's API, for programs in C: wrap lock and unlock, and a
 * thread of the tracker reports what is held, what is waited for, and in which order locks were
 * taken. Two files, client.h and client.c, that need libcurl and nothing else of numawise.
 *
 *     struct lock_client *client;
 *     lock_client_open(&client, &(struct lock_client_options){.url = "http://127.0.0.1:8788",
 *                                                             .ns = "bank", .pod = "teller-0"});
 *     static const struct lock_client_class accounts = {"accounts"};
 *
 *     lock_client_wait(client, &accounts, &mutex);      // before one may have to wait
 *     pthread_mutex_lock(&mutex);
 *     lock_client_got(client, &accounts, &mutex);
 *     ...
 *     lock_client_release(client, &accounts, &mutex);   // before others may have it
 *     pthread_mutex_unlock(&mutex);
 *
 * The tracker never waits for the network while it is called, and where the operator cannot be
 * reached nothing else happens than that nobody hears of it.
 */
#ifndef OPERATOR_CLIENT_H
#define OPERATOR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

/* A lock class: all locks of one place in the source. Has to live as long as the client. */
struct lock_client_class {
    const char *name; /* 1 to 128 printable ASCII characters */
    bool shared; /* one for all pods of the namespace: pass the instance's name to wait_named */
};

struct lock_client_options {
    const char *url;        /* of the operator's listener */
    const char *ns, *pod;   /* who reports; usually by the downward API */
    const char *container;  /* NULL: none */
    const char *token_file; /* of a ServiceAccount's token for the audience numawise; NULL: none */
    const char *ca_file;    /* for https: whom to believe; NULL: the system's */
    uint64_t epoch;         /* larger after each restart; 0: the clock's seconds */
    unsigned interval_ms;   /* between two reports; 0: 250 */
};

struct lock_client;

/* Starts the thread that reports. 0; -EINVAL (url, ns or pod missing); -ENOMEM; -EAGAIN. */
int lock_client_open(struct lock_client **out, const struct lock_client_options *options);

/* One report more, then the thread ends. NULL is fine. No other thread uses the client any more. */
void lock_client_close(struct lock_client *c);

/*
 * Around acquiring and releasing, on the thread that does it. `instance` is the lock's address;
 * the _named ones are for locks that other pods know, too, by a name that is copied. Where there
 * is no memory for it, or a thread holds more than LOCK_CLIENT_HELD, a lock is left out.
 */
enum { LOCK_CLIENT_HELD = 64 };
void lock_client_wait(struct lock_client *c, const struct lock_client_class *k,
                      const void *instance);
void lock_client_got(struct lock_client *c, const struct lock_client_class *k,
                     const void *instance);
void lock_client_release(struct lock_client *c, const struct lock_client_class *k,
                         const void *instance);
void lock_client_wait_named(struct lock_client *c, const struct lock_client_class *k,
                            const char *instance);
void lock_client_got_named(struct lock_client *c, const struct lock_client_class *k,
                           const char *instance);
void lock_client_release_named(struct lock_client *c, const struct lock_client_class *k,
                               const char *instance);

/* The wait is given up: a try that failed, a time that ran out. */
void lock_client_give_up(struct lock_client *c);

/* Report now, and wait until the operator has answered. 0: it took the report in; -errno. */
int lock_client_flush(struct lock_client *c);

/* How often a report went through, and how often it did not. */
struct lock_client_stats {
    uint64_t reports, failures;
};
void lock_client_stats(struct lock_client *c, struct lock_client_stats *out);

#endif
