/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as YAML: what comes out is JSON without duplicate keys, positions rise and lie inside
 * the text. Then the same bytes as a manifest file in both formats.
 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kube/file.h"
#include "kube/scan.h"
#include "kube/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_grammar(struct str json)
{
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_end(&s, NULL) < 0)
        abort();
}

/* Stricter: jansson takes no lone surrogates, which JSON files may have and YAML never gives. */
static void check_json(struct str json)
{
    check_grammar(json);
    if (memmem(json.p, json.n, "\\u0000", 6))
        return; /* jansson takes no such key */
    json_t *const j = json_loadb(
        json.p, json.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert(j);
    json_decref(j);
}

static void check_positions(const struct kube_yaml_document *d)
{
    for (size_t i = 0; i < d->positions->n; i++) {
        const struct kube_position *const at = &d->positions->at[i];

        assert(at->offset < d->json.n && at->place.line > 0 && at->place.column > 0);
        assert(i == 0 || at->offset > d->positions->at[i - 1].offset);
    }
}

static void read_yaml(struct str text)
{
    struct kube_yaml *const y = kube_yaml_new(text);
    struct kube_yaml_document d;
    struct kube_place place;
    struct err err;
    int rc;

    assert(y);
    while ((rc = kube_yaml_next(y, &d, &place, &err)) != 0) {
        if (rc > 0) {
            check_json(d.json);
            check_positions(&d);
        } else {
            assert(place.line > 0 && place.column > 0 && err.text[0]);
        }
    }
    kube_yaml_free(y);
}

static int see(void *ctx, const struct kube_document *doc)
{
    uint32_t line = 0, column = 0;

    check_grammar(doc->json);
    assert(doc->meta.kind.n > 0 && doc->line > 0 && doc->column > 0);
    kube_document_locate(doc, STR("metadata.labels[a]"), &line, &column);
    assert(line > 0 && column > 0);
    return 0;
}

static void hear(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    assert(line > 0 && column > 0 && text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kube_visitor visitor = {see, hear, NULL};
    char *const text = malloc(size + SCAN_PADDING_BYTES);

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    read_yaml((struct str){text, size});
    if (kube_text_visit((struct str){text, size}, "f.yaml", &visitor, NULL) < 0 ||
        kube_text_visit((struct str){text, size}, "f.json", &visitor, NULL) < 0)
        abort();
    free(text);
    return 0;
}
