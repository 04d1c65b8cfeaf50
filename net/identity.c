/* SPDX-License-Identifier: Apache-2.0 */
#include "net/identity.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

/* A text that somebody else would read up to its zero byte names another than it says. */
static struct str keep(struct identity *id, const unsigned char *p, int n, bool lower)
{
    const size_t bytes = n > 0 ? (size_t)n : 0;
    char *const at = id->text + id->text_n;

    if (bytes == 0 || bytes > sizeof(id->text) - id->text_n || memchr(p, 0, bytes))
        return (struct str){0};
    for (size_t i = 0; i < bytes; i++)
        at[i] = lower ? (char)tolower(p[i]) : (char)p[i];
    id->text_n += bytes;
    return (struct str){at, bytes};
}

static struct str subject_part(struct identity *id, const X509_NAME_ENTRY *entry)
{
    unsigned char *utf8 = NULL;
    const int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    const struct str part = keep(id, utf8, n, false);

    OPENSSL_free(utf8);
    return part;
}

static void read_subject(struct identity *id, const X509 *certificate)
{
    const X509_NAME *const subject = X509_get_subject_name(certificate);
    const int n = X509_NAME_entry_count(subject);

    for (int i = 0; i < n; i++) {
        const X509_NAME_ENTRY *const entry = X509_NAME_get_entry(subject, i);
        const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        if (nid == NID_commonName)
            id->client.common_name = subject_part(id, entry);
        if (nid != NID_organizationName || id->client.n_organizations == IDENTITY_ORGANIZATIONS)
            continue;
        const struct str part = subject_part(id, entry);
        if (part.n > 0)
            id->organizations[id->client.n_organizations++] = part;
    }
}

static void read_alternative(struct identity *id, const GENERAL_NAME *name)
{
    if ((name->type != GEN_DNS && name->type != GEN_URI) || id->client.n_names == IDENTITY_NAMES)
        return;
    const ASN1_IA5STRING *const text = name->d.ia5;
    const struct str kept =
        keep(id, ASN1_STRING_get0_data(text), ASN1_STRING_length(text), name->type == GEN_DNS);
    if (kept.n > 0)
        id->names[id->client.n_names++] = kept;
}

struct identity *identity_new(const X509 *certificate)
{
    struct identity *const id = calloc(1, sizeof(*id));

    if (!id)
        return NULL;
    id->refs = 1;
    id->client.organizations = id->organizations;
    id->client.names = id->names;
    read_subject(id, certificate);
    GENERAL_NAMES *const names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        read_alternative(id, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return id;
}

void identity_ref(struct identity *id)
{
    if (id)
        id->refs++;
}

void identity_unref(struct identity *id)
{
    if (id && --id->refs == 0)
        free(id);
}

static bool has(const struct identity *id, struct str name)
{
    if (str_eq(id->client.common_name, name))
        return true;
    for (size_t i = 0; i < id->client.n_names; i++)
        if (str_eq(id->names[i], name))
            return true;
    return false;
}

bool identity_is_allowed(const struct identity *id, char *const *allowed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (allowed[i][0] && has(id, str_of(allowed[i])))
            return true;
    return false;
}
