/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/live_operator.h"

#include "tests/support/test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void live_operator_begin(struct live_operator *o, const char *name, const struct fake_kind *kinds,
                         size_t n, fake_api_handler handler)
{
    static const struct fake_api_options options = {.bookmark_ms = 200};
    char config[64];

    o->api = fake_api_new(&options);
    fake_api_add_kinds(o->api, kinds, n);
    fake_api_handle(o->api, handler, o->api);
    (void)snprintf(config, sizeof(config), "%s-config", name);
    test_temporary(o->kubeconfig, name);
    test_temporary(o->config, config);
    fake_api_write_kubeconfig(o->api, o->kubeconfig);
}

void live_operator_run(struct live_operator *o, const char *act)
{
    const char *const source[] = {"--kubeconfig", o->kubeconfig, NULL};
    const char *const extra[] = {"--config", o->config, NULL};

    if (act)
        live_operator_configure(o, act);
    test_server_run(&o->server, source, act ? extra : NULL);
    test_server_wait(&o->server);
}

void live_operator_configure(const struct live_operator *o, const char *act)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "apiVersion: numawise.config.gokore.io/v1alpha1\nkind: NumawiseConfiguration\n"
                   "operator: {lease: sys/numawise, advertise: 'http://127.0.0.1:1', act: %s}\n",
                   act);
    test_write(o->config, str_of(text));
}

void live_operator_end(struct live_operator *o)
{
    assert_int_equal(test_server_stop(&o->server, SIGTERM), 0);
    fake_api_free(o->api);
    (void)unlink(o->kubeconfig);
    (void)unlink(o->config);
}

int live_operator_call(const struct live_operator *o, const char *method, const char *target,
                       const char *body, struct buf *out)
{
    const int fd = test_connect(o->server.operator_port);
    struct test_reply r = {0};
    struct buf b = {0};

    buf_printf(&b,
               "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               method, target, strlen(body));
    for (const char *p = body; *p; p++)
        buf_add(&b, *p == '\'' ? "\"" : p, 1);
    assert_true(test_send_bytes(fd, buf_view(&b)));
    assert_true(test_receive(fd, &r));
    if (out) {
        out->n = 0;
        buf_str(out, buf_view(&r.body));
        buf_add(out, "", 1);
    }
    test_reply_done(&r);
    buf_free(&b);
    (void)close(fd);
    return r.status;
}
