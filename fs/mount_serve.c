/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of a mount process.
 *
 * S1  SIGTERM, SIGINT and SIGHUP are blocked before the first thread exists and taken by one thread
 *     with sigwait: no other thread is ever interrupted by them.
 * S2  The threads that call into the kernel (invalidation, read-ahead) are ended while requests are
 *     still answered: they may wait for a page that only an answer releases.
 * S3  Nothing that was acknowledged depends on what is done after the loop.
 * S4  Whatever asks the rules has ended before they are closed, and they before the archive.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/command.h"
#include "fs_internal.h"
#include "fs_loop.h"
#include "mount_asof.h"
#include "mount_protect.h"
#include "mount_serve.h"

#define LOCK_WAIT_MS 15000u
#define THREADS_MAX 10u
#define READ_AHEAD_KB "1024"

struct server {
    struct mount_job *job;
    struct fs fs;
    struct emlfs_archive *past; /* what is shown with asof=, else NULL */
    struct fuse_session *session;
    struct emlfs_control *control;
    struct fs_tick *tick;
    struct mount_protect *protect; /* NULL: mounted for us */
    int64_t since_sec;
    struct fs_loop *loop;
    pthread_t signal_thread;
    bool mounted, signal_running;
    bool recorded;     /* the ledger has MOUNTED, and is to have UNMOUNTED */
    atomic_bool ended; /* the loop has returned */
};

static struct emlfs_archive *shown(const struct server *server)
{
    return server->past ? server->past : server->fs.archive;
}

/* ---- what others ask the mount process */

/* As it is now, after whatever remounts; asking the mount itself could wait for this answer. */
static bool is_read_only(const struct mount_job *job)
{
    struct mount_entry entry;

    if (!job->premounted && mount_table_find(job->mountpoint, &entry) == 0)
        return entry.read_only || entry.super_read_only;
    return job->options.read_only;
}

static int status_fill(struct server *server, struct json_object *to)
{
    const struct mount_job *job = server->job;

    json_object_object_add(to, "mountpoint",
                           json_object_new_string(job->premounted ? "" : job->mountpoint));
    json_object_object_add(to, "since_sec", json_object_new_int64(server->since_sec));
    json_object_object_add(to, "read_only", json_object_new_boolean(is_read_only(job)));
    json_object_object_add(to, "strict_root", json_object_new_boolean(job->options.strict_root));
    json_object_object_add(to, "prefetch", json_object_new_boolean(!job->options.noprefetch));
    return 0;
}

static int server_mount_status(void *arg, struct json_object *ret)
{
    return status_fill(arg, ret);
}

static void status_prefetch(struct server *server, struct json_object *to)
{
    struct fs_prefetch_counts counts;
    struct json_object *row;

    if (!server->fs.prefetch)
        return;
    fs_prefetch_counts(server->fs.prefetch, &counts);
    row = json_object_new_object();
    json_object_object_add(row, "jobs", json_object_new_uint64(counts.jobs));
    json_object_object_add(row, "pushed", json_object_new_uint64(counts.pushed));
    json_object_object_add(row, "pushed_bytes", json_object_new_uint64(counts.pushed_bytes));
    json_object_object_add(row, "dropped", json_object_new_uint64(counts.dropped));
    json_object_object_add(to, "read_ahead", row);
}

/* .emlfs/status.json: for everybody, so nothing in it tells of anybody's mail. */
static int server_status(void *arg, struct emlfs_buf *ret_json)
{
    struct server *server = arg;
    struct emlfs_archive *archive = server->fs.archive;
    struct json_object *root = json_object_new_object();
    const char *text;
    int rc;

    if (!root)
        return -ENOMEM;
    json_object_object_add(root, "version", json_object_new_string(EMLFS_VERSION));
    json_object_object_add(root, "name", json_object_new_string(emlfs_archive_name(archive)));
    json_object_object_add(root, "uuid", json_object_new_string(emlfs_archive_uuid(archive)));
    json_object_object_add(root, "pid", json_object_new_int64(getpid()));
    status_fill(server, root);
    status_prefetch(server, root);
    fs_index_status(&server->fs, root);
    text = json_object_to_json_string_ext(root,
                                          JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    rc = text ? emlfs_buf_append(ret_json, text, strlen(text)) : -ENOMEM;
    if (rc == 0)
        rc = emlfs_buf_append_u8(ret_json, '\n');
    json_object_put(root);
    return rc;
}

static int server_unmount(void *arg, const struct emlfs_subject *subject, struct emlfs_err *err)
{
    const struct emlfs_target system = {.kind = EMLFS_OBJECT_SYSTEM};
    struct server *server = arg;

    if (subject->uid != geteuid() &&
        emlfs_rules_check(server->fs.rules, subject, &system, EMLFS_CALL_COMMAND, err) < 0)
        return emlfs_err_set(err, EACCES, "mount", "only an administrator may unmount");
    if (server->job->premounted)
        return emlfs_err_set(err, EPERM, "mount",
                             "this mount was made by mount(8) and is ended by umount(8)");
    return mount_detach(server->job->mountpoint, false, err);
}

/* ---- start */

static int server_rules(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_rules_options options = {
        .archive = server->fs.archive,
        .bindings = server->fs.bindings,
        .index = server->fs.index,
        .private_names = server->job->options.private_names,
        .read_only = server->job->options.read_only,
    };

    return emlfs_rules_open(&options, &server->fs.rules, err);
}

static int server_view(struct server *server, struct emlfs_err *err)
{
    const struct mount_options *options = &server->job->options;
    struct emlfs_view_options view = {
        .archive = shown(server),
        .bindings = server->fs.bindings,
        .rules = server->fs.rules,
        .private_names = options->private_names,
        .strict_root = options->strict_root,
        .retention_atime = options->retention_atime,
        .acl = options->acl,
        .xattr = options->xattr,
        .status = server_status,
        .status_arg = server,
    };

    if (!options->no_searches) {
        view.index = server->fs.index;
        view.saved = server->fs.saved;
    }
    return emlfs_view_new(&view, &server->fs.view, err);
}

static int server_open(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_archive_options options = {
        .path = server->job->archive,
        .lock_wait_ms = LOCK_WAIT_MS,
        .clock = emlfs_clock_system(),
    };
    struct emlfs_err lost = {.code = 0};
    int rc;

    rc = emlfs_archive_open(&options, &server->fs.archive, err);
    if (rc < 0)
        return rc;
    rc = emlfs_bindings_new(server->fs.archive, &server->fs.bindings);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "account bindings");
    if (fs_index_open(&server->fs, &lost) < 0)
        fs_log_text(server->fs.log, LOG_ERR, "without searches: %s", lost.text);
    rc = server_rules(server, err);
    if (rc == 0 && server->job->options.asof[0])
        rc = mount_asof_open(server->fs.archive, server->job->options.asof, server->fs.log,
                             &server->past, err);
    return rc < 0 ? rc : server_view(server, err);
}

static int session_options(const struct mount_job *job, char **ret)
{
    char source[MOUNT_PATH_MAX + 8];

    (void)snprintf(source, sizeof(source), "fsname=%s", job->source);
    if (fuse_opt_add_opt(ret, job->options.read_only ? "ro" : "rw") < 0 ||
        fuse_opt_add_opt(ret, "nosuid,nodev,noexec,allow_other,default_permissions") < 0 ||
        fuse_opt_add_opt(ret, "max_read=1048576,subtype=emlfs") < 0 ||
        fuse_opt_add_opt_escaped(ret, source) < 0)
        return -ENOMEM;
    return 0;
}

static int server_session(struct server *server, struct emlfs_err *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char *options = NULL;
    int rc;

    rc = session_options(server->job, &options);
    if (rc == 0 && (fuse_opt_add_arg(&args, "emlfs") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
                    fuse_opt_add_arg(&args, options) < 0))
        rc = -ENOMEM;
    if (rc == 0)
        server->session = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), &server->fs);
    fuse_opt_free_args(&args);
    free(options);
    if (rc < 0 || !server->session)
        return emlfs_err_set(err, rc < 0 ? ENOMEM : EIO, "mount", "no FUSE session");
    if (fuse_session_mount(server->session, server->job->mountpoint) != 0)
        return emlfs_err_set(err, EIO, "mount", "mounting on %s failed", server->job->mountpoint);
    server->mounted = true;
    return 0;
}

/* The kernel's default of 128 KiB costs eight requests for each that is possible. Needs root. */
static void raise_read_ahead(const struct mount_job *job)
{
    struct mount_entry entry;
    char path[96];
    int fd;

    if (job->premounted || mount_table_find(job->mountpoint, &entry) < 0)
        return;
    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb", entry.device);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)emlfs_os_write_all(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
    (void)close(fd);
}

/* The archive's subscriber. */
static void server_notice(void *arg, struct emlfs_folder_id folder)
{
    struct server *server = arg;

    fs_invalidate_notice(server->fs.invalidate, folder);
    if (folder.v == EMLFS_FOLDER_RULES)
        mount_protect_notice(server->protect);
}

static int server_threads(struct server *server, struct emlfs_err *err)
{
    const struct emlfs_control_options options = {
        .archive = server->fs.archive,
        .bindings = server->fs.bindings,
        .rules = server->fs.rules,
        .index = server->fs.index,
        .saved = server->fs.saved,
        .unmount = server_unmount,
        .mount_status = server_mount_status,
        .arg = server,
    };
    int rc;

    rc = fs_invalidate_start(server->session, shown(server), &server->fs.invalidate);
    if (rc == 0 && !server->job->options.noprefetch)
        rc = fs_prefetch_start(server->session, shown(server), &server->fs.prefetch);
    if (rc == 0 && server->fs.index)
        rc = fs_search_start(&server->fs.search);
    if (rc == 0)
        rc = fs_tick_start(&server->fs, &server->tick);
    if (rc == 0 && !server->job->premounted)
        rc = mount_protect_start(server->fs.archive, server->job->mountpoint, &server->protect);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "starting threads");
    if (server->fs.index) {
        rc = emlfs_index_follow(server->fs.index, err);
        if (rc < 0)
            return rc;
    }
    emlfs_archive_subscribe(server->fs.archive, server_notice, server);
    mount_protect_notice(server->protect); /* of what came between */
    return emlfs_control_start(&options, &server->control, err);
}

/* ---- end */

static void ending_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

/* Wait for an ending signal; SIGTERM comes from server_close too, when the loop has ended by
 * itself. */
static void *signal_run(void *arg)
{
    struct server *server = arg;
    sigset_t signals;
    int signo;

    ending_signals(&signals);
    sigwait(&signals, &signo);
    if (!atomic_load(&server->ended)) {
        mount_protect_stop(server->protect);
        fs_prefetch_stop(server->fs.prefetch);
        fs_invalidate_stop(server->fs.invalidate);
        fs_loop_end(server->loop);
    }
    return NULL;
}

static int server_signals(struct server *server, struct emlfs_err *err)
{
    int rc = fs_loop_new(server->session, &server->loop);

    if (rc == 0)
        rc = -pthread_create(&server->signal_thread, NULL, signal_run, server);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "starting threads");
    server->signal_running = true;
    return 0;
}

/* What stands in the ledger about the mount itself; not being able to write it stops no reading. */
static bool server_record(struct server *server, enum emlfs_ledger_kind kind)
{
    const struct mount_job *job = server->job;
    const struct emlfs_actor actor = {
        .uid = getuid(), .source = EMLFS_LEDGER_MOUNT, .admin = getuid() == 0};
    struct emlfs_ledger_record record = {
        .kind = (uint16_t)kind,
        .name =
            emlfs_span_of(job->mountpoint, strnlen(job->mountpoint, EMLFS_LEDGER_NAME_MAX_BYTES)),
    };
    struct emlfs_err err = {.code = 0};
    char asof[EMLFS_TEXT_TIME_MAX];

    mount_asof_text(shown(server), asof);
    record.detail = emlfs_span_str(asof);
    if (emlfs_archive_record(server->fs.archive, &actor, &record, &err) == 0)
        return true;
    fs_log_text(server->fs.log, LOG_ERR, "the ledger does not take the record: %s", err.text);
    return false;
}

/* In reverse order of making. */
static int server_close(struct server *server, struct emlfs_err *err)
{
    struct emlfs_err lost = {.code = 0};
    int rc = 0;

    atomic_store(&server->ended, true);
    if (server->signal_running) {
        pthread_kill(server->signal_thread, SIGTERM);
        pthread_join(server->signal_thread, NULL);
    }
    mount_protect_stop(server->protect);
    if (server->fs.prefetch)
        fs_prefetch_stop(server->fs.prefetch);
    if (server->fs.invalidate)
        fs_invalidate_stop(server->fs.invalidate);
    fs_search_stop(server->fs.search);
    if (server->mounted)
        fuse_session_unmount(server->session);
    if (server->control)
        emlfs_control_stop(server->control);
    fs_tick_stop(server->tick);
    if (server->fs.archive)
        emlfs_archive_subscribe(server->fs.archive, NULL, NULL);
    fs_loop_free(server->loop);
    if (server->session)
        fuse_session_destroy(server->session);
    emlfs_view_free(server->fs.view);
    if (server->recorded)
        (void)server_record(server, EMLFS_LEDGER_UNMOUNTED);
    (void)emlfs_archive_close(server->past, NULL);
    emlfs_rules_close(server->fs.rules);
    if (fs_index_close(&server->fs, &lost) < 0)
        fs_log_text(server->fs.log, LOG_WARNING, "closing the index: %s", lost.text);
    if (server->fs.bindings)
        emlfs_bindings_free(server->fs.bindings);
    if (server->fs.archive)
        rc = emlfs_archive_close(server->fs.archive, err);
    mount_protect_free(server->protect);
    fs_prefetch_free(server->fs.prefetch);
    fs_invalidate_free(server->fs.invalidate);
    return rc;
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
    ending_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

__attribute__((format(printf, 2, 0))) static void fuse_log_to_syslog(enum fuse_log_level level,
                                                                     const char *fmt, va_list args)
{
    vsyslog((int)level, fmt, args);
}

/* Let go of the terminal: from here on messages go to syslog. */
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

static int server_start(struct server *server, struct emlfs_err *err)
{
    int rc;

    rc = server_open(server, err);
    if (rc == 0)
        rc = server_session(server, err);
    if (rc == 0)
        rc = server_threads(server, err);
    if (rc == 0)
        rc = server_signals(server, err);
    if (rc == 0)
        raise_read_ahead(server->job);
    return rc;
}

static int server_run(struct server *server)
{
    struct mount_job *job = server->job;
    struct emlfs_err err = {.code = 0};

    if (!job->foreground)
        leave_terminal();
    server->recorded = server_record(server, EMLFS_LEDGER_MOUNTED);
    if (mount_report(job, MOUNT_OK, &err)) {
        fs_log_text(server->fs.log, LOG_INFO, "%s mounted on %s", job->source, job->mountpoint);
        fs_loop_run(server->loop, THREADS_MAX);
    }
    if (server_close(server, &err) < 0) {
        fs_log_text(server->fs.log, LOG_ERR, "closing %s: %s", job->archive, err.text);
        return MOUNT_SYSTEM;
    }
    fs_log_text(server->fs.log, LOG_INFO, "%s unmounted", job->source);
    return MOUNT_OK;
}

int mount_serve(struct mount_job *job)
{
    struct server server = {.job = job, .since_sec = time(NULL)};
    struct emlfs_err err = {.code = 0};
    int code;

    harden_process();
    server.fs.acl = job->options.acl;
    server.fs.xattr = job->options.xattr;
    server.fs.read_only = job->options.read_only;
    server.fs.archive_name_sec = job->options.private_names ? 0.0 : FS_CACHE_SEC;
    server.fs.log = fs_log_new(job->foreground);
    if (!server.fs.log) {
        emlfs_err_set(&err, ENOMEM, "mount", "out of memory");
        mount_report(job, MOUNT_SYSTEM, &err);
        return MOUNT_SYSTEM;
    }
    if (server_start(&server, &err) < 0) {
        (void)server_close(&server, NULL);
        code = mount_asof_refused(&err) ? MOUNT_USAGE : MOUNT_FAILED;
        mount_report(job, code, &err);
    } else {
        code = server_run(&server);
    }
    fs_log_free(server.fs.log);
    return code;
}
