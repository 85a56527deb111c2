/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sink that sends messages to the mount process and takes its verdicts. The importer's thread
 * sends, a thread of its own receives: the mount process never waits for this one to read.
 */
#include "import.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "emlfs/text.h"

#define SEND_BYTES (256u << 10) /* small messages are sent together */
#define OUT_MAX_BYTES (4u << 20)
#define CANCEL_LOOK_NS 200000000L

struct remote_import {
    int fd;
    struct report *report;
    struct emlfs_sink sink;
    struct emlfs_buf out;
    pthread_t receiver;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock: */
    bool ready, done;
    int result;           /* once done */
    struct emlfs_err err; /* of result */
    uint64_t moved;
};

/* ---- receiving */

static int verdict_receive(struct remote_import *remote, struct emlfs_span payload)
{
    struct emlfs_wire_verdict verdict;

    if (emlfs_wire_verdict_decode(payload, &verdict) < 0)
        return -EUCLEAN;

    char *position = strndup((const char *)verdict.position.data, verdict.position.len);
    char *reason = strndup((const char *)verdict.reason.data, verdict.reason.len);

    if (position && reason)
        report_verdict(remote->report, position, verdict.verdict, verdict.id, reason);
    free(position);
    free(reason);
    return position && reason ? 0 : -ENOMEM;
}

/* 1: that was the RESULT. */
static int frame_receive(struct remote_import *remote, const struct emlfs_frame *frame,
                         struct emlfs_err *err, uint64_t *ret_moved, int *ret_result)
{
    struct json_object *result;
    int r;

    switch (frame->type) {
    case EMLFS_FRAME_READY:
        pthread_mutex_lock(&remote->lock);
        remote->ready = true;
        pthread_cond_broadcast(&remote->changed);
        pthread_mutex_unlock(&remote->lock);
        return 0;
    case EMLFS_FRAME_VERDICT:
        return verdict_receive(remote, frame->payload);
    case EMLFS_FRAME_RESULT:
        r = emlfs_text_json_parse(frame->payload, &result, err);
        if (r < 0)
            return r;
        *ret_result = emlfs_wire_result_read(result, err);
        *ret_moved = emlfs_args_number(result, "moved", 0);
        json_object_put(result);
        return 1;
    default:
        return -EUCLEAN;
    }
}

static void *receiver_main(void *arg)
{
    struct remote_import *remote = arg;
    struct emlfs_wire_reader reader;
    struct emlfs_err err = {0};
    uint64_t moved = 0;
    int result = 0, r = 0;

    emlfs_wire_reader_init(&reader, remote->fd);
    while (r == 0) {
        struct emlfs_frame frame;

        r = emlfs_wire_recv(&reader, &frame);
        if (r == 0)
            r = frame_receive(remote, &frame, &err, &moved, &result);
    }
    emlfs_wire_reader_free(&reader);
    if (r == -ENODATA || r == -ECONNRESET)
        result = emlfs_err_set(&err, ECONNRESET, "import", "the mount process went away");
    else if (r < 0)
        result = emlfs_err_sys(&err, -r, "import", "answer of the mount process");
    pthread_mutex_lock(&remote->lock);
    remote->done = true;
    remote->result = result;
    remote->err = err;
    remote->moved = moved;
    pthread_cond_broadcast(&remote->changed);
    pthread_mutex_unlock(&remote->lock);
    return NULL;
}

/* ---- sending */

/* An early RESULT is why nothing more is taken. */
static int remote_ended(struct remote_import *remote, struct emlfs_err *err)
{
    int r = 0;

    pthread_mutex_lock(&remote->lock);
    if (remote->done) {
        r = remote->result < 0 ? remote->result : -ECONNRESET;
        if (err && remote->result < 0)
            *err = remote->err;
        else
            emlfs_err_set(err, ECONNRESET, "import", "the mount process ended the import");
    }
    pthread_mutex_unlock(&remote->lock);
    return r;
}

static int out_flush(struct remote_import *remote, struct emlfs_err *err)
{
    int r = emlfs_wire_send_all(remote->fd, emlfs_buf_view(&remote->out));

    emlfs_buf_clear(&remote->out);
    return r < 0 ? emlfs_err_sys(err, -r, "import", "sending to the mount process") : 0;
}

static int out_frame(struct remote_import *remote, uint8_t type, struct emlfs_span payload,
                     struct emlfs_err *err)
{
    int r = emlfs_frame_append(&remote->out, type, payload);

    if (r < 0)
        return emlfs_err_sys(err, -r, "import", "sending to the mount process");
    return remote->out.len >= SEND_BYTES ? out_flush(remote, err) : 0;
}

static int remote_data(struct remote_import *remote, struct emlfs_span raw, struct emlfs_err *err)
{
    int r = 0;

    while (r == 0 && raw.len > 0) {
        size_t len = raw.len < EMLFS_FRAME_MAX_BYTES ? raw.len : EMLFS_FRAME_MAX_BYTES;

        r = out_frame(remote, EMLFS_FRAME_DATA, emlfs_span_of(raw.data, len), err);
        raw = emlfs_span_of(raw.data + len, raw.len - len);
    }
    return r;
}

/* Texts longer than the wire takes are of no use to anybody: they are cut. */
static struct emlfs_span text_cut(const char *text)
{
    return emlfs_span_of(text ? text : "", text ? strnlen(text, EMLFS_WIRE_TEXT_MAX_BYTES) : 0);
}

static int remote_message(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    struct remote_import *remote = arg;
    EMLFS_BUF_CLEANUP struct emlfs_buf head = EMLFS_BUF_INIT(EMLFS_FRAME_MAX_BYTES);
    struct emlfs_wire_message frame = {.flags = message->flags,
                                       .file_time_sec = message->file_time_sec,
                                       .size_bytes = message->raw->len,
                                       .folder = text_cut(message->folder),
                                       .position = text_cut(message->position)};
    int r = remote_ended(remote, err);

    if (r == 0 && message->raw->len > EMLFS_MESSAGE_MAX_BYTES) {
        report_verdict(remote->report, message->position, EMLFS_INGEST_REJECTED,
                       (struct emlfs_msg_id){0}, "larger than 256 MiB");
        return 0;
    }
    if (r == 0) {
        r = emlfs_wire_message_encode(&frame, &head);
        if (r < 0)
            emlfs_err_sys(err, -r, "import", "sending to the mount process");
    }
    if (r == 0)
        r = out_frame(remote, EMLFS_FRAME_MESSAGE, emlfs_buf_view(&head), err);
    return r == 0 ? remote_data(remote, emlfs_buf_view(message->raw), err) : r;
}

static int remote_reject(void *arg, const char *position, const char *reason, struct emlfs_err *err)
{
    struct remote_import *remote = arg;

    (void)err;
    report_verdict(remote->report, position, EMLFS_INGEST_REJECTED, (struct emlfs_msg_id){0},
                   reason);
    return 0;
}

static int remote_folder(void *arg, const char *folder, struct emlfs_err *err)
{
    return out_frame(arg, EMLFS_FRAME_FOLDER, text_cut(folder), err);
}

/* ---- begin and end */

static int request_send(int fd, const struct remote_options *options)
{
    struct json_object *args = json_object_new_object();
    struct json_object *request = args ? emlfs_wire_request("import", args) : NULL;
    int r = -ENOMEM;

    if (request) {
        json_object_object_add(args, "user", json_object_new_string(options->user));
        json_object_object_add(args, "base_folder", json_object_new_string(options->base_folder));
        json_object_object_add(args, "source", json_object_new_string(options->source));
        json_object_object_add(args, "dry_run", json_object_new_boolean(options->dry_run));
        json_object_object_add(args, "trust_dates", json_object_new_boolean(options->trust_dates));
        r = emlfs_wire_send_json(fd, EMLFS_FRAME_REQUEST, request);
    }
    json_object_put(request);
    json_object_put(args);
    return r;
}

/* Another import may be running there: wait for it, but not through a Ctrl-C. */
static void ready_wait(struct remote_import *remote, const atomic_bool *cancel)
{
    pthread_mutex_lock(&remote->lock);
    while (!remote->ready && !remote->done) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += CANCEL_LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&remote->changed, &remote->lock, &until);
        if (atomic_load(cancel) && !remote->ready)
            shutdown(remote->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&remote->lock);
}

static void remote_free(struct remote_import *remote)
{
    emlfs_buf_wipe(&remote->out);
    pthread_cond_destroy(&remote->changed);
    pthread_mutex_destroy(&remote->lock);
    free(remote);
}

static struct remote_import *remote_new(int fd, struct report *report)
{
    struct remote_import *remote = calloc(1, sizeof(*remote));

    if (!remote)
        return NULL;
    remote->fd = fd;
    remote->report = report;
    remote->out = EMLFS_BUF_INIT(OUT_MAX_BYTES);
    remote->sink = (struct emlfs_sink){
        .arg = remote, .message = remote_message, .reject = remote_reject, .folder = remote_folder};
    pthread_mutex_init(&remote->lock, NULL);
    pthread_cond_init(&remote->changed, NULL);
    return remote;
}

int remote_import_begin(int fd, const struct remote_options *options, struct remote_import **ret,
                        struct emlfs_err *err)
{
    struct remote_import *remote = remote_new(fd, options->report);
    int r = remote ? request_send(fd, options) : -ENOMEM;

    if (r == 0)
        r = -pthread_create(&remote->receiver, NULL, receiver_main, remote);
    if (r < 0) {
        if (remote)
            remote_free(remote);
        return emlfs_err_sys(err, -r, "import", "asking the mount process");
    }
    ready_wait(remote, options->cancel);
    r = remote_ended(remote, err);
    if (r == 0) {
        *ret = remote;
        return 0;
    }
    pthread_join(remote->receiver, NULL);
    remote_free(remote);
    return atomic_load(options->cancel) ? emlfs_err_set(err, ECANCELED, "import", "interrupted")
                                        : r;
}

const struct emlfs_sink *remote_import_sink(struct remote_import *remote)
{
    return &remote->sink;
}

int remote_import_end(struct remote_import *remote, bool complete, uint64_t *ret_moved,
                      struct emlfs_err *err)
{
    uint8_t flag = complete;
    /* When it cannot be sent, the receiver gets to know why. */
    int r = out_frame(remote, EMLFS_FRAME_END, emlfs_span_of(&flag, 1), NULL);

    if (r == 0)
        r = out_flush(remote, NULL);
    if (r < 0)
        shutdown(remote->fd, SHUT_WR);
    pthread_join(remote->receiver, NULL);
    *ret_moved = remote->moved;
    r = remote->result;
    if (r < 0 && err)
        *err = remote->err;
    remote_free(remote);
    return r;
}
