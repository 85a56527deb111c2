/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Control socket of the mount process: accepts, counts and ends connections. Each runs on a thread
 * of its own; who the peer is comes from the kernel (SO_PEERCRED), never from the peer.
 *
 * Locks: none here. The list of sessions belongs to the listener thread, and to _stop once that
 * thread has been joined. An outbox lock is never held while another is taken.
 */
#include "control_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "emlfs/base/os.h"

#define SESSIONS_MAX 64u
#define SESSIONS_UID_MAX 8u /* of one account other than root, and than this process's */
#define LISTEN_POLL_MS 1000
#define SEND_SEC 30    /* a client that reads nothing for so long is given up */
#define REQUEST_SEC 10 /* and one that asks nothing */
#define STOP_MS 2000   /* how long running commands may take to end */

struct emlfs_control {
    struct emlfs_control_options options;
    int listen_fd, wake_fd;
    atomic_bool stopping;
    pthread_t listener;
    struct control_session *sessions;
    unsigned count;
};

/* ---- sessions */

static void session_free(struct control_session *session)
{
    pthread_join(session->thread, NULL);
    emlfs_os_close(&session->fd);
    free(session);
}

/* Join what is done. */
static void sessions_reap(struct emlfs_control *control)
{
    struct control_session **link = &control->sessions;

    while (*link) {
        struct control_session *session = *link;

        if (!atomic_load(&session->done)) {
            link = &session->next;
            continue;
        }
        *link = session->next;
        control->count--;
        session_free(session);
    }
}

static int session_new(struct emlfs_control *control, int fd, struct control_session **ret)
{
    struct timeval send_time = {.tv_sec = SEND_SEC}, request_time = {.tv_sec = REQUEST_SEC};
    struct control_session *session = calloc(1, sizeof(*session));
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (!session)
        return -ENOMEM;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_time, sizeof(send_time)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &request_time, sizeof(request_time)) < 0) {
        int r = -errno;

        free(session);
        return r;
    }
    session->options = &control->options;
    session->fd = fd;
    session->subject = (struct emlfs_subject){.uid = peer.uid, .gid = peer.gid};
    if (session->options->private_names)
        session->subject.private_names = session->options->private_names(session->options->arg);
    session->wake_fd = control->wake_fd;
    *ret = session;
    return 0;
}

/* EAGAIN: no session is left, or none for this account. */
static int session_room(const struct emlfs_control *control, uid_t uid, struct emlfs_err *err)
{
    unsigned mine = 0;

    if (control->count >= SESSIONS_MAX)
        return emlfs_err_set(err, EAGAIN, "control",
                             "%u commands are running already: try again later", SESSIONS_MAX);
    for (const struct control_session *s = control->sessions; s; s = s->next)
        mine += s->subject.uid == uid;
    if (uid == 0 || uid == geteuid() || mine < SESSIONS_UID_MAX)
        return 0;
    return emlfs_err_set(err, EAGAIN, "control",
                         "%u commands of this account are running already: try again later", mine);
}

/* Tell a client that is turned away, if it can be told without waiting, and close. */
static void connection_refuse(int fd, int code, struct emlfs_err *err)
{
    if (err->code == 0)
        emlfs_err_sys(err, code, "control", "no connection");

    struct json_object *result = emlfs_wire_result(code, err);

    if (result && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        (void)emlfs_wire_send_json(fd, EMLFS_FRAME_RESULT, result);
    json_object_put(result);
    close(fd);
}

static void connection_take(struct emlfs_control *control, int fd)
{
    struct control_session *session = NULL;
    struct emlfs_err err = {0};
    int r = session_new(control, fd, &session);

    if (r == 0)
        r = session_room(control, session->subject.uid, &err);
    if (r == 0)
        r = -pthread_create(&session->thread, NULL, control_session_main, session);
    if (r < 0) {
        free(session);
        connection_refuse(fd, -r, &err);
        return;
    }
    session->next = control->sessions;
    control->sessions = session;
    control->count++;
}

/* ---- listener */

static void *listener_main(void *arg)
{
    struct emlfs_control *control = arg;
    struct pollfd fds[2] = {{.fd = control->listen_fd, .events = POLLIN},
                            {.fd = control->wake_fd, .events = POLLIN}};

    while (!atomic_load(&control->stopping)) {
        uint64_t woken;

        if (poll(fds, 2, LISTEN_POLL_MS) < 0 && errno != EINTR)
            break;
        if ((fds[1].revents & POLLIN) && read(control->wake_fd, &woken, sizeof(woken)) < 0 &&
            errno != EAGAIN)
            break;
        sessions_reap(control);
        if (!(fds[0].revents & POLLIN))
            continue;

        int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0)
            connection_take(control, fd);
        else if (errno == EMFILE || errno == ENFILE)
            poll(NULL, 0, 100); /* until descriptors are free again */
    }
    return NULL;
}

static void control_wake(struct emlfs_control *control)
{
    uint64_t one = 1;

    if (write(control->wake_fd, &one, sizeof(one)) < 0)
        return; /* full: it is awake already */
}

int emlfs_control_start(const struct emlfs_control_options *options, struct emlfs_control **ret,
                        struct emlfs_err *err)
{
    struct emlfs_control *control = calloc(1, sizeof(*control));
    int r;

    if (!control)
        return emlfs_err_set(err, ENOMEM, "control", "out of memory");
    control->options = *options;
    control->listen_fd = -1;
    control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->wake_fd < 0)
        r = emlfs_err_sys(err, errno, "control", "eventfd");
    else
        r = emlfs_wire_listen(emlfs_archive_path(options->archive), &control->listen_fd, err);
    if (r == 0) {
        r = -pthread_create(&control->listener, NULL, listener_main, control);
        if (r < 0)
            r = emlfs_err_sys(err, -r, "control", "starting a thread");
    }
    if (r < 0) {
        emlfs_os_close(&control->listen_fd);
        emlfs_os_close(&control->wake_fd);
        free(control);
        return r;
    }
    *ret = control;
    return 0;
}

/* Wait until every session is done, at most until deadline. */
static void sessions_await(struct emlfs_control *control, int64_t deadline_ns)
{
    sessions_reap(control);
    while (control->sessions && emlfs_os_monotonic_ns() < deadline_ns) {
        struct pollfd fd = {.fd = control->wake_fd, .events = POLLIN};
        uint64_t woken;

        if (poll(&fd, 1, 50) > 0 && read(control->wake_fd, &woken, sizeof(woken)) < 0 &&
            errno != EAGAIN)
            return;
        sessions_reap(control);
    }
}

static void sessions_shutdown(struct emlfs_control *control, int how)
{
    for (struct control_session *session = control->sessions; session; session = session->next) {
        atomic_store(&session->cancel, true);
        shutdown(session->fd, how);
    }
}

static void socket_remove(const char *archive)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/control", archive);

    if (n > 0 && (size_t)n < sizeof(path))
        unlink(path);
}

/*
 * Whoever connects from now on sees that nothing is mounted; who did already, and waits for a
 * session, hears that it has to look again.
 */
static void listener_end(struct emlfs_control *control)
{
    int fd;

    socket_remove(emlfs_archive_path(control->options.archive));
    shutdown(control->listen_fd, SHUT_RD);
    while ((fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct emlfs_err err = {0};

        emlfs_err_set(&err, ESHUTDOWN, "control", EMLFS_WIRE_ENDING);
        connection_refuse(fd, ESHUTDOWN, &err);
    }
    emlfs_os_close(&control->listen_fd);
}

void emlfs_control_stop(struct emlfs_control *control)
{
    if (!control)
        return;
    atomic_store(&control->stopping, true);
    control_wake(control);
    pthread_join(control->listener, NULL);
    listener_end(control);
    /* First they may still answer; those whose client does not listen are cut off. */
    sessions_shutdown(control, SHUT_RD);
    sessions_await(control, emlfs_os_monotonic_ns() + STOP_MS * (int64_t)1000000);
    sessions_shutdown(control, SHUT_RDWR);
    while (control->sessions) {
        struct control_session *session = control->sessions;

        control->sessions = session->next;
        session_free(session);
    }
    emlfs_os_close(&control->wake_fd);
    free(control);
}
