/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../store/catalog/look.h"
#include "emlfs/base/os.h"

/*
 * Files of a LevelDB database as somebody else may have made them: the first byte says which kind.
 * A checksum whose tables are empty comes out alike for all bytes, and the seeds hold that value,
 * so that what the fuzzer changes gets past it. Checked beyond memory safety: only the documented
 * answers, limits, rows that were sorted are in order, and walks that end.
 */

#define STEPS_MAX 100000u

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void demand_code(int r)
{
    demand(r == 0 || r == -EUCLEAN || r == -E2BIG || r == -ENOMEM);
}

static void manifest(const struct crc32c *crc, struct emlfs_span bytes)
{
    struct look_version version;
    int r = look_version_read(crc, bytes, &version);

    demand_code(r);
    if (r < 0)
        return;
    for (size_t i = 0; i < look_files_n(&version); i++) {
        const struct look_file *file = look_files(&version)[i];
        demand(file->level < LOOK_LEVELS && file->small_len <= LOOK_KEY_MAX_BYTES &&
               file->large_len <= LOOK_KEY_MAX_BYTES);
    }
    look_version_free(&version);
}

static void rows(const struct crc32c *crc, struct emlfs_span bytes)
{
    struct look_rows rows = {0};
    int r = look_rows_add(crc, bytes, &rows);

    demand_code(r);
    look_rows_sort(&rows);
    for (size_t i = 1; i < look_rows_n(&rows); i++) {
        struct look_row before = look_rows_at(&rows, i - 1), row = look_rows_at(&rows, i);
        int order = catalog_compare(before.key, row.key);
        demand(order < 0 || (order == 0 && before.sequence >= row.sequence));
        demand(row.key.len <= LOOK_KEY_MAX_BYTES && row.value.len <= LOOK_VALUE_MAX_BYTES);
    }
    look_rows_free(&rows);
}

static void table_use(struct look_table *table)
{
    struct look_cursor cursor;
    unsigned steps = 0;

    look_cursor_begin(&cursor, table);
    int r = look_cursor_seek(&cursor, (struct emlfs_span){0});
    for (; r == 0 && cursor.valid && steps < STEPS_MAX; steps++) {
        demand(cursor.row.key.len <= 2 * LOOK_KEY_MAX_BYTES);
        r = look_cursor_next(&cursor);
    }
    demand_code(r);
    uint8_t text[32];
    struct emlfs_span key = emlfs_span_of(text, 0);
    for (unsigned i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i * 37 + 'k');
        key.len = i + 1;
        r = look_cursor_seek_below(&cursor, key);
        demand_code(r);
        demand(r < 0 || !cursor.valid || catalog_compare(cursor.row.key, key) < 0);
        r = look_cursor_seek(&cursor, key);
        demand_code(r);
        demand(r < 0 || !cursor.valid || catalog_compare(cursor.row.key, key) >= 0);
    }
    look_cursor_free(&cursor);
}

static void table(const struct crc32c *crc, struct emlfs_span bytes)
{
    struct look_table *made = NULL;
    int fd = memfd_create("table", MFD_CLOEXEC);

    demand(fd >= 0 && emlfs_os_write_all(fd, bytes.data, bytes.len) == 0);
    int r = look_table_of(crc, fd, bytes.len, &made);
    demand_code(r);
    if (r < 0)
        return;
    table_use(made);
    look_table_free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct crc32c same = {0};

    if (size == 0)
        return 0;
    struct emlfs_span bytes = emlfs_span_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        manifest(&same, bytes);
    else if (data[0] % 3 == 1)
        rows(&same, bytes);
    else
        table(&same, bytes);
    return 0;
}
