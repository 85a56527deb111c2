/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Passwords and keys: from a file or the terminal into the arguments, and nowhere else. */
#include "tool.h"

#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "emlfs/base/crypto.h"
#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define KEY_INTERRUPT 0x03 /* Ctrl-C, Ctrl-D, Ctrl-U and the two of backspace */
#define KEY_END 0x04
#define KEY_CLEAR 0x15
#define KEY_BACK 0x08
#define KEY_DELETE 0x7f

int secret_read(const char *file, struct emlfs_buf *ret)
{
    if (strcmp(file, "-") != 0)
        return emlfs_os_read_file(file, ret);

    int r = emlfs_buf_reserve(ret, ret->max_bytes);
    ssize_t n = r < 0 ? r : emlfs_os_read_full(STDIN_FILENO, ret->data, ret->max_bytes);

    if (n >= 0)
        ret->len = (size_t)n;
    return n < 0 ? (int)n : 0;
}

/* ---- a line of a file */

/* Byte by byte: what follows on standard input is the next secret's. */
static int line_read(int fd, struct emlfs_buf *ret)
{
    for (;;) {
        uint8_t byte;
        ssize_t n = emlfs_os_read_full(fd, &byte, 1);

        if (n < 0)
            return (int)n;
        if (n == 0 || byte == '\n')
            break;

        int r = emlfs_buf_append_u8(ret, byte);

        if (r < 0)
            return r;
    }
    if (ret->len > 0 && ret->data[ret->len - 1] == '\r')
        ret->len--;
    return 0;
}

static int file_line(const char *file, struct emlfs_buf *ret, struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int opened = -1;
    int fd = STDIN_FILENO, r;

    if (strcmp(file, "-") != 0) {
        fd = opened = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return emlfs_err_sys(err, errno, "client", "%s", file);
    }
    r = line_read(fd, ret);
    return r < 0 ? emlfs_err_sys(err, -r, "client", "%s", file) : 0;
}

/* ---- the terminal */

/* 1: the line is complete. */
static int key_take(uint8_t key, struct emlfs_buf *ret)
{
    switch (key) {
    case '\r':
    case '\n':
    case KEY_END:
        return 1;
    case KEY_INTERRUPT:
        return -ECANCELED;
    case KEY_CLEAR:
        ret->len = 0;
        return 0;
    case KEY_BACK:
    case KEY_DELETE:
        while (ret->len > 0 && (ret->data[--ret->len] & 0xc0) == 0x80)
            continue;
        return 0;
    default:
        return emlfs_buf_append_u8(ret, key);
    }
}

static int keys_read(int tty, const char *what, struct emlfs_buf *ret)
{
    int r = dprintf(tty, "%s: ", what) < 0 ? -errno : 0;

    while (r == 0) {
        uint8_t key;
        ssize_t n = emlfs_os_read_full(tty, &key, 1);

        r = n <= 0 ? (n < 0 ? (int)n : 1) : key_take(key, ret);
    }
    return r < 0 ? r : 0;
}

/*
 * Keys arrive one by one and as they are, so that nothing can end the program without echo. The
 * question comes behind that: what is typed as soon as it is seen counts, and is not shown.
 */
static int keys_quietly(int tty, const char *what, struct emlfs_buf *ret)
{
    struct termios before, quiet;
    sigset_t blocked, old;
    int r;

    if (tcgetattr(tty, &before) < 0)
        return -errno;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    r = tcsetattr(tty, TCSAFLUSH, &quiet) < 0 ? -errno : keys_read(tty, what, ret);
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return r;
}

static int tty_ask(int tty, const char *what, struct emlfs_buf *ret, struct emlfs_err *err)
{
    int r = keys_quietly(tty, what, ret);

    if (dprintf(tty, "\n") < 0 && r == 0)
        r = -errno;
    if (r == -ECANCELED)
        return emlfs_err_set(err, ECANCELED, "client", "interrupted");
    return r < 0 ? emlfs_err_sys(err, -r, "client", "asking on the terminal") : 0;
}

static int tty_again(int tty, const struct emlfs_buf *first, struct emlfs_err *err)
{
    struct emlfs_buf again = EMLFS_BUF_INIT(SECRET_FILE_MAX_BYTES);
    int r = emlfs_buf_reserve(&again, SECRET_FILE_MAX_BYTES);

    r = r < 0 ? emlfs_err_sys(err, -r, "client", "asking on the terminal")
              : tty_ask(tty, "Once more", &again, err);
    if (r == 0 && !emlfs_span_equal(emlfs_buf_view(first), emlfs_buf_view(&again)))
        r = emlfs_err_set(err, EINVAL, "client", "the two are not the same");
    emlfs_buf_wipe(&again);
    return r;
}

static int terminal_line(const struct emlfs_arg *secret, struct emlfs_buf *ret,
                         struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (tty < 0)
        return emlfs_err_set(err, EINVAL, "client",
                             "there is no terminal to ask on: give --%s-file FILE, or - for "
                             "standard input",
                             secret->name);

    int r = tty_ask(tty, secret->help, ret, err);

    return r == 0 && (secret->flags & EMLFS_ARG_TWICE) ? tty_again(tty, ret, err) : r;
}

/* ---- into the arguments */

static int secret_store(const struct emlfs_cli *cli, const struct emlfs_arg *secret,
                        const struct emlfs_buf *line, struct emlfs_err *err)
{
    struct json_object *value = emlfs_text_string(emlfs_buf_view(line));
    const char *text = value ? json_object_get_string(value) : "";

    if (!value)
        return emlfs_err_set(err, ENOMEM, "client", "out of memory");
    /* What is not UTF-8 would come out as something else at the far end. */
    if (strlen(text) != line->len ||
        memcmp(text, line->data ? line->data : (const void *)"", line->len) != 0) {
        emlfs_wipe((char *)json_object_get_string(value),
                   (size_t)json_object_get_string_len(value));
        json_object_put(value);
        return emlfs_err_set(err, EINVAL, "client", "the %s is not UTF-8 text", secret->name);
    }
    if (json_object_object_add(cli->args, secret->name, value) < 0) {
        json_object_put(value);
        return emlfs_err_set(err, ENOMEM, "client", "out of memory");
    }
    return 0;
}

static int secret_fill(const struct emlfs_cli *cli, const struct emlfs_arg *secret,
                       struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf option = EMLFS_BUF_INIT(64);
    struct emlfs_buf line = EMLFS_BUF_INIT(SECRET_FILE_MAX_BYTES);
    const char *file;
    int r = emlfs_text_printf(&option, "%s-file%c", secret->name, '\0');

    if (r == 0)
        r = emlfs_buf_reserve(&line, SECRET_FILE_MAX_BYTES);
    if (r < 0)
        return emlfs_err_sys(err, -r, "client", "%s", secret->name);
    file = emlfs_args_text(cli->args, (const char *)option.data);
    if (file)
        r = file_line(file, &line, err);
    else if (emlfs_args_secret_wanted(cli->command, secret, cli->args))
        r = terminal_line(secret, &line, err);
    if (r == 0 && (file || line.len > 0))
        r = secret_store(cli, secret, &line, err);
    json_object_object_del(cli->args, (const char *)option.data);
    emlfs_buf_wipe(&line);
    return r;
}

int secrets_fill(const struct emlfs_cli *cli, struct emlfs_err *err)
{
    int r = 0;

    for (const struct emlfs_arg *arg = cli->command->args; r == 0 && arg->name; arg++)
        if (arg->flags & EMLFS_ARG_SECRET)
            r = secret_fill(cli, arg, err);
    return r;
}
