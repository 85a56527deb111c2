/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A library that is not there, or not the one that was built for, is told by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/base/library.h"

int emlfs_no_such_call(void);

#define CALLS(call) call(getpid) call(getppid)
#define CALLS_LACKING(call) call(getpid) call(emlfs_no_such_call)

struct calls {
    CALLS(EMLFS_LIBRARY_MEMBER)
};

struct calls_lacking {
    CALLS_LACKING(EMLFS_LIBRARY_MEMBER)
};

static void calls_are_found(void **state)
{
    static const char *const names[] = {CALLS(EMLFS_LIBRARY_NAME)};
    static struct calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT("libc.so.6", names, calls);

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(emlfs_library_load(&library, NULL), 0);
    assert_int_equal(calls.getpid(), getpid());
    assert_int_equal(calls.getppid(), getppid());
}

static void expect_lack(struct emlfs_library *library, const char *said)
{
    for (unsigned i = 0; i < 2; i++) {
        struct emlfs_err err = {0};
        assert_int_equal(emlfs_library_load(library, &err), -ELIBACC);
        assert_int_equal(err.code, ELIBACC);
        assert_non_null(strstr(err.text, library->soname));
        assert_non_null(strstr(err.text, said));
    }
    assert_int_equal(emlfs_library_load(library, NULL), -ELIBACC);
}

static void what_is_missing_is_told(void **state)
{
    static const char *const names[] = {CALLS(EMLFS_LIBRARY_NAME)};
    static const char *const more[] = {CALLS_LACKING(EMLFS_LIBRARY_NAME)};
    static struct calls calls;
    static struct calls_lacking lacking;
    static struct emlfs_library none = EMLFS_LIBRARY_INIT("libemlfsnone.so.1", names, calls);
    static struct emlfs_library other = EMLFS_LIBRARY_INIT("libc.so.6", more, lacking);

    (void)state;
    expect_lack(&none, "No such file");
    expect_lack(&other, "emlfs_no_such_call");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_found),
        cmocka_unit_test(what_is_missing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
