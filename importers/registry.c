/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The importers there are, and which one is surest about a path. */
#include "source.h"

const struct emlfs_importer *const emlfs_importers[] = {
    &emlfs_importer_eml,
    &emlfs_importer_maildir,
    &emlfs_importer_mbox,
    NULL,
};

const struct emlfs_importer *emlfs_importer_find(const char *path)
{
    const struct emlfs_importer *best = NULL;
    int best_score = 0;
    for (size_t i = 0; emlfs_importers[i]; i++) {
        int score = emlfs_importers[i]->probe(path);
        if (score > best_score) {
            best = emlfs_importers[i];
            best_score = score;
        }
    }
    return best;
}

const struct emlfs_importer *emlfs_importer_by_name(const char *name)
{
    for (size_t i = 0; emlfs_importers[i]; i++)
        if (strcmp(emlfs_importers[i]->name, name) == 0)
            return emlfs_importers[i];
    return NULL;
}
