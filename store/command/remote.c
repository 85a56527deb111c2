/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running a command in the mount process, from outside. */
#include "emlfs/base/os.h"
#include "emlfs/text.h"
#include "emlfs/wire.h"

#include <poll.h>
#include <stdio.h>

#include "emlfs/command.h"

#define CANCEL_POLL_MS 200

int emlfs_remote_connect(const char *archive, int *ret_fd, struct emlfs_err *err)
{
    int r = emlfs_wire_connect(archive, ret_fd);

    if (r == -ECONNREFUSED || r == -ENOENT || r == -ENOTDIR)
        return emlfs_err_set(err, ENOENT, "control", "%s is not mounted", archive);
    if (r < 0)
        return emlfs_err_sys(err, -r, "control", "%s/control", archive);
    return 0;
}

static int row_receive(struct emlfs_call *call, struct emlfs_span payload, struct emlfs_err *err)
{
    struct json_object *row;
    int r = emlfs_text_json_parse(payload, &row, err);

    if (r < 0)
        return r;
    r = call->row ? call->row(call->arg, row) : 0;
    json_object_put(row);
    return r;
}

static void notice_receive(struct emlfs_call *call, struct emlfs_span payload)
{
    char text[1024];

    snprintf(text, sizeof(text), "%.*s", (int)(payload.len < sizeof(text) ? payload.len : 1023),
             payload.len ? (const char *)payload.data : "");
    if (call->notice)
        call->notice(call->arg, text);
}

static int progress_receive(struct emlfs_call *call, struct emlfs_span payload)
{
    struct emlfs_wire_progress step;
    char phase[64];

    if (emlfs_wire_progress_decode(payload, &step) < 0)
        return -EUCLEAN;
    snprintf(phase, sizeof(phase), "%.*s", (int)(step.phase.len < 63 ? step.phase.len : 63),
             step.phase.len ? (const char *)step.phase.data : "");
    emlfs_progress_step(call->progress, phase, step.done, step.total);
    return 0;
}

/* 1: that was the result, *ret_code tells it. */
static int result_receive(struct emlfs_call *call, struct emlfs_span payload, int *ret_code,
                          struct emlfs_err *err)
{
    struct json_object *result;
    int r = emlfs_text_json_parse(payload, &result, err);

    if (r < 0)
        return r;
    *ret_code = emlfs_wire_result_read(result, err);
    call->findings = emlfs_args_number(result, "findings", 0);
    json_object_put(result);
    return 1;
}

static int frame_receive(struct emlfs_call *call, const struct emlfs_frame *frame, int *ret_code,
                         struct emlfs_err *err)
{
    switch (frame->type) {
    case EMLFS_FRAME_ROW:
        return row_receive(call, frame->payload, err);
    case EMLFS_FRAME_BYTES:
        return call->bytes ? call->bytes(call->arg, frame->payload) : 0;
    case EMLFS_FRAME_NOTICE:
        notice_receive(call, frame->payload);
        return 0;
    case EMLFS_FRAME_PROGRESS:
        return progress_receive(call, frame->payload);
    case EMLFS_FRAME_RESULT:
        return result_receive(call, frame->payload, ret_code, err);
    default:
        return -EUCLEAN;
    }
}

/* Wait for bytes; sends CANCEL once when the caller wants to stop. */
static int remote_wait(struct emlfs_wire_reader *reader, struct emlfs_call *call, bool *cancelled)
{
    struct pollfd fd = {.fd = reader->fd, .events = POLLIN};

    if (reader->pos < reader->buf.len)
        return 0;
    for (;;) {
        if (!*cancelled && emlfs_progress_cancelled(call->progress)) {
            *cancelled = true;
            int r = emlfs_wire_send(reader->fd, EMLFS_FRAME_CANCEL, emlfs_span_of(NULL, 0));

            if (r < 0)
                return r;
        }
        int n = poll(&fd, 1, CANCEL_POLL_MS);

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int remote_loop(struct emlfs_wire_reader *reader, struct emlfs_call *call,
                       struct emlfs_err *err)
{
    bool cancelled = false;

    for (;;) {
        struct emlfs_frame frame;
        int code = 0;
        int r = remote_wait(reader, call, &cancelled);

        if (r == 0)
            r = emlfs_wire_recv(reader, &frame);
        if (r == -ENODATA || r == -ECONNRESET || r == -EPIPE)
            return emlfs_err_set(err, ECONNRESET, "control", "the mount process went away");
        if (r < 0)
            return emlfs_err_sys(err, -r, "control", "receiving from the mount process");
        r = frame_receive(call, &frame, &code, err);
        if (r > 0)
            return code;
        if (r == -EUCLEAN)
            return emlfs_err_set(err, EUCLEAN, "control", "unknown answer of the mount process");
        if (r < 0)
            return r;
    }
}

int emlfs_remote_run(int fd, const char *command, struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_wire_reader reader;
    struct json_object *request = emlfs_wire_request(command, call->args);
    int r = -ENOMEM;

    emlfs_wire_reader_init(&reader, fd);
    if (request)
        r = emlfs_wire_send_json(fd, EMLFS_FRAME_REQUEST, request);
    json_object_put(request);
    /* A process that takes no request may have said why. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        r = emlfs_err_sys(err, -r, "control", "sending to the mount process");
    else
        r = remote_loop(&reader, call, err);
    emlfs_wire_reader_free(&reader);
    return r;
}
