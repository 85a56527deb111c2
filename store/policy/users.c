/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Archive users, kept as master rows.
 *
 *   U1  Ids begin at 1, grow and are never used again: a row is never deleted once its user exists.
 *   U2  Names are unique ignoring case, removed users included: a name is also a directory.
 *   U3  A row without a top folder is a reservation. It holds its id and name and is no user yet.
 *   U4  The row decides. A top folder has the name its user's row has, or gets it when settled.
 *   U5  At least one user who is not removed is an administrator, once there was one.
 *   U6  A row of a user is written with its record. A reservation is none yet, so it has none.
 *   U7  What a change was checked against is still so when it is written: the generation of the
 *       rules is compared under the write lock, and the whole change begins anew when it moved.
 *
 * Adding: reservation, folder, row with the folder and the record. Renaming: row, folder. A crash
 * in between leaves a reservation or a folder with its old name. Neither gives anybody a right; the
 * next emlfs_user_add, _rename or emlfs_bindings_new settles it.
 *
 * Not responsible for: two who add or rename at the same time (policy.h), and who may do it.
 */
#include <stdlib.h>
#include <string.h>

#include "bindings.h"
#include "emlfs/change.h"
#include "emlfs/name.h"
#include "emlfs/rights.h"
#include "policy_internal.h"
#include "users.h"

#define FOLDED_MAX_BYTES 1024u
#define ROWS_MAX_BYTES ((size_t)UINT16_MAX * EMLFS_USER_ROW_MAX_BYTES)
#define ATTEMPTS_MAX 100u /* each further one needs a change of the rules during the one before */

/* What is needed of each user at once; the rest stays in its row. */
struct user_line {
    struct emlfs_user_id id;
    struct emlfs_folder_id archive;
    uint32_t flags;
    char name[EMLFS_USER_NAME_MAX_BYTES + 1];
    size_t at, len; /* of the row */
};
/* Every row, reservations included, in id order. */
struct user_list {
    uint64_t generation; /* of the rules, before they were read */
    struct user_line *users;
    size_t n;
    size_t cap;
    struct emlfs_buf rows;
};

static void list_free(struct user_list *list)
{
    free(list->users);
    emlfs_buf_free(&list->rows);
    *list = (struct user_list){0};
}
#define USER_LIST_CLEANUP __attribute__((cleanup(list_free)))

static bool user_exists(const struct user_line *user)
{
    return user->archive.v != 0;
}

static void line_set(struct user_line *line, const struct emlfs_user *user)
{
    line->id = user->id;
    line->archive = user->archive;
    line->flags = user->flags;
    memcpy(line->name, user->name, sizeof(line->name));
}

static int list_room(struct user_list *list)
{
    if (list->n < list->cap)
        return 0;
    size_t cap = list->cap ? 2 * list->cap : 16;
    struct user_line *more = reallocarray(list->users, cap, sizeof(*more));
    if (!more)
        return -ENOMEM;
    list->users = more;
    list->cap = cap;
    return 0;
}

static int list_append(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct user_list *list = arg;
    struct emlfs_user user;

    int r = list_room(list);
    if (r == 0)
        r = emlfs_user_decode(key, value, &user);
    if (r < 0)
        return r;
    struct user_line *line = &list->users[list->n];
    *line = (struct user_line){.at = list->rows.len, .len = value.len};
    line_set(line, &user);
    r = emlfs_buf_append(&list->rows, value.data, value.len);
    list->n += r == 0;
    return r;
}

/* The whole of a user, as it was when the list was read. */
static void list_get(const struct user_list *list, const struct user_line *line,
                     struct emlfs_user *ret)
{
    const uint8_t key[2] = {(uint8_t)(line->id.v >> 8), (uint8_t)line->id.v};

    /* It was decoded once. */
    (void)emlfs_user_decode(emlfs_span_of(key, sizeof(key)),
                            emlfs_span_of(list->rows.data + line->at, line->len), ret);
}

static int row_error(int r, struct emlfs_err *err)
{
    if (r == -EUCLEAN)
        return emlfs_err_set(err, EUCLEAN, "policy", "a user row is damaged");
    if (r == -EPROTONOSUPPORT)
        return emlfs_err_set(err, EPROTONOSUPPORT, "policy", "a user row has a newer form");
    return emlfs_err_sys(err, -r, "policy", "cannot read the users");
}

static int list_load(struct emlfs_archive *archive, struct user_list *list, struct emlfs_err *err)
{
    struct emlfs_err inner = {0};

    list_free(list);
    list->rows = EMLFS_BUF_INIT(ROWS_MAX_BYTES);
    list->generation = emlfs_archive_generation(archive);
    int r = emlfs_archive_master_walk(archive, EMLFS_MASTER_USER, list_append, list, &inner);
    if (r == 0)
        return 0;
    if (inner.code == 0)
        return row_error(r, err);
    if (err)
        *err = inner;
    return r;
}

/* ---- writing */

/* A user is changed: by whom, and what the record says of it. */
struct act {
    const struct emlfs_actor *actor;
    enum emlfs_ledger_kind kind;
    const char *detail;
    const struct user_list *seen; /* what the change was checked against; NULL: nothing (U7) */
    const struct emlfs_master_row *also;
};
struct witness {
    struct emlfs_archive *archive;
    uint64_t generation;
    bool moved;
};

static int still_so(void *arg, struct emlfs_err *err)
{
    struct witness *witness = arg;

    witness->moved = emlfs_archive_generation(witness->archive) != witness->generation;
    return witness->moved ? emlfs_err_set(err, EAGAIN, "policy", "the rules changed meanwhile") : 0;
}

static int row_encode(const struct emlfs_user *user, struct emlfs_buf *key, struct emlfs_buf *value,
                      struct emlfs_err *err)
{
    int r = emlfs_buf_append_u16be(key, user->id.v);
    if (r == 0)
        r = emlfs_user_encode(user, value);
    return r < 0 ? emlfs_err_sys(err, -r, "policy", "cannot write user %s", user->name) : 0;
}

/* -EAGAIN: what it was checked against is not so any more. */
static int row_change(struct emlfs_archive *archive, const struct act *act,
                      const struct emlfs_user *user, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(sizeof(uint16_t));
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);
    struct witness witness = {.archive = archive};
    const struct emlfs_ledger_record record = {.kind = (uint16_t)act->kind,
                                               .owner = user->id,
                                               .object = user->id.v,
                                               .name = emlfs_span_str(user->name),
                                               .detail = emlfs_span_str(act->detail)};
    struct emlfs_master_row rows[2];
    struct emlfs_master_change change = {
        .actor = act->actor, .record = &record, .rows = rows, .n = act->also ? 2 : 1};

    int r = row_encode(user, &key, &value, err);
    if (r < 0)
        return r;
    rows[0] =
        (struct emlfs_master_row){EMLFS_MASTER_USER, emlfs_buf_view(&key), emlfs_buf_view(&value)};
    if (act->also)
        rows[1] = *act->also;
    if (act->seen) {
        witness.generation = act->seen->generation;
        change.check = still_so;
        change.arg = &witness;
    }
    return emlfs_archive_master_change(archive, &change, err);
}

/* U6 */
static int reservation_put(struct emlfs_archive *archive, const struct emlfs_user *user,
                           struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(sizeof(uint16_t));
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);

    int r = row_encode(user, &key, &value, err);
    if (r < 0)
        return r;
    return emlfs_archive_master_put(archive, EMLFS_MASTER_USER, emlfs_buf_view(&key),
                                    emlfs_buf_view(&value), err);
}

/* Only for a reservation (U1). Best effort: what stays is harmless. */
static void row_drop(struct emlfs_archive *archive, struct emlfs_user_id id)
{
    const uint8_t key[2] = {(uint8_t)(id.v >> 8), (uint8_t)id.v};

    (void)emlfs_archive_master_put(archive, EMLFS_MASTER_USER, emlfs_span_of(key, sizeof(key)),
                                   emlfs_span_of(NULL, 0), NULL);
}

/* ---- names */

/* 1: equal ignoring case; 0: not; or -errno. */
static int name_same(const char *a, const char *b)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf x = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf y = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);

    int r = emlfs_name_fold(a, &x);
    if (r == 0)
        r = emlfs_name_fold(b, &y);
    if (r < 0)
        return r;
    return emlfs_span_equal(emlfs_buf_view(&x), emlfs_buf_view(&y));
}

/* Directories that the mount itself has beside the user archives. */
static bool name_is_reserved(const char *name)
{
    static const char *const reserved[] = {"Holds", "Searches", ".emlfs"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (name_same(name, reserved[i]) != 0)
            return true;
    return false;
}

static int name_check(const char *name, struct emlfs_err *err)
{
    if (name[0] == 0)
        return emlfs_err_set(err, EINVAL, "policy", "a user needs a name");
    if (strlen(name) > EMLFS_USER_NAME_MAX_BYTES)
        return emlfs_err_set(err, EINVAL, "policy", "a user name has at most %u bytes",
                             EMLFS_USER_NAME_MAX_BYTES);
    if (!emlfs_name_folder_ok(name))
        return emlfs_err_set(err, EINVAL, "policy", "\"%s\" cannot be a directory name", name);
    if (name_is_reserved(name))
        return emlfs_err_set(err, EINVAL, "policy", "\"%s\" is a name emlfs uses itself", name);
    return 0;
}

/* What the system's user database could hold; DOMAIN\name and name@domain included. */
static int account_check(const char *account, struct emlfs_err *err)
{
    size_t len = strlen(account);
    bool ok = len > 0 && len <= EMLFS_USER_NAME_MAX_BYTES;

    for (size_t i = 0; ok && i < len; i++) {
        unsigned char c = (unsigned char)account[i];
        ok = c >= ' ' && c != 0x7f && c != ':' && c != '/';
    }
    return ok ? 0 : emlfs_err_set(err, EINVAL, "policy", "\"%s\" is no Unix account", account);
}

/* Index of the row, reservations included, whose name is name ignoring case; list->n: none. */
static int list_find_folded(const struct user_list *list, const char *name, size_t *ret_at)
{
    for (*ret_at = 0; *ret_at < list->n; (*ret_at)++) {
        int r = name_same(list->users[*ret_at].name, name);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return 0;
}

static struct user_line *list_find(const struct user_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (user_exists(&list->users[i]) && strcmp(list->users[i].name, name) == 0)
            return &list->users[i];
    return NULL;
}

static int no_such_user(const char *name, struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOENT, "policy", "no user \"%s\"", name);
}

/* ---- settling */

/* Make the top folder of a reservation and turn it into a user. */
static int user_complete(struct emlfs_archive *archive, const struct act *act,
                         struct emlfs_user *user, struct emlfs_err *err)
{
    const struct emlfs_folder_wanted wanted = {.user = user->id, .name = user->name};
    struct emlfs_folder_id id;
    struct emlfs_folder folder;

    int r = emlfs_archive_folder_make(archive, NULL, &wanted, &id, err);
    if (r < 0)
        return r;
    r = emlfs_archive_folder_get(archive, id, &folder, err);
    if (r < 0)
        return r;
    /* Found by name: a folder of somebody else must never be handed over. */
    if (folder.user.v != user->id.v)
        return emlfs_err_set(err, EEXIST, "policy", "a folder \"%s\" is there already",
                             folder.name);
    struct emlfs_user complete = *user;
    complete.archive = id;
    r = row_change(archive, act, &complete, err);
    if (r == 0)
        user->archive = id;
    return r;
}

/* Give the top folder the name of the row. */
static int folder_name(struct emlfs_archive *archive, struct emlfs_folder_id id, const char *name,
                       struct emlfs_err *err)
{
    struct emlfs_folder folder;

    int r = emlfs_archive_folder_get(archive, id, &folder, err);
    if (r < 0 || strcmp(folder.name, name) == 0)
        return r;
    return emlfs_archive_folder_rename(archive, id, name, err);
}

/* Folders first: a reservation may wait for a name that a folder still has. */
static void list_settle(struct emlfs_archive *archive, struct user_list *list)
{
    const struct act act = {.kind = EMLFS_LEDGER_USER_MADE,
                            .detail = "completed after an interruption"};
    struct emlfs_user user;

    for (size_t i = 0; i < list->n; i++)
        if (user_exists(&list->users[i]))
            (void)folder_name(archive, list->users[i].archive, list->users[i].name, NULL);
    for (size_t i = 0; i < list->n; i++) {
        if (user_exists(&list->users[i]))
            continue;
        list_get(list, &list->users[i], &user);
        if (user_complete(archive, &act, &user, NULL) == 0)
            line_set(&list->users[i], &user);
    }
}

void emlfs_users_settle(struct emlfs_archive *archive)
{
    USER_LIST_CLEANUP struct user_list list = {0};

    if (list_load(archive, &list, NULL) == 0)
        list_settle(archive, &list);
}

/* ---- reading */

int emlfs_user_by_name(struct emlfs_archive *archive, const char *name, struct emlfs_user *ret,
                       struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};

    int r = list_load(archive, &list, err);
    if (r < 0)
        return r;
    const struct user_line *found = list_find(&list, name);
    if (!found)
        return no_such_user(name, err);
    list_get(&list, found, ret);
    return 0;
}

int emlfs_user_by_id(struct emlfs_archive *archive, struct emlfs_user_id id, struct emlfs_user *ret,
                     struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);
    const uint8_t bytes[2] = {(uint8_t)(id.v >> 8), (uint8_t)id.v};
    struct emlfs_span key = emlfs_span_of(bytes, sizeof(bytes));
    struct emlfs_user user;

    int r = emlfs_archive_master_get(archive, EMLFS_MASTER_USER, key, &value, err);
    if (r == 0) {
        r = emlfs_user_decode(key, emlfs_buf_view(&value), &user);
        if (r < 0)
            return row_error(r, err);
    }
    if (r == -ENOENT || (r == 0 && user.archive.v == 0))
        return emlfs_err_set(err, ENOENT, "policy", "no user %u", id.v);
    if (r == 0)
        *ret = user;
    return r;
}

int emlfs_user_walk(struct emlfs_archive *archive,
                    int (*each)(void *arg, const struct emlfs_user *user), void *arg,
                    struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};
    struct emlfs_user user;

    int r = list_load(archive, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        if (!user_exists(&list.users[i]))
            continue;
        list_get(&list, &list.users[i], &user);
        r = each(arg, &user);
    }
    return r;
}

/* ---- changing */

static int name_must_be_free(const struct user_list *list, const char *name,
                             const struct user_line *except, struct emlfs_err *err)
{
    size_t at;

    int r = list_find_folded(list, name, &at);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot compare \"%s\"", name);
    if (at == list->n || &list->users[at] == except)
        return 0;
    const struct user_line *other = &list->users[at];
    return emlfs_err_set(err, EEXIST, "policy", "user \"%s\" %s", other->name,
                         other->flags & EMLFS_USER_REMOVED
                             ? "was removed, and the archive keeps the name"
                             : "is there already");
}

static int rights_get(struct emlfs_archive *archive, struct emlfs_user_id id,
                      struct emlfs_rights *ret, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    const uint8_t bytes[2] = {(uint8_t)(id.v >> 8), (uint8_t)id.v};
    const struct emlfs_span key = emlfs_span_of(bytes, sizeof(bytes));

    int r = emlfs_archive_master_get(archive, EMLFS_MASTER_RIGHTS, key, &value, err);
    if (r == -ENOENT)
        *ret = emlfs_rights_default(id);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = emlfs_rights_decode(key, emlfs_buf_view(&value), ret);
    return r < 0 ? emlfs_err_sys(err, -r, "policy", "the rights of user %u", id.v) : 0;
}

/* Is account the acting user's, or of the uid that acts? 1, 0, or -errno: cannot tell. */
static int account_is_own(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                          const char *account, struct emlfs_err *err)
{
    struct emlfs_user acting;
    uid_t uid;

    int r = actor->user.v ? emlfs_user_by_id(archive, actor->user, &acting, err) : 0;
    if (r < 0)
        return r;
    if (actor->user.v && strcmp(acting.unix_account, account) == 0)
        return 1;
    r = emlfs_bindings_nss_uid(NULL, account, &uid);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : (int64_t)uid == actor->uid;
}

/*
 * Nobody binds another's archive to their own account: that takes archive access, which uid 0 has
 * as an archive user only. owner 0: of a new user.
 */
static int binding_by_other(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                            const struct emlfs_user *owner, struct emlfs_err *err)
{
    struct emlfs_rights rights = {0};

    if (!actor || (actor->user.v == 0 && actor->uid == EMLFS_UID_NONE) ||
        (actor->user.v && actor->user.v == owner->id.v))
        return 0;
    int r = actor->user.v ? rights_get(archive, actor->user, &rights, err) : 0;
    if (r < 0 || rights.archive_access)
        return r;
    r = account_is_own(archive, actor, owner->unix_account, err);
    if (r < 0)
        return emlfs_err_set(err, EPERM, "policy",
                             "it cannot be told now whether account %s is yours: switch on archive "
                             "access, or try again",
                             owner->unix_account);
    return r == 0 ? 0
                  : emlfs_err_set(err, EPERM, "policy",
                                  "nobody binds another's archive to their own account: switch on "
                                  "archive access, as an archive user");
}

static int add_check(const char *name, const char *account, uint32_t flags, struct emlfs_err *err)
{
    int r = name_check(name, err);
    if (r == 0)
        r = account_check(account, err);
    if (r == 0 && flags & ~EMLFS_USER_ADMIN)
        r = emlfs_err_set(err, EINVAL, "policy", "impossible flags for a new user");
    return r;
}

static int add_reserve(struct emlfs_archive *archive, const struct user_list *list,
                       struct emlfs_user *user, struct emlfs_err *err)
{
    unsigned last = list->n ? list->users[list->n - 1].id.v : 0;

    if (last >= UINT16_MAX)
        return emlfs_err_set(err, E2BIG, "policy", "an archive has at most %u users", UINT16_MAX);
    user->id.v = (uint16_t)(last + 1);
    user->created_ns = emlfs_archive_now_ns(archive);
    return reservation_put(archive, user, err);
}

int emlfs_user_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct emlfs_user_new *made, struct emlfs_user *ret, struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};
    const struct act act = {.actor = actor, .kind = EMLFS_LEDGER_USER_MADE, .detail = ""};
    struct emlfs_user user = {.flags = made->flags};
    const char *name = made->name;
    const char *account = made->unix_account ? made->unix_account : name;

    int r = add_check(name, account, made->flags, err);
    if (r == 0)
        r = list_load(archive, &list, err);
    if (r < 0)
        return r;
    list_settle(archive, &list);
    r = name_must_be_free(&list, name, NULL, err);
    if (r < 0)
        return r;
    memcpy(user.name, name, strlen(name) + 1);
    memcpy(user.unix_account, account, strlen(account) + 1);
    if (list.n > 0) /* the first user belongs to whoever makes the archive */
        r = binding_by_other(archive, actor, &user, err);
    if (r < 0)
        return r;
    r = add_reserve(archive, &list, &user, err);
    if (r < 0)
        return r;
    r = user_complete(archive, &act, &user, err);
    if (r < 0)
        row_drop(archive, user.id);
    else if (ret)
        *ret = user;
    return r;
}

static bool is_acting_admin(const struct user_line *user)
{
    return user_exists(user) && user->flags & EMLFS_USER_ADMIN &&
           !(user->flags & EMLFS_USER_REMOVED);
}

static int admin_must_remain(const struct user_list *list, const struct user_line *user,
                             struct emlfs_err *err)
{
    size_t admins = 0;

    for (size_t i = 0; i < list->n; i++)
        admins += is_acting_admin(&list->users[i]);
    if (is_acting_admin(user) && admins == 1)
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is the last administrator", user->name);
    return 0;
}

/* One attempt at a change of the user called name. list is the caller's, to be freed. */
struct attempt {
    struct emlfs_archive *archive;
    const struct emlfs_actor *actor;
    const char *name;
    const void *what;
    struct user_list list;
    struct user_line *line;
    struct emlfs_user user;
};
typedef int attempt_fn(struct attempt *attempt, struct emlfs_err *err);

static int attempt_once(struct attempt *attempt, attempt_fn *fn, struct emlfs_err *err)
{
    int r = list_load(attempt->archive, &attempt->list, err);
    if (r < 0)
        return r;
    attempt->line = list_find(&attempt->list, attempt->name);
    if (!attempt->line)
        return no_such_user(attempt->name, err);
    list_get(&attempt->list, attempt->line, &attempt->user);
    return fn(attempt, err);
}

static int attempt_run(struct attempt *attempt, attempt_fn *fn, struct emlfs_err *err)
{
    int r = -EAGAIN;

    for (unsigned i = 0; r == -EAGAIN && i < ATTEMPTS_MAX; i++)
        r = attempt_once(attempt, fn, err);
    list_free(&attempt->list);
    return r;
}

static struct act attempt_act(const struct attempt *attempt, enum emlfs_ledger_kind kind,
                              const char *detail)
{
    return (struct act){
        .actor = attempt->actor, .kind = kind, .detail = detail, .seen = &attempt->list};
}

static int rename_once(struct attempt *attempt, struct emlfs_err *err)
{
    struct act act = attempt_act(attempt, EMLFS_LEDGER_USER_CHANGED, attempt->name);
    struct emlfs_user renamed = attempt->user;
    const char *new_name = attempt->what;

    list_settle(attempt->archive, &attempt->list);
    int r = name_must_be_free(&attempt->list, new_name, attempt->line, err);
    if (r < 0)
        return r;
    memset(renamed.name, 0, sizeof(renamed.name));
    memcpy(renamed.name, new_name, strlen(new_name));
    r = row_change(attempt->archive, &act, &renamed, err);
    if (r < 0)
        return r;
    r = folder_name(attempt->archive, renamed.archive, new_name, err);
    if (r == 0)
        return 0;
    act = (struct act){.actor = attempt->actor,
                       .kind = EMLFS_LEDGER_USER_CHANGED,
                       .detail = "the folder refused the name"};
    (void)row_change(attempt->archive, &act, &attempt->user, NULL); /* so does the row */
    return r == -EAGAIN ? -EIO : r;
}

int emlfs_user_rename(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, const char *new_name, struct emlfs_err *err)
{
    struct attempt attempt = {.archive = archive, .actor = actor, .name = name, .what = new_name};

    int r = name_check(new_name, err);
    return r < 0 ? r : attempt_run(&attempt, rename_once, err);
}

static int remove_once(struct attempt *attempt, struct emlfs_err *err)
{
    const struct act act = attempt_act(attempt, EMLFS_LEDGER_USER_DELETED, "");

    int r = admin_must_remain(&attempt->list, attempt->line, err);
    if (r < 0 || attempt->user.flags & EMLFS_USER_REMOVED)
        return r;
    attempt->user.flags |= EMLFS_USER_REMOVED;
    return row_change(attempt->archive, &act, &attempt->user, err);
}

int emlfs_user_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, struct emlfs_err *err)
{
    struct attempt attempt = {.archive = archive, .actor = actor, .name = name};

    return attempt_run(&attempt, remove_once, err);
}

/* ---- what else is known of a user */

static bool address_ok(const char *address)
{
    size_t len = strlen(address);
    const char *at = strrchr(address, '@');
    bool ok = len <= EMLFS_USER_ADDRESS_MAX_BYTES && at && at > address && at[1] != 0 &&
              emlfs_row_text_ok(address, len + 1, false);

    return ok && strpbrk(address, " <>,;\"") == NULL;
}

static int addresses_set(const struct emlfs_user_change *change, struct emlfs_user *user,
                         struct emlfs_err *err)
{
    if (change->addresses_n > EMLFS_USER_ADDRESSES_MAX)
        return emlfs_err_set(err, EINVAL, "policy", "a user has at most %u addresses",
                             EMLFS_USER_ADDRESSES_MAX);
    memset(user->addresses, 0, sizeof(user->addresses));
    user->addresses_n = change->addresses_n;
    for (unsigned i = 0; i < change->addresses_n; i++) {
        const char *address = change->addresses[i];
        if (!address_ok(address))
            return emlfs_err_set(err, EINVAL, "policy", "\"%s\" is no mail address", address);
        for (unsigned j = 0; j < i; j++)
            if (strcasecmp(user->addresses[j], address) == 0)
                return emlfs_err_set(err, EINVAL, "policy", "\"%s\" is there twice", address);
        memcpy(user->addresses[i], address, strlen(address));
    }
    return 0;
}

static int texts_set(const struct emlfs_user_change *change, struct emlfs_user *user,
                     struct emlfs_err *err)
{
    int r = change->unix_account ? account_check(change->unix_account, err) : 0;

    if (r == 0 && change->unix_account) {
        memset(user->unix_account, 0, sizeof(user->unix_account));
        memcpy(user->unix_account, change->unix_account, strlen(change->unix_account));
    }
    if (r == 0 && change->full_name) {
        size_t len = strlen(change->full_name);
        if (len >= sizeof(user->full_name) || !emlfs_row_text_ok(change->full_name, len + 1, true))
            return emlfs_err_set(err, EINVAL, "policy", "a full name is text of at most %u bytes",
                                 EMLFS_USER_FULL_NAME_MAX_BYTES);
        memset(user->full_name, 0, sizeof(user->full_name));
        memcpy(user->full_name, change->full_name, len);
    }
    return r;
}

static int admin_set(const struct attempt *attempt, bool admin, const struct emlfs_rights *rights,
                     struct emlfs_err *err)
{
    if (admin)
        return rights->auditor
                   ? emlfs_err_set(err, EPERM, "policy",
                                   "\"%s\" is an auditor, so no administrator", attempt->name)
                   : 0;
    return admin_must_remain(&attempt->list, attempt->line, err);
}

/* The user as the change leaves it; *ret_closes: archive access ends with the flag. */
static int change_apply(struct attempt *attempt, struct emlfs_rights *rights, bool *ret_closes,
                        struct emlfs_err *err)
{
    const struct emlfs_user_change *change = attempt->what;
    struct emlfs_user *user = &attempt->user;
    char account[sizeof(user->unix_account)];
    memcpy(account, user->unix_account, sizeof(account));
    int r = texts_set(change, user, err);

    *ret_closes = false;
    if (r == 0 && strcmp(account, user->unix_account) != 0)
        r = binding_by_other(attempt->archive, attempt->actor, user, err);
    if (r == 0 && change->addresses)
        r = addresses_set(change, user, err);
    if (change->set_quota)
        user->quota_bytes = change->quota_bytes;
    if (r == 0 && change->set_admin)
        r = rights_get(attempt->archive, user->id, rights, err);
    if (r == 0 && change->set_admin)
        r = admin_set(attempt, change->admin, rights, err);
    if (r < 0 || !change->set_admin)
        return r;
    user->flags = change->admin ? user->flags | EMLFS_USER_ADMIN : user->flags & ~EMLFS_USER_ADMIN;
    *ret_closes = !change->admin && rights->archive_access;
    rights->archive_access = false;
    return 0;
}

static const char *change_words(const struct emlfs_user *before, const struct emlfs_user *after)
{
    if (before->flags != after->flags)
        return after->flags & EMLFS_USER_ADMIN ? "administrator" : "no administrator any more";
    if (strcmp(before->unix_account, after->unix_account) != 0)
        return "unix account";
    return "full name or addresses";
}

static int change_once(struct attempt *attempt, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    struct emlfs_user before;
    struct emlfs_rights rights;
    struct emlfs_master_row also;
    bool closes;

    memcpy(&before, &attempt->user, sizeof(before));
    if (before.flags & EMLFS_USER_REMOVED)
        return emlfs_err_set(err, ENOENT, "policy", "user \"%s\" was removed", attempt->name);
    int r = change_apply(attempt, &rights, &closes, err);
    if (r < 0 || (!closes && memcmp(&before, &attempt->user, sizeof(before)) == 0))
        return r;
    struct act act =
        attempt_act(attempt, EMLFS_LEDGER_USER_CHANGED, change_words(&before, &attempt->user));
    const uint8_t key[2] = {(uint8_t)(before.id.v >> 8), (uint8_t)before.id.v};
    if (closes) {
        r = emlfs_rights_encode(&rights, &value);
        if (r < 0)
            return emlfs_err_sys(err, -r, "policy", "cannot write rights");
        also = (struct emlfs_master_row){EMLFS_MASTER_RIGHTS, emlfs_span_of(key, sizeof(key)),
                                         emlfs_buf_view(&value)};
        act.also = &also;
    }
    return row_change(attempt->archive, &act, &attempt->user, err);
}

int emlfs_user_change(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, const struct emlfs_user_change *change,
                      struct emlfs_err *err)
{
    struct attempt attempt = {.archive = archive, .actor = actor, .name = name, .what = change};

    return attempt_run(&attempt, change_once, err);
}
