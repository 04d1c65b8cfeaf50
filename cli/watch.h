/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows one file: the callback comes on the loop shortly after it was written, replaced by a
 * rename, or its directory's symbolic links moved (how a mounted ConfigMap changes).
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "base/attr.h"

struct err;
struct event_base;
struct watch;

/* 0, -errno. `path` is copied; the file need not exist, its directory must. */
int watch_new(struct watch **out, const char *path, struct event_base *base,
              void (*changed)(void *ctx), void *ctx, struct err *err) MUST_CHECK;
void watch_free(struct watch *w); /* NULL is fine */

#endif
