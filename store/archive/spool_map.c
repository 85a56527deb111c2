/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spool_map.h"

#include <stdlib.h>

void spool_map_free(struct spool_map *map)
{
    for (size_t i = 0; i < map->pages_n; i++)
        free(map->pages[i]);
    free(map->pages);
    *map = (struct spool_map){0};
}

static int pages_grow(struct spool_map *map, size_t n)
{
    size_t room = n > 2 * map->pages_n ? n : 2 * map->pages_n;
    struct spool_place **grown = reallocarray(map->pages, room, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    for (size_t i = map->pages_n; i < room; i++)
        grown[i] = NULL;
    map->pages = grown;
    map->pages_n = room;
    return 0;
}

int spool_map_reserve(struct spool_map *map, uint64_t first, uint64_t last)
{
    int rc = last / SPOOL_MAP_PAGE < map->pages_n ? 0 : pages_grow(map, last / SPOOL_MAP_PAGE + 1);

    for (uint64_t page = first / SPOOL_MAP_PAGE; rc == 0 && page <= last / SPOOL_MAP_PAGE; page++) {
        if (!map->pages[page])
            map->pages[page] = calloc(SPOOL_MAP_PAGE, sizeof(**map->pages));
        rc = map->pages[page] ? 0 : -ENOMEM;
    }
    return rc;
}

static uint64_t place_bytes(const struct spool_place *place)
{
    return place->pos ? SPOOL_RECORD_BYTES((uint64_t)place->len) : 0;
}

static void place_set(struct spool_map *map, struct spool_place *at, struct spool_place place)
{
    map->live_bytes += place_bytes(&place) - place_bytes(at);
    *at = place;
}

void spool_map_set(struct spool_map *map, uint64_t no, struct spool_place place)
{
    place_set(map, &map->pages[no / SPOOL_MAP_PAGE][no % SPOOL_MAP_PAGE], place);
}

struct spool_place spool_map_get(const struct spool_map *map, uint64_t no)
{
    size_t page = no / SPOOL_MAP_PAGE;

    if (page >= map->pages_n || !map->pages[page])
        return (struct spool_place){0};
    return map->pages[page][no % SPOOL_MAP_PAGE];
}

bool spool_map_next(const struct spool_map *map, uint64_t *no, struct spool_place *ret)
{
    for (uint64_t page = *no / SPOOL_MAP_PAGE; page < map->pages_n; page++) {
        if (page > *no / SPOOL_MAP_PAGE)
            *no = page * SPOOL_MAP_PAGE;
        for (uint64_t i = *no % SPOOL_MAP_PAGE; map->pages[page] && i < SPOOL_MAP_PAGE; i++) {
            *ret = map->pages[page][i];
            *no = page * SPOOL_MAP_PAGE + i;
            if (ret->pos)
                return true;
        }
    }
    return false;
}

void spool_map_cut(struct spool_map *map, uint64_t size)
{
    uint64_t no = size / SPOOL_CHUNK_BYTES;
    uint32_t keep = (uint32_t)(size % SPOOL_CHUNK_BYTES);
    struct spool_place place;

    for (; spool_map_next(map, &no, &place); no++) {
        uint32_t left = no == size / SPOOL_CHUNK_BYTES ? keep : 0;
        if (place.len > left)
            place.len = left;
        spool_map_set(map, no, place.len ? place : (struct spool_place){0});
    }
}
