/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator writes into an API server: objects appear with their status, replace only the
 * version that was read, and go only as the ones they were.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cluster/api_writer.h"
#include "kube/api.h"
#include "kube/kubeconfig.h"
#include "tests/support/fake_api.h"
#include "tests/support/fake_store.h"
#include "tests/support/test.h"

#define API  "orchestration.gokore.io/v1beta1"
#define PATH "/apis/" API "/deadlockreports"

enum { WAIT_S = 60 };

struct bench {
    struct fake_api *server;
    struct kube_access access;
    struct event_base *base;
    struct kube_api *api;
    struct api_writer *writer;
};

struct got {
    struct bench *b;
    int times, rc;
    struct buf json;
    struct err err;
};

static int set_up(void **state)
{
    static const struct fake_api_options plain;
    static const struct kube_api_options usual;
    struct bench *const b = calloc(1, sizeof(*b));

    b->server = fake_api_new(&plain);
    (void)history_kind(fake_api_lock(b->server), PATH, API, "DeadlockReport", true);
    fake_api_unlock(b->server);
    fake_api_handle(b->server, fake_store_handle, b->server);
    b->access.server = strdup(fake_api_url(b->server));
    b->base = event_base_new();
    assert_int_equal(kube_api_new(&b->api, b->base, &b->access, &usual, NULL), 0);
    assert_int_equal(api_writer_new(&b->writer, NULL), 0);
    api_writer_connect(b->writer, b->api);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *const b = *state;

    kube_api_free(b->api);
    api_writer_free(b->writer);
    event_base_free(b->base);
    fake_api_free(b->server);
    kube_access_done(&b->access);
    free(b);
    return 0;
}

/* --- writing --- */

static void on_done(void *ctx, int rc, struct str json, const struct err *err)
{
    struct got *const g = ctx;

    g->times++;
    g->rc = rc;
    g->json.n = 0;
    buf_str(&g->json, json);
    buf_add(&g->json, "", 1);
    if (rc)
        g->err = *err;
    (void)event_base_loopbreak(g->b->base);
}

static void await(struct bench *b, struct got *g)
{
    const struct timeval limit = {WAIT_S, 0};

    if (g->times == 0) {
        (void)event_base_loopexit(b->base, &limit);
        (void)event_base_dispatch(b->base);
    }
    assert_int_equal(g->times, 1);
}

static struct got put(struct bench *b, const struct writer_object *o)
{
    const struct writer w = api_writer(b->writer);
    struct got g = {.b = b};

    w.put(w.ctx, o, on_done, &g);
    await(b, &g);
    return g;
}

static struct got take_away(struct bench *b, const struct writer_object *o)
{
    const struct writer w = api_writer(b->writer);
    struct got g = {.b = b};

    w.remove(w.ctx, o, on_done, &g);
    await(b, &g);
    return g;
}

static struct writer_object object(const char *spec, const char *status)
{
    return (struct writer_object){.api_version = API,
                                  .kind = "DeadlockReport",
                                  .plural = "deadlockreports",
                                  .ns = STR("bank"),
                                  .name = STR("d-1"),
                                  .spec = str_of(spec),
                                  .status = str_of(status)};
}

/* The object as the server has it now. */
static void stored(struct bench *b, struct buf *out)
{
    const struct history *const h = fake_api_lock(b->server);

    out->n = 0;
    buf_str(out, history_object(h, 0, "bank", "d-1", history_version(h)));
    buf_add(out, "", 1);
    fake_api_unlock(b->server);
}

static void member(const struct got *g, const char *key, char out[64])
{
    char quoted[64];

    (void)snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
    const char *const at = strstr(g->json.p, quoted);
    assert_non_null(at);
    (void)snprintf(out, 64, "%.*s", (int)strcspn(at + strlen(quoted), "\""), at + strlen(quoted));
}

/* --- tests --- */

static void an_object_is_made_with_its_status(void **state)
{
    struct bench *const b = *state;
    const struct writer_object o = object("{\"source\":\"Observed\"}", "{\"sightings\":2}");
    struct got g = put(b, &o);
    struct buf now = {0};

    assert_int_equal(g.rc, 0);
    assert_non_null(strstr(g.json.p, "\"sightings\":2"));
    assert_int_equal(fake_api_asked(b->server, "POST /apis/" API "/namespaces/bank/"
                                               "deadlockreports"),
                     1);
    assert_int_equal(fake_api_asked(b->server, "PUT /apis/" API "/namespaces/bank/"
                                               "deadlockreports/d-1/status"),
                     1);
    stored(b, &now);
    assert_string_equal(now.p, g.json.p); /* what is told is what is stored */
    assert_non_null(strstr(now.p, "\"source\":\"Observed\""));
    buf_free(&g.json);
    g = put(b, &o); /* somebody believes that it is not there */
    assert_int_equal(g.rc, -ESTALE);
    buf_free(&g.json);
    buf_free(&now);
}

static void only_the_version_that_was_read_is_replaced(void **state)
{
    struct bench *const b = *state;
    struct writer_object o = object("{\"source\":\"Observed\"}", "{\"sightings\":2}");
    struct got g = put(b, &o);
    char uid[64], version[64];
    struct buf now = {0};

    member(&g, "uid", uid);
    member(&g, "resourceVersion", version);
    buf_free(&g.json);
    o.exists = true;
    o.uid = str_of(uid);
    o.resource_version = str_of(version);
    o.status = STR("{\"sightings\":3}");
    g = put(b, &o); /* the status alone */
    assert_int_equal(g.rc, 0);
    assert_int_equal(fake_api_asked(b->server, "PUT /apis/" API "/namespaces/bank/"
                                               "deadlockreports/d-1 "),
                     0);
    buf_free(&g.json);
    o.status = STR("{\"sightings\":99}");
    g = put(b, &o); /* by now an old version */
    assert_int_equal(g.rc, -ESTALE);
    buf_free(&g.json);
    stored(b, &now);
    assert_non_null(strstr(now.p, "\"sightings\":3"));
    struct got last = {.b = b};
    buf_add(&last.json, now.p, now.n);
    member(&last, "resourceVersion", version);
    buf_free(&last.json);
    o.resource_version = str_of(version);
    o.spec = STR("{\"source\":\"Reported\"}");
    o.spec_changed = true;
    o.status = STR("{\"sightings\":4}");
    g = put(b, &o); /* both: two writes, the second of the version that the first one made */
    assert_int_equal(g.rc, 0);
    assert_non_null(strstr(g.json.p, "\"sightings\":4"));
    assert_non_null(strstr(g.json.p, "\"Reported\""));
    assert_non_null(strstr(g.json.p, "\"generation\":2"));
    buf_free(&g.json);
    buf_free(&now);
}

static void only_the_one_that_was_read_is_removed(void **state)
{
    struct bench *const b = *state;
    struct writer_object o = object("{}", "");
    struct got g = put(b, &o);
    char uid[64], version[64];
    struct buf now = {0};

    member(&g, "uid", uid);
    member(&g, "resourceVersion", version);
    buf_free(&g.json);
    o.exists = true;
    o.uid = STR("another");
    o.resource_version = str_of(version);
    g = take_away(b, &o);
    assert_int_equal(g.rc, -ESTALE);
    buf_free(&g.json);
    stored(b, &now);
    assert_true(now.n > 1);
    o.uid = str_of(uid);
    g = take_away(b, &o);
    assert_int_equal(g.rc, 0);
    buf_free(&g.json);
    stored(b, &now);
    assert_int_equal(now.n, 1);
    g = take_away(b, &o); /* gone already: as wanted */
    assert_int_equal(g.rc, 0);
    buf_free(&g.json);
    buf_free(&now);
}

static void what_goes_wrong_is_told(void **state)
{
    static const struct {
        int status, rc;
    } cases[] = {{403, -EACCES}, {404, -ENOENT}, {422, -EINVAL}, {500, -EAGAIN}, {503, -EAGAIN}};
    struct bench *const b = *state;
    const struct writer_object o = object("{}", "");
    struct got g;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_api_fault(b->server, FAKE_STATUS, "/apis/", FAKE_BOTH, FAKE_ALWAYS, cases[i].status,
                       0);
        g = put(b, &o);
        fake_api_heal(b->server);
        if (g.rc != cases[i].rc)
            fail_msg("%d: %s", cases[i].status, strerror(-g.rc));
        assert_non_null(strstr(g.err.text, "POST /apis/" API));
        buf_free(&g.json);
    }
    fake_api_fault(b->server, FAKE_RESET, "/apis/", FAKE_BOTH, FAKE_ALWAYS, 0, 0);
    g = put(b, &o);
    assert_int_equal(g.rc, -EHOSTUNREACH);
    fake_api_heal(b->server);
    buf_free(&g.json);
    /* The status fails after the object was made: that is a failure, and the object is there. */
    fake_api_fault(b->server, FAKE_STATUS, PATH "/", FAKE_BOTH, FAKE_ALWAYS, 500, 0);
    fake_api_fault(b->server, FAKE_STATUS, "/apis/" API "/namespaces/bank/deadlockreports/",
                   FAKE_BOTH, FAKE_ALWAYS, 500, 0);
    const struct writer_object both = object("{}", "{\"sightings\":1}");
    g = put(b, &both);
    assert_int_equal(g.rc, -EAGAIN);
    fake_api_heal(b->server);
    struct buf now = {0};
    stored(b, &now);
    assert_true(now.n > 1);
    buf_free(&now);
    buf_free(&g.json);
}

static void names_that_are_paths_are_not_sent(void **state)
{
    static const char *const names[] = {"../x", "a/b", "", "a?b", "a%2fb", "."};
    struct bench *const b = *state;
    struct writer_object o = object("{}", "");

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        o.name = str_of(names[i]);
        struct got g = put(b, &o);
        assert_int_equal(g.rc, -EINVAL);
        buf_free(&g.json);
    }
    assert_int_equal(fake_api_asked(b->server, "POST"), 0);
    /* Nobody has said where to yet. */
    struct api_writer *w;
    assert_int_equal(api_writer_new(&w, NULL), 0);
    const struct writer writer = api_writer(w);
    struct got g = {.b = b};
    o.name = STR("d-1");
    writer.put(writer.ctx, &o, on_done, &g);
    assert_int_equal(g.rc, -EAGAIN);
    buf_free(&g.json);
    api_writer_free(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_object_is_made_with_its_status),     T(only_the_version_that_was_read_is_replaced),
        T(only_the_one_that_was_read_is_removed), T(what_goes_wrong_is_told),
        T(names_that_are_paths_are_not_sent),
    };
#undef T

    return cmocka_run_group_tests_name("api writer", tests, NULL, NULL);
}
