/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static bool names_find(struct emlfs_library *library, void *loaded)
{
    bool good = library->room == library->count * sizeof(void *);

    for (size_t i = 0; good && i < library->count; i++) {
        void *call = dlsym(loaded, library->names[i]);
        memcpy((char *)library->calls + i * sizeof(void *), &call, sizeof(void *));
        good = call != NULL;
        if (!good)
            (void)snprintf(library->reason, sizeof(library->reason), "it has no %s",
                           library->names[i]);
    }
    return good;
}

static bool try_once(struct emlfs_library *library)
{
    void *loaded = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);

    if (!loaded) {
        const char *text = dlerror();
        (void)snprintf(library->reason, sizeof(library->reason), "%s", text ? text : "");
        return false;
    }
    return names_find(library, loaded);
}

int emlfs_library_load(struct emlfs_library *library, struct emlfs_err *err)
{
    pthread_mutex_lock(&library->lock);
    if (!library->tried)
        library->there = try_once(library);
    library->tried = true;
    bool there = library->there;
    pthread_mutex_unlock(&library->lock);
    if (there)
        return 0;
    return emlfs_err_set(err, ELIBACC, "library", "cannot use %s: %s", library->soname,
                         library->reason);
}
