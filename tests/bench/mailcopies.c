/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mailcopies SOURCE OUT COPIES: mail for a larger archive than there is. Of every file below SOURCE
 * (one message each) COPIES copies are written, those of one directory and copy as one mboxrd file
 * OUT/DIRECTORY.COPY.mbox. Words of subject and body change: in each copy a word stays with a
 * probability and is a new one everywhere otherwise, so that the vocabulary grows with the mail.
 * Message-IDs are changed. The same options give the same bytes.
 */
#include <ctype.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGED_PERCENT 30u
#define WORD_MIN 5u
#define ENCODED_LINE 60u

static struct {
    char *v[1u << 20];
    size_t n;
} found;

static int path_note(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_F && found.n < sizeof(found.v) / sizeof(found.v[0]))
        found.v[found.n++] = strdup(path);
    return 0;
}

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- words */

static uint64_t word_mix(const char *word, size_t len, unsigned copy)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325) ^ copy;
    for (size_t i = 0; i < len; i++)
        state = (state ^ (uint64_t)tolower((unsigned char)word[i])) * UINT64_C(0x100000001b3);
    return (state ^ state >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 8;
}

/* Vowels by vowels, consonants by consonants; case stays. */
static void word_change(char *word, size_t len, unsigned copy)
{
    static const char vowels[] = "aeiou", others[] = "bcdfghjklmnpqrstvwxyz";
    uint64_t mix = word_mix(word, len, copy);
    if (mix % 100 >= CHANGED_PERCENT)
        return;
    for (size_t i = 0; i < len; i++) {
        char c = (char)tolower((unsigned char)word[i]);
        bool vowel = strchr(vowels, c) != NULL;
        mix = mix * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        c = vowel ? vowels[(mix >> 33) % 5] : others[(mix >> 33) % 21];
        word[i] = isupper((unsigned char)word[i]) ? (char)toupper((unsigned char)c) : c;
    }
}

/* Words of a line but for what looks like markup or quoted-printable. */
static void line_change(char *line, size_t len, unsigned copy)
{
    bool tag = false;
    for (size_t at = 0, end; at < len; at = end) {
        end = at + 1;
        tag = line[at] == '<' || (tag && line[at] != '>');
        if (!isalpha((unsigned char)line[at]))
            continue;
        while (end < len && isalpha((unsigned char)line[end]))
            end++;
        bool alone = (at == 0 || !strchr("=&", line[at - 1])) && (end == len || line[end] != '=');
        if (!tag && alone && end - at >= WORD_MIN)
            word_change(line + at, end - at, copy);
    }
}

/* ---- lines */

static bool line_is(const char *line, size_t len, const char *begin)
{
    size_t n = strlen(begin);
    return len >= n && strncasecmp(line, begin, n) == 0;
}

static bool line_is_encoded(const char *line, size_t len)
{
    return len >= ENCODED_LINE && !memchr(line, ' ', len);
}

static void from_quote(const char *line, size_t len, FILE *out)
{
    size_t at = 0;
    while (at < len && line[at] == '>')
        at++;
    if (line_is(line + at, len - at, "From "))
        fputc('>', out);
}

static void message_write(char *mail, size_t size, unsigned copy, FILE *out)
{
    bool header = true, inner = false;
    fputs("From copy@example.net Thu Jan  1 00:00:00 1970\n", out);
    for (size_t at = line_is(mail, size, "From ") ? strcspn(mail, "\n") + 1 : 0; at < size;) {
        char *end = memchr(mail + at, '\n', size - at);
        size_t len = end ? (size_t)(end - mail) - at + 1 : size - at;
        char *line = mail + at;
        bool blank = line[0] == '\n' || (line[0] == '\r' && len == 2);
        at += len;
        if (!header && line_is(line, len, "--"))
            inner = true; /* perhaps the header of a part */
        else if (header ? line_is(line, len, "Subject:") && !memmem(line, len, "=?", 2)
                        : !inner && !line_is_encoded(line, len))
            line_change(line + (header ? 8 : 0), len - (header ? 8 : 0), copy);
        from_quote(line, len, out);
        if (header && line_is(line, len, "Message-ID: <"))
            fprintf(out, "Message-ID: <%u.%.*s", copy, (int)len - 13, line + 13);
        else
            fwrite(line, 1, len, out);
        inner = inner && !blank;
        header = header && !blank;
        if (at >= size && (len == 0 || line[len - 1] != '\n'))
            fputc('\n', out);
    }
    fputc('\n', out);
}

/* ---- files */

static char *file_read(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)size + 1);
    if (bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size) {
        bytes[size] = '\0';
        *ret_size = (size_t)size;
    } else {
        free(bytes);
        bytes = NULL;
    }
    if (file)
        fclose(file);
    return bytes;
}

/* The mbox that a path's directory becomes. */
static FILE *mbox_open(const char *path, size_t below, const char *out, unsigned copy)
{
    char name[4096];
    const char *slash = strrchr(path, '/');
    int len = snprintf(name, sizeof(name), "%s/", out), begin = len;
    if (len > 0 && slash && slash > path + below)
        len += snprintf(name + len, sizeof(name) - (size_t)len, "%.*s.",
                        (int)(slash - path - (long)below), path + below);
    if (len <= 0 || len + 16 > (int)sizeof(name))
        return NULL;
    for (char *c = name + begin; *c; c++)
        *c = *c == '/' ? '.' : *c;
    snprintf(name + len, sizeof(name) - (size_t)len, "%u.mbox", copy);
    return fopen(name, "ab");
}

static bool copies_write(const char *path, size_t below, const char *out, unsigned copies)
{
    for (unsigned copy = 1; copy <= copies; copy++) {
        size_t size;
        char *mail = file_read(path, &size);
        FILE *mbox = mail ? mbox_open(path, below, out, copy) : NULL;
        if (mbox)
            message_write(mail, size, copy, mbox);
        free(mail);
        if (!mbox || fclose(mbox) != 0)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned copies = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    bool good = true;
    if (copies == 0) {
        fprintf(stderr, "usage: mailcopies SOURCE OUT COPIES\n");
        return EXIT_FAILURE;
    }
    if (nftw(argv[1], path_note, 32, FTW_PHYS) < 0 || found.n == 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    qsort(found.v, found.n, sizeof(found.v[0]), path_compare);
    for (size_t i = 0; i < found.n && good; i++)
        good = copies_write(found.v[i], strlen(argv[1]) + 1, argv[2], copies);
    if (!good)
        perror(argv[2]);
    for (size_t i = 0; i < found.n; i++)
        free(found.v[i]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
