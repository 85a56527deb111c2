/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_EXTRACT_H
#define EMLFS_EXTRACT_H

#include "emlfs/doctext.h"
#include "emlfs/importer.h"

/*
 * Text extraction in a confined child process (seccomp, Landlock, rlimits, no keys, no files), one
 * per extractor. What is extracted: header fields, text and HTML bodies, nested messages, names of
 * attachments, and contents of the kinds asked for. Encrypted, damaged, unread and too large parts
 * are problems of the document; the others keep their text.
 *
 * A message of more than EMLFS_MESSAGE_MAX_BYTES is read up to there.
 * Messages of up to 64 KiB that are announced (ahead) go to the child together. When it breaks at
 * one of them, the others that have no answer yet are asked about again, each alone.
 */
struct emlfs_extractor_config {
    const char *exe;       /* program to execute: normally "/proc/self/exe" */
    unsigned timeout_ms;   /* per attempt at a message, 0: default 10000 */
    uint64_t memory_bytes; /* RLIMIT_AS, 0: default 768 MiB */
};
/*
 * Starts the child; *ret is zeroed on failure. It is the child of the calling thread: when that
 * thread ends, so does the child (and another is started when it is needed). A part that breaks
 * the child or takes too long is left out and the message tried again, at most three times; then
 * only its header and plain text are read. -ENOENT, -EIO, -ENOMEM.
 */
int emlfs_extractor_new(const struct emlfs_extractor_config *config, struct emlfs_extractor *ret,
                        struct emlfs_err *err);

#endif
