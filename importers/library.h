/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_LIBRARY_H
#define EMLFS_IMPORTERS_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Inside importers/: the libraries that parse are loaded by the workers when they start, before
 * they are confined, and by nothing else: every other command would pay for them and for what they
 * pull in more than for its own work. CMake gives their names (EMLFS_SONAME_...).
 *
 *   #define ZIP_CALLS(call) call(archive_read_new) call(archive_read_free)
 *   struct zip_calls {
 *       ZIP_CALLS(LIBRARY_MEMBER)
 *   };
 *   static const char *const names[] = {ZIP_CALLS(LIBRARY_NAME)};
 *   static struct zip_calls calls;
 *   static struct library library = LIBRARY_INIT(EMLFS_SONAME_ARCHIVE, names, calls);
 */
#define LIBRARY_MEMBER(name) __typeof__(name) *name;
#define LIBRARY_NAME(name) #name,
#define LIBRARY_INIT(file, names_of, calls_of)                                                     \
    {                                                                                              \
        .soname = (file), .names = (names_of), .calls = &(calls_of),                               \
        .count = sizeof(names_of) / sizeof((names_of)[0]), .room = sizeof(calls_of),               \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

struct library {
    const char *soname;
    const char *const *names;
    void *calls; /* a pointer for each name: written once, read only from then on */
    size_t count, room;
    pthread_mutex_t lock;
    bool tried, there;
};

/* Load it, the first time. False: it is not there, or is without one of the names. Any thread. */
bool library_load(struct library *library);

#endif
