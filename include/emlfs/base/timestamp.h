/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_TIMESTAMP_H
#define EMLFS_BASE_TIMESTAMP_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"

/* Time stamps by an outside authority (RFC 3161), over a SHA-256. Nothing here uses a network. */

#define EMLFS_TIMESTAMP_MAX_BYTES (256u << 10) /* a query or a response, certificates included */

/*
 * A query (DER, application/timestamp-query) for hash, with a random nonce, asking for the
 * authority's certificate, into out (cleared first). -ENOMEM, -EIO, -E2BIG.
 */
int emlfs_timestamp_query(const struct emlfs_hash *hash, struct emlfs_buf *out,
                          struct emlfs_err *err);

/* What a response is checked against. */
struct emlfs_timestamp_check {
    struct emlfs_hash hash;   /* what must have been stamped */
    struct emlfs_span query;  /* empty: the nonce is not compared */
    struct emlfs_span ca_pem; /* trusted certificates, PEM; empty: the signature is not checked */
};

/*
 * Check a response (DER, application/timestamp-reply): granted, of hash, its nonce that of the
 * query, its signature by an authority that ca_pem vouches for. Certificates are judged as of the
 * stamped time, so a stamp outlives them. ret_time_sec: the stamped time (Unix, UTC).
 * EBADMSG: not so; EILSEQ: no such response; ENOMEM, E2BIG.
 */
int emlfs_timestamp_verify(struct emlfs_span response, const struct emlfs_timestamp_check *check,
                           int64_t *ret_time_sec, struct emlfs_err *err);

#endif
