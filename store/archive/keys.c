/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys. A random master key is wrapped in slots (keys/slots): by the machine key (keys/machine.key,
 * mode 0600) so that a mount needs nobody, and by the recovery key, which is printed once. Every
 * other key is derived from the master key, so a lost file of wrapped store keys cannot happen.
 *
 * I-KEY-1  a slot opens only to the master key that authenticates the whole slots file
 * I-KEY-2  no key reaches the disk unwrapped, but the machine key
 */
#include <stdio.h>
#include <sys/stat.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"
#include "internal.h"

#define MODULE "keys"
#define SLOTS_MAGIC "EMLFSKEY"
#define SLOTS_VERSION 1u
#define SLOT_MACHINE 1u
#define SLOT_RECOVERY 2u
#define SLOTS_MAX 16u
#define SLOT_BYTES (1u + 16u + EMLFS_GCM_NONCE_BYTES + EMLFS_KEY_BYTES + EMLFS_GCM_TAG_BYTES)
#define RECOVERY_GROUP 7u
#define RECOVERY_CHARS 56u /* 52 for the key, 4 to find typing errors */
#define MACHINE_TEXT_BYTES (2u * EMLFS_KEY_BYTES + 1u)

static const char digits[32] = "0123456789abcdefghjkmnpqrstvwxyz";

int keys_derive(struct archive_keys *keys, struct emlfs_err *err)
{
    struct emlfs_span none = {0};
    int rc = emlfs_hkdf(&keys->master, none, "emlfs names", &keys->names);

    if (rc == 0)
        rc = emlfs_hkdf(&keys->master, none, "emlfs master rows", &keys->rows);
    if (rc == 0)
        rc = emlfs_hkdf(&keys->master, none, "emlfs check", &keys->check);
    return rc < 0 ? emlfs_err_set(err, -rc, MODULE, "keys cannot be derived") : 0;
}

int keys_store(const struct archive_keys *keys, uint16_t store_no, struct store_keys *ret,
               struct emlfs_err *err)
{
    const uint8_t number[2] = {(uint8_t)store_no, (uint8_t)(store_no >> 8)};
    struct emlfs_span salt = emlfs_span_of(number, sizeof(number));
    int rc = emlfs_hkdf(&keys->master, salt, "emlfs store packs", &ret->packs);

    if (rc == 0)
        rc = emlfs_hkdf(&keys->master, salt, "emlfs store rows", &ret->rows);
    if (rc == 0)
        rc = emlfs_hkdf(&keys->master, salt, "emlfs store content", &ret->content);
    return rc < 0 ? emlfs_err_set(err, -rc, MODULE, "keys cannot be derived") : 0;
}

int keys_index(const struct archive_keys *keys, uint16_t store_no, struct emlfs_key *ret,
               struct emlfs_err *err)
{
    const uint8_t number[2] = {(uint8_t)store_no, (uint8_t)(store_no >> 8)};
    int rc =
        emlfs_hkdf(&keys->master, emlfs_span_of(number, sizeof(number)), "emlfs store index", ret);

    return rc < 0 ? emlfs_err_set(err, -rc, MODULE, "keys cannot be derived") : 0;
}

int keys_spool(const struct archive_keys *keys, struct emlfs_key *ret)
{
    return emlfs_hkdf(&keys->master, (struct emlfs_span){0}, "emlfs spool", ret);
}

/* Key-encryption key of a slot. */
static int slot_kek(uint8_t kind, struct emlfs_span salt, const struct emlfs_key *secret,
                    struct emlfs_key *ret)
{
    return emlfs_hkdf(secret, salt,
                      kind == SLOT_MACHINE ? "emlfs slot machine" : "emlfs slot recovery", ret);
}

static int slot_seal(uint8_t kind, const struct emlfs_key *secret, const struct emlfs_key *master,
                     struct emlfs_buf *out)
{
    uint8_t salt_nonce[16 + EMLFS_GCM_NONCE_BYTES];
    uint8_t sealed[EMLFS_KEY_BYTES + EMLFS_GCM_TAG_BYTES];
    struct emlfs_key kek = {0};
    struct emlfs_gcm *gcm = NULL;
    int rc = emlfs_random(salt_nonce, sizeof(salt_nonce));

    if (rc == 0)
        rc = slot_kek(kind, emlfs_span_of(salt_nonce, 16), secret, &kek);
    if (rc == 0)
        rc = emlfs_gcm_new(&kek, &gcm);
    if (rc == 0)
        rc = emlfs_gcm_seal(gcm, salt_nonce + 16, emlfs_span_of(&kind, 1),
                            emlfs_span_of(master->v, EMLFS_KEY_BYTES), sealed);
    if (rc == 0)
        rc = emlfs_buf_append_u8(out, kind);
    if (rc == 0)
        rc = emlfs_buf_append(out, salt_nonce, sizeof(salt_nonce));
    if (rc == 0)
        rc = emlfs_buf_append(out, sealed, sizeof(sealed));
    emlfs_gcm_free(gcm);
    emlfs_wipe(&kek, sizeof(kek));
    return rc;
}

static int slot_open(struct emlfs_span slot, const struct emlfs_key *secret,
                     struct emlfs_key *ret_master)
{
    struct emlfs_key kek = {0};
    struct emlfs_gcm *gcm = NULL;
    uint8_t kind = slot.data[0];
    int rc = slot_kek(kind, emlfs_span_of(slot.data + 1, 16), secret, &kek);

    if (rc == 0)
        rc = emlfs_gcm_new(&kek, &gcm);
    if (rc == 0)
        rc = emlfs_gcm_open(gcm, slot.data + 17, emlfs_span_of(&kind, 1),
                            emlfs_span_of(slot.data + 29, EMLFS_KEY_BYTES + EMLFS_GCM_TAG_BYTES),
                            ret_master->v);
    emlfs_gcm_free(gcm);
    emlfs_wipe(&kek, sizeof(kek));
    return rc;
}

static int slots_write(const char *path, const struct archive_keys *keys,
                       const struct emlfs_key *machine, const struct emlfs_key *recovery,
                       struct emlfs_err *err)
{
    struct emlfs_buf out EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_hash mac;
    int rc = emlfs_buf_append(&out, SLOTS_MAGIC, 8);

    if (rc == 0)
        rc = emlfs_buf_append_u16le(&out, SLOTS_VERSION);
    if (rc == 0)
        rc = emlfs_buf_append_u16le(&out, 2);
    if (rc == 0)
        rc = slot_seal(SLOT_MACHINE, machine, &keys->master, &out);
    if (rc == 0)
        rc = slot_seal(SLOT_RECOVERY, recovery, &keys->master, &out);
    if (rc == 0)
        rc = emlfs_hmac(&keys->check, emlfs_buf_view(&out), &mac);
    if (rc == 0)
        rc = emlfs_buf_append(&out, mac.v, EMLFS_HASH_BYTES);
    if (rc == 0)
        rc = emlfs_os_replace_file(path, emlfs_buf_view(&out), 0600);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be written", path) : 0;
}

static int machine_write(const char *path, const struct emlfs_key *machine, struct emlfs_err *err)
{
    char text[MACHINE_TEXT_BYTES + 1];
    int rc;

    for (unsigned i = 0; i < EMLFS_KEY_BYTES; i++)
        snprintf(text + 2 * (size_t)i, 4, "%02x\n", machine->v[i]);
    rc = emlfs_os_replace_file(path, emlfs_span_of(text, MACHINE_TEXT_BYTES), 0600);
    emlfs_wipe(text, sizeof(text));
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be written", path) : 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int machine_read(const char *path, struct emlfs_key *ret, struct emlfs_err *err)
{
    struct emlfs_buf text = EMLFS_BUF_INIT(256);
    int rc = emlfs_os_read_file(path, &text);
    bool bad = rc == 0 && (text.len != MACHINE_TEXT_BYTES || text.data[text.len - 1] != '\n');

    for (unsigned i = 0; i < EMLFS_KEY_BYTES && rc == 0 && !bad; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        bad = high < 0 || low < 0;
        ret->v[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    emlfs_buf_wipe(&text);
    if (rc == -EACCES)
        return emlfs_err_sys(err, EACCES, MODULE, "%s", path);
    if (rc < 0)
        return emlfs_err_set(err, ENOKEY, MODULE,
                             "%s cannot be read; open the archive with its recovery key", path);
    return bad ? emlfs_err_set(err, ENOKEY, MODULE, "%s is not a machine key", path) : 0;
}

/* Four check characters over the 52 of the key, so that a typing error is told from a wrong key. */
static int recovery_check(const struct emlfs_key *key, char ret[4])
{
    struct emlfs_hash hash;
    int rc = emlfs_sha256(emlfs_span_of(key->v, EMLFS_KEY_BYTES), &hash);

    for (unsigned i = 0; i < 4 && rc == 0; i++)
        ret[i] = digits[hash.v[i] & 31];
    return rc;
}

static int recovery_format(const struct emlfs_key *key, char ret[EMLFS_RECOVERY_KEY_TEXT_MAX])
{
    char chars[RECOVERY_CHARS];
    unsigned at = 0;
    int rc = recovery_check(key, chars + 52);

    for (unsigned i = 0; i < 52; i++) {
        unsigned bit = i * 5, value = 0;
        for (unsigned b = bit; b < bit + 5; b++)
            value = value << 1 | (b < 256 ? (unsigned)key->v[b / 8] >> (7 - b % 8) & 1u : 0);
        chars[i] = digits[value];
    }
    for (unsigned i = 0; i < RECOVERY_CHARS; i++) {
        if (i > 0 && i % RECOVERY_GROUP == 0)
            ret[at++] = '-';
        ret[at++] = chars[i];
    }
    ret[at] = '\0';
    emlfs_wipe(chars, sizeof(chars));
    return rc;
}

/* Value of a typed character; the letters people confuse with digits are read as those. */
static int recovery_digit(char c)
{
    const char *at;

    if (c >= 'A' && c <= 'Z')
        c = (char)(c - 'A' + 'a');
    c = c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
    at = memchr(digits, c, sizeof(digits));
    return at ? (int)(at - digits) : -1;
}

static int recovery_parse(const char *text, struct emlfs_key *ret, struct emlfs_err *err)
{
    char chars[RECOVERY_CHARS], check[4];
    unsigned n = 0;

    *ret = (struct emlfs_key){0};
    for (; *text; text++) {
        int value = recovery_digit(*text);
        if (*text == '-' || *text == ' ' || *text == '\n')
            continue;
        if (value < 0 || n == RECOVERY_CHARS)
            return emlfs_err_set(err, EINVAL, MODULE, "not a recovery key");
        if (n == 51 && (value & 15)) /* behind the key's 256 bits nothing is written */
            return emlfs_err_set(err, EINVAL, MODULE, "the recovery key has a typing error");
        for (unsigned b = 0; b < 5 && n < 52; b++) {
            unsigned bit = n * 5 + b;
            if (bit < 256 && value >> (4 - b) & 1)
                ret->v[bit / 8] |= (uint8_t)(128 >> bit % 8);
        }
        chars[n++] = digits[value];
    }
    if (n != RECOVERY_CHARS || recovery_check(ret, check) < 0 || memcmp(chars + 52, check, 4) != 0)
        return emlfs_err_set(err, EINVAL, MODULE, "the recovery key has a typing error");
    return 0;
}

static int keys_paths(const char *path, char *machine, char *slots)
{
    int rc = path_join(machine, EMLFS_PATH_MAX_BYTES, path, "keys/machine.key");

    return rc < 0 ? rc : path_join(slots, EMLFS_PATH_MAX_BYTES, path, "keys/slots");
}

int keys_create(const char *path, struct archive_keys *ret,
                char ret_recovery[EMLFS_RECOVERY_KEY_TEXT_MAX], struct emlfs_err *err)
{
    char machine_path[EMLFS_PATH_MAX_BYTES], slots_path[EMLFS_PATH_MAX_BYTES];
    struct emlfs_key machine = {0}, recovery = {0};
    int rc = keys_paths(path, machine_path, slots_path);

    if (rc == 0)
        rc = emlfs_random(ret->master.v, EMLFS_KEY_BYTES);
    if (rc == 0)
        rc = emlfs_random(machine.v, EMLFS_KEY_BYTES);
    if (rc == 0)
        rc = emlfs_random(recovery.v, EMLFS_KEY_BYTES);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "keys cannot be made");
    rc = keys_derive(ret, err);
    if (rc == 0)
        rc = machine_write(machine_path, &machine, err);
    if (rc == 0)
        rc = slots_write(slots_path, ret, &machine, &recovery, err);
    if (rc == 0)
        rc = recovery_format(&recovery, ret_recovery);
    emlfs_wipe(&machine, sizeof(machine));
    emlfs_wipe(&recovery, sizeof(recovery));
    return rc;
}

static int slots_check(struct emlfs_span file, const char *path, struct emlfs_err *err)
{
    struct emlfs_cursor cur = emlfs_cursor_of(file);
    struct emlfs_span magic = emlfs_cursor_take(&cur, 8);
    uint16_t version = emlfs_cursor_u16le(&cur), n = emlfs_cursor_u16le(&cur);

    if (cur.bad || memcmp(magic.data, SLOTS_MAGIC, 8) != 0)
        return emlfs_err_set(err, EBADMSG, MODULE, "%s is damaged", path);
    if (version != SLOTS_VERSION)
        return emlfs_err_set(err, EPROTONOSUPPORT, MODULE, "%s has format %u", path, version);
    if (n == 0 || n > SLOTS_MAX || file.len != 12 + (size_t)n * SLOT_BYTES + EMLFS_HASH_BYTES)
        return emlfs_err_set(err, EBADMSG, MODULE, "%s is damaged", path);
    return 0;
}

static int slots_open(struct emlfs_span file, const char *path, uint8_t kind,
                      const struct emlfs_key *secret, struct archive_keys *ret,
                      struct emlfs_err *err)
{
    struct emlfs_hash mac;
    size_t body;
    int rc = slots_check(file, path, err);

    if (rc < 0)
        return rc;
    body = file.len - EMLFS_HASH_BYTES;
    rc = -ENOKEY;
    for (size_t at = 12; at < body && rc < 0; at += SLOT_BYTES) {
        if (file.data[at] != kind)
            continue;
        rc = slot_open(emlfs_span_of(file.data + at, SLOT_BYTES), secret, &ret->master);
    }
    if (rc < 0)
        return emlfs_err_set(err, ENOKEY, MODULE, "no slot in %s opens with this key", path);
    rc = keys_derive(ret, err);
    if (rc == 0)
        rc = emlfs_hmac(&ret->check, emlfs_span_of(file.data, body), &mac);
    if (rc == 0 && !emlfs_equal_secret(mac.v, file.data + body, EMLFS_HASH_BYTES))
        rc = emlfs_err_set(err, EBADMSG, MODULE, "%s was altered", path);
    return rc;
}

int keys_open(const char *path, const char *recovery, struct archive_keys *ret,
              struct emlfs_err *err)
{
    char machine_path[EMLFS_PATH_MAX_BYTES], slots_path[EMLFS_PATH_MAX_BYTES];
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_key secret = {0};
    int rc = keys_paths(path, machine_path, slots_path);

    if (rc < 0)
        return emlfs_err_set(err, -rc, MODULE, "path too long");
    rc = emlfs_os_read_file(slots_path, &file);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s cannot be read", slots_path);
    rc = recovery ? recovery_parse(recovery, &secret, err)
                  : machine_read(machine_path, &secret, err);
    if (rc == 0)
        rc = slots_open(emlfs_buf_view(&file), slots_path, recovery ? SLOT_RECOVERY : SLOT_MACHINE,
                        &secret, ret, err);
    emlfs_wipe(&secret, sizeof(secret));
    return rc;
}
