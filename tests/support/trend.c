/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/trend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double trend_slope(const double *y, size_t n)
{
    const size_t pairs = n * (n - 1) / 2;
    size_t k = 0;

    assert(n >= 2 && n <= 2000);
    double *const slopes = calloc(pairs, sizeof(*slopes));
    if (!slopes) {
        fprintf(stderr, "trend: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            slopes[k++] = (y[j] - y[i]) / (double)(j - i);
    qsort(slopes, pairs, sizeof(*slopes), by_value);
    const double median = (slopes[(pairs - 1) / 2] + slopes[pairs / 2]) / 2;
    free(slopes);
    return median;
}
