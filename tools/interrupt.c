/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool.h"

#include <signal.h>

/* A signal handler reaches nothing but a file's own variable: the one exception to no globals. */
static atomic_bool interrupted;

static void interrupt_note(int signal_number)
{
    (void)signal_number; /* SA_RESETHAND: the next one ends the process */
    atomic_store(&interrupted, true);
}

const atomic_bool *interrupt_watch(void)
{
    struct sigaction action = {.sa_handler = interrupt_note, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}
