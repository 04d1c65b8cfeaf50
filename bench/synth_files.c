/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up cluster as files. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/synth.h"
#include "kube/positions.h"

const char *const synth_forms[SYNTH_FORMS] = {"json", "yaml", "json-list", "yaml-list"};

static _Noreturn void give_up(const char *what, const char *path)
{
    fprintf(stderr, "bench: %s %s\n", what, path);
    exit(1);
}

/* --- JSON to the YAML that kubectl prints --- */

static bool is_container(struct str json)
{
    return json.n > 2 && (json.p[0] == '{' || json.p[0] == '[');
}

/* Without quotes where YAML takes the text for a string anyway. */
static void add_scalar(struct buf *out, struct str json)
{
    const char *const p = json.p + 1;
    const size_t n = json.n - 2;
    bool plain = json.n > 2 && json.p[0] == '"' &&
                 ((p[0] >= 'a' && p[0] <= 'z') || (p[0] >= 'A' && p[0] <= 'Z'));

    for (size_t i = 0; plain && i < n; i++)
        plain = p[i] > ' ' && p[i] < 0x7f && !strchr("\"\\:#'{}[],", p[i]);
    buf_str(out, plain ? (struct str){p, n} : json);
}

static void indent(struct buf *out, unsigned by)
{
    for (; by > 0; by--)
        buf_text(out, " ");
}

/* The entries of `json`, the first on a line that has begun already. */
static void add_yaml(struct buf *out, struct str json, unsigned by)
{
    struct str key = {0}, value;
    const bool object = json.p[0] == '{';
    bool first = true;

    for (size_t at = 0; kube_json_step(json, &at, &key, &value); first = false) {
        if (!first)
            indent(out, by);
        if (object) {
            add_scalar(out, key);
            buf_text(out, ":");
        } else {
            buf_text(out, "- ");
        }
        if (!is_container(value)) {
            buf_text(out, object ? " " : "");
            add_scalar(out, value);
            buf_text(out, "\n");
            continue;
        }
        const unsigned deeper = value.p[0] == '[' ? by : by + 2;
        if (object) {
            buf_text(out, "\n");
            indent(out, deeper);
        }
        add_yaml(out, value, deeper);
    }
}

/* --- files --- */

static void write_file(const char *path, const struct buf *b)
{
    FILE *const f = fopen(path, "we");

    if (b->failed || !f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f))
        give_up("cannot write", path);
}

void synth_prepare(const char *dir, uint32_t i, uint32_t zones, uint32_t round)
{
    struct buf b = {0};
    char path[540];

    synth_node(&b, i, zones, round);
    (void)snprintf(path, sizeof(path), "%s/.node-%05u.tmp", dir, i);
    write_file(path, &b);
    buf_free(&b);
}

void synth_commit(const char *dir, uint32_t i)
{
    char from[540], to[540];

    (void)snprintf(from, sizeof(from), "%s/.node-%05u.tmp", dir, i);
    (void)snprintf(to, sizeof(to), "%s/node-%05u.json", dir, i);
    if (rename(from, to))
        give_up("cannot write", to);
}

void synth_change(const char *dir, uint32_t i, uint32_t zones, uint32_t round)
{
    synth_prepare(dir, i, zones, round);
    synth_commit(dir, i);
}

void synth_stand_aside(void)
{
    const struct sched_param none = {0};

    if (sched_setscheduler(0, SCHED_IDLE, &none))
        fprintf(stderr, "bench: changes compete for the CPUs: %s\n", strerror(errno));
}

static struct str items_of(const struct buf *list)
{
    return kube_json_find(buf_view(list), STR("items"));
}

static void yaml_file(const char *dir, uint32_t i, uint32_t zones)
{
    struct buf node = {0}, b = {0};
    struct str key = {0}, value;
    char path[540];

    synth_node(&node, i, zones, 0);
    for (size_t at = 0; kube_json_step(items_of(&node), &at, &key, &value);) {
        buf_text(&b, b.n ? "---\n" : "");
        add_yaml(&b, value, 0);
    }
    (void)snprintf(path, sizeof(path), "%s/node-%05u.yaml", dir, i);
    write_file(path, &b);
    buf_free(&b);
    buf_free(&node);
}

static void list_file(const char *dir, uint32_t nodes, uint32_t zones, bool yaml)
{
    struct buf all = {0}, text = {0};
    char path[540];

    buf_text(&all, "{\"apiVersion\":\"v1\",\"items\":[");
    for (uint32_t i = 0; i < nodes; i++) {
        struct buf node = {0};

        synth_node(&node, i, zones, 0);
        const struct str items = items_of(&node);
        buf_text(&all, i ? "," : "");
        buf_str(&all, (struct str){items.p + 1, items.n - 2});
        buf_free(&node);
    }
    buf_text(&all, "],\"kind\":\"List\"}");
    if (yaml)
        add_yaml(&text, buf_view(&all), 0);
    (void)snprintf(path, sizeof(path), "%s/cluster.%s", dir, yaml ? "yaml" : "json");
    write_file(path, yaml ? &text : &all);
    buf_free(&all);
    buf_free(&text);
}

void synth_cluster(const char *dir, uint32_t nodes, uint32_t zones, enum synth_form form)
{
    if (form == SYNTH_JSON_LIST || form == SYNTH_YAML_LIST) {
        list_file(dir, nodes, zones, form == SYNTH_YAML_LIST);
        return;
    }
    for (uint32_t i = 0; i < nodes; i++) {
        if (form == SYNTH_YAML)
            yaml_file(dir, i, zones);
        else
            synth_change(dir, i, zones, 0);
    }
}
