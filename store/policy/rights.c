/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A rights row: key u16 be user; value
 *     varint version (1), varint may, varint own, varint flags, svarint auditor_since_ns,
 *     and with RIGHTS_PASSWORD the salt's 16 bytes and the hash's 32
 * A grant row: key u16 be archive, u8 0 and u16 be user, or u8 1 and the group's bytes; value
 *     varint version (1), varint grants, svarint granted_ns, bytes granted_by
 * and nothing after either.
 */
#include "emlfs/rights.h"

#include "policy_internal.h"

#define ROW_VERSION 1u

#define RIGHTS_ARCHIVE_ACCESS 1u
#define RIGHTS_AUDITOR 2u
#define RIGHTS_PASSWORD 4u
#define RIGHTS_FLAGS_KNOWN 7u

#define GRANTEE_USER 0u
#define GRANTEE_GROUP 1u

struct emlfs_rights emlfs_rights_default(struct emlfs_user_id user)
{
    return (struct emlfs_rights){
        .user = user, .may = EMLFS_MAY_DEFAULT, .own = EMLFS_GRANT_OWN_DEFAULT};
}

static bool rights_ok(const struct emlfs_rights *rights)
{
    return rights->user.v != 0 && !(rights->may & ~EMLFS_MAY_ALL) &&
           !(rights->own & ~EMLFS_GRANT_ALL) && rights->own & EMLFS_GRANT_READ &&
           !(rights->auditor && rights->archive_access) &&
           (rights->auditor || rights->auditor_since_ns == 0);
}

int emlfs_rights_encode(const struct emlfs_rights *rights, struct emlfs_buf *ret_value)
{
    const uint64_t flags = (rights->archive_access ? RIGHTS_ARCHIVE_ACCESS : 0) |
                           (rights->auditor ? RIGHTS_AUDITOR : 0) |
                           (rights->has_password ? RIGHTS_PASSWORD : 0);
    const uint64_t numbers[] = {ROW_VERSION, rights->may, rights->own, flags};
    int r = rights_ok(rights) ? 0 : -EINVAL;

    emlfs_buf_clear(ret_value);
    for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = emlfs_buf_append_varint(ret_value, numbers[i]);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, rights->auditor_since_ns);
    if (r < 0 || !rights->has_password)
        return r;
    r = emlfs_buf_append(ret_value, rights->password.salt, EMLFS_PASSWORD_SALT_BYTES);
    if (r == 0)
        r = emlfs_buf_append(ret_value, rights->password.hash.v, EMLFS_KEY_BYTES);
    return r;
}

static void password_take(struct emlfs_cursor *cur, struct emlfs_password *ret)
{
    struct emlfs_span salt = emlfs_cursor_take(cur, EMLFS_PASSWORD_SALT_BYTES);
    struct emlfs_span hash = emlfs_cursor_take(cur, EMLFS_KEY_BYTES);

    if (cur->bad)
        return;
    memcpy(ret->salt, salt.data, salt.len);
    memcpy(ret->hash.v, hash.data, hash.len);
}

int emlfs_rights_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_rights *ret)
{
    struct emlfs_cursor key_cur = emlfs_cursor_of(key);
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_rights rights = {0};

    rights.user.v = emlfs_cursor_u16be(&key_cur);
    if (!emlfs_cursor_done(&key_cur))
        return -EUCLEAN;
    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    rights.may = (uint32_t)emlfs_cursor_varint_max(&cur, EMLFS_MAY_ALL);
    rights.own = (uint32_t)emlfs_cursor_varint_max(&cur, EMLFS_GRANT_ALL);
    uint64_t flags = emlfs_cursor_varint_max(&cur, RIGHTS_FLAGS_KNOWN);
    rights.archive_access = flags & RIGHTS_ARCHIVE_ACCESS;
    rights.auditor = flags & RIGHTS_AUDITOR;
    rights.has_password = flags & RIGHTS_PASSWORD;
    rights.auditor_since_ns = emlfs_cursor_svarint(&cur);
    if (rights.has_password)
        password_take(&cur, &rights.password);
    if (!emlfs_cursor_done(&cur) || !rights_ok(&rights))
        return -EUCLEAN;
    *ret = rights;
    return 0;
}

/* ---- grants */

static bool grant_ok(const struct emlfs_grant *grant)
{
    bool to_user = grant->user.v != 0;

    return grant->archive.v != 0 && grant->archive.v != grant->user.v &&
           to_user == (grant->group[0] == 0) &&
           emlfs_row_text_ok(grant->group, sizeof(grant->group), to_user) &&
           emlfs_row_text_ok(grant->granted_by, sizeof(grant->granted_by), false) &&
           !(grant->grants & ~EMLFS_GRANT_ALL) && grant->grants & EMLFS_GRANT_READ;
}

static int grant_key(const struct emlfs_grant *grant, struct emlfs_buf *ret_key)
{
    int r = emlfs_buf_append_u16be(ret_key, grant->archive.v);
    if (r == 0)
        r = emlfs_buf_append_u8(ret_key, (uint8_t)(grant->user.v ? GRANTEE_USER : GRANTEE_GROUP));
    if (r < 0)
        return r;
    return grant->user.v ? emlfs_buf_append_u16be(ret_key, grant->user.v)
                         : emlfs_buf_append(ret_key, grant->group, strlen(grant->group));
}

int emlfs_grant_encode(const struct emlfs_grant *grant, struct emlfs_buf *ret_key,
                       struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_key);
    emlfs_buf_clear(ret_value);
    if (!grant_ok(grant))
        return -EINVAL;
    int r = grant_key(grant, ret_key);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, ROW_VERSION);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, grant->grants);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, grant->granted_ns);
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(grant->granted_by));
    return r;
}

static bool grant_key_take(struct emlfs_span key, struct emlfs_grant *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(key);

    ret->archive.v = emlfs_cursor_u16be(&cur);
    uint8_t kind = emlfs_cursor_u8(&cur);
    if (kind == GRANTEE_USER) {
        ret->user.v = emlfs_cursor_u16be(&cur);
        return emlfs_cursor_done(&cur) && ret->user.v != 0;
    }
    struct emlfs_span group = emlfs_cursor_take(&cur, emlfs_cursor_left(&cur));
    if (cur.bad || kind != GRANTEE_GROUP || group.len == 0 || group.len >= sizeof(ret->group) ||
        memchr(group.data, 0, group.len))
        return false;
    memcpy(ret->group, group.data, group.len);
    return true;
}

int emlfs_grant_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_grant *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_grant grant = {0};

    if (!grant_key_take(key, &grant))
        return -EUCLEAN;
    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    grant.grants = (uint32_t)emlfs_cursor_varint_max(&cur, EMLFS_GRANT_ALL);
    grant.granted_ns = emlfs_cursor_svarint(&cur);
    emlfs_row_text_take(&cur, grant.granted_by, sizeof(grant.granted_by), false);
    if (!emlfs_cursor_done(&cur) || !grant_ok(&grant))
        return -EUCLEAN;
    *ret = grant;
    return 0;
}

uint32_t emlfs_grants_of(const struct emlfs_grant_set *set, const struct emlfs_rights *rights,
                         struct emlfs_user_id archive, bool (*member)(void *arg, const char *group),
                         void *arg)
{
    uint32_t grants = 0;

    if (rights->user.v == 0 || archive.v == 0)
        return 0;
    if (rights->user.v == archive.v)
        grants = rights->own | EMLFS_GRANT_READ;
    for (size_t i = 0; i < set->n; i++) {
        const struct emlfs_grant *grant = &set->v[i];
        if (grant->archive.v != archive.v)
            continue;
        bool theirs = grant->user.v ? grant->user.v == rights->user.v : member(arg, grant->group);
        if (theirs)
            grants |= grant->grants;
    }
    return grants;
}
