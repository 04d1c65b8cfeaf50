/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kubelet_config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "kube/fields.h"
#include "kube/file.h"
#include "kube/quantity.h"
#include "kube/scan.h"
#include "kube/yaml.h"
#include "topology/cpuset.h"

enum { OPTIONS = 32, WORD_BYTES = 64, LIST_BYTES = 16 * 1024, DEPTH = 8 };

struct option {
    struct str name, value;
};

/* A map of text to text, by name. */
struct options {
    struct option at[OPTIONS];
    uint32_t n;
};

/* What the files have said so far; empty = nothing. */
struct settings {
    struct str topology_policy, topology_scope, cpu_policy, memory_policy, reserved_cpus;
    struct options topology, cpu;
    int64_t system_milli, kube_milli;
    uint32_t files;
};

/* --- one file --- */

/* A word that goes on as it is; "" and null are what the kubelet takes by itself. */
static void read_word(struct scan *s, struct str *out, struct arena *a)
{
    struct str word;

    *out = (struct str){0};
    if (!scan_text(s, &word, a) || word.n == 0)
        return;
    if (!fields_is_plain(word, WORD_BYTES))
        (void)scan_fail(s, -EINVAL, "not a word of at most %d letters", WORD_BYTES);
    *out = word;
}

static void read_cpus(struct scan *s, struct str *out, struct arena *a)
{
    struct err why = {0};
    struct str list;

    *out = (struct str){0};
    if (!scan_text(s, &list, a))
        return;
    if (list.n > LIST_BYTES)
        (void)scan_fail(s, -E2BIG, "more than %d bytes", LIST_BYTES);
    else if (cpuset_span(list, &why) < 0)
        (void)scan_fail(s, -EINVAL, "%s", why.text);
    *out = list;
}

/* Where `name` is in `o`, or would be. */
static uint32_t place_of(const struct options *o, struct str name)
{
    uint32_t i = 0;

    while (i < o->n && str_cmp(o->at[i].name, name) < 0)
        i++;
    return i;
}

static void drop_option(struct options *o, struct str name)
{
    const uint32_t i = place_of(o, name);

    if (i == o->n || !str_eq(o->at[i].name, name))
        return;
    o->n--;
    memmove(&o->at[i], &o->at[i + 1], (o->n - i) * sizeof(o->at[0]));
}

static void set_option(struct scan *s, struct options *o, struct option new)
{
    const uint32_t i = place_of(o, new.name);

    if (i < o->n && str_eq(o->at[i].name, new.name)) {
        o->at[i] = new;
        return;
    }
    if (o->n == OPTIONS) {
        (void)scan_fail(s, -E2BIG, "more than %d options", OPTIONS);
        return;
    }
    memmove(&o->at[i + 1], &o->at[i], (o->n - i) * sizeof(o->at[0]));
    o->at[i] = new;
    o->n++;
}

/* They are written as "name=value,name=value". */
static bool is_option_word(struct str word)
{
    return fields_is_plain(word, WORD_BYTES) && !memchr(word.p, ',', word.n) &&
           !memchr(word.p, '=', word.n);
}

static void read_options(struct scan *s, struct options *o, struct arena *a)
{
    struct option one;

    if (scan_kind(s) == SCAN_NULL)
        o->n = 0;
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_key_copy(s, &one.name, a))
            continue;
        if (scan_kind(s) == SCAN_NULL) {
            drop_option(o, one.name);
            continue;
        }
        if (!scan_text(s, &one.value, a))
            continue;
        if (is_option_word(one.name) && is_option_word(one.value))
            set_option(s, o, one);
        else
            (void)scan_fail(s, -EINVAL, "not an option of the kubelet");
    }
}

/* The CPU in a map of reserved amounts. */
static void read_amount(struct scan *s, int64_t *out_milli)
{
    if (scan_kind(s) == SCAN_NULL)
        *out_milli = 0;
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_at(s, "cpu"))
            continue;
        *out_milli = 0;
        if (kube_quantity_scan(s, KUBE_MILLI, out_milli) &&
            *out_milli > (int64_t)TOPO_MAX_CPUS * 1000)
            (void)scan_fail(s, -E2BIG, "more than %d CPUs", TOPO_MAX_CPUS);
    }
}

static void read_exactly(struct scan *s, const char *expected, bool *seen)
{
    struct str text;

    *seen = scan_word(s, &text) && str_is(text, expected);
    if (!*seen)
        (void)scan_fail(s, -EINVAL, "expected \"%s\"", expected);
}

static void read_field(struct scan *s, struct settings *c, struct arena *a)
{
    if (scan_at(s, "topologyManagerPolicy"))
        read_word(s, &c->topology_policy, a);
    else if (scan_at(s, "topologyManagerScope"))
        read_word(s, &c->topology_scope, a);
    else if (scan_at(s, "topologyManagerPolicyOptions"))
        read_options(s, &c->topology, a);
    else if (scan_at(s, "cpuManagerPolicy"))
        read_word(s, &c->cpu_policy, a);
    else if (scan_at(s, "cpuManagerPolicyOptions"))
        read_options(s, &c->cpu, a);
    else if (scan_at(s, "memoryManagerPolicy"))
        read_word(s, &c->memory_policy, a);
    else if (scan_at(s, "reservedSystemCPUs"))
        read_cpus(s, &c->reserved_cpus, a);
    else if (scan_at(s, "systemReserved"))
        read_amount(s, &c->system_milli);
    else if (scan_at(s, "kubeReserved"))
        read_amount(s, &c->kube_milli);
}

static int read_json(struct settings *c, struct str json, struct arena *a, struct err *err)
{
    bool kind = false, version = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "kind"))
                read_exactly(&s, "KubeletConfiguration", &kind);
            else if (scan_at(&s, "apiVersion"))
                read_exactly(&s, "kubelet.config.k8s.io/v1beta1", &version);
            else
                read_field(&s, c, a);
        }
    }
    const int rc = scan_end(&s, err);
    if (rc == 0 && !(kind && version))
        return err_set(err, -EINVAL, "%s is missing", kind ? "apiVersion" : "kind");
    return rc;
}

static int read_text(struct settings *c, struct str text, struct arena *a, struct err *err)
{
    struct kube_yaml *const y = kube_yaml_new(text);
    struct kube_yaml_document doc;
    struct kube_place place = {0};

    if (!y)
        return err_set(err, -ENOMEM, "no memory");
    int rc = kube_yaml_next(y, &doc, &place, err);
    if (rc == 1)
        rc = read_json(c, doc.json, a, err); /* the kubelet looks at the first one only, too */
    else if (rc == 0)
        rc = err_set(err, -EINVAL, "empty");
    else if (rc != -ENOMEM)
        rc = err_wrap(err, rc, "line %u, column %u", place.line, place.column);
    kube_yaml_free(y);
    return rc;
}

static int read_file(struct settings *c, const char *path, struct arena *a, struct err *err)
{
    struct buf text = {0};
    int rc = kube_file_read(path, &text, err);

    if (rc == 0 && text.n > LIMIT_KUBELET_FILE_BYTES)
        rc = err_set(err, -E2BIG, "%s: larger than %d bytes", path, LIMIT_KUBELET_FILE_BYTES);
    else if (rc == 0 && (rc = read_text(c, buf_view(&text), a, err)) != 0)
        rc = err_wrap(err, rc, "%s", path);
    buf_free(&text);
    return rc;
}

/* --- the directory --- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int read_dir(struct settings *c, const char *dir, uint32_t depth, struct arena *a,
                    struct err *err);

static int read_entry(struct settings *c, const char *dir, const char *name, uint32_t depth,
                      struct arena *a, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;
    const int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(err, -ENAMETOOLONG, "%s: %s", dir, strerror(ENAMETOOLONG));
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return read_dir(c, path, depth + 1, a, err);
    if (!str_ends(str_of(name), ".conf"))
        return 0;
    if (c->files++ == LIMIT_KUBELET_FILES)
        return err_set(err, -E2BIG, "%s: more than %d files", dir, LIMIT_KUBELET_FILES);
    return read_file(c, path, a, err);
}

static int read_dir(struct settings *c, const char *dir, uint32_t depth, struct arena *a,
                    struct err *err)
{
    struct dirent **names = NULL;
    int rc = 0;

    if (depth > DEPTH)
        return err_set(err, -E2BIG, "%s: nested deeper than %d", dir, DEPTH);
    const int n = scandir(dir, &names, not_dots, by_name);
    if (n < 0)
        return err_set(err, -EINVAL, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = read_entry(c, dir, names[i]->d_name, depth, a, err);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* --- the whole --- */

static struct str word_or(struct str word, const char *otherwise)
{
    return word.n ? word : str_of(otherwise);
}

static struct str find_option(const struct options *o, const char *name)
{
    const uint32_t i = place_of(o, str_of(name));

    return i < o->n && str_is(o->at[i].name, name) ? o->at[i].value : (struct str){0};
}

static int join_options(struct str *out, const struct options *o, struct arena *a)
{
    struct buf b = {0};

    for (uint32_t i = 0; i < o->n; i++)
        buf_printf(&b, "%s%.*s=%.*s", i ? "," : "", STR_ARG(o->at[i].name),
                   STR_ARG(o->at[i].value));
    const int rc = b.failed ? -ENOMEM : str_copy(out, buf_view(&b), a);
    buf_free(&b);
    return rc;
}

/* Into `a`, which is rewound to `mark` on failure; `rc`: how it went so far. */
static int finish(struct agent_config *out, const struct settings *c, int rc, struct arena *a,
                  size_t mark, struct err *err)
{
    struct agent_config r = {
        .topology_policy = word_or(c->topology_policy, "none"),
        .topology_scope = word_or(c->topology_scope, "container"),
        .prefer_closest = find_option(&c->topology, "prefer-closest-numa-nodes"),
        .max_zones = find_option(&c->topology, "max-allowable-numa-nodes"),
        .cpu_policy = word_or(c->cpu_policy, "none"),
        .memory_policy = word_or(c->memory_policy, "None"),
        .reserved_cpus = c->reserved_cpus,
        .reserved_milli = c->system_milli + c->kube_milli,
    };

    if (rc == 0 && (join_options(&r.topology_options, &c->topology, a) ||
                    join_options(&r.cpu_options, &c->cpu, a)))
        rc = err_set(err, -ENOMEM, "no room in the arena");
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = r;
    return 0;
}

int agent_config_read(struct agent_config *out, const char *path, const char *dir, struct arena *a,
                      struct err *err)
{
    const size_t mark = arena_mark(a);
    struct settings c = {0};
    int rc = read_file(&c, path, a, err);

    if (rc == 0 && dir)
        rc = read_dir(&c, dir, 0, a, err);
    return finish(out, &c, rc, a, mark, err);
}

int agent_configz_decode(struct agent_config *out, struct str json, struct arena *a,
                         struct err *err)
{
    const size_t mark = arena_mark(a);
    struct settings c = {0};
    bool seen = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "kubeletconfig") || !scan_object(&s))
                continue;
            seen = true;
            while (scan_key(&s))
                read_field(&s, &c, a);
        }
    }
    int rc = scan_end(&s, err);
    if (rc == 0 && !seen)
        rc = err_set(err, -EINVAL, "kubeletconfig is missing");
    return finish(out, &c, rc, a, mark, err);
}
