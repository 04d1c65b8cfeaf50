/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"

enum { MAX_FLAGS = 32, NAME_COLUMN = 28 };

void args_init(struct args *a, const struct args_command *command, int argc, char **argv)
{
    *a = (struct args){.command = command, .argv = argv, .argc = argc, .at = 1};
}

static int fail(struct args *a, const char *fmt, const char *what, const char *more)
{
    (void)err_set(&a->err, -EINVAL, "%s \"%s\"%s", fmt, what, more);
    return ARGS_ERROR;
}

static int unknown(struct args *a, struct str name, const char *arg)
{
    const char *names[MAX_FLAGS + 1] = {"help"};
    char more[128] = "";
    size_t n = 1;

    for (size_t i = 0; i < a->command->n_flags && n <= MAX_FLAGS; i++)
        names[n++] = a->command->flags[i].name;
    const char *const near = str_nearest(name, names, n);
    if (near)
        (void)snprintf(more, sizeof(more), " (did you mean \"--%s\"?)", near);
    return fail(a, "unknown flag", arg, more);
}

/* The flag's value: what stands behind '=', else the next argument. */
static int take_value(struct args *a, int flag, const char *attached, const char *arg)
{
    const bool wants = a->command->flags[flag].value;

    if (!wants && attached)
        return fail(a, "no value goes with", arg, "");
    if (wants && !attached) {
        if (a->at == a->argc)
            return fail(a, "a value is missing after", arg, "");
        attached = a->argv[a->at++];
    }
    a->value = attached;
    return flag;
}

static int long_flag(struct args *a, const char *arg)
{
    struct str rest = str_of(arg + 2);
    const struct str name = str_cut(&rest, '=');
    const char *const attached = strchr(arg, '=') ? rest.p : NULL;

    if (str_is(name, "help"))
        return ARGS_HELP;
    for (size_t i = 0; i < a->command->n_flags; i++)
        if (str_is(name, a->command->flags[i].name))
            return take_value(a, (int)i, attached, arg);
    return unknown(a, name, arg);
}

static int short_flag(struct args *a, const char *arg)
{
    if (strcmp(arg, "-h") == 0)
        return ARGS_HELP;
    for (size_t i = 0; i < a->command->n_flags; i++)
        if (a->command->flags[i].letter == arg[1])
            return take_value(a, (int)i, arg[2] ? arg + 2 : NULL, arg);
    return unknown(a, str_of(arg + 1), arg);
}

int args_next(struct args *a)
{
    if (a->at >= a->argc)
        return ARGS_END;
    const char *const arg = a->argv[a->at++];
    if (!a->words_only && strcmp(arg, "--") == 0) {
        a->words_only = 1;
        return args_next(a);
    }
    if (!a->words_only && arg[0] == '-' && arg[1] == '-')
        return long_flag(a, arg);
    if (!a->words_only && arg[0] == '-' && arg[1])
        return short_flag(a, arg);
    a->value = arg;
    return ARGS_WORD;
}

int args_finish(const struct args *a, int what)
{
    if (what == ARGS_HELP) {
        args_help(a->command, stdout);
        return EXIT_YES;
    }
    return args_usage_error(a->command, "%s", a->err.text);
}

int args_read(const struct args_command *command, int argc, char **argv,
              int (*take)(void *ctx, int what, const char *value), void *ctx)
{
    struct args a;
    int what, rc = EXIT_YES;

    args_init(&a, command, argc, argv);
    while (rc == EXIT_YES && (what = args_next(&a)) != ARGS_END) {
        if (what == ARGS_HELP || what == ARGS_ERROR)
            rc = args_finish(&a, what) == EXIT_YES ? ARGS_HELP : EXIT_USAGE;
        else
            rc = take(ctx, what, a.value);
    }
    return rc;
}

static const char *program = "numawise";

void args_called_as(const char *path)
{
    const char *const slash = strrchr(path, '/');

    if (strcmp(slash ? slash + 1 : path, "kubectl-numawise") == 0)
        program = "kubectl numawise";
}

const char *args_program(void)
{
    return program;
}

void args_help(const struct args_command *command, FILE *to)
{
    (void)fprintf(to, "usage: %s %s %s\n\n%s\n", program, command->name, command->usage,
                  command->about);
    for (size_t i = 0; i < command->n_flags; i++) {
        const struct args_flag *const f = &command->flags[i];
        char left[64];
        char letter[8] = "    ";
        if (f->letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", f->letter);
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, f->name, f->value ? " " : "",
                       f->value ? f->value : "");
        (void)fprintf(to, "  %-*s  %s\n", NAME_COLUMN, left, f->help);
    }
}

int args_usage_error(const struct args_command *command, const char *fmt, ...)
{
    va_list ap;

    (void)fprintf(stderr, "numawise %s: ", command->name);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "\nSee \"%s %s --help\".\n", program, command->name);
    return EXIT_USAGE;
}
