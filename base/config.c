/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

const struct config_setting *config_find(struct str path)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        if (str_is(path, config_settings[i].path))
            return &config_settings[i];
    }
    return NULL;
}

/* What follows "path." in a setting's path, or NULL when the setting is not below it. */
static const char *below(const char *setting, struct str path)
{
    if (path.n == 0)
        return setting;
    if (strlen(setting) <= path.n || memcmp(setting, path.p, path.n) != 0)
        return NULL;
    return setting[path.n] == '.' ? setting + path.n + 1 : NULL;
}

bool config_is_block(struct str path)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        if (below(config_settings[i].path, path))
            return true;
    }
    return false;
}

const char *config_nearest(struct str path, struct str name, char *out, size_t room)
{
    enum { CHILD_BYTES = 32, CHILDREN = 16 };
    char children[CHILDREN][CHILD_BYTES];
    const char *words[CHILDREN];
    size_t n = 0;

    for (size_t i = 0; i < config_n_settings; i++) {
        const char *const rest = below(config_settings[i].path, path);

        if (!rest)
            continue;
        const size_t length = strcspn(rest, ".");
        if (n && strlen(words[n - 1]) == length && memcmp(words[n - 1], rest, length) == 0)
            continue;
        assert(n < CHILDREN && length < CHILD_BYTES);
        memcpy(children[n], rest, length);
        children[n][length] = 0;
        words[n] = children[n];
        n++;
    }
    const char *const best = str_nearest(name, words, n);
    if (!best)
        return NULL;
    (void)snprintf(out, room, "%s", best);
    return out;
}

/* --- storage --- */

static void *place_of(struct numawise_config *c, const struct config_setting *s)
{
    return (char *)c + s->offset;
}

static void store_number(struct numawise_config *c, const struct config_setting *s, int64_t v)
{
    if (s->type == CONFIG_BOOL)
        *(bool *)place_of(c, s) = v != 0;
    else if (s->type == CONFIG_CHOICE)
        *(int *)place_of(c, s) = (int)v;
    else
        *(int64_t *)place_of(c, s) = v;
}

static void store_text(struct numawise_config *c, const struct config_setting *s, struct str v)
{
    struct config_text *const text = place_of(c, s);

    assert(v.n < CONFIG_TEXT_BYTES);
    memset(text, 0, sizeof(*text));
    if (v.n)
        memcpy(text->p, v.p, v.n);
}

static bool is_text(const struct config_setting *s)
{
    return s->type == CONFIG_TEXT || s->type == CONFIG_ADDRESS;
}

void config_init(struct numawise_config *c)
{
    *c = (struct numawise_config){0};
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct config_setting *const s = &config_settings[i];

        if (s->type == CONFIG_LIST)
            continue;
        if (is_text(s))
            store_text(c, s, str_of(s->initial_text));
        else
            store_number(c, s, s->initial);
    }
}

/* --- setting --- */

static void format_value(struct buf *out, const struct config_setting *s, int64_t v)
{
    if (s->type == CONFIG_BYTES && v >= 0)
        buf_bytes(out, (uint64_t)v);
    else if (s->type == CONFIG_DURATION)
        config_format_duration(out, v);
    else if (s->type == CONFIG_BOOL)
        buf_text(out, v ? "true" : "false");
    else
        buf_printf(out, "%" PRId64, v);
}

static int out_of_range(const struct config_setting *s, int64_t v, struct err *err)
{
    CLEANUP(buf_free) struct buf text = {0};

    format_value(&text, s, v);
    buf_text(&text, " is outside ");
    format_value(&text, s, s->min);
    buf_text(&text, "..");
    format_value(&text, s, s->max);
    return err_set(err, -ERANGE, "%s: %s", s->path, text.failed ? "out of range" : text.p);
}

int config_set_number(struct numawise_config *c, const struct config_setting *s, int64_t v,
                      struct err *err)
{
    if (is_text(s) || s->type == CONFIG_CHOICE || s->type == CONFIG_LIST)
        return err_set(err, -EINVAL, "%s: expected text", s->path);
    if (v < s->min || v > s->max)
        return out_of_range(s, v, err);
    store_number(c, s, v);
    return 0;
}

static int set_choice(struct numawise_config *c, const struct config_setting *s, struct str v,
                      struct err *err)
{
    CLEANUP(buf_free) struct buf all = {0};
    size_t n = 0;

    for (; s->words[n]; n++) {
        if (str_is(v, s->words[n])) {
            store_number(c, s, (int64_t)n);
            return 0;
        }
        buf_printf(&all, "%s%s", n ? ", " : "", s->words[n]);
    }
    const char *const near = str_nearest(v, s->words, n);
    if (near)
        return err_set(err, -EINVAL, "%s: \"%.*s\" (did you mean %s?)", s->path, STR_ARG(v), near);
    return err_set(err, -EINVAL, "%s: \"%.*s\" is none of %s", s->path, STR_ARG(v),
                   all.failed ? "its values" : all.p);
}

/* "1.2.3.4:80", "[::1]:80": an address that needs no name server, and a port. */
static bool is_address(struct str v)
{
    const char *const colon = v.p ? memrchr(v.p, ':', v.n) : NULL;
    unsigned char bytes[16];
    char host[64];
    uint64_t port;

    if (!colon || !str_u64((struct str){colon + 1, v.n - (size_t)(colon + 1 - v.p)}, &port) ||
        port > UINT16_MAX)
        return false;
    size_t n = (size_t)(colon - v.p);
    const bool six = n >= 2 && v.p[0] == '[' && v.p[n - 1] == ']';
    const char *const from = six ? v.p + 1 : v.p;
    n -= six ? 2 : 0;
    if (n >= sizeof(host))
        return false;
    memcpy(host, from, n);
    host[n] = 0;
    return inet_pton(six ? AF_INET6 : AF_INET, host, bytes) == 1;
}

static int check_text(const struct config_setting *s, struct str v, struct err *err)
{
    if (v.n && memchr(v.p, 0, v.n))
        return err_set(err, -EINVAL, "%s: a zero byte", s->path);
    if (v.n >= CONFIG_TEXT_BYTES)
        return err_set(err, -ERANGE, "%s: longer than %d bytes", s->path, CONFIG_TEXT_BYTES - 1);
    if (s->type == CONFIG_ADDRESS && !str_is(v, "off") && (v.n == 0 || !is_address(v)))
        return err_set(err, -EINVAL,
                       "%s: \"%.*s\" is not a numeric address with a port (127.0.0.1:8787) or off",
                       s->path, STR_ARG(v));
    return 0;
}

int config_set_list(struct numawise_config *c, const struct config_setting *s,
                    const struct str *items, size_t n, struct err *err)
{
    struct config_list list = {{0}};
    size_t at = 0;

    if (s->type != CONFIG_LIST)
        return err_set(err, -EINVAL, "%s: unexpected list", s->path);
    if (n > CONFIG_LIST_ITEMS)
        return err_set(err, -ERANGE, "%s: more than %d texts", s->path, CONFIG_LIST_ITEMS);
    for (size_t i = 0; i < n; i++) {
        if (items[i].n == 0)
            return err_set(err, -EINVAL, "%s: an empty text", s->path);
        const int rc = check_text(s, items[i], err);
        if (rc)
            return rc;
        if (items[i].n + 2 > sizeof(list.p) - at)
            return err_set(err, -ERANGE, "%s: longer than %d bytes together", s->path,
                           CONFIG_LIST_BYTES - 1);
        memcpy(list.p + at, items[i].p, items[i].n);
        at += items[i].n + 1;
    }
    memcpy(place_of(c, s), &list, sizeof(list));
    return 0;
}

size_t config_list_items(const struct config_list *l, const char *out[CONFIG_LIST_ITEMS])
{
    size_t n = 0;

    for (const char *p = l->p; *p; p += strlen(p) + 1)
        out[n++] = p;
    return n;
}

/* "a,b" */
static int set_divided(struct numawise_config *c, const struct config_setting *s, struct str v,
                       struct err *err)
{
    struct str items[CONFIG_LIST_ITEMS + 1]; /* one too many is for config_set_list to refuse */
    size_t n = 0;

    while (v.n && n < ARRAY_LEN(items))
        items[n++] = str_trim(str_cut(&v, ','));
    return config_set_list(c, s, items, n, err);
}

int config_set_text(struct numawise_config *c, const struct config_setting *s, struct str v,
                    struct err *err)
{
    if (s->type == CONFIG_CHOICE)
        return set_choice(c, s, v, err);
    if (s->type == CONFIG_LIST)
        return set_divided(c, s, v, err);
    if (!is_text(s))
        return err_set(err, -EINVAL, "%s: unexpected text \"%.*s\"", s->path, STR_ARG(v));
    const int rc = check_text(s, v, err);
    if (rc == 0)
        store_text(c, s, v);
    return rc;
}

bool config_is_off(const struct config_listener *l)
{
    return strcmp(l->address.p, "off") == 0;
}

static int lonely(enum config_role role, const char *what, const char *missing, struct err *err)
{
    return err_set(err, -EINVAL, "listeners.%s.tls.%s: there is no %s beside it",
                   config_role_names[role], what, missing);
}

static int check_tls(const struct config_listener *l, enum config_role role, struct err *err)
{
    if (l->cert_file.p[0] && !l->key_file.p[0])
        return lonely(role, "certFile", "keyFile", err);
    if (l->key_file.p[0] && !l->cert_file.p[0])
        return lonely(role, "keyFile", "certFile", err);
    if (l->client_ca_file.p[0] && !l->cert_file.p[0])
        return lonely(role, "clientCAFile", "certFile", err);
    if (l->allowed_names.p[0] && !l->client_ca_file.p[0])
        return lonely(role, "allowedNames", "clientCAFile", err);
    if (role == CONFIG_ADMISSION && !config_is_off(l) && !l->cert_file.p[0])
        return err_set(err, -EINVAL,
                       "listeners.admission.address: needs listeners.admission.tls.certFile: the "
                       "API server calls webhooks by TLS only");
    return 0;
}

static const char *const query_names[CONFIG_SIGNALS] = {"networkBandwidth", "computeUtilization",
                                                        "computeQueue"};

/* "http://HOST...", and nothing in it that no address has. */
static bool is_url(const char *text)
{
    const char *const host = strncmp(text, "https://", 8) == 0  ? text + 8
                             : strncmp(text, "http://", 7) == 0 ? text + 7
                                                                : "";

    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("?#@\\", *p))
            return false;
    }
    return strcspn(host, "/") > 0;
}

static int check_prometheus(const struct config_prometheus *p, struct err *err)
{
    const bool tls = strncmp(p->address.p, "https://", 8) == 0;
    int first = -1;

    for (int i = CONFIG_SIGNALS - 1; i >= 0; i--)
        first = p->queries[i].p[0] ? i : first;
    if (!p->address.p[0] && first >= 0)
        return err_set(err, -EINVAL,
                       "signals.prometheus.queries.%s: there is no signals.prometheus.address",
                       query_names[first]);
    if (!p->address.p[0])
        return 0;
    if (!is_url(p->address.p))
        return err_set(err, -EINVAL,
                       "signals.prometheus.address: expected http://HOST:PORT or "
                       "https://HOST:PORT");
    if (first < 0)
        return err_set(err, -EINVAL,
                       "signals.prometheus.address: there is nothing to ask in "
                       "signals.prometheus.queries");
    if (!tls && (p->token_file.p[0] || p->ca_file.p[0]))
        return err_set(err, -EINVAL, "signals.prometheus.%s: needs an address with https://",
                       p->token_file.p[0] ? "tokenFile" : "caFile");
    if (p->ttl_ms < p->interval_ms)
        return err_set(err, -EINVAL,
                       "signals.prometheus.timeToLive: shorter than signals.prometheus.interval");
    return 0;
}

/* What may stand in the path of a request: two names of Kubernetes. */
static bool is_object(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    const size_t ns = strspn(s, letters), name = s[ns] == '/' ? strspn(s + ns + 1, letters) : 0;

    return ns > 0 && ns < 64 && name > 0 && name < 254 && s[ns + 1 + name] == 0 && s[0] != '.' &&
           s[ns + 1] != '.';
}

static int check_retry(const struct numawise_config *c, struct err *err)
{
    if (!c->retry.p[0])
        return 0;
    if (c->cluster.p[0])
        return err_set(err, -EINVAL,
                       "extender.retry: needs an API server, and source.cluster is a directory");
    return is_object(c->retry.p)
               ? 0
               : err_set(err, -EINVAL, "extender.retry: \"%s\" is not NAMESPACE/NAME", c->retry.p);
}

/* Nobody acts where nobody could know whether another one does, too. */
static int check_act(const struct numawise_config *c, struct err *err)
{
    if (c->act != CONFIG_ACT_ENFORCE)
        return 0;
    if (c->cluster.p[0])
        return err_set(err, -EINVAL,
                       "operator.act: Enforce needs an API server, and source.cluster is a "
                       "directory");
    return c->operator_lease.p[0]
               ? 0
               : err_set(err, -EINVAL,
                         "operator.act: Enforce needs operator.lease, so that one replica acts");
}

int config_check(const struct numawise_config *c, struct err *err)
{
    if (c->bind && c->cluster.p[0])
        return err_set(err, -EINVAL,
                       "extender.bind: needs an API server, and source.cluster is a directory");
    if (c->cluster.p[0] && c->kubeconfig.p[0])
        return err_set(err, -EINVAL, "source.kubeconfig: source.cluster is given, too");
    if (check_act(c, err) || check_retry(c, err) || check_prometheus(&c->prometheus, err))
        return -EINVAL;
    for (int i = 0; i < CONFIG_ROLES; i++) {
        const int rc = check_tls(&c->listeners[i], (enum config_role)i, err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < CONFIG_ROLES; i++) {
        for (size_t j = i + 1; j < CONFIG_ROLES; j++) {
            const char *const a = c->listeners[i].address.p;

            if (config_is_off(&c->listeners[i]) || str_ends(str_of(a), ":0") ||
                strcmp(a, c->listeners[j].address.p) != 0)
                continue;
            return err_set(err, -EINVAL,
                           "listeners.%s.address: %s is the address of listeners.%s, too",
                           config_role_names[j], a, config_role_names[i]);
        }
    }
    return 0;
}

/* --- durations and sizes --- */

static const struct {
    const char *name;
    double ms;
} units[] = {{"ns", 1e-6}, {"us", 1e-3},  {"\xc2\xb5s", 1e-3}, {"\xce\xbcs", 1e-3},
             {"ms", 1},    {"s", 1000.0}, {"m", 60000.0},      {"h", 3600000.0}};

/* Digits with at most one point; their count of bytes, 0 when there is no digit. */
static size_t read_decimal(struct str s, double *out)
{
    double v = 0, place = 1;
    bool point = false, digit = false;
    size_t i = 0;

    for (; i < s.n && (s.p[i] == '.' || (s.p[i] >= '0' && s.p[i] <= '9')); i++) {
        if (s.p[i] == '.') {
            if (point)
                return 0;
            point = true;
            continue;
        }
        digit = true;
        v = v * 10 + (s.p[i] - '0');
        place *= point ? 10 : 1;
    }
    *out = v / place;
    return digit && i <= 18 ? i : 0; /* more digits are more than a double holds */
}

static double read_unit(struct str s, size_t *out_used)
{
    size_t n = 0;

    while (n < s.n && s.p[n] != '.' && (s.p[n] < '0' || s.p[n] > '9'))
        n++;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_is((struct str){s.p, n}, units[i].name)) {
            *out_used = n;
            return units[i].ms;
        }
    }
    return 0;
}

int config_parse_duration(struct str text, int64_t *out_ms)
{
    double sum = 0.5; /* to nearest */

    if (str_is(text, "0")) {
        *out_ms = 0;
        return 0;
    }
    if (text.n == 0)
        return -EINVAL;
    while (text.n) {
        double v;
        size_t used = read_decimal(text, &v);

        if (used == 0)
            return -EINVAL;
        text = (struct str){text.p + used, text.n - used};
        const double unit = read_unit(text, &used);
        if (unit <= 0)
            return -EINVAL;
        text = (struct str){text.p + used, text.n - used};
        sum += v * unit;
    }
    if (sum > 9007199254740992.0) /* 2^53 */
        return -ERANGE;
    *out_ms = (int64_t)sum;
    return 0;
}

void config_format_duration(struct buf *out, int64_t ms)
{
    const int64_t h = ms / 3600000, m = ms / 60000 % 60, s = ms / 1000 % 60, rest = ms % 1000;

    if (h)
        buf_printf(out, "%" PRId64 "h", h);
    if (m)
        buf_printf(out, "%" PRId64 "m", m);
    if (s)
        buf_printf(out, "%" PRId64 "s", s);
    if (rest)
        buf_printf(out, "%" PRId64 "ms", rest);
    if (ms == 0)
        buf_text(out, "0s");
}
