/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/answered.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cluster/roster.h"
#include "cluster/snapshot.h"

/* Room for all candidates. False: there is none. */
static bool make_room(struct answered *w, const struct kube_extender_args *args)
{
    const size_t text = args->quoted_bytes + args->n, numbers = 2 * (size_t)args->n + 1;

    if (w->text_room < text) {
        char *const p = realloc(w->text, text);

        w->text = p ? p : w->text;
        w->text_room = p ? text : w->text_room;
    }
    if (w->numbers_room < numbers) {
        uint32_t *const p = realloc(w->numbers, numbers * sizeof(*p));

        w->numbers = p ? p : w->numbers;
        w->numbers_room = p ? numbers : w->numbers_room;
    }
    return w->text_room >= text && w->numbers_room >= numbers;
}

/* Names that stand side by side in the body are copied as one piece: mostly all of them. */
static void copy_names(struct answered *w, const struct kube_extender_args *args,
                       const struct decision *d, enum decide_mode mode)
{
    uint32_t *const at = w->numbers, *const positions = w->numbers + args->n + 1;
    const char *from = NULL, *end = NULL; /* of the piece that is not copied yet */
    uint32_t n = 0, used = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        const struct str quoted = kube_args_quoted(args, i);

        if (!decide_hands_back(d, mode, i))
            continue;
        if (end && (quoted.p != end + 1 || *end != ',')) {
            memcpy(w->text + used, from, (size_t)(end - from));
            used += (uint32_t)(end - from);
            w->text[used++] = ',';
            from = NULL;
        }
        from = from ? from : quoted.p;
        end = quoted.p + quoted.n;
        at[n] = used + (uint32_t)(quoted.p - from) + 1;
        positions[n++] = d->rows[i].position;
    }
    if (end) {
        memcpy(w->text + used, from, (size_t)(end - from));
        used += (uint32_t)(end - from);
    }
    at[n] = used + 2;
    w->names = (struct kube_seen_names){{w->text, used}, n, at};
    w->positions = positions;
}

void answered_keep(struct answered *w, const struct kube_extender_args *args,
                   const struct decision *d, enum decide_mode mode)
{
    w->names.n = 0;
    if (args->mode != KUBE_ARGS_NAMES || args->names != args->raw || args->n == 0 ||
        args->quoted_bytes > LIMIT_ANSWERED_BYTES || !make_room(w, args))
        return;
    copy_names(w, args, d, mode);
    w->roster = cluster_snapshot_roster(d->snapshot)->serial;
}

void answered_done(struct answered *w)
{
    free(w->text);
    free(w->numbers);
    *w = (struct answered){0};
}
