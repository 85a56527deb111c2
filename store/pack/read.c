/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "emlfs/base/os.h"
#include "files.h"

/*
 * Responsible for: one record read from its place, checked and decrypted.
 *
 * Invariants:
 * 1. What a caller sees was authenticated under this pack's header, its number and its own header.
 * 2. A length from the file decides about memory only after the header's limits hold.
 * 3. A read that failed leaves record->stored empty.
 */

/*
 * The place of a record is known, its length is not. Asking for this much at once makes most reads
 * one system call and, from a cold cache, one transfer; the rest of a longer record is a second.
 */
#define READ_HINT_BYTES (64u << 10)
#define FIND_WINDOW_BYTES (1u << 20)

void emlfs_record_free(struct emlfs_record *record)
{
    emlfs_buf_wipe(&record->stored);
}

/* Header and as much of the body as fits hint, in one call. Bytes of both together, or -errno. */
static ssize_t record_prefetch(const struct pack_file *file, uint64_t offset, uint8_t *header,
                               uint8_t *body, size_t hint)
{
    struct iovec parts[2] = {{.iov_base = header, .iov_len = RECORD_HEADER_BYTES},
                             {.iov_base = body, .iov_len = hint}};
    ssize_t n;
    do
        n = preadv(file->fd, parts, 2, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n >= RECORD_HEADER_BYTES || n == 0)
        return n;
    /* Short: the end of the file, unless the kernel was interrupted. */
    return emlfs_os_pread_full(file->fd, header, RECORD_HEADER_BYTES, offset);
}

/* The body up to len bytes, of which have are there already. -EBADMSG: the file ends before. */
static int body_complete(const struct pack_file *file, uint64_t offset, uint8_t *body, size_t have,
                         size_t len)
{
    if (have >= len)
        return 0;
    ssize_t n = emlfs_os_pread_full(file->fd, body + have, len - have, offset + have);
    if (n < 0)
        return (int)n;
    return (size_t)n < len - have ? -EBADMSG : 0;
}

/* Decrypts in place; stored holds ciphertext and tag, and the tag stays behind the plain text. */
static int body_open(const struct pack_file *file, const struct record_header *header,
                     const uint8_t header_bytes[RECORD_HEADER_BYTES], struct emlfs_buf *stored)
{
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
    uint8_t aad[PACK_HEADER_BYTES + RECORD_HEADER_BYTES];
    struct emlfs_gcm *gcm;
    memcpy(aad, file->header, PACK_HEADER_BYTES);
    memcpy(aad + PACK_HEADER_BYTES, header_bytes, RECORD_HEADER_BYTES);
    emlfs_record_nonce(header, nonce);
    int r = emlfs_gcm_new(&file->key, &gcm);
    if (r < 0)
        return r;
    r = emlfs_gcm_open(gcm, nonce, emlfs_span_of(aad, sizeof(aad)), emlfs_buf_view(stored),
                       stored->data);
    emlfs_gcm_free(gcm);
    return r;
}

static void record_fill(struct emlfs_record *record, struct emlfs_pack_loc loc,
                        const struct record_header *header)
{
    record->loc = loc;
    record->next_offset = loc.offset + RECORD_EXTRA_BYTES + header->stored_len;
    record->plain_len = header->plain_len;
    record->dict_id = header->dict_id;
    record->type = header->type;
    record->flags = header->flags;
    record->stored.len = header->stored_len;
}

/* -ENOENT at the end of the file, -EBADMSG when it ends in the header or the number is another. */
static int record_fetch(const struct pack_file *file, struct emlfs_pack_loc loc, size_t hint,
                        uint8_t header_bytes[RECORD_HEADER_BYTES], struct emlfs_record *record)
{
    struct emlfs_buf *stored = &record->stored;
    struct record_header header;
    int r = emlfs_buf_reserve(stored, hint);
    if (r < 0)
        return r;
    ssize_t n = record_prefetch(file, loc.offset, header_bytes, stored->data, hint);
    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    if ((size_t)n < RECORD_HEADER_BYTES)
        return -EBADMSG;
    size_t have = (size_t)n - RECORD_HEADER_BYTES;
    r = emlfs_record_header_decode(header_bytes, &header);
    if (r < 0)
        return r;
    if (header.number != loc.number)
        return -EBADMSG;
    size_t len = (size_t)header.stored_len + EMLFS_GCM_TAG_BYTES;
    stored->len = have < len ? have : len; /* reserving keeps what is there */
    r = emlfs_buf_reserve(stored, len - stored->len);
    if (r == 0)
        r = body_complete(file, loc.offset + RECORD_HEADER_BYTES, stored->data, have, len);
    stored->len = len;
    if (r == 0)
        r = body_open(file, &header, header_bytes, stored);
    if (r == 0)
        record_fill(record, loc, &header);
    return r;
}

int emlfs_pack_record_read(const struct pack_file *file, struct emlfs_pack_loc loc, size_t hint,
                           struct emlfs_record *record)
{
    uint8_t header_bytes[RECORD_HEADER_BYTES];
    emlfs_buf_clear(&record->stored);
    if (loc.offset < PACK_HEADER_BYTES)
        return -EUCLEAN;
    if (loc.offset > INT64_MAX - EMLFS_PACK_MAX_BYTES)
        return -ENOENT;
    int r = record_fetch(file, loc, hint, header_bytes, record);
    if (r < 0)
        emlfs_buf_clear(&record->stored);
    return r;
}

static int read_failed(struct emlfs_err *err, int r, struct emlfs_pack_loc loc)
{
    switch (r) {
    case -EBADMSG:
        return emlfs_err_set(err, EBADMSG, "pack", "pack %u, record %u: damaged or altered",
                             loc.pack_no, loc.number);
    case -EUCLEAN:
        return emlfs_err_set(err, EUCLEAN, "pack", "pack %u, record %u: impossible header",
                             loc.pack_no, loc.number);
    case -EPROTONOSUPPORT:
        return emlfs_err_set(err, EPROTONOSUPPORT, "pack", "pack %u: written by a newer emlfs",
                             loc.pack_no);
    default:
        return emlfs_err_sys(err, -r, "pack", "pack %u, record %u", loc.pack_no, loc.number);
    }
}

int emlfs_packs_read(struct emlfs_packs *packs, struct emlfs_pack_loc loc,
                     struct emlfs_record *record, struct emlfs_err *err)
{
    struct pack_file *file;
    emlfs_buf_clear(&record->stored);
    int r = emlfs_pack_file_get(packs, loc.pack_no, &file);
    if (r == 0) {
        r = emlfs_pack_record_read(file, loc, READ_HINT_BYTES, record);
        emlfs_pack_file_put(packs, file);
    }
    return r < 0 ? read_failed(err, r, loc) : 0;
}

/* What a search for the next authentic record knows. */
struct find {
    const struct pack_file *file;
    uint64_t file_bytes;
    uint32_t min_number;
    struct emlfs_record record;
};

/* Cheap tests first: with them nearly no decryption is tried in vain. */
static bool candidate_plausible(const struct find *find, const uint8_t *bytes, uint64_t offset)
{
    struct record_header header;
    if (emlfs_record_header_decode(bytes, &header) < 0 || header.number < find->min_number)
        return false;
    uint64_t len = (uint64_t)RECORD_EXTRA_BYTES + header.stored_len;
    return len <= find->file_bytes - offset && header.number <= offset / RECORD_EXTRA_BYTES;
}

/* 0 found, -ENOENT none in this window, or an error that reading again may not have. */
static int window_search(struct find *find, struct emlfs_span window, uint64_t offset,
                         struct emlfs_pack_loc *ret_loc)
{
    for (size_t i = 0; i + RECORD_HEADER_BYTES <= window.len; i++) {
        const uint8_t *bytes = window.data + i;
        if (bytes[0] != 'e' || !candidate_plausible(find, bytes, offset + i))
            continue;
        struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes + 4, 4));
        *ret_loc = (struct emlfs_pack_loc){.pack_no = find->file->pack_no,
                                           .number = emlfs_cursor_u32le(&cur),
                                           .offset = offset + i};
        int r = emlfs_pack_record_read(find->file, *ret_loc, READ_HINT_BYTES, &find->record);
        if (r != -EBADMSG && r != -EUCLEAN)
            return r;
    }
    return -ENOENT;
}

static int find_windows(struct find *find, uint64_t offset, uint8_t *window,
                        struct emlfs_pack_loc *ret_loc)
{
    while (offset < find->file_bytes) {
        ssize_t n = emlfs_os_pread_full(find->file->fd, window, FIND_WINDOW_BYTES, offset);
        if (n < (ssize_t)RECORD_HEADER_BYTES)
            return n < 0 ? (int)n : -ENOENT;
        int r = window_search(find, emlfs_span_of(window, (size_t)n), offset, ret_loc);
        if (r != -ENOENT)
            return r;
        /* A header may lie across two windows. */
        offset += (uint64_t)n - (RECORD_HEADER_BYTES - 1);
    }
    return -ENOENT;
}

int emlfs_pack_record_find(const struct pack_file *file, const struct emlfs_pack_end *end,
                           struct emlfs_pack_loc *ret_loc)
{
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    uint8_t *window = malloc(FIND_WINDOW_BYTES);
    if (!window)
        return -ENOMEM;
    struct find find = {.file = file,
                        .file_bytes = (uint64_t)st.st_size,
                        .min_number = end->count,
                        .record = EMLFS_RECORD_INIT};
    uint64_t from = end->offset < PACK_HEADER_BYTES ? PACK_HEADER_BYTES : end->offset;
    int r = find_windows(&find, from, window, ret_loc);
    emlfs_record_free(&find.record);
    free(window);
    return r;
}
