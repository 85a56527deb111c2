/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the facts worker is locked in. Three walls, each enough for most attacks: resource limits,
 * Landlock (no file can be opened whatever the system call), seccomp (no system call but those that
 * reading, parsing and answering need). Built with a sanitizer, whose run-time needs more, the
 * memory limit is left out and a few calls are added; files and network stay closed.
 */
#include <errno.h>
#include <iconv.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emlfs/importer.h"
#include "facts.h"
#include "worker.h"

#if defined(EMLFS_SANITIZED)
#define WORKER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define WORKER_SANITIZED 1
#endif
#endif
#ifndef WORKER_SANITIZED
#define WORKER_SANITIZED 0
#endif

/* The system's headers may be older than the kernel: Landlock's ABI, as far as it is used here. */
struct landlock_rules {
    uint64_t handled_fs;
    uint64_t handled_net; /* from ABI 4 */
    uint64_t scoped;      /* from ABI 6 */
};
#define LANDLOCK_VERSION_FLAG 1u
#define CPU_LIMIT_SEC (6u * 3600) /* of one child; the parent ends a single message much sooner */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif

static const char *const charsets[] = {
    "UTF-8",        "UTF-7",        "UTF-16",        "UTF-16LE",      "UTF-16BE",
    "UTF-32",       "UCS-2",        "UCS-4",         "US-ASCII",      "ISO-8859-1",
    "ISO-8859-2",   "ISO-8859-3",   "ISO-8859-4",    "ISO-8859-5",    "ISO-8859-6",
    "ISO-8859-7",   "ISO-8859-8",   "ISO-8859-9",    "ISO-8859-10",   "ISO-8859-11",
    "ISO-8859-13",  "ISO-8859-14",  "ISO-8859-15",   "ISO-8859-16",   "CP437",
    "CP850",        "CP852",        "CP855",         "CP866",         "CP874",
    "WINDOWS-1250", "WINDOWS-1251", "WINDOWS-1252",  "WINDOWS-1253",  "WINDOWS-1254",
    "WINDOWS-1255", "WINDOWS-1256", "WINDOWS-1257",  "WINDOWS-1258",  "KOI8-R",
    "KOI8-U",       "KOI8-T",       "MACINTOSH",     "MAC-CYRILLIC",  "TIS-620",
    "VISCII",       "TCVN",         "SHIFT_JIS",     "CP932",         "EUC-JP",
    "EUC-JP-MS",    "ISO-2022-JP",  "ISO-2022-JP-2", "ISO-2022-JP-3", "EUC-KR",
    "CP949",        "JOHAB",        "ISO-2022-KR",   "GB2312",        "GBK",
    "GB18030",      "HZ",           "ISO-2022-CN",   "BIG5",          "BIG5-HKSCS",
    "CP950",        "EUC-TW",       "ARMSCII-8",     "GEORGIAN-PS",   "PT154",
    "RK1048",       "HP-ROMAN8",
};

/*
 * The converters stay open on purpose: while one is, the C library keeps its module, so that a
 * later iconv_open of the same charset needs no file.
 */
int worker_preload(void)
{
    if (!facts_decode_init())
        return -ELIBACC;
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++) {
        (void)iconv_open("UTF-8", charsets[i]);
        (void)iconv_open(charsets[i], "UTF-8");
    }
    static const char sample[] = "From: =?iso-8859-1?q?=E9?= <a@b>, g: c@d;\r\n"
                                 "Date: Sun, 1 Mar 2026 09:13:00 +0100\r\n"
                                 "Received: x; Sun, 1 Mar 2026 09:13:00 EST\r\n"
                                 "Subject: \xe9 =?utf-8?b?w6k=?=\r\n"
                                 "Content-Type: text/plain; charset=koi8-r; name*=utf-8''x\r\n"
                                 "Content-Disposition: attachment; filename=\"x\"\r\n\r\nx\r\n";
    struct emlfs_buf facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    (void)emlfs_parse_facts(emlfs_span_str(sample), &facts);
    emlfs_buf_free(&facts);
    return 0;
}

static int limit_set(__rlimit_resource_t what, uint64_t most)
{
    struct rlimit now;
    if (getrlimit(what, &now) < 0)
        return -errno;
    if (now.rlim_max > most)
        now.rlim_max = most;
    now.rlim_cur = now.rlim_max;
    return setrlimit(what, &now) < 0 ? -errno : 0;
}

static int limits_set(uint64_t memory_bytes)
{
    int rc = limit_set(RLIMIT_FSIZE, 0);
    if (rc == 0)
        rc = limit_set(RLIMIT_CORE, 0);
    if (rc == 0)
        rc = limit_set(RLIMIT_NPROC, 0);
    if (rc == 0)
        rc = limit_set(RLIMIT_NOFILE, 16);
    if (rc == 0)
        rc = limit_set(RLIMIT_MEMLOCK, 0);
    if (rc == 0)
        rc = limit_set(RLIMIT_CPU, CPU_LIMIT_SEC);
    if (rc == 0 && memory_bytes > 0 && !WORKER_SANITIZED)
        rc = limit_set(RLIMIT_AS, memory_bytes);
    return rc;
}

/* No file, no TCP port, no abstract socket, no signal to others: as far as the kernel knows. */
static int landlock_close(void)
{
    struct landlock_rules rules = {0};
    size_t size = sizeof rules.handled_fs;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi < 1)
        return 0; /* not built in or switched off: seccomp closes the same doors */
    unsigned rights = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
    rules.handled_fs = (1u << rights) - 1;
    if (abi >= 4) {
        rules.handled_net = 3;
        size = offsetof(struct landlock_rules, scoped);
    }
    if (abi >= 6) {
        rules.scoped = 3;
        size = sizeof rules;
    }
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return -errno;
    int rc = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static const int calls_allowed[] = {
    SCMP_SYS(read),          SCMP_SYS(write),
    SCMP_SYS(readv),         SCMP_SYS(writev),
    SCMP_SYS(brk),           SCMP_SYS(munmap),
    SCMP_SYS(mremap),        SCMP_SYS(madvise),
    SCMP_SYS(futex),         SCMP_SYS(exit),
    SCMP_SYS(exit_group),    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction),  SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(time),          SCMP_SYS(close),
    SCMP_SYS(fstat),         SCMP_SYS(getpid),
    SCMP_SYS(gettid),        SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom),     SCMP_SYS(sched_yield),
};
/* What the run-time of a sanitizer asks for beside these. */
static const int calls_sanitizer[] = {
    SCMP_SYS(sigaltstack), SCMP_SYS(mmap),      SCMP_SYS(mprotect), SCMP_SYS(prctl),
    SCMP_SYS(getrlimit),   SCMP_SYS(prlimit64), SCMP_SYS(readlink), SCMP_SYS(getppid),
};

static int rules_add(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return rc;
}

/* Memory that is never executable, and signals to nobody but itself (abort). */
static int rules_add_narrow(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    struct scmp_arg_cmp self = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
    return rc;
}

/* What is not allowed fails with EACCES: a library that asks in vain goes on without. */
static int seccomp_close(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EACCES));
    if (filter == NULL)
        return -ENOMEM;
    int rc = rules_add(filter, calls_allowed, sizeof calls_allowed / sizeof calls_allowed[0]);
    if (rc == 0 && !WORKER_SANITIZED)
        rc = rules_add_narrow(filter);
    if (rc == 0 && WORKER_SANITIZED)
        rc = rules_add(filter, calls_sanitizer, sizeof calls_sanitizer / sizeof calls_sanitizer[0]);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int worker_confine(uint64_t memory_bytes)
{
    /* the signal comes when the starting thread ends: a worker belongs to one thread anyway, and a
     * child that is gone is replaced */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    int rc = limits_set(memory_bytes);
    if (rc == 0)
        rc = landlock_close();
    return rc == 0 ? seccomp_close() : rc;
}
