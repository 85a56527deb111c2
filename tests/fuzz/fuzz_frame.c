/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket's bytes, as either end reads them: frames, payloads, requests, results. */
#include "emlfs/command.h"
#include "emlfs/text.h"
#include "emlfs/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_try(struct json_object *object)
{
    struct json_object *args = json_object_object_get(object, "args");
    struct json_object *name = json_object_object_get(object, "command");
    const struct emlfs_command *command = json_object_is_type(name, json_type_string)
                                              ? emlfs_command_find(json_object_get_string(name))
                                              : NULL;
    struct emlfs_err err;

    if (command)
        (void)emlfs_args_check(command, args, &err);
    (void)emlfs_wire_result_read(object, &err);
}

static void json_try(struct emlfs_span payload)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(16u << 20);
    struct json_object *object = NULL, *back = NULL;
    struct emlfs_err err;

    if (emlfs_text_json_parse(payload, &object, &err) < 0)
        return;
    request_try(object);
    /* What is written of it must be readable again. */
    if (emlfs_text_json(object, &line) == 0 &&
        emlfs_text_json_parse(emlfs_buf_view(&line), &back, &err) < 0)
        __builtin_trap();
    json_object_put(back);
    json_object_put(object);
}

static void payload_try(const struct emlfs_frame *frame)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(4u << 20);
    struct emlfs_wire_message message;
    struct emlfs_wire_verdict verdict;
    struct emlfs_wire_progress progress;

    if (emlfs_wire_message_decode(frame->payload, &message) == 0)
        (void)emlfs_wire_message_encode(&message, &again);
    emlfs_buf_clear(&again);
    if (emlfs_wire_verdict_decode(frame->payload, &verdict) == 0)
        (void)emlfs_wire_verdict_encode(&verdict, &again);
    emlfs_buf_clear(&again);
    if (emlfs_wire_progress_decode(frame->payload, &progress) == 0)
        (void)emlfs_wire_progress_encode(&progress, &again);
    emlfs_buf_clear(&again);
    (void)emlfs_text_terminal(frame->payload, &again);
    json_try(frame->payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emlfs_span bytes = emlfs_span_of(data, size);
    struct emlfs_frame frame;

    while (emlfs_frame_next(&bytes, &frame) > 0)
        payload_try(&frame);
    return 0;
}
