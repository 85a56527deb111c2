/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_NAME_TEXT_H
#define EMLFS_BASE_NAME_TEXT_H

#include "emlfs/base/span.h"

/* Inside store/base: the character work behind name.h. */

struct name_room {
    size_t units; /* UTF-16 code units */
    size_t bytes; /* UTF-8 bytes, without the NUL */
};

/*
 * Portable, NFC text of at most room, NUL-terminated, from foreign bytes; returns its length. ret
 * has room.bytes + 1 bytes. Blanks are single and never at either end, the end is never a dot. The
 * result may be empty. With lead_strict the text is a whole name: no leading dot, dash or tilde
 * either.
 */
size_t name_text_clean(struct emlfs_span text, struct name_room room, bool lead_strict, char *ret);
size_t name_text_units(const char *text);

#endif
