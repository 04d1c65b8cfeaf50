/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One API server, asked as one user: requests go out from, and are answered on, one event loop, and
 * nothing blocks. HTTP/2 where the server speaks it, so that many watches share a connection. TLS
 * 1.2 or newer, always verified. Redirects are not followed, answers are never decompressed, and
 * only the proxy of the kubeconfig is used.
 *
 *     static void on_done(void *ctx, const struct kube_answer *a) { ... }
 *
 *     const struct kube_request r = {.method = KUBE_POST, .path =
 * "/api/v1/namespaces/ml/pods/a/binding", .body = body, .done = on_done, .ctx = me}; rc =
 * kube_api_send(api, &r, &call, &err);
 *
 * Everything here is for the thread of the loop. Another thread makes an API client of its own, on
 * its own loop; the struct kube_access may be shared.
 */
#ifndef KUBE_API_H
#define KUBE_API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "kube/status.h"

struct event_base;
struct kube_access;
struct kube_api;
struct kube_call;

enum kube_method { KUBE_GET, KUBE_POST, KUBE_PUT, KUBE_PATCH, KUBE_DELETE, KUBE_METHODS };

#define KUBE_MERGE_PATCH     "application/merge-patch+json"
#define KUBE_STRATEGIC_PATCH "application/strategic-merge-patch+json"
#define KUBE_APPLY_PATCH     "application/apply-patch+yaml"

/* What came back. Borrowed during the callback. */
struct kube_answer {
    int status; /* of HTTP; 0: no answer came */
    /*
     * code 0: 2xx, and all of it. Else the text says what was asked and what went wrong, for
     * people: "GET /api/v1/nodes: 403 Forbidden: nodes is forbidden: ...". Codes:
     * -EACCES (401, 403), -ENOENT (404), -EEXIST (409), -ESTALE (410), -EAGAIN (429 and 5xx: later
     * perhaps), -EINVAL (other 4xx), -EPROTO (3xx, not JSON, or no HTTP), -EFBIG (body over
     * max_bytes), -ETIMEDOUT, -EHOSTUNREACH (no connection, or it ended too early; what a write did
     * is not known then), -EKEYREJECTED (TLS: either side does not believe the other), -ENOMEM, or
     * what `data` returned.
     */
    struct err err;
    /* Followed by 64 readable bytes. Empty where `data` took it; of an error at most 64 KiB. */
    struct str body;
    struct kube_status details; /* of an error's body, where it is a Status */
    int64_t retry_after_ms;     /* from the head, else the Status; -1 = not said */
};

struct kube_request {
    enum kube_method method;
    const char *path; /* and query: "/api/v1/pods?limit=500"; escaped: fetch_escape */
    struct str body;
    const char *content_type; /* of the body; NULL: application/json */
    const char *accept;       /* NULL: application/json, and then a 2xx must be JSON */
    uint32_t timeout_ms;      /* for all of it, tries included; 0: 35 s */
    uint32_t idle_ms;         /* without a byte of the answer; 0: no limit of its own */
    size_t max_bytes;         /* of the body of a 2xx without `data`; 0: 8 MiB */
    /*
     * How often to send it again where the server says 429 or 5xx together with a time to wait,
     * which it then waits. Only for what may be done twice, or has preconditions.
     */
    uint32_t retries;
    /*
     * All may be NULL. `started`: a 2xx begins. `data`: more of its body; not 0 ends the call with
     * that code. `done`: called once, unless the call is cancelled; afterwards the call is gone.
     * They may send and cancel; they may not free the api.
     */
    void (*started)(void *ctx);
    int (*data)(void *ctx, const char *p, size_t n);
    void (*done)(void *ctx, const struct kube_answer *answer);
    void *ctx;
};

/* All 0 = as base/limits.h and kube/pulse.h say; other values are for tests. */
struct kube_api_options {
    uint32_t connect_ms, silence_ms, probe_ms;
};

/*
 * Nothing is asked yet. `access` is borrowed and outlives it. 0; -ENOMEM; -EIO; or what reading
 * tokens and certificates for the first time says (kube/credentials.h).
 */
int kube_api_new(struct kube_api **out, struct event_base *base, const struct kube_access *access,
                 const struct kube_api_options *options, struct err *err) MUST_CHECK;

/* All calls end without a word. NULL is fine. */
void kube_api_free(struct kube_api *api);

/*
 * Ask. What `request` points to is copied, but for ctx. The call begins with the loop's next turn:
 * `done` is never called from here. `out` may be NULL. 0; -EBUSY (LIMIT_API_CALLS are out);
 * -EINVAL (path); -ENOMEM.
 */
int kube_api_send(struct kube_api *api, const struct kube_request *request, struct kube_call **out,
                  struct err *err) MUST_CHECK;

/* Forget a call: none of its callbacks is called any more. What a write did is not known. */
void kube_call_cancel(struct kube_call *call);

/* Where this goes to: "https://10.0.0.1:6443". */
const char *kube_api_server(const struct kube_api *api);

/* The status codes that are counted one by one; the others together. */
enum { KUBE_CODES = 15 };
extern const char *const kube_code_names[KUBE_CODES]; /* "200", ..., "other", "<error>" */
extern const char *const kube_method_names[KUBE_METHODS];

/* From any thread; each figure is read by itself. */
struct kube_api_stats {
    atomic_ullong requests[KUBE_METHODS][KUBE_CODES]; /* answers; "<error>": none came */
    atomic_ullong retries, connections_lost, credential_failures;
    atomic_uint open; /* calls that are out */
};
const struct kube_api_stats *kube_api_stats(const struct kube_api *api);

#endif
