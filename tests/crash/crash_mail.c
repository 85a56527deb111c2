/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "crash_mail.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* splitmix64 */
static uint64_t mail_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static int mail_printf(struct emlfs_buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int mail_printf(struct emlfs_buf *out, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return emlfs_buf_append(out, text, (size_t)len);
}

static int mail_words(struct emlfs_buf *out, uint64_t seed, unsigned lines)
{
    static const char *const words[] = {"archive", "mount",  "ledger", "folder", "report",
                                        "meeting", "figure", "answer", "window", "silver"};
    int rc = 0;
    for (unsigned i = 0; i < lines && rc == 0; i++) {
        for (unsigned j = 0; j < 8 && rc == 0; j++) {
            uint64_t value = mail_random(&seed);
            rc = mail_printf(out, "%s%" PRIx64 " ", words[value % 10], value >> 48);
        }
        rc = rc ? rc : mail_printf(out, "\n");
    }
    return rc;
}

static int mail_attachment(struct emlfs_buf *out, uint64_t seed)
{
    char line[77];
    int rc = 0;
    for (unsigned i = 0; i < 150 && rc == 0; i++) {
        for (unsigned j = 0; j < 76; j++)
            line[j] = base64_digits[mail_random(&seed) % 64];
        line[76] = '\n';
        rc = emlfs_buf_append(out, line, sizeof(line));
    }
    return rc;
}

int crash_mail(uint64_t number, struct emlfs_buf *out)
{
    uint64_t seed = number % 16 == 15 ? number - 1 : number;
    bool attachment = seed % 5 == 4;
    int rc = mail_printf(out,
                         "From: Sender %" PRIu64 " <s%" PRIu64 "@sample.example>\n"
                         "To: crash@sample.example\nSubject: Message %" PRIu64 "\n"
                         "Message-ID: <%" PRIu64 "@sample.example>\n",
                         seed % 7, seed % 7, seed, seed);
    if (rc == 0 && attachment)
        rc = mail_printf(out, "MIME-Version: 1.0\n"
                              "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\n");
    else if (rc == 0)
        rc = mail_printf(out, "\n");
    if (rc == 0)
        rc = mail_words(out, seed, seed % 11 == 10 ? 400 : 6);
    if (rc == 0 && attachment) {
        rc = mail_printf(out, "--b\nContent-Type: application/octet-stream\n"
                              "Content-Transfer-Encoding: base64\n\n");
        rc = rc ? rc : mail_attachment(out, 1000 + seed % 4);
        rc = rc ? rc : mail_printf(out, "--b--\n");
    }
    return rc;
}
