/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "emlfs/compliance.h"
#include "emlfs/hold.h"
#include "emlfs/retention.h"
#include "emlfs/rights.h"

#include "../../store/policy/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Master rows of store/policy. First byte: which kind; second: length of the key; then key and
 * value. What is accepted encodes to the same bytes.
 */
static void same(int r, const struct emlfs_buf *again, struct emlfs_span bytes)
{
    if (r < 0 || !emlfs_span_equal(emlfs_buf_view(again), bytes))
        abort();
}

static void policy_row(struct emlfs_span key, struct emlfs_span value, struct emlfs_buf *again)
{
    struct emlfs_policy policy;
    const struct emlfs_policy_set set = {&policy, 1};
    const struct emlfs_retention_dates dates = {.archived_sec = INT64_MAX, .sent_sec = INT64_MIN};

    if (emlfs_policy_decode(key, value, &policy) < 0)
        return;
    same(emlfs_policy_encode(&policy, again), again, value);
    if (emlfs_policy_set_check(&set, NULL) < 0)
        abort();
    (void)emlfs_period_end(emlfs_retention_start(&dates, policy.start), policy.period);
}

static void hold_row(struct emlfs_span key, struct emlfs_span value, struct emlfs_buf *again)
{
    struct emlfs_hold hold;

    if (emlfs_hold_decode(key, value, &hold) == 0)
        same(emlfs_hold_encode(&hold, again), again, value);
}

static void rights_row(struct emlfs_span key, struct emlfs_span value, struct emlfs_buf *again)
{
    struct emlfs_rights rights;

    if (emlfs_rights_decode(key, value, &rights) == 0)
        same(emlfs_rights_encode(&rights, again), again, value);
}

static void keyed_row(bool grants, struct emlfs_span key, struct emlfs_span value,
                      struct emlfs_buf *again)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf again_key = EMLFS_BUF_INIT(1024);
    struct emlfs_hold_message message;
    struct emlfs_grant grant;
    int r;

    if (grants && emlfs_grant_decode(key, value, &grant) == 0)
        r = emlfs_grant_encode(&grant, &again_key, again);
    else if (!grants && emlfs_hold_message_decode(key, value, &message) == 0)
        r = emlfs_hold_message_encode(&message, &again_key, again);
    else
        return;
    same(r, again, value);
    same(r, &again_key, key);
}

/* Version 1 comes back as version 2, which is a fixed point. */
static void user_row(struct emlfs_span key, struct emlfs_span value, struct emlfs_buf *again)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf twice = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);
    struct emlfs_user user;

    if (emlfs_user_decode(key, value, &user) < 0)
        return;
    int r = emlfs_user_encode(&user, again);
    if (value.data[0] == 2)
        same(r, again, value);
    if (r < 0 || emlfs_user_decode(key, emlfs_buf_view(again), &user) < 0)
        abort();
    same(emlfs_user_encode(&user, &twice), &twice, emlfs_buf_view(again));
}

static void clock_row(struct emlfs_span value, struct emlfs_buf *again)
{
    const struct emlfs_time_sample sample = {.wall_ns = INT64_MAX, .boot_ns = 1};
    struct emlfs_compliance state;

    if (emlfs_compliance_decode(value, &state) < 0)
        return;
    same(emlfs_compliance_encode(&state, again), again, value);
    emlfs_compliance_resume(&state, &sample);
    emlfs_compliance_prove(&state, INT64_MAX);
    if (emlfs_compliance_encode(&state, again) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(1 << 16);

    if (size < 2 || data[1] > size - 2)
        return 0;
    const struct emlfs_span key = emlfs_span_of(data + 2, data[1]);
    const struct emlfs_span value = emlfs_span_of(data + 2 + key.len, size - 2 - key.len);
    switch (data[0]) {
    case 'P':
        policy_row(key, value, &again);
        break;
    case 'H':
        hold_row(key, value, &again);
        break;
    case 'R':
        rights_row(key, value, &again);
        break;
    case 'G':
    case 'M':
        keyed_row(data[0] == 'G', key, value, &again);
        break;
    case 'U':
        user_row(key, value, &again);
        break;
    case 'C':
        clock_row(value, &again);
        break;
    default:
        break;
    }
    return 0;
}
