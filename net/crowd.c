/* SPDX-License-Identifier: Apache-2.0 */
/* All connections of a server at a time: who gives up its place, and the end of all. */
#include "base/clock.h"
#include "net/guard.h"
#include "net/guard_parts.h"
#include "net/server.h"

enum { MAKE_ROOM_TRIES = 2 /* each may answer a request */ };

/* At the cap, who has been at one request for longer than this may lose the connection. */
#define SLOW_NS UINT64_C(1000000000)

/* The address that has more than half of all places; NULL when there is none. */
static const struct peer *crowd_of(const struct http_server *s)
{
    for (uint32_t i = 0; i < s->peers.n; i++)
        if (2 * (uint64_t)s->peers.list[i].open > s->limits.connections)
            return &s->peers.list[i];
    return NULL;
}

/*
 * Is the server waiting for this peer, and was it long enough when a request is under way? Beside a
 * crowd the others keep their places: it would only need to begin requests all the time, and who
 * sits between two of them would be the only one not at work.
 */
static bool may_lose(const struct guard *g, const struct peer *crowd, uint64_t now_ns)
{
    if (crowd && g->peer != crowd)
        return false;
    switch (g->state) {
    case GUARD_LINGER:
        return true;
    case GUARD_HEAD:
        return g->in_n == 0 || now_ns - g->start_ns > SLOW_NS;
    case GUARD_HELLO:
    case GUARD_BODY:
    case GUARD_AWAY:
    case GUARD_BUSY:
        return now_ns - g->start_ns > SLOW_NS;
    case GUARD_GONE:
    default:
        return false;
    }
}

/* Is `g` missed less than `other`? Both may be lost; `other` is the longer without an answer. */
static bool is_missed_less(const struct guard *g, const struct guard *other)
{
    if (g->known != other->known)
        return other->known;
    return g->peer->open > other->peer->open;
}

/*
 * Who never had an answer comes before all who had one: a crowd of those cannot push these out.
 * Then the address with the most connections gives up one of them.
 */
static struct guard *least_missed(const struct http_server *s)
{
    const struct peer *const crowd = crowd_of(s);
    const uint64_t now_ns = clock_monotonic_ns();
    struct guard *least = NULL;

    for (struct guard *g = s->guards; g; g = g->next)
        if (may_lose(g, crowd, now_ns) && (!least || is_missed_less(g, least)))
            least = g;
    return least;
}

bool guard_make_room(struct http_server *s)
{
    for (int i = 0; i < MAKE_ROOM_TRIES; i++) {
        struct guard *const g = least_missed(s);

        if (!g)
            return false;
        const uint64_t since = g->start_ns;
        if (g->state == GUARD_HEAD && g->in_n == 0)
            guard_advance(
                g); /* a request may be waiting in the socket: then it is another's turn */
        if (g->state == GUARD_GONE || g->start_ns == since) {
            guard_drop(g);
            guard_settle(g);
            return true;
        }
    }
    return false;
}

bool guard_gives_turn(const struct guard *g)
{
    struct http_server *const s = g->server;

    if (s->turns_due == 0)
        return false;
    for (uint32_t i = 0; i < s->peers.n; i++)
        if (s->peers.list[i].open > g->peer->open)
            return false;
    s->turns_due--;
    return true;
}

void guard_drain_all(struct http_server *s)
{
    for (struct guard *g = s->guards, *next; g; g = next) {
        next = g->next;
        if (g->state == GUARD_HEAD)
            guard_advance(g); /* a request may be waiting in the socket */
        if (g->state == GUARD_HELLO || (g->state == GUARD_HEAD && g->in_n == 0))
            guard_drop(g);
        guard_settle(g);
    }
}

void guard_drop_all(struct http_server *s)
{
    for (struct guard *g = s->guards, *next; g; g = next) {
        next = g->next;
        guard_drop(g);
        guard_settle(g);
    }
}
