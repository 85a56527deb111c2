/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of one mount.
 *
 * M1  The threads that call into the kernel (invalidation, read-ahead) are ended while requests are
 *     still answered: they may wait for a page that only an answer releases.
 * M2  Nothing that was acknowledged depends on what is done after the loop.
 * M3  Only the mount that was made for this session is taken away: what somebody mounted above it,
 *     or there later, has another device number.
 */
#include "mount_session.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "fs_loop.h"
#include "mount_asof.h"
#include "mount_protect.h"

#define THREADS_MAX 10u
#define READ_AHEAD_KB "1024"

struct mount_session {
    struct mount_job job;
    struct fs fs;
    struct emlfs_subject by;
    struct emlfs_view_scope scope;
    struct fuse_session *fuse;
    struct mount_protect *protect; /* NULL: mounted for us */
    struct fs_loop *loop;
    pthread_t thread; /* runs the loop */
    bool running, complete;
    char device[32]; /* M3 */
    int64_t since_sec;
    int life_fd, wake_fd;
    bool recorded;     /* the ledger has MOUNTED, and is to have UNMOUNTED */
    bool told;         /* to end */
    atomic_bool ended; /* the loop has returned */
};

/* ---- the mount itself */

static int fuse_options(const struct mount_job *job, char **ret)
{
    char source[MOUNT_PATH_MAX + 8];

    (void)snprintf(source, sizeof(source), "fsname=%s", job->source);
    if (fuse_opt_add_opt(ret, job->options.read_only ? "ro" : "rw") < 0 ||
        fuse_opt_add_opt(ret, "nosuid,nodev,noexec,allow_other,default_permissions") < 0 ||
        fuse_opt_add_opt(ret, "max_read=1048576,subtype=emlfs") < 0 ||
        fuse_opt_add_opt_escaped(ret, source) < 0)
        return -ENOMEM;
    return job->options.debug && fuse_opt_add_opt(ret, "debug") < 0 ? -ENOMEM : 0;
}

static int fuse_make(const struct mount_job *job, struct fs *fs, struct fuse_session **ret,
                     struct emlfs_err *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char *options = NULL;
    int rc;

    *ret = NULL;
    rc = fuse_options(job, &options);
    if (rc == 0 && (fuse_opt_add_arg(&args, "emlfs") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
                    fuse_opt_add_arg(&args, options) < 0))
        rc = -ENOMEM;
    if (rc == 0)
        *ret = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), fs);
    fuse_opt_free_args(&args);
    free(options);
    if (rc < 0 || !*ret)
        return emlfs_err_set(err, rc < 0 ? ENOMEM : EIO, "mount", "no FUSE session");
    return 0;
}

int mount_make(struct mount_job *job, struct emlfs_err *err)
{
    struct fuse_session *maker;
    int rc;

    if (job->fd >= 0)
        return 0;
    rc = fuse_make(job, NULL, &maker, err);
    if (rc < 0)
        return rc;
    if (fuse_session_mount(maker, job->mountpoint) != 0) {
        rc = emlfs_err_set(err, EIO, "mount", "mounting on %s failed", job->mountpoint);
    } else {
        job->fd = fcntl(fuse_session_fd(maker), F_DUPFD_CLOEXEC, 3);
        if (job->fd < 0) {
            rc = emlfs_err_sys(err, errno, "mount", "keeping the mount");
            fuse_session_unmount(maker);
        }
        job->made = job->fd >= 0;
    }
    fuse_session_destroy(maker);
    return rc;
}

void mount_undo(struct mount_job *job)
{
    if (!job->made)
        return;
    job->made = false;
    emlfs_os_close(&job->fd);
    (void)mount_detach(job->mountpoint, true, NULL);
}

/* M3. After the connection was closed, so that nothing waits for an answer. */
static void session_unmount(struct mount_session *session)
{
    struct mount_entry entry;

    if (!session->device[0] || mount_table_find(session->job.mountpoint, &entry) < 0 ||
        strcmp(entry.device, session->device) != 0)
        return;
    (void)mount_detach(session->job.mountpoint, true, NULL);
}

static void session_device(struct mount_session *session)
{
    struct mount_entry entry;

    if (!session->job.premounted && mount_table_find(session->job.mountpoint, &entry) == 0 &&
        mount_entry_is_emlfs(&entry))
        memcpy(session->device, entry.device, sizeof(session->device));
}

/* The kernel's default of 128 KiB costs eight requests for each that is possible. Needs root. */
static void raise_read_ahead(const struct mount_session *session)
{
    char path[96];
    int fd;

    if (!session->device[0])
        return;
    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb", session->device);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)emlfs_os_write_all(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB));
    (void)close(fd);
}

/* ---- what is told of it */

bool mount_is_read_only(const struct mount_job *job)
{
    struct mount_entry entry;

    if (!job->premounted && mount_table_find(job->mountpoint, &entry) == 0)
        return entry.read_only || entry.super_read_only;
    return job->options.read_only;
}

void mount_session_status(struct mount_session *session, struct json_object *to)
{
    const struct mount_job *job = &session->job;
    char asof[EMLFS_TEXT_TIME_MAX];

    mount_asof_text(session->fs.archive, asof);
    if (asof[0])
        json_object_object_add(to, "asof", json_object_new_string(asof));
    json_object_object_add(to, "mountpoint",
                           json_object_new_string(job->premounted ? "" : job->mountpoint));
    json_object_object_add(to, "since_sec", json_object_new_int64(session->since_sec));
    json_object_object_add(to, "read_only", json_object_new_boolean(job->options.read_only));
    json_object_object_add(to, "strict_root", json_object_new_boolean(job->options.strict_root));
    json_object_object_add(to, "prefetch", json_object_new_boolean(!job->options.noprefetch));
}

static void status_prefetch(struct mount_session *session, struct json_object *to)
{
    struct fs_prefetch_counts counts;
    struct json_object *row;

    if (!session->fs.prefetch)
        return;
    fs_prefetch_counts(session->fs.prefetch, &counts);
    row = json_object_new_object();
    json_object_object_add(row, "jobs", json_object_new_uint64(counts.jobs));
    json_object_object_add(row, "pushed", json_object_new_uint64(counts.pushed));
    json_object_object_add(row, "pushed_bytes", json_object_new_uint64(counts.pushed_bytes));
    json_object_object_add(row, "dropped", json_object_new_uint64(counts.dropped));
    json_object_object_add(to, "read_ahead", row);
}

/*
 * .emlfs/status.json: for everybody, so nothing in it tells of anybody's mail, nor where else the
 * archive is mounted.
 */
static int session_status_text(void *arg, struct emlfs_buf *ret_json)
{
    struct mount_session *session = arg;
    struct emlfs_archive *archive = session->fs.archive;
    struct json_object *root = json_object_new_object();
    const char *text;
    int rc;

    if (!root)
        return -ENOMEM;
    json_object_object_add(root, "version", json_object_new_string(EMLFS_VERSION));
    json_object_object_add(root, "name", json_object_new_string(emlfs_archive_name(archive)));
    json_object_object_add(root, "uuid", json_object_new_string(emlfs_archive_uuid(archive)));
    json_object_object_add(root, "pid", json_object_new_int64(getpid()));
    mount_session_status(session, root);
    json_object_object_add(root, "read_only",
                           json_object_new_boolean(mount_is_read_only(&session->job)));
    status_prefetch(session, root);
    fs_index_status(&session->fs, root);
    text = json_object_to_json_string_ext(root,
                                          JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    rc = text ? emlfs_buf_append(ret_json, text, strlen(text)) : -ENOMEM;
    if (rc == 0)
        rc = emlfs_buf_append_u8(ret_json, '\n');
    json_object_put(root);
    return rc;
}

const struct mount_job *mount_session_job(const struct mount_session *session)
{
    return &session->job;
}

int mount_session_life_fd(const struct mount_session *session)
{
    return session->told ? -1 : session->life_fd;
}

const char *mount_session_device(const struct mount_session *session)
{
    return session->device;
}

void mount_session_notice(struct mount_session *session, struct emlfs_folder_id folder)
{
    fs_invalidate_notice(session->fs.invalidate, folder);
    if (folder.v == EMLFS_FOLDER_RULES)
        mount_protect_notice(session->protect);
}

/* What stands in the ledger about the mount; not being able to write it stops no reading. */
static bool session_record(struct mount_session *session, enum emlfs_ledger_kind kind)
{
    const struct mount_job *job = &session->job;
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    char text[MOUNT_OPTIONS_TEXT_MAX + EMLFS_TEXT_TIME_MAX + 16], asof[EMLFS_TEXT_TIME_MAX];
    struct emlfs_ledger_record record = {
        .kind = (uint16_t)kind,
        .name =
            emlfs_span_of(job->mountpoint, strnlen(job->mountpoint, EMLFS_LEDGER_NAME_MAX_BYTES)),
    };
    struct emlfs_err err = {.code = 0};
    struct emlfs_actor actor;
    struct emlfs_who who;

    mount_asof_text(session->fs.archive, asof);
    (void)snprintf(text, sizeof(text), "%s%s%s", job->options_text, asof[0] ? " as of " : "", asof);
    record.detail = emlfs_ledger_detail(emlfs_span_str(text), detail);
    emlfs_rules_who(session->fs.rules, &session->by, &who);
    actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    if (emlfs_archive_record(session->fs.archive, &actor, &record, &err) == 0)
        return true;
    fs_log_text(session->fs.log, LOG_ERR, "the ledger does not take the record: %s", err.text);
    return false;
}

/* ---- start */

static int session_view(struct mount_session *session, struct emlfs_err *err)
{
    const struct mount_options *options = &session->job.options;
    struct emlfs_view_options view = {
        .layout = options->maildir ? EMLFS_LAYOUT_MAILDIR : EMLFS_LAYOUT_TREE,
        .scope = session->scope,
        .archive = session->fs.archive,
        .bindings = session->fs.bindings,
        .rules = session->fs.rules,
        .read_only = options->read_only,
        .private_names = options->private_names,
        .strict_root = options->strict_root,
        .retention_atime = options->retention_atime,
        .acl = options->acl,
        .xattr = options->xattr,
        .status = session_status_text,
        .status_arg = session,
    };

    if (!options->no_searches) {
        view.index = session->fs.index;
        view.saved = session->fs.saved;
    }
    return emlfs_view_new(&view, &session->fs.view, err);
}

/* The connection: libfuse takes it when it is named like this. */
static int session_connect(struct mount_session *session, struct emlfs_err *err)
{
    char name[32];
    int rc;

    rc = fuse_make(&session->job, &session->fs, &session->fuse, err);
    if (rc < 0)
        return rc;
    (void)snprintf(name, sizeof(name), "/dev/fd/%d", session->job.fd);
    if (fuse_session_mount(session->fuse, name) != 0)
        return emlfs_err_set(err, EIO, "mount", "%s is no mount", name);
    session->job.fd = -1; /* it is the FUSE session's */
    return 0;
}

static int session_threads(struct mount_session *session, struct emlfs_err *err)
{
    struct fs *fs = &session->fs;
    int rc;

    rc = fs_invalidate_start(session->fuse, fs, &fs->invalidate);
    if (rc == 0 && !session->job.options.noprefetch)
        rc = fs_prefetch_start(session->fuse, fs->archive, &fs->prefetch);
    if (rc == 0 && fs->index)
        rc = fs_search_start(&fs->search);
    if (rc == 0 && session->device[0])
        rc = mount_protect_start(fs->archive, session->job.mountpoint, &session->protect);
    if (rc == 0)
        rc = fs_loop_new(session->fuse, &session->loop);
    return rc < 0 ? emlfs_err_sys(err, -rc, "mount", "starting threads") : 0;
}

static void session_over(struct mount_session *session)
{
    const uint64_t one = 1;

    atomic_store(&session->ended, true);
    (void)!write(session->wake_fd, &one, sizeof(one)); /* full: readable already */
}

static void *session_run(void *arg)
{
    struct mount_session *session = arg;

    fs_loop_run(session->loop, THREADS_MAX);
    session_over(session);
    return NULL;
}

static int session_begin(struct mount_session *session, struct emlfs_err *err)
{
    int rc;

    session_device(session);
    rc = mount_scope_find(&session->fs, &session->job.options.scope, &session->by, &session->scope,
                          err);
    session->fs.root = session->scope.root;
    if (rc == 0)
        rc = session_view(session, err);
    if (rc == 0)
        rc = session_connect(session, err);
    if (rc == 0)
        rc = session_threads(session, err);
    if (rc < 0)
        return rc;
    session->recorded = session_record(session, EMLFS_LEDGER_MOUNTED);
    raise_read_ahead(session);
    return 0;
}

void mount_session_run(struct mount_session *session)
{
    session->running = pthread_create(&session->thread, NULL, session_run, session) == 0;
    if (!session->running) {
        fs_log_text(session->fs.log, LOG_ERR, "no thread for %s", session->job.mountpoint);
        session_over(session);
    }
    mount_protect_notice(session->protect); /* of what came before */
}

int mount_session_new(const struct mount_session_start *start, struct mount_session **ret,
                      struct emlfs_err *err)
{
    struct mount_session *session = calloc(1, sizeof(*session));
    const struct mount_options *options = &start->job->options;
    int rc;

    if (!session) {
        int fd = start->job->fd;

        emlfs_os_close(&fd);
        (void)emlfs_archive_close(start->job->past, NULL);
        return emlfs_err_set(err, ENOMEM, "mount", "out of memory");
    }
    session->job = *start->job;
    session->fs = *start->shared;
    if (session->job.past) {
        session->fs.archive = session->job.past;
        session->fs.index = NULL;
        session->fs.saved = NULL;
    }
    session->by = start->by;
    session->since_sec = time(NULL);
    session->life_fd = -1;
    session->wake_fd = start->wake_fd;
    session->fs.maildir = options->maildir;
    session->fs.acl = options->acl;
    session->fs.xattr = options->xattr;
    if (options->read_only || options->maildir || options->scope.store[0])
        session->fs.staging = NULL;
    session->fs.archive_name_sec = options->private_names ? 0.0 : FS_CACHE_SEC;
    rc = session_begin(session, err);
    if (rc < 0) {
        mount_session_close(session);
        return rc;
    }
    session->complete = true;
    session->life_fd = start->life_fd;
    fs_log_text(session->fs.log, LOG_INFO, "%s mounted on %s", session->job.source,
                session->job.mountpoint);
    *ret = session;
    return 0;
}

/* ---- end */

bool mount_session_ended(const struct mount_session *session)
{
    return atomic_load(&session->ended);
}

bool mount_session_is_cut(const struct mount_session *session)
{
    struct pollfd fd = {.fd = fuse_session_fd(session->fuse)};

    return mount_session_ended(session) || (poll(&fd, 1, 0) > 0 && (fd.revents & POLLERR));
}

/* M1 */
void mount_session_end(struct mount_session *session)
{
    if (session->told)
        return;
    session->told = true;
    mount_protect_stop(session->protect);
    if (session->fs.prefetch)
        fs_prefetch_stop(session->fs.prefetch);
    if (session->fs.invalidate)
        fs_invalidate_stop(session->fs.invalidate);
    if (session->running)
        fs_loop_end(session->loop);
}

void mount_session_close(struct mount_session *session)
{
    mount_session_end(session);
    if (session->running)
        pthread_join(session->thread, NULL);
    fs_search_stop(session->fs.search);
    fs_loop_free(session->loop);
    if (session->fuse)
        fuse_session_destroy(session->fuse);
    fs_staged_end(&session->fs);
    emlfs_os_close(&session->job.fd);
    if (session->complete)
        session_unmount(session);
    emlfs_view_free(session->fs.view);
    if (session->recorded)
        (void)session_record(session, EMLFS_LEDGER_UNMOUNTED);
    mount_protect_free(session->protect);
    fs_prefetch_free(session->fs.prefetch);
    fs_invalidate_free(session->fs.invalidate);
    (void)emlfs_archive_close(session->job.past, NULL);
    if (session->complete)
        fs_log_text(session->fs.log, LOG_INFO, "%s unmounted from %s", session->job.source,
                    session->job.mountpoint);
    emlfs_os_close(&session->life_fd);
    free(session);
}
