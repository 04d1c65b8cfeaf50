/* SPDX-License-Identifier: Apache-2.0 */
/* The Status object in which an API server says that something failed. */
#ifndef KUBE_STATUS_H
#define KUBE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { KUBE_STATUS_WORD_BYTES = 64, KUBE_STATUS_TEXT_BYTES = 200 };

/* A plain value; texts are cut to their room, never inside of a character. */
struct kube_status {
    bool failed;                         /* status is "Failure" */
    uint32_t code;                       /* as in HTTP; 0 = not said */
    char reason[KUBE_STATUS_WORD_BYTES]; /* "Expired", "Forbidden", ...; empty = not said */
    char cause[KUBE_STATUS_WORD_BYTES];  /* reason of the first of details.causes */
    char message[KUBE_STATUS_TEXT_BYTES];
    int64_t retry_after_s; /* details.retryAfterSeconds; -1 = not said */
};

/*
 * True when `json`, followed by 64 readable bytes, is an object of kind Status; else `out` is a
 * Status that says nothing. Fields of a wrong type count as not said.
 */
bool kube_status_decode(struct kube_status *out, struct str json);

#endif
