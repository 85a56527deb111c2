/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_TABLE_H
#define EMLFS_COMMAND_TABLE_H

#include "emlfs/command.h"

/* The arguments of the commands that govern the archive (table_govern.c). */
extern const struct emlfs_arg emlfs_args_user_add[];
extern const struct emlfs_arg emlfs_args_user_set[];
extern const struct emlfs_arg emlfs_args_user_password[];
extern const struct emlfs_arg emlfs_args_login[];
extern const struct emlfs_arg emlfs_args_privilege_list[];
extern const struct emlfs_arg emlfs_args_privilege_set[];
extern const struct emlfs_arg emlfs_args_privilege_grant[];
extern const struct emlfs_arg emlfs_args_privilege_revoke[];
extern const struct emlfs_arg emlfs_args_privilege_access[];
extern const struct emlfs_arg emlfs_args_compliance_mode[];
extern const struct emlfs_arg emlfs_args_auditor[];
extern const struct emlfs_arg emlfs_args_compliance_audit[];
extern const struct emlfs_arg emlfs_args_policy_add[];
extern const struct emlfs_arg emlfs_args_policy_set[];
extern const struct emlfs_arg emlfs_args_policy_remove[];
extern const struct emlfs_arg emlfs_args_policy_move[];
extern const struct emlfs_arg emlfs_args_hold_list[];
extern const struct emlfs_arg emlfs_args_hold_place[];
extern const struct emlfs_arg emlfs_args_hold_add[];
extern const struct emlfs_arg emlfs_args_hold_release[];
extern const struct emlfs_arg emlfs_args_store_create[];
extern const struct emlfs_arg emlfs_args_store_state[];
extern const struct emlfs_arg emlfs_args_store_rename[];
extern const struct emlfs_arg emlfs_args_store_unlock[];
extern const struct emlfs_arg emlfs_args_store[];

#endif
