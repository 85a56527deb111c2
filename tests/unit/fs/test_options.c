/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../fs/mount_internal.h"

static void accept(const char *text, struct mount_options *ret)
{
    struct emlfs_err err = {.code = 0};

    assert_int_equal(mount_options_parse(text, ret, &err), 0);
}

static void refuse(const char *text, const char *named)
{
    struct emlfs_err err = {.code = 0};
    struct mount_options options;

    assert_int_equal(mount_options_parse(text, &options, &err), -EINVAL);
    assert_non_null(strstr(err.text, named));
}

static void test_nothing(void **state)
{
    struct mount_options options;

    (void)state;
    accept("", &options);
    assert_false(options.remount || options.read_write || options.read_only ||
                 options.strict_root || options.noprefetch || options.warn_owner ||
                 options.no_searches);
    accept(",,ro,,", &options);
    assert_true(options.read_only && !options.read_write);
}

static void test_own(void **state)
{
    struct mount_options options;

    (void)state;
    accept("rw,strict_root,noprefetch,private_names,remount", &options);
    assert_true(options.private_names);
    assert_true(options.read_write && options.strict_root && options.noprefetch && options.remount);
    assert_false(options.acl || options.xattr || options.retention_atime);
    accept("acl,xattr,atime=retention", &options);
    assert_true(options.acl && options.xattr && options.retention_atime);
    assert_false(options.maildir);
    refuse("layout=maildir,user=alice", "layout=maildir");
    refuse("store=x,layout=maildir", "layout=maildir");
    accept("layout=maildir", &options);
    assert_true(options.maildir);
    accept("rw,ro", &options);
    assert_true(options.read_only && !options.read_write);
    accept("ro,rw,no_searches", &options);
    assert_true(options.read_write && !options.read_only && options.no_searches);
}

static void test_scope(void **state)
{
    char longer[MOUNT_NAME_MAX + 16];
    struct mount_options options;

    (void)state;
    accept("user=alice,folder=Old\\, older/x,store=2", &options);
    assert_string_equal(options.scope.user, "alice");
    assert_string_equal(options.scope.folder, "Old, older/x");
    assert_string_equal(options.scope.store, "2");
    assert_false(options.read_only || options.scope.auditor[0]);
    accept("user,archive_user=bob,users", &options);
    assert_string_equal(options.scope.user, "bob");
    accept("rw,auditor=tax,account=games", &options);
    assert_string_equal(options.scope.auditor, "tax");
    assert_string_equal(options.scope.account, "games");
    assert_true(options.read_only);
    refuse("user=", "user=");
    refuse("folder=", "folder=");
    refuse("account=games", "account=");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer, "store=", 6);
    refuse(longer, "store=");
}

static void test_ignored(void **state)
{
    struct mount_options options;

    (void)state;
    accept("allow_other,default_permissions,dev,suid,exec,relatime,nodiratime,lazytime,iversion,"
           "nosymfollow,nonempty,_netdev,_rnetdev,nofail,x-systemd.requires=a\\,b,X-mount.mkdir,"
           "comment=any thing,user,user=alice,users,max_read=131072,user_id=0,group_id=0,"
           "rootmode=40000,fsname=/a\\,b/c,subtype=emlfs,sync,dirsync,noatime,defaults",
           &options);
    assert_false(options.warn_owner);
}

static void test_owner_words_warn(void **state)
{
    struct mount_options options;

    (void)state;
    accept("uid=1000", &options);
    assert_true(options.warn_owner);
    accept("ro,umask=022,gid=5", &options);
    assert_true(options.warn_owner);
}

static void test_refused(void **state)
{
    char longer[3000];

    (void)state;
    refuse("ro,colour=blue", "colour=blue");
    refuse("roo", "roo");
    refuse("r", "r");
    refuse("ro=1", "ro=1");
    refuse("uid", "uid");
    refuse("xattr=1", "xattr=1");
    refuse("acl=", "acl=");
    refuse("atime=archived", "atime=archived");
    refuse("RO", "RO");
    refuse(" ro", " ro");
    refuse("a\\,ro", "a\\,ro");
    refuse("setuid=mail,ro", "setuid=mail");
    refuse("drop_privileges", "drop_privileges");
    memset(longer, 'z', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    refuse(longer, "zzz");
    longer[1] = '\\';
    longer[sizeof(longer) - 2] = '\\';
    refuse(longer, "z\\zz");
}

static const char *const table =
    "21 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 21 0:31 / /mnt/a\\040b ro,nosuid - fuse.emlfs /srv/mail\\040box ro,user_id=0\n"
    "31 21 0:32 / /mnt/two ro master:3 shared:7 propagate_from:2 - fuse.emlfs /one ro\n"
    "32 31 0:33 / /mnt/two ro - fuse.emlfs /two rw\n"
    "a line that is none\n"
    "33 31 0:34 / /mnt/cut ro\n"
    "34 31 0:35 /x /mnt/last rw - tmpfs none rw";

static void test_mount_table(void **state)
{
    struct mount_entry entry;

    (void)state;
    assert_int_equal(mount_table_find_in(table, "/mnt/a b", &entry), 0);
    assert_string_equal(entry.source, "/srv/mail box");
    assert_true(entry.read_only);
    assert_true(entry.super_read_only);
    assert_string_equal(entry.device, "0:31");
    assert_true(mount_entry_is_emlfs(&entry));
    assert_int_equal(mount_table_find_in(table, "/mnt/two", &entry), 0);
    assert_string_equal(entry.source, "/two");
    assert_true(entry.read_only);
    assert_false(entry.super_read_only);
    assert_int_equal(mount_table_find_in(table, "/mnt/last", &entry), 0);
    assert_false(entry.read_only);
    assert_false(mount_entry_is_emlfs(&entry));
    assert_int_equal(mount_table_find_in(table, "/mnt/cut", &entry), -ENOENT);
    assert_int_equal(mount_table_find_in(table, "/mnt", &entry), -ENOENT);
    assert_int_equal(mount_table_find_in("", "/", &entry), -ENOENT);
}

/* Every prefix of a table, and paths longer than any buffer, end without a wrong answer. */
static void test_mount_table_cut(void **state)
{
    char *cut = strdup(table), *longer;
    struct mount_entry entry;

    (void)state;
    for (size_t len = strlen(table); len-- > 0;) {
        cut[len] = '\0';
        (void)mount_table_find_in(cut, "/mnt/last", &entry);
    }
    free(cut);
    longer = malloc(3 * MOUNT_PATH_MAX + 1);
    memset(longer, 'a', 3 * MOUNT_PATH_MAX);
    for (size_t at = 50; at < 3 * MOUNT_PATH_MAX; at += 5000)
        longer[at] = ' ';
    longer[3 * MOUNT_PATH_MAX] = '\0';
    assert_int_equal(mount_table_find_in(longer, "a", &entry), -ENOENT);
    free(longer);
}

static void test_mount_fd(void **state)
{
    (void)state;
    assert_int_equal(mount_fd_of("/dev/fd/3"), 3);
    assert_int_equal(mount_fd_of("/dev/fd/117"), 117);
    assert_int_equal(mount_fd_of("/dev/fd/"), -1);
    assert_int_equal(mount_fd_of("/dev/fd/x"), -1);
    assert_int_equal(mount_fd_of("/dev/fd/3x"), -1);
    assert_int_equal(mount_fd_of("/dev/fd/-1"), -1);
    assert_int_equal(mount_fd_of("/dev/fd/99999999999999999999"), -1);
    assert_int_equal(mount_fd_of("/mnt"), -1);
    assert_int_equal(mount_fd_of("3"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_owner_words_warn),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mount_table),
        cmocka_unit_test(test_mount_table_cut),
        cmocka_unit_test(test_mount_fd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
