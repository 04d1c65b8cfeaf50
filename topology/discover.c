/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/discover.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "topology/discover_import.h"
#include "topology/model.h"

enum {
    DEFAULT_LIMIT_MS = 10000,
    CHILD_ADDRESS_BYTES = 1 << 30,
    FILE_BYTES = 64 << 20,    /* the largest XML that is read */
    MESSAGE_BYTES = 16 << 20, /* more than the format can need */
};

/* A sanitizer's shadow is address space too, far more than the limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif

/* The first byte on the pipe. */
enum { ANSWER_MACHINE = 'M', ANSWER_ERROR = 'E' };

static const char *source_name(const struct topo_source *src)
{
    return src->kind == TOPO_SOURCE_HERE ? "this machine" : src->text;
}

/* --- in the child --- */

/*
 * hwloc takes its orders from the environment; only `src` may give them. The child ends itself by
 * the alarm when it hangs, and by the limit when it eats memory.
 */
static void confine_child(const struct topo_source *src)
{
    static const char *const orders[] = {
        "HWLOC_XMLFILE",    "HWLOC_SYNTHETIC",  "HWLOC_FSROOT", "HWLOC_CPUID_PATH",
        "HWLOC_COMPONENTS", "HWLOC_THISSYSTEM", "HWLOC_ALLOW",  "HWLOC_DUMPED_HWDATA_DIR"};
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM, SIGPIPE};
    const uint32_t ms = src->limit_ms ? src->limit_ms : DEFAULT_LIMIT_MS;
    const struct itimerval timer = {.it_value = {ms / 1000, (ms % 1000) * 1000}};
    const struct rlimit none = {0, 0};
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t all;

    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        unsetenv(orders[i]);
    for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
        signal(deadly[i], SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    setrlimit(RLIMIT_CORE, &none);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO); /* hwloc explains itself at length */
    }
#ifndef UNDER_SANITIZER
    const struct rlimit room = {CHILD_ADDRESS_BYTES, CHILD_ADDRESS_BYTES};
    if (src->kind != TOPO_SOURCE_HERE) /* vendors' GPU libraries map more than that */
        setrlimit(RLIMIT_AS, &room);
#endif
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Everything that can be read from `fd`, at most `max` bytes. */
static int read_all(struct buf *out, int fd, size_t max, struct err *err)
{
    char block[16384];

    for (;;) {
        const ssize_t n = read(fd, block, sizeof(block));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, -errno, "%s", strerror(errno));
        if (n == 0)
            return out->failed ? err_set(err, -ENOMEM, "out of memory") : 0;
        if (out->n + (size_t)n > max)
            return err_set(err, -E2BIG, "larger than %zu MiB", max >> 20);
        buf_add(out, block, (size_t)n);
    }
}

/* hwloc only says "Invalid argument"; the commonest cause deserves its name. */
static int refused_xml(const struct buf *text, struct err *err)
{
    static const char version[] = "<topology version=\"3";

    if (text->n == 0)
        return err_set(err, -EPROTO, "the file is empty");
    if (memmem(text->p, text->n, version, sizeof(version) - 1))
        return err_set(err, -EPROTO,
                       "this is the XML format of hwloc 3; hwloc %d.%d reads format"
                       " 2 (export with lstopo --export-xml-flags v2)",
                       HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 0xff);
    return err_set(err, -EPROTO, "hwloc cannot read this as the XML of a topology");
}

static int set_xml(hwloc_topology_t topo, const char *path, struct buf *text, struct err *err)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    const int rc = read_all(text, fd, FILE_BYTES, err);
    if (rc < 0)
        return rc;
    if (text->n == 0 || hwloc_topology_set_xmlbuffer(topo, text->p, (int)text->n + 1) < 0)
        return refused_xml(text, err);
    return 0;
}

static bool is_directory(const char *dir, const char *below)
{
    struct buf path = {0};
    struct stat st;

    buf_printf(&path, "%s/%s", dir, below);
    const bool is = path.p && stat(path.p, &st) == 0 && S_ISDIR(st.st_mode);
    buf_free(&path);
    return is;
}

static int set_fsroot(const char *dir, struct err *err)
{
    struct stat st;

    if (stat(dir, &st) < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "not a directory");
    if (!is_directory(dir, "sys/devices/system/cpu"))
        return err_set(err, -ENOENT, "there is no sys/devices/system/cpu in it");
    setenv("HWLOC_FSROOT", dir, 1);
    setenv("HWLOC_COMPONENTS", "linux,stop", 1);
    setenv("HWLOC_THISSYSTEM", "0", 1);
    return 0;
}

/* Before hwloc_topology_init, which reads the environment. */
static int prepare(const struct topo_source *src, struct err *err)
{
    return src->kind == TOPO_SOURCE_FSROOT ? set_fsroot(src->text, err) : 0;
}

static int set_source(hwloc_topology_t topo, const struct topo_source *src, struct buf *text,
                      struct err *err)
{
    if (src->kind == TOPO_SOURCE_XML)
        return set_xml(topo, src->text, text, err);
    if (src->kind == TOPO_SOURCE_SYNTHETIC && hwloc_topology_set_synthetic(topo, src->text) < 0)
        return err_set(err, -EINVAL,
                       "hwloc does not understand this description; one that it does is"
                       " \"package:2 numa:2 core:8 pu:2\"");
    return 0;
}

/* These components create contexts on GPUs or X displays, which takes seconds. */
static void leave_out_slow_components(hwloc_topology_t topo)
{
    static const char *const slow[] = {"cuda", "opencl", "gl"};

    for (size_t i = 0; i < ARRAY_LEN(slow); i++)
        (void)hwloc_topology_set_components(topo, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                            slow[i]);
}

static int load(hwloc_topology_t topo, const struct topo_source *src, struct buf *text,
                struct err *err)
{
    const int rc = set_source(topo, src, text, err);

    if (rc < 0)
        return rc;
    leave_out_slow_components(topo);
    hwloc_topology_set_io_types_filter(topo, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    hwloc_topology_set_flags(topo, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    if (hwloc_topology_load(topo) < 0)
        return src->kind == TOPO_SOURCE_XML
                   ? refused_xml(text, err)
                   : err_set(err, -EPROTO, "hwloc cannot load it: %s", strerror(errno));
    return 0;
}

static const char *facts_root(const struct topo_source *src)
{
    switch (src->kind) {
    case TOPO_SOURCE_HERE:
        return "";
    case TOPO_SOURCE_FSROOT:
        return src->text;
    case TOPO_SOURCE_XML:
    case TOPO_SOURCE_SYNTHETIC:
        break;
    }
    return NULL;
}

/* The process ends soon, so nothing is freed: freeing a broken topology is one more risk. */
static int import(struct topo_machine *out, const struct topo_source *src, struct err *err)
{
    void *const room = malloc(TOPO_DISCOVER_ARENA_BYTES);
    struct topo_facts facts = {.root = facts_root(src)};
    struct buf text = {0};
    struct arena a;
    int rc = prepare(src, err);

    if (rc < 0)
        return rc;
    if (!room || hwloc_topology_init(&facts.hwloc) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    arena_init(&a, room, TOPO_DISCOVER_ARENA_BYTES);
    rc = load(facts.hwloc, src, &text, err);
    if (rc == 0)
        rc = topo_import_machine(out, &facts, &a, err);
    if (rc == 0)
        rc = topo_import_devices(out, &facts, &a, err);
    return rc;
}

static void send_all(int fd, const struct buf *b)
{
    size_t sent = 0;

    while (sent < b->n) {
        const ssize_t n = write(fd, b->p + sent, b->n - sent);

        if (n < 0 && errno != EINTR)
            return;
        sent += n > 0 ? (size_t)n : 0;
    }
}

static _Noreturn void child(int fd, const struct topo_source *src)
{
    struct topo_machine m = {0};
    struct buf answer = {0};
    struct err err = {0};

    fd = fcntl(fd, F_DUPFD_CLOEXEC,
               STDERR_FILENO + 1); /* the pipe may be 1 where stdout is closed */
    confine_child(src);
    if (import(&m, src, &err) == 0) {
        buf_add(&answer, &(char){ANSWER_MACHINE}, 1);
        topo_wire_encode(&answer, &m);
    } else {
        buf_add(&answer, &(char){ANSWER_ERROR}, 1);
        buf_add(&answer, &err, sizeof(err));
    }
    if (!answer.failed)
        send_all(fd, &answer);
    _exit(answer.failed ? 1 : 0);
}

/* --- in the parent --- */

static int read_error(struct str body, const struct topo_source *src, struct err *err)
{
    struct err sent;

    if (body.n != sizeof(sent))
        return err_set(err, -EPROTO, "%s: the importer sent half an error", source_name(src));
    memcpy(&sent, body.p, sizeof(sent));
    sent.text[sizeof(sent.text) - 1] = '\0';
    if (sent.code >= 0)
        return err_set(err, -EPROTO, "%s: the importer sent an error that is none",
                       source_name(src));
    return err_set(err, sent.code, "%s: %s", source_name(src), sent.text);
}

static int how_it_died(int status, const struct topo_source *src, struct err *err)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return err_set(err, -ETIMEDOUT, "%s: hwloc did not finish within %u ms", source_name(src),
                       src->limit_ms ? src->limit_ms : DEFAULT_LIMIT_MS);
    if (WIFSIGNALED(status))
        return err_set(err, -EPROTO, "%s: hwloc crashed while reading it (%s)", source_name(src),
                       strsignal(WTERMSIG(status)));
    return err_set(err, -EPROTO, "%s: hwloc ended while reading it", source_name(src));
}

static int read_answer(struct topo_machine *out, struct str answer, int status,
                       const struct topo_source *src, struct arena *a, struct err *err)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.n == 0)
        return how_it_died(status, src, err);
    const struct str body = {answer.p + 1, answer.n - 1};
    if (answer.p[0] == ANSWER_ERROR)
        return read_error(body, src, err);
    if (answer.p[0] != ANSWER_MACHINE)
        return err_set(err, -EPROTO, "%s: the importer spoke nonsense", source_name(src));
    const int rc = topo_wire_decode(out, body, a, err);
    return rc < 0 ? err_wrap(err, rc, "%s", source_name(src)) : 0;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* Read what the child says until it ends; the child's own alarm bounds that. */
static int hear(struct topo_machine *out, pid_t pid, int fd, const struct topo_source *src,
                struct arena *a, struct err *err)
{
    CLEANUP(buf_free) struct buf answer = {0};
    const int rc = read_all(&answer, fd, MESSAGE_BYTES, err);

    if (rc < 0)
        kill(pid, SIGKILL);
    const int status = wait_for(pid);
    if (rc < 0)
        return err_wrap(err, rc == -ENOMEM ? rc : -EIO, "%s: importer", source_name(src));
    return read_answer(out, buf_view(&answer), status, src, a, err);
}

int topo_discover(struct topo_machine *out, const struct topo_source *src, struct arena *a,
                  struct err *err)
{
    int ends[2];

    assert(src->kind == TOPO_SOURCE_HERE || src->text);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, -EIO, "pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], src);
    }
    const int failed = pid < 0 ? errno : 0;
    close(ends[1]);
    const int rc = pid < 0 ? err_set(err, -ENOMEM, "fork: %s", strerror(failed))
                           : hear(out, pid, ends[0], src, a, err);
    close(ends[0]);
    return rc;
}
