/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may do what, written by hand from the design (permissions, errno) and from what was measured
 * with real programs; never generated from the code.
 *
 * One row is one caller, one column one call:
 *   list stat open read  create rename mkdir rmdir unlink setattr write  search export command
 * One letter is the exact answer:
 *   - 0   A EACCES   N ENOENT   P EPERM   R EROFS   D ENOTDIR   I EISDIR
 *
 * All callers who are archive users have every right of a user (the test takes them away).
 */
#ifndef EMLFS_TESTS_ACCESS_EXPECTED_H
#define EMLFS_TESTS_ACCESS_EXPECTED_H

enum caller {
    OWNER_READS,  /* own archive, rights: read */
    OWNER_WRITES, /* read, write */
    OWNER_ALL,    /* read, write, delete */
    READER,       /* somebody else's archive, granted to them: read */
    WRITER,       /* read, write */
    DELETER,      /* read, delete */
    GROUP_MEMBER, /* everything, through a Unix group */
    STRANGER,     /* another archive user */
    NOBODY,       /* an account that is no archive user */
    ADMIN,
    ADMIN_ACCESS, /* archive access switched on */
    AUDITOR,      /* the archive was there before */
    AUDITOR_LATE, /* the archive came later */
    ROOT,
    ROOT_ACCESS,
    CALLERS,
};

struct expected {
    const char *what;
    enum emlfs_object kind;
    bool private_name;
    bool read_only;
    enum emlfs_store_state store;
    const char *rows[CALLERS];
};

/* clang-format off */
static const struct expected expected[] = {
    /*
     * OWNER_READS       OWNER_WRITES      OWNER_ALL
     * READER            WRITER            DELETER
     * GROUP_MEMBER      STRANGER          NOBODY
     * ADMIN             ADMIN_ACCESS      AUDITOR
     * AUDITOR_LATE      ROOT              ROOT_ACCESS
     */
    {"message", EMLFS_OBJECT_MESSAGE, false, false, EMLFS_STORE_CURRENT,
     {"D---DADDAPP---", "D---D-DDAPP---", "D---D-DD-PP---",
      "D---DADDAPP---", "D---D-DDAPP---", "D---DADD-PP---",
      "D---D-DD-PP---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "D---DADDAPP---", "D---DADDAPP-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "D---DADDAPP-A-"}},
    {"message in a write-protected store", EMLFS_OBJECT_MESSAGE, false, false, EMLFS_STORE_WRITE_PROTECTED,
     {"D---DRDDRRR---", "D---DRDDRRR---", "D---DRDDRRR---",
      "D---DRDDRRR---", "D---DRDDRRR---", "D---DRDDRRR---",
      "D---DRDDRRR---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "D---DRDDRRR---", "D---DRDDRRR-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "D---DRDDRRR-A-"}},
    {"message in a disabled store", EMLFS_OBJECT_MESSAGE, false, false, EMLFS_STORE_DISABLED,
     {"NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "NNNNNNNNNNNNNN"}},
    {"message by a path through a view", EMLFS_OBJECT_SHOWN, false, false, EMLFS_STORE_CURRENT,
     {"D---DRDDRPP---", "D---DRDDRPP---", "D---DRDDRPP---",
      "D---DRDDRPP---", "D---DRDDRPP---", "D---DRDDRPP---",
      "D---DRDDRPP---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "D---DRDDRPP---", "D---DRDDRPP-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "D---DRDDRPP-A-"}},
    {"folder", EMLFS_OBJECT_FOLDER, false, false, EMLFS_STORE_CURRENT,
     {"----AAAAIPI---", "--------IPI---", "--------IPI---",
      "----AAAAIPI---", "--------IPI---", "----AAAAIPI---",
      "--------IPI---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "----AAAAIPI---", "----AAAAIPI-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "----AAAAIPI-A-"}},
    {"folder in an ro mount", EMLFS_OBJECT_FOLDER, false, true, EMLFS_STORE_CURRENT,
     {"----RRRRIRI---", "----RRRRIRI---", "----RRRRIRI---",
      "----RRRRIRI---", "----RRRRIRI---", "----RRRRIRI---",
      "----RRRRIRI---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "----RRRRIRI---", "----RRRRIRI-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "----RRRRIRI-A-"}},
    {"top folder of a user archive", EMLFS_OBJECT_ARCHIVE, false, false, EMLFS_STORE_CURRENT,
     {"----AAAAIPI---", "-----A-AIPI---", "-----A-AIPI---",
      "----AAAAIPI---", "-----A-AIPI---", "----AAAAIPI---",
      "-----A-AIPI---", "A-AAAAAAAAAAAA", "A-AAAAAAAAAAAA",
      "A-AAAAAAAAAAAA", "----AAAAIPI---", "----AAAAIPI-A-",
      "A-AAAAAAAAAAAA", "A-AAAAAAAAAAAA", "----AAAAIPI-A-"}},
    {"top folder of a user archive, names private", EMLFS_OBJECT_ARCHIVE, true, false, EMLFS_STORE_CURRENT,
     {"----AAAAIPI---", "-----A-AIPI---", "-----A-AIPI---",
      "----AAAAIPI---", "-----A-AIPI---", "----AAAAIPI---",
      "-----A-AIPI---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "----AAAAIPI---", "----AAAAIPI-A-",
      "NNNNNNNNNNNNNN", "A-AAAAAAAAAAAA", "----AAAAIPI-A-"}},
    {"Searches", EMLFS_OBJECT_SEARCHES, false, false, EMLFS_STORE_CURRENT,
     {"----RR-RRRR-A-", "----RR-RRRR-A-", "----RR-RRRR-A-",
      "----RRARRRR-A-", "----RR-RRRR-A-", "----RRARRRR-A-",
      "----RR-RRRR-A-", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "----RRARRRR-A-", "----RRARRRR-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "----RRARRRR-A-"}},
    {"saved search", EMLFS_OBJECT_SEARCH, false, false, EMLFS_STORE_CURRENT,
     {"----RRR-RRR---", "----RRR-RRR---", "----RRR-RRR---",
      "----RRRARRR---", "----RRR-RRR---", "----RRRARRR---",
      "----RRR-RRR---", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "----RRRARRR---", "----RRRARRR-A-",
      "NNNNNNNNNNNNNN", "AAAAAAAAAAAAAA", "----RRRARRR-A-"}},
    {"root of the mount", EMLFS_OBJECT_ROOT, false, false, EMLFS_STORE_CURRENT,
     {"----AAAAIPI-A-", "----AAAAIPI-A-", "----AAAAIPI-A-",
      "----AAAAIPI-A-", "----AAAAIPI-A-", "----AAAAIPI-A-",
      "----AAAAIPI-A-", "----AAAAIPI-A-", "----AAAAIPI-A-",
      "----AAAAIPI-A-", "----AAAAIPI-A-", "----AAAAIPI-A-",
      "----AAAAIPI-A-", "----AAAAIPI-A-", "----AAAAIPI-A-"}},
    {"Holds", EMLFS_OBJECT_HOLDS, false, false, EMLFS_STORE_CURRENT,
     {"NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-"}},
    {"a hold", EMLFS_OBJECT_HOLD, false, false, EMLFS_STORE_CURRENT,
     {"NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN", "NNNNNNNNNNNNNN",
      "A-AARRRRRRRAA-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "A-AARRRRRRRAA-", "----RRRRRRR-A-"}},
    {"control directory", EMLFS_OBJECT_CONTROL, false, false, EMLFS_STORE_CURRENT,
     {"----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-"}},
    {"audit", EMLFS_OBJECT_AUDIT, false, false, EMLFS_STORE_CURRENT,
     {"A-AARRRRRRRAAA", "A-AARRRRRRRAAA", "A-AARRRRRRRAAA",
      "A-AARRRRRRRAAA", "A-AARRRRRRRAAA", "A-AARRRRRRRAAA",
      "A-AARRRRRRRAAA", "A-AARRRRRRRAAA", "A-AARRRRRRRAAA",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-",
      "----RRRRRRR-A-", "----RRRRRRR-A-", "----RRRRRRR-A-"}},
    {"the archive as a whole", EMLFS_OBJECT_SYSTEM, false, false, EMLFS_STORE_CURRENT,
     {"A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA",
      "A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA",
      "A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA", "A-AAAAAAAAA-AA",
      "A-A-AAAAAAA-A-", "A-A-AAAAAAA-A-", "A-A-AAAAAAA-AA",
      "A-A-AAAAAAA-AA", "A-A-AAAAAAA-A-", "A-A-AAAAAAA-A-"}},
};
/* clang-format on */

/* The calls that need a right of the user beside what the rows say. All others need none. */
struct needed {
    enum emlfs_object kind;
    enum emlfs_access_call call;
    uint32_t may;
};

static const struct needed needed[] = {
    {EMLFS_OBJECT_MESSAGE, EMLFS_CALL_UNLINK, EMLFS_MAY_DELETE},
    {EMLFS_OBJECT_ARCHIVE, EMLFS_CALL_CREATE, EMLFS_MAY_ARCHIVE},
    {EMLFS_OBJECT_FOLDER, EMLFS_CALL_CREATE, EMLFS_MAY_ARCHIVE},
    {EMLFS_OBJECT_ARCHIVE, EMLFS_CALL_EXPORT, EMLFS_MAY_EXPORT},
    {EMLFS_OBJECT_FOLDER, EMLFS_CALL_EXPORT, EMLFS_MAY_EXPORT},
    {EMLFS_OBJECT_MESSAGE, EMLFS_CALL_EXPORT, EMLFS_MAY_EXPORT},
    {EMLFS_OBJECT_SHOWN, EMLFS_CALL_EXPORT, EMLFS_MAY_EXPORT},
    {EMLFS_OBJECT_SEARCH, EMLFS_CALL_EXPORT, EMLFS_MAY_EXPORT},
};

/* Moving a message from alice's archive: within it, to one of the caller's, to one unseen. */
struct expected_move {
    enum caller caller;
    char within, into_own, into_unseen;
};

static const struct expected_move expected_moves[] = {
    /* "own" of the owner is another archive that was granted to them with every right */
    {OWNER_READS, 'A', 'P', 'N'},  {OWNER_WRITES, '-', 'P', 'N'}, {OWNER_ALL, '-', '-', 'N'},
    {READER, 'A', 'P', 'N'},       {WRITER, '-', 'P', 'N'},       {DELETER, 'A', 'P', 'N'},
    {GROUP_MEMBER, '-', '-', 'N'}, {STRANGER, 'N', 'N', 'N'},     {AUDITOR, 'A', 'P', 'N'},
    {ROOT, 'A', 'A', 'A'},
};

#endif
