/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zip files that are office documents, by libarchive: members are expanded one at a time, within
 * the limits of text.h, and only those that hold text. A zip inside a zip is never opened.
 */
#include <stdlib.h>

#include <archive.h>
#include <archive_entry.h>

#include "emlfs/base/library.h"
#include "text.h"

#define BLOCK_BYTES 65536u

/* clang-format off */
#define ZIP_CALLS(call) \
    call(archive_read_new) call(archive_read_support_format_zip) call(archive_read_open_memory) \
    call(archive_read_next_header) call(archive_read_data) call(archive_read_free) \
    call(archive_read_has_encrypted_entries) call(archive_entry_pathname) \
    call(archive_entry_is_data_encrypted)
/* clang-format on */

struct zip_calls {
    ZIP_CALLS(EMLFS_LIBRARY_MEMBER)
};

static const struct zip_calls *zip_load(void)
{
    static const char *const names[] = {ZIP_CALLS(EMLFS_LIBRARY_NAME)};
    static struct zip_calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_ARCHIVE, names, calls);
    return emlfs_library_load(&library, NULL) == 0 ? &calls : NULL;
}

struct zip {
    const struct zip_calls *calls;
    struct text_run *run;
    struct archive *archive;
    struct emlfs_buf *out;
    struct emlfs_buf member;
    uint64_t packed_bytes, expanded_bytes;
    unsigned kinds, seen; /* seen: kinds of office document that this is */
};

/* Expand the member that libarchive stands at. */
static const char *member_expand(struct zip *zip)
{
    uint8_t block[BLOCK_BYTES];
    emlfs_buf_clear(&zip->member);
    for (;;) {
        la_ssize_t got = zip->calls->archive_read_data(zip->archive, block, sizeof block);
        if (got == 0)
            return NULL;
        if (got < 0)
            return zip->calls->archive_read_has_encrypted_entries(zip->archive) > 0
                       ? TEXT_BAD_ENCRYPTED
                       : "damaged zip";
        zip->expanded_bytes += (uint64_t)got;
        if (text_bomb(zip->packed_bytes, zip->expanded_bytes))
            return TEXT_BAD_BOMB;
        if (zip->expanded_bytes > TEXT_PART_MAX_BYTES)
            return TEXT_BAD_SIZE;
        if (text_late(zip->run))
            return TEXT_BAD_TIME;
        const char *reason = text_expand(zip->run, (uint64_t)got);
        if (reason)
            return reason;
        int rc = emlfs_buf_append(&zip->member, block, (size_t)got);
        if (rc < 0)
            return rc == -E2BIG ? TEXT_BAD_SIZE : TEXT_BAD_MEMORY;
    }
}

static bool is_limit(const char *reason)
{
    return reason && (strcmp(reason, TEXT_BAD_BOMB) == 0 || strcmp(reason, TEXT_BAD_SIZE) == 0 ||
                      strcmp(reason, TEXT_BAD_TIME) == 0 || strcmp(reason, TEXT_BAD_FULL) == 0 ||
                      strcmp(reason, TEXT_BAD_ENCRYPTED) == 0);
}

static const char *member_read(struct zip *zip, struct archive_entry *entry)
{
    const char *name = zip->calls->archive_entry_pathname(entry);
    enum text_office kind = name ? text_office_member(name) : TEXT_OFFICE_NONE;
    if (zip->calls->archive_entry_is_data_encrypted(entry))
        return TEXT_BAD_ENCRYPTED;
    if (kind == TEXT_OFFICE_NONE)
        return NULL;
    unsigned bit = kind == TEXT_OFFICE_OOXML ? EMLFS_KIND_OOXML : EMLFS_KIND_ODF;
    zip->seen |= bit;
    if ((zip->kinds & bit) == 0)
        return NULL;
    const char *reason = member_expand(zip);
    if (zip->member.len == 0)
        return reason;
    const char *bad = text_office(zip->run, kind, emlfs_buf_view(&zip->member), zip->out);
    return reason ? reason : bad;
}

static const char *members_read(struct zip *zip)
{
    struct archive_entry *entry;
    const char *first = NULL;
    for (unsigned i = 0; i < TEXT_ZIP_MEMBERS_MAX; i++) {
        if (text_late(zip->run))
            return TEXT_BAD_TIME;
        int rc = zip->calls->archive_read_next_header(zip->archive, &entry);
        if (rc == ARCHIVE_EOF)
            return first ? first : zip->seen == 0 ? TEXT_BAD_KIND : NULL;
        if (rc < ARCHIVE_WARN)
            return first ? first : "damaged zip";
        const char *reason = member_read(zip, entry);
        if (is_limit(reason))
            return reason;
        if (first == NULL)
            first = reason;
    }
    return "more than 10000 files in a zip";
}

const char *text_zip(struct text_run *run, struct emlfs_span bytes, unsigned kinds,
                     struct emlfs_buf *out)
{
    const struct zip_calls *calls = zip_load();
    if (calls == NULL)
        return "no zip reader is installed";
    struct zip zip = {.calls = calls,
                      .run = run,
                      .archive = calls->archive_read_new(),
                      .out = out,
                      .member = EMLFS_BUF_INIT(TEXT_PART_MAX_BYTES),
                      .packed_bytes = bytes.len,
                      .kinds = kinds};
    const char *reason = TEXT_BAD_MEMORY;
    if (zip.archive) {
        calls->archive_read_support_format_zip(zip.archive);
        reason = calls->archive_read_open_memory(zip.archive, bytes.data, bytes.len) == ARCHIVE_OK
                     ? members_read(&zip)
                     : "damaged zip";
        calls->archive_read_free(zip.archive);
    }
    emlfs_buf_free(&zip.member);
    return reason;
}

bool text_zip_load(void)
{
    return zip_load() != NULL;
}
