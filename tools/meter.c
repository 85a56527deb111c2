/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Progress on stderr: a line that is overwritten on a terminal, a new line every 5 s elsewhere. */
#include "tool.h"

#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define TTY_NS 200000000LL
#define LINES_NS 5000000000LL

static void done_words(uint64_t done, uint64_t total, int64_t elapsed_ns, char *text, size_t size)
{
    char count[32], of[32], rate[32];
    double sec = (double)elapsed_ns / 1e9;

    emlfs_text_count(done, count);
    emlfs_text_count(total, of);
    emlfs_text_count((uint64_t)(sec > 0 ? (double)done / sec : 0), rate);
    if (total)
        (void)snprintf(text, size, "%s of %s, %s/s", count, of, rate);
    else
        (void)snprintf(text, size, "%s, %s/s", count, rate);
}

static void meter_show(struct meter *meter, const char *phase, uint64_t done, uint64_t total,
                       int64_t now)
{
    char words[160], percent[16] = "";

    if (meter->words)
        meter->words(meter->words_arg, words, sizeof(words));
    else
        done_words(done, total, now - meter->start_ns, words, sizeof(words));
    if (total)
        (void)snprintf(percent, sizeof(percent), " %3u %%",
                       (unsigned)(done >= total ? 100 : (double)done * 100 / (double)total));
    if (meter->tty)
        (void)fprintf(stderr, "\r\033[K%.40s%s  %s", phase, percent, words);
    else
        (void)fprintf(stderr, "%.40s%s  %s\n", phase, percent, words);
    meter->shown = true;
}

static void meter_step(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct meter *meter = arg;
    int64_t now = emlfs_os_monotonic_ns();

    pthread_mutex_lock(&meter->lock);
    if (now - meter->last_ns >= (meter->tty ? TTY_NS : LINES_NS)) {
        meter->last_ns = now;
        meter_show(meter, phase, done, total, now);
    }
    pthread_mutex_unlock(&meter->lock);
}

void meter_begin(struct meter *meter, bool quiet, const atomic_bool *cancel)
{
    int64_t now = emlfs_os_monotonic_ns();

    *meter =
        (struct meter){.off = quiet, .tty = isatty(STDERR_FILENO), .start_ns = now, .last_ns = now};
    pthread_mutex_init(&meter->lock, NULL);
    meter->progress =
        (struct emlfs_progress){.step = quiet ? NULL : meter_step, .arg = meter, .cancel = cancel};
}

void meter_end(struct meter *meter)
{
    pthread_mutex_lock(&meter->lock);
    if (meter->tty && meter->shown)
        (void)fprintf(stderr, "\r\033[K");
    meter->shown = false;
    pthread_mutex_unlock(&meter->lock);
}
