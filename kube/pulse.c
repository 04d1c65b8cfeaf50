/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/pulse.h"

void kube_pulse_init(struct kube_pulse *p, uint64_t now_ns, uint32_t silence_ms, uint32_t probe_ms)
{
    *p = (struct kube_pulse){
        .silence_ns = silence_ms * UINT64_C(1000000),
        .probe_ns = probe_ms * UINT64_C(1000000),
        .heard_ns = now_ns,
    };
}

void kube_pulse_heard(struct kube_pulse *p, uint64_t now_ns)
{
    p->heard_ns = now_ns;
    p->asked_ns = 0;
}

enum kube_pulse_act kube_pulse_look(struct kube_pulse *p, uint64_t now_ns, bool busy,
                                    uint64_t *out_ns)
{
    if (!busy) {
        kube_pulse_heard(p, now_ns);
        *out_ns = UINT64_MAX;
        return KUBE_PULSE_WAIT;
    }
    if (p->asked_ns && now_ns - p->asked_ns >= p->probe_ns) {
        kube_pulse_heard(p, now_ns);
        *out_ns = now_ns + p->silence_ns;
        return KUBE_PULSE_DEAD;
    }
    if (!p->asked_ns && now_ns - p->heard_ns >= p->silence_ns) {
        p->asked_ns = now_ns;
        *out_ns = now_ns + p->probe_ns;
        return KUBE_PULSE_ASK;
    }
    *out_ns = p->asked_ns ? p->asked_ns + p->probe_ns : p->heard_ns + p->silence_ns;
    return KUBE_PULSE_WAIT;
}
