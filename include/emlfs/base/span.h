/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_SPAN_H
#define EMLFS_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes. data may be NULL only when len is 0. */
struct emlfs_span {
    const uint8_t *data;
    size_t len;
};

static inline struct emlfs_span emlfs_span_of(const void *data, size_t len)
{
    return (struct emlfs_span){.data = data, .len = len};
}

static inline struct emlfs_span emlfs_span_str(const char *text)
{
    return emlfs_span_of(text, strlen(text));
}

/* Behind the last byte; NULL where data is (to which even 0 may not be added). */
static inline const uint8_t *emlfs_span_end(struct emlfs_span span)
{
    return span.data ? span.data + span.len : NULL;
}

static inline bool emlfs_span_equal(struct emlfs_span a, struct emlfs_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
