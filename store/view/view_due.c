/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * .emlfs/due/: what policies delete on each day of the coming year.
 *
 * U1  A day is a UTC day. What was due before today stands under today: it goes with the next run.
 * U2  A list is cut where it would exceed its maximum, and its last line says how much is missing.
 * U3  An office opens no mail: a message that the caller may not read stands here by its user
 *     archive and id, without the folder and the name, which says who wrote what.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "emlfs/rules_change.h"
#include "view_govern.h"

#define NS_PER_SEC 1000000000ll
#define DAY_SEC 86400ll
#define POLICIES_MAX 256u
#define PATH_DEPTH_MAX 64u
#define PATH_MAX_BYTES 2048u
#define PLACE_MAX_BYTES (PATH_MAX_BYTES + EMLFS_NAME_MAX_BYTES + 1)
#define LINE_MAX_BYTES 4096u

uint32_t view_due_today(struct emlfs_view *view)
{
    int64_t now_ns = emlfs_archive_now_ns(view->options.archive);

    return now_ns > 0 ? (uint32_t)(now_ns / NS_PER_SEC / DAY_SEC) : 0;
}

void view_due_name(uint32_t day, char ret_name[VIEW_DUE_NAME_MAX])
{
    time_t sec = (time_t)(day * DAY_SEC);
    struct tm tm;

    ret_name[0] = '\0';
    if (gmtime_r(&sec, &tm))
        (void)strftime(ret_name, VIEW_DUE_NAME_MAX, "%Y-%m-%d.txt", &tm);
}

bool view_due_parse(struct emlfs_view *view, const char *name, uint32_t *ret_day)
{
    uint32_t today = view_due_today(view);
    char here[VIEW_DUE_NAME_MAX];

    for (uint32_t day = today; day < today + VIEW_DUE_DAYS; day++) {
        view_due_name(day, here);
        if (strcmp(here, name) == 0) {
            *ret_day = day;
            return true;
        }
    }
    return false;
}

/* U1: counted from today; VIEW_DUE_DAYS or more: later. */
static uint64_t day_of(uint32_t today, int64_t sec)
{
    int64_t day = sec < 0 ? 0 : sec / DAY_SEC;

    return day > today ? (uint64_t)(day - today) : 0;
}

/* ---- which days */

static int days_each(void *arg, const struct emlfs_due *due)
{
    struct view_due_days *days = arg;
    uint64_t day = day_of(days->first, due->latest_sec);

    if (day < VIEW_DUE_DAYS)
        days->has[day] = true;
    return 0;
}

int view_due_find(struct emlfs_view *view, const atomic_bool *cancel, struct view_due_days *ret,
                  struct emlfs_err *err)
{
    const struct emlfs_progress progress = {.cancel = cancel};
    int64_t until_sec;

    *ret = (struct view_due_days){.first = view_due_today(view)};
    until_sec = ((int64_t)ret->first + VIEW_DUE_DAYS) * DAY_SEC;
    return view_errno(
        emlfs_rules_due(view->options.rules, until_sec, days_each, ret, &progress, err));
}

/* ---- the list of one day */

struct due_policy {
    uint32_t id;
    char name[EMLFS_POLICY_NAME_MAX_BYTES + 1];
};
struct due_list {
    struct emlfs_view *view;
    const struct emlfs_subject *subject;
    struct emlfs_buf *out;
    uint32_t today;
    uint64_t day, left_out;
    struct emlfs_folder_id folder; /* whose path this is */
    char path[PATH_MAX_BYTES];
    unsigned policies_n;
    struct due_policy policies[POLICIES_MAX];
};

static int list_policy(void *arg, const struct emlfs_policy *policy)
{
    struct due_list *list = arg;
    struct due_policy *to = &list->policies[list->policies_n];

    if (list->policies_n == POLICIES_MAX)
        return 1;
    to->id = policy->id;
    (void)snprintf(to->name, sizeof(to->name), "%s", policy->name);
    list->policies_n++;
    return 0;
}

static const char *policy_name(const struct due_list *list, uint32_t id)
{
    for (unsigned i = 0; i < list->policies_n; i++)
        if (list->policies[i].id == id)
            return list->policies[i].name;
    return "?";
}

/* From the end of path to its beginning; what does not fit is "...". */
static void list_path(struct due_list *list, struct emlfs_folder_id id)
{
    char path[PATH_MAX_BYTES];
    size_t at = sizeof(path) - 1;
    struct emlfs_folder folder;

    path[at] = '\0';
    for (unsigned depth = 0; id.v && depth < PATH_DEPTH_MAX; depth++, id = folder.parent) {
        size_t len;

        if (emlfs_archive_folder_get(list->view->options.archive, id, &folder, NULL) < 0)
            break;
        len = strlen(folder.name);
        if (len + 5 > at) {
            at -= 4;
            memcpy(path + at, ".../", 4);
            break;
        }
        path[--at] = '/';
        at -= len;
        memcpy(path + at, folder.name, len);
    }
    memcpy(list->path, path + at, sizeof(path) - at);
}

/* U3 */
static void list_place(struct due_list *list, const struct emlfs_entry *entry,
                       char ret[PLACE_MAX_BYTES])
{
    const struct emlfs_target target = view_target_message(entry->user, entry->id);
    char id[EMLFS_MSG_ID_TEXT_MAX];
    struct emlfs_user user = {.name = "?"};

    if (view_check(list->view, list->subject, &target, EMLFS_CALL_STAT, NULL) < 0) {
        emlfs_msg_id_format(entry->id, id);
        (void)emlfs_user_by_id(list->view->options.archive, entry->user, &user, NULL);
        (void)snprintf(ret, PLACE_MAX_BYTES, "%s/[%s]", user.name, id);
        return;
    }
    if (entry->folder.v != list->folder.v) {
        list->folder = entry->folder;
        list_path(list, list->folder);
    }
    (void)snprintf(ret, PLACE_MAX_BYTES, "%s%s", list->path, entry->name);
}

static int list_each(void *arg, const struct emlfs_due *due)
{
    struct due_list *list = arg;
    char when[EMLFS_TIME_TEXT_MAX], place[PLACE_MAX_BYTES], line[LINE_MAX_BYTES];
    int n, rc;

    if (day_of(list->today, due->latest_sec) != list->day)
        return 0;
    list_place(list, &due->entry, place);
    emlfs_time_text(due->latest_sec, when);
    n = snprintf(line, sizeof(line), "%s\t%s\t%s%s\n", when, place, policy_name(list, due->policy),
                 due->held ? "\theld" : "");
    if (n < 0 || (size_t)n >= sizeof(line))
        return -EIO;
    rc = list->out->len < VIEW_TEXT_MAX_BYTES - 2 * sizeof(line)
             ? emlfs_buf_append(list->out, line, (size_t)n)
             : -E2BIG;
    if (rc == -E2BIG) {
        list->left_out++;
        return 0;
    }
    return rc;
}

int view_due_text(struct emlfs_view *view, const struct emlfs_subject *subject, uint32_t day,
                  struct emlfs_buf *out, struct emlfs_err *err)
{
    struct due_list list = {
        .view = view, .subject = subject, .out = out, .today = view_due_today(view)};
    char line[64];
    int rc, n;

    if (day < list.today)
        return 0;
    list.day = day - list.today;
    rc = emlfs_rules_policies(view->options.rules, list_policy, &list);
    if (rc >= 0)
        rc = emlfs_rules_due(view->options.rules, ((int64_t)day + 1) * DAY_SEC, list_each, &list,
                             NULL, err);
    if (rc < 0 || list.left_out == 0)
        return view_errno(rc);
    n = snprintf(line, sizeof(line), "and %" PRIu64 " more\n", list.left_out);
    return emlfs_buf_append(out, line, (size_t)n);
}
