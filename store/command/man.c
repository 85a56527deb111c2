/* SPDX-License-Identifier: GPL-3.0-or-later */
/* emlfs(1) from the table, in the man macros of troff. */
#include "emlfs/cli.h"
#include "emlfs/text.h"

#include <stdlib.h>
#include <time.h>

/* Text with troff's own characters escaped; a blank line becomes a paragraph. */
static int man_text(struct emlfs_buf *out, const char *text)
{
    bool line_start = true;
    int r = 0;

    for (; r == 0 && *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            r = emlfs_text_printf(out, "\\&");
        line_start = false;
        if (r < 0)
            break;
        if (*text == '\\') {
            r = emlfs_text_printf(out, "\\e");
        } else if (*text == '-') {
            r = emlfs_text_printf(out, "\\-");
        } else if (*text == '\n') {
            r = emlfs_text_printf(out, text[1] == '\n' ? "\n.PP\n" : "\n");
            text += text[1] == '\n';
            line_start = true;
        } else {
            r = emlfs_buf_append_u8(out, (uint8_t)*text);
        }
    }
    return r;
}

static int man_line(struct emlfs_buf *out, const char *macro, const char *text)
{
    int r = emlfs_text_printf(out, "%s", macro);

    if (r == 0)
        r = man_text(out, text);
    return r == 0 ? emlfs_buf_append_u8(out, '\n') : r;
}

/* Fixed parts: { tag or NULL for a plain paragraph, text }. */
struct man_item {
    const char *tag, *text;
};

static int man_items(struct emlfs_buf *out, const struct man_item *items)
{
    int r = 0;

    for (; r == 0 && items->text; items++) {
        r = emlfs_text_printf(out, items->tag ? ".TP\n" : ".PP\n");
        if (r == 0 && items->tag)
            r = man_line(out, ".B ", items->tag);
        if (r == 0)
            r = man_line(out, "", items->text);
    }
    return r;
}

static const struct man_item description[] = {
    {NULL,
     "emlfs keeps mail in an encrypted archive and shows it as a directory tree: each message "
     "is a read-only file with exactly the bytes that were archived, each mail folder a "
     "directory, each archive user a top directory that only this user may enter."},
    {NULL,
     "Whoever may write a folder archives a message, or the messages of an mbox, by copying it "
     "there with any program. What is no mail is refused (Operation not supported). When "
     "close or fsync has returned 0, the content is durable and will be archived, even after "
     "a crash; it is visible as archived slightly later."},
    {NULL,
     "While an archive is mounted, the mount process owns it, and every other command runs "
     "inside it through a socket; when nothing is mounted, a command opens the archive itself. "
     "Nothing has to be done for that."},
    {NULL, "An archive may be mounted several times, each time with options of its own: the first "
           "mount process serves the further mounts, too, each ends with its own umount, and the "
           "process with the last of them or by SIGTERM. Who mounts further must be the account "
           "that the process runs as, or root, and have the same version of emlfs."},
    {NULL, "Where standard error is not a terminal, progress is written to it as lines, "
           "every five seconds. Names and subjects from mail are escaped before they reach a "
           "terminal."},
    {NULL, NULL},
};

static const struct man_item mount_options[] = {
    {"allow_other, default_permissions",
     "Always on: users other than the one who mounts may enter, and each sees only what they may "
     "read. An ordinary user who mounts needs user_allow_other in /etc/fuse.conf."},
    {"ro, rw", "Read-only or writable (the default). Messages are never changed; whoever has the "
               "right may add, delete and move them and make folders, and each their own saved "
               "searches. While every store is write-protected, the file system is set read-only "
               "by itself and writable again afterwards, unless ro was asked for; a mount process "
               "that is not root cannot set it, and refuses changes all the same."},
    {"asof=DATE",
     "Show the archive as it stood at a time, read-only: 2026-03-01 is the end of that day, "
     "2026-03-01T09:13 or 2026-03-01T09:13:05 that moment, on the clocks of the archive's time "
     "zone "
     "or with Z or +01:00 behind it. Folders, names and user archives are those of then; who may "
     "read them is asked of today's privileges, and a store that is not shown now is not shown. A "
     "message that was deleted since, or moved to another user archive, is listed and not read "
     "(EIDRM). There are neither searches nor Holds. Mounting takes as long as recover does up to "
     "that time, and needs room for a second catalogue in ARCHIVE/asof until it is unmounted."},
    {"no_searches", "Show neither Searches nor .query: for file servers and programs that crawl "
                    "everything and would read each message once more in each search."},
    {"private_names",
     "Hide the top directories of user archives from accounts that may not read them: a stranger "
     "who "
     "guesses the name gets ENOENT instead of EACCES. Every absolute path then costs a question to "
     "the mount process, which makes walking many paths some ten times slower."},
    {"strict_root", "Do not let root see the names and times of messages that others have just "
                    "looked at, at the price of slower path look-ups."},
    {"acl",
     "Show as POSIX ACLs (getfacl(1)) who may do what in a user archive, account by account; "
     "without it, owner, group and mode say it as far as they can. They cannot be changed "
     "here: privileges are the archive's."},
    {"xattr",
     "Show extended attributes of messages and saved searches (getfattr -d): user.emlfs.id, "
     "sha256, archived, retain-until, delete-at, policy, hold, store, query. A listing "
     "that asks for them takes many times as long, so they are off without it."},
    {"atime=retention", "Show as access time of a message the earliest date on which it may be "
                        "deleted, as WORM storage does, instead of the "
                        "message's date; 1970 where none is set."},
    {"layout=maildir", "Show each folder and saved search as a maildir for an IMAP server, which "
                       "cannot change anything through it; see imap.md."},
    {"noprefetch", "Do not push the next messages of a folder that is read in order into the page "
                   "cache."},
    {"archive_user=NAME (or user=NAME)",
     "The mount's root is the archive of that user, its folders at the top; there is neither "
     ".emlfs "
     "nor Holds. Like folder and store it grants nothing: everybody may do in it what they may "
     "elsewhere, and what is outside does not exist. In /etc/fstab only the first spelling is "
     "safe: mount(8) takes user= as the permission that ordinary users mount, and keeps it to "
     "itself when one does."},
    {"folder=PATH",
     "The root is that folder: below the archive of archive_user, or PATH begins with the user. No "
     "Searches and no .query, unless it is a whole user archive. A comma in a name is written "
     "\\,."},
    {"store=NAME", "Only the messages of that store, by its name, number or directory; all folders "
                   "are there. No Searches, .query, Holds and .emlfs."},
    {"auditor=NAME",
     "What an auditor gets who has no account in the archive: whoever may enter acts as that "
     "archive user, an enrolled auditor, sees what the auditor may read, and changes nothing. "
     "Every opening of a message is in the ledger under NAME with the real uid, whatever is set "
     "otherwise. Only an administrator may mount it. Entering may who mounted it, and account; "
     "everything belongs to account, with modes 0500 and 0400. Once NAME is no auditor any more, "
     "nothing can be read."},
    {"account=UNIXNAME", "With auditor: who may enter; by itself the account that NAME is bound "
                         "to, or who mounts."},
    {"debug",
     "With -f: write each request of the kernel and its answer to standard error (number, kind, "
     "inode, process), as libfuse does. It holds no names and nothing of the mail, and it is slow: "
     "for finding out what a program asks."},
    {"setuid=USER,drop_privileges", "Options of mount.fuse3(8): run the mount process as USER "
                                    "without any capability."},
    {"nosuid, nodev, noexec", "Always on."},
    {"nofail, noauto, user, _netdev, x-systemd.*",
     "For mount(8) and systemd; they never reach emlfs."},
    {NULL, "Options that other file systems know and that mean nothing here (relatime, lazytime, "
           "uid=, ...) are accepted and ignored; anything else is refused by name."},
    {NULL, NULL},
};

static const struct man_item exit_status[] = {
    {"0", "It was done. For verify and recover: nothing is wrong; for verify-proof: proven."},
    {"1", "Wrong usage, a query that is none; for verify and recover: something is wrong with the "
          "archive, named on standard error; for message delete, message move and export: some "
          "messages were refused; for verify-proof: not proven."},
    {"2", "It could not be done: no permission, no such archive, an input or output error."},
    {"3", "import finished, but rejected messages; each is named with its reason."},
    {"130", "Interrupted by Ctrl-C; what had been archived until then stays and is reported."},
    {NULL, "mount and umount use the codes of mount(8): 0 done, 1 wrong usage or option, 2 system "
           "error, 32 the mount failed."},
    {NULL, NULL},
};

static const struct man_item files[] = {
    {"ARCHIVE/emlfs.json", "Format version and the archive's name: the only clear text."},
    {"ARCHIVE/keys/", "The machine key, with which the archive opens by itself, and the wrapped "
                      "master key. Back them up apart from the rest, or keep the recovery key."},
    {"ARCHIVE/stores/", "The mail: packs, which are the archive, and the catalogue, which can be "
                        "rebuilt from them."},
    {"ARCHIVE/master/", "Users and folders; rebuilt from the packs as well."},
    {"ARCHIVE/spool/", "What was copied in and is not archived yet, or cannot be read any more "
                       "(.damaged, which verify names). It is nowhere else."},
    {"ARCHIVE/control", "Socket of the mount process."},
    {"MOUNTPOINT/.emlfs/status.json", "State of a mount, as status shows it. Not listed."},
    {"MOUNTPOINT/.emlfs/by-id/ID.eml", "Every message by its id. Not listed."},
    {"/etc/fstab", "A line of type fuse.emlfs mounts an archive at start-up; see EXAMPLES."},
    {NULL, NULL},
};

static const struct man_item environment[] = {
    {"EMLFS_ARCHIVE", "The archive, where --archive is not given."},
    {NULL, NULL},
};

static const struct man_item examples[] = {
    {"emlfs init /srv/mail", "Make an archive; write the recovery key down."},
    {"emlfs import -a /srv/mail --user alice ~/Maildir", "Archive a Maildir for alice."},
    {"emlfs import -a /srv/mail --user alice --folder Old --report rejected.jsonl old.mbox",
     "Archive an mbox file into the folder Old."},
    {"emlfs search -a /srv/mail from:bob 'subject:\"yearly report\"' date:lastyear",
     "Find messages."},
    {"emlfs search save -a /srv/mail Invoices subject:invoice has:attachment",
     "Have the directory Searches/Invoices show what is found."},
    {"emlfs mount /srv/mail /mnt/mail -o allow_other", "Show it, to every user their own mail."},
    {"/srv/mail /mnt/mail fuse.emlfs allow_other,nofail,_netdev,x-systemd.mount-timeout=60s 0 0",
     "The same as a line of /etc/fstab."},
    {"emlfs mount /srv/mail /mnt/tax -o auditor=tax,account=inspector",
     "Show it to the account inspector as the auditor tax may read it, beside other mounts."},
    {"/srv/mail /mnt/anna fuse.emlfs archive_user=anna,ro,nofail,x-systemd.requires=mnt-mail.mount"
     " 0 0",
     "A second mount, of one user archive, in /etc/fstab."},
    {"emlfs umount /mnt/mail", "End the mount."},
    {"emlfs privilege grant -a /srv/mail alice --group office --grants read,write",
     "Open alice's archive to the members of a Unix group."},
    {"emlfs policy add -a /srv/mail Tax --query subject:invoice --period 10y --start year-end",
     "Keep invoices for ten years."},
    {"emlfs hold place -a /srv/mail 'Smith case' --query from:smith --reason 'letter of 3 May'",
     "Let nothing of it be deleted or moved until the hold is released."},
    {"emlfs job run -a /srv/mail retention --dry-run --until 2027-01-01",
     "See what retention policies would delete until then."},
    {"emlfs prove -a /srv/mail letter.eml -o letter.proof",
     "Prove that these bytes were archived; verify-proof checks it without the archive."},
    {"emlfs export -a /srv/mail --query subject:invoice --to DIR --sign",
     "Hand mail out, with signatures that openssl(1) checks."},
    {"emlfs verify -a /srv/mail", "Read and check everything."},
    {NULL, NULL},
};

static int man_option(struct emlfs_buf *out, const struct emlfs_arg *arg)
{
    int r = emlfs_text_printf(out, ".TP\n");

    if (r == 0 && (arg->flags & EMLFS_ARG_POSITIONAL))
        r = emlfs_text_printf(out, "\\fI%s\\fR%s", arg->name,
                              arg->kind == EMLFS_ARG_LIST ? "..." : "");
    else if (r == 0 && arg->letter)
        r = emlfs_text_printf(out, "\\fB\\-%c\\fR, ", arg->letter);
    if (r == 0 && !(arg->flags & EMLFS_ARG_POSITIONAL)) {
        r = emlfs_text_printf(out, "\\fB\\-\\-");
        if (r == 0)
            r = man_text(out, arg->name);
        if (r == 0)
            r = emlfs_text_printf(out, arg->value ? "\\fR \\fI%s\\fR" : "\\fR%s",
                                  arg->value ? arg->value : "");
    }
    if (r == 0)
        r = emlfs_buf_append_u8(out, '\n');
    return r == 0 ? man_line(out, "", arg->help) : r;
}

static int man_options(struct emlfs_buf *out, const struct emlfs_arg *args)
{
    int r = 0;

    for (; r == 0 && args->name; args++)
        if (!(args->flags & EMLFS_ARG_SECRET))
            r = man_option(out, args);
    return r;
}

static int man_command(struct emlfs_buf *out, const struct emlfs_command *command)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf usage = EMLFS_BUF_INIT(4096);
    int r = emlfs_cli_usage(command, &usage);

    if (r == 0)
        r = emlfs_buf_append_u8(&usage, '\0');
    if (r == 0)
        r = man_line(out, ".SS ", (const char *)usage.data);
    if (r == 0)
        r = man_line(out, "", command->help);
    if (r == 0 && command->args->name) {
        r = emlfs_text_printf(out, ".RS\n");
        if (r == 0)
            r = man_options(out, command->args);
        if (r == 0)
            r = emlfs_text_printf(out, ".RE\n");
    }
    return r;
}

static int man_commands(struct emlfs_buf *out)
{
    int r = emlfs_text_printf(out, ".SH COMMANDS\n");

    for (const struct emlfs_command *command = emlfs_commands; r == 0 && command->name; command++)
        if (!(command->flags & EMLFS_COMMAND_HIDDEN))
            r = man_command(out, command);
    return r;
}

/* The date of the page is that of the sources where it is known, so that builds repeat. */
static int man_head(struct emlfs_buf *out)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    char date[32] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    return emlfs_text_printf(
        out,
        ".\\\" Generated by emlfs help from the command table.\n"
        ".TH EMLFS 1 \"%s\" \"emlfs %s\" \"User Commands\"\n"
        ".SH NAME\nemlfs \\- the mail archive you mount\n"
        ".SH SYNOPSIS\n.B emlfs\n.I COMMAND\n[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n.br\n"
        ".B emlfs\n.I ARCHIVE MOUNTPOINT\n[\\fB\\-o\\fR \\fIOPTIONS\\fR]\n",
        date, EMLFS_VERSION);
}

int emlfs_cli_man(struct emlfs_buf *out)
{
    static const struct {
        const char *title;
        const struct man_item *items;
    } tail[] = {{"MOUNT OPTIONS", mount_options},
                {"EXIT STATUS", exit_status},
                {"FILES", files},
                {"ENVIRONMENT", environment},
                {"EXAMPLES", examples}};
    int r = man_head(out);

    if (r == 0)
        r = emlfs_text_printf(out, ".SH DESCRIPTION\n");
    if (r == 0)
        r = man_items(out, description);
    if (r == 0)
        r = man_commands(out);
    if (r == 0)
        r = emlfs_text_printf(out, ".SH OPTIONS\nEvery command takes these.\n");
    if (r == 0)
        r = man_options(out, emlfs_cli_globals);
    for (size_t i = 0; r == 0 && i < sizeof(tail) / sizeof(tail[0]); i++) {
        r = emlfs_text_printf(out, ".SH %s\n", tail[i].title);
        if (r == 0)
            r = man_items(out, tail[i].items);
    }
    if (r == 0)
        r = emlfs_text_printf(
            out, ".SH SEE ALSO\n.BR emlfs\\-query (7),\n.BR mount (8),\n.BR umount (8),\n"
                 ".BR fstab (5),\n.BR mount.fuse3 (8),\n.BR fusermount3 (1),\n"
                 ".BR systemd.mount (5),\n.BR updatedb.conf (5)\n");
    return r;
}
