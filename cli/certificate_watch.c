/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/certificate_watch.h"

#include "base/err.h"
#include "base/log.h"
#include "cli/watch.h"

void certificate_watch_done(struct certificate_watch *w)
{
    for (size_t i = 0; i < CERTIFICATE_FILES; i++)
        watch_free(w->files[i]);
    *w = (struct certificate_watch){0};
}

void certificate_watch_set(struct certificate_watch *w, const struct numawise_config *c,
                           struct event_base *base, void (*changed)(void *ctx), void *ctx)
{
    size_t n = 0;

    certificate_watch_done(w);
    for (int role = 0; role < CONFIG_ROLES; role++) {
        const struct config_listener *const l = &c->listeners[role];
        const char *const paths[] = {l->cert_file.p, l->key_file.p, l->client_ca_file.p};
        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
            struct err err;
            if (!paths[i][0] || config_is_off(l))
                continue;
            if (watch_new(&w->files[n], paths[i], base, changed, ctx, &err) == 0)
                n++;
            else
                log_line(LOG_LEVEL_WARN, "serve", "%s", err.text);
        }
    }
}
