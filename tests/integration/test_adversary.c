/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real program and bodies made to be expensive. The measure is the server's CPU time: 4 MiB
 * cost 16 times as much as a sixteenth of that where the work is linear, 256 times where it is
 * quadratic, and 64 is where this says no. Nor may a byte cost much more than one of the plainest
 * body of that length.
 */
#include "tests/support/test.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/crowd.h"
#include "tests/support/data.h"
#include "tests/support/server.h"

/* AddressSanitizer marks the free part of an arena anew for each list: dear, but not of ours. */
#if defined(__SANITIZE_ADDRESS__)
enum { LARGE = 512 << 10, MOST_OF_PLAIN = 1000 };
#else
enum { LARGE = 4 << 20, MOST_OF_PLAIN = 20 };
#endif

enum {
    TIMES = 16, /* of a small body */
    MOST_GROWTH = 4 * TIMES,
    SIZES = 3,
    LEAST_NS = 2000000, /* a small body may be too cheap to be measured */
    PIECE = 512,
};

#define POD_HEAD                                                                                   \
    "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":\"u\"},\"spec\":{"
#define CONTAINER "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]"
#define POD       POD_HEAD CONTAINER "}}"
#define ONE_NAME  ",\"Nodes\":null,\"NodeNames\":[\"cpu-1\"]}"

/* A body of about `bytes`. */
typedef void make_fn(struct buf *out, size_t bytes);

/* ---- names ---- */

static void names_of_strangers(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"Nodes\":null,\"NodeNames\":[\"x\"");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",\"stranger-%u\"", i);
    buf_text(out, "]}");
}

static void one_name_again_and_again(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"Nodes\":null,\"NodeNames\":[\"x\"");
    while (out->n < bytes)
        buf_text(out, ",\"cpu-1\"");
    buf_text(out, "]}");
}

static void names_with_escapes(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"Nodes\":null,\"NodeNames\":[\"x\"");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",\"\\u0041\\ud83d\\ude00\\n%u\"", i);
    buf_text(out, "]}");
}

static void one_name_of_all_bytes(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"Nodes\":null,\"NodeNames\":[\"");
    while (out->n < bytes)
        buf_text(out, "node");
    buf_text(out, "\"]}");
}

static void many_lists_of_names(struct buf *out, size_t bytes)
{
    buf_text(out, POD);
    while (out->n < bytes)
        buf_text(out, ",\"NodeNames\":[\"a\"],\"nodenames\":[\"b\",\"c\"]");
    buf_text(out, "}");
}

static void whole_nodes(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"NodeNames\":null,\"Nodes\":{\"items\":[{\"metadata\":{\"name\":\"x\"}}");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",{\"metadata\":{\"name\":\"n%u\",\"name\":\"m%u\"}}", i, i);
    buf_text(out, "]}}");
}

/*
 * Names that an unkeyed multiplicative hash over words of eight bytes, h = (h ^ word) * C then
 * h ^= h >> 29, cannot tell apart: in each of three stages one word is free and the next one leads
 * back to the state that all names share. 64 choices a stage make 262,144 names.
 */
enum { STAGES = 3, CHOICES = 64, STAGE_BYTES = 16 };

static uint64_t step(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static bool may_stand_in_a_string(uint64_t word)
{
    for (int i = 0; i < 8; i++, word >>= 8) {
        const unsigned c = word & 0xff;

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* Two words after `from` that lead to `to`; `free_word` counts on from one find to the next. */
static void find_stage(char out[STAGE_BYTES], uint64_t from, uint64_t to, uint64_t *free_word)
{
    uint64_t back;

    for (;; ++*free_word) {
        char first[9];

        (void)snprintf(first, sizeof(first), "%08" PRIx64, *free_word & 0xffffffff);
        memcpy(out, first, 8);
        memcpy(&back, out, 8);
        back = step(from, back) ^ to;
        if (may_stand_in_a_string(back))
            break;
    }
    ++*free_word;
    memcpy(out + 8, &back, 8);
}

static void names_of_one_hash(struct buf *out, size_t bytes)
{
    static char stages[STAGES][CHOICES][STAGE_BYTES];
    uint64_t free_word = 1, state = STAGES * (uint64_t)STAGE_BYTES;

    for (int s = 0; s < STAGES; s++) {
        const uint64_t meet = UINT64_C(0x6162636465666768) + (uint64_t)s; /* before its last word */

        for (int c = 0; c < CHOICES; c++)
            find_stage(stages[s][c], state, meet, &free_word);
        state = step(meet, 0);
    }
    buf_text(out, POD ",\"Nodes\":null,\"NodeNames\":[\"x\"");
    for (uint32_t i = 0; out->n < bytes; i++) {
        buf_text(out, ",\"");
        buf_add(out, stages[0][i % CHOICES], STAGE_BYTES);
        buf_add(out, stages[1][i / CHOICES % CHOICES], STAGE_BYTES);
        buf_add(out, stages[2][i / CHOICES / CHOICES % CHOICES], STAGE_BYTES);
        buf_text(out, "\"");
    }
    buf_text(out, "]}");
}

/* ---- pods ---- */

static void many_containers(struct buf *out, size_t bytes)
{
    buf_text(out, POD_HEAD "\"containers\":[{}");
    while (out->n < bytes)
        buf_text(out, ",{}");
    buf_text(out, "]}}" ONE_NAME);
}

static void many_init_containers(struct buf *out, size_t bytes)
{
    buf_text(out, POD_HEAD CONTAINER ",\"initContainers\":[{}");
    while (out->n < bytes)
        buf_text(out, ",{\"restartPolicy\":\"Always\"}");
    buf_text(out, "]}}" ONE_NAME);
}

static void many_resources(struct buf *out, size_t bytes)
{
    buf_text(out, POD_HEAD "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"a\":1");
    for (uint32_t i = 0; out->n < bytes / 2; i++)
        buf_printf(out, ",\"example.com/r%u\":\"1\"", i);
    buf_text(out, "},\"limits\":{\"b\":1");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",\"example.com/r%u\":\"1\"", i);
    buf_text(out, "}}}]}}" ONE_NAME);
}

static void one_resource_again_and_again(struct buf *out, size_t bytes)
{
    buf_text(out, POD_HEAD "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"a\":1");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",\"cpu\":\"%um\"", i);
    buf_text(out, "}}}]}}" ONE_NAME);
}

static void a_resource_a_container(struct buf *out, size_t bytes)
{
    buf_text(out, POD_HEAD "\"containers\":[{}");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",{\"resources\":{\"limits\":{\"example.com/r%u\":\"1\"}}}", i);
    buf_text(out, "]}}" ONE_NAME);
}

/* As many containers and resources as a pod may have; the rest is blank. */
static void the_largest_pod(struct buf *out, size_t bytes)
{
    enum { CONTAINERS = 256, EACH = 4 };

    buf_text(out, POD_HEAD "\"containers\":[");
    for (uint32_t i = 0; i < CONTAINERS; i++) {
        buf_text(out, i ? ",{\"resources\":{\"limits\":{" : "{\"resources\":{\"limits\":{");
        for (uint32_t k = 0; k < EACH; k++)
            buf_printf(out, "%s\"example.com/r%u\":\"1\"", k ? "," : "", EACH * i + k);
        buf_text(out, "}}}");
    }
    buf_text(out, "]}}" ONE_NAME);
    while (out->n < bytes)
        buf_text(out, "                ");
}

static void many_annotations(struct buf *out, size_t bytes)
{
    buf_text(out, "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\"");
    for (uint32_t i = 0; out->n < bytes / 2; i++)
        buf_printf(out, ",\"l%u\":\"x\"", i);
    buf_text(out, "},\"annotations\":{\"a\":\"b\"");
    for (uint32_t i = 0; out->n < bytes; i++)
        buf_printf(out, ",\"orchestration.gokore.io/h%u\":\"x\"", i);
    buf_text(out, "}},\"spec\":{" CONTAINER "}}" ONE_NAME);
}

static void a_long_hint(struct buf *out, size_t bytes)
{
    buf_text(out, "{\"Pod\":{\"metadata\":{\"name\":\"p\",\"annotations\":{"
                  "\"orchestration.gokore.io/weights\":\"locality=1");
    while (out->n < bytes)
        buf_text(out, ",locality=1");
    buf_text(out, "\"}},\"spec\":{" CONTAINER "}}" ONE_NAME);
}

static void a_long_quantity(struct buf *out, size_t bytes)
{
    buf_text(out,
             POD_HEAD "\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"");
    while (out->n < bytes)
        buf_text(out, "0000000000000001");
    buf_text(out, "\"}}}]}}" ONE_NAME);
}

/* ---- JSON ---- */

static void deep(struct buf *out, size_t bytes)
{
    buf_text(out, "{\"x\":");
    while (out->n < bytes)
        buf_text(out, "[[[[[[[[[[[[[[[[");
}

static void shallow_and_deep(struct buf *out, size_t bytes)
{
    buf_text(out, POD ONE_NAME);
    out->n--; /* the last brace comes later */
    buf_text(out, ",\"x\":[0");
    while (out->n < bytes)
        buf_text(out, ",[[[[[[[[[[[[[[{\"a\":[[[[]]]]}]]]]]]]]]]]]]]");
    buf_text(out, "]}");
}

static void a_long_number(struct buf *out, size_t bytes)
{
    buf_text(out, POD ONE_NAME);
    out->n--;
    buf_text(out, ",\"x\":1");
    while (out->n < bytes)
        buf_text(out, "0000000000000000");
    buf_text(out, "}");
}

static void escapes(struct buf *out, size_t bytes)
{
    buf_text(out, POD ONE_NAME);
    out->n--;
    buf_text(out, ",\"x\":\"");
    while (out->n < bytes)
        buf_text(out, "\\\\\\\"\\ud83d\\ude00");
    buf_text(out, "\"}");
}

static void no_end(struct buf *out, size_t bytes)
{
    buf_text(out, POD ",\"NodeNames\":[\"");
    while (out->n < bytes)
        buf_text(out, "\\\\\\\\\\\\\\\\");
}

static void blanks(struct buf *out, size_t bytes)
{
    buf_text(out, POD ONE_NAME);
    while (out->n < bytes)
        buf_text(out, " \t\r\n    ");
}

/* ---- what they cost ---- */

static const struct {
    const char *what;
    make_fn *make;
    int status;
} bodies[] = {
    {"names of strangers", names_of_strangers, 200},
    {"one name again and again", one_name_again_and_again, 200},
    {"names with escapes", names_with_escapes, 200},
    {"one name of all bytes", one_name_of_all_bytes, 200},
    {"names of one hash", names_of_one_hash, 200},
    {"many lists of names", many_lists_of_names, 200},
    {"whole nodes", whole_nodes, 200},
    {"many containers", many_containers, 200},
    {"many init containers", many_init_containers, 200},
    {"many resources", many_resources, 200},
    {"one resource again and again", one_resource_again_and_again, 200},
    {"a resource a container", a_resource_a_container, 200},
    {"the largest pod", the_largest_pod, 200},
    {"many labels and annotations", many_annotations, 200},
    {"a long hint", a_long_hint, 200},
    {"a long quantity", a_long_quantity, 200},
    {"deep", deep, 400},
    {"shallow and deep", shallow_and_deep, 200},
    {"a long number", a_long_number, 200},
    {"escapes", escapes, 200},
    {"no end", no_end, 400},
    {"blanks", blanks, 200},
};

static const char *const verbs[] = {"/scheduler/filter", "/scheduler/prioritize"};

static struct test_server server;

/* 503 as well: such a body may ask for more memory than a request may have. */
static int post(const char *target, struct str body, int status)
{
    const int fd = test_connect(server.extender);
    struct test_reply r;

    assert_true(fd >= 0);
    assert_true(test_send(fd, "POST", target, body));
    assert_true(test_receive(fd, &r));
    if (r.status != status && r.status != 503)
        fail_msg("%d instead of %d", r.status, status);
    test_reply_done(&r);
    (void)close(fd);
    return r.status;
}

/* CPU time of the server for a body of that size, both verbs; the least of two. */
static uint64_t cost(make_fn *make, size_t bytes, int *status)
{
    struct buf body = {0};
    uint64_t least = UINT64_MAX;

    make(&body, bytes);
    assert_false(body.failed);
    for (int t = 0; t < 2; t++) {
        const uint64_t before = process_cpu_time_ns(server.pid);

        for (size_t v = 0; v < ARRAY_LEN(verbs); v++)
            *status = post(verbs[v], buf_view(&body), *status);
        const uint64_t took = process_cpu_time_ns(server.pid) - before;
        least = took < least ? took : least;
    }
    buf_free(&body);
    return least > LEAST_NS ? least : LEAST_NS;
}

static void a_body_costs_what_it_is_long(void **state)
{
    static const size_t sizes[SIZES] = {LARGE / TIMES, LARGE / 4, LARGE};
    uint64_t plain[SIZES] = {0};
    unsigned worse = 0;

    print_message("ms of server CPU, both verbs   %8zu KiB %8zu KiB %8zu KiB   status\n",
                  sizes[0] >> 10, sizes[1] >> 10, sizes[2] >> 10);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        int status[SIZES];
        uint64_t took[SIZES];
        bool fine = true;

        print_message("%-30s", bodies[i].what);
        for (size_t k = 0; k < SIZES; k++) {
            status[k] = bodies[i].status;
            took[k] = cost(bodies[i].make, sizes[k], &status[k]);
            if (i == 0)
                plain[k] = took[k];
            fine = fine && took[k] / MOST_OF_PLAIN <= plain[k];
            print_message(" %12.2f", (double)took[k] / 1e6);
        }
        fine = fine && took[SIZES - 1] / MOST_GROWTH <= took[0];
        print_message("   %d %d %d%s\n", status[0], status[1], status[2], fine ? "" : "  TOO MUCH");
        worse += !fine;
    }
    assert_int_equal(worse, 0);
}

/* The same bytes in thousands of packets: nothing is looked at again with each. */
static void a_body_in_small_pieces_costs_what_it_is_long(void **state)
{
    uint64_t took[2];

    for (int k = 0; k < 2; k++) {
        struct buf body = {0}, request = {0};
        struct test_reply r;
        const int fd = test_connect(server.extender);

        assert_true(fd >= 0);
        names_of_strangers(&body, k ? LARGE : LARGE / TIMES);
        buf_printf(&request, "POST %s HTTP/1.1\r\nHost: n\r\nContent-Length: %zu\r\n\r\n", verbs[0],
                   body.n);
        buf_str(&request, buf_view(&body));
        const uint64_t before = process_cpu_time_ns(server.pid);
        for (size_t at = 0; at < request.n; at += PIECE) {
            const size_t n = request.n - at < PIECE ? request.n - at : PIECE;
            assert_int_equal(send(fd, request.p + at, n, MSG_NOSIGNAL), n);
        }
        assert_true(test_receive(fd, &r));
        took[k] = process_cpu_time_ns(server.pid) - before;
        assert_int_equal(r.status, 200);
        test_reply_done(&r);
        (void)close(fd);
        buf_free(&body);
        buf_free(&request);
    }
    print_message("in pieces of %d bytes: %.2f ms, %.2f ms\n", PIECE, (double)took[0] / 1e6,
                  (double)took[1] / 1e6);
    assert_true(took[1] / MOST_GROWTH <= (took[0] > LEAST_NS ? took[0] : LEAST_NS));
}

static int start(void **state)
{
    test_server_start(&server, TEST_EXAMPLES "/cluster", NULL);
    return 0;
}

static int stop(void **state)
{
    assert_int_equal(test_server_stop(&server, SIGTERM), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_costs_what_it_is_long),
        cmocka_unit_test(a_body_in_small_pieces_costs_what_it_is_long),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
