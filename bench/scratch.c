/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/numawise-bench-XXXXXX", cluster[sizeof(path) + 16];
static pid_t owner; /* a forked child that ends leaves everything alone */

static void empty(const char *of)
{
    DIR *const dir = opendir(of);

    for (const struct dirent *e; dir && (e = readdir(dir));)
        (void)unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        (void)closedir(dir);
}

static void remove_all(void)
{
    if (getpid() != owner)
        return;
    empty(cluster);
    (void)rmdir(cluster);
    empty(path);
    (void)rmdir(path);
}

void scratch_make(void)
{
    if (!mkdtemp(path)) {
        perror("bench: mkdtemp");
        exit(1);
    }
    owner = getpid();
    (void)snprintf(cluster, sizeof(cluster), "%s/cluster", path);
    (void)atexit(remove_all);
    if (mkdir(cluster, 0700)) {
        perror("bench: mkdir");
        exit(1);
    }
}

const char *scratch_path(void)
{
    return path;
}

const char *scratch_cluster(void)
{
    return cluster;
}

void scratch_empty(void)
{
    empty(cluster);
}
