/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/lock_text.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/test.h"

static void read_claim(struct lock_claim *out, struct str lock, struct str thread, uint64_t since)
{
    *out = (struct lock_claim){.thread = thread, .since_ns = since};
    if (str_ends(lock, "!")) {
        out->shared = true;
        lock.n--;
    }
    out->class_name = str_cut(&lock, '/');
    out->instance = lock;
    assert_true(out->class_name.n && lock.n);
}

static void read_clause(struct lock_text *t, struct str clause)
{
    struct lock_report *const r = &t->report;
    struct str first = str_cut(&clause, ' ');
    uint64_t n = 1;

    if (memchr(first.p, '>', first.n)) {
        const struct str from = str_cut(&first, '>');

        assert_true(clause.n == 0 || str_u64(clause, &n));
        assert_true(r->n_edges < LOCK_TEXT_ITEMS);
        t->edges[r->n_edges++] = (struct lock_seen){from, first, n};
        return;
    }
    const struct str verb = str_cut(&clause, ' '), lock = str_cut(&clause, ' ');
    if (str_starts(clause, "since "))
        assert_true(str_u64((struct str){clause.p + 6, clause.n - 6}, &n));
    assert_true(r->n_held < LOCK_TEXT_ITEMS && r->n_waiting < LOCK_TEXT_ITEMS);
    if (str_is(verb, "holds"))
        read_claim(&t->held[r->n_held++], lock, first, n);
    else if (str_is(verb, "waits"))
        read_claim(&t->waiting[r->n_waiting++], lock, first, n);
    else
        fail_msg("\"%.*s\"?", STR_ARG(verb));
}

void lock_text_read(struct lock_text *out, const char *text)
{
    unsigned long long epoch, sequence, now;
    char ns[64], pod[64];
    int at = 0;

    assert_true(strlen(text) < sizeof(out->room));
    memset(out, 0, sizeof(*out));
    if (sscanf(text, "%63[^/]/%63s %llu %llu at %llu:%n", ns, pod, &epoch, &sequence, &now, &at) !=
            5 ||
        at == 0)
        fail_msg("not a report: %s", text);
    strcpy(out->room, text);
    struct str rest = str_trim(str_of(out->room + at));
    const struct str head = {out->room, strlen(ns)};
    out->report = (struct lock_report){.ns = head,
                                       .pod = {out->room + head.n + 1, strlen(pod)},
                                       .container = STR("main"),
                                       .epoch = epoch,
                                       .sequence = sequence,
                                       .now_ns = now,
                                       .held = out->held,
                                       .waiting = out->waiting,
                                       .edges = out->edges};
    while (rest.n) {
        const struct str clause = str_trim(str_cut(&rest, ','));

        if (clause.n)
            read_clause(out, clause);
    }
}

int lock_text_say(struct lock_book *b, uint64_t now_ns, const char *text,
                  struct lock_answer *answer)
{
    struct lock_answer unused;
    struct lock_text t;
    struct err err;

    lock_text_read(&t, text);
    return lock_book_report(b, &t.report, now_ns, answer ? answer : &unused, &err);
}
