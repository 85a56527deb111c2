/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ACCESS_H
#define EMLFS_ACCESS_H

#include "emlfs/base/store_state.h"
#include "emlfs/rights.h"

/*
 * May this caller make this call on this object? A pure function of what the caller looked up
 * before; the table is in store/policy/decide.c. Any thread.
 *
 * Who sees what. Mail is seen by those who may read its user archive: its owner, those it was
 * granted to (also through a Unix group), administrators who switched archive access on, and
 * auditors if the archive was there when they became auditors. For all others there is nothing:
 * ENOENT, except that uid 0 is told EACCES (it is refused, not fooled), and that the name of a user
 * archive may be looked at (EMLFS_CALL_STAT) where names are not private, and by uid 0 always.
 *
 * In which order errors come: ENOENT or EACCES of one who may not see it; ENOENT of a store that is
 * away; ENOTDIR, EISDIR; EROFS of a view, a mount or a store that takes no changes; EACCES of a
 * missing right; EPERM of what nobody may. Retention and holds come after all of these
 * (emlfs/govern.h).
 */

struct emlfs_access_subject {
    bool root; /* uid 0: an administrator, not a reader */
    bool admin;
    bool archive_access; /* of an administrator */
    bool auditor;        /* then never an administrator, and changes nothing */
    int64_t auditor_since_ns;
    struct emlfs_user_id user; /* 0: no archive user, or a removed one */
    uint32_t may;              /* EMLFS_MAY_... of user */
};

enum emlfs_object {
    EMLFS_OBJECT_ROOT,     /* the root of the mount */
    EMLFS_OBJECT_ARCHIVE,  /* the top folder of a user archive */
    EMLFS_OBJECT_FOLDER,   /* any other folder */
    EMLFS_OBJECT_MESSAGE,  /* a message; by a path through folders where the path matters */
    EMLFS_OBJECT_SHOWN,    /* a message by a path through a view: unlink, rename */
    EMLFS_OBJECT_SEARCHES, /* Searches of a user archive, and .query */
    EMLFS_OBJECT_SEARCH,   /* one saved search, or one query */
    EMLFS_OBJECT_HOLDS,    /* Holds */
    EMLFS_OBJECT_HOLD,     /* one hold; the messages in it are EMLFS_OBJECT_SHOWN */
    EMLFS_OBJECT_CONTROL,  /* .emlfs, status.json */
    EMLFS_OBJECT_AUDIT,    /* .emlfs/audit, .emlfs/due: what auditors and administrators read */
    EMLFS_OBJECT_SYSTEM,   /* the archive as a whole, for commands */
};
#define EMLFS_OBJECTS 12u

enum emlfs_access_call {
    EMLFS_CALL_LIST,    /* opendir, readdir */
    EMLFS_CALL_STAT,    /* lookup, getattr, access for existence, getxattr */
    EMLFS_CALL_OPEN,    /* for reading */
    EMLFS_CALL_READ,    /* of SYSTEM: policies, holds, the ledger */
    EMLFS_CALL_CREATE,  /* archive a message into this folder */
    EMLFS_CALL_RENAME,  /* within one user archive; see emlfs_access_move */
    EMLFS_CALL_MKDIR,   /* in this directory; in SEARCHES: save or redefine a search */
    EMLFS_CALL_RMDIR,   /* this directory */
    EMLFS_CALL_UNLINK,  /* this message */
    EMLFS_CALL_SETATTR, /* with effect; what changes nothing is EMLFS_CALL_STAT */
    EMLFS_CALL_WRITE,   /* open for writing, write, truncate, rename over, link */
    EMLFS_CALL_SEARCH,  /* find it, and in it */
    EMLFS_CALL_EXPORT,  /* as signed or bulk copies */
    EMLFS_CALL_COMMAND, /* of an object: tell about it; of SYSTEM: administer */
};
#define EMLFS_CALLS 14u

struct emlfs_access_object {
    enum emlfs_object kind;
    struct emlfs_user_id archive; /* whose; 0 where there is none */
    int64_t archive_made_ns;
    uint32_t grants;              /* subject's in it: emlfs_grants_of */
    bool private_name;            /* names of user archives are hidden from strangers */
    bool read_only;               /* the mount, or the whole archive */
    enum emlfs_store_state store; /* of a message */
};

/* 0, or -errno as above. */
int emlfs_access(const struct emlfs_access_subject *subject,
                 const struct emlfs_access_object *object, enum emlfs_access_call call);
/*
 * Move from (a message or folder) into to (a folder). Within one user archive: as
 * EMLFS_CALL_RENAME there. Into another: EPERM without WRITE in both and the right to delete from
 * the first; ENOENT when to is not seen. Never EXDEV.
 */
int emlfs_access_move(const struct emlfs_access_subject *subject,
                      const struct emlfs_access_object *from, const struct emlfs_access_object *to);
/*
 * EMLFS_GRANT_... that subject has in object's user archive with all offices counted: for the mode
 * bits that the mount shows. 0 where they see nothing.
 */
uint32_t emlfs_access_grants(const struct emlfs_access_subject *subject,
                             const struct emlfs_access_object *object);

#endif
