/* SPDX-License-Identifier: Apache-2.0 */
/* The real program in a child process, and the HTTP client of a test: sockets, nothing hidden. */
#ifndef TESTS_SUPPORT_SERVER_H
#define TESTS_SUPPORT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"

enum { TEST_PATH_BYTES = 512, TEST_URL_BYTES = 64 };

struct test_server {
    pid_t pid;
    char work[TEST_PATH_BYTES]; /* a directory of its own; removed by test_server_stop */
    uint16_t extender, operator_port, console, admission; /* 0 = off */
};

/*
 * Start `numawise serve --cluster CLUSTER` with every listener on a port of the kernel's choice and
 * the `extra` arguments (NULL-terminated, or NULL); waits for the addresses file. stderr goes to
 * WORK/stderr. Fails the test otherwise.
 */
void test_server_start(struct test_server *out, const char *cluster, const char *const *extra);

/*
 * The same in two steps: with these flags for the source ("--kubeconfig", FILE, NULL), and not
 * waiting for anything; then until it has read its cluster.
 */
void test_server_run(struct test_server *out, const char *const *source, const char *const *extra);
void test_server_wait(struct test_server *s);

/* Start any command of the program, with these arguments (NULL-terminated); it has no ports. */
void test_program_start(struct test_server *out, const char *const *args);

/* What it has said on stdout so far, replacing what `out` holds. */
void test_program_output(const struct test_server *s, struct buf *out);

/* What it has said on stderr so far. */
void test_server_log(const struct test_server *s, struct buf *out);

/* Send `signal`, wait, remove the directory. Returns the exit code, or 128 + the signal. */
int test_server_stop(struct test_server *s, int signal);

/* Run the program to its end: exit code; what it printed. `args` is NULL-terminated. */
int test_run(const char *const *args, struct buf *out_stdout, struct buf *out_stderr);
/* The same; fails the test unless this is the code and this in stderr. `out_stdout` may be NULL. */
void test_run_expect(const char *const *args, int code, const char *in_stderr,
                     struct buf *out_stdout);

/* A connection; -1 when refused. */
int test_connect(uint16_t port);

struct test_reply {
    int status;
    bool closes; /* Connection: close */
    struct buf head, body;
};

/* Send one request in one piece: `method` "POST"; body may be empty. False: the peer is gone. */
bool test_send(int fd, const char *method, const char *target, struct str body);

/*
 * Read one reply: exactly Content-Length bytes of body, of a 204 none; fails the test when there is
 * no Content-Length, or when bytes follow. False: the connection ended before a whole head.
 */
bool test_receive(int fd, struct test_reply *out);
void test_reply_done(struct test_reply *r);

/*
 * One request on a connection of its own: its status, or -1 when refused. The body replaces what
 * `out_body` holds, which may be NULL.
 */
int test_call(uint16_t port, const char *method, const char *target, struct str body,
              struct buf *out_body);
int test_get(uint16_t port, const char *target, struct buf *out_body);

/*
 * A server that says what it likes, in a process of its own: `answer` sends something to each
 * connection's first bytes. For it, too: bytes as they are; false: the peer is gone.
 */
pid_t test_strange_start(void (*answer)(void *ctx, int fd, const char *request), void *ctx,
                         char out_url[TEST_URL_BYTES]);
void test_strange_stop(pid_t pid);
bool test_send_bytes(int fd, struct str bytes);

/* Until the console's /metrics has this line; fails the test after `patience_ms`. */
void test_await_figure(uint16_t console, unsigned patience_ms, const char *line);

/* What a directory has, with . and .. */
unsigned test_entries(const char *dir);

/* Open descriptors of a process. */
unsigned test_descriptors(pid_t pid);

/* "DIR/numawise-NAME-PID" below TMPDIR or /tmp; nothing is made. */
void test_temporary(char out[TEST_PATH_BYTES], const char *name);

/* Write a file whole, by rename. */
void test_write(const char *path, struct str text);

/* Copy all files of a flat or nested directory. */
void test_copy_tree(const char *from, const char *to);
void test_remove_tree(const char *path);

#endif
