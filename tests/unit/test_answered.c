/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/answered.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { MOST = 40, ROUNDS = 3000 };

static _Alignas(max_align_t) char room[2][256 * 1024];
static struct cluster_snapshot *snapshot;

struct body {
    char *p;
    struct kube_extender_args args;
};

/* `list` with the brackets; `which` arena. */
static void decode(struct body *b, const struct buf *list, const struct kube_seen_names *expected,
                   int which)
{
    struct buf text = {0};
    struct arena a;
    struct err err;

    buf_text(&text, "{\"Pod\":{\"metadata\":{\"name\":\"p\"}},\"Nodes\":null,\"NodeNames\":");
    buf_str(&text, buf_view(list));
    buf_text(&text, "}");
    b->p = test_padded(buf_view(&text), ']');
    assert_non_null(b->p);
    arena_init(&a, room[which], sizeof(room[which]));
    assert_int_equal(
        kube_extender_args_decode(&b->args, (struct str){b->p, text.n}, expected, &a, &err), 0);
    buf_free(&text);
}

static void add_name(struct buf *list, uint64_t *seed, const char *between)
{
    buf_printf(list, "%s\"%.*s%u\"", list->n > 1 ? between : "", (int)test_random(seed, 12),
               "node-in-rack", (unsigned)test_random(seed, 100));
}

/* Some are handed back. */
static void make_rows(struct decide_row *rows, uint32_t n, uint64_t *seed)
{
    const uint64_t in = 1 + test_random(seed, 8); /* of eight */

    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct decide_row){
            .position = test_random(seed, 9) ? (uint32_t)test_random(seed, 9999) : DECIDE_NO_NODE,
            .verdict = test_random(seed, 8) < in ? SCORE_ADMITTED : SCORE_REJECTED,
            .marks = test_random(seed, 9) ? 0 : DECIDE_LEFT_OUT};
}

/* The names handed back as a list; what is remembered of each is compared with it. */
static void join(struct buf *list, const struct answered *w, const struct kube_extender_args *args,
                 const struct decision *d)
{
    uint32_t n = 0;

    buf_text(list, "[");
    for (uint32_t i = 0; i < d->n; i++) {
        if (!decide_hands_back(d, DECIDE_ENFORCE, i))
            continue;
        buf_text(list, n ? ",\"" : "\"");
        buf_str(list, args->names[i]);
        buf_text(list, "\"");
        assert_int_equal(w->positions[n++], d->rows[i].position);
    }
    buf_text(list, "]");
    assert_int_equal(w->names.n, n);
}

/* Decoded with and without what is expected: the same. True when it was known. */
static bool same_either_way(const struct buf *list, const struct answered *w)
{
    struct body with, without;

    decode(&with, list, &w->names, 0);
    decode(&without, list, NULL, 1);
    assert_int_equal(with.args.n, without.args.n);
    assert_int_equal(with.args.quoted_bytes, without.args.quoted_bytes);
    assert_true(with.args.has_pod && !without.args.seen);
    for (uint32_t i = 0; i < with.args.n; i++) {
        assert_true(str_eq(with.args.names[i], without.args.names[i]));
        assert_ptr_equal(with.args.names[i].p - with.p, without.args.names[i].p - without.p);
    }
    free(with.p);
    free(without.p);
    return with.args.seen;
}

/* One digit differs, one name is more, one is less, a blank stands somewhere: not the same. */
static void other_lists(const struct buf *back, const struct answered *w, uint64_t *seed)
{
    const char *const comma = memchr(back->p, ',', back->n);
    const char *const head = comma ? comma + 1 : back->p + back->n - 1;

    for (int way = 0; w->names.n > 0 && way < 4; way++) {
        struct buf list = {0};

        if (way == 0) {
            buf_str(&list, buf_view(back));
            list.p[list.n - 3] = list.p[list.n - 3] == '7' ? '8' : '7';
        } else if (way == 1) {
            buf_add(&list, back->p, back->n - 1);
            add_name(&list, seed, ",");
            buf_text(&list, "]");
        } else if (way == 2) {
            buf_text(&list, "[");
            buf_add(&list, head, (size_t)(back->p + back->n - head));
        } else {
            buf_add(&list, back->p, back->n - 1);
            buf_text(&list, " ]");
        }
        assert_false(same_either_way(&list, w));
        buf_free(&list);
    }
}

static void one_round(struct answered *w, uint64_t *seed)
{
    static const char *const between[] = {",", ", ", " ,"};
    const uint64_t n = test_random(seed, MOST);
    const char *const blank = between[test_random(seed, ARRAY_LEN(between))];
    struct decide_row rows[MOST];
    struct buf list = {0}, back = {0};
    struct body b;

    buf_text(&list, "[");
    for (uint64_t i = 0; i < n; i++)
        add_name(&list, seed, test_random(seed, 4) ? "," : blank);
    buf_text(&list, "]");
    decode(&b, &list, NULL, 0);
    make_rows(rows, b.args.n, seed);
    const struct decision d = {.snapshot = snapshot, .n = b.args.n, .rows = rows};
    answered_keep(w, &b.args, &d, DECIDE_ENFORCE);
    if (b.args.n > 0)
        assert_int_equal(w->roster, cluster_snapshot_roster(snapshot)->serial);
    join(&back, w, &b.args, &d);
    free(b.p);
    assert_int_equal(same_either_way(&back, w), w->names.n > 0);
    other_lists(&back, w, seed);
    buf_free(&list);
    buf_free(&back);
}

static void what_filter_hands_back_is_known_when_it_comes(void **state)
{
    uint64_t seed = test_seed(26);
    struct answered w = {0};

    for (int i = 0; i < ROUNDS; i++)
        one_round(&w, &seed);
    answered_done(&w);
}

static void what_is_no_plain_list_of_names_is_not_remembered(void **state)
{
    static const char *const lists[] = {"[]", "[\"a\",\"n\\u0031\"]", "[\"a\",null]"};
    static const struct decide_row rows[2] = {{.verdict = SCORE_ADMITTED},
                                              {.verdict = SCORE_ADMITTED}};
    struct answered w = {0};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct buf list = {0};
        struct body b;

        w.names.n = 7;
        buf_text(&list, lists[i]);
        decode(&b, &list, NULL, 0);
        const struct decision d = {.snapshot = snapshot, .n = b.args.n, .rows = rows};
        answered_keep(&w, &b.args, &d, DECIDE_ENFORCE);
        assert_int_equal(w.names.n, 0);
        free(b.p);
        buf_free(&list);
    }
    answered_done(&w);
}

static void in_shadow_every_name_is_handed_back(void **state)
{
    static const struct decide_row rows[2] = {{.verdict = SCORE_REJECTED, .position = 3},
                                              {.verdict = SCORE_ADMITTED, .position = 5}};
    struct answered w = {0};
    struct buf list = {0};
    struct body b;

    buf_text(&list, "[\"a\",\"b\"]");
    decode(&b, &list, NULL, 0);
    const struct decision d = {.snapshot = snapshot, .n = 2, .rows = rows};
    answered_keep(&w, &b.args, &d, DECIDE_SHADOW);
    assert_int_equal(w.names.n, 2);
    assert_true(w.positions[0] == 3 && w.positions[1] == 5);
    assert_true(same_either_way(&list, &w));
    free(b.p);
    decode(&b, &list, NULL, 0);
    answered_keep(&w, &b.args, &d, DECIDE_ENFORCE);
    assert_int_equal(w.names.n, 1);
    assert_int_equal(w.positions[0], 5);
    free(b.p);
    buf_free(&list);
    answered_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_filter_hands_back_is_known_when_it_comes),
        cmocka_unit_test(what_is_no_plain_list_of_names_is_not_remembered),
        cmocka_unit_test(in_shadow_every_name_is_handed_back),
    };
    const struct cluster_options options = {.max_age_us = 1000000};
    struct cluster *cluster;
    struct err err;

    if (cluster_new(&cluster, &options, &err))
        return 1;
    snapshot = cluster_get(cluster);
    const int failed = cmocka_run_group_tests_name("answered", tests, NULL, NULL);
    cluster_snapshot_unref(snapshot);
    cluster_free(cluster);
    return failed;
}
