/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the machine's picture share; private to cli/topology_svg*.c. */
#ifndef CLI_TOPOLOGY_SVG_PARTS_H
#define CLI_TOPOLOGY_SVG_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "topology/model.h"

struct buf;
struct node_view;

enum {
    SVG_MARGIN = 24,
    SVG_GAP = 12,
    SVG_CELL_WIDTH = 24,
    SVG_CELL_HEIGHT = 18,
    SVG_PAGE_WIDTH = 1180, /* packages are put into rows of at most that, where they fit */
    SVG_NAME_CHARS = 14,   /* of a device; longer ones lose their middle */
    SVG_MEET_DEVICES = 24, /* a wider matrix is no longer read by a person */
    SVG_COLORS = 8,        /* of pods; then they come again, with other letters */
    SVG_GROUP_CHIPS = 12,  /* devices drawn of one group */
    SVG_PODS = 60,         /* told of in the legend */
};

/* A device to draw. */
struct svg_chip {
    struct str name;
    struct str group; /* the host bridge, or the resource of a plugin; empty = not known */
    bool plain;       /* the group says what it is */
    struct str path;  /* of bridges, joined: who has the same is below the same one */
    enum topo_device_kind kind;
    uint64_t zones;
    uint32_t speed_mbps; /* 0 = not known */
    uint32_t index;      /* of the machine's devices, or of the view's */
    uint32_t pod;        /* who holds it: index + 1 of the view's pods; 0 = nobody */
};

struct svg_machine {
    struct buf *out;
    const struct topo_machine *m;
    const struct node_view *view; /* NULL: nothing is known of pods */
    struct svg_chip *chips;       /* [n_chips] by zone, group, path */
    uint32_t n_chips;
    uint16_t *cpu_pod; /* [m->n_cpus] as svg_chip.pod; NULL without a view */
    struct buf *texts; /* of groups and paths */
};

/* Fill chips and cpu_pod; 0, -ENOMEM. svg_survey_done frees them. */
int svg_survey(struct svg_machine *p) MUST_CHECK;
void svg_survey_done(struct svg_machine *p);

/* "A", "B" ... "Z", "A2"; the class of its color; of pod index + 1. */
void svg_pod_letter(char out[8], uint32_t pod);
void svg_pod_class(char out[16], uint32_t pod);

/* Does the pod hold anything for itself? Only those have a letter of their own on the picture. */
bool svg_pod_holds(const struct svg_machine *p, uint32_t pod);

/* At most `most` characters, with a sign for what is left out in the middle. */
void svg_short(char *out, size_t room, struct str name, size_t most);

/* What a chip says: kind, name and speed; where a resource is its group, the name alone. */
void svg_chip_words(char *out, size_t room, const struct svg_chip *c);

const char *svg_kind_text(enum topo_device_kind kind);  /* "GPU", "NIC", ... */
const char *svg_kind_class(enum topo_device_kind kind); /* of the chip */
void svg_speed(char out[16], uint32_t mbps);            /* "100G", "2.5G", "" */
void svg_size(char out[24], uint64_t bytes);            /* "62.9 GiB" */

/* Below `y`, each returns where it ends: tables side by side, then the legend. */
double svg_tables(const struct svg_machine *p, double y, double *width);
double svg_legend(const struct svg_machine *p, double y, double *width);

#endif
