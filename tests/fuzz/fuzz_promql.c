/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer of Prometheus: what is read becomes a Signal that can be decoded. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/promql.h"
#include "kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *padded(const void *p, size_t n)
{
    char *const text = malloc(n + SCAN_PADDING_BYTES);

    if (!text)
        abort();
    if (n > 0)
        memcpy(text, p, n);
    memset(text + n, '"', SCAN_PADDING_BYTES);
    return text;
}

static void check_signal(const struct promql_answer *answer)
{
    struct kube_signal s;
    struct buf out = {0};
    struct arena a;

    promql_signal(&out, STR("n"), SIGNAL_NETWORK, 60, answer);
    assert(!out.failed);
    const size_t room = 64 * out.n + 65536;
    char *const text = padded(out.p, out.n), *const memory = malloc(room);
    if (!memory)
        abort();
    arena_init(&a, memory, room);
    const int rc = kube_signal_decode(&s, (struct str){text, out.n}, true, &a, NULL);
    assert(rc != 0 || s.nodes.n <= answer->n);
    free(memory);
    free(text);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t room = promql_room(size);
    char *const text = padded(data, size), *const memory = malloc(room);
    struct promql_answer answer;
    struct arena a;

    if (!memory)
        abort();
    arena_init(&a, memory, room);
    const int rc = promql_decode(&answer, (struct str){text, size}, &a, NULL);
    if (rc == 0) {
        for (uint32_t i = 0; i < answer.n; i++)
            assert(answer.samples[i].node.n && answer.samples[i].value >= 0 &&
                   answer.samples[i].value <= SIGNAL_MOST);
        check_signal(&answer);
    }
    free(memory);
    free(text);
    return 0;
}
