/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the file keys, which holds the two signing keys, their secrets sealed.
 *
 * Invariants:
 * Y1. No secret reaches the disk unsealed.
 * Y2. A signing key is used only if its public part is the one that stands beside it.
 */
#include <sys/stat.h>

#include "internal.h"

#define KEYS_MAGIC "EMLFSLKY"
#define KEYS_VERSION 1u
#define KEYS_MAX_BYTES 4096u

int ledger_keys_mark(const struct emlfs_key *master, struct emlfs_key *ret_key)
{
    return emlfs_hkdf(master, (struct emlfs_span){0}, "emlfs ledger mark", ret_key);
}

static int derived_keys(const struct emlfs_key *master, struct ledger_keys *keys)
{
    struct emlfs_span none = {0};
    int r = emlfs_hkdf(master, none, "emlfs ledger records", &keys->records);
    if (r == 0)
        r = ledger_keys_mark(master, &keys->mark);
    return r < 0 ? r : emlfs_hkdf(master, none, "emlfs ledger keys", &keys->seal);
}

/* bytes PEM, nonce, bytes secret and tag; the AAD is the file up to the nonce. */
static int key_append(const struct emlfs_key *seal, const struct emlfs_sign_key *key,
                      struct emlfs_buf *out)
{
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_buf secret = EMLFS_BUF_INIT(EMLFS_SIGN_PRIVATE_MAX_BYTES);
    uint8_t sealed[EMLFS_SIGN_PRIVATE_MAX_BYTES + EMLFS_GCM_TAG_BYTES];
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
    struct emlfs_gcm *gcm = NULL;
    int r = emlfs_sign_key_pem(key, &pem);
    if (r == 0)
        r = emlfs_sign_key_private(key, &secret);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, emlfs_buf_view(&pem));
    if (r == 0)
        r = emlfs_random(nonce, sizeof(nonce));
    if (r == 0)
        r = emlfs_gcm_new(seal, &gcm);
    if (r == 0)
        r = emlfs_gcm_seal(gcm, nonce, emlfs_buf_view(out), emlfs_buf_view(&secret), sealed);
    if (r == 0)
        r = emlfs_buf_append(out, nonce, sizeof(nonce));
    if (r == 0)
        r = emlfs_buf_append_bytes(out, emlfs_span_of(sealed, secret.len + EMLFS_GCM_TAG_BYTES));
    emlfs_gcm_free(gcm);
    emlfs_buf_wipe(&secret);
    return r;
}

static int pair_append(const struct emlfs_key *seal, struct emlfs_buf *out)
{
    static const enum emlfs_sign_kind kinds[] = {EMLFS_SIGN_ED25519, EMLFS_SIGN_P256};
    int r = 0;
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        struct emlfs_sign_key *key = NULL;
        r = emlfs_sign_key_make(kinds[i], &key);
        if (r == 0)
            r = key_append(seal, key, out);
        emlfs_sign_key_free(key);
    }
    return r;
}

int ledger_keys_create(const char *dir, const struct emlfs_key *master, struct emlfs_err *err)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct emlfs_buf out EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(KEYS_MAX_BYTES);
    struct ledger_keys keys = {0};
    int r = ledger_path(dir, "keys", path);
    if (r == 0)
        r = derived_keys(master, &keys);
    if (r == 0)
        r = emlfs_buf_append(&out, KEYS_MAGIC, 8);
    if (r == 0)
        r = emlfs_buf_append_u16le(&out, KEYS_VERSION);
    if (r == 0)
        r = pair_append(&keys.seal, &out);
    if (r == 0)
        r = emlfs_os_replace_file(path, emlfs_buf_view(&out), 0600);
    ledger_keys_free(&keys);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "signing keys cannot be made") : 0;
}

static int key_unseal(struct emlfs_span aad, struct emlfs_span nonce, struct emlfs_span sealed,
                      const struct emlfs_key *seal, struct emlfs_buf *secret)
{
    struct emlfs_gcm *gcm = NULL;
    int r = sealed.len < EMLFS_GCM_TAG_BYTES ? -EBADMSG : emlfs_gcm_new(seal, &gcm);
    if (r == 0)
        r = emlfs_buf_reserve(secret, sealed.len);
    if (r == 0)
        r = emlfs_gcm_open(gcm, nonce.data, aad, sealed, secret->data);
    if (r == 0)
        secret->len = sealed.len - EMLFS_GCM_TAG_BYTES;
    emlfs_gcm_free(gcm);
    return r;
}

static int key_take(struct emlfs_cursor *cur, const uint8_t *start, enum emlfs_sign_kind kind,
                    const struct emlfs_key *seal, struct emlfs_sign_key **ret_key)
{
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_buf secret = EMLFS_BUF_INIT(EMLFS_SIGN_PRIVATE_MAX_BYTES + EMLFS_GCM_TAG_BYTES);
    struct emlfs_span public = emlfs_cursor_bytes(cur, EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_span aad = emlfs_span_of(start, (size_t)(cur->pos - start));
    struct emlfs_span nonce = emlfs_cursor_take(cur, EMLFS_GCM_NONCE_BYTES);
    struct emlfs_span sealed =
        emlfs_cursor_bytes(cur, EMLFS_SIGN_PRIVATE_MAX_BYTES + EMLFS_GCM_TAG_BYTES);
    int r = cur->bad ? -EBADMSG : key_unseal(aad, nonce, sealed, seal, &secret);
    if (r == 0)
        r = emlfs_sign_key_from_private(kind, emlfs_buf_view(&secret), ret_key);
    if (r == 0)
        r = emlfs_sign_key_pem(*ret_key, &pem);
    if (r == 0 && !emlfs_span_equal(emlfs_buf_view(&pem), public))
        r = -EBADMSG;
    emlfs_buf_wipe(&secret);
    return r;
}

/* Pass over a key. */
static void key_skip(struct emlfs_cursor *cur)
{
    (void)emlfs_cursor_bytes(cur, EMLFS_SIGN_PEM_MAX_BYTES);
    (void)emlfs_cursor_take(cur, EMLFS_GCM_NONCE_BYTES);
    (void)emlfs_cursor_bytes(cur, EMLFS_SIGN_PRIVATE_MAX_BYTES + EMLFS_GCM_TAG_BYTES);
}

/* The checkpoint key, or the export key. */
static int keys_parse(struct emlfs_span file, struct ledger_keys *keys, bool export)
{
    struct emlfs_cursor cur = emlfs_cursor_of(file);
    struct emlfs_span magic = emlfs_cursor_take(&cur, 8);
    uint16_t version = emlfs_cursor_u16le(&cur);
    if (cur.bad || memcmp(magic.data, KEYS_MAGIC, 8) != 0)
        return -EBADMSG;
    if (version != KEYS_VERSION)
        return version > KEYS_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
    int r = 0;
    if (export)
        key_skip(&cur);
    else
        r = key_take(&cur, file.data, EMLFS_SIGN_ED25519, &keys->seal, &keys->checkpoint);
    if (r == 0 && export)
        r = key_take(&cur, file.data, EMLFS_SIGN_P256, &keys->seal, &keys->export);
    else if (r == 0)
        key_skip(&cur);
    return r == 0 && !emlfs_cursor_done(&cur) ? -EBADMSG : r;
}

static int keys_read(const char *dir, struct ledger_keys *keys, bool export)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(KEYS_MAX_BYTES);
    int r = ledger_path(dir, "keys", path);
    if (r == 0)
        r = emlfs_os_read_file(path, &file);
    return r < 0 ? r : keys_parse(emlfs_buf_view(&file), keys, export);
}

int ledger_keys_open(const char *dir, const struct emlfs_key *master, struct ledger_keys *keys,
                     struct emlfs_err *err)
{
    *keys = (struct ledger_keys){0};
    int r = derived_keys(master, keys);
    if (r == 0)
        r = keys_read(dir, keys, false);
    if (r < 0) {
        ledger_keys_free(keys);
        return emlfs_err_sys(err, -r, MODULE, "the ledger's keys");
    }
    return 0;
}

int ledger_keys_export(const char *dir, struct ledger_keys *keys, struct emlfs_err *err)
{
    int r = keys->export ? 0 : keys_read(dir, keys, true);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger's key of exports") : 0;
}

void ledger_keys_free(struct ledger_keys *keys)
{
    emlfs_sign_key_free(keys->checkpoint);
    emlfs_sign_key_free(keys->export);
    emlfs_wipe(keys, sizeof(*keys));
}
