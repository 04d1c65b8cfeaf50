/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gpu_ids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "kube/nrt_emit.h"

static bool is_address(const char *name)
{
    static const char pattern[] = "hhhh:hh:hh.o";

    for (size_t i = 0; i < sizeof(pattern); i++) {
        const bool fits = pattern[i] == 'h'   ? name[i] && strchr("0123456789abcdef", name[i])
                          : pattern[i] == 'o' ? name[i] >= '0' && name[i] <= '7'
                                              : name[i] == pattern[i];

        if (!fits)
            return false;
    }
    return true;
}

/* The file ADDRESS/information in the directory; empty when it cannot be read. */
static struct str read_information(int dir, const char *address, char room[AGENT_GPU_FILE_BYTES])
{
    char path[64];
    size_t n = 0;
    ssize_t got = 1;

    (void)snprintf(path, sizeof(path), "%s/information", address);
    const int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return (struct str){0};
    while (got > 0 && n < AGENT_GPU_FILE_BYTES) {
        got = read(fd, room + n, AGENT_GPU_FILE_BYTES - n);
        n += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    return (struct str){room, got == 0 ? n : 0};
}

/* "GPU UUID: \t GPU-8d1c..."; empty where there is none, or the driver has not asked it yet. */
static struct str find_uuid(struct str information)
{
    while (information.n) {
        struct str value = str_cut(&information, '\n');
        const struct str name = str_cut(&value, ':');

        value = str_trim(value);
        if (str_is(str_trim(name), "GPU UUID"))
            return value.n && !memchr(value.p, '?', value.n) ? value : (struct str){0};
    }
    return (struct str){0};
}

/* What the driver lists: names[n]. */
struct gpus {
    struct kube_nrt_pci_name *names;
    uint32_t n;
};

static int read_gpu(struct gpus *g, int dir, const char *address, struct arena *a)
{
    char room[AGENT_GPU_FILE_BYTES];
    const struct str uuid = find_uuid(read_information(dir, address, room));
    struct kube_nrt_pci_name *const to = &g->names[g->n];

    if (!uuid.n)
        return 0;
    if (str_copy(&to->id, uuid, a) || str_copy(&to->address, str_of(address), a))
        return -ENOMEM;
    g->n++;
    return 0;
}

static int read_gpus(struct gpus *g, const char *path, struct arena *a)
{
    DIR *const dir = opendir(path);
    const struct dirent *entry;
    int rc = 0;

    g->n = 0;
    g->names = arena_array(a, AGENT_MAX_GPUS, sizeof(*g->names));
    if (!g->names)
        rc = -ENOMEM;
    while (dir && rc == 0 && g->n < AGENT_MAX_GPUS && (entry = readdir(dir))) {
        if (is_address(entry->d_name))
            rc = read_gpu(g, dirfd(dir), entry->d_name, a);
    }
    if (dir)
        (void)closedir(dir);
    return rc;
}

/* "UUID" or "UUID::N" */
static bool is_of(struct str id, struct str uuid)
{
    const struct str first = {id.p, id.n < uuid.n ? id.n : uuid.n};

    return str_eq(first, uuid) && (id.n == uuid.n || (id.n > uuid.n + 1 && id.p[uuid.n] == ':' &&
                                                      id.p[uuid.n + 1] == ':'));
}

int agent_gpu_ids(const struct kube_nrt_pci_name **out, uint32_t *out_n, const char *dir,
                  const struct kube_nrt_device *devices, uint32_t n_devices, struct arena *a)
{
    struct gpus g;
    struct kube_nrt_pci_name *const list = arena_array(a, n_devices, sizeof(*list));
    uint32_t n = 0;

    if (!list || read_gpus(&g, dir, a))
        return -ENOMEM;
    for (uint32_t i = 0; i < n_devices; i++) {
        uint32_t k = 0;

        while (k < g.n && !is_of(devices[i].id, g.names[k].id))
            k++;
        if (k < g.n)
            list[n++] = (struct kube_nrt_pci_name){devices[i].id, g.names[k].address};
    }
    *out = list;
    *out_n = n;
    return 0;
}
