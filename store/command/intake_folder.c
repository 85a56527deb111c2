/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders of an intake: foreign paths to folder ids, with a cache of fixed size. */
#include "intake.h"

#include <stdlib.h>
#include <strings.h>

#include "emlfs/name.h"

#define PATH_MAX_BYTES (64u << 10)
#define COMPONENTS_MAX 64u

static uint32_t path_hash(const char *path)
{
    uint32_t hash = 2166136261u;

    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619u;
    return hash;
}

/* Directly in a user archive the mount shows its own Searches: a folder of that name gets a "_". */
static void name_spare(char *name, size_t size)
{
    size_t len = strlen(name);

    if (strcasecmp(name, "Searches") == 0 && len + 2 <= size)
        memcpy(name + len, "_", 2);
}

/* Folders below parent, one for each component of path; made where they are new. */
static int path_make(struct emlfs_intake *intake, struct emlfs_folder_id parent, const char *path,
                     struct emlfs_folder_id *ret, struct emlfs_err *err)
{
    unsigned components = 0;

    if (strlen(path) > PATH_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, "import", "folder path longer than %u bytes",
                             PATH_MAX_BYTES);
    *ret = parent;
    while (*path) {
        size_t len = strcspn(path, "/");
        char name[EMLFS_NAME_MAX_BYTES + 1];

        if (len > 0 && ++components > COMPONENTS_MAX)
            return emlfs_err_set(err, E2BIG, "import", "folder more than %u deep", COMPONENTS_MAX);
        if (len > 0) {
            emlfs_name_folder(emlfs_span_of(path, len), name, sizeof(name));
            if (ret->v == intake->top.v)
                name_spare(name, sizeof(name));
            int r = emlfs_archive_folder_make(
                intake->archive, &intake->actor,
                &(struct emlfs_folder_wanted){*ret, intake->user, name}, ret, err);

            if (r < 0)
                return r;
        }
        path += len + (path[len] == '/');
    }
    return 0;
}

static size_t sent_position(const struct emlfs_intake *intake, struct emlfs_folder_id id)
{
    size_t low = 0, high = intake->sent_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (intake->sent[mid].v < id.v)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int sent_grow(struct emlfs_intake *intake)
{
    size_t cap = intake->sent_cap ? intake->sent_cap * 2 : 8;
    struct emlfs_folder_id *sent = reallocarray(intake->sent, cap, sizeof(*sent));

    if (!sent)
        return -ENOMEM;
    intake->sent = sent;
    intake->sent_cap = cap;
    return 0;
}

static int sent_add(struct emlfs_intake *intake, struct emlfs_folder_id id)
{
    int r = 0;

    pthread_mutex_lock(&intake->sent_lock);
    size_t at = sent_position(intake, id);

    if (at == intake->sent_n || intake->sent[at].v != id.v) {
        if (intake->sent_n == intake->sent_cap)
            r = sent_grow(intake);
        if (r == 0) {
            memmove(intake->sent + at + 1, intake->sent + at,
                    (intake->sent_n - at) * sizeof(*intake->sent));
            intake->sent[at] = id;
            intake->sent_n++;
        }
    }
    pthread_mutex_unlock(&intake->sent_lock);
    return r;
}

bool intake_folder_is_sent(struct emlfs_intake *intake, struct emlfs_folder_id id)
{
    pthread_mutex_lock(&intake->sent_lock);
    size_t at = sent_position(intake, id);
    bool found = at < intake->sent_n && intake->sent[at].v == id.v;

    pthread_mutex_unlock(&intake->sent_lock);
    return found;
}

/* An empty path is the base folder itself, and judged by the base's name. */
static int folder_resolve(struct emlfs_intake *intake, const char *path,
                          struct emlfs_folder_id *ret, struct emlfs_err *err)
{
    const char *named = *path ? path : intake->base_path;
    int r = path_make(intake, intake->base, path, ret, err);

    if (r == 0 && named && *named && emlfs_name_is_sent(named))
        r = sent_add(intake, *ret);
    if (r == -ENOMEM)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    return r;
}

int intake_folder(struct emlfs_intake *intake, const char *path, struct emlfs_folder_id *ret,
                  struct emlfs_err *err)
{
    struct intake_slot *slot = &intake->cache[path_hash(path) % INTAKE_CACHE_SLOTS];

    if (slot->path && strcmp(slot->path, path) == 0) {
        *ret = slot->id;
        return 0;
    }

    int r = folder_resolve(intake, path, ret, err);

    if (r < 0)
        return r;
    free(slot->path);
    slot->path = strdup(path); /* without memory the slot just stays empty */
    slot->id = *ret;
    return 0;
}

int intake_base(struct emlfs_intake *intake, const char *path, struct emlfs_err *err)
{
    if (!path)
        path = "";
    intake->base_path = strdup(path);
    if (!intake->base_path)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    for (size_t len = strlen(path); len > 0 && intake->base_path[len - 1] == '/'; len--)
        intake->base_path[len - 1] = '\0';
    return path_make(intake, intake->top, path, &intake->base, err);
}

void intake_folders_free(struct emlfs_intake *intake)
{
    for (size_t i = 0; i < INTAKE_CACHE_SLOTS; i++)
        free(intake->cache[i].path);
    free(intake->base_path);
    free(intake->sent);
}
