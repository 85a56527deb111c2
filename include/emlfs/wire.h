/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_WIRE_H
#define EMLFS_WIRE_H

#include <json-c/json.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"

/*
 * The control socket's protocol. A stream of frames in each direction:
 *
 *   offset  size  field
 *   0       4     payload length, u32 le, at most EMLFS_FRAME_MAX_BYTES
 *   4       1     type
 *   5       n     payload
 *
 * A connection runs one request: the client sends REQUEST; rows, bytes, notices and progress come
 * back; RESULT ends it. CANCEL or closing ends it early. A request named "import" is answered with
 * READY; then the client sends FOLDER and MESSAGE frames, each MESSAGE followed by DATA frames of
 * exactly its size; VERDICT frames come back in the order of the messages; END asks for the RESULT.
 *
 * A request named "mount" is answered with READY, when the mount may come; then the client sends
 * one byte and with it the descriptor of the mounted FUSE connection, and perhaps a socket whose
 * end ends the mount. RESULT says whether it is served.
 *
 * A process that ends answers requests it has not begun with ESHUTDOWN: nothing of them is done,
 * and the client looks again who has the archive.
 *
 * Both ends treat what they receive as foreign.
 */
#define EMLFS_WIRE_PROTOCOL 1
#define EMLFS_FRAME_HEAD_BYTES 5u
#define EMLFS_FRAME_MAX_BYTES (1u << 20)
#define EMLFS_WIRE_ENDING "the mount process is ending"
#define EMLFS_WIRE_TEXT_MAX_BYTES (64u << 10) /* folder, position, reason */

enum emlfs_frame_type {
    /* client to server */
    EMLFS_FRAME_REQUEST = 1, /* JSON {"protocol", "command", "args"} */
    EMLFS_FRAME_CANCEL = 2,  /* empty */
    EMLFS_FRAME_MESSAGE = 3, /* struct emlfs_wire_message */
    EMLFS_FRAME_DATA = 4,    /* message bytes */
    EMLFS_FRAME_FOLDER = 5,  /* UTF-8 path */
    EMLFS_FRAME_END = 6,     /* u8: 1 the source was read to its end */
    /* server to client */
    EMLFS_FRAME_READY = 17,    /* empty: messages may come */
    EMLFS_FRAME_ROW = 18,      /* JSON object */
    EMLFS_FRAME_BYTES = 19,    /* raw bytes for stdout */
    EMLFS_FRAME_NOTICE = 20,   /* text */
    EMLFS_FRAME_PROGRESS = 21, /* struct emlfs_wire_progress */
    EMLFS_FRAME_VERDICT = 22,  /* struct emlfs_wire_verdict */
    EMLFS_FRAME_RESULT = 23,   /* JSON {"errno", "module", "text", "findings", totals...} */
};

struct emlfs_frame {
    uint8_t type;
    struct emlfs_span payload; /* borrowed */
};
/* Append a whole frame. -E2BIG, -ENOMEM. */
int emlfs_frame_append(struct emlfs_buf *out, uint8_t type, struct emlfs_span payload);
/* Take a frame off *bytes: 1 taken, 0 more bytes are needed, -EUCLEAN a length over the maximum. */
int emlfs_frame_next(struct emlfs_span *bytes, struct emlfs_frame *ret);

struct emlfs_wire_message {
    uint32_t flags;
    int64_t file_time_sec;
    uint64_t size_bytes;
    struct emlfs_span folder, position; /* borrowed when decoded; no NUL inside */
};
int emlfs_wire_message_encode(const struct emlfs_wire_message *message, struct emlfs_buf *out);
int emlfs_wire_message_decode(struct emlfs_span payload, struct emlfs_wire_message *ret);

struct emlfs_wire_verdict {
    uint8_t verdict; /* enum emlfs_ingest_verdict */
    struct emlfs_msg_id id;
    struct emlfs_span position, reason;
};
int emlfs_wire_verdict_encode(const struct emlfs_wire_verdict *verdict, struct emlfs_buf *out);
int emlfs_wire_verdict_decode(struct emlfs_span payload, struct emlfs_wire_verdict *ret);

struct emlfs_wire_progress {
    uint64_t done, total; /* total 0: unknown */
    struct emlfs_span phase;
};
/* PROGRESS payload: appended to out (-E2BIG, -ENOMEM), and its inverse, which borrows (-EUCLEAN).
 */
int emlfs_wire_progress_encode(const struct emlfs_wire_progress *progress, struct emlfs_buf *out);
int emlfs_wire_progress_decode(struct emlfs_span payload, struct emlfs_wire_progress *ret);

/* Buffered reading of frames from a socket. One thread. */
struct emlfs_wire_reader {
    int fd; /* borrowed */
    size_t pos;
    struct emlfs_buf buf;
};
void emlfs_wire_reader_init(struct emlfs_wire_reader *reader, int fd);
void emlfs_wire_reader_free(struct emlfs_wire_reader *reader);
/*
 * The next frame, waiting for it; the payload is borrowed until the next call. -ENODATA: orderly
 * end between frames; -ECONNRESET: end inside one; -ETIMEDOUT: the socket's receive time-out;
 * -EUCLEAN.
 */
int emlfs_wire_recv(struct emlfs_wire_reader *reader, struct emlfs_frame *ret);
/* Send everything (never raises SIGPIPE). -EPIPE, -ETIMEDOUT. */
int emlfs_wire_send_all(int fd, struct emlfs_span bytes);
int emlfs_wire_send(int fd, uint8_t type, struct emlfs_span payload);
int emlfs_wire_send_json(int fd, uint8_t type, struct json_object *object);

/* A byte with n (1...2) descriptors. -EPIPE, -ETIMEDOUT. */
int emlfs_wire_send_fds(int fd, const int *fds, unsigned n);
/* The other end: what came is the caller's, -1 where less came. As emlfs_wire_recv; -EUCLEAN: more
 * than max (1...2), or none. */
int emlfs_wire_recv_fds(int fd, int *fds, unsigned max);

/* REQUEST payload of a command. NULL: no memory. args may be NULL. */
struct json_object *emlfs_wire_request(const char *command, struct json_object *args);
/* RESULT payload of an error (code 0: success), and its inverse: 0 or -errno with err filled. */
struct json_object *emlfs_wire_result(int code, const struct emlfs_err *err);
int emlfs_wire_result_read(struct json_object *result, struct emlfs_err *err);

/* Socket address of archive's control socket; the connected or listening descriptor. */
int emlfs_wire_connect(const char *archive, int *ret_fd);
int emlfs_wire_listen(const char *archive, int *ret_fd, struct emlfs_err *err);

#endif
