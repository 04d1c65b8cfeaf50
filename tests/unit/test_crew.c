/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "tests/support/test.h"

enum { ITEMS = 10007, ROOM = 64 };

struct work {
    unsigned char done[ITEMS];
    atomic_uint pieces, elsewhere; /* by another thread than the caller's */
    uint32_t fails_at;             /* ITEMS: nowhere */
    pthread_t caller;
};

static char room[ROOM];

static int mark(void *ctx, uint32_t from, uint32_t to, struct arena *scratch)
{
    struct work *const w = ctx;

    assert_true(from < to && to <= ITEMS && scratch->room >= ROOM);
    atomic_fetch_add(&w->pieces, 1);
    if (!pthread_equal(pthread_self(), w->caller))
        atomic_fetch_add(&w->elsewhere, 1);
    for (uint32_t i = from; i < to; i++)
        w->done[i]++;
    return from <= w->fails_at && w->fails_at < to ? -ENOSPC : 0;
}

static struct work *new_work(uint32_t fails_at)
{
    struct work *const w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->fails_at = fails_at;
    w->caller = pthread_self();
    return w;
}

static int share(struct crew *c, struct work *w, uint32_t n)
{
    struct arena a;

    arena_init(&a, room, ROOM);
    return crew_share(c, n, mark, w, &a);
}

static void every_item_is_done_once(void **state)
{
    struct crew *c;

    assert_int_equal(crew_new(&c, CREW_MOST - 1, 1, NULL), 0);
    for (uint32_t n = 1; n <= ITEMS; n = n * 3 + 7) {
        struct work *const w = new_work(ITEMS);

        assert_int_equal(share(c, w, n), 0);
        for (uint32_t i = 0; i < ITEMS; i++)
            assert_int_equal(w->done[i], i < n);
        assert_int_equal(w->pieces, (n + CREW_PIECE - 1) / CREW_PIECE);
        free(w);
    }
    crew_free(c);
}

/* Whoever does the first piece waits for the second one to be begun: that takes two. */
static int meet(void *ctx, uint32_t from, uint32_t to, struct arena *scratch)
{
    return pthread_barrier_wait(ctx) > 0 ? -EINVAL : 0;
}

static void helpers_help(void **state)
{
    pthread_barrier_t both;
    struct crew *c;
    struct arena a;

    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    assert_int_equal(crew_new(&c, 1, 1, NULL), 0);
    arena_init(&a, room, ROOM);
    assert_int_equal(crew_share(c, 2 * CREW_PIECE, meet, &both, &a), 0);
    crew_free(c);
    pthread_barrier_destroy(&both);
}

static void an_error_is_said_and_the_next_job_is_done(void **state)
{
    struct work *const bad = new_work(ITEMS / 2), *const good = new_work(ITEMS);
    struct crew *c;

    assert_int_equal(crew_new(&c, 2, 1, NULL), 0);
    assert_int_equal(share(c, bad, ITEMS), -ENOSPC);
    assert_int_equal(share(c, good, ITEMS), 0);
    crew_free(c);
    free(bad);
    free(good);
}

static void little_work_and_no_crew_are_the_callers(void **state)
{
    struct work *const w = new_work(ITEMS);
    struct crew *c;

    assert_int_equal(crew_new(&c, 2, ITEMS + 1, NULL), 0);
    assert_int_equal(share(c, w, ITEMS), 0);
    assert_int_equal(share(NULL, w, ITEMS), 0);
    assert_int_equal(w->pieces, 2);
    assert_int_equal(w->elsewhere, 0);
    assert_int_equal(w->done[ITEMS - 1], 2);
    crew_free(c);
    free(w);
}

static void its_size_is_within_bounds(void **state)
{
    const uint32_t n = crew_size();

    assert_true(n >= 1 && n <= CREW_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once),
        cmocka_unit_test(helpers_help),
        cmocka_unit_test(an_error_is_said_and_the_next_job_is_done),
        cmocka_unit_test(little_work_and_no_crew_are_the_callers),
        cmocka_unit_test(its_size_is_within_bounds),
    };

    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
