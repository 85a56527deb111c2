/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_POLICY_INTERNAL_H
#define EMLFS_STORE_POLICY_POLICY_INTERNAL_H

#include "emlfs/base/cursor.h"
#include "emlfs/retention.h"

/* Private to store/policy and its tests. */

/* Is policy as retention.h says, by itself? */
bool emlfs_policy_ok(const struct emlfs_policy *policy);
/*
 * For every instant x: is the end of a, counted by its start rule, never before the end of b? The
 * dates that the rules use are as free as retention.h leaves them.
 */
bool emlfs_policy_dominates(const struct emlfs_policy *a, const struct emlfs_policy *b);

/* Text of rows: UTF-8 without control characters, in a field of size bytes with its NUL. */
bool emlfs_row_text_ok(const char *text, size_t size, bool may_be_empty);
/* The next bytes of cur into out; sets bad when they are no such text. */
void emlfs_row_text_take(struct emlfs_cursor *cur, char *out, size_t size, bool may_be_empty);
/* 0, or -EUCLEAN, -EPROTONOSUPPORT: reads the version that every row begins with. */
int emlfs_row_version(struct emlfs_cursor *cur, uint64_t known);
/* Is key the big-endian id? */
bool emlfs_row_key_u32(struct emlfs_span key, uint32_t *ret_id);

#endif
