/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_topology.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/node_name.h"
#include "cli/topology_node.h"
#include "cli/topology_svg.h"
#include "cli/topology_text.h"
#include "kube/nrt_emit.h"
#include "scoring/node_view.h"
#include "topology/cpuset.h"
#include "topology/discover.h"
#include "topology/model.h"

enum { MAX_ATTRIBUTES = 32, MAX_WORDS = TOPO_MAX_CPUS / 64 };
enum {
    FLAG_XML,
    FLAG_SYNTHETIC,
    FLAG_FSROOT,
    FLAG_OUTPUT,
    FLAG_NODE_NAME,
    FLAG_ATTRIBUTE,
    FLAG_CLUSTER
};

static const struct args_flag flags[] = {
    [FLAG_XML] = {"xml", 0, "FILE", "a machine that lstopo (hwloc) exported"},
    [FLAG_SYNTHETIC] = {"synthetic", 0, "TEXT", "a description: \"package:2 numa:2 core:8 pu:2\""},
    [FLAG_FSROOT] = {"fsroot", 0, "DIR", "a machine as copies of its /proc and /sys below DIR"},
    [FLAG_OUTPUT] = {"output", 'o', "FORMAT", "table (default), json, manifest, or svg"},
    [FLAG_NODE_NAME] = {"node-name", 0, "N", "in the manifest (default: this host's, or \"node\")"},
    [FLAG_ATTRIBUTE] = {"attribute", 0, "K=V",
                        "of the manifest, such as reserved-cpus=0,32 (repeatable)"},
    [FLAG_CLUSTER] = {"cluster", 0, "DIR", "a node as the manifests below DIR describe it"},
};

static const struct args_command command = {
    .name = "topology",
    .usage = "[NODE --cluster DIR | --xml FILE | --synthetic TEXT | --fsroot DIR] [-o "
             "table|json|manifest|svg]",
    .about =
        "The NUMA zones of this machine, or of a recorded one: their CPUs, memory and distances,\n"
        "the devices near them, and how devices meet. The manifest is the NodeResourceTopology\n"
        "that the agent would publish; the svg is a picture, of a node with what runs where.\n",
    .flags = flags,
    .n_flags = ARRAY_LEN(flags),
};

struct options {
    struct topo_source source;
    const char *cluster, *node_word; /* both or none */
    enum topology_output output;
    char node[NODE_NAME_BYTES];
    struct kube_nrt_attribute attributes[MAX_ATTRIBUTES];
    uint32_t n_attributes;
};

/* --- options --- */

static int read_output(enum topology_output *out, const char *text, struct err *err)
{
    static const char *const names[] = {"table", "json", "manifest", "svg"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum topology_output)i;
            return 0;
        }
    }
    const char *const near = str_nearest(str_of(text), names, ARRAY_LEN(names));
    return err_set(err, -EINVAL, "-o: \"%s\" is not table, json, manifest or svg%s%s%s", text,
                   near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static int set_source(struct options *o, enum topo_source_kind kind, const char *text,
                      struct err *err)
{
    if (o->source.kind != TOPO_SOURCE_HERE)
        return err_set(err, -EINVAL, "only one of --xml, --synthetic and --fsroot can be given");
    o->source = (struct topo_source){.kind = kind, .text = text};
    return 0;
}

static int set_node(struct options *o, const char *name, struct err *err)
{
    if (!node_name_is_valid(name))
        return err_set(err, -EINVAL,
                       "--node-name: \"%s\" is not a name of lower case letters, digits, '-' and"
                       " '.'",
                       name);
    memcpy(o->node, name, strlen(name) + 1);
    return 0;
}

static int add_attribute(struct options *o, const char *text, struct err *err)
{
    struct str value = str_of(text);
    struct kube_nrt_attribute attribute;

    if (!strchr(text, '='))
        return err_set(err, -EINVAL, "--attribute: \"%s\" is not of the form NAME=VALUE", text);
    const struct str name = str_cut(&value, '=');
    const int rc = kube_nrt_attribute_check(&attribute, name, value, err);
    if (rc < 0)
        return err_wrap(err, rc, "--attribute");
    for (uint32_t i = 0; i < o->n_attributes; i++) {
        if (str_eq(o->attributes[i].name, attribute.name))
            return err_set(err, -EINVAL, "--attribute: %.*s is given twice", STR_ARG(name));
    }
    assert(o->n_attributes < MAX_ATTRIBUTES); /* there are fewer names than that */
    o->attributes[o->n_attributes++] = attribute;
    return 0;
}

static int set_node_word(struct options *o, const char *value, struct err *err)
{
    if (o->node_word)
        return err_set(err, -EINVAL, "unexpected argument \"%s\"", value);
    o->node_word = value;
    return 0;
}

static int take_flag(struct options *o, int flag, const char *value, struct err *err)
{
    switch (flag) {
    case FLAG_XML:
        return set_source(o, TOPO_SOURCE_XML, value, err);
    case FLAG_SYNTHETIC:
        return set_source(o, TOPO_SOURCE_SYNTHETIC, value, err);
    case FLAG_FSROOT:
        return set_source(o, TOPO_SOURCE_FSROOT, value, err);
    case FLAG_OUTPUT:
        return read_output(&o->output, value, err);
    case FLAG_NODE_NAME:
        return set_node(o, value, err);
    case FLAG_ATTRIBUTE:
        return add_attribute(o, value, err);
    case FLAG_CLUSTER:
        o->cluster = value;
        return 0;
    case ARGS_WORD:
        return set_node_word(o, value, err);
    default:
        return err_set(err, -EINVAL, "unexpected argument \"%s\"", value);
    }
}

static int check_options(const struct options *o, struct err *err)
{
    if (o->n_attributes > 0 && o->output != TOPOLOGY_MANIFEST)
        return err_set(err, -EINVAL, "--attribute is for -o manifest");
    if (o->node_word && !o->cluster)
        return err_set(err, -EINVAL, "NODE \"%s\" needs --cluster DIR", o->node_word);
    if (o->cluster && !o->node_word)
        return err_set(err, -EINVAL, "--cluster needs the name of a node");
    if (o->cluster && o->source.kind != TOPO_SOURCE_HERE)
        return err_set(err, -EINVAL, "--cluster does not go with --xml, --synthetic or --fsroot");
    return 0;
}

/* 0 when the command can run; otherwise `*out_code` is what it ends with. */
static int read_options(struct options *o, int argc, char **argv, int *out_code)
{
    struct args args;
    struct err err = {0};
    int what, rc = 0;

    args_init(&args, &command, argc, argv);
    while (rc == 0 && (what = args_next(&args)) != ARGS_END) {
        if (what == ARGS_HELP || what == ARGS_ERROR) {
            *out_code = args_finish(&args, what);
            return -EINVAL;
        }
        rc = take_flag(o, what, args.value, &err);
    }
    if (rc == 0)
        rc = check_options(o, &err);
    if (rc == -ENOTSUP) {
        (void)fprintf(stderr, "numawise topology: %s\n", err.text);
        *out_code = EXIT_UNREADABLE;
    } else if (rc < 0) {
        *out_code = args_usage_error(&command, "%s", err.text);
    }
    return rc;
}

/* --- output --- */

/* The CPUs of --attribute reserved-cpus; each must be one of the machine's. */
static int read_reserved(uint64_t set[MAX_WORDS], const struct options *o,
                         const struct topo_machine *m, struct err *err)
{
    struct str list = {NULL, 0};

    for (uint32_t i = 0; i < o->n_attributes; i++) {
        if (str_is(o->attributes[i].name, KUBE_NRT_RESERVED_CPUS))
            list = o->attributes[i].value;
    }
    const int rc = cpuset_parse(set, MAX_WORDS, list, err);
    if (rc < 0)
        return rc;
    for (uint32_t cpu = 0; (cpu = cpuset_next(set, MAX_WORDS, cpu)) < TOPO_MAX_CPUS; cpu++) {
        if (cpu >= m->n_cpus || m->cpus[cpu].zone == TOPO_NONE)
            return err_set(err, -EINVAL, "--attribute: reserved-cpus: the machine has no CPU %u",
                           cpu);
    }
    return 0;
}

/* A node of a cluster has a name, this machine its host's; a recorded machine knows none. */
static void default_node(struct options *o)
{
    char name[NODE_NAME_BYTES] = "";

    if (o->node_word)
        (void)snprintf(name, sizeof(name), "%s", o->node_word);
    else if (o->source.kind == TOPO_SOURCE_HERE)
        node_name_of_host(name);
    (void)snprintf(o->node, sizeof(o->node), "%s", node_name_is_valid(name) ? name : "node");
}

static int print_manifest(struct buf *out, const struct topo_machine *m, struct options *o,
                          struct err *err)
{
    uint64_t reserved[MAX_WORDS];
    const int rc = read_reserved(reserved, o, m, err);

    if (rc < 0)
        return rc;
    if (o->node[0] == '\0')
        default_node(o);
    const struct kube_nrt_publication p = {
        .machine = m,
        .node = str_of(o->node),
        .attributes = o->attributes,
        .n_attributes = o->n_attributes,
        .reserved = reserved,
    };
    kube_nrt_emit(out, &p);
    return 0;
}

/* What the picture is of: a node, this host, or the file or text that was given. */
static int print_svg(struct buf *out, const struct topo_machine *m, const struct node_view *view,
                     struct options *o, struct err *err)
{
    const char *const text = o->source.text, *const slash = text ? strrchr(text, '/') : NULL;

    if (!text && o->node[0] == '\0')
        default_node(o);
    const char *const title = o->node[0]                                   ? o->node
                              : o->source.kind == TOPO_SOURCE_XML && slash ? slash + 1
                                                                           : text;
    return topology_svg(out, m, str_of(title), view)
               ? err_set(err, -ENOMEM, "no memory for the picture")
               : 0;
}

static int print_machine(struct buf *out, const struct topo_machine *m,
                         const struct node_view *view, struct options *o, struct err *err)
{
    switch (o->output) {
    case TOPOLOGY_TABLE:
        topology_table(out, m);
        return 0;
    case TOPOLOGY_JSON:
        topology_json(out, m);
        return 0;
    case TOPOLOGY_SVG:
        return print_svg(out, m, view, o, err);
    case TOPOLOGY_MANIFEST:
        break;
    }
    return print_manifest(out, m, o, err);
}

static int unreadable(const char *text)
{
    (void)fprintf(stderr, "numawise topology: %s\n", text);
    return EXIT_UNREADABLE;
}

static int print_whole(const struct topo_machine *m, const struct node_view *view,
                       struct options *o)
{
    CLEANUP(buf_free) struct buf out = {0};
    struct err err = {0};

    const int rc = print_machine(&out, m, view, o, &err);
    if (rc < 0 && rc != -ENOMEM)
        return args_usage_error(&command, "%s", err.text);
    if (rc < 0 || out.failed)
        return unreadable("out of memory");
    (void)fwrite(out.p, 1, out.n, stdout); /* main() looks whether it got through */
    return EXIT_YES;
}

static void free_room(void **room)
{
    free(*room);
}

static int run_discovered(struct options *o)
{
    CLEANUP(free_room) void *room = malloc(TOPO_DISCOVER_ARENA_BYTES);
    struct topo_machine m;
    struct err err = {0};
    struct arena a;

    if (!room)
        return unreadable("out of memory");
    arena_init(&a, room, TOPO_DISCOVER_ARENA_BYTES);
    if (topo_discover(&m, &o->source, &a, &err) < 0)
        return unreadable(err.text);
    return print_whole(&m, NULL, o);
}

static bool is_given(const struct options *o, struct str name)
{
    for (uint32_t i = 0; i < o->n_attributes; i++)
        if (str_eq(o->attributes[i].name, name))
            return true;
    return false;
}

/* What its report says of the kubelet holds unless a flag says otherwise. */
static int visit_node(const struct topology_node *n, void *ctx)
{
    struct options *const o = ctx;

    for (uint32_t i = 0; i < n->n_settings && o->n_attributes < MAX_ATTRIBUTES; i++)
        if (!is_given(o, n->settings[i].name))
            o->attributes[o->n_attributes++] = n->settings[i];
    return print_whole(&n->machine, n->view, o);
}

static int run_node(struct options *o)
{
    struct err err = {0};
    const int rc = topology_visit_node(o->cluster, o->node_word, visit_node, o, &err);

    return rc < 0 ? unreadable(err.text) : rc;
}

int cmd_topology(int argc, char **argv)
{
    struct options o = {0};
    int code = EXIT_YES;

    if (read_options(&o, argc, argv, &code) < 0)
        return code;
    return o.cluster ? run_node(&o) : run_discovered(&o);
}
