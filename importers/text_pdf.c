/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of PDF files, by poppler. Text needs no font of the system; the library's map of legacy
 * Asian encodings cannot be opened under confinement, so that such a font's text is lost where the
 * file has no map itself.
 */
#include <poppler.h>

#include "emlfs/base/library.h"
#include "text.h"

/* clang-format off */
#define PDF_CALLS(call) \
    call(poppler_document_new_from_bytes) call(poppler_document_get_n_pages) \
    call(poppler_document_get_page) call(poppler_document_get_title) \
    call(poppler_document_get_author) call(poppler_document_get_subject) \
    call(poppler_document_get_keywords) call(poppler_page_get_text) call(poppler_error_quark) \
    call(g_bytes_new_static) call(g_bytes_unref) call(g_clear_error) call(g_free) \
    call(g_object_unref)
/* clang-format on */

struct pdf_calls {
    PDF_CALLS(EMLFS_LIBRARY_MEMBER)
};

static const struct pdf_calls *pdf_load(void)
{
    static const char *const names[] = {PDF_CALLS(EMLFS_LIBRARY_NAME)};
    static struct pdf_calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_POPPLER, names, calls);
    return emlfs_library_load(&library, NULL) == 0 ? &calls : NULL;
}

static int text_take(const struct pdf_calls *pdf, struct emlfs_buf *out, char *text)
{
    int rc = 0;
    if (text) {
        rc = emlfs_buf_append(out, text, strlen(text));
        if (rc == 0)
            rc = emlfs_buf_append_u8(out, '\n');
        (pdf->g_free)(text);
    }
    return rc;
}

static const char *pages_read(struct text_run *run, const struct pdf_calls *pdf,
                              PopplerDocument *document, struct emlfs_buf *out)
{
    int count = pdf->poppler_document_get_n_pages(document);
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        if (i == (int)TEXT_PDF_PAGES_MAX)
            return "more than 5000 pages";
        if (text_late(run))
            return TEXT_BAD_TIME;
        PopplerPage *page = pdf->poppler_document_get_page(document, i);
        if (page == NULL)
            continue;
        rc = text_take(pdf, out, pdf->poppler_page_get_text(page));
        (pdf->g_object_unref)(page);
    }
    return text_reason(rc);
}

static const char *document_read(struct text_run *run, const struct pdf_calls *pdf,
                                 PopplerDocument *document, struct emlfs_buf *out)
{
    int rc = text_take(pdf, out, pdf->poppler_document_get_title(document));
    if (rc == 0)
        rc = text_take(pdf, out, pdf->poppler_document_get_subject(document));
    if (rc == 0)
        rc = text_take(pdf, out, pdf->poppler_document_get_author(document));
    if (rc == 0)
        rc = text_take(pdf, out, pdf->poppler_document_get_keywords(document));
    return rc < 0 ? text_reason(rc) : pages_read(run, pdf, document, out);
}

const char *text_pdf(struct text_run *run, struct emlfs_span bytes, struct emlfs_buf *out)
{
    const struct pdf_calls *pdf = pdf_load();
    GError *error = NULL;
    if (pdf == NULL)
        return "no PDF reader is installed";
    GBytes *data = (pdf->g_bytes_new_static)(bytes.data, bytes.len);
    PopplerDocument *document = pdf->poppler_document_new_from_bytes(data, NULL, &error);
    const char *reason = "damaged PDF";
    if (document) {
        reason = document_read(run, pdf, document, out);
        (pdf->g_object_unref)(document);
    } else if (error && error->domain == pdf->poppler_error_quark() &&
               error->code == POPPLER_ERROR_ENCRYPTED) {
        reason = TEXT_BAD_ENCRYPTED;
    }
    (pdf->g_clear_error)(&error);
    (pdf->g_bytes_unref)(data);
    return reason;
}

bool text_pdf_load(void)
{
    return pdf_load() != NULL;
}
