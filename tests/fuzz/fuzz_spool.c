/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../store/archive/spool_file.h"
#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"

/*
 * The walk over a spool file's log: authentic records with any kind, place and content, then bytes
 * of the input's own, put anywhere. Checked beyond memory safety: only the documented answers, a
 * size within limits, and that what was loaded can be cut and written to.
 */

#define STEPS_MAX 64u

static void demand(bool truth)
{
    if (!truth)
        abort();
}

/* One step of the input; false at its end. */
static bool step(struct spool_log *log, struct emlfs_cursor *cur)
{
    uint8_t kind = emlfs_cursor_u8(cur);
    uint16_t len = emlfs_cursor_u16le(cur);
    uint64_t at = emlfs_cursor_u64le(cur);
    struct emlfs_span bytes = emlfs_cursor_take(cur, len);

    if (cur->bad)
        return false;
    if (kind < 250)
        demand(spool_log_append(log, (enum spool_kind)(kind % 6), at, bytes) == 0);
    else
        demand(emlfs_os_pwrite_all(log->fd, bytes.data, bytes.len, at % (log->end.pos + 1)) == 0);
    return true;
}

static void use(struct emlfs_spool_file *file)
{
    uint64_t size = emlfs_spool_file_size(file);
    uint8_t bytes[256];
    ssize_t n = emlfs_spool_file_pread(file, bytes, sizeof(bytes), size / 2, NULL);
    int rc;

    demand(size <= EMLFS_SPOOL_MAX_BYTES);
    demand(emlfs_spool_file_meta(file).len <= EMLFS_SPOOL_META_MAX_BYTES);
    demand(n == -EBADMSG || (n >= 0 && (uint64_t)n <= size));
    rc = emlfs_spool_file_truncate(file, size / 3, NULL);
    demand(rc == 0 && emlfs_spool_file_size(file) == size / 3);
    rc = emlfs_spool_file_pwrite(file, emlfs_span_str("written"), size / 3, NULL);
    demand(rc == 0 || rc == -EBADMSG || rc == -EFBIG);
    if (rc < 0)
        return;
    demand(emlfs_spool_file_pread(file, bytes, sizeof(bytes), size / 3, NULL) == 7);
    demand(memcmp(bytes, "written", 7) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(data, size));
    struct emlfs_spool spool = {.dir = "/nonexistent"};
    struct emlfs_spool_file *file = NULL;
    struct spool_log log;
    int fd = memfd_create("spool", MFD_CLOEXEC), rc;

    demand(fd >= 0);
    atomic_init(&spool.refs, 2); /* never freed: it is ours */
    demand(spool_log_create(&log, &spool.key, fd, 1) == 0);
    for (unsigned i = 0; i < STEPS_MAX && step(&log, &cur); i++)
        continue;
    spool_log_free(&log);
    rc = spool_file_load(&spool, 1, fd, &file);
    demand(rc == 0 || rc == -ENODATA || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
    if (rc < 0)
        return 0;
    use(file);
    emlfs_spool_file_close(file);
    return 0;
}
