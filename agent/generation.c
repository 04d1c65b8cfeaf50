/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/generation.h"

#include "kube/scan.h"

/* {"name": "...", "value": "..."}: its value where it is ours. */
static void read_attribute(struct scan *s, uint64_t *generation)
{
    struct str name = {0}, value = {0};

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_string(s, &name);
        else if (scan_at(s, "value"))
            (void)scan_string(s, &value);
    }
    if (str_is(name, "orchestration.gokore.io/generation") && !str_u64(value, generation))
        *generation = 0;
}

uint64_t agent_generation(struct str json)
{
    uint64_t generation = 0;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s))
        while (scan_key(&s))
            if (scan_at(&s, "attributes") && scan_array(&s))
                while (scan_item(&s))
                    read_attribute(&s, &generation);
    return scan_end(&s, NULL) ? 0 : generation;
}
