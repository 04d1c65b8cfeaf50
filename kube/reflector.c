/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/reflector.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kube/api.h"
#include "kube/status.h"

/* Found in an answer: it is about an older state than we know. */
enum { OLDER = -ESTALE - 10000 };

enum { MORE_BYTES = 4096, SHORT_MS = 1000 };

static const uint64_t ms_ns = 1000000;

void kube_reflector_init(struct kube_reflector *r, const char *collection,
                         const struct kube_reflector_sink *sink, uint64_t seed)
{
    *r = (struct kube_reflector){
        .collection = collection, .sink = *sink, .random = seed | 1, .rung = KUBE_RUNG_ANY};
}

void kube_reflector_done(struct kube_reflector *r)
{
    buf_free(&r->path);
    buf_free(&r->more);
    buf_free(&r->next_more);
    kube_split_done(&r->splitter);
}

/* xorshift64* */
static uint64_t chance(struct kube_reflector *r, uint64_t below)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (r->random * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

/* --- versions --- */

static bool set_version(struct kube_version *v, const struct kube_name *name)
{
    if (name->version.n == 0 || name->version.n >= sizeof(v->text))
        return false;
    memcpy(v->text, name->version.p, name->version.n);
    v->text[name->version.n] = 0;
    v->number = name->number;
    return true;
}

static void note_highest(struct kube_reflector *r, uint64_t number)
{
    if (number > r->highest)
        r->highest = number;
}

/* Both are numbers, and the first is the lower one. */
static bool is_older(uint64_t number, uint64_t than)
{
    return number && than && number < than;
}

/* --- asking --- */

static void restart_list(struct kube_reflector *r, enum kube_reflector_rung rung)
{
    r->step = KUBE_STEP_LIST;
    r->rung = rung;
    r->more.n = 0;
}

static void begin_list(struct kube_reflector *r, uint64_t now, bool again)
{
    r->filled = false;
    r->again = again;
    r->listed = (struct kube_version){.number = 0};
    r->listed_ns = now;
    if (again)
        r->highest = 0;
    r->sink.begin(r->sink.ctx, again);
}

/* All but letters, digits and "-._~": a token is opaque. */
static void add_escaped(struct buf *b, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        const char c = text.p[i];

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c && strchr("-._~", c)))
            buf_add(b, &c, 1);
        else
            buf_printf(b, "%%%02X", (unsigned char)c);
    }
}

/* What the next parameter follows: the collection may have a selector already. */
static const char *first_join(const struct kube_reflector *r)
{
    return strchr(r->collection, '?') ? "&" : "?";
}

static void ask_for_list(struct kube_reflector *r, uint64_t now, struct kube_reflector_ask *out)
{
    const char *join = first_join(r);

    if (r->more.n == 0) /* of a second try, too: meanwhile something may have gone */
        begin_list(r, now, r->again);
    r->named = false;
    r->next_more.n = 0;
    if (!r->unpaged) {
        buf_printf(&r->path, "%slimit=%d", join, KUBE_REFLECT_PAGE);
        join = "&";
    }
    if (r->more.n) {
        buf_printf(&r->path, "%scontinue=", join);
        add_escaped(&r->path, buf_view(&r->more));
    } else if (r->rung == KUBE_RUNG_ANY) {
        buf_printf(&r->path, "%sresourceVersion=0", join);
    } else if (r->rung == KUBE_RUNG_SINCE) {
        buf_printf(&r->path, "%sresourceVersion=", join);
        add_escaped(&r->path, str_of(r->version.text));
        buf_text(&r->path, "&resourceVersionMatch=NotOlderThan");
    }
    out->timeout_ms = KUBE_REFLECT_LIST_MS;
    out->idle_ms = KUBE_REFLECT_LIST_IDLE_MS;
}

static void ask_for_watch(struct kube_reflector *r, struct kube_reflector_ask *out)
{
    const unsigned seconds =
        KUBE_REFLECT_WATCH_LEAST_S +
        (unsigned)chance(r, KUBE_REFLECT_WATCH_MOST_S - KUBE_REFLECT_WATCH_LEAST_S + 1);

    r->started = false;
    r->heard = 0;
    r->retry_after_s = 0;
    r->state.watches++;
    buf_printf(&r->path, "%swatch=1&resourceVersion=", first_join(r));
    add_escaped(&r->path, str_of(r->version.text));
    buf_printf(&r->path, "&allowWatchBookmarks=true&timeoutSeconds=%u", seconds);
    out->timeout_ms = (seconds + 30) * 1000;
    out->idle_ms = KUBE_REFLECT_IDLE_MS;
}

static int on_value(void *ctx, enum kube_split_part part, struct str text);

bool kube_reflector_next(struct kube_reflector *r, uint64_t now, struct kube_reflector_ask *out,
                         uint64_t *out_due)
{
    *out_due = r->asking ? UINT64_MAX : r->due_ns;
    if (r->asking || now < r->due_ns)
        return false;
    r->path.n = 0;
    buf_text(&r->path, r->collection);
    r->rc = 0;
    r->asked_ns = now;
    if (r->step == KUBE_STEP_LIST)
        ask_for_list(r, now, out);
    else
        ask_for_watch(r, out);
    kube_split_begin(&r->splitter, r->step == KUBE_STEP_LIST ? KUBE_SPLIT_LIST : KUBE_SPLIT_EVENTS,
                     KUBE_REFLECT_OBJECT_BYTES, on_value, r);
    if (r->path.failed) {
        buf_free(&r->path);
        r->due_ns = *out_due = now + SHORT_MS * ms_ns;
        return false;
    }
    out->path = r->path.p;
    r->asking = true;
    *out_due = UINT64_MAX;
    return true;
}

/* --- what comes --- */

static void is_well(struct kube_reflector *r)
{
    r->state.trouble = KUBE_REFLECT_FINE;
    r->last.code = 0;
    r->last.text[0] = 0;
}

void kube_reflector_started(struct kube_reflector *r, uint64_t now)
{
    r->started = true;
    is_well(r);
}

static void leave_out(struct kube_reflector *r, const struct kube_name *name, const char *why)
{
    r->state.left_out++;
    r->sink.odd(r->sink.ctx, name, why);
}

static int upsert(struct kube_reflector *r, const struct kube_name *name, struct str object)
{
    const int rc = r->sink.upsert(r->sink.ctx, name, object);

    if (rc == 0)
        note_highest(r, name->number);
    return rc;
}

static int on_item(struct kube_reflector *r, struct str text)
{
    struct kube_name name;

    r->filled = true;
    if (kube_name_read(&name, text))
        return upsert(r, &name, text);
    leave_out(r, &name, "an object of a list says not what it is called");
    return 0;
}

/*
 * The list is of an older version than we know. What is in etcd is right all the same: somebody has
 * put back a backup. Where the items stood before the version, they were taken for old ones: once
 * more.
 */
static int on_older_list(struct kube_reflector *r)
{
    if (r->rung != KUBE_RUNG_LATEST)
        return OLDER;
    r->state.rewound++;
    if (r->filled) {
        r->again = true;
        return OLDER;
    }
    begin_list(r, r->listed_ns, true);
    return 0;
}

static int on_metadata(struct kube_reflector *r, struct str text)
{
    struct kube_version version;
    struct kube_name list;

    if (r->named || !kube_list_read(&list, text) || !set_version(&version, &list))
        return -EPROTO;
    if (r->more.n && strcmp(version.text, r->listed.text) != 0)
        return -EPROTO; /* pages of two lists */
    if (r->more.n == 0 && !r->again && is_older(version.number, r->highest)) {
        const int rc = on_older_list(r);
        if (rc)
            return rc;
    }
    r->named = true;
    r->listed = version;
    buf_str(&r->next_more, list.more);
    return r->next_more.failed ? -ENOMEM : 0;
}

static int on_change(struct kube_reflector *r, const struct kube_event *e)
{
    struct kube_name name;

    if (!kube_name_read(&name, e->object) || name.version.n == 0) {
        leave_out(r, &name, "an event says not what it is about");
        return 0;
    }
    if (is_older(name.number, r->version.number))
        return OLDER;
    if (str_is(name.version, r->version.text)) {
        r->state.repeated++;
        return 0;
    }
    if (e->type != KUBE_EVENT_DELETED) {
        const int rc = upsert(r, &name, e->object);
        if (rc)
            return rc;
    } else {
        r->sink.remove(r->sink.ctx, &name);
        note_highest(r, name.number);
    }
    r->state.events++;
    return set_version(&r->version, &name) ? 0 : -EPROTO;
}

static int on_bookmark(struct kube_reflector *r, const struct kube_event *e)
{
    struct kube_name name;

    (void)kube_name_read(&name, e->object); /* it has no name */
    if (name.version.n == 0)
        return 0;
    if (is_older(name.number, r->version.number))
        return OLDER;
    r->state.bookmarks++;
    note_highest(r, name.number);
    return set_version(&r->version, &name) ? 0 : -EPROTO;
}

static int on_error_event(struct kube_reflector *r, const struct kube_event *e)
{
    struct kube_status status;

    if (!kube_status_decode(&status, e->object))
        return -EPROTO;
    if (status.code == 410 || strcmp(status.reason, "Expired") == 0 ||
        strcmp(status.reason, "Gone") == 0)
        return -ESTALE;
    if (status.retry_after_s > 0)
        r->retry_after_s = (uint32_t)status.retry_after_s;
    (void)err_set(&r->last, -EAGAIN, "%s: the watch ended with an error: %u %s", r->collection,
                  status.code, status.message);
    return -EAGAIN;
}

static int on_event(struct kube_reflector *r, struct str text)
{
    struct kube_event e;
    int rc = kube_event_read(&e, text);

    if (rc)
        return rc;
    switch (e.type) {
    case KUBE_EVENT_ADDED:
    case KUBE_EVENT_MODIFIED:
    case KUBE_EVENT_DELETED:
        rc = on_change(r, &e);
        break;
    case KUBE_EVENT_BOOKMARK:
        rc = on_bookmark(r, &e);
        break;
    case KUBE_EVENT_ERROR:
        return on_error_event(r, &e);
    case KUBE_EVENT_OTHER:
        return 0;
    }
    if (rc == 0) {
        r->heard++;
        r->odd = 0;
    }
    return rc;
}

static int on_value(void *ctx, enum kube_split_part part, struct str text)
{
    static const struct kube_name nobody;
    struct kube_reflector *const r = ctx;

    switch (part) {
    case KUBE_PART_EVENT:
        return on_event(r, text);
    case KUBE_PART_ITEM:
        return on_item(r, text);
    case KUBE_PART_METADATA:
        return on_metadata(r, text);
    case KUBE_PART_TOO_LARGE:
        r->filled = true;
        leave_out(r, &nobody, "an object is too large");
        return 0;
    }
    return -EPROTO;
}

int kube_reflector_data(struct kube_reflector *r, uint64_t now, const char *p, size_t n)
{
    assert(r->asking);
    r->rc = kube_split_feed(&r->splitter, p, n);
    if (r->rc == 0 && r->step == KUBE_STEP_WATCH)
        r->state.current_ns = now;
    return r->rc;
}

/* --- what it comes to --- */

/* Not before a while, which grows. */
static void back_off(struct kube_reflector *r, uint64_t now, int64_t least_ms)
{
    uint64_t wait;

    r->state.failures++;
    if (now >= r->calm_ns + KUBE_REFLECT_CALM_MS * ms_ns)
        r->wait_ms = 0;
    r->wait_ms = r->wait_ms == 0 ? KUBE_REFLECT_FIRST_MS : r->wait_ms * 2;
    if (r->wait_ms > KUBE_REFLECT_MOST_MS)
        r->wait_ms = KUBE_REFLECT_MOST_MS;
    wait = r->wait_ms + chance(r, r->wait_ms);
    if (least_ms > KUBE_REFLECT_OBEY_MS)
        least_ms = KUBE_REFLECT_OBEY_MS;
    if (least_ms > 0 && wait < (uint64_t)least_ms)
        wait = (uint64_t)least_ms;
    r->due_ns = r->calm_ns = now + wait * ms_ns;
}

static void say(struct kube_reflector *r, int code, const char *why)
{
    (void)err_set(&r->last, code, "%s: %s", r->collection, why);
}

/* Words for what was found in the answer itself. */
static void explain(struct kube_reflector *r, const struct kube_answer *a)
{
    if (r->rc == -EAGAIN)
        return; /* the ERROR event has said it */
    if (r->rc == OLDER)
        say(r, -ESTALE, "the server speaks of an older state than it did before");
    else if (r->rc == -ESTALE)
        say(r, -ESTALE, "the version we know is too old to watch from");
    else if (r->rc == -ENOMEM)
        say(r, -ENOMEM, "no memory");
    else if (r->rc)
        say(r, -EPROTO, "an answer that is no list or watch");
    else
        r->last = a->err;
}

static void note_trouble(struct kube_reflector *r, const struct kube_answer *a)
{
    explain(r, a);
    if (a->status == 410 || r->rc == -ESTALE)
        return; /* it happens */
    if (a->status == 401 || a->status == 403)
        r->state.trouble = KUBE_REFLECT_FORBIDDEN;
    else if (a->status == 404)
        r->state.trouble = KUBE_REFLECT_ABSENT;
    else
        r->state.trouble = KUBE_REFLECT_UNREACHABLE;
}

static bool is_too_large(const struct kube_answer *a)
{
    return a->status >= 500 && strcmp(a->details.cause, "ResourceVersionTooLarge") == 0;
}

static void end_list(struct kube_reflector *r, uint64_t now)
{
    r->version = r->listed;
    note_highest(r, r->version.number);
    r->sink.end(r->sink.ctx);
    is_well(r);
    r->state.synced = true;
    r->state.lists++;
    r->state.current_ns = r->listed_ns;
    r->again = r->unpaged = false;
    r->tired = 0;
    restart_list(r, KUBE_RUNG_SINCE);
    r->step = KUBE_STEP_WATCH;
    r->due_ns = now;
}

/* A page is through. */
static void end_page(struct kube_reflector *r, uint64_t now)
{
    struct buf before = r->more;

    r->odd = 0;
    r->more = r->next_more;
    r->next_more = before;
    r->due_ns = now;
    if (r->more.n == 0)
        end_list(r, now);
    else if (r->more.n > MORE_BYTES) {
        r->unpaged = true;
        restart_list(r, KUBE_RUNG_LATEST);
        back_off(r, now, 0);
    }
}

/* One step down the ladder, at once; from its foot after a while. */
static void descend(struct kube_reflector *r, uint64_t now)
{
    const bool at_foot = r->rung == KUBE_RUNG_LATEST;

    restart_list(r, KUBE_RUNG_LATEST);
    if (at_foot && !r->again)
        back_off(r, now, 0);
    else
        r->due_ns = now;
}

/*
 * A list is all that helps, and at once; but no list after the other from a server that always says
 * so.
 */
static void list_anew(struct kube_reflector *r, uint64_t now, enum kube_reflector_rung rung)
{
    restart_list(r, rung);
    if (now - r->listed_ns < KUBE_REFLECT_LATELY_MS * ms_ns)
        back_off(r, now, 0);
    else
        r->due_ns = now;
}

static void end_bad_page(struct kube_reflector *r, uint64_t now, const struct kube_answer *a)
{
    note_trouble(r, a);
    if (r->rc == OLDER || (is_too_large(a) && r->more.n == 0)) {
        descend(r, now);
        return;
    }
    if (a->status == 410) {
        r->state.expired++;
        if (r->more.n == 0) {
            descend(r, now);
            return;
        }
        restart_list(r, KUBE_RUNG_LATEST);
        r->due_ns = now;
        if (++r->tired < KUBE_REFLECT_ODD)
            return;
        r->unpaged = true; /* it is too large to be read in time */
    } else if (r->rc && r->rc != -ENOMEM && ++r->odd >= KUBE_REFLECT_ODD) {
        r->odd = 0;
        restart_list(r, KUBE_RUNG_LATEST);
    }
    back_off(r, now, a->retry_after_ms);
}

static void list_answered(struct kube_reflector *r, uint64_t now, const struct kube_answer *a)
{
    if (r->rc == 0 && a->err.code == 0)
        r->rc = kube_split_end(&r->splitter);
    if (r->rc == 0 && a->err.code == 0 && !r->named)
        r->rc = -EPROTO;
    if (r->rc == 0 && a->err.code == 0)
        end_page(r, now);
    else
        end_bad_page(r, now, a);
}

/* The server has ended the watch, as it does every few minutes. */
static void end_watch(struct kube_reflector *r, uint64_t now)
{
    const uint64_t soon = r->asked_ns + SHORT_MS * ms_ns;

    if (r->heard == 0 && now < soon) {
        r->state.short_watches++;
        say(r, -EAGAIN, "the watch ended at once");
        r->state.trouble = KUBE_REFLECT_UNREACHABLE;
        if (++r->odd >= KUBE_REFLECT_ODD)
            restart_list(r, KUBE_RUNG_SINCE);
        back_off(r, now, 0);
        return;
    }
    is_well(r);
    r->due_ns = now < soon ? soon : now;
}

static void end_bad_watch(struct kube_reflector *r, uint64_t now, const struct kube_answer *a)
{
    int64_t least_ms = a->retry_after_ms;

    note_trouble(r, a);
    if (r->retry_after_s)
        least_ms = r->retry_after_s * INT64_C(1000);
    if (r->rc == -ESTALE || a->status == 410) {
        r->state.expired++;
        list_anew(r, now, ++r->odd < KUBE_REFLECT_ODD ? KUBE_RUNG_SINCE : KUBE_RUNG_LATEST);
        return;
    }
    if (r->rc == OLDER || a->status == 400) {
        list_anew(r, now, KUBE_RUNG_LATEST);
        return;
    }
    if (is_too_large(a)) {
        if (++r->odd >= KUBE_REFLECT_ODD)
            restart_list(r, KUBE_RUNG_LATEST);
    } else if (r->rc && r->rc != -ENOMEM && ++r->odd >= KUBE_REFLECT_ODD) {
        restart_list(r, KUBE_RUNG_SINCE);
    }
    back_off(r, now, least_ms);
}

/* Silent for so long that it is better asked for anew; nothing is wrong with that. */
static bool is_asleep(const struct kube_reflector *r, uint64_t now, const struct kube_answer *a)
{
    return r->rc == 0 && a->err.code == -ETIMEDOUT && r->started &&
           now - r->asked_ns >= KUBE_REFLECT_IDLE_MS * ms_ns;
}

static void watch_answered(struct kube_reflector *r, uint64_t now, const struct kube_answer *a)
{
    if (r->rc == 0 && a->err.code == 0)
        r->rc = kube_split_end(&r->splitter);
    if (r->rc == 0 && (a->err.code == 0 || is_asleep(r, now, a)))
        end_watch(r, now);
    else
        end_bad_watch(r, now, a);
}

void kube_reflector_answered(struct kube_reflector *r, uint64_t now,
                             const struct kube_answer *answer)
{
    assert(r->asking);
    r->asking = false;
    if (r->step == KUBE_STEP_LIST)
        list_answered(r, now, answer);
    else
        watch_answered(r, now, answer);
}
