/* SPDX-License-Identifier: Apache-2.0 */
#include "console/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/metric.h"
#include "revision.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

const char process_revision[] = NUMAWISE_REVISION, process_compiler[] = COMPILER;

/* Fields of /proc/self/stat, counted as proc(5) does. */
enum { STAT_START = 22, STAT_VSIZE = 23, STAT_RSS = 24 };

/* The fields behind the name, which is in brackets and may hold anything: from the third on. */
static bool read_stat(uint64_t field[STAT_RSS + 1])
{
    char text[1024] = "";
    FILE *const f = fopen("/proc/self/stat", "re");
    const size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    const char *at = n > 0 ? strrchr(text, ')') : NULL;

    if (f)
        (void)fclose(f);
    for (int i = 3; at && i <= STAT_RSS; i++) {
        at = strchr(at, ' ');
        at += at != NULL;
        if (!at || (i >= STAT_START && sscanf(at, "%" SCNu64, &field[i]) != 1))
            return false;
    }
    return at != NULL;
}

/* Unix time at which the machine was started. */
static bool read_boot(uint64_t *out)
{
    char line[256];
    FILE *const f = fopen("/proc/stat", "re");
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "btime %" SCNu64, out) == 1;
    if (f)
        (void)fclose(f);
    return found;
}

static unsigned count_files(void)
{
    DIR *const dir = opendir("/proc/self/fd");
    unsigned n = 0;

    for (const struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return n > 0 ? n - 1 : 0; /* without the one that reads this */
}

static void cpu(struct buf *out)
{
    static const char name[] = "process_cpu_seconds_total";
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) < 0)
        return;
    const double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    metric_family(out, name, "counter", "User and system CPU time.");
    buf_printf(out, "%s %.6f\n", name, seconds);
}

/* What was asked for and not given back: a loss shows here, not what the allocator keeps. */
static void heap(struct buf *out)
{
    const struct mallinfo2 all = mallinfo2();

    metric_gauge(out, "numawise_heap_in_use_bytes", "Memory that was allocated and not freed.",
                 (double)(all.uordblks + all.hblkhd));
}

void process_metrics(struct buf *out)
{
    uint64_t field[STAT_RSS + 1] = {0}, boot;
    struct rlimit files;

    cpu(out);
    heap(out);
    metric_gauge(out, "process_open_fds", "Open descriptors.", count_files());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        metric_gauge(out, "process_max_fds", "How many there may be.", (double)files.rlim_cur);
    if (!read_stat(field))
        return;
    metric_gauge(out, "process_virtual_memory_bytes", "Virtual memory.", (double)field[STAT_VSIZE]);
    metric_gauge(out, "process_resident_memory_bytes", "Resident memory.",
                 (double)field[STAT_RSS] * (double)sysconf(_SC_PAGESIZE));
    if (read_boot(&boot))
        metric_gauge(out, "process_start_time_seconds", "When the process was started, Unix time.",
                     (double)boot + (double)field[STAT_START] / (double)sysconf(_SC_CLK_TCK));
}

void process_build_info(struct buf *out)
{
    metric_family(out, "numawise_build_info", "gauge", "Which numawise this is.");
    buf_text(out, "numawise_build_info{version=\"" NUMAWISE_VERSION
                  "\",revision=\"" NUMAWISE_REVISION "\",compiler=\"" COMPILER "\"} 1\n");
}
