/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/scratch.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char path[] = "/dev/shm/numawise-bench-XXXXXX", cluster[sizeof(path) + 16];
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

/*
 * In memory where there is room for any cluster that is measured: on ext4 a rename onto a file
 * starts its writing, half a millisecond in which the kernel gives the CPU to nobody else.
 */
static const char *place(void)
{
    struct statvfs fs;
    const uint64_t most = UINT64_C(1) << 30;

    return statvfs("/dev/shm", &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= most ? "/dev/shm"
                                                                                        : "/tmp";
}

void scratch_make(void)
{
    (void)snprintf(path, sizeof(path), "%s/numawise-bench-XXXXXX", place());
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
