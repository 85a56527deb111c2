/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_SPOOL_MAP_H
#define EMLFS_ARCHIVE_SPOOL_MAP_H

#include "spool_log.h"

/* ---- spool_map.c: where each chunk of a spool file lies in its log */

struct spool_place {
    uint64_t pos; /* of the record; 0: the chunk is a hole */
    uint32_t number;
    uint32_t len; /* bytes of the record that still count */
};
#define SPOOL_MAP_PAGE 256u
struct spool_map {
    struct spool_place **pages; /* SPOOL_MAP_PAGE places each; NULL: holes */
    size_t pages_n;
    uint64_t live_bytes; /* that the records which still count take in a log */
};
void spool_map_free(struct spool_map *map);
/* Make sure that the chunks first ... last can be set. ENOMEM. */
int spool_map_reserve(struct spool_map *map, uint64_t first, uint64_t last);
/* A chunk that was reserved. */
void spool_map_set(struct spool_map *map, uint64_t no, struct spool_place place);
struct spool_place spool_map_get(const struct spool_map *map, uint64_t no);
/* Bytes from size on count no more. */
void spool_map_cut(struct spool_map *map, uint64_t size);
/* The first chunk >= *no that is no hole; false: none. */
bool spool_map_next(const struct spool_map *map, uint64_t *no, struct spool_place *ret);

#endif
