/* SPDX-License-Identifier: Apache-2.0 */
/* The decision that docs/scoring.md works out by hand is the one that the program makes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "tests/support/data.h"
#include "tests/support/server.h"
#include "tests/support/test.h"

#define HEADING "## 14. One decision by hand\n"

/* The last cells of a row: value, weight, product; -1 where there is nothing. */
struct row {
    char name[32];
    int cells[3];
    int n;
};

/* "| name | by hand | value | weight | product |" */
static bool read_row(struct row *out, const char *line)
{
    char text[512], *save = NULL;

    assert_true(snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\n"), line) <
                (int)sizeof(text));
    *out = (struct row){.n = 0};
    char *cell = strtok_r(text, "|", &save);
    if (line[0] != '|' || !cell || sscanf(cell, " %31s", out->name) != 1)
        return false;
    (void)strtok_r(NULL, "|", &save); /* how it was worked out */
    while (out->n < 3 && (cell = strtok_r(NULL, "|", &save)) != NULL) {
        char *end;
        const long v = strtol(cell, &end, 10);

        out->cells[out->n++] = end == cell ? -1 : (int)v;
    }
    return true;
}

static const json_t *find_node(const json_t *nodes, const char *name)
{
    size_t i;
    json_t *node;

    json_array_foreach(nodes, i, node)
    {
        if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
            return node;
    }
    fail_msg("no node %s", name);
    return NULL;
}

static int number(const json_t *node, const char *of, const char *key)
{
    const json_t *const v = json_object_get(of ? json_object_get(node, of) : node, key);

    assert_true(json_is_integer(v));
    return (int)json_integer_value(v);
}

/* Terms that the table has, one after the other; then the score and what goes on the wire. */
static void compare(const char *table, const json_t *node)
{
    int sum = 0, weights = 0;
    size_t terms = 0;
    struct row r;

    for (const char *at = table; read_row(&r, at); at += strcspn(at, "\n") + 1) {
        if (strcmp(r.name, "score") == 0) {
            assert_int_equal(r.cells[0], number(node, NULL, "score"));
            assert_int_equal(r.cells[0], sum / weights);
            assert_int_equal(r.cells[1], weights);
            assert_int_equal(r.cells[2], sum);
        } else if (strcmp(r.name, "wire") == 0) {
            assert_int_equal(r.cells[0], number(node, NULL, "wireScore"));
        } else {
            assert_int_equal(r.cells[0], number(node, "terms", r.name));
            assert_int_equal(r.cells[1], number(node, "weights", r.name));
            assert_int_equal(r.cells[2], r.cells[0] * r.cells[1]);
            sum += r.cells[2];
            weights += r.cells[1];
            terms++;
        }
    }
    assert_int_equal(terms, json_object_size(json_object_get(node, "terms")));
    assert_int_equal(weights, 100); /* all of them are there */
}

static void the_table_is_what_the_program_says(void **state)
{
    static const char *const args[] = {"numawise",  "explain",
                                       "-o",        "json",
                                       "-f",        TEST_EXAMPLES "/workloads/stream.yaml",
                                       "--cluster", TEST_EXAMPLES "/cluster",
                                       NULL};
    struct buf out = {0}, err = {0}, doc = {0};

    (void)state;
    assert_int_equal(test_file_read(TEST_EXAMPLES "/../../docs/scoring.md", &doc), 0);
    const char *at = strstr(doc.p, HEADING);
    assert_non_null(at);
    at = strstr(at, "\n|---|---|---|---|---|\n");
    assert_non_null(at);
    assert_int_equal(test_run(args, &out, &err), 0);
    json_t *const all = json_loadb(out.p, out.n, 0, NULL);
    assert_non_null(all);
    compare(strchr(at + 1, '\n') + 1, find_node(json_object_get(all, "nodes"), "gpu-1"));
    json_decref(all);
    buf_free(&out);
    buf_free(&err);
    buf_free(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table_is_what_the_program_says)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
