/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 129, EDGES = 4096, ANSWER_BYTES = 512, ANSWER_MS = 5000, USUAL_MS = 250 };

/* A lock that a thread holds or waits for. */
struct lock {
    const struct lock_client_class *class_of;
    char instance[NAME_BYTES];
    uint64_t since_ns;
};

struct thread {
    struct thread *next;
    struct lock_client *client;
    long id;
    struct lock held[LOCK_CLIENT_HELD];
    unsigned n_held;
    bool waits;
    struct lock wait;
};

/* `to` was acquired while `from` was held. Open addressing; from NULL = free. */
struct edge {
    const struct lock_client_class *from, *to;
    uint64_t count, told; /* in all; of it in reports that went through */
    uint64_t telling;     /* in the report that is on its way */
};

struct text {
    char *p;
    size_t n, room;
    bool failed;
};

struct lock_client {
    char *url, *ns, *pod, *container, *token_file, *ca_file;
    unsigned interval_ms;
    pthread_key_t key; /* struct thread of each thread */
    pthread_t reporter;
    bool has_key, has_locks, has_reporter;
    CURL *curl; /* of whoever holds `sending` */
    pthread_mutex_t sending;
    pthread_cond_t wake;
    pthread_mutex_t lock; /* over all that follows */
    bool closing;
    struct thread *threads;
    struct edge edges[EDGES];
    unsigned n_edges;
    uint64_t epoch, sequence; /* of the last report that went through */
    struct text report;       /* on its way until it went through; empty = none */
    struct lock_client_stats stats;
};

/* --- text --- */

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    char piece[4 * NAME_BYTES];
    va_list ap;

    va_start(ap, fmt);
    const int n = vsnprintf(piece, sizeof(piece), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(piece)) {
        t->failed = true;
        return;
    }
    if (t->n + (size_t)n + 1 > t->room) {
        const size_t room = (t->room + (size_t)n + 1) * 2;
        char *const p = realloc(t->p, room);

        if (!p) {
            t->failed = true;
            return;
        }
        t->p = p;
        t->room = room;
    }
    memcpy(t->p + t->n, piece, (size_t)n + 1);
    t->n += (size_t)n;
}

/* As a JSON string; names are printable ASCII, what is not shows as '?'. */
static void add_quoted(struct text *t, const char *s)
{
    char out[2 * NAME_BYTES + 2];
    size_t n = 0;

    for (; *s && n + 2 < sizeof(out); s++) {
        if (*s == '"' || *s == '\\')
            out[n++] = '\\';
        out[n++] = *s < 0x20 || *s > 0x7e ? '?' : *s;
    }
    out[n] = 0;
    add(t, "\"%s\"", out);
}

/* --- what threads do --- */

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* This thread's record, made when it has none; NULL: no memory. Needs the lock. */
static struct thread *self(struct lock_client *c)
{
    struct thread *t = pthread_getspecific(c->key);

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t || pthread_setspecific(c->key, t)) {
        free(t);
        return NULL;
    }
    t->client = c;
    t->id = syscall(SYS_gettid);
    t->next = c->threads;
    c->threads = t;
    return t;
}

/* A thread has ended: it holds nothing any more. */
static void on_thread_end(void *ctx)
{
    struct thread *const t = ctx;
    struct lock_client *const c = t->client;

    (void)pthread_mutex_lock(&c->lock);
    for (struct thread **at = &c->threads; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    free(t);
}

static size_t slot_of(const struct lock_client_class *from, const struct lock_client_class *to)
{
    const uint64_t x =
        ((uint64_t)(uintptr_t)from * 31 + (uint64_t)(uintptr_t)to) * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(x >> 40) % EDGES;
}

/* When the table is full, what is new is not told. */
static void count_edge(struct lock_client *c, const struct lock_client_class *from,
                       const struct lock_client_class *to)
{
    size_t i = slot_of(from, to);

    while (c->edges[i].from && (c->edges[i].from != from || c->edges[i].to != to))
        i = (i + 1) % EDGES;
    if (!c->edges[i].from) {
        if (c->n_edges + 1 == EDGES)
            return;
        c->n_edges++;
        c->edges[i] = (struct edge){.from = from, .to = to};
    }
    c->edges[i].count++;
}

static void wait_for(struct lock_client *c, const struct lock_client_class *k, const char *instance)
{
    (void)pthread_mutex_lock(&c->lock);
    struct thread *const t = self(c);
    if (t) {
        for (unsigned i = 0; i < t->n_held; i++)
            count_edge(c, t->held[i].class_of, k);
        t->waits = true;
        t->wait = (struct lock){.class_of = k, .since_ns = now_ns()};
        (void)snprintf(t->wait.instance, sizeof(t->wait.instance), "%s", instance);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static void got(struct lock_client *c, const struct lock_client_class *k, const char *instance)
{
    (void)pthread_mutex_lock(&c->lock);
    struct thread *const t = self(c);
    if (t) {
        t->waits = false;
        if (t->n_held < LOCK_CLIENT_HELD) {
            struct lock *const l = &t->held[t->n_held++];

            *l = (struct lock){.class_of = k, .since_ns = now_ns()};
            (void)snprintf(l->instance, sizeof(l->instance), "%s", instance);
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
}

/* The last one of that name: locks are mostly let go in the reverse order. */
static void let_go(struct lock_client *c, const struct lock_client_class *k, const char *instance)
{
    (void)pthread_mutex_lock(&c->lock);
    struct thread *const t = self(c);
    for (unsigned i = t ? t->n_held : 0; i-- > 0;) {
        if (t->held[i].class_of != k || strcmp(t->held[i].instance, instance) != 0)
            continue;
        memmove(&t->held[i], &t->held[i + 1], (t->n_held - i - 1) * sizeof(t->held[0]));
        t->n_held--;
        break;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void lock_client_give_up(struct lock_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct thread *const t = self(c);
    if (t)
        t->waits = false;
    (void)pthread_mutex_unlock(&c->lock);
}

static const char *address(char out[32], const void *p)
{
    (void)snprintf(out, 32, "0x%llx", (unsigned long long)(uintptr_t)p);
    return out;
}

void lock_client_wait(struct lock_client *c, const struct lock_client_class *k,
                      const void *instance)
{
    char text[32];

    wait_for(c, k, address(text, instance));
}

void lock_client_got(struct lock_client *c, const struct lock_client_class *k, const void *instance)
{
    char text[32];

    got(c, k, address(text, instance));
}

void lock_client_release(struct lock_client *c, const struct lock_client_class *k,
                         const void *instance)
{
    char text[32];

    let_go(c, k, address(text, instance));
}

void lock_client_wait_named(struct lock_client *c, const struct lock_client_class *k,
                            const char *instance)
{
    wait_for(c, k, instance);
}

void lock_client_got_named(struct lock_client *c, const struct lock_client_class *k,
                           const char *instance)
{
    got(c, k, instance);
}

void lock_client_release_named(struct lock_client *c, const struct lock_client_class *k,
                               const char *instance)
{
    let_go(c, k, instance);
}

/* --- a report --- */

static void add_lock(struct text *t, const struct lock *l, long thread, bool *first)
{
    add(t, "%s{\"class\":", *first ? "" : ",");
    add_quoted(t, l->class_of->name);
    add(t, ",\"instance\":");
    add_quoted(t, l->instance);
    add(t, ",\"scope\":\"%s\",\"thread\":\"%ld\",\"sinceNs\":%llu}",
        l->class_of->shared ? "shared" : "process", thread, (unsigned long long)l->since_ns);
    *first = false;
}

static void add_locks(struct text *t, const struct lock_client *c)
{
    bool first = true;

    add(t, ",\"held\":[");
    for (const struct thread *k = c->threads; k; k = k->next) {
        for (unsigned i = 0; i < k->n_held; i++)
            add_lock(t, &k->held[i], k->id, &first);
    }
    add(t, "],\"waiting\":[");
    first = true;
    for (const struct thread *k = c->threads; k; k = k->next) {
        if (k->waits)
            add_lock(t, &k->wait, k->id, &first);
    }
    add(t, "]");
}

static void add_edges(struct text *t, struct lock_client *c)
{
    bool first = true;

    add(t, ",\"edges\":[");
    for (size_t i = 0; i < EDGES; i++) {
        struct edge *const e = &c->edges[i];

        e->telling = e->from ? e->count - e->told : 0;
        if (e->telling == 0)
            continue;
        add(t, "%s{\"from\":", first ? "" : ",");
        add_quoted(t, e->from->name);
        add(t, ",\"to\":");
        add_quoted(t, e->to->name);
        add(t, ",\"count\":%llu}", (unsigned long long)e->telling);
        first = false;
    }
    add(t, "]");
}

/* Unless one is on its way already: that one stays as it is until it went through. */
static void compose(struct lock_client *c)
{
    struct text *const t = &c->report;

    if (t->n)
        return;
    t->failed = false;
    add(t, "{\"reporter\":{\"namespace\":");
    add_quoted(t, c->ns);
    add(t, ",\"pod\":");
    add_quoted(t, c->pod);
    if (c->container) {
        add(t, ",\"container\":");
        add_quoted(t, c->container);
    }
    add(t, ",\"epoch\":%llu},\"sequence\":%llu,\"nowNs\":%llu", (unsigned long long)c->epoch,
        (unsigned long long)c->sequence + 1, (unsigned long long)now_ns());
    add_locks(t, c);
    add_edges(t, c);
    add(t, "}");
}

/* It went through: what it told is told. */
static void settle(struct lock_client *c)
{
    for (size_t i = 0; i < EDGES; i++) {
        c->edges[i].told += c->edges[i].telling;
        c->edges[i].telling = 0;
    }
    c->sequence++;
    c->report.n = 0;
    c->stats.reports++;
}

/* The operator knows less than was told: everything again, in an epoch of its own unless it knows
 * nothing at all. */
static void start_over(struct lock_client *c, unsigned long long have)
{
    for (size_t i = 0; i < EDGES; i++)
        c->edges[i].told = c->edges[i].telling = 0;
    c->epoch += have > 0;
    c->sequence = 0;
    c->report.n = 0;
}

/* --- the wire --- */

struct answer {
    char text[ANSWER_BYTES];
    size_t n;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct answer *const a = ctx;
    const size_t room = sizeof(a->text) - 1 - a->n, take = n < room ? n : room;

    (void)size;
    memcpy(a->text + a->n, p, take);
    a->n += take;
    a->text[a->n] = 0;
    return n;
}

/* The token is read anew each time: it is replaced while the pod runs. */
static struct curl_slist *headers_of(const struct lock_client *c)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    char line[8192] = "Authorization: Bearer ";
    const size_t skip = strlen(line);

    if (!list || !c->token_file)
        return list;
    FILE *const f = fopen(c->token_file, "re");
    if (!f)
        return list;
    const size_t n = fread(line + skip, 1, sizeof(line) - skip - 1, f);
    (void)fclose(f);
    line[skip + n] = 0;
    line[skip + strcspn(line + skip, "\r\n")] = 0;
    struct curl_slist *const longer = curl_slist_append(list, line);
    return longer ? longer : list;
}

static int post(struct lock_client *c, struct answer *a, long *status)
{
    struct curl_slist *const headers = headers_of(c);

    (void)curl_easy_setopt(c->curl, CURLOPT_URL, c->url);
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->report.p);
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->report.n);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    /* To the replica that leads, with the token, which is of use to no one else; never without TLS
     * where there was TLS. The method stays with a 307. */
    (void)curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_MAXREDIRS, 2L);
    (void)curl_easy_setopt(c->curl, CURLOPT_UNRESTRICTED_AUTH, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_REDIR_PROTOCOLS_STR,
                           strncmp(c->url, "https:", 6) == 0 ? "https" : "http,https");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, a);
    if (c->ca_file) { /* that one, and not the directory of everybody's as well */
        (void)curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca_file);
        (void)curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
    }
    const CURLcode rc = curl_easy_perform(c->curl);
    curl_slist_free_all(headers);
    if (rc != CURLE_OK)
        return -EHOSTUNREACH;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, status);
    return 0;
}

/* What the answer means for what was told. Needs the lock. */
static int take_answer(struct lock_client *c, const struct answer *a, long status)
{
    const char *const have = strstr(a->text, "\"have\":");

    if (status == 202 && strstr(a->text, "\"resend\":true")) {
        start_over(c, have ? strtoull(have + sizeof("\"have\":") - 1, NULL, 10) : 0);
        return -EAGAIN;
    }
    if (status == 202) {
        settle(c);
        return 0;
    }
    if (status >= 400 && status < 500 && status != 429 && status != 401 && status != 403)
        c->report.n = 0; /* it will not be liked better the next time */
    return status == 429 || status >= 500 ? -EAGAIN : -EINVAL;
}

static int send_one(struct lock_client *c)
{
    struct answer a = {.n = 0};
    long status = 0;

    (void)pthread_mutex_lock(&c->lock);
    compose(c);
    int rc = c->report.failed ? -ENOMEM : 0;
    if (rc)
        c->report.n = 0;
    (void)pthread_mutex_unlock(&c->lock);
    if (rc == 0) /* nobody else touches the report: he would need `sending` */
        rc = post(c, &a, &status);
    (void)pthread_mutex_lock(&c->lock);
    if (rc == 0)
        rc = take_answer(c, &a, status);
    c->stats.failures += rc != 0;
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

/* A report that was on its way tells what was; one more tells what is. */
int lock_client_flush(struct lock_client *c)
{
    int rc = 0;

    (void)pthread_mutex_lock(&c->sending);
    (void)pthread_mutex_lock(&c->lock);
    int tries = c->report.n ? 3 : 2;
    (void)pthread_mutex_unlock(&c->lock);
    do {
        rc = send_one(c);
        (void)pthread_mutex_lock(&c->lock);
        const bool again = c->report.n == 0 && rc == -EAGAIN;
        (void)pthread_mutex_unlock(&c->lock);
        if (!again && (rc || tries == 2))
            break;
    } while (--tries > 0);
    (void)pthread_mutex_unlock(&c->sending);
    return rc;
}

/* --- life --- */

static void *report(void *ctx)
{
    struct lock_client *const c = ctx;

    for (;;) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)c->interval_ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_mutex_lock(&c->lock);
        while (!c->closing && pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT)
            continue;
        const bool closing = c->closing;
        (void)pthread_mutex_unlock(&c->lock);
        (void)lock_client_flush(c);
        if (closing)
            return NULL;
    }
}

static char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

static int copy_options(struct lock_client *c, const struct lock_client_options *o)
{
    const size_t n = strlen(o->url), size = n + sizeof("/v1/lock-reports");
    struct timespec t;

    c->url = malloc(size);
    if (!c->url)
        return -ENOMEM;
    (void)snprintf(c->url, size, "%.*s/v1/lock-reports", (int)(n - (n && o->url[n - 1] == '/')),
                   o->url);
    c->ns = copy(o->ns);
    c->pod = copy(o->pod);
    c->container = copy(o->container);
    c->token_file = copy(o->token_file);
    c->ca_file = copy(o->ca_file);
    (void)clock_gettime(CLOCK_REALTIME, &t);
    c->epoch = o->epoch ? o->epoch : (uint64_t)t.tv_sec;
    c->interval_ms = o->interval_ms ? o->interval_ms : USUAL_MS;
    const bool lacks = !c->ns || !c->pod || (o->container && !c->container) ||
                       (o->token_file && !c->token_file) || (o->ca_file && !c->ca_file);
    return lacks ? -ENOMEM : 0;
}

static int start(struct lock_client *c)
{
    pthread_condattr_t attributes;

    c->curl = curl_easy_init();
    c->has_key = pthread_key_create(&c->key, on_thread_end) == 0;
    if (!c->curl || !c->has_key || pthread_condattr_init(&attributes))
        return -ENOMEM;
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    c->has_locks = pthread_mutex_init(&c->lock, NULL) == 0 &&
                   pthread_mutex_init(&c->sending, NULL) == 0 &&
                   pthread_cond_init(&c->wake, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    if (!c->has_locks)
        return -ENOMEM;
    c->has_reporter = pthread_create(&c->reporter, NULL, report, c) == 0;
    return c->has_reporter ? 0 : -EAGAIN;
}

int lock_client_open(struct lock_client **out, const struct lock_client_options *options)
{
    if (!options->url || !options->ns || !options->pod)
        return -EINVAL;
    struct lock_client *const c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    int rc = copy_options(c, options);
    if (rc == 0)
        rc = start(c);
    if (rc)
        lock_client_close(c);
    else
        *out = c;
    return rc;
}

void lock_client_close(struct lock_client *c)
{
    if (!c)
        return;
    if (c->has_reporter) {
        (void)pthread_mutex_lock(&c->lock);
        c->closing = true;
        (void)pthread_cond_signal(&c->wake);
        (void)pthread_mutex_unlock(&c->lock);
        (void)pthread_join(c->reporter, NULL);
    }
    if (c->has_key)
        (void)pthread_key_delete(c->key); /* records of threads that live are freed here */
    for (struct thread *t = c->threads, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    if (c->has_locks) {
        (void)pthread_cond_destroy(&c->wake);
        (void)pthread_mutex_destroy(&c->sending);
        (void)pthread_mutex_destroy(&c->lock);
    }
    if (c->curl)
        curl_easy_cleanup(c->curl);
    free(c->report.p);
    free(c->url);
    free(c->ns);
    free(c->pod);
    free(c->container);
    free(c->token_file);
    free(c->ca_file);
    free(c);
}

void lock_client_stats(struct lock_client *c, struct lock_client_stats *out)
{
    (void)pthread_mutex_lock(&c->lock);
    *out = c->stats;
    (void)pthread_mutex_unlock(&c->lock);
}
