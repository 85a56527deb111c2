/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts, date and name of a message that is about to be archived, from a confined worker. */
#include <stdlib.h>

#include "emlfs/ingest.h"
#include "emlfs/name.h"
#include "intake.h"

int intake_parsers_init(struct intake_parsers *parsers, struct emlfs_archive *archive,
                        const char *exe, struct emlfs_err *err)
{
    parsers->archive = archive;
    parsers->config.exe = exe ? exe : "/proc/self/exe";
    parsers->n = emlfs_archive_ingest_workers(archive);
    parsers->v = calloc(parsers->n ? parsers->n : 1, sizeof(*parsers->v));
    if (!parsers->v)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    return emlfs_worker_new(&parsers->config, &parsers->v[0], err);
}

void intake_parsers_free(struct intake_parsers *parsers)
{
    for (unsigned i = 0; i < parsers->n && parsers->v; i++)
        emlfs_worker_free(parsers->v[i]);
    free(parsers->v);
    parsers->v = NULL;
}

/* Texts that stand in the message's name; the parser's answer is decoded as the foreign input it
 * is. */
static int name_it(struct intake_parsers *parsers, struct emlfs_ingest_item *item,
                   const struct intake_how *how, struct emlfs_err *err)
{
    struct emlfs_facts facts;
    struct emlfs_name_input input = {.facts = &facts, .sent = how->sent};
    uint8_t source;
    int r = emlfs_facts_decode(emlfs_buf_view(&item->facts), &facts, err);

    if (r < 0)
        return r;
    item->mtime_ns = emlfs_name_date_ns(&facts, item->file_time_sec,
                                        emlfs_archive_now_ns(parsers->archive), &source);
    if (how->given && emlfs_name_given_stem(how->given, item->stem, sizeof(item->stem)))
        return 0;
    input.date_ns = item->mtime_ns;
    input.timezone = emlfs_archive_get_settings(parsers->archive)->timezone;
    r = emlfs_name_stem(&input, item->stem, sizeof(item->stem));
    return r < 0 ? emlfs_err_sys(err, -r, "import", "naming the message") : 0;
}

int intake_parse(struct intake_parsers *parsers, unsigned worker, struct emlfs_ingest_item *item,
                 const struct intake_how *how, struct emlfs_err *err)
{
    int r = 0;

    if (worker >= parsers->n)
        return emlfs_err_set(err, EINVAL, "import", "no worker %u", worker);
    if (!parsers->v[worker])
        r = emlfs_worker_new(&parsers->config, &parsers->v[worker], err);
    if (r == 0)
        r = emlfs_worker_facts(parsers->v[worker], emlfs_buf_view(&item->raw), &item->facts, err);
    if (r == 0 && !how->keep_claims)
        r = emlfs_facts_drop_claims(&item->facts);
    return r < 0 ? r : name_it(parsers, item, how, err);
}

void intake_parse_ahead(struct intake_parsers *parsers, unsigned worker,
                        const struct emlfs_ingest_item *item)
{
    if (worker < parsers->n && parsers->v[worker])
        emlfs_worker_ahead(parsers->v[worker], emlfs_buf_view(&item->raw));
}
