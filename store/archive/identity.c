/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * emlfs.json: the only clear text of an archive. It is written in one canonical form and
 * authenticated; what is read must be that form, byte for byte, so no change goes unseen.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "emlfs/base/os.h"
#include "internal.h"

#define MODULE "archive"
#define IDENTITY_FILE "emlfs.json"
#define IDENTITY_MAX_BYTES 8192u

static struct json_object *identity_json(const struct archive_identity *identity)
{
    const struct emlfs_archive_settings *s = &identity->settings;
    struct json_object *root = json_object_new_object();

    json_object_object_add(root, "format", json_object_new_int(EMLFS_ARCHIVE_FORMAT));
    json_object_object_add(root, "id", json_object_new_string(identity->uuid));
    json_object_object_add(root, "name", json_object_new_string(identity->name));
    json_object_object_add(root, "store_messages", json_object_new_int64(s->store_messages));
    json_object_object_add(root, "block_bytes", json_object_new_int64(s->block_bytes));
    json_object_object_add(root, "zstd_level", json_object_new_int(s->zstd_level));
    json_object_object_add(root, "commit_ms", json_object_new_int64(s->commit_ms));
    json_object_object_add(root, "timezone", json_object_new_string(s->timezone));
    return root;
}

static int identity_text(const struct archive_identity *identity, const struct archive_keys *keys,
                         struct emlfs_buf *out)
{
    struct json_object *root = identity_json(identity);
    const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
    char hex[2 * EMLFS_HASH_BYTES + 1];
    struct emlfs_hash mac;
    int rc = emlfs_hmac(&keys->check, emlfs_span_str(text), &mac);

    for (unsigned i = 0; i < EMLFS_HASH_BYTES && rc == 0; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", mac.v[i]);
    if (rc == 0)
        json_object_object_add(root, "check", json_object_new_string(hex));
    text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);
    if (rc == 0)
        rc = emlfs_buf_append(out, text, strlen(text));
    if (rc == 0)
        rc = emlfs_buf_append_u8(out, '\n');
    json_object_put(root);
    return rc;
}

int identity_write(const char *path, const struct archive_identity *identity,
                   const struct archive_keys *keys, struct emlfs_err *err)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(IDENTITY_MAX_BYTES);
    char file[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(file, sizeof(file), path, IDENTITY_FILE);

    if (rc == 0)
        rc = identity_text(identity, keys, &text);
    if (rc == 0)
        rc = emlfs_os_replace_file(file, emlfs_buf_view(&text), 0644);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be written", file) : 0;
}

static bool text_field(struct json_object *root, const char *name, char *ret, size_t size)
{
    struct json_object *value;

    if (!json_object_object_get_ex(root, name, &value) ||
        !json_object_is_type(value, json_type_string) ||
        (size_t)json_object_get_string_len(value) >= size)
        return false;
    snprintf(ret, size, "%s", json_object_get_string(value));
    return true;
}

static uint32_t number_field(struct json_object *root, const char *name)
{
    struct json_object *value;
    int64_t number;

    if (!json_object_object_get_ex(root, name, &value))
        return 0;
    number = json_object_get_int64(value);
    return number < 0 || number > UINT32_MAX ? 0 : (uint32_t)number;
}

static int identity_parse(const char *text, struct archive_identity *ret)
{
    struct json_object *root = json_tokener_parse(text);
    struct emlfs_archive_settings *s = &ret->settings;
    int rc = -EBADMSG;

    if (!root)
        return rc;
    memset(ret, 0, sizeof(*ret));
    if (number_field(root, "format") > EMLFS_ARCHIVE_FORMAT)
        rc = -EPROTONOSUPPORT;
    else if (text_field(root, "id", ret->uuid, sizeof(ret->uuid)) &&
             text_field(root, "name", ret->name, sizeof(ret->name)) &&
             text_field(root, "timezone", s->timezone, sizeof(s->timezone)))
        rc = 0;
    s->store_messages = number_field(root, "store_messages");
    s->block_bytes = number_field(root, "block_bytes");
    s->zstd_level = (int)number_field(root, "zstd_level");
    s->commit_ms = number_field(root, "commit_ms");
    json_object_put(root);
    return rc;
}

int identity_read(const char *path, const struct archive_keys *keys, struct archive_identity *ret,
                  struct emlfs_err *err)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(IDENTITY_MAX_BYTES);
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(IDENTITY_MAX_BYTES);
    char file[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(file, sizeof(file), path, IDENTITY_FILE);

    if (rc == 0)
        rc = emlfs_os_read_file(file, &text);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s cannot be read", file);
    rc = emlfs_buf_append_u8(&text, 0);
    if (rc == 0)
        rc = identity_parse((const char *)text.data, ret);
    if (rc == -EPROTONOSUPPORT)
        return emlfs_err_set(err, -rc, MODULE, "%s was made by a newer emlfs", path);
    if (rc == 0)
        rc = identity_text(ret, keys, &again);
    if (rc == 0 && (again.len != text.len - 1 || memcmp(again.data, text.data, again.len) != 0))
        rc = -EBADMSG;
    return rc < 0 ? emlfs_err_set(err, -rc, MODULE, "%s was altered or is damaged", file) : 0;
}
