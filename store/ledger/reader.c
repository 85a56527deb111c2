/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

void ledger_reader_init(struct ledger_reader *reader, const char *dir, const struct emlfs_key *key,
                        uint64_t from, uint64_t end)
{
    *reader = (struct ledger_reader){
        .dir = dir,
        .key = key,
        .segment = LEDGER_SEGMENT_INIT,
        .next = from / SEGMENT_RECORDS * SEGMENT_RECORDS,
        .from = from,
        .end = end,
        .body = EMLFS_BUF_INIT(FRAME_PLAIN_MAX_BYTES + EMLFS_GCM_TAG_BYTES),
    };
}

void ledger_reader_free(struct ledger_reader *reader)
{
    ledger_segment_close(&reader->segment);
    emlfs_buf_wipe(&reader->body);
}

static int segment_turn(struct ledger_reader *reader)
{
    uint32_t number = ledger_segment_of(reader->next);
    if (reader->segment.fd >= 0 && reader->segment.number == number)
        return 0;
    ledger_segment_close(&reader->segment);
    reader->offset = SEGMENT_HEADER_BYTES;
    int r = ledger_segment_open(reader->dir, reader->key, number, false, &reader->segment);
    return r == -ENOENT || r == -ENODATA ? -EBADMSG : r;
}

int ledger_reader_next(struct ledger_reader *reader, struct ledger_body *ret_body)
{
    struct ledger_frame *frame = &reader->frame;
    while (reader->next < reader->end) {
        int r = segment_turn(reader);
        uint64_t start = reader->offset;
        if (r < 0)
            return r;
        r = ledger_frame_skip(&reader->segment, &reader->offset, frame);
        if (r < 0 || frame->first != reader->next)
            return r == 0 || r == -ENODATA ? -EBADMSG : r;
        reader->next += frame->count;
        if (reader->next <= reader->from)
            continue;
        reader->offset = start;
        r = ledger_frame_read(&reader->segment, &reader->offset, frame, &reader->body);
        if (r == 0)
            r = ledger_body_open(frame, emlfs_buf_view(&reader->body), ret_body);
        return r == -ENODATA ? -EBADMSG : r;
    }
    return -ENODATA;
}
