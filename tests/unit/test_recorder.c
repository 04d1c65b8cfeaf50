/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "kube/recorder.h"

static const struct recorder_event event = {
    .reason = "AdmissionMispredicted",
    .action = "PredictAdmission",
    .node = {"gpu-3", 5},
    .pod_ns = {"ml", 2},
    .pod = {"train-0", 7},
    .pod_uid = {"u-1", 3},
    .note = {"why", 3},
};

static void name_of(char *out, const struct recorder_event *e)
{
    struct buf b = {0};

    recorder_name(&b, e);
    assert_true(b.n <= 253);
    memcpy(out, b.p, b.n + 1);
    buf_free(&b);
}

static void an_event_is_written_as_the_api_has_it(void **state)
{
    struct buf b = {0};
    char name[256];

    (void)state;
    name_of(name, &event);
    recorder_encode(&b, &event, STR("host-1"), INT64_C(1795521600123456));
    json_t *const got = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *const want = json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}, "
        "s:{s:s, s:s, s:s, s:s, s:s}, s:s}",
        "apiVersion", "events.k8s.io/v1", "kind", "Event", "metadata", "name", name, "namespace",
        "default", "eventTime", "2026-11-24T12:00:00.123456Z", "reportingController",
        "orchestration.gokore.io/numawise", "reportingInstance", "host-1", "type", "Warning",
        "reason", "AdmissionMispredicted", "action", "PredictAdmission", "regarding", "apiVersion",
        "v1", "kind", "Node", "name", "gpu-3", "uid", "gpu-3", "related", "apiVersion", "v1",
        "kind", "Pod", "namespace", "ml", "name", "train-0", "uid", "u-1", "note", "why");
    assert_non_null(want);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
    buf_free(&b);
}

/* Without a node it is about the pod, in the pod's namespace. */
static void an_event_can_be_about_a_pod(void **state)
{
    struct recorder_event e = event;
    struct buf b = {0};

    (void)state;
    e.node = STR("");
    recorder_encode(&b, &e, STR("host-1"), INT64_C(1795521600123456));
    json_t *const got = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *const meta = json_object_get(got, "metadata");
    const json_t *const about = json_object_get(got, "regarding");
    assert_string_equal(json_string_value(json_object_get(meta, "namespace")), "ml");
    assert_int_equal(strncmp(json_string_value(json_object_get(meta, "name")), "train-0.", 8), 0);
    assert_string_equal(json_string_value(json_object_get(about, "kind")), "Pod");
    assert_string_equal(json_string_value(json_object_get(about, "uid")), "u-1");
    assert_null(json_object_get(got, "related"));
    json_decref(got);
    buf_free(&b);
}

/* Whoever tells it, and whatever pod it was: the same node and reason are one Event. */
static void the_name_is_that_of_node_and_reason(void **state)
{
    struct recorder_event other = event;
    char one[256], two[256], long_node[300];

    (void)state;
    other.pod = STR("train-1");
    other.note = STR("something else");
    name_of(one, &event);
    name_of(two, &other);
    assert_string_equal(one, two);
    assert_int_equal(strncmp(one, "gpu-3.", 6), 0);
    assert_int_equal(strlen(one), 6 + 16);
    other.reason = "TopologyStale";
    name_of(two, &other);
    assert_string_not_equal(one, two);
    other = event;
    other.node = STR("gpu-4");
    name_of(two, &other);
    assert_string_not_equal(one + 6, two + 6);
    memset(long_node, 'n', sizeof(long_node));
    other.node = (struct str){long_node, 253};
    name_of(one, &other);
}

/* 1024 bytes at most, and never half of a character. */
static void a_note_is_cut_between_characters(void **state)
{
    char note[1100];
    struct recorder_event e = event;

    (void)state;
    for (size_t from = 0; from < 3; from++) {
        struct buf b = {0};

        memset(note, 'a', sizeof(note));
        for (size_t i = 1000 + from; i + 3 <= sizeof(note); i += 3)
            memcpy(note + i, "\xe2\x82\xac", 3);
        e.note = (struct str){note, 1090};
        recorder_encode(&b, &e, STR("h"), 0);
        json_t *const j = json_loadb(b.p, b.n, 0, NULL);
        const json_t *const text = json_object_get(j, "note");
        assert_in_range(json_string_length(text), 1022, 1024);
        assert_null(strstr(json_string_value(text), "\xef\xbf\xbd")); /* what is no character */
        json_decref(j);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_written_as_the_api_has_it),
        cmocka_unit_test(an_event_can_be_about_a_pod),
        cmocka_unit_test(the_name_is_that_of_node_and_reason),
        cmocka_unit_test(a_note_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
