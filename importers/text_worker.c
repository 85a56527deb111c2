/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text worker's requests, in the child: read, parse, answer. */
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/importer.h"
#include "worker.h"

#define KEPT_BYTES (4u << 20) /* of a buffer, from one message to the next */

int worker_preload_text(struct text_charsets *charsets)
{
    /* One document through it all: what is loaded when it is first needed is there then. */
    static const char sample[] =
        "From: a@b\nSubject: =?koi8-r?q?=D0?=\nContent-Type: multipart/mixed; boundary=x\n\n"
        "--x\nContent-Type: text/html\n\n<p>&auml;&#228;\n"
        "--x\nContent-Type: application/pdf\n\n"
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F "
        "5 0 R>>>>>>endobj\n4 0 obj<</Length 27>>stream\nBT /F 9 Tf (text) Tj ET    \nendstream "
        "endobj\n5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        "trailer<</Root 1 0 R>>\n%%EOF\n--x--\n";
    const struct text_wish wish = {.kinds = EMLFS_KIND_ALL, .time_ms = TEXT_TIME_DEFAULT_MS};
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    uint32_t progress;
    if (!text_office_load() || !text_html_load() || !text_zip_load())
        return -ELIBACC;
    (void)text_pdf_load();
    (void)text_parse(charsets, &wish, emlfs_span_str(sample), &progress, &doc);
    return 0;
}

/* 1: read, 0: end of input before the first byte, -errno. */
static int request_read(struct worker_text_request *request, struct emlfs_buf *message)
{
    ssize_t got = emlfs_os_read_full(STDIN_FILENO, request, sizeof *request);
    if (got <= 0)
        return (int)got;
    if (got != sizeof *request || request->magic != WORKER_MAGIC ||
        request->bytes > EMLFS_MESSAGE_MAX_BYTES || request->wish.omit_count > TEXT_OMIT_MAX)
        return -EINVAL;
    if (message->cap > KEPT_BYTES)
        emlfs_buf_free(message);
    emlfs_buf_clear(message);
    int rc = emlfs_buf_reserve(message, request->bytes);
    if (rc < 0)
        return rc;
    got = emlfs_os_read_full(STDIN_FILENO, message->data, request->bytes);
    if (got < 0)
        return (int)got;
    message->len = (size_t)got;
    return message->len == request->bytes ? 1 : -EINVAL;
}

/* In one piece, so that the parent wakes once. */
static int answer_write(struct emlfs_buf *doc, struct emlfs_buf *out)
{
    struct worker_answer answer = {.bytes = (uint32_t)doc->len, .magic = WORKER_MAGIC};
    emlfs_buf_clear(out);
    int rc = emlfs_buf_append(out, &answer, sizeof answer);
    if (rc == 0)
        rc = emlfs_buf_append(out, doc->data, doc->len);
    return rc == 0 ? emlfs_os_write_all(STDOUT_FILENO, out->data, out->len) : rc;
}

int worker_serve_text(struct text_charsets *charsets, volatile uint32_t *progress)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(EMLFS_MESSAGE_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf out =
        EMLFS_BUF_INIT(sizeof(struct worker_answer) + EMLFS_DOCTEXT_MAX_BYTES);
    struct worker_text_request request;
    int rc;
    while ((rc = request_read(&request, &message)) > 0) {
        emlfs_buf_clear(&doc);
        rc = text_parse(charsets, &request.wish, emlfs_buf_view(&message), progress, &doc);
        if (rc == 0)
            rc = answer_write(&doc, &out);
        if (rc < 0)
            break;
        if (out.cap > KEPT_BYTES)
            emlfs_buf_free(&out);
        if (doc.cap > KEPT_BYTES)
            emlfs_buf_free(&doc);
    }
    return rc;
}
