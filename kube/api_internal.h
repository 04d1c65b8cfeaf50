/* SPDX-License-Identifier: Apache-2.0 */
/* Between api.c, which has the loop and the calls, and api_transfer.c, which has one transfer. */
#ifndef KUBE_API_INTERNAL_H
#define KUBE_API_INTERNAL_H

#include <curl/curl.h>
#include <stddef.h>

#include "base/buf.h"
#include "kube/api.h"
#include "kube/credentials.h"
#include "kube/pulse.h"

struct event;

enum call_state {
    CALL_WAITING, /* for `due_ns` */
    CALL_RUNNING, /* curl has it */
    CALL_ENDED,   /* with `code`; to be told */
    CALL_CANCELLED,
};

struct kube_call {
    struct kube_call *next, **link; /* of the api's list */
    struct kube_api *api;
    struct kube_request request; /* its texts are copies */
    struct buf texts[4];         /* path, body, content type, accept */
    enum call_state state;
    uint64_t due_ns, deadline_ns, heard_ns;
    uint32_t tries;
    bool token_tried;
    bool is_probe;
    /* The transfer that is under way. */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct buf url;
    CURLcode code;
    int rc;      /* why it ended, where it was ourselves; 0 = by itself */
    bool is_2xx; /* the final head is through, and is one */
    struct buf body;
    char error[CURL_ERROR_SIZE];
};

struct kube_api {
    struct event_base *base;
    const struct kube_access *access;
    struct kube_api_options options;
    struct kube_credentials credentials;
    struct kube_pulse pulse;
    struct kube_call *calls;
    CURLM *multi;
    struct event *curl_timer; /* when curl wants to be called */
    struct event *turn;       /* the pump, at the next deadline or at once */
    struct kube_api_stats stats;
};

/* api.c: a byte came for the call. */
void api_heard(struct kube_call *call);

/*
 * api_transfer.c. `transfer_start` makes `call->easy` from the request and the credentials: 0,
 * -ENOMEM. `transfer_answer` puts what came of it into words; the answer borrows from the call.
 * `transfer_end` frees what belongs to the one transfer.
 */
int transfer_start(struct kube_call *call) MUST_CHECK;
void transfer_answer(struct kube_call *call, struct kube_answer *out);
void transfer_end(struct kube_call *call);

#endif
