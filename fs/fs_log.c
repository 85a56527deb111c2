/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "fs_internal.h"

#define LOG_REMEMBERED 1024u

/* seen: nodes whose damage was written; the oldest is forgotten first. */
struct fs_log {
    bool foreground;
    pthread_mutex_t lock;
    unsigned n;
    emlfs_node seen[LOG_REMEMBERED];
};

struct fs_log *fs_log_new(bool foreground)
{
    struct fs_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->foreground = foreground;
    pthread_mutex_init(&log->lock, NULL);
    if (!foreground)
        openlog("emlfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    return log;
}

void fs_log_free(struct fs_log *log)
{
    if (!log)
        return;
    if (!log->foreground)
        closelog();
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void fs_log_text(struct fs_log *log, int priority, const char *fmt, ...)
{
    char text[640];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (log->foreground)
        (void)fprintf(stderr, "emlfs: %s\n", text);
    else
        syslog(priority, "%s", text);
}

static bool log_first_time(struct fs_log *log, emlfs_node node)
{
    unsigned have = log->n < LOG_REMEMBERED ? log->n : LOG_REMEMBERED;

    for (unsigned i = 0; i < have; i++)
        if (log->seen[i] == node)
            return false;
    log->seen[log->n++ % LOG_REMEMBERED] = node;
    return true;
}

void fs_log_damage(struct fs_log *log, emlfs_node node, const struct emlfs_err *err)
{
    bool first;

    pthread_mutex_lock(&log->lock);
    first = log_first_time(log, node);
    pthread_mutex_unlock(&log->lock);
    if (first)
        fs_log_text(log, LOG_ERR, "inode %llu: %s: %s", (unsigned long long)node,
                    err->code ? err->module : "fs", err->code ? err->text : "input/output error");
}
