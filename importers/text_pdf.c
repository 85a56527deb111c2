/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of PDF files, by poppler. The library and the forty that it needs are loaded by the text
 * worker when it starts, before it is confined, and by nothing else: other commands do not pay for
 * them. Text needs no font of the system; the library's map of legacy Asian encodings cannot be
 * opened under confinement, so that such a font's text is lost where the file has no map itself.
 */
#include <dlfcn.h>
#include <pthread.h>

#include <poppler.h>

#include "text.h"

#define LIBRARY "libpoppler-glib.so.8"

#define CALLS(call)                                                                                \
    call(poppler_document_new_from_bytes) call(poppler_document_get_n_pages)                       \
        call(poppler_document_get_page) call(poppler_document_get_title)                           \
            call(poppler_document_get_author) call(poppler_document_get_subject)                   \
                call(poppler_document_get_keywords) call(poppler_page_get_text)                    \
                    call(poppler_error_quark)
#define CALL_MEMBER(name) __typeof__(name) *name;
#define CALL_LOAD(name)                                                                            \
    *(void **)&pdf->name = dlsym(library, #name);                                                  \
    good = good && pdf->name;

struct pdf_library {
    bool there;
    CALLS(CALL_MEMBER)
};

static void library_load(struct pdf_library *pdf)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool good = library != NULL;
    if (good) {
        CALLS(CALL_LOAD)
    }
    pdf->there = good;
}

/* Written once, by whoever comes first; read only from then on. */
static const struct pdf_library *library_of(void)
{
    static struct pdf_library pdf;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool tried;
    pthread_mutex_lock(&lock);
    if (!tried)
        library_load(&pdf);
    tried = true;
    pthread_mutex_unlock(&lock);
    return pdf.there ? &pdf : NULL;
}

static int text_take(struct emlfs_buf *out, char *text)
{
    int rc = 0;
    if (text) {
        rc = emlfs_buf_append(out, text, strlen(text));
        if (rc == 0)
            rc = emlfs_buf_append_u8(out, '\n');
        g_free(text);
    }
    return rc;
}

static const char *pages_read(struct text_run *run, const struct pdf_library *pdf,
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
        rc = text_take(out, pdf->poppler_page_get_text(page));
        g_object_unref(page);
    }
    return text_reason(rc);
}

static const char *document_read(struct text_run *run, const struct pdf_library *pdf,
                                 PopplerDocument *document, struct emlfs_buf *out)
{
    int rc = text_take(out, pdf->poppler_document_get_title(document));
    if (rc == 0)
        rc = text_take(out, pdf->poppler_document_get_subject(document));
    if (rc == 0)
        rc = text_take(out, pdf->poppler_document_get_author(document));
    if (rc == 0)
        rc = text_take(out, pdf->poppler_document_get_keywords(document));
    return rc < 0 ? text_reason(rc) : pages_read(run, pdf, document, out);
}

const char *text_pdf(struct text_run *run, struct emlfs_span bytes, struct emlfs_buf *out)
{
    const struct pdf_library *pdf = library_of();
    GError *error = NULL;
    if (pdf == NULL)
        return "no PDF reader is installed";
    GBytes *data = g_bytes_new_static(bytes.data, bytes.len);
    PopplerDocument *document = pdf->poppler_document_new_from_bytes(data, NULL, &error);
    const char *reason = "damaged PDF";
    if (document) {
        reason = document_read(run, pdf, document, out);
        g_object_unref(document);
    } else if (error && error->domain == pdf->poppler_error_quark() &&
               error->code == POPPLER_ERROR_ENCRYPTED) {
        reason = TEXT_BAD_ENCRYPTED;
    }
    g_clear_error(&error);
    g_bytes_unref(data);
    return reason;
}

bool text_pdf_load(void)
{
    return library_of() != NULL;
}
