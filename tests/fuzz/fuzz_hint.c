/* SPDX-License-Identifier: Apache-2.0 */
/* "NAME=VALUE" in any bytes as a hint, and the value as a CPU list: refused with words, or sound.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/hints.h"
#include "topology/cpuset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_hint(struct str key, struct str value)
{
    struct err err = {.text = ""};
    const int rc = kube_hint_check(key, value, &err);

    assert(rc == 0 || rc == -ENOENT || rc == -EINVAL);
    assert(rc == 0 || err.text[0]);
}

/* What was read is written to a list that reads to the same set. */
static void check_list(struct str list)
{
    uint64_t set[TOPO_MAX_CPUS / 64], again[TOPO_MAX_CPUS / 64];
    struct err err = {.text = ""};
    struct buf text = {0};

    const int span = cpuset_span(list, &err);
    const int rc = cpuset_parse(set, ARRAY_LEN(set), list, &err);
    assert((span < 0) == (rc < 0));
    if (rc < 0) {
        assert(err.text[0]);
        return;
    }
    assert(cpuset_next(set, ARRAY_LEN(set), (uint32_t)span) == TOPO_MAX_CPUS);
    assert(span == 0 || cpuset_has(set, (uint32_t)span - 1));
    cpuset_format(&text, set, ARRAY_LEN(set));
    assert(cpuset_parse(again, ARRAY_LEN(again), buf_view(&text), NULL) == 0);
    assert(memcmp(set, again, sizeof(set)) == 0);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = {size > 0 ? (const char *)data : "", size};
    const struct str key = str_cut(&value, '=');

    check_hint(key, value);
    check_list(value);
    return 0;
}
