/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the status of a ResourceAdjustment and as a pod: what is read of an act can be
 * written and read again and names a pod or nothing, and the status that is made of what was read
 * says the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/emit.h"
#include "kube/scan.h"
#include "operator/adjust_status.h"
#include "operator/resize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };
static char rooms[2][ROOM];

static void same(const struct resize_record *a, const struct resize_record *b)
{
    assert(a->outcome == b->outcome && a->attempts == b->attempts);
    assert(a->generation == b->generation && a->epoch == b->epoch);
    assert(resize_is(&a->from, &b->from) && resize_is(&a->to, &b->to));
    assert(a->n_earlier == b->n_earlier && strcmp(a->pod, b->pod) == 0);
}

/* What was read, written and read again, is the same. */
static void write_again(const struct adjust_told *t)
{
    const struct adjust_held held = {t->held[0] ? t->held : NULL, ""};
    struct adjust_told again;
    struct buf text = {0};
    struct arena a;

    arena_init(&a, rooms[1], ROOM);
    assert(strspn(t->act.pod, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(t->act.pod));
    adjust_status_put(&text, &t->answer, &held, &t->act, t->observed, 1000000);
    const size_t n = text.n;
    buf_add(&text, (const char[SCAN_PADDING_BYTES]){0}, SCAN_PADDING_BYTES);
    assert(!text.failed);
    adjust_status_read(&again, (struct str){text.p, n}, &a);
    assert(again.observed == t->observed && again.answer.outcome == t->answer.outcome);
    assert(again.answer.path == t->answer.path);
    same(&again.act, &t->act);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES);
    struct resize_record r;
    struct resize_seen seen;
    struct adjust_told told;
    struct arena a;

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    const struct str all = {text, size};
    arena_init(&a, rooms[0], ROOM);
    resize_record_read(&r, all);
    adjust_status_read(&told, all, &a);
    if (told.answer.outcome != ADJUST_INFEASIBLE || told.act.outcome != RESIZE_NOTHING) {
        same(&told.act, &r);
        write_again(&told);
    }
    resize_see(&seen, all, "main");
    assert(seen.found || seen.spec.cpu < 0);
    free(text);
    return 0;
}
