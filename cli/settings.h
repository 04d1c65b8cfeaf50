/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a command: flag > environment > file > default. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/attr.h"
#include "base/config.h"

struct err;

enum { SETTINGS_LISTEN_MAX = 32 };

/* What the flags say. All borrowed from argv. */
struct settings_flags {
    const char *config;                      /* --config FILE, NULL = none */
    const char *cluster;                     /* --cluster DIR */
    const char *kubeconfig;                  /* --kubeconfig FILE */
    const char *listen[SETTINGS_LISTEN_MAX]; /* --listen ROLE=ADDRESS */
    unsigned n_listen;
};

/*
 * NUMAWISE_CONFIG, NUMAWISE_CLUSTER and NUMAWISE_KUBECONFIG stand for the flags; every setting has
 * a variable of its own: NUMAWISE_EXTENDER_MAXSCORE for extender.maxScore.
 *
 * 0; -EINVAL: a flag, a variable or the file is wrong (`err`; a file's further errors on stderr);
 * another errno: the file cannot be read. `out` is written only on success.
 */
int settings_read(struct numawise_config *out, const struct settings_flags *flags,
                  struct err *err) MUST_CHECK;

/* The configuration file that is in use: flag, else environment, else NULL. */
const char *settings_config_path(const struct settings_flags *flags);

/* For commands that only read a directory: 0, or -ENOENT when `config` names none. */
int settings_need_directory(const struct numawise_config *config, struct err *err) MUST_CHECK;

/* Calls `differs` for every setting that is not the same in both. */
void settings_compare(const struct numawise_config *a, const struct numawise_config *b,
                      void (*differs)(void *ctx, const struct config_setting *s), void *ctx);

#endif
