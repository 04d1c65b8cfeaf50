/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line arguments from one table a subcommand: parsing, "did you mean" and --help come from
 * it. Flags are --name VALUE, --name=VALUE or -n VALUE, before or after the other words.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"

/* How every command ends (contract section 1). */
enum { EXIT_YES = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_UNREADABLE = 3 };

struct args_flag {
    const char *name;  /* without the dashes */
    char letter;       /* of the short form, 0 = none */
    const char *value; /* what stands for its value in the help, NULL = takes none */
    const char *help;
};

struct args_command {
    const char *name;
    const char *usage; /* what follows the name in the first line of the help */
    const char *about; /* lines of text */
    const struct args_flag *flags;
    size_t n_flags;
};

struct args {
    const struct args_command *command;
    char **argv;
    int argc, at;
    const char *value; /* of the flag or word last returned */
    int words_only;    /* behind "--" */
    struct err err;
};

enum { ARGS_END = -1, ARGS_WORD = -2, ARGS_HELP = -3, ARGS_ERROR = -4 };

/* argv[0] is the name of the subcommand. */
void args_init(struct args *a, const struct args_command *command, int argc, char **argv);

/*
 * The next argument: the index of a flag, ARGS_WORD, ARGS_HELP (-h, --help), ARGS_END, or
 * ARGS_ERROR with the reason in `err`.
 */
int args_next(struct args *a) MUST_CHECK;

/* Handle what is no flag or word: print the help or the error; the exit code to end with. */
int args_finish(const struct args *a, int what);

/*
 * All of them: `take` gets each flag, and each other word as ARGS_WORD, until one is not EXIT_YES.
 * EXIT_YES, the code to end with, or ARGS_HELP: the help was printed.
 */
int args_read(const struct args_command *command, int argc, char **argv,
              int (*take)(void *ctx, int what, const char *value), void *ctx);

/* How somebody who needs help types it: kubectl runs a plugin kubectl-numawise as its own word. */
void args_called_as(const char *path); /* argv[0] of the process */
const char *args_program(void);        /* "numawise" until then */

void args_help(const struct args_command *command, FILE *to);

/* Print "numawise NAME: text" and how to get help on stderr; returns EXIT_USAGE. */
int args_usage_error(const struct args_command *command, const char *fmt, ...) PRINTF(2, 3);

#endif
