/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/hints.h"

#include <errno.h>

#include "base/buf.h"
#include "kube/quantity.h"
#include "scoring/node_view.h"

/* Reads a well-formed value into what it says; false, and nothing is written, for another. */
typedef bool hint_reader(struct score_hints *out, struct str value);

static bool read_number(struct str s, uint64_t max, int64_t *out)
{
    uint64_t n;

    if (!str_u64(s, &n) || n > max)
        return false;
    *out = (int64_t)n;
    return true;
}

static bool read_locks(struct score_hints *out, struct str s)
{
    return read_number(s, INT32_MAX, &out->max_locks);
}

static bool read_goroutines(struct score_hints *out, struct str s)
{
    return read_number(s, INT32_MAX, &out->max_goroutines);
}

static bool read_percent(struct score_hints *out, struct str s)
{
    return str_ends(s, "%") &&
           read_number((struct str){s.p, s.n - 1}, 100, &out->allowed_cross_access);
}

/* kube_hints_ignore reads it by itself, before all others. */
static bool read_ignore(struct score_hints *out, struct str s)
{
    (void)out;
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

static bool read_class(struct score_hints *out, struct str s)
{
    if (!is_object_name(s))
        return false;
    out->qos_class = s;
    return true;
}

/* The API server judges it, when the pod is created (deploy/manifests/locks). */
static bool read_lock_policy(struct score_hints *out, struct str s)
{
    (void)out;
    return is_object_name(s);
}

static bool read_numa_policy(struct score_hints *out, struct str s)
{
    int64_t span = 0;

    if (str_starts(s, "span<=") &&
        (!read_number((struct str){s.p + 6, s.n - 6}, 64, &span) || span == 0))
        return false;
    if (span == 0 && !str_is(s, "single") && !str_is(s, "closest"))
        return false;
    out->numa = span ? HINT_NUMA_SPAN : str_is(s, "single") ? HINT_NUMA_SINGLE : HINT_NUMA_CLOSEST;
    out->span = (uint32_t)span;
    return true;
}

static bool read_affinity(struct score_hints *out, struct str s)
{
    static const char *const words[] = {[SCORE_GPU_NIC_PREFER] = "prefer",
                                        [SCORE_GPU_NIC_REQUIRE] = "require",
                                        [SCORE_GPU_NIC_NONE] = "none"};

    for (size_t i = SCORE_GPU_NIC_PREFER; i < ARRAY_LEN(words); i++) {
        if (str_is(s, words[i])) {
            out->gpu_nic = (enum score_gpu_nic)i;
            return true;
        }
    }
    return false;
}

static int term_of(struct str s)
{
    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        if (str_is(s, score_term_text((enum score_term)t)))
            return t;
    }
    return -1;
}

/* "locality=40,devices=30", each term once. */
static bool read_weights(struct score_hints *out, struct str s)
{
    struct policy_weights w = out->weights;
    uint32_t seen = 0;

    do {
        struct str weight = str_cut(&s, ',');
        const int term = term_of(str_trim(str_cut(&weight, '=')));

        if (term < 0 || seen >> term & 1 || !read_number(str_trim(weight), SCORE_MAX, &w.w[term]))
            return false;
        seen |= 1u << term;
    } while (s.n);
    out->weights = w;
    return true;
}

static bool read_bits(struct str s, uint64_t *out)
{
    int64_t bits;

    if (kube_quantity(s, KUBE_UNITS, &bits, NULL) < 0 || bits < 0)
        return false;
    *out = (uint64_t)bits > *out ? (uint64_t)bits : *out; /* the larger of two hints counts */
    return true;
}

static bool read_ingress(struct score_hints *out, struct str s)
{
    return read_bits(s, &out->network[NODE_INGRESS]);
}

static bool read_egress(struct score_hints *out, struct str s)
{
    return read_bits(s, &out->network[NODE_EGRESS]);
}

static bool read_bandwidth(struct score_hints *out, struct str s)
{
    return read_ingress(out, s) && read_egress(out, s);
}

static const struct {
    const char *key, *wants;
    hint_reader *read;
} hints[] = {
    {"qos-class", "the name of a class of the policy", read_class},
    {"numa-policy", "single, closest or span<=N", read_numa_policy},
    {"allowed-cross-access", "0% to 100%", read_percent},
    {"network-bandwidth", "a quantity in bits per second, like 10G", read_bandwidth},
    {"gpu-nic-affinity", "require, prefer or none", read_affinity},
    {"weights", "terms with weights, each once, like locality=40,devices=30", read_weights},
    {"max-locks", "an integer from 0 to 2147483647", read_locks},
    {"max-goroutines", "an integer from 0 to 2147483647", read_goroutines},
    {"lock-policy", "the name of a LockPolicy", read_lock_policy},
    {"ignore", "\"true\" or \"false\"", read_ignore},
    /* Kubernetes' own, which come with their whole names. */
    {KUBE_HINT_INGRESS, "a quantity in bits per second, like 10M", read_ingress},
    {KUBE_HINT_EGRESS, "a quantity in bits per second, like 10M", read_egress},
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
        struct score_hints unused = score_no_hints();

        if (hints[i].read(&unused, value))
            return 0;
        return err_set(err, -EINVAL, "not %s", hints[i].wants);
    }
    return unknown_hint(key, err);
}

struct score_hints kube_hints_read(const struct score_pod *pod)
{
    struct score_hints out = score_no_hints();

    for (uint32_t i = 0; i < pod->n_hints; i++) {
        for (size_t k = 0; k < ARRAY_LEN(hints); k++) {
            if (str_is(pod->hints[i].key, hints[k].key))
                (void)hints[k].read(&out, pod->hints[i].value);
        }
    }
    return out;
}

void kube_hint_annotation(struct buf *out, struct str key)
{
    const bool is_whole = str_is(key, KUBE_HINT_INGRESS) || str_is(key, KUBE_HINT_EGRESS);

    buf_text(out, is_whole ? "" : KUBE_HINT_PREFIX);
    buf_str(out, key);
}

bool kube_hints_ignore(const struct score_pod *pod)
{
    for (uint32_t i = 0; i < pod->n_hints; i++)
        if (str_is(pod->hints[i].key, "ignore") && str_is(pod->hints[i].value, "true"))
            return true;
    return false;
}
