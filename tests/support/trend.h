/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a series of figures grow? Made for the memory of a program, which an allocator moves up and
 * down in steps: neither one step nor a few outliers are growth.
 */
#ifndef TESTS_SUPPORT_TREND_H
#define TESTS_SUPPORT_TREND_H

#include <stddef.h>

/*
 * The slope of y[0..n), per sample: the median of the slopes between all pairs (Theil, Sen 1968:
 * "Estimates of the regression coefficient based on Kendall's tau"), which up to 29 percent of
 * arbitrary values cannot move far. n from 2 to 2,000; exits when the heap is empty.
 */
double trend_slope(const double *y, size_t n);

#endif
