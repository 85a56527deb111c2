/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manifest of a store's index: which segment files are alive, oldest first, and how far they
 * have consumed the change feed.
 *
 * File MANIFEST: 8 bytes magic, u16 version, 12 bytes nonce, then sealed (AES-256-GCM under
 * HKDF(index key, "emlfs index manifest"), associated data = magic and version) the fields of
 * manifest_encode. The nonce is random; the file is far too small and too seldom written for a
 * random nonce to repeat.
 *
 * I-MANIFEST-1  what the manifest names is whole and durable before the manifest is
 * I-MANIFEST-2  a file that the manifest does not name is of no use to anybody
 */
#include "manifest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"

#define MODULE "index"
#define MAGIC "EMLFSIXM"
#define VERSION 1u
#define HEAD_BYTES 10u
#define FILE_MAX_BYTES (1u << 20)
#define PATH_BYTES 4200u

static void problem_put(struct problems *problems, unsigned at, struct emlfs_span reason)
{
    size_t len = reason.len < PROBLEM_REASON_BYTES ? reason.len : PROBLEM_REASON_BYTES - 1;

    /* Cut at a character boundary. */
    while (len < reason.len && len > 0 && (reason.data[len] & 0xc0) == 0x80)
        len--;
    if (len > 0)
        memcpy(problems->v[at].reason, reason.data, len);
    problems->v[at].reason[len] = '\0';
    problems->v[at].n = 0;
}

void problems_add(struct problems *problems, struct emlfs_span reason, uint64_t n)
{
    unsigned last = problems->n < PROBLEM_REASONS_MAX ? problems->n : PROBLEM_REASONS_MAX - 1;
    struct problems one = {0};
    unsigned at = 0;

    problem_put(&one, 0, reason);
    while (at < last && strcmp(problems->v[at].reason, one.v[0].reason) != 0)
        at++;
    if (at == problems->n) {
        /* The last place is for what has no place of its own. */
        problem_put(problems, at, at == PROBLEM_REASONS_MAX - 1 ? emlfs_span_str("other") : reason);
        problems->n++;
    }
    problems->v[at].n += n;
    problems->total += n;
}

void manifest_free(struct manifest *manifest)
{
    free(manifest->segments);
    manifest->segments = NULL;
    manifest->segments_n = 0;
}

static int path_in(const char *dir, const char *name, char *ret, size_t size)
{
    int n = snprintf(ret, size, "%s/%s", dir, name);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int manifest_segment_path(const char *dir, uint32_t no, char *ret, size_t size)
{
    char name[32];

    snprintf(name, sizeof(name), "%08x.seg", no);
    return path_in(dir, name, ret, size);
}

static int manifest_encode(const struct manifest *m, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_u64le(out, m->seq);

    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, m->last_doc);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, m->next_no);
    if (rc == 0)
        rc = emlfs_buf_append_u64le(out, m->docs);
    if (rc == 0)
        rc = emlfs_buf_append_u64le(out, m->text_bytes);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, m->problems.n);
    for (unsigned i = 0; i < m->problems.n && rc == 0; i++) {
        rc = emlfs_buf_append_u64le(out, m->problems.v[i].n);
        if (rc == 0)
            rc = emlfs_buf_append_bytes(out, emlfs_span_str(m->problems.v[i].reason));
    }
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, m->segments_n);
    for (unsigned i = 0; i < m->segments_n && rc == 0; i++)
        rc = emlfs_buf_append_u32le(out, m->segments[i]);
    return rc;
}

static void problems_decode(struct emlfs_cursor *cur, struct problems *ret)
{
    uint32_t n = emlfs_cursor_u32le(cur);

    if (n > PROBLEM_REASONS_MAX)
        cur->bad = true;
    for (uint32_t i = 0; i < n && !cur->bad; i++) {
        uint64_t count = emlfs_cursor_u64le(cur);
        struct emlfs_span reason = emlfs_cursor_bytes(cur, PROBLEM_REASON_BYTES - 1);
        if (!cur->bad)
            problems_add(ret, reason, count);
    }
}

static int segments_decode(struct emlfs_cursor *cur, struct manifest *ret)
{
    uint32_t n = emlfs_cursor_u32le(cur);

    if (n > MANIFEST_SEGMENTS_MAX)
        cur->bad = true;
    if (cur->bad || n == 0)
        return 0;
    ret->segments = calloc(n, sizeof(*ret->segments));
    if (!ret->segments)
        return -ENOMEM;
    ret->segments_n = n;
    for (uint32_t i = 0; i < n; i++)
        ret->segments[i] = emlfs_cursor_u32le(cur);
    return 0;
}

static int manifest_decode(struct emlfs_span plain, struct manifest *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(plain);
    int rc;

    ret->seq = emlfs_cursor_u64le(&cur);
    ret->last_doc = emlfs_cursor_u32le(&cur);
    ret->next_no = emlfs_cursor_u32le(&cur);
    ret->docs = emlfs_cursor_u64le(&cur);
    ret->text_bytes = emlfs_cursor_u64le(&cur);
    problems_decode(&cur, &ret->problems);
    rc = segments_decode(&cur, ret);
    for (unsigned i = 0; i < ret->segments_n; i++)
        cur.bad |= ret->segments[i] == 0 || ret->segments[i] >= ret->next_no;
    if (rc == 0 && !emlfs_cursor_done(&cur))
        rc = -EUCLEAN;
    return rc;
}

static int cipher_new(const struct emlfs_key *index_key, struct emlfs_gcm **ret)
{
    struct emlfs_key key;
    int rc = emlfs_hkdf(index_key, emlfs_span_of(NULL, 0), "emlfs index manifest", &key);

    if (rc == 0)
        rc = emlfs_gcm_new(&key, ret);
    emlfs_wipe(&key, sizeof(key));
    return rc;
}

static int head_check(struct emlfs_span file, const char *path, struct emlfs_err *err)
{
    if (file.len < HEAD_BYTES + EMLFS_GCM_NONCE_BYTES + EMLFS_GCM_TAG_BYTES ||
        memcmp(file.data, MAGIC, 8) != 0)
        return emlfs_err_set(err, EUCLEAN, MODULE, "%s is damaged", path);
    if (file.data[8] != VERSION || file.data[9] != 0)
        return emlfs_err_set(err, EPROTONOSUPPORT, MODULE, "%s has another format", path);
    return 0;
}

static int file_open(struct emlfs_span file, const struct emlfs_key *index_key,
                     struct emlfs_buf *ret_plain)
{
    size_t at = HEAD_BYTES + EMLFS_GCM_NONCE_BYTES;
    struct emlfs_gcm *gcm = NULL;
    int rc = emlfs_buf_reserve(ret_plain, file.len - at);

    if (rc == 0)
        rc = cipher_new(index_key, &gcm);
    if (rc == 0)
        rc = emlfs_gcm_open(gcm, file.data + HEAD_BYTES, emlfs_span_of(file.data, HEAD_BYTES),
                            emlfs_span_of(file.data + at, file.len - at), ret_plain->data);
    if (rc == 0)
        ret_plain->len = file.len - at - EMLFS_GCM_TAG_BYTES;
    emlfs_gcm_free(gcm);
    return rc;
}

int manifest_read(const char *dir, const struct emlfs_key *index_key, struct manifest *ret,
                  struct emlfs_err *err)
{
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FILE_MAX_BYTES);
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FILE_MAX_BYTES);
    char path[PATH_BYTES];
    int rc = path_in(dir, "MANIFEST", path, sizeof(path));

    *ret = (struct manifest){.next_no = 1};
    if (rc == 0)
        rc = emlfs_os_read_file(path, &file);
    if (rc == -ENOENT)
        return rc;
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", path);
    rc = head_check(emlfs_buf_view(&file), path, err);
    if (rc < 0)
        return rc;
    rc = file_open(emlfs_buf_view(&file), index_key, &plain);
    if (rc == 0)
        rc = manifest_decode(emlfs_buf_view(&plain), ret);
    if (rc < 0)
        manifest_free(ret);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s", path) : 0;
}

static int file_seal(const struct emlfs_key *index_key, struct emlfs_span plain,
                     struct emlfs_buf *out)
{
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
    struct emlfs_gcm *gcm = NULL;
    int rc = emlfs_random(nonce, sizeof(nonce));

    if (rc == 0)
        rc = emlfs_buf_append(out, MAGIC, 8);
    if (rc == 0)
        rc = emlfs_buf_append_u16le(out, VERSION);
    if (rc == 0)
        rc = emlfs_buf_append(out, nonce, sizeof(nonce));
    if (rc == 0)
        rc = emlfs_buf_reserve(out, plain.len + EMLFS_GCM_TAG_BYTES);
    if (rc == 0)
        rc = cipher_new(index_key, &gcm);
    if (rc == 0)
        rc = emlfs_gcm_seal(gcm, nonce, emlfs_span_of(out->data, HEAD_BYTES), plain,
                            out->data + out->len);
    if (rc == 0)
        out->len += plain.len + EMLFS_GCM_TAG_BYTES;
    emlfs_gcm_free(gcm);
    return rc;
}

int manifest_write(const char *dir, const struct emlfs_key *index_key,
                   const struct manifest *manifest, struct emlfs_err *err)
{
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FILE_MAX_BYTES / 2);
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FILE_MAX_BYTES);
    char path[PATH_BYTES];
    int rc = path_in(dir, "MANIFEST", path, sizeof(path));

    if (rc == 0)
        rc = manifest_encode(manifest, &plain);
    if (rc == 0)
        rc = file_seal(index_key, emlfs_buf_view(&plain), &file);
    if (rc == 0) /* I-MANIFEST-1 */
        rc = emlfs_os_sync_dir(dir);
    if (rc == 0)
        rc = emlfs_os_replace_file(path, emlfs_buf_view(&file), 0600);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be written", dir) : 0;
}

static bool named(const struct manifest *keep, const char *name)
{
    char own[32];

    if (!keep)
        return false;
    if (strcmp(name, "MANIFEST") == 0)
        return true;
    for (unsigned i = 0; i < keep->segments_n; i++) {
        snprintf(own, sizeof(own), "%08x.seg", keep->segments[i]);
        if (strcmp(name, own) == 0)
            return true;
    }
    return false;
}

int manifest_sweep(const char *dir, const struct manifest *keep, struct emlfs_err *err)
{
    DIR *stream = opendir(dir);
    const struct dirent *entry;
    char path[PATH_BYTES];
    int rc = 0;

    if (!stream)
        return errno == ENOENT ? 0 : emlfs_err_sys(err, errno, MODULE, "%s", dir);
    while (rc == 0 && (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            named(keep, entry->d_name))
            continue;
        rc = path_in(dir, entry->d_name, path, sizeof(path));
        if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
            rc = -errno;
    }
    closedir(stream);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s", dir) : 0;
}
