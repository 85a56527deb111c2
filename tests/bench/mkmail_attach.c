/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attachments. Sizes have a heavy tail; about half of them are one of a few files that are sent
 * again and again (logos, forms, price lists), made from their number alone, so that the bytes are
 * equal.
 */
#include "mkmail.h"

#define SHARED_FILES 150u
#define SHARED_MAX_BYTES (256u << 10)
#define TYPICAL_BYTES 3000.0
#define LARGE_ONE_IN 2000u
#define LARGE_BYTES (1u << 20)

enum kind { PDF, JPEG, PNG, OFFICE, TABLE, CALENDAR, KINDS };

static const struct {
    const char *type, *suffix, *magic;
    unsigned noise_percent; /* share of bytes that no compressor shrinks */
} kinds[KINDS] = {{"application/pdf", "pdf", "%PDF-1.5\n%\xe2\xe3\xcf\xd3\n", 75},
                  {"image/jpeg", "jpg", "\xff\xd8\xff\xe0\x01\x10JFIF", 97},
                  {"image/png", "png", "\x89PNG\r\n\x1a\n", 98},
                  {"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                   "docx", "PK\x03\x04", 92},
                  {"text/csv", "csv", "", 0},
                  {"text/calendar; method=REQUEST", "ics", "", 0}};

struct file {
    enum kind kind;
    uint64_t size;
    uint64_t seed;
    bool inline_image;
};

/* Pareto, alpha 1.2: half below twice TYPICAL_BYTES, one in 3,000 above 2 MB. */
static uint64_t size_pick(struct mk_rng *rng, uint64_t max)
{
    double u = ((double)(mk_random(rng) >> 11) + 1.0) / 9007199254740992.0;
    double size = TYPICAL_BYTES;
    for (double v = 1.0; v > u && size < (double)max; v *= 0.870551) /* 0.870551 = 2^(-1.2/6) */
        size *= 1.122462;                                            /* 2^(1/6) */
    size *= 0.9 + (double)mk_below(rng, 1000) / 4000.0;
    if (max > LARGE_BYTES && mk_below(rng, LARGE_ONE_IN) == 0)
        size = (double)LARGE_BYTES + (double)(max - LARGE_BYTES) * u * u;
    return size < (double)max ? (uint64_t)size : max;
}

static struct file file_pick(const struct mk_draft *draft)
{
    struct mk_rng *rng = draft->rng;
    uint64_t max = draft->options->max_attachment_bytes;
    struct mk_rng own = {mk_random(rng)};
    if (mk_chance(rng, 50)) {
        uint32_t number = mk_below(rng, SHARED_FILES) * mk_below(rng, SHARED_FILES) / SHARED_FILES;
        own.state = draft->options->seed * 1000003u + number;
        max = max < SHARED_MAX_BYTES ? max : SHARED_MAX_BYTES;
    }
    unsigned dice = mk_below(&own, 100);
    static const uint8_t shares[KINDS] = {25, 37, 50, 60, 92, 100};
    struct file file = {.kind = PDF};
    while (dice >= shares[file.kind])
        file.kind++;
    file.size = size_pick(&own, file.kind >= TABLE && max > (1u << 20) ? 1u << 20 : max);
    file.inline_image = file.kind == PNG;
    file.seed = mk_random(&own);
    return file;
}

static void noise_put(struct mk_out *out, struct mk_rng *rng, size_t len)
{
    mk_reserve(out, len + 8);
    for (size_t done = 0; done < len; done += 8) {
        uint64_t r = mk_random(rng);
        memcpy(out->data + out->len + done, &r, 8);
    }
    out->len += len;
}

/* Binary files: runs of noise between runs of structure. */
static void binary_put(struct mk_out *out, const struct file *file, struct mk_rng *rng)
{
    mk_puts(out, kinds[file->kind].magic);
    while (out->len < file->size) {
        noise_put(out, rng, kinds[file->kind].noise_percent * 40u);
        for (unsigned i = 0; i < (100 - kinds[file->kind].noise_percent) * 2; i++)
            mk_format(out, "%010u 00000 n \n", i * 1777);
    }
    out->len = file->size;
}

static void table_put(struct mk_out *out, const struct file *file, struct mk_rng *rng)
{
    for (unsigned row = 1; out->len < file->size; row++)
        mk_format(out, "%u;2024-%02u-%02u;item %u;%u.%02u;EUR;open\n", row, 1 + mk_below(rng, 12),
                  1 + mk_below(rng, 28), mk_below(rng, 200), mk_below(rng, 5000),
                  mk_below(rng, 100));
}

static void calendar_put(struct mk_out *out, const struct mk_draft *draft, struct mk_rng *rng)
{
    mk_format(out,
              "BEGIN:VCALENDAR\nPRODID:-//calendar//EN\nVERSION:2.0\nMETHOD:REQUEST\n"
              "BEGIN:VEVENT\nUID:%016llx@calendar.example\nDTSTART:2024%02u%02uT090000Z\n"
              "DTEND:2024%02u%02uT100000Z\nORGANIZER:mailto:%s\nSUMMARY:%s\n"
              "END:VEVENT\nEND:VCALENDAR\n",
              (unsigned long long)mk_random(rng), 1 + mk_below(rng, 12), 10 + mk_below(rng, 18),
              1 + mk_below(rng, 12), 10 + mk_below(rng, 18), draft->from->address,
              draft->conversation->subject);
}

static void part_headers(struct mk_out *out, const struct file *file, bool encoded)
{
    struct mk_rng rng = {file->seed ^ 1};
    unsigned number = mk_below(&rng, 100000);
    static const char *const stems[] = {"report", "invoice", "image", "Übersicht", "scan", "logo"};
    const char *stem = stems[mk_below(&rng, 6)];
    struct mk_out text = {0};
    mk_format(&text, "%s-%u.%s", stem, number, kinds[file->kind].suffix);
    mk_format(out, "Content-Type: %s;\n name=\"", kinds[file->kind].type);
    mk_header_text(out, text.data, text.len, false);
    mk_format(out, "\"\nContent-Transfer-Encoding: %s\n", encoded ? "base64" : "7bit");
    if (file->inline_image)
        mk_format(out, "Content-ID: <part.%08x@image.example>\n", (unsigned)file->seed);
    mk_format(out, "Content-Disposition: %s;\n filename",
              file->inline_image ? "inline" : "attachment");
    if (mk_is_ascii(text.data, text.len))
        mk_format(out, "=\"%.*s\"\n\n", (int)text.len, text.data);
    else
        mk_format(out, "*=utf-8''%%C3%%9Cbersicht-%u.%s\n\n", number, kinds[file->kind].suffix);
    mk_out_free(&text);
}

void mk_attachment(struct mk_out *out, const struct mk_draft *draft)
{
    struct file file = file_pick(draft);
    struct mk_rng rng = {file.seed};
    struct mk_out *content = draft->scratch;
    content->len = 0;
    if (file.kind == TABLE)
        table_put(content, &file, &rng);
    else if (file.kind == CALENDAR)
        calendar_put(content, draft, &rng);
    else
        binary_put(content, &file, &rng);
    bool encoded =
        file.kind < TABLE || !mk_is_ascii(content->data, content->len) || (file.seed & 1);
    part_headers(out, &file, encoded);
    if (encoded)
        mk_base64(out, content->data, content->len);
    else
        mk_put(out, content->data, content->len);
}
