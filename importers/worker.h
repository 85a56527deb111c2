/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_WORKER_H
#define EMLFS_IMPORTERS_WORKER_H

#include <stdint.h>

/*
 * Inside importers/: what parent and child of the facts worker agree on. Both run on one machine
 * and from one binary, so numbers are in its byte order.
 *
 *   child  -> parent, once:  struct worker_hello
 *   parent -> child:         struct worker_request, then seen_bytes bytes of the message
 *   child  -> parent:        struct worker_answer, then facts_bytes bytes
 */
#define WORKER_ARGV0 "emlfs-worker"
#define WORKER_MEMORY_ENV "EMLFS_WORKER_MEMORY_MIB" /* RLIMIT_AS, 0: none */
#define WORKER_MAGIC 0x656d6c77u

struct worker_hello {
    uint32_t magic;
    uint32_t memory_mib; /* echo of the limit that was set, 0: none */
};
struct worker_request {
    uint64_t total_bytes; /* of the message */
    uint32_t seen_bytes;  /* of it that follow */
    uint32_t magic;
};
struct worker_answer {
    uint32_t facts_bytes; /* at most EMLFS_FACTS_MAX_BYTES */
    uint32_t magic;
};

/* Load whatever parsing may need from files later: charset converters, GMime's types. */
void worker_preload(void);
/*
 * Give up every right that parsing does not need, for good: no files, no network, no processes, no
 * new memory over memory_bytes (0: unlimited). 0, or -errno when the process is not confined; a
 * kernel without Landlock is tolerated, one without seccomp is not.
 */
int worker_confine(uint64_t memory_bytes);

#endif
