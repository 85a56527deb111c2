/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mail of one archive in order of time: conversations come up, are answered for a while and
 * end; each message is put together from headers, text, perhaps HTML and attachments.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mkmail.h"

#define LIVE_CONVERSATIONS 48u
#define FIRST_SEC 1420070400 /* 2015-01-01 */

struct mk_corpus {
    const struct mk_options *options;
    struct mk_world *world;
    struct mk_rng rng;
    uint64_t made;
    int64_t now_sec;
    struct mk_conversation conversations[LIVE_CONVERSATIONS];
    char **folders;
    struct mk_message message;
    struct mk_out lf, text, html, scratch;
};

/* ---- folders */

static const char *const folder_words[] = {
    "Inbox",    "Projects", "Kunden", "Invoices", "Straße & Größe", "lists", "Team",     "報告",
    "Personal", "2021",     "2022",   "2023",     "Support",        "Sales", "Verträge", "misc"};
#define FOLDER_WORDS ((unsigned)(sizeof folder_words / sizeof *folder_words))

/* The first 16 folders are on top; folder n lies below folder n / 4 - 4. */
static char *folder_name(char **folders, unsigned n)
{
    struct mk_out path = {0};
    if (n < FOLDER_WORDS)
        mk_puts(&path, folder_words[n]);
    else
        mk_format(&path, "%s/%s %u", folders[n / 4 - 4], folder_words[n % FOLDER_WORDS], n);
    mk_putc(&path, 0);
    return path.data;
}

const char *mk_corpus_folder(const struct mk_corpus *corpus, uint32_t folder)
{
    return corpus->folders[folder];
}

/* Few folders hold most of the mail. */
static uint32_t folder_pick(struct mk_corpus *corpus)
{
    uint32_t n = corpus->options->folders, a = mk_below(&corpus->rng, n);
    return (uint32_t)((uint64_t)a * mk_below(&corpus->rng, n) / n);
}

/* ---- conversations */

static void conversation_begin(struct mk_corpus *corpus, struct mk_conversation *c)
{
    struct mk_out subject = c->quote; /* its memory serves again */
    memset(c, 0, sizeof *c);
    c->live = true;
    c->folder = folder_pick(corpus);
    c->n_members = 2 + mk_below(&corpus->rng, 4) * mk_below(&corpus->rng, 2);
    for (unsigned i = 0; i < c->n_members; i++)
        c->members[i] = mk_world_person(corpus->world, &corpus->rng);
    c->tongue = c->members[0]->tongue;
    mk_topic_pick(corpus->world->languages[c->tongue], &corpus->rng, &c->topic);
    subject.len = 0;
    mk_title(&subject, corpus->world->languages[c->tongue], &corpus->rng, &c->topic);
    size_t len = subject.len < sizeof c->subject ? subject.len : 0;
    memcpy(c->subject, subject.data, len);
    subject.len = 0;
    c->quote = subject;
}

static struct mk_conversation *conversation_pick(struct mk_corpus *corpus)
{
    uint32_t slot = mk_below(&corpus->rng, LIVE_CONVERSATIONS);
    struct mk_conversation *c = &corpus->conversations[slot];
    bool goes_on = corpus->options->conversations && c->live && mk_chance(&corpus->rng, 70);
    if (!goes_on)
        conversation_begin(corpus, c);
    return c;
}

static void conversation_note(struct mk_conversation *c, const struct mk_draft *draft,
                              const struct mk_out *text)
{
    if (c->n_ids == MK_REFERENCES) { /* the first stays, as mail programs do it */
        memmove(c->ids[1], c->ids[2], sizeof c->ids[0] * (MK_REFERENCES - 2));
        c->n_ids--;
    }
    memcpy(c->ids[c->n_ids++], draft->id, sizeof c->ids[0]);
    c->last_from = draft->from;
    c->last_sec = draft->date_sec;
    c->length++;
    c->quote.len = 0;
    mk_put(&c->quote, text->data, text->len);
}

/* ---- one message */

static void text_encode(struct mk_out *out, const struct mk_out *text, unsigned client,
                        const char *type)
{
    if (mk_is_ascii(text->data, text->len)) {
        mk_format(out, "Content-Type: %s; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n\n",
                  type);
        mk_put(out, text->data, text->len);
        return;
    }
    bool latin1 = client % 3 == 0 && mk_is_latin1(text->data, text->len);
    bool base64 = !latin1 && client == 2, eight = !latin1 && client == 5;
    mk_format(out, "Content-Type: %s; charset=%s\nContent-Transfer-Encoding: %s\n\n", type,
              latin1 ? "iso-8859-1" : "UTF-8",
              base64  ? "base64"
              : eight ? "8bit"
                      : "quoted-printable");
    if (base64)
        mk_base64(out, text->data, text->len);
    else if (eight)
        mk_put(out, text->data, text->len);
    else
        mk_quoted_printable(out, text->data, text->len, latin1);
}

static void boundary_make(char ret[48], struct mk_rng *rng, unsigned client)
{
    unsigned long long r = mk_random(rng);
    if (client == 3)
        snprintf(ret, 48, "----=_NextPart_000_%04llX_01D%05llX.%08llX", r & 0xffff,
                 r >> 16 & 0xfffff, r >> 36 & 0xfffffff);
    else
        snprintf(ret, 48, "------------%024llu", r);
}

static void body_put(struct mk_corpus *corpus, struct mk_out *out, const struct mk_draft *draft)
{
    unsigned client = draft->from->client;
    if (client == 5 || !mk_chance(draft->rng, 22)) {
        text_encode(out, &corpus->text, client, "text/plain");
        return;
    }
    char boundary[48];
    boundary_make(boundary, draft->rng, client);
    corpus->html.len = 0;
    mk_body_html(&corpus->html, draft, corpus->text.data, corpus->text.len);
    mk_format(out, "Content-Type: multipart/alternative;\n boundary=\"%s\"\n\n--%s\n", boundary,
              boundary);
    text_encode(out, &corpus->text, client, "text/plain");
    mk_format(out, "\n--%s\n", boundary);
    text_encode(out, &corpus->html, client, "text/html");
    mk_format(out, "\n--%s--\n", boundary);
}

static void content_put(struct mk_corpus *corpus, struct mk_out *out, const struct mk_draft *draft)
{
    if (!mk_chance(draft->rng, corpus->options->attachments_percent)) {
        body_put(corpus, out, draft);
        return;
    }
    char boundary[48];
    boundary_make(boundary, draft->rng, draft->from->client);
    mk_format(out,
              "Content-Type: multipart/mixed;\n boundary=\"%s\"\n\n"
              "This is a multi-part message in MIME format.\n--%s\n",
              boundary, boundary);
    body_put(corpus, out, draft);
    unsigned files = mk_chance(draft->rng, 75) ? 1 : 2 + mk_below(draft->rng, 3);
    for (unsigned i = 0; i < files; i++) {
        mk_format(out, "\n--%s\n", boundary);
        mk_attachment(out, draft);
    }
    mk_format(out, "\n--%s--\n", boundary);
}

static struct mk_draft draft_begin(struct mk_corpus *corpus)
{
    struct mk_conversation *c = conversation_pick(corpus);
    corpus->now_sec += 1 + mk_below(&corpus->rng, 1200);
    struct mk_draft draft = {
        .world = corpus->world,
        .options = corpus->options,
        .rng = &corpus->rng,
        .conversation = c,
        .date_sec = corpus->now_sec,
        .reply = c->length > 0,
        .scratch = &corpus->scratch,
    };
    draft.from = c->members[(c->length + 1) % c->n_members];
    snprintf(draft.id, sizeof draft.id, "<%016llx.%llx@%s>",
             (unsigned long long)mk_random(&corpus->rng), (unsigned long long)corpus->now_sec,
             mk_world_domain(corpus->world, draft.from)->name);
    return draft;
}

const struct mk_message *mk_corpus_next(struct mk_corpus *corpus)
{
    struct mk_message *message = &corpus->message;
    struct mk_draft draft = draft_begin(corpus);
    corpus->text.len = corpus->lf.len = message->raw.len = 0;
    mk_body_text(&corpus->text, &draft);
    mk_headers(&corpus->lf, &draft);
    content_put(corpus, &corpus->lf, &draft);
    bool crlf = corpus->options->layout != MK_MBOX && draft.from->signature_seed % 5 < 2;
    if (crlf)
        mk_to_crlf(&message->raw, corpus->lf.data, corpus->lf.len);
    else
        mk_put(&message->raw, corpus->lf.data, corpus->lf.len);
    message->number = ++corpus->made;
    message->folder = draft.conversation->folder;
    message->date_sec = draft.date_sec;
    message->from = draft.from;
    message->seen = mk_chance(&corpus->rng, 85);
    message->answered = mk_chance(&corpus->rng, 20);
    message->flagged = mk_chance(&corpus->rng, 3);
    conversation_note(draft.conversation, &draft, &corpus->text);
    return message;
}

struct mk_corpus *mk_corpus_new(const struct mk_options *options)
{
    struct mk_corpus *corpus = mk_calloc(1, sizeof *corpus);
    corpus->options = options;
    corpus->world = mk_world_new(options->seed);
    corpus->rng.state = options->seed;
    corpus->now_sec = FIRST_SEC;
    corpus->folders = mk_calloc(options->folders, sizeof *corpus->folders);
    for (unsigned i = 0; i < options->folders; i++)
        corpus->folders[i] = folder_name(corpus->folders, i);
    return corpus;
}

void mk_corpus_free(struct mk_corpus *corpus)
{
    for (unsigned i = 0; i < corpus->options->folders; i++)
        free(corpus->folders[i]);
    for (unsigned i = 0; i < LIVE_CONVERSATIONS; i++)
        mk_out_free(&corpus->conversations[i].quote);
    struct mk_out *buffers[] = {&corpus->message.raw, &corpus->lf, &corpus->text, &corpus->html,
                                &corpus->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        mk_out_free(buffers[i]);
    free(corpus->folders);
    mk_world_free(corpus->world);
    free(corpus);
}
