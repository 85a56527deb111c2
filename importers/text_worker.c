/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text worker's requests, in the child: read, parse, answer. */
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/importer.h"
#include "worker.h"

#define KEPT_BYTES (4u << 20) /* of a buffer, from one message to the next */
#define READ_BYTES (256u << 10)
#define OUT_BYTES (48u << 10) /* of answers that go together, and how long they may wait */
#define OUT_WAIT_NS INT64_C(20000000)

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

/* Requests as they come, and answers that are yet to go. */
struct service {
    struct emlfs_buf in, out;
    size_t in_at;         /* what is before it was served */
    int64_t out_since_ns; /* when the first of out was ready */
};

static int out_flush(struct service *service)
{
    int rc = emlfs_os_write_all(STDOUT_FILENO, service->out.data, service->out.len);
    emlfs_buf_clear(&service->out);
    if (service->out.cap > KEPT_BYTES)
        emlfs_buf_free(&service->out);
    return rc;
}

/* What is left of in moves to its beginning. */
static void in_compact(struct service *service)
{
    struct emlfs_buf *in = &service->in;
    in->len -= service->in_at;
    if (in->len > 0)
        memmove(in->data, in->data + service->in_at, in->len);
    else if (in->cap > KEPT_BYTES)
        emlfs_buf_free(in);
    service->in_at = 0;
}

/*
 * Read until need bytes are there. Whoever waits for answers gets them before this process waits.
 * 1, 0: the input ended before the first of them, -errno.
 */
static int in_need(struct service *service, size_t need)
{
    struct emlfs_buf *in = &service->in;
    int rc = 0;
    if (in->len - service->in_at >= need)
        return 1;
    if (service->out.len > 0)
        rc = out_flush(service);
    in_compact(service);
    if (rc == 0)
        rc = emlfs_buf_reserve(in, (need > READ_BYTES ? need : READ_BYTES) - in->len);
    while (rc == 0 && in->len < need) {
        ssize_t got = read(STDIN_FILENO, in->data + in->len, in->cap - in->len);
        if (got == 0)
            return in->len == 0 ? 0 : -EINVAL;
        if (got < 0 && errno != EINTR)
            rc = -errno;
        in->len += got > 0 ? (size_t)got : 0;
    }
    return rc < 0 ? rc : 1;
}

/* 1: *ret_message is borrowed until the next call. 0: no more requests. */
static int request_read(struct service *service, struct worker_text_request *request,
                        struct emlfs_span *ret_message)
{
    int rc = in_need(service, sizeof *request);
    if (rc <= 0)
        return rc;
    memcpy(request, service->in.data + service->in_at, sizeof *request);
    if (request->magic != WORKER_MAGIC || request->bytes > EMLFS_MESSAGE_MAX_BYTES ||
        request->wish.omit_count > TEXT_OMIT_MAX)
        return -EINVAL;
    rc = in_need(service, sizeof *request + request->bytes);
    if (rc <= 0)
        return rc;
    *ret_message =
        emlfs_span_of(service->in.data + service->in_at + sizeof *request, request->bytes);
    service->in_at += sizeof *request + request->bytes;
    return 1;
}

/* So that the parent wakes once for many. */
static int answer_put(struct service *service, struct emlfs_span doc)
{
    struct worker_answer answer = {.bytes = (uint32_t)doc.len, .magic = WORKER_MAGIC};
    if (service->out.len == 0)
        service->out_since_ns = emlfs_os_monotonic_ns();
    int rc = emlfs_buf_append(&service->out, &answer, sizeof answer);
    if (rc == 0)
        rc = emlfs_buf_append(&service->out, doc.data, doc.len);
    return rc;
}

/* Is there enough, or has it waited long enough, before the next message is begun? */
static bool out_is_due(const struct service *service)
{
    return service->out.len >= OUT_BYTES ||
           (service->out.len > 0 && emlfs_os_monotonic_ns() - service->out_since_ns > OUT_WAIT_NS);
}

static int requests_serve(struct service *service, struct text_charsets *charsets,
                          volatile struct worker_progress *progress)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    struct worker_text_request request;
    struct emlfs_span message;
    int rc;
    while ((rc = request_read(service, &request, &message)) > 0) {
        progress->part = 0;
        progress->number = request.number;
        emlfs_buf_clear(&doc);
        rc = text_parse(charsets, &request.wish, message, &progress->part, &doc);
        if (rc == 0)
            rc = answer_put(service, emlfs_buf_view(&doc));
        if (rc == 0 && out_is_due(service))
            rc = out_flush(service);
        if (rc < 0)
            break;
        if (doc.cap > KEPT_BYTES)
            emlfs_buf_free(&doc);
    }
    return rc;
}

int worker_serve_text(struct text_charsets *charsets, volatile struct worker_progress *progress)
{
    struct service service = {
        .in = EMLFS_BUF_INIT(READ_BYTES + sizeof(struct worker_text_request) +
                             EMLFS_MESSAGE_MAX_BYTES),
        .out = EMLFS_BUF_INIT(OUT_BYTES + sizeof(struct worker_answer) + EMLFS_DOCTEXT_MAX_BYTES)};
    int rc = requests_serve(&service, charsets, progress);
    emlfs_buf_free(&service.in);
    emlfs_buf_free(&service.out);
    return rc;
}
