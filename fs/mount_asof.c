/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mount_asof.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "fs_internal.h"

#define MODULE "asof"
#define SAY_NS INT64_C(2000000000)

void mount_asof_say(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct mount_asof_saying *saying = arg;
    const int64_t now_ns = emlfs_os_monotonic_ns();
    char count[32], all[32];

    (void)phase; /* there is one */

    if (now_ns - saying->said_ns < SAY_NS || !isatty(STDERR_FILENO))
        return;
    saying->said_ns = now_ns;
    emlfs_text_size(done, count);
    emlfs_text_size(total, all);
    (void)fprintf(stderr, "emlfs: the archive as it stood: %s of %s read\n", count, all);
}

static void log_finding(void *arg, const struct emlfs_err *finding)
{
    fs_log_text(arg, LOG_ERR, "as of a time: %s", finding->text);
}

int mount_asof_open(const struct mount_asof *asof, struct emlfs_archive **ret,
                    struct emlfs_err *err)
{
    struct mount_asof_saying saying = {.said_ns = emlfs_os_monotonic_ns()};
    const struct emlfs_progress say = {.step = mount_asof_say, .arg = &saying};
    struct emlfs_asof_options options = {
        .live = asof->live,
        .progress = asof->progress ? asof->progress : &say,
        .finding = log_finding,
        .arg = asof->log,
    };
    const char *zone = emlfs_archive_get_settings(asof->live)->timezone;
    struct emlfs_err why = {.code = 0};
    int rc = emlfs_text_asof_parse(asof->date, zone, &options.time_ns);

    if (rc < 0)
        return emlfs_err_set(err, EINVAL, MODULE, "option asof=%s: no such date", asof->date);
    rc = emlfs_asof_open(&options, ret, &why);
    return rc < 0 ? emlfs_err_set(err, -rc, MODULE, "option asof=%s: %.400s", asof->date, why.text)
                  : 0;
}

bool mount_asof_refused(const struct emlfs_err *err)
{
    return err->code == EINVAL && strcmp(err->module, MODULE) == 0;
}

void mount_asof_text(const struct emlfs_archive *archive, char ret[EMLFS_TEXT_TIME_MAX])
{
    int64_t time_ns;

    ret[0] = '\0';
    if (emlfs_asof_is(archive, &time_ns))
        emlfs_text_time(time_ns, ret);
}
