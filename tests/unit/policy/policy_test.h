/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_POLICY_TEST_H
#define EMLFS_TESTS_POLICY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emlfs/name.h"
#include "emlfs/policy.h"

#endif
