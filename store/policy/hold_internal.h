/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_HOLD_INTERNAL_H
#define EMLFS_STORE_POLICY_HOLD_INTERNAL_H

#include "emlfs/hold.h"

/* Is hold as hold.h says, by itself? Private to store/policy. */
bool emlfs_hold_ok(const struct emlfs_hold *hold);

#endif
