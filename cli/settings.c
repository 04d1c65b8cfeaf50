/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "kube/config_file.h"

static const char *environment(const char *name)
{
    const char *const value = getenv(name);

    return value && *value ? value : NULL;
}

const char *settings_config_path(const struct settings_flags *flags)
{
    return flags->config ? flags->config : environment("NUMAWISE_CONFIG");
}

/* Errors behind the first, which travels in `err`. */
static void tell(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    unsigned *const told = ctx;

    if ((*told)++)
        (void)fprintf(stderr, "%s:%u:%u: %s\n", path, line, column, text);
}

static int read_file(struct numawise_config *c, const char *path, struct err *err)
{
    unsigned told = 0;
    const struct kube_config_report report = {tell, &told};

    return path ? kube_config_read(c, path, &report, err) : 0;
}

/* "extender.maxScore" gives "NUMAWISE_EXTENDER_MAXSCORE". */
static void variable_of(char *out, size_t room, const char *path)
{
    size_t n = (size_t)snprintf(out, room, "NUMAWISE_");

    for (; *path && n + 1 < room; path++)
        out[n++] = *path == '.' ? '_' : (char)toupper((unsigned char)*path);
    out[n] = 0;
}

static int read_environment(struct numawise_config *c, struct err *err)
{
    char name[128];

    for (size_t i = 0; i < config_n_settings; i++) {
        variable_of(name, sizeof(name), config_settings[i].path);
        const char *const value = environment(name);
        const int rc = value ? kube_config_set(c, &config_settings[i], str_of(value), err) : 0;
        if (rc)
            return err_wrap(err, rc, "%s", name);
    }
    return 0;
}

static int unknown_role(struct str role, struct err *err)
{
    char near[64];

    if (config_nearest(STR("listeners"), role, near, sizeof(near)))
        return err_set(err, -EINVAL, "--listen: unknown role \"%.*s\" (did you mean \"%s\"?)",
                       STR_ARG(role), near);
    return err_set(err, -EINVAL, "--listen: unknown role \"%.*s\"", STR_ARG(role));
}

/* "extender=127.0.0.1:0", "admission=off" */
static int set_listen(struct numawise_config *c, const char *text, struct err *err)
{
    struct str address = str_of(text);
    const struct str role = str_cut(&address, '=');
    char path[128];

    (void)snprintf(path, sizeof(path), "listeners.%.*s.address", STR_ARG(role));
    const struct config_setting *const s = config_find(str_of(path));
    if (!s)
        return unknown_role(role, err);
    if (address.n == 0)
        return err_set(err, -EINVAL, "--listen %s: not ROLE=ADDRESS:PORT or ROLE=off", text);
    const int rc = config_set_text(c, s, address, err);
    return rc ? err_wrap(err, rc, "--listen %s", text) : 0;
}

/* One source takes the place of the other. */
static int set_source(struct numawise_config *c, const char *cluster, const char *kubeconfig,
                      struct err *err)
{
    if (cluster && kubeconfig)
        return err_set(err, -EINVAL, "--cluster and --kubeconfig: one of them");
    if (!cluster && !kubeconfig)
        return 0;
    const int rc = config_set_text(c, config_find(STR("source.cluster")), str_of(cluster), err);
    return rc ? rc
              : config_set_text(c, config_find(STR("source.kubeconfig")), str_of(kubeconfig), err);
}

static int read_flags(struct numawise_config *c, const struct settings_flags *flags,
                      struct err *err)
{
    int rc = flags->cluster || flags->kubeconfig
                 ? set_source(c, flags->cluster, flags->kubeconfig, err)
                 : set_source(c, environment("NUMAWISE_CLUSTER"),
                              environment("NUMAWISE_KUBECONFIG"), err);

    for (unsigned i = 0; rc == 0 && i < flags->n_listen; i++)
        rc = set_listen(c, flags->listen[i], err);
    return rc;
}

int settings_read(struct numawise_config *out, const struct settings_flags *flags, struct err *err)
{
    struct numawise_config c;

    config_init(&c);
    int rc = read_file(&c, settings_config_path(flags), err);
    if (rc == 0)
        rc = read_environment(&c, err);
    if (rc == 0)
        rc = read_flags(&c, flags, err);
    if (rc == 0)
        rc = config_check(&c, err);
    if (rc == 0)
        *out = c;
    return rc;
}

int settings_need_directory(const struct numawise_config *config, struct err *err)
{
    if (!config->cluster.p[0])
        return err_set(err, -ENOENT,
                       "no --cluster DIR: this command reads a directory, or asks a server");
    return 0;
}

static size_t size_of(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return sizeof(int64_t);
    case CONFIG_CHOICE:
        return sizeof(int);
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
        return sizeof(struct config_text);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    }
    return 0;
}

static bool same(const struct config_setting *s, const char *a, const char *b)
{
    if (s->type == CONFIG_TEXT || s->type == CONFIG_ADDRESS)
        return strcmp(a + s->offset, b + s->offset) == 0;
    return memcmp(a + s->offset, b + s->offset, size_of(s->type)) == 0;
}

void settings_compare(const struct numawise_config *a, const struct numawise_config *b,
                      void (*differs)(void *ctx, const struct config_setting *s), void *ctx)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *const s = &config_settings[i];
        if (!same(s, (const char *)a, (const char *)b))
            differs(ctx, s);
    }
}
