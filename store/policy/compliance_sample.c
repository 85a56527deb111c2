/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emlfs/base/os.h"
#include "emlfs/compliance.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define OFFSETS_PATH "/proc/self/timens_offsets" /* time_namespaces(7) */
#define SECOND_NS INT64_C(1000000000)
#define PROC_MAX_BYTES 4096u

static int file_text(const char *path, struct emlfs_buf *buf)
{
    int r = emlfs_os_read_file(path, buf);
    return r == 0 ? emlfs_buf_append_u8(buf, 0) : r;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int boot_id_read(uint8_t ret[EMLFS_BOOT_ID_BYTES])
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(PROC_MAX_BYTES);
    unsigned n = 0;

    if (file_text(BOOT_ID_PATH, &text) < 0)
        return -EIO;
    memset(ret, 0, EMLFS_BOOT_ID_BYTES);
    for (const char *at = (const char *)text.data; *at; at++) {
        int digit = hex_digit(*at);
        if (digit < 0)
            continue;
        if (n == 2 * EMLFS_BOOT_ID_BYTES)
            return -EIO;
        ret[n / 2] = (uint8_t)(ret[n / 2] << 4 | digit);
        n++;
    }
    return n == 2 * EMLFS_BOOT_ID_BYTES ? 0 : -EIO;
}

/* "boottime SECONDS NANOSECONDS", what a time namespace adds to the clock. A kernel without time
 * namespaces has no such file and adds nothing. */
static int boot_offset_read(int64_t *ret_ns)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(PROC_MAX_BYTES);
    int64_t sec_ns;
    char *end;

    *ret_ns = 0;
    int r = file_text(OFFSETS_PATH, &text);
    if (r < 0)
        return r == -ENOENT ? 0 : -EIO;
    const char *line = strstr((const char *)text.data, "boottime");
    if (!line)
        return -EIO;
    long long sec = strtoll(line + strlen("boottime"), &end, 10);
    long long nsec = strtoll(end, NULL, 10);
    if (__builtin_mul_overflow((int64_t)sec, SECOND_NS, &sec_ns) ||
        __builtin_add_overflow(sec_ns, (int64_t)nsec, ret_ns))
        return -EIO;
    return 0;
}

int emlfs_time_sample_take(const struct emlfs_clock *clock, struct emlfs_time_sample *ret)
{
    struct timespec boot;
    int64_t offset_ns;

    if (boot_id_read(ret->boot_id) < 0 || boot_offset_read(&offset_ns) < 0 ||
        clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
        return -EIO;
    ret->boot_ns = (int64_t)boot.tv_sec * SECOND_NS + boot.tv_nsec - offset_ns;
    ret->wall_ns = clock->now_ns(clock->arg);
    return ret->boot_ns >= 0 ? 0 : -EIO;
}
