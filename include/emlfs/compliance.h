/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMPLIANCE_H
#define EMLFS_COMPLIANCE_H

#include "emlfs/base/buf.h"
#include "emlfs/base/clock.h"
#include "emlfs/base/err.h"

/*
 * The compliance clock: the time by which retention expires. A state machine without a clock of its
 * own: the caller brings samples and keeps the state (as a sealed master row), so every game with
 * time is a unit test. One thread at a time for one state.
 *
 * It starts with the archive at the system clock's time and then:
 *
 *   - runs with the monotonic clock (which counts suspend, too) while the archive is open, and
 *     across a restart of the program in the same boot;
 *   - across anything else (reboot, another machine, a monotonic clock that went back) it follows
 *     the system clock only as far as its trust reaches. Trust begins with 7 days, every forward
 *     step spends it, and running earns it again: 1 hour for 4, never above 7 days;
 *   - moves up to a time that a signature from outside proves (a time stamp, RFC 3161);
 *   - never goes back.
 *
 * So after running verified time v since the start or the last proof, it can be ahead of the truth
 * by at most 7 days and v/4, whatever happens to the system clock; and it is behind the truth
 * after long times switched off, until it restarts with new trust or a time stamp comes. Behind
 * means kept longer. A date has passed when both clocks say so.
 */

#define EMLFS_BOOT_ID_BYTES 16u
#define EMLFS_COMPLIANCE_TRUST_MAX_NS (INT64_C(7) * 86400 * 1000000000)
#define EMLFS_COMPLIANCE_EARN 4 /* running so long earns trust of one */
#define EMLFS_COMPLIANCE_APART_NS (INT64_C(300) * 1000000000) /* clocks this far apart: told */

/* What the machine says now. */
struct emlfs_time_sample {
    int64_t wall_ns;                      /* system clock since 1970 UTC */
    int64_t boot_ns;                      /* since the machine started, suspend counted */
    uint8_t boot_id[EMLFS_BOOT_ID_BYTES]; /* differs for every start of every machine */
};
/*
 * Take one from the kernel: clock for the wall time, CLOCK_BOOTTIME without the offset of a time
 * namespace, and /proc/sys/kernel/random/boot_id. -EIO: the kernel does not tell.
 */
int emlfs_time_sample_take(const struct emlfs_clock *clock, struct emlfs_time_sample *ret);

struct emlfs_compliance {
    int64_t made_ns;               /* when the archive was made */
    int64_t now_ns;                /* compliance time at the last sample */
    int64_t proved_ns;             /* the latest time proved from outside; 0: none */
    int64_t trust_ns;              /* how far the next restart may follow the system clock */
    int64_t earned_rest_ns;        /* running time not yet turned into trust, below EARN */
    uint64_t resumes;              /* restarts in another boot, or on another machine */
    int64_t refused_ns;            /* how far the last of them did not follow */
    struct emlfs_time_sample last; /* the last sample */
};

/* A new archive: compliance time begins at sample's system time (not before 1970). */
void emlfs_compliance_begin(const struct emlfs_time_sample *sample, struct emlfs_compliance *ret);
/* Once after the archive was opened: bridge the time since the last sample as said above. */
void emlfs_compliance_resume(struct emlfs_compliance *state,
                             const struct emlfs_time_sample *sample);
/* Now and then while it is open, and before it is asked; the state is then to be kept. */
void emlfs_compliance_tick(struct emlfs_compliance *state, const struct emlfs_time_sample *sample);
/* A signature from outside, which the caller checked, proves that it is proved_ns at least. */
void emlfs_compliance_prove(struct emlfs_compliance *state, int64_t proved_ns);

/* Seconds by which dates are judged: the earlier of both clocks at the last sample. */
int64_t emlfs_compliance_sec(const struct emlfs_compliance *state);
/*
 * The time a message that is archived now is taken to have arrived, for retention: the later of
 * both clocks, so that setting the system clock back does not age new mail.
 */
int64_t emlfs_compliance_arrival_ns(const struct emlfs_compliance *state);

enum emlfs_compliance_reason {
    EMLFS_COMPLIANCE_AGREE = 0,
    EMLFS_COMPLIANCE_SYSTEM_AHEAD = 1,  /* it jumped forward, or was trusted no further */
    EMLFS_COMPLIANCE_SYSTEM_BEHIND = 2, /* it was set back, or was wrong before */
};
struct emlfs_compliance_report {
    int64_t system_ns, compliance_ns;
    int64_t apart_ns; /* system less compliance */
    int64_t trust_ns, refused_ns, proved_ns;
    enum emlfs_compliance_reason reason;
    const char *text; /* the reason as a sentence; constant */
};
/* Both times at the last sample, and why they differ. */
void emlfs_compliance_report(const struct emlfs_compliance *state,
                             struct emlfs_compliance_report *ret);

/* ---- master row: one, key "clock" */

#define EMLFS_COMPLIANCE_ROW_MAX_BYTES 256u
/* Replaces the content of ret_value. EINVAL: no state these functions make. -ENOMEM. */
int emlfs_compliance_encode(const struct emlfs_compliance *state, struct emlfs_buf *ret_value);
/* -EUCLEAN: impossible; -EPROTONOSUPPORT: a newer form. Without a state nothing expires. */
int emlfs_compliance_decode(struct emlfs_span value, struct emlfs_compliance *ret);

#endif
