/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log of one spool file: sealed records, each bound to the one before it. What the records mean
 * is spool_file.c's affair.
 *
 * I-SLOG-1  no key and nonce seal two contents: the session is drawn anew with every opening and
 *           whenever records are forgotten, and numbers rise within it
 * I-SLOG-2  a record other than DONE is valid only behind the very record that it was written
 *           behind, so what is left of forgotten records never joins what is written over them
 */
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"
#include "emlfs/spool.h"
#include "spool_log.h"

#define MAGIC "EMLFSSPL"
#define VERSION 1u
#define ID_AT 24u
#define TAG_AT (SPOOL_HEADER_BYTES - EMLFS_GCM_TAG_BYTES)
#define RECORD_MAGIC0 'e'
#define RECORD_MAGIC1 'S'
#define NUMBER_LAST 0xfffffffeu /* the one above it is the header's */
#define PREFIX_BYTES (EMLFS_GCM_TAG_BYTES + SPOOL_RECORD_HEADER_BYTES)
#define WHOLE_MAX_BYTES (EMLFS_GCM_TAG_BYTES + SPOOL_RECORD_BYTES(SPOOL_CHUNK_BYTES))
#define DONE_BYTES (EMLFS_GCM_TAG_BYTES + SPOOL_RECORD_BYTES(0u))

static void put_le(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static void nonce_of(uint32_t number, uint64_t session, uint8_t ret[EMLFS_GCM_NONCE_BYTES])
{
    put_le(ret, number, 4);
    put_le(ret + 4, session, 8);
}

static int session_new(struct spool_log *log)
{
    return emlfs_random(&log->session, sizeof(log->session));
}

static int gcm_of(const struct emlfs_key *key, const uint8_t *header, struct emlfs_gcm **ret)
{
    struct emlfs_key own = {0};
    int rc = emlfs_hkdf(key, emlfs_span_of(header + ID_AT, 32), "emlfs spool file", &own);

    if (rc == 0)
        rc = emlfs_gcm_new(&own, ret);
    emlfs_wipe(&own, sizeof(own));
    return rc;
}

static void log_begin(struct spool_log *log, const uint8_t *header)
{
    log->end.pos = SPOOL_HEADER_BYTES;
    log->end.number = 0;
    memcpy(log->end.tag, header + TAG_AT, EMLFS_GCM_TAG_BYTES);
}

int spool_log_create(struct spool_log *log, const struct emlfs_key *key, int fd, uint64_t number)
{
    uint8_t header[SPOOL_HEADER_BYTES] = MAGIC, nonce[EMLFS_GCM_NONCE_BYTES];
    int rc;

    *log = (struct spool_log){.fd = fd};
    put_le(header + 8, VERSION, 2);
    put_le(header + 16, number, 8);
    nonce_of(UINT32_MAX, UINT64_MAX, nonce);
    rc = emlfs_random(header + ID_AT, 32);
    if (rc == 0)
        rc = session_new(log);
    if (rc == 0)
        rc = gcm_of(key, header, &log->gcm);
    if (rc == 0)
        rc = emlfs_gcm_seal(log->gcm, nonce, emlfs_span_of(header, TAG_AT), emlfs_span_of("", 0),
                            header + TAG_AT);
    if (rc == 0)
        rc = emlfs_os_pwrite_all(fd, header, sizeof(header), 0);
    if (rc == 0)
        log_begin(log, header);
    else
        spool_log_free(log);
    return rc;
}

static bool all_zero(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i])
            return false;
    }
    return true;
}

static int header_check(struct emlfs_gcm *gcm, const uint8_t *header, uint64_t number)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(header, TAG_AT));
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES], nothing;
    bool known = memcmp(emlfs_cursor_take(&cur, 8).data, MAGIC, 8) == 0;
    uint16_t version = emlfs_cursor_u16le(&cur);
    bool plain = all_zero(emlfs_cursor_take(&cur, 6).data, 6);
    int rc;

    nonce_of(UINT32_MAX, UINT64_MAX, nonce);
    rc = emlfs_gcm_open(gcm, nonce, emlfs_span_of(header, TAG_AT),
                        emlfs_span_of(header + TAG_AT, EMLFS_GCM_TAG_BYTES), &nothing);
    if (rc < 0)
        return rc;
    if (known && version > VERSION)
        return -EPROTONOSUPPORT;
    return known && plain && version == VERSION && emlfs_cursor_u64le(&cur) == number ? 0
                                                                                      : -EBADMSG;
}

/* ENODATA: the file is empty, or of zeros, as a power cut leaves one that was not synced. */
static int content_check(int fd)
{
    uint8_t bytes[4096];
    uint64_t pos = 0;
    ssize_t n;

    while ((n = emlfs_os_pread_full(fd, bytes, sizeof(bytes), pos)) > 0) {
        if (!all_zero(bytes, (size_t)n))
            return -EBADMSG;
        pos += (size_t)n;
    }
    return n < 0 ? (int)n : -ENODATA;
}

int spool_log_open(struct spool_log *log, const struct emlfs_key *key, int fd, uint64_t number)
{
    uint8_t header[SPOOL_HEADER_BYTES];
    ssize_t n = emlfs_os_pread_full(fd, header, sizeof(header), 0);
    int rc;

    *log = (struct spool_log){.fd = fd};
    if (n < 0)
        return (int)n;
    if (n < (ssize_t)sizeof(header))
        return -ENODATA;
    if (all_zero(header, sizeof(header)))
        return content_check(fd);
    rc = gcm_of(key, header, &log->gcm);
    if (rc == 0)
        rc = header_check(log->gcm, header, number);
    if (rc == 0)
        rc = session_new(log);
    if (rc == 0)
        log_begin(log, header);
    else
        spool_log_free(log);
    return rc;
}

void spool_log_free(struct spool_log *log)
{
    emlfs_gcm_free(log->gcm);
    log->gcm = NULL;
}

static void record_encode(const struct spool_record *record, uint8_t *out)
{
    out[0] = RECORD_MAGIC0;
    out[1] = RECORD_MAGIC1;
    out[2] = (uint8_t)record->kind;
    out[3] = 0;
    put_le(out + 4, record->len, 4);
    put_le(out + 8, record->number, 4);
    put_le(out + 12, record->session, 8);
    put_le(out + 20, record->at, 8);
}

static bool record_shape(const struct spool_record *record)
{
    switch (record->kind) {
    case SPOOL_CHUNK:
        return record->len <= SPOOL_CHUNK_BYTES &&
               record->at < EMLFS_SPOOL_MAX_BYTES / SPOOL_CHUNK_BYTES;
    case SPOOL_CUT:
        return record->len == 0 && record->at <= EMLFS_SPOOL_MAX_BYTES;
    case SPOOL_MARK:
        return record->len <= EMLFS_SPOOL_META_MAX_BYTES && record->at <= EMLFS_SPOOL_MAX_BYTES;
    case SPOOL_DONE:
        return record->len == 0 && record->at == 0;
    }
    return false;
}

static bool record_decode(const uint8_t *in, struct spool_record *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(in, SPOOL_RECORD_HEADER_BYTES));

    if (emlfs_cursor_u8(&cur) != RECORD_MAGIC0 || emlfs_cursor_u8(&cur) != RECORD_MAGIC1)
        return false;
    ret->kind = (enum spool_kind)emlfs_cursor_u8(&cur);
    if (emlfs_cursor_u8(&cur) != 0)
        return false;
    ret->len = emlfs_cursor_u32le(&cur);
    ret->number = emlfs_cursor_u32le(&cur);
    ret->session = emlfs_cursor_u64le(&cur);
    ret->at = emlfs_cursor_u64le(&cur);
    return ret->number <= NUMBER_LAST && record_shape(ret);
}

/*
 * What binds a record: the tag before it, and its header. Not so DONE, which is looked for behind
 * damage, and so stands by itself.
 */
static struct emlfs_span record_aad(enum spool_kind kind, const uint8_t *whole,
                                    uint8_t aad[PREFIX_BYTES])
{
    memcpy(aad, whole, PREFIX_BYTES);
    if (kind == SPOOL_DONE)
        memset(aad, 0, EMLFS_GCM_TAG_BYTES);
    return emlfs_span_of(aad, PREFIX_BYTES);
}

/* whole: the tag before the record, and the record; out has record->len bytes. */
static int record_open(struct spool_log *log, const struct spool_record *record,
                       const uint8_t *whole, uint8_t *out)
{
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES], aad[PREFIX_BYTES];

    nonce_of(record->number, record->session, nonce);
    return emlfs_gcm_open(
        log->gcm, nonce, record_aad(record->kind, whole, aad),
        emlfs_span_of(whole + PREFIX_BYTES, (size_t)record->len + EMLFS_GCM_TAG_BYTES), out);
}

/* What the file system refuses and may take later; all else says that the file is lost. */
static int write_error(int rc)
{
    if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG)
        return -ENOSPC;
    return rc == -ENOMEM ? rc : -EIO;
}

int spool_log_append(struct spool_log *log, enum spool_kind kind, uint64_t at,
                     struct emlfs_span content)
{
    const struct spool_record record = {.kind = kind,
                                        .len = (uint32_t)content.len,
                                        .number = log->end.number,
                                        .session = log->session,
                                        .at = at};
    size_t len = SPOOL_RECORD_BYTES(content.len);
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES], aad[PREFIX_BYTES], *whole;
    int rc, again;

    if (record.number > NUMBER_LAST || log->ended)
        return log->ended ? -EIO : -E2BIG;
    whole = malloc(EMLFS_GCM_TAG_BYTES + len);
    if (!whole)
        return -ENOMEM;
    memcpy(whole, log->end.tag, EMLFS_GCM_TAG_BYTES);
    record_encode(&record, whole + EMLFS_GCM_TAG_BYTES);
    nonce_of(record.number, record.session, nonce);
    rc = emlfs_gcm_seal(log->gcm, nonce, record_aad(kind, whole, aad), content,
                        whole + PREFIX_BYTES);
    if (rc == 0)
        rc = emlfs_os_pwrite_all(log->fd, whole + EMLFS_GCM_TAG_BYTES, len, log->end.pos);
    if (rc == 0) {
        log->end.pos += len;
        log->end.number++;
        memcpy(log->end.tag, whole + len, EMLFS_GCM_TAG_BYTES);
    } else {
        rc = write_error(rc);
        again = spool_log_back(log, &log->end);
        rc = again < 0 ? again : rc;
    }
    free(whole);
    return rc;
}

int spool_log_back(struct spool_log *log, const struct spool_end *end)
{
    /* Only to give the space back: what stays there is not valid behind what is written next. */
    int cut = ftruncate(log->fd, (off_t)end->pos);

    (void)cut;
    log->end = *end;
    log->ended = session_new(log) < 0;
    return log->ended ? -EIO : 0;
}

int spool_log_next(struct spool_log *log, struct spool_record *ret, uint8_t *content)
{
    size_t want = content ? WHOLE_MAX_BYTES : PREFIX_BYTES, len;
    uint64_t before = log->end.pos - EMLFS_GCM_TAG_BYTES;
    uint8_t *whole = malloc(WHOLE_MAX_BYTES);
    ssize_t n = whole ? emlfs_os_pread_full(log->fd, whole, want, before) : -ENOMEM;
    int rc = n < 0 ? (int)n : 0;

    if (rc == 0 &&
        (n < (ssize_t)PREFIX_BYTES || memcmp(whole, log->end.tag, EMLFS_GCM_TAG_BYTES) != 0 ||
         !record_decode(whole + EMLFS_GCM_TAG_BYTES, ret) || ret->number != log->end.number))
        rc = -ENODATA;
    len = rc == 0 ? SPOOL_RECORD_BYTES((size_t)ret->len) : 0;
    if (rc == 0 && !content) {
        n = emlfs_os_pread_full(log->fd, whole + len, EMLFS_GCM_TAG_BYTES, before + len);
        rc = n < 0 ? (int)n : n < (ssize_t)EMLFS_GCM_TAG_BYTES ? -ENODATA : 0;
    } else if (rc == 0) {
        if ((size_t)n < EMLFS_GCM_TAG_BYTES + len || record_open(log, ret, whole, content) < 0)
            rc = -ENODATA;
    }
    if (rc == 0) {
        memcpy(log->end.tag, whole + len, EMLFS_GCM_TAG_BYTES);
        log->end.pos += len;
        log->end.number++;
    }
    free(whole);
    return rc;
}

int spool_log_chunk(struct spool_log *log, const struct spool_end *place, uint64_t at,
                    uint8_t ret[SPOOL_CHUNK_BYTES])
{
    uint64_t before = place->pos - EMLFS_GCM_TAG_BYTES;
    uint8_t *whole = malloc(WHOLE_MAX_BYTES);
    ssize_t n = whole ? emlfs_os_pread_full(log->fd, whole, WHOLE_MAX_BYTES, before) : -ENOMEM;
    struct spool_record record;
    int rc = n < 0 ? (int)n : 0;

    if (rc == 0 &&
        (n < (ssize_t)PREFIX_BYTES || !record_decode(whole + EMLFS_GCM_TAG_BYTES, &record) ||
         record.kind != SPOOL_CHUNK || record.number != place->number || record.at != at ||
         (size_t)n < EMLFS_GCM_TAG_BYTES + SPOOL_RECORD_BYTES((size_t)record.len)))
        rc = -EBADMSG;
    if (rc == 0)
        rc = record_open(log, &record, whole, ret);
    if (rc == 0)
        memset(ret + record.len, 0, SPOOL_CHUNK_BYTES - record.len);
    free(whole);
    return rc;
}

/* Is a DONE record in the window, behind its first bytes? */
static int window_search(struct spool_log *log, const uint8_t *window, size_t len)
{
    struct spool_record record;
    uint8_t nothing;

    for (size_t i = 0; i + DONE_BYTES <= len; i++) {
        const uint8_t *at = window + i + EMLFS_GCM_TAG_BYTES;
        int rc;
        if (at[0] != RECORD_MAGIC0 || at[1] != RECORD_MAGIC1 || !record_decode(at, &record) ||
            record.kind != SPOOL_DONE)
            continue;
        rc = record_open(log, &record, window + i, &nothing);
        if (rc != -EBADMSG)
            return rc == 0 ? 1 : rc;
    }
    return 0;
}

int spool_log_done_behind(struct spool_log *log)
{
    uint64_t pos = log->end.pos - EMLFS_GCM_TAG_BYTES;
    uint8_t *window = malloc(SPOOL_CHUNK_BYTES);
    ssize_t n = window ? (ssize_t)SPOOL_CHUNK_BYTES : -ENOMEM;
    int rc = 0;

    while (rc == 0 && n == (ssize_t)SPOOL_CHUNK_BYTES) {
        n = emlfs_os_pread_full(log->fd, window, SPOOL_CHUNK_BYTES, pos);
        rc = n < 0 ? (int)n : window_search(log, window, (size_t)n);
        pos += SPOOL_CHUNK_BYTES - (DONE_BYTES - 1u);
    }
    free(window);
    return n < 0 ? (int)n : rc;
}
