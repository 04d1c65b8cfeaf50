/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a kubeconfig: what is accepted has a server that TLS protects, and whole secrets. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    struct kube_access a;
    struct err err = {.code = 0};

    if (kube_access_read_text(&a, text, "dir/config", &err) < 0) {
        assert(err.code < 0 && strncmp(err.text, "dir/config:", 11) == 0);
        return 0;
    }
    assert(a.from && a.server && strlen(a.server) > strlen("http://"));
    assert(strncasecmp(a.server, "https://", 8) == 0 || strstr(a.server, "127.0.0.1") ||
           strstr(a.server, "localhost") || strstr(a.server, "[::1]"));
    assert(!(a.cert.text || a.cert.path) == !(a.key.text || a.key.path));
    assert(!a.ca.path || a.ca.path[0] == '/' || strncmp(a.ca.path, "dir/", 4) == 0);
    kube_access_done(&a);
    return 0;
}
