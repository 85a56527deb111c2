/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_LIBRARY_H
#define EMLFS_BASE_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>

#include "emlfs/base/err.h"

/*
 * Libraries that only some commands need are loaded by who needs them: every other command would
 * pay for them, and for what they pull in, more than for its own work. CMake gives the name of the
 * file that the program would be linked with, and fails where it is missing (EMLFS_SONAME_...).
 *
 *   #define ZIP_CALLS(call) call(archive_read_new) call(archive_read_free)
 *   struct zip_calls {
 *       ZIP_CALLS(EMLFS_LIBRARY_MEMBER)
 *   };
 *   static const char *const names[] = {ZIP_CALLS(EMLFS_LIBRARY_NAME)};
 *   static struct zip_calls calls;
 *   static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_ARCHIVE, names, calls);
 */
#define EMLFS_LIBRARY_MEMBER(name) __typeof__(name) *name;
#define EMLFS_LIBRARY_NAME(name) #name,
#define EMLFS_LIBRARY_INIT(file, names_of, calls_of)                                               \
    {                                                                                              \
        .soname = (file), .names = (names_of), .calls = &(calls_of),                               \
        .count = sizeof(names_of) / sizeof((names_of)[0]), .room = sizeof(calls_of),               \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

struct emlfs_library {
    const char *soname;
    const char *const *names;
    void *calls; /* a pointer for each name: written once, read only from then on */
    size_t count, room;
    pthread_mutex_t lock; /* of what follows */
    bool tried, there;
    char reason[256]; /* why it is not there */
};

/*
 * Load it, the first time; it stays. Any thread. -ELIBACC: it is not there, or lacks one of the
 * names; err says which.
 */
int emlfs_library_load(struct emlfs_library *library, struct emlfs_err *err);

#endif
