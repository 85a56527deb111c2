/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of a mount process: it has one archive, and serves each of its mounts.
 *
 * S1  SIGTERM, SIGINT and SIGHUP are blocked before the first thread exists and read by the main
 *     thread: no other thread is ever interrupted by them.
 * S2  Only the main thread ends and closes mounts. Whoever else looks at one holds the lock.
 * S3  Nothing that was acknowledged depends on what is done after the loops.
 * S4  Whatever asks the rules has ended before they are closed, and they before the archive.
 * S5  Once the last mount has ended, no other is taken on: who asks hears that it is ending, and
 *     waits for the archive.
 * S6  What comes over a FUSE connection names its callers, and who made the connection may have
 *     made it name whom they like (in a user namespace of their own): so it is taken only from root
 *     and from the account of this process, who can read the archive's keys anyway. Administrators
 *     of the archive cannot, and are not let in by this door.
 */
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/command.h"
#include "emlfs/wire.h"
#include "mount_asof.h"
#include "mount_join.h"
#include "mount_session.h"

#define LOCK_WAIT_NS 15000000000
#define AGAIN_MS 50
#define MOUNTS_MAX 64u

/* A mount that was asked for and is not handed over yet. */
struct joining {
    struct mount_job job;
    struct emlfs_subject by;
};

struct server {
    struct mount_job *job; /* the first mount */
    struct fs shared;
    struct emlfs_control *control;
    struct fs_tick *tick;
    int wake_fd, signal_fd;
    pthread_mutex_t lock; /* guards all below; a leaf but for what a notice takes */
    struct mount_session *sessions[MOUNTS_MAX];
    unsigned sessions_n;
    struct joining *joining[MOUNTS_MAX];
    unsigned joining_n;
    bool begun;  /* there was a mount */
    bool ending; /* S5 */
};

/* ---- the list of mounts */

/* Everything is refused, and no job runs, while every mount is read-only. Under lock. */
static void read_only_follow(struct server *server)
{
    bool all = server->sessions_n > 0;

    for (unsigned i = 0; i < server->sessions_n; i++)
        all = all && mount_session_job(server->sessions[i])->options.read_only;
    if (server->sessions_n > 0)
        emlfs_rules_set_read_only(server->shared.rules, all);
}

/* On the list before its first request is answered: no notice is lost. Under lock. */
static void session_add(struct server *server, struct mount_session *session)
{
    server->sessions[server->sessions_n++] = session;
    server->begun = true;
    read_only_follow(server);
    mount_session_run(session);
}

/* One that has ended (or any: all) is taken off the list; NULL: there is none. */
static struct mount_session *session_take(struct server *server, bool all)
{
    struct mount_session *taken = NULL;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n && !taken; i++) {
        if (!all && !mount_session_ended(server->sessions[i]))
            continue;
        taken = server->sessions[i];
        server->sessions[i] = server->sessions[--server->sessions_n];
        read_only_follow(server);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

/* The archive's subscriber. */
static void server_notice(void *arg, struct emlfs_folder_id folder)
{
    struct server *server = arg;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n; i++)
        mount_session_notice(server->sessions[i], folder);
    pthread_mutex_unlock(&server->lock);
}

/* ---- what others ask the mount process */

static int server_mount_status(void *arg, struct json_object *ret)
{
    struct json_object *rows = json_object_new_array();
    struct server *server = arg;

    if (!rows)
        return -ENOMEM;
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n; i++) {
        struct json_object *row = json_object_new_object();

        if (row)
            mount_session_status(server->sessions[i], row);
        json_object_array_add(rows, row);
    }
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *path = emlfs_args_text(row, "mountpoint");
        struct mount_entry entry;

        if (path && *path && mount_table_find(path, &entry) == 0)
            json_object_object_add(
                row, "read_only",
                json_object_new_boolean(entry.read_only || entry.super_read_only));
    }
    json_object_object_add(ret, "mounts", rows);
    return 0;
}

static bool server_private_names(void *arg)
{
    struct server *server = arg;
    bool any = false;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n; i++)
        any = any || mount_session_job(server->sessions[i])->options.private_names;
    pthread_mutex_unlock(&server->lock);
    return any;
}

/* S5, from when the last mount is taken away: this process notices a little later. */
static bool server_ending(void *arg)
{
    struct server *server = arg;
    bool ending;

    pthread_mutex_lock(&server->lock);
    ending = server->begun && server->joining_n == 0;
    for (unsigned i = 0; i < server->sessions_n; i++)
        ending = ending && mount_session_is_cut(server->sessions[i]);
    ending = ending || server->ending;
    pthread_mutex_unlock(&server->lock);
    return ending;
}

/* S6 */
static int may_mount(const struct emlfs_subject *subject, struct emlfs_err *err)
{
    if (subject->uid == 0 || subject->uid == geteuid())
        return 0;
    return emlfs_err_set(err, EACCES, "mount",
                         "only root and the account of the mount process mount it once more");
}

static bool is_fuse_device(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 229);
}

static int may_unmount(struct server *server, const struct emlfs_subject *subject,
                       struct emlfs_err *err)
{
    const struct emlfs_target system = {.kind = EMLFS_OBJECT_SYSTEM};

    if (subject->uid == geteuid() ||
        emlfs_rules_check(server->shared.rules, subject, &system, EMLFS_CALL_COMMAND, NULL) == 0)
        return 0;
    return emlfs_err_set(err, EACCES, "mount", "only an administrator may do this");
}

/* Does it lie uppermost at its path? What lies above it is somebody else's, and is not ended. */
static bool is_uppermost(const struct mount_session *session)
{
    const char *device = mount_session_device(session);
    struct mount_entry entry;

    return !device[0] || mount_table_find(mount_session_job(session)->mountpoint, &entry) < 0 ||
           strcmp(entry.device, device) == 0;
}

/* Path of the mount that is meant: the one at this path, or the only one. */
static int unmount_find(struct server *server, const char *path, char ret[MOUNT_PATH_MAX],
                        struct emlfs_err *err)
{
    const struct mount_session *found = NULL;
    bool uppermost = true;
    unsigned n = 0;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n; i++) {
        if (path && strcmp(path, mount_session_job(server->sessions[i])->mountpoint) != 0)
            continue;
        found = server->sessions[i];
        n++;
    }
    if (found) {
        memcpy(ret, mount_session_job(found)->mountpoint, MOUNT_PATH_MAX);
        uppermost = is_uppermost(found);
    }
    pthread_mutex_unlock(&server->lock);
    if (n > 1)
        return emlfs_err_set(err, EINVAL, "mount", "several mounts: say which");
    if (n == 0)
        return emlfs_err_set(err, ENOENT, "mount", "%s: not mounted here", path ? path : "");
    return uppermost ? 0
                     : emlfs_err_set(err, EBUSY, "mount", "%s: something is mounted above it", ret);
}

static int server_unmount(void *arg, const struct emlfs_subject *subject, struct json_object *args,
                          struct emlfs_err *err)
{
    struct server *server = arg;
    char path[MOUNT_PATH_MAX];
    int rc;

    rc = may_unmount(server, subject, err);
    if (rc == 0)
        rc = unmount_find(server, emlfs_args_text(args, "mountpoint"), path, err);
    if (rc == 0 && mount_fd_of(path) >= 0)
        rc = emlfs_err_set(err, EPERM, "mount",
                           "this mount was made by mount(8) and is ended by umount(8)");
    return rc < 0 ? rc : mount_detach(path, false, err);
}

/* ---- further mounts */

/* Does a mount of ours stand there, or come? Under lock. */
static bool place_is_taken(struct server *server, const struct mount_job *job)
{
    struct mount_entry entry;

    if (job->premounted)
        return false;
    for (unsigned i = 0; i < server->joining_n; i++)
        if (strcmp(server->joining[i]->job.mountpoint, job->mountpoint) == 0)
            return true;
    if (mount_table_find(job->mountpoint, &entry) < 0)
        return false;
    for (unsigned i = 0; i < server->sessions_n; i++)
        if (strcmp(mount_session_job(server->sessions[i])->mountpoint, job->mountpoint) == 0 &&
            strcmp(mount_session_device(server->sessions[i]), entry.device) == 0)
            return true;
    return false;
}

static int joining_add(struct server *server, struct joining *joining, struct emlfs_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&server->lock);
    if (server->ending)
        rc = emlfs_err_set(err, ESHUTDOWN, "mount", EMLFS_WIRE_ENDING);
    else if (place_is_taken(server, &joining->job))
        rc = emlfs_err_set(err, EBUSY, "mount", "%s is already mounted on %s", joining->job.source,
                           joining->job.mountpoint);
    else if (server->sessions_n + server->joining_n >= MOUNTS_MAX)
        rc = emlfs_err_set(err, ENOSPC, "mount", "no more than %u mounts of one archive",
                           MOUNTS_MAX);
    else
        server->joining[server->joining_n++] = joining;
    pthread_mutex_unlock(&server->lock);
    return rc;
}

/* session NULL: it came to nothing. */
static void joining_remove(struct server *server, struct joining *joining,
                           struct mount_session *session)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->joining_n; i++)
        if (server->joining[i] == joining) {
            server->joining[i] = server->joining[--server->joining_n];
            break;
        }
    if (session)
        session_add(server, session);
    pthread_mutex_unlock(&server->lock);
    (void)!write(server->wake_fd, &one, sizeof(one)); /* full: readable already */
}

/* Before it is mounted: who looks into a mount that nobody serves yet would wait as long. */
static int past_make(struct server *server, struct mount_job *job,
                     const struct emlfs_progress *progress, struct emlfs_err *err)
{
    const struct mount_asof asof = {.live = server->shared.archive,
                                    .date = job->options.asof,
                                    .log = server->shared.log,
                                    .progress = progress};

    return job->options.asof[0] ? mount_asof_open(&asof, &job->past, err) : 0;
}

static void past_drop(struct mount_job *job)
{
    (void)emlfs_archive_close(job->past, NULL);
    job->past = NULL;
}

/* Under its entry in the list: it may take a while. */
static int joining_prepare(struct server *server, struct joining *joining,
                           const struct emlfs_progress *progress, struct emlfs_err *err)
{
    struct emlfs_view_scope scope;
    struct fs shown = server->shared;
    int rc = past_make(server, &joining->job, progress, err);

    if (rc == 0 && joining->job.past)
        shown.archive = joining->job.past;
    if (rc == 0)
        rc = mount_scope_find(&shown, &joining->job.options.scope, &joining->by, &scope, err);
    if (rc < 0) {
        past_drop(&joining->job);
        joining_remove(server, joining, NULL);
    }
    return rc;
}

static int server_mount_ask(void *arg, const struct emlfs_subject *subject,
                            struct json_object *args, const struct emlfs_progress *progress,
                            void **ret, struct emlfs_err *err)
{
    struct server *server = arg;
    struct joining *joining = calloc(1, sizeof(*joining));
    int rc;

    if (!joining)
        return emlfs_err_set(err, ENOMEM, "mount", "out of memory");
    joining->by = *subject;
    rc = mount_join_read(args, &joining->job, err);
    if (rc == 0)
        rc = may_mount(subject, err);
    if (rc == 0)
        rc = joining_add(server, joining, err);
    if (rc == 0)
        rc = joining_prepare(server, joining, progress, err);
    if (rc < 0)
        free(joining);
    else
        *ret = joining;
    return rc;
}

static int server_mount_take(void *arg, void *place, int fds[2], struct emlfs_err *err)
{
    struct server *server = arg;
    struct joining *joining = place;
    struct mount_session *session = NULL;
    int rc = 0;

    if (fds[0] >= 0 && !is_fuse_device(fds[0])) {
        rc = emlfs_err_set(err, EINVAL, "mount", "what came is no mount");
        past_drop(&joining->job);
    } else if (fds[0] >= 0) {
        const struct mount_session_start start = {.shared = &server->shared,
                                                  .job = &joining->job,
                                                  .by = joining->by,
                                                  .life_fd = fds[1],
                                                  .wake_fd = server->wake_fd};

        joining->job.fd = fds[0];
        fds[0] = -1;
        rc = mount_session_new(&start, &session, err);
        if (rc == 0)
            fds[1] = -1;
    } else {
        past_drop(&joining->job);
    }
    joining_remove(server, joining, session);
    free(joining);
    return rc;
}

/* ---- start */

static int server_rules(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_rules_options options = {
        .archive = server->shared.archive,
        .bindings = server->shared.bindings,
        .index = server->shared.index,
        .read_only = server->job->options.read_only,
    };

    return emlfs_rules_open(&options, &server->shared.rules, err);
}

/* -EBUSY: another process has it. */
static int server_open(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_archive_options options = {
        .path = server->job->archive,
        .clock = emlfs_clock_system(),
    };
    struct emlfs_err lost = {.code = 0};
    int rc;

    rc = emlfs_archive_open(&options, &server->shared.archive, err);
    if (rc < 0)
        return rc;
    rc = emlfs_bindings_new(server->shared.archive, &server->shared.bindings);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "account bindings");
    if (fs_index_open(&server->shared, &lost) < 0)
        fs_log_text(server->shared.log, LOG_ERR, "without searches: %s", lost.text);
    return server_rules(server, err);
}

__attribute__((format(printf, 2, 0))) static void fuse_log_to_syslog(enum fuse_log_level level,
                                                                     const char *fmt, va_list args)
{
    vsyslog((int)level, fmt, args);
}

/*
 * Let go of the terminal: from here on messages go to syslog. Before anything that starts workers,
 * which may keep the standard error they are given.
 */
static void leave_terminal(void)
{
    int fd = open("/dev/null", O_RDWR);

    fuse_set_log_func(fuse_log_to_syslog);
    if (fd < 0)
        return;
    for (int std = 0; std <= 2; std++)
        (void)dup2(fd, std);
    if (fd > 2)
        (void)close(fd);
}

static int server_first(struct server *server, struct emlfs_err *err)
{
    const struct mount_session_start start = {
        .shared = &server->shared,
        .job = server->job,
        .by = {.uid = getuid(), .gid = getgid()},
        .life_fd = -1,
        .wake_fd = server->wake_fd,
    };
    struct mount_session *session;
    int rc;

    rc = past_make(server, server->job, NULL, err);
    if (rc == 0)
        rc = mount_make(server->job, err);
    if (rc < 0) {
        past_drop(server->job);
        return rc;
    }
    if (!server->job->foreground)
        leave_terminal();
    server->shared.staging = fs_staging_start(&server->shared);
    rc = mount_session_new(&start, &session, err);
    server->job->fd = -1;
    server->job->past = NULL;
    if (rc < 0) {
        mount_undo(server->job);
        return rc;
    }
    server->job->made = false;
    emlfs_archive_subscribe(server->shared.archive, server_notice, server);
    pthread_mutex_lock(&server->lock);
    session_add(server, session);
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static int server_threads(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_control_options options = {
        .archive = server->shared.archive,
        .bindings = server->shared.bindings,
        .rules = server->shared.rules,
        .index = server->shared.index,
        .saved = server->shared.saved,
        .unmount = server_unmount,
        .mount_status = server_mount_status,
        .private_names = server_private_names,
        .ending = server_ending,
        .mount_ask = server_mount_ask,
        .mount_take = server_mount_take,
        .arg = server,
    };
    int rc;

    rc = fs_tick_start(&server->shared, &server->tick);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "starting threads");
    if (server->shared.index) {
        rc = emlfs_index_follow(server->shared.index, err);
        if (rc < 0)
            return rc;
    }
    return emlfs_control_start(&options, &server->control, err);
}

static int server_start(struct server *server, struct emlfs_err *err)
{
    sigset_t signals;
    int rc;

    mount_ending_signals(&signals);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->wake_fd < 0 || server->signal_fd < 0)
        return emlfs_err_sys(err, errno, "mount", "eventfd");
    rc = server_first(server, err);
    return rc < 0 ? rc : server_threads(server, err);
}

/* ---- end */

/* In reverse order of making. */
static int server_close(struct server *server, struct emlfs_err *err)
{
    struct emlfs_err lost = {.code = 0};
    struct mount_session *session;
    struct fs *shared = &server->shared;
    int rc = 0;

    if (server->control)
        emlfs_control_stop(server->control);
    while ((session = session_take(server, true)))
        mount_session_close(session);
    fs_tick_stop(server->tick);
    if (shared->archive)
        emlfs_archive_subscribe(shared->archive, NULL, NULL);
    fs_staging_stop(shared->staging);
    emlfs_rules_close(shared->rules);
    if (fs_index_close(shared, &lost) < 0)
        fs_log_text(shared->log, LOG_WARNING, "closing the index: %s", lost.text);
    if (shared->bindings)
        emlfs_bindings_free(shared->bindings);
    if (shared->archive)
        rc = emlfs_archive_close(shared->archive, err);
    emlfs_os_close(&server->wake_fd);
    emlfs_os_close(&server->signal_fd);
    pthread_mutex_destroy(&server->lock);
    return rc;
}

/* ---- the main thread */

/* What it waits for: signals, ended loops, and those with whom a mount ends. */
static unsigned wait_list(struct server *server, struct pollfd fds[2 + MOUNTS_MAX],
                          struct mount_session *of[2 + MOUNTS_MAX])
{
    unsigned n = 2;

    fds[0] = (struct pollfd){.fd = server->signal_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = server->wake_fd, .events = POLLIN};
    pthread_mutex_lock(&server->lock);
    for (unsigned i = 0; i < server->sessions_n; i++) {
        int life = mount_session_life_fd(server->sessions[i]);

        if (life < 0)
            continue;
        of[n] = server->sessions[i];
        fds[n++] = (struct pollfd){.fd = life, .events = POLLIN};
    }
    pthread_mutex_unlock(&server->lock);
    return n;
}

/* False: a signal says that everything is to end. */
static bool wait_for_news(struct server *server)
{
    struct pollfd fds[2 + MOUNTS_MAX];
    struct mount_session *of[2 + MOUNTS_MAX];
    unsigned n = wait_list(server, fds, of);
    uint64_t woken;

    if (poll(fds, n, -1) < 0)
        return errno == EINTR;
    if (fds[0].revents)
        return false;
    if (fds[1].revents)
        (void)!read(server->wake_fd, &woken, sizeof(woken)); /* told all there is to tell */
    for (unsigned i = 2; i < n; i++)
        if (fds[i].revents)
            mount_session_end(of[i]);
    return true;
}

/* S5 */
static bool last_has_ended(struct server *server)
{
    bool last;

    pthread_mutex_lock(&server->lock);
    last = server->sessions_n == 0 && server->joining_n == 0;
    server->ending = last;
    pthread_mutex_unlock(&server->lock);
    return last;
}

static void server_wait(struct server *server)
{
    struct mount_session *session;

    do {
        while ((session = session_take(server, false)))
            mount_session_close(session);
    } while (!last_has_ended(server) && wait_for_news(server));
    pthread_mutex_lock(&server->lock);
    server->ending = true;
    pthread_mutex_unlock(&server->lock);
    while ((session = session_take(server, true)))
        mount_session_close(session);
}

/* ---- the process */

bool mount_report(struct mount_job *job, int code, const struct emlfs_err *err)
{
    uint8_t byte = (uint8_t)code;
    bool heard;

    if (job->status_fd < 0) {
        if (code != MOUNT_OK)
            (void)fprintf(stderr, "emlfs: %s\n", err->text);
        return true;
    }
    heard = emlfs_os_write_all(job->status_fd, &byte, 1) == 0;
    if (heard && code != MOUNT_OK)
        (void)emlfs_os_write_all(job->status_fd, err->text, strlen(err->text));
    emlfs_os_close(&job->status_fd);
    return heard;
}

void mount_ending_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

/* Keys are in memory: no core, no ptrace; and memory that large reads took goes back. */
static void harden_process(void)
{
    const struct rlimit none = {0, 0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t signals;

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
    umask(077);
    sigaction(SIGPIPE, &ignore, NULL);
    mount_ending_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int server_run(struct server *server)
{
    struct mount_job *job = server->job;
    struct emlfs_err err = {.code = 0};

    if (mount_report(job, MOUNT_OK, &err))
        server_wait(server);
    if (server_close(server, &err) < 0) {
        fs_log_text(server->shared.log, LOG_ERR, "closing %s: %s", job->archive, err.text);
        return MOUNT_SYSTEM;
    }
    return MOUNT_OK;
}

/* Once. -EBUSY: another process has the archive; *ret_code where it ran or failed for good. */
static int serve_here(struct mount_job *job, struct fs_log *log, int *ret_code,
                      struct emlfs_err *err)
{
    struct server server = {.job = job, .shared = {.log = log}, .wake_fd = -1, .signal_fd = -1};
    int rc;

    pthread_mutex_init(&server.lock, NULL);
    rc = server_open(&server, err);
    if (rc == 0)
        rc = server_start(&server, err);
    if (rc == 0) {
        *ret_code = server_run(&server);
        return 0;
    }
    (void)server_close(&server, NULL);
    return rc;
}

/* Served by another process: in the foreground, as long as it is. */
static int serve_there(struct mount_job *job, int life)
{
    struct emlfs_err err = {.code = 0};

    if (!mount_report(job, MOUNT_OK, &err) || !job->foreground)
        return MOUNT_OK;
    int rc = mount_join_wait(life);

    emlfs_os_close(&life);
    return rc < 0 ? MOUNT_SYSTEM : MOUNT_OK;
}

/* Whoever has the archive: a mount process is joined, of anything else the end is waited for. */
static int serve_somewhere(struct mount_job *job, struct fs_log *log, int *ret_code,
                           struct emlfs_err *err)
{
    const int64_t until_ns = emlfs_os_monotonic_ns() + LOCK_WAIT_NS;

    for (;;) {
        int life, rc = mount_join(job, &life, err);

        if (rc == 0) {
            *ret_code = serve_there(job, life);
            return 0;
        }
        if (rc == MOUNT_JOIN_NOBODY) {
            rc = serve_here(job, log, ret_code, err);
            rc = rc == -EBUSY ? -EAGAIN : rc;
        }
        if (rc != -EAGAIN || emlfs_os_monotonic_ns() >= until_ns)
            return rc;
        (void)poll(NULL, 0, AGAIN_MS);
    }
}

int mount_serve(struct mount_job *job)
{
    struct emlfs_err err = {.code = 0};
    struct fs_log *log;
    int code = MOUNT_FAILED;

    harden_process();
    log = fs_log_new(job->foreground);
    if (!log) {
        emlfs_err_set(&err, ENOMEM, "mount", "out of memory");
        mount_report(job, MOUNT_SYSTEM, &err);
        return MOUNT_SYSTEM;
    }
    if (serve_somewhere(job, log, &code, &err) < 0) {
        mount_undo(job);
        code = mount_asof_refused(&err) ? MOUNT_USAGE : MOUNT_FAILED;
        mount_report(job, code, &err);
    }
    fs_log_free(log);
    return code;
}
