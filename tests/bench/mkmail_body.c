/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person writes: greeting, paragraphs, the quoted message before, signature; and its HTML.
 */
#include "mkmail.h"

#define QUOTE_MAX_BYTES (9u << 10)

static const char *const greetings[MK_TONGUES][4] = {
    {"Hi", "Hello", "Dear", "Hi all"},
    {"Hallo", "Guten Tag", "Sehr geehrte Damen und Herren", "Liebe Kollegen"},
    {"お世話になっております", "こんにちは", "各位", "はじめまして"}};
static const char *const closings[MK_TONGUES][4] = {
    {"Thanks", "Best regards", "Cheers", "Kind regards"},
    {"Mit freundlichen Grüßen", "Viele Grüße", "Beste Grüße", "Danke und Gruß"},
    {"よろしくお願いいたします", "以上", "では", "ありがとうございます"}};

static const struct mk_language *language_of(const struct mk_draft *draft)
{
    return draft->world->languages[draft->conversation->tongue];
}

/* Most mail is short, some is very long. */
static unsigned paragraph_count(struct mk_rng *rng, bool brief)
{
    if (brief)
        return 1;
    unsigned dice = mk_below(rng, 100);
    if (dice < 60)
        return 1 + mk_below(rng, 3);
    if (dice < 93)
        return 3 + mk_below(rng, 6);
    return dice < 99 ? 8 + mk_below(rng, 24) : 40 + mk_below(rng, 160);
}

/* Code, logs and patches: lines that resemble each other. */
static void listing_put(struct mk_out *out, const struct mk_draft *draft)
{
    const struct mk_topic *topic = &draft->conversation->topic;
    const struct mk_word *words = draft->world->languages[MK_ENGLISH]->words;
    unsigned lines = 5 + mk_below(draft->rng, 40), number = mk_below(draft->rng, 2000);
    mk_format(out, "\n--- a/src/%s.c\n+++ b/src/%s.c\n@@ -%u,7 +%u,%u @@\n",
              words[topic->words[0]].text, words[topic->words[0]].text, number, number, lines);
    for (unsigned i = 0; i < lines; i++) {
        const char *name = words[topic->words[mk_below(draft->rng, MK_TOPIC_WORDS)]].text;
        const char *other = words[topic->words[mk_below(draft->rng, 6)]].text;
        switch (mk_below(draft->rng, 4)) {
        case 0:
            mk_format(out, " \tif (%s->%s != NULL)\n", other, name);
            break;
        case 1:
            mk_format(out, "+\t\treturn %s_%s(%s, %u);\n", name, other, other, i);
            break;
        case 2:
            mk_format(out, "-\t\tstruct %s *%s = %s_get(dev);\n", name, name, other);
            break;
        default:
            mk_puts(out, " \n");
        }
    }
    mk_putc(out, '\n');
}

static void paragraphs_put(struct mk_out *out, const struct mk_draft *draft, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mk_paragraph(out, language_of(draft), draft->rng, &draft->conversation->topic,
                     1 + mk_below(draft->rng, 4));
        mk_putc(out, '\n');
    }
    if (!draft->options->brief && draft->conversation->tongue == MK_ENGLISH &&
        mk_chance(draft->rng, 8))
        listing_put(out, draft);
}

/* Quote the lines of text, leaving out some; a full quote keeps all. */
static void quote_put(struct mk_out *out, const struct mk_draft *draft, bool full)
{
    const struct mk_out *quote = &draft->conversation->quote;
    const char *at = quote->data, *end = quote->data + quote->len;
    size_t stop = out->len + (full ? QUOTE_MAX_BYTES : QUOTE_MAX_BYTES / 4);
    while (at < end && out->len < stop) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len = line_end ? (size_t)(line_end - at) : (size_t)(end - at);
        if (!full && len == 0 && mk_chance(draft->rng, 15)) {
            mk_put(out, "\n", 1);
            paragraphs_put(out, draft, 1);
        }
        mk_put(out, "> ", len && *at != '>' ? 2 : 1);
        mk_put(out, at, len);
        mk_putc(out, '\n');
        at += len + (line_end != NULL);
    }
    mk_putc(out, '\n');
}

static void attribution_put(struct mk_out *out, const struct mk_draft *draft, bool top_post)
{
    const struct mk_conversation *c = draft->conversation;
    char date[48];
    mk_date(date, c->last_sec, 0);
    if (top_post)
        mk_format(out,
                  "-----Original Message-----\nFrom: %s <%s>\nSent: %s\nTo: %s\nSubject: %s\n\n",
                  c->last_from->name, c->last_from->address, date, draft->from->name, c->subject);
    else if (c->tongue == MK_GERMAN)
        mk_format(out, "Am %.16s schrieb %s:\n", date, c->last_from->name);
    else
        mk_format(out, "On %.16s, %s wrote:\n", date, c->last_from->name);
}

static void reply_put(struct mk_out *out, const struct mk_draft *draft)
{
    bool top_post = draft->from->client >= 3;
    unsigned paragraphs = paragraph_count(draft->rng, draft->options->brief);
    if (top_post)
        paragraphs_put(out, draft, 1 + paragraphs / 3);
    attribution_put(out, draft, top_post);
    quote_put(out, draft, top_post || mk_chance(draft->rng, 30));
    if (!top_post)
        paragraphs_put(out, draft, 1 + paragraphs / 2);
}

void mk_body_text(struct mk_out *out, const struct mk_draft *draft)
{
    enum mk_tongue tongue = draft->conversation->tongue;
    if (mk_chance(draft->rng, 60))
        mk_format(out, "%s,\n\n", greetings[tongue][mk_below(draft->rng, 4)]);
    if (draft->reply)
        reply_put(out, draft);
    else
        paragraphs_put(out, draft, paragraph_count(draft->rng, draft->options->brief));
    if (mk_chance(draft->rng, 70))
        mk_format(out, "%s\n", closings[tongue][mk_below(draft->rng, 4)]);
    mk_signature(out, draft->world, draft->from);
    if (draft->conversation->folder % 3 == 1)
        mk_format(out,
                  "\n_______________________________________________\n"
                  "list-%u mailing list\nlist-%u@lists.example\n"
                  "https://lists.example/mailman/listinfo/list-%u\n",
                  draft->conversation->folder, draft->conversation->folder,
                  draft->conversation->folder);
}

/* ---- HTML */

static const char *const html_heads[MK_CLIENTS] = {
    "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\n"
    "</head>\n<body text=\"#000000\" bgcolor=\"#FFFFFF\">\n",
    "<html><head><style>body{font-family:Helvetica,Arial;font-size:13px}</style></head>\n"
    "<body style=\"word-wrap: break-word; -webkit-nbsp-mode: space; line-break: after-white-space;"
    "\">\n",
    "<div dir=\"ltr\">\n",
    "<html xmlns:v=\"urn:schemas-microsoft-com:vml\" xmlns:o=\"urn:schemas-microsoft-com:office:"
    "office\" xmlns:w=\"urn:schemas-microsoft-com:office:word\" xmlns=\"http://www.w3.org/TR/REC-"
    "html40\">\n<head>\n<meta name=\"Generator\" content=\"Microsoft Word 15 (filtered medium)\">\n"
    "<style><!--\n/* Font Definitions */\n@font-face\n\t{font-family:\"Cambria Math\";\n\tpanose-1:"
    "2 4 5 3 5 4 6 3 2 4;}\n@font-face\n\t{font-family:Calibri;\n\tpanose-1:2 15 5 2 2 2 4 3 2 4;}"
    "\n/* Style Definitions */\np.MsoNormal, li.MsoNormal, div.MsoNormal\n\t{margin:0cm;\n\t"
    "font-size:11.0pt;\n\tfont-family:\"Calibri\",sans-serif;}\n--></style>\n</head>\n"
    "<body lang=\"EN-GB\" link=\"#0563C1\" vlink=\"#954F72\">\n<div class=\"WordSection1\">\n",
    "<!DOCTYPE html>\n<html><head><title></title><style type=\"text/css\">p.MsoNormal,p."
    "MsoNoSpacing{margin:0}</style></head>\n<body><div style=\"font-family:Arial;\">\n",
    "<html><body><span style=\"font-family:Verdana; color:#000000; font-size:10pt;\">\n"};
static const char *const html_opens[MK_CLIENTS] = {
    "<p>",
    "<div>",
    "<div><span style=\"font-family:arial,sans-serif\">",
    "<p class=\"MsoNormal\"><span lang=\"EN-US\" style=\"mso-fareast-language:EN-US\">",
    "<p class=\"MsoNormal\">",
    "<div style=\"direction:ltr\">"};
static const char *const html_closes[MK_CLIENTS] = {"</p>\n",          "</div><div><br></div>\n",
                                                    "</span></div>\n", "<o:p></o:p></span></p>\n",
                                                    "</p>\n",          "</div>\n"};
static const char *const html_tails[MK_CLIENTS] = {
    "</body>\n</html>\n",         "</body></html>\n",       "</div>\n",
    "</div>\n</body>\n</html>\n", "</div></body></html>\n", "</span></body></html>\n"};

static void escaped_put(struct mk_out *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        switch (text[i]) {
        case '<':
            mk_puts(out, "&lt;");
            break;
        case '>':
            mk_puts(out, "&gt;");
            break;
        case '&':
            mk_puts(out, "&amp;");
            break;
        default:
            mk_putc(out, text[i]);
        }
}

void mk_body_html(struct mk_out *out, const struct mk_draft *draft, const char *text, size_t len)
{
    unsigned client = draft->from->client, depth = 0;
    bool open = false;
    mk_puts(out, html_heads[client]);
    for (const char *end = text + len, *next; text < end; text = next) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        next = line_end ? line_end + 1 : end;
        size_t n = (size_t)(next - text) - (line_end != NULL);
        if (open && (n == 0 || (*text == '>') != (depth > 0))) {
            mk_puts(out, html_closes[client]);
            open = false;
        }
        if (n && *text == '>' && !depth++)
            mk_puts(out, "<blockquote type=\"cite\" style=\"margin:0 0 0 .8ex;"
                         "border-left:1px solid rgb(204,204,204);padding-left:1ex\">\n");
        else if (n && *text != '>' && depth) {
            mk_puts(out, "</blockquote>\n");
            depth = 0;
        }
        if (n == 0)
            continue;
        mk_puts(out, open ? "<br>\n" : html_opens[client]);
        open = true;
        size_t skip = depth ? (n > 1 && text[1] == ' ' ? 2 : 1) : 0;
        escaped_put(out, text + skip, n - skip);
    }
    if (open)
        mk_puts(out, html_closes[client]);
    mk_puts(out, depth ? "</blockquote>\n" : "");
    mk_puts(out, html_tails[client]);
}
