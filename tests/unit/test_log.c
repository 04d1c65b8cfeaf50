/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"

/* What was written since capture() was called. */
static int kept, file;

static void capture(void)
{
    file = memfd_create("stderr", MFD_CLOEXEC);
    kept = dup(STDERR_FILENO);
    assert_true(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
}

static void release(char *out, size_t room)
{
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    const ssize_t n = pread(file, out, room - 1, 0);
    assert_true(n >= 0);
    out[n] = 0;
    (void)close(file);
}

/* Behind the time stamp, which has 27 characters and a blank. */
static void text_has_level_component_and_request(void **state)
{
    char out[4096];

    (void)state;
    log_setup(LOG_LEVEL_INFO, false);
    capture();
    log_line(LOG_LEVEL_WARN, "cluster", "%d files", 3);
    log_request(LOG_LEVEL_ERROR, "extender", 42, "answered %d", 400);
    log_line(LOG_LEVEL_DEBUG, "cluster", "too much");
    log_request(LOG_LEVEL_DEBUG, "cluster", 1, "too much");
    release(out, sizeof(out));
    char *const second = strchr(out, '\n') + 1;
    assert_int_equal(strncmp(out + 28, "warn  cluster: 3 files\n", 23), 0);
    assert_string_equal(second + 28, "error extender: request 42: answered 400\n");
    assert_false(log_is_on(LOG_LEVEL_DEBUG));
    assert_true(log_is_on(LOG_LEVEL_INFO));
}

static void json_is_one_object_a_line_whatever_the_text(void **state)
{
    static const char nasty[] = "a\"b\\c\nd\te\x7f\x01";
    char out[8192], long_text[3000];
    json_error_t error;

    (void)state;
    memset(long_text, '"', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    log_setup(LOG_LEVEL_DEBUG, true);
    capture();
    log_request(LOG_LEVEL_DEBUG, "extender", 7, "%s", nasty);
    log_line(LOG_LEVEL_INFO, "serve", "%s", long_text);
    release(out, sizeof(out));
    char *const second = strchr(out, '\n') + 1;
    second[-1] = 0;
    json_t *j = json_loads(out, 0, &error);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "level")), "debug");
    assert_string_equal(json_string_value(json_object_get(j, "component")), "extender");
    assert_int_equal(json_integer_value(json_object_get(j, "request")), 7);
    assert_string_equal(json_string_value(json_object_get(j, "msg")), nasty);
    assert_int_equal(json_string_length(json_object_get(j, "ts")), 27);
    json_decref(j);
    j = json_loads(second, 0, &error);
    assert_non_null(j);
    assert_null(json_object_get(j, "request"));
    assert_true(json_string_length(json_object_get(j, "msg")) > 900);
    json_decref(j);
}

/* What would let one line pass for two, for another one, or for what it is not. */
static void what_misleads_is_shown_as_a_number(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"Zo\xc3\xab \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
         "Zo\xc3\xab \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"},
        {"a\r\nb", "a\\u000d\\u000ab"},
        {"a\xc2\x85"
         "b\xe2\x80\xa8"
         "c\xe2\x80\xa9",
         "a\\u0085b\\u2028c\\u2029"},
        {"user\xe2\x80\xaenimda", "user\\u202enimda"},
        {"\xe2\x81\xa6x\xe2\x81\xa9\xd8\x9c", "\\u2066x\\u2069\\u061c"},
        {"ad\xe2\x80\x8bmin\xef\xbb\xbf", "ad\\u200bmin\\ufeff"},
        {"\xf3\xa0\x81\x81", "\\ufffd"},
        {"\x80 \xc3( \xc0\xaf \xed\xa0\x80",
         "\\ufffd \\ufffd( \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd"},
        {"\xf4\x90\x80\x80 \xe6\x97", "\\ufffd\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd"},
        {"\x1b[31m</script>", "\\u001b[31m</script>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[4096], want[256];

        log_setup(LOG_LEVEL_INFO, false);
        capture();
        log_line(LOG_LEVEL_WARN, "x", "%s", cases[i].text);
        release(out, sizeof(out));
        (void)snprintf(want, sizeof(want), "warn  x: %s\n", cases[i].shown);
        assert_string_equal(out + 28, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_level_component_and_request),
        cmocka_unit_test(what_misleads_is_shown_as_a_number),
        cmocka_unit_test(json_is_one_object_a_line_whatever_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
