/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"

/*
 * Responsible for: names and numbers of pack files, and a bounded table of open ones.
 *
 * Invariants:
 * 1. At most PACK_FILES_MAX descriptors stay open, plus one for each read in progress.
 * 2. A file leaves memory when its last reference goes; the table holds one reference.
 * 3. A file in the table has a checked header and the key that belongs to it.
 * 4. The lock protects the table only: no system call but close happens under it.
 */

void emlfs_pack_name(uint32_t pack_no, char ret_name[PACK_NAME_BYTES])
{
    snprintf(ret_name, PACK_NAME_BYTES, "%08u.pack", pack_no);
}

static void file_free(struct pack_file *file)
{
    emlfs_os_close(&file->fd);
    emlfs_wipe(&file->key, sizeof(file->key));
    free(file);
}

static void file_unref(struct pack_file *file)
{
    if (--file->refs == 0)
        file_free(file);
}

static int header_check(const struct emlfs_packs *packs, struct pack_file *file)
{
    struct pack_header header;
    int r = emlfs_pack_header_decode(file->header, &header);
    if (r < 0)
        return r;
    if (header.store_no != packs->store_no || header.pack_no != file->pack_no)
        return -EUCLEAN;
    return emlfs_pack_key_derive(&packs->store_key, &header, &file->key);
}

static int file_load(const struct emlfs_packs *packs, struct pack_file *file)
{
    char name[PACK_NAME_BYTES];
    emlfs_pack_name(file->pack_no, name);
    file->fd = openat(packs->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file->fd < 0)
        return -errno;
    ssize_t n = emlfs_os_pread_full(file->fd, file->header, sizeof(file->header), 0);
    if (n < 0)
        return (int)n;
    return (size_t)n < sizeof(file->header) ? -ENOENT : header_check(packs, file);
}

static int file_new(const struct emlfs_packs *packs, uint32_t pack_no, struct pack_file **ret_file)
{
    struct pack_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->fd = -1;
    file->pack_no = pack_no;
    file->refs = 1;
    int r = file_load(packs, file);
    if (r < 0) {
        file_free(file);
        return r;
    }
    *ret_file = file;
    return 0;
}

/* Under the lock. The slot of pack_no, else an empty one, else the one unused for longest. */
static unsigned slot_for(const struct emlfs_packs *packs, uint32_t pack_no)
{
    unsigned best = 0;
    for (unsigned i = 0; i < PACK_FILES_MAX; i++) {
        const struct pack_file *file = packs->files[i];
        if (file && file->pack_no == pack_no)
            return i;
        const struct pack_file *chosen = packs->files[best];
        if (chosen && (!file || file->used < chosen->used))
            best = i;
    }
    return best;
}

/* Under the lock: one more reference to the table's file of pack_no, NULL when it has none. */
static struct pack_file *table_find(struct emlfs_packs *packs, uint32_t pack_no)
{
    struct pack_file *file = packs->files[slot_for(packs, pack_no)];
    if (!file || file->pack_no != pack_no)
        return NULL;
    file->refs++;
    file->used = ++packs->clock;
    return file;
}

/* Under the lock. */
static void table_add(struct emlfs_packs *packs, struct pack_file *file)
{
    struct pack_file **slot = &packs->files[slot_for(packs, file->pack_no)];
    if (*slot)
        file_unref(*slot);
    file->refs++;
    file->used = ++packs->clock;
    *slot = file;
}

int emlfs_pack_file_get(struct emlfs_packs *packs, uint32_t pack_no, struct pack_file **ret_file)
{
    struct pack_file *opened;
    pthread_mutex_lock(&packs->lock);
    struct pack_file *found = table_find(packs, pack_no);
    pthread_mutex_unlock(&packs->lock);
    if (found) {
        *ret_file = found;
        return 0;
    }
    int r = file_new(packs, pack_no, &opened);
    if (r < 0)
        return r;
    /* Another thread may have been here meanwhile; then its file is replaced by an equal one. */
    pthread_mutex_lock(&packs->lock);
    table_add(packs, opened);
    pthread_mutex_unlock(&packs->lock);
    *ret_file = opened;
    return 0;
}

void emlfs_pack_file_put(struct emlfs_packs *packs, struct pack_file *file)
{
    pthread_mutex_lock(&packs->lock);
    file_unref(file);
    pthread_mutex_unlock(&packs->lock);
}

void emlfs_pack_file_forget(struct emlfs_packs *packs, uint32_t pack_no)
{
    pthread_mutex_lock(&packs->lock);
    struct pack_file **slot = &packs->files[slot_for(packs, pack_no)];
    if (*slot && (*slot)->pack_no == pack_no) {
        file_unref(*slot);
        *slot = NULL;
    }
    pthread_mutex_unlock(&packs->lock);
}

int emlfs_packs_open(const struct emlfs_packs_config *config, struct emlfs_packs **ret_packs,
                     struct emlfs_err *err)
{
    struct emlfs_packs *packs = calloc(1, sizeof(*packs));
    if (!packs)
        return emlfs_err_sys(err, ENOMEM, "pack", "packs of store %u", config->store_no);
    packs->store_key = config->store_key;
    packs->store_no = config->store_no;
    packs->dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = packs->dir_fd < 0 ? errno : pthread_mutex_init(&packs->lock, NULL);
    if (code) {
        emlfs_os_close(&packs->dir_fd);
        emlfs_wipe(packs, sizeof(*packs));
        free(packs);
        return emlfs_err_sys(err, code, "pack", "cannot open %s", config->dir);
    }
    *ret_packs = packs;
    return 0;
}

void emlfs_packs_close(struct emlfs_packs *packs)
{
    if (!packs)
        return;
    for (unsigned i = 0; i < PACK_FILES_MAX; i++)
        if (packs->files[i])
            file_unref(packs->files[i]);
    pthread_mutex_destroy(&packs->lock);
    emlfs_os_close(&packs->dir_fd);
    emlfs_wipe(packs, sizeof(*packs));
    free(packs);
}

/* 0 for a name that is not a pack's. */
static uint32_t name_pack_no(const char *name)
{
    char again[PACK_NAME_BYTES];
    uint32_t pack_no = 0;
    for (const char *c = name; *c >= '0' && *c <= '9' && pack_no <= PACK_NO_MAX / 10; c++)
        pack_no = pack_no * 10 + (uint32_t)(*c - '0');
    emlfs_pack_name(pack_no, again);
    return strcmp(name, again) == 0 ? pack_no : 0;
}

static int dir_last(DIR *dir, uint32_t *ret_pack_no)
{
    *ret_pack_no = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return -errno;
        uint32_t pack_no = name_pack_no(entry->d_name);
        if (pack_no > *ret_pack_no)
            *ret_pack_no = pack_no;
    }
}

int emlfs_packs_last(struct emlfs_packs *packs, uint32_t *ret_pack_no, struct emlfs_err *err)
{
    int fd = openat(packs->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int code = errno;
        emlfs_os_close(&fd);
        return emlfs_err_sys(err, code, "pack", "cannot list the packs");
    }
    int r = dir_last(dir, ret_pack_no);
    closedir(dir);
    return r < 0 ? emlfs_err_sys(err, -r, "pack", "cannot list the packs") : 0;
}

int emlfs_packs_size(struct emlfs_packs *packs, uint32_t pack_no, uint64_t *ret_bytes)
{
    char name[PACK_NAME_BYTES];
    struct stat st;
    emlfs_pack_name(pack_no, name);
    if (fstatat(packs->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}
