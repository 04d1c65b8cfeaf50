/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_lease.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static struct {
    pthread_mutex_t lock;
    json_t *lease; /* NULL: there is none */
    int version;
    _Atomic int patches;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int answer(json_t *lease, struct buf *out)
{
    char version[16];

    (void)snprintf(version, sizeof(version), "%d", ++store.version);
    json_object_set_new(json_object_get(lease, "metadata"), "resourceVersion",
                        json_string(version));
    if (store.lease != lease)
        json_decref(store.lease);
    store.lease = lease;
    char *const text = json_dumps(lease, JSON_COMPACT);
    buf_text(out, text);
    free(text);
    return 200;
}

static int patch(json_t *body, struct buf *out)
{
    const char *const wanted =
        json_string_value(json_object_get(json_object_get(body, "metadata"), "resourceVersion"));
    const char *const have = json_string_value(
        json_object_get(json_object_get(store.lease, "metadata"), "resourceVersion"));

    store.patches++;
    if (!store.lease)
        return 404;
    if (!wanted || strcmp(wanted, have) != 0)
        return 409;
    json_object_update_new(json_object_get(store.lease, "spec"),
                           json_deep_copy(json_object_get(body, "spec")));
    return answer(store.lease, out);
}

int fake_lease_handle(void *ctx, const char *method, const char *target, struct str body,
                      struct buf *out)
{
    json_t *const json = body.n ? json_loadb(body.p, body.n, 0, NULL) : NULL;
    int status = 404;

    (void)ctx;
    pthread_mutex_lock(&store.lock);
    if (strcmp(method, "GET") == 0 && store.lease && strcmp(target, FAKE_LEASES "/numawise") == 0) {
        char *const text = json_dumps(store.lease, JSON_COMPACT);
        buf_text(out, text);
        free(text);
        status = 200;
    } else if (strcmp(method, "POST") == 0 && json && strcmp(target, FAKE_LEASES) == 0) {
        status = store.lease ? 409 : answer(json_incref(json), out);
        status = status == 200 ? 201 : status;
    } else if (strcmp(method, "PATCH") == 0 && json &&
               strcmp(target, FAKE_LEASES "/numawise") == 0) {
        status = patch(json, out);
    }
    json_decref(json); /* the store may have it, too: whoever ends it has to hold the lock */
    pthread_mutex_unlock(&store.lock);
    return status;
}

void fake_lease_clear(void)
{
    pthread_mutex_lock(&store.lock);
    json_decref(store.lease);
    store.lease = NULL;
    store.patches = 0;
    pthread_mutex_unlock(&store.lock);
}

void fake_lease_holder(char out[FAKE_LEASE_HOLDER_BYTES])
{
    pthread_mutex_lock(&store.lock);
    const json_t *const spec = json_object_get(store.lease, "spec");
    const char *const text = json_string_value(json_object_get(spec, "holderIdentity"));
    (void)snprintf(out, FAKE_LEASE_HOLDER_BYTES, "%s", text ? text : "(none)");
    pthread_mutex_unlock(&store.lock);
}

int fake_lease_patches(void)
{
    return store.patches;
}
