/* SPDX-License-Identifier: Apache-2.0 */
/* numawise: one program, one subcommand per role and per question. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/str.h"
#include "cli/args.h"
#include "cli/commands.h"

static const struct {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", "answer kube-scheduler and people, from a cluster directory", cmd_serve},
    {"explain", "would a pod be placed, where, and why", cmd_explain},
    {"topology", "zones, distances and devices of this machine or a recorded one", cmd_topology},
    {"check", "validate configuration, hints and manifests", cmd_check},
    {"simulate", "place pods one after the other, with numawise and without", cmd_simulate},
    {"locks", "the lock hierarchy, of a directory or as a server knows it", cmd_locks},
    {"agent", "one per node: discover and publish", cmd_agent},
};

static void help(FILE *to)
{
    (void)fprintf(to,
                  "numawise makes a stock kube-scheduler place pods the way the hardware wants "
                  "them.\n\nusage: %s COMMAND [FLAGS]\n\n",
                  args_program());
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        (void)fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].about);
    (void)fprintf(to,
                  "\n\"%s COMMAND --help\" says more. Exit codes: 0 yes, 1 no, 2 usage, 3 the "
                  "input cannot be read.\n",
                  args_program());
}

static int unknown(const char *word)
{
    const char *names[ARRAY_LEN(commands)];

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    const char *const near = str_nearest(str_of(word), names, ARRAY_LEN(commands));
    (void)fprintf(stderr, "numawise: unknown command \"%s\"", word);
    if (near)
        (void)fprintf(stderr, " (did you mean \"%s\"?)", near);
    (void)fprintf(stderr, "\nSee \"%s --help\".\n", args_program());
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(argc, argv);
    return unknown(argv[0]);
}

/* A result that could not be written is no result: `numawise ... > /dev/full` fails. */
static int flushed(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    (void)fprintf(stderr, "numawise: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_UNREADABLE;
}

/* meson.build compiles for it. */
static bool has_needed_cpu(void)
{
#ifdef __POPCNT__
    return __builtin_cpu_supports("popcnt");
#else
    return true;
#endif
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 0)
        args_called_as(argv[0]);
    if (!has_needed_cpu()) {
        (void)fputs("numawise: this processor is older than x86-64-v2\n", stderr);
        return EXIT_UNREADABLE;
    }
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return flushed(EXIT_YES);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        (void)puts("numawise " NUMAWISE_VERSION);
        return flushed(EXIT_YES);
    }
    return flushed(run(argc - 1, argv + 1));
}
