/* SPDX-License-Identifier: Apache-2.0 */
#include "net/site.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/*
 * Not empty: without the port, and an address of IPv6 without its brackets; false: it is of no such
 * form.
 */
static bool cut_port(struct str host, struct str *out)
{
    const bool in_brackets = host.p[0] == '[';
    const char *const end = memchr(host.p, in_brackets ? ']' : ':', host.n);
    const size_t n = end ? (size_t)(end - host.p) : host.n;
    struct str port = {host.p + n + in_brackets, host.n - n - in_brackets};

    if (in_brackets && !end)
        return false;
    *out = (struct str){host.p + in_brackets, n - in_brackets};
    if (port.n == 0)
        return true;
    for (size_t i = 1; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9')
            return false;
    }
    return port.p[0] == ':';
}

bool site_is_local(struct str host)
{
    struct str name;
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (host.n == 0 || !cut_port(host, &name) || name.n == 0 || name.n >= sizeof(text))
        return false;
    if (host.p[0] != '[' && name.n == 9 && strncasecmp(name.p, "localhost", 9) == 0)
        return true;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (host.p[0] == '[')
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool site_is_own(struct str origin, struct str host)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (int i = 0; i < 2; i++) {
        const size_t n = strlen(schemes[i]);

        if (host.n > 0 && origin.n == n + host.n && strncasecmp(origin.p, schemes[i], n) == 0 &&
            strncasecmp(origin.p + n, host.p, host.n) == 0)
            return true;
    }
    return false;
}
