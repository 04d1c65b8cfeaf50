/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/verdict.h"

/* The one table of reasons; the wire adds a fixed prefix so that kube-scheduler adds up equals. */
static const struct {
    const char *text, *wire;
} reasons[SCORE_REASONS] = {
    [SCORE_REASON_NONE] = {"", "numawise: admitted"},
    [SCORE_TOPOLOGY_AFFINITY_ERROR] = {"TopologyAffinityError", "numawise: TopologyAffinityError"},
    [SCORE_SMT_ALIGNMENT_ERROR] = {"SMTAlignmentError", "numawise: SMTAlignmentError"},
    [SCORE_UNEXPECTED_ADMISSION_ERROR] = {"UnexpectedAdmissionError",
                                          "numawise: UnexpectedAdmissionError"},
    [SCORE_KUBELET_CRASH] = {"KubeletCrash", "numawise: KubeletCrash"},
    [SCORE_NO_TOPOLOGY] = {"NoTopology", "numawise: NoTopology"},
    [SCORE_STALE_TOPOLOGY] = {"StaleTopology", "numawise: StaleTopology"},
    [SCORE_TOO_MANY_ZONES] = {"TooManyZones", "numawise: TooManyZones"},
    [SCORE_NOT_MODELLED] = {"NotModelled", "numawise: NotModelled"},
    [SCORE_NUMA_EXCLUSIVE] = {"NumaExclusive", "numawise: NumaExclusive"},
    [SCORE_CROSS_ACCESS] = {"CrossAccess", "numawise: CrossAccess"},
    [SCORE_ALLOWED_DISTANCE] = {"AllowedDistance", "numawise: AllowedDistance"},
    [SCORE_NUMA_POLICY] = {"NumaPolicy", "numawise: NumaPolicy"},
    [SCORE_NETWORK_BANDWIDTH] = {"NetworkBandwidth", "numawise: NetworkBandwidth"},
    [SCORE_LOCK_LIMIT] = {"LockLimit", "numawise: LockLimit"},
    [SCORE_GOROUTINE_LIMIT] = {"GoroutineLimit", "numawise: GoroutineLimit"},
};

enum score_verdict score_reason_verdict(enum score_reason reason)
{
    return reason >= SCORE_NO_TOPOLOGY && reason <= SCORE_NOT_MODELLED ? SCORE_UNKNOWN
                                                                       : SCORE_REJECTED;
}

const char *score_verdict_text(enum score_verdict verdict)
{
    static const char *const texts[] = {"Admitted", "Rejected", "Unknown"};

    return texts[verdict];
}

const char *score_reason_text(enum score_reason reason)
{
    return reasons[reason].text;
}

const char *score_reason_wire(enum score_reason reason)
{
    return reasons[reason].wire;
}
