/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket itself: address, whole frames in and out. */
#include "emlfs/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "emlfs/base/crypto.h"
#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define READ_BYTES (128u << 10)
#define LISTEN_BACKLOG 64

void emlfs_wire_reader_init(struct emlfs_wire_reader *reader, int fd)
{
    size_t max_bytes = EMLFS_FRAME_MAX_BYTES + EMLFS_FRAME_HEAD_BYTES + READ_BYTES;

    *reader = (struct emlfs_wire_reader){.fd = fd, .buf = EMLFS_BUF_INIT(max_bytes)};
}

void emlfs_wire_reader_free(struct emlfs_wire_reader *reader)
{
    emlfs_buf_wipe(&reader->buf);
}

/* Drop what was handed out and read more. */
static int reader_fill(struct emlfs_wire_reader *reader)
{
    struct emlfs_buf *buf = &reader->buf;

    if (reader->pos > 0) {
        memmove(buf->data, buf->data + reader->pos, buf->len - reader->pos);
        buf->len -= reader->pos;
        reader->pos = 0;
    }

    int r = emlfs_buf_reserve(buf, READ_BYTES);

    if (r < 0)
        return r;
    for (;;) {
        ssize_t n = recv(reader->fd, buf->data + buf->len, READ_BYTES, 0);

        if (n > 0) {
            buf->len += (size_t)n;
            return 0;
        }
        if (n == 0)
            return buf->len == 0 ? -ENODATA : -ECONNRESET;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int emlfs_wire_recv(struct emlfs_wire_reader *reader, struct emlfs_frame *ret)
{
    for (;;) {
        struct emlfs_buf *buf = &reader->buf;
        struct emlfs_span left =
            emlfs_span_of(buf->data ? buf->data + reader->pos : NULL, buf->len - reader->pos);
        int r = emlfs_frame_next(&left, ret);

        if (r < 0)
            return r;
        if (r > 0) {
            reader->pos = buf->len - left.len;
            return 0;
        }
        r = reader_fill(reader);
        if (r < 0)
            return r;
    }
}

int emlfs_wire_send_all(int fd, struct emlfs_span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
        bytes = emlfs_span_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return 0;
}

int emlfs_wire_send(int fd, uint8_t type, struct emlfs_span payload)
{
    struct emlfs_buf out = EMLFS_BUF_INIT(EMLFS_FRAME_MAX_BYTES + EMLFS_FRAME_HEAD_BYTES);
    int r = emlfs_frame_append(&out, type, payload);

    if (r == 0)
        r = emlfs_wire_send_all(fd, emlfs_buf_view(&out));
    emlfs_buf_wipe(&out);
    return r;
}

int emlfs_wire_send_json(int fd, uint8_t type, struct json_object *object)
{
    struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_FRAME_MAX_BYTES);
    size_t len = 0;
    int r = emlfs_text_json(object, &text);

    if (r == 0)
        r = emlfs_wire_send(fd, type, emlfs_buf_view(&text));
    emlfs_buf_wipe(&text);

    /* A request may hold a password: json-c keeps the text it made in the object. */
    const char *kept = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &len);

    if (kept)
        emlfs_wipe((char *)kept, len);
    return r;
}

#define FDS_MAX 2u

/* Room for the descriptors of one message. */
union fds_room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int emlfs_wire_send_fds(int fd, const int *fds, unsigned n)
{
    char byte = 0;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union fds_room room = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(head), fds, n * sizeof(int));
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return 0;
}

int emlfs_wire_recv_fds(int fd, int *fds, unsigned max)
{
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union fds_room room = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             /* Not CMSG_SPACE, in whose padding another one comes. */
                             .msg_controllen = CMSG_LEN(max * sizeof(int))};
    struct cmsghdr *head;
    ssize_t got;

    for (unsigned i = 0; i < max; i++)
        fds[i] = -1;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (got == 0)
        return -ENODATA;
    head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    if (fds[0] >= 0 && !(message.msg_flags & MSG_CTRUNC))
        return 0;
    for (unsigned i = 0; i < max; i++)
        emlfs_os_close(&fds[i]);
    return -EUCLEAN;
}

/*
 * sun_path holds 107 bytes: an archive further down is addressed through a descriptor of its
 * directory (*ret_dir, to be closed after bind or connect).
 */
static int socket_address(const char *archive, struct sockaddr_un *ret, int *ret_dir)
{
    int n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/control", archive);

    ret->sun_family = AF_UNIX;
    *ret_dir = -1;
    if (n > 0 && (size_t)n < sizeof(ret->sun_path))
        return 0;
    *ret_dir = open(archive, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return -errno;
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/control", *ret_dir);
    return 0;
}

int emlfs_wire_connect(const char *archive, int *ret_fd)
{
    EMLFS_FD_CLEANUP int dir = -1;
    EMLFS_FD_CLEANUP int fd = -1;
    struct sockaddr_un address;
    int r = socket_address(archive, &address, &dir);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        if (errno != EINTR)
            return -errno;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int emlfs_wire_listen(const char *archive, int *ret_fd, struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int dir = -1;
    EMLFS_FD_CLEANUP int fd = -1;
    struct sockaddr_un address;
    int r = socket_address(archive, &address, &dir);

    if (r < 0)
        return emlfs_err_sys(err, -r, "control", "%s", archive);
    /* The archive's lock is held, so whoever made an existing socket is gone. */
    if (unlink(address.sun_path) < 0 && errno != ENOENT)
        return emlfs_err_sys(err, errno, "control", "%s/control", archive);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(address.sun_path, 0666) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return emlfs_err_sys(err, errno, "control", "%s/control", archive);
    *ret_fd = fd;
    fd = -1;
    return 0;
}
