/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every right x every caller x every object x every call against the table written by hand. */
#include "policy_test.h"

#include "emlfs/access.h"

#include "access_expected.h"

enum { ALICE = 1, BOB = 2, MADE_NS = 1000 };

static int code_of(char letter)
{
    switch (letter) {
    case '-':
        return 0;
    case 'A':
        return -EACCES;
    case 'N':
        return -ENOENT;
    case 'P':
        return -EPERM;
    case 'R':
        return -EROFS;
    case 'D':
        return -ENOTDIR;
    case 'I':
        return -EISDIR;
    default:
        fail_msg("letter %c", letter);
        return 1;
    }
}

/* ---- callers, from rows as the archive keeps them */

static bool is_office_member(void *arg, const char *group)
{
    return *(const bool *)arg && strcmp(group, "office") == 0;
}

static const struct emlfs_grant group_grant = {
    .archive = {ALICE}, .group = "office", .grants = EMLFS_GRANT_ALL, .granted_by = "admin"};

static uint32_t caller_grants(enum caller caller)
{
    static const uint32_t direct[CALLERS] = {
        [READER] = EMLFS_GRANT_READ,
        [WRITER] = EMLFS_GRANT_READ | EMLFS_GRANT_WRITE,
        [DELETER] = EMLFS_GRANT_READ | EMLFS_GRANT_DELETE,
    };
    static const uint32_t own[CALLERS] = {
        [OWNER_READS] = EMLFS_GRANT_READ,
        [OWNER_WRITES] = EMLFS_GRANT_READ | EMLFS_GRANT_WRITE,
        [OWNER_ALL] = EMLFS_GRANT_ALL,
    };
    const struct emlfs_grant grants[] = {
        group_grant,
        {.archive = {ALICE}, .user = {BOB}, .grants = direct[caller], .granted_by = "admin"},
        {.archive = {7}, .user = {BOB}, .grants = EMLFS_GRANT_ALL, .granted_by = "admin"},
        {.archive = {ALICE}, .user = {9}, .grants = EMLFS_GRANT_ALL, .granted_by = "admin"},
    };
    const struct emlfs_grant_set set = {grants, sizeof(grants) / sizeof(grants[0])};
    struct emlfs_rights rights = emlfs_rights_default((struct emlfs_user_id){BOB});
    bool member = caller == GROUP_MEMBER;

    if (caller <= OWNER_ALL)
        rights = (struct emlfs_rights){.user = {ALICE}, .own = own[caller]};
    if (caller == NOBODY || caller == ROOT || caller == ROOT_ACCESS)
        rights.user.v = 0;
    return emlfs_grants_of(&set, &rights, (struct emlfs_user_id){ALICE}, is_office_member, &member);
}

static struct emlfs_access_subject caller_subject(enum caller caller, uint32_t may)
{
    struct emlfs_access_subject subject = {.user = {BOB}, .may = may};

    if (caller <= OWNER_ALL)
        subject.user.v = ALICE;
    if (caller == NOBODY || caller == ROOT || caller == ROOT_ACCESS)
        subject = (struct emlfs_access_subject){0};
    subject.root = caller == ROOT || caller == ROOT_ACCESS;
    subject.admin = caller == ADMIN || caller == ADMIN_ACCESS;
    subject.archive_access = caller == ADMIN_ACCESS || caller == ROOT_ACCESS;
    subject.auditor = caller == AUDITOR || caller == AUDITOR_LATE;
    if (subject.auditor)
        subject.auditor_since_ns = caller == AUDITOR ? MADE_NS : MADE_NS - 1;
    return subject;
}

static struct emlfs_access_object object_of(const struct expected *e, enum caller caller)
{
    bool of_archive = e->kind >= EMLFS_OBJECT_ARCHIVE && e->kind <= EMLFS_OBJECT_SEARCH;

    return (struct emlfs_access_object){
        .kind = e->kind,
        .archive = {of_archive ? ALICE : 0},
        .archive_made_ns = MADE_NS,
        .grants = of_archive ? caller_grants(caller) : 0,
        .private_name = e->private_name,
        .read_only = e->read_only,
        .store = e->store,
    };
}

/* What the hand-written tables say for a caller with the rights may. */
static int expected_code(const struct expected *e, enum caller caller, enum emlfs_access_call call,
                         uint32_t may)
{
    bool is_user = caller != NOBODY && caller != ROOT && caller != ROOT_ACCESS;
    const char *row = e->rows[is_user && !(may & EMLFS_MAY_LOGIN) ? NOBODY : caller];

    assert_int_equal(strlen(row), EMLFS_CALLS);
    int code = code_of(row[call]);
    for (size_t i = 0; is_user && code == 0 && i < sizeof(needed) / sizeof(needed[0]); i++)
        if (needed[i].kind == e->kind && needed[i].call == call && !(may & needed[i].may))
            code = -EACCES;
    return code;
}

static void every_right_caller_object_and_call(void **state)
{
    size_t asked = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        for (unsigned caller = 0; caller < CALLERS; caller++)
            for (unsigned call = 0; call < EMLFS_CALLS; call++)
                for (uint32_t may = 0; may <= EMLFS_MAY_ALL; may++) {
                    const struct emlfs_access_subject subject = caller_subject(caller, may);
                    const struct emlfs_access_object object = object_of(&expected[i], caller);
                    int found = emlfs_access(&subject, &object, call);
                    int wanted = expected_code(&expected[i], caller, call, may);
                    if (found != wanted)
                        fail_msg("%s, caller %u, call %u, rights %x: %d, not %d", expected[i].what,
                                 caller, call, may, found, wanted);
                    asked++;
                }
    assert_int_equal(asked, sizeof(expected) / sizeof(expected[0]) * CALLERS * EMLFS_CALLS * 64);
}

static void every_kind_is_in_the_table(void **state)
{
    bool seen[EMLFS_OBJECTS] = {false};

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        seen[expected[i].kind] = true;
    for (size_t i = 0; i < EMLFS_OBJECTS; i++)
        assert_true(seen[i]);
}

static void moves(void **state)
{
    static const struct expected message = {.kind = EMLFS_OBJECT_MESSAGE};
    static const struct expected folder = {.kind = EMLFS_OBJECT_FOLDER};

    (void)state;
    for (size_t i = 0; i < sizeof(expected_moves) / sizeof(expected_moves[0]); i++) {
        const struct expected_move *e = &expected_moves[i];
        const struct emlfs_access_subject subject = caller_subject(e->caller, EMLFS_MAY_ALL);
        const struct emlfs_access_object from = object_of(&message, e->caller);
        struct emlfs_access_object to = object_of(&folder, e->caller);
        bool stands = e->caller != STRANGER && e->caller != ROOT;
        assert_int_equal(emlfs_access_move(&subject, &from, &to), code_of(e->within));
        to.archive.v = 5;
        to.grants = stands ? EMLFS_GRANT_ALL : 0;
        assert_int_equal(emlfs_access_move(&subject, &from, &to), code_of(e->into_own));
        to.grants = 0;
        to.archive_made_ns = MADE_NS + 1;
        assert_int_equal(emlfs_access_move(&subject, &from, &to), code_of(e->into_unseen));
    }
}

/* An auditor who is administrator, too: only an auditor. A user whose grants lack READ: nothing. */
static void odd_combinations(void **state)
{
    struct emlfs_access_subject subject = caller_subject(ADMIN_ACCESS, EMLFS_MAY_ALL);
    struct emlfs_access_object object = {.kind = EMLFS_OBJECT_SYSTEM};

    (void)state;
    assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_COMMAND), 0);
    subject.auditor = true;
    assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_COMMAND), -EACCES);
    subject = caller_subject(WRITER, EMLFS_MAY_ALL);
    object = (struct emlfs_access_object){.kind = EMLFS_OBJECT_MESSAGE,
                                          .archive = {ALICE},
                                          .grants = EMLFS_GRANT_WRITE | EMLFS_GRANT_DELETE};
    assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_UNLINK), -ENOENT);
    assert_int_equal(emlfs_access_grants(&subject, &object), 0);
    assert_int_equal(emlfs_access(&subject, &object, (enum emlfs_access_call)99), -EACCES);
}

/* Not even in an archive of their own, nor where everything was granted to them. */
static void an_auditor_changes_nothing(void **state)
{
    struct emlfs_access_subject subject = caller_subject(AUDITOR, EMLFS_MAY_ALL);
    struct emlfs_access_object object = {.archive = {BOB}, .grants = EMLFS_GRANT_ALL};

    (void)state;
    for (int i = 0; i < 2; i++) {
        object.kind = EMLFS_OBJECT_MESSAGE;
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_READ), 0);
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_UNLINK), -EACCES);
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_RENAME), -EACCES);
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_EXPORT), -EACCES);
        object.kind = EMLFS_OBJECT_FOLDER;
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_CREATE), -EACCES);
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_RMDIR), -EACCES);
        object.kind = EMLFS_OBJECT_SEARCHES;
        assert_int_equal(emlfs_access(&subject, &object, EMLFS_CALL_MKDIR), -EACCES);
        object.archive.v = ALICE;
    }
    assert_int_equal(emlfs_access_grants(&subject, &object), EMLFS_GRANT_READ);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_right_caller_object_and_call),
        cmocka_unit_test(every_kind_is_in_the_table),
        cmocka_unit_test(moves),
        cmocka_unit_test(odd_combinations),
        cmocka_unit_test(an_auditor_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
