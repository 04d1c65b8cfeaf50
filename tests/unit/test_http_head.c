/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "net/head.h"
#include "net/http.h"

#define POST  "POST /filter HTTP/1.1\r\nHost: n\r\n"
#define GET   "GET /filter HTTP/1.1\r\nHost: n\r\n"
#define EMPTY "\r\n"

static const struct http_head_limits usual = {
    .head_bytes = 16384, .target_bytes = 1024, .headers = 64, .body_bytes = 1000};

/* From a block of exactly n bytes, so that AddressSanitizer sees a read past them. */
static int read_bytes(struct http_head *out, const char *bytes, size_t n)
{
    struct http_head_scan scan = {0};
    char *const copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    const int status = http_head_read(out, &scan, copy, n, &usual);
    free(copy);
    return status;
}

struct sample {
    const char *text;
    int status;
};

static void check_samples(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct http_head head;
        const int status = read_bytes(&head, samples[i].text, strlen(samples[i].text));
        if (status != samples[i].status)
            fail_msg("%d instead of %d for: %s", status, samples[i].status, samples[i].text);
    }
}

static void a_request_of_kube_scheduler_gives_its_facts(void **state)
{
    static const char text[] = "POST /v1/filter?a=1?b HTTP/1.1\r\nHost: 10.0.0.1:8787\r\n"
                               "User-Agent: Go-http-client/1.1\r\nContent-Length: 17\r\n"
                               "Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n{\"";
    struct http_head_scan scan = {0};
    struct http_head head;

    (void)state;
    assert_int_equal(http_head_read(&head, &scan, text, sizeof(text) - 1, &usual), 200);
    assert_int_equal(head.method, HTTP_POST);
    assert_true(str_is(head.path, "/v1/filter"));
    assert_true(str_is(head.query, "a=1?b"));
    assert_true(head.has_query);
    assert_false(head.http10 || head.close || head.expect_100);
    assert_int_equal(head.body_bytes, 17);
    assert_int_equal(head.head_bytes, sizeof(text) - 1 - 2); /* two bytes of the body follow */
}

static void the_last_request_of_a_connection_is_known(void **state)
{
    static const struct {
        const char *text;
        bool close, http10;
    } cases[] = {
        {GET EMPTY, false, false},
        {GET "Connection: close\r\n\r\n", true, false},
        {GET "Connection: CLOSE\r\n\r\n", true, false},
        {GET "Connection: TE , close\r\n\r\n", true, false},
        {GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", true, false},
        {GET "Connection: closed\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\n\r\n", true, true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_head head;
        assert_int_equal(read_bytes(&head, cases[i].text, strlen(cases[i].text)), 200);
        assert_int_equal(head.close, cases[i].close);
        assert_int_equal(head.http10, cases[i].http10);
    }
}

static void a_broken_request_line_is_refused(void **state)
{
    static const struct sample samples[] = {
        {"GET /x\r\n\r\n", 400},
        {"GET /x HTTP/1.1 \r\nHost: n\r\n\r\n", 400},
        {"GET  /x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET\t/x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"get /x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"G(T /x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET http://n/x HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"OPTIONS * HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"CONNECT n:80 HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET /x\x80 HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET /x#y HTTP/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET /x http/1.1\r\nHost: n\r\n\r\n", 400},
        {"GET /x HTTP/11\r\nHost: n\r\n\r\n", 400},
        {"GET /x HTTP/1.2\r\nHost: n\r\n\r\n", 505},
        {"GET /x HTTP/2.0\r\nHost: n\r\n\r\n", 505},
        {"GET /x HTTP/0.9\r\nHost: n\r\n\r\n", 505},
        {"GET /x HTTP/257.257\r\nHost: n\r\n\r\n", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"\x16\x03\x01", 400}, /* TLS */
        {" GET / HTTP/1.1\r\n", 400},
        {"0", 400},
        {"\n\n\n\n\n", 400},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void an_unknown_method_is_sound_and_nobodys(void **state)
{
    static const char *const texts[] = {"HEAD / HTTP/1.1\r\nHost: n\r\n\r\n",
                                        "PATCH / HTTP/1.1\r\nHost: n\r\n\r\n",
                                        "POSTS / HTTP/1.1\r\nHost: n\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct http_head head;
        assert_int_equal(read_bytes(&head, texts[i], strlen(texts[i])), 200);
        assert_int_equal(head.method, 0);
    }
}

static void lines_end_with_both_bytes_or_not_at_all(void **state)
{
    static const struct sample samples[] = {
        {"GET /x HTTP/1.1\nHost: n\n\n", 400},
        {"GET /x HTTP/1.1\r\nHost: n\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: n\r\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: n\rX: y\r\n\r\n", 400},
        {"GET /x\n", 400}, /* at once, before the empty line comes */
        {"GET /x\r", HTTP_HEAD_MORE},
        {"\r\n\r\n" GET EMPTY, 200}, /* blank lines before the request line are harmless */
        {"\n\n" GET EMPTY, 200},
        {"\r\n\r\n\r\n" GET EMPTY, 400},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void broken_header_lines_are_refused(void **state)
{
    static const struct sample samples[] = {
        {GET "X : y\r\n\r\n", 400},       {GET "X\r\n\r\n", 400},
        {GET ": y\r\n\r\n", 400},         {GET "X: a\r\n b\r\n\r\n", 400}, /* obs-fold */
        {GET "X: a\r\n\tb\r\n\r\n", 400}, {"GET / HTTP/1.1\r\n Host: n\r\n\r\n", 400},
        {GET "X: a\x01\r\n\r\n", 400},    {GET "X: a\x7f\r\n\r\n", 400},
        {GET "X(: a\r\n\r\n", 400},       {GET "X: a\tb \xc3\xa4\r\n\r\n", 200},
        {GET "X:\r\n\r\n", 200},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void a_zero_byte_is_refused_wherever_it_stands(void **state)
{
    static const char text[] = GET "X: y\r\n\r\n";

    (void)state;
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        char bytes[sizeof(text)];
        struct http_head head;

        memcpy(bytes, text, sizeof(text));
        bytes[at] = '\0';
        assert_int_equal(read_bytes(&head, bytes, sizeof(text) - 1), 400);
    }
}

static void one_host_and_no_other(void **state)
{
    static const struct sample samples[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200},
        {"GET / HTTP/1.0\r\n\r\n", 200},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void only_one_plain_length_frames_a_body(void **state)
{
    static const struct sample samples[] = {
        {POST EMPTY, 411},
        {"PUT / HTTP/1.1\r\nHost: n\r\n\r\n", 411},
        {GET EMPTY, 200},
        {POST "Content-Length: 5\r\n\r\n", 200},
        {POST "Content-Length:5 \r\n\r\n", 200},
        {POST "Content-Length: 1000\r\n\r\n", 200},
        {POST "Content-Length: 1001\r\n\r\n", 413},
        {POST "Content-Length: 18446744073709551615\r\n\r\n", 413},
        {POST "Content-Length: 18446744073709551616\r\n\r\n", 413},
        {POST "Content-Length: 99999999999999999999999999999999\r\n\r\n", 413},
        {POST "Content-Length: 18446744073709551621\r\n\r\n", 413}, /* wraps to 5 elsewhere */
        {POST "Content-Length:\r\n\r\n", 400},
        {POST "Content-Length: +5\r\n\r\n", 400},
        {POST "Content-Length: -5\r\n\r\n", 400},
        {POST "Content-Length: 0x5\r\n\r\n", 400},
        {POST "Content-Length: 5 5\r\n\r\n", 400},
        {POST "Content-Length: 5, 5\r\n\r\n", 400},
        {POST "Content-Length : 5\r\n\r\n", 400},
        {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
        {POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", 400},
        {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
        {POST "Transfer-Encoding: chunked\r\n\r\n", 411},
        {POST "Transfer-Encoding: CHUNKED\r\n\r\n", 411},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 411},
        {POST "Transfer-Encoding:\tchunked \r\n\r\n", 411},
        {POST "Transfer-Encoding:\r\n\r\n", 411},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 411},
        {POST "Transfer-Encoding:\r\n chunked\r\n\r\n", 400},
        {GET "Transfer-Encoding: chunked\r\n\r\n", 411},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void what_is_not_spoken_here_has_its_status(void **state)
{
    static const struct sample samples[] = {
        {POST "Content-Length: 0\r\nContent-Type: multipart\r\n\r\n", 415},
        {POST "Content-Length: 0\r\nContent-Type: Multipart/form-data; boundary=x\r\n\r\n", 415},
        {POST "Content-Length: 0\r\nContent-Type: application/json\r\n\r\n", 200},
        {POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n", 200},
        {POST "Content-Length: 1\r\nExpect: bogus\r\n\r\n", 417},
        {POST "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417},
        {POST "Content-Length: 1\r\nExpect: 100-continue, x\r\n\r\n", 417},
    };

    (void)state;
    check_samples(samples, ARRAY_LEN(samples));
}

static void expect_counts_in_http_1_1_only(void **state)
{
    static const char new[] = POST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    static const char old[] =
        "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    struct http_head head;

    (void)state;
    assert_int_equal(read_bytes(&head, new, sizeof(new) - 1), 200);
    assert_true(head.expect_100);
    assert_int_equal(read_bytes(&head, old, sizeof(old) - 1), 200);
    assert_false(head.expect_100);
}

/* GET /aaa..., `n` bytes of target; the caller frees. */
static char *with_target(size_t n)
{
    char *const text = calloc(1, n + 64);

    assert_non_null(text);
    strcpy(text, "GET ");
    memset(text + 4, 'a', n);
    text[4] = '/';
    strcpy(text + 4 + n, " HTTP/1.1\r\nHost: n\r\n\r\n");
    return text;
}

static void a_target_of_1024_bytes_passes_and_one_more_does_not(void **state)
{
    static const struct {
        size_t n;
        int status;
    } cases[] = {{1, 200}, {1024, 200}, {1025, 414}, {16384, 414}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *const text = with_target(cases[i].n);
        struct http_head head;
        assert_int_equal(read_bytes(&head, text, strlen(text)), cases[i].status);
        free(text);
    }
}

static void sixty_four_headers_pass_and_one_more_does_not(void **state)
{
    (void)state;
    for (int n = 62; n <= 65; n++) { /* and Host */
        char text[2048] = GET;
        struct http_head head;

        for (int i = 0; i < n; i++)
            strcat(text, "X: y\r\n");
        strcat(text, "\r\n");
        assert_int_equal(read_bytes(&head, text, strlen(text)), n + 1 <= 64 ? 200 : 431);
    }
}

/* Every size around the limit: a head of exactly head_bytes is the largest that passes. */
static void a_head_over_the_limit_is_refused(void **state)
{
    static const char start[] = GET "X: ";
    const size_t frame = sizeof(start) - 1 + 4;

    (void)state;
    for (size_t n = 16384 - 2; n <= 16384 + 2; n++) {
        char *const text = malloc(n);
        struct http_head head;

        assert_non_null(text);
        memset(text, 'v', n);
        memcpy(text, start, sizeof(start) - 1);
        memcpy(text + n - 4, "\r\n\r\n", 4);
        assert_true(n > frame);
        assert_int_equal(read_bytes(&head, text, n), n <= 16384 ? 200 : 431);
        free(text);
    }
}

static void any_split_of_a_head_reads_the_same(void **state)
{
    static const char text[] = "\r\n" POST "Content-Length: 5\r\nConnection: close\r\n\r\nhello";
    const size_t whole = sizeof(text) - 1 - 5;

    (void)state;
    for (size_t cut = 0; cut < whole; cut++) {
        struct http_head_scan scan = {0};
        struct http_head head = {.body_bytes = 77};

        assert_int_equal(http_head_read(&head, &scan, text, cut, &usual), HTTP_HEAD_MORE);
        assert_int_equal(head.body_bytes, 77); /* untouched until the end */
        assert_int_equal(http_head_read(&head, &scan, text, sizeof(text) - 1, &usual), 200);
        assert_int_equal(head.head_bytes, whole);
        assert_true(str_is(head.path, "/filter"));
        assert_int_equal(head.body_bytes, 5);
        assert_true(head.close);
    }
}

static void one_byte_at_a_time_reads_the_same(void **state)
{
    static const char text[] = POST "Content-Length: 5\r\n\r\n";
    struct http_head_scan scan = {0};
    struct http_head head;

    (void)state;
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(http_head_read(&head, &scan, text, n, &usual), HTTP_HEAD_MORE);
    assert_int_equal(http_head_read(&head, &scan, text, sizeof(text) - 1, &usual), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_of_kube_scheduler_gives_its_facts),
        cmocka_unit_test(the_last_request_of_a_connection_is_known),
        cmocka_unit_test(a_broken_request_line_is_refused),
        cmocka_unit_test(an_unknown_method_is_sound_and_nobodys),
        cmocka_unit_test(lines_end_with_both_bytes_or_not_at_all),
        cmocka_unit_test(broken_header_lines_are_refused),
        cmocka_unit_test(a_zero_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(one_host_and_no_other),
        cmocka_unit_test(only_one_plain_length_frames_a_body),
        cmocka_unit_test(what_is_not_spoken_here_has_its_status),
        cmocka_unit_test(expect_counts_in_http_1_1_only),
        cmocka_unit_test(a_target_of_1024_bytes_passes_and_one_more_does_not),
        cmocka_unit_test(sixty_four_headers_pass_and_one_more_does_not),
        cmocka_unit_test(a_head_over_the_limit_is_refused),
        cmocka_unit_test(any_split_of_a_head_reads_the_same),
        cmocka_unit_test(one_byte_at_a_time_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
