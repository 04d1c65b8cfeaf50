/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/tls: what TLS costs a listener. One server of net/ in a child process, once as it is and
 * once with TLS, both in the same run and in turns; one client over one connection each, as
 * kube-scheduler has. The server's CPU time is the measure, the client's waiting stands beside it.
 * Then handshakes, and the memory of connections that are idle.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/clock.h"
#include "bench/load.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "net/http.h"

enum { IDLE = 500, SLICE_MS = 50, HANDSHAKE_MS = 1000 };

/* A request's body and its answer: a pod; 5,000 names; 500 nodes as objects. */
static const struct size {
    const char *name;
    size_t in, out;
} sizes[] = {
    {"6 KB in, 1 KB out", 6000, 1000},
    {"150 KB in, 225 KB out", 150000, 225000},
    {"6.4 MB in, 6.4 MB out", 6400000, 6400000},
};
enum { SIZES = ARRAY_LEN(sizes), LARGEST = 6400000 };

static pid_t server_pid = -1;
static char cert_path[540], key_path[540]; /* in the scratch directory */
static char *filling;                      /* [LARGEST] */

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void clean_up(void)
{
    if (server_pid > 0) {
        (void)kill(server_pid, SIGKILL);
        (void)waitpid(server_pid, NULL, 0);
    }
}

/* ---- the server ---- */

static void reply(void *ctx, const struct http_request *req, struct http_reply *r)
{
    const struct size *const size = ctx;

    (void)req;
    http_add_ref(r, filling, size->out);
}

static struct http_server *start(bool secure, uint16_t *port)
{
    const struct http_tls tls = {.cert_file = cert_path, .key_file = key_path};
    const struct http_limits limits = {.body_bytes = LARGEST};
    struct http_route routes[SIZES];
    char paths[SIZES][16];
    struct http_server *s = NULL;

    for (size_t i = 0; i < SIZES; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "/scheduler/%zu", i);
        routes[i] =
            (struct http_route){paths[i], HTTP_POST, false, reply, (void *)(uintptr_t)&sizes[i]};
    }
    if (http_server_new(&s, "bench", routes, SIZES, &limits, NULL) < 0 ||
        (secure && http_server_secure(s, &tls, NULL) != 1) ||
        http_server_listen(s, "127.0.0.1:0", NULL) < 0 || http_server_start(s, NULL) < 0)
        give_up("the server does not start");
    *port = (uint16_t)atoi(strrchr(http_server_url(s), ':') + 1);
    return s;
}

/* Ports of the plain listener and of the one with TLS. */
static void start_server(uint16_t ports[2])
{
    int pipe_fd[2];

    if (pipe(pipe_fd) < 0)
        give_up("no pipe");
    server_pid = fork();
    if (server_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)start(false, &ports[0]);
        (void)start(true, &ports[1]);
        if (write(pipe_fd[1], ports, 2 * sizeof(*ports)) < 0)
            _exit(1);
        for (;;)
            (void)pause();
    }
    if (read(pipe_fd[0], ports, 2 * sizeof(*ports)) != (ssize_t)(2 * sizeof(*ports)))
        give_up("the server does not start");
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
}

/* ---- a certificate ---- */

static void make_certificate(void)
{
    X509 *const cert = X509_new();
    EVP_PKEY *const key = EVP_EC_gen("P-256");

    if (!cert || !key)
        give_up("no key");
    (void)snprintf(cert_path, sizeof(cert_path), "%s/c", scratch_path());
    (void)snprintf(key_path, sizeof(key_path), "%s/k", scratch_path());
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    FILE *const c = fopen(cert_path, "we"), *const k = fopen(key_path, "we");
    if (X509_sign(cert, key, EVP_sha256()) == 0 || !c || !k || PEM_write_X509(c, cert) != 1 ||
        PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) != 1)
        give_up("no certificate");
    (void)fclose(c);
    (void)fclose(k);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- the client ---- */

struct peer {
    struct load load;
    SSL *ssl;  /* NULL: without */
    char *in;  /* [LARGEST + 4096] */
    char *out; /* the same: head and body go out together */
};

static SSL *greet(int fd)
{
    static SSL_CTX *ctx;

    if (!ctx)
        ctx = SSL_CTX_new(TLS_client_method());
    SSL *const ssl = ctx ? SSL_new(ctx) : NULL;
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
        give_up("no handshake");
    return ssl;
}

/* As load_call, through TLS. */
static void call_secure(struct peer *p, size_t i)
{
    const int n = snprintf(p->out, 4096,
                           "POST /scheduler/%zu HTTP/1.1\r\nHost: n\r\nContent-Length: %zu\r\n\r\n",
                           i, sizes[i].in);
    size_t have = 0, got;
    const char *end = NULL;

    memcpy(p->out + n, filling, sizes[i].in);
    if (SSL_write_ex(p->ssl, p->out, (size_t)n + sizes[i].in, &got) != 1)
        give_up("the server does not read");
    while (!end || have < (size_t)(end - p->in) + 4 + sizes[i].out) {
        if (SSL_read_ex(p->ssl, p->in + have, sizes[i].out + 4095 - have, &got) != 1)
            give_up("the server closed the connection");
        have += got;
        p->in[have] = 0;
        end = end ? end : strstr(p->in, "\r\n\r\n");
    }
}

static void call(struct peer *p, size_t i)
{
    char verb[8];
    const struct str body = {filling, sizes[i].in};
    struct str answer;

    if (p->ssl) {
        call_secure(p, i);
        return;
    }
    (void)snprintf(verb, sizeof(verb), "%zu", i);
    (void)load_call(&p->load, verb, &body, 1, &answer);
}

struct figures {
    uint64_t calls, ns, cpu_ns;
};

static void add_slice(struct figures *f, struct peer *p, size_t i)
{
    const uint64_t start = clock_monotonic_ns(), cpu = process_cpu_ns(server_pid);
    uint64_t n = 0;

    do {
        call(p, i);
        n++;
    } while (clock_monotonic_ns() - start < SLICE_MS * UINT64_C(1000000));
    f->calls += n;
    f->ns += clock_monotonic_ns() - start;
    f->cpu_ns += process_cpu_ns(server_pid) - cpu;
}

static double us(uint64_t ns, uint64_t calls)
{
    return (double)ns / (double)calls / 1000;
}

static void compare(struct peer peers[2], size_t i, double seconds)
{
    struct figures f[2] = {{0}};

    for (int k = 0; k < 2; k++)
        call(&peers[k], i);
    for (uint64_t slices = 0; slices < (uint64_t)(seconds * 1000 / SLICE_MS); slices++)
        add_slice(&f[slices % 2], &peers[slices % 2], i);
    const double plain = us(f[0].cpu_ns, f[0].calls), tls = us(f[1].cpu_ns, f[1].calls);
    printf("%-24s %10.1f %10.1f %8.2f %12.1f %10.1f %8.2f\n", sizes[i].name, plain, tls,
           tls / plain, us(f[0].ns, f[0].calls), us(f[1].ns, f[1].calls),
           us(f[1].ns, f[1].calls) / us(f[0].ns, f[0].calls));
}

static void measure_handshakes(uint16_t port)
{
    const uint64_t start = clock_monotonic_ns(), cpu = process_cpu_ns(server_pid);
    uint64_t n = 0;

    while (clock_monotonic_ns() - start < HANDSHAKE_MS * UINT64_C(1000000)) {
        struct load l;
        load_open(&l, port);
        SSL *const ssl = greet(l.fd);
        SSL_free(ssl);
        load_close(&l);
        n++;
    }
    printf("a handshake (P-256, no client certificate): %.0f us of the server's CPU\n",
           us(process_cpu_ns(server_pid) - cpu, n));
}

static void measure_idle(uint16_t port)
{
    static struct peer idle[IDLE];
    const uint64_t before = process_kib(server_pid, "VmRSS");

    for (int i = 0; i < IDLE; i++) {
        load_open(&idle[i].load, port);
        idle[i].ssl = greet(idle[i].load.fd);
        idle[i].in = malloc(8192);
        idle[i].out = malloc(8192);
        call_secure(&idle[i], 0);
    }
    printf("an idle connection that has had an answer: %.1f KiB of the server's memory\n",
           (double)(process_kib(server_pid, "VmRSS") - before) / IDLE);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 4;
    static struct peer peers[2];
    uint16_t ports[2];

    if (!(seconds > 0 && seconds < 3600)) {
        fprintf(stderr, "usage: tls [SECONDS]\n");
        return 2;
    }
    http_process_setup();
    scratch_make();
    (void)atexit(clean_up);
    filling = malloc(LARGEST);
    if (!filling)
        give_up("out of memory");
    memset(filling, 'x', LARGEST);
    make_certificate();
    start_server(ports);
    for (int k = 0; k < 2; k++) {
        load_open(&peers[k].load, ports[k]);
        peers[k].in = malloc(LARGEST + 4096);
        peers[k].out = malloc(LARGEST + 4096);
    }
    peers[1].ssl = greet(peers[1].load.fd);
    printf("%-24s %10s %10s %8s %12s %10s %8s\n", "us a call", "CPU plain", "CPU TLS", "ratio",
           "wait plain", "wait TLS", "ratio");
    for (size_t i = 0; i < SIZES; i++)
        compare(peers, i, seconds);
    measure_handshakes(ports[1]);
    measure_idle(ports[1]);
    return 0;
}
