/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/configz.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "kube/fetch.h"
#include "kube/file.h"

enum { PORT = 10250, HOST_BYTES = 64, PLACE_BYTES = 80, NAME_BYTES = 256, SAID_BYTES = 120 };

/* "HOST:PORT" of an IP address, the IPv6 ones in brackets, and the port by itself. */
struct place {
    char text[PLACE_BYTES];
    unsigned port;
};

/* `port` as it stands behind the colon, or NULL. */
static bool set_place(struct place *out, const char *host, const char *port)
{
    struct in6_addr six;
    struct in_addr four;
    const bool is_six = inet_pton(AF_INET6, host, &six) == 1;
    char rest = 0;

    if (!is_six && inet_pton(AF_INET, host, &four) != 1)
        return false;
    out->port = PORT;
    if (port &&
        (!isdigit((unsigned char)*port) || strlen(port) > 5 ||
         sscanf(port, "%u%c", &out->port, &rest) != 1 || out->port == 0 || out->port > UINT16_MAX))
        return false;
    (void)snprintf(out->text, sizeof(out->text), is_six ? "[%s]:%u" : "%s:%u", host, out->port);
    return true;
}

static bool read_place(struct place *out, const char *address)
{
    const bool brackets = *address == '[';
    const char *const colon = strchr(address, ':');
    const char *const first = brackets ? address + 1 : address;
    /* what has one colon has a port, what has more is IPv6 */
    const char *const end = brackets                           ? strchr(address, ']')
                            : colon && !strchr(colon + 1, ':') ? colon
                                                               : address + strlen(address);
    char host[HOST_BYTES];

    if (!end || (size_t)(end - first) >= sizeof(host))
        return false;
    memcpy(host, first, (size_t)(end - first));
    host[end - first] = '\0';
    const char *const rest = brackets ? end + 1 : end;
    return (*rest == '\0' || *rest == ':') && set_place(out, host, *rest ? rest + 1 : NULL);
}

int agent_configz_check(const char *address, struct err *err)
{
    struct place place;

    return read_place(&place, address)
               ? 0
               : err_set(err, -EINVAL, "\"%.80s\" is not an IP address, nor one and a port",
                         address);
}

/* All certificates of all files that are there. */
static int read_cas(struct buf *out, const struct agent_configz *from, struct err *err)
{
    struct err why = {.code = -EINVAL, .text = "no certificate is given to believe"};

    for (size_t i = 0; i < ARRAY_LEN(from->ca); i++) {
        struct buf one = {0};

        if (from->ca[i] && kube_file_read(from->ca[i], &one, &why) == 0) {
            buf_str(out, buf_view(&one));
            buf_text(out, "\n");
        }
        buf_free(&one);
    }
    if (out->failed)
        return err_set(err, -ENOMEM, "no memory for certificates");
    return out->n ? 0 : err_set(err, -EINVAL, "%s", why.text);
}

/* What it says in its own words: one line of them. */
static int refused(int status, struct str body, struct err *err)
{
    char said[SAID_BYTES];
    size_t n = 0;

    while (n < body.n && n < sizeof(said) - 1 && isprint((unsigned char)body.p[n])) {
        said[n] = body.p[n];
        n++;
    }
    said[n] = '\0';
    const int rc = status == 403 ? -EACCES : status == 401 || status >= 500 ? -EAGAIN : -EPROTO;
    return err_set(err, rc, "/configz: HTTP %d: %s", status, said);
}

static int ask(struct buf *body, const struct agent_configz *from, const struct place *place,
               struct str ca, struct err *err)
{
    const struct fetch_access access = {
        .token_file = from->token_file, .ca_pem = ca, .connect_to = place->text};
    char url[NAME_BYTES + PLACE_BYTES];
    int status = 0;

    (void)snprintf(url, sizeof(url), "https://%.*s:%u", NAME_BYTES, from->name, place->port);
    const int rc = fetch_get(body, &status, url, "/configz", &access, err);
    if (rc)
        return rc;
    return status == 200 ? 0 : refused(status, buf_view(body), err);
}

/* Keep a new answer, or give the one before where there is none now. Returns `rc` or 0. */
static int remember(struct buf *body, struct buf *last, int rc)
{
    if (rc == 0) {
        last->n = 0;
        buf_str(last, buf_view(body));
        if (last->failed)
            buf_free(last); /* it is not needed now */
    } else if (last->n && (rc == -EHOSTUNREACH || rc == -ETIMEDOUT || rc == -EAGAIN)) {
        body->n = 0;
        buf_str(body, buf_view(last));
        return 0;
    }
    return rc;
}

int agent_configz_ask(struct buf *out, const struct agent_configz *from, struct err *err)
{
    struct buf body = {0}, ca = {0};
    struct place place;
    int rc = 0;

    if (!read_place(&place, from->address))
        rc = agent_configz_check(from->address, err);
    if (rc == 0)
        rc = read_cas(&ca, from, err);
    if (rc == 0)
        rc = ask(&body, from, &place, buf_view(&ca), err);
    if (from->last)
        rc = remember(&body, from->last, rc);
    if (rc == 0)
        buf_str(out, buf_view(&body));
    if (rc == 0 && (body.failed || out->failed))
        rc = err_set(err, -ENOMEM, "no memory for the answer");
    buf_free(&body);
    buf_free(&ca);
    return rc ? err_wrap(err, rc, "the kubelet at %s", from->address) : 0;
}
