/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/print.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const phases[PHASES] = {"warm", "cold", "floor"};
static const char *const calls[] = {"filter", "prioritize", "pair"};

static void json_times(const char *name, const struct load_times *t, uint64_t cpu_ns)
{
    printf("\"%s\": {\"calls\": %zu, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f, \"max_us\": %.1f, \"cpu_us\": %.1f}",
           name, t->n, load_us(t, 0.5), load_us(t, 0.9), load_us(t, 0.99), load_us(t, 0.999),
           load_us(t, 1), (double)cpu_ns / 1000);
}

static void json_phase(const char *name, const struct client_times *t)
{
    printf(", \"%s\": {", name);
    for (int v = 0; v <= CLIENT_PAIR; v++) {
        json_times(calls[v], &t->of[v], t->cpu_ns[v]);
        printf(v < CLIENT_PAIR ? ", " : "}");
    }
}

static void json_swap(const struct swap_figures *s)
{
    printf(", \"swap\": {\"swaps\": %u, \"nodes\": %u", s->swaps, s->nodes);
    for (int v = 0; v < CLIENT_VERBS; v++) {
        printf(", \"%s\": {", calls[v]);
        json_times("inside", &s->inside[v], 0);
        printf(", ");
        json_times("outside", &s->outside[v], 0);
        printf("}");
    }
    printf("}");
}

void print_json(const struct figures *f)
{
    printf(
        "{\"nodes\": %u, \"zones\": %u, \"shapes\": %u, \"changes_per_s\": %u, \"mode\": \"%s\", "
        "\"request_bytes\": %" PRIu64 ", \"start_ms\": %.1f",
        f->nodes, f->zones, f->shapes, f->changes, f->by_nodes ? "nodes" : "names",
        f->request_bytes, f->start_ms);
    for (int i = 0; i < PHASES; i++)
        json_phase(phases[i], &f->phases[i]);
    json_swap(&f->swap);
    printf(", \"rss_ready_kib\": %" PRIu64 ", \"rss_warm_kib\": %" PRIu64 ", \"rss_kib\": %" PRIu64
           ", \"rss_peak_kib\": %" PRIu64 "}\n",
           f->rss_ready_kib, f->rss_warm_kib, f->rss_kib, f->rss_peak_kib);
}

static void print_row(const char *phase, const char *name, const struct load_times *t,
                      uint64_t cpu_ns, double floor_p50)
{
    if (t->n == 0)
        return;
    printf("%-6s %-11s %8zu %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f", phase, name, t->n,
           load_us(t, 0.5), load_us(t, 0.9), load_us(t, 0.99), load_us(t, 0.999), load_us(t, 1),
           (double)cpu_ns / 1000);
    if (floor_p50 > 0)
        printf(" %8.1fx", load_us(t, 0.5) / floor_p50);
    printf("\n");
}

static void print_swap(const struct figures *f)
{
    const struct swap_figures *const s = &f->swap;

    for (int v = 0; v < CLIENT_VERBS && s->swaps; v++) {
        print_row("swap", calls[v], &s->inside[v], 0, 0);
        print_row(" rest", calls[v], &s->outside[v], 0, 0);
    }
    for (int v = 0; v < CLIENT_VERBS && s->swaps; v++)
        printf("%s: slowest within %d ms after a swap of %u nodes: %.1f us; p99 of the warm run "
               "%.1f, difference %+.1f\n",
               calls[v], SWAP_WINDOW_MS, s->nodes, load_us(&s->inside[v], 1),
               load_us(&f->phases[PHASE_WARM].of[v], 0.99),
               load_us(&s->inside[v], 1) - load_us(&f->phases[PHASE_WARM].of[v], 0.99));
}

void print_table(const struct figures *f)
{
    const struct client_times *const floor = &f->phases[PHASE_FLOOR];

    printf("%u %s of %u zones, %u shapes, %u changes/s, %.1f s a phase, lists of %.1f KB; "
           "microseconds\n",
           f->nodes, f->by_nodes ? "full nodes" : "names", f->zones, f->shapes, f->changes,
           f->seconds, (double)f->request_bytes / 1000);
    printf("%-6s %-11s %8s %9s %9s %9s %9s %9s %9s %9s\n", "", "", "calls", "p50", "p90", "p99",
           "p99.9", "max", "cpu", "p50/floor");
    for (int i = 0; i < PHASES; i++)
        for (int v = 0; v <= CLIENT_PAIR; v++)
            print_row(phases[i], calls[v], &f->phases[i].of[v], f->phases[i].cpu_ns[v],
                      load_us(&floor->of[v], 0.5));
    print_swap(f);
    printf("server: ready after %.0f ms; RSS %" PRIu64 " KiB when ready, %" PRIu64
           " after warm, %" PRIu64 " at the end, peak %" PRIu64 "\n",
           f->start_ms, f->rss_ready_kib, f->rss_warm_kib, f->rss_kib, f->rss_peak_kib);
}
