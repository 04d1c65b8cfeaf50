/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/server.h"

#include "tests/support/test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "tests/support/data.h"

enum { MAX_ARGS = 64, START_MS = 60000, REPLY_MS = 60000, HEAD_BYTES = 65536 };

static const char *program(void)
{
    const char *const named = getenv("NUMAWISE");

    return named ? named : TEST_NUMAWISE;
}

static void redirect(const char *path, int fd)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (file < 0 || dup2(file, fd) < 0)
        _exit(126);
}

static pid_t spawn(const char *const *args, const char *out, const char *err)
{
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    redirect(out, STDOUT_FILENO);
    redirect(err, STDERR_FILENO);
    /* exec takes char *const *, though it changes nothing. */
    char *argv[MAX_ARGS + 1];
    size_t n = 0;
    for (; args[n] && n < MAX_ARGS; n++)
        argv[n] = strdup(args[n]);
    argv[n] = NULL;
    execv(program(), argv);
    _exit(127);
}

static void make_work(char *out)
{
    const char *const base = getenv("TMPDIR");

    (void)snprintf(out, TEST_PATH_BYTES, "%s/numawise-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(out));
}

static void path_in(char *out, const char *dir, const char *name)
{
    assert_true((size_t)snprintf(out, TEST_PATH_BYTES, "%s/%s", dir, name) < TEST_PATH_BYTES);
}

static void show(const char *path)
{
    struct buf b = {0};

    if (test_file_read(path, &b) == 0)
        (void)fprintf(stderr, "%s:\n%.*s\n", path, (int)b.n, b.p); /* whole: cmocka cuts */
    buf_free(&b);
}

static uint16_t port_of(const json_t *addresses, const char *role)
{
    const char *const url = json_string_value(json_object_get(addresses, role));
    const char *const colon = url ? strrchr(url, ':') : NULL;

    return colon ? (uint16_t)atoi(colon + 1) : 0;
}

static void read_addresses(struct test_server *s, const char *path)
{
    json_error_t error;
    json_t *const j = json_load_file(path, 0, &error);

    assert_non_null(j);
    assert_int_equal(json_integer_value(json_object_get(j, "pid")), s->pid);
    s->extender = port_of(j, "extender");
    s->operator_port = port_of(j, "operator");
    s->console = port_of(j, "console");
    s->admission = port_of(j, "admission");
    json_decref(j);
}

/* The file comes by rename, so once it is there it is whole. */
static void wait_for(struct test_server *s, const char *path)
{
    char log[TEST_PATH_BYTES];
    int status;

    path_in(log, s->work, "stderr");
    for (int ms = 0; ms < START_MS; ms += 5) {
        if (access(path, F_OK) == 0)
            return;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            show(log);
            fail_msg("the server ended with status %d", status);
        }
        (void)poll(NULL, 0, 5);
    }
    show(log);
    fail_msg("the server did not start within %d ms", START_MS);
}

void test_program_start(struct test_server *out, const char *const *args)
{
    struct test_server s = {0};
    char stdout_path[TEST_PATH_BYTES], stderr_path[TEST_PATH_BYTES];

    make_work(s.work);
    path_in(stdout_path, s.work, "stdout");
    path_in(stderr_path, s.work, "stderr");
    s.pid = spawn(args, stdout_path, stderr_path);
    *out = s;
}

void test_program_output(const struct test_server *s, struct buf *out)
{
    char path[TEST_PATH_BYTES];

    path_in(path, s->work, "stdout");
    if (test_file_read(path, out))
        out->n = 0; /* it has not begun yet */
}

void test_server_run(struct test_server *out, const char *const *source, const char *const *extra)
{
    struct test_server s = {0};
    char addresses[TEST_PATH_BYTES], stdout_path[TEST_PATH_BYTES], stderr_path[TEST_PATH_BYTES];

    make_work(s.work);
    path_in(addresses, s.work, "addresses");
    path_in(stdout_path, s.work, "stdout");
    path_in(stderr_path, s.work, "stderr");
    const char *args[MAX_ARGS + 1] = {"numawise",         "serve",
                                      "--addresses-file", addresses,
                                      "--listen",         "extender=127.0.0.1:0",
                                      "--listen",         "operator=127.0.0.1:0",
                                      "--listen",         "console=127.0.0.1:0"};
    size_t n = 10;
    for (; *source && n < MAX_ARGS; source++)
        args[n++] = *source;
    for (; extra && *extra && n < MAX_ARGS; extra++)
        args[n++] = *extra;
    s.pid = spawn(args, stdout_path, stderr_path);
    *out = s;
}

void test_server_wait(struct test_server *s)
{
    char addresses[TEST_PATH_BYTES];

    path_in(addresses, s->work, "addresses");
    wait_for(s, addresses);
    read_addresses(s, addresses);
}

void test_server_start(struct test_server *out, const char *cluster, const char *const *extra)
{
    const char *const source[] = {"--cluster", cluster, NULL};

    test_server_run(out, source, extra);
    test_server_wait(out);
}

void test_server_log(const struct test_server *s, struct buf *out)
{
    char log[TEST_PATH_BYTES];

    path_in(log, s->work, "stderr");
    assert_int_equal(test_file_read(log, out), 0);
}

static int exit_code(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int test_server_stop(struct test_server *s, int signal)
{
    char log[TEST_PATH_BYTES];

    assert_int_equal(kill(s->pid, signal), 0);
    const int code = exit_code(s->pid);
    path_in(log, s->work, "stderr");
    if (code)
        show(log);
    test_remove_tree(s->work);
    return code;
}

int test_run(const char *const *args, struct buf *out_stdout, struct buf *out_stderr)
{
    char work[TEST_PATH_BYTES], out[TEST_PATH_BYTES], err[TEST_PATH_BYTES];

    make_work(work);
    path_in(out, work, "stdout");
    path_in(err, work, "stderr");
    const int code = exit_code(spawn(args, out, err));
    assert_int_equal(test_file_read(out, out_stdout), 0);
    assert_int_equal(test_file_read(err, out_stderr), 0);
    test_remove_tree(work);
    return code;
}

void test_run_expect(const char *const *args, int code, const char *in_stderr,
                     struct buf *out_stdout)
{
    struct buf out = {0}, err = {0};
    const int got = test_run(args, &out, &err);

    if (got != code || !strstr(err.p ? err.p : "", in_stderr))
        fail_msg("code %d, expected %d with \"%s\"; stderr: %s", got, code, in_stderr,
                 err.p ? err.p : "");
    buf_free(&err);
    if (out_stdout)
        *out_stdout = out;
    else
        buf_free(&out);
}

int test_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct timeval limit = {REPLY_MS / 1000, 0};
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

bool test_send_bytes(int fd, struct str bytes)
{
    while (bytes.n) {
        const ssize_t sent = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        bytes.p += sent;
        bytes.n -= (size_t)sent;
    }
    return true;
}

bool test_send(int fd, const char *method, const char *target, struct str body)
{
    struct buf b = {0};

    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, target);
    if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        buf_printf(&b, "Content-Length: %zu\r\nContent-Type: application/json\r\n", body.n);
    buf_text(&b, "\r\n");
    buf_str(&b, body);
    const bool sent = test_send_bytes(fd, buf_view(&b));
    buf_free(&b);
    return sent;
}

static const char *header(const struct buf *head, const char *name)
{
    const size_t n = strlen(name);

    for (const char *line = strstr(head->p, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':')
            return line + 2 + n + 1 + strspn(line + 2 + n + 1, " ");
    return NULL;
}

/* Up to the empty line, a byte at a time: nothing of the body is taken. */
static bool read_head(int fd, struct buf *head)
{
    char c;

    while (head->n < 4 || memcmp(head->p + head->n - 4, "\r\n\r\n", 4) != 0) {
        const ssize_t n = recv(fd, &c, 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        buf_add(head, &c, 1);
        assert_true(head->n < HEAD_BYTES);
    }
    return true;
}

static bool read_body(int fd, struct buf *body, size_t n)
{
    char piece[65536];

    while (body->n < n) {
        const size_t want = n - body->n < sizeof(piece) ? n - body->n : sizeof(piece);
        const ssize_t got = recv(fd, piece, want, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        buf_add(body, piece, (size_t)got);
    }
    return true;
}

/* The server must be silent until the next request. */
static void expect_silence(int fd)
{
    char c;

    const ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        fail_msg("bytes follow the reply");
}

bool test_receive(int fd, struct test_reply *out)
{
    struct test_reply r = {0};

    if (!read_head(fd, &r.head)) {
        test_reply_done(&r);
        return false;
    }
    r.status = atoi(r.head.p + sizeof("HTTP/1.1"));
    const char *const length = r.status == 204 ? "0" : header(&r.head, "Content-Length");
    const char *const connection = header(&r.head, "Connection");
    assert_non_null(length);
    assert_null(header(&r.head, "Transfer-Encoding"));
    r.closes = connection && strncasecmp(connection, "close", 5) == 0;
    if (!read_body(fd, &r.body, strtoul(length, NULL, 10)))
        fail_msg("the body is shorter than Content-Length %s", length);
    expect_silence(fd);
    *out = r;
    return true;
}

void test_reply_done(struct test_reply *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
}

int test_call(uint16_t port, const char *method, const char *target, struct str body,
              struct buf *out_body)
{
    const int fd = test_connect(port);
    struct test_reply r;

    if (fd < 0)
        return -1;
    assert_true(test_send(fd, method, target, body));
    assert_true(test_receive(fd, &r));
    (void)close(fd);
    if (out_body) {
        buf_free(out_body);
        *out_body = r.body;
        r.body = (struct buf){0};
    }
    test_reply_done(&r);
    return r.status;
}

int test_get(uint16_t port, const char *target, struct buf *out_body)
{
    return test_call(port, "GET", target, STR(""), out_body);
}

pid_t test_strange_start(void (*answer)(void *ctx, int fd, const char *request), void *ctx,
                         char out_url[TEST_URL_BYTES])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(out_url, TEST_URL_BYTES, "http://127.0.0.1:%u", ntohs(at.sin_port));
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) {
        (void)close(fd);
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char request[4096];
        const int c = accept(fd, NULL, NULL);
        const ssize_t got = c < 0 ? -1 : recv(c, request, sizeof(request) - 1, 0);

        if (got < 0)
            _exit(1);
        request[got] = 0;
        answer(ctx, c, request);
        (void)close(c);
    }
}

void test_strange_stop(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

unsigned test_entries(const char *dir)
{
    DIR *const d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

unsigned test_descriptors(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    return test_entries(path);
}

void test_temporary(char out[TEST_PATH_BYTES], const char *name)
{
    const char *const tmp = getenv("TMPDIR");
    const int n = snprintf(out, TEST_PATH_BYTES, "%s/numawise-%s-%d", tmp ? tmp : "/tmp", name,
                           (int)getpid());

    assert_in_range(n, 1, TEST_PATH_BYTES - 1);
}

void test_write(const char *path, struct str text)
{
    char temporary[TEST_PATH_BYTES];

    assert_true((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp", path) < sizeof(temporary));
    FILE *const f = fopen(temporary, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(temporary, path), 0);
}

void test_copy_tree(const char *from, const char *to)
{
    DIR *const d = opendir(from);
    struct dirent *e;

    assert_non_null(d);
    assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
    while ((e = readdir(d))) {
        char source[TEST_PATH_BYTES], target[TEST_PATH_BYTES];
        struct buf b = {0};
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        path_in(source, from, e->d_name);
        path_in(target, to, e->d_name);
        assert_int_equal(stat(source, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            test_copy_tree(source, target);
            continue;
        }
        assert_int_equal(test_file_read(source, &b), 0);
        test_write(target, buf_view(&b));
        buf_free(&b);
    }
    (void)closedir(d);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void test_remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_await_figure(uint16_t console, unsigned patience_ms, const char *line)
{
    const uint64_t limit = clock_monotonic_ns() + patience_ms * UINT64_C(1000000);
    struct buf page = {0};

    for (;;) {
        assert_int_equal(test_get(console, "/metrics", &page), 200);
        buf_add(&page, "", 1);
        const bool found = strstr(page.p, line);

        if (!found && clock_monotonic_ns() > limit)
            fail_msg("no %s in %s", line, page.p);
        buf_free(&page);
        if (found)
            return;
        (void)poll(NULL, 0, 20);
    }
}
