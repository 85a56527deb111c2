/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "turn.h"

#include <stddef.h>

void turn_init(struct turn *turn)
{
    pthread_mutex_init(&turn->lock, NULL);
    pthread_cond_init(&turn->cond, NULL);
    turn->next = turn->serving = 0;
    atomic_init(&turn->waiting, 0);
    turn->told = NULL;
    turn->arg = NULL;
}

void turn_destroy(struct turn *turn)
{
    pthread_mutex_destroy(&turn->lock);
    pthread_cond_destroy(&turn->cond);
}

void turn_take(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    uint64_t ticket = turn->next++;

    if (turn->serving != ticket) {
        atomic_fetch_add(&turn->waiting, 1);
        if (turn->told)
            turn->told(turn->arg);
        while (turn->serving != ticket)
            pthread_cond_wait(&turn->cond, &turn->lock);
        atomic_fetch_sub(&turn->waiting, 1);
    }
    pthread_mutex_unlock(&turn->lock);
}

void turn_hold(struct turn *turn, void (*told)(void *arg), void *arg)
{
    pthread_mutex_lock(&turn->lock);
    turn->told = told;
    turn->arg = arg;
    pthread_mutex_unlock(&turn->lock);
}

bool turn_try(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    bool mine = turn->serving == turn->next;

    if (mine)
        turn->next++;
    pthread_mutex_unlock(&turn->lock);
    return mine;
}

void turn_give(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    turn->told = NULL;
    turn->serving++;
    pthread_cond_broadcast(&turn->cond);
    pthread_mutex_unlock(&turn->lock);
}
