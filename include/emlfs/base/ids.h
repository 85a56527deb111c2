/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_IDS_H
#define EMLFS_BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* Ids are one-member structs so that they cannot be mixed up. 0 is "none" for each. */
struct emlfs_user_id {
    uint16_t v;
};
struct emlfs_folder_id {
    uint32_t v; /* unique in the archive, never reused; 0 also is "the root of all user archives" */
};
/* store << 40 | number; number fits 32 bits (a store ends long before), store is 1...32767 */
struct emlfs_msg_id {
    uint64_t v;
};

#define EMLFS_STORE_NO_MAX 32767u

static inline struct emlfs_msg_id emlfs_msg_id_make(uint16_t store_no, uint32_t number)
{
    return (struct emlfs_msg_id){((uint64_t)store_no << 40) | number};
}

static inline uint16_t emlfs_msg_id_store(struct emlfs_msg_id id)
{
    return (uint16_t)(id.v >> 40);
}

static inline uint32_t emlfs_msg_id_number(struct emlfs_msg_id id)
{
    return (uint32_t)id.v;
}

#define EMLFS_MSG_ID_TEXT_MAX 16 /* bytes, with the NUL */

/*
 * The short id in file names: the number in base 32 (digits 0-9 a-v, most significant first, at
 * least 6 digits), then for stores other than 1 a '-' and the store number in base 32.
 * Examples: store 1 number 37 -> "000015"; store 2 number 1 -> "000001-2".
 */
void emlfs_msg_id_format(struct emlfs_msg_id id, char ret_text[EMLFS_MSG_ID_TEXT_MAX]);

/* Strict inverse over text[0..len): only what _format writes is accepted. False otherwise. */
bool emlfs_msg_id_parse(const char *text, unsigned len, struct emlfs_msg_id *ret_id);

#endif
