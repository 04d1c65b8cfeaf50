/* SPDX-License-Identifier: Apache-2.0 */
#include "net/reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_BYTES_MIN = 16 * 1024,
    BLOCK_BYTES_KEPT = 1024 * 1024, /* a larger block goes back to the heap after its reply */
    RUNS_KEPT = 4096,
    REF_BYTES_MIN = 256, /* below, a copy costs less than one more piece in writev */
};

struct reply_block {
    struct reply_block *older;
    size_t room, used;
    char bytes[];
};

void http_status(struct http_reply *r, int status)
{
    r->status = status;
}

void http_content_type(struct http_reply *r, const char *type)
{
    r->type = type;
}

static struct reply_block *block_with(struct http_reply *r, size_t n)
{
    struct reply_block *const newest = r->blocks;

    if (newest && newest->room - newest->used >= n)
        return newest;
    size_t room = newest ? newest->room : BLOCK_BYTES_MIN / 2;
    room = room < BLOCK_BYTES_KEPT ? room * 2 : room;
    if (room < n)
        room = n;
    struct reply_block *const block = room > SIZE_MAX / 2 ? NULL : malloc(sizeof(*block) + room);
    if (!block) {
        r->failed = true;
        return NULL;
    }
    *block = (struct reply_block){.older = newest, .room = room};
    r->blocks = block;
    return block;
}

/* Append the run, or make the last one longer when it ends where this one begins. */
static void add_run(struct http_reply *r, const char *p, size_t n)
{
    struct str *const last = r->n_runs > 0 ? &r->runs[r->n_runs - 1] : NULL;

    if (last && last->p + last->n == p) {
        last->n += n;
        r->bytes += n;
        return;
    }
    if (r->n_runs == r->runs_room) {
        const size_t room = r->runs_room ? r->runs_room * 2 : 16;
        struct str *const runs = realloc(r->runs, room * sizeof(*runs));
        if (!runs) {
            r->failed = true;
            return;
        }
        r->runs = runs;
        r->runs_room = room;
    }
    r->runs[r->n_runs++] = (struct str){p, n};
    r->bytes += n;
}

char *http_reserve(struct http_reply *r, size_t n)
{
    struct reply_block *const block = r->failed ? NULL : block_with(r, n);

    return block ? block->bytes + block->used : NULL;
}

void http_commit(struct http_reply *r, size_t n)
{
    struct reply_block *const block = r->blocks;

    if (r->failed || n == 0)
        return;
    assert(block && n <= block->room - block->used);
    add_run(r, block->bytes + block->used, n);
    block->used += n;
}

/* A value that ends its line would make another one. */
static bool is_one_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

void http_field(struct http_reply *r, const char *name, struct str value)
{
    struct reply_block *const block = r->failed ? NULL : block_with(r, value.n + 1);

    assert(r->n_fields < HTTP_REPLY_FIELDS);
    r->failed |= !is_one_line(value);
    if (!block)
        return;
    char *const copy = block->bytes + block->used;
    if (value.n > 0)
        memcpy(copy, value.p, value.n);
    copy[value.n] = '\0';
    block->used += value.n + 1;
    r->fields[r->n_fields++] = (struct reply_field){name, copy};
}

void http_add(struct http_reply *r, const void *p, size_t n)
{
    char *const room = n > 0 ? http_reserve(r, n) : NULL;

    if (!room)
        return;
    memcpy(room, p, n);
    http_commit(r, n);
}

void http_add_ref(struct http_reply *r, const char *p, size_t n)
{
    if (n < REF_BYTES_MIN)
        http_add(r, p, n);
    else if (!r->failed)
        add_run(r, p, n);
}

static void free_blocks(struct reply_block *block)
{
    while (block) {
        struct reply_block *const older = block->older;
        free(block);
        block = older;
    }
}

void reply_reset(struct http_reply *r)
{
    struct reply_block *kept = r->blocks;

    if (kept) {
        free_blocks(kept->older);
        kept->older = NULL;
        kept->used = 0;
        if (kept->room > BLOCK_BYTES_KEPT) {
            free(kept);
            kept = NULL;
        }
    }
    if (r->runs_room > RUNS_KEPT) {
        free(r->runs);
        r->runs = NULL;
        r->runs_room = 0;
    }
    *r = (struct http_reply){.status = 200,
                             .type = "application/json",
                             .runs = r->runs,
                             .runs_room = r->runs_room,
                             .blocks = kept};
}

void reply_done(struct http_reply *r)
{
    free_blocks(r->blocks);
    free(r->runs);
    *r = (struct http_reply){0};
}

void reply_close(struct http_reply *r)
{
    if (r->failed) {
        r->status = 503;
        r->n_fields = 0;
    }
    if (r->failed || r->status == 204 || r->status == 304) {
        r->n_runs = 0;
        r->bytes = 0;
    }
}
