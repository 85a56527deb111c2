/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arguments of the commands that govern the archive: users, rights, policies, holds, stores. */
#include "table.h"

#define REQ EMLFS_ARG_REQUIRED
#define POS EMLFS_ARG_POSITIONAL
#define SECRET EMLFS_ARG_SECRET
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define REASON                                                                                     \
    {                                                                                              \
        "reason", 0, EMLFS_ARG_TEXT, 0, "TEXT", "why, for the record in the ledger"                \
    }
#define REASON_REQUIRED                                                                            \
    {                                                                                              \
        "reason", 0, EMLFS_ARG_TEXT, REQ, "TEXT", "why, for the record in the ledger"              \
    }

/* ---- users */

#define FULL_NAME                                                                                  \
    {                                                                                              \
        "full-name", 0, EMLFS_ARG_TEXT, 0, "TEXT", "name of the person"                            \
    }
#define ADDRESS                                                                                    \
    {                                                                                              \
        "address", 0, EMLFS_ARG_LIST, 0, "ADDRESS",                                                \
            "mail address of the user; may be repeated, and replaces those before"                 \
    }
#define QUOTA                                                                                      \
    {                                                                                              \
        "quota", 0, EMLFS_ARG_TEXT, 0, "SIZE", "bytes of mail at most: 500M, 10G; none: no limit"  \
    }

const struct emlfs_arg emlfs_args_user_add[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name of the user and of the user archive"},
    {"unix-account", 0, EMLFS_ARG_TEXT, 0, "ACCOUNT", "account that owns it (the one called NAME)"},
    FULL_NAME,
    ADDRESS,
    {"admin", 0, EMLFS_ARG_FLAG, 0, NULL, "the user may administer the archive"},
    QUOTA,
    END,
};

const struct emlfs_arg emlfs_args_user_set[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user"},
    {"unix-account", 0, EMLFS_ARG_TEXT, 0, "ACCOUNT", "account that owns the user archive"},
    FULL_NAME,
    ADDRESS,
    {"admin", 0, EMLFS_ARG_FLAG, 0, NULL, "the user may administer the archive"},
    {"no-admin", 0, EMLFS_ARG_FLAG, 0, NULL, "the user may not"},
    QUOTA,
    END,
};

const struct emlfs_arg emlfs_args_user_password[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, POS, NULL, "archive user (administrators); else your own"},
    {"password-file", 0, EMLFS_ARG_PATH, 0, "FILE",
     "read the new password from the first line of FILE (-: standard input) instead of asking"},
    {"old-password-file", 0, EMLFS_ARG_PATH, 0, "FILE", "likewise the old one, of your own"},
    {"clear", 0, EMLFS_ARG_FLAG, 0, NULL, "take the password away"},
    REASON,
    {"old-password", 0, EMLFS_ARG_TEXT, SECRET, NULL, "Old password (nothing if there is none)"},
    {"password", 0, EMLFS_ARG_TEXT, SECRET | EMLFS_ARG_TWICE, NULL, "New password"},
    END,
};

/* ---- privileges */

const struct emlfs_arg emlfs_args_login[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user"},
    {"lookup", 0, EMLFS_ARG_FLAG, 0, NULL, "only tell about the user (root and the IMAP server)"},
    {"password-file", 0, EMLFS_ARG_PATH, 0, "FILE",
     "read the password from the first line of FILE (-: standard input) instead of asking"},
    {"password", 0, EMLFS_ARG_TEXT, SECRET, NULL, "Password"},
    END,
};

const struct emlfs_arg emlfs_args_privilege_list[] = {
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "only those of this archive user"},
    END,
};

const struct emlfs_arg emlfs_args_privilege_set[] = {
    {"USER", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user"},
    {"may", 0, EMLFS_ARG_TEXT, 0, "LIST",
     "login, change-password, archive, export, delete, manage-profiles, separated by commas; all; "
     "none"},
    {"own", 0, EMLFS_ARG_TEXT, 0, "LIST",
     "read, write, delete in the user's own archive; all; none (which still reads)"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_privilege_grant[] = {
    {"ARCHIVE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user whose archive is opened"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "to this archive user"},
    {"group", 'g', EMLFS_ARG_TEXT, 0, "GROUP", "or to the members of this Unix group"},
    {"grants", 0, EMLFS_ARG_TEXT, 0, "LIST",
     "read, write, delete, separated by commas; all (read)"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_privilege_revoke[] = {
    {"ARCHIVE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user whose archive is closed again"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "to this archive user"},
    {"group", 'g', EMLFS_ARG_TEXT, 0, "GROUP", "or to the members of this Unix group"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_privilege_access[] = {
    {"SWITCH", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "on or off"},
    {"password-file", 0, EMLFS_ARG_PATH, 0, "FILE",
     "read your password from the first line of FILE (-: standard input) instead of asking"},
    {"reason", 0, EMLFS_ARG_TEXT, 0, "TEXT", "why, for the ledger; needed to switch it on"},
    {"password", 0, EMLFS_ARG_TEXT, SECRET, NULL, "Your password"},
    END,
};

/* ---- compliance */

const struct emlfs_arg emlfs_args_compliance_mode[] = {
    {"MODE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "governance or compliance"},
    REASON_REQUIRED,
    END,
};

const struct emlfs_arg emlfs_args_auditor[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user; no administrator"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_compliance_audit[] = {
    {"LIST", 0, EMLFS_ARG_TEXT, REQ | POS, NULL,
     "login, read, search, export, denied, separated by commas; all; none"},
    REASON,
    END,
};

/* ---- policies */

#define POLICY_QUERY                                                                               \
    {                                                                                              \
        "query", 0, EMLFS_ARG_TEXT, 0, "QUERY",                                                    \
            "messages it is for; see emlfs-query(7) (every message)"                               \
    }
#define POLICY_START                                                                               \
    {                                                                                              \
        "start", 0, EMLFS_ARG_TEXT, 0, "DATE",                                                     \
            "when the period begins: archived, received, sent or year-end (archived)"              \
    }
#define POLICY_SWITCHES                                                                            \
    {"auto-delete", 0, EMLFS_ARG_FLAG, 0, NULL, "delete what the period is over for"},             \
        {"no-auto-delete", 0, EMLFS_ARG_FLAG, 0, NULL, "only keep it till then"},                  \
        {"enable", 0, EMLFS_ARG_FLAG, 0, NULL, "the policy is in force"},                          \
    {                                                                                              \
        "disable", 0, EMLFS_ARG_FLAG, 0, NULL, "the policy says nothing for now"                   \
    }

const struct emlfs_arg emlfs_args_policy_add[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name of the policy"},
    {"period", 0, EMLFS_ARG_TEXT, REQ, "PERIOD", "how long: 90d, 18m or 6y"},
    POLICY_QUERY,
    POLICY_START,
    POLICY_SWITCHES,
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_policy_set[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "policy; what is not given stays as it is"},
    {"rename", 0, EMLFS_ARG_TEXT, 0, "NEWNAME", "its new name"},
    {"period", 0, EMLFS_ARG_TEXT, 0, "PERIOD", "how long: 90d, 18m or 6y"},
    POLICY_QUERY,
    POLICY_START,
    POLICY_SWITCHES,
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_policy_remove[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "policy"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_policy_move[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "policy"},
    {"POSITION", 0, EMLFS_ARG_NUMBER, REQ | POS, NULL, "its new place: 1 is asked first"},
    REASON,
    END,
};

/* ---- holds */

const struct emlfs_arg emlfs_args_hold_list[] = {
    {"released", 0, EMLFS_ARG_FLAG, 0, NULL, "those that were released as well"},
    END,
};

const struct emlfs_arg emlfs_args_hold_place[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name of the hold: a directory in Holds"},
    {"query", 0, EMLFS_ARG_TEXT, 0, "QUERY", "hold what matches now or later; emlfs-query(7)"},
    {"all", 0, EMLFS_ARG_FLAG, 0, NULL, "hold everything"},
    {"message", 'm', EMLFS_ARG_LIST, 0, "MESSAGE", "hold this message; may be repeated"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_hold_add[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "hold that was placed with --message"},
    {"MESSAGE", 0, EMLFS_ARG_LIST, REQ | POS, NULL, "id (k7f3q2), file name, or path in the mount"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_hold_release[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "hold"},
    REASON_REQUIRED,
    END,
};

/* ---- stores */

const struct emlfs_arg emlfs_args_store_create[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, POS, NULL, "name of the store (its directory's)"},
    END,
};

const struct emlfs_arg emlfs_args_store_state[] = {
    {"STORE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name or number of the store"},
    {"STATE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL,
     "current, normal, write-protected, disabled or locked"},
    REASON,
    END,
};

const struct emlfs_arg emlfs_args_store_rename[] = {
    {"STORE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name or number of the store"},
    {"NEWNAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "its new name; the directory keeps its own"},
    END,
};

const struct emlfs_arg emlfs_args_store_unlock[] = {
    {"STORE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name or number of the store"},
    {"recovery-key-file", 0, EMLFS_ARG_PATH, 0, "FILE",
     "read the archive's recovery key from the first line of FILE (-: standard input) instead of "
     "asking"},
    {"recovery-key", 0, EMLFS_ARG_TEXT, SECRET, NULL, "Recovery key of the archive"},
    END,
};

const struct emlfs_arg emlfs_args_store[] = {
    {"STORE", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name or number of the store"},
    END,
};
