/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_CATALOG_SEAL_H
#define EMLFS_STORE_CATALOG_SEAL_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"

/* Sealed values: nonce, ciphertext, tag; the row's key is the associated data. Thread-safe. */
#define CATALOG_SEAL_OVERHEAD_BYTES (EMLFS_GCM_NONCE_BYTES + EMLFS_GCM_TAG_BYTES)

struct catalog_sealer;
int emlfs_catalog_sealer_new(const struct emlfs_key *key, struct catalog_sealer **ret_sealer);
void emlfs_catalog_sealer_free(struct catalog_sealer *sealer);
/* Replaces the content of ret_sealed. */
int emlfs_catalog_seal(struct catalog_sealer *sealer, struct emlfs_span key,
                       struct emlfs_span value, struct emlfs_buf *ret_sealed);
/* Replaces the content of ret_value. -EBADMSG: not sealed here with this key; ret_value is empty.
 */
int emlfs_catalog_unseal(struct catalog_sealer *sealer, struct emlfs_span key,
                         struct emlfs_span sealed, struct emlfs_buf *ret_value);

#endif
