/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The states of files that are written into the mount, one by one; see test_stage_model.c. */
#include "../../../fs/stage_internal.h"
#include "fs/stage_world.h"

#define ALICE 3001u
#define BOB 3002u
#define CAROL 3003u

static const char mail[] = "From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n";
static const char foreign[] = "\x89PNG\r\n\x1a\n and what belongs to a picture";
static const char mbox[] = "From a Mon Mar  2 10:00:00 2026\nFrom: a@example.org\n\nbody\n";

static struct fs_stage_at at_a(const char *name)
{
    return (struct fs_stage_at){{1}, {FOLDER_A}, name};
}

static struct emlfs_subject subject_of(uid_t uid)
{
    return (struct emlfs_subject){.uid = uid, .gid = uid};
}

static struct fs_stage_handle *make(struct world *w, uid_t uid, const char *name)
{
    const struct fs_stage_mode mode = {O_WRONLY | O_CREAT | O_EXCL, 0640};
    const struct emlfs_subject subject = subject_of(uid);
    const struct fs_stage_at at = at_a(name);
    struct fs_stage_handle *handle = NULL;
    struct emlfs_err err = {.code = 0};

    OK(fs_stage_create(w->stage, &subject, &at, &mode, &handle, &err));
    return handle;
}

static int put(struct fs_stage_handle *handle, const char *text, uint64_t offset)
{
    struct emlfs_err err = {.code = 0};

    return fs_stage_pwrite(handle, emlfs_span_str(text), offset, &err);
}

static int flush(struct fs_stage_handle *handle)
{
    struct emlfs_err err = {.code = 0};

    return fs_stage_flush(handle, &err);
}

/* As cp does. */
static void copy(struct world *w, uid_t uid, const char *name, const char *text)
{
    struct fs_stage_handle *handle = make(w, uid, name);

    OK(put(handle, text, 0));
    OK(flush(handle));
    fs_stage_release(handle);
}

static int look(struct world *w, uid_t uid, const char *name, struct stat *ret)
{
    struct stat st;

    return fs_stage_lookup(w->stage, uid, (struct emlfs_folder_id){FOLDER_A}, name,
                           ret ? ret : &st);
}

static int move(struct world *w, uid_t uid, const char *from, const char *to)
{
    const struct fs_stage_move how = {.folder = {FOLDER_A}, .name = from, .to = at_a(to)};
    struct fs_stage_sealed sealed;
    struct emlfs_err err = {.code = 0};

    return fs_stage_rename(w->stage, uid, &how, &sealed, &err);
}

static int unlink_of(struct world *w, uid_t uid, const char *name)
{
    struct fs_stage_sealed sealed;
    struct emlfs_err err = {.code = 0};

    return fs_stage_unlink(w->stage, uid, (struct emlfs_folder_id){FOLDER_A}, name, &sealed, &err);
}

static int open_of(struct world *w, uid_t uid, const char *name, int flags,
                   struct fs_stage_handle **ret)
{
    struct emlfs_err err = {.code = 0};
    struct stat st;
    int rc = look(w, uid, name, &st);

    return rc < 0 ? rc : fs_stage_open(w->stage, uid, st.st_ino, flags, ret, &err);
}

static bool is_kept(struct world *w, uid_t uid, const char *text)
{
    return world_has(w, uid, FOLDER_A, text, strlen(text));
}

static bool is_listed(struct world *w, uid_t uid, const char *name)
{
    struct fs_stage_name found = {.position = 0};

    while (fs_stage_next(w->stage, uid, (struct emlfs_folder_id){FOLDER_A}, found.position,
                         &found) == 0)
        if (strcmp(found.name, name) == 0)
            return true;
    return false;
}

/* Nothing is left of anything. */
static void assert_empty(struct world *w)
{
    assert_false(fs_stage_any(w->stage, (struct emlfs_folder_id){FOLDER_A}));
    assert_int_equal(world_spooled(w), 0);
}

/* ---- cases */

static void test_names(void **state)
{
    (void)state;
    for (const char *const *name =
             (const char *const[]){".m.eml.Xa1b2C", "m.eml~", "m.tmp", "m.PART", "m.crdownload",
                                   ".m.eml.swp", "m.eml.0000000002", ".goutputstream-AB12", NULL};
         *name; name++)
        assert_true(fs_stage_name_is_temporary(*name));
    for (const char *const *name = (const char *const[]){"m.eml", "letter", "m.000000002", "tmp",
                                                         "0000000002", "m.tmp.eml", NULL};
         *name; name++)
        assert_false(fs_stage_name_is_temporary(*name));
}

static void test_copy(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml");
    struct stat st;

    assert_int_equal(look(w, BOB, "m.eml", NULL), -ENOENT);
    assert_true(is_listed(w, ALICE, "m.eml"));
    assert_false(is_listed(w, BOB, "m.eml"));
    OK(look(w, ALICE, "m.eml", &st));
    assert_int_equal(st.st_uid, ALICE);
    assert_int_equal(fs_stage_getattr(w->stage, BOB, st.st_ino, &st), -ENOENT);
    OK(put(handle, mail, 0));
    OK(look(w, ALICE, "m.eml", &st));
    assert_int_equal(st.st_size, strlen(mail));
    OK(flush(handle));
    world_drain(w);
    assert_int_equal(w->kept_n, 0); /* it is open */
    fs_stage_release(handle);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    assert_string_equal(w->kept[0].name, "m.eml");
    assert_false(is_listed(w, ALICE, "m.eml")); /* its own name is, by the view */
    OK(look(w, ALICE, "m.eml", NULL));
    world_pass(w, FS_STAGE_GRACE_NS);
    assert_int_equal(look(w, ALICE, "m.eml", NULL), -ENOENT);
    assert_empty(w);
}

static void test_foreign(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "picture.eml");

    assert_int_equal(put(handle, foreign, 0), -EOPNOTSUPP);
    assert_int_equal(put(handle, "more", 100), -EOPNOTSUPP);
    assert_int_equal(flush(handle), -EOPNOTSUPP);
    fs_stage_release(handle);
    assert_int_equal(look(w, ALICE, "picture.eml", NULL), -ENOENT);
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    assert_empty(w);
}

/* As file servers do: size first, then blocks in any order. */
static void test_size_first(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml");
    struct stat asked = {.st_size = sizeof(mail) - 1}, st;
    const struct fs_stage_set set = {&asked, FS_STAGE_SET_SIZE, handle};
    struct emlfs_err err = {.code = 0};

    OK(fs_stage_setattr(w->stage, 0, FS_STAGE_TAG | 1, &set, &st, &err));
    assert_int_equal(st.st_size, strlen(mail));
    assert_int_equal(flush(handle), -EOPNOTSUPP); /* nothing of it is there yet */
    OK(put(handle, mail + 20, 20));
    assert_int_equal(flush(handle), -EOPNOTSUPP); /* it begins with zeros */
    OK(fs_stage_pwrite(handle, emlfs_span_of(mail, 20), 0, &err));
    OK(flush(handle));
    fs_stage_release(handle);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
}

/* A connection that broke: the end was never written. */
static void test_never_ended(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml");
    struct stat asked = {.st_size = 100000}, st;
    const struct fs_stage_set set = {&asked, FS_STAGE_SET_SIZE, handle};
    struct emlfs_err err = {.code = 0};

    OK(fs_stage_setattr(w->stage, ALICE, FS_STAGE_TAG | 1, &set, &st, &err));
    OK(put(handle, mail, 0));
    assert_int_equal(flush(handle), -EOPNOTSUPP);
    fs_stage_release(handle);
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    assert_empty(w);
}

static void test_flushes_in_between(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml");

    OK(flush(handle));
    OK(put(handle, "Fro", 0));
    assert_int_equal(flush(handle), -EOPNOTSUPP); /* as a whole it is none */
    OK(put(handle, mail + 3, 3));
    OK(flush(handle));
    OK(flush(handle));
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    fs_stage_release(handle);
    world_drain(w);
    assert_int_equal(w->kept_n, 1);
    assert_true(is_kept(w, ALICE, mail));
}

static void test_empty(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "new.eml");

    OK(flush(handle));
    fs_stage_release(handle);
    world_drain(w);
    assert_true(is_listed(w, ALICE, "new.eml"));
    world_pass(w, FS_STAGE_EMPTY_NS - 1);
    OK(open_of(w, ALICE, "new.eml", O_WRONLY, &handle));
    world_pass(w, FS_STAGE_EMPTY_NS); /* not while it is open */
    OK(put(handle, mail, 0));
    OK(flush(handle));
    fs_stage_release(handle);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    fs_stage_release(make(w, ALICE, "never.eml"));
    world_pass(w, FS_STAGE_EMPTY_NS);
    assert_int_equal(look(w, ALICE, "never.eml", NULL), -ENOENT);
}

static void test_temporary(void **state)
{
    struct world *w = *state;

    copy(w, ALICE, ".m.eml.Xa1b2C", mail);
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    OK(move(w, ALICE, ".m.eml.Xa1b2C", "m.eml"));
    assert_true(is_kept(w, ALICE, mail)); /* without any other thread */
    assert_string_equal(w->kept[0].name, "m.eml");
    assert_int_equal(look(w, ALICE, ".m.eml.Xa1b2C", NULL), -ENOENT);
    OK(look(w, ALICE, "m.eml", NULL));
    copy(w, ALICE, "other.part", mail);
    world_pass(w, FS_STAGE_TEMPORARY_NS - 1);
    OK(look(w, ALICE, "other.part", NULL));
    world_pass(w, 1);
    assert_empty(w);
    assert_int_equal(w->kept_n, 1);
}

/* An editor renames what it has open; a web server what has not been released yet. */
static void test_rename_open(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, ".goutputstream-1");

    OK(put(handle, mail, 0));
    OK(move(w, ALICE, ".goutputstream-1", "m.eml"));
    world_crash(w); /* R2: what was renamed is there */
    free(handle);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    handle = make(w, ALICE, "junk.0000000001");
    assert_int_equal(put(handle, "Fro", 0), 0);
    assert_int_equal(move(w, ALICE, "junk.0000000001", "junk.eml"), -EOPNOTSUPP);
    assert_int_equal(flush(handle), -EOPNOTSUPP);
    fs_stage_release(handle);
    assert_int_equal(look(w, ALICE, "junk.eml", NULL), -ENOENT);
    assert_int_equal(look(w, ALICE, "junk.0000000001", NULL), -ENOENT);
}

static void test_rename_over(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *old;
    const struct fs_stage_move how = {
        .folder = {FOLDER_A}, .name = "b", .to = at_a("a"), .no_replace = true};
    struct fs_stage_sealed sealed;
    struct emlfs_err err = {.code = 0};

    copy(w, ALICE, "a", mail);
    copy(w, ALICE, "b", "From: other\n\n");
    assert_int_equal(fs_stage_rename(w->stage, ALICE, &how, &sealed, &err), -EEXIST);
    OK(move(w, ALICE, "b", "a"));
    assert_true(is_kept(w, ALICE, mail)); /* it was complete */
    assert_true(is_kept(w, ALICE, "From: other\n\n"));
    assert_int_equal(w->kept_n, 2);
    /* Over a name in grace: that stays in the archive. */
    copy(w, ALICE, "c.tmp", "From: c\n\n");
    OK(move(w, ALICE, "c.tmp", "a"));
    assert_int_equal(w->kept_n, 3);
    /* Over what is open: its writer goes on, and nothing comes of it, even after a crash. */
    old = make(w, ALICE, "d");
    OK(put(old, "From: never\n\n", 0));
    OK(flush(old));
    copy(w, ALICE, "e.tmp", "From: new\n\n");
    OK(move(w, ALICE, "e.tmp", "d"));
    OK(put(old, "From: nothing\n", 0));
    OK(flush(old));
    world_crash(w);
    free(old);
    world_drain(w);
    assert_false(is_kept(w, ALICE, "From: never\n\n"));
    assert_true(is_kept(w, ALICE, "From: new\n\n"));
    assert_int_equal(w->kept_n, 4);
}

static void test_rename_fails(void **state)
{
    struct world *w = *state;

    copy(w, ALICE, "m.tmp", mail);
    w->archive_rc = -EDQUOT;
    assert_int_equal(move(w, ALICE, "m.tmp", "m.eml"), -EDQUOT);
    w->archive_rc = 0;
    OK(look(w, ALICE, "m.tmp", NULL));
    assert_int_equal(look(w, ALICE, "m.eml", NULL), -ENOENT);
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    OK(move(w, ALICE, "m.tmp", "m.eml"));
    assert_int_equal(w->kept_n, 1);
}

static void test_grace(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = NULL;
    struct fs_stage_sealed sealed;
    struct stat asked = {.st_uid = ALICE, .st_mode = 0600}, st;
    struct fs_stage_set set = {&asked, FS_STAGE_SET_MODE | FS_STAGE_SET_UID, NULL};
    const struct fs_stage_move away = {
        .folder = {FOLDER_A}, .name = "m2.eml", .to = {{1}, {FOLDER_B}, "m.eml"}};
    struct emlfs_err err = {.code = 0};

    copy(w, ALICE, "m.eml", mail);
    world_drain(w);
    OK(look(w, ALICE, "m.eml", &st));
    OK(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, &err));
    asked.st_uid = BOB;
    assert_int_equal(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, &err), -EPERM);
    set.mask = FS_STAGE_SET_SIZE;
    assert_int_equal(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, &err), -EPERM);
    assert_int_equal(open_of(w, ALICE, "m.eml", O_WRONLY, &handle), -EPERM);
    assert_int_equal(open_of(w, ALICE, "m.eml", O_RDONLY | O_TRUNC, &handle), -EPERM);
    OK(open_of(w, ALICE, "m.eml", O_RDONLY, &handle));
    assert_true(fs_stage_handle_sealed(handle, &sealed));
    assert_int_equal(sealed.id.v, (1ull << 40) + 1);
    fs_stage_release(handle);
    OK(move(w, ALICE, "m.eml", "m2.eml"));
    OK(look(w, ALICE, "m2.eml", NULL));
    assert_int_equal(fs_stage_rename(w->stage, ALICE, &away, &sealed, &err), 1);
    assert_int_equal(sealed.folder.v, FOLDER_A);
    assert_int_equal(unlink_of(w, ALICE, "m2.eml"), 1);
    fs_stage_forget(w->stage, ALICE, (struct emlfs_folder_id){FOLDER_A}, "m2.eml");
    assert_empty(w);
}

static void test_mbox(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle;
    struct fs_stage_sealed sealed;
    struct emlfs_err err = {.code = 0};
    char text[sizeof(mbox)] = "";

    copy(w, ALICE, "inbox.mbox", mbox);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mbox));
    assert_true(is_listed(w, ALICE, "inbox.mbox"));
    OK(open_of(w, ALICE, "inbox.mbox", O_RDONLY, &handle));
    assert_false(fs_stage_handle_sealed(handle, &sealed));
    assert_int_equal(fs_stage_pread(handle, text, sizeof(text), 0, &err), strlen(mbox));
    assert_string_equal(text, mbox);
    fs_stage_release(handle);
    world_crash(w);
    assert_empty(w); /* it does not come twice */
    copy(w, ALICE, "inbox.mbox", mbox);
    world_drain(w);
    world_pass(w, FS_STAGE_GRACE_NS);
    assert_empty(w);
}

/* What reads it may go on while it is archived, and removed. */
/* What of an mbox is not archived no errno says. */
static void test_mbox_rejected(void **state)
{
    struct world *w = *state;
    unsigned told = w->told;

    w->mbox.expected = 12;
    w->mbox.totals = (struct emlfs_ingest_totals){.archived = 10, .duplicates = 2};
    copy(w, ALICE, "all.mbox", mbox);
    world_drain(w);
    assert_int_equal(w->told, told);
    w->mbox.totals = (struct emlfs_ingest_totals){.archived = 9, .duplicates = 2, .rejected = 1};
    emlfs_err_set(&w->mbox.rejected, EILSEQ, "test", "mbox:77: half a message");
    copy(w, ALICE, "old\x1b mail.mbox", mbox);
    world_drain(w);
    assert_int_equal(w->told, told + 1);
    assert_non_null(strstr(w->text, "mail.mbox of uid 3001"));
    assert_null(strchr(w->text, '\x1b'));
    assert_non_null(strstr(w->text,
                           "12 expected = 9 stored + 2 duplicate + 1 rejected; the first rejected: "
                           "mbox:77: half a message"));

    w->archive_rc = -EDQUOT;
    w->mbox.totals = (struct emlfs_ingest_totals){.archived = 4, .rejected = 5};
    copy(w, ALICE, "half.mbox", mbox);
    world_drain(w);
    assert_int_equal(w->told, told + 2);
    assert_non_null(strstr(w->text, "half.mbox of uid 3001 in folder 7 is not archived yet: 12 "
                                    "expected = 4 stored + 0 duplicate + 5 rejected + 3 not"));
    w->archive_rc = 0;
}

static void test_read_on(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle, *reader;
    struct emlfs_err err = {.code = 0};
    char text[sizeof(mail)] = "";

    handle = make(w, ALICE, "m.eml");
    OK(put(handle, mail, 0));
    OK(open_of(w, ALICE, "m.eml", O_RDONLY, &reader));
    OK(flush(handle));
    fs_stage_release(handle);
    world_drain(w);
    world_pass(w, FS_STAGE_GRACE_NS);
    assert_int_equal(fs_stage_pread(reader, text, sizeof(text), 0, &err), strlen(mail));
    assert_string_equal(text, mail);
    fs_stage_release(reader);
    assert_empty(w);
    handle = make(w, ALICE, "x.eml");
    OK(put(handle, mail, 0));
    OK(flush(handle));
    OK(unlink_of(w, ALICE, "x.eml"));
    assert_int_equal(look(w, ALICE, "x.eml", NULL), -ENOENT);
    OK(put(handle, mail, 100));
    fs_stage_release(handle);
    assert_empty(w);
    assert_int_equal(w->kept_n, 1);
}

static void test_later(void **state)
{
    struct world *w = *state;

    copy(w, ALICE, "m.eml", mail);
    w->archive_rc = -ENOSPC;
    world_drain(w);
    world_pass(w, 5 * FS_STAGE_NS_PER_SEC);
    assert_true(is_listed(w, ALICE, "m.eml"));
    w->archive_rc = 0;
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    world_pass(w, 5 * FS_STAGE_NS_PER_SEC);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
}

/* What could not be archived, and then got a temporary name or was emptied, is not tried again. */
static void test_given_up(void **state)
{
    struct world *w = *state;
    struct stat asked = {.st_size = 0}, st;
    const struct fs_stage_set set = {&asked, FS_STAGE_SET_SIZE, NULL};
    struct emlfs_err err = {.code = 0};

    copy(w, ALICE, "m.eml", mail);
    copy(w, ALICE, "n.eml", "From: n\n\n");
    w->archive_rc = -EDQUOT;
    world_drain(w);
    w->archive_rc = 0;
    OK(move(w, ALICE, "m.eml", "m.eml~"));
    OK(look(w, ALICE, "n.eml", &st));
    OK(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, &err));
    world_pass(w, FS_STAGE_EMPTY_NS);
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    OK(look(w, ALICE, "m.eml~", NULL));
    assert_int_equal(look(w, ALICE, "n.eml", NULL), -ENOENT);
}

/* A mount is taken away under those who write: as a crash, for what they had open alone. */
static void test_abandon(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *synced = make(w, ALICE, "synced.eml"), *other;
    struct fs_stage_handle *never = make(w, ALICE, "never.eml");
    struct fs_stage_handle *closed = make(w, ALICE, "closed.eml");

    OK(put(synced, mail, 0));
    OK(flush(synced));
    OK(put(synced, "half of a line", strlen(mail)));
    OK(put(never, "From: never\n\n", 0));
    OK(put(closed, "From: closed\n\n", 0));
    OK(flush(closed));
    OK(open_of(w, ALICE, "synced.eml", O_WRONLY, &other)); /* through another mount */
    fs_stage_abandon(other);
    fs_stage_release(other);
    fs_stage_abandon(synced);
    fs_stage_release(synced);
    fs_stage_abandon(never);
    fs_stage_release(never);
    fs_stage_abandon(closed);
    fs_stage_release(closed);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    assert_true(is_kept(w, ALICE, "From: closed\n\n"));
    assert_int_equal(w->kept_n, 2);
    assert_int_equal(look(w, ALICE, "never.eml", NULL), -ENOENT);
    world_pass(w, FS_STAGE_GRACE_NS);
    assert_empty(w);
}

/* What keeps a folder from being removed: what is to be archived, and nothing else. */
static void test_holds(void **state)
{
    const struct emlfs_folder_id folder = {FOLDER_A};
    struct world *w = *state;
    struct fs_stage_handle *handle;

    fs_stage_release(make(w, ALICE, "empty.eml"));
    handle = make(w, ALICE, ".DS_Store");
    OK(put(handle, foreign, 0));
    assert_false(fs_stage_holds(w->stage, folder));
    fs_stage_release(handle);
    copy(w, BOB, "m.eml", mail);
    assert_true(fs_stage_holds(w->stage, folder));
    assert_false(fs_stage_holds(w->stage, (struct emlfs_folder_id){FOLDER_B}));
    w->archive_rc = -EDQUOT;
    world_drain(w);
    assert_true(fs_stage_holds(w->stage, folder));
    w->archive_rc = 0;
    world_pass(w, 10 * FS_STAGE_NS_PER_SEC);
    world_drain(w);
    assert_true(fs_stage_any(w->stage, folder));
    assert_false(fs_stage_holds(w->stage, folder)); /* the message does, or was removed */
}

/* The spool's files are gone from the disk. */
static void spool_lose(const struct world *w)
{
    char path[600];
    struct dirent **names = NULL;
    int found;

    (void)snprintf(path, sizeof(path), "%s/spool", w->t->path);
    found = scandir(path, &names, NULL, NULL);
    for (int i = 0; i < found; i++) {
        (void)snprintf(path, sizeof(path), "%s/spool/%s", w->t->path, names[i]->d_name);
        (void)unlink(path);
        free(names[i]);
    }
    free(names);
}

/* Opening to truncate fails while another writes: what becomes of the file is that one's to hear.
 */
static void test_truncate_fails(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle, *other = NULL;

    copy(w, ALICE, "m.tmp", mail);
    OK(open_of(w, ALICE, "m.tmp", O_WRONLY, &handle));
    spool_lose(w);
    assert_true(open_of(w, ALICE, "m.tmp", O_WRONLY | O_TRUNC, &other) < 0);
    OK(look(w, ALICE, "m.tmp", NULL));
    assert_true(put(handle, "From: ", 0) < 0);
    assert_true(flush(handle) < 0);
    fs_stage_release(handle);
    assert_int_equal(look(w, ALICE, "m.tmp", NULL), -ENOENT);
}

/* Two files of a name so long that none can be made of it: the mount takes files all the same. */
static void test_recover_long(void **state)
{
    struct world *w = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_SPOOL_META_MAX_BYTES);
    struct stage_meta meta = {.uid = ALICE, .gid = ALICE, .user = {1}, .folder = {FOLDER_A}};
    struct emlfs_spool_file *file;
    struct emlfs_spool *spool;
    struct emlfs_err err = {.code = 0};

    memset(meta.name, 'x', sizeof(meta.name) - 1);
    OK(stage_meta_encode(&meta, &bytes));
    fs_stage_free(w->stage);
    OK(emlfs_spool_open(w->t->archive, &spool, &err));
    for (unsigned i = 0; i < 2; i++) {
        OK(emlfs_spool_create(spool, emlfs_buf_view(&bytes), &file, &err));
        OK(emlfs_spool_file_pwrite(file, emlfs_span_str(i ? "From: one\n\n" : mail), 0, &err));
        OK(emlfs_spool_file_sync(file, &err));
        emlfs_spool_file_close(file);
    }
    emlfs_spool_close(spool);
    for (unsigned i = 1; i <= 2; i++) {
        world_open(w);
        world_drain(w);
        assert_int_equal(w->kept_n, i);
        fs_stage_free(w->stage);
    }
    assert_int_equal(world_spooled(w), 0);
    world_open(w);
}

static void test_refused_at_flush(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml");

    OK(put(handle, mail, 0));
    w->check_rc = -EDQUOT;
    assert_int_equal(flush(handle), -EDQUOT);
    fs_stage_release(handle);
    w->check_rc = 0;
    world_drain(w);
    assert_int_equal(w->kept_n, 0);
    assert_empty(w);
}

/* Each fits alone: what waits is counted, whether it is open, closed, or was left by a crash. */
static void test_room(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *first = make(w, ALICE, "1.eml"), *second = make(w, BOB, "2.eml"), *more;
    const struct fs_stage_move away = {
        .folder = {FOLDER_A}, .name = "5.eml", .to = {{2}, {FOLDER_B}, "5.eml"}};
    struct fs_stage_sealed sealed;

    w->room = sizeof(mail) + 10;
    OK(put(first, mail, 0));
    OK(put(second, mail, 0));
    OK(flush(first));
    OK(flush(first));
    assert_int_equal(flush(second), -EDQUOT);
    OK(put(first, mail, 0)); /* itself it does not stand in the way of */
    OK(flush(first));
    fs_stage_release(second); /* C3 */
    fs_stage_release(first);

    more = make(w, ALICE, "3.eml");
    OK(put(more, mail, 0));
    assert_int_equal(flush(more), -EDQUOT); /* the first is queued */
    OK(unlink_of(w, ALICE, "1.eml"));
    OK(flush(more));
    fs_stage_release(more);
    world_crash(w);
    more = make(w, ALICE, "4.eml");
    OK(put(more, mail, 0));
    assert_int_equal(flush(more), -EDQUOT); /* the third is, after a crash */
    world_drain(w);
    OK(flush(more)); /* and is counted by the archive now */
    OK(unlink_of(w, ALICE, "4.eml"));
    fs_stage_release(more);

    copy(w, ALICE, "t.tmp", mail); /* waits for its name, and counts */
    more = make(w, ALICE, "5.eml");
    OK(put(more, mail, 0));
    assert_int_equal(flush(more), -EDQUOT);
    OK(unlink_of(w, ALICE, "t.tmp"));
    OK(flush(more));

    OK(fs_stage_rename(w->stage, ALICE, &away, &sealed, NULL)); /* counts where it goes */
    second = make(w, ALICE, "6.eml");
    OK(put(second, mail, 0));
    OK(flush(second));
    fs_stage_release(second);
    fs_stage_release(more);
    world_drain(w);
    assert_int_equal(w->stage->charged[1] + w->stage->charged[2], 0);
}

static void test_litter(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "._m.eml");

    OK(put(handle, foreign, 0));
    OK(flush(handle));
    assert_false(is_listed(w, ALICE, "._m.eml"));
    OK(look(w, ALICE, "._m.eml", NULL));
    fs_stage_release(handle);
    assert_empty(w);
    handle = make(w, ALICE, ".m.eml.swp"); /* an editor's own */
    OK(put(handle, foreign, 0));
    OK(flush(handle));
    OK(unlink_of(w, ALICE, ".m.eml.swp"));
    fs_stage_release(handle);
    assert_empty(w);
}

static void test_begin_anew(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = make(w, ALICE, "m.eml"), *other;
    struct emlfs_err err = {.code = 0};
    char text[sizeof(mail)] = "";

    assert_int_equal(put(handle, foreign, 0), -EOPNOTSUPP);
    OK(open_of(w, ALICE, "m.eml", O_RDWR | O_TRUNC | O_APPEND, &other));
    OK(put(handle, mail, 0));
    assert_int_equal(fs_stage_pread(other, text, sizeof(text), 0, &err), strlen(mail));
    OK(flush(other));
    fs_stage_release(other);
    world_drain(w);
    assert_int_equal(w->kept_n, 0); /* one has it open yet */
    fs_stage_release(handle);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
}

static void test_two_of_one_name(void **state)
{
    struct world *w = *state;

    copy(w, ALICE, "m.eml", mail);
    copy(w, BOB, "m.eml", "From: bob\n\n");
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    assert_true(is_kept(w, BOB, "From: bob\n\n"));
    assert_int_equal(w->kept_n, 2);
    assert_int_equal(w->batches, 1);
}

static void test_crash(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle, *other;

    copy(w, ALICE, "m.eml", mail); /* closed */
    copy(w, BOB, "m.eml.tmp", "From: bob\n\n");
    handle = make(w, ALICE, "flushed.eml");
    OK(put(handle, "From: flushed\n\n", 0));
    OK(flush(handle));
    OK(put(handle, "and more", 15));
    other = make(w, ALICE, "never.eml");
    OK(put(other, "From: never\n\n", 0));
    world_crash(w);
    free(handle);
    free(other);
    world_drain(w);
    assert_true(is_kept(w, ALICE, mail));
    assert_true(is_kept(w, ALICE, "From: flushed\n\n"));
    assert_int_equal(w->kept_n, 2);
    OK(move(w, BOB, "m.eml.tmp", "m.eml"));
    assert_true(is_kept(w, BOB, "From: bob\n\n"));
    world_pass(w, FS_STAGE_GRACE_NS);
    assert_empty(w);
}

static void test_limits(void **state)
{
    const struct fs_stage_mode mode = {O_WRONLY | O_CREAT, 0640};
    const struct emlfs_subject subject = subject_of(ALICE);
    struct world *w = *state;
    struct fs_stage_handle *handle, *many[100];
    struct emlfs_err err = {.code = 0};
    struct fs_stage_at at;
    char name[32];

    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        fs_stage_release(make(w, ALICE, name));
    }
    at = at_a("more");
    assert_int_equal(fs_stage_create(w->stage, &subject, &at, &mode, &handle, &err), -ENOSPC);
    fs_stage_release(make(w, BOB, "more"));
    world_pass(w, FS_STAGE_EMPTY_NS);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        many[i] = make(w, i < 50 ? ALICE : BOB, name);
        OK(put(many[i], "F", 0));
    }
    handle = make(w, CAROL, "m");
    assert_int_equal(put(handle, mail, 0), -ENFILE);
    fs_stage_release(handle);
    for (unsigned i = 0; i < 100; i++)
        fs_stage_release(many[i]);
    assert_empty(w);
}

/* Where there is no share left, what is there already stays as it was. */
static void copy_left_alone(struct world *w, const struct fs_stage_set *set)
{
    struct fs_stage_handle *handle;
    struct stat st;

    assert_int_equal(open_of(w, ALICE, "whole.tmp", O_WRONLY | O_TRUNC, &handle), -EMFILE);
    OK(look(w, ALICE, "whole.tmp", &st));
    assert_int_equal(st.st_size, strlen(mail));
    assert_int_equal(fs_stage_setattr(w->stage, ALICE, st.st_ino, set, &st, NULL), -EMFILE);
    OK(look(w, ALICE, "whole.tmp", &st));
    assert_int_equal(st.st_size, strlen(mail));
}

/* No uid has more than half of the spool's files open, by writing or by reading. */
static void test_share(void **state)
{
    const struct stat wanted = {.st_size = 20};
    const struct fs_stage_set set = {.asked = &wanted, .mask = FS_STAGE_SET_SIZE};
    struct fs_stage_handle *many[51], *handle;
    struct world *w = *state;
    struct emlfs_err err = {.code = 0};
    struct stat st;
    char name[32], byte;

    for (unsigned i = 0; i < 51; i++) {
        (void)snprintf(name, sizeof(name), "%u.tmp", i);
        copy(w, ALICE, name, mail); /* one by one there may be any number */
    }
    copy(w, ALICE, "whole.tmp", mail);
    for (unsigned i = 0; i < 51; i++) {
        (void)snprintf(name, sizeof(name), "%u.tmp", i);
        OK(open_of(w, ALICE, name, i % 2 ? O_RDONLY : O_WRONLY, &many[i]));
        int rc = i % 2 ? (int)fs_stage_pread(many[i], &byte, 1, 0, &err) - 1 : put(many[i], "F", 0);
        assert_int_equal(rc, i < 50 ? 0 : -EMFILE);
    }
    copy_left_alone(w, &set);
    handle = make(w, ALICE, "more.tmp");
    assert_int_equal(put(handle, mail, 0), -EMFILE);
    fs_stage_release(handle);
    copy(w, BOB, "m.eml", mail); /* others do not hear of it */
    world_drain(w);
    assert_true(is_kept(w, BOB, mail));
    fs_stage_release(many[0]);
    copy(w, ALICE, "again.tmp", mail);
    for (unsigned i = 1; i < 51; i++)
        fs_stage_release(many[i]);
    for (unsigned i = 0; i < 120; i++) { /* nor by a size that is set by name */
        OK(look(w, ALICE, "again.tmp", &st));
        OK(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, &err));
    }
    for (const struct stage_uid *u = w->stage->uids; u; u = u->next)
        assert_int_equal(u->slots, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        CASE(test_copy),
        CASE(test_foreign),
        CASE(test_size_first),
        CASE(test_never_ended),
        CASE(test_flushes_in_between),
        CASE(test_empty),
        CASE(test_temporary),
        CASE(test_rename_open),
        CASE(test_rename_over),
        CASE(test_rename_fails),
        CASE(test_grace),
        CASE(test_mbox),
        CASE(test_mbox_rejected),
        CASE(test_read_on),
        CASE(test_later),
        CASE(test_given_up),
        CASE(test_abandon),
        CASE(test_holds),
        CASE(test_truncate_fails),
        CASE(test_recover_long),
        CASE(test_refused_at_flush),
        CASE(test_room),
        CASE(test_litter),
        CASE(test_begin_anew),
        CASE(test_two_of_one_name),
        CASE(test_crash),
        CASE(test_limits),
        CASE(test_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
