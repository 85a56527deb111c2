/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_RULES_H
#define EMLFS_RULES_H

#include "emlfs/change.h"
#include "emlfs/govern.h"
#include "emlfs/index.h"
#include "emlfs/policy.h"
#include "emlfs/stores.h"

/*
 * The rules of an archive at work: its users, rights, grants, policies, holds and clock, read from
 * the master rows and kept up to date, put to the pure functions of access.h, govern.h and the
 * others. One exists per open archive. rules_change.h changes them.
 *
 * Threads: every function from any thread; asking never waits for the archive's writer. Answers
 * that were kept are of the archive's present generation: behind a change that returned 0, nobody
 * gets an old answer.
 */
struct emlfs_rules;

struct emlfs_rules_options {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_index *index; /* NULL: whether a query matches cannot be told, so mail is kept */
    bool read_only;            /* as emlfs_rules_set_read_only, from the beginning */
    /* Time for the compliance clock; NULL: emlfs_time_sample_take. For tests. */
    int (*sample)(void *arg, struct emlfs_time_sample *ret);
    void *sample_arg;
};
/*
 * Starts the compliance clock of an archive that has none, else resumes it. A damaged or newer row
 * (EUCLEAN, EPROTONOSUPPORT) is an error: nothing is decided without knowing all rules.
 */
int emlfs_rules_open(const struct emlfs_rules_options *options, struct emlfs_rules **ret,
                     struct emlfs_err *err);
/*
 * While set nothing changes, whoever asks: every mount of the archive is
 * read-only. What one caller is refused, because of the mount they ask through, is in the subject.
 * Any thread.
 */
void emlfs_rules_set_read_only(struct emlfs_rules *rules, bool read_only);
bool emlfs_rules_is_read_only(struct emlfs_rules *rules);
/* Keeps the clock's state, where the archive can be written. NULL is fine. Before the archive. */
void emlfs_rules_close(struct emlfs_rules *rules);

/* ---- who */

struct emlfs_who {
    struct emlfs_subject subject;
    struct emlfs_access_subject access;
    char name[EMLFS_USER_NAME_MAX_BYTES + 1]; /* of the archive user; "" for none */
};
/*
 * Unix groups are those of the account in NSS, and the caller's own gid; kept 60 s. What NSS cannot
 * tell is no right. Never fails: nobody is a stranger.
 */
void emlfs_rules_who(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                     struct emlfs_who *ret);
/* source: enum emlfs_ledger_source. */
struct emlfs_actor emlfs_rules_actor(const struct emlfs_who *who, unsigned source);

/* ---- may they */

struct emlfs_target {
    enum emlfs_object kind;
    struct emlfs_user_id user; /* whose archive; 0: none */
    uint16_t store_no;         /* of a message; 0: none */
};
/* emlfs_access for this caller, target and call. Cheap: answers are kept per caller and archive. */
int emlfs_rules_check(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                      const struct emlfs_target *target, enum emlfs_access_call call,
                      struct emlfs_err *err);
int emlfs_rules_check_move(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                           const struct emlfs_target *from, const struct emlfs_target *to,
                           struct emlfs_err *err);
/* EMLFS_GRANT_... of the caller in user's archive, all offices counted. */
uint32_t emlfs_rules_grants(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                            struct emlfs_user_id user);
/*
 * How many bytes of messages the user's archive may hold; 0: any. Cheap. EIO: the rules cannot be
 * read, and then it may hold no more.
 */
int emlfs_rules_quota(struct emlfs_rules *rules, struct emlfs_user_id user, uint64_t *ret_bytes,
                      struct emlfs_err *err);
/* A refusal that is worth a record: what was tried, on what. detail: a name or command; "" none. */
struct emlfs_refusal {
    struct emlfs_target target;
    struct emlfs_msg_id message;
    struct emlfs_folder_id folder;
    enum emlfs_access_call call;
    int code; /* positive errno */
    const char *detail;
};
/*
 * Append ACCESS_DENIED. What the record says of the call is its name ("open", "unlink", ...). Of
 * one uid at most 60 are recorded a minute, of root and an administrator 600, of all that are
 * neither 600 together; what is beyond is counted, and the uid's next record tells it in its detail
 * ("(and 1234 more)"): 0, too. Errors as emlfs_archive_record.
 */
int emlfs_rules_refused(struct emlfs_rules *rules, const struct emlfs_actor *actor,
                        const struct emlfs_refusal *refusal, struct emlfs_err *err);

/* ---- what the mount shows */

struct emlfs_shape {
    uid_t uid;
    gid_t gid;          /* the one group it is granted to, else root's */
    mode_t directory;   /* permission bits of its folders */
    mode_t kept, loose; /* of messages that cannot, and that can be deleted */
    /*
     * Somebody may pass the kernel's mode check who may not pass here (anybody but the owner has a
     * right in it: the kernel does not know who of a group, or of all, is an archive user): the
     * names directly below the top folder must then be looked up anew by everybody, so that the
     * daemon decides.
     */
    bool guarded;
    bool deletable; /* somebody has the right to delete in it */
};
/* How user's archive is shown, the same for every caller. Cheap. */
void emlfs_rules_shape(struct emlfs_rules *rules, struct emlfs_user_id user,
                       struct emlfs_shape *ret);
/*
 * The value of system.posix_acl_access for a folder or message of user's archive that says each
 * grant by itself (acl(5), xattr version 2), into out (cleared first); the mode's group bits are
 * then the mask. mode: shape's directory, kept or loose. -ENODATA: the mode says it all. -ENOMEM.
 */
int emlfs_rules_acl(struct emlfs_rules *rules, struct emlfs_user_id user, mode_t mode,
                    struct emlfs_buf *out);
/*
 * Could the n entries, all of one user archive, be deleted by those who have the right: by
 * retention, holds, store state and clock? ret[i] false where it cannot be told. Made for listings:
 * where no rule has a query it costs nothing but arithmetic; otherwise one search a rule.
 */
int emlfs_rules_loose(struct emlfs_rules *rules, const struct emlfs_entry *entries, unsigned n,
                      bool *ret, struct emlfs_err *err);

/* ---- deciding about one message: what emlfs_govern_... says, with the verdict */

int emlfs_rules_delete(struct emlfs_rules *rules, const struct emlfs_who *who,
                       const struct emlfs_entry_at *at, struct emlfs_verdict **ret_verdict,
                       struct emlfs_err *err);
/* to: the user archive it goes to. */
int emlfs_rules_move(struct emlfs_rules *rules, const struct emlfs_who *who,
                     const struct emlfs_entry_at *at, struct emlfs_user_id to,
                     struct emlfs_verdict **ret_verdict, struct emlfs_err *err);
/* For the job that processes policies. EAGAIN: not due. */
int emlfs_rules_expire(struct emlfs_rules *rules, const struct emlfs_entry_at *at,
                       struct emlfs_verdict **ret_verdict, struct emlfs_err *err);
/*
 * Tell why, to those who may know (EMLFS_CALL_COMMAND on the message; else as emlfs_rules_check).
 * tell is called once; what it returns is returned. The explanation lives for the call.
 */
int emlfs_rules_explain(struct emlfs_rules *rules, const struct emlfs_who *who,
                        const struct emlfs_entry_at *at,
                        int (*tell)(void *arg, const struct emlfs_explanation *explanation),
                        void *arg, struct emlfs_err *err);
/*
 * May this folder be moved or renamed, as far as holds go? EPERM: a message in it or below it is
 * held, or it cannot be told: so also with any of a store that is not shown which a hold in force
 * could cover (then the writer is waited for). The answer holds for *ret_generation (struct
 * emlfs_folder_place). The right is asked with emlfs_rules_check.
 */
int emlfs_rules_folder_free(struct emlfs_rules *rules, struct emlfs_folder_id folder,
                            uint64_t *ret_generation, struct emlfs_err *err);

/* ---- what is due, and what is held */

struct emlfs_due {
    struct emlfs_entry entry;
    int64_t latest_sec;
    uint32_t policy; /* that says so */
    bool held;       /* due by its policy, and stays all the same */
};
/*
 * Every entry whose latest date is before until_sec, user archive by user archive, folder by
 * folder; non-zero of each stops and is returned. Memory: one page of entries. -ECANCELED by
 * progress.
 */
int emlfs_rules_due(struct emlfs_rules *rules, int64_t until_sec,
                    int (*each)(void *arg, const struct emlfs_due *due), void *arg,
                    const struct emlfs_progress *progress, struct emlfs_err *err);
/* A stretch of the messages that a hold covers, by ascending message id, each with one entry. */
struct emlfs_held_page {
    uint32_t hold;
    struct emlfs_msg_id after; /* 0: from the first */
    struct emlfs_entry *v;     /* the caller's, max of them */
    unsigned max, n;           /* n: the answer, 0 at the end */
};
/* ENOENT: no such hold in force. */
int emlfs_rules_held(struct emlfs_rules *rules, struct emlfs_held_page *page,
                     struct emlfs_err *err);

/* ---- clock */

/* Sample the clocks, now and then (each minute), keep the state when an hour passed. */
int emlfs_rules_tick(struct emlfs_rules *rules, struct emlfs_err *err);
void emlfs_rules_clock(struct emlfs_rules *rules, struct emlfs_compliance_report *ret);
/* emlfs_compliance_arrival_ns of now: the time that mail which is archived now is stamped with. */
int64_t emlfs_rules_arrival_ns(struct emlfs_rules *rules);

#endif
