/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole decision table: every kind of subject against every kind of user. */
#include "policy_test.h"

#include "../../../store/policy/access.h"

#define NOBODY ((uid_t)-1)

struct decision {
    struct access_user user;
    uid_t subject;
    bool may_read;
    bool is_admin;
};

static void decisions_are_as_tabled(void **state)
{
    const uint32_t admin = EMLFS_USER_ADMIN;
    const uint32_t removed = EMLFS_USER_REMOVED;
    const struct decision table[] = {
        /* the owner, another, root, a uid that is nobody's */
        {{0, true, 1000}, 1000, true, false},
        {{0, true, 1000}, 1001, false, false},
        {{0, true, 1000}, 0, false, true},
        {{0, true, 1000}, NOBODY, false, false},
        /* an administrator reads only what is theirs */
        {{admin, true, 1000}, 1000, true, true},
        {{admin, true, 1000}, 1001, false, false},
        {{admin, true, 1000}, 0, false, true},
        /* removed: nobody reads, and the right to administer is gone */
        {{removed, true, 1000}, 1000, false, false},
        {{removed, true, 1000}, 0, false, true},
        {{admin | removed, true, 1000}, 1000, false, false},
        {{removed, true, 0}, 0, false, true},
        /* an account that does not exist; the uid is not to be looked at */
        {{admin, false, 0}, 0, false, true},
        {{admin, false, 1000}, 1000, false, false},
        {{admin, true, NOBODY}, NOBODY, false, false},
        /* root with mail of their own */
        {{0, true, 0}, 0, true, true},
        {{0, true, 0}, 1000, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct decision *d = &table[i];
        struct emlfs_subject subject = {.uid = d->subject, .gid = 0};
        if (emlfs_access_may_read(&subject, &d->user) != d->may_read ||
            emlfs_access_is_admin(&subject, &d->user) != d->is_admin)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decisions_are_as_tabled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
