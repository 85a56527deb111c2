/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages that come over the control socket, into an intake. Every length, flag and order of the
 * frames is the peer's word and is checked; a message is handed on when its last byte is there, so
 * that a client that goes away leaves no half message.
 */
#include "control_internal.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "emlfs/importer.h"
#include "emlfs/ingest.h"

#define IDLE_SEC 600
#define RESERVE_MAX_BYTES (1u << 20)
#define ENTRY_FLAGS_ALL                                                                            \
    (EMLFS_ENTRY_SEEN | EMLFS_ENTRY_ANSWERED | EMLFS_ENTRY_FLAGGED | EMLFS_ENTRY_DRAFT |           \
     EMLFS_ENTRY_DELETED | EMLFS_ENTRY_FORWARDED)

/* The message being received. */
struct incoming {
    bool open;
    uint64_t size_bytes;
    uint32_t flags;
    int64_t file_time_sec;
    char *folder, *position;
    struct emlfs_buf raw;
};

static void import_verdict(void *arg, const char *position, enum emlfs_ingest_verdict verdict,
                           struct emlfs_msg_id id, const char *reason)
{
    struct control_session *session = arg;
    EMLFS_BUF_CLEANUP struct emlfs_buf payload = EMLFS_BUF_INIT(EMLFS_FRAME_MAX_BYTES);
    struct emlfs_wire_verdict frame = {.verdict = (uint8_t)verdict,
                                       .id = id,
                                       .position = emlfs_span_str(position),
                                       .reason = emlfs_span_str(reason)};

    if (emlfs_wire_verdict_encode(&frame, &payload) == 0)
        (void)outbox_put(&session->out, OUTBOX_NOW, EMLFS_FRAME_VERDICT, emlfs_buf_view(&payload));
}

static void incoming_free(struct incoming *in)
{
    free(in->folder);
    free(in->position);
    emlfs_buf_wipe(&in->raw);
    *in = (struct incoming){.raw = EMLFS_BUF_INIT(EMLFS_MESSAGE_MAX_BYTES)};
}

static char *span_dup(struct emlfs_span text)
{
    return strndup(text.len ? (const char *)text.data : "", text.len);
}

static int incoming_deliver(struct incoming *in, const struct emlfs_sink *sink,
                            struct emlfs_err *err)
{
    struct emlfs_source_message message = {.folder = in->folder,
                                           .position = in->position,
                                           .raw = &in->raw,
                                           .flags = in->flags,
                                           .file_time_sec = in->file_time_sec};
    int r = sink->message(sink->arg, &message, err);

    incoming_free(in);
    return r;
}

static int message_begin(struct incoming *in, struct emlfs_span payload,
                         const struct emlfs_sink *sink, struct emlfs_err *err)
{
    struct emlfs_wire_message head;

    if (in->open || emlfs_wire_message_decode(payload, &head) < 0 ||
        head.size_bytes > EMLFS_MESSAGE_MAX_BYTES || (head.flags & ~ENTRY_FLAGS_ALL))
        return emlfs_err_set(err, EUCLEAN, "control", "impossible message frame");
    in->open = true;
    in->size_bytes = head.size_bytes;
    in->flags = head.flags;
    in->file_time_sec = head.file_time_sec;
    in->folder = span_dup(head.folder);
    in->position = span_dup(head.position);
    /* Memory follows the bytes that really come, beyond a first piece. */
    size_t first =
        head.size_bytes < RESERVE_MAX_BYTES ? (size_t)head.size_bytes : RESERVE_MAX_BYTES;

    if (!in->folder || !in->position || emlfs_buf_reserve(&in->raw, first) < 0)
        return emlfs_err_set(err, ENOMEM, "control", "out of memory");
    return in->size_bytes == 0 ? incoming_deliver(in, sink, err) : 0;
}

static int message_data(struct incoming *in, struct emlfs_span payload,
                        const struct emlfs_sink *sink, struct emlfs_err *err)
{
    if (!in->open || payload.len > in->size_bytes - in->raw.len)
        return emlfs_err_set(err, EUCLEAN, "control", "more message bytes than announced");
    if (emlfs_buf_append(&in->raw, payload.data, payload.len) < 0)
        return emlfs_err_set(err, ENOMEM, "control", "out of memory");
    return in->raw.len == in->size_bytes ? incoming_deliver(in, sink, err) : 0;
}

static int folder_note(struct emlfs_span payload, const struct emlfs_sink *sink,
                       struct emlfs_err *err)
{
    if (payload.len > EMLFS_WIRE_TEXT_MAX_BYTES ||
        (payload.len > 0 && memchr(payload.data, 0, payload.len)))
        return emlfs_err_set(err, EUCLEAN, "control", "impossible folder frame");

    char *path = span_dup(payload);
    int r = path ? sink->folder(sink->arg, path, err)
                 : emlfs_err_set(err, ENOMEM, "control", "out of memory");

    free(path);
    return r;
}

/* 1: END came, *ret_complete tells what it said. */
static int import_frame(struct incoming *in, const struct emlfs_frame *frame,
                        const struct emlfs_sink *sink, bool *ret_complete, struct emlfs_err *err)
{
    switch (frame->type) {
    case EMLFS_FRAME_MESSAGE:
        return message_begin(in, frame->payload, sink, err);
    case EMLFS_FRAME_DATA:
        return message_data(in, frame->payload, sink, err);
    case EMLFS_FRAME_FOLDER:
        return folder_note(frame->payload, sink, err);
    case EMLFS_FRAME_END:
        *ret_complete = !in->open && frame->payload.len == 1 && frame->payload.data[0] == 1;
        return 1;
    case EMLFS_FRAME_CANCEL:
        return emlfs_err_set(err, ECANCELED, "control", "cancelled");
    default:
        return emlfs_err_set(err, EUCLEAN, "control", "unknown frame %u", frame->type);
    }
}

static int import_receive(struct control_session *session, const struct emlfs_sink *sink,
                          bool *ret_complete, struct emlfs_err *err)
{
    struct incoming in = {.raw = EMLFS_BUF_INIT(EMLFS_MESSAGE_MAX_BYTES)};
    int r = 0;

    while (r == 0) {
        struct emlfs_frame frame;

        outbox_settle(&session->out);
        r = atomic_load(&session->cancel) ? -ECANCELED : emlfs_wire_recv(&session->reader, &frame);
        if (r < 0)
            emlfs_err_sys(err, -r, "control", "receiving messages");
        else
            r = import_frame(&in, &frame, sink, ret_complete, err);
    }
    incoming_free(&in);
    return r < 0 ? r : 0;
}

static void totals_fill(const struct emlfs_ingest_totals *totals, struct json_object *ret)
{
    json_object_object_add(ret, "archived", json_object_new_uint64(totals->archived));
    json_object_object_add(ret, "duplicates", json_object_new_uint64(totals->duplicates));
    json_object_object_add(ret, "rejected", json_object_new_uint64(totals->rejected));
    json_object_object_add(ret, "new_entries", json_object_new_uint64(totals->new_entries));
    json_object_object_add(ret, "moved", json_object_new_uint64(totals->moved));
}

/* Optional text argument of the request. */
static const char *text_argument(struct json_object *args, const char *name)
{
    struct json_object *value = json_object_object_get(args, name);

    if (!json_object_is_type(value, json_type_string) ||
        strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
        return NULL;
    return json_object_get_string(value);
}

int control_import(struct control_session *session, struct json_object *args,
                   struct json_object *ret, struct emlfs_err *err)
{
    struct emlfs_intake_options options = {.archive = session->options->archive,
                                           .bindings = session->options->bindings,
                                           .rules = session->options->rules,
                                           .ledger_source = EMLFS_LEDGER_SOCKET,
                                           .subject = session->subject,
                                           .user = text_argument(args, "user"),
                                           .base_folder = text_argument(args, "base_folder"),
                                           .source = text_argument(args, "source"),
                                           .dry_run = emlfs_args_flag(args, "dry_run"),
                                           .trust_dates = emlfs_args_flag(args, "trust_dates"),
                                           .verdict = import_verdict,
                                           .arg = session};
    struct timeval idle = {.tv_sec = IDLE_SEC};
    struct emlfs_ingest_totals totals = {0};
    struct emlfs_intake *intake = NULL;
    bool complete = false;

    if (!options.user)
        return emlfs_err_set(err, EINVAL, "control", "import: no user");

    int r = emlfs_intake_begin(&options, &intake, err);

    if (r < 0)
        return r;
    setsockopt(session->fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
    r = outbox_put(&session->out, OUTBOX_NOW, EMLFS_FRAME_READY, emlfs_span_of(NULL, 0));
    if (r == 0)
        r = import_receive(session, emlfs_intake_sink(intake), &complete, err);

    int ended = emlfs_intake_end(intake, complete && r == 0, &totals, r < 0 ? NULL : err);

    totals_fill(&totals, ret);
    return r < 0 ? r : ended;
}
