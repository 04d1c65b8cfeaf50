/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { START_S = 120, LOOK_US = 500 };

static _Noreturn void run(const char *flag, const char *source, const char *scratch)
{
    char self[512] = "", program[540], addresses[540], out[540];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n > 0 && strrchr(self, '/'))
        *strrchr(self, '/') = 0;
    (void)snprintf(program, sizeof(program), "%s/../numawise", self);
    (void)snprintf(addresses, sizeof(addresses), "%s/addresses", scratch);
    (void)snprintf(out, sizeof(out), "%s/log", scratch);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log >= 0 && dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0)
        (void)execl(program, "numawise", "serve", flag, source, "--listen", "extender=127.0.0.1:0",
                    "--listen", "operator=off", "--listen", "console=127.0.0.1:0",
                    "--addresses-file", addresses, (char *)NULL);
    _exit(127);
}

static uint16_t port_of(const char *text, const char *role)
{
    const char *const at = strstr(text, role);
    const char *const port = at ? strstr(at, "127.0.0.1:") : NULL;

    return port ? (uint16_t)strtoul(port + 10, NULL, 10) : 0;
}

/* False as long as the file is not there. */
static bool read_ports(struct program *out, const char *addresses)
{
    char text[1024] = "";
    FILE *const f = fopen(addresses, "re");

    if (f) {
        text[fread(text, 1, sizeof(text) - 1, f)] = 0;
        (void)fclose(f);
    }
    out->port = port_of(text, "\"extender\"");
    out->console = port_of(text, "\"console\"");
    return out->port && out->console;
}

void program_start(struct program *out, const char *dir, const char *scratch)
{
    program_start_at(out, "--cluster", dir, scratch);
}

void program_start_at(struct program *out, const char *flag, const char *source,
                      const char *scratch)
{
    const struct timespec nap = {.tv_nsec = LOOK_US * 1000};
    char addresses[540];

    (void)snprintf(addresses, sizeof(addresses), "%s/addresses", scratch);
    (void)unlink(addresses);
    const uint64_t start = clock_monotonic_ns();
    (void)fflush(NULL); /* not twice */
    *out = (struct program){.pid = fork()};
    if (out->pid == 0)
        run(flag, source, scratch);
    while (clock_monotonic_ns() - start < START_S * UINT64_C(1000000000)) {
        const bool ready = read_ports(out, addresses);
        out->start_ms = (double)(clock_monotonic_ns() - start) / 1e6;
        if (ready)
            return;
        if (waitpid(out->pid, NULL, WNOHANG) == out->pid) {
            out->pid = -1;
            break;
        }
        (void)nanosleep(&nap, NULL);
    }
    fprintf(stderr, "bench: the server did not come up\n");
    exit(1);
}

void program_stop(struct program *p)
{
    if (p->pid > 0) {
        (void)kill(p->pid, SIGTERM);
        (void)waitpid(p->pid, NULL, 0);
    }
    p->pid = -1;
}

uint64_t process_cpu_ns(pid_t pid)
{
    char path[64];
    uint64_t sum = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *const dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char file[512];
        unsigned long long ns = 0;

        (void)snprintf(file, sizeof(file), "%s/%s/schedstat", path, e->d_name);
        FILE *const f = e->d_name[0] == '.' ? NULL : fopen(file, "re");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            (void)fclose(f);
    }
    if (dir)
        (void)closedir(dir);
    return sum;
}

uint64_t process_kib(pid_t pid, const char *line)
{
    char path[64], text[256];
    uint64_t kib = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *const f = fopen(path, "re");
    while (f && fgets(text, sizeof(text), f)) {
        const size_t n = strlen(line);

        if (strncmp(text, line, n) == 0 && text[n] == ':')
            kib = strtoull(text + n + 1, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return kib;
}
