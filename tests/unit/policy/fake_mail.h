/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_FAKE_MAIL_H
#define EMLFS_TESTS_FAKE_MAIL_H

/* Mail in the fake archive, and an index that looks for words as they stand in its text. */
#include "fake_archive.h"

#include "emlfs/feed.h"
#include "emlfs/importer.h"
#include "emlfs/index.h"
#include "emlfs/message.h"

#define FAKE_MAIL 4096

struct fake_mail {
    struct emlfs_entry entry;
    char text[64];
    struct emlfs_facts facts;
    bool unknown; /* to the index */
};
static struct fake_mail fake_mail[FAKE_MAIL];
static unsigned fake_mail_n; /* by ascending id */

struct emlfs_index {
    unsigned searches, singles;
    int error; /* instead of an answer */
};

static inline struct emlfs_folder_id fake_folder_add(struct emlfs_archive *archive,
                                                     struct emlfs_folder_id parent,
                                                     struct emlfs_user_id user, const char *name)
{
    struct emlfs_folder *folder = &archive->folders[archive->folder_count++];

    assert_true(archive->folder_count <= FAKE_FOLDERS);
    *folder = (struct emlfs_folder){.id = {archive->folder_count}, .parent = parent, .user = user};
    snprintf(folder->name, sizeof(folder->name), "%s", name);
    return folder->id;
}

static inline struct fake_mail *fake_mail_add(struct emlfs_user_id user,
                                              struct emlfs_folder_id folder, uint32_t number,
                                              const char *text)
{
    struct fake_mail *mail = &fake_mail[fake_mail_n++];

    assert_true(fake_mail_n <= FAKE_MAIL);
    *mail = (struct fake_mail){.entry = {.id = emlfs_msg_id_make(1, number),
                                         .folder = folder,
                                         .user = user,
                                         .nlink = 1,
                                         .ctime_ns = 1600000000000000000}};
    snprintf(mail->text, sizeof(mail->text), "%s", text);
    return mail;
}

int emlfs_archive_folder_next(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                              struct emlfs_folder_id after, struct emlfs_folder *ret,
                              struct emlfs_err *err)
{
    (void)err;
    for (unsigned i = after.v; i < archive->folder_count; i++)
        if (archive->folders[i].parent.v == parent.v) {
            *ret = archive->folders[i];
            return 0;
        }
    return -ENOENT;
}

int emlfs_archive_entries(struct emlfs_archive *archive, struct emlfs_entry_page *page,
                          struct emlfs_err *err)
{
    (void)err;
    page->n = 0;
    for (unsigned i = 0; i < fake_mail_n && page->n < page->max; i++)
        if (fake_mail[i].entry.folder.v == page->folder.v &&
            emlfs_archive_store_shown(archive, emlfs_msg_id_store(fake_mail[i].entry.id)) &&
            fake_mail[i].entry.id.v > page->after.v)
            page->v[page->n++] = fake_mail[i].entry;
    return 0;
}

int emlfs_archive_folder_in_store(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                  uint16_t store_no, struct emlfs_err *err)
{
    (void)archive;
    (void)err;
    for (unsigned i = 0; i < fake_mail_n; i++)
        if (fake_mail[i].entry.folder.v == id.v &&
            emlfs_msg_id_store(fake_mail[i].entry.id) == store_no)
            return 1;
    return 0;
}

int emlfs_archive_entry_of(struct emlfs_archive *archive, struct emlfs_user_id user,
                           struct emlfs_msg_id id, struct emlfs_entry *ret, struct emlfs_err *err)
{
    (void)archive;
    (void)err;
    for (unsigned i = 0; i < fake_mail_n; i++)
        if (fake_mail[i].entry.id.v == id.v && fake_mail[i].entry.user.v == user.v) {
            *ret = fake_mail[i].entry;
            return 0;
        }
    return -ENOENT;
}

int emlfs_archive_filings(struct emlfs_archive *archive, struct emlfs_msg_id id,
                          struct emlfs_filing *ret, unsigned max, unsigned *ret_n,
                          struct emlfs_err *err)
{
    (void)archive;
    (void)err;
    *ret_n = 0;
    for (unsigned i = 0; i < fake_mail_n && *ret_n < max; i++)
        if (fake_mail[i].entry.id.v == id.v)
            ret[(*ret_n)++] =
                (struct emlfs_filing){fake_mail[i].entry.user, fake_mail[i].entry.folder};
    return *ret_n ? 0 : -ENOENT;
}

int emlfs_archive_msg_info(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_msg_info *ret, struct emlfs_buf *ret_facts,
                           struct emlfs_err *err)
{
    (void)archive;
    for (unsigned i = 0; i < fake_mail_n; i++)
        if (fake_mail[i].entry.id.v == id.v) {
            *ret = (struct emlfs_msg_info){.id = id};
            return ret_facts ? emlfs_facts_encode(&fake_mail[i].facts, ret_facts) : 0;
        }
    return emlfs_err_set(err, ENOENT, "fake", "no message");
}

int emlfs_archive_store_info(struct emlfs_archive *archive, uint16_t after,
                             struct emlfs_store_info *ret, struct emlfs_err *err)
{
    (void)archive;
    (void)err;
    if (after >= 1 || fake_mail_n == 0)
        return -ENOENT;
    *ret = (struct emlfs_store_info){.no = 1,
                                     .present = true,
                                     .messages =
                                         emlfs_msg_id_number(fake_mail[fake_mail_n - 1].entry.id)};
    return 0;
}

/* ---- the index */

static bool fake_matches(const struct emlfs_query *query, const char *text)
{
    for (unsigned i = 0; i < query->terms_n; i++) {
        const struct emlfs_span word = query->terms[i].text;
        bool has = memmem(text, strlen(text), word.data, word.len) != NULL;
        if (has == query->terms[i].exclude)
            return false;
    }
    return true;
}

bool emlfs_index_knows(struct emlfs_index *index, struct emlfs_msg_id id)
{
    (void)index;
    for (unsigned i = 0; i < fake_mail_n; i++)
        if (fake_mail[i].entry.id.v == id.v && fake_mail[i].unknown)
            return false;
    return true;
}

int emlfs_index_matches(struct emlfs_index *index, const struct emlfs_query *query,
                        struct emlfs_user_id user, struct emlfs_msg_id id, struct emlfs_err *err)
{
    (void)err;
    __atomic_add_fetch(&index->singles, 1, __ATOMIC_RELAXED);
    if (index->error || !emlfs_index_knows(index, id))
        return index->error ? index->error : -EAGAIN;
    for (unsigned i = 0; i < fake_mail_n; i++)
        if (fake_mail[i].entry.id.v == id.v && fake_mail[i].entry.user.v == user.v)
            return fake_matches(query, fake_mail[i].text);
    return 0;
}

int emlfs_index_search(struct emlfs_index *index, const struct emlfs_search *search,
                       int (*each)(void *arg, struct emlfs_msg_id id), void *arg,
                       struct emlfs_err *err)
{
    int r = 0;

    (void)err;
    __atomic_add_fetch(&index->searches, 1, __ATOMIC_RELAXED);
    if (index->error)
        return index->error;
    for (unsigned i = fake_mail_n; r == 0 && i > 0; i--) {
        const struct fake_mail *mail = &fake_mail[i - 1];
        if (mail->entry.user.v == search->user.v && mail->entry.id.v > search->above.v &&
            (!search->below.v || mail->entry.id.v < search->below.v) && !mail->unknown &&
            fake_matches(search->query, mail->text))
            r = each(arg, mail->entry.id);
    }
    return r;
}

#endif
