/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "files.h"

/*
 * Responsible for: going through a pack record by record, and cutting a torn tail off.
 *
 * Invariants:
 * 1. *end always describes a prefix of the pack made of whole, authentic records in order.
 * 2. Number 0 is the OPEN record and only it; nothing counts behind a SEAL record.
 * 3. A SEAL record counts only when it names the count and the chain that were walked.
 * 4. A cut never removes an authentic record: when one follows, the middle is damaged, not torn.
 */

#define WALK_HINT_BYTES (16u << 10)

struct walk {
    struct emlfs_packs *packs;
    const struct pack_file *file;
    struct emlfs_pack_end *end;
    int (*each)(void *arg, struct emlfs_record *record);
    void *arg;
    bool stopped; /* by each, which has spoken for itself */
};

static bool seal_matches(const struct emlfs_record *record, const struct emlfs_pack_end *end)
{
    uint32_t count;
    struct emlfs_hash chain;
    return emlfs_seal_decode(emlfs_buf_view(&record->stored), &count, &chain) == 0 &&
           count == end->count && memcmp(chain.v, end->chain.v, sizeof(chain.v)) == 0;
}

static bool record_fits(const struct emlfs_record *record, const struct emlfs_pack_end *end)
{
    struct emlfs_pack_end previous;
    if ((record->type == EMLFS_RECORD_OPEN) != (end->count == 0))
        return false;
    if (record->type == EMLFS_RECORD_OPEN)
        return emlfs_record_previous(record, &previous) == 0;
    if (record->type == EMLFS_RECORD_SEAL)
        return record->flags == 0 && seal_matches(record, end);
    return true;
}

int emlfs_record_previous(const struct emlfs_record *record, struct emlfs_pack_end *ret_previous)
{
    if (record->type != EMLFS_RECORD_OPEN || record->flags != 0)
        return -EUCLEAN;
    return emlfs_open_decode(emlfs_buf_view(&record->stored), ret_previous);
}

/* 0, -errno, or what each returned. *ret_ended: no further record belongs to the pack. */
static int walk_step(struct walk *walk, struct emlfs_record *record, bool *ret_ended)
{
    struct emlfs_pack_end *end = walk->end;
    struct emlfs_pack_loc loc = {
        .pack_no = end->pack_no, .number = end->count, .offset = end->offset};
    int r = emlfs_pack_record_read(walk->file, loc, WALK_HINT_BYTES, record);
    *ret_ended =
        r == -EBADMSG || r == -EUCLEAN || r == -ENOENT || (r == 0 && !record_fits(record, end));
    if (*ret_ended || r < 0)
        return *ret_ended ? 0 : r;
    struct emlfs_pack_end next = *end;
    r = emlfs_chain_step(&next.chain, record->stored.data + record->stored.len);
    next.count++;
    next.offset = record->next_offset;
    next.sealed = record->type == EMLFS_RECORD_SEAL;
    if (r == 0 && walk->each) {
        r = walk->each(walk->arg, record);
        walk->stopped = r != 0;
    }
    if (r == 0)
        *end = next;
    return r;
}

static int walk_run(struct walk *walk)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;
    struct emlfs_pack_end *end = walk->end;
    bool ended = false;
    int r = 0;
    if (end->count == 0) {
        end->offset = PACK_HEADER_BYTES;
        r = emlfs_chain_start(walk->file->header, &end->chain);
    }
    while (r == 0 && !ended && !end->sealed && end->offset < end->file_bytes)
        r = walk_step(walk, &record, &ended);
    emlfs_record_free(&record);
    return r;
}

/* A pack whose very header was not written before a crash: short, or blocks never filled. */
static bool header_torn(struct emlfs_packs *packs, uint32_t pack_no, uint64_t file_bytes)
{
    uint8_t header[PACK_HEADER_BYTES];
    char name[PACK_NAME_BYTES];
    if (file_bytes < PACK_HEADER_BYTES)
        return true;
    emlfs_pack_name(pack_no, name);
    EMLFS_FD_CLEANUP int fd = openat(packs->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || emlfs_os_pread_full(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return false;
    for (size_t i = 0; i < sizeof(header); i++)
        if (header[i])
            return false;
    return true;
}

static int pack_failed(struct emlfs_err *err, int r, uint32_t pack_no)
{
    if (r == -EUCLEAN)
        return emlfs_err_set(err, EUCLEAN, "pack", "pack %u: damaged or foreign header", pack_no);
    if (r == -EPROTONOSUPPORT)
        return emlfs_err_set(err, EPROTONOSUPPORT, "pack", "pack %u: written by a newer emlfs",
                             pack_no);
    return emlfs_err_sys(err, -r, "pack", "pack %u", pack_no);
}

int emlfs_packs_walk_from(struct emlfs_packs *packs,
                          int (*each)(void *arg, struct emlfs_record *record), void *arg,
                          struct emlfs_pack_end *end, struct emlfs_err *err)
{
    struct pack_file *file;
    int r = emlfs_packs_size(packs, end->pack_no, &end->file_bytes);
    if (r < 0)
        return pack_failed(err, r, end->pack_no);
    if (end->count == 0 && header_torn(packs, end->pack_no, end->file_bytes)) {
        end->offset = 0;
        return 0;
    }
    r = emlfs_pack_file_get(packs, end->pack_no, &file);
    if (r < 0)
        return pack_failed(err, r, end->pack_no);
    struct walk walk = {.packs = packs, .file = file, .end = end, .each = each, .arg = arg};
    r = walk_run(&walk);
    emlfs_pack_file_put(packs, file);
    return r < 0 && !walk.stopped ? pack_failed(err, r, end->pack_no) : r;
}

int emlfs_packs_walk(struct emlfs_packs *packs, uint32_t pack_no,
                     int (*each)(void *arg, struct emlfs_record *record), void *arg,
                     struct emlfs_pack_end *ret_end, struct emlfs_err *err)
{
    *ret_end = (struct emlfs_pack_end){.pack_no = pack_no};
    return emlfs_packs_walk_from(packs, each, arg, ret_end, err);
}

int emlfs_packs_next(struct emlfs_packs *packs, const struct emlfs_pack_end *end,
                     struct emlfs_pack_loc *ret_loc, struct emlfs_err *err)
{
    struct pack_file *file;
    int r = emlfs_pack_file_get(packs, end->pack_no, &file);
    if (r < 0)
        return pack_failed(err, r, end->pack_no);
    r = emlfs_pack_record_find(file, end, ret_loc);
    emlfs_pack_file_put(packs, file);
    return r < 0 && r != -ENOENT ? pack_failed(err, r, end->pack_no) : r;
}

static int tail_check(struct emlfs_packs *packs, const struct emlfs_pack_end *end,
                      uint64_t file_bytes, struct emlfs_err *err)
{
    struct emlfs_pack_loc loc;
    if (end->offset > file_bytes)
        return emlfs_err_set(err, EINVAL, "pack", "pack %u is shorter than the cut", end->pack_no);
    if (end->offset == 0 && header_torn(packs, end->pack_no, file_bytes))
        return 0;
    if (end->offset < PACK_HEADER_BYTES)
        return emlfs_err_set(err, EINVAL, "pack", "pack %u has a header", end->pack_no);
    int r = emlfs_packs_next(packs, end, &loc, err);
    if (r == 0)
        return emlfs_err_set(err, EBADMSG, "pack",
                             "pack %u is damaged behind record %u, and record %u follows",
                             end->pack_no, end->count, loc.number);
    return r == -ENOENT ? 0 : r;
}

static int file_cut(struct emlfs_packs *packs, uint32_t pack_no, uint64_t offset)
{
    char name[PACK_NAME_BYTES];
    emlfs_pack_name(pack_no, name);
    EMLFS_FD_CLEANUP int fd = openat(packs->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || ftruncate(fd, (off_t)offset) < 0)
        return -errno;
    return emlfs_os_fsync(fd);
}

int emlfs_packs_cut(struct emlfs_packs *packs, const struct emlfs_pack_end *end,
                    struct emlfs_err *err)
{
    uint64_t file_bytes;
    int r = emlfs_packs_size(packs, end->pack_no, &file_bytes);
    if (r < 0)
        return pack_failed(err, r, end->pack_no);
    r = tail_check(packs, end, file_bytes, err);
    if (r < 0)
        return r;
    r = file_cut(packs, end->pack_no, end->offset);
    emlfs_pack_file_forget(packs, end->pack_no);
    return r < 0 ? pack_failed(err, r, end->pack_no) : 0;
}
