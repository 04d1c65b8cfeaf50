/* SPDX-License-Identifier: Apache-2.0 */
/* The operator as a real process over an API server of this one: for tests of what it does there.
 */
#ifndef TESTS_SUPPORT_LIVE_OPERATOR_H
#define TESTS_SUPPORT_LIVE_OPERATOR_H

#include "tests/support/fake_api.h"
#include "tests/support/server.h"

struct live_operator {
    struct fake_api *api;
    struct test_server server;
    char kubeconfig[TEST_PATH_BYTES], config[TEST_PATH_BYTES];
};

/* The API server; the handler's context is itself. `name` names the files, and nothing else. */
void live_operator_begin(struct live_operator *o, const char *name, const struct fake_kind *kinds,
                         size_t n, fake_api_handler handler);

/* The program, until it has read its cluster; `act` NULL: without a configuration. */
void live_operator_run(struct live_operator *o, const char *act);
/* operator.act is this from now on: at its start, or in a file that changes under it. */
void live_operator_configure(const struct live_operator *o, const char *act);

/* Both end, and the files go. */
void live_operator_end(struct live_operator *o);

/*
 * One call with a token: its status. `body` may have ' for "; the answer replaces what `out` holds,
 * terminated; it may be NULL.
 */
int live_operator_call(const struct live_operator *o, const char *method, const char *target,
                       const char *body, struct buf *out);

#endif
