/* SPDX-License-Identifier: Apache-2.0 */
/* One Lease for the fake API server, with versions as an API server keeps them. From any thread. */
#ifndef TESTS_SUPPORT_FAKE_LEASE_H
#define TESTS_SUPPORT_FAKE_LEASE_H

#include "base/str.h"

struct buf;

/* Its name is "numawise". */
#define FAKE_LEASES "/apis/coordination.k8s.io/v1/namespaces/sys/leases"
enum { FAKE_LEASE_HOLDER_BYTES = 64 };

/* As a fake_api_handler; what is not about it is a 404. */
int fake_lease_handle(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out);
void fake_lease_clear(void);                               /* there is none any more */
void fake_lease_holder(char out[FAKE_LEASE_HOLDER_BYTES]); /* "(none)" */
int fake_lease_patches(void);                              /* so often it was written */

#endif
