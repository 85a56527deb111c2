/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_STAMP_H
#define EMLFS_LEDGER_STAMP_H

#include "internal.h"

int ledger_stamp_path(const char *dir, uint64_t number, char ret_path[LEDGER_PATH_MAX_BYTES]);

#endif
