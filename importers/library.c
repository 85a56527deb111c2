/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "library.h"

#include <dlfcn.h>
#include <string.h>

static bool names_find(struct library *library, void *loaded)
{
    bool good = library->room == library->count * sizeof(void *);

    for (size_t i = 0; good && i < library->count; i++) {
        void *call = dlsym(loaded, library->names[i]);
        memcpy((char *)library->calls + i * sizeof(void *), &call, sizeof(void *));
        good = call != NULL;
    }
    return good;
}

bool library_load(struct library *library)
{
    bool there;

    pthread_mutex_lock(&library->lock);
    if (!library->tried) {
        void *loaded = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);
        library->there = loaded != NULL && names_find(library, loaded);
        library->tried = true;
    }
    there = library->there;
    pthread_mutex_unlock(&library->lock);
    return there;
}
