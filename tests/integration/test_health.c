/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe and a person are told when not all is well. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "cli/health.h"
#include "cluster/cluster.h"
#include "tests/support/raw.h"

static struct http_server *server;
static struct cluster *cluster;
static struct health health;
static atomic_bool leads_well;

static bool leads(void *ctx, char *why)
{
    (void)ctx;
    (void)snprintf(why, HEALTH_WHY_BYTES, "the lease was lost");
    return leads_well;
}

/* Nothing was listed, and the second of two checks of life is the test's. */
static int start(void **state)
{
    const struct cluster_options options = {.hash_key = {1, 2}};
    struct http_route routes[HEALTH_ROUTES];
    struct err err = {0};

    (void)state;
    assert_int_equal(cluster_new(&cluster, &options, &err), 0);
    health_init(&health, cluster);
    health_add(&health, (struct health_check){"leader", true, leads, NULL});
    health_routes(&health, routes);
    if (http_server_new(&server, "test", routes, HEALTH_ROUTES, NULL, &err) < 0 ||
        http_server_listen(server, "127.0.0.1:0", &err) < 0 || http_server_start(server, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_free(server);
    cluster_free(cluster);
    return 0;
}

static void expect(const char *target, int status, const char *body)
{
    char request[256];
    const int fd = raw_dial(server);

    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: n\r\n\r\n", target);
    raw_say(fd, request);
    const struct raw_answer a = raw_hear(fd);
    assert_int_equal(a.status, status);
    assert_string_equal(a.body, body);
    close(fd);
}

static void a_failing_check_is_named_with_its_reason(void **state)
{
    (void)state;
    leads_well = true;
    expect("/readyz", 503,
           "[+]ping ok\n[-]state-synced failed: the cluster has not been listed yet\n"
           "[+]shutdown ok\n[+]leader ok\nreadyz check failed\n");
    expect("/readyz?exclude=state-synced", 200, "ok");
    expect("/readyz?exclude=ping", 503,
           "[+]ping excluded: ok\n[-]state-synced failed: the cluster has not been listed yet\n"
           "[+]shutdown ok\n[+]leader ok\nreadyz check failed\n");
    atomic_store(&health.stopping, true);
    expect("/readyz?exclude=state-synced", 503,
           "[+]ping ok\n[+]state-synced excluded: ok\n[-]shutdown failed: the program is about to "
           "end\n[+]leader ok\nreadyz check failed\n");
    atomic_store(&health.stopping, false);
}

static void alive_is_what_no_restart_would_mend(void **state)
{
    (void)state;
    leads_well = true;
    expect("/livez", 200, "ok");
    expect("/livez?verbose", 200, "[+]ping ok\n[+]leader ok\nlivez check passed\n");
    leads_well = false;
    expect("/livez", 503, "[+]ping ok\n[-]leader failed: the lease was lost\nlivez check failed\n");
    expect("/livez?exclude=leader", 200, "ok");
    leads_well = true;
}

static void one_check_is_asked_alone(void **state)
{
    (void)state;
    expect("/readyz/ping", 200, "ok");
    expect("/readyz/state-synced", 503,
           "[-]state-synced failed: the cluster has not been listed yet\nreadyz check failed\n");
    expect("/livez/leader?verbose", 200, "[+]leader ok\nlivez check passed\n");
    expect("/readyz/nothing", 404, "");
    expect("/healthz/ping", 200, "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_check_is_named_with_its_reason),
        cmocka_unit_test(alive_is_what_no_restart_would_mend),
        cmocka_unit_test(one_check_is_asked_alone),
    };

    http_process_setup();
    return cmocka_run_group_tests(tests, start, stop);
}
