/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/podresources.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "tests/support/grpc.h"
#include "tests/support/podresources_bytes.h"
#include "tests/support/two_zones.h"

static char room[64 * 1024];

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        assert_int_equal((s).n, strlen(text));                                                     \
        assert_memory_equal((s).p, (text), (s).n);                                                 \
    } while (0)

#define BYTES(literal)                                                                             \
    (struct str)                                                                                   \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static struct str message_of(struct str answer)
{
    struct str message;

    assert_int_equal(agent_grpc_message(&message, answer, NULL), 0);
    return message;
}

/* A heap copy of exactly its bytes: AddressSanitizer sees who reads further. */
static int decode(bool pods, struct str message, struct arena *a, struct err *err)
{
    struct agent_allocatable allocatable;
    struct agent_pods list;
    char *const p = malloc(message.n + 1);

    assert_non_null(p);
    memcpy(p, message.n ? message.p : "", message.n);
    const struct str copy = {p, message.n};
    char *const exact = realloc(p, message.n ? message.n : 1);
    assert_non_null(exact);
    const struct str bytes = {exact, copy.n};
    const int rc = pods ? agent_pods_decode(&list, bytes, two_zones(), a, err)
                        : agent_allocatable_decode(&allocatable, bytes, two_zones(), a, err);
    free(exact);
    return rc;
}

static void assert_device(const struct kube_nrt_device *d, const char *resource, const char *id,
                          uint64_t zones)
{
    assert_str(d->resource, resource);
    assert_str(d->id, id);
    assert_int_equal(d->zones, zones);
    assert_true(d->healthy);
    assert_false(d->elsewhere);
}

static void what_can_be_given_out_is_read(void **state)
{
    struct agent_allocatable r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(
        agent_allocatable_decode(&r, message_of(allocatable_answer()), two_zones(), &a, NULL), 0);
    assert_str(r.cpus, "1-3,5-7");
    assert_int_equal(r.n_devices, 4);
    /* Zone ids 0 and 2 are the indices 0 and 1. */
    assert_device(&r.devices[0], "example.com/fuse", "f0", 0);
    assert_device(&r.devices[1], "example.com/nic", "n0", 3);
    assert_device(&r.devices[2], "nvidia.com/gpu", "GPU-0", 1);
    assert_device(&r.devices[3], "nvidia.com/gpu", "GPU-1", 2);
}

static void what_pods_hold_is_read(void **state)
{
    struct agent_pods r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_pods_decode(&r, message_of(list_answer()), two_zones(), &a, NULL), 0);
    assert_int_equal(r.n_holdings, 1); /* the sidecar and the other pod hold nothing */
    assert_str(r.holdings[0].ns, "ml");
    assert_str(r.holdings[0].pod, "train");
    assert_str(r.holdings[0].container, "main");
    assert_str(r.holdings[0].uid, "");
    assert_str(r.holdings[0].cpus, "2-3");
    assert_int_equal(r.holdings[0].n_blocks, 1);
    assert_str(r.holdings[0].blocks[0].type, "memory");
    assert_int_equal(r.holdings[0].blocks[0].bytes, 1073741824);
    assert_int_equal(r.holdings[0].blocks[0].zones, 3);
    assert_int_equal(r.holdings[0].n_devices, 2);
    assert_str(r.holdings[0].devices[0].id, "GPU-0");
    assert_str(r.holdings[0].devices[1].id, "GPU-1");
}

static void an_empty_message_is_an_empty_answer(void **state)
{
    struct agent_allocatable r;
    struct agent_pods pods;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_allocatable_decode(&r, (struct str){0}, two_zones(), &a, NULL), 0);
    assert_int_equal(r.n_devices + r.cpus.n, 0);
    assert_int_equal(agent_pods_decode(&pods, (struct str){0}, two_zones(), &a, NULL), 0);
    assert_int_equal(pods.n_holdings, 0);
}

static void what_is_not_known_is_skipped(void **state)
{
    /* CPU ids 1 and 3 one by one; fields 9 (varint), 10 (64 bits), 11 (bytes), 12 (32 bits). */
    static const char text[] = "\x10\x01\x48\x96\x01\x51"
                               "12345678"
                               "\x5a\x02hi\x65"
                               "1234"
                               "\x10\x03";
    struct agent_allocatable r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_allocatable_decode(&r, BYTES(text), two_zones(), &a, NULL), 0);
    assert_str(r.cpus, "1,3");
}

static void a_zone_that_the_machine_has_not_is_elsewhere(void **state)
{
    /* Resource "r", id "d", nodes 2 and 1; then nodes of -1, which plugins give for "none". */
    static const char text[] = "\x0a\x10\x0a\x01r\x12\x01"
                               "d\x1a\x08\x0a\x02\x08\x02\x0a\x02\x08\x01"
                               "\x0a\x15\x0a\x01r\x12\x01"
                               "e\x1a\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    struct agent_allocatable r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_allocatable_decode(&r, BYTES(text), two_zones(), &a, NULL), 0);
    assert_int_equal(r.n_devices, 2);
    assert_int_equal(r.devices[0].zones, 2);
    assert_true(r.devices[0].elsewhere);
    assert_int_equal(r.devices[1].zones, 0);
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    static const struct {
        bool pods;
        struct str text;
        int rc;
    } cases[] = {
        {false, {"\x0a", 1}, -EPROTO}, /* a length is due */
        {false,
         {"\x0a\x05"
          "ab",
          4},
         -EPROTO}, /* longer than what is there */
        {false, {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, -EPROTO},
        {false, {"\x00\x01", 2}, -EPROTO}, /* field 0 */
        {false, {"\x0b", 1}, -EPROTO},     /* a group */
        {false, {"\x08\x01", 2}, -EPROTO}, /* devices as a number */
        {false,
         {"\x15"
          "abcd",
          5},
         -EPROTO}, /* cpu_ids as 32 bits */
        {false, {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, -EPROTO}, /* over 64 bits */
        {false, {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, -E2BIG},  /* CPU -1 */
        {false, {"\x10\x80\x20", 3}, -E2BIG},                                   /* CPU 4096 */
        {false, {"\x12\x02\x01\x80", 4}, -EPROTO},     /* half a number among packed ones */
        {false, {"\x0a\x03\x0a\x01\xff", 5}, -EPROTO}, /* a resource that is no UTF-8 */
        {false,
         {"\x51"
          "1234567",
          8},
         -EPROTO}, /* 64 bits cut */
        {true, {"\x0a\x03\x0a\x01\xff", 5}, -EPROTO},
        {true, {"\x0a\x04\x1a\x02\x08\x01", 6}, -EPROTO}, /* a container's name as a number */
        /* One good container, then bytes that are none. */
        {true, {"\x0a\x09\x1a\x05\x1a\x01\x02\x1a\x00\x1a\x7f", 11}, -EPROTO},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct arena a;

        arena_init(&a, room, sizeof(room));
        const int rc = decode(cases[i].pods, cases[i].text, &a, &err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d, not %d", i, rc, cases[i].rc);
        assert_true(err.text[0] != 0);
        assert_int_equal(a.used, 0);
    }
}

static void a_message_may_be_cut_anywhere(void **state)
{
    const struct str answers[] = {message_of(allocatable_answer()), message_of(list_answer())};

    for (size_t k = 0; k < ARRAY_LEN(answers); k++) {
        for (size_t n = 0; n < answers[k].n; n++) {
            struct arena a;

            arena_init(&a, room, sizeof(room));
            const int rc = decode(k == 1, (struct str){answers[k].p, n}, &a, NULL);
            assert_true(rc == 0 || rc == -EPROTO);
        }
    }
}

static void every_arena_size_gives_all_or_nothing(void **state)
{
    const struct str answers[] = {message_of(allocatable_answer()), message_of(list_answer())};

    for (size_t k = 0; k < ARRAY_LEN(answers); k++) {
        int rc = -ENOMEM;

        for (size_t n = 0; n < sizeof(room) && rc; n += 8) {
            struct arena a;

            arena_init(&a, room, n);
            rc = decode(k == 1, answers[k], &a, NULL);
            assert_true(rc == 0 || (rc == -ENOMEM && a.used == 0));
        }
        assert_int_equal(rc, 0);
    }
}

static void a_frame_holds_one_message_exactly(void **state)
{
    struct str m = {0};

    assert_int_equal(agent_grpc_message(&m, BYTES("\0\0\0\0\2ab"), NULL), 0);
    assert_str(m, "ab");
    assert_int_equal(agent_grpc_message(&m, BYTES("\0\0\0\0\0"), NULL), 0);
    assert_int_equal(m.n, 0);
    assert_int_equal(agent_grpc_message(&m, BYTES(""), NULL), -EPROTO);
    assert_int_equal(agent_grpc_message(&m, BYTES("\0\0\0\0"), NULL), -EPROTO);
    assert_int_equal(agent_grpc_message(&m, BYTES("\1\0\0\0\2ab"), NULL), -EPROTO);
    assert_int_equal(agent_grpc_message(&m, BYTES("\0\0\0\0\2a"), NULL), -EPROTO);
    assert_int_equal(agent_grpc_message(&m, BYTES("\0\0\0\0\2abc"), NULL), -EPROTO);
    assert_int_equal(agent_grpc_message(&m, BYTES("\0\1\0\0\2ab"), NULL), -EPROTO);
}

/* --- over a socket --- */

struct place {
    char dir[64], socket[96];
};

static int enter(void **state)
{
    struct place *const p = calloc(1, sizeof(*p));
    const char *const tmp = getenv("TMPDIR");

    assert_non_null(p);
    (void)snprintf(p->dir, sizeof(p->dir), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->socket, sizeof(p->socket), "%s/kubelet.sock", p->dir);
    *state = p;
    return 0;
}

static int leave(void **state)
{
    struct place *const p = *state;
    const int rc = rmdir(p->dir);

    free(p);
    return rc;
}

static void the_kubelet_is_asked(void **state)
{
    const struct place *const p = *state;
    const struct str bytes = allocatable_answer();
    const struct grpc_answer answers[] = {{.body = bytes.p, .n = bytes.n, .status = "0"}};
    struct grpc_server *const s = grpc_start(p->socket, answers, 1);
    struct buf out = {0};
    struct err err = {0};

    const int rc = agent_podresources_ask(&out, p->socket, "GetAllocatableResources", &err);
    grpc_stop(s);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(out.n, bytes.n - GRPC_HEAD_BYTES);
    assert_memory_equal(out.p, bytes.p + GRPC_HEAD_BYTES, out.n);
    buf_free(&out);
}

static void what_is_no_answer_says_why(void **state)
{
    static const struct {
        struct grpc_answer answer;
        int rc;
        const char *says;
    } cases[] = {
        {{.status = "12", .message = "unknown method"}, -EPROTO, "gRPC code 12: unknown method"},
        {{.body = "\0\0\0\0\0", .n = 5}, -EPROTO, "an answer without grpc-status"},
        {{.status = "0"}, -EPROTO, "no message"},
        {{.body = "\0\0\0\0\7ab", .n = 7, .status = "0"}, -EPROTO, "a message of 7 bytes"},
        {{.not_found = true}, -EPROTO, "HTTP 404"},
        {{.silent = true}, -EHOSTUNREACH, ""},
        {{.zeros = LIMIT_PODRESOURCES_BYTES + 1, .status = "0"}, -EFBIG, "larger than 16 MiB"},
    };
    const struct place *const p = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grpc_server *const s = grpc_start(p->socket, &cases[i].answer, 1);
        struct buf out = {0};
        struct err err = {0};

        const int rc = agent_podresources_ask(&out, p->socket, "List", &err);
        grpc_stop(s);
        if (rc != cases[i].rc || !strstr(err.text, cases[i].says) || !strstr(err.text, ": List: "))
            fail_msg("case %zu: %d: %s", i, rc, err.text);
        assert_int_equal(out.n, 0);
        buf_free(&out);
    }
}

static void nobody_at_the_socket_is_said(void **state)
{
    const struct place *const p = *state;
    struct buf out = {0};
    struct err err = {0};

    assert_int_equal(agent_podresources_ask(&out, p->socket, "List", &err), -EHOSTUNREACH);
    assert_non_null(strstr(err.text, p->socket));
    buf_free(&out);
}

int main(void)
{
#define AT_A_SOCKET(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_given_out_is_read),
        cmocka_unit_test(what_pods_hold_is_read),
        cmocka_unit_test(an_empty_message_is_an_empty_answer),
        cmocka_unit_test(what_is_not_known_is_skipped),
        cmocka_unit_test(a_zone_that_the_machine_has_not_is_elsewhere),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
        cmocka_unit_test(a_message_may_be_cut_anywhere),
        cmocka_unit_test(every_arena_size_gives_all_or_nothing),
        cmocka_unit_test(a_frame_holds_one_message_exactly),
        AT_A_SOCKET(the_kubelet_is_asked),
        AT_A_SOCKET(what_is_no_answer_says_why),
        AT_A_SOCKET(nobody_at_the_socket_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
