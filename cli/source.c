/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/directory.h"
#include "kube/file.h"

static void on_problem(void *ctx, const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
}

int source_read(struct source *out, const struct numawise_config *config, struct err *err)
{
    const struct cluster_options options = {.max_age_us = config->topology_max_age_ms * 1000};
    struct source s = {0};
    int rc = cluster_new(&s.cluster, &options, err);

    if (rc)
        return rc;
    const struct source_sink sink = cluster_sink(s.cluster);
    rc = directory_open(&s.directory, config->cluster.p, &sink, on_problem, NULL, err);
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
