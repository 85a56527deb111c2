/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker's own side. It starts with its descriptors and no secret, locks itself in before it
 * reads a byte, and then answers requests until its input ends.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/importer.h"
#include "facts.h"
#include "worker.h"

#if defined(EMLFS_LEAK_CHECK)
#include <sanitizer/lsan_interface.h>
#endif

/* 1: read, 0: end of input before the first byte, -errno. */
static int request_read(struct worker_request *request, struct emlfs_buf *message)
{
    ssize_t got = emlfs_os_read_full(STDIN_FILENO, request, sizeof *request);
    if (got <= 0)
        return (int)got;
    if (got != sizeof *request || request->magic != WORKER_MAGIC ||
        request->seen_bytes > FACTS_SEEN_MAX_BYTES || request->total_bytes < request->seen_bytes)
        return -EINVAL;
    emlfs_buf_clear(message);
    int rc = emlfs_buf_reserve(message, request->seen_bytes);
    if (rc < 0)
        return rc;
    got = emlfs_os_read_full(STDIN_FILENO, message->data, request->seen_bytes);
    if (got < 0)
        return (int)got;
    message->len = (size_t)got;
    return message->len == request->seen_bytes ? 1 : -EINVAL;
}

/* In one piece, so that the parent wakes once. */
static int answer_write(const struct emlfs_buf *facts, struct emlfs_buf *out)
{
    struct worker_answer answer = {.bytes = (uint32_t)facts->len, .magic = WORKER_MAGIC};
    emlfs_buf_clear(out);
    int rc = emlfs_buf_append(out, &answer, sizeof answer);
    if (rc == 0)
        rc = emlfs_buf_append(out, facts->data, facts->len);
    return rc == 0 ? emlfs_os_write_all(STDOUT_FILENO, out->data, out->len) : rc;
}

static int requests_serve(struct emlfs_buf *message, struct emlfs_buf *facts)
{
    struct emlfs_buf out EMLFS_BUF_CLEANUP =
        EMLFS_BUF_INIT(sizeof(struct worker_answer) + EMLFS_FACTS_MAX_BYTES);
    struct worker_request request;
    int rc;
    while ((rc = request_read(&request, message)) > 0) {
        emlfs_buf_clear(facts);
        const struct facts_source source = {.seen = emlfs_buf_view(message),
                                            .total_bytes = request.total_bytes};
        rc = facts_parse(&source, facts);
        if (rc == 0)
            rc = answer_write(facts, &out);
        if (rc < 0)
            break;
    }
    return rc;
}

/* Lock this process in and say so, or that it cannot work; loaded: what preloading returned. */
static int confine_and_greet(int loaded)
{
    const char *limit = getenv(WORKER_MEMORY_ENV);
    uint64_t memory_mib = limit ? strtoul(limit, NULL, 10) : 0;
    int rc = worker_confine(memory_mib << 20);
    struct worker_hello hello = {.magic = loaded == 0 ? WORKER_MAGIC : WORKER_LACKS,
                                 .memory_mib = (uint32_t)memory_mib};
    if (rc == 0)
        rc = emlfs_os_write_all(STDOUT_FILENO, &hello, sizeof hello);
    return rc == 0 ? loaded : rc;
}

static int facts_main(void)
{
    struct emlfs_buf message = EMLFS_BUF_INIT(FACTS_SEEN_MAX_BYTES);
    struct emlfs_buf facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    int rc = confine_and_greet(worker_preload());
    if (rc == 0)
        rc = requests_serve(&message, &facts);
    emlfs_buf_free(&message);
    emlfs_buf_free(&facts);
    return rc;
}

static int text_main(void)
{
    struct text_charsets *charsets = text_charsets_new();
    void *page = mmap(NULL, WORKER_PROGRESS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                      WORKER_PROGRESS_FD, 0);
    int rc = charsets == NULL || page == MAP_FAILED ? -ENOMEM : 0;
    if (rc == 0) {
        close(WORKER_PROGRESS_FD);
        rc = worker_preload();
        if (rc == 0)
            rc = worker_preload_text(charsets);
        rc = confine_and_greet(rc);
    }
    if (rc == 0)
        rc = worker_serve_text(charsets, page);
    text_charsets_free(charsets);
    return rc;
}

int emlfs_worker_main(void)
{
    const char *kind = getenv(WORKER_KIND_ENV);
#if defined(EMLFS_LEAK_CHECK)
    __lsan_do_leak_check(); /* at exit it would need ptrace; once done it is not repeated */
#endif
    int rc = kind && strcmp(kind, "text") == 0 ? text_main() : facts_main();
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
