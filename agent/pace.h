/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the agent looks, and when it writes what it saw. Pure: it is told the time, which is
 * monotonic and never 0.
 *
 *     if (now >= agent_pace_due(&pace)) look; changed or agent_pace_must_write: write
 *
 * Every write is of a look that was just taken, so that nothing old is ever said to be new.
 */
#ifndef AGENT_PACE_H
#define AGENT_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    AGENT_GATHER_MS = 50,  /* the kubelet writes several files for one pod */
    AGENT_POLL_MS = 60000, /* where no file system tells of changes */
    AGENT_REFRESH_MS =
        150000,            /* half of the age at which numawise takes no report (topology.maxAge) */
    AGENT_NAME_MS = 1000,  /* so long a write waits for the name of a pod */
    AGENT_NODE_MS = 15000, /* later the kubelet has counted its devices in its Node */
    AGENT_REST_MS = 200,   /* between two writes */
    AGENT_FIRST_MS = 1000, /* after a failure: doubled each time, up to as much again by chance */
    AGENT_MOST_MS = 30000,
    AGENT_OBEY_MS = 120000, /* the longest Retry-After that is waited for */
};

struct agent_pace {
    uint64_t look_ns;    /* when it looks next */
    uint64_t not_before; /* nor looks, for nothing could be written */
    uint64_t refresh_ns; /* what was written then is getting old */
    uint64_t unnamed_ns; /* since when the name of a pod has been awaited; 0 = none is */
    uint64_t wait_ms;    /* the last back-off; 0 = all is well */
    uint64_t random;
};

/* The first look is at once. `seed`: for chance, any number. */
void agent_pace_init(struct agent_pace *p, uint64_t now, uint64_t seed);

/* Something may have changed. Many such within AGENT_GATHER_MS are one look. */
void agent_pace_changed(struct agent_pace *p, uint64_t now);

/* A look was taken. */
void agent_pace_looked(struct agent_pace *p, uint64_t now);

/* A look was taken of something that is being written: another one soon. */
void agent_pace_again(struct agent_pace *p, uint64_t now);

/* A look was taken of what the Node will tell more of: another one when it has. */
void agent_pace_recount(struct agent_pace *p, uint64_t now);

/* Write although nothing has changed. */
bool agent_pace_must_write(const struct agent_pace *p, uint64_t now);

/*
 * What was seen has pods whose names are not known, or none (`unnamed`). True: wait for the names;
 * a look follows by itself.
 */
bool agent_pace_awaits(struct agent_pace *p, uint64_t now, bool unnamed);

void agent_pace_wrote(struct agent_pace *p, uint64_t now);

/* It could not be written, or looked at. `retry_after_ms` as the server said; -1 = not. */
void agent_pace_failed(struct agent_pace *p, uint64_t now, int64_t retry_after_ms);

uint64_t agent_pace_due(const struct agent_pace *p);

#endif
