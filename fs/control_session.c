/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One connection to the control socket: a request comes in, is run, and is answered. */
#include "control_internal.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define REQUEST_MAX_BYTES (256u << 10)
#define TELL_NS 100000000
#define BYTES_FRAME_MAX (256u << 10)

/* ---- what a running command tells */

static int session_row(void *arg, struct json_object *row)
{
    struct control_session *session = arg;

    return outbox_put_json(&session->out, OUTBOX_WAIT, EMLFS_FRAME_ROW, row);
}

static int session_bytes(void *arg, struct emlfs_span bytes)
{
    struct control_session *session = arg;
    int r = 0;

    while (r == 0 && bytes.len > 0) {
        size_t len = bytes.len < BYTES_FRAME_MAX ? bytes.len : BYTES_FRAME_MAX;

        r = outbox_put(&session->out, OUTBOX_WAIT, EMLFS_FRAME_BYTES,
                       emlfs_span_of(bytes.data, len));
        bytes = emlfs_span_of(bytes.data + len, bytes.len - len);
    }
    return r;
}

static void session_notice(void *arg, const char *text)
{
    struct control_session *session = arg;

    (void)outbox_put(&session->out, OUTBOX_WAIT, EMLFS_FRAME_NOTICE, emlfs_span_str(text));
}

/* While a command runs, the client may only go away or send CANCEL: both mean the same. */
static void session_peek(struct control_session *session)
{
    char byte;
    ssize_t n = recv(session->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        atomic_store(&session->cancel, true);
}

static void session_step(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct control_session *session = arg;
    EMLFS_BUF_CLEANUP struct emlfs_buf payload = EMLFS_BUF_INIT(512);
    struct emlfs_wire_progress step = {.done = done, .total = total};
    int64_t now = emlfs_os_monotonic_ns();
    int64_t told = atomic_load(&session->told_ns);

    if (now - told < TELL_NS || !atomic_compare_exchange_strong(&session->told_ns, &told, now))
        return;
    session_peek(session);
    step.phase = emlfs_span_of(phase, strnlen(phase, 200));
    if (emlfs_wire_progress_encode(&step, &payload) == 0)
        (void)outbox_put(&session->out, OUTBOX_MAYBE, EMLFS_FRAME_PROGRESS,
                         emlfs_buf_view(&payload));
}

/* ---- requests */

static int request_read(struct control_session *session, struct json_object **ret,
                        struct emlfs_err *err)
{
    struct emlfs_frame frame;
    int r = emlfs_wire_recv(&session->reader, &frame);

    if (r == 0 && (frame.type != EMLFS_FRAME_REQUEST || frame.payload.len > REQUEST_MAX_BYTES))
        r = -EUCLEAN;
    if (r < 0)
        return emlfs_err_sys(err, -r, "control", "no request");
    r = emlfs_text_json_parse(frame.payload, ret, err);
    if (r < 0)
        return r;

    struct json_object *protocol = json_object_object_get(*ret, "protocol");

    if (json_object_is_type(protocol, json_type_int) &&
        json_object_get_int(protocol) == EMLFS_WIRE_PROTOCOL)
        return 0;
    json_object_put(*ret);
    *ret = NULL;
    return emlfs_err_set(err, EPROTONOSUPPORT, "control",
                         "another version of emlfs has mounted the archive: mount it again");
}

static int command_serve(struct control_session *session, const char *name,
                         struct json_object *args, struct json_object *ret, struct emlfs_err *err)
{
    struct emlfs_progress progress = {
        .step = session_step, .arg = session, .cancel = &session->cancel};
    struct emlfs_call call = {.archive = session->options->archive,
                              .bindings = session->options->bindings,
                              .rules = session->options->rules,
                              .source = EMLFS_LEDGER_SOCKET,
                              .index = session->options->index,
                              .saved = session->options->saved,
                              .subject = session->subject,
                              .args = args,
                              .progress = &progress,
                              .mount = session->options,
                              .row = session_row,
                              .bytes = session_bytes,
                              .notice = session_notice,
                              .arg = session};
    const struct emlfs_command *command = emlfs_command_find(name);

    if (!command || (command->flags & EMLFS_COMMAND_CLIENT))
        return emlfs_err_set(err, EINVAL, "control", "%.64s does not run in the mount process",
                             name);

    int r = emlfs_command_run(command, &call, err);

    json_object_object_add(ret, "findings", json_object_new_uint64(call.findings));
    return r;
}

/* READY, then the descriptors of the mount come with a byte of their own. */
static int mount_serve_request(struct control_session *session, struct json_object *args,
                               struct emlfs_err *err)
{
    const struct emlfs_control_options *options = session->options;
    const struct emlfs_progress progress = {
        .step = session_step, .arg = session, .cancel = &session->cancel};
    int fds[2] = {-1, -1};
    void *asked;
    int r, come;

    if (!options->mount_ask)
        return emlfs_err_set(err, EINVAL, "control", "this process takes no mounts");
    r = options->mount_ask(options->arg, &session->subject, args, &progress, &asked, err);
    if (r < 0)
        return r;
    come = outbox_put(&session->out, OUTBOX_NOW, EMLFS_FRAME_READY, emlfs_span_of(NULL, 0));
    if (come == 0)
        come = emlfs_wire_recv_fds(session->fd, fds, 2);
    r = options->mount_take(options->arg, asked, fds, err);
    for (unsigned i = 0; i < 2; i++)
        emlfs_os_close(&fds[i]);
    if (r == 0 && come < 0)
        r = emlfs_err_sys(err, -come, "control", "no mount came");
    return r;
}

static int request_serve(struct control_session *session, struct json_object *request,
                         struct json_object *ret, struct emlfs_err *err)
{
    struct json_object *name = json_object_object_get(request, "command");
    struct json_object *args = json_object_object_get(request, "args");

    if (!json_object_is_type(name, json_type_string) ||
        !json_object_is_type(args, json_type_object))
        return emlfs_err_set(err, EINVAL, "control", "the request names no command");

    const char *text = json_object_get_string(name);

    if (strcmp(text, "import") == 0)
        return control_import(session, args, ret, err);
    if (strcmp(text, "umount") == 0) {
        if (!session->options->unmount)
            return emlfs_err_set(err, EINVAL, "control", "nothing is mounted by this process");
        return session->options->unmount(session->options->arg, &session->subject, args, err);
    }
    if (strcmp(text, "mount") == 0)
        return mount_serve_request(session, args, err);
    return command_serve(session, text, args, ret, err);
}

/* RESULT is the last frame: code and text, and what the request added. */
static void result_send(struct control_session *session, int code, const struct emlfs_err *err,
                        struct json_object *extra)
{
    struct json_object *result = emlfs_wire_result(code, err);

    if (result && extra) {
        json_object_object_foreach(extra, name, value)
        {
            json_object_object_add(result, name, json_object_get(value));
        }
    }
    (void)outbox_put_json(&session->out, OUTBOX_NOW, EMLFS_FRAME_RESULT, result);
    json_object_put(result);
}

/* Nothing of the request is done then: the client has to look again who has the archive. */
static bool is_too_late(const struct control_session *session)
{
    const struct emlfs_control_options *options = session->options;

    return atomic_load(&session->cancel) || (options->ending && options->ending(options->arg));
}

static void session_run(struct control_session *session)
{
    struct json_object *request = NULL;
    struct json_object *extra = json_object_new_object();
    struct emlfs_err err = {0};
    int r = extra ? request_read(session, &request, &err) : -ENOMEM;

    if (is_too_late(session))
        r = emlfs_err_set(&err, ESHUTDOWN, "control", EMLFS_WIRE_ENDING);
    if (r == 0)
        r = request_serve(session, request, extra, &err);
    if (r < 0 && err.code == 0)
        emlfs_err_sys(&err, -r, "control", "the command failed");
    result_send(session, r < 0 ? -r : 0, &err, extra);
    json_object_put(request);
    json_object_put(extra);
}

void *control_session_main(void *arg)
{
    struct control_session *session = arg;
    uint64_t one = 1;

    emlfs_wire_reader_init(&session->reader, session->fd);
    if (outbox_start(&session->out, session->fd, &session->cancel) == 0) {
        session_run(session);
        outbox_stop(&session->out);
    }
    emlfs_wire_reader_free(&session->reader);
    shutdown(session->fd, SHUT_RDWR);
    atomic_store(&session->done, true);
    if (write(session->wake_fd, &one, sizeof(one)) < 0)
        return NULL; /* the listener looks by itself soon */
    return NULL;
}
