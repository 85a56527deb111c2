/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mkmail: realistic mail of any count, from a seed. See README.md. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mkmail.h"

_Noreturn void mk_fail(const char *what)
{
    fprintf(stderr, "mkmail: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *mk_calloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        mk_fail("memory");
    return memory;
}

void mk_reserve(struct mk_out *out, size_t extra)
{
    if (out->cap - out->len >= extra)
        return;
    size_t cap = (out->len + extra) * 3 / 2 + 256;
    char *data = realloc(out->data, cap);
    if (!data)
        mk_fail("memory");
    out->data = data;
    out->cap = cap;
}

void mk_format(struct mk_out *out, const char *format, ...)
{
    for (size_t room = 256;; room *= 4) {
        va_list args;
        mk_reserve(out, room);
        va_start(args, format);
        int n = vsnprintf(out->data + out->len, room, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < room) {
            out->len += (size_t)n;
            return;
        }
    }
}

void mk_out_free(struct mk_out *out)
{
    free(out->data);
    *out = (struct mk_out){0};
}

static const char usage[] =
    "Usage: mkmail --count N --seed S --out DIR [OPTION]...\n"
    "Write N generated messages below DIR; the same options give the same bytes.\n\n"
    "  --layout tree|flat|maildir|mbox  files to write (tree)\n"
    "  --folders K                      folders, nested (24)\n"
    "  --attachments PERCENT            messages with attachments (2)\n"
    "  --max-attachment BYTES           largest attachment (100000000)\n"
    "  --threads-of-conversation        replies with growing quotes (the default)\n"
    "  --no-threads-of-conversation     single messages only\n"
    "  --brief                          one paragraph a message\n";

static uint64_t number_parse(const char *text, uint64_t min, uint64_t max, const char *option)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < min || value > max) {
        fprintf(stderr, "mkmail: --%s: %s is not a number from %llu to %llu\n", option, text,
                (unsigned long long)min, (unsigned long long)max);
        exit(2);
    }
    return value;
}

static enum mk_layout layout_parse(const char *text)
{
    static const char *const names[] = {"tree", "maildir", "mbox", "flat"};
    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum mk_layout)i;
    fprintf(stderr, "mkmail: --layout: %s is none of tree, maildir, mbox, flat\n", text);
    exit(2);
}

static const struct option option_table[] = {{"count", required_argument, NULL, 'c'},
                                             {"seed", required_argument, NULL, 's'},
                                             {"out", required_argument, NULL, 'o'},
                                             {"layout", required_argument, NULL, 'l'},
                                             {"folders", required_argument, NULL, 'f'},
                                             {"attachments", required_argument, NULL, 'a'},
                                             {"max-attachment", required_argument, NULL, 'm'},
                                             {"threads-of-conversation", no_argument, NULL, 't'},
                                             {"no-threads-of-conversation", no_argument, NULL, 'n'},
                                             {"brief", no_argument, NULL, 'b'},
                                             {"help", no_argument, NULL, 'h'},
                                             {0}};

static void option_set(struct mk_options *options, int letter, const char *value)
{
    switch (letter) {
    case 'c':
        options->count = number_parse(value, 1, 1000000000, "count");
        break;
    case 's':
        options->seed = number_parse(value, 0, UINT64_MAX, "seed");
        break;
    case 'o':
        options->out = value;
        break;
    case 'l':
        options->layout = layout_parse(value);
        break;
    case 'f':
        options->folders = (unsigned)number_parse(value, 1, 100000, "folders");
        break;
    case 'a':
        options->attachments_percent = (unsigned)number_parse(value, 0, 100, "attachments");
        break;
    case 'm':
        options->max_attachment_bytes = number_parse(value, 1, 1000000000, "max-attachment");
        break;
    case 't':
    case 'n':
        options->conversations = letter == 't';
        break;
    case 'b':
        options->brief = true;
        break;
    default:
        fputs(usage, letter == 'h' ? stdout : stderr);
        exit(letter == 'h' ? 0 : 2);
    }
}

int main(int argc, char **argv)
{
    struct mk_options options = {.folders = 24,
                                 .attachments_percent = 2,
                                 .max_attachment_bytes = 100000000,
                                 .conversations = true};
    for (int letter; (letter = getopt_long(argc, argv, "", option_table, NULL)) != -1;)
        option_set(&options, letter, optarg);
    if (!options.count || !options.out || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    struct mk_corpus *corpus = mk_corpus_new(&options);
    struct mk_writer *writer = mk_writer_new(&options, corpus);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < options.count; i++) {
        const struct mk_message *message = mk_corpus_next(corpus);
        bytes += message->raw.len;
        mk_writer_put(writer, message);
    }
    mk_writer_close(writer);
    mk_corpus_free(corpus);
    printf("{\"messages\": %llu, \"bytes\": %llu}\n", (unsigned long long)options.count,
           (unsigned long long)bytes);
    return 0;
}
