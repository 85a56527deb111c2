/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of words as sets of bits. */
#include "handlers.h"

#include "emlfs/text.h"

static const struct emlfs_word may[] = {
    {"login", EMLFS_MAY_LOGIN},     {"change-password", EMLFS_MAY_CHANGE_PASSWORD},
    {"archive", EMLFS_MAY_ARCHIVE}, {"export", EMLFS_MAY_EXPORT},
    {"delete", EMLFS_MAY_DELETE},   {"manage-profiles", EMLFS_MAY_MANAGE_PROFILES},
};
static const struct emlfs_word grants[] = {
    {"read", EMLFS_GRANT_READ},
    {"write", EMLFS_GRANT_WRITE},
    {"delete", EMLFS_GRANT_DELETE},
};
static const struct emlfs_word audit[] = {
    {"login", EMLFS_AUDIT_LOGIN},   {"read", EMLFS_AUDIT_READ},     {"search", EMLFS_AUDIT_SEARCH},
    {"export", EMLFS_AUDIT_EXPORT}, {"denied", EMLFS_AUDIT_DENIED},
};
const struct emlfs_words emlfs_words_may = EMLFS_WORDS(may);
const struct emlfs_words emlfs_words_grants = EMLFS_WORDS(grants);
const struct emlfs_words emlfs_words_audit = EMLFS_WORDS(audit);

static uint32_t word_bit(const struct emlfs_words *words, const char *text, size_t len)
{
    for (size_t i = 0; i < words->n; i++)
        if (strlen(words->v[i].name) == len && strncmp(words->v[i].name, text, len) == 0)
            return words->v[i].bit;
    return 0;
}

uint32_t emlfs_words_bit(const struct emlfs_words *words, const char *text)
{
    return word_bit(words, text, strlen(text));
}

const char *emlfs_words_name(const struct emlfs_words *words, uint32_t bit)
{
    for (size_t i = 0; i < words->n; i++)
        if (words->v[i].bit == bit)
            return words->v[i].name;
    return "";
}

static int unknown_word(const struct emlfs_words *words, const char *option, struct emlfs_span word,
                        struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf all = EMLFS_BUF_INIT(512);

    for (size_t i = 0; i < words->n; i++)
        (void)emlfs_text_printf(&all, "%s%s", i ? ", " : "", words->v[i].name);
    return emlfs_err_set(err, EINVAL, "usage", "%s: \"%.*s\" is none of %.*s; or all, or none",
                         option, (int)(word.len < 64 ? word.len : 64), (const char *)word.data,
                         (int)all.len, all.data ? (const char *)all.data : "");
}

int emlfs_words_parse(const struct emlfs_words *words, const char *option, const char *text,
                      uint32_t *ret, struct emlfs_err *err)
{
    *ret = 0;
    if (strcmp(text, "none") == 0)
        return 0;
    if (strcmp(text, "all") == 0) {
        for (size_t i = 0; i < words->n; i++)
            *ret |= words->v[i].bit;
        return 0;
    }
    for (;;) {
        size_t len = strcspn(text, ",");
        uint32_t bit = word_bit(words, text, len);

        if (bit == 0)
            return unknown_word(words, option, emlfs_span_of(text, len), err);
        *ret |= bit;
        if (!text[len])
            return 0;
        text += len + 1;
    }
}

struct json_object *emlfs_words_array(const struct emlfs_words *words, uint32_t set)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; array && i < words->n; i++)
        if (set & words->v[i].bit)
            json_object_array_add(array, json_object_new_string(words->v[i].name));
    return array;
}
