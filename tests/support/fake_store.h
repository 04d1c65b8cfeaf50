/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to the fake API server: objects of the kinds of its history are created, replaced and
 * removed as Kubernetes does, so that lists and watches tell of it. Status is a subresource; uid
 * and resourceVersion, where they are given, are preconditions.
 */
#ifndef TESTS_SUPPORT_FAKE_STORE_H
#define TESTS_SUPPORT_FAKE_STORE_H

#include <stdbool.h>

#include "base/str.h"

struct buf;
struct fake_api;

/* As a fake_api_handler; `ctx` is the struct fake_api. What it does not know is a 404. */
int fake_store_handle(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out);

/* Put the objects of a manifest that are of kinds it has. Fails the test when one cannot be read.
 */
void fake_store_put_file(struct fake_api *f, const char *path);

/* `text` has ' for ", and no resourceVersion; `kind` as history_kind numbers them. */
void fake_store_put_text(struct fake_api *f, unsigned kind, const char *ns, const char *name,
                         const char *text);

/* The API server's word on tokens and rights: everybody is root, and may do everything. False: the
   call is about something else. */
bool fake_store_lets_in(const char *target, struct buf *out);

#endif
