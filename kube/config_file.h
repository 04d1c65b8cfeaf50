/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file (kind NumawiseConfiguration) into base/config.h's struct: strict, and all
 * errors of a file at once, each with its place. Read by `serve` and `check`.
 */
#ifndef KUBE_CONFIG_FILE_H
#define KUBE_CONFIG_FILE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/config.h"
#include "base/err.h"
#include "base/str.h"

/* Told of each error: "FIELD: what is wrong (did you mean ...)"; line and column from 1. */
struct kube_config_report {
    void (*problem)(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text);
    void *ctx;
};

/*
 * Read the file at `path` over the settings in `c`: what the file does not say stays as it is, so
 * begin with config_init. `report` may be NULL.
 *
 * 0; -EINVAL when the file has errors: each was told to `report`, `err` holds the first as
 * "PATH:LINE:COLUMN: FIELD: text"; another errno when the file cannot be read. `c` is written only
 * on success.
 */
int kube_config_read(struct numawise_config *c, const char *path,
                     const struct kube_config_report *report, struct err *err) MUST_CHECK;

/* The same for text in memory; `path` is used in messages. */
int kube_config_read_text(struct numawise_config *c, struct str text, const char *path,
                          const struct kube_config_report *report, struct err *err) MUST_CHECK;

/*
 * Set one setting from a flag or an environment variable: "true", "10", "8Mi", "5m", "Shadow".
 * Codes and texts as config_set_number and config_set_text.
 */
int kube_config_set(struct numawise_config *c, const struct config_setting *s, struct str value,
                    struct err *err) MUST_CHECK;

#endif
