/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What names say: the one place that makes them. Which characters they hold: name_text.c.
 *
 * Invariants:
 *  1. A stem plus the longest suffix is within NAME_UNITS_MAX and NAME_BYTES_MAX.
 *  2. A folder name is a fixed point of emlfs_name_folder; no folder name is a message name
 *     (emlfs_name_id), a device name or litter.
 */
#include "emlfs/name.h"

#include <stdio.h>
#include <strings.h>

#include "emlfs/base/zone.h"
#include "name_text.h"

#define NAME_BYTES_MAX 240u
#define NAME_UNITS_MAX 120u
#define FOLDER_UNITS_MAX 100u
#define SUFFIX_MAX 24u /* " [id].eml": EMLFS_MSG_ID_TEXT_MAX - 1 + 7, rounded up */
#define PERSON_UNITS_MAX 40u
#define PERSON_BYTES_MAX 96u
#define SECOND_NS 1000000000

/* The text that stands for a mailbox: its display name, else its address. */
static struct emlfs_span mailbox_quoted(struct emlfs_span list, uint8_t *name, size_t size)
{
    size_t len = 0;
    for (size_t i = 1; i < list.len && list.data[i] != '"' && len < size; i++) {
        if (list.data[i] == '\\' && i + 1 < list.len)
            i++;
        name[len++] = list.data[i];
    }
    return emlfs_span_of(name, len);
}

static bool span_blank(struct emlfs_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != ' ')
            return false;
    }
    return true;
}

/* First mailbox of a list as message.h writes it: [Name ]<addr>, ... or Name, ... */
static struct emlfs_span mailbox_first(struct emlfs_span list, uint8_t *name, size_t size)
{
    if (list.len > 0 && list.data[0] == '"') {
        struct emlfs_span quoted = mailbox_quoted(list, name, size);
        const uint8_t *open = memchr(list.data, '<', list.len);
        if (!span_blank(quoted) || open == NULL)
            return quoted;
        list = emlfs_span_of(open, list.len - (size_t)(open - list.data));
    }
    size_t end = 0;
    while (end < list.len && list.data[end] != '<' && list.data[end] != ',')
        end++;
    if (end == list.len || list.data[end] == ',' || !span_blank(emlfs_span_of(list.data, end)))
        return emlfs_span_of(list.data, end);
    const uint8_t *address = list.data + end + 1;
    size_t left = list.len - end - 1;
    const uint8_t *close = left > 0 ? memchr(address, '>', left) : NULL;
    return emlfs_span_of(address, close ? (size_t)(close - address) : left);
}

static struct emlfs_span correspondent_list(const struct emlfs_name_input *input)
{
    const struct emlfs_facts *facts = input->facts;
    const struct emlfs_span received[] = {facts->from, facts->sender};
    const struct emlfs_span sent[] = {facts->to, facts->cc, facts->bcc};
    const struct emlfs_span *lists = input->sent ? sent : received;
    size_t count = input->sent ? 3 : 2;
    for (size_t i = 0; i < count; i++) {
        if (lists[i].len > 0)
            return lists[i];
    }
    return emlfs_span_of(NULL, 0);
}

static void date_text(const struct emlfs_name_input *input, char *ret, size_t size)
{
    int64_t utc_sec = input->date_ns / SECOND_NS - (input->date_ns % SECOND_NS < 0);
    int64_t local_sec = utc_sec + emlfs_zone_offset_sec(input->timezone, utc_sec);
    int64_t days = local_sec / 86400 - (local_sec % 86400 < 0);
    int64_t minutes = (local_sec - days * 86400) / 60;
    int64_t year;
    unsigned month, day;
    emlfs_zone_civil(days, &year, &month, &day);
    snprintf(ret, size, "%04d-%02u-%02u %02d%02d", (int)(year % 10000), month, day,
             (int)(minutes / 60), (int)(minutes % 60));
}

int emlfs_name_stem(const struct emlfs_name_input *input, char *ret_stem, size_t size)
{
    char date[32];
    char person[PERSON_BYTES_MAX + 1];
    char subject[NAME_BYTES_MAX + 1];
    uint8_t quoted[EMLFS_FACTS_TEXT_MAX_BYTES / 16];
    date_text(input, date, sizeof date);
    struct emlfs_span first = mailbox_first(correspondent_list(input), quoted, sizeof quoted);
    struct name_room room = {PERSON_UNITS_MAX, PERSON_BYTES_MAX};
    if (name_text_clean(first, room, false, person) == 0)
        snprintf(person, sizeof person, "unknown");
    size_t used_bytes = strlen(date) + 1 + strlen(person) + 3;
    size_t used_units = strlen(date) + 1 + name_text_units(person) + 3;
    room.units = NAME_UNITS_MAX - SUFFIX_MAX - used_units;
    room.bytes = NAME_BYTES_MAX - SUFFIX_MAX - used_bytes;
    if (name_text_clean(input->facts->subject, room, false, subject) == 0)
        snprintf(subject, sizeof subject, "no subject");
    int len = snprintf(ret_stem, size, "%s %s - %s", date, person, subject);
    return len >= 0 && (size_t)len < size ? 0 : -E2BIG;
}

int emlfs_name_file(const char *stem, struct emlfs_msg_id id, char *ret_name, size_t size)
{
    char text[EMLFS_MSG_ID_TEXT_MAX];
    emlfs_msg_id_format(id, text);
    int len = snprintf(ret_name, size, "%s [%s].eml", stem, text);
    return len >= 0 && (size_t)len < size ? 0 : -E2BIG;
}

bool emlfs_name_id(const char *name, struct emlfs_msg_id *ret_id)
{
    size_t len = strlen(name);
    if (len > NAME_BYTES_MAX || len < 5 || strcmp(name + len - 5, "].eml") != 0)
        return false;
    size_t end = len - 5;
    size_t start = end;
    while (start > 0 && end - start < EMLFS_MSG_ID_TEXT_MAX && name[start - 1] != '[')
        start--;
    /* a stem, a blank and the bracket come before the id */
    if (start < 3 || name[start - 1] != '[' || name[start - 2] != ' ')
        return false;
    return emlfs_msg_id_parse(name + start, (unsigned)(end - start), ret_id);
}

static bool name_among(const char *name, size_t len, const char *const *table)
{
    for (; *table; table++) {
        if (strlen(*table) == len && strncasecmp(name, *table, len) == 0)
            return true;
    }
    return false;
}

/* COM1-9 and LPT1-9; Windows takes superscript 1, 2, 3 for digits. */
static bool is_numbered_device(const char *name, size_t len)
{
    static const char *const digits[] = {"\xc2\xb9", "\xc2\xb2", "\xc2\xb3"};
    if (len < 4 || (strncasecmp(name, "COM", 3) != 0 && strncasecmp(name, "LPT", 3) != 0))
        return false;
    if (len == 4)
        return name[3] >= '0' && name[3] <= '9';
    for (size_t i = 0; len == 5 && i < 3; i++) {
        if (memcmp(name + 3, digits[i], 2) == 0)
            return true;
    }
    return false;
}

static bool is_device_name(const char *name)
{
    static const char *const devices[] = {"CON",    "PRN",     "AUX",    "NUL",
                                          "CONIN$", "CONOUT$", "CLOCK$", NULL};
    size_t len = strcspn(name, ".");
    while (len > 0 && name[len - 1] == ' ')
        len--;
    return name_among(name, len, devices) || is_numbered_device(name, len);
}

/* Length of a given name without ".eml" and the " [id]" before it. */
static size_t given_len(const char *name)
{
    size_t len = strlen(name);
    if (len >= 4 && strcasecmp(name + len - 4, ".eml") == 0)
        len -= 4;
    size_t start = len;
    while (start > 0 && len - start <= EMLFS_MSG_ID_TEXT_MAX && name[start - 1] != '[')
        start--;
    struct emlfs_msg_id id;
    bool suffix = start >= 2 && len > start && name[len - 1] == ']' && name[start - 1] == '[' &&
                  name[start - 2] == ' ' &&
                  emlfs_msg_id_parse(name + start, (unsigned)(len - 1 - start), &id);
    return suffix ? start - 2 : len;
}

bool emlfs_name_given_stem(const char *name, char *ret_stem, size_t size)
{
    char stem[NAME_BYTES_MAX + 1];
    struct emlfs_span text = emlfs_span_of(name, given_len(name));
    struct name_room room = {NAME_UNITS_MAX - SUFFIX_MAX, NAME_BYTES_MAX - SUFFIX_MAX};
    size_t len = name_text_clean(text, room, true, stem);
    if (len > 0 && is_device_name(stem)) { /* "CON.old [id].eml" is one on Windows, too */
        room.bytes--;
        room.units--;
        stem[0] = '_';
        len = 1 + name_text_clean(text, room, true, stem + 1);
    }
    if (len == 0 || len >= size)
        return false;
    memcpy(ret_stem, stem, len + 1);
    return true;
}

void emlfs_name_folder(struct emlfs_span text, char *ret_name, size_t size)
{
    char name[NAME_BYTES_MAX + 2];
    struct emlfs_msg_id id;
    if (size == 0)
        return;
    struct name_room room = {FOLDER_UNITS_MAX, NAME_BYTES_MAX};
    if (room.bytes > size - 1)
        room.bytes = size - 1;
    size_t len = name_text_clean(text, room, true, name);
    if (len > 0 && (is_device_name(name) || emlfs_name_is_litter(name))) {
        room.bytes = room.bytes > 0 ? room.bytes - 1 : 0;
        room.units--;
        name[0] = '_';
        len = 1 + name_text_clean(text, room, true, name + 1);
    }
    if (len > 4 && emlfs_name_id(name, &id))
        name[len - 4] = '_'; /* "x [000015].eml" is a message's name */
    if (len == 0)
        len = (size_t)snprintf(name, sizeof name, "unnamed");
    snprintf(ret_name, size, "%s", name);
}

bool emlfs_name_folder_ok(const char *name)
{
    char made[NAME_BYTES_MAX + 1];
    if (strlen(name) > NAME_BYTES_MAX)
        return false;
    emlfs_name_folder(emlfs_span_str(name), made, sizeof made);
    return strcmp(made, name) == 0;
}

int64_t emlfs_name_date_ns(const struct emlfs_facts *facts, int64_t file_time_sec,
                           int64_t archived_ns, uint8_t *ret_source)
{
    const int64_t earliest_sec = 315532800; /* 1980-01-01, what FAT and zip can hold */
    int64_t archived_sec = archived_ns / SECOND_NS;
    int64_t date_sec = archived_sec;
    uint8_t source = EMLFS_DATE_ARCHIVED;
    if (facts->date_source != EMLFS_DATE_NONE && facts->date_source <= EMLFS_DATE_RECEIVED) {
        source = facts->date_source;
        date_sec = facts->date_sec;
    } else if (file_time_sec != 0) {
        source = EMLFS_DATE_FILE;
        date_sec = file_time_sec;
    }
    if (ret_source)
        *ret_source = source;
    if (date_sec >= archived_sec)
        return archived_sec > earliest_sec ? archived_ns : earliest_sec * SECOND_NS;
    return (date_sec > earliest_sec ? date_sec : earliest_sec) * SECOND_NS;
}
