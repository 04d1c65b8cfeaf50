/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/cases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/siphash.h"
#include "kube/emit.h"
#include "operator/body.h"
#include "operator/parts.h"

/* A case that is over, or that nobody speaks of any more, is forgotten after this; its report
 * stays.
 */
static const uint64_t memory_ns = UINT64_C(600) * 1000000000;

/* --- what it is called --- */

/* Not secret: the same deadlock has the same name after a restart. */
static const uint64_t name_key[2] = {0x6e756d6177697365, 0x646561646c6f636b};

static uint64_t mix(uint64_t h, struct str s)
{
    const uint64_t key[2] = {name_key[0] ^ h, name_key[1]};

    return siphash13(key, s);
}

static uint64_t hash_party(const struct deadlock_party *p)
{
    const struct str parts[] = {p->ns, p->pod, p->container, p->thread, p->holds, p->waits_for};
    uint64_t h = (uint64_t)p->scope;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        h = mix(h, parts[i]);
    return h;
}

/* A sum, as a circle may be told from any of its parties on. */
static uint64_t hash_cycle(const struct deadlock_party *p, uint32_t n)
{
    uint64_t sum = n;

    for (uint32_t i = 0; i < n; i++)
        sum += hash_party(&p[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return sum;
}

/* The class of "class/instance". */
static struct str class_of(struct str lock)
{
    return str_cut(&lock, '/');
}

static uint64_t sign(const struct deadlock_party *p, uint32_t n)
{
    uint64_t sum = n;

    for (uint32_t i = 0; i < n; i++)
        sum += mix(1, class_of(p[i].waits_for)) * UINT64_C(0xd6e8feb86659fd93);
    return sum;
}

/* --- making and forgetting --- */

static char *put(char *at, struct str from, struct str *to)
{
    if (from.n)
        memcpy(at, from.p, from.n);
    *to = (struct str){at, from.n};
    return at + from.n;
}

static size_t party_bytes(const struct deadlock_party *p)
{
    return p->ns.n + p->pod.n + p->container.n + p->thread.n + p->holds.n + p->waits_for.n;
}

static char *put_party(char *at, const struct deadlock_party *from, struct deadlock_party *to)
{
    *to = *from;
    at = put(at, from->ns, &to->ns);
    at = put(at, from->pod, &to->pod);
    at = put(at, from->container, &to->container);
    at = put(at, from->thread, &to->thread);
    at = put(at, from->holds, &to->holds);
    return put(at, from->waits_for, &to->waits_for);
}

static void look_at_parties(struct op_case *k)
{
    for (uint32_t i = 0; i < k->n; i++) {
        bool first = true;

        k->crosses = k->crosses || !str_eq(k->parties[i].ns, k->ns);
        for (uint32_t j = 0; j < i; j++)
            first = first && !(str_eq(k->parties[j].pod, k->parties[i].pod) &&
                               str_eq(k->parties[j].ns, k->parties[i].ns));
        k->pods += first;
    }
}

static struct op_case *make(struct str ns, const struct deadlock_party *p, uint32_t n)
{
    size_t bytes = ns.n + n * (sizeof(*p) + 2 * sizeof(uint64_t));

    for (uint32_t i = 0; i < n; i++)
        bytes += party_bytes(&p[i]);
    struct op_case *const k = calloc(1, sizeof(*k) + bytes);
    if (!k)
        return NULL;
    k->parties = (struct deadlock_party *)(k + 1);
    k->epochs = (uint64_t *)(k->parties + n);
    k->sequences = k->epochs + n;
    char *at = put((char *)(k->sequences + n), ns, &k->ns);
    for (uint32_t i = 0; i < n; i++)
        at = put_party(at, &p[i], &k->parties[i]);
    k->n = n;
    k->victim = -1;
    k->signature = sign(k->parties, n);
    look_at_parties(k);
    return k;
}

static void free_case(struct op *op, struct op_case **at)
{
    struct op_case *const k = *at;

    *at = k->next;
    op->n_cases--;
    free(k);
}

void op_cases_done(struct op *op)
{
    while (op->cases)
        free_case(op, &op->cases);
}

static struct op_case *find(const struct op *op, struct str ns, const char *name)
{
    struct op_case *k = op->cases;

    while (k && (strcmp(k->name, name) != 0 || !str_eq(k->ns, ns)))
        k = k->next;
    return k;
}

struct op_case *op_case_find(const struct op *op, struct str ns, struct str name)
{
    char text[CASE_NAME_BYTES];

    return snprintf(text, sizeof(text), "%.*s", STR_ARG(name)) < (int)sizeof(text)
               ? find(op, ns, text)
               : NULL;
}

static bool has_room(const struct op *op, struct str ns)
{
    uint32_t n = 0;

    for (const struct op_case *k = op->cases; k; k = k->next)
        n += str_eq(k->ns, ns);
    return n < LIMIT_DEADLOCK_CASES_SPACE && op->n_cases < LIMIT_DEADLOCK_CASES;
}

/* NULL: no memory, or too many are followed already. */
static struct op_case *add(struct op *op, struct str ns, const char *name,
                           const struct deadlock_party *p, uint32_t n, uint64_t now_ns,
                           int64_t now_us)
{
    struct op_case *const k = has_room(op, ns) ? make(ns, p, n) : NULL;

    if (!k)
        return NULL;
    (void)snprintf(k->name, sizeof(k->name), "%s", name);
    k->first_ns = k->last_ns = now_ns;
    k->first_us = k->last_us = now_us;
    k->next = op->cases;
    op->cases = k;
    op->n_cases++;
    return k;
}

/* --- storing --- */

struct storing {
    struct op *op;
    char ns[64], name[CASE_NAME_BYTES];
    uint64_t serial; /* of what is recorded of an act */
};

/* What fails is tried again, each time after twice as long, up to a minute. */
static void note_storing(const struct op *op, struct op_case *k, int rc)
{
    if (rc == 0) {
        k->failures = 0;
        return;
    }
    k->dirty = true;
    k->retry_ns = op->ticked_ns + (UINT64_C(1000000000) << (k->failures < 6 ? k->failures : 6));
    k->failures++;
}

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct storing *const s = ctx;
    struct op_case *const k = find(s->op, str_of(s->ns), s->name);
    struct err why;

    if (k)
        k->writing = false;
    if (rc == 0)
        rc = op_objects_put(&s->op->objects, OP_DEADLOCK, str_of(s->ns), str_of(s->name), json,
                            &why);
    else
        why = *err;
    if (rc)
        log_line(LOG_LEVEL_ERROR, "operator", "DeadlockReport %s/%s is not stored: %s", s->ns,
                 s->name, why.text);
    if (k) {
        note_storing(s->op, k, rc);
        op_act_stored(s->op, k, s->serial, rc);
    }
    free(s);
}

/* Its DeadlockReport; what was seen first stays what it was. */
static void store(struct op *op, struct op_case *k)
{
    struct storing *const s = calloc(1, sizeof(*s));
    const struct op_object *const old =
        op_objects_find(&op->objects, OP_DEADLOCK, k->ns, str_of(k->name));
    struct writer_object o = op_object_like(OP_DEADLOCK, k->ns, str_of(k->name), old);
    struct buf spec = {0}, status = {0};

    k->dirty = false;
    op_act_merge(op, k);
    if (!old)
        case_spec(&spec, k);
    case_status(&status, op, k);
    if (!s || spec.failed || status.failed) {
        log_line(LOG_LEVEL_ERROR, "operator", "no memory for a DeadlockReport");
        free(s);
        note_storing(op, k, -ENOMEM);
        op_act_stored(op, k, k->act.serial, -ENOMEM);
    } else {
        *s = (struct storing){.op = op, .serial = k->act.serial};
        (void)snprintf(s->ns, sizeof(s->ns), "%.*s", STR_ARG(k->ns));
        (void)snprintf(s->name, sizeof(s->name), "%s", k->name);
        if (!old)
            o.spec = buf_view(&spec);
        o.status = buf_view(&status);
        k->writing = true;
        op->options.writer.put(op->options.writer.ctx, &o, on_stored, s);
    }
    buf_free(&spec);
    buf_free(&status);
}

/* --- what somebody reports --- */

static void name_of_claim(char *out, const struct op_claim *c)
{
    (void)snprintf(out, CASE_NAME_BYTES, "deadlock-%016llx",
                   (unsigned long long)hash_cycle(c->cycle, c->n));
}

/* Parties of the reporter's own pod. */
static uint64_t own_parties(const struct op_case *k, const struct op_claim *c)
{
    uint64_t own = 0;

    for (uint32_t i = 0; i < k->n; i++) {
        if (str_eq(k->parties[i].ns, c->ns) && str_eq(k->parties[i].pod, c->pod))
            own |= UINT64_C(1) << i;
    }
    return own;
}

/* Has this pod said this, or something later, already? */
static bool is_duplicate(const struct op_case *k, const struct op_claim *c, uint64_t own)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (own >> i & 1 && k->spoke >> i & 1 &&
            (c->epoch < k->epochs[i] ||
             (c->epoch == k->epochs[i] && c->sequence <= k->sequences[i])))
            return true;
    }
    return false;
}

static uint32_t pods_that_spoke(const struct op_case *k)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < k->n; i++) {
        bool first = k->spoke >> i & 1;

        for (uint32_t j = 0; j < i && first; j++)
            first = !(k->spoke >> j & 1) || !str_eq(k->parties[j].pod, k->parties[i].pod) ||
                    !str_eq(k->parties[j].ns, k->parties[i].ns);
        n += first;
    }
    return n;
}

/*
 * One word more. It is confirmed by a pod of the cycle that says it again, an interval later; where
 * several pods are in it, two of them must have said so, for one alone could only accuse the other.
 */
static void hear(struct op_case *k, const struct op_claim *c, uint64_t own,
                 const struct op_call *call)
{
    const uint64_t interval_ns = (uint64_t)OP_CONFIRM_MS * 1000000;

    for (uint32_t i = 0; i < k->n; i++) {
        if (!(own >> i & 1))
            continue;
        k->epochs[i] = c->epoch;
        k->sequences[i] = c->sequence;
    }
    k->spoke |= own;
    k->sightings++;
    k->last_ns = call->now_ns;
    k->last_us = call->now_us;
    k->duration_ns = c->duration_ns;
    const bool again = k->sightings > 1 && call->now_ns - k->first_ns >= interval_ns;
    if (!k->confirmed && own && again && pods_that_spoke(k) >= (k->pods > 1 ? 2 : 1)) {
        k->confirmed = true;
        k->confirmed_us = call->now_us;
        k->dirty = true;
    }
}

static void send_claim(struct op_call *c, const struct op_case *k, bool is_new)
{
    struct emit e;

    emit_init(&e, &c->out, false);
    emit_object(&e);
    emit_key(&e, "name"), emit_words(&e, k->name);
    emit_key(&e, "namespace"), emit_text(&e, k->ns);
    emit_key(&e, "confirmed"), emit_bool(&e, k->confirmed);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, is_new ? 202 : 200);
}

static void take_claim(struct op *op, struct op_call *c, struct str ns, struct str unused)
{
    const struct op_claim *const claim = c->state;
    char name[CASE_NAME_BYTES];

    (void)unused;
    name_of_claim(name, claim);
    struct op_case *k = find(op, ns, name);
    const bool is_new = !k;
    if (!k && !(k = add(op, ns, name, claim->cycle, claim->n, c->now_ns, c->now_us))) {
        op_fail(c, 429, "%d deadlocks of the namespace are followed already",
                LIMIT_DEADLOCK_CASES_SPACE);
        return;
    }
    if (is_new)
        k->source = DEADLOCK_REPORTED;
    const uint64_t own = own_parties(k, claim);
    if (is_new || !is_duplicate(k, claim, own))
        hear(k, claim, own, c);
    atomic_fetch_add(&op->stats.claims[is_new ? 0 : 1], 1);
    if (is_new)
        store(op, k);
    send_claim(c, k, is_new);
}

static bool names_own_namespace(const struct op_claim *claim)
{
    for (uint32_t i = 0; i < claim->n; i++) {
        if (str_eq(claim->cycle[i].ns, claim->ns))
            return true;
    }
    return false;
}

void op_deadlock_claim(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct op_access access = {"create", "orchestration.gokore.io", "deadlockreports", {0}, {0}};
    struct op_claim *const claim = arena_array(c->arena, 1, sizeof(*claim));
    struct err err = {0};
    const int rc =
        claim ? op_body_claim(claim, c->body, c->arena, &err) : err_set(&err, -ENOMEM, "no memory");

    (void)ns, (void)name;
    if (rc) {
        op_fail_decode(c, rc, &err);
        return;
    }
    if (!op_within_rate(op, c, claim->ns, claim->pod, claim->container))
        return;
    if (!names_own_namespace(claim)) {
        op_fail_field(c, 403, "cycle",
                      "a reporter speaks for its own namespace, and none of "
                      "these pods is of it");
        return;
    }
    c->state = claim;
    c->speaker = claim->pod;
    access.ns = claim->ns;
    op_permit(op, c, &access, true, take_claim);
}

/* --- what is found in lock reports --- */

typedef char lock_text_room[2 * LIMIT_LOCK_NAME_BYTES + 2]; /* class, slash, instance, zero */

static struct str lock_text(lock_text_room *room, const struct lock_use *u)
{
    const int n = snprintf(*room, sizeof(*room), "%.*s%s%.*s", STR_ARG(u->class_name),
                           u->instance.n ? "/" : "", STR_ARG(u->instance));

    return (struct str){*room, (size_t)n};
}

/* The parties as a DeadlockReport tells them; `room` holds their locks' names, two each. */
static uint32_t parties_of(const struct lock_space *s, const struct lock_deadlock *d,
                           struct deadlock_party *out, lock_text_room *room)
{
    const uint32_t n = d->n < DEADLOCK_PARTIES ? d->n : DEADLOCK_PARTIES;

    for (uint32_t i = 0; i < n; i++) {
        const struct lock_party *const p = &d->parties[i];

        out[i] =
            (struct deadlock_party){.ns = s->ns,
                                    .pod = p->pod,
                                    .container = p->container,
                                    .thread = p->thread,
                                    .holds = lock_text(&room[2 * i], &p->holds),
                                    .waits_for = lock_text(&room[2 * i + 1], &p->waits),
                                    .scope = p->waits.shared ? DEADLOCK_SHARED : DEADLOCK_PROCESS};
    }
    return n;
}

/* Threads may deadlock again after a restart, or in the same way later: that is another one. */
static void name_of_deadlock(char *out, const struct lock_deadlock *d,
                             const struct deadlock_party *p, uint32_t n)
{
    uint64_t sum = hash_cycle(p, n);

    for (uint32_t i = 0; i < n; i++) {
        const uint64_t said[3] = {d->parties[i].epoch, d->parties[i].said_held_ns,
                                  d->parties[i].said_waits_ns};

        sum += mix(hash_party(&p[i]), (struct str){(const char *)said, sizeof(said)});
    }
    (void)snprintf(out, CASE_NAME_BYTES, "deadlock-%016llx", (unsigned long long)sum);
}

static void follow(struct op *op, const struct lock_space *s, const struct lock_deadlock *d,
                   uint64_t now_ns, int64_t now_us)
{
    const uint64_t lasts = now_ns - d->since_ns;
    const bool is_told = lasts > case_rules(op, s->ns).threshold_ns;
    struct deadlock_party parties[DEADLOCK_PARTIES];
    char name[CASE_NAME_BYTES];

    if (!is_told && op->n_cases == 0)
        return;
    lock_text_room *const room = malloc(sizeof(*room) * 2 * DEADLOCK_PARTIES);
    if (!room)
        return; /* the next tick tries again */
    const uint32_t n = parties_of(s, d, parties, room);
    name_of_deadlock(name, d, parties, n);
    struct op_case *k = find(op, s->ns, name);
    /* One that is told of is followed also where a threshold that was raised is beyond it by now.
     */
    if (!k && is_told && (k = add(op, s->ns, name, parties, n, now_ns, now_us))) {
        k->source = DEADLOCK_OBSERVED;
        k->confirmed = k->dirty = true;
        k->confirmed_us = now_us;
        k->first_us = now_us - (int64_t)((now_ns - d->first_ns) / 1000);
        k->spoke = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
        log_line(LOG_LEVEL_WARN, "operator",
                 "%.*s: %u threads of %u pods are deadlocked for %llu ms (DeadlockReport %s)",
                 STR_ARG(s->ns), d->n, k->pods, (unsigned long long)(lasts / 1000000), k->name);
    }
    free(room);
    if (!k)
        return;
    k->present = true;
    k->sightings++;
    k->last_ns = now_ns;
    k->last_us = now_us;
    k->duration_ns = lasts;
}

/* --- each tick --- */

static void plan_if_due(struct op *op, struct op_case *k, uint64_t now_ns, int64_t now_us)
{
    const uint64_t since_last = now_ns - k->last_ns;

    if (k->planned || !k->confirmed || k->resolved)
        return;
    if (k->duration_ns + (k->source == DEADLOCK_REPORTED ? since_last : 0) <=
        case_rules(op, k->ns).threshold_ns)
        return;
    case_plan(op, k, now_us);
    if (k->victim >= 0)
        log_line(LOG_LEVEL_WARN, "operator", "%.*s: %s: ending %.*s/%.*s would resolve it%s",
                 STR_ARG(k->ns), k->name, STR_ARG(k->parties[k->victim].ns),
                 STR_ARG(k->parties[k->victim].pod), op_act_is_real(op, k) ? "" : " (dry run)");
}

static void note_end(struct op_case *k, int64_t now_us)
{
    if (k->source != DEADLOCK_OBSERVED || k->present || k->resolved)
        return;
    k->resolved = k->dirty = true;
    k->resolved_us = now_us;
}

void op_cases_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    op_acts_tick(op, now_ns);
    for (struct op_case *k = op->cases; k; k = k->next)
        k->present = false;
    for (const struct lock_space *s = op->book.spaces; s; s = s->next) {
        for (const struct lock_deadlock *d = s->deadlocks; d; d = d->next) {
            if (d->confirmed_ns)
                follow(op, s, d, now_ns, now_us);
        }
    }
    for (struct op_case **at = &op->cases; *at;) {
        struct op_case *const k = *at;

        note_end(k, now_us);
        plan_if_due(op, k, now_ns, now_us);
        op_act(op, k, now_ns, now_us);
        if (k->dirty && !k->writing && now_ns >= k->retry_ns)
            store(op, k);
        if (!k->writing && !k->present && now_ns - k->last_ns > memory_ns &&
            k->act.step == CASE_IDLE && !k->act.unsaved)
            free_case(op, at);
        else
            at = &k->next;
    }
}

/* --- reading them --- */

static void put_item(struct emit *e, const struct op_object *x)
{
    emit_raw(e, x->json);
}

static void send_list(struct op *op, struct op_call *c, struct str ns)
{
    struct emit e;

    emit_init(&e, &c->out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, op_kind_names[OP_DEADLOCK].api_version);
    emit_key(&e, "kind"), emit_words(&e, "DeadlockReportList");
    emit_key(&e, "metadata"), emit_object(&e), emit_end(&e);
    emit_key(&e, "items");
    emit_array(&e);
    for (uint32_t i = 0; i < op->objects.n[OP_DEADLOCK]; i++) {
        const struct op_object *const x = op->objects.at[OP_DEADLOCK][i];

        if (ns.n == 0 || str_eq(x->ns, ns))
            put_item(&e, x);
    }
    emit_end(&e);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 200);
}

void op_deadlock_get(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    if (name.n == 0) {
        send_list(op, c, ns);
        return;
    }
    const struct op_object *const x = op_objects_find(&op->objects, OP_DEADLOCK, ns, name);
    if (!x) {
        op_fail(c, 404, "deadlockreports \"%.*s\" not found", STR_ARG(name));
        return;
    }
    buf_str(&c->out, x->json);
    buf_text(&c->out, "\n");
    op_done(c, 200);
}
