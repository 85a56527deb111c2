/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "control_internal.h"

#include "emlfs/text.h"

#define WAIT_BYTES (1u << 20)
#define OUTBOX_MAX_BYTES (64u << 20)

/* Send one batch; called without the lock. */
static int batch_send(struct outbox *box, struct emlfs_buf *batch)
{
    int r = emlfs_wire_send_all(box->fd, emlfs_buf_view(batch));

    emlfs_buf_wipe(batch);
    return r;
}

static void *outbox_main(void *arg)
{
    struct outbox *box = arg;

    pthread_mutex_lock(&box->lock);
    while (!box->closing || box->waiting.len > 0) {
        if (box->waiting.len == 0) {
            pthread_cond_wait(&box->changed, &box->lock);
            continue;
        }

        struct emlfs_buf batch = box->waiting;

        box->waiting = EMLFS_BUF_INIT(OUTBOX_MAX_BYTES);
        box->sending_bytes = batch.len;
        pthread_mutex_unlock(&box->lock);
        int r = batch_send(box, &batch);

        pthread_mutex_lock(&box->lock);
        box->sending_bytes = 0;
        if (r < 0) {
            box->dead = true;
            emlfs_buf_wipe(&box->waiting);
            atomic_store(box->cancel, true);
        }
        pthread_cond_broadcast(&box->changed);
    }
    pthread_mutex_unlock(&box->lock);
    return NULL;
}

int outbox_start(struct outbox *box, int fd, atomic_bool *cancel)
{
    *box = (struct outbox){.fd = fd, .waiting = EMLFS_BUF_INIT(OUTBOX_MAX_BYTES), .cancel = cancel};
    pthread_mutex_init(&box->lock, NULL);
    pthread_cond_init(&box->changed, NULL);

    int r = pthread_create(&box->thread, NULL, outbox_main, box);

    if (r != 0) {
        pthread_cond_destroy(&box->changed);
        pthread_mutex_destroy(&box->lock);
    }
    return -r;
}

static size_t outbox_load(const struct outbox *box)
{
    return box->waiting.len + box->sending_bytes;
}

int outbox_put(struct outbox *box, enum outbox_mode mode, uint8_t type, struct emlfs_span payload)
{
    int r = 0;

    pthread_mutex_lock(&box->lock);
    while (mode == OUTBOX_WAIT && !box->dead && outbox_load(box) > WAIT_BYTES)
        pthread_cond_wait(&box->changed, &box->lock);
    if (box->dead)
        r = -EPIPE;
    else if (mode != OUTBOX_MAYBE || outbox_load(box) == 0)
        r = emlfs_frame_append(&box->waiting, type, payload);
    if (r == -E2BIG && mode == OUTBOX_NOW) {
        /* A client that reads nothing any more: it is given up, the archive goes on. */
        box->dead = true;
        atomic_store(box->cancel, true);
    }
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
    return r;
}

int outbox_put_json(struct outbox *box, enum outbox_mode mode, uint8_t type,
                    struct json_object *object)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_FRAME_MAX_BYTES);
    int r = object ? emlfs_text_json(object, &text) : -ENOMEM;

    return r < 0 ? r : outbox_put(box, mode, type, emlfs_buf_view(&text));
}

void outbox_settle(struct outbox *box)
{
    pthread_mutex_lock(&box->lock);
    while (!box->dead && outbox_load(box) > WAIT_BYTES)
        pthread_cond_wait(&box->changed, &box->lock);
    pthread_mutex_unlock(&box->lock);
}

void outbox_stop(struct outbox *box)
{
    pthread_mutex_lock(&box->lock);
    box->closing = true;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
    pthread_join(box->thread, NULL);
    emlfs_buf_wipe(&box->waiting);
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->lock);
}
