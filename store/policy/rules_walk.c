/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks over entries under the rules: folders that are held, mail that is due, mail of a hold. */
#include <stdlib.h>
#include <string.h>

#include "emlfs/feed.h"
#include "rules_internal.h"

typedef int page_fn(void *arg, const struct emlfs_entry *entries, unsigned n);

/* ---- folders, in depth-first order, with no more memory than the one at hand */

static int folder_below(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                        struct emlfs_folder_id after, struct emlfs_folder *ret,
                        struct emlfs_err *err)
{
    int r = emlfs_archive_folder_next(archive, parent, after, ret, err);
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* The folder behind *at below root. 1, 0 at the end, or negative. */
static int folder_step(struct emlfs_archive *archive, struct emlfs_folder_id root,
                       struct emlfs_folder *at, struct emlfs_err *err)
{
    const struct emlfs_folder_id none = {0};
    struct emlfs_folder next;

    int r = folder_below(archive, at->id, none, &next, err);
    while (r == 0 && at->id.v != root.v && at->parent.v != 0) {
        r = folder_below(archive, at->parent, at->id, &next, err);
        if (r == 0) {
            int up = emlfs_archive_folder_get(archive, at->parent, at, err);
            if (up < 0)
                return up;
        }
    }
    if (r > 0)
        *at = next;
    return r;
}

static int folder_pages(struct emlfs_archive *archive, struct emlfs_folder_id folder,
                        struct emlfs_entry *room, page_fn *each, void *arg, struct emlfs_err *err)
{
    struct emlfs_entry_page page = {.folder = folder, .v = room, .max = RULES_PAGE_ENTRIES};
    int r;

    do {
        r = emlfs_archive_entries(archive, &page, err);
        if (r == 0 && page.n > 0) {
            page.after = room[page.n - 1].id;
            r = each(arg, room, page.n);
        }
    } while (r == 0 && page.n > 0);
    return r == -ENOENT ? 0 : r; /* it went away meanwhile */
}

int rules_walk(struct emlfs_rules *rules, struct emlfs_folder_id folder, page_fn *each, void *arg,
               struct emlfs_err *err)
{
    struct emlfs_archive *archive = rules->options.archive;
    struct emlfs_entry *room = calloc(RULES_PAGE_ENTRIES, sizeof(*room));
    struct emlfs_folder at;
    int more;

    if (!room)
        return emlfs_err_sys(err, ENOMEM, "policy", "cannot walk the archive");
    int r = emlfs_archive_folder_get(archive, folder, &at, err);
    for (more = 1; r == 0 && more > 0;) {
        r = folder_pages(archive, at.id, room, each, arg, err);
        if (r == 0)
            more = folder_step(archive, folder, &at, err);
        if (more < 0)
            r = more;
    }
    free(room);
    return r;
}

/* ---- folders that are held */

struct free_walk {
    struct emlfs_rules *rules;
    const struct rules_snapshot *snapshot;
};

static int page_is_free(void *arg, const struct emlfs_entry *entries, unsigned n)
{
    const struct free_walk *walk = arg;
    RULES_PAGE_CLEANUP struct rules_page page;
    struct emlfs_held held = {0};

    rules_page_open(walk->rules, walk->snapshot, entries, n, &page);
    for (unsigned i = 0; i < n && !held.held; i++)
        rules_page_held(&page, i, &held);
    return held.held ? -EPERM : 0;
}

/* Could a hold in force cover messages of the store? Only of named ones can that be told. */
static bool store_may_be_held(const struct free_walk *walk, uint16_t no)
{
    const struct emlfs_hold_set set = rules_hold_set(walk->snapshot);
    struct emlfs_msg_id first;

    for (size_t i = 0; i < set.n; i++) {
        const struct emlfs_hold *hold = &set.v[i];
        if (hold->released)
            continue;
        if (hold->scope != EMLFS_HOLD_MESSAGES)
            return true;
        if (rules_named_after(walk->rules, hold->id, emlfs_msg_id_make(no, 0), &first, 1) > 0 &&
            emlfs_msg_id_store(first) == no)
            return true;
    }
    return false;
}

/* Messages of a store that is not shown are in no page, and what they are cannot be asked. */
static int store_is_free(const struct free_walk *walk, uint16_t no, struct emlfs_folder_id folder,
                         struct emlfs_err *err)
{
    struct emlfs_archive *archive = walk->rules->options.archive;
    struct emlfs_folder at;
    int more = 1;

    if (emlfs_archive_store_shown(archive, no) || !store_may_be_held(walk, no))
        return 0;
    int r = emlfs_archive_folder_get(archive, folder, &at, err);
    while (r == 0 && more > 0) {
        r = emlfs_archive_folder_in_store(archive, at.id, no, err);
        if (r == 0)
            more = folder_step(archive, folder, &at, err);
        if (more < 0)
            r = more;
    }
    return r > 0 ? -EPERM : r;
}

static int hidden_is_free(const struct free_walk *walk, struct emlfs_folder_id folder,
                          struct emlfs_err *err)
{
    struct emlfs_store_info store = {0};
    int r;

    do {
        r = emlfs_archive_store_info(walk->rules->options.archive, store.no, &store, err);
        if (r == -ENOENT)
            return 0;
        if (r == 0)
            r = store_is_free(walk, store.no, folder, err);
    } while (r == 0);
    return r;
}

int emlfs_rules_folder_free(struct emlfs_rules *rules, struct emlfs_folder_id folder,
                            uint64_t *ret_generation, struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;

    int r = rules_snapshot_get(rules, &snapshot, err);
    if (r < 0)
        return r;
    *ret_generation = snapshot->generation;
    if (!snapshot->any_hold)
        return 0;
    struct free_walk walk = {rules, snapshot};
    r = rules_walk(rules, folder, page_is_free, &walk, err);
    if (r == 0)
        r = hidden_is_free(&walk, folder, err);
    if (r == -EPERM)
        return emlfs_err_set(err, EPERM, "policy", "there is mail in the folder that is kept");
    return r;
}

/* ---- what is due */

struct due_walk {
    struct emlfs_rules *rules;
    int64_t until_sec;
    int (*each)(void *arg, const struct emlfs_due *due);
    void *arg;
    const struct emlfs_progress *progress;
    uint64_t done;
    struct emlfs_err *err;
};

static int due_tell(struct due_walk *walk, struct rules_page *page, unsigned at)
{
    const struct rules_snapshot *snapshot = page->snapshot;
    struct emlfs_retention retention;
    struct emlfs_held held;

    rules_page_retention(page, at, &retention);
    if (retention.latest_sec >= walk->until_sec || retention.latest_policy >= snapshot->policies_n)
        return 0;
    rules_page_held(page, at, &held);
    const struct emlfs_due due = {.entry = page->entries[at],
                                  .latest_sec = retention.latest_sec,
                                  .policy = snapshot->policies[retention.latest_policy].id,
                                  .held = held.held};
    return walk->each(walk->arg, &due);
}

static int due_page(void *arg, const struct emlfs_entry *entries, unsigned n)
{
    struct due_walk *walk = arg;
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    RULES_PAGE_CLEANUP struct rules_page page = {0};

    int r = rules_snapshot_get(walk->rules, &snapshot, walk->err);
    rules_page_open(walk->rules, snapshot, entries, n, &page);
    for (unsigned i = 0; r == 0 && i < n; i++)
        r = due_tell(walk, &page, i);
    walk->done += n;
    emlfs_progress_step(walk->progress, "due", walk->done, 0);
    if (r == 0 && emlfs_progress_cancelled(walk->progress))
        r = emlfs_err_set(walk->err, ECANCELED, "policy", "cancelled");
    return r;
}

int emlfs_rules_due(struct emlfs_rules *rules, int64_t until_sec,
                    int (*each)(void *arg, const struct emlfs_due *due), void *arg,
                    const struct emlfs_progress *progress, struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct due_walk walk = {.rules = rules,
                            .until_sec = until_sec,
                            .each = each,
                            .arg = arg,
                            .progress = progress,
                            .err = err};

    int r = rules_snapshot_get(rules, &snapshot, err);
    if (r < 0 || !snapshot->any_automatic)
        return r;
    for (size_t i = 0; r == 0 && i < snapshot->users_n; i++)
        r = rules_walk(rules, snapshot->users[i].archive, due_page, &walk, err);
    return r;
}

/* ---- what a hold covers */

#define WINDOW_FIRST 1024u
#define WINDOW_MAX (1u << 20)

/* Ids of a stretch of numbers that are candidates, as bits. */
struct window {
    uint64_t low; /* the id of bit 0 */
    uint32_t n;   /* bits */
    uint64_t bits[WINDOW_MAX / 64];
};

static int window_mark(void *arg, struct emlfs_msg_id id)
{
    struct window *window = arg;

    if (id.v >= window->low && id.v - window->low < window->n)
        window->bits[(id.v - window->low) / 64] |= UINT64_C(1) << (id.v - window->low) % 64;
    return 0;
}

static int window_query(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                        const struct emlfs_query *query, struct window *window,
                        struct emlfs_err *err)
{
    struct emlfs_search search = {
        .query = query, .above = {window->low - 1}, .below = {window->low + window->n}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < snapshot->users_n; i++) {
        search.user = snapshot->users[i].id;
        r = emlfs_index_search(rules->options.index, &search, window_mark, window, err);
    }
    return r;
}

/* The entry of id that stands for it; 1: there, 0: none. */
static int entry_any(struct emlfs_archive *archive, struct emlfs_msg_id id,
                     struct emlfs_filing *filings, struct emlfs_entry *ret, struct emlfs_err *err)
{
    unsigned n = 0;

    int r = emlfs_archive_filings(archive, id, filings, EMLFS_FILINGS_MAX, &n, err);
    if (r == 0 && n > 0)
        r = emlfs_archive_entry_of(archive, filings[0].user, id, ret, err);
    if (r == -ENOENT || (r == 0 && n == 0))
        return 0;
    return r < 0 ? r : 1;
}

struct held_walk {
    struct emlfs_rules *rules;
    const struct rules_snapshot *snapshot;
    const struct emlfs_hold *hold;
    const struct emlfs_query *query; /* of a hold by query */
    struct emlfs_held_page *page;
    struct emlfs_filing *filings;
    struct window *window;
};

static int held_take(struct held_walk *walk, struct emlfs_msg_id id, struct emlfs_err *err)
{
    struct emlfs_held_page *page = walk->page;

    page->after = id;
    int r = entry_any(walk->rules->options.archive, id, walk->filings, &page->v[page->n], err);
    page->n += r == 1;
    return r < 0 ? r : 0;
}

static int held_named(struct held_walk *walk, struct emlfs_err *err)
{
    struct emlfs_held_page *page = walk->page;
    struct emlfs_msg_id id;
    int r = 0;

    while (r == 0 && page->n < page->max &&
           rules_named_after(walk->rules, walk->hold->id, page->after, &id, 1) == 1)
        r = held_take(walk, id, err);
    return r;
}

static bool window_has(const struct held_walk *walk, uint32_t bit)
{
    if (!walk->query)
        return true; /* everything */
    return walk->window->bits[bit / 64] >> bit % 64 & 1;
}

static int window_take(struct held_walk *walk, struct emlfs_err *err)
{
    struct window *window = walk->window;
    int r = 0;

    for (uint32_t bit = 0; r == 0 && bit < window->n && walk->page->n < walk->page->max; bit++)
        if (window_has(walk, bit))
            r = held_take(walk, (struct emlfs_msg_id){window->low + bit}, err);
    if (r == 0 && walk->page->n < walk->page->max)
        walk->page->after.v = window->low + window->n - 1;
    return r;
}

/* One store, from behind page->after. */
static int held_store(struct held_walk *walk, uint16_t no, uint64_t last, struct emlfs_err *err)
{
    const uint64_t first = emlfs_msg_id_make(no, 1).v;
    struct emlfs_held_page *page = walk->page;
    uint32_t size = WINDOW_FIRST;
    int r = 0;

    if (page->after.v < first - 1)
        page->after.v = first - 1;
    while (r == 0 && page->n < page->max && page->after.v < last) {
        struct window *window = walk->window;
        window->low = page->after.v + 1;
        window->n = last - page->after.v < size ? (uint32_t)(last - page->after.v) : size;
        memset(window->bits, 0, (window->n + 63) / 64 * sizeof(window->bits[0]));
        if (walk->query)
            r = window_query(walk->rules, walk->snapshot, walk->query, window, err);
        if (r == 0)
            r = window_take(walk, err);
        size = size < WINDOW_MAX ? 2 * size : size;
    }
    return r;
}

static int held_stores(struct held_walk *walk, struct emlfs_err *err)
{
    struct emlfs_archive *archive = walk->rules->options.archive;
    struct emlfs_store_info info = {0};
    int r = 0;

    while (r == 0 && walk->page->n < walk->page->max) {
        r = emlfs_archive_store_info(archive, info.no, &info, err);
        if (r < 0)
            break;
        uint64_t last = emlfs_msg_id_make(info.no, UINT32_MAX).v;
        if (info.messages < UINT32_MAX)
            last = emlfs_msg_id_make(info.no, (uint32_t)info.messages).v;
        if (info.present && info.messages && walk->page->after.v < last)
            r = held_store(walk, info.no, last, err);
    }
    return r == -ENOENT ? 0 : r;
}

static const struct emlfs_hold *hold_in_force(const struct rules_snapshot *snapshot, uint32_t id,
                                              size_t *ret_at)
{
    for (*ret_at = 0; *ret_at < snapshot->holds_n; (*ret_at)++) {
        const struct emlfs_hold *hold = &snapshot->holds[*ret_at];
        if (hold->id == id && !hold->released)
            return hold;
    }
    return NULL;
}

static int held_run(struct held_walk *walk, struct emlfs_err *err)
{
    int r;

    walk->filings = calloc(EMLFS_FILINGS_MAX, sizeof(*walk->filings));
    walk->window = malloc(sizeof(*walk->window));
    if (!walk->filings || !walk->window)
        r = emlfs_err_sys(err, ENOMEM, "policy", "cannot list the hold");
    else
        r = walk->hold->scope == EMLFS_HOLD_MESSAGES ? held_named(walk, err)
                                                     : held_stores(walk, err);
    free(walk->filings);
    free(walk->window);
    return r;
}

int emlfs_rules_held(struct emlfs_rules *rules, struct emlfs_held_page *page, struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct held_walk walk = {.rules = rules, .page = page};
    const struct emlfs_msg_id after = page->after;
    size_t at;

    page->n = 0;
    int r = rules_snapshot_get(rules, &snapshot, err);
    if (r < 0)
        return r;
    walk.snapshot = snapshot;
    walk.hold = hold_in_force(snapshot, page->hold, &at);
    if (!walk.hold)
        return emlfs_err_set(err, ENOENT, "policy", "no hold %u in force", page->hold);
    if (walk.hold->scope == EMLFS_HOLD_QUERY) {
        walk.query = snapshot->hold_queries[at];
        if (!walk.query || !rules->options.index)
            return emlfs_err_set(err, EAGAIN, "policy", "what the hold covers cannot be told now");
    }
    r = held_run(&walk, err);
    page->after = after; /* the caller's: the last entry says where it goes on */
    return r;
}
