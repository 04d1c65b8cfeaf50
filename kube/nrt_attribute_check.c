/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes that a person may give a NodeResourceTopology by hand, and what they may say. */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "kube/nrt_emit.h"
#include "topology/cpuset.h"

#define PREFIX "orchestration.gokore.io/"

enum value_form { FORM_TEXT, FORM_WORD, FORM_CPUS, FORM_TIME, FORM_NUMBER };

struct form {
    const char *name; /* without our prefix */
    const char *full;
    enum value_form form;
    const char *words; /* of FORM_WORD, each followed by a blank */
};

static const struct form forms[] = {
    {"cpu-manager-policy", PREFIX "cpu-manager-policy", FORM_WORD, "none static "},
    {"memory-manager-policy", PREFIX "memory-manager-policy", FORM_WORD, "None Static "},
    {"cpu-manager-policy-options", PREFIX "cpu-manager-policy-options", FORM_TEXT, NULL},
    {"topology-manager-policy-options", PREFIX "topology-manager-policy-options", FORM_TEXT, NULL},
    {"reserved-cpus", KUBE_NRT_RESERVED_CPUS, FORM_CPUS, NULL},
    {"observed-at", PREFIX "observed-at", FORM_TIME, NULL},
    {"generation", PREFIX "generation", FORM_NUMBER, NULL},
    {"placements", PREFIX "placements", FORM_TEXT, NULL},
    {"devices", PREFIX "devices", FORM_TEXT, NULL},
    {"pci", PREFIX "pci", FORM_TEXT, NULL},
    {"topologyManagerPolicy", "topologyManagerPolicy", FORM_WORD,
     "none best-effort restricted single-numa-node "},
    {"topologyManagerScope", "topologyManagerScope", FORM_WORD, "container pod "},
    {"topologyManagerMaxNUMANodes", "topologyManagerMaxNUMANodes", FORM_NUMBER, NULL},
    {"topologyManagerOptionPreferClosestNumaNodes", "topologyManagerOptionPreferClosestNumaNodes",
     FORM_WORD, "true false "},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static const struct form *find_form(struct str name)
{
    for (size_t i = 0; i < FORMS; i++) {
        if (str_is(name, forms[i].name) || str_is(name, forms[i].full))
            return &forms[i];
    }
    return NULL;
}

static int unknown_attribute(struct str name, struct err *err)
{
    const char *names[FORMS];

    if (str_starts(name, PREFIX))
        name = (struct str){name.p + sizeof(PREFIX) - 1, name.n - (sizeof(PREFIX) - 1)};
    for (size_t i = 0; i < FORMS; i++)
        names[i] = forms[i].name;
    const char *const near = str_nearest(name, names, FORMS);
    if (near)
        return err_set(err, -ENOENT, "unknown attribute \"%.*s\" (did you mean \"%s\"?)",
                       STR_ARG(name), near);
    return err_set(err, -ENOENT, "unknown attribute \"%.*s\"", STR_ARG(name));
}

static bool is_word_of(struct str words, struct str value)
{
    while (words.n) {
        if (str_eq(str_cut(&words, ' '), value) && value.n)
            return true;
    }
    return false;
}

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    }
    return true;
}

static int check_value(const struct form *f, struct str value, struct err *err)
{
    uint64_t number;
    int64_t us;

    if (!is_printable(value))
        return err_set(err, -EINVAL, "%s: not printable ASCII", f->name);
    switch (f->form) {
    case FORM_TEXT:
        break;
    case FORM_WORD:
        if (!is_word_of(str_of(f->words), value))
            return err_set(err, -EINVAL, "%s: \"%.*s\" is not one of: %s", f->name, STR_ARG(value),
                           f->words);
        break;
    case FORM_CPUS: {
        const int span = cpuset_span(value, err);
        if (span < 0)
            return err_wrap(err, -EINVAL, "%s", f->name);
        break;
    }
    case FORM_TIME:
        if (clock_parse_rfc3339(value, &us) < 0)
            return err_set(err, -EINVAL,
                           "%s: \"%.*s\" is not a time like"
                           " 2026-11-24T03:02:01.123456Z",
                           f->name, STR_ARG(value));
        break;
    case FORM_NUMBER:
        if (!str_u64(value, &number))
            return err_set(err, -EINVAL, "%s: \"%.*s\" is not a whole number", f->name,
                           STR_ARG(value));
        break;
    }
    return 0;
}

int kube_nrt_attribute_check(struct kube_nrt_attribute *out, struct str name, struct str value,
                             struct err *err)
{
    const struct form *const f = find_form(name);

    if (!f)
        return unknown_attribute(name, err);
    const int rc = check_value(f, value, err);
    if (rc == 0)
        *out = (struct kube_nrt_attribute){str_of(f->full), value};
    return rc;
}
