/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Runs a fuzz target once over every file named, and every file of every directory named, so that a
 * corpus is a test where libFuzzer is not. A path that does not exist is an empty corpus.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int path_replay(const char *path, unsigned *count);

static int file_replay(const char *path, size_t size, unsigned *count)
{
    /* Of exactly the size, so that a sanitizer sees each read behind the end. */
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    int r = -1;
    if (data && file && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(data, size);
        (*count)++;
        r = 0;
    }
    if (r < 0)
        fprintf(stderr, "cannot read %s\n", path);
    if (file)
        fclose(file);
    free(data);
    return r;
}

static int dir_replay(const char *path, unsigned *count)
{
    struct dirent **entries;
    int total = scandir(path, &entries, NULL, alphasort);
    int r = total < 0 ? -1 : 0;
    for (int i = 0; i < total; i++) {
        char *inner = NULL;
        if (entries[i]->d_name[0] != '.' && r == 0 &&
            asprintf(&inner, "%s/%s", path, entries[i]->d_name) >= 0)
            r = path_replay(inner, count);
        free(inner);
        free(entries[i]);
    }
    if (total >= 0)
        free(entries);
    return r;
}

static int path_replay(const char *path, unsigned *count)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : -1;
    return S_ISDIR(st.st_mode) ? dir_replay(path, count)
                               : file_replay(path, (size_t)st.st_size, count);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int r = 0;
    for (int i = 1; i < argc && r == 0; i++)
        r = path_replay(argv[i], &count);
    printf("%u inputs\n", count);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
