/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which site a request is for, and which one it comes from, for browsers run pages of strangers: a
 * page may post to any address, and its owner may let his own name lead to this machine (DNS
 * rebinding). Pure.
 */
#ifndef NET_SITE_H
#define NET_SITE_H

#include <stdbool.h>

#include "base/str.h"

/* "localhost", an address of 127.0.0.0/8 or [::1], with any port: names that nobody else can own.
 */
bool site_is_local(struct str host);

/* Is an Origin ("http://127.0.0.1:8788") the site that Host names, with the same port? */
bool site_is_own(struct str origin, struct str host);

#endif
