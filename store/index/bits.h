/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_BITS_H
#define EMLFS_INDEX_BITS_H

#include <endian.h>

#include "emlfs/base/buf.h"

/*
 * Bit streams, least significant bit first, and Golomb-Rice codes in them: a value v with
 * parameter k is v >> k zeros, a one, and the k low bits of v; from BITS_ESCAPE zeros on the zeros
 * stop there and the 32 bits of v follow. No code is longer than BITS_CODE_MAX bits.
 */
#define BITS_ESCAPE 24u
#define BITS_CODE_MAX 56u
#define BITS_K_MAX 31u
/* Readers want this many bytes behind the last one: allocated, their value does not matter. */
#define BITS_PAD_BYTES 8u

/* The caller reserves room before: BITS_CODE_MAX bits a code and BITS_PAD_BYTES at the end. */
struct bit_writer {
    uint8_t *pos;
    uint64_t acc;
    unsigned fill; /* 0...7 bits of acc not yet stored */
};

static inline void bits_put(struct bit_writer *w, uint64_t value, unsigned n)
{
    w->acc |= value << w->fill;
    w->fill += n;
    const uint64_t le = htole64(w->acc);
    memcpy(w->pos, &le, sizeof(le));
    w->pos += w->fill >> 3;
    w->acc = w->fill >> 3 ? w->acc >> (w->fill & ~7u) : w->acc;
    w->fill &= 7;
}

/* The byte behind the last one; bits left over in it are 0. */
static inline uint8_t *bits_end(const struct bit_writer *w)
{
    return w->pos + (w->fill ? 1 : 0);
}

static inline void rice_put(struct bit_writer *w, uint32_t value, unsigned k)
{
    const uint32_t q = value >> k;
    if (q >= BITS_ESCAPE) {
        bits_put(w, (uint64_t)value << BITS_ESCAPE, BITS_ESCAPE + 32);
        return;
    }
    const uint64_t low = value & ((UINT64_C(1) << k) - 1);
    bits_put(w, (low << 1 | 1) << q, q + 1 + k);
}

static inline unsigned rice_bits(uint32_t value, unsigned k)
{
    const uint32_t q = value >> k;
    return q >= BITS_ESCAPE ? BITS_ESCAPE + 32 : q + 1 + k;
}

/* Reads bytes [0, len) and at most BITS_PAD_BYTES behind them; bad once it took bits from there. */
struct bit_reader {
    const uint8_t *data;
    size_t len;
    size_t pos; /* bits */
    bool bad;
};

static inline uint64_t bits_peek(struct bit_reader *r)
{
    const size_t at = r->pos >> 3;
    uint64_t le;
    if (at > r->len) {
        r->bad = true;
        return 0;
    }
    memcpy(&le, r->data + at, sizeof(le));
    return le64toh(le) >> (r->pos & 7);
}

static inline uint32_t bits_get(struct bit_reader *r, unsigned n)
{
    const uint64_t window = bits_peek(r);
    r->pos += n;
    return (uint32_t)(window & ((UINT64_C(1) << n) - 1));
}

static inline uint32_t rice_get(struct bit_reader *r, unsigned k)
{
    const uint64_t window = bits_peek(r);
    const unsigned q = (unsigned)__builtin_ctzll(window | UINT64_C(1) << BITS_ESCAPE);
    if (q == BITS_ESCAPE) {
        r->pos += BITS_ESCAPE + 32;
        return (uint32_t)(window >> BITS_ESCAPE);
    }
    r->pos += q + 1 + k;
    return (uint32_t)(q << k) | (uint32_t)((window >> (q + 1)) & ((UINT64_C(1) << k) - 1));
}

/* True when no bit behind the end was taken. */
static inline bool bits_ok(const struct bit_reader *r)
{
    return !r->bad && r->pos <= r->len * 8;
}

#endif
