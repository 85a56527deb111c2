/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Vocabularies of pseudo-words and the sentences made of them. The commonest words are real
 * function words, the rest are syllables; frequencies follow Zipf's law, and set phrases recur,
 * because a compressor must find in generated mail about what it finds in real mail.
 */
#include "mkmail.h"

#define LINE_COLUMNS 72u
/* Tuned so that zstd -3 comes to the ratio of real mail. */
#define PHRASE_PERCENT 60u
#define TOPIC_PERCENT 14u

static const char *const english_function[] = {
    "the",    "to",      "of",    "and",   "a",     "in",    "is",   "that", "it",    "for",
    "you",    "this",    "on",    "be",    "with",  "not",   "are",  "have", "as",    "if",
    "or",     "we",      "can",   "but",   "from",  "will",  "by",   "at",   "an",    "was",
    "do",     "my",      "your",  "all",   "there", "so",    "they", "what", "would", "which",
    "has",    "one",     "more",  "about", "some",  "any",   "when", "just", "out",   "up",
    "like",   "how",     "then",  "no",    "them",  "other", "only", "get",  "than",  "time",
    "could",  "should",  "been",  "here",  "who",   "use",   "new",  "also", "need",  "our",
    "please", "because", "think", "know",  "see",   "want",  "work", "into", "does",  "their"};

static const char *const german_function[] = {
    "die",  "der",   "und",  "in",     "zu",    "den",    "das",    "nicht", "von",    "ist",
    "des",  "mit",   "sich", "ein",    "auf",   "für",    "eine",   "dem",   "im",     "dass",
    "es",   "als",   "auch", "wir",    "an",    "werden", "aus",    "er",    "hat",    "sie",
    "nach", "wird",  "bei",  "einer",  "um",    "am",     "sind",   "noch",  "wie",    "einem",
    "über", "einen", "so",   "zum",    "war",   "haben",  "nur",    "oder",  "aber",   "vor",
    "zur",  "bis",   "mehr", "durch",  "man",   "kann",   "können", "wurde", "bitte",  "ich",
    "uns",  "Ihnen", "wenn", "möchte", "unter", "gegen",  "schon",  "würde", "müssen", "vom"};

static const char *const onsets[] = {"",   "b",  "c",  "d",  "f",  "g",   "h",  "l",  "m",  "n",
                                     "p",  "r",  "s",  "t",  "v",  "w",   "st", "pr", "tr", "ch",
                                     "sh", "pl", "gr", "br", "cl", "con", "re", "in", "de", "ex"};
static const char *const german_onsets[] = {"",    "b",  "d",  "f",   "g",   "h",   "k",   "l",
                                            "m",   "n",  "r",  "s",   "t",   "w",   "z",   "st",
                                            "sch", "be", "ge", "ver", "auf", "ein", "aus", "vor",
                                            "un",  "er", "kr", "pf",  "zw",  "spr"};
static const char *const nuclei[] = {"a", "e", "i",  "o",  "u",  "e",
                                     "a", "i", "ea", "io", "ou", "ee"};
static const char *const german_nuclei[] = {"a",  "e", "i", "o", "u",  "e", "ei", "ie",
                                            "au", "ä", "ö", "ü", "eu", "a", "e",  "i"};
static const char *const codas[] = {"",   "",   "n",   "r",  "s",    "t",  "l",    "d",
                                    "m",  "ng", "nt",  "ck", "st",   "ss", "tion", "ment",
                                    "er", "ed", "ing", "al", "able", "ly", "ness", "ive"};
static const char *const german_codas[] = {
    "",  "",    "n",  "r",  "s",    "t",    "l",    "ch",  "cht", "ng",   "nd",  "tz",
    "ß", "ung", "en", "er", "lich", "heit", "keit", "est", "em",  "isch", "bar", "ft"};
static const char *const kana[] = {
    "の", "に", "は", "を", "た", "が", "で", "て", "と", "し", "れ", "さ", "あ", "い", "う", "お",
    "か", "き", "く", "け", "こ", "す", "せ", "そ", "ち", "つ", "な", "ね", "ま", "み", "め", "も",
    "や", "ゆ", "よ", "ら", "り", "る", "ろ", "わ", "ん", "ア", "イ", "ス", "ト", "ン", "ル", "ー"};
static const char *const kanji[] = {
    "日", "本", "人", "大", "年", "会", "国", "時", "中", "出", "事", "自", "社", "者", "地", "業",
    "方", "新", "場", "員", "立", "開", "手", "力", "問", "代", "明", "動", "京", "目", "通", "言",
    "理", "体", "田", "主", "題", "意", "不", "作", "用", "度", "強", "公", "持", "野", "以", "思",
    "家", "世", "多", "正", "安", "院", "心", "界", "教", "文", "元", "重", "近", "考", "画", "海"};

#define COUNT(list) ((uint32_t)(sizeof(list) / sizeof *(list)))

static void word_add(struct mk_word *word, const char *text)
{
    size_t len = strlen(text);
    if (word->len + len > MK_WORD_BYTES - 1)
        return;
    memcpy(word->text + word->len, text, len);
    word->len = (uint8_t)(word->len + len);
}

static void syllable_add(struct mk_word *word, enum mk_tongue tongue, struct mk_rng *rng, bool last)
{
    bool german = tongue == MK_GERMAN;
    word_add(word, german ? german_onsets[mk_below(rng, COUNT(german_onsets))]
                          : onsets[mk_below(rng, COUNT(onsets))]);
    word_add(word, german ? german_nuclei[mk_below(rng, COUNT(german_nuclei))]
                          : nuclei[mk_below(rng, COUNT(nuclei))]);
    if (!last && mk_chance(rng, 60))
        return;
    word_add(word, german ? german_codas[mk_below(rng, COUNT(german_codas))]
                          : codas[mk_below(rng, COUNT(codas))]);
}

static void word_make_latin(struct mk_word *word, enum mk_tongue tongue, struct mk_rng *rng,
                            uint32_t rank)
{
    unsigned syllables = rank < 300 ? 1 : rank < 3000 ? 1 + mk_below(rng, 2) : 2 + mk_below(rng, 2);
    for (unsigned i = 0; i < syllables; i++)
        syllable_add(word, tongue, rng, i + 1 == syllables);
    bool capital = tongue == MK_GERMAN ? mk_chance(rng, 35) : mk_chance(rng, 4);
    if (capital && word->text[0] >= 'a' && word->text[0] <= 'z')
        word->text[0] = (char)(word->text[0] - 'a' + 'A');
}

static void word_make_japanese(struct mk_word *word, struct mk_rng *rng, uint32_t rank)
{
    unsigned characters = rank < 200 ? 1 + mk_below(rng, 2) : 2 + mk_below(rng, 3);
    for (unsigned i = 0; i < characters; i++)
        word_add(word, mk_chance(rng, 45) ? kanji[mk_below(rng, COUNT(kanji))]
                                          : kana[mk_below(rng, COUNT(kana))]);
}

static void word_make(struct mk_language *language, struct mk_rng *rng, uint32_t rank)
{
    struct mk_word *word = &language->words[rank];
    if (language->tongue == MK_ENGLISH && rank < COUNT(english_function))
        word_add(word, english_function[rank]);
    else if (language->tongue == MK_GERMAN && rank < COUNT(german_function))
        word_add(word, german_function[rank]);
    else if (language->tongue == MK_JAPANESE)
        word_make_japanese(word, rng, rank);
    else
        word_make_latin(word, language->tongue, rng, rank);
}

/* Fill table so that item r gets a share of 1 / (r + shift). */
static void zipf_fill(uint16_t *table, uint32_t slots, uint32_t items, uint32_t shift)
{
    double total = 0, sum = 0;
    for (uint32_t r = 0; r < items; r++)
        total += 1.0 / (r + shift);
    uint32_t slot = 0;
    for (uint32_t r = 0; r < items; r++) {
        sum += 1.0 / (r + shift);
        uint32_t end = (uint32_t)(sum / total * slots);
        while (slot < end && slot < slots)
            table[slot++] = (uint16_t)r;
    }
    while (slot < slots)
        table[slot++] = (uint16_t)(items - 1);
}

static uint16_t word_pick(const struct mk_language *language, struct mk_rng *rng)
{
    return language->word_table[mk_random(rng) >> 48];
}

struct mk_language *mk_language_new(enum mk_tongue tongue)
{
    struct mk_language *language = mk_calloc(1, sizeof *language);
    struct mk_rng rng = {0x6d6b6d61696cu + tongue}; /* a language does not depend on the seed */
    language->tongue = tongue;
    for (uint32_t rank = 0; rank < MK_WORDS; rank++)
        word_make(language, &rng, rank);
    zipf_fill(language->word_table, COUNT(language->word_table), MK_WORDS, 3);
    for (uint32_t i = 0; i < MK_PHRASES; i++) {
        struct mk_phrase *phrase = &language->phrases[i];
        phrase->count = (uint16_t)(2 + mk_below(&rng, MK_PHRASE_WORDS - 1));
        for (unsigned k = 0; k < phrase->count; k++)
            phrase->words[k] = word_pick(language, &rng);
    }
    zipf_fill(language->phrase_table, COUNT(language->phrase_table), MK_PHRASES, 8);
    return language;
}

void mk_topic_pick(const struct mk_language *language, struct mk_rng *rng, struct mk_topic *ret)
{
    (void)language;
    for (unsigned i = 0; i < MK_TOPIC_WORDS; i++)
        ret->words[i] = (uint16_t)(200 + mk_below(rng, MK_WORDS - 200));
}

/* The words of a text, one after the other. */
struct stream {
    const struct mk_language *language;
    struct mk_rng *rng;
    const struct mk_topic *topic;
    const struct mk_phrase *phrase;
    unsigned next; /* in phrase */
};

static const struct mk_word *stream_word(struct stream *s)
{
    if (s->phrase && s->next < s->phrase->count)
        return &s->language->words[s->phrase->words[s->next++]];
    s->phrase = NULL;
    uint64_t r = mk_random(s->rng);
    unsigned dice = (unsigned)(r & 0xffff) % 100;
    if (dice < PHRASE_PERCENT) {
        s->phrase = &s->language->phrases[s->language->phrase_table[(r >> 16) & 0x3fff]];
        s->next = 1;
        return &s->language->words[s->phrase->words[0]];
    }
    if (dice < PHRASE_PERCENT + TOPIC_PERCENT) /* squaring favours the first words */
        return &s->language->words
                    [s->topic->words[((r >> 16 & 0xff) * (r >> 24 & 0xff) * MK_TOPIC_WORDS) >> 16]];
    return &s->language->words[s->language->word_table[r >> 48]];
}

static void capital_put(struct mk_out *out, const struct mk_word *word)
{
    size_t at = out->len;
    mk_reserve(out, sizeof word->text);
    memcpy(out->data + at, word->text, sizeof word->text);
    out->len = at + word->len;
    char c = out->data[at];
    if (c >= 'a' && c <= 'z')
        out->data[at] = (char)(c - 'a' + 'A');
}

/* Put the blank (or line end) before a word of len bytes and return the new column. */
static size_t gap_put(struct mk_out *out, size_t column, size_t len, bool blanks)
{
    if (column + len + 2 > LINE_COLUMNS + (blanks ? 0 : 36)) {
        mk_putc(out, '\n');
        return 0;
    }
    if (column && blanks)
        mk_putc(out, ' ');
    return column + (column && blanks);
}

static void sentence_end(struct mk_out *out, struct stream *s)
{
    bool japanese = s->language->tongue == MK_JAPANESE;
    unsigned dice = mk_below(s->rng, 16);
    if (japanese)
        mk_puts(out, "。");
    else
        mk_putc(out, dice == 0 ? '!' : dice < 3 ? '?' : '.');
}

static size_t sentence_put(struct mk_out *out, struct stream *s, size_t column)
{
    bool blanks = s->language->tongue != MK_JAPANESE;
    unsigned words = 4 + mk_below(s->rng, 14);
    for (unsigned i = 0; i < words; i++) {
        const struct mk_word *word = stream_word(s);
        column = gap_put(out, column, word->len, blanks) + word->len;
        if (i == 0) {
            capital_put(out, word);
        } else {
            mk_reserve(out, sizeof word->text);
            memcpy(out->data + out->len, word->text, sizeof word->text);
            out->len += word->len;
        }
        if (i + 1 < words && (i * 7 + word->len) % 11 == 0) {
            mk_puts(out, blanks ? "," : "、");
            column++;
        }
    }
    sentence_end(out, s);
    return column + 1;
}

void mk_paragraph(struct mk_out *out, const struct mk_language *language, struct mk_rng *rng,
                  const struct mk_topic *topic, unsigned sentences)
{
    struct stream s = {.language = language, .rng = rng, .topic = topic};
    size_t column = 0;
    for (unsigned i = 0; i < sentences; i++)
        column = sentence_put(out, &s, column);
    mk_putc(out, '\n');
}

void mk_title(struct mk_out *out, const struct mk_language *language, struct mk_rng *rng,
              const struct mk_topic *topic)
{
    struct stream s = {.language = language, .rng = rng, .topic = topic};
    unsigned words = 2 + mk_below(rng, 6);
    for (unsigned i = 0; i < words; i++) {
        const struct mk_word *word = stream_word(&s);
        if (i && language->tongue != MK_JAPANESE)
            mk_putc(out, ' ');
        if (i == 0)
            capital_put(out, word);
        else
            mk_put(out, word->text, word->len);
    }
}
