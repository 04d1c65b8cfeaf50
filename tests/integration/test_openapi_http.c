/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The examples of the API's description are sent to the real program, each call that there is: they
 * succeed, and the answers are as described.
 */
#include "tests/support/test.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/support/api_doc.h"
#include "tests/support/schema.h"
#include "tests/support/server.h"

static char dir[TEST_PATH_BYTES];
static struct test_server server;

static int set_up(void **state)
{
    (void)strcpy(dir, "/tmp/numawise-openapi-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    test_copy_tree(TEST_EXAMPLES "/cluster", dir);
    test_copy_tree(TEST_EXAMPLES "/locks", dir);
    test_server_start(&server, dir, NULL);
    return 0;
}

static int tear_down(void **state)
{
    const int rc = test_server_stop(&server, SIGTERM);

    test_remove_tree(dir);
    return rc;
}

/* --- calls --- */

/* Names that calls made up: of the call ("/v1/deadlocks"), the name. */
static json_t *made;

static void keep_name(const char *path, const json_t *answer)
{
    const json_t *const meta = json_object_get(answer, "metadata");
    json_t *const name = json_object_get(meta ? meta : answer, "name");

    if (json_is_string(name))
        json_object_set(made, path, name);
}

/* The value of a parameter of the path: the example, or what a call before this one was told. */
static const char *value_of(const char *path, const json_t *op, const char *name)
{
    const json_t *const all = json_object_get(op, "parameters");
    const char *value = NULL, *key;
    json_t *known;

    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *const p = json_array_get(all, i);

        if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
            value = json_string_value(json_object_get(p, "example"));
    }
    json_object_foreach(made, key, known)
    {
        if (strcmp(name, "name") == 0 && strncmp(path, key, strlen(key)) == 0 &&
            path[strlen(key)] == '/')
            value = json_string_value(known);
    }
    if (!value)
        fail_msg("%s: %s has no example", path, name);
    return value;
}

static void put_path(struct buf *out, const char *path, const json_t *op)
{
    char name[64];

    for (const char *p = path; *p; p++) {
        if (*p != '{') {
            buf_add(out, p, 1);
            continue;
        }
        const size_t n = strcspn(p + 1, "}");

        (void)snprintf(name, sizeof(name), "%.*s", (int)n, p + 1);
        buf_text(out, value_of(path, op, name));
        p += n + 1;
    }
}

/* The parameters of the query that have examples. */
static void put_query(struct buf *out, const json_t *op)
{
    const json_t *const all = json_object_get(op, "parameters");
    char mark = '?';

    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *const p = json_array_get(all, i);
        const char *const value = json_string_value(json_object_get(p, "example"));

        if (!value || strcmp(json_string_value(json_object_get(p, "in")), "query") != 0)
            continue;
        buf_printf(out, "%c%s=%s", mark, json_string_value(json_object_get(p, "name")), value);
        mark = '&';
    }
}

static void run(const char *method, const char *path, const json_t *op, const char *body,
                bool with_query)
{
    const int fd = test_connect(server.operator_port);
    struct test_reply r = {0};
    struct buf target = {0};

    put_path(&target, path, op);
    if (with_query)
        put_query(&target, op);
    assert_true(test_send(fd, method, target.p, str_of(body)));
    assert_true(test_receive(fd, &r));
    if (r.status < 200 || r.status > 299)
        fail_msg("%s %s: %d: %.*s", method, target.p, r.status, (int)r.body.n,
                 r.body.n ? r.body.p : "");
    api_doc_expect(method, target.p, r.status, buf_view(&r.body));
    json_t *const answer = json_loadb(r.body.n ? r.body.p : "", r.body.n, 0, NULL);
    if (strcmp(method, "POST") == 0)
        keep_name(path, answer);
    json_decref(answer);
    test_reply_done(&r);
    buf_free(&target);
    (void)close(fd);
}

/* Each example of the body is one call, and is what the schema of the body says. */
static unsigned run_bodies(const char *method, const char *path, json_t *op)
{
    json_t *const media = json_object_get(
        json_object_get(json_object_get(op, "requestBody"), "content"), "application/json");
    json_t *example;
    const char *name;
    unsigned n = 0;

    json_object_foreach(json_object_get(media, "examples"), name, example)
    {
        json_t *const value = json_object_get(example, "value");
        char *const text = json_dumps(value, JSON_COMPACT);

        schema_expect_in(value, json_object_get(media, "schema"), api_doc());
        run(method, path, op, text, true);
        run(method, path, op, text, false); /* again: it changes nothing, and is no error */
        free(text);
        n++;
    }
    return n;
}

static unsigned run_method(const char *method, const char *key)
{
    const char *path;
    json_t *item;
    unsigned n = 0;

    json_object_foreach(json_object_get(api_doc(), "paths"), path, item)
    {
        json_t *const op = json_object_get(item, key);

        if (!op)
            continue;
        if (json_object_get(op, "requestBody")) {
            if (run_bodies(method, path, op) == 0)
                fail_msg("%s %s has no example", method, path);
        } else {
            run(method, path, op, "", strcmp(method, "DELETE") != 0);
            if (strcmp(method, "GET") == 0)
                run(method, path, op, "", false);
        }
        n++;
    }
    return n;
}

static void every_call_succeeds_with_its_examples(void **state)
{
    unsigned described = 0, n = 0;
    const char *path;
    json_t *item;

    made = json_object();
    json_object_foreach(json_object_get(api_doc(), "paths"), path, item) described +=
        (unsigned)json_object_size(item);
    n += run_method("PUT", "put");
    n += run_method("POST", "post");
    n += run_method("GET", "get");
    n += run_method("DELETE", "delete");
    assert_int_equal(n, described);
    json_decref(made);
}

/* Where an answer has an example, it is one that the schema allows. */
static void examples_of_answers_are_as_described(void **state)
{
    const char *path, *method, *code, *type;
    json_t *item, *op, *response, *media;

    json_object_foreach(json_object_get(api_doc(), "paths"), path, item)
    {
        json_object_foreach(item, method, op)
        {
            json_object_foreach(json_object_get(op, "responses"), code, response)
            {
                json_object_foreach(json_object_get(response, "content"), type, media)
                {
                    json_t *const example = json_object_get(media, "example");

                    if (example)
                        schema_expect_in(example, json_object_get(media, "schema"), api_doc());
                }
            }
        }
    }
}

/* What is served is the page of docs/reference. */
static void the_description_is_served_as_it_is(void **state)
{
    struct buf body = {0};

    assert_int_equal(test_get(server.operator_port, "/openapi.json", &body), 200);
    json_t *const served = json_loadb(body.p, body.n, 0, NULL);
    assert_true(json_equal(served, api_doc()));
    json_decref(served);
    buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_succeeds_with_its_examples, set_up, tear_down),
        cmocka_unit_test(examples_of_answers_are_as_described),
        cmocka_unit_test_setup_teardown(the_description_is_served_as_it_is, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("openapi http", tests, NULL, NULL);
}
