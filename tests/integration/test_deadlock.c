/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that deadlocks for real (deploy/examples/locktracker), the real server, a cluster whose
 * pod it speaks for: reports arrive, the hierarchy shows the violation, the deadlock is confirmed,
 * the plan names one victim, and nothing dies.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "operator/client.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

enum { PATIENCE = 1500, STEP_US = 20000 }; /* half a minute, on slow machines */

static char dir[TEST_PATH_BYTES], url[64];
static struct test_server server;

static void write_file(const char *name, const char *text)
{
    char path[TEST_PATH_BYTES * 2];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    test_write(path, str_of(text));
}

static int set_up(void **state)
{
    (void)strcpy(dir, "/tmp/numawise-deadlock-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    test_copy_tree(TEST_EXAMPLES "/locks", dir);
    test_copy_tree(TEST_EXAMPLES "/deadlock", dir); /* four tellers; a second is too long */
    test_server_start(&server, dir, NULL);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", server.operator_port);
    return 0;
}

static int tear_down(void **state)
{
    const int rc = test_server_stop(&server, SIGTERM);

    test_remove_tree(dir);
    return rc;
}

static pid_t start_program(const char *how)
{
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl(TEST_TRANSFER, "transfer", url, "bank", "teller-0", how, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static json_t *get(const char *target)
{
    struct buf b = {0};

    assert_int_equal(test_get(server.operator_port, target, &b), 200);
    json_t *const v = json_loadb(b.p, b.n, 0, NULL);
    assert_non_null(v);
    buf_free(&b);
    return v;
}

static const json_t *at(const json_t *v, const char *path)
{
    struct str rest = str_of(path);

    while (v && rest.n) {
        const struct str key = str_cut(&rest, '.');
        char name[64];
        uint64_t i;

        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(key));
        v = str_u64(key, &i) ? json_array_get(v, i) : json_object_get(v, name);
    }
    return v;
}

/* Ask until the member is there and true, or a text. */
static json_t *await(const char *target, const char *path)
{
    for (int i = 0; i < PATIENCE; i++) {
        json_t *const v = get(target);
        const json_t *const member = at(v, path);

        if (json_is_true(member) || json_is_string(member))
            return v;
        json_decref(v);
        (void)usleep(STEP_US);
    }
    fail_msg("%s: no %s", target, path);
    return NULL;
}

static void a_real_deadlock_is_seen_confirmed_and_planned(void **state)
{
    const pid_t pid = start_program(NULL);
    json_t *v = await("/v1/lock-hierarchy?namespace=bank", "deadlocks.0.confirmed");

    assert_int_equal(json_array_size(at(v, "violations")), 1);
    assert_string_equal(json_string_value(at(v, "violations.0.from")), "ledger");
    assert_string_equal(json_string_value(at(v, "violations.0.to")), "accounts");
    assert_string_equal(json_string_value(at(v, "cycles.0.classes.0")), "accounts");
    assert_int_equal(json_array_size(at(v, "deadlocks")), 1);
    assert_int_equal(json_array_size(at(v, "deadlocks.0.parties")), 2);
    assert_string_equal(json_string_value(at(v, "deadlocks.0.parties.1.pod")), "teller-0");
    json_decref(v);

    v = await("/v1/deadlocks/bank", "items.0.status.plan.victim");
    assert_int_equal(json_array_size(at(v, "items")), 1);
    assert_string_equal(json_string_value(at(v, "items.0.status.plan.victim")), "bank/teller-0");
    assert_string_equal(json_string_value(at(v, "items.0.status.plan.uid")),
                        "2f6f1a6e-0000-4000-8000-000000000000");
    assert_string_equal(json_string_value(at(v, "items.0.status.plan.strategy")), "EvictPod");
    assert_string_equal(json_string_value(at(v, "items.0.status.conditions.1.reason")), "DryRun");
    json_decref(v);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it hangs, and lives */

    /* The program ends, and its pod with it: what it held is forgotten. */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    write_file("pods.yaml", "");
    for (int i = 0; i < PATIENCE; i++) {
        v = get("/v1/lock-hierarchy?namespace=bank");
        const bool gone =
            json_array_size(at(v, "deadlocks")) == 0 && json_array_size(at(v, "violations")) == 0;

        json_decref(v);
        if (gone)
            return;
        (void)usleep(STEP_US);
    }
    fail_msg("the deadlock outlives its pod");
}

/* The same program, careful: a thousand transfers, no violation, and it ends. */
static void a_program_that_keeps_the_order_is_left_alone(void **state)
{
    const pid_t pid = start_program("careful");
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    json_t *const v = get("/v1/lock-hierarchy?namespace=bank");
    assert_int_equal(json_array_size(at(v, "violations")), 0);
    assert_int_equal(json_array_size(at(v, "cycles")), 0);
    assert_int_equal(json_array_size(at(v, "deadlocks")), 0);
    for (size_t i = 0; i < json_array_size(at(v, "edges")); i++) {
        const json_t *const e = json_array_get(at(v, "edges"), i);

        if (strcmp(json_string_value(json_object_get(e, "to")), "ledger") == 0)
            assert_int_equal(json_integer_value(json_object_get(e, "observed")), 2000);
    }
    json_decref(v);
}

static int64_t observed(const char *from, const char *to)
{
    json_t *const v = get("/v1/lock-hierarchy?namespace=bank");
    int64_t n = -1;

    for (size_t i = 0; i < json_array_size(at(v, "edges")); i++) {
        const json_t *const e = json_array_get(at(v, "edges"), i);

        if (strcmp(json_string_value(json_object_get(e, "from")), from) == 0 &&
            strcmp(json_string_value(json_object_get(e, "to")), to) == 0)
            n = json_integer_value(json_object_get(e, "observed"));
    }
    json_decref(v);
    return n;
}

/* Soft state: the server forgets, and the tracker tells everything again, what was and what is. */
static void a_tracker_tells_everything_again_after_a_restart(void **state)
{
    static const struct lock_client_class a = {"accounts", false}, b = {"vault", false};
    struct lock_client_stats stats;
    struct lock_client *c;
    char listen[64];
    int x, y;

    assert_int_equal(lock_client_open(&c, &(struct lock_client_options){.url = url,
                                                                        .ns = "bank",
                                                                        .pod = "teller-1",
                                                                        .interval_ms = 3600000}),
                     0);
    lock_client_wait(c, &a, &x);
    lock_client_got(c, &a, &x);
    for (int i = 0; i < 3; i++) {
        lock_client_wait(c, &b, &y);
        lock_client_got(c, &b, &y);
        lock_client_release(c, &b, &y);
        assert_int_equal(lock_client_flush(c), 0);
        assert_int_equal(observed("accounts", "vault"), i + 1);
    }
    (void)snprintf(listen, sizeof(listen), "operator=127.0.0.1:%u", server.operator_port);
    assert_int_equal(test_server_stop(&server, SIGTERM), 0);
    lock_client_wait(c, &b, &y);
    assert_true(lock_client_flush(c) != 0); /* nobody is there */
    test_server_start(&server, dir, (const char *const[]){"--listen", listen, NULL});
    assert_int_equal(observed("accounts", "vault"), -1);
    lock_client_wait(c, &b, &y);
    assert_int_equal(lock_client_flush(c), 0);
    assert_int_equal(lock_client_flush(c), 0);
    assert_int_equal(observed("accounts", "vault"), 5);
    lock_client_stats(c, &stats);
    assert_int_equal(stats.failures, 2); /* nobody there; "send everything again" */
    lock_client_close(c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_real_deadlock_is_seen_confirmed_and_planned),
        T(a_program_that_keeps_the_order_is_left_alone),
        T(a_tracker_tells_everything_again_after_a_restart),
    };
#undef T

    return cmocka_run_group_tests_name("deadlock", tests, NULL, NULL);
}
