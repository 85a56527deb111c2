/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/ids.h"

#include <string.h>

#define NUMBER_MIN_DIGITS 6u
#define NUMBER_MAX_DIGITS 7u /* of 32 bits */
#define STORE_MAX_DIGITS 3u  /* of EMLFS_STORE_NO_MAX */
#define STORE_UNMARKED 1u    /* the first store is not named in the text */

static const char base32_digits[] = "0123456789abcdefghijklmnopqrstuv";

static char *base32_write(char *out, uint32_t value, unsigned min_digits)
{
    unsigned count = 1;
    while (count < NUMBER_MAX_DIGITS && value >> (5 * count))
        count++;
    if (count < min_digits)
        count = min_digits;
    for (unsigned i = count; i > 0; i--)
        *out++ = base32_digits[(value >> (5 * (i - 1))) & 31];
    return out;
}

static int base32_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

static bool base32_read(const char *text, unsigned len, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < len; i++) {
        int digit = base32_digit(text[i]);
        if (digit < 0)
            return false;
        value = value << 5 | (unsigned)digit;
    }
    *ret_value = value;
    return true;
}

void emlfs_msg_id_format(struct emlfs_msg_id id, char ret_text[EMLFS_MSG_ID_TEXT_MAX])
{
    char *out = base32_write(ret_text, emlfs_msg_id_number(id), NUMBER_MIN_DIGITS);
    uint16_t store_no = emlfs_msg_id_store(id);
    if (store_no != STORE_UNMARKED) {
        *out++ = '-';
        out = base32_write(out, store_no, 1);
    }
    *out = '\0';
}

static bool store_read(const char *text, unsigned len, uint64_t *ret_store_no)
{
    if (len == 0 || len > STORE_MAX_DIGITS || text[0] == '0')
        return false;
    return base32_read(text, len, ret_store_no) && *ret_store_no != STORE_UNMARKED &&
           *ret_store_no <= EMLFS_STORE_NO_MAX;
}

bool emlfs_msg_id_parse(const char *text, unsigned len, struct emlfs_msg_id *ret_id)
{
    const char *dash = len > 0 ? memchr(text, '-', len) : NULL;
    unsigned digits = dash ? (unsigned)(dash - text) : len;
    uint64_t number;
    uint64_t store_no = STORE_UNMARKED;
    if (digits < NUMBER_MIN_DIGITS || digits > NUMBER_MAX_DIGITS)
        return false;
    if (digits > NUMBER_MIN_DIGITS && text[0] == '0')
        return false;
    if (!base32_read(text, digits, &number) || number > UINT32_MAX)
        return false;
    if (dash && !store_read(dash + 1, len - digits - 1, &store_no))
        return false;
    *ret_id = emlfs_msg_id_make((uint16_t)store_no, (uint32_t)number);
    return true;
}
