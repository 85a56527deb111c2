/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/base/os.h"

struct place {
    char dir[64];
    char file[96];
};

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place)
        return -1;
    snprintf(place->dir, sizeof(place->dir), "/tmp/emlfs-test-os-XXXXXX");
    if (!mkdtemp(place->dir))
        return -1;
    snprintf(place->file, sizeof(place->file), "%s/file", place->dir);
    *state = place;
    return 0;
}

static int place_remove(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    int r = rmdir(place->dir); /* fails when a test leaves anything behind */
    free(place);
    return r;
}

static void assert_content(const char *path, const char *expected)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(1 << 20);
    assert_int_equal(emlfs_os_read_file(path, &buf), 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&buf), emlfs_span_str(expected)));
}

static void test_replace(void **state)
{
    const struct place *place = *state;
    char temp[128];
    struct stat st;
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_str("one"), 0600), 0);
    assert_content(place->file, "one");
    snprintf(temp, sizeof(temp), "%s.tmp", place->file);
    int fd = open(temp, O_CREAT | O_WRONLY, 0666); /* a crash left this */
    assert_true(fd >= 0);
    emlfs_os_close(&fd);
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_str("second"), 0600), 0);
    assert_content(place->file, "second");
    assert_int_equal(stat(place->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(access(temp, F_OK), -1);
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_of(NULL, 0), 0600), 0);
    assert_content(place->file, "");
}

static void test_replace_failure_keeps_old(void **state)
{
    const struct place *place = *state;
    char temp[128];
    snprintf(temp, sizeof(temp), "%s.tmp", place->file);
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_str("old"), 0600), 0);
    assert_int_equal(mkdir(temp, 0700), 0);
    assert_true(emlfs_os_replace_file(place->file, emlfs_span_str("new"), 0600) < 0);
    assert_content(place->file, "old");
    assert_int_equal(rmdir(temp), 0);
    assert_int_equal(emlfs_os_replace_file("/nonexistent/dir/x", emlfs_span_str("x"), 0600),
                     -ENOENT);
}

static void test_relative_paths(void **state)
{
    const struct place *place = *state;
    assert_int_equal(chdir(place->dir), 0);
    assert_int_equal(emlfs_os_replace_file("file", emlfs_span_str("here"), 0600), 0);
    assert_content(place->file, "here");
    assert_int_equal(chdir("/"), 0);
}

static void test_read_limits(void **state)
{
    const struct place *place = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(6);
    assert_int_equal(emlfs_os_read_file(place->file, &buf), -ENOENT);
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_str("123456"), 0600), 0);
    assert_int_equal(emlfs_os_read_file(place->file, &buf), 0);
    assert_int_equal(buf.len, 6);
    assert_int_equal(emlfs_os_replace_file(place->file, emlfs_span_str("1234567"), 0600), 0);
    assert_int_equal(emlfs_os_read_file(place->file, &buf), -EFBIG);
}

static void test_transfers(void **state)
{
    const struct place *place = *state;
    uint8_t bytes[16] = {0};
    EMLFS_FD_CLEANUP int fd = open(place->file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, "abcdef", 6), 0);
    assert_int_equal(emlfs_os_pwrite_all(fd, "XY", 2, 8), 0);
    assert_int_equal(emlfs_os_pread_full(fd, bytes, sizeof(bytes), 2), 8);
    assert_memory_equal(bytes, "cdef\0\0XY", 8);
    assert_int_equal(emlfs_os_pread_full(fd, bytes, 4, 100), 0);
    assert_int_equal(emlfs_os_pread_full(fd, bytes, 4, UINT64_MAX - 2), -EINVAL);
    assert_int_equal(emlfs_os_pwrite_all(fd, "x", 1, INT64_MAX), -EFBIG);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(emlfs_os_read_full(fd, bytes, sizeof(bytes)), 10);
    assert_int_equal(emlfs_os_fdatasync(fd), 0);
    assert_int_equal(emlfs_os_fsync(fd), 0);
    assert_int_equal(emlfs_os_sync_dir(place->dir), 0);
    assert_int_equal(emlfs_os_sync_dir(place->file), -ENOTDIR);
    assert_int_equal(emlfs_os_fdatasync(-1), -EBADF);
    assert_int_equal(emlfs_os_write_all(-1, "x", 1), -EBADF);
    assert_int_equal(emlfs_os_pread_full(-1, bytes, 1, 0), -EBADF);
}

static void test_pipe_reads_whole(void **state)
{
    (void)state;
    int ends[2];
    uint8_t bytes[8];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(emlfs_os_write_all(ends[1], "12", 2), 0);
    assert_int_equal(emlfs_os_write_all(ends[1], "345", 3), 0);
    emlfs_os_close(&ends[1]);
    assert_int_equal(ends[1], -1);
    assert_int_equal(emlfs_os_read_full(ends[0], bytes, sizeof(bytes)), 5);
    emlfs_os_close(&ends[0]);
    emlfs_os_close(&ends[0]);
}

static void test_mkdir_and_clock(void **state)
{
    const struct place *place = *state;
    assert_int_equal(emlfs_os_mkdir(place->file, 0700), 0);
    assert_int_equal(emlfs_os_mkdir(place->file, 0700), -EEXIST);
    assert_int_equal(rmdir(place->file), 0);
    int64_t then_ns = emlfs_os_monotonic_ns();
    assert_true(emlfs_os_monotonic_ns() >= then_ns);
}

int main(void)
{
#define AT_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        AT_PLACE(test_replace),         AT_PLACE(test_replace_failure_keeps_old),
        AT_PLACE(test_read_limits),     AT_PLACE(test_relative_paths),
        AT_PLACE(test_transfers),       AT_PLACE(test_pipe_reads_whole),
        AT_PLACE(test_mkdir_and_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
