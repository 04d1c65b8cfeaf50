/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "decide/premises.h"
#include "kube/file.h"

static void on_problem(void *ctx, const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
}

/* Two who are told. */
struct tee {
    struct source_sink to;
    const struct source_sink *also;
};

static int on_delta(void *ctx, const struct source_delta *delta, struct err *err)
{
    const struct tee *const t = ctx;
    const int rc = t->to.delta(t->to.ctx, delta, err);

    if (rc >= 0 && t->also)
        (void)t->also->delta(t->also->ctx, delta, err);
    return rc;
}

static void on_settled(void *ctx)
{
    const struct tee *const t = ctx;

    t->to.settled(t->to.ctx);
}

int source_read(struct source *out, const struct numawise_config *config, int64_t now_us,
                const struct premises *premises, const struct source_sink *also, struct err *err)
{
    const struct cluster_options options = {.max_age_us = config->topology_max_age_ms * 1000,
                                            .at_us = now_us,
                                            .since_us = premises ? premises->since_us : 0,
                                            .demand = premises ? &premises->demand : NULL};
    struct source s = {0};

    int rc = cluster_new(&s.cluster, &options, err);
    if (rc)
        return rc;
    struct tee tee = {cluster_sink(s.cluster), also};
    const struct source_sink sink = {.delta = on_delta, .settled = on_settled, .ctx = &tee};
    rc = directory_open(&s.directory, config->cluster.p, NULL, &sink, on_problem, NULL, err);
    if (rc) {
        source_done(&s);
        return rc;
    }
    s.snapshot = cluster_get(s.cluster);
    *out = s;
    return 0;
}

void source_done(struct source *s)
{
    cluster_snapshot_unref(s->snapshot);
    directory_close(s->directory);
    cluster_free(s->cluster);
}

void source_locate(const struct kube_document *doc, const struct err *err, uint32_t *out_line,
                   uint32_t *out_column)
{
    const char *const colon = strstr(err->text, ": ");

    *out_line = doc->line;
    *out_column = doc->column;
    if (colon)
        kube_document_locate(doc, (struct str){err->text, (size_t)(colon - err->text)}, out_line,
                             out_column);
}
