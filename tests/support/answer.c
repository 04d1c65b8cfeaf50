/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

enum { WHY = 256 };

static bool wrong(char *why, const char *what, const char *name)
{
    (void)snprintf(why, WHY, "%s%s%s", what, name ? ": " : "", name ? name : "");
    return false;
}

/* Go matches keys without regard to case; the last one wins. */
static json_t *get(json_t *object, const char *key)
{
    json_t *found = NULL, *value;
    const char *k;

    json_object_foreach(object, k, value)
    {
        if (strcasecmp(k, key) == 0)
            found = value;
    }
    return json_is_null(found) ? NULL : found;
}

/* What was asked: name -> object that was sent (true in the names mode). */
struct asked {
    bool is_nodes;
    json_t *candidates;
};

static const char *name_of(json_t *node)
{
    json_t *const metadata = json_is_object(node) ? get(node, "metadata") : NULL;
    json_t *const name = json_is_object(metadata) ? get(metadata, "name") : NULL;

    return name ? json_string_value(name) : "";
}

static bool take(struct asked *out, const char *name, json_t *value)
{
    if (!name)
        return false;
    if (!json_object_get(out->candidates, name))
        (void)json_object_set(out->candidates, name, value);
    return true;
}

static bool read_names(struct asked *out, json_t *names)
{
    json_t *value;
    size_t i;

    json_array_foreach(names, i, value)
    {
        const char *const name = json_is_null(value) ? "" : json_string_value(value);
        if (!take(out, name, json_true()))
            return false;
    }
    return json_is_array(names);
}

static bool read_nodes(struct asked *out, json_t *nodes)
{
    json_t *const items = json_is_object(nodes) ? get(nodes, "items") : NULL;
    json_t *value;
    size_t i;

    json_array_foreach(items, i, value)
    {
        if (!(json_is_object(value) || json_is_null(value)) || !take(out, name_of(value), value))
            return false;
    }
    out->is_nodes = true;
    return json_is_object(nodes) && (!items || json_is_array(items));
}

static bool read_request(struct asked *out, json_t *request)
{
    if (!json_is_object(request))
        return false;
    json_t *const names = get(request, "NodeNames"), *const nodes = get(request, "Nodes");
    if (names)
        return read_names(out, names);
    return nodes ? read_nodes(out, nodes) : true;
}

/* Cross a name off; false when it was not asked for, or came before. */
static bool cross_off(json_t *left, const char *name, char *why)
{
    if (!name)
        return wrong(why, "a name is no string", NULL);
    if (json_object_del(left, name))
        return wrong(why, "not asked for, or told twice", name);
    return true;
}

static bool check_survivors(json_t *answer, const struct asked *asked, json_t *left, char *why)
{
    json_t *const nodes = json_object_get(answer, "Nodes");
    json_t *const names = json_object_get(answer, "NodeNames");
    json_t *const list = asked->is_nodes ? json_object_get(nodes, "items") : names;
    json_t *value;
    size_t i;

    if (!json_is_null(asked->is_nodes ? names : nodes))
        return wrong(why, "the form that was not asked for is not null", NULL);
    if (!json_is_array(list))
        return wrong(why, "no list of survivors", NULL);
    json_array_foreach(list, i, value)
    {
        const char *const name = asked->is_nodes ? name_of(value) : json_string_value(value);
        if (asked->is_nodes && name && !json_equal(value, json_object_get(asked->candidates, name)))
            return wrong(why, "not the object that was sent", name);
        if (!cross_off(left, name, why))
            return false;
    }
    return true;
}

static bool check_failed(json_t *map, json_t *left, char *why)
{
    json_t *value;
    const char *name;

    if (!json_is_object(map))
        return wrong(why, "a failure map is no object", NULL);
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value) || strncmp(json_string_value(value), "numawise: ", 10) != 0)
            return wrong(why, "not one of the reasons", name);
        if (!cross_off(left, name, why))
            return false;
    }
    return true;
}

static bool check_filter(json_t *answer, const struct asked *asked, json_t *left, char *why)
{
    if (!json_is_object(answer) || json_object_size(answer) != 5)
        return wrong(why, "not the five fields of an ExtenderFilterResult", NULL);
    const char *const error = json_string_value(json_object_get(answer, "Error"));
    if (!error || *error)
        return wrong(why, "Error is not the empty string", NULL);
    if (json_object_size(json_object_get(answer, "FailedNodes")))
        return wrong(why, "FailedNodes is for extenders that preempt", NULL);
    return check_survivors(answer, asked, left, why) &&
           check_failed(json_object_get(answer, "FailedNodes"), left, why) &&
           check_failed(json_object_get(answer, "FailedAndUnresolvableNodes"), left, why);
}

static bool check_scores(json_t *answer, int max_score, json_t *left, char *why)
{
    json_t *value;
    size_t i;

    if (!json_is_array(answer))
        return wrong(why, "not a HostPriorityList", NULL);
    json_array_foreach(answer, i, value)
    {
        const char *const host = json_string_value(json_object_get(value, "Host"));
        json_t *const score = json_object_get(value, "Score");
        if (json_object_size(value) != 2 || !json_is_integer(score) ||
            json_integer_value(score) < 0 || json_integer_value(score) > max_score)
            return wrong(why, "not a host with an integer score in range", host);
        if (!cross_off(left, host, why))
            return false;
    }
    return true;
}

static bool check(enum answer_verb verb, const struct asked *asked, struct str text, int max_score,
                  char *why)
{
    /* Objects are compared with the request, which is read the same way. */
    const size_t how = JSON_REJECT_DUPLICATES | (asked->is_nodes ? JSON_DECODE_INT_AS_REAL : 0);
    json_error_t error;
    json_t *const answer = json_loadb(text.p, text.n, verb == ANSWER_FILTER ? how : 0, &error);
    json_t *const left = json_copy(asked->candidates);
    bool good = false;

    if (!answer)
        (void)wrong(why, "the answer is no JSON", error.text);
    else
        good = verb == ANSWER_FILTER ? check_filter(answer, asked, left, why)
                                     : check_scores(answer, max_score, left, why);
    if (good && json_object_size(left))
        good = wrong(why, "a candidate is missing", json_object_iter_key(json_object_iter(left)));
    json_decref(left);
    json_decref(answer);
    return good;
}

enum answer_verdict answer_check(enum answer_verb verb, struct str request, struct str answer,
                                 int max_score, char *why)
{
    json_error_t error;
    json_t *const body = json_loadb(request.p, request.n, JSON_DECODE_INT_AS_REAL, &error);
    struct asked asked = {.candidates = json_object()};
    enum answer_verdict verdict = ANSWER_NO_REQUEST;

    why[0] = 0;
    if (body && read_request(&asked, body))
        verdict = check(verb, &asked, answer, max_score, why) ? ANSWER_GOOD : ANSWER_BAD;
    else
        (void)wrong(why, "the request cannot be read", body ? "not ExtenderArgs" : error.text);
    json_decref(asked.candidates);
    json_decref(body);
    return verdict;
}
