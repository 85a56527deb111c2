/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A policy row: key u32 be id; value
 *     varint version (1), varint order, varint flags, varint start, varint unit, varint count,
 *     bytes name, bytes query
 * and nothing after it.
 */
#include "policy_internal.h"

#define ROW_VERSION 1u

int emlfs_policy_encode(const struct emlfs_policy *policy, struct emlfs_buf *ret_value)
{
    const uint64_t numbers[] = {ROW_VERSION,   policy->order,       policy->flags,
                                policy->start, policy->period.unit, policy->period.count};
    int r = emlfs_policy_ok(policy) ? 0 : -EINVAL;

    emlfs_buf_clear(ret_value);
    for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = emlfs_buf_append_varint(ret_value, numbers[i]);
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(policy->name));
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(policy->query));
    return r;
}

int emlfs_policy_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_policy *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_policy policy = {0};

    if (!emlfs_row_key_u32(key, &policy.id))
        return -EUCLEAN;
    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    policy.order = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    policy.flags = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    policy.start = (enum emlfs_policy_start)emlfs_cursor_varint_max(&cur, EMLFS_START_YEAR_END);
    policy.period.unit = (enum emlfs_period_unit)emlfs_cursor_varint_max(&cur, EMLFS_PERIOD_YEARS);
    policy.period.count = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    emlfs_row_text_take(&cur, policy.name, sizeof(policy.name), false);
    emlfs_row_text_take(&cur, policy.query, sizeof(policy.query), true);
    if (!emlfs_cursor_done(&cur) || !emlfs_policy_ok(&policy))
        return -EUCLEAN;
    *ret = policy;
    return 0;
}
