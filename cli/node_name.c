/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/node_name.h"

#include <string.h>
#include <unistd.h>

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool node_name_is_valid(const char *name)
{
    const size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        const bool edge = i == 0 || i + 1 == n || name[i - 1] == '.' || name[i + 1] == '.';

        if (!is_name_byte(name[i]) && (edge || (name[i] != '-' && name[i] != '.')))
            return false;
    }
    return n > 0 && n < NODE_NAME_BYTES;
}

void node_name_of_host(char out[NODE_NAME_BYTES])
{
    memset(out, 0, NODE_NAME_BYTES);
    (void)gethostname(out, NODE_NAME_BYTES - 1);
    for (size_t i = 0; out[i]; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] - 'A' + 'a');
}
