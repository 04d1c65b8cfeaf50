/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pace.h"

#define MS UINT64_C(1000000)

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t chance(struct agent_pace *p, uint64_t below)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (p->random >> 33) % below;
}

void agent_pace_init(struct agent_pace *p, uint64_t now, uint64_t seed)
{
    *p = (struct agent_pace){.look_ns = now, .refresh_ns = now, .random = seed | 1};
}

void agent_pace_changed(struct agent_pace *p, uint64_t now)
{
    p->look_ns = earlier(p->look_ns, now + AGENT_GATHER_MS * MS);
}

void agent_pace_looked(struct agent_pace *p, uint64_t now)
{
    p->look_ns = now + AGENT_POLL_MS * MS;
}

void agent_pace_again(struct agent_pace *p, uint64_t now)
{
    p->look_ns = now;
    p->not_before = now + AGENT_GATHER_MS * MS;
}

void agent_pace_recount(struct agent_pace *p, uint64_t now)
{
    p->look_ns = earlier(p->look_ns, now + AGENT_NODE_MS * MS);
}

bool agent_pace_must_write(const struct agent_pace *p, uint64_t now)
{
    return now >= p->refresh_ns;
}

bool agent_pace_awaits(struct agent_pace *p, uint64_t now, bool unnamed)
{
    if (!unnamed) {
        p->unnamed_ns = 0;
        return false;
    }
    if (p->unnamed_ns == 0)
        p->unnamed_ns = now;
    const uint64_t until = p->unnamed_ns + AGENT_NAME_MS * MS;
    if (now >= until)
        return false;
    p->look_ns = earlier(p->look_ns, until);
    if (p->refresh_ns < until)
        p->refresh_ns = until;
    return true;
}

void agent_pace_wrote(struct agent_pace *p, uint64_t now)
{
    p->wait_ms = 0;
    p->not_before = now + AGENT_REST_MS * MS;
    p->refresh_ns = now + AGENT_REFRESH_MS * MS;
}

void agent_pace_failed(struct agent_pace *p, uint64_t now, int64_t retry_after_ms)
{
    p->wait_ms = p->wait_ms ? earlier(2 * p->wait_ms, AGENT_MOST_MS) : AGENT_FIRST_MS;
    uint64_t wait = p->wait_ms + chance(p, p->wait_ms);
    if (retry_after_ms > 0 && wait < (uint64_t)retry_after_ms)
        wait = earlier((uint64_t)retry_after_ms, AGENT_OBEY_MS);
    p->not_before = now + wait * MS;
    p->look_ns = now; /* as soon as it may */
}

uint64_t agent_pace_due(const struct agent_pace *p)
{
    const uint64_t due = earlier(p->look_ns, p->refresh_ns);

    return due > p->not_before ? due : p->not_before;
}
