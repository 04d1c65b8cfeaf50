/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/hints.h"

#include <errno.h>

/* Reads a value; returns whether it is well formed. */
typedef bool hint_rule(struct str value);

static bool is_number_up_to(struct str s, uint64_t max)
{
    uint64_t n;

    return str_u64(s, &n) && n <= max;
}

static bool is_integer(struct str s)
{
    return is_number_up_to(s, INT32_MAX);
}

static bool is_percent(struct str s)
{
    return str_ends(s, "%") && is_number_up_to((struct str){s.p, s.n - 1}, 100);
}

static bool is_truth(struct str s)
{
    return str_is(s, "true") || str_is(s, "false");
}

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* A DNS-1123 subdomain: what Kubernetes takes as the name of an object. */
static bool is_object_name(struct str s)
{
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const bool edge =
            i == 0 || i == s.n - 1 || s.p[i] == '.' || s.p[i - 1] == '.' || s.p[i + 1] == '.';
        if (edge ? s.p[i] != '.' && !is_lower_alnum(s.p[i])
                 : s.p[i] != '-' && !is_lower_alnum(s.p[i]))
            return false;
        if (s.p[i] == '.' && (i == 0 || i == s.n - 1 || s.p[i - 1] == '.'))
            return false;
    }
    return true;
}

static bool is_numa_policy(struct str s)
{
    if (str_is(s, "single") || str_is(s, "closest"))
        return true;
    return str_starts(s, "span<=") && is_number_up_to((struct str){s.p + 6, s.n - 6}, 64) &&
           s.p[6] != '0';
}

static bool is_affinity(struct str s)
{
    return str_is(s, "require") || str_is(s, "prefer") || str_is(s, "none");
}

static bool is_term(struct str s)
{
    static const char *const terms[] = {"locality", "devices",      "fragmentation", "network",
                                        "compute",  "interference", "freshness"};

    for (size_t i = 0; i < ARRAY_LEN(terms); i++)
        if (str_is(s, terms[i]))
            return true;
    return false;
}

/* "locality=40,devices=30" */
static bool is_weights(struct str s)
{
    do {
        struct str weight = str_cut(&s, ',');
        const struct str term = str_trim(str_cut(&weight, '='));
        if (!is_term(term) || !is_number_up_to(str_trim(weight), 1000))
            return false;
    } while (s.n);
    return true;
}

/* Bits per second as a Quantity: digits with an optional fraction and one of the suffixes. */
static bool is_bandwidth(struct str s)
{
    static const char *const suffixes[] = {"",  "m",  "k",  "M",  "G",  "T",  "P",
                                           "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t digits = 0, i = 0;

    for (bool dot = false; i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.'); i++) {
        if (s.p[i] == '.' && dot)
            return false;
        dot |= s.p[i] == '.';
        digits += s.p[i] != '.';
    }
    for (size_t k = 0; digits && k < ARRAY_LEN(suffixes); k++)
        if (str_is((struct str){s.p + i, s.n - i}, suffixes[k]))
            return true;
    return false;
}

static const struct {
    const char *key, *wants;
    hint_rule *rule;
    bool acted_on;
} hints[] = {
    {"qos-class", "the name of a class of the policy", is_object_name, false},
    {"numa-policy", "single, closest or span<=N", is_numa_policy, false},
    {"allowed-cross-access", "0% to 100%", is_percent, false},
    {"network-bandwidth", "a quantity in bits per second, like 10G", is_bandwidth, false},
    {"gpu-nic-affinity", "require, prefer or none", is_affinity, false},
    {"weights", "terms with weights, like locality=40,devices=30", is_weights, false},
    {"max-locks", "an integer", is_integer, false},
    {"max-goroutines", "an integer", is_integer, false},
    {"lock-policy", "the name of a LockPolicy", is_object_name, false},
    {"ignore", "\"true\" or \"false\"", is_truth, true},
};

static int unknown_hint(struct str key, struct err *err)
{
    const char *names[ARRAY_LEN(hints)];

    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        names[i] = hints[i].key;
    const char *const near = str_nearest(key, names, ARRAY_LEN(hints));
    if (near)
        return err_set(err, -ENOENT, "no such hint (did you mean \"%s\"?)", near);
    return err_set(err, -ENOENT, "no such hint");
}

int kube_hint_check(struct str key, struct str value, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (!str_is(key, hints[i].key))
            continue;
        if (hints[i].rule(value))
            return 0;
        return err_set(err, -EINVAL, "not %s", hints[i].wants);
    }
    return unknown_hint(key, err);
}

bool kube_hint_is_acted_on(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (str_is(key, hints[i].key))
            return hints[i].acted_on;
    return false;
}

bool kube_hints_ignore(const struct score_pod *pod)
{
    for (uint32_t i = 0; i < pod->n_hints; i++)
        if (str_is(pod->hints[i].key, "ignore") && str_is(pod->hints[i].value, "true"))
            return true;
    return false;
}
