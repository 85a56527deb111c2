/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/crypto.h"
#include "emlfs/name.h"
#include "emlfs/rights.h"
#include "policy_internal.h"

#define CHARS_MIN 10u
#define CLASSES_MIN 3u
#define RUN_MAX 2u
#define NAME_PART_CHARS_MIN 3u
#define FOLDED_MAX_BYTES (4u * EMLFS_PASSWORD_MAX_BYTES)

struct password_facts {
    size_t chars;
    unsigned classes;
    unsigned longest_run;
};

/* The character at text, which is valid UTF-8. */
static size_t char_bytes(const char *text)
{
    unsigned char first = (unsigned char)*text;

    if (first < 0x80)
        return 1;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static unsigned char_class(unsigned char first)
{
    if (first >= 0x80)
        return 16;
    if (first >= 'A' && first <= 'Z')
        return 1;
    if (first >= 'a' && first <= 'z')
        return 2;
    return first >= '0' && first <= '9' ? 4 : 8;
}

static struct password_facts password_look(const char *text)
{
    struct password_facts facts = {0};
    const char *before = NULL;
    size_t before_len = 0;
    unsigned run = 0;
    unsigned classes = 0;

    while (*text) {
        size_t len = char_bytes(text);
        bool same = before && len == before_len && memcmp(text, before, len) == 0;
        run = same ? run + 1 : 1;
        if (run > facts.longest_run)
            facts.longest_run = run;
        classes |= char_class((unsigned char)*text);
        facts.chars++;
        before = text;
        before_len = len;
        text += len;
    }
    facts.classes = (unsigned)__builtin_popcount(classes);
    return facts;
}

/* 1: the password is the name, or holds one that is not too short; 0; or -errno. */
static int holds_name(const char *name, const char *password)
{
    struct emlfs_buf a = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    struct emlfs_buf b = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);

    int r = emlfs_name_fold(name, &a);
    if (r == 0)
        r = emlfs_name_fold(password, &b);
    if (r == 0 && password_look(name).chars >= NAME_PART_CHARS_MIN)
        r = memmem(b.data, b.len, a.data, a.len) != NULL;
    else if (r == 0)
        r = emlfs_span_equal(emlfs_buf_view(&a), emlfs_buf_view(&b));
    emlfs_buf_free(&a);
    emlfs_buf_wipe(&b);
    return r;
}

static int rules_check(const char *user_name, const char *text, struct emlfs_err *err)
{
    const struct password_facts facts = password_look(text);

    if (facts.chars < CHARS_MIN)
        return emlfs_err_set(err, EINVAL, "policy", "a password has at least %u characters",
                             CHARS_MIN);
    if (facts.classes < CLASSES_MIN)
        return emlfs_err_set(err, EINVAL, "policy",
                             "a password has characters of at least %u of these: upper case, lower "
                             "case, digits, other signs, letters beyond ASCII",
                             CLASSES_MIN);
    if (facts.longest_run > RUN_MAX)
        return emlfs_err_set(err, EINVAL, "policy",
                             "a password has no character three times in a row");
    int r = holds_name(user_name, text);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot check the password");
    return r ? emlfs_err_set(err, EINVAL, "policy", "a password does not hold the user name") : 0;
}

int emlfs_password_check(const char *user_name, struct emlfs_span password, struct emlfs_err *err)
{
    char text[EMLFS_PASSWORD_MAX_BYTES + 1];

    if (password.len > EMLFS_PASSWORD_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, "policy", "a password has at most %u bytes",
                             EMLFS_PASSWORD_MAX_BYTES);
    memset(text, 0, sizeof(text));
    if (password.len)
        memcpy(text, password.data, password.len);
    int r;
    if (strlen(text) != password.len || !emlfs_row_text_ok(text, sizeof(text), true))
        r = emlfs_err_set(err, EINVAL, "policy",
                          "a password is text (UTF-8) without control characters");
    else
        r = rules_check(user_name, text, err);
    emlfs_wipe(text, sizeof(text));
    return r;
}

int emlfs_password_make(struct emlfs_span password, struct emlfs_password *ret)
{
    int r = emlfs_random(ret->salt, sizeof(ret->salt));
    if (r < 0)
        return r;
    return emlfs_scrypt(password, emlfs_span_of(ret->salt, sizeof(ret->salt)), &ret->hash);
}

int emlfs_password_verify(const struct emlfs_password *stored, struct emlfs_span password)
{
    const struct emlfs_password nobody = {0};
    const struct emlfs_password *against = stored ? stored : &nobody;
    struct emlfs_key hash;

    if (password.len > EMLFS_PASSWORD_MAX_BYTES)
        password.len = 0; /* no password is so long, nor empty */
    int r = emlfs_scrypt(password, emlfs_span_of(against->salt, sizeof(against->salt)), &hash);
    if (r < 0)
        return r;
    bool same = emlfs_equal_secret(&hash, &against->hash, sizeof(hash));
    emlfs_wipe(&hash, sizeof(hash));
    return same && stored && password.len ? 0 : -EACCES;
}
