/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decision of access.h.
 *
 *   D1  Nothing is allowed that the table does not name: an empty row refuses.
 *   D2  One who may not see an object gets the same answer whatever the object and the call.
 *   D3  An auditor changes and exports nothing.
 *   D4  Offices (administrator, uid 0) open no mail without archive access.
 */
#include "emlfs/access.h"

/* What a call needs of one who sees the object. */
enum need {
    NEED_REFUSED = 0, /* EACCES for all */
    NEED_NOTHING,
    NEED_WRITE,   /* EMLFS_GRANT_WRITE */
    NEED_ARCHIVE, /* and EMLFS_MAY_ARCHIVE */
    NEED_DELETE,  /* EMLFS_GRANT_DELETE and EMLFS_MAY_DELETE */
    NEED_EXPORT,  /* EMLFS_MAY_EXPORT */
    NEED_SAVE,    /* WRITE, or to be the owner: searches are no mail */
    NEED_MAIL,    /* of an office: to be an auditor, or archive access */
    NEED_OFFICE,  /* administrator or auditor */
    NEED_ADMIN,
    NEED_EPERM, /* and what follows: this error for all */
    NEED_EROFS,
    NEED_ENOTDIR,
    NEED_EISDIR,
};

#define FILE_CALLS                                                                                 \
    [EMLFS_CALL_LIST] = NEED_ENOTDIR, [EMLFS_CALL_CREATE] = NEED_ENOTDIR,                          \
    [EMLFS_CALL_MKDIR] = NEED_ENOTDIR, [EMLFS_CALL_RMDIR] = NEED_ENOTDIR
#define DIRECTORY_CALLS [EMLFS_CALL_WRITE] = NEED_EISDIR, [EMLFS_CALL_UNLINK] = NEED_EISDIR
#define READ_CALLS                                                                                 \
    [EMLFS_CALL_STAT] = NEED_NOTHING, [EMLFS_CALL_OPEN] = NEED_NOTHING,                            \
    [EMLFS_CALL_READ] = NEED_NOTHING, [EMLFS_CALL_SEARCH] = NEED_NOTHING,                          \
    [EMLFS_CALL_COMMAND] = NEED_NOTHING
#define MESSAGE_CALLS                                                                              \
    FILE_CALLS, READ_CALLS, [EMLFS_CALL_WRITE] = NEED_EPERM, [EMLFS_CALL_SETATTR] = NEED_EPERM,    \
                            [EMLFS_CALL_EXPORT] = NEED_EXPORT
#define FOLDER_CALLS                                                                               \
    DIRECTORY_CALLS,                                                                               \
        READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING, [EMLFS_CALL_CREATE] = NEED_ARCHIVE,          \
                    [EMLFS_CALL_MKDIR] = NEED_WRITE, [EMLFS_CALL_SETATTR] = NEED_EPERM,            \
                    [EMLFS_CALL_EXPORT] = NEED_EXPORT
#define VIEW_CALLS                                                                                 \
    [EMLFS_CALL_CREATE] = NEED_EROFS, [EMLFS_CALL_RENAME] = NEED_EROFS,                            \
    [EMLFS_CALL_MKDIR] = NEED_EROFS, [EMLFS_CALL_RMDIR] = NEED_EROFS,                              \
    [EMLFS_CALL_UNLINK] = NEED_EROFS, [EMLFS_CALL_SETATTR] = NEED_EROFS,                           \
    [EMLFS_CALL_WRITE] = NEED_EROFS

static const uint8_t table[EMLFS_OBJECTS][EMLFS_CALLS] = {
    [EMLFS_OBJECT_ROOT] =
        {DIRECTORY_CALLS,
         READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING, [EMLFS_CALL_SETATTR] = NEED_EPERM},
    [EMLFS_OBJECT_ARCHIVE] = {FOLDER_CALLS},
    [EMLFS_OBJECT_FOLDER] =
        {FOLDER_CALLS, [EMLFS_CALL_RENAME] = NEED_WRITE, [EMLFS_CALL_RMDIR] = NEED_WRITE},
    [EMLFS_OBJECT_MESSAGE] =
        {MESSAGE_CALLS, [EMLFS_CALL_RENAME] = NEED_WRITE, [EMLFS_CALL_UNLINK] = NEED_DELETE},
    [EMLFS_OBJECT_SHOWN] =
        {MESSAGE_CALLS, [EMLFS_CALL_RENAME] = NEED_EROFS, [EMLFS_CALL_UNLINK] = NEED_EROFS},
    [EMLFS_OBJECT_SEARCHES] =
        {READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING, [EMLFS_CALL_MKDIR] = NEED_SAVE,
         [EMLFS_CALL_CREATE] = NEED_EROFS, [EMLFS_CALL_RENAME] = NEED_EROFS,
         [EMLFS_CALL_RMDIR] = NEED_EROFS, [EMLFS_CALL_UNLINK] = NEED_EROFS,
         [EMLFS_CALL_SETATTR] = NEED_EROFS, [EMLFS_CALL_WRITE] = NEED_EROFS},
    [EMLFS_OBJECT_SEARCH] = {READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING,
                             [EMLFS_CALL_RMDIR] = NEED_SAVE, [EMLFS_CALL_CREATE] = NEED_EROFS,
                             [EMLFS_CALL_RENAME] = NEED_EROFS, [EMLFS_CALL_MKDIR] = NEED_EROFS,
                             [EMLFS_CALL_UNLINK] = NEED_EROFS, [EMLFS_CALL_SETATTR] = NEED_EROFS,
                             [EMLFS_CALL_WRITE] = NEED_EROFS, [EMLFS_CALL_EXPORT] = NEED_EXPORT},
    [EMLFS_OBJECT_HOLDS] = {VIEW_CALLS, READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING},
    [EMLFS_OBJECT_HOLD] =
        {VIEW_CALLS, [EMLFS_CALL_STAT] = NEED_NOTHING, [EMLFS_CALL_COMMAND] = NEED_NOTHING,
         [EMLFS_CALL_LIST] = NEED_MAIL, [EMLFS_CALL_OPEN] = NEED_MAIL,
         [EMLFS_CALL_READ] = NEED_MAIL, [EMLFS_CALL_SEARCH] = NEED_MAIL},
    [EMLFS_OBJECT_CONTROL] = {VIEW_CALLS, READ_CALLS, [EMLFS_CALL_LIST] = NEED_NOTHING},
    [EMLFS_OBJECT_AUDIT] =
        {VIEW_CALLS, [EMLFS_CALL_STAT] = NEED_NOTHING, [EMLFS_CALL_LIST] = NEED_OFFICE,
         [EMLFS_CALL_OPEN] = NEED_OFFICE, [EMLFS_CALL_READ] = NEED_OFFICE,
         [EMLFS_CALL_SEARCH] = NEED_OFFICE, [EMLFS_CALL_COMMAND] = NEED_OFFICE},
    [EMLFS_OBJECT_SYSTEM] = {[EMLFS_CALL_STAT] = NEED_NOTHING,
                             [EMLFS_CALL_READ] = NEED_OFFICE,
                             [EMLFS_CALL_SEARCH] = NEED_NOTHING,
                             [EMLFS_CALL_COMMAND] = NEED_ADMIN},
};

/* ---- who the subject is */

static bool is_somebody(const struct emlfs_access_subject *subject)
{
    return subject->user.v != 0 && subject->may & EMLFS_MAY_LOGIN;
}

static bool is_auditor(const struct emlfs_access_subject *subject)
{
    return subject->auditor && is_somebody(subject);
}

static bool is_admin(const struct emlfs_access_subject *subject)
{
    return subject->root || (subject->admin && !subject->auditor && is_somebody(subject));
}

static bool has_office(const struct emlfs_access_subject *subject)
{
    return is_admin(subject) || is_auditor(subject);
}

/* D3 */
static uint32_t may_of(const struct emlfs_access_subject *subject)
{
    const uint32_t harmless = EMLFS_MAY_LOGIN | EMLFS_MAY_CHANGE_PASSWORD;

    if (!is_somebody(subject))
        return 0;
    return subject->auditor ? subject->may & harmless : subject->may;
}

uint32_t emlfs_access_grants(const struct emlfs_access_subject *subject,
                             const struct emlfs_access_object *object)
{
    uint32_t grants = is_somebody(subject) ? object->grants & EMLFS_GRANT_ALL : 0;

    if (object->archive.v == 0)
        return 0;
    if (is_admin(subject) && subject->archive_access)
        grants |= EMLFS_GRANT_READ;
    if (is_auditor(subject) && object->archive_made_ns <= subject->auditor_since_ns)
        grants |= EMLFS_GRANT_READ;
    if (!(grants & EMLFS_GRANT_READ))
        return 0;
    return is_auditor(subject) ? EMLFS_GRANT_READ : grants; /* D3 */
}

static bool is_owner(const struct emlfs_access_subject *subject,
                     const struct emlfs_access_object *object)
{
    return is_somebody(subject) && !subject->auditor && subject->user.v == object->archive.v;
}

/* ---- what they see */

static bool is_mail(enum emlfs_object kind)
{
    return kind >= EMLFS_OBJECT_ARCHIVE && kind <= EMLFS_OBJECT_SEARCH;
}

static bool store_is_away(const struct emlfs_access_object *object)
{
    return object->store >= EMLFS_STORE_DISABLED;
}

/* 0: subject sees object; 1: of this call only the name, which is allowed; or the error. */
static int sees(const struct emlfs_access_subject *subject,
                const struct emlfs_access_object *object, enum emlfs_access_call call)
{
    if (object->kind == EMLFS_OBJECT_HOLDS || object->kind == EMLFS_OBJECT_HOLD)
        return has_office(subject) ? 0 : -ENOENT;
    if (!is_mail(object->kind))
        return 0;
    if (emlfs_access_grants(subject, object) & EMLFS_GRANT_READ)
        return store_is_away(object) ? -ENOENT : 0;
    if (object->kind == EMLFS_OBJECT_ARCHIVE && (subject->root || !object->private_name))
        return call == EMLFS_CALL_STAT ? 1 : -EACCES;
    return subject->root ? -EACCES : -ENOENT;
}

/* ---- what they may */

static bool changes(enum emlfs_access_call call)
{
    return call >= EMLFS_CALL_CREATE && call <= EMLFS_CALL_WRITE;
}

static bool is_read_only(const struct emlfs_access_object *object)
{
    return object->read_only || object->store == EMLFS_STORE_WRITE_PROTECTED;
}

static int fixed_error(enum need need)
{
    switch (need) {
    case NEED_EPERM:
        return -EPERM;
    case NEED_EROFS:
        return -EROFS;
    case NEED_ENOTDIR:
        return -ENOTDIR;
    case NEED_EISDIR:
        return -EISDIR;
    default:
        return 0;
    }
}

static bool need_met(const struct emlfs_access_subject *subject,
                     const struct emlfs_access_object *object, enum need need)
{
    const uint32_t grants = emlfs_access_grants(subject, object);
    const uint32_t may = may_of(subject);

    switch (need) {
    case NEED_NOTHING:
        return true;
    case NEED_WRITE:
        return grants & EMLFS_GRANT_WRITE;
    case NEED_ARCHIVE:
        return grants & EMLFS_GRANT_WRITE && may & EMLFS_MAY_ARCHIVE;
    case NEED_DELETE:
        return grants & EMLFS_GRANT_DELETE && may & EMLFS_MAY_DELETE;
    case NEED_EXPORT:
        return may & EMLFS_MAY_EXPORT;
    case NEED_SAVE:
        return grants & EMLFS_GRANT_WRITE || is_owner(subject, object);
    case NEED_MAIL:
        return is_auditor(subject) || (is_admin(subject) && subject->archive_access);
    case NEED_OFFICE:
        return has_office(subject);
    case NEED_ADMIN:
        return is_admin(subject);
    default:
        return false; /* D1 */
    }
}

int emlfs_access(const struct emlfs_access_subject *subject,
                 const struct emlfs_access_object *object, enum emlfs_access_call call)
{
    if ((unsigned)object->kind >= EMLFS_OBJECTS || (unsigned)call >= EMLFS_CALLS)
        return -EACCES;
    enum need need = (enum need)table[object->kind][call];
    int r = sees(subject, object, call);
    if (r != 0)
        return r < 0 ? r : 0;
    if (need == NEED_ENOTDIR || need == NEED_EISDIR)
        return fixed_error(need);
    if (changes(call) && is_read_only(object))
        return -EROFS;
    if (need >= NEED_EPERM)
        return fixed_error(need);
    return need_met(subject, object, need) ? 0 : -EACCES;
}

/* The rights of moving out of one user archive into another. */
static int move_across(const struct emlfs_access_subject *subject,
                       const struct emlfs_access_object *from, const struct emlfs_access_object *to)
{
    int out = emlfs_access(subject, from, EMLFS_CALL_RENAME);
    int into = emlfs_access(subject, to, EMLFS_CALL_MKDIR); /* WRITE there */

    if (out < 0 && out != -EACCES)
        return out;
    if (into < 0 && into != -EACCES)
        return into;
    return out == 0 && into == 0 && need_met(subject, from, NEED_DELETE) ? 0 : -EPERM;
}

int emlfs_access_move(const struct emlfs_access_subject *subject,
                      const struct emlfs_access_object *from, const struct emlfs_access_object *to)
{
    int r = sees(subject, from, EMLFS_CALL_RENAME);

    if (r < 0)
        return r;
    if (from->archive.v != to->archive.v)
        return move_across(subject, from, to);
    r = emlfs_access(subject, from, EMLFS_CALL_RENAME);
    return r < 0 ? r : emlfs_access(subject, to, EMLFS_CALL_MKDIR);
}
