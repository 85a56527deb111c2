/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user and group database of the machine, and its monotonic clock. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "emlfs/base/os.h"
#include "rules_internal.h"

#define ENTRY_FIRST_BYTES ((size_t)1024)
#define ENTRY_MAX_BYTES ((size_t)1 << 22) /* groups list their members */

typedef int find_fn(const char *name, char *buf, size_t size, gid_t *ret_gid);

/* How "not there" is told differs from one NSS module to the next: getpwnam(3). */
static int found_or_not(int r)
{
    return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT : -r;
}

static int account_find(const char *account, char *buf, size_t size, gid_t *ret_gid)
{
    struct passwd pw;
    struct passwd *found = NULL;

    int r = getpwnam_r(account, &pw, buf, size, &found);
    if (!found)
        return found_or_not(r);
    *ret_gid = found->pw_gid;
    return 0;
}

static int group_find(const char *group, char *buf, size_t size, gid_t *ret_gid)
{
    struct group gr;
    struct group *found = NULL;

    int r = getgrnam_r(group, &gr, buf, size, &found);
    if (!found)
        return found_or_not(r);
    *ret_gid = found->gr_gid;
    return 0;
}

static int entry_find(find_fn *find, const char *name, gid_t *ret_gid)
{
    int r = -ERANGE;

    for (size_t size = ENTRY_FIRST_BYTES; r == -ERANGE && size <= ENTRY_MAX_BYTES; size *= 2) {
        char *buf = malloc(size);
        if (!buf)
            return -ENOMEM;
        do {
            r = find(name, buf, size, ret_gid);
        } while (r == -EINTR);
        free(buf);
    }
    return r;
}

static int system_groups(void *arg, const char *account, gid_t *ret, unsigned max, unsigned *ret_n)
{
    int n = (int)max;
    gid_t gid = 0;

    (void)arg;
    int r = entry_find(account_find, account, &gid);
    if (r < 0)
        return r;
    if (getgrouplist(account, gid, ret, &n) < 0)
        return -ERANGE;
    *ret_n = (unsigned)n;
    return 0;
}

static int system_gid(void *arg, const char *group, gid_t *ret_gid)
{
    (void)arg;
    return entry_find(group_find, group, ret_gid);
}

static int64_t system_monotonic_ns(void *arg)
{
    (void)arg;
    return emlfs_os_monotonic_ns();
}

struct rules_system emlfs_rules_system(void)
{
    return (struct rules_system){
        .groups = system_groups, .gid = system_gid, .monotonic_ns = system_monotonic_ns};
}
