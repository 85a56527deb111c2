/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_CONTROL_INTERNAL_H
#define EMLFS_FS_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/command.h"
#include "emlfs/wire.h"

/*
 * Frames on their way to one client, sent by a thread of their own: whoever has something to tell
 * (the committing thread among them) never waits for a client that does not read.
 */
struct outbox {
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct emlfs_buf waiting;
    size_t sending_bytes;
    bool closing, dead;  /* dead: the client is gone, frames are dropped */
    atomic_bool *cancel; /* set when the client is gone */
    pthread_t thread;
};
enum outbox_mode {
    OUTBOX_WAIT,  /* wait while much is under way: rows, bytes */
    OUTBOX_NOW,   /* never wait: verdicts */
    OUTBOX_MAYBE, /* drop it when something is under way: progress */
};
int outbox_start(struct outbox *box, int fd, atomic_bool *cancel);
/* 0, -EPIPE when the client is gone, -E2BIG, -ENOMEM. Any thread. */
int outbox_put(struct outbox *box, enum outbox_mode mode, uint8_t type, struct emlfs_span payload);
int outbox_put_json(struct outbox *box, enum outbox_mode mode, uint8_t type,
                    struct json_object *object);
/* Wait until little is under way. */
void outbox_settle(struct outbox *box);
/* Send what is left, end the thread. */
void outbox_stop(struct outbox *box);

/* One connection. */
struct control_session {
    const struct emlfs_control_options *options;
    int fd;
    struct emlfs_subject subject;
    struct emlfs_wire_reader reader;
    struct outbox out;
    atomic_bool cancel;
    _Atomic int64_t told_ns; /* when progress was last sent */
    atomic_bool done;
    int wake_fd; /* of the listener, borrowed: told at the end */
    pthread_t thread;
    struct control_session *next;
};
/* The whole life of a connection; a thread's main. */
void *control_session_main(void *arg);
/* A request named "import": messages come in. *ret receives the totals for the RESULT. */
int control_import(struct control_session *session, struct json_object *args,
                   struct json_object *ret, struct emlfs_err *err);

#endif
