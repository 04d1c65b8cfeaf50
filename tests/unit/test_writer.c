/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "cluster/directory.h"
#include "cluster/writer.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

#define API "concurrency.gokore.io/v1alpha1"

static char root[64];

static int set_up(void **state)
{
    (void)strcpy(root, "/tmp/numawise-writer-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

/* What `done` was told, and what a reader of the directory sees. */
struct outcome {
    int calls, rc;
    char json[2048], error[ERR_TEXT_BYTES];
};

static void done(void *ctx, int rc, struct str json, const struct err *err)
{
    struct outcome *const o = ctx;

    o->calls++;
    o->rc = rc;
    assert_true(json.n < sizeof(o->json));
    (void)snprintf(o->json, sizeof(o->json), "%.*s", STR_ARG(json));
    (void)snprintf(o->error, sizeof(o->error), "%s", rc ? err->text : "");
}

static struct writer_object object(const char *spec)
{
    return (struct writer_object){.api_version = API,
                                  .kind = "LockPolicy",
                                  .plural = "lockpolicies",
                                  .ns = STR("bank"),
                                  .name = STR("teller"),
                                  .spec = str_of(spec),
                                  .spec_changed = true};
}

static struct outcome put(struct directory_writer *w, const struct writer_object *o, bool remove)
{
    const struct writer writer = directory_writer(w);
    struct outcome out = {0};

    (remove ? writer.remove : writer.put)(writer.ctx, o, done, &out);
    assert_int_equal(out.calls, 1);
    return out;
}

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    char *const seen = ctx;

    (void)snprintf(seen, 2048, "%s%.*s/%.*s %.*s", delta->verb == SOURCE_DELETE ? "-" : "",
                   STR_ARG(delta->ns), STR_ARG(delta->name), STR_ARG(delta->json));
    return 0;
}

static void on_settled(void *ctx)
{
}

/* The last object that a reader of the directory is told of. */
static const char *reader(void)
{
    static char seen[2048];
    const struct source_sink sink = {.delta = on_delta, .settled = on_settled, .ctx = seen};
    struct directory *d;

    seen[0] = 0;
    assert_int_equal(directory_open(&d, root, NULL, &sink, NULL, NULL, NULL), 0);
    directory_close(d);
    return seen;
}

static void write_file(const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *const f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool there_is(const char *name)
{
    char path[256];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/numawise/LockPolicy/%s", root, name);
    return stat(path, &st) == 0;
}

static void what_is_written_is_read(void **state)
{
    struct directory_writer *w;
    struct writer_object o = object("{\"qosClass\": \"Burstable\"}");

    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    struct outcome out = put(w, &o, false);
    assert_int_equal(out.rc, 0);
    assert_non_null(strstr(out.json, "\"resourceVersion\": \"1\""));
    assert_non_null(strstr(out.json, "\"generation\": 1"));
    assert_non_null(strstr(out.json, "\"numawise.gokore.io/made-here\": \"true\""));
    const char *const uid = strstr(out.json, "\"uid\": \"");
    assert_non_null(uid);
    assert_int_equal(uid[8 + 14], '4'); /* version of RFC 4122 */
    assert_non_null(strstr(reader(), "bank/teller "));
    assert_non_null(strstr(reader(), "Burstable"));
    assert_true(there_is("bank_teller.yaml"));
    assert_false(there_is(".bank_teller.yaml"));

    o.exists = o.made_here = true;
    o.uid = STR("u-1");
    o.resource_version = STR("41");
    o.generation = 7;
    o.status = STR("{\"rules\": 0}");
    o.spec_changed = false;
    out = put(w, &o, false);
    assert_non_null(strstr(out.json, "\"uid\": \"u-1\""));
    assert_non_null(strstr(out.json, "\"resourceVersion\": \"42\""));
    assert_non_null(strstr(out.json, "\"generation\": 7"));
    assert_non_null(strstr(out.json, "\"status\": {\"rules\": 0}"));
    directory_writer_free(w);
}

static void what_was_made_here_goes_without_a_trace(void **state)
{
    struct directory_writer *w;
    struct writer_object o = object("{}");

    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    assert_int_equal(put(w, &o, false).rc, 0);
    o.exists = o.made_here = true;
    assert_int_equal(put(w, &o, true).rc, 0);
    assert_false(there_is("bank_teller.yaml"));
    assert_string_equal(reader(), "");
    directory_writer_free(w);
}

/* Somebody's own file stays as it is; ours is over it, also as the mark of a removal. */
static void somebodys_own_file_is_overridden(void **state)
{
    struct directory_writer *w;
    struct writer_object o = object("{\"qosClass\": \"BestEffort\"}");

    write_file("own.yaml", "apiVersion: " API "\nkind: LockPolicy\nmetadata: {name: teller, "
                           "namespace: bank}\nspec: {qosClass: Guaranteed}\n");
    assert_non_null(strstr(reader(), "Guaranteed"));
    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    o.exists = true;
    assert_int_equal(put(w, &o, false).rc, 0);
    assert_non_null(strstr(reader(), "BestEffort"));
    assert_int_equal(put(w, &o, true).rc, 0);
    assert_string_equal(reader(), "");
    directory_writer_free(w);
}

static void one_process_writes_at_a_time(void **state)
{
    struct directory_writer *first, *second;
    const struct writer_object o = object("{}");

    assert_int_equal(directory_writer_new(&first, root, NULL), 0);
    assert_int_equal(directory_writer_new(&second, root, NULL), 0);
    assert_int_equal(put(first, &o, false).rc, 0);
    const struct outcome out = put(second, &o, false);
    assert_int_equal(out.rc, -EBUSY);
    assert_non_null(strstr(out.error, "another process writes there"));
    directory_writer_free(first);
    assert_int_equal(put(second, &o, false).rc, 0);
    directory_writer_free(second);
}

static void what_cannot_be_written_is_said(void **state)
{
    struct directory_writer *w;
    const struct writer_object o = object("{}");

    write_file("numawise", "in the way");
    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    const struct outcome out = put(w, &o, false);
    assert_int_equal(out.rc, -ENOTDIR);
    assert_non_null(strstr(out.error, "/numawise/"));
    directory_writer_free(w);
}

static void names_do_not_lead_out_of_the_directory(void **state)
{
    struct directory_writer *w;
    struct writer_object o = object("{}");

    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    o.name = STR("../../x");
    assert_int_equal(put(w, &o, false).rc, -EINVAL);
    directory_writer_free(w);
}

/* The disk is full: the old file stands, and nothing half is left beside it. */
static void half_a_file_is_never_seen(void **state)
{
    struct directory_writer *w;
    struct writer_object o = object("{\"qosClass\": \"Burstable\"}");
    char path[256];

    assert_int_equal(directory_writer_new(&w, root, NULL), 0);
    assert_int_equal(put(w, &o, false).rc, 0);
    (void)snprintf(path, sizeof(path), "%s/numawise/LockPolicy/.bank_teller.yaml", root);
    assert_int_equal(symlink("/dev/full", path), 0); /* every write to it fails with ENOSPC */
    o.exists = true;
    o.spec = STR("{\"qosClass\": \"Guaranteed\"}");
    assert_int_equal(put(w, &o, false).rc, -ENOSPC);
    assert_non_null(strstr(reader(), "Burstable"));
    assert_false(there_is(".bank_teller.yaml"));
    assert_int_equal(put(w, &o, false).rc, 0);
    assert_non_null(strstr(reader(), "Guaranteed"));
    directory_writer_free(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_is_written_is_read),          T(what_was_made_here_goes_without_a_trace),
        T(somebodys_own_file_is_overridden), T(one_process_writes_at_a_time),
        T(what_cannot_be_written_is_said),   T(names_do_not_lead_out_of_the_directory),
        T(half_a_file_is_never_seen),
    };
#undef T

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
