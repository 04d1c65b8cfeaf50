/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/nrt_doc.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"

void nrt_doc_begin(struct nrt_doc *d, struct buf *out, bool yaml)
{
    *d = (struct nrt_doc){.yaml = yaml};
    emit_init(&d->json, out, false);
    if (!yaml)
        emit_object(&d->json);
}

void nrt_doc_end(struct nrt_doc *d)
{
    if (!d->yaml)
        emit_end(&d->json);
}

/* An item's first member stands behind its dash, the others below it. */
static void put_key(struct nrt_doc *d, const char *key)
{
    struct buf *const out = d->json.out;

    if (!d->yaml) {
        emit_key(&d->json, key);
        return;
    }
    for (uint32_t i = d->dash ? 1 : 0; i < d->depth; i++)
        buf_text(out, "  ");
    buf_text(out, d->dash ? "- " : "");
    buf_text(out, key);
    buf_text(out, ":");
    d->dash = false;
}

/* A JSON string is a YAML string. */
static void put_text(struct nrt_doc *d, struct str text)
{
    struct emit e;

    if (!d->yaml) {
        emit_text(&d->json, text);
        return;
    }
    buf_text(d->json.out, " ");
    emit_init(&e, d->json.out, false);
    emit_text(&e, text);
    buf_text(d->json.out, "\n");
}

void nrt_doc_word(struct nrt_doc *d, const char *key, const char *word)
{
    put_key(d, key);
    if (d->yaml)
        buf_printf(d->json.out, " %s\n", word);
    else
        emit_words(&d->json, word);
}

void nrt_doc_text(struct nrt_doc *d, const char *key, struct str text)
{
    put_key(d, key);
    put_text(d, text);
}

void nrt_doc_uint(struct nrt_doc *d, const char *key, uint64_t v)
{
    put_key(d, key);
    if (d->yaml)
        buf_printf(d->json.out, " %" PRIu64 "\n", v);
    else
        emit_uint(&d->json, v);
}

void nrt_doc_digits(struct nrt_doc *d, const char *key, uint64_t v)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRIu64, v);
    nrt_doc_text(d, key, str_of(digits));
}

void nrt_doc_object(struct nrt_doc *d, const char *key)
{
    put_key(d, key);
    if (d->yaml)
        buf_text(d->json.out, "\n");
    else
        emit_object(&d->json);
    d->depth++;
}

void nrt_doc_object_end(struct nrt_doc *d)
{
    d->depth--;
    if (!d->yaml)
        emit_end(&d->json);
}

void nrt_doc_list(struct nrt_doc *d, const char *key)
{
    put_key(d, key);
    if (d->yaml)
        buf_text(d->json.out, "\n");
    else
        emit_array(&d->json);
}

void nrt_doc_item(struct nrt_doc *d)
{
    d->depth++;
    d->dash = true;
    if (!d->yaml)
        emit_object(&d->json);
}

void nrt_doc_item_end(struct nrt_doc *d)
{
    d->depth--;
    if (!d->yaml)
        emit_end(&d->json);
}

void nrt_doc_list_end(struct nrt_doc *d)
{
    if (!d->yaml)
        emit_end(&d->json);
}
