/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on one connection, by OpenSSL over buffers of our own: the socket is read and written in as
 * large pieces as without TLS, and an idle connection holds none. One thread, the server's.
 */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/http.h"
#include "net/wire_end.h"

struct evbuffer;
struct identity;
struct tls_session;
struct tls_version;

/* Takes over the reference to `v`, also on failure. NULL when out of memory. */
struct tls_session *tls_session_new(struct tls_version *v, int fd);

/* `fd` < 0: it is closed already. NULL is fine. */
void tls_session_free(struct tls_session *s, int fd);

/* As far as the bytes that are there allow. WIRE_DEAD: `*why`, and an alert is on its way. */
enum wire_end tls_session_shake(struct tls_session *s, enum http_tls_failure *why);

/* As wire_read, wire_write and wire_shut. */
ssize_t tls_session_read(struct tls_session *s, char *p, size_t room);
enum wire_end tls_session_write(struct tls_session *s, struct evbuffer *out);
void tls_session_shut(struct tls_session *s);

/* Something may be read although the socket has nothing. */
bool tls_session_has_more(const struct tls_session *s);
/* Something waits for the socket to take it. */
bool tls_session_is_full(const struct tls_session *s);

/* Whom the client's certificate names; NULL: it has shown none. The session keeps its reference. */
struct identity *tls_session_identity(const struct tls_session *s);
const struct tls_version *tls_session_version(const struct tls_session *s);

#endif
