/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/swap.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/synth.h"

enum { MOST_SWAPS = 4096 };

/* Between the process that changes nodes and the client. */
struct swaps {
    _Atomic uint32_t n;
    uint64_t at_ns[MOST_SWAPS];
};

static void nap_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t)(ms / 1000),
                               .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&t, NULL);
}

/* Each time other nodes: written aside first, so that the change itself is but renames. */
static _Noreturn void change_nodes(struct swaps *s, const struct swap_options *o, uint32_t nodes)
{
    for (uint32_t k = 0;; k++) {
        for (uint32_t i = 0; i < nodes; i++)
            synth_prepare(o->dir, (k * nodes + i) % o->nodes, o->zones, 1000 + k);
        nap_ms(SWAP_EVERY_MS);
        if (k == MOST_SWAPS)
            _exit(0);
        s->at_ns[k] = clock_monotonic_ns();
        s->n = k + 1;
        for (uint32_t i = 0; i < nodes; i++)
            synth_commit(o->dir, (k * nodes + i) % o->nodes);
    }
}

static bool is_inside(const struct swaps *s, uint64_t from, uint64_t to)
{
    for (uint32_t k = s->n; k-- > 0;) {
        if (to >= s->at_ns[k] && from < s->at_ns[k] + SWAP_WINDOW_MS * UINT64_C(1000000))
            return true;
    }
    return false;
}

static void one_pod(struct client *c, uint64_t shape, const struct swaps *s,
                    struct swap_figures *out)
{
    struct client_times times = {0};
    const uint64_t from = clock_monotonic_ns();

    client_pair(c, shape, &times, NULL);
    const bool inside = is_inside(s, from, clock_monotonic_ns());
    for (int v = 0; v < CLIENT_VERBS; v++) {
        load_add(inside ? &out->inside[v] : &out->outside[v], times.of[v].ns[0]);
        load_free(&times.of[v]);
    }
    load_free(&times.of[CLIENT_PAIR]);
}

void swap_measure(struct client *c, const struct swap_options *o, struct swap_figures *out)
{
    struct swaps *const s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const uint32_t nodes = o->nodes < SWAP_NODES ? o->nodes : SWAP_NODES;

    if (s == MAP_FAILED)
        exit(1);
    const pid_t changer = fork();
    if (changer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGTERM, SIG_DFL);
        synth_stand_aside();
        change_nodes(s, o, nodes);
    }
    for (uint32_t i = 0; i < o->shapes; i++)
        client_pair(c, i, NULL, NULL);
    const uint64_t end = clock_monotonic_ns() + (uint64_t)(o->seconds * 1e9);
    for (uint64_t i = 0; clock_monotonic_ns() < end; i++)
        one_pod(c, i % o->shapes, s, out);
    (void)kill(changer, SIGKILL);
    (void)waitpid(changer, NULL, 0);
    out->swaps = s->n;
    out->nodes = nodes;
    (void)munmap(s, sizeof(*s));
    for (int v = 0; v < CLIENT_VERBS; v++) {
        load_sort(&out->inside[v]);
        load_sort(&out->outside[v]);
    }
}
