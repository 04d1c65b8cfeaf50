/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

enum { RELEASE_TRIES = 4, RELEASED_S = 1 };

#define MS UINT64_C(1000000)

/* As in client-go, JitterFactor: waits are 1 to 2.2 times retry_ms. */
static const double jitter = 1.2;

int lease_check(const struct lease_times *t, struct err *err)
{
    if (t->duration_ms == 0 || t->duration_ms % 1000 != 0)
        return err_set(err, -EINVAL, "leaseDuration: not whole seconds");
    if (t->duration_ms <= t->renew_ms)
        return err_set(err, -EINVAL, "leaseDuration: not longer than renewDeadline");
    if (t->retry_ms == 0 || (double)t->renew_ms <= jitter * (double)t->retry_ms)
        return err_set(err, -EINVAL, "renewDeadline: not longer than 1.2 times retryPeriod");
    return 0;
}

/* ---- the object ---- */

static void read_word(struct scan *s, char *out, size_t room)
{
    struct str word;

    if (!scan_word(s, &word))
        return;
    if (word.n >= room || memchr(word.p, 0, word.n)) {
        (void)scan_fail(s, -E2BIG, "longer than %zu bytes", room - 1);
        return;
    }
    memcpy(out, word.p, word.n);
    out[word.n] = 0;
}

static void read_time(struct scan *s, int64_t *out)
{
    struct str word;

    if (scan_word(s, &word) && clock_parse_rfc3339(word, out) < 0)
        (void)scan_fail(s, -EINVAL, "not a time");
}

static void read_count(struct scan *s, int32_t *out)
{
    int64_t v;

    if (!scan_int64(s, &v))
        return;
    if (v < 0 || v > INT32_MAX)
        (void)scan_fail(s, -EINVAL, "out of range");
    else
        *out = (int32_t)v;
}

static void read_spec(struct scan *s, struct lease_record *r)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "holderIdentity"))
            read_word(s, r->holder, sizeof(r->holder));
        else if (scan_at(s, "leaseDurationSeconds"))
            read_count(s, &r->duration_s);
        else if (scan_at(s, "leaseTransitions"))
            read_count(s, &r->transitions);
        else if (scan_at(s, "acquireTime"))
            read_time(s, &r->acquired_us);
        else if (scan_at(s, "renewTime"))
            read_time(s, &r->renewed_us);
    }
}

static void read_metadata(struct scan *s, struct lease_record *r)
{
    if (!scan_object(s))
        return;
    while (scan_key(s))
        if (scan_at(s, "resourceVersion"))
            read_word(s, r->version, sizeof(r->version));
}

int lease_decode(struct lease_record *out, struct str json, struct err *err)
{
    struct lease_record r = {0};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                read_metadata(&s, &r);
            else if (scan_at(&s, "spec"))
                read_spec(&s, &r);
        }
    const int rc = scan_end(&s, err);
    if (rc < 0)
        return rc;
    if (!r.version[0])
        return err_set(err, -EINVAL, "metadata.resourceVersion: missing");
    *out = r;
    return 0;
}

static void emit_spec(struct emit *e, const struct lease_record *r)
{
    emit_key(e, "spec"), emit_object(e);
    emit_key(e, "holderIdentity"), emit_words(e, r->holder);
    emit_key(e, "leaseDurationSeconds"), emit_int(e, r->duration_s);
    emit_key(e, "acquireTime"), emit_time(e, r->acquired_us);
    emit_key(e, "renewTime"), emit_time(e, r->renewed_us);
    emit_key(e, "leaseTransitions"), emit_int(e, r->transitions);
    emit_end(e);
}

void lease_encode(struct buf *out, const char *ns, const char *name, const struct lease_record *r)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "coordination.k8s.io/v1");
    emit_key(&e, "kind"), emit_words(&e, "Lease");
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "namespace"), emit_words(&e, ns);
    emit_key(&e, "name"), emit_words(&e, name);
    emit_end(&e);
    emit_spec(&e, r);
    emit_end(&e);
}

/* What others put on the object, labels and owners, stays there. */
void lease_encode_patch(struct buf *out, const struct lease_record *r)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "resourceVersion"), emit_words(&e, r->version);
    emit_end(&e);
    emit_spec(&e, r);
    emit_end(&e);
}

/* ---- the machine ---- */

void lease_init(struct lease *l, const char *identity, const struct lease_times *times)
{
    assert(identity[0] && strlen(identity) < sizeof(l->identity));
    *l = (struct lease){.times = *times, .next = LEASE_GET, .out = LEASE_WAIT};
    memcpy(l->identity, identity, strlen(identity));
}

uint32_t lease_timeout_ms(const struct lease *l)
{
    return l->times.renew_ms / 2;
}

static uint64_t deadline_ns(const struct lease *l)
{
    return l->renewed_ns + l->times.renew_ms * MS;
}

bool lease_may_act(const struct lease *l, uint64_t now_ns)
{
    return l->leads && now_ns < deadline_ns(l);
}

static void go_on_at(struct lease *l, enum lease_step step, uint64_t at_ns)
{
    l->next = step;
    l->next_ns = at_ns;
}

static void try_again(struct lease *l, uint64_t now_ns, uint32_t random)
{
    const double factor = l->leads ? 1 : 1 + jitter * (double)random / 4294967296.0;

    l->has_looked = false;
    go_on_at(l, LEASE_GET, now_ns + (uint64_t)((double)l->times.retry_ms * factor) * MS);
}

static bool is_ours(const struct lease *l)
{
    return l->has_seen && strcmp(l->seen.holder, l->identity) == 0;
}

/* The same record for as long as it says, by our clock. */
static bool may_take(const struct lease *l, uint64_t now_ns)
{
    return !l->seen.holder[0] || is_ours(l) ||
           l->seen_ns + (uint64_t)l->seen.duration_s * 1000 * MS <= now_ns;
}

/* The time runs anew when the record says something else; a new version alone does not count. */
static void see(struct lease *l, const struct lease_record *got, uint64_t now_ns)
{
    struct lease_record before = l->seen;

    memcpy(before.version, got->version, sizeof(before.version));
    const bool same =
        l->has_seen && strcmp(before.holder, got->holder) == 0 &&
        before.duration_s == got->duration_s && before.transitions == got->transitions &&
        before.acquired_us == got->acquired_us && before.renewed_us == got->renewed_us;
    if (!same)
        l->seen_ns = now_ns;
    l->seen = *got;
    l->has_seen = true;
}

static struct lease_record new_record(const struct lease *l, int64_t wall_us)
{
    struct lease_record r = {
        .duration_s = (int32_t)(l->times.duration_ms / 1000),
        .acquired_us = wall_us,
        .renewed_us = wall_us,
    };

    if (l->next == LEASE_UPDATE) {
        memcpy(r.version, l->seen.version, sizeof(r.version));
        r.transitions = l->seen.transitions;
        if (is_ours(l))
            r.acquired_us = l->seen.acquired_us;
        else if (r.transitions < INT32_MAX)
            r.transitions++;
    }
    if (l->releases)
        r.duration_s = RELEASED_S; /* the record must not say 0 */
    else
        memcpy(r.holder, l->identity, sizeof(r.holder));
    return r;
}

enum lease_step lease_next(struct lease *l, uint64_t now_ns, int64_t wall_us,
                           struct lease_record *send, uint64_t *until_ns)
{
    if (l->leads && now_ns >= deadline_ns(l))
        l->leads = false;
    *until_ns = l->leads && deadline_ns(l) < l->next_ns ? deadline_ns(l) : l->next_ns;
    if (l->out != LEASE_WAIT) {
        *until_ns = l->leads ? deadline_ns(l) : UINT64_MAX;
        return LEASE_WAIT;
    }
    if (l->next == LEASE_DONE)
        return LEASE_DONE;
    if (now_ns < l->next_ns)
        return LEASE_WAIT;
    if (l->next != LEASE_GET)
        *send = new_record(l, wall_us);
    l->out = l->next;
    l->out_releases = l->releases;
    l->sent_ns = now_ns;
    return l->out;
}

static void won(struct lease *l, const struct lease_record *got, uint64_t now_ns)
{
    see(l, got, now_ns);
    l->leads = true;
    l->renewed_ns = l->sent_ns;
    l->has_looked = false;
    go_on_at(l, LEASE_UPDATE, l->sent_ns + l->times.retry_ms * MS);
}

static void after_get(struct lease *l, enum lease_outcome outcome, const struct lease_record *got,
                      uint64_t now_ns, uint32_t random)
{
    l->has_looked = true;
    if (outcome == LEASE_MISSING) {
        l->leads = false; /* somebody has removed it: whoever is first has it now */
        l->has_seen = false;
        go_on_at(l, LEASE_CREATE, now_ns);
    } else if (outcome != LEASE_OK) {
        try_again(l, now_ns, random);
    } else {
        see(l, got, now_ns);
        l->leads = l->leads && is_ours(l);
        if (may_take(l, now_ns))
            go_on_at(l, LEASE_UPDATE, now_ns);
        else
            try_again(l, now_ns, random);
    }
}

/* A leader that could not write looks at once, in the same round. */
static void after_write(struct lease *l, enum lease_outcome outcome, const struct lease_record *got,
                        uint64_t now_ns, uint32_t random)
{
    if (outcome == LEASE_OK && strcmp(got->holder, l->identity) == 0) {
        won(l, got, now_ns);
    } else if (l->has_looked) {
        try_again(l, now_ns, random);
    } else {
        l->slow_paths++;
        go_on_at(l, LEASE_GET, now_ns);
    }
}

/* Somebody else's, or nobody's: there is nothing to give up. */
static void while_releasing(struct lease *l, enum lease_step step, enum lease_outcome outcome,
                            const struct lease_record *got, uint64_t now_ns)
{
    if (!l->out_releases)
        return; /* what was asked before is looked at by the GET that comes next */
    if (step == LEASE_GET && outcome == LEASE_OK) {
        see(l, got, now_ns);
        go_on_at(l, is_ours(l) ? LEASE_UPDATE : LEASE_DONE, now_ns);
    } else if (outcome == LEASE_OK || outcome == LEASE_MISSING ||
               ++l->release_tries == RELEASE_TRIES) {
        go_on_at(l, LEASE_DONE, now_ns);
    } else {
        go_on_at(l, LEASE_GET, now_ns);
    }
}

void lease_answer(struct lease *l, enum lease_outcome outcome, const struct lease_record *got,
                  uint64_t now_ns, uint32_t random)
{
    const enum lease_step step = l->out;

    assert(step == LEASE_GET || step == LEASE_CREATE || step == LEASE_UPDATE);
    l->out = LEASE_WAIT;
    if (l->releases)
        while_releasing(l, step, outcome, got, now_ns);
    else if (step == LEASE_GET)
        after_get(l, outcome, got, now_ns, random);
    else
        after_write(l, outcome, got, now_ns, random);
}

void lease_release(struct lease *l, uint64_t now_ns)
{
    const bool may_hold =
        l->leads || is_ours(l) || l->out == LEASE_CREATE || l->out == LEASE_UPDATE;

    l->leads = false;
    if (l->releases)
        return;
    l->releases = true;
    go_on_at(l, may_hold ? LEASE_GET : LEASE_DONE, now_ns);
}
