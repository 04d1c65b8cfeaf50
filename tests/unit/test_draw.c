/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operator/draw/draw.h"
#include "operator/draw/layout.h"
#include "operator/locks/detect.h"
#include "tests/support/lock_text.h"
#include "tests/support/schema.h"
#include "tests/support/test.h"

static const uint64_t key[2] = {11, 22};

/* Everything there is to draw: levels, a violation, a cycle without declaration, a deadlock. */
static struct lock_view *bank(struct lock_book *b)
{
    struct str order[] = {STR("accounts"), STR("ledger"), STR("audit.log")};
    const struct lock_rule rule = {STR("transfer"), order, 3};
    struct lock_view *v;

    lock_book_init(b, key);
    assert_int_equal(lock_book_declare(b, STR("bank"), STR("teller"), &rule, 1, NULL), 0);
    assert_int_equal(
        lock_text_say(b, 1000,
                      "bank/teller-0 1 1 at 100: t7 holds accounts/a since 10, t7 waits ledger/l "
                      "since 20, t8 holds ledger/l since 11, t8 waits accounts/a since 30, "
                      "accounts>ledger 1841, ledger>accounts, x>y 9, y>x 2",
                      NULL),
        0);
    assert_int_equal(lock_book_detect(b, 1000, 1), 0);
    assert_int_equal(lock_view_new(&v, b->spaces, 2500001000), 0);
    return v;
}

static struct buf drawn(const struct lock_view *v, enum draw_format format)
{
    struct buf out = {0};

    assert_int_equal(draw(&out, v, format), 0);
    return out;
}

static void text_says_what_is_wrong_in_sentences(void **state)
{
    struct lock_book b;
    struct lock_view *const v = bank(&b);
    struct buf out = drawn(v, DRAW_TEXT);

    assert_string_equal(
        out.p,
        "namespace bank: 5 lock classes on 3 levels; edges: 2 declared, 4 observed by 1 reporters\n"
        "\n"
        "LEVEL  CLASS      THEN\n"
        "0      accounts   ledger\n"
        "0      x          y\n"
        "1      ledger     accounts (violation), audit.log\n"
        "1      y          x (cycle)\n"
        "2      audit.log\n"
        "\n"
        "violation: accounts was acquired while ledger was held, 1 time by 1 reporter, against the "
        "declared order\n"
        "potential cycle: accounts -> ledger -> accounts\n"
        "potential cycle: x -> y -> x\n"
        "deadlock, seen once, for 2.5 s:\n"
        "  teller-0 thread t7 waits for ledger/l, held by teller-0 thread t8\n"
        "  teller-0 thread t8 waits for accounts/a, held by teller-0 thread t7\n");
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

static void json_is_what_its_schema_says(void **state)
{
    struct lock_book b;
    struct lock_view *const v = bank(&b);
    struct buf out = drawn(v, DRAW_JSON);
    json_t *const value = json_loadb(out.p, out.n, 0, NULL), *const schema =
                                                                 schema_read("locks.schema.json");

    assert_non_null(value);
    schema_expect(value, schema);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(value, "levels"), "audit.log")), 2);
    assert_int_equal(json_array_size(json_object_get(value, "violations")), 1);
    assert_int_equal(json_array_size(json_object_get(value, "cycles")), 2);
    assert_int_equal(json_array_size(json_object_get(value, "deadlocks")), 1);
    json_decref(value);
    json_decref(schema);
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

static void mermaid_styles_links_by_their_number(void **state)
{
    struct lock_book b;
    struct lock_view *const v = bank(&b);
    struct buf out = drawn(v, DRAW_MERMAID);

    /* Classes by name: accounts, audit.log, ledger, x, y; links by classes. */
    assert_string_equal(out.p, "graph TD\n"
                               "  subgraph level_0[\"level 0\"]\n"
                               "    direction LR\n"
                               "    c0[\"accounts\"]\n"
                               "    c3[\"x\"]\n"
                               "  end\n"
                               "  subgraph level_1[\"level 1\"]\n"
                               "    direction LR\n"
                               "    c2[\"ledger\"]\n"
                               "    c4[\"y\"]\n"
                               "  end\n"
                               "  subgraph level_2[\"level 2\"]\n"
                               "    direction LR\n"
                               "    c1[\"audit.log\"]\n"
                               "  end\n"
                               "  c0 --> c2\n"
                               "  c2 -.->|1| c0\n"
                               "  c2 --> c1\n"
                               "  c3 -.-> c4\n"
                               "  c4 -.-> c3\n"
                               "  linkStyle 0 stroke-width:4px\n"
                               "  linkStyle 1 stroke:#cf222e,stroke-width:4px\n"
                               "  linkStyle 3 stroke-width:4px\n"
                               "  linkStyle 4 stroke-width:4px\n");
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

/* --- names that are made to break out --- */

static const char *const nasty[] = {
    "\"];}\n</text><script>alert(1)</script>",
    "a\\",
    "\\N",
    "a\"b",
    "&lt;",
    "<!--",
    "]]>",
    "x --> y",
    "end",
    "%%{init}%%",
    "\x01\x7f\xc3\xa4",
    "${jndi}",
    "{{x}}",
    "\\\"",
    "level 0",
};

static struct lock_view *nasty_view(struct lock_book *b)
{
    struct lock_seen edges[2 * ARRAY_LEN(nasty)];
    struct lock_report r = {.ns = STR("n\"><s"), .pod = STR("p"), .sequence = 1, .edges = edges};
    struct lock_answer a;
    struct lock_view *v;

    lock_book_init(b, key);
    for (uint32_t i = 0; i < ARRAY_LEN(nasty); i++) {
        const struct str x = str_of(nasty[i]), y = str_of(nasty[(i + 1) % ARRAY_LEN(nasty)]);

        edges[r.n_edges++] = (struct lock_seen){x, y, 1};
        edges[r.n_edges++] = (struct lock_seen){y, x, 1};
    }
    assert_int_equal(lock_book_report(b, &r, 1, &a, NULL), 0);
    assert_int_equal(lock_view_new(&v, b->spaces, 1), 0);
    return v;
}

/* Tags that close in their order, no other markup in between. Returns how many elements. */
static int well_formed(const char *p)
{
    char open[32][16];
    int depth = 0, n = 0;

    while (*p) {
        if (*p == '&') {
            const size_t k = strcspn(p, ";");

            assert_true(k <= 5 && p[k] == ';');
        }
        if (*p++ != '<')
            continue;
        const bool closes = *p == '/';
        const size_t k = strcspn(p + closes, " >/");
        const char *const end = strchr(p, '>');
        assert_non_null(end);
        assert_true(k > 0 && k < sizeof(open[0]));
        assert_null(memchr(p, '<', (size_t)(end - p)));
        for (size_t i = 0; i < k; i++)
            assert_true(isalpha((unsigned char)p[(size_t)closes + i]));
        if (closes) {
            assert_true(depth > 0 && strlen(open[depth - 1]) == k &&
                        strncmp(open[depth - 1], p + 1, k) == 0);
            depth--;
        } else if (end[-1] != '/') {
            assert_true(depth < 32);
            (void)snprintf(open[depth++], sizeof(open[0]), "%.*s", (int)k, p);
        }
        n++;
        p = end + 1;
    }
    assert_int_equal(depth, 0);
    return n;
}

static void names_do_not_break_out_of_the_svg(void **state)
{
    struct lock_book b;
    struct lock_view *const v = nasty_view(&b);
    struct buf out = drawn(v, DRAW_SVG);

    assert_true(well_formed(out.p) > 100);
    assert_null(strstr(out.p, "<script"));
    assert_null(strstr(out.p, "<!--"));
    for (size_t i = 0; i < out.n; i++)
        assert_true((unsigned char)out.p[i] >= 0x20 || out.p[i] == '\n');
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

/* Control characters in a terminal are commands. */
static void names_do_not_reach_the_terminal_as_commands(void **state)
{
    struct lock_book b;
    struct lock_view *const v = nasty_view(&b);
    struct buf out = drawn(v, DRAW_TEXT);

    for (size_t i = 0; i < out.n; i++)
        assert_true(((unsigned char)out.p[i] >= 0x20 && (unsigned char)out.p[i] < 0x7f) ||
                    out.p[i] == '\n');
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

/* Outside of quotes there is nothing that a name could have written. */
static void names_stay_in_their_quotes_in_mermaid(void **state)
{
    struct lock_book b;
    struct lock_view *const v = nasty_view(&b);
    struct buf out = drawn(v, DRAW_MERMAID);
    bool quoted = false;

    for (size_t i = 0; i < out.n; i++) {
        const char c = out.p[i];

        quoted = quoted != (c == '"');
        assert_false(quoted && c == '\n');
        assert_true(isalnum((unsigned char)c) || strchr(" \n\"[]_->|.#;,:?$", c));
    }
    assert_false(quoted);
    buf_free(&out);
    lock_view_free(v);
    lock_book_done(&b);
}

/* --- Graphviz itself --- */

/* What `dot -Tplain` makes of it: nodes and edges it has. False: there is no Graphviz here. */
static bool graphviz(struct str dot, int *nodes, int *edges)
{
    char file[] = "/tmp/numawise-dot-XXXXXX", command[128], line[4096];
    const int fd = mkstemp(file);

    if (system("command -v dot >/dev/null") != 0)
        return false;
    assert_true(fd >= 0);
    FILE *const f = fdopen(fd, "w");
    assert_int_equal(fwrite(dot.p, 1, dot.n, f), dot.n);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(command, sizeof(command), "dot -Tplain %s", file);
    FILE *const p = popen(command, "r");
    assert_non_null(p);
    *nodes = *edges = 0;
    while (fgets(line, sizeof(line), p)) {
        *nodes += strncmp(line, "node ", 5) == 0;
        *edges += strncmp(line, "edge ", 5) == 0;
    }
    assert_int_equal(pclose(p), 0);
    assert_int_equal(remove(file), 0);
    return true;
}

static void expect_graph(const struct lock_view *v)
{
    struct buf out = drawn(v, DRAW_DOT);
    int nodes, edges;
    const bool there = graphviz(buf_view(&out), &nodes, &edges);

    buf_free(&out);
    if (!there) {
        printf("SKIPPED: there is no Graphviz (package graphviz)\n");
        skip();
    }
    assert_int_equal(nodes, v->n_classes + v->n_levels); /* a node a level: its name */
    assert_int_equal(edges, v->n_edges + v->n_levels - 1);
}

static void graphviz_draws_it(void **state)
{
    struct lock_book b;
    struct lock_view *const v = bank(&b);

    expect_graph(v);
    lock_view_free(v);
    lock_book_done(&b);
}

static void graphviz_reads_every_name(void **state)
{
    struct lock_book b;
    struct lock_view *const v = nasty_view(&b);

    expect_graph(v);
    lock_view_free(v);
    lock_book_done(&b);
}

/* --- sizes --- */

static void nothing_is_drawn_as_nothing(void **state)
{
    struct lock_view *v;

    assert_int_equal(lock_view_empty(&v, STR("none")), 0);
    for (int f = 0; f < DRAW_FORMATS; f++) {
        struct buf out = drawn(v, (enum draw_format)f);

        assert_true(out.n > 8);
        if (f == DRAW_SVG)
            (void)well_formed(out.p);
        buf_free(&out);
    }
    lock_view_free(v);
}

/* More classes than a picture holds: those on cycles are among the ones that are drawn. */
static void a_large_hierarchy_is_drawn_in_part(void **state)
{
    static char names[1000][8];
    static struct lock_seen edges[1000];
    struct lock_report r = {.ns = STR("big"), .pod = STR("p"), .sequence = 1, .edges = edges};
    struct lock_answer a;
    struct lock_book b;
    struct lock_view *v;
    struct layout *l;

    lock_book_init(&b, key);
    for (int i = 0; i < 1000; i++)
        (void)snprintf(names[i], sizeof(names[i]), "c%03d", i);
    for (int i = 0; i + 1 < 1000; i++)
        edges[r.n_edges++] = (struct lock_seen){str_of(names[i]), str_of(names[i + 1]), 1};
    edges[r.n_edges++] = (struct lock_seen){str_of(names[999]), str_of(names[998]), 1};
    assert_int_equal(lock_book_report(&b, &r, 1, &a, NULL), 0);
    assert_int_equal(lock_view_new(&v, b.spaces, 1), 0);
    assert_int_equal(v->n_levels, 1000);
    assert_int_equal(layout_new(&l, v), 0);
    assert_int_equal(l->n_boxes, LAYOUT_CLASSES);
    assert_int_equal(l->left_out_classes, 700);
    assert_int_equal(l->boxes[l->n_boxes - 1].class_index, 999);
    struct buf svg = drawn(v, DRAW_SVG), mermaid = drawn(v, DRAW_MERMAID);
    assert_non_null(strstr(svg.p, "700 classes not drawn"));
    assert_non_null(strstr(mermaid.p, "and 800 more edges"));
    buf_free(&svg);
    buf_free(&mermaid);
    layout_free(l);
    lock_view_free(v);
    lock_book_done(&b);
}

static void formats_have_names(void **state)
{
    assert_int_equal(draw_format_of(STR("svg")), DRAW_SVG);
    assert_int_equal(draw_format_of(STR("png")), DRAW_FORMATS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_says_what_is_wrong_in_sentences),
        cmocka_unit_test(json_is_what_its_schema_says),
        cmocka_unit_test(mermaid_styles_links_by_their_number),
        cmocka_unit_test(names_do_not_break_out_of_the_svg),
        cmocka_unit_test(names_do_not_reach_the_terminal_as_commands),
        cmocka_unit_test(names_stay_in_their_quotes_in_mermaid),
        cmocka_unit_test(graphviz_draws_it),
        cmocka_unit_test(graphviz_reads_every_name),
        cmocka_unit_test(nothing_is_drawn_as_nothing),
        cmocka_unit_test(a_large_hierarchy_is_drawn_in_part),
        cmocka_unit_test(formats_have_names),
    };

    return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
