/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which entry of which message a command means. A message may be filed in many folders; the path
 * that was given names one of them, --user narrows it to a user archive, and otherwise the caller's
 * own archive is meant.
 */
#include "handlers.h"

#include <stdlib.h>

#include "emlfs/feed.h"
#include "emlfs/text.h"

#define PATH_BYTES (1u << 20)

/* ---- the path that was given */

/* Where the message was said to be: a run of folder names without ".", ".." and mount point. */
struct place_said {
    const char *dir; /* borrowed; len 0: nothing was said */
    size_t len;
    bool view; /* below Searches, Holds, .query or .emlfs, where nothing is filed */
};

static bool name_is(const char *name, size_t len, const char *other)
{
    return strlen(other) == len && memcmp(name, other, len) == 0;
}

static struct place_said place_read(const char *text)
{
    static const char *const views[] = {"Searches", "Holds", ".query", ".emlfs"};
    const char *end = strrchr(text, '/');
    struct place_said said = {.dir = text, .len = end ? (size_t)(end - text) : 0};

    for (const char *at = text; end && at < end;) {
        size_t len = strcspn(at, "/");

        for (unsigned i = 0; i < sizeof(views) / sizeof(views[0]); i++)
            said.view = said.view || name_is(at, len, views[i]);
        at += len + (at[len] == '/');
        /* What stands before it says nothing any more. */
        if (len == 0 || name_is(at - len - 1, len, ".") || name_is(at - len - 1, len, "..")) {
            said.dir = at < end ? at : end;
            said.len = (size_t)(end - said.dir);
        }
    }
    while (said.len > 0 && said.dir[said.len - 1] == '/')
        said.len--;
    return said;
}

/* One of both is the end of the other: the path begins with a mount point, or inside it. */
static bool place_fits(const struct place_said *said, struct emlfs_span folder)
{
    const char *dir = said->dir, *path = (const char *)folder.data;
    size_t dir_len = said->len, path_len = folder.len;

    if (dir_len > path_len) {
        dir += dir_len - path_len;
        return memcmp(dir, path, path_len) == 0 && dir[-1] == '/';
    }
    path += path_len - dir_len;
    return memcmp(dir, path, dir_len) == 0 && (dir_len == path_len || path[-1] == '/');
}

/* ---- choosing */

struct choice {
    struct emlfs_call *call;
    const struct emlfs_target_ask *ask;
    struct emlfs_msg_id id;
    struct place_said said;
    struct emlfs_user_id own;    /* the caller's archive user; 0: none */
    struct emlfs_user_id wanted; /* --user; 0: not given */
    struct emlfs_filing best;
    unsigned fitting; /* filings that could be meant as well as best; 0: none */
    unsigned rank;    /* how well best fits */
    int refused;      /* of the first filing that the caller may not see: -errno; 0: none */
    struct emlfs_user_id unseen; /* whose that is */
};

static bool filing_known(struct choice *choice, const struct emlfs_filing *filing)
{
    struct emlfs_target target = {.kind = EMLFS_OBJECT_MESSAGE,
                                  .user = filing->user,
                                  .store_no = emlfs_msg_id_store(choice->id)};

    int r = emlfs_rules_check(choice->call->rules, &choice->call->subject, &target,
                              choice->ask->call, NULL);

    if (r < 0 && choice->refused == 0 &&
        (!choice->wanted.v || choice->wanted.v == filing->user.v)) {
        choice->refused = r;
        choice->unseen = filing->user;
    }
    return r == 0;
}

/* 0: not meant. */
static int filing_rank(struct choice *choice, const struct emlfs_filing *filing, unsigned *ret,
                       struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_BYTES);
    bool own = filing->user.v == choice->own.v;
    int r = 0;

    *ret = 0;
    if (choice->wanted.v ? filing->user.v != choice->wanted.v : false)
        return 0;
    if (choice->said.len > 0 && !choice->said.view) {
        r = emlfs_folder_path(choice->call->archive, filing->folder, &path, err);
        if (r == 0 && place_fits(&choice->said, emlfs_buf_view(&path)))
            *ret = own ? 4 : 3;
        else if (r == 0 && !choice->ask->exact)
            *ret = own ? 2 : 1;
        return r;
    }
    if (own || choice->wanted.v)
        *ret = 2;
    else if (!choice->ask->exact)
        *ret = 1;
    return 0;
}

static int choice_make(struct choice *choice, const struct emlfs_filing *filings, unsigned n,
                       struct emlfs_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned rank = 0;
        int r = 0;

        if (filing_known(choice, &filings[i]))
            r = filing_rank(choice, &filings[i], &rank, err);
        if (r < 0)
            return r;
        if (rank > choice->rank) {
            choice->best = filings[i];
            choice->rank = rank;
            choice->fitting = 1;
        } else if (rank > 0 && rank == choice->rank) {
            choice->fitting++;
        }
    }
    return 0;
}

/*
 * Of a message that is there, for one who may not know. EACCES is recorded by who runs the command,
 * except where that is for many messages (exact).
 */
static void refusal_record(const struct choice *choice)
{
    if (choice->refused != -EACCES || choice->ask->exact)
        emlfs_call_unseen(choice->call, choice->unseen, choice->id, -choice->refused);
}

static int choice_judge(const struct choice *choice, struct emlfs_err *err)
{
    const struct emlfs_target_ask *ask = choice->ask;

    if (choice->fitting == 0 && choice->refused < 0)
        refusal_record(choice);
    if (choice->fitting == 0 && choice->refused == -EACCES)
        return emlfs_message_missing(ask->message, choice->refused, err);
    if (choice->fitting == 0 && ask->exact && !choice->wanted.v && choice->said.len == 0)
        return emlfs_err_set(err, ENOENT, "message",
                             "%s: not filed in your archive; --user names another", ask->message);
    if (choice->fitting == 0)
        return emlfs_err_set(err, ENOENT, "message", "%s: no such message that you may see",
                             ask->message);
    if (choice->fitting > 1 && ask->exact)
        return emlfs_err_set(err, EINVAL, "message",
                             "%s is filed in %u folders: give the path of the one that is meant",
                             ask->message, choice->fitting);
    return 0;
}

/* The entry of a filing, by the place of its id in the folder. */
static int entry_read(struct emlfs_call *call, const struct choice *choice, struct emlfs_entry *ret,
                      struct emlfs_err *err)
{
    struct emlfs_entry_page page = {
        .folder = choice->best.folder, .after = {choice->id.v - 1}, .v = ret, .max = 1};
    int r = emlfs_archive_entries(call->archive, &page, err);

    if (r == 0 && (page.n == 0 || ret->id.v != choice->id.v))
        r = emlfs_err_set(err, ENOENT, "message", "%s: it was moved or deleted just now",
                          choice->ask->message);
    return r;
}

static int wanted_user(struct choice *choice, struct emlfs_err *err)
{
    struct emlfs_user user;
    int r;

    if (!choice->ask->user)
        return 0;
    r = emlfs_user_by_name(choice->call->archive, choice->ask->user, &user, err);
    if (r == -ENOENT) /* as for one that is there: names of user archives may be private */
        return emlfs_err_set(err, ENOENT, "message", "%s: no such message that you may see",
                             choice->ask->message);
    choice->wanted = r == 0 ? user.id : (struct emlfs_user_id){0};
    return r;
}

int emlfs_target_find(struct emlfs_call *call, const struct emlfs_target_ask *ask,
                      struct emlfs_entry *ret, struct emlfs_buf *ret_path, struct emlfs_err *err)
{
    struct choice choice = {.call = call, .ask = ask, .said = place_read(ask->message)};
    struct emlfs_filing *filings = calloc(EMLFS_FILINGS_MAX, sizeof(*filings));
    unsigned n = 0;
    int r = filings ? 0 : emlfs_err_set(err, ENOMEM, "message", "out of memory");

    if (r == 0)
        r = emlfs_message_id(ask->message, &choice.id, err);
    if (r == 0 && ask->exact && choice.said.view)
        r = emlfs_err_set(err, EROFS, "message",
                          "%s: a view shows it; give the path of the folder it is filed in",
                          ask->message);
    if (r == 0)
        r = wanted_user(&choice, err);
    if (r == 0) {
        choice.own = call->who.access.user;
        r = emlfs_archive_filings(call->archive, choice.id, filings, EMLFS_FILINGS_MAX, &n, err);
        r = r == -ENOENT ? 0 : r;
    }
    if (r == 0)
        r = choice_make(&choice, filings, n, err);
    if (r == 0)
        r = choice_judge(&choice, err);
    if (r == 0)
        r = entry_read(call, &choice, ret, err);
    emlfs_buf_clear(ret_path);
    if (r == 0)
        r = emlfs_folder_path(call->archive, ret->folder, ret_path, err);
    if (r == 0 && emlfs_text_printf(ret_path, "/%s", ret->name) < 0)
        r = emlfs_err_set(err, ENOMEM, "message", "out of memory");
    free(filings);
    return r;
}
