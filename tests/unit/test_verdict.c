/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of verdicts and reasons: what kube-scheduler and people read (contract.md 2). */
#include <string.h>

#include "base/attr.h"
#include "scoring/verdict.h"
#include "tests/support/test.h"

static void verdicts_have_their_words(void **state)
{
    assert_string_equal(score_verdict_text(SCORE_ADMITTED), "Admitted");
    assert_string_equal(score_verdict_text(SCORE_REJECTED), "Rejected");
    assert_string_equal(score_verdict_text(SCORE_UNKNOWN), "Unknown");
}

static void every_reason_has_a_text_and_the_same_on_the_wire(void **state)
{
    static const struct {
        enum score_reason reason;
        const char *text, *wire;
    } cases[] = {
        {SCORE_REASON_NONE, "", "numawise: admitted"},
        {SCORE_TOPOLOGY_AFFINITY_ERROR, "TopologyAffinityError", "numawise: TopologyAffinityError"},
        {SCORE_SMT_ALIGNMENT_ERROR, "SMTAlignmentError", "numawise: SMTAlignmentError"},
        {SCORE_UNEXPECTED_ADMISSION_ERROR, "UnexpectedAdmissionError",
         "numawise: UnexpectedAdmissionError"},
        {SCORE_KUBELET_CRASH, "KubeletCrash", "numawise: KubeletCrash"},
        {SCORE_NO_TOPOLOGY, "NoTopology", "numawise: NoTopology"},
        {SCORE_STALE_TOPOLOGY, "StaleTopology", "numawise: StaleTopology"},
        {SCORE_TOO_MANY_ZONES, "TooManyZones", "numawise: TooManyZones"},
        {SCORE_NOT_MODELLED, "NotModelled", "numawise: NotModelled"},
        {SCORE_NUMA_EXCLUSIVE, "NumaExclusive", "numawise: NumaExclusive"},
        {SCORE_CROSS_ACCESS, "CrossAccess", "numawise: CrossAccess"},
        {SCORE_ALLOWED_DISTANCE, "AllowedDistance", "numawise: AllowedDistance"},
        {SCORE_NUMA_POLICY, "NumaPolicy", "numawise: NumaPolicy"},
        {SCORE_NETWORK_BANDWIDTH, "NetworkBandwidth", "numawise: NetworkBandwidth"},
        {SCORE_LOCK_LIMIT, "LockLimit", "numawise: LockLimit"},
        {SCORE_GOROUTINE_LIMIT, "GoroutineLimit", "numawise: GoroutineLimit"},
    };

    assert_int_equal(ARRAY_LEN(cases), SCORE_REASONS);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(score_reason_text(cases[i].reason), cases[i].text);
        assert_string_equal(score_reason_wire(cases[i].reason), cases[i].wire);
    }
}

static void each_reason_goes_with_one_verdict(void **state)
{
    for (int r = SCORE_REASON_NONE + 1; r < SCORE_REASONS; r++) {
        const char *const text = score_reason_text((enum score_reason)r);
        const bool unknown = strcmp(text, "NoTopology") == 0 ||
                             strcmp(text, "StaleTopology") == 0 ||
                             strcmp(text, "TooManyZones") == 0 || strcmp(text, "NotModelled") == 0;

        assert_int_equal(score_reason_verdict((enum score_reason)r),
                         unknown ? SCORE_UNKNOWN : SCORE_REJECTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_have_their_words),
        cmocka_unit_test(every_reason_has_a_text_and_the_same_on_the_wire),
        cmocka_unit_test(each_reason_goes_with_one_verdict),
    };

    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
