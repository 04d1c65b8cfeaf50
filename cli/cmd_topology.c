/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_topology.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/topology_text.h"
#include "kube/nrt_emit.h"
#include "topology/cpuset.h"
#include "topology/discover.h"
#include "topology/model.h"

enum { EXIT_DONE = 0, EXIT_USAGE = 2, EXIT_INPUT = 3 };
enum { MAX_ATTRIBUTES = 32, MAX_NODE_NAME = 253, MAX_WORDS = TOPO_MAX_CPUS / 64 };

static const char help[] =
    "Usage: numawise topology [--xml FILE | --synthetic TEXT | --fsroot DIR]\n"
    "                         [-o table|json|manifest] [--node-name N] [--attribute K=V]...\n"
    "\n"
    "Print the NUMA zones of this machine, or of a recorded one: their CPUs, memory and\n"
    "distances, the devices near them, and how devices meet.\n"
    "\n"
    "  --xml FILE        a machine that lstopo (hwloc) exported\n"
    "  --synthetic TEXT  a machine described like \"package:2 numa:2 core:8 pu:2\"\n"
    "  --fsroot DIR      a machine as copies of its /proc and /sys below DIR\n"
    "  -o FORMAT         table (default), json, or manifest: the NodeResourceTopology\n"
    "                    that the agent would publish\n"
    "  --node-name N     name in the manifest (default: this host's, or \"node\")\n"
    "  --attribute K=V   an attribute of the manifest, such as reserved-cpus=0,32 or\n"
    "                    topologyManagerPolicy=restricted\n"
    "  -h, --help        this text\n"
    "\n"
    "Exit codes: 0 done, 2 usage, 3 the machine cannot be read.\n";

struct options {
    struct topo_source source;
    enum topology_output output;
    bool help;
    char node[MAX_NODE_NAME + 1];
    struct kube_nrt_attribute attributes[MAX_ATTRIBUTES];
    uint32_t n_attributes;
};

/* --- options --- */

static int read_output(enum topology_output *out, const char *text, struct err *err)
{
    static const char *const names[] = {"table", "json", "manifest"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum topology_output)i;
            return 0;
        }
    }
    const char *const near = str_nearest(str_of(text), names, ARRAY_LEN(names));
    return err_set(err, -EINVAL, "-o: \"%s\" is not table, json or manifest%s%s%s", text,
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

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 1123 subdomain, as Kubernetes wants names of nodes. */
static bool is_node_name(const char *name)
{
    const size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        const bool edge = i == 0 || i + 1 == n || name[i - 1] == '.' || name[i + 1] == '.';

        if (!is_name_byte(name[i]) && (edge || (name[i] != '-' && name[i] != '.')))
            return false;
    }
    return n > 0 && n <= MAX_NODE_NAME;
}

static int set_node(struct options *o, const char *name, struct err *err)
{
    if (!is_node_name(name))
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

static int take_option(struct options *o, int option, char **argv, struct err *err)
{
    switch (option) {
    case 'h':
        o->help = true;
        return 0;
    case 'o':
        return read_output(&o->output, optarg, err);
    case 'x':
        return set_source(o, TOPO_SOURCE_XML, optarg, err);
    case 's':
        return set_source(o, TOPO_SOURCE_SYNTHETIC, optarg, err);
    case 'f':
        return set_source(o, TOPO_SOURCE_FSROOT, optarg, err);
    case 'n':
        return set_node(o, optarg, err);
    case 'a':
        return add_attribute(o, optarg, err);
    case ':':
        return err_set(err, -EINVAL, "%s needs a value", argv[optind - 1]);
    default:
        return err_set(err, -EINVAL, "unknown option %s", argv[optind - 1]);
    }
}

static int read_options(struct options *o, int argc, char **argv, struct err *err)
{
    static const struct option known[] = {
        {"xml", required_argument, NULL, 'x'},
        {"synthetic", required_argument, NULL, 's'},
        {"fsroot", required_argument, NULL, 'f'},
        {"output", required_argument, NULL, 'o'},
        {"node-name", required_argument, NULL, 'n'},
        {"attribute", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = 0;

    opterr = 0;
    optind = 0; /* glibc: start afresh */
    while (rc == 0 && (option = getopt_long(argc, argv, ":ho:", known, NULL)) != -1)
        rc = take_option(o, option, argv, err);
    if (rc == 0 && optind < argc && !o->help)
        return err_set(err, -EINVAL, "unexpected argument \"%s\"", argv[optind]);
    if (rc == 0 && o->n_attributes > 0 && o->output != TOPOLOGY_MANIFEST)
        return err_set(err, -EINVAL, "--attribute is for -o manifest");
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

/* A recorded machine does not know its name. */
static void default_node(struct options *o)
{
    char name[MAX_NODE_NAME + 1] = "";

    if (o->source.kind == TOPO_SOURCE_HERE)
        (void)gethostname(name, sizeof(name) - 1);
    for (size_t i = 0; name[i]; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
    }
    snprintf(o->node, sizeof(o->node), "%s", is_node_name(name) ? name : "node");
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

static int print_machine(struct buf *out, const struct topo_machine *m, struct options *o,
                         struct err *err)
{
    switch (o->output) {
    case TOPOLOGY_TABLE:
        topology_table(out, m);
        return 0;
    case TOPOLOGY_JSON:
        topology_json(out, m);
        return 0;
    case TOPOLOGY_MANIFEST:
        break;
    }
    return print_manifest(out, m, o, err);
}

static int complain(int code, const struct err *err)
{
    fprintf(stderr, "numawise topology: %s%s\n", err->text,
            code == EXIT_USAGE ? "; see numawise topology --help" : "");
    return code;
}

static int write_out(const struct buf *out)
{
    if (out->failed || fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout) != 0) {
        fprintf(stderr, "numawise topology: the output cannot be written\n");
        return EXIT_INPUT;
    }
    return EXIT_DONE;
}

static void free_room(void **room)
{
    free(*room);
}

static int run(struct options *o)
{
    CLEANUP(free_room) void *room = malloc(TOPO_DISCOVER_ARENA_BYTES);
    CLEANUP(buf_free) struct buf out = {0};
    struct topo_machine m;
    struct err err = {0};
    struct arena a;

    if (!room) {
        err_set(&err, -ENOMEM, "out of memory");
        return complain(EXIT_INPUT, &err);
    }
    arena_init(&a, room, TOPO_DISCOVER_ARENA_BYTES);
    if (topo_discover(&m, &o->source, &a, &err) < 0)
        return complain(EXIT_INPUT, &err);
    if (print_machine(&out, &m, o, &err) < 0)
        return complain(EXIT_USAGE, &err);
    return write_out(&out);
}

int cmd_topology(int argc, char **argv)
{
    struct options o = {0};
    struct err err = {0};

    if (read_options(&o, argc, argv, &err) < 0)
        return complain(EXIT_USAGE, &err);
    if (o.help) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    return run(&o);
}
