/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/start: how long `numawise serve` takes from exec until it answers, and what it then holds
 * in memory, by how the same cluster lies in its directory (synth.h).
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "bench/program.h"
#include "bench/scratch.h"
#include "bench/synth.h"

enum { MOST_RUNS = 100 };

struct options {
    uint32_t nodes, zones, runs;
    unsigned forms; /* bit per enum synth_form */
    bool json;
};

static struct program server = {.pid = -1};

static void clean_up(void)
{
    program_stop(&server);
}

static void on_signal(int signal)
{
    exit(128 + signal);
}

struct start_figures {
    struct load_times ready, cpu; /* in ns */
    uint64_t rss_kib, peak_kib;   /* of the last run */
};

static void measure(const struct options *o, enum synth_form form, struct start_figures *out)
{
    scratch_empty();
    synth_cluster(scratch_cluster(), o->nodes, o->zones, form);
    for (uint32_t i = 0; i < o->runs; i++) {
        program_start(&server, scratch_cluster(), scratch_path());
        load_add(&out->ready, (uint64_t)(server.start_ms * 1e6));
        load_add(&out->cpu, process_cpu_ns(server.pid));
        out->rss_kib = process_kib(server.pid, "VmRSS");
        out->peak_kib = process_kib(server.pid, "VmHWM");
        program_stop(&server);
    }
    load_sort(&out->ready);
    load_sort(&out->cpu);
}

static void print(const struct options *o, enum synth_form form, const struct start_figures *f)
{
    const double ready = load_us(&f->ready, 0.5) / 1000, least = load_us(&f->ready, 0) / 1000;
    const double cpu = load_us(&f->cpu, 0.5) / 1000;

    if (o->json)
        printf("{\"nodes\": %u, \"zones\": %u, \"form\": \"%s\", \"ready_ms\": %.1f, "
               "\"least_ready_ms\": %.1f, \"cpu_ms\": %.1f, \"rss_kib\": %llu, \"rss_peak_kib\": "
               "%llu}\n",
               o->nodes, o->zones, synth_forms[form], ready, least, cpu,
               (unsigned long long)f->rss_kib, (unsigned long long)f->peak_kib);
    else
        printf("%-10s %9.1f %9.1f %9.1f %9llu %9llu %9.2f\n", synth_forms[form], ready, least, cpu,
               (unsigned long long)f->rss_kib, (unsigned long long)f->peak_kib,
               (double)f->rss_kib / o->nodes);
    (void)fflush(stdout);
}

static uint32_t number(const char *option, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    const unsigned long v = strtoul(text, &end, 10);

    if (*end || end == text || v < least || v > most) {
        fprintf(stderr, "bench: --%s takes %u to %u\n", option, least, most);
        exit(2);
    }
    return (uint32_t)v;
}

static unsigned form_of(const char *name)
{
    for (unsigned i = 0; i < SYNTH_FORMS; i++)
        if (strcmp(name, synth_forms[i]) == 0)
            return 1U << i;
    fprintf(stderr, "bench: --form takes json, yaml, json-list, yaml-list\n");
    exit(2);
}

static struct options read_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"nodes", required_argument, NULL, 'n'}, {"zones", required_argument, NULL, 'z'},
        {"runs", required_argument, NULL, 'r'},  {"form", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},        {0}};
    struct options o = {.nodes = 5000, .zones = 4, .runs = 3};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'n')
            o.nodes = number("nodes", optarg, 1, 99999);
        else if (c == 'z')
            o.zones = number("zones", optarg, 1, 8);
        else if (c == 'r')
            o.runs = number("runs", optarg, 1, MOST_RUNS);
        else if (c == 'f')
            o.forms |= form_of(optarg);
        else if (c == 'j')
            o.json = true;
        else
            exit(2);
    }
    if (!o.forms)
        o.forms = (1U << SYNTH_FORMS) - 1;
    return o;
}

int main(int argc, char **argv)
{
    const struct options o = read_options(argc, argv);

    scratch_make();
    (void)atexit(clean_up);
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    if (!o.json)
        printf("%u nodes of %u zones, median of %u starts\n%-10s %9s %9s %9s %9s %9s %9s\n",
               o.nodes, o.zones, o.runs, "manifests", "ready ms", "least ms", "CPU ms", "RSS KiB",
               "peak KiB", "KiB/node");
    for (unsigned form = 0; form < SYNTH_FORMS; form++) {
        struct start_figures f = {0};

        if (!(o.forms & 1U << form))
            continue;
        measure(&o, (enum synth_form)form, &f);
        print(&o, (enum synth_form)form, &f);
        load_free(&f.ready);
        load_free(&f.cpu);
    }
    return 0;
}
