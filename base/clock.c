/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
static const int64_t FIRST_S = -62167219200, LAST_S = 253402300799;

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

int64_t clock_realtime_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* `n` digits at s[at..]; false when one is missing. */
static bool digits(struct str s, size_t at, size_t n, int *out)
{
    int v = 0;

    if (at + n > s.n)
        return false;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = v;
    return true;
}

static bool is_at(struct str s, size_t at, const char *any)
{
    for (; at < s.n && *any; any++) {
        if (s.p[at] == *any)
            return true;
    }
    return false;
}

/* "Z" or "+hh:mm" as the rest of the text. */
static bool zone_offset(struct str s, size_t at, int64_t *out_seconds)
{
    int hours, minutes;

    if (s.n == at + 1 && is_at(s, at, "Zz")) {
        *out_seconds = 0;
        return true;
    }
    if (s.n != at + 6 || !is_at(s, at, "+-") || !is_at(s, at + 3, ":") ||
        !digits(s, at + 1, 2, &hours) || !digits(s, at + 4, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *out_seconds = (s.p[at] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

int clock_parse_rfc3339(struct str s, int64_t *out_us)
{
    struct tm tm = {0};
    int64_t offset, us = 0;
    size_t at = 19;

    if (!digits(s, 0, 4, &tm.tm_year) || !digits(s, 5, 2, &tm.tm_mon) ||
        !digits(s, 8, 2, &tm.tm_mday) || !digits(s, 11, 2, &tm.tm_hour) ||
        !digits(s, 14, 2, &tm.tm_min) || !digits(s, 17, 2, &tm.tm_sec) || !is_at(s, 4, "-") ||
        !is_at(s, 7, "-") || !is_at(s, 10, "Tt ") || !is_at(s, 13, ":") || !is_at(s, 16, ":"))
        return -EINVAL;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return -EINVAL;
    if (is_at(s, at, ".")) {
        int64_t unit = 100000;

        if (!is_at(s, ++at, "0123456789"))
            return -EINVAL;
        for (; is_at(s, at, "0123456789"); at++, unit /= 10)
            us += (s.p[at] - '0') * unit;
    }
    if (!zone_offset(s, at, &offset))
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const int64_t seconds = (int64_t)timegm(&tm) - offset;
    if (seconds < FIRST_S || seconds > LAST_S) /* in UTC a year that has no four digits */
        return -EINVAL;
    *out_us = seconds * 1000000 + us;
    return 0;
}

/* The last `n` decimal digits of `v`, which is not negative. */
static void put_digits(char *out, int n, int v)
{
    for (; n > 0; v /= 10)
        out[--n] = (char)('0' + v % 10);
}

void clock_format_rfc3339(char *out, int64_t us)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";
    struct tm tm;
    const time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));

    (void)gmtime_r(&seconds, &tm);
    memcpy(out, form, sizeof(form));
    put_digits(out, 4, tm.tm_year + 1900);
    put_digits(out + 5, 2, tm.tm_mon + 1);
    put_digits(out + 8, 2, tm.tm_mday);
    put_digits(out + 11, 2, tm.tm_hour);
    put_digits(out + 14, 2, tm.tm_min);
    put_digits(out + 17, 2, tm.tm_sec);
    put_digits(out + 20, 6, (int)(us - (int64_t)seconds * 1000000));
}
