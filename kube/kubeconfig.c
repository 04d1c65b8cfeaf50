/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "kube/file.h"
#include "kube/positions.h"
#include "kube/scan.h"
#include "kube/yaml.h"

enum { FILES = 32 };

/* One kubeconfig file; its text lives as long as its reader. */
struct file {
    const char *path;
    struct str dir; /* of the path, with the slash at its end; empty: the current one */
    struct buf text;
    struct kube_yaml *yaml;
    struct kube_yaml_document doc;
};

struct files {
    struct file at[FILES];
    size_t n;
    struct err *err;
};

/* --- texts of our own --- */

static char *copy(struct str s)
{
    char *const p = malloc(s.n + 1);

    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

static void wipe(char **p)
{
    if (*p)
        explicit_bzero(*p, strlen(*p));
    free(*p);
    *p = NULL;
}

void kube_access_done(struct kube_access *a)
{
    char **const all[] = {&a->server,   &a->server_name, &a->proxy,     &a->ns,        &a->from,
                          &a->ca.text,  &a->ca.path,     &a->cert.text, &a->cert.path, &a->key.text,
                          &a->key.path, &a->token,       &a->token_file};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        wipe(all[i]);
}

/* --- files --- */

static void close_files(struct files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        kube_yaml_free(f->at[i].yaml);
        if (f->at[i].text.p)
            explicit_bzero(f->at[i].text.p, f->at[i].text.n);
        buf_free(&f->at[i].text);
    }
}

static int fail_at(struct files *f, const struct file *file, struct kube_place place, int code,
                   const char *text)
{
    return err_set(f->err, code, "%s:%u:%u: %s", file->path, place.line, place.column, text);
}

/* At `where`, a slice of the file's JSON. */
static int fail(struct files *f, const struct file *file, struct str where, int code,
                const char *text)
{
    const size_t offset = (size_t)(where.p - file->doc.json.p);

    return fail_at(f, file, kube_positions_find(file->doc.positions, offset), code, text);
}

/* A decoder's failure inside `json`, part of the file: "field: what is wrong" at that field. */
static int fail_in(struct files *f, const struct file *file, struct str json, const struct err *err)
{
    const char *const colon = strstr(err->text, ": ");
    const struct str field = {err->text, colon ? (size_t)(colon - err->text) : 0};

    return fail(f, file, kube_json_find(json, field), err->code, err->text);
}

static int parse(struct files *f, struct file *file)
{
    struct kube_place place = {1, 1};
    struct err err;

    file->yaml = kube_yaml_new(buf_view(&file->text));
    if (!file->yaml)
        return err_set(f->err, -ENOMEM, "%s: no memory", file->path);
    int rc = kube_yaml_next(file->yaml, &file->doc, &place, &err);
    if (rc < 0)
        return fail_at(f, file, place, rc, err.text);
    if (rc == 0)
        return err_set(f->err, -EINVAL, "%s: empty, expected kind Config", file->path);
    if (file->doc.json.p[0] != '{')
        return fail(f, file, file->doc.json, -EINVAL, "expected an object");
    return 0;
}

static struct file *add_file(struct files *f, const char *path)
{
    const char *const slash = strrchr(path, '/');

    f->at[f->n] =
        (struct file){.path = path, .dir = {path, slash ? (size_t)(slash - path) + 1 : 0}};
    return &f->at[f->n++];
}

static int open_file(struct files *f, const char *path)
{
    struct file *const file = add_file(f, path);
    const int rc = kube_file_read(path, &file->text, f->err);

    if (rc < 0)
        return rc;
    if (file->text.n > LIMIT_KUBECONFIG_BYTES)
        return err_set(f->err, -E2BIG, "%s: larger than %d bytes", path, LIMIT_KUBECONFIG_BYTES);
    return parse(f, file);
}

/* --- entries: [{"name": N, WHAT: {...}}] --- */

/* The text of a member, on the heap; NULL in `out` where there is none. */
static int read_text(struct str object, const char *name, char **out)
{
    struct scan s;
    struct str raw;

    scan_init(&s, object, 0);
    if (!scan_object(&s))
        return scan_end(&s, NULL);
    while (scan_key(&s)) {
        if (!scan_at(&s, name) || !scan_string(&s, &raw))
            continue;
        char *const text = malloc(raw.n + 1);
        if (!text) {
            (void)scan_fail(&s, -ENOMEM, "no memory");
            continue;
        }
        text[scan_unescape(text, raw)] = 0;
        free(*out);
        *out = text;
    }
    return scan_end(&s, NULL);
}

/* The value of a member of valid JSON; n = 0: there is none, or it is null. */
static struct str member(struct str object, const char *name)
{
    struct str key = {0}, value, found = {0};

    for (size_t at = 0; kube_json_step(object, &at, &key, &value);)
        if (key.n == strlen(name) + 2 && memcmp(key.p + 1, name, key.n - 2) == 0)
            found = str_is(value, "null") ? (struct str){0} : value;
    return found;
}

static bool is_named(struct str entry, const char *name)
{
    char *text = NULL;
    const bool is = read_text(entry, "name", &text) == 0 && text && strcmp(text, name) == 0;

    free(text);
    return is;
}

/* An entry of a list, and where it is. */
struct entry {
    const struct file *file; /* NULL: there is none */
    struct str value;        /* of its member `what` */
};

/* The entry `name` in one file's `list`. */
static int find_in(struct files *f, const struct file *file, const char *list, const char *what,
                   const char *name, struct entry *out)
{
    const struct str entries = member(file->doc.json, list);
    struct str key = {0}, value;
    char text[ERR_TEXT_BYTES];

    if (entries.n && entries.p[0] != '[') {
        (void)snprintf(text, sizeof(text), "%s: expected a list", list);
        return fail(f, file, entries, -EINVAL, text);
    }
    for (size_t at = 0; entries.n && kube_json_step(entries, &at, &key, &value);) {
        if (!is_named(value, name))
            continue;
        const struct str found = member(value, what);
        if (out->file == file || found.n == 0 || found.p[0] != '{') {
            (void)snprintf(text, sizeof(text), "%s[%.60s]: %s", list, name,
                           out->file == file ? "given twice" : "expected an object");
            return fail(f, file, value, -EINVAL, text);
        }
        *out = (struct entry){file, found};
    }
    return 0;
}

/* The first file that has it wins. */
static int find(struct files *f, const char *list, const char *what, const char *name,
                struct entry *out)
{
    int rc = 0;

    *out = (struct entry){0};
    for (size_t i = 0; rc == 0 && !out->file && i < f->n; i++)
        rc = find_in(f, &f->at[i], list, what, name, out);
    return rc;
}

/* --- fields --- */

enum field_form {
    FIELD_TEXT,
    FIELD_PATH,   /* relative to the file */
    FIELD_BASE64, /* decoded */
    FIELD_FALSE,  /* may only be false */
    FIELD_NEVER,  /* is not supported */
};

struct field {
    const char *name;
    enum field_form form;
    size_t offset;   /* in struct kube_access */
    const char *why; /* FIELD_FALSE and FIELD_NEVER: what to do instead */
};

#define AT(member) offsetof(struct kube_access, member)

static const char plugin[] =
    "credential plugins are not supported: use a client certificate or a token";
static const char password[] = "passwords are not supported, nor by Kubernetes since 1.19: use a "
                               "client certificate or a token";
static const char other_user[] = "impersonation is not supported";

static const struct field cluster_fields[] = {
    {"server", FIELD_TEXT, AT(server), NULL},
    {"tls-server-name", FIELD_TEXT, AT(server_name), NULL},
    {"certificate-authority", FIELD_PATH, AT(ca.path), NULL},
    {"certificate-authority-data", FIELD_BASE64, AT(ca.text), NULL},
    {"proxy-url", FIELD_TEXT, AT(proxy), NULL},
    {"insecure-skip-tls-verify", FIELD_FALSE, 0,
     "the server's certificate is always verified: give certificate-authority, and tls-server-name "
     "where the name differs"},
};

static const struct field user_fields[] = {
    {"client-certificate", FIELD_PATH, AT(cert.path), NULL},
    {"client-certificate-data", FIELD_BASE64, AT(cert.text), NULL},
    {"client-key", FIELD_PATH, AT(key.path), NULL},
    {"client-key-data", FIELD_BASE64, AT(key.text), NULL},
    {"token", FIELD_TEXT, AT(token), NULL},
    {"tokenFile", FIELD_PATH, AT(token_file), NULL},
    {"exec", FIELD_NEVER, 0, plugin},
    {"auth-provider", FIELD_NEVER, 0, plugin},
    {"username", FIELD_NEVER, 0, password},
    {"password", FIELD_NEVER, 0, password},
    {"as", FIELD_NEVER, 0, other_user},
    {"as-uid", FIELD_NEVER, 0, other_user},
    {"as-groups", FIELD_NEVER, 0, other_user},
    {"as-user-extra", FIELD_NEVER, 0, other_user},
};

static const struct field context_fields[] = {{"namespace", FIELD_TEXT, AT(ns), NULL}};

static bool is_path_absolute(const char *path)
{
    return path[0] == '/';
}

static char *resolve(const struct file *file, const char *path)
{
    struct buf b = {0};

    if (!is_path_absolute(path))
        buf_str(&b, file->dir);
    buf_text(&b, path);
    if (b.failed)
        buf_free(&b);
    return b.p;
}

static bool decode(struct scan *s, char **text)
{
    struct buf b = {0};
    const int rc = base64_decode(&b, str_of(*text));

    wipe(text);
    if (rc == 0 && b.n == 0)
        return true; /* as if it were not there */
    if (rc == 0 && memchr(b.p, 0, b.n) == NULL) {
        *text = b.p;
        return true;
    }
    buf_free(&b);
    return scan_fail(s, rc == -ENOMEM ? rc : -EINVAL,
                     rc == -ENOMEM ? "no memory" : "not PEM in base64");
}

static void set_text(struct scan *s, const struct field *field, const struct file *file,
                     struct kube_access *out)
{
    char **const to = (char **)(void *)((char *)out + field->offset);
    struct str raw;

    if (!scan_string(s, &raw) || raw.n == 0)
        return;
    char *text = malloc(raw.n + 1);
    if (text) {
        text[scan_unescape(text, raw)] = 0;
        if (field->form == FIELD_PATH) {
            char *const path = resolve(file, text);
            wipe(&text);
            text = path;
        }
    }
    if (!text)
        (void)scan_fail(s, -ENOMEM, "no memory");
    else if (strlen(text) == 0)
        wipe(&text);
    else if (field->form == FIELD_BASE64)
        (void)decode(s, &text);
    wipe(to);
    *to = text;
}

static void read_field(struct scan *s, const struct field *field, const struct file *file,
                       struct kube_access *out)
{
    bool yes = false;
    struct str raw;

    if (field->form == FIELD_FALSE) {
        if (scan_bool(s, &yes) && yes)
            (void)scan_fail(s, -ENOTSUP, "%s", field->why);
    } else if (field->form == FIELD_NEVER) {
        if (scan_raw(s, &raw) && !str_is(raw, "null") && !str_is(raw, "\"\"") &&
            !str_is(raw, "[]") && !str_is(raw, "{}"))
            (void)scan_fail(s, -ENOTSUP, "%s", field->why);
    } else {
        set_text(s, field, file, out);
    }
}

static int read_fields(struct files *f, const struct entry *e, const struct field *fields, size_t n,
                       struct kube_access *out)
{
    struct err err;
    struct scan s;

    scan_init(&s, e->value, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            size_t i = 0;

            while (i < n && !scan_at(&s, fields[i].name))
                i++;
            if (i < n)
                read_field(&s, &fields[i], e->file, out);
        }
    }
    const int rc = scan_end(&s, &err);
    return rc < 0 ? fail_in(f, e->file, e->value, &err) : 0;
}

/* --- what belongs together --- */

/* "https://HOST..." or "http://HOST..." of this machine: what follows the scheme, or NULL. */
static const char *host_of(const char *server, bool *out_tls)
{
    *out_tls = strncasecmp(server, "https://", 8) == 0;
    if (*out_tls)
        return server + 8;
    return strncasecmp(server, "http://", 7) == 0 ? server + 7 : NULL;
}

static bool is_loopback(const char *host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const size_t n = strlen(names[i]);

        if (strncmp(host, names[i], n) == 0 && strchr(":/", host[n]))
            return true;
    }
    return false;
}

static const char *check_server(const char *server)
{
    bool tls;
    const char *const host = host_of(server, &tls);

    if (!host || strcspn(host, "/") == 0)
        return "server: expected https://HOST:PORT";
    for (const char *p = server; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("?#@\\", *p))
            return "server: a character that no address has";
    if (!tls && !is_loopback(host))
        return "server: http:// is for this machine only: everybody else is asked over TLS";
    return NULL;
}

/* Everything that the fields alone do not show. NULL: it is good. */
static const char *check(const struct kube_access *a)
{
    if (!a->server)
        return "server: missing";
    const char *const wrong = check_server(a->server);
    if (wrong)
        return wrong;
    if ((a->cert.text || a->cert.path) != (a->key.text || a->key.path))
        return "client-certificate and client-key: one without the other";
    for (const char *p = a->token ? a->token : ""; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return "token: a character that no token has";
    return NULL;
}

static void cut_slash(char *server)
{
    size_t n = strlen(server);

    while (n && server[n - 1] == '/')
        server[--n] = 0;
}

/* --- the whole --- */

static int current_context(struct files *f, char **out)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct file *const file = &f->at[i];

        if (read_text(file->doc.json, "current-context", out) < 0)
            return fail(f, file, member(file->doc.json, "current-context"), -EINVAL,
                        "current-context: expected a string");
        if (*out && **out)
            return 0;
    }
    return err_set(f->err, -EINVAL, "%s: current-context: missing", f->at[0].path);
}

static int missing(struct files *f, const struct file *file, struct str where, const char *list,
                   const char *name)
{
    char text[ERR_TEXT_BYTES];

    (void)snprintf(text, sizeof(text), "%s: there is no \"%.100s\"", list, name);
    return where.p ? fail(f, file, where, -EINVAL, text)
                   : err_set(f->err, -EINVAL, "%s: %s", file->path, text);
}

/* Read the entry of `list` that the context names in its member `what`. */
static int read_entry(struct files *f, const struct entry *context, const char *list,
                      const char *what, const struct field *fields, size_t n,
                      struct kube_access *out)
{
    const struct str where = member(context->value, what);
    char *name = NULL;
    struct entry e;
    int rc;

    if (read_text(context->value, what, &name) < 0)
        return fail(f, context->file, where, -EINVAL, "expected a string");
    if (!name || !*name) {
        free(name);
        return strcmp(what, "user") == 0 ? 0 : missing(f, context->file, context->value, list, "");
    }
    rc = find(f, list, what, name, &e);
    if (rc == 0)
        rc = e.file ? read_fields(f, &e, fields, n, out)
                    : missing(f, context->file, where, list, name);
    free(name);
    return rc;
}

static int read_context(struct files *f, const char *name, struct kube_access *out)
{
    struct entry context;
    int rc = find(f, "contexts", "context", name, &context);

    if (rc == 0 && !context.file)
        return missing(f, &f->at[0], (struct str){0}, "contexts", name);
    if (rc == 0)
        rc = read_fields(f, &context, context_fields, ARRAY_LEN(context_fields), out);
    if (rc == 0)
        rc = read_entry(f, &context, "clusters", "cluster", cluster_fields,
                        ARRAY_LEN(cluster_fields), out);
    if (rc == 0)
        rc = read_entry(f, &context, "users", "user", user_fields, ARRAY_LEN(user_fields), out);
    if (rc)
        return rc;
    const char *const wrong = check(out);
    if (wrong)
        return err_set(f->err, -EINVAL, "%s: context %s: %s", context.file->path, name, wrong);
    cut_slash(out->server);
    struct buf from = {0};
    buf_printf(&from, "context %s of %s", name, context.file->path);
    out->from = from.p;
    return from.failed ? err_set(f->err, -ENOMEM, "%s: no memory", context.file->path) : 0;
}

static int read_files(struct files *f, struct kube_access *out)
{
    struct kube_access a = {0};
    char *name = NULL;
    int rc = current_context(f, &name);

    if (rc == 0)
        rc = read_context(f, name, &a);
    free(name);
    if (rc)
        kube_access_done(&a);
    else
        *out = a;
    return rc;
}

int kube_access_read(struct kube_access *out, const char *path, struct err *err)
{
    struct files f = {.err = err};
    int rc = open_file(&f, path);

    if (rc == 0)
        rc = read_files(&f, out);
    close_files(&f);
    return rc;
}

int kube_access_read_text(struct kube_access *out, struct str text, const char *path,
                          struct err *err)
{
    struct files f = {.err = err};
    struct file *const file = add_file(&f, path);

    buf_str(&file->text, text);
    int rc = file->text.failed ? err_set(err, -ENOMEM, "%s: no memory", path) : parse(&f, file);
    if (rc == 0)
        rc = read_files(&f, out);
    close_files(&f);
    return rc;
}

/* Open what is there of a list; its names are in `names`, cut apart. */
static int open_list(struct files *f, char *names)
{
    char *rest = names;

    for (char *name; (name = strsep(&rest, ":")) != NULL;) {
        if (!*name || access(name, F_OK) != 0)
            continue;
        if (f->n == FILES)
            return err_set(f->err, -E2BIG, "KUBECONFIG: more than %d files", FILES);
        const int rc = open_file(f, name);
        if (rc)
            return rc;
    }
    return f->n ? 0 : err_set(f->err, -ENOENT, "KUBECONFIG: none of its files is there");
}

int kube_access_merge(struct kube_access *out, const char *list, struct err *err)
{
    struct files f = {.err = err};
    char *const names = strdup(list);
    int rc = names ? open_list(&f, names) : err_set(err, -ENOMEM, "KUBECONFIG: no memory");

    if (rc == 0)
        rc = read_files(&f, out);
    close_files(&f);
    free(names);
    return rc;
}

/* --- in a pod --- */

static char *joined(const char *dir, const char *name)
{
    struct buf b = {0};

    buf_printf(&b, "%s/%s", dir, name);
    if (b.failed)
        buf_free(&b);
    return b.p;
}

static char *server_of(const char *host, const char *port)
{
    struct buf b = {0};

    buf_printf(&b, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    if (b.failed)
        buf_free(&b);
    return b.p;
}

/* The pod's namespace, where its file can be read. */
static char *read_namespace(const char *dir)
{
    struct buf text = {0};
    char *const path = joined(dir, "namespace");
    char *ns = NULL;

    if (path && kube_file_read(path, &text, NULL) == 0 && text.n < 256)
        ns = copy(str_trim((struct str){text.p, strcspn(text.n ? text.p : "", "\n")}));
    buf_free(&text);
    free(path);
    return ns;
}

static int check_readable(const char *path, struct err *err)
{
    if (access(path, R_OK) == 0)
        return 0;
    return err_set(err, -errno, "%s: %s", path, strerror(errno));
}

int kube_access_in_cluster(struct kube_access *out, const char *host, const char *port,
                           const char *dir, struct err *err)
{
    struct kube_access a = {0};
    int rc = 0;

    if (!host || !*host || !port || !*port)
        return err_set(err, -ENOENT,
                       "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not "
                       "set");
    a.server = server_of(host, port);
    a.token_file = joined(dir, "token");
    a.ca.path = joined(dir, "ca.crt");
    a.ns = read_namespace(dir);
    a.from = joined(dir, "");
    if (!a.server || !a.token_file || !a.ca.path || !a.from)
        rc = err_set(err, -ENOMEM, "no memory");
    const char *const wrong = rc ? NULL : check(&a);
    if (wrong)
        rc = err_set(err, -EINVAL, "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: %s", wrong);
    if (rc == 0)
        rc = check_readable(a.token_file, err);
    if (rc == 0)
        rc = check_readable(a.ca.path, err);
    if (rc)
        kube_access_done(&a);
    else
        *out = a;
    return rc;
}
