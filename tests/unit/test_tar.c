/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/tar.h"

enum { CHECKSUM = 148, TYPE = 156, SIZE = 124, NAME = 0 };

static void add(struct buf *tar, const char *path, const char *text)
{
    assert_int_equal(tar_add(tar, str_of(path), str_of(text), 1795497600), 0);
}

/* The next file is this one. */
static void expect(struct tar_reader *r, const struct buf *tar, const char *path, const char *text)
{
    char at[TAR_PATH_BYTES];
    struct str got;
    struct err err = {0};

    assert_int_equal(tar_next(r, buf_view(tar), at, &got, &err), 1);
    assert_string_equal(at, path);
    assert_int_equal(got.n, strlen(text));
    assert_memory_equal(got.n ? got.p : "", text, got.n);
}

static void expect_wrong(struct tar_reader *r, struct str tar, const char *why)
{
    char at[TAR_PATH_BYTES];
    struct str got;
    struct err err = {0};

    assert_int_equal(tar_next(r, tar, at, &got, &err), -EPROTO);
    if (!strstr(err.text, why))
        fail_msg("\"%s\", expected \"%s\"", err.text, why);
}

/* After a change by hand: eight bits a byte, its own eight as blanks (POSIX, ustar). */
static void sum_again(char *header)
{
    unsigned sum = 0;

    memset(header + CHECKSUM, ' ', 8);
    for (int i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += (unsigned char)header[i];
    (void)snprintf(header + CHECKSUM, 8, "%06o", sum);
    header[CHECKSUM + 7] = ' ';
}

static void what_is_written_is_read(void **state)
{
    struct buf tar = {0};
    struct tar_reader r = {0};
    char big[1025], deep[TAR_PATH_BYTES], at[TAR_PATH_BYTES];
    struct str got;

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    /* 155 + "/" + 100 bytes, the most that there is room for */
    memset(deep, 'd', sizeof(deep) - 1);
    deep[155] = '/';
    deep[256] = 0;
    add(&tar, "a", "");
    add(&tar, "cluster/Pod/ml_train-0.json", "{}\n");
    add(&tar, "odd/%2F_", big);
    add(&tar, deep, "deep");
    tar_end(&tar);
    /* headers, blocks of texts, the end */
    assert_int_equal(tar.n, (4 + (0 + 1 + 2 + 1) + 2) * TAR_BLOCK_BYTES);
    expect(&r, &tar, "a", "");
    expect(&r, &tar, "cluster/Pod/ml_train-0.json", "{}\n");
    expect(&r, &tar, "odd/%2F_", big);
    expect(&r, &tar, deep, "deep");
    assert_int_equal(tar_next(&r, buf_view(&tar), at, &got, NULL), 0);
    assert_int_equal(tar_next(&r, buf_view(&tar), at, &got, NULL), 0);
    buf_free(&tar);
}

/* Worked by hand: POSIX.1-2017, pax, ustar Interchange Format. */
static void the_header_is_that_of_the_standard(void **state)
{
    struct buf tar = {0};

    add(&tar, "clock", "0123456789"); /* 10 = 012 */
    assert_string_equal(tar.p, "clock");
    assert_string_equal(tar.p + 100, "0000644");
    assert_string_equal(tar.p + SIZE, "00000000012");
    assert_string_equal(tar.p + 136, "15301217200"); /* 1795497600 s */
    assert_int_equal(tar.p[TYPE], '0');
    assert_memory_equal(tar.p + 257, "ustar\00000", 8);
    assert_memory_equal(tar.p + 512, "0123456789\0\0", 12);
    buf_free(&tar);
}

static void paths_that_lead_elsewhere_are_not_written(void **state)
{
    static const char *const wrong[] = {"",     "/",    "/etc/passwd", "..",   "../a",
                                        "a/..", "a//b", "a/b/",        "./a",  "a/./b",
                                        "a b",  "a\\b", "a\nb",        "a\x80"};
    char flat[102];
    struct buf tar = {0};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(tar_add(&tar, str_of(wrong[i]), STR(""), 0), -EINVAL);
    assert_int_equal(tar_add(&tar, (struct str){"a\0b", 3}, STR(""), 0), -EINVAL);
    memset(flat, 'f', 101); /* one more than a name has room for, and no slash to cut it at */
    flat[101] = 0;
    assert_int_equal(tar_add(&tar, str_of(flat), STR(""), 0), -ENAMETOOLONG);
    assert_int_equal(tar.n, 0);
}

static void nor_are_they_read(void **state)
{
    static const char *const wrong[] = {"/etc/passwd", "..",   "../a", "a/../../b", "a/..",
                                        "./a",         "a//b", "",     "a b",       "a\x1b[2J"};
    struct buf tar = {0};

    add(&tar, "aaaaaaaaaaaaaaaa", "text");
    tar_end(&tar);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct tar_reader r = {0};

        memset(tar.p + NAME, 0, 100);
        memcpy(tar.p + NAME, wrong[i], strlen(wrong[i]));
        sum_again(tar.p);
        expect_wrong(&r, buf_view(&tar), "leads elsewhere");
    }
    buf_free(&tar);
}

/* Links, devices, pipes, and the headers of other formats; a directory is passed over. */
static void only_files_count(void **state)
{
    static const char wrong[] = "123467xgLKS";
    struct buf tar = {0};

    add(&tar, "dir", "");
    add(&tar, "dir/file", "text");
    tar_end(&tar);
    for (const char *type = wrong; *type; type++) {
        struct tar_reader r = {0};

        tar.p[TYPE] = *type;
        sum_again(tar.p);
        expect_wrong(&r, buf_view(&tar), "neither a file nor a directory");
    }
    struct tar_reader r = {0};
    tar.p[TYPE] = '5';
    tar.p[NAME + 3] = '/'; /* as other programs write them */
    sum_again(tar.p);
    expect(&r, &tar, "dir/file", "text");
    buf_free(&tar);
}

static void what_is_damaged_or_cut_off_is_an_error(void **state)
{
    struct buf tar = {0};

    add(&tar, "a", "text");
    tar_end(&tar);
    for (size_t n = 0; n < TAR_BLOCK_BYTES + 4; n++) {
        struct tar_reader r = {0};

        expect_wrong(&r, (struct str){tar.p, n}, "cut off");
    }
    for (int i = 0; i < TAR_BLOCK_BYTES; i++) {
        struct tar_reader r = {0};

        tar.p[i] = (char)(tar.p[i] + 1);
        /* the blank and the zero behind the sum are nobody's */
        if (i != CHECKSUM + 7)
            expect_wrong(&r, buf_view(&tar), "");
        tar.p[i] = (char)(tar.p[i] - 1);
    }
    struct tar_reader r = {0};
    memcpy(tar.p + SIZE, "77777777777", 11);
    sum_again(tar.p);
    expect_wrong(&r, buf_view(&tar), "cut off");
    memcpy(tar.p + SIZE, "-0000000012", 11);
    sum_again(tar.p);
    expect_wrong(&r, buf_view(&tar), "no header");
    buf_free(&tar);
}

static void files_are_counted(void **state)
{
    struct buf tar = {0};
    struct tar_reader r = {0};
    char path[TAR_PATH_BYTES];
    struct str text;

    add(&tar, "a", "");
    for (int i = 0; i < TAR_MOST_FILES; i++) {
        r.at = 0; /* the same once more */
        assert_int_equal(tar_next(&r, buf_view(&tar), path, &text, NULL), 1);
    }
    r.at = 0;
    expect_wrong(&r, buf_view(&tar), "too many");
    buf_free(&tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_header_is_that_of_the_standard),
        cmocka_unit_test(paths_that_lead_elsewhere_are_not_written),
        cmocka_unit_test(nor_are_they_read),
        cmocka_unit_test(only_files_count),
        cmocka_unit_test(what_is_damaged_or_cut_off_is_an_error),
        cmocka_unit_test(files_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
