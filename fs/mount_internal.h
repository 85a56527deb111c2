/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_INTERNAL_H
#define EMLFS_FS_MOUNT_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "emlfs/base/err.h"

/* Shared by the mount process's own files: options, mount table, helper programs. */

/* Exit codes of mount(8). */
#define MOUNT_OK 0
#define MOUNT_USAGE 1
#define MOUNT_SYSTEM 2
#define MOUNT_FAILED 32

#define MOUNT_NAME_MAX 256u
#define MOUNT_FOLDER_MAX 1024u

/* What part of the archive is mounted, by names; "" where nothing is said. */
struct mount_scope {
    char user[MOUNT_NAME_MAX];
    char folder[MOUNT_FOLDER_MAX];
    char store[MOUNT_NAME_MAX];
    char auditor[MOUNT_NAME_MAX];
    char account[MOUNT_NAME_MAX];
};

struct mount_options {
    struct mount_scope scope;
    bool remount;
    bool read_only;   /* "ro" was the last word of ro/rw */
    bool read_write;  /* "rw" was */
    bool no_searches; /* no Searches, no .query */
    bool strict_root;
    bool noprefetch;
    bool acl;             /* system.posix_acl_access says each grant */
    bool xattr;           /* user.emlfs.* */
    bool retention_atime; /* atime=retention */
    bool debug;           /* write each request to stderr */
    bool maildir;         /* layout=maildir: for IMAP servers */
    bool private_names;   /* hide the names of user archives from other accounts */
    char asof[40];        /* asof=: the archive as it stood then; "": as it is. Implies ro */
    bool warn_owner;      /* uid=, gid= or umask= was given: of no effect */
};
/* text: comma-separated. -EINVAL with the option named. */
int mount_options_parse(const char *text, struct mount_options *ret, struct emlfs_err *err);

#define MOUNT_PATH_MAX 4096u

/* The uppermost mount at a directory. */
struct mount_entry {
    char device[32]; /* "MAJOR:MINOR" */
    char type[64];
    char source[MOUNT_PATH_MAX];
    bool read_only;       /* this mount is, as somebody asked for */
    bool super_read_only; /* the file system is */
};
/* path: absolute, canonical. -ENOENT when nothing is mounted exactly there. */
int mount_table_find(const char *path, struct mount_entry *ret);
/* As mount_table_find over text in the format of /proc/self/mountinfo. */
int mount_table_find_in(const char *text, const char *path, struct mount_entry *ret);
bool mount_entry_is_emlfs(const struct mount_entry *entry);

/* "/dev/fd/N": the mount was done for us. -1 otherwise. */
int mount_fd_of(const char *mountpoint);
/*
 * Canonical path of a mount point whose file system may be dead. *ret_dead: it answers ENOTCONN.
 */
int mount_point_resolve(const char *path, char ret[MOUNT_PATH_MAX], bool *ret_dead,
                        struct emlfs_err *err);
/* Run a program with fixed arguments (no shell), its output silenced when quiet. Exit code or
 * -errno. */
int mount_spawn(const char *const argv[], bool quiet);
/* The signals that end a mount process. */
void mount_ending_signals(sigset_t *ret);
/* Unmount: umount2 as root, fusermount3 otherwise. lazy: also while it is in use. */
int mount_detach(const char *path, bool lazy, struct emlfs_err *err);

#endif
