/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/labels.h"

#include <errno.h>

#include "base/arena.h"
#include "kube/scan.h"

/* Room for the values of what is due; NULL: failed, or it is null and passed. */
static void *room_for(struct scan *s, uint32_t *out_n, size_t size, struct arena *a)
{
    *out_n = 0;
    if (scan_kind(s) == SCAN_NULL) {
        (void)scan_skip(s);
        return NULL;
    }
    if (!scan_count(s, out_n))
        return NULL;
    void *const p = arena_array(a, *out_n, size);
    if (!p)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    return p;
}

bool kube_labels_read(struct scan *s, struct score_labels *out, struct arena *a)
{
    uint32_t room, n = 0;
    uint64_t *const at = room_for(s, &room, sizeof(*at), a);

    *out = (struct score_labels){0};
    if (!at || !scan_object(s))
        return !scan_failed(s);
    while (scan_key(s) && n < room) {
        struct str value = STR("");

        (void)scan_word(s, &value);
        at[n++] = score_label(s->key, value);
    }
    *out = (struct score_labels){at, n};
    return !scan_failed(s);
}

/* --- selectors --- */

/* A selector under construction. */
struct draft {
    struct score_requirement *at; /* [KUBE_SELECTOR_MAX] */
    uint32_t n;
    struct arena *a;
};

static struct score_requirement *next(struct scan *s, struct draft *d)
{
    if (d->n < KUBE_SELECTOR_MAX)
        return &d->at[d->n++];
    (void)scan_fail(s, -E2BIG, "more than %d requirements", KUBE_SELECTOR_MAX);
    return NULL;
}

static void read_match_labels(struct scan *s, struct draft *d)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        struct score_requirement *const r = next(s, d);
        uint64_t *const value = r ? arena_array(d->a, 1, sizeof(*value)) : NULL;
        struct str text = STR("");

        if (!value) {
            (void)scan_fail(s, -ENOMEM, "no room in the arena");
            return;
        }
        (void)scan_word(s, &text);
        *value = score_label(s->key, text);
        *r = (struct score_requirement){SCORE_IN, *value, value, 1};
    }
}

static void read_operator(struct scan *s, struct score_requirement *r)
{
    static const char *const words[] = {[SCORE_IN] = "In",
                                        [SCORE_NOT_IN] = "NotIn",
                                        [SCORE_EXISTS] = "Exists",
                                        [SCORE_DOES_NOT_EXIST] = "DoesNotExist"};
    struct str word;
    size_t i = 0;

    if (!scan_word(s, &word))
        return;
    while (i < ARRAY_LEN(words) && !str_is(word, words[i]))
        i++;
    if (i == ARRAY_LEN(words))
        (void)scan_fail(s, -EINVAL, "not In, NotIn, Exists or DoesNotExist");
    else
        r->op = (enum score_operator)i;
}

/* Texts of the values; they become labels when the key is known. */
static void read_values(struct scan *s, struct str **out, uint32_t *out_n, struct arena *a)
{
    uint32_t room, n = 0;
    struct str *const texts = room_for(s, &room, sizeof(*texts), a);

    if (!texts)
        return;
    if (room > KUBE_SELECTOR_MAX) {
        (void)scan_fail(s, -E2BIG, "more than %d values", KUBE_SELECTOR_MAX);
        return;
    }
    if (!scan_array(s))
        return;
    while (scan_item(s) && n < room)
        (void)scan_text(s, &texts[n++], a);
    *out = texts;
    *out_n = n;
}

static void finish(struct scan *s, struct score_requirement *r, struct str key,
                   const struct str *texts, uint32_t n, struct arena *a)
{
    const bool wants = r->op == SCORE_IN || r->op == SCORE_NOT_IN;
    uint64_t *const values = arena_array(a, n, sizeof(*values));

    if (!values)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    else if (key.n == 0)
        (void)scan_fail(s, -EINVAL, "no key");
    else if (wants != (n > 0))
        (void)scan_fail(s, -EINVAL, wants ? "In and NotIn need values" : "no values go with it");
    if (scan_failed(s))
        return;
    for (uint32_t i = 0; i < n; i++)
        values[i] = score_label(key, texts[i]);
    r->key = score_label(key, STR(""));
    r->values = values;
    r->n_values = n;
}

static void read_expression(struct scan *s, struct draft *d)
{
    struct score_requirement *const r = next(s, d);
    struct str key = STR(""), *texts = NULL;
    uint32_t n = 0;

    if (!r || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "key"))
            (void)scan_text(s, &key, d->a);
        else if (scan_at(s, "operator"))
            read_operator(s, r);
        else if (scan_at(s, "values"))
            read_values(s, &texts, &n, d->a);
        else
            (void)scan_fail(s, -EINVAL, "unknown field");
    }
    finish(s, r, key, texts, n, d->a);
}

bool kube_selector_read(struct scan *s, struct score_selector *out, struct arena *a)
{
    struct draft d = {.at = arena_array(a, KUBE_SELECTOR_MAX, sizeof(*d.at)), .a = a};

    *out = (struct score_selector){0};
    if (!d.at)
        return scan_fail(s, -ENOMEM, "no room in the arena");
    if (!scan_object(s))
        return !scan_failed(s);
    while (scan_key(s)) {
        if (scan_at(s, "matchLabels"))
            read_match_labels(s, &d);
        else if (scan_at(s, "matchExpressions") && scan_array(s)) {
            while (scan_item(s))
                read_expression(s, &d);
        } else if (!scan_at(s, "matchExpressions")) {
            (void)scan_fail(s, -EINVAL, "unknown field");
        }
    }
    *out = (struct score_selector){d.at, d.n};
    return !scan_failed(s);
}
