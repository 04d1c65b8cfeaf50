/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something failed, in words for a person. Lives in the caller's frame: reporting an error
 * never allocates. Every function here takes err = NULL and then only passes the code on.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

enum { ERR_TEXT_BYTES = 240 };

struct err {
    int code; /* negative errno, 0 = nothing set */
    char text[ERR_TEXT_BYTES];
};

/* Set code and text (cut at ERR_TEXT_BYTES, never inside a UTF-8 sequence); returns `code`. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);

/* Put "context: " before the text while the error travels up; returns the code it holds. */
int err_wrap(struct err *err, int code, const char *fmt, ...) PRINTF(3, 4);

#endif
