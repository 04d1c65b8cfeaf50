/* SPDX-License-Identifier: Apache-2.0 */
/* Any text: units and thousandths of a quantity agree, as both are rounded away from zero. */
#include <assert.h>
#include <stdint.h>

#include "kube/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = {(const char *)data, size};
    int64_t units, milli;

    const int rc = kube_quantity(text, KUBE_UNITS, &units, NULL);
    const int rc_milli = kube_quantity(text, KUBE_MILLI, &milli, NULL);
    if (rc_milli < 0)
        return 0;
    assert(rc == 0);
    assert(units == milli / 1000 + (milli % 1000 > 0) - (milli % 1000 < 0));
    return 0;
}
