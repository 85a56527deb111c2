/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One running import: paths, globs, progress, cancelling, and the hand-over to the sink. */
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "source.h"

#define STACK_MAX_BYTES (64u << 10)
#define REASON_BYTES 160u

static int stack_set(struct emlfs_buf *stack, const char *text)
{
    int r = emlfs_buf_append(stack, text, strlen(text) + 1);
    if (r == 0)
        stack->len--;
    return r;
}

int emlfs_import_begin(struct emlfs_import *im, const char *path,
                       const struct emlfs_import_options *options, const struct emlfs_sink *sink,
                       struct emlfs_err *err)
{
    *im = (struct emlfs_import){.options = options, .sink = sink, .err = err, .noatime = true};
    if (options && options->ret_partial)
        *options->ret_partial = false;
    im->path.max_bytes = STACK_MAX_BYTES;
    im->folder.max_bytes = STACK_MAX_BYTES;
    im->raw.max_bytes = EMLFS_MESSAGE_MAX_BYTES + 1; /* one more, to see the end of the file */
    int r = stack_set(&im->path, path);
    if (r == 0)
        r = stack_set(&im->folder, "");
    if (r < 0)
        return emlfs_err_set(err, -r, "import", "the path is too long");
    while (im->path.len > 1 && im->path.data[im->path.len - 1] == '/')
        im->path.data[--im->path.len] = 0;
    im->root_len = im->path.len;
    return 0;
}

int emlfs_import_end(struct emlfs_import *im, int r)
{
    if (r < 0)
        emlfs_import_partial(im);
    emlfs_buf_free(&im->path);
    emlfs_buf_free(&im->folder);
    emlfs_buf_free(&im->raw);
    return r;
}

void emlfs_import_partial(struct emlfs_import *im)
{
    if (im->options && im->options->ret_partial)
        *im->options->ret_partial = true;
}

int emlfs_import_push(struct emlfs_buf *stack, const char *component, size_t *ret_old)
{
    *ret_old = stack->len;
    bool slash = stack->len && stack->data[stack->len - 1] != '/';
    size_t len = strlen(component);
    int r = emlfs_buf_reserve(stack, len + 2);
    if (r < 0)
        return r;
    if (slash)
        stack->data[stack->len++] = '/';
    memcpy(stack->data + stack->len, component, len + 1);
    stack->len += len;
    return 0;
}

void emlfs_import_pop(struct emlfs_buf *stack, size_t old)
{
    stack->len = old;
    stack->data[old] = 0;
}

/* Not UTF-8: every byte becomes the Latin-1 character of its value, so that nothing is lost. */
static int append_latin1(struct emlfs_buf *out, const char *text)
{
    int r = 0;
    for (; *text && r == 0; text++) {
        uint8_t c = (uint8_t)*text;
        if (c < 0x80) {
            r = emlfs_buf_append_u8(out, c);
        } else {
            uint8_t pair[2] = {(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 0x3F))};
            r = emlfs_buf_append(out, pair, 2);
        }
    }
    return r;
}

/* Names that would mean a place, or nothing, become underscores. */
static int component_make(const char *text, struct emlfs_buf *out)
{
    if (!*text)
        return emlfs_buf_append(out, "_", 2);
    int r = emlfs_utf8_valid(emlfs_span_str(text)) ? emlfs_buf_append(out, text, strlen(text))
                                                   : append_latin1(out, text);
    if (r < 0)
        return r;
    bool dots = (out->len == 1 || out->len == 2) && strspn(text, ".") == out->len;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '/' || dots)
            out->data[i] = '_';
    return emlfs_buf_append_u8(out, 0);
}

int emlfs_import_push_folder(struct emlfs_import *im, const char *text, size_t *ret_old)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf name = EMLFS_BUF_INIT(4096);
    int r = component_make(text, &name);
    return r < 0 ? r : emlfs_import_push(&im->folder, (const char *)name.data, ret_old);
}

const char *emlfs_import_relative(const struct emlfs_import *im)
{
    const char *path = emlfs_import_position(im);
    if (im->path.len > im->root_len) {
        const char *rest = path + im->root_len;
        return *rest == '/' ? rest + 1 : rest;
    }
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* fnmatch without FNM_PATHNAME: '*' crosses '/'. A glob without '/' may match the last name alone.
 */
static bool globs_match(const char *const *globs, const char *relative)
{
    const char *slash = strrchr(relative, '/');
    const char *base = slash ? slash + 1 : relative;
    for (; *globs; globs++) {
        if (fnmatch(*globs, relative, 0) == 0)
            return true;
        if (!strchr(*globs, '/') && fnmatch(*globs, base, 0) == 0)
            return true;
    }
    return false;
}

bool emlfs_import_excluded(const struct emlfs_import *im)
{
    return im->options && im->options->exclude &&
           globs_match(im->options->exclude, emlfs_import_relative(im));
}

bool emlfs_import_included(const struct emlfs_import *im)
{
    return !im->options || !im->options->include || !im->options->include[0] ||
           globs_match(im->options->include, emlfs_import_relative(im));
}

int emlfs_import_check(struct emlfs_import *im)
{
    if (!im->options || !emlfs_progress_cancelled(im->options->progress))
        return 0;
    return emlfs_err_set(im->err, ECANCELED, "import", "the import was cancelled");
}

void emlfs_import_progress(struct emlfs_import *im, uint64_t bytes)
{
    im->done_bytes += bytes;
    if (im->total_bytes && im->done_bytes > im->total_bytes)
        im->total_bytes = im->done_bytes; /* something grew since it was measured */
    if (im->options)
        emlfs_progress_step(im->options->progress, "import", im->done_bytes, im->total_bytes);
}

int emlfs_import_note(struct emlfs_import *im, const char *text)
{
    if (!im->sink->note)
        return 0;
    return im->sink->note(im->sink->arg, emlfs_import_position(im), text, im->err);
}

int emlfs_import_reject(struct emlfs_import *im, const char *reason)
{
    return im->sink->reject(im->sink->arg, emlfs_import_position(im), reason, im->err);
}

int emlfs_import_note_unread(struct emlfs_import *im, const char *text)
{
    emlfs_import_partial(im);
    return emlfs_import_note(im, text);
}

int emlfs_import_reject_changed(struct emlfs_import *im)
{
    emlfs_import_partial(im);
    return emlfs_import_reject(im, "changed while it was read: import it again");
}

int emlfs_import_reject_unread(struct emlfs_import *im, const char *what, int code)
{
    char reason[REASON_BYTES];
    struct emlfs_err err;
    emlfs_err_sys(&err, code, "import", "%s", what);
    snprintf(reason, sizeof(reason), "%.150s", err.text);
    emlfs_import_partial(im);
    return emlfs_import_reject(im, reason);
}

int emlfs_import_enter_folder(struct emlfs_import *im)
{
    bool filtered = im->options && im->options->include && im->options->include[0];
    if (!im->sink->folder || filtered || im->folder.len == 0)
        return 0;
    return im->sink->folder(im->sink->arg, emlfs_import_folder(im), im->err);
}

/* The start of what was not mail, printable, so that a person sees what it is. */
static void no_header_reason(struct emlfs_span raw, char *reason, size_t size)
{
    if (raw.len == 0) {
        snprintf(reason, size, "empty file");
        return;
    }
    char shown[33];
    size_t n = 0;
    while (n < sizeof(shown) - 1 && n < raw.len && raw.data[n] != '\n' && raw.data[n] != '\r') {
        shown[n] = (char)(raw.data[n] >= 32 && raw.data[n] < 127 ? raw.data[n] : '?');
        n++;
    }
    shown[n] = 0;
    snprintf(reason, size, "no header field: begins \"%s\"", shown);
}

int emlfs_import_deliver(struct emlfs_import *im, const char *position, uint32_t flags,
                         int64_t time_sec)
{
    size_t skip = 0;
    if (!position)
        position = emlfs_import_position(im);
    if (!emlfs_looks_like_message(emlfs_buf_view(&im->raw), &skip)) {
        char reason[REASON_BYTES];
        no_header_reason(emlfs_buf_view(&im->raw), reason, sizeof(reason));
        return im->sink->reject(im->sink->arg, position, reason, im->err);
    }
    if (skip) {
        memmove(im->raw.data, im->raw.data + skip, im->raw.len - skip);
        im->raw.len -= skip;
    }
    struct emlfs_source_message message = {.folder = emlfs_import_folder(im),
                                           .position = position,
                                           .raw = &im->raw,
                                           .flags = flags,
                                           .file_time_sec = time_sec};
    int r = im->sink->message(im->sink->arg, &message, im->err);
    emlfs_buf_clear(&im->raw);
    return r;
}

void emlfs_import_base_name(const char *path, char *ret_name, size_t size)
{
    char *real = realpath(path, NULL);
    const char *from = real ? real : path;
    const char *slash = strrchr(from, '/');
    const char *name = slash && slash[1] ? slash + 1 : slash ? "" : from;
    EMLFS_BUF_CLEANUP struct emlfs_buf component = EMLFS_BUF_INIT(4096);
    int r = *name ? component_make(name, &component) : -EINVAL;
    snprintf(ret_name, size, "%s", r == 0 ? (const char *)component.data : "Mail");
    free(real);
}

int emlfs_import_source(struct emlfs_import *im, const char *path,
                        const struct emlfs_import_kind *kind, struct emlfs_err *err)
{
    struct emlfs_import_dir dir;
    struct stat st;
    int fd, r = emlfs_import_dir_open(im, AT_FDCWD, path, true, &dir);
    if (r == 0) {
        r = kind->dir(im, &dir);
        emlfs_import_dir_close(&dir);
        return r;
    }
    fd = r == -ENOTDIR ? emlfs_import_open(im, AT_FDCWD, path, true, &st) : r;
    if (fd < 0)
        return emlfs_err_sys(err, -fd, "import", "cannot read %s", path);
    r = kind->file(im, fd, &st);
    close(fd);
    return r;
}
