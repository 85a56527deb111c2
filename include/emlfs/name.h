/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_NAME_H
#define EMLFS_NAME_H

#include "emlfs/base/ids.h"
#include "emlfs/message.h"

/*
 * Names as the mount shows them: portable (Windows, macOS, Linux), NFC, fixed when made. One place
 * decides; every name in the archive went through here. Text in is foreign; text out is valid UTF-8
 * without separators, control, bidi, zero-width or private-use characters.
 */

/* "DATE TIME Correspondent - Subject", at most 120 UTF-16 units and 240 bytes with " [id].eml". */
struct emlfs_name_input {
    const struct emlfs_facts *facts;
    int64_t date_ns;      /* already chosen and clamped */
    bool sent;            /* take the first recipient instead of the sender */
    const char *timezone; /* IANA name */
};
int emlfs_name_stem(const struct emlfs_name_input *input, char *ret_stem, size_t size);

/*
 * The stem that a given file name asks for: without ".eml" (in any case) and without an " [id]"
 * before that, as far as it is portable. False: nothing is left of it.
 */
bool emlfs_name_given_stem(const char *name, char *ret_stem, size_t size);

/* stem + " [id].eml". -E2BIG when it does not fit size. */
int emlfs_name_file(const char *stem, struct emlfs_msg_id id, char *ret_name, size_t size);
/* The id in a canonical name; false when name does not end in " [id].eml". */
bool emlfs_name_id(const char *name, struct emlfs_msg_id *ret_id);

/* A folder name from foreign text: never empty, ".", "..", at most 100 UTF-16 units. */
void emlfs_name_folder(struct emlfs_span text, char *ret_name, size_t size);
/* True when name is one that _folder would have produced: what the archive accepts. */
bool emlfs_name_folder_ok(const char *name);
/* Case folding (full Unicode) + NFC of name, for comparing; -E2BIG, -EILSEQ. */
int emlfs_name_fold(const char *name, struct emlfs_buf *ret_folded);

/* Message date chosen from facts and file time, clamped to 1980-01-01 ... archived_ns. */
int64_t emlfs_name_date_ns(const struct emlfs_facts *facts, int64_t file_time_sec,
                           int64_t archived_ns, uint8_t *ret_source);
/* True when a folder path's last component is a sent-mail folder in a known language. */
bool emlfs_name_is_sent(const char *folder_path);
/* Names of desktop litter (Thumbs.db, .Trash-1000, ...): looked up often, never there. */
bool emlfs_name_is_litter(const char *name);
/* Those of them that must be taken from who writes them, and are thrown away: .DS_Store, ._... */
bool emlfs_name_is_discarded(const char *name);

#endif
