/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: what is accepted prints to a file that says the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "kube/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hear(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text)
{
    assert(line > 0 && column > 0 && text[0]);
    ++*(uint32_t *)ctx;
}

static void read_again(const struct numawise_config *c)
{
    struct numawise_config again;
    struct buf text = {0};

    config_init(&again);
    config_print(&text, c);
    if (kube_config_read_text(&again, buf_view(&text), "again", NULL, NULL) < 0)
        abort();
    assert(memcmp(&again, c, sizeof(again)) == 0);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct numawise_config c;
    struct err err = {.code = 0};
    uint32_t problems = 0;
    const struct kube_config_report report = {hear, &problems};

    config_init(&c);
    const int rc =
        kube_config_read_text(&c, (struct str){(const char *)data, size}, "c.yaml", &report, &err);
    assert((rc < 0) == (problems > 0));
    if (rc == 0)
        read_again(&c);
    return 0;
}
