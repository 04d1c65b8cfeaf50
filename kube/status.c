/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/status.h"

#include <stdlib.h>
#include <string.h>

#include "kube/scan.h"

/* A whole character is kept or none of it. */
static void read_text(struct scan *s, char *out, size_t room)
{
    struct str raw;

    if (scan_kind(s) != SCAN_STRING || !scan_string(s, &raw))
        return;
    char *const text = malloc(raw.n + 1);
    if (!text)
        return;
    size_t n = scan_unescape(text, raw);
    if (n > room - 1) {
        n = room - 1;
        while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(out, text, n);
    out[n] = 0;
    free(text);
}

static void read_number(struct scan *s, int64_t *out)
{
    struct str text;
    uint64_t v;

    if (scan_kind(s) == SCAN_NUMBER && scan_number(s, &text) && str_u64(text, &v) && v <= INT32_MAX)
        *out = (int64_t)v;
}

static void read_causes(struct scan *s, struct kube_status *out)
{
    if (scan_kind(s) != SCAN_ARRAY || !scan_array(s))
        return;
    while (scan_item(s)) {
        if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
            continue;
        while (scan_key(s)) {
            if (scan_at(s, "reason") && !out->cause[0])
                read_text(s, out->cause, sizeof(out->cause));
        }
    }
}

static void read_details(struct scan *s, struct kube_status *out)
{
    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "retryAfterSeconds"))
            read_number(s, &out->retry_after_s);
        else if (scan_at(s, "causes"))
            read_causes(s, out);
    }
}

/* One member; true when it says that this is a Status. */
static bool read_member(struct scan *s, struct kube_status *out)
{
    char word[KUBE_STATUS_WORD_BYTES] = "";
    int64_t code = 0;

    if (scan_at(s, "kind")) {
        read_text(s, word, sizeof(word));
        return strcmp(word, "Status") == 0;
    }
    if (scan_at(s, "status")) {
        read_text(s, word, sizeof(word));
        out->failed = strcmp(word, "Failure") == 0;
    } else if (scan_at(s, "code")) {
        read_number(s, &code);
        out->code = code < 1000 ? (uint32_t)code : 0;
    } else if (scan_at(s, "reason")) {
        read_text(s, out->reason, sizeof(out->reason));
    } else if (scan_at(s, "message")) {
        read_text(s, out->message, sizeof(out->message));
    } else if (scan_at(s, "details")) {
        read_details(s, out);
    }
    return false;
}

bool kube_status_decode(struct kube_status *out, struct str json)
{
    struct kube_status status = {.retry_after_s = -1};
    bool is_status = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (json.n && scan_kind(&s) == SCAN_OBJECT && scan_object(&s)) {
        while (scan_key(&s))
            is_status = read_member(&s, &status) || is_status;
    }
    if (scan_end(&s, NULL) < 0 || !is_status) {
        *out = (struct kube_status){.retry_after_s = -1};
        return false;
    }
    *out = status;
    return true;
}
