/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command table: what emlfs can do, in the order in which help shows it. */
#include "table.h"
#include "handlers.h"

#define REQ EMLFS_ARG_REQUIRED
#define POS EMLFS_ARG_POSITIONAL
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const struct emlfs_arg init_args[] = {
    {"ARCHIVE", 0, EMLFS_ARG_PATH, REQ | POS, NULL, "directory to make; it may exist when empty"},
    {"name", 0, EMLFS_ARG_TEXT, 0, "NAME", "name of the archive (the directory's name)"},
    {"user", 0, EMLFS_ARG_TEXT, 0, "NAME", "first archive user (your account's name)"},
    {"unix-account", 0, EMLFS_ARG_TEXT, 0, "ACCOUNT", "account of the first user (same as --user)"},
    {"timezone", 0, EMLFS_ARG_TEXT, 0, "ZONE", "zone of the dates in file names (this machine's)"},
    {"store-messages", 0, EMLFS_ARG_NUMBER, 0, "N", "begin a new store after N messages (5000000)"},
    {"block-kb", 0, EMLFS_ARG_NUMBER, 0, "N", "text compressed together, in kB of 1024 (960)"},
    {"level", 0, EMLFS_ARG_NUMBER, 0, "N", "zstd level, 1 to 19 (6)"},
    END,
};

static const struct emlfs_arg mount_args[] = {
    {"ARCHIVE", 0, EMLFS_ARG_PATH, REQ | POS, NULL, "archive to show"},
    {"MOUNTPOINT", 0, EMLFS_ARG_PATH, REQ | POS, NULL, "directory to show it in"},
    {"options", 'o', EMLFS_ARG_LIST, 0, "OPTIONS",
     "separated by commas: ro, acl, xattr, atime=retention, ... (see MOUNT OPTIONS in emlfs(1))"},
    {"foreground", 'f', EMLFS_ARG_FLAG, 0, NULL, "stay in the foreground"},
    END,
};

static const struct emlfs_arg umount_args[] = {
    {"MOUNTPOINT", 0, EMLFS_ARG_PATH, REQ | POS, NULL, "where it is mounted"},
    END,
};

static const struct emlfs_arg import_args[] = {
    {"SOURCE", 0, EMLFS_ARG_LIST, REQ | POS, NULL, "file or directory to read; never changed"},
    {"user", 'u', EMLFS_ARG_TEXT, REQ, "NAME", "archive user whose archive receives the mail"},
    {"folder", 0, EMLFS_ARG_TEXT, 0, "PATH",
     "folder to file it below (after the source; / is the top)"},
    {"include", 0, EMLFS_ARG_LIST, 0, "GLOB", "take only paths below SOURCE that match"},
    {"exclude", 0, EMLFS_ARG_LIST, 0, "GLOB", "leave out paths below SOURCE that match"},
    {"format", 0, EMLFS_ARG_TEXT, 0, "FORMAT", "eml, maildir or mbox (detected)"},
    {"dry-run", 'n', EMLFS_ARG_FLAG, 0, NULL, "archive nothing, tell what would happen"},
    {"trust-dates", 0, EMLFS_ARG_FLAG, 0, NULL,
     "let retention count from the messages' own dates (administrators)"},
    {"no-index", 0, EMLFS_ARG_FLAG, 0, NULL, "leave indexing to the next search, mount or import"},
    {"report", 0, EMLFS_ARG_PATH, 0, "FILE",
     "write rejections, notes and the totals as JSON lines"},
    END,
};

static const struct emlfs_arg user_name_args[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user"},
    END,
};

static const struct emlfs_arg user_rename_args[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "archive user"},
    {"NEWNAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "new name of the user and the user archive"},
    END,
};

static const struct emlfs_arg folder_list_args[] = {
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "only this user archive"},
    END,
};

static const struct emlfs_arg message_args[] = {
    {"MESSAGE", 0, EMLFS_ARG_PATH, REQ | POS, NULL, "id (k7f3q2), file name, or path in the mount"},
    END,
};

static const struct emlfs_arg search_args[] = {
    {"QUERY", 0, EMLFS_ARG_LIST, REQ | POS, NULL, "what to look for; see emlfs-query(7)"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "user archive to search (your own)"},
    {"count", 0, EMLFS_ARG_FLAG, 0, NULL, "print only how many messages match"},
    {"sort", 0, EMLFS_ARG_TEXT, 0, "ORDER",
     "by date (latest first), from or subject, instead of by archiving, newest first"},
    {"limit", 0, EMLFS_ARG_NUMBER, 0, "N", "print only the first N (0: all)"},
    {"no-wait", 0, EMLFS_ARG_FLAG, 0, NULL, "do not wait until the index knows all mail"},
    END,
};

static const struct emlfs_arg search_save_args[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "name of the search: a directory in Searches"},
    {"QUERY", 0, EMLFS_ARG_LIST, REQ | POS, NULL, "what it looks for; see emlfs-query(7)"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "user archive it belongs to (your own)"},
    {"replace", 0, EMLFS_ARG_FLAG, 0, NULL, "give a search that is there already this query"},
    END,
};

static const struct emlfs_arg search_list_args[] = {
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "user archive they belong to (your own)"},
    END,
};

static const struct emlfs_arg search_remove_args[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "saved search"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "user archive it belongs to (your own)"},
    END,
};

static const struct emlfs_arg search_rename_args[] = {
    {"NAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "saved search"},
    {"NEWNAME", 0, EMLFS_ARG_TEXT, REQ | POS, NULL, "its new name"},
    {"user", 'u', EMLFS_ARG_TEXT, 0, "NAME", "user archive it belongs to (your own)"},
    END,
};

static const struct emlfs_arg index_rebuild_args[] = {
    {"store", 0, EMLFS_ARG_NUMBER, 0, "N", "only the index of store number N"},
    END,
};

static const struct emlfs_arg index_set_args[] = {
    {"kinds", 0, EMLFS_ARG_TEXT, REQ, "LIST",
     "text, html, ooxml, odf, pdf, rtf, message, separated by commas; all; none"},
    END,
};

static const struct emlfs_arg help_args[] = {
    {"COMMAND", 0, EMLFS_ARG_LIST, POS, NULL, "command to explain"},
    {"man", 0, EMLFS_ARG_FLAG, 0, NULL, "the manual page, as troff"},
    {"completion", 0, EMLFS_ARG_FLAG, 0, NULL, "the completion script for bash"},
    END,
};

static const struct emlfs_arg no_args[] = {END};

const struct emlfs_command emlfs_commands[] = {
    {.name = "init",
     .summary = "make a new, encrypted archive",
     .help =
         "Makes ARCHIVE, encrypted from the first byte. A machine key is kept in ARCHIVE/keys so "
         "that the archive can be mounted without a password; the recovery key is printed once, "
         "here, and kept nowhere: write it down and keep it elsewhere.\n\n"
         "Whoever runs init becomes the first user and administrator: the account of the real "
         "user id, which is root under sudo(8) (give --user then). "
         "MailStore calls this: create an archive.",
     .args = init_args,
     .right = EMLFS_RIGHT_LOCAL,
     .flags = EMLFS_COMMAND_CLIENT | EMLFS_COMMAND_ONE,
     .fields = "archive,name,uuid,user,unix_account,recovery_key",
     .run = emlfs_run_init},
    {.name = "mount",
     .summary = "show an archive as a directory tree",
     .help =
         "Mounts ARCHIVE on MOUNTPOINT. Messages are never changed; who has the right adds, "
         "deletes and moves them. Each "
         "user sees the user archives they may "
         "read. While it is mounted, every other command runs inside the mount process; new mail "
         "appears by itself. It may be mounted again elsewhere, also in part (-o archive_user=, "
         "folder=, store=, auditor=): the same process serves it. Exit codes are those of "
         "mount(8). In /etc/fstab the type is "
         "fuse.emlfs.",
     .args = mount_args,
     .right = EMLFS_RIGHT_LOCAL,
     .flags = EMLFS_COMMAND_CLIENT},
    {.name = "umount",
     .summary = "end a mount",
     .help =
         "Ends the mount on MOUNTPOINT: asks its mount process, and umount(8) or fusermount3(1) "
         "when nobody answers.",
     .args = umount_args,
     .right = EMLFS_RIGHT_LOCAL,
     .flags = EMLFS_COMMAND_CLIENT},
    {.name = "import",
     .summary = "archive mail from files",
     .help = "Reads every SOURCE with your own rights, archives each message exactly as it is, and "
             "never changes the source. EML files and directory trees, Maildir and Maildir++, and "
             "mbox files are recognised. It may be repeated: only new mail is taken, and a message "
             "that moved between folders of the same source is moved. Ctrl-C stops it cleanly.\n\n"
             "At the end: read = archived + already there + rejected. A message is reported as "
             "archived only when a power cut can no longer take it back. "
             "MailStore calls this: an archiving profile.",
     .args = import_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_CLIENT | EMLFS_COMMAND_ONE,
     .fields = "read,archived,already_there,rejected,moved,notes,bytes,seconds"},
    {.name = "user add",
     .summary = "add an archive user",
     .help = "Adds an archive user with a user archive of the same name, bound to the Unix account "
             "NAME, or the one given. MailStore calls this: CreateUser.",
     .args = emlfs_args_user_add,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "name,full_name,unix_account,admin,quota,addresses",
     .run = emlfs_run_user_add},
    {.name = "user list",
     .summary = "list archive users",
     .help = "Administrators and auditors see every user, others themselves. "
             "MailStore calls this: GetUsers.",
     .args = no_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "name,full_name,unix_account,admin,removed,created,used,quota,addresses",
     .run = emlfs_run_user_list},
    {.name = "user show",
     .summary = "show an archive user",
     .help = "MailStore calls this: GetUserInfo.",
     .args = user_name_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_ONE,
     .fields = "name,full_name,unix_account,uid,admin,removed,created,used,quota,addresses,folders,"
               "entries",
     .run = emlfs_run_user_show},
    {.name = "user set",
     .summary = "change an archive user",
     .help =
         "What is not given stays as it is; --address '' takes all addresses away, --quota none "
         "the limit. A quota counts each message of the user archive once, at its size; mail "
         "above it is rejected. The last "
         "administrator stays one. Without archive access nobody binds another's archive to "
         "their own account. MailStore calls this: SetUserFullName, "
         "SetUserEmailAddresses, SetUserAuthentication and SetUserPrivileges (admin).",
     .args = emlfs_args_user_set,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "name,full_name,unix_account,admin,quota,addresses",
     .run = emlfs_run_user_set},
    {.name = "user password",
     .summary = "set or remove the password of an archive user",
     .help =
         "For services and for archive access; a mount and the commands know you by your Unix "
         "account. Asked for on the terminal without echo, twice, or read from a file; never "
         "taken from the command line. Administrators name a user; without a NAME it is your own, "
         "and the old one is asked for.\n\n"
         "A password has at least 10 characters, of three of these: upper case, lower case, "
         "digits, other ASCII, everything beyond; it does not hold the user's name, and no "
         "character three times in a row. MailStore calls this: SetUserPassword.",
     .args = emlfs_args_user_password,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_user_password},
    {.name = "login",
     .summary = "check an archive user's password",
     .help = "What the IMAP server's checkpassword asks: is it the password, and which account "
             "reads the user's mail.",
     .args = emlfs_args_login,
     .right = EMLFS_RIGHT_ANYONE,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE | EMLFS_COMMAND_HIDDEN,
     .fields = "result,name,uid,gid,home",
     .run = emlfs_run_login},
    {.name = "user rename",
     .summary = "rename an archive user and the user archive",
     .help = "The Unix account stays bound as it was. MailStore calls this: RenameUser.",
     .args = user_rename_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_user_rename},
    {.name = "user remove",
     .summary = "remove an archive user; the user archive stays",
     .help =
         "The user may do nothing any more; no mail is removed. The last administrator cannot be "
         "removed. MailStore calls this: DeleteUser.",
     .args = user_name_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_user_remove},
    {.name = "privilege list",
     .summary = "show what users and groups may do",
     .help = "For each user: what they may do at all, what in their own archive (own), and which "
             "other archives they were granted. Administrators and auditors see everybody's and "
             "those of groups, others their own. MailStore calls this: GetUserInfo (privileges).",
     .args = emlfs_args_privilege_list,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "user,group,may,own,archives,admin,auditor,archive_access,password",
     .run = emlfs_run_privilege_list},
    {.name = "privilege set",
     .summary = "set what a user may do at all and in their own archive",
     .help = "The list that is given replaces the one before. Without login a user is a stranger; "
             "delete needs both the privilege here and the right in the archive. "
             "MailStore calls this: SetUserPrivileges.",
     .args = emlfs_args_privilege_set,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_privilege_set},
    {.name = "privilege grant",
     .summary = "open a user archive to another user or a group",
     .help = "What is granted replaces what the same user or group was granted there before; "
             "reading always belongs to it. Without archive access nobody opens another's archive "
             "to themselves, or to a group they are in; another administrator may, and the ledger "
             "says who did. MailStore calls this: SetUserPrivilegesOnFolder.",
     .args = emlfs_args_privilege_grant,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_privilege_grant},
    {.name = "privilege revoke",
     .summary = "take back what privilege grant gave",
     .help = "It holds at once; files that are open are read to their end. "
             "MailStore calls this: ClearUserPrivilegesOnFolders.",
     .args = emlfs_args_privilege_revoke,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_privilege_revoke},
    {.name = "privilege access",
     .summary = "switch your archive access as an administrator",
     .help = "Administrators do not read other people's mail. With archive access on they do, "
             "until it is switched off again. Switching it on needs your own password and a "
             "reason; both switches are in the ledger. "
             "MailStore calls this: archive access of administrators.",
     .args = emlfs_args_privilege_access,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_privilege_access},
    {.name = "compliance show",
     .summary = "show what governs the archive",
     .help = "The mode, how many policies and holds are in force, what is recorded of users, who "
             "audits, and which administrators have archive access. "
             "MailStore calls this: GetComplianceConfiguration.",
     .args = no_args,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_ONE,
     .fields = "mode,policies,holds,all_held,audited,auditors,archive_access",
     .run = emlfs_run_compliance_show},
    {.name = "compliance mode",
     .summary = "choose governance or compliance mode",
     .help = "In governance mode an administrator may loosen a policy, with a reason. In "
             "compliance mode nothing that is kept may go earlier, whoever asks; it is for good. "
             "MailStore calls this: SetComplianceConfiguration.",
     .args = emlfs_args_compliance_mode,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_compliance_mode},
    {.name = "compliance auditor add",
     .summary = "make a user an auditor",
     .help = "An auditor reads every user archive that exists now, the ledger, policies and "
             "holds, and changes nothing. Administrators cannot be auditors. "
             "MailStore calls this: auditor user.",
     .args = emlfs_args_auditor,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_auditor_add},
    {.name = "compliance auditor remove",
     .summary = "make an auditor an ordinary user again",
     .help = "The user keeps the rights that they have without the office.",
     .args = emlfs_args_auditor,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_auditor_remove},
    {.name = "compliance auditor list",
     .summary = "list the auditors",
     .help = "An auditor reads the user archives that existed at the time shown.",
     .args = no_args,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "name,since",
     .run = emlfs_run_auditor_list},
    {.name = "compliance audit set",
     .summary = "choose which activities of users are recorded",
     .help = "Administrators' acts are always in the ledger, and so is every change of mail and "
             "of rules. These are recorded of users as LIST says: login, read (opening a "
             "message), search, export, denied (being refused). What must be recorded and cannot "
             "be is not done. MailStore calls this: auditing, user activities to log.",
     .args = emlfs_args_compliance_audit,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_compliance_audit_set},
    {.name = "compliance audit show",
     .summary = "show which activities of users are recorded",
     .help = "See compliance audit set.",
     .args = no_args,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "activity,recorded",
     .run = emlfs_run_compliance_audit_show},
    {.name = "policy list",
     .summary = "list the retention policies in their order",
     .help = "The first enabled policy that matches a message says until when it is kept. "
             "MailStore calls this: GetRetentionPolicies.",
     .args = no_args,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "position,name,period,start,auto_delete,enabled,query",
     .run = emlfs_run_policy_list},
    {.name = "policy add",
     .summary = "add a retention policy behind the others",
     .help = "Messages that match QUERY are kept for PERIOD: days (90d), months (18m) or years "
             "(6y) from the day they were archived, or the one that --start names; year-end is "
             "the end of the year of receipt. With --auto-delete they are deleted then. A query "
             "names no folder, excludes no field and has no relative date.\n\n"
             "A policy that deletes, behind one that only keeps, loosens: see policy set. A "
             "message that no policy matches may be deleted by those who have the right. "
             "MailStore calls this: SetRetentionPolicies.",
     .args = emlfs_args_policy_add,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "name,period,start,auto_delete,enabled,query",
     .run = emlfs_run_policy_add},
    {.name = "policy set",
     .summary = "change a retention policy",
     .help = "A change that lets a message go earlier loosens: in governance mode it needs "
             "--reason, in compliance mode it is refused. "
             "MailStore calls this: SetRetentionPolicies.",
     .args = emlfs_args_policy_set,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "name,period,start,auto_delete,enabled,query",
     .run = emlfs_run_policy_set},
    {.name = "policy remove",
     .summary = "remove a retention policy",
     .help = "That loosens, as policy set explains; no message is deleted by it. "
             "MailStore calls this: SetRetentionPolicies.",
     .args = emlfs_args_policy_remove,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_policy_remove},
    {.name = "policy move",
     .summary = "change the order in which policies are asked",
     .help = "The first that matches decides, so moving one may loosen, as policy set explains. "
             "MailStore calls this: SetRetentionPolicies (order).",
     .args = emlfs_args_policy_move,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_policy_move},
    {.name = "hold list",
     .summary = "list the legal holds",
     .help = "Those in force; their records stay for ever. MailStore calls this: legal hold.",
     .args = emlfs_args_hold_list,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "name,scope,query,placed,placed_by,reason,released,released_by,release_reason",
     .run = emlfs_run_hold_list},
    {.name = "hold place",
     .summary = "place a legal hold",
     .help = "What is held is neither deleted nor moved, whatever the policies say: everything, "
             "what matches a query now or later, or the messages named. A message may be under "
             "many holds. It appears as the directory Holds/NAME. "
             "MailStore calls this: legal hold (SetComplianceConfiguration).",
     .args = emlfs_args_hold_place,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "name,scope,query,placed,placed_by,reason",
     .run = emlfs_run_hold_place},
    {.name = "hold add",
     .summary = "hold further messages",
     .help = "Adds messages to a hold that was placed with --message. None is taken out again "
             "before the hold is released.",
     .args = emlfs_args_hold_add,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_hold_add},
    {.name = "hold release",
     .summary = "end a legal hold",
     .help = "Its record stays, with the reason. Policies decide again, and other holds go on.",
     .args = emlfs_args_hold_release,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_hold_release},
    {.name = "store list",
     .summary = "list the archive stores and their states",
     .help = "MailStore calls this: GetStores.",
     .args = no_args,
     .right = EMLFS_RIGHT_OFFICE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "number,name,state,messages,bytes,made,directory,present",
     .run = emlfs_run_store_list},
    {.name = "store create",
     .summary = "begin a new store; the current one becomes normal",
     .help = "New mail goes into the new one. A store that is full is followed by a new one by "
             "itself. MailStore calls this: CreateStore.",
     .args = emlfs_args_store_create,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "number,name,state,directory",
     .run = emlfs_run_store_create},
    {.name = "store set-state",
     .summary = "write-protect, disable, lock or enable a store",
     .help = "write-protected: nothing of it is moved or deleted. disabled: it is not shown and "
             "not found. locked: as disabled, and only store unlock opens it. The store with the "
             "highest number takes new mail, so it is current or write-protected. "
             "MailStore calls this: SetStoreRequestedState.",
     .args = emlfs_args_store_state,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "number,name,state,directory",
     .run = emlfs_run_store_set_state},
    {.name = "store rename",
     .summary = "rename a store",
     .help = "MailStore calls this: RenameStore.",
     .args = emlfs_args_store_rename,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_store_rename},
    {.name = "store unlock",
     .summary = "open a locked store with the recovery key",
     .help = "The recovery key is the one that init printed. It is asked for, or read from a "
             "file; it is kept nowhere. The store becomes normal. "
             "MailStore calls this: UnlockStore.",
     .args = emlfs_args_store_unlock,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "number,name,state,directory",
     .run = emlfs_run_store_unlock},
    {.name = "store detach",
     .summary = "let a store be taken away",
     .help = "Its messages are not shown any more, and its directory below stores/ may be moved "
             "elsewhere. The current store cannot be detached. MailStore calls this: DetachStore.",
     .args = emlfs_args_store,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "number,name,state,directory",
     .run = emlfs_run_store_detach},
    {.name = "store attach",
     .summary = "bring a detached store back",
     .help = "Its directory must be where it was, whole. The store is write-protected then. "
             "MailStore calls this: AttachStore.",
     .args = emlfs_args_store,
     .right = EMLFS_RIGHT_ADMIN,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "number,name,state,directory",
     .run = emlfs_run_store_attach},
    {.name = "folder list",
     .summary = "list folders with their message counts",
     .help = "Lists the folders of the user archives that you may read. "
             "MailStore calls this: GetChildFolders.",
     .args = folder_list_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS,
     .fields = "path,messages,changed",
     .run = emlfs_run_folder_list},
    {.name = "message show",
     .summary = "show what is known about a message",
     .help = "Shows the facts that were extracted when the message was archived, its SHA-256 and "
             "where it is filed in the user archives that you may read.",
     .args = message_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_ONE,
     .fields = "id,path,size,archived,sha256,date,from,to,cc,subject,message_id,attachments,"
               "parts,partial",
     .run = emlfs_run_message_show},
    {.name = "message get",
     .summary = "write the exact bytes of a message to standard output",
     .help = "The bytes are checked against the SHA-256 they were archived with; a damaged message "
             "is an error and never shown as good.",
     .args = message_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_BYTES,
     .run = emlfs_run_message_get},
#include "table_ledger.inc"
    {.name = "search",
     .summary = "find messages",
     .help =
         "Looks for the messages of one user archive that QUERY describes; emlfs-query(7) explains "
         "the query language. Several words are joined by blanks, and all must hold: 'from:alice "
         "invoice'. Phrases need quotation marks that the shell leaves alone: 'subject:\"yearly "
         "report\"'. Prints path, date, correspondent and subject, the message archived last "
         "first. The path is that below a mount point.\n\n"
         "A QUERY that begins with - (an exclusion) or with one of the words save, list, remove "
         "and rename is written behind --: emlfs search -a ARCHIVE -- -draft, emlfs search -- "
         "list.\n\n"
         "Sorting needs memory: --sort takes at most 100,000 messages, with --limit any number. A "
         "mistake in QUERY is shown with a caret below its place; the exit code is 1 then.\n\n"
         "You search only archives that you may read; administrators and root do not read other "
         "people's mail. New mail that is not indexed yet is indexed first, unless --no-wait is "
         "given.",
     .args = search_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_INDEX,
     .fields = "path,date,correspondent,subject",
     .run = emlfs_run_search},
    {.name = "search save",
     .summary = "save a search under a name",
     .help = "The search appears as the directory Searches/NAME of the user archive; what is in it "
             "is looked up whenever it is opened, so lastmonth always means last month.",
     .args = search_save_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_INDEX | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_search_save},
    {.name = "search list",
     .summary = "list saved searches",
     .help = "The form path marks queries in the form of directory names; see emlfs-query(7).",
     .args = search_list_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_INDEX,
     .fields = "name,query,form,created,changed",
     .run = emlfs_run_search_list},
    {.name = "search remove",
     .summary = "remove a saved search; no mail is touched",
     .help = "What the search found stays where it is.",
     .args = search_remove_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_INDEX | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_search_remove},
    {.name = "search rename",
     .summary = "rename a saved search",
     .help = "Names are different ignoring case.",
     .args = search_rename_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_INDEX | EMLFS_COMMAND_WRITES,
     .run = emlfs_run_search_rename},
    {.name = "index status",
     .summary = "show how much of the mail can be searched",
     .help = "For each store: messages that are indexed and that wait, parts whose text could not "
             "be read and the commonest reasons. MailStore calls this: search index statistics.",
     .args = no_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_INDEX,
     .fields = "store,indexed,waiting,problems,bytes,bytes_of_text,segments,kinds,reasons",
     .run = emlfs_run_index_status},
    {.name = "index rebuild",
     .summary = "make the search index again",
     .help = "Reads the mail again, with the settings of now. Ctrl-C stops it without damage; what "
             "is missing then is indexed later by itself. Searching finds what is indexed already. "
             "MailStore calls this: RebuildSelectedStoreIndexes.",
     .args = index_rebuild_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_INDEX | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_RECORD,
     .fields = "store,indexed,waiting,problems,bytes,bytes_of_text,segments,kinds,reasons",
     .run = emlfs_run_index_rebuild},
    {.name = "index set",
     .summary = "choose which kinds of attachments are indexed",
     .help = "It holds for mail that is indexed from now on; index rebuild treats all mail so.",
     .args = index_set_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_INDEX | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "kinds",
     .run = emlfs_run_index_set},
    {.name = "status",
     .summary = "show counts, size and state of an archive",
     .help = "Also tells whether the archive is mounted, and where. "
             "MailStore calls this: GetStoreStatistics and GetServerInfo.",
     .args = no_args,
     .right = EMLFS_RIGHT_ANYONE,
     .flags = EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_LOOKS | EMLFS_COMMAND_ONE,
     .fields = "archive,name,uuid,messages,bytes_archived,bytes_on_disk,stores,writable,why,"
               "timezone,repaired_at_opening,mount",
     .run = emlfs_run_status},
    {.name = "verify",
     .summary = "read and check everything in an archive",
     .help = "Reads every record, hash, entry and count. What is wrong is named on standard error; "
             "the exit code is 1 then. When nothing is mounted, the files of the catalogue are "
             "checked as well. MailStore calls this: VerifyStore.",
     .args = no_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_CLOSED | EMLFS_COMMAND_EITHER | EMLFS_COMMAND_ONE,
     .fields = "stores,packs,records,messages,blobs,entries,folders,bytes,ledger_records,"
               "checkpoints,timestamps,errors",
     .run = emlfs_run_verify},
    {.name = "recover",
     .summary = "rebuild the catalogue from the packs alone",
     .help = "For a catalogue that was lost or damaged: the packs are the archive, and everything "
             "else is made from them again. The archive must not be mounted. A second run repairs "
             "nothing. MailStore calls this: RebuildStore.",
     .args = no_args,
     .right = EMLFS_RIGHT_ADMIN,
     .flags =
         EMLFS_COMMAND_ARCHIVE | EMLFS_COMMAND_CLOSED | EMLFS_COMMAND_WRITES | EMLFS_COMMAND_ONE,
     .fields = "stores,packs,records,messages,blobs,entries,folders,bytes,ledger_completed,"
               "repaired,errors",
     .run = emlfs_run_recover},
    {.name = "help",
     .summary = "explain emlfs or one command",
     .help = "The same text as --help.",
     .args = help_args,
     .right = EMLFS_RIGHT_LOCAL,
     .flags = EMLFS_COMMAND_CLIENT},
    {.name = "version",
     .summary = "show the version",
     .help = "The same as --version.",
     .args = no_args,
     .right = EMLFS_RIGHT_LOCAL,
     .flags = EMLFS_COMMAND_CLIENT},
    {.name = NULL},
};

const struct emlfs_command *emlfs_command_find(const char *name)
{
    for (const struct emlfs_command *command = emlfs_commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}
