/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The texts behind the directories of .query/: what a node id cannot hold.
 *
 * Q1  A text's node id is a hash of it and of its user: found again it is the same node, in every
 *     process. Of two texts with one hash the later is kept.
 * Q2  At most VIEW_QUERY_TEXTS texts are kept; the one that was not used for longest goes. Its node
 *     answers ESTALE, upon which the kernel looks the name up again.
 */
#include <stdlib.h>
#include <string.h>

#include "view_internal.h"

#define HASH_BITS 56u

int view_queries_init(struct view_queries *queries)
{
    queries->slots = calloc(VIEW_QUERY_TEXTS, sizeof(*queries->slots));
    if (!queries->slots)
        return -ENOMEM;
    queries->now = 0;
    pthread_mutex_init(&queries->lock, NULL);
    return 0;
}

void view_queries_free(struct view_queries *queries)
{
    if (!queries->slots)
        return;
    for (unsigned i = 0; i < VIEW_QUERY_TEXTS; i++)
        free(queries->slots[i].text);
    free(queries->slots);
    pthread_mutex_destroy(&queries->lock);
}

static int text_node(struct emlfs_user_id user, const char *text, emlfs_node *ret)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf data = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES + 8);
    struct emlfs_hash hash;
    uint64_t bits = 0;
    int rc;

    rc = emlfs_buf_append_u16le(&data, user.v);
    if (rc == 0)
        rc = emlfs_buf_append(&data, text, strlen(text));
    if (rc == 0)
        rc = emlfs_sha256(emlfs_buf_view(&data), &hash);
    for (unsigned i = 0; rc == 0 && i < HASH_BITS / 8; i++)
        bits = bits << 8 | hash.v[i];
    *ret = VIEW_TAG_QUERY | bits;
    return rc;
}

/* Under the lock. The slot of node, or the one that is to go for it. */
static struct view_query_slot *slot_for(struct view_queries *queries, emlfs_node node)
{
    struct view_query_slot *oldest = &queries->slots[0];

    for (unsigned i = 0; i < VIEW_QUERY_TEXTS; i++) {
        struct view_query_slot *slot = &queries->slots[i];

        if (slot->node == node)
            return slot;
        if (slot->used < oldest->used)
            oldest = slot;
    }
    return oldest;
}

int view_query_put(struct view_queries *queries, struct emlfs_user_id user, const char *text,
                   emlfs_node *ret)
{
    struct view_query_slot *slot;
    char *copy = strdup(text);
    int rc;

    rc = copy ? text_node(user, text, ret) : -ENOMEM;
    if (rc < 0) {
        free(copy);
        return rc;
    }
    pthread_mutex_lock(&queries->lock);
    slot = slot_for(queries, *ret);
    free(slot->text);
    *slot =
        (struct view_query_slot){.node = *ret, .user = user, .text = copy, .used = ++queries->now};
    pthread_mutex_unlock(&queries->lock);
    return 0;
}

int view_query_get(struct view_queries *queries, emlfs_node node, struct emlfs_user_id *ret_user,
                   char ret_text[VIEW_QUERY_NAME_MAX + 1])
{
    struct view_query_slot *slot;
    int rc = -ESTALE;

    pthread_mutex_lock(&queries->lock);
    slot = slot_for(queries, node);
    if (slot->node == node && slot->text) {
        slot->used = ++queries->now;
        *ret_user = slot->user;
        memcpy(ret_text, slot->text, strlen(slot->text) + 1);
        rc = 0;
    }
    pthread_mutex_unlock(&queries->lock);
    return rc;
}
