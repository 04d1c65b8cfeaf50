/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded machine with a few bytes changed, cut or repeated is a machine or a clear error.
 * hwloc crashes on every thirtieth of them; nobody here may notice.
 */
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "tests/support/data.h"
#include "topology/discover.h"
#include "topology/model.h"

enum { MUTATIONS = 500, LIMIT_MS = 2000 };

static const char *const names[] = {
    "machines/nvidiaDGX2.xml",
    "machines/power8gpudistances.xml",
    "machines/8intel64-4n2t-memattrs.xml",
    "machines/64intel64-fakeKNL-SNC4-hybrid.xml",
    "machines/16amd64-4distances.xml",
    "machines/28intel64-2p2g7c-CoDgroups.v1.xml",
    "machines/memorysidecaches.xml",
};

static uint64_t seed;

/* Another digit where one stands: the file stays XML, the machine becomes another. */
static void change_digit(struct buf *text, size_t at)
{
    while (at < text->n && !strchr("0123456789abcdef", text->p[at]))
        at++;
    if (at < text->n)
        text->p[at] = "0123456789abcdef"[test_random(&seed, 16)];
}

/* Change a byte, lose a few, or repeat a few. */
static void mutate(struct buf *text)
{
    const size_t at = (size_t)test_random(&seed, text->n);
    const size_t left = text->n - at;
    const size_t n = 1 + (size_t)test_random(&seed, left < 40 ? left : 40);

    switch (test_random(&seed, 16)) {
    case 0:
        memmove(text->p + at, text->p + at + n, left - n);
        text->n -= n;
        break;
    case 1:
        memmove(text->p + test_random(&seed, text->n - n + 1), text->p + at, n);
        break;
    case 2:
        text->p[at] = (char)test_random(&seed, 256);
        break;
    default:
        change_digit(text, at);
        break;
    }
}

static void write_file(const char *path, const struct buf *text)
{
    FILE *const f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
    assert_int_equal(fclose(f), 0);
}

static uint32_t count_files(void)
{
    DIR *const dir = opendir("/proc/self/fd");
    uint32_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

/* Every reference leads somewhere, and the whole can be walked. */
static void assert_sound(const struct topo_machine *m)
{
    assert_in_range(m->n_zones, 1, TOPO_MAX_ZONES);
    assert_int_equal(m->distances.n, m->n_zones);
    for (uint32_t i = 0; i < m->n_cpus; i++)
        assert_true(m->cpus[i].zone == TOPO_NONE || m->cpus[i].zone < m->n_zones);
    for (uint32_t i = 0; i < m->n_devices; i++) {
        for (uint32_t j = 0; j < m->n_devices; j++)
            assert_non_null(topo_link_text(topo_device_link(m, i, j)));
    }
}

static struct tally {
    uint32_t machines, refused, crashed;
} tally;

static void count(int rc, const struct err *err)
{
    const bool crashed = rc < 0 && strstr(err->text, "crashed");

    tally.machines += rc == 0;
    tally.crashed += crashed;
    tally.refused += rc < 0 && !crashed;
}

static void import_one(const char *path, const struct buf *text, void *room)
{
    const struct topo_source src = {TOPO_SOURCE_XML, path, LIMIT_MS};
    struct topo_machine m = {.n_zones = 77};
    struct err err = {0};
    struct arena a;

    write_file(path, text);
    arena_init(&a, room, TOPO_DISCOVER_ARENA_BYTES);
    const int rc = topo_discover(&m, &src, &a, &err);
    count(rc, &err);
    if (rc == 0) {
        assert_sound(&m);
        return;
    }
    assert_true(rc == -EPROTO || rc == -E2BIG || rc == -ETIMEDOUT || rc == -ENOMEM);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(m.n_zones, 77);
    assert_int_equal(arena_mark(&a), 0);
}

static void a_damaged_recording_is_a_machine_or_a_clear_error(void **state)
{
    char path[] = "/tmp/numawise-damaged-XXXXXX";
    void *const room = malloc(TOPO_DISCOVER_ARENA_BYTES);
    const int fd = mkstemp(path);

    assert_non_null(room);
    assert_true(fd >= 0);
    (void)close(fd);
    const uint32_t files = count_files();
    for (uint32_t k = 0; k < MUTATIONS; k++) {
        struct buf text = {0};

        assert_int_equal(test_data_read(names[k % ARRAY_LEN(names)], &text), 0);
        for (uint64_t n = 1 + test_random(&seed, 3); n > 0; n--)
            mutate(&text);
        import_one(path, &text, room);
        buf_free(&text);
    }
    print_message("%u machines, %u refused, %u crashes caught\n", tally.machines, tally.refused,
                  tally.crashed);
    assert_int_equal(count_files(), files);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left over */
    assert_int_equal(errno, ECHILD);
    (void)unlink(path);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_recording_is_a_machine_or_a_clear_error),
    };

    seed = test_seed(20261124);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
