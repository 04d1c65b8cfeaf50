/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the server still there? Watches may be silent for long, and a connection that was cut without
 * a word is silent, too. So after a silence somebody asks for something small, and no answer is an
 * answer. Pure; kube/api.c asks.
 */
#ifndef KUBE_PULSE_H
#define KUBE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

/* As in Go's HTTP/2: ask after 30 s of silence, wait 15 s. */
enum { KUBE_SILENCE_MS = 30000, KUBE_PROBE_MS = 15000 };

struct kube_pulse {
    uint64_t silence_ns, probe_ns;
    uint64_t heard_ns; /* last sign of life */
    uint64_t asked_ns; /* 0 = no question is out */
};

enum kube_pulse_act {
    KUBE_PULSE_WAIT, /* look again at `out_ns` */
    KUBE_PULSE_ASK,  /* and then look again at `out_ns` */
    KUBE_PULSE_DEAD, /* everything that is out is lost */
};

void kube_pulse_init(struct kube_pulse *p, uint64_t now_ns, uint32_t silence_ms, uint32_t probe_ms);

/* Something came: any byte at all. */
void kube_pulse_heard(struct kube_pulse *p, uint64_t now_ns);

/*
 * What to do now; `busy`: something is out that waits for the server. While nothing is, silence
 * says nothing, and `out_ns` is UINT64_MAX. After DEAD it begins anew.
 */
enum kube_pulse_act kube_pulse_look(struct kube_pulse *p, uint64_t now_ns, bool busy,
                                    uint64_t *out_ns);

#endif
