/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the files records/NNNNNNNN.log: frames of sealed records.
 * Not responsible for: when to sync, what is acknowledged.
 *
 * Invariants:
 * G1. Segment n holds the records from (n - 1) * 65,536 on, at most 65,536, without a gap. The next
 *     one is begun when it is full, and not before it is durable.
 * G2. A frame opens only in the segment and at the number it was written for: both headers are
 *     authenticated with it.
 * G3. Nonces are random: a segment is written again after a crash, and what a torn frame's nonce
 *     sealed may still be on the disk. A segment's key seals at most 65,536 frames that stay.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

#define SEGMENT_MAGIC "EMLFSLOG"
#define SEGMENT_VERSION 1u
#define SEARCH_STEP_BYTES (64u << 10)
#define BODY_MIN_BYTES (EMLFS_HASH_BYTES + 2u)

void ledger_frame_encode(const struct ledger_frame *frame, uint8_t ret[FRAME_HEADER_BYTES])
{
    memset(ret, 0, FRAME_HEADER_BYTES);
    ret[0] = 'e';
    ret[1] = 'L';
    ret[2] = (uint8_t)frame->count;
    ret[3] = (uint8_t)(frame->count >> 8);
    for (unsigned i = 0; i < 4; i++)
        ret[4 + i] = (uint8_t)(frame->plain_len >> (8 * i));
    for (unsigned i = 0; i < 8; i++)
        ret[8 + i] = (uint8_t)(frame->first >> (8 * i));
    memcpy(ret + 16, frame->nonce, EMLFS_GCM_NONCE_BYTES);
}

int ledger_frame_decode(const uint8_t bytes[FRAME_HEADER_BYTES], struct ledger_frame *ret_frame)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, FRAME_HEADER_BYTES));
    struct emlfs_span magic = emlfs_cursor_take(&cur, 2);
    ret_frame->count = emlfs_cursor_u16le(&cur);
    ret_frame->plain_len = emlfs_cursor_u32le(&cur);
    ret_frame->first = emlfs_cursor_u64le(&cur);
    memcpy(ret_frame->nonce, emlfs_cursor_take(&cur, EMLFS_GCM_NONCE_BYTES).data,
           EMLFS_GCM_NONCE_BYTES);
    uint32_t reserved = emlfs_cursor_u32le(&cur);
    bool fine = emlfs_cursor_done(&cur) && memcmp(magic.data, "eL", 2) == 0 && reserved == 0 &&
                ret_frame->count > 0 && ret_frame->count <= FRAME_RECORDS_MAX &&
                ret_frame->plain_len >= BODY_MIN_BYTES &&
                ret_frame->plain_len <= FRAME_PLAIN_MAX_BYTES &&
                ret_frame->first <= EMLFS_LEDGER_SEQUENCE_MAX &&
                ret_frame->first % SEGMENT_RECORDS + ret_frame->count <= SEGMENT_RECORDS;
    return fine ? 0 : -EUCLEAN;
}

int ledger_segment_path(const char *dir, uint32_t number, char ret_path[LEDGER_PATH_MAX_BYTES])
{
    char name[40];
    snprintf(name, sizeof(name), "records/%08u.log", number);
    return ledger_path(dir, name, ret_path);
}

static int segment_key(const struct emlfs_key *key, struct ledger_segment *segment)
{
    struct emlfs_key own;
    int r = emlfs_hkdf(key, emlfs_span_of(segment->header + 32, SEGMENT_ID_BYTES),
                       "emlfs ledger segment", &own);
    if (r == 0)
        r = emlfs_gcm_new(&own, &segment->gcm);
    emlfs_wipe(&own, sizeof(own));
    return r;
}

static void header_make(uint32_t number, uint8_t header[SEGMENT_HEADER_BYTES])
{
    memset(header, 0, SEGMENT_HEADER_BYTES);
    memcpy(header, SEGMENT_MAGIC, 8);
    header[8] = SEGMENT_VERSION;
    for (unsigned i = 0; i < 4; i++)
        header[12 + i] = (uint8_t)(number >> (8 * i));
}

int ledger_segment_remove(const char *dir, uint32_t number)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_segment_path(dir, number, path);
    if (r == 0 && unlink(path) < 0)
        r = -errno;
    if (r == 0)
        r = ledger_path(dir, "records", path);
    return r < 0 ? r : emlfs_os_sync_dir(path);
}

int ledger_segment_create(const char *dir, const struct emlfs_key *key, uint32_t number,
                          struct ledger_segment *segment)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_segment_path(dir, number, path);
    *segment = LEDGER_SEGMENT_INIT;
    segment->number = number;
    header_make(number, segment->header);
    if (r == 0)
        r = emlfs_random(segment->header + 32, SEGMENT_ID_BYTES);
    if (r == 0)
        segment->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (r == 0 && segment->fd < 0)
        return -errno;
    if (r == 0)
        r = emlfs_os_pwrite_all(segment->fd, segment->header, SEGMENT_HEADER_BYTES, 0);
    if (r == 0)
        r = segment_key(key, segment);
    if (r < 0 && segment->fd >= 0 && ledger_segment_remove(dir, number) < 0)
        r = -EIO; /* or else the next try makes it anew */
    if (r < 0)
        ledger_segment_close(segment);
    return r;
}

static int header_check(const uint8_t header[SEGMENT_HEADER_BYTES], uint32_t number)
{
    uint8_t expected[SEGMENT_HEADER_BYTES];
    header_make(number, expected);
    if (memcmp(header, SEGMENT_MAGIC, 8) != 0)
        return -EUCLEAN;
    if (header[8] > SEGMENT_VERSION || header[9])
        return -EPROTONOSUPPORT;
    return memcmp(header, expected, 32) == 0 ? 0 : -EUCLEAN;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && bytes[i] == 0)
        i++;
    return i == len;
}

int ledger_segment_open(const char *dir, const struct emlfs_key *key, uint32_t number, bool write,
                        struct ledger_segment *segment)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_segment_path(dir, number, path);
    *segment = LEDGER_SEGMENT_INIT;
    segment->number = number;
    if (r == 0)
        segment->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC);
    if (r == 0 && segment->fd < 0)
        r = -errno;
    ssize_t n =
        r < 0 ? r : emlfs_os_pread_full(segment->fd, segment->header, SEGMENT_HEADER_BYTES, 0);
    if (n < 0)
        r = (int)n;
    else if (n < (ssize_t)SEGMENT_HEADER_BYTES || all_zero(segment->header, SEGMENT_HEADER_BYTES))
        r = -ENODATA;
    else
        r = header_check(segment->header, number);
    if (r == 0)
        r = segment_key(key, segment);
    if (r < 0)
        ledger_segment_close(segment);
    return r;
}

void ledger_segment_close(struct ledger_segment *segment)
{
    emlfs_os_close(&segment->fd);
    emlfs_gcm_free(segment->gcm);
    segment->gcm = NULL;
}

static bool name_parse(const char *name, uint32_t *ret_number)
{
    char again[32];
    uint32_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(name[i] - '0');
    }
    snprintf(again, sizeof(again), "%08u.log", number);
    *ret_number = number;
    return strcmp(again, name) == 0;
}

int ledger_segment_last(const char *dir, uint32_t *ret_number)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(dir, "records", path);
    DIR *records = r < 0 ? NULL : opendir(path);
    *ret_number = 0;
    if (!records)
        return r < 0 ? r : -errno;
    for (struct dirent *entry = readdir(records); entry; entry = readdir(records)) {
        uint32_t number;
        if (name_parse(entry->d_name, &number) && number > *ret_number)
            *ret_number = number;
    }
    closedir(records);
    return 0;
}

int ledger_segment_closed(const char *dir, uint64_t size, uint32_t *ret_number)
{
    int r = size ? ledger_segment_last(dir, ret_number) : -EBADMSG;
    return r == 0 && *ret_number != ledger_segment_of(size - 1) ? -EBADMSG : r;
}

static void frame_aad(const struct ledger_segment *segment,
                      const uint8_t header[FRAME_HEADER_BYTES],
                      uint8_t ret[SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES])
{
    memcpy(ret, segment->header, SEGMENT_HEADER_BYTES);
    memcpy(ret + SEGMENT_HEADER_BYTES, header, FRAME_HEADER_BYTES);
}

int ledger_frame_seal(struct ledger_segment *segment, struct ledger_frame *frame,
                      struct emlfs_span plain, struct emlfs_buf *out)
{
    uint8_t aad[SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES];
    uint8_t header[FRAME_HEADER_BYTES];
    int r = emlfs_random(frame->nonce, sizeof(frame->nonce));
    frame->plain_len = (uint32_t)plain.len;
    ledger_frame_encode(frame, header);
    frame_aad(segment, header, aad);
    if (r == 0)
        r = emlfs_buf_reserve(out, FRAME_HEADER_BYTES + plain.len + EMLFS_GCM_TAG_BYTES);
    if (r < 0)
        return r;
    uint8_t *to = out->data + out->len;
    memcpy(to, header, FRAME_HEADER_BYTES);
    r = emlfs_gcm_seal(segment->gcm, frame->nonce, emlfs_span_of(aad, sizeof(aad)), plain,
                       to + FRAME_HEADER_BYTES);
    if (r == 0)
        out->len += FRAME_HEADER_BYTES + plain.len + EMLFS_GCM_TAG_BYTES;
    return r;
}

/* -ENODATA at the exact end of the file, -EBADMSG for what is no header of this segment. */
static int header_read(struct ledger_segment *segment, uint64_t offset,
                       uint8_t ret_header[FRAME_HEADER_BYTES], struct ledger_frame *ret_frame)
{
    ssize_t n = emlfs_os_pread_full(segment->fd, ret_header, FRAME_HEADER_BYTES, offset);
    if (n <= 0)
        return n < 0 ? (int)n : -ENODATA;
    if ((size_t)n < FRAME_HEADER_BYTES || ledger_frame_decode(ret_header, ret_frame) < 0 ||
        ledger_segment_of(ret_frame->first) != segment->number)
        return -EBADMSG;
    return 0;
}

int ledger_frame_read(struct ledger_segment *segment, uint64_t *offset,
                      struct ledger_frame *ret_frame, struct emlfs_buf *body)
{
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t aad[SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES];
    int r = header_read(segment, *offset, header, ret_frame);
    emlfs_buf_clear(body);
    if (r < 0)
        return r;
    size_t len = ret_frame->plain_len + (size_t)EMLFS_GCM_TAG_BYTES;
    r = emlfs_buf_reserve(body, len);
    if (r < 0)
        return r;
    ssize_t n = emlfs_os_pread_full(segment->fd, body->data, len, *offset + FRAME_HEADER_BYTES);
    if (n < 0)
        return (int)n;
    if ((size_t)n < len)
        return -EBADMSG;
    frame_aad(segment, header, aad);
    r = emlfs_gcm_open(segment->gcm, ret_frame->nonce, emlfs_span_of(aad, sizeof(aad)),
                       emlfs_span_of(body->data, len), body->data);
    if (r < 0)
        return r;
    body->len = ret_frame->plain_len;
    *offset += FRAME_HEADER_BYTES + len;
    return 0;
}

int ledger_frame_skip(struct ledger_segment *segment, uint64_t *offset,
                      struct ledger_frame *ret_frame)
{
    uint8_t header[FRAME_HEADER_BYTES];
    int r = header_read(segment, *offset, header, ret_frame);
    if (r == 0)
        *offset += FRAME_HEADER_BYTES + (uint64_t)ret_frame->plain_len + EMLFS_GCM_TAG_BYTES;
    return r;
}

/* Try every place in window that looks like a frame. -ENOENT: none is one. */
static int window_search(struct ledger_segment *segment, uint64_t offset, struct emlfs_span window,
                         struct emlfs_buf *body)
{
    struct ledger_frame frame;
    for (size_t i = 0; i + FRAME_HEADER_BYTES <= window.len; i++) {
        uint64_t at = offset + i;
        if (window.data[i] != 'e' || ledger_frame_decode(window.data + i, &frame) < 0)
            continue;
        int r = ledger_frame_read(segment, &at, &frame, body);
        if (r != -EBADMSG && r != -ENODATA)
            return r;
    }
    return -ENOENT;
}

int ledger_frame_search(struct ledger_segment *segment, uint64_t offset, struct emlfs_buf *body)
{
    struct emlfs_buf window EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(SEARCH_STEP_BYTES);
    int r = emlfs_buf_reserve(&window, SEARCH_STEP_BYTES);
    if (r < 0)
        return r;
    for (;;) {
        ssize_t n = emlfs_os_pread_full(segment->fd, window.data, SEARCH_STEP_BYTES, offset);
        if (n < 0)
            return (int)n;
        r = window_search(segment, offset, emlfs_span_of(window.data, (size_t)n), body);
        if (r != -ENOENT || (size_t)n < SEARCH_STEP_BYTES)
            return r;
        offset += SEARCH_STEP_BYTES - FRAME_HEADER_BYTES + 1; /* headers across the edge */
    }
}

int ledger_body_open(const struct ledger_frame *frame, struct emlfs_span body,
                     struct ledger_body *ret_body)
{
    ret_body->cur = emlfs_cursor_of(body);
    struct emlfs_span root = emlfs_cursor_take(&ret_body->cur, EMLFS_HASH_BYTES);
    if (ret_body->cur.bad)
        return -EUCLEAN;
    memcpy(ret_body->root.v, root.data, EMLFS_HASH_BYTES);
    ret_body->next = frame->first;
    ret_body->end = frame->first + frame->count;
    return 0;
}

int ledger_body_next(struct ledger_body *body, struct emlfs_span *ret_bytes,
                     struct emlfs_ledger_record *ret_record)
{
    if (body->next == body->end)
        return emlfs_cursor_done(&body->cur) ? -ENODATA : -EUCLEAN;
    *ret_bytes = emlfs_cursor_bytes(&body->cur, EMLFS_LEDGER_RECORD_MAX_BYTES);
    if (body->cur.bad)
        return -EUCLEAN;
    int r = emlfs_ledger_record_decode(*ret_bytes, ret_record);
    if (r == 0 && ret_record->sequence != body->next)
        r = -EUCLEAN;
    body->next++;
    return r;
}
