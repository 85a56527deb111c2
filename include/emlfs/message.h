/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_MESSAGE_H
#define EMLFS_MESSAGE_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/*
 * Facts: what is extracted once from a message (RFC 5322, RFC 2045) when it is archived. They are
 * produced by the confined worker, so the encoded form is foreign input wherever it is read: it is
 * decoded strictly, every length checked, every text valid UTF-8 without control characters.
 */
enum emlfs_date_source {
    EMLFS_DATE_NONE = 0,
    EMLFS_DATE_ORIGINAL_ARRIVAL = 1, /* X-OriginalArrivalTime */
    EMLFS_DATE_DATE = 2,             /* Date: */
    EMLFS_DATE_RECEIVED = 3,         /* topmost Received: */
    EMLFS_DATE_FILE = 4,             /* the source file's time */
    EMLFS_DATE_ARCHIVED = 5,         /* nothing else was known */
};

#define EMLFS_FACT_ATTACHMENT 1u /* has at least one attachment */
#define EMLFS_FACT_PARTIAL 2u    /* a limit was reached: facts are incomplete, reason tells which */
#define EMLFS_FACT_UNPARSED 4u   /* the parser gave nothing (crash, limit): reason tells why */

#define EMLFS_FACTS_MAX_BYTES (64u << 10)
#define EMLFS_FACTS_TEXT_MAX_BYTES 8192u /* each address list or text */
#define EMLFS_FACTS_PARTS_MAX 256u

struct emlfs_facts {
    int64_t
        date_sec; /* as the message says, seconds since 1970 UTC, unclamped; 0 with source NONE */
    uint8_t date_source;
    /*
     * What the message claims: when it came (X-OriginalArrivalTime, else topmost Received) and when
     * it was sent (Date). Kept only where an administrator vouched for the dates of the source;
     * seconds, unclamped.
     */
    bool has_received, has_sent;
    int64_t received_sec, sent_sec;
    uint32_t flags;
    /*
     * Decoded UTF-8, borrowed; empty when absent. Address lists as "Name <addr>, <addr>, Name":
     * fields that occur several times are one list, groups are their members, and a name that holds
     * any of , < > " \ is a quoted string (RFC 5322 3.2.4). message_id without angle brackets.
     */
    struct emlfs_span from, sender, to, cc, bcc, subject, message_id, reason;
    struct emlfs_span parts; /* encoded part table: emlfs_facts_part_next */
};

struct emlfs_fact_part {
    uint32_t depth;         /* 0: the message's own body */
    struct emlfs_span type; /* "text/plain", lower case */
    struct emlfs_span name; /* attachment file name, may be empty */
    uint64_t size_bytes;    /* encoded size in the message, as far as known */
    bool attachment;
};

/* Encode; texts are cut at a character boundary to their maximum. -E2BIG, -ENOMEM. */
int emlfs_facts_encode(const struct emlfs_facts *facts, struct emlfs_buf *out);
/* The first mailbox of an address list as above, borrowed. */
struct emlfs_span emlfs_facts_mailbox_first(struct emlfs_span list);
/*
 * Encode what a list of messages shows of one, as facts that hold nothing else: subject, and as
 * from and to the first mailbox of From (without one of Sender) and To. -E2BIG beyond
 * EMLFS_ENVELOPE_MAX_BYTES, -ENOMEM; out stays as it was then.
 */
#define EMLFS_ENVELOPE_MAX_BYTES 1024u
int emlfs_facts_encode_envelope(const struct emlfs_facts *facts, struct emlfs_buf *out);
/* Decode and check; *ret borrows from bytes. EUCLEAN when not what _encode could have written. */
int emlfs_facts_decode(struct emlfs_span bytes, struct emlfs_facts *ret, struct emlfs_err *err);
/* Take the claims out of facts that _encode wrote; nothing else changes. EUCLEAN, -ENOMEM. */
int emlfs_facts_drop_claims(struct emlfs_buf *facts);
int emlfs_facts_part_append(struct emlfs_buf *parts, const struct emlfs_fact_part *part);
/* Take the next part off *parts; false at the end. Only on decoded facts (already checked). */
bool emlfs_facts_part_next(struct emlfs_span *parts, struct emlfs_fact_part *ret);

#endif
