/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of net/'s server in this process: raw sockets, and what came back. Fails the test. */
#ifndef TESTS_SUPPORT_RAW_H
#define TESTS_SUPPORT_RAW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;

enum { RAW_PATIENCE_MS = 20000 }; /* longer than that nothing may take */

uint64_t raw_open_connections(const struct http_server *s);
void raw_wait_until_open(const struct http_server *s, uint64_t n);
void raw_sleep_ms(unsigned ms);

struct sockaddr_in raw_address_of(const struct http_server *s);
int raw_new_socket(void); /* with limits on waiting */
int raw_try_connect(const struct http_server *s, int fd);
int raw_dial(const struct http_server *s); /* a connection */

void raw_push(int fd, const char *p, size_t n); /* as much as the peer takes */
void raw_say(int fd, const char *text);

struct raw_answer {
    int status; /* 0 = the peer closed, -1 = it reset the connection, -2 = nothing came */
    size_t n;   /* Content-Length */
    bool close;
    char head[512];
    char body[512]; /* the first bytes of it */
};

/* One byte at a time up to the empty line: never a byte of the next reply. */
struct raw_answer raw_read_head(int fd);
struct raw_answer raw_hear(int fd); /* and its body */
void raw_expect_closed(int fd);     /* without a word; closes it, too */
void raw_reset(int fd);

#endif
