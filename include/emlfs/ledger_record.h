/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_RECORD_H
#define EMLFS_LEDGER_RECORD_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/cursor.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"

/*
 * One record of the ledger: who did what to which object, when, from where, and how it ended.
 * Nothing of a message's content goes into one: its id and its digest name it.
 *
 * X(NAME, number, "name"): numbers are part of the format and never change their meaning.
 */
#define EMLFS_LEDGER_KINDS(X)                                                                      \
    X(ARCHIVE_MADE, 1, "archive-made")                                                             \
    X(MESSAGE_ARCHIVED, 10, "message-archived")                                                    \
    X(MESSAGE_FILED, 11, "message-filed")                                                          \
    X(MESSAGE_MOVED, 12, "message-moved")                                                          \
    X(MESSAGE_DELETED, 13, "message-deleted")                                                      \
    X(MESSAGE_READ, 14, "message-read")                                                            \
    X(MESSAGE_EXPORTED, 15, "message-exported")                                                    \
    X(FOLDER_MADE, 20, "folder-made")                                                              \
    X(FOLDER_RENAMED, 21, "folder-renamed")                                                        \
    X(FOLDER_DELETED, 22, "folder-deleted")                                                        \
    X(USER_MADE, 30, "user-made")                                                                  \
    X(USER_CHANGED, 31, "user-changed")                                                            \
    X(USER_DELETED, 32, "user-deleted")                                                            \
    X(RIGHT_CHANGED, 33, "right-changed")                                                          \
    X(PASSWORD_CHANGED, 34, "password-changed")                                                    \
    X(AUDITOR_ADDED, 35, "auditor-added")                                                          \
    X(AUDITOR_REMOVED, 36, "auditor-removed")                                                      \
    X(ACCESS_OPENED, 37, "archive-access-on")                                                      \
    X(ACCESS_CLOSED, 38, "archive-access-off")                                                     \
    X(LOGIN, 40, "login")                                                                          \
    X(LOGIN_FAILED, 41, "login-failed")                                                            \
    X(ACCESS_DENIED, 42, "access-denied")                                                          \
    X(SEARCH, 43, "search")                                                                        \
    X(POLICY_MADE, 50, "policy-made")                                                              \
    X(POLICY_CHANGED, 51, "policy-changed")                                                        \
    X(POLICY_DELETED, 52, "policy-deleted")                                                        \
    X(MODE_CHANGED, 53, "mode-changed")                                                            \
    X(HOLD_MADE, 60, "hold-made")                                                                  \
    X(HOLD_CHANGED, 61, "hold-changed")                                                            \
    X(HOLD_RELEASED, 62, "hold-released")                                                          \
    X(STORE_MADE, 70, "store-made")                                                                \
    X(STORE_STATE, 71, "store-state")                                                              \
    X(STORE_RENAMED, 72, "store-renamed")                                                          \
    X(STORE_DETACHED, 73, "store-detached")                                                        \
    X(STORE_ATTACHED, 74, "store-attached")                                                        \
    X(STORE_UNLOCKED, 75, "store-unlocked")                                                        \
    X(SETTING_CHANGED, 80, "setting-changed")                                                      \
    X(KEY_RENEWED, 81, "key-renewed")                                                              \
    X(JOB_RUN, 82, "job-run")                                                                      \
    X(CLOCK_EVENT, 83, "clock-event")                                                              \
    X(COMMAND_RUN, 84, "command-run")                                                              \
    X(MOUNTED, 85, "mounted")                                                                      \
    X(UNMOUNTED, 86, "unmounted")                                                                  \
    X(DAMAGE_FOUND, 90, "damage-found")                                                            \
    X(RECOVERED, 91, "recovered")                                                                  \
    X(VERIFIED, 92, "verified")                                                                    \
    X(TIMESTAMPED, 93, "checkpoint-timestamped")

#define EMLFS_LEDGER_KIND_ENUM(name, number, text) EMLFS_LEDGER_##name = (number),
enum emlfs_ledger_kind { EMLFS_LEDGER_KINDS(EMLFS_LEDGER_KIND_ENUM) };
#undef EMLFS_LEDGER_KIND_ENUM

enum emlfs_ledger_source {
    EMLFS_LEDGER_INSIDE = 0, /* emlfs itself: opening, recovering */
    EMLFS_LEDGER_MOUNT = 1,
    EMLFS_LEDGER_SOCKET = 2,
    EMLFS_LEDGER_JOB = 3,
    EMLFS_LEDGER_COMMAND = 4, /* a command that opened the archive itself */
    EMLFS_LEDGER_SERVICE = 5, /* a network service */
    EMLFS_LEDGER_SOURCE_MAX = EMLFS_LEDGER_SERVICE,
};

#define EMLFS_LEDGER_BY_ADMIN 1u /* flag: with an administrator's rights */
#define EMLFS_LEDGER_FLAGS EMLFS_LEDGER_BY_ADMIN

#define EMLFS_LEDGER_SALT_BYTES 16u
#define EMLFS_LEDGER_NAME_MAX_BYTES 255u
#define EMLFS_LEDGER_DETAIL_MAX_BYTES 1024u
#define EMLFS_LEDGER_DATA_MAX_BYTES 8192u
#define EMLFS_LEDGER_RECORD_MAX_BYTES 10240u
#define EMLFS_LEDGER_UID_NONE (-1)

struct emlfs_ledger_record {
    uint64_t sequence;          /* index of the leaf, from 0; set by the ledger */
    int64_t time_ns;            /* when appending 0 means: the ledger's clock */
    uint16_t kind;              /* enum emlfs_ledger_kind; a newer number is kept as it is */
    uint8_t source;             /* enum emlfs_ledger_source */
    uint8_t flags;              /* EMLFS_LEDGER_FLAGS */
    uint16_t outcome;           /* 0 done, else the errno of the refusal or failure */
    struct emlfs_user_id user;  /* who acts; 0: nobody, or unknown */
    struct emlfs_user_id owner; /* in whose archive, or which user is changed */
    int64_t uid;                /* of the caller, EMLFS_LEDGER_UID_NONE */
    struct emlfs_msg_id message;
    struct emlfs_folder_id folder;
    struct emlfs_folder_id folder_to; /* of a move */
    uint64_t object;          /* number of the policy, hold, store, job, change: the kind says */
    bool has_digest;          /* SHA-256 of the exact message, or of what the kind says */
    struct emlfs_hash digest; /* zero without has_digest */
    struct emlfs_span name;   /* UTF-8 without controls; borrowed */
    struct emlfs_span detail; /* as name: a reason, a query, a rule */
    struct emlfs_span data;   /* bytes: a row that the ledger must be able to restore */
    uint8_t salt[EMLFS_LEDGER_SALT_BYTES]; /* random, set by the ledger: hashes tell nothing */
};
/*
 * Foreign text as a detail may hold it, in ret: each byte of a control character, and each that is
 * not UTF-8, becomes \xHH; what is too long is cut between two of them.
 */
struct emlfs_span emlfs_ledger_detail(struct emlfs_span text,
                                      uint8_t ret[EMLFS_LEDGER_DETAIL_MAX_BYTES]);

/* Name of a kind: lower case and dashes. NULL: unknown (a newer version's). */
const char *emlfs_ledger_kind_name(unsigned kind);
/* The inverse; 0: no such name. */
unsigned emlfs_ledger_kind_parse(struct emlfs_span name);
/* "inside", "mount", "socket", "job", "command", "service"; NULL: unknown. */
const char *emlfs_ledger_source_name(unsigned source);

/* Append the encoded record to out. -EINVAL: a field is invalid; -E2BIG, -ENOMEM. */
int emlfs_ledger_record_encode(const struct emlfs_ledger_record *record, struct emlfs_buf *out);
/*
 * The strict inverse: exactly what _encode writes is taken; texts are borrowed from bytes.
 * -EUCLEAN, -EPROTONOSUPPORT a newer version.
 */
int emlfs_ledger_record_decode(struct emlfs_span bytes, struct emlfs_ledger_record *ret_record);

#endif
