/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request's head: whole and one byte at a time give the same verdict and facts. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "net/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_head_limits limits = {
    .head_bytes = 1024, .target_bytes = 100, .headers = 8, .body_bytes = 1000000};

static void check_slice(struct str s, const char *p, size_t n)
{
    assert(s.n == 0 || (s.p >= p && s.p + s.n <= p + n));
}

static void check_facts(const struct http_head *head, const char *p, size_t n)
{
    assert(head->head_bytes >= 16 && head->head_bytes <= n); /* "A / HTTP/1.0" and two CRLF */
    assert(head->head_bytes <= limits.head_bytes);
    assert(memcmp(p + head->head_bytes - 4, "\r\n\r\n", 4) == 0);
    assert(memchr(p, '\0', head->head_bytes) == NULL);
    assert(head->path.n > 0 && head->path.p[0] == '/');
    assert(head->path.n + head->query.n <= limits.target_bytes);
    assert(head->body_bytes <= limits.body_bytes);
    check_slice(head->path, p, n);
    check_slice(head->query, p, n);
}

static int read_slowly(struct http_head *head, const char *p, size_t size)
{
    struct http_head_scan scan = {0};
    int status = HTTP_HEAD_MORE;

    for (size_t n = 0; n <= size && status == HTTP_HEAD_MORE; n++)
        status = http_head_read(head, &scan, p, n, &limits);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const p = (const char *)data;
    struct http_head_scan scan = {0};
    struct http_head fast, slow;
    const int status = http_head_read(&fast, &scan, p, size, &limits);

    assert(status == read_slowly(&slow, p, size));
    if (status != HTTP_HEAD_WHOLE) {
        assert(status == HTTP_HEAD_MORE || (status >= 400 && status <= 505));
        return 0;
    }
    check_facts(&fast, p, size);
    assert(fast.method == slow.method && fast.path.p == slow.path.p && fast.path.n == slow.path.n);
    assert(fast.has_query == slow.has_query && fast.query.n == slow.query.n);
    assert(fast.http10 == slow.http10 && fast.close == slow.close);
    assert(fast.expect_100 == slow.expect_100 && fast.body_bytes == slow.body_bytes);
    assert(fast.head_bytes == slow.head_bytes);
    return 0;
}
