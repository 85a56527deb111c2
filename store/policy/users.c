/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Archive users, kept as master rows.
 *
 *   U1  Ids begin at 1, grow and are never used again: a row is never deleted once its user exists.
 *   U2  Names are unique ignoring case, removed users included: a name is also a directory.
 *   U3  A row without a top folder is a reservation. It holds its id and name and is no user yet.
 *   U4  The row decides. A top folder has the name its user's row has, or gets it when settled.
 *   U5  At least one user who is not removed is an administrator, once there was one.
 *
 * Adding: reservation, folder, row with the folder. Renaming: row, folder. A crash in between
 * leaves a reservation or a folder with its old name. Neither gives anybody a right; the next
 * emlfs_user_add, _rename or emlfs_bindings_new settles it.
 *
 * Not responsible for: two changes at the same time (policy.h), and who may make them.
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/name.h"
#include "users.h"

#define ROW_MAX_BYTES 256u
#define FOLDED_MAX_BYTES 1024u

/* Every row, reservations included, in id order. */
struct user_list {
    struct emlfs_user *users;
    size_t n;
    size_t cap;
};

static void list_free(struct user_list *list)
{
    free(list->users);
    *list = (struct user_list){0};
}
#define USER_LIST_CLEANUP __attribute__((cleanup(list_free)))

static bool user_exists(const struct emlfs_user *user)
{
    return user->archive.v != 0;
}

static int list_append(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct user_list *list = arg;

    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        struct emlfs_user *more = reallocarray(list->users, cap, sizeof(*more));
        if (!more)
            return -ENOMEM;
        list->users = more;
        list->cap = cap;
    }
    int r = emlfs_user_decode(key, value, &list->users[list->n]);
    if (r == 0)
        list->n++;
    return r;
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

    int r = emlfs_archive_master_walk(archive, EMLFS_MASTER_USER, list_append, list, &inner);
    if (r == 0)
        return 0;
    if (inner.code == 0)
        return row_error(r, err);
    if (err)
        *err = inner;
    return r;
}

static int row_put(struct emlfs_archive *archive, const struct emlfs_user *user,
                   struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(sizeof(uint16_t));
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(ROW_MAX_BYTES);

    int r = emlfs_buf_append_u16be(&key, user->id.v);
    if (r == 0)
        r = emlfs_user_encode(user, &value);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot write user %s", user->name);
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

static struct emlfs_user *list_find(const struct user_list *list, const char *name)
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
static int user_complete(struct emlfs_archive *archive, struct emlfs_user *user,
                         struct emlfs_err *err)
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
    r = row_put(archive, &complete, err);
    if (r == 0)
        *user = complete;
    return r;
}

/* Give the top folder the name of the row. */
static int user_name_folder(struct emlfs_archive *archive, const struct emlfs_user *user,
                            struct emlfs_err *err)
{
    struct emlfs_folder folder;

    int r = emlfs_archive_folder_get(archive, user->archive, &folder, err);
    if (r < 0 || strcmp(folder.name, user->name) == 0)
        return r;
    return emlfs_archive_folder_rename(archive, user->archive, user->name, err);
}

/* Folders first: a reservation may wait for a name that a folder still has. */
static void list_settle(struct emlfs_archive *archive, struct user_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (user_exists(&list->users[i]))
            (void)user_name_folder(archive, &list->users[i], NULL);
    for (size_t i = 0; i < list->n; i++)
        if (!user_exists(&list->users[i]))
            (void)user_complete(archive, &list->users[i], NULL);
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
    const struct emlfs_user *found = list_find(&list, name);
    if (!found)
        return no_such_user(name, err);
    *ret = *found;
    return 0;
}

int emlfs_user_by_id(struct emlfs_archive *archive, struct emlfs_user_id id, struct emlfs_user *ret,
                     struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(ROW_MAX_BYTES);
    const uint8_t bytes[2] = {(uint8_t)(id.v >> 8), (uint8_t)id.v};
    struct emlfs_span key = emlfs_span_of(bytes, sizeof(bytes));
    struct emlfs_user user;

    int r = emlfs_archive_master_get(archive, EMLFS_MASTER_USER, key, &value, err);
    if (r == 0) {
        r = emlfs_user_decode(key, emlfs_buf_view(&value), &user);
        if (r < 0)
            return row_error(r, err);
    }
    if (r == -ENOENT || (r == 0 && !user_exists(&user)))
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

    int r = list_load(archive, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++)
        if (user_exists(&list.users[i]))
            r = each(arg, &list.users[i]);
    return r;
}

/* ---- changing */

static int name_must_be_free(const struct user_list *list, const char *name,
                             const struct emlfs_user *except, struct emlfs_err *err)
{
    size_t at;

    int r = list_find_folded(list, name, &at);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot compare \"%s\"", name);
    if (at == list->n || &list->users[at] == except)
        return 0;
    const struct emlfs_user *other = &list->users[at];
    return emlfs_err_set(err, EEXIST, "policy", "user \"%s\" %s", other->name,
                         other->flags & EMLFS_USER_REMOVED
                             ? "was removed, and the archive keeps the name"
                             : "is there already");
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
    return row_put(archive, user, err);
}

int emlfs_user_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct emlfs_user_new *made, struct emlfs_user *ret, struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};
    struct emlfs_user user = {.flags = made->flags};
    const char *name = made->name;
    const char *account = made->unix_account ? made->unix_account : name;

    (void)actor;
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
    r = add_reserve(archive, &list, &user, err);
    if (r < 0)
        return r;
    r = user_complete(archive, &user, err);
    if (r < 0)
        row_drop(archive, user.id);
    else if (ret)
        *ret = user;
    return r;
}

int emlfs_user_rename(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, const char *new_name, struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};

    (void)actor;
    int r = name_check(new_name, err);
    if (r == 0)
        r = list_load(archive, &list, err);
    if (r < 0)
        return r;
    list_settle(archive, &list);
    const struct emlfs_user *user = list_find(&list, name);
    if (!user)
        return no_such_user(name, err);
    r = name_must_be_free(&list, new_name, user, err);
    if (r < 0)
        return r;
    struct emlfs_user renamed = *user;
    memset(renamed.name, 0, sizeof(renamed.name));
    memcpy(renamed.name, new_name, strlen(new_name));
    r = row_put(archive, &renamed, err);
    if (r < 0)
        return r;
    r = user_name_folder(archive, &renamed, err);
    if (r < 0)
        (void)row_put(archive, user, NULL); /* the folder refused the name: so does the row */
    return r;
}

static bool is_acting_admin(const struct emlfs_user *user)
{
    return user_exists(user) && user->flags & EMLFS_USER_ADMIN &&
           !(user->flags & EMLFS_USER_REMOVED);
}

int emlfs_user_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, struct emlfs_err *err)
{
    USER_LIST_CLEANUP struct user_list list = {0};
    size_t admins = 0;

    (void)actor;
    int r = list_load(archive, &list, err);
    if (r < 0)
        return r;
    struct emlfs_user *user = list_find(&list, name);
    if (!user)
        return no_such_user(name, err);
    for (size_t i = 0; i < list.n; i++)
        admins += is_acting_admin(&list.users[i]);
    if (is_acting_admin(user) && admins == 1)
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is the last administrator", name);
    if (user->flags & EMLFS_USER_REMOVED)
        return 0;
    user->flags |= EMLFS_USER_REMOVED;
    return row_put(archive, user, err);
}
