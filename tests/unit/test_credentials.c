/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "kube/credentials.h"

#define S UINT64_C(1000000000)

enum { PATH_BYTES = 128 };

struct bench {
    char root[64];
    struct kube_access access;
    struct kube_credentials c;
};

static char *path_of(const struct bench *b, const char *name)
{
    char *const path = malloc(PATH_BYTES);

    (void)snprintf(path, PATH_BYTES, "%s/%s", b->root, name);
    return path;
}

static void put(const struct bench *b, const char *name, const char *text)
{
    char *const path = path_of(b, name);
    FILE *const f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void take_away(const struct bench *b, const char *name)
{
    char *const path = path_of(b, name);

    assert_int_equal(unlink(path), 0);
    free(path);
}

static int setup(void **state)
{
    struct bench *const b = calloc(1, sizeof(*b));
    const char *const tmp = getenv("TMPDIR");

    (void)snprintf(b->root, sizeof(b->root), "%.32s/numawise-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->root));
    kube_credentials_init(&b->c, &b->access);
    *state = b;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    kube_credentials_done(&b->c);
    kube_access_done(&b->access);
    (void)nftw(b->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(b);
    return 0;
}

static int refresh(struct bench *b, uint64_t second)
{
    return kube_credentials_refresh(&b->c, second * S, NULL);
}

static void assert_is(const struct buf *b, const char *want)
{
    assert_int_equal(b->n, strlen(want));
    assert_memory_equal(b->n ? b->p : "", want, b->n);
}

static void nothing_needed_is_nothing_read(void **state)
{
    struct bench *const b = *state;

    assert_int_equal(refresh(b, 1), 0);
    assert_is(&b->c.token, "");
    assert_is(&b->c.ca, "");
}

static void a_token_is_read_again_after_fifty_seconds(void **state)
{
    struct bench *const b = *state;

    b->access.token_file = path_of(b, "token");
    b->access.token = strdup("from the kubeconfig"); /* the file wins */
    put(b, "token", "  one\n");
    assert_int_equal(refresh(b, 100), 0);
    assert_is(&b->c.token, "one");
    put(b, "token", "two");
    assert_int_equal(refresh(b, 149), 0);
    assert_is(&b->c.token, "one");
    assert_int_equal(refresh(b, 150), 0);
    assert_is(&b->c.token, "two");
    put(b, "token", "three");
    kube_credentials_doubt_token(&b->c);
    assert_int_equal(refresh(b, 151), 0);
    assert_is(&b->c.token, "three");
}

static void the_last_good_token_stays(void **state)
{
    static const char *const bad[] = {"", "\n", "a b", "t\x01", "\xc3\xa4"};
    struct bench *const b = *state;
    uint64_t second = 100;

    b->access.token_file = path_of(b, "token");
    put(b, "token", "one");
    assert_int_equal(refresh(b, second), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put(b, "token", bad[i]);
        assert_int_equal(refresh(b, second += 50), 0);
        assert_is(&b->c.token, "one");
        assert_int_equal(b->c.failures, i + 1);
    }
    take_away(b, "token");
    assert_int_equal(refresh(b, second += 50), 0);
    assert_is(&b->c.token, "one");
    put(b, "token", "two");
    assert_int_equal(refresh(b, second + 50), 0);
    assert_is(&b->c.token, "two");
}

static void without_a_first_token_there_is_none(void **state)
{
    struct bench *const b = *state;

    b->access.token_file = path_of(b, "token");
    assert_int_equal(refresh(b, 1), -ENOENT);
    put(b, "token", "");
    assert_int_equal(refresh(b, 2), -EINVAL);
    put(b, "token", "one"); /* tried again with each use until it is there */
    assert_int_equal(refresh(b, 3), 0);
    assert_is(&b->c.token, "one");
}

#define PEM(text) "-----BEGIN X-----\n" text "\n-----END X-----\n"

static void certificates_are_read_again_after_five_minutes(void **state)
{
    struct bench *const b = *state;

    b->access.ca.path = path_of(b, "ca");
    b->access.cert.path = path_of(b, "cert");
    b->access.key.text = strdup("a key that stands there");
    put(b, "ca", PEM("ca 1"));
    put(b, "cert", PEM("cert 1"));
    assert_int_equal(refresh(b, 100), 0);
    assert_is(&b->c.ca, PEM("ca 1"));
    assert_is(&b->c.key, "a key that stands there");
    put(b, "ca", PEM("ca 2"));
    put(b, "cert", "half of a file"); /* it is being written: all stays as it was */
    assert_int_equal(refresh(b, 399), 0);
    assert_is(&b->c.ca, PEM("ca 1"));
    assert_int_equal(refresh(b, 400), 0);
    assert_is(&b->c.ca, PEM("ca 1"));
    assert_is(&b->c.cert, PEM("cert 1"));
    assert_int_equal(b->c.failures, 1);
    put(b, "cert", PEM("cert 2"));
    assert_int_equal(refresh(b, 401), 0); /* not so soon */
    assert_is(&b->c.ca, PEM("ca 1"));
    kube_credentials_doubt_pem(&b->c);
    assert_int_equal(refresh(b, 402), 0);
    assert_is(&b->c.ca, PEM("ca 2"));
    assert_is(&b->c.cert, PEM("cert 2"));
}

int main(void)
{
#define USUAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        USUAL(nothing_needed_is_nothing_read),
        USUAL(a_token_is_read_again_after_fifty_seconds),
        USUAL(the_last_good_token_stays),
        USUAL(without_a_first_token_there_is_none),
        USUAL(certificates_are_read_again_after_five_minutes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
