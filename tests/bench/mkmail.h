/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef MKMAIL_H
#define MKMAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * mkmail makes realistic mail from a seed: the same options give the same bytes on every machine.
 *
 *   words -> people -> body, attachment -> message -> corpus (conversations) -> layout (files)
 *
 * Everything random comes from a struct mk_rng that is passed down, never from the environment.
 */

/* ---- random numbers (splitmix64) */

struct mk_rng {
    uint64_t state;
};

static inline uint64_t mk_random(struct mk_rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in 0...n-1; n > 0. */
static inline uint32_t mk_below(struct mk_rng *rng, uint32_t n)
{
    return (uint32_t)(((mk_random(rng) >> 32) * n) >> 32);
}

static inline bool mk_chance(struct mk_rng *rng, unsigned percent)
{
    return mk_below(rng, 100) < percent;
}

/* ---- output buffer; running out of memory ends the program */

struct mk_out {
    char *data;
    size_t len, cap;
};

void mk_reserve(struct mk_out *out, size_t extra);
void mk_format(struct mk_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mk_out_free(struct mk_out *out);
_Noreturn void mk_fail(const char *what); /* names what and errno; exit status 1 */
void *mk_calloc(size_t count, size_t size);

static inline void mk_put(struct mk_out *out, const void *data, size_t len)
{
    mk_reserve(out, len);
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

static inline void mk_putc(struct mk_out *out, char c)
{
    mk_put(out, &c, 1);
}

static inline void mk_puts(struct mk_out *out, const char *text)
{
    mk_put(out, text, strlen(text));
}

/* ---- words */

enum mk_tongue { MK_ENGLISH, MK_GERMAN, MK_JAPANESE, MK_TONGUES };
#define MK_WORDS 24000u
#define MK_PHRASES 8192u
#define MK_PHRASE_WORDS 6u
#define MK_WORD_BYTES 31u
#define MK_TOPIC_WORDS 24u

struct mk_word {
    uint8_t len;
    char text[MK_WORD_BYTES];
};

struct mk_phrase {
    uint16_t words[MK_PHRASE_WORDS];
    uint16_t count;
};

struct mk_language {
    enum mk_tongue tongue;
    struct mk_word words[MK_WORDS]; /* most frequent first */
    uint16_t word_table[1u << 16];  /* Zipf: uniform 16 bits -> word */
    struct mk_phrase phrases[MK_PHRASES];
    uint16_t phrase_table[1u << 14]; /* uniform 14 bits -> phrase */
};

/* What a conversation is about: words that come again and again in it. */
struct mk_topic {
    uint16_t words[MK_TOPIC_WORDS];
};

struct mk_language *mk_language_new(enum mk_tongue tongue);
void mk_topic_pick(const struct mk_language *language, struct mk_rng *rng, struct mk_topic *ret);
/* Sentences, broken into lines of about 72 columns; ends with a line end. */
void mk_paragraph(struct mk_out *out, const struct mk_language *language, struct mk_rng *rng,
                  const struct mk_topic *topic, unsigned sentences);
/* A few words on one line, without a line end. */
void mk_title(struct mk_out *out, const struct mk_language *language, struct mk_rng *rng,
              const struct mk_topic *topic);

/* ---- people */

#define MK_PEOPLE 3000u
#define MK_DOMAINS 300u
#define MK_CLIENTS 6u

struct mk_domain {
    char name[48];    /* under .example, RFC 2606 */
    uint32_t network; /* its mail servers' IPv4 addresses, in 198.18.0.0/15 */
    uint8_t hops;     /* Received fields its mail carries */
    bool signs;       /* DKIM */
    bool filtered;    /* adds spam and authentication headers */
    bool disclaims;
    uint32_t disclaimer_seed;
};

struct mk_person {
    char name[64];
    char address[96];
    enum mk_tongue tongue;
    uint8_t client; /* 0...MK_CLIENTS-1 */
    uint16_t domain;
    uint32_t signature_seed;
};

struct mk_world {
    struct mk_language *languages[MK_TONGUES];
    struct mk_domain domains[MK_DOMAINS];
    struct mk_person people[MK_PEOPLE];
    uint16_t people_table[1u << 13]; /* Zipf over people */
};

struct mk_world *mk_world_new(uint64_t seed);
void mk_world_free(struct mk_world *world);
const struct mk_person *mk_world_person(const struct mk_world *world, struct mk_rng *rng);
const struct mk_domain *mk_world_domain(const struct mk_world *world,
                                        const struct mk_person *person);
void mk_signature(struct mk_out *out, const struct mk_world *world, const struct mk_person *person);

/* ---- encodings */

/* Base64 in lines of 76 columns, ended by LF. */
void mk_base64(struct mk_out *out, const void *data, size_t len);
/* len characters of the base64 alphabet. */
void mk_base64_noise(struct mk_out *out, struct mk_rng *rng, size_t len);
void mk_hex_noise(struct mk_out *out, struct mk_rng *rng, size_t len);
/* Text (LF) as quoted-printable; latin1: bytes are converted from UTF-8 first. */
void mk_quoted_printable(struct mk_out *out, const char *text, size_t len, bool latin1);
/* Header text: as it is when ASCII, encoded words (Q for short Latin, else B) when not. */
void mk_header_text(struct mk_out *out, const char *text, size_t len, bool q);
bool mk_is_ascii(const char *text, size_t len);
bool mk_is_latin1(const char *text, size_t len);
void mk_to_crlf(struct mk_out *out, const char *text, size_t len);

/* ---- messages */

enum mk_layout { MK_TREE, MK_MAILDIR, MK_MBOX, MK_FLAT };

struct mk_options {
    uint64_t count;
    uint64_t seed;
    const char *out;
    enum mk_layout layout;
    unsigned folders;
    unsigned attachments_percent;
    uint64_t max_attachment_bytes;
    bool conversations; /* replies, with quotes that grow */
    bool brief;         /* short bodies: for counts in the millions */
};

#define MK_REFERENCES 12u
#define MK_ID_BYTES 80u

struct mk_conversation {
    bool live;
    uint32_t folder;
    uint64_t length; /* messages so far */
    enum mk_tongue tongue;
    struct mk_topic topic;
    char subject[160];                    /* UTF-8 */
    char ids[MK_REFERENCES][MK_ID_BYTES]; /* newest last */
    unsigned n_ids;
    const struct mk_person *members[6];
    unsigned n_members;
    const struct mk_person *last_from;
    int64_t last_sec;
    struct mk_out quote; /* text of the newest message, UTF-8, LF */
};

/* One message while it is made. */
struct mk_draft {
    const struct mk_world *world;
    const struct mk_options *options;
    struct mk_rng *rng;
    struct mk_conversation *conversation;
    const struct mk_person *from;
    int64_t date_sec;
    char id[MK_ID_BYTES];
    bool reply;
    struct mk_out *scratch; /* the content of an attachment */
};

/* Text of the message: greeting, paragraphs, quote, signature. UTF-8, LF. */
void mk_body_text(struct mk_out *out, const struct mk_draft *draft);
/* The same as HTML, in the manner of the writer's mail program. */
void mk_body_html(struct mk_out *out, const struct mk_draft *draft, const char *text, size_t len);
/* A whole MIME part of an attachment, from its headers to its last line. */
void mk_attachment(struct mk_out *out, const struct mk_draft *draft);
void mk_headers(struct mk_out *out, const struct mk_draft *draft);
void mk_date(char ret[48], int64_t sec, int zone_hours);

struct mk_message {
    struct mk_out raw;
    uint64_t number; /* 1... */
    uint32_t folder;
    int64_t date_sec;
    bool seen, answered, flagged;
    const struct mk_person *from;
};

struct mk_corpus;
struct mk_corpus *mk_corpus_new(const struct mk_options *options);
/* The next message; its buffer is reused by the next call. */
const struct mk_message *mk_corpus_next(struct mk_corpus *corpus);
/* Folder path, components separated by '/', UTF-8. Valid as long as the corpus. */
const char *mk_corpus_folder(const struct mk_corpus *corpus, uint32_t folder);
void mk_corpus_free(struct mk_corpus *corpus);

/* ---- files */

struct mk_writer;
struct mk_writer *mk_writer_new(const struct mk_options *options, const struct mk_corpus *corpus);
void mk_writer_put(struct mk_writer *writer, const struct mk_message *message);
void mk_writer_close(struct mk_writer *writer);

#endif
