/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading packs into rows: what a crash left uncommitted, or everything.
 *
 * I-REPLAY-1  only a tail behind the catalogue's mark is ever cut off, and nothing in it was
 *             acknowledged: the mark is synced before anything is
 * I-REPLAY-2  damage is a finding, never the end: the walk goes on with the next authentic record,
 *             and a tail that holds one is never cut
 */
#include <stdio.h>

#include "heal.h"
#include "internal.h"

#define MODULE "archive"
#define COMMIT_ROWS 20000u

struct replay {
    const struct replay_options *options;
    struct store *store;
    struct apply *apply;
    struct emlfs_buf plain;
    struct emlfs_buf message;
    struct emlfs_pack_end previous; /* of the pack before, as walked */
    bool gap;                       /* something was skipped in the pack being walked */
    bool each_failed;               /* the walk ended because of the catalogue, not of the pack */
    uint64_t records, news, bytes_done, bytes_total;
    struct emlfs_err *err;
};

static void finding(struct replay *replay, const struct emlfs_err *err)
{
    if (replay->options->totals)
        replay->options->totals->errors++;
    if (replay->options->finding)
        replay->options->finding(replay->options->arg, err);
}

static void count_record(struct replay *replay, const struct emlfs_record *record)
{
    struct emlfs_check_totals *totals = replay->options->totals;

    replay->records++;
    replay->news += record->type != EMLFS_RECORD_OPEN && record->type != EMLFS_RECORD_SEAL;
    replay->bytes_done += record->stored.len;
    if (totals) {
        totals->records++;
        totals->blobs += record->type == EMLFS_RECORD_BLOB;
    }
    emlfs_progress_step(replay->options->progress, "packs", replay->bytes_done,
                        replay->bytes_total);
}

/* The OPEN record says how the pack before ended: a cut or exchanged pack shows here. */
static int check_open(struct replay *replay, const struct emlfs_record *record)
{
    struct emlfs_pack_end said;
    struct emlfs_err found;
    int rc = emlfs_record_previous(record, &said);

    if (rc < 0 || !replay->previous.pack_no)
        return rc;
    if (said.pack_no == replay->previous.pack_no && said.count == replay->previous.count &&
        said.offset == replay->previous.offset &&
        memcmp(said.chain.v, replay->previous.chain.v, EMLFS_HASH_BYTES) == 0)
        return 0;
    emlfs_err_set(&found, EBADMSG, MODULE,
                  "store %u: pack %u ends at %llu with %u records, pack %u says at %llu with %u",
                  replay->store->rows.no, replay->previous.pack_no,
                  (unsigned long long)replay->previous.offset, replay->previous.count,
                  record->loc.pack_no, (unsigned long long)said.offset, said.count);
    finding(replay, &found);
    return 0;
}

static int record_dict(struct replay *replay)
{
    struct emlfs_dict *dict = NULL;
    int rc = emlfs_dict_new(emlfs_buf_view(&replay->plain), 9, &dict);

    if (rc == 0 && store_dict_add(replay->store, dict) < 0)
        emlfs_dict_free(dict);
    return rc;
}

/* Rebuild every message of a block; damage is a finding, not the end. */
static int check_block(struct replay *replay, const struct emlfs_record *record)
{
    struct block block;
    int rc = block_decode(emlfs_buf_view(&replay->plain), replay->plain.len, &block);

    for (unsigned i = 0; i < block.n && rc == 0; i++) {
        const struct block_message *message = &block.v[i];
        const struct rebuild_source source = {
            .store = replay->store,
            .txn = apply_txn(replay->apply, replay->store->rows.no),
            .text = emlfs_span_of(replay->plain.data + block.meta_len + message->text_offset,
                                  (size_t)message->text_len),
            .message = message};
        struct emlfs_err found = {0};
        emlfs_buf_clear(&replay->message);
        int one = rebuild_message(&source, &replay->message, &found);
        if (one == -ENOMEM)
            rc = one;
        if (one < 0) {
            char detail[200];
            snprintf(detail, sizeof(detail), "%.190s", found.code ? found.text : "wrong content");
            emlfs_err_set(&found, -one, MODULE, "message %u of store %u (pack %u at %llu): %s",
                          block.first + i, replay->store->rows.no, record->loc.pack_no,
                          (unsigned long long)record->loc.offset, detail);
            finding(replay, &found);
        }
    }
    block_free(&block);
    return rc;
}

static int count_block(struct replay *replay)
{
    const struct replay_options *options = replay->options;
    struct emlfs_check_totals *totals = replay->options->totals;
    struct block block;
    int rc = block_decode(emlfs_buf_view(&replay->plain), replay->plain.len, &block);

    for (unsigned i = 0; i < block.n && rc == 0 && totals; i++) {
        totals->messages++;
        totals->bytes += block.v[i].size_bytes;
        totals->entries += block.v[i].entries_n;
        if (options->message)
            rc = options->message(options->message_arg,
                                  emlfs_msg_id_make(replay->store->rows.no, block.first + i),
                                  block.v[i].sha256);
    }
    block_free(&block);
    return rc;
}

static int record_check(struct replay *replay, const struct emlfs_record *record)
{
    int rc = 0;

    if (record->type == EMLFS_RECORD_OPEN)
        rc = check_open(replay, record);
    else if (record->type == EMLFS_RECORD_DICT)
        rc = record_dict(replay);
    else if (record->type == EMLFS_RECORD_BLOCK)
        rc = count_block(replay);
    if (rc == 0 && record->type == EMLFS_RECORD_BLOCK && replay->options->deep)
        rc = check_block(replay, record);
    return rc;
}

/* True for what only this record suffers from. */
static bool is_damage(int rc)
{
    return rc == -EBADMSG || rc == -EUCLEAN || rc == -ENOKEY || rc == -ENOENT;
}

static void record_lost(struct replay *replay, const struct emlfs_record *record, int rc)
{
    struct emlfs_err found;

    emlfs_err_sys(&found, -rc, MODULE, "store %u, pack %u, record %u at %llu cannot be used",
                  replay->store->rows.no, record->loc.pack_no, record->loc.number,
                  (unsigned long long)record->loc.offset);
    finding(replay, &found);
}

/* 1: it is behind the horizon. */
static int record_use(struct replay *replay, const struct emlfs_record *record)
{
    struct applied applied = {
        .store_no = replay->store->rows.no, .type = record->type, .loc = record->loc};
    struct horizon *horizon = replay->options->horizon;
    int rc;

    if (horizon && record->type == EMLFS_RECORD_BLOB)
        return 0;
    rc = record_content(replay->store, record, &replay->plain, replay->err);
    if (rc == 0)
        rc = record_check(replay, record);
    applied.plain = emlfs_buf_view(&replay->plain);
    if (rc == 0 && horizon)
        rc = horizon_see(horizon, &applied);
    if (rc == 0)
        rc = apply_record(replay->apply, &applied, replay->err);
    if (rc == 0) /* a damaged ledger is no damage of this record */
        return heal_record(replay->options->heal, replay->apply, &applied, replay->err);
    if (rc > 0 || !is_damage(rc))
        return rc;
    record_lost(replay, record, rc);
    return 0;
}

static int each_record(void *arg, struct emlfs_record *record)
{
    struct replay *replay = arg;
    const struct mark_row *until = replay->options->until;
    uint16_t no = replay->store->rows.no;
    int rc;

    if (until && record->loc.pack_no == until->end.pack_no &&
        record->loc.offset >= until->end.offset)
        return 1;
    if (emlfs_progress_cancelled(replay->options->progress))
        return -ECANCELED;
    rc = record_use(replay, record);
    /* Rows may be committed ahead of the mark: applying their records again changes nothing. */
    if (rc == 0 && apply_rows(replay->apply) > COMMIT_ROWS)
        rc = apply_commit(replay->apply, no, &apply_mark(replay->apply, no)->end, replay->err);
    replay->each_failed = rc < 0;
    if (rc != 0)
        return rc;
    count_record(replay, record);
    return 0;
}

static int replay_commit(struct replay *replay, const struct emlfs_pack_end *end)
{
    uint16_t no = replay->store->rows.no;
    uint64_t ignored = 0;
    uint64_t *count =
        replay->options->totals ? &replay->options->totals->ledger_completed : &ignored;
    int rc = 0;

    if (replay->options->keep_mark)
        end = &apply_mark(replay->apply, no)->end;
    else if (!replay->options->heal_later)
        rc = heal_write(replay->options->heal, count, replay->err);
    return rc < 0 ? rc : apply_commit(replay->apply, no, end, replay->err);
}

static bool horizon_reached(const struct replay *replay)
{
    return replay->options->horizon && replay->options->horizon->reached;
}

/* True when the walk was asked to end here: what follows, if not behind a seal, is a writer's. */
static bool beyond_mark(const struct replay *replay, const struct emlfs_pack_end *end)
{
    const struct mark_row *until = replay->options->until;

    if (horizon_reached(replay))
        return true;
    return until && end->pack_no == until->end.pack_no && end->offset >= until->end.offset &&
           !end->sealed;
}

static void damage_found(struct replay *replay, const struct emlfs_pack_end *end, uint64_t to)
{
    struct emlfs_err found;

    emlfs_err_set(&found, EBADMSG, MODULE,
                  "store %u, pack %u: %llu bytes from %llu on are damaged or incomplete",
                  replay->store->rows.no, end->pack_no, (unsigned long long)(to - end->offset),
                  (unsigned long long)end->offset);
    finding(replay, &found);
}

/* What stands behind the last whole record of a pack, with no whole record in it. */
static int tail(struct replay *replay, const struct emlfs_pack_end *end, bool last)
{
    struct emlfs_check_totals *totals = replay->options->totals;

    if (end->file_bytes <= end->offset || beyond_mark(replay, end))
        return 0;
    /* Nothing is ever written behind a seal: what stands there is no torn tail. */
    if (last && replay->options->cut && !end->sealed) {
        if (totals)
            totals->repaired++;
        return emlfs_packs_cut(replay->store->packs, end, replay->err);
    }
    damage_found(replay, end, end->file_bytes);
    return 0;
}

/* A SEAL record behind a gap: its running hash cannot match, its place does. */
static int seal_accept(struct replay *replay, struct emlfs_pack_end *end, struct emlfs_pack_loc loc)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;
    int rc = emlfs_packs_read(replay->store->packs, loc, &record, replay->err);

    if (rc == 0 && record.type == EMLFS_RECORD_SEAL) {
        end->count = loc.number + 1;
        end->offset = record.next_offset;
        end->sealed = true;
        count_record(replay, &record);
    } else if (rc == 0) {
        rc = emlfs_err_set(replay->err, EUCLEAN, MODULE,
                           "store %u, pack %u: record %u at %llu does not belong there",
                           replay->store->rows.no, loc.pack_no, loc.number,
                           (unsigned long long)loc.offset);
    }
    emlfs_record_free(&record);
    return rc;
}

/* Step over what is damaged: 1 when a whole record follows, 0 when none does. */
static int gap_step(struct replay *replay, struct emlfs_pack_end *end)
{
    struct emlfs_pack_loc loc;
    int rc;

    if (end->sealed || end->offset == 0 || end->file_bytes <= end->offset ||
        beyond_mark(replay, end))
        return 0;
    rc = emlfs_packs_next(replay->store->packs, end, &loc, replay->err);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if (loc.offset > end->offset)
        damage_found(replay, end, loc.offset);
    replay->gap = true;
    if (loc.offset == end->offset) {
        rc = seal_accept(replay, end, loc);
        return rc < 0 ? rc : 1;
    }
    end->offset = loc.offset;
    end->count = loc.number;
    return 1;
}

static int pack_walk(struct replay *replay, struct emlfs_pack_end *end)
{
    struct emlfs_packs *packs = replay->store->packs;

    return end->count > 0
               ? emlfs_packs_walk_from(packs, each_record, replay, end, replay->err)
               : emlfs_packs_walk(packs, end->pack_no, each_record, replay, end, replay->err);
}

/* All whole records of a pack, over any damage. A pack that cannot be read at all is a finding. */
static int pack_read(struct replay *replay, struct emlfs_pack_end *end)
{
    uint32_t pack_no = end->pack_no;
    int rc;

    replay->gap = replay->each_failed = false;
    do {
        rc = pack_walk(replay, end);
        if (rc == 0)
            rc = gap_step(replay, end);
        else if (rc == 1)
            break;
    } while (rc == 1);
    if (rc < 0 && is_damage(rc) && !replay->each_failed) {
        if (replay->err)
            finding(replay, replay->err);
        replay->gap = true;
        end->pack_no = pack_no;
        end->file_bytes = end->offset;
        return 0;
    }
    return rc < 0 ? rc : 0;
}

static int replay_pack(struct replay *replay, struct emlfs_pack_end *end, bool last)
{
    uint64_t before = replay->records;
    int rc;

    if (replay->options->totals)
        replay->options->totals->packs++;
    rc = pack_read(replay, end);
    if (rc == 0)
        rc = tail(replay, end, last);
    if (end->count > 0) /* a pack that died before its first record vouches for nothing */
        replay->previous = *end;
    if (replay->gap)
        replay->previous.pack_no = 0;
    if (rc == 0 && (replay->records > before || apply_rows(replay->apply) > COMMIT_ROWS))
        rc = replay_commit(replay, end);
    return rc;
}

static void sizes_sum(struct replay *replay, uint32_t first, uint32_t last)
{
    for (uint32_t no = first; no <= last; no++) {
        uint64_t bytes = 0;
        if (emlfs_packs_size(replay->store->packs, no, &bytes) == 0)
            replay->bytes_total += bytes;
    }
}

static int packs_replay(struct replay *replay, const struct mark_row *mark)
{
    struct emlfs_pack_end end = mark->end; /* pack_no 0: from the beginning */
    struct emlfs_pack_end whole = end;     /* of the last pack that holds a record */
    uint32_t last = 0;
    uint64_t bytes;
    int rc = emlfs_packs_last(replay->store->packs, &last, replay->err);

    if (rc == 0 && replay->options->until && replay->options->until->end.pack_no < last)
        last = replay->options->until->end.pack_no;
    if (rc == 0)
        sizes_sum(replay, end.pack_no ? end.pack_no : 1, last);
    if (rc == 0 && end.pack_no) {
        rc = replay_pack(replay, &end, end.pack_no >= last);
        whole = end;
    }
    for (uint32_t no = end.pack_no + 1; no <= last && rc == 0 && !horizon_reached(replay); no++) {
        if (emlfs_packs_size(replay->store->packs, no, &bytes) == -ENOENT)
            continue;
        end = (struct emlfs_pack_end){.pack_no = no};
        rc = replay_pack(replay, &end, no == last);
        whole = end.count > 0 ? end : whole;
    }
    replay->store->last_end = whole;
    return rc;
}

int replay_store(struct state *state, struct store *store, const struct replay_options *options,
                 struct emlfs_err *err)
{
    struct replay replay = {.options = options,
                            .store = store,
                            .err = err,
                            .plain = {.max_bytes = EMLFS_RECORD_PLAIN_MAX_BYTES},
                            .message = {.max_bytes = 512u << 20}};
    struct mark_row mark;
    int rc = store_mark(store, &mark, err);

    if (rc == 0)
        rc = apply_new(state, &replay.apply);
    if (rc == 0)
        rc = packs_replay(&replay, &mark);
    if (rc == 0 && options->totals) {
        options->totals->stores++;
        if (mark.end.pack_no)
            options->totals->repaired += replay.news;
    }
    apply_free(replay.apply);
    emlfs_buf_wipe(&replay.plain);
    emlfs_buf_wipe(&replay.message);
    return rc;
}
