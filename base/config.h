/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as one table: what a setting is called, what it may be, what it is when
 * nothing is said, and what it does. Validation, the printed configuration and the page in
 * docs/reference are made from it. kube/config_file.h fills it from a file; flags and environment
 * go over it afterwards (flag > environment > file > default).
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

struct buf;

#define CONFIG_API_VERSION "numawise.config.gokore.io/v1alpha1"
#define CONFIG_KIND        "NumawiseConfiguration"

enum { CONFIG_TEXT_BYTES = 1024, CONFIG_LIST_BYTES = 4096, CONFIG_LIST_ITEMS = 64 };

/* A text with its terminating zero; empty = not set. */
struct config_text {
    char p[CONFIG_TEXT_BYTES];
};

/* Texts one behind the other, each with its zero; an empty one ends them. */
struct config_list {
    char p[CONFIG_LIST_BYTES];
};

enum config_role {
    CONFIG_EXTENDER,
    CONFIG_OPERATOR,
    CONFIG_CONSOLE,
    CONFIG_ADMISSION,
    CONFIG_ROLES, /* how many */
};

extern const char *const config_role_names[CONFIG_ROLES]; /* "extender", ... */

enum config_mode { CONFIG_ENFORCE, CONFIG_SHADOW };
enum config_act { CONFIG_ACT_DRY_RUN, CONFIG_ACT_ENFORCE };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_listener {
    struct config_text address; /* "127.0.0.1:8787", "[::1]:0", or "off" */
    struct config_text cert_file, key_file, client_ca_file; /* empty: without */
    struct config_list allowed_names;
};

struct config_limits {
    int64_t head_bytes, target_bytes, headers;
    int64_t body_bytes[CONFIG_ROLES];
    int64_t head_ms, body_ms, write_ms, idle_ms, bind_ms;
    int64_t connections, json_nesting;
};

enum { CONFIG_SIGNALS = 3 }; /* in the order of kube/signal.h's kinds */

/* Who is asked for signals; an empty address: nobody. */
struct config_prometheus {
    struct config_text address, token_file, ca_file;
    struct config_text queries[CONFIG_SIGNALS]; /* empty: not asked */
    int64_t interval_ms, ttl_ms;
};

/* Every setting that this version acts on. A plain value: copy it as you like. */
struct numawise_config {
    struct config_listener listeners[CONFIG_ROLES];
    struct config_text operator_lease, operator_advertise;
    int act;                                /* enum config_act */
    struct config_text cluster, kubeconfig; /* both empty: whatever is found, see serve --help */
    bool events;
    int mode; /* enum config_mode */
    bool bind, preempt, decide;
    int64_t max_score;
    int64_t shortlist; /* 0 = none */
    bool sparse_scores;
    int64_t second_look_ms;
    struct config_text retry; /* NAMESPACE/NAME; empty: off */
    int64_t threads;          /* that judge; 0 = by the CPUs of the process */
    bool admission_predict;
    int64_t decisions_max_bytes;
    int64_t topology_max_age_ms; /* 0 = never too old */
    struct config_limits limits;
    struct config_prometheus prometheus;
    int log_format;        /* enum config_log_format */
    int64_t log_verbosity; /* enum log_level */
};

enum config_type {
    CONFIG_BOOL,     /* bool */
    CONFIG_INTEGER,  /* int64_t */
    CONFIG_BYTES,    /* int64_t; a Kubernetes quantity in the file */
    CONFIG_DURATION, /* int64_t in ms; "1h30m" in the file */
    CONFIG_CHOICE,   /* int, index of the word */
    CONFIG_TEXT,     /* struct config_text */
    CONFIG_ADDRESS,  /* struct config_text, checked: numeric address and port, or "off" */
    CONFIG_LIST,     /* struct config_list, empty when nothing is said */
};

struct config_setting {
    const char *path; /* "extender.maxScore" */
    const char *help; /* one sentence */
    enum config_type type;
    int64_t min, max, initial; /* numbers; choice: initial is the index */
    const char *initial_text;  /* text and address; NULL = empty */
    const char *const *words;  /* choice: the words, NULL behind the last */
    bool reloadable;           /* a running server follows a change of the file */
    size_t offset;             /* in struct numawise_config */
};

/* The table, grouped by block, in the order of the printed configuration. */
extern const struct config_setting config_settings[];
extern const size_t config_n_settings;

/* The setting with exactly this path, or NULL. */
const struct config_setting *config_find(struct str path);

/*
 * Whether a setting is a descendant of `path` ("extender" of "extender.mode"), that is, whether a
 * block may stand there. The empty path is a block.
 */
bool config_is_block(struct str path);

/*
 * The nearest name that block `path` has for the unknown `name`, for a "did you mean"; NULL when
 * none is near. The name goes to `out` [room].
 */
const char *config_nearest(struct str path, struct str name, char *out, size_t room);

/* All defaults. */
void config_init(struct numawise_config *c);

/*
 * Set one setting: config_set_number for bool (0, 1), integer, bytes, duration (ms);
 * config_set_text for choice, text, address, and for a list, whose texts are then divided by
 * commas; config_set_list for a list. 0; -EINVAL (wrong type, word or address), -ERANGE (outside
 * min..max, text too long, too many). The text in `err` begins with the path.
 */
int config_set_number(struct numawise_config *c, const struct config_setting *s, int64_t v,
                      struct err *err) MUST_CHECK;
int config_set_text(struct numawise_config *c, const struct config_setting *s, struct str v,
                    struct err *err) MUST_CHECK;

int config_set_list(struct numawise_config *c, const struct config_setting *s,
                    const struct str *items, size_t n, struct err *err) MUST_CHECK;

/* The texts of `l`, which they point into, in `out`; how many. */
size_t config_list_items(const struct config_list *l, const char *out[CONFIG_LIST_ITEMS]);

/* What belongs together: 0, or -EINVAL with `err` naming the settings that contradict. */
int config_check(const struct numawise_config *c, struct err *err) MUST_CHECK;

bool config_is_off(const struct config_listener *l);

/*
 * A duration in Go's form ("500ms", "1h30m", "1.5s", "0"; units ns, us, ms, s, m, h) to whole
 * milliseconds, rounded to nearest. 0; -EINVAL (syntax, negative); -ERANGE (over 2^53 ms).
 */
int config_parse_duration(struct str text, int64_t *out_ms) MUST_CHECK;

/* "1h30m", "500ms", "0s". Append to `out`. */
void config_format_duration(struct buf *out, int64_t ms);

/* The configuration that is in force, as a file that can be read again. */
void config_print(struct buf *out, const struct numawise_config *c);

/* docs/reference/configuration.md, whole. */
void config_print_reference(struct buf *out);

#endif
