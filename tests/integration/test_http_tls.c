/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on a listener, as clients of every kind see it: who is let in, and that all else is as
 * before. */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/http.h"
#include "tests/support/raw.h"
#include "tests/support/tls.h"

enum { MIB = 1024 * 1024, BIG_BYTES = 16 * MIB, PATH_BYTES = 400, YEAR_S = 365 * 24 * 60 * 60 };

#define GET(path) "GET " path " HTTP/1.1\r\nHost: n\r\n\r\n"

/* ---- the server's side ---- */

static void echo(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_add_ref(reply, req->body.p, req->body.n);
}

static void add(struct http_reply *reply, struct str text)
{
    http_add(reply, text.p, text.n);
    http_add(reply, ";", 1);
}

static void tell_client(const struct http_client *c, struct http_reply *reply)
{
    if (!c) {
        http_add(reply, "nobody", 6);
        return;
    }
    add(reply, c->common_name);
    for (size_t i = 0; i < c->n_organizations; i++)
        add(reply, c->organizations[i]);
    for (size_t i = 0; i < c->n_names; i++)
        add(reply, c->names[i]);
}

static void who(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    tell_client(req->client, reply);
}

static struct {
    _Atomic(const struct http_request *) req;
    struct http_reply *reply;
} kept;

static void later(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    (void)ctx;
    http_defer(reply, 20000);
    kept.reply = reply;
    kept.req = req;
}

static const struct http_route routes[] = {
    {"/echo", HTTP_POST, false, echo, NULL},
    {"/who", HTTP_GET, false, who, NULL},
    {"/later", HTTP_GET, false, later, NULL},
};

/* ---- certificates, in files ---- */

static struct {
    char dir[64], cert[PATH_BYTES], key[PATH_BYTES], ca[PATH_BYTES], other[PATH_BYTES];
    struct tls_pair ca_pair, other_ca, between;  /* between: signed by ca */
    struct tls_pair server, server2;             /* for 127.0.0.1, of ca */
    struct tls_pair scheduler, friend, stranger; /* clients, of ca */
} pki;

static void path_to(char out[PATH_BYTES], const char *name)
{
    (void)snprintf(out, PATH_BYTES, "%s/%s", pki.dir, name);
}

static const struct tls_wish server_wish = {
    .common_name = "numawise", .names = "IP:127.0.0.1", .usage = "serverAuth"};

static int make_pki(void **state)
{
    const char *const base = getenv("TMPDIR");

    (void)state;
    (void)snprintf(pki.dir, sizeof(pki.dir), "%s/numawise-tls-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(pki.dir));
    path_to(pki.cert, "tls.crt");
    path_to(pki.key, "tls.key");
    path_to(pki.ca, "ca.crt");
    path_to(pki.other, "other");
    pki.ca_pair = tls_make(&(struct tls_wish){.common_name = "ca", .is_ca = true}, NULL);
    pki.other_ca = tls_make(&(struct tls_wish){.common_name = "ca", .is_ca = true}, NULL);
    pki.between =
        tls_make(&(struct tls_wish){.common_name = "between", .is_ca = true}, &pki.ca_pair);
    pki.server = tls_make(&server_wish, &pki.ca_pair);
    pki.server2 = tls_make(&server_wish, &pki.ca_pair);
    pki.scheduler =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler"}, &pki.ca_pair);
    pki.friend = tls_make(&(struct tls_wish){.common_name = "x",
                                             .organizations = {"a", "b"},
                                             .names = "DNS:Friend.Example,URI:spiffe://c/ns/f",
                                             .usage = "clientAuth"},
                          &pki.ca_pair);
    pki.stranger = tls_make(&(struct tls_wish){.common_name = "stranger"}, &pki.ca_pair);
    return 0;
}

static int drop_pki(void **state)
{
    struct tls_pair *const all[] = {&pki.ca_pair, &pki.other_ca,  &pki.between, &pki.server,
                                    &pki.server2, &pki.scheduler, &pki.friend,  &pki.stranger};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        tls_pair_free(all[i]);
    (void)unlink(pki.cert);
    (void)unlink(pki.key);
    (void)unlink(pki.ca);
    (void)unlink(pki.other);
    return rmdir(pki.dir);
}

static void write_server(const struct tls_pair *p)
{
    tls_write_certs(pki.cert, p, NULL);
    tls_write_key(pki.key, p, NULL);
}

static const char *const usual_names[] = {"system:kube-scheduler", "friend.example"};

/* With client certificates and the usual names. */
static struct http_tls strict(void)
{
    return (struct http_tls){.cert_file = pki.cert,
                             .key_file = pki.key,
                             .client_ca_file = pki.ca,
                             .allowed_names = usual_names,
                             .n_allowed_names = ARRAY_LEN(usual_names)};
}

static struct http_tls open_to_all(void)
{
    return (struct http_tls){.cert_file = pki.cert, .key_file = pki.key};
}

static struct http_server *start_with(struct http_tls tls, struct http_limits limits)
{
    struct http_server *s = NULL;
    struct err err = {0};

    limits.body_bytes = BIG_BYTES;
    if (http_server_new(&s, "test", routes, ARRAY_LEN(routes), &limits, &err) < 0 ||
        http_server_secure(s, &tls, &err) != 1 || http_server_listen(s, "127.0.0.1:0", &err) < 0 ||
        http_server_start(s, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(strncmp(http_server_url(s), "https://127.0.0.1:", 18), 0);
    return s;
}

static struct http_server *start(struct http_tls tls)
{
    write_server(&pki.server);
    tls_write_certs(pki.ca, &pki.ca_pair, NULL);
    return start_with(tls, (struct http_limits){0});
}

static uint64_t failures(const struct http_server *s, enum http_tls_failure why)
{
    struct http_stats stats;

    http_server_stats(s, &stats);
    return stats.tls_failures[why];
}

/* ---- the client's side ---- */

static SSL *dial(const struct http_server *s, const struct tls_client *with)
{
    return tls_client_dial(raw_dial(s), with);
}

/* Status, and the body in `body` [512]; -1: no answer. */
static int ask(SSL *ssl, const char *request, char *body)
{
    char head[512];

    return tls_say(ssl, request, strlen(request)) ? tls_hear(ssl, head, sizeof(head), body, 512)
                                                  : -1;
}

/* Whether the client gets an answer. */
static bool is_let_in(const struct http_server *s, const struct tls_client *with)
{
    char body[512];
    SSL *const ssl = dial(s, with);
    const bool in = ssl && ask(ssl, GET("/who"), body) == 200;

    if (ssl)
        tls_client_close(ssl);
    return in;
}

static void expect_served(const struct http_server *s)
{
    assert_true(is_let_in(s, &(struct tls_client){.ca = &pki.ca_pair, .own = &pki.scheduler}));
}

/* ---- who is let in ---- */

static void a_client_needs_a_certificate_of_the_ca_with_an_allowed_name(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_pair wrong_ca =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler"}, &pki.other_ca);
    struct tls_pair expired = tls_make(
        &(struct tls_wish){.common_name = "system:kube-scheduler", .from_s = -200, .to_s = -100},
        &pki.ca_pair);
    struct tls_pair early = tls_make(
        &(struct tls_wish){.common_name = "system:kube-scheduler", .from_s = 1000, .to_s = 2000},
        &pki.ca_pair);
    struct tls_pair server_only =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler", .usage = "serverAuth"},
                 &pki.ca_pair);
    struct tls_pair prefix =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler2",
                                    .names = "DNS:a.friend.example,DNS:riend.example"},
                 &pki.ca_pair);
    struct tls_pair by_between =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler"}, &pki.between);
    struct tls_pair by_leaf =
        tls_make(&(struct tls_wish){.common_name = "system:kube-scheduler"}, &pki.stranger);
    struct {
        const char *what;
        const struct tls_pair *own, *between;
        int why; /* HTTP_TLS_FAILURES: let in */
    } const cases[] = {
        {"common name", &pki.scheduler, NULL, HTTP_TLS_FAILURES},
        {"DNS name", &pki.friend, NULL, HTTP_TLS_FAILURES},
        {"by another CA that the client brings", &by_between, &pki.between, HTTP_TLS_FAILURES},
        {"none", NULL, NULL, HTTP_TLS_NO_CERTIFICATE},
        {"another CA of the same name", &wrong_ca, NULL, HTTP_TLS_UNTRUSTED},
        {"expired", &expired, NULL, HTTP_TLS_VALIDITY},
        {"not valid yet", &early, NULL, HTTP_TLS_VALIDITY},
        {"for servers only", &server_only, NULL, HTTP_TLS_UNTRUSTED},
        {"another name", &pki.stranger, NULL, HTTP_TLS_NAME},
        {"nearly the name", &prefix, NULL, HTTP_TLS_NAME},
        {"a link is missing", &by_between, NULL, HTTP_TLS_UNTRUSTED},
        {"signed by what is no CA", &by_leaf, &pki.stranger, HTTP_TLS_UNTRUSTED},
    };
    struct http_server *const s = start(strict());

    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            const struct tls_client with = {.own = cases[i].own,
                                            .between = cases[i].between,
                                            .ca = &pki.ca_pair,
                                            .version = versions[v]};
            const bool in = is_let_in(s, &with);
            if (in != (cases[i].why == HTTP_TLS_FAILURES))
                fail_msg("%s: %s", cases[i].what, in ? "let in" : "refused");
            if (in)
                continue;
            for (int ms = 0;
                 ms < RAW_PATIENCE_MS && failures(s, (enum http_tls_failure)cases[i].why) == v;
                 ms++)
                raw_sleep_ms(1);
            raw_wait_until_open(s, 0);
        }
    assert_int_equal(failures(s, HTTP_TLS_NO_CERTIFICATE), 2);
    assert_int_equal(failures(s, HTTP_TLS_UNTRUSTED), 8);
    assert_int_equal(failures(s, HTTP_TLS_VALIDITY), 4);
    assert_int_equal(failures(s, HTTP_TLS_NAME), 4);
    http_server_free(s);
    struct tls_pair *const made[] = {&wrong_ca, &expired, &early,     &server_only,
                                     &prefix,   &by_leaf, &by_between};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        tls_pair_free(made[i]);
}

static void without_allowed_names_the_ca_vouches_for_all(void **state)
{
    struct http_tls tls = strict();

    (void)state;
    tls.n_allowed_names = 0;
    struct http_server *const s = start(tls);
    assert_true(is_let_in(s, &(struct tls_client){.own = &pki.stranger}));
    assert_false(is_let_in(s, &(struct tls_client){0}));
    http_server_free(s);
}

/* As in Go: what the file holds is trusted, whoever signed it. */
static void a_ca_that_is_no_root_is_enough(void **state)
{
    struct tls_pair client =
        tls_make(&(struct tls_wish){.common_name = "friend.example"}, &pki.between);

    (void)state;
    write_server(&pki.server);
    tls_write_certs(pki.ca, &pki.between, NULL);
    struct http_server *const s = start_with(strict(), (struct http_limits){0});
    assert_true(is_let_in(s, &(struct tls_client){.own = &client}));
    assert_false(is_let_in(s, &(struct tls_client){.own = &pki.scheduler}));
    http_server_free(s);
    tls_pair_free(&client);
}

static void the_handler_knows_whom_it_serves(void **state)
{
    struct http_tls tls = strict();
    char body[512];

    (void)state;
    tls.client_optional = true;
    struct http_server *const s = start(tls);
    SSL *ssl = dial(s, &(struct tls_client){.own = &pki.friend});
    assert_int_equal(ask(ssl, GET("/who"), body), 200);
    assert_string_equal(body, "x;a;b;friend.example;spiffe://c/ns/f;");
    tls_client_close(ssl);
    ssl = dial(s, &(struct tls_client){0});
    assert_int_equal(ask(ssl, GET("/who"), body), 200);
    assert_string_equal(body, "nobody");
    tls_client_close(ssl);
    assert_false(is_let_in(s, &(struct tls_client){.own = &pki.stranger})); /* shown and wrong */
    http_server_free(s);
}

static void a_name_with_a_zero_byte_is_none(void **state)
{
    struct tls_pair p = tls_make(&(struct tls_wish){.common_name = "y"}, NULL);
    static const char text[] = "system:kube-scheduler\0.evil";
    X509_NAME *const subject = X509_get_subject_name(p.cert);

    (void)state;
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                (const unsigned char *)text, sizeof(text) - 1, -1,
                                                0),
                     1);
    X509_set_issuer_name(p.cert, X509_get_subject_name(pki.ca_pair.cert));
    assert_true(X509_sign(p.cert, pki.ca_pair.key, EVP_sha256()) > 0);
    struct http_server *const s = start(strict());
    assert_false(is_let_in(s, &(struct tls_client){.own = &p}));
    for (int ms = 0; ms < RAW_PATIENCE_MS && failures(s, HTTP_TLS_NAME) == 0; ms++)
        raw_sleep_ms(1);
    assert_int_equal(failures(s, HTTP_TLS_NAME), 1);
    http_server_free(s);
    tls_pair_free(&p);
}

/* ---- versions, ciphers, protocols ---- */

static void old_versions_and_weak_ciphers_are_refused(void **state)
{
    static const struct {
        int version;
        const char *ciphers;
        bool in;
    } cases[] = {
        {TLS1_VERSION, "ALL:@SECLEVEL=0", false},
        {TLS1_1_VERSION, "ALL:@SECLEVEL=0", false},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384", false}, /* CBC */
        {TLS1_2_VERSION, "AES128-GCM-SHA256:AES256-GCM-SHA384", false}, /* no forward secrecy */
        {TLS1_2_VERSION, "aNULL:eNULL:@SECLEVEL=0", false},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true},
        {TLS1_3_VERSION, NULL, true},
    };
    struct http_server *const s = start(open_to_all());
    uint64_t refused = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct tls_client with = {.version = cases[i].version, .ciphers = cases[i].ciphers};
        if (is_let_in(s, &with) != cases[i].in)
            fail_msg("case %zu", i);
        refused += !cases[i].in;
    }
    raw_wait_until_open(s, 0);
    assert_int_equal(failures(s, HTTP_TLS_PROTOCOL), refused);
    http_server_free(s);
}

static void of_the_protocols_only_http_1_1_is_chosen(void **state)
{
    static const struct {
        const char *protocols;
        bool in;
    } cases[] = {
        {NULL, true}, {"\x02h2\x08http/1.1", true}, {"\x08http/1.1", true}, {"\x02h2", false}};
    struct http_server *const s = start(open_to_all());

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SSL *const ssl = dial(s, &(struct tls_client){.protocols = cases[i].protocols});
        const unsigned char *chosen = NULL;
        unsigned n = 0;
        assert_int_equal(ssl != NULL, cases[i].in);
        if (!ssl)
            continue;
        SSL_get0_alpn_selected(ssl, &chosen, &n);
        assert_int_equal(n, cases[i].protocols ? 8 : 0);
        if (n)
            assert_memory_equal(chosen, "http/1.1", 8);
        tls_client_close(ssl);
    }
    http_server_free(s);
}

static void nothing_is_negotiated_again_and_nothing_resumed(void **state)
{
    struct http_server *const s = start(open_to_all());
    char body[512];

    (void)state;
    SSL *ssl = dial(s, &(struct tls_client){.version = TLS1_2_VERSION});
    assert_int_equal(ask(ssl, GET("/who"), body), 200);
    assert_int_equal(SSL_SESSION_has_ticket(SSL_get0_session(ssl)), 0);
    unsigned id_n = 0;
    SSL_SESSION_get_id(SSL_get0_session(ssl), &id_n);
    assert_int_equal(id_n, 0);
    assert_int_equal(SSL_renegotiate(ssl), 1);
    assert_int_not_equal(SSL_do_handshake(ssl), 1);
    ERR_clear_error();
    tls_client_drop(ssl);
    ssl = dial(s, &(struct tls_client){.version = TLS1_3_VERSION});
    assert_int_equal(ask(ssl, GET("/who"), body), 200);
    assert_int_equal(SSL_SESSION_is_resumable(SSL_get0_session(ssl)), 0);
    tls_client_close(ssl);
    assert_true(is_let_in(s, &(struct tls_client){0}));
    http_server_free(s);
}

/* ---- HTTP is as before ---- */

static void a_thousand_requests_use_one_connection(void **state)
{
    struct http_server *const s = start(strict());
    SSL *const ssl = dial(s, &(struct tls_client){.own = &pki.scheduler, .ca = &pki.ca_pair});
    struct http_stats stats;
    char body[512];

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ask(ssl, GET("/who"), body), 200);
    assert_string_equal(body, "system:kube-scheduler;");
    http_server_stats(s, &stats);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.handshakes, 1);
    assert_int_equal(stats.requests, 1000);
    tls_client_close(ssl);
    http_server_free(s);
}

static void a_request_in_records_of_any_size_is_the_same(void **state)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello" GET("/who");
    struct http_server *const s = start(open_to_all());
    SSL *const ssl = dial(s, &(struct tls_client){0});
    char head[512], body[512];

    (void)state;
    for (size_t piece = 1; piece <= sizeof(request); piece++) {
        for (size_t at = 0; at < sizeof(request) - 1; at += piece) {
            const size_t left = sizeof(request) - 1 - at;
            assert_true(tls_say(ssl, request + at, piece < left ? piece : left));
        }
        assert_int_equal(tls_hear(ssl, head, sizeof(head), body, sizeof(body)), 200);
        assert_string_equal(body, "hello");
        assert_int_equal(tls_hear(ssl, head, sizeof(head), body, sizeof(body)), 200);
        assert_string_equal(body, "nobody");
    }
    tls_client_close(ssl);
    http_server_free(s);
}

/* More than one turn takes, and more than the socket does: all of it is found without a nudge. */
static void what_is_pipelined_is_answered_in_order(void **state)
{
    enum { N = 3000 };
    struct http_server *const s = start(open_to_all());
    SSL *const ssl = dial(s, &(struct tls_client){0});
    static const char one[] = GET("/who");
    char *const all = malloc(N * sizeof(one)), head[512], body[512];

    (void)state;
    assert_non_null(all);
    for (int i = 0; i < N; i++)
        memcpy(all + (size_t)i * (sizeof(one) - 1), one, sizeof(one) - 1);
    assert_true(tls_say(ssl, all, N * (sizeof(one) - 1)));
    for (int i = 0; i < N; i++)
        assert_int_equal(tls_hear(ssl, head, sizeof(head), body, sizeof(body)), 200);
    free(all);
    tls_client_close(ssl);
    http_server_free(s);
}

static void echo_big(SSL *ssl, unsigned pause_ms)
{
    char *const body = malloc(BIG_BYTES), *const got = malloc(BIG_BYTES + 1);
    char head[512];

    assert_true(body && got);
    for (size_t i = 0; i < BIG_BYTES; i++)
        body[i] = (char)('a' + i % 23);
    const int n =
        snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n",
                 BIG_BYTES);
    assert_true(tls_say(ssl, head, (size_t)n));
    assert_true(tls_say(ssl, body, BIG_BYTES));
    raw_sleep_ms(pause_ms);
    assert_int_equal(tls_hear(ssl, head, sizeof(head), got, BIG_BYTES + 1), 200);
    assert_memory_equal(got, body, BIG_BYTES);
    free(body);
    free(got);
}

static void large_bodies_go_in_and_out(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct http_server *const s = start(open_to_all());

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        SSL *const ssl = dial(s, &(struct tls_client){.version = versions[i]});
        echo_big(ssl, 0);
        echo_big(ssl, 50); /* the reply has to wait for the socket */
        assert_int_equal(ask(ssl, GET("/who"), (char[512]){0}), 200);
        tls_client_close(ssl);
    }
    http_server_free(s);
}

static void a_body_that_waits_for_100_is_called(void **state)
{
    struct http_server *const s = start(open_to_all());
    SSL *const ssl = dial(s, &(struct tls_client){0});
    char body[512];

    (void)state;
    assert_int_equal(
        ask(ssl,
            "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            body),
        100);
    assert_int_equal(ask(ssl, "hi", body), 200);
    assert_string_equal(body, "hi");
    tls_client_close(ssl);
    http_server_free(s);
}

static void hostile_bytes_get_their_status_under_tls_too(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /who HTTP/1.1\r\n\r\n", 400},
        {"GET /who HTTP/2.0\r\nHost: n\r\n\r\n", 505},
        {"POST /echo HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
        {"POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 99999999\r\n\r\n", 413},
        {"\x16\x03\x01", 400},
    };
    struct http_server *const s = start(open_to_all());

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        SSL *const ssl = dial(s, &(struct tls_client){0});
        char body[512];
        assert_int_equal(ask(ssl, cases[i].request, body), cases[i].status);
        assert_int_equal(SSL_read(ssl, body, 1), 0);
        assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* close_notify */
        tls_client_close(ssl);
    }
    http_server_free(s);
}

static void deadlines_hold_at_every_step(void **state)
{
    write_server(&pki.server);
    struct http_server *const s = start_with(
        open_to_all(), (struct http_limits){.head_ms = 60, .body_ms = 60, .idle_ms = 60});
    const int silent = raw_dial(s), half = raw_dial(s);
    char body[512];

    (void)state;
    raw_push(half, "\x16\x03\x01\x02\x00\x01\x00", 7); /* a ClientHello begins */
    raw_expect_closed(silent);
    assert_true(recv(half, body, 1, 0) <= 0);
    close(half);
    assert_int_equal(failures(s, HTTP_TLS_DEADLINE), 2);
    SSL *ssl = dial(s, &(struct tls_client){0});
    assert_int_equal(ask(ssl, "GET /who HTTP/1.1\r\n", body), 408);
    tls_client_close(ssl);
    ssl = dial(s, &(struct tls_client){0});
    assert_int_equal(ask(ssl, "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\nh", body),
                     408);
    tls_client_close(ssl);
    ssl = dial(s, &(struct tls_client){0});
    assert_int_equal(SSL_read(ssl, body, 1), 0); /* idle: closed without a word of HTTP */
    assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    tls_client_close(ssl);
    http_server_free(s);
}

static void what_is_no_tls_is_closed(void **state)
{
    struct http_server *const s = start(open_to_all());
    uint64_t seed = 7;

    (void)state;
    for (int i = 0; i < 200; i++) {
        const int fd = raw_dial(s);
        char bytes[600];
        for (size_t k = 0; k < sizeof(bytes); k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            bytes[k] = (char)(seed >> 56);
        }
        if (i % 3 == 0)
            memcpy(bytes, "\x16\x03\x01\x02\x00\x01", 6);
        if (i % 3 == 1)
            memcpy(bytes, GET("/who"), sizeof(GET("/who")) - 1);
        raw_push(fd, bytes, sizeof(bytes));
        shutdown(fd, SHUT_WR);
        while (recv(fd, bytes, sizeof(bytes), 0) > 0)
            continue;
        close(fd);
    }
    raw_wait_until_open(s, 0);
    assert_true(is_let_in(s, &(struct tls_client){0}));
    http_server_free(s);
}

/* A handshake cut off after any of its bytes, an answer nobody waits for, an end without a word. */
static void clients_that_vanish_leave_nothing_behind(void **state)
{
    struct http_server *const s = start(strict());
    const struct tls_client with = {.own = &pki.scheduler};

    (void)state;
    for (int i = 0; i < 60; i++) {
        SSL *const ssl = dial(s, &with);
        if (i % 4 == 1)
            (void)tls_say(ssl, "POST /echo HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\nx", 50);
        if (i % 4 == 2)
            (void)tls_say(ssl, GET("/who"), sizeof(GET("/who")) - 1);
        const int fd = SSL_get_fd(ssl);
        if (i % 2) {
            SSL_free(ssl);
            raw_reset(fd);
        } else {
            tls_client_drop(ssl);
        }
    }
    raw_wait_until_open(s, 0);
    expect_served(s);
    http_server_free(s);
}

/* Each key update wants an answer that is never read: the end is a closed connection, not a heap.
 */
static void a_client_that_only_makes_us_answer_is_dropped(void **state)
{
    struct http_server *const s = start(open_to_all());
    const int fd = raw_new_socket();
    const int few = 4096;

    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
    assert_int_equal(raw_try_connect(s, fd), 0);
    SSL *const ssl = tls_client_dial(fd, &(struct tls_client){.version = TLS1_3_VERSION});
    bool is_cut = false;
    for (int i = 0; i < 200000 && !is_cut; i++) {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        is_cut = SSL_do_handshake(ssl) != 1;
    }
    assert_true(is_cut);
    ERR_clear_error();
    tls_client_drop(ssl);
    raw_wait_until_open(s, 0);
    http_server_free(s);
}

/* ---- later answers, and the end ---- */

static const struct http_request *wait_until_kept(void)
{
    for (int ms = 0; ms < RAW_PATIENCE_MS && !kept.req; ms++)
        raw_sleep_ms(1);
    assert_non_null(kept.req);
    return kept.req;
}

static void who_asked_is_known_when_the_connection_is_gone(void **state)
{
    write_server(&pki.server);
    tls_write_certs(pki.ca, &pki.ca_pair, NULL);
    struct http_server *const s = start_with(strict(), (struct http_limits){.drain_ms = 50});
    SSL *ssl = dial(s, &(struct tls_client){.own = &pki.friend});

    (void)state;
    kept.req = NULL;
    assert_true(tls_say(ssl, GET("/later"), sizeof(GET("/later")) - 1));
    (void)wait_until_kept();
    tell_client(kept.req->client, kept.reply);
    http_finish(kept.reply);
    char head[512], body[512];
    assert_int_equal(tls_hear(ssl, head, sizeof(head), body, sizeof(body)), 200);
    assert_string_equal(body, "x;a;b;friend.example;spiffe://c/ns/f;");
    kept.req = NULL;
    assert_true(tls_say(ssl, GET("/later"), sizeof(GET("/later")) - 1));
    const struct http_request *const req = wait_until_kept();
    tls_client_drop(ssl);
    http_server_stop(s); /* drains: nobody waits for this answer any more */
    assert_true(str_is(req->client->common_name, "x"));
    assert_true(str_is(req->client->names[1], "spiffe://c/ns/f"));
    http_finish(kept.reply);
    http_server_free(s);
}

static void *stop(void *arg)
{
    http_server_stop(arg);
    return NULL;
}

static void a_stop_answers_what_is_in_flight_and_says_goodbye(void **state)
{
    struct http_server *const s = start(strict());
    const struct tls_client with = {.own = &pki.scheduler};
    SSL *const idle = dial(s, &with), *const half = dial(s, &with);
    const int greeting = raw_dial(s);
    char head[512], body[512];
    pthread_t stopper;

    (void)state;
    assert_int_equal(ask(idle, GET("/who"), body), 200);
    assert_int_equal(ask(half, GET("/who"), body), 200);
    assert_true(tls_say(half, "GET /who HTTP/1.1\r\nHo", 21));
    raw_wait_until_open(s, 3);
    raw_sleep_ms(20);
    assert_int_equal(pthread_create(&stopper, NULL, stop, s), 0);
    assert_int_equal(SSL_read(idle, body, 1), 0);
    assert_int_equal(SSL_get_error(idle, 0), SSL_ERROR_ZERO_RETURN);
    assert_true(tls_say(half, "st: n\r\n\r\n", 9));
    assert_int_equal(tls_hear(half, head, sizeof(head), body, sizeof(body)), 200);
    assert_non_null(strstr(head, "\r\nConnection: close\r\n"));
    assert_int_equal(SSL_read(half, body, 1), 0);
    assert_int_equal(SSL_get_error(half, 0), SSL_ERROR_ZERO_RETURN);
    tls_client_close(half);
    tls_client_close(idle);
    raw_expect_closed(greeting);
    pthread_join(stopper, NULL);
    http_server_free(s);
}

/* ---- changes while it runs ---- */

static bool shows(SSL *ssl, const struct tls_pair *p)
{
    X509 *const shown = SSL_get1_peer_certificate(ssl);
    const bool same = shown && X509_cmp(shown, p->cert) == 0;

    X509_free(shown);
    return same;
}

static void a_new_certificate_is_shown_and_nobody_loses_a_connection(void **state)
{
    struct http_server *const s = start(strict());
    const struct http_tls tls = strict();
    const struct tls_client with = {.own = &pki.scheduler, .ca = &pki.ca_pair};
    SSL *const before = dial(s, &with);
    struct http_stats stats;
    char head[512], body[512];
    struct err err;

    (void)state;
    assert_int_equal(ask(before, GET("/who"), body), 200);
    assert_int_equal(http_server_secure(s, &tls, &err), 0); /* nothing has changed */
    write_server(&pki.server2);
    assert_int_equal(http_server_secure(s, &tls, &err), 1);
    assert_int_equal(http_server_secure(s, &tls, &err), 0);
    SSL *const after = dial(s, &with);
    assert_true(shows(before, &pki.server));
    assert_true(shows(after, &pki.server2));
    for (int i = 0; i < 3; i++) {
        assert_true(tls_say(before, GET("/who"), sizeof(GET("/who")) - 1));
        assert_int_equal(tls_hear(before, head, sizeof(head), body, sizeof(body)), 200);
        assert_null(strstr(head, "close"));
    }
    http_server_stats(s, &stats);
    assert_in_range(stats.certificate_expires_s - time(NULL), 86400 - 100, 86400);
    tls_client_close(before);
    tls_client_close(after);
    http_server_free(s);
}

static void who_would_not_be_let_in_today_ends_with_the_next_reply(void **state)
{
    struct http_server *const s = start(strict());
    struct http_tls tls = strict();
    SSL *const scheduler = dial(s, &(struct tls_client){.own = &pki.scheduler});
    SSL *const friend = dial(s, &(struct tls_client){.own = &pki.friend});
    char head[512], body[512];
    struct err err;

    (void)state;
    assert_int_equal(ask(scheduler, GET("/who"), body), 200);
    assert_int_equal(ask(friend, GET("/who"), body), 200);
    tls.n_allowed_names = 1;
    assert_int_equal(http_server_secure(s, &tls, &err), 1);
    assert_false(is_let_in(s, &(struct tls_client){.own = &pki.friend}));
    assert_true(tls_say(scheduler, GET("/who"), sizeof(GET("/who")) - 1));
    assert_int_equal(tls_hear(scheduler, head, sizeof(head), body, sizeof(body)), 200);
    assert_non_null(strstr(head, "\r\nConnection: close\r\n"));
    assert_int_equal(SSL_read(scheduler, body, 1), 0);
    expect_served(s);
    tls_write_certs(pki.ca, &pki.other_ca, NULL); /* and another CA */
    assert_int_equal(http_server_secure(s, &tls, &err), 1);
    assert_false(is_let_in(s, &(struct tls_client){.own = &pki.scheduler}));
    tls_client_close(scheduler);
    tls_client_close(friend);
    http_server_free(s);
}

/* Both in the file, as when a CA is replaced: clients of both are let in. */
static void two_cas_overlap(void **state)
{
    struct tls_pair client =
        tls_make(&(struct tls_wish){.common_name = "friend.example"}, &pki.other_ca);

    (void)state;
    write_server(&pki.server);
    tls_write_certs(pki.ca, &pki.ca_pair, (struct tls_pair[]){pki.other_ca, {0}});
    struct http_server *const s = start_with(strict(), (struct http_limits){0});
    assert_true(is_let_in(s, &(struct tls_client){.own = &client}));
    assert_true(is_let_in(s, &(struct tls_client){.own = &pki.scheduler}));
    http_server_free(s);
    tls_pair_free(&client);
}

static void until_a_valid_pair_is_there_the_old_one_stays(void **state)
{
    struct http_server *const s = start(strict());
    const struct http_tls tls = strict();
    struct tls_wish wish = server_wish;
    struct err err;

    (void)state;
    wish.from_s = -200, wish.to_s = -100;
    struct tls_pair expired = tls_make(&wish, &pki.ca_pair);
    wish.from_s = 1000, wish.to_s = 2000;
    struct tls_pair early = tls_make(&wish, &pki.ca_pair);

    tls_write_certs(pki.cert, &pki.server2, NULL); /* the key is still the old one */
    assert_int_equal(http_server_secure(s, &tls, &err), -EINVAL);
    assert_non_null(strstr(err.text, "tls.key: not the key of the certificate in "));
    assert_int_equal(http_server_secure(s, &tls, &err), 0); /* said once */
    expect_served(s);
    write_server(&expired);
    assert_int_equal(http_server_secure(s, &tls, &err), -EINVAL);
    assert_non_null(strstr(err.text, "tls.crt: the certificate has expired"));
    write_server(&early);
    assert_int_equal(http_server_secure(s, &tls, &err), -EINVAL);
    assert_non_null(strstr(err.text, "tls.crt: the certificate is not valid yet"));
    assert_int_equal(unlink(pki.key), 0);
    assert_int_equal(http_server_secure(s, &tls, &err), -ENOENT);
    SSL *const ssl = dial(s, &(struct tls_client){.own = &pki.scheduler, .ca = &pki.ca_pair});
    assert_true(shows(ssl, &pki.server));
    tls_client_close(ssl);
    write_server(&pki.server2);
    assert_int_equal(http_server_secure(s, &tls, &err), 1);
    expect_served(s);
    http_server_free(s);
    tls_pair_free(&expired);
    tls_pair_free(&early);
}

static atomic_bool rotating;
static atomic_uint served;

static void *keep_asking(void *arg)
{
    const struct http_server *const s = arg;
    const struct tls_client with = {.own = &pki.scheduler, .ca = &pki.ca_pair};
    char head[512], body[512];

    while (rotating) {
        SSL *const ssl = tls_client_dial(raw_dial(s), &with);
        if (!ssl)
            abort(); /* cmocka's checks belong to the test's thread */
        for (int i = 0; i < 4; i++)
            if (!tls_say(ssl, GET("/who"), sizeof(GET("/who")) - 1) ||
                tls_hear(ssl, head, sizeof(head), body, sizeof(body)) != 200)
                abort();
        tls_client_close(ssl);
        served++;
    }
    return NULL;
}

static void a_thousand_rotations_under_load_cost_no_handshake(void **state)
{
    struct http_server *const s = start(strict());
    const struct http_tls tls = strict();
    pthread_t clients[2];
    struct err err;

    (void)state;
    rotating = true;
    served = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, keep_asking, s), 0);
    for (int i = 0; i < 1000; i++) {
        write_server(i % 2 ? &pki.server : &pki.server2);
        assert_int_equal(http_server_secure(s, &tls, &err), 1);
    }
    while (served < 20)
        raw_sleep_ms(1);
    rotating = false;
    for (int i = 0; i < 2; i++)
        pthread_join(clients[i], NULL);
    raw_wait_until_open(s, 0);
    for (int i = 0; i < HTTP_TLS_FAILURES; i++)
        assert_int_equal(failures(s, (enum http_tls_failure)i), 0);
    http_server_free(s);
}

/* ---- what cannot be used is said ---- */

static void what_is_wrong_with_the_files_is_said(void **state)
{
    struct http_server *s = NULL;
    struct err err = {0};
    struct http_tls tls;
    char missing[PATH_BYTES];

    (void)state;
    write_server(&pki.server);
    tls_write_certs(pki.ca, &pki.ca_pair, NULL);
    path_to(missing, "missing");
    tls_write_key(pki.other, &pki.server, "secret");
    const struct {
        struct http_tls tls;
        int rc;
        const char *text;
    } cases[] = {
        {{.cert_file = missing, .key_file = pki.key}, -ENOENT, "/missing: No such file"},
        {{.cert_file = pki.key, .key_file = pki.key}, -EINVAL, "/tls.key: no certificate in it"},
        {{.cert_file = pki.cert, .key_file = pki.cert},
         -EINVAL,
         "/tls.crt: no private key in it that opens without a password"},
        {{.cert_file = pki.cert, .key_file = pki.other},
         -EINVAL,
         "/other: no private key in it that opens without a password"},
        {{.cert_file = pki.ca, .key_file = pki.key},
         -EINVAL,
         "/tls.key: not the key of the certificate in "},
        {{.cert_file = pki.cert, .key_file = pki.key, .client_ca_file = pki.key},
         -EINVAL,
         "/tls.key: no certificate of a CA in it"},
        {{.cert_file = pki.cert}, -EINVAL, "a certificate without a key"},
        {{.key_file = pki.key}, -EINVAL, "a key without a certificate"},
        {{.cert_file = pki.cert,
          .key_file = pki.key,
          .allowed_names = usual_names,
          .n_allowed_names = 1},
         -EINVAL,
         "allowed names without the CA of the clients"},
        {{.cert_file = pki.dir, .key_file = pki.key}, -EIO, ": Is a directory"},
    };
    assert_int_equal(http_server_new(&s, "test", routes, 1, NULL, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(http_server_secure(s, &cases[i].tls, &err), cases[i].rc);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s, not %s", err.text, cases[i].text);
    }
    tls = open_to_all();
    assert_int_equal(http_server_secure(s, &tls, &err), 1);
    http_server_free(s);
}

/* Its own clock may be the wrong one: the rest of the program should still come up. */
static void an_expired_certificate_is_shown_when_there_is_no_other(void **state)
{
    struct tls_wish wish = server_wish;

    (void)state;
    wish.from_s = -YEAR_S, wish.to_s = -1;
    struct tls_pair expired = tls_make(&wish, &pki.ca_pair);
    write_server(&expired);
    struct http_server *const s = start_with(open_to_all(), (struct http_limits){0});
    assert_true(is_let_in(s, &(struct tls_client){0}));
    assert_false(is_let_in(s, &(struct tls_client){.ca = &pki.ca_pair}));
    for (int ms = 0; ms < RAW_PATIENCE_MS && failures(s, HTTP_TLS_CLIENT) == 0; ms++)
        raw_sleep_ms(1);
    assert_int_equal(failures(s, HTTP_TLS_CLIENT), 1);
    http_server_free(s);
    tls_pair_free(&expired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_needs_a_certificate_of_the_ca_with_an_allowed_name),
        cmocka_unit_test(without_allowed_names_the_ca_vouches_for_all),
        cmocka_unit_test(a_ca_that_is_no_root_is_enough),
        cmocka_unit_test(the_handler_knows_whom_it_serves),
        cmocka_unit_test(a_name_with_a_zero_byte_is_none),
        cmocka_unit_test(old_versions_and_weak_ciphers_are_refused),
        cmocka_unit_test(of_the_protocols_only_http_1_1_is_chosen),
        cmocka_unit_test(nothing_is_negotiated_again_and_nothing_resumed),
        cmocka_unit_test(a_thousand_requests_use_one_connection),
        cmocka_unit_test(a_request_in_records_of_any_size_is_the_same),
        cmocka_unit_test(what_is_pipelined_is_answered_in_order),
        cmocka_unit_test(large_bodies_go_in_and_out),
        cmocka_unit_test(a_body_that_waits_for_100_is_called),
        cmocka_unit_test(hostile_bytes_get_their_status_under_tls_too),
        cmocka_unit_test(deadlines_hold_at_every_step),
        cmocka_unit_test(what_is_no_tls_is_closed),
        cmocka_unit_test(clients_that_vanish_leave_nothing_behind),
        cmocka_unit_test(a_client_that_only_makes_us_answer_is_dropped),
        cmocka_unit_test(who_asked_is_known_when_the_connection_is_gone),
        cmocka_unit_test(a_stop_answers_what_is_in_flight_and_says_goodbye),
        cmocka_unit_test(a_new_certificate_is_shown_and_nobody_loses_a_connection),
        cmocka_unit_test(who_would_not_be_let_in_today_ends_with_the_next_reply),
        cmocka_unit_test(two_cas_overlap),
        cmocka_unit_test(until_a_valid_pair_is_there_the_old_one_stays),
        cmocka_unit_test(a_thousand_rotations_under_load_cost_no_handshake),
        cmocka_unit_test(what_is_wrong_with_the_files_is_said),
        cmocka_unit_test(an_expired_certificate_is_shown_when_there_is_no_other),
    };

    http_process_setup();
    return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
