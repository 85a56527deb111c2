/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Joining a running mount process: it is asked first, then the mount is made here, with the rights
 * of who mounts, and its connection to the kernel is handed over. No copy of the connection stays:
 * when the mount process dies, nobody may wait for its answers.
 */
#include "mount_join.h"

#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"
#include "emlfs/wire.h"
#include "mount_asof.h"
#include "mount_session.h"

#define ANSWER_SEC 60 /* a mount process that says nothing for so long is stuck */

/* ---- the request, as both ends know it */

static struct json_object *request_make(const struct mount_job *job)
{
    struct json_object *args = json_object_new_object();
    struct json_object *request;

    if (!args)
        return NULL;
    json_object_object_add(args, "version", json_object_new_string(EMLFS_VERSION));
    json_object_object_add(args, "options", json_object_new_string(job->options_text));
    json_object_object_add(args, "source", json_object_new_string(job->source));
    json_object_object_add(args, "mountpoint", json_object_new_string(job->mountpoint));
    request = emlfs_wire_request("mount", args);
    json_object_put(args);
    return request;
}

static int text_read(struct json_object *args, const char *name, char *ret, size_t size)
{
    const char *text = emlfs_args_text(args, name);
    size_t len = text ? strlen(text) : size;

    if (len >= size)
        return -EINVAL;
    memcpy(ret, text, len + 1);
    return 0;
}

int mount_join_read(struct json_object *args, struct mount_job *ret, struct emlfs_err *err)
{
    const char *version = emlfs_args_text(args, "version");

    memset(ret, 0, sizeof(*ret));
    ret->fd = ret->status_fd = -1;
    if (!version || strcmp(version, EMLFS_VERSION) != 0)
        return emlfs_err_set(err, EPROTONOSUPPORT, "mount",
                             "the archive is mounted by version %s of emlfs and this is version "
                             "%.32s: unmount it and mount it again",
                             EMLFS_VERSION, version ? version : "?");
    if (text_read(args, "options", ret->options_text, sizeof(ret->options_text)) < 0 ||
        text_read(args, "source", ret->source, sizeof(ret->source)) < 0 ||
        text_read(args, "mountpoint", ret->mountpoint, sizeof(ret->mountpoint)) < 0)
        return emlfs_err_set(err, EINVAL, "mount", "the request says not what to mount where");
    ret->premounted = mount_fd_of(ret->mountpoint) >= 0;
    return mount_options_parse(ret->options_text, &ret->options, err);
}

/* ---- asking */

/* An end of the connection says that the process ends; so does ESHUTDOWN. */
static int answer_error(int rc, struct emlfs_err *err)
{
    switch (rc) {
    case -ENODATA:
    case -ECONNRESET:
    case -EPIPE:
    case -ESHUTDOWN:
        return emlfs_err_set(err, EAGAIN, "mount", EMLFS_WIRE_ENDING);
    default:
        return err && err->code == -rc ? rc : emlfs_err_sys(err, -rc, "mount", "the mount process");
    }
}

static int result_read(struct emlfs_span payload, struct emlfs_err *err)
{
    struct json_object *result;
    int rc = emlfs_text_json_parse(payload, &result, err);

    if (rc < 0)
        return rc;
    rc = emlfs_wire_result_read(result, err);
    json_object_put(result);
    return rc;
}

static void progress_say(struct mount_asof_saying *saying, struct emlfs_span payload)
{
    struct emlfs_wire_progress step;

    if (emlfs_wire_progress_decode(payload, &step) == 0)
        mount_asof_say(saying, "", step.done, step.total);
}

/* wanted READY: 0 when it comes; RESULT: what it says. */
static int answer_await(struct emlfs_wire_reader *reader, uint8_t wanted, struct emlfs_err *err)
{
    struct mount_asof_saying saying = {.said_ns = emlfs_os_monotonic_ns()};
    struct emlfs_frame frame;
    int rc;

    do {
        rc = emlfs_wire_recv(reader, &frame);
        if (rc == 0 && frame.type == EMLFS_FRAME_PROGRESS)
            progress_say(&saying, frame.payload);
    } while (rc == 0 && frame.type == EMLFS_FRAME_PROGRESS);
    if (rc < 0)
        return answer_error(rc, err);
    if (frame.type == EMLFS_FRAME_RESULT) {
        rc = result_read(frame.payload, err);
        if (rc == 0 && wanted != EMLFS_FRAME_RESULT)
            rc = -EUCLEAN;
        return rc < 0 ? answer_error(rc, err) : 0;
    }
    return frame.type == wanted ? 0 : answer_error(-EUCLEAN, err);
}

static int request_send(int fd, const struct mount_job *job, struct emlfs_err *err)
{
    const struct timeval patience = {.tv_sec = ANSWER_SEC};
    struct json_object *request = request_make(job);
    int rc = request ? 0 : -ENOMEM;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        rc = -errno;
    if (rc == 0)
        rc = emlfs_wire_send_json(fd, EMLFS_FRAME_REQUEST, request);
    json_object_put(request);
    return rc < 0 ? answer_error(rc, err) : 0;
}

/* The kernel connection, and in the foreground the far end of life. */
static int hand_over(int fd, struct mount_job *job, int far, struct emlfs_err *err)
{
    const int fds[] = {job->fd, far};
    int rc = emlfs_wire_send_fds(fd, fds, far >= 0 ? 2 : 1);

    return rc < 0 ? answer_error(rc, err) : 0;
}

static int join_run(int fd, struct mount_job *job, int far, struct emlfs_err *err)
{
    struct emlfs_wire_reader reader;
    int rc;

    emlfs_wire_reader_init(&reader, fd);
    rc = request_send(fd, job, err);
    if (rc == 0)
        rc = answer_await(&reader, EMLFS_FRAME_READY, err);
    if (rc == 0)
        rc = mount_make(job, err);
    if (rc == 0)
        rc = hand_over(fd, job, far, err);
    if (rc == 0)
        rc = answer_await(&reader, EMLFS_FRAME_RESULT, err);
    emlfs_wire_reader_free(&reader);
    return rc;
}

int mount_join(struct mount_job *job, int *ret_life, struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int fd = -1;
    EMLFS_FD_CLEANUP int near = -1;
    EMLFS_FD_CLEANUP int far = -1;
    int pair[2];
    int rc;

    *ret_life = -1;
    rc = emlfs_remote_connect(job->archive, &fd, err);
    if (rc < 0)
        return rc == -ENOENT ? MOUNT_JOIN_NOBODY : rc;
    if (job->foreground) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return emlfs_err_sys(err, errno, "mount", "socketpair");
        near = pair[0];
        far = pair[1];
    }
    rc = join_run(fd, job, far, err);
    if (rc < 0)
        return rc;
    job->made = false;
    emlfs_os_close(&job->fd);
    *ret_life = near;
    near = -1;
    return 0;
}

int mount_join_wait(int life_fd)
{
    EMLFS_FD_CLEANUP int signals = -1;
    struct pollfd fds[2] = {{.fd = life_fd, .events = POLLIN}, {.events = POLLIN}};
    sigset_t ending;

    mount_ending_signals(&ending);
    signals = signalfd(-1, &ending, SFD_CLOEXEC);
    fds[1].fd = signals;
    while (fds[0].revents == 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (fds[1].revents) {
            (void)shutdown(life_fd, SHUT_WR);
            fds[1].fd = -1; /* now it is waited for */
            fds[1].revents = 0;
        }
    }
    return 0;
}
