/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot_test.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

/* What survives: crashes, lost catalogues, torn tails, damaged records, full disks. */

#define MAILS 120u

struct findings {
    unsigned n;
    char last[512];
};

static void finding_keep(void *arg, const struct emlfs_err *finding)
{
    struct findings *findings = arg;
    findings->n++;
    assert_true(finding->code > 0);
    snprintf(findings->last, sizeof(findings->last), "%s", finding->text);
}

static void life_fill(struct life *life, unsigned from, unsigned to)
{
    struct emlfs_folder_id top = life_top(life, USER), sub = life_folder(life, top, USER, "Sub");
    life_begin(life, "test:damage");
    for (unsigned n = from; n < to; n++)
        life_put_mail(life, n % 2 ? top : sub, USER, n);
}

static void first_file(struct life *life, const char *name, char ret[200])
{
    char stores[128];
    struct dirent **names;
    snprintf(stores, sizeof(stores), "%s/stores", life->path);
    int n = scandir(stores, &names, NULL, alphasort);
    assert_int_equal(n, 3);
    snprintf(ret, 200, "%.90s/%.40s/%.60s", stores, names[2]->d_name, name);
    while (n-- > 0)
        free(names[n]);
    free(names);
}

static void file_flip(const char *path, uint64_t offset)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_int_equal(emlfs_os_pread_full(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    must(emlfs_os_pwrite_all(fd, &byte, 1, offset));
    close(fd);
}

static uint64_t file_size(const char *path)
{
    struct stat st;
    must(stat(path, &st));
    return (uint64_t)st.st_size;
}

static struct emlfs_check_totals verify_count(struct life *life, struct findings *findings)
{
    struct emlfs_check_totals totals;
    findings->n = 0;
    must(emlfs_archive_verify(life->archive, NULL, finding_keep, findings, &totals, NULL));
    assert_int_equal(totals.errors, findings->n);
    return totals;
}

static void recover(struct life *life, struct emlfs_check_totals *totals)
{
    const struct emlfs_archive_options options = {.path = life->path, .workers = 1};
    struct findings findings = {0};
    struct emlfs_err err = {0};
    if (emlfs_archive_recover(&options, NULL, finding_keep, &findings, totals, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(totals->errors, findings.n);
}

static void test_recover_everything(void **state)
{
    struct life *life = *state;
    struct emlfs_buf before = EMLFS_BUF_INIT(1u << 20), after = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_check_totals totals;
    char path[200];
    life->settings.block_bytes = 16384;
    life_init(life);
    life_open(life);
    life_fill(life, 0, MAILS);
    life_end(life, true);
    life_fill(life, 50, MAILS + 50); /* the same run again, some filed elsewhere */
    life_put_mail(life, life_folder(life, (struct emlfs_folder_id){1}, USER, "Third"), USER, 3);
    life_end(life, true);
    must(emlfs_archive_folder_rename(life->archive, (struct emlfs_folder_id){2}, "Renamed", NULL));
    archive_snapshot(life->archive, 50, &before);
    for (unsigned way = 0; way < 3; way++) {
        life_close(life);
        snprintf(path, sizeof(path), "%s/master", life->path);
        tree_remove(path);
        first_file(life, "catalog", path);
        tree_remove(path);
        if (way == 0)
            recover(life, &totals);
        life_open(life); /* way 1: opening rebuilds by itself */
        archive_snapshot(life->archive, 50, &after);
        assert_true(emlfs_span_equal(emlfs_buf_view(&before), emlfs_buf_view(&after)));
        life_verify_clean(life);
        life_begin(life, "test:damage");
        assert_int_equal(life_put_mail(life, (struct emlfs_folder_id){1}, USER, 1), 0);
        life_end(life, false);
        assert_int_equal(life->totals.duplicates, 1);
    }
    emlfs_buf_free(&before);
    emlfs_buf_free(&after);
}

/* Open a copy made while the archive was being written; n messages were acknowledged. */
static void copy_check(struct life *life, const char *path, const struct result *acknowledged,
                       unsigned n)
{
    struct emlfs_archive *archive;
    struct emlfs_check_totals totals;
    struct emlfs_err err = {0};
    const struct emlfs_archive_options options = {.path = path, .workers = 1};
    (void)life;
    if (emlfs_archive_open(&options, &archive, &err) < 0)
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < n; i++)
        must(mail_matches(archive, acknowledged[i].id, i));
    must(emlfs_archive_verify(archive, NULL, finding_print, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    must(emlfs_archive_close(archive, NULL));
}

static void test_crash_copy(void **state)
{
    struct life *life = *state;
    char copy[128];
    snprintf(copy, sizeof(copy), "%s/copy", life->dir);
    life->settings.block_bytes = 8192;
    life_init(life);
    life_open(life);
    life_fill(life, 0, 0);
    for (unsigned step = 0; step < 6; step++) {
        for (unsigned i = 0; i < 15; i++)
            life_put_mail(life, (struct emlfs_folder_id){1}, USER, step * 15 + i);
        if (step % 2)
            must(emlfs_ingest_flush(life->ingest, NULL));
        unsigned n = __atomic_load_n(&life->results_n, __ATOMIC_ACQUIRE);
        assert_true(step % 2 == 0 || n == (step + 1) * 15);
        tree_copy(life->path, copy);
        copy_check(life, copy, life->results, n);
        tree_remove(copy);
    }
    life_end(life, true);
}

/* Where the records of the last pack begin, by its walk: offsets[n - 1] is the end. */
static unsigned cut_points(uint64_t size, uint64_t from, uint64_t *ret, unsigned max)
{
    unsigned n = 0;
    for (uint64_t at = from; at <= size && n < max; at++)
        ret[n++] = at;
    return n;
}

static void test_torn_tail(void **state)
{
    struct life *life = *state;
    struct findings findings = {0};
    struct result *results = life->results;
    uint64_t cuts[4000];
    char copy[128], pack[200], kept[200], master[128];
    life->settings.block_bytes = 4096;
    life_init(life);
    life_open(life);
    life_fill(life, 0, 10);
    must(emlfs_ingest_flush(life->ingest, NULL));
    first_file(life, "packs/00000001.pack", pack);
    uint64_t size = file_size(pack);
    snprintf(copy, sizeof(copy), "%s/copy", life->dir);
    tree_copy(life->path, copy);
    life_end(life, true);
    life_close(life);
    memcpy(master, life->path, sizeof(life->path));
    snprintf(life->path, sizeof(life->path), "%s/torn", life->dir);
    unsigned n = cut_points(size, size - 300, cuts, 4000);
    for (unsigned i = 0; i<n; i += i> 20 && i + 20 < n ? 7 : 1) {
        tree_copy(copy, life->path);
        first_file(life, "packs/00000001.pack", kept);
        must(truncate(kept, (off_t)cuts[i]));
        life_open(life); /* acknowledged bytes are gone: it opens, and says so */
        unsigned lost = 0;
        for (unsigned k = 0; k < 10; k++) {
            int rc = mail_matches(life->archive, results[k].id, k);
            assert_true(rc == 0 || rc == -EBADMSG || rc == -EUCLEAN);
            lost += rc != 0;
        }
        verify_count(life, &findings);
        assert_int_equal(findings.n > 0, cuts[i] < size);
        assert_true(lost > 0 || cuts[i] + 300 > size);
        life_close(life);
        tree_remove(life->path);
    }
    memcpy(life->path, master, sizeof(life->path));
    tree_remove(copy);
}

static void test_garbage_tail(void **state)
{
    struct life *life = *state;
    struct emlfs_check_totals opening;
    struct emlfs_buf garbage = EMLFS_BUF_INIT(1u << 20);
    struct dice dice = {.state = 3};
    char copy[128], pack[200], original[128];
    life_init(life);
    life_open(life);
    life_fill(life, 0, 20);
    must(emlfs_ingest_flush(life->ingest, NULL));
    snprintf(copy, sizeof(copy), "%s/copy", life->dir);
    tree_copy(life->path, copy);
    life_end(life, true);
    life_close(life);
    memcpy(original, life->path, sizeof(life->path));
    snprintf(life->path, sizeof(life->path), "%s/torn", life->dir);
    for (unsigned round = 0; round < 6; round++) {
        tree_copy(copy, life->path);
        first_file(life, "packs/00000001.pack", pack);
        uint64_t size = file_size(pack);
        emlfs_buf_clear(&garbage);
        if (round % 2)
            buf_noise(&garbage, &dice, 1 + dice_roll(&dice, 9000));
        else
            for (unsigned i = 0; i < 1 + round * 700; i++)
                must(emlfs_buf_append_u8(&garbage, 0));
        int fd = open(pack, O_WRONLY);
        must(emlfs_os_pwrite_all(fd, garbage.data, garbage.len, size));
        close(fd);
        life_open(life);
        emlfs_archive_opening(life->archive, &opening);
        assert_true(opening.repaired > 0);
        assert_int_equal(file_size(pack), size);
        for (unsigned k = 0; k < 20; k++)
            must(mail_matches(life->archive, life->results[k].id, k));
        life_verify_clean(life);
        life_close(life);
        life_open(life); /* nothing left to repair */
        emlfs_archive_opening(life->archive, &opening);
        assert_int_equal(opening.repaired + opening.errors, 0);
        life_close(life);
        tree_remove(life->path);
    }
    memcpy(life->path, original, sizeof(life->path));
    emlfs_buf_free(&garbage);
}

/* Damage at a place of a pack: what of MAILS messages is still read; the others say EBADMSG. */
static unsigned read_all(struct life *life, const struct result *results)
{
    struct emlfs_buf got = EMLFS_BUF_INIT(1u << 20);
    unsigned good = 0;
    for (unsigned i = 0; i < MAILS; i++) {
        struct emlfs_err err = {0};
        char text[EMLFS_MSG_ID_TEXT_MAX];
        int rc = message_read(life->archive, results[i].id, &got, &err);
        if (rc == 0) {
            must(mail_matches(life->archive, results[i].id, i));
            good++;
            continue;
        }
        if (rc == -ENOENT) /* recovered without it */
            continue;
        assert_true(rc == -EBADMSG || rc == -EUCLEAN);
        emlfs_msg_id_format(results[i].id, text);
        assert_non_null(strstr(err.text, text));
        if (!strstr(err.text, "pack") && !strstr(err.text, "missing"))
            fail_msg("%s", err.text);
    }
    emlfs_buf_free(&got);
    return good;
}

static void damage(struct life *life, unsigned pack_no, unsigned permille)
{
    struct findings findings = {0};
    struct emlfs_check_totals totals;
    struct result *results = calloc(MAILS, sizeof(*results));
    char pack[200], name[40];
    memcpy(results, life->results, MAILS * sizeof(*results));
    snprintf(name, sizeof(name), "packs/%08u.pack", pack_no);
    first_file(life, name, pack);
    uint64_t at = 64 + (file_size(pack) - 64) * permille / 1000;
    file_flip(pack, at);
    life_open(life);
    unsigned good = read_all(life, results);
    assert_true(good > MAILS / 2);
    verify_count(life, &findings);
    assert_true(findings.n > 0);
    unsigned first = findings.n;
    verify_count(life, &findings);
    assert_int_equal(findings.n, first);
    life_close(life);
    recover(life, &totals);
    assert_true(totals.errors > 0);
    life_open(life);
    assert_true(read_all(life, results) >= good);
    /* The archive works on, and what was lost can be archived again. */
    life_fill(life, 0, MAILS);
    life_end(life, true);
    for (unsigned i = 0; i < MAILS; i++)
        must(mail_matches(life->archive, life->results[i].id, i));
    life_close(life);
    life_open(life);
    for (unsigned i = 0; i < MAILS; i++)
        must(mail_matches(life->archive, life->results[i].id, i));
    life_close(life);
    free(results);
}

static void damage_fixture(struct life *life, char copy[128])
{
    life->settings.block_bytes = 4096;
    life_init(life);
    life_open(life);
    life_fill(life, 0, MAILS / 2);
    life_end(life, true);
    life_close(life);
    life_open(life);
    life_fill(life, 0, MAILS);
    life_end(life, true);
    life_close(life);
    snprintf(copy, 128, "%s/copy", life->dir);
    tree_copy(life->path, copy);
}

static void test_damage_inside(void **state)
{
    struct life *life = *state;
    struct result *results = calloc(MAILS, sizeof(*results));
    char copy[128];
    damage_fixture(life, copy);
    memcpy(results, life->results, MAILS * sizeof(*results));
    for (unsigned pack_no = 1; pack_no <= 2; pack_no++) {
        for (unsigned permille = 150; permille < 1000; permille += 200) {
            memcpy(life->results, results, MAILS * sizeof(*results));
            damage(life, pack_no, permille);
            tree_remove(life->path);
            tree_copy(copy, life->path);
        }
    }
    free(results);
}

/* A pack whose header is gone, and one that is gone altogether. */
static void test_pack_lost(void **state)
{
    struct life *life = *state;
    struct findings findings = {0};
    struct emlfs_check_totals totals;
    char copy[128], pack[200];
    damage_fixture(life, copy);
    for (unsigned way = 0; way < 4; way++) {
        first_file(life, way & 1 ? "packs/00000002.pack" : "packs/00000001.pack", pack);
        if (way & 2)
            must(unlink(pack));
        else
            file_flip(pack, 20);
        life_open(life);
        unsigned good = read_all(life, life->results);
        assert_true(good >= MAILS / 2 - 8);
        verify_count(life, &findings);
        assert_true(findings.n > 0);
        life_close(life);
        recover(life, &totals);
        life_open(life);
        assert_true(read_all(life, life->results) >= good);
        life_close(life);
        tree_remove(life->path);
        tree_copy(copy, life->path);
    }
}

/* A store whose making was interrupted by a crash holds nothing and is made again. */
static void test_half_made_store(void **state)
{
    struct life *life = *state;
    struct emlfs_archive_status status;
    struct emlfs_check_totals opening;
    char path[128];
    life_init(life);
    life_open(life);
    life_fill(life, 0, 5);
    life_end(life, true);
    for (unsigned way = 0; way < 3; way++) {
        life_close(life);
        snprintf(path, sizeof(path), "%s/stores/%05u-2027-01", life->path, way + 2);
        must(emlfs_os_mkdir(path, 0700));
        snprintf(path, sizeof(path), "%s/stores/%05u-2027-01/%s", life->path, way + 2,
                 way == 1 ? "packs" : "catalog");
        if (way > 0)
            must(emlfs_os_mkdir(path, 0700));
        life_open(life);
        emlfs_archive_opening(life->archive, &opening);
        assert_int_equal(opening.errors, 0);
        must(emlfs_archive_get_status(life->archive, &status, NULL));
        assert_int_equal(status.stores, way + 2);
        life_fill(life, 100 * way, 100 * way + 20);
        life_end(life, true);
        life_verify_clean(life);
    }
}

static void test_full_disk(void **state)
{
    struct life *life = *state;
    struct emlfs_buf raw = EMLFS_BUF_INIT(4u << 20), got = EMLFS_BUF_INIT(4u << 20);
    struct dice dice = {.state = 8};
    struct emlfs_archive_status status;
    char filler[128];
    unsigned rejected = 0, archived = 0;
    if (mount("tmpfs", life->dir, "tmpfs", 0, "size=64m") < 0)
        skip();
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER);
    life_folder(life, top, USER, "Sub");
    life_begin(life, "test:full");
    for (unsigned i = 0; i < 60; i++) {
        emlfs_buf_clear(&raw);
        buf_noise(&raw, &dice, 1u << 20);
        life_put(life, top, USER, emlfs_buf_view(&raw));
        life_put_mail(life, top, USER, i);
        if (i % 4 == 3) /* a group that does not fit is refused whole: small ones */
            must(emlfs_ingest_flush(life->ingest, NULL));
    }
    life_end(life, false);
    for (unsigned i = 0; i < life->results_n; i++) {
        const struct result *result = &life->results[i];
        rejected += result->verdict == EMLFS_INGEST_REJECTED;
        archived += result->verdict == EMLFS_INGEST_ARCHIVED;
        if (result->verdict == EMLFS_INGEST_REJECTED)
            assert_int_equal(result->code, ENOSPC);
        else if (i % 2)
            must(mail_matches(life->archive, result->id, i / 2));
        else
            must(message_read(life->archive, result->id, &got, NULL));
    }
    assert_true(rejected > 10 && archived > 20);
    must(emlfs_archive_get_status(life->archive, &status, NULL));
    assert_true(status.writable);
    assert_int_equal(status.messages, archived);
    life_verify_clean(life);
    life_close(life);
    must(mount("tmpfs", life->dir, "tmpfs", MS_REMOUNT, "size=200m"));
    life_open(life);
    snprintf(filler, sizeof(filler), "%s/filler", life->dir);
    int fd = open(filler, O_CREAT | O_WRONLY, 0600);
    struct statvfs vfs;
    must(statvfs(life->dir, &vfs));
    must(posix_fallocate(fd, 0, (off_t)(vfs.f_bavail * vfs.f_frsize - (10u << 20))));
    close(fd);
    life_begin(life, "test:full");
    life_put_mail(life, top, USER, 1000);
    must(emlfs_ingest_flush(life->ingest, NULL));
    assert_int_equal(life->results[0].code, ENOSPC);
    must(unlink(filler)); /* room again: the same ingest goes on */
    for (unsigned n = 1000; n < 1010; n++)
        life_put_mail(life, top, USER, n);
    life_end(life, true);
    assert_int_equal(life->totals.archived, 10);
    life_verify_clean(life);
    life_close(life);
    emlfs_buf_free(&raw);
    emlfs_buf_free(&got);
    must(umount(life->dir));
}

int main(void)
{
#define LIFE_TEST(test) cmocka_unit_test_setup_teardown(test, life_make, life_free)
    const struct CMUnitTest tests[] = {
        LIFE_TEST(test_recover_everything), LIFE_TEST(test_crash_copy),
        LIFE_TEST(test_torn_tail),          LIFE_TEST(test_garbage_tail),
        LIFE_TEST(test_damage_inside),      LIFE_TEST(test_pack_lost),
        LIFE_TEST(test_half_made_store),    LIFE_TEST(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
