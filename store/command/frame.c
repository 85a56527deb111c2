/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames and their payloads as bytes; no descriptors here. */
#include "emlfs/base/cursor.h"
#include "emlfs/wire.h"

int emlfs_frame_append(struct emlfs_buf *out, uint8_t type, struct emlfs_span payload)
{
    if (payload.len > EMLFS_FRAME_MAX_BYTES)
        return -E2BIG;

    int r = emlfs_buf_reserve(out, EMLFS_FRAME_HEAD_BYTES + payload.len);

    if (r < 0)
        return r;
    r = emlfs_buf_append_u32le(out, (uint32_t)payload.len);
    if (r == 0)
        r = emlfs_buf_append_u8(out, type);
    if (r == 0)
        r = emlfs_buf_append(out, payload.data, payload.len);
    return r;
}

int emlfs_frame_next(struct emlfs_span *bytes, struct emlfs_frame *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(*bytes);

    if (bytes->len < EMLFS_FRAME_HEAD_BYTES)
        return 0;

    uint32_t len = emlfs_cursor_u32le(&cur);
    uint8_t type = emlfs_cursor_u8(&cur);

    if (len > EMLFS_FRAME_MAX_BYTES)
        return -EUCLEAN;
    if (emlfs_cursor_left(&cur) < len)
        return 0;
    *ret = (struct emlfs_frame){.type = type, .payload = emlfs_cursor_take(&cur, len)};
    *bytes = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    return 1;
}

/* Texts in payloads become C strings on the other side. */
static bool text_has_nul(struct emlfs_span text)
{
    return text.len > 0 && memchr(text.data, 0, text.len) != NULL;
}

int emlfs_wire_message_encode(const struct emlfs_wire_message *message, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_u32le(out, message->flags);

    if (r == 0)
        r = emlfs_buf_append_u64le(out, (uint64_t)message->file_time_sec);
    if (r == 0)
        r = emlfs_buf_append_u64le(out, message->size_bytes);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, message->folder);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, message->position);
    return r;
}

int emlfs_wire_message_decode(struct emlfs_span payload, struct emlfs_wire_message *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(payload);

    ret->flags = emlfs_cursor_u32le(&cur);
    ret->file_time_sec = (int64_t)emlfs_cursor_u64le(&cur);
    ret->size_bytes = emlfs_cursor_u64le(&cur);
    ret->folder = emlfs_cursor_bytes(&cur, EMLFS_WIRE_TEXT_MAX_BYTES);
    ret->position = emlfs_cursor_bytes(&cur, EMLFS_WIRE_TEXT_MAX_BYTES);
    if (!emlfs_cursor_done(&cur) || text_has_nul(ret->folder) || text_has_nul(ret->position))
        return -EUCLEAN;
    return 0;
}

int emlfs_wire_verdict_encode(const struct emlfs_wire_verdict *verdict, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_u8(out, verdict->verdict);

    if (r == 0)
        r = emlfs_buf_append_u64le(out, verdict->id.v);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, verdict->position);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, verdict->reason);
    return r;
}

int emlfs_wire_verdict_decode(struct emlfs_span payload, struct emlfs_wire_verdict *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(payload);

    ret->verdict = emlfs_cursor_u8(&cur);
    ret->id.v = emlfs_cursor_u64le(&cur);
    ret->position = emlfs_cursor_bytes(&cur, EMLFS_WIRE_TEXT_MAX_BYTES);
    ret->reason = emlfs_cursor_bytes(&cur, EMLFS_WIRE_TEXT_MAX_BYTES);
    if (!emlfs_cursor_done(&cur) || text_has_nul(ret->position) || text_has_nul(ret->reason))
        return -EUCLEAN;
    return ret->verdict >= 1 && ret->verdict <= 3 ? 0 : -EUCLEAN;
}

int emlfs_wire_progress_encode(const struct emlfs_wire_progress *progress, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_u64le(out, progress->done);

    if (r == 0)
        r = emlfs_buf_append_u64le(out, progress->total);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, progress->phase);
    return r;
}

int emlfs_wire_progress_decode(struct emlfs_span payload, struct emlfs_wire_progress *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(payload);

    ret->done = emlfs_cursor_u64le(&cur);
    ret->total = emlfs_cursor_u64le(&cur);
    ret->phase = emlfs_cursor_bytes(&cur, 256);
    return emlfs_cursor_done(&cur) && !text_has_nul(ret->phase) ? 0 : -EUCLEAN;
}

struct json_object *emlfs_wire_request(const char *command, struct json_object *args)
{
    struct json_object *request = json_object_new_object();

    if (!request)
        return NULL;
    json_object_object_add(request, "protocol", json_object_new_int(EMLFS_WIRE_PROTOCOL));
    json_object_object_add(request, "command", json_object_new_string(command));
    json_object_object_add(request, "args",
                           args ? json_object_get(args) : json_object_new_object());
    return request;
}

struct json_object *emlfs_wire_result(int code, const struct emlfs_err *err)
{
    struct json_object *result = json_object_new_object();

    if (!result)
        return NULL;
    json_object_object_add(result, "errno", json_object_new_int(code));
    if (code && err && err->code) {
        json_object_object_add(result, "module", json_object_new_string(err->module));
        json_object_object_add(result, "text", json_object_new_string(err->text));
    }
    return result;
}

int emlfs_wire_result_read(struct json_object *result, struct emlfs_err *err)
{
    struct json_object *value = json_object_object_get(result, "errno");

    if (!json_object_is_type(value, json_type_int))
        return emlfs_err_set(err, EUCLEAN, "control", "the mount process sent no result");

    int code = json_object_get_int(value);

    if (code == 0)
        return 0;
    if (code < 0 || code > 4095)
        code = EIO;

    const char *module = json_object_get_string(json_object_object_get(result, "module"));
    const char *text = json_object_get_string(json_object_object_get(result, "text"));

    if (!text)
        return emlfs_err_sys(err, code, "control", "the mount process refused");
    return emlfs_err_set(err, code, module ? module : "control", "%s", text);
}
