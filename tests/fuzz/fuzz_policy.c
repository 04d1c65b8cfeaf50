/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a ConcurrencyPolicy and as a Signal: refused with words, or within their bounds. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/policy.h"
#include "kube/scan.h"
#include "kube/signal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 18 };

static void check_weights(const struct policy_weights *w)
{
    for (int t = 0; t < SCORE_TERM_COUNT; t++)
        assert(w->w[t] == POLICY_NONE || (w->w[t] >= 0 && w->w[t] <= SCORE_MAX));
}

static void check_policy(const struct score_policy *p)
{
    assert(p->allowed_cross_access == POLICY_NONE ||
           (p->allowed_cross_access >= 0 && p->allowed_cross_access <= 100));
    assert(p->allowed_distance == POLICY_NONE || p->allowed_distance == 0 ||
           (p->allowed_distance >= TOPO_LOCAL && p->allowed_distance <= TOPO_UNREACHABLE));
    assert(p->n_classes <= 16 && p->n_preferred_zones <= 64);
    check_weights(&p->weights);
    for (uint32_t i = 0; i < p->n_classes; i++) {
        assert(p->classes[i].name.n > 0 && p->classes[i].name.n < 64);
        assert(i == 0 || p->classes[i].priority > p->classes[i - 1].priority);
        check_weights(&p->classes[i].weights);
    }
}

static void check_signal(const struct kube_signal *s)
{
    assert(s->kind == s->unit && s->ttl_s >= 1 && s->nodes.n <= SIGNAL_NODES);
    for (uint32_t i = 0; i < s->nodes.n; i++) {
        const struct signal_node *const n = &s->nodes.at[i];

        assert(i == 0 || str_cmp(n[-1].name, n->name) < 0);
        assert(n->value == FIELD_NONE || (n->value >= 0 && n->value <= SIGNAL_MOST));
        assert(kube_signal_node(s, n->name) == n);
        for (uint32_t k = 0; k < n->n_devices; k++)
            assert(n->devices[k].value >= 0 && n->devices[k].value <= SIGNAL_MOST);
    }
}

/* Decode from a copy that is gone before the values are looked at: nothing borrows from the text.
 */
static void decode(const uint8_t *data, size_t size, char *room, bool strict)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES);
    struct score_policy p;
    struct kube_signal s;
    struct arena a, b;
    struct err err = {.text = ""}, err2 = {.text = ""};

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    arena_init(&a, room, ROOM / 2);
    arena_init(&b, room + ROOM / 2, ROOM / 2);
    const int rc = kube_policy_decode(&p, (struct str){text, size}, strict, &a, &err);
    const int rc2 = kube_signal_decode(&s, (struct str){text, size}, strict, &b, &err2);
    free(text);
    if (rc == 0)
        check_policy(&p);
    else
        assert(arena_mark(&a) == 0 && err.text[0]);
    if (rc2 == 0)
        check_signal(&s);
    else
        assert(arena_mark(&b) == 0 && err2.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const room = malloc(ROOM);

    if (!room)
        abort();
    decode(data, size, room, true);
    decode(data, size, room, false);
    free(room);
    return 0;
}
