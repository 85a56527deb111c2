/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CRASH_MAIL_H
#define CRASH_MAIL_H

#include "emlfs/base/buf.h"

#define CRASH_FOLDERS 3u
#define CRASH_MAIL_MAX_BYTES (1u << 20)

/*
 * Append generated message number to out: always the same bytes for the same number. Every 16th
 * repeats the bytes of the one before (single instance), every 5th carries one of four shared
 * attachments, every 11th has a text larger than a usual block's share. -E2BIG, -ENOMEM.
 */
int crash_mail(uint64_t number, struct emlfs_buf *out);

#endif
