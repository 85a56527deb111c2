/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "files.h"

/*
 * Responsible for: new packs and the records appended to them.
 * Not responsible for: what records mean, when to sync, what to do after a failure.
 *
 * Invariants:
 * 1. A pack file is made with O_EXCL, written by one writer, and never opened for writing again.
 * 2. end describes exactly the whole records in the file; the file has no byte behind end.offset
 *    unless the writer is poisoned.
 * 3. A nonce is used once per pack key: a pack key belongs to one random pack id, a number to one
 *    record, and when a record was refused for lack of space, attempt rises before its number is
 *    used again, because a part of the refused ciphertext may already have reached the disk.
 * 4. After a failed write or sync that is not a plain lack of space nothing is written any more:
 *    what the kernel keeps of the file is unknown then.
 * 5. A pack is durable, seal and name included, before the next one is begun.
 */

#define SEAL_RECORD_BYTES (RECORD_EXTRA_BYTES + SEAL_PAYLOAD_BYTES)
#define SCRATCH_MAX_BYTES (PACK_HEADER_BYTES + RECORD_EXTRA_BYTES + EMLFS_RECORD_PLAIN_MAX_BYTES)

struct emlfs_pack_writer {
    struct emlfs_packs *packs;
    uint64_t max_bytes;
    uint32_t next_no;
    uint32_t attempt;               /* refused writes of this pack, see invariant 3 */
    struct emlfs_pack_end previous; /* pack_no 0: none */
    struct emlfs_pack_end end;      /* of the pack being written; count 0: none */
    struct emlfs_gcm *gcm;
    struct emlfs_buf scratch; /* what goes to the file in one write */
    uint8_t header[PACK_HEADER_BYTES];
    int fd;
    bool poisoned;
    bool dirty;     /* the file has bytes that are not synced */
    bool dir_dirty; /* its name is not synced */
};

/* A record's content, whoever made it. */
struct content {
    struct emlfs_span stored;
    uint32_t plain_len;
    uint32_t dict_id;
    uint8_t type;
    uint8_t flags;
};

static int writer_poison(struct emlfs_pack_writer *writer, int r)
{
    writer->poisoned = true;
    return r;
}

int emlfs_pack_writer_new(struct emlfs_packs *packs, uint64_t max_bytes,
                          const struct emlfs_pack_end *previous,
                          struct emlfs_pack_writer **ret_writer, struct emlfs_err *err)
{
    uint32_t last;
    int r = emlfs_packs_last(packs, &last, err);
    if (r < 0)
        return r;
    struct emlfs_pack_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return emlfs_err_sys(err, ENOMEM, "pack", "pack writer");
    writer->packs = packs;
    writer->max_bytes = max_bytes < EMLFS_PACK_MAX_BYTES ? max_bytes : EMLFS_PACK_MAX_BYTES;
    writer->next_no = last + 1;
    writer->fd = -1;
    writer->scratch = EMLFS_BUF_INIT(SCRATCH_MAX_BYTES);
    if (previous)
        writer->previous = *previous;
    *ret_writer = writer;
    return 0;
}

static void pack_forget(struct emlfs_pack_writer *writer)
{
    emlfs_os_close(&writer->fd);
    emlfs_gcm_free(writer->gcm);
    writer->gcm = NULL;
    writer->end = (struct emlfs_pack_end){0};
    writer->dirty = false;
    writer->dir_dirty = false;
}

static void writer_free(struct emlfs_pack_writer *writer)
{
    pack_forget(writer);
    emlfs_buf_wipe(&writer->scratch);
    free(writer);
}

/* Seal content behind what scratch holds. */
static int scratch_add(struct emlfs_pack_writer *writer, const struct content *content)
{
    struct emlfs_buf *scratch = &writer->scratch;
    const struct record_header header = {.number = writer->end.count,
                                         .plain_len = content->plain_len,
                                         .stored_len = (uint32_t)content->stored.len,
                                         .dict_id = content->dict_id,
                                         .attempt = writer->attempt,
                                         .type = content->type,
                                         .flags = content->flags};
    uint8_t aad[PACK_HEADER_BYTES + RECORD_HEADER_BYTES];
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
    size_t sealed_len = content->stored.len + EMLFS_GCM_TAG_BYTES;
    int r = emlfs_buf_reserve(scratch, RECORD_HEADER_BYTES + sealed_len);
    if (r < 0)
        return r;
    memcpy(aad, writer->header, PACK_HEADER_BYTES);
    emlfs_record_header_encode(&header, aad + PACK_HEADER_BYTES);
    emlfs_record_nonce(&header, nonce);
    r = emlfs_buf_append(scratch, aad + PACK_HEADER_BYTES, RECORD_HEADER_BYTES);
    if (r == 0)
        r = emlfs_gcm_seal(writer->gcm, nonce, emlfs_span_of(aad, sizeof(aad)), content->stored,
                           scratch->data + scratch->len);
    if (r == 0)
        scratch->len += sealed_len;
    return r;
}

/* The record at the end of scratch is in the file now. */
static int end_advance(struct emlfs_pack_writer *writer)
{
    const struct emlfs_buf *scratch = &writer->scratch;
    struct emlfs_pack_end *end = &writer->end;
    writer->dirty = true;
    end->count++;
    end->offset += scratch->len;
    end->file_bytes = end->offset;
    return emlfs_chain_step(&end->chain, scratch->data + scratch->len - EMLFS_GCM_TAG_BYTES);
}

static bool space_lacks(int r)
{
    return r == -ENOSPC || r == -EDQUOT;
}

/* -ENOSPC: the file is as it was. Anything else: poisoned. */
static int scratch_write(struct emlfs_pack_writer *writer)
{
    uint64_t offset = writer->end.offset;
    int r = emlfs_os_pwrite_all(writer->fd, writer->scratch.data, writer->scratch.len, offset);
    if (r == 0)
        return 0;
    if (!space_lacks(r) || writer->attempt == UINT32_MAX)
        return writer_poison(writer, r);
    if (ftruncate(writer->fd, (off_t)offset) < 0)
        return writer_poison(writer, -errno);
    writer->attempt++;
    return -ENOSPC;
}

static int content_append(struct emlfs_pack_writer *writer, const struct content *content)
{
    emlfs_buf_clear(&writer->scratch);
    int r = scratch_add(writer, content);
    if (r < 0)
        return writer_poison(writer, r);
    r = scratch_write(writer);
    if (r < 0)
        return r;
    r = end_advance(writer);
    return r < 0 ? writer_poison(writer, r) : 0;
}

static int header_make(struct emlfs_pack_writer *writer)
{
    struct pack_header header = {.store_no = writer->packs->store_no, .pack_no = writer->next_no};
    struct emlfs_key key;
    int r = emlfs_random(header.pack_id, sizeof(header.pack_id));
    if (r < 0)
        return r;
    emlfs_pack_header_encode(&header, writer->header);
    r = emlfs_pack_key_derive(&writer->packs->store_key, &header, &key);
    if (r == 0)
        r = emlfs_gcm_new(&key, &writer->gcm);
    emlfs_wipe(&key, sizeof(key));
    return r;
}

/* Pack header and OPEN record into scratch. */
static int start_make(struct emlfs_pack_writer *writer)
{
    uint8_t payload[OPEN_PAYLOAD_BYTES];
    int r = header_make(writer);
    if (r < 0)
        return r;
    emlfs_open_encode(writer->previous.pack_no ? &writer->previous : NULL, payload);
    const struct content open = {.stored = emlfs_span_of(payload, sizeof(payload)),
                                 .plain_len = sizeof(payload),
                                 .type = EMLFS_RECORD_OPEN};
    emlfs_buf_clear(&writer->scratch);
    writer->attempt = 0;
    writer->end = (struct emlfs_pack_end){.pack_no = writer->next_no};
    r = emlfs_chain_start(writer->header, &writer->end.chain);
    if (r == 0)
        r = emlfs_buf_append(&writer->scratch, writer->header, PACK_HEADER_BYTES);
    return r == 0 ? scratch_add(writer, &open) : r;
}

static int start_write(struct emlfs_pack_writer *writer)
{
    char name[PACK_NAME_BYTES];
    emlfs_pack_name(writer->next_no, name);
    writer->fd = openat(writer->packs->dir_fd, name,
                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer->fd < 0)
        return -errno;
    int r = emlfs_os_pwrite_all(writer->fd, writer->scratch.data, writer->scratch.len, 0);
    if (r == 0)
        return 0;
    /* No file may stay that only looks like a pack; its number is free again. */
    if (unlinkat(writer->packs->dir_fd, name, 0) < 0)
        return -EIO;
    emlfs_pack_file_forget(writer->packs, writer->next_no);
    return r;
}

static int pack_begin(struct emlfs_pack_writer *writer)
{
    if (writer->next_no > PACK_NO_MAX)
        return writer_poison(writer, -E2BIG);
    int r = start_make(writer);
    if (r == 0)
        r = start_write(writer);
    if (r == 0) {
        writer->dir_dirty = true;
        r = end_advance(writer);
    }
    if (r == 0)
        return 0;
    pack_forget(writer);
    return space_lacks(r) ? -ENOSPC : writer_poison(writer, r);
}

static int seal_append(struct emlfs_pack_writer *writer)
{
    uint8_t payload[SEAL_PAYLOAD_BYTES];
    emlfs_seal_encode(writer->end.count, &writer->end.chain, payload);
    const struct content seal = {.stored = emlfs_span_of(payload, sizeof(payload)),
                                 .plain_len = sizeof(payload),
                                 .type = EMLFS_RECORD_SEAL};
    int r = content_append(writer, &seal);
    if (r == 0)
        writer->end.sealed = true;
    return r;
}

static int pack_sync(struct emlfs_pack_writer *writer)
{
    int r = writer->dirty ? emlfs_os_fdatasync(writer->fd) : 0;
    if (r == 0 && writer->dir_dirty)
        r = emlfs_os_fsync(writer->packs->dir_fd);
    if (r < 0)
        return writer_poison(writer, r);
    writer->dirty = false;
    writer->dir_dirty = false;
    return 0;
}

static int pack_finish(struct emlfs_pack_writer *writer)
{
    int r = seal_append(writer);
    if (r == 0)
        r = pack_sync(writer);
    if (r < 0)
        return r;
    writer->previous = writer->end;
    writer->next_no++;
    pack_forget(writer);
    return 0;
}

/* A pack that is open with room for the record, or one that holds nothing else yet. */
static int pack_ready(struct emlfs_pack_writer *writer, const struct emlfs_packed *packed)
{
    uint64_t need = RECORD_EXTRA_BYTES + (uint64_t)packed->stored.len + SEAL_RECORD_BYTES;
    if (writer->end.count > 1 && writer->end.offset + need > writer->max_bytes) {
        int r = pack_finish(writer);
        if (r < 0)
            return r;
    }
    return writer->end.count > 0 ? 0 : pack_begin(writer);
}

static bool packed_valid(const struct emlfs_packed *packed)
{
    const struct record_header header = {.plain_len = packed->plain_len,
                                         .stored_len = (uint32_t)packed->stored.len,
                                         .dict_id = packed->dict_id,
                                         .type = packed->type,
                                         .flags = packed->flags};
    return packed->stored.len <= EMLFS_RECORD_PLAIN_MAX_BYTES &&
           packed->type != EMLFS_RECORD_OPEN && packed->type != EMLFS_RECORD_SEAL &&
           emlfs_record_header_valid(&header);
}

static int writer_failed(const struct emlfs_pack_writer *writer, int r, struct emlfs_err *err)
{
    uint32_t pack_no = writer->end.pack_no ? writer->end.pack_no : writer->next_no;
    return emlfs_err_sys(err, -r, "pack", "cannot write pack %u", pack_no);
}

static int poisoned_refuse(struct emlfs_err *err)
{
    return emlfs_err_set(err, EROFS, "pack", "nothing is written after an earlier write error");
}

int emlfs_pack_append(struct emlfs_pack_writer *writer, const struct emlfs_packed *packed,
                      struct emlfs_pack_loc *ret_loc, struct emlfs_err *err)
{
    if (writer->poisoned)
        return poisoned_refuse(err);
    if (!packed_valid(packed))
        return emlfs_err_set(err, EINVAL, "pack", "record of type %u is malformed", packed->type);
    const struct content content = {.stored = emlfs_buf_view(&packed->stored),
                                    .plain_len = packed->plain_len,
                                    .dict_id = packed->dict_id,
                                    .type = packed->type,
                                    .flags = packed->flags};
    int r = pack_ready(writer, packed);
    struct emlfs_pack_loc loc = {
        .pack_no = writer->end.pack_no, .number = writer->end.count, .offset = writer->end.offset};
    if (r == 0)
        r = content_append(writer, &content);
    if (r < 0)
        return writer_failed(writer, r, err);
    *ret_loc = loc;
    return 0;
}

int emlfs_pack_writer_sync(struct emlfs_pack_writer *writer, struct emlfs_err *err)
{
    if (writer->poisoned)
        return poisoned_refuse(err);
    int r = writer->fd >= 0 ? pack_sync(writer) : 0;
    return r < 0 ? writer_failed(writer, r, err) : 0;
}

void emlfs_pack_writer_end(const struct emlfs_pack_writer *writer, struct emlfs_pack_end *ret_end)
{
    *ret_end = writer->end;
}

int emlfs_pack_writer_close(struct emlfs_pack_writer *writer, struct emlfs_err *err)
{
    if (!writer)
        return 0;
    int r = writer->poisoned ? poisoned_refuse(err) : 0;
    if (!writer->poisoned && writer->end.count > 0) {
        r = seal_append(writer);
        /* Without room for a seal the records before it still become durable. */
        int synced = writer->poisoned ? 0 : pack_sync(writer);
        r = r < 0 ? r : synced;
        if (r < 0)
            writer_failed(writer, r, err);
    }
    writer_free(writer);
    return r;
}
