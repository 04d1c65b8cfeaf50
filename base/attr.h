/* SPDX-License-Identifier: Apache-2.0 */
/* The few things C says only by macro. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define MUST_CHECK      __attribute__((warn_unused_result))
#define PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define CLEANUP(fn)     __attribute__((cleanup(fn)))
#define ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))

#endif
