/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise agent`: this node's machine and kubelet into its NodeResourceTopology, on and on. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/follow.h"
#include "agent/look.h"
#include "agent/pace.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/health.h"
#include "cli/listener.h"
#include "cli/node_name.h"
#include "cli/serve_source.h"
#include "cli/watch.h"
#include "console/process.h"
#include "kube/api.h"
#include "kube/reflector.h"
#include "net/http.h"
#include "topology/discover.h"

enum {
    NODE_NAME,
    KUBECONFIG,
    KUBELET_DIR,
    KUBELET_CONFIG,
    KUBELET_CONFIG_DIR,
    KUBELET_SERVER,
    KUBELET_CA,
    DEVICE_PLUGINS,
    PODRESOURCES,
    FSROOT,
    XML,
    LISTEN,
    ONCE,
    OUTPUT,
};

static const struct args_flag flags[] = {
    [NODE_NAME] = {"node-name", 0, "N", "of the Node (default: NODE_NAME, else this host's)"},
    [KUBECONFIG] = {"kubeconfig", 0, "FILE", "how to reach the API server"},
    [KUBELET_DIR] = {"kubelet-dir", 0, "DIR", "the kubelet's (default: /var/lib/kubelet)"},
    [KUBELET_CONFIG] = {"kubelet-config", 0, "FILE",
                        "its configuration (default: DIR/config.yaml)"},
    [KUBELET_CONFIG_DIR] = {"kubelet-config-dir", 0, "DIR", "of its drop-ins (its --config-dir)"},
    [KUBELET_SERVER] = {"kubelet-server", 0, "ADDR[:PORT]|off",
                        "ask it what it runs with, flags too (port 10250; default: off)"},
    [KUBELET_CA] = {"kubelet-ca", 0, "FILE",
                    "whom to believe there (default: DIR/pki/kubelet.crt, and the cluster's CA)"},
    [DEVICE_PLUGINS] = {"device-plugins", 0, "DIR",
                        "where it meets device plugins (default: " AGENT_PLUGINS_DIR ")"},
    [PODRESOURCES] = {"podresources", 0, "SOCKET|off",
                      "where it tells of pods (default: DIR/pod-resources/kubelet.sock)"},
    [FSROOT] = {"fsroot", 0, "DIR", "a machine as copies of its /proc and /sys, to try it"},
    [XML] = {"xml", 0, "FILE", "a machine that lstopo (hwloc) exported, to try it"},
    [LISTEN] = {"listen", 0, "ADDR:PORT|off",
                "of /metrics, /livez, /readyz (default: 127.0.0.1:8790)"},
    [ONCE] = {"once", 0, NULL, "print what would be published, and end"},
    [OUTPUT] = {"output", 'o', "FORMAT", "of --once: manifest (default) or json"},
};

static const struct args_command command = {
    "agent", "[--node-name N] [--kubeconfig FILE] [--listen ADDR:PORT] [--once [-o manifest|json]]",
    "One per node: publishes what its machine has and what its kubelet has given to whom, as the\n"
    "NodeResourceTopology of the node's name, whenever that changes. Without --kubeconfig: what\n"
    "the variable KUBECONFIG lists, else the ServiceAccount of the pod it runs in.\n"
    "SIGTERM: ends. SIGHUP: discovers the machine anew.\n",
    flags, ARRAY_LEN(flags)};

enum { WATCHES = 5, ONCE_MS = 5000, PATHS_BYTES = 64 * 1024 };

struct options {
    struct agent_options agent;
    const char *kubeconfig, *kubelet_dir, *kubelet_config, *config_dir, *server, *kubelet_ca,
        *plugins, *podresources, *listen;
    bool once, json;
    char node[NODE_NAME_BYTES];
    _Alignas(max_align_t) char room[PATHS_BYTES];
};

/* Everything is used by the main thread only. */
struct loop {
    struct options *options;
    struct event_base *base;
    struct kube_access access;
    struct kube_api *api;
    struct agent *agent;
    struct health health;
    struct http_server *server; /* NULL: off */
    struct watch *watches[WATCHES];
    struct event *signals[3], *tick;
};

/* --- options --- */

static int set_machine(struct options *o, enum topo_source_kind kind, const char *text)
{
    if (o->agent.machine.kind != TOPO_SOURCE_HERE)
        return args_usage_error(&command, "only one of --fsroot and --xml can be given");
    o->agent.machine = (struct topo_source){.kind = kind, .text = text};
    return EXIT_YES;
}

static int set_node(struct options *o, const char *name, const char *from)
{
    if (!node_name_is_valid(name))
        return args_usage_error(
            &command, "%s: \"%s\" is not a name of lower case letters, digits, '-' and '.'", from,
            name);
    (void)snprintf(o->node, sizeof(o->node), "%s", name);
    return EXIT_YES;
}

static int set_output(struct options *o, const char *value)
{
    o->json = strcmp(value, "json") == 0;
    if (o->json || strcmp(value, "manifest") == 0)
        return EXIT_YES;
    return args_usage_error(&command, "-o: \"%s\" is not manifest or json", value);
}

static int set_server(struct options *o, const char *value)
{
    struct err err;

    o->server = strcmp(value, "off") == 0 ? NULL : value;
    if (o->server && agent_configz_check(value, &err))
        return args_usage_error(&command, "--kubelet-server: %s", err.text);
    return EXIT_YES;
}

static int take(void *ctx, int what, const char *value)
{
    struct options *const o = ctx;

    switch (what) {
    case NODE_NAME:
        return set_node(o, value, "--node-name");
    case KUBECONFIG:
        o->kubeconfig = value;
        return EXIT_YES;
    case KUBELET_DIR:
        o->kubelet_dir = value;
        return EXIT_YES;
    case KUBELET_CONFIG:
        o->kubelet_config = value;
        return EXIT_YES;
    case KUBELET_CONFIG_DIR:
        o->config_dir = value;
        return EXIT_YES;
    case KUBELET_SERVER:
        return set_server(o, value);
    case KUBELET_CA:
        o->kubelet_ca = value;
        return EXIT_YES;
    case DEVICE_PLUGINS:
        o->plugins = value;
        return EXIT_YES;
    case PODRESOURCES:
        o->podresources = value;
        return EXIT_YES;
    case FSROOT:
        return set_machine(o, TOPO_SOURCE_FSROOT, value);
    case XML:
        return set_machine(o, TOPO_SOURCE_XML, value);
    case LISTEN:
        o->listen = value;
        return EXIT_YES;
    case ONCE:
        o->once = true;
        return EXIT_YES;
    case OUTPUT:
        return set_output(o, value);
    default:
        return args_usage_error(&command, "unexpected \"%s\"", value);
    }
}

static int default_node(struct options *o)
{
    const char *const given = getenv("NODE_NAME");
    char host[NODE_NAME_BYTES];

    if (o->node[0])
        return EXIT_YES;
    if (given && *given)
        return set_node(o, given, "NODE_NAME");
    node_name_of_host(host);
    return set_node(o, host, "the name of this host");
}

/* EXIT_YES, ARGS_HELP, or the code to end with. */
static int read_options(struct options *o, int argc, char **argv)
{
    struct agent_paths *const paths = &o->agent.paths;
    struct arena a;
    int rc = args_read(&command, argc, argv, take, o);

    if (rc == EXIT_YES)
        rc = default_node(o);
    if (rc != EXIT_YES)
        return rc;
    arena_init(&a, o->room, sizeof(o->room));
    if (agent_paths_under(paths, o->kubelet_dir, o->plugins, &a))
        return args_usage_error(&command, "--kubelet-dir, --device-plugins: they are too long");
    paths->config_dir = o->config_dir;
    paths->configz.address = o->server;
    paths->configz.name = o->node;
    if (o->kubelet_ca)
        paths->configz.ca[0] = o->kubelet_ca;
    if (o->kubelet_config)
        paths->config = o->kubelet_config;
    if (o->podresources)
        paths->podresources = strcmp(o->podresources, "off") == 0 ? NULL : o->podresources;
    o->agent.node = o->node;
    return EXIT_YES;
}

static int complain(const struct err *err)
{
    (void)fprintf(stderr, "numawise agent: %s\n", err->text);
    return EXIT_UNREADABLE;
}

static int open_api(struct loop *l, struct err *err)
{
    static const struct kube_api_options usual;
    int rc = serve_source_access(&l->access, l->options->kubeconfig, err);

    if (rc)
        return rc;
    /* the kubelet asks the same API server whose token it is */
    l->options->agent.paths.configz.ca[1] = l->access.ca.path;
    l->options->agent.paths.configz.token_file = l->access.token_file;
    return kube_api_new(&l->api, l->base, &l->access, &usual, err);
}

/* --- once --- */

static void on_pods(void *ctx)
{
    (void)event_base_loopbreak(ctx);
}

/* Until the pods were listed, or cannot be. */
static int ask_for_pods(struct agent_follow **out, struct loop *l, struct err *err)
{
    const uint64_t until = clock_monotonic_ns() + ONCE_MS * UINT64_C(1000000);
    const struct timeval most = {ONCE_MS / 1000, 0};
    struct agent_follow *f = NULL;
    int rc = open_api(l, err);

    if (rc == 0)
        rc = agent_follow_new(&f, l->base, l->api, l->options->node, on_pods, l->base, err);
    if (rc)
        return rc;
    const struct kube_reflector *const r = agent_follow_reflector(f);
    (void)event_base_loopexit(l->base, &most);
    while (!r->state.synced && r->state.trouble == KUBE_REFLECT_FINE &&
           clock_monotonic_ns() < until)
        (void)event_base_loop(l->base, EVLOOP_ONCE);
    if (!r->state.synced)
        (void)fprintf(stderr, "numawise agent: the names of pods are not known: %s\n",
                      r->last.code ? r->last.text : "the API server does not answer");
    *out = f;
    return 0;
}

/* A file that is being written is whole some moments later. */
static int read_once(struct agent_look *look, const struct options *o,
                     const struct agent_names *pods, struct err *err)
{
    int rc;

    for (int i = 0; i < 20; i++) {
        rc = agent_look_read(look, &o->agent.paths, pods, clock_realtime_us(), err);
        if (rc != -EAGAIN)
            break;
        (void)usleep(AGENT_GATHER_MS * 1000);
    }
    return rc;
}

static int print_once(struct agent_look *look, const struct options *o, bool all_pods)
{
    const struct agent_label label = {
        .node = str_of(o->node), .generation = 1, .all_pods = all_pods, .json = o->json};
    CLEANUP(buf_free) struct buf out = {0};

    if (look->facts.lacking.n)
        (void)fprintf(stderr, "numawise agent: not known: %.*s\n", STR_ARG(look->facts.lacking));
    if (look->unnamed)
        (void)fprintf(stderr,
                      "numawise agent: %u containers hold something and their pods' names are not "
                      "known: %s\n",
                      look->unnamed, all_pods ? "they are told by uid" : "placements are left out");
    agent_look_emit(&out, look, &label);
    if (out.failed)
        return complain(&(struct err){.text = "out of memory"});
    (void)fwrite(out.p, 1, out.n, stdout); /* main() looks whether it got through */
    return EXIT_YES;
}

/* The names of pods are had from an API server where there is one; without, less is known. */
static int look_once(struct agent_look *look, struct agent_follow **f, struct loop *l,
                     struct err *err)
{
    static const struct agent_names none;
    int rc = agent_look_discover(look, &l->options->agent.machine, err);

    if (rc)
        return rc;
    rc = ask_for_pods(f, l, err);
    if (rc && *l->options->kubeconfig)
        return rc;
    if (rc)
        (void)fprintf(stderr, "numawise agent: no API server: %s\n", err->text);
    return read_once(look, l->options, *f ? agent_follow_names(*f) : &none, err);
}

static int run_once(struct loop *l)
{
    struct agent_look look = {.n_holdings = 0};
    struct agent_follow *f = NULL;
    struct err err = {0};
    int rc = agent_look_init(&look, &err);

    if (rc == 0)
        rc = look_once(&look, &f, l, &err);
    const int code =
        rc ? complain(&err)
           : print_once(&look, l->options, f && agent_follow_reflector(f)->state.synced);
    agent_follow_free(f);
    agent_look_done(&look);
    return code;
}

/* --- the loop --- */

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
    struct loop *const l = ctx;

    log_line(LOG_LEVEL_INFO, "agent", "signal %d: ending", (int)fd);
    atomic_store(&l->health.stopping, true);
    (void)event_base_loopbreak(l->base);
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
    agent_rediscover(((struct loop *)ctx)->agent);
}

static void on_file(void *ctx)
{
    agent_changed(((struct loop *)ctx)->agent);
}

/*
 * Again and again, for directories come and go: a kubelet that starts makes them, a device plugin's
 * is wiped. What cannot be followed is seen by the agent's own polls.
 */
static void watch_files(struct loop *l)
{
    const struct agent_paths *const p = &l->options->agent.paths;
    const char *const paths[WATCHES] = {p->cpu_state, p->memory_state, p->checkpoint, p->config,
                                        p->podresources}; /* a new socket: it has started */
    struct err err;

    for (int i = 0; i < WATCHES; i++) {
        watch_free(l->watches[i]);
        l->watches[i] = NULL;
        if (paths[i] && watch_new(&l->watches[i], paths[i], l->base, on_file, l, &err))
            log_line(LOG_LEVEL_DEBUG, "agent", "%s", err.text);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct loop *const l = ctx;

    watch_files(l);
    agent_changed(l->agent);
}

static int watch_signals(struct loop *l, struct err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    static const struct timeval every = {AGENT_POLL_MS / 1000, 0};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        l->signals[i] =
            evsignal_new(l->base, numbers[i], numbers[i] == SIGHUP ? on_hangup : on_stop, l);
        if (!l->signals[i] || event_add(l->signals[i], NULL))
            return err_set(err, -EIO, "cannot handle signals");
    }
    l->tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
    if (!l->tick || event_add(l->tick, &every))
        return err_set(err, -EIO, "no timer");
    return 0;
}

static void metrics(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    const struct loop *const l = ctx;
    struct buf text = {0};

    process_build_info(&text);
    process_metrics(&text);
    agent_metrics(l->agent, &text);
    http_content_type(reply, "text/plain; version=0.0.4; charset=utf-8");
    if (text.failed)
        http_status(reply, 503);
    else
        http_add(reply, text.p, text.n);
    buf_free(&text);
}

static int start_server(struct loop *l, struct err *err)
{
    struct http_route routes[HEALTH_ROUTES + 1];
    struct numawise_config usual;

    config_init(&usual);
    const struct http_limits limits = listener_limits(&usual, CONFIG_CONSOLE);
    health_init(&l->health, NULL);
    health_add(&l->health, (struct health_check){"loop", true, agent_is_alive, l->agent});
    health_add(&l->health, (struct health_check){"published", false, agent_is_current, l->agent});
    health_routes(&l->health, routes);
    routes[HEALTH_ROUTES] =
        (struct http_route){"/metrics", HTTP_GET | HTTP_HERE, false, metrics, l};
    int rc = http_server_new(&l->server, "agent", routes, ARRAY_LEN(routes), &limits, err);
    if (rc == 0)
        rc = http_server_listen(l->server, l->options->listen, err);
    if (rc == 0)
        rc = http_server_start(l->server, err);
    return rc ? err_wrap(err, rc, "--listen") : 0;
}

static int open_all(struct loop *l, struct err *err)
{
    int rc = watch_signals(l, err);

    if (rc == 0)
        rc = open_api(l, err);
    if (rc == 0)
        rc = agent_new(&l->agent, l->base, l->api, &l->options->agent, err);
    if (rc == 0 && strcmp(l->options->listen, "off") != 0)
        rc = start_server(l, err);
    if (rc)
        return rc;
    watch_files(l);
    log_line(LOG_LEVEL_INFO, "agent", "%s: publishing to %s, as %s says", l->options->node,
             l->access.server, l->access.from);
    return 0;
}

static void close_all(struct loop *l)
{
    if (l->server)
        http_server_stop(l->server);
    http_server_free(l->server);
    for (int i = 0; i < WATCHES; i++)
        watch_free(l->watches[i]);
    agent_free(l->agent);
    kube_api_free(l->api);
    kube_access_done(&l->access);
    for (size_t i = 0; i < ARRAY_LEN(l->signals); i++)
        if (l->signals[i])
            event_free(l->signals[i]);
    if (l->tick)
        event_free(l->tick);
    if (l->base)
        event_base_free(l->base);
}

static int run(struct loop *l)
{
    struct err err = {0};

    log_setup(LOG_LEVEL_INFO, false);
    if (open_all(l, &err))
        return complain(&err);
    if (l->server) {
        (void)printf("agent %s\n", http_server_url(l->server));
        (void)fflush(stdout);
    }
    (void)event_base_dispatch(l->base);
    return EXIT_YES;
}

int cmd_agent(int argc, char **argv)
{
    static struct options options = {.kubeconfig = "",
                                     .kubelet_dir = "/var/lib/kubelet",
                                     .plugins = AGENT_PLUGINS_DIR,
                                     .listen = "127.0.0.1:8790"};
    static struct loop loop;
    static struct buf settings; /* of the kubelet, as it told them last */
    int rc = read_options(&options, argc, argv);

    if (rc != EXIT_YES)
        return rc == ARGS_HELP ? EXIT_YES : rc;
    loop.options = &options;
    options.agent.paths.configz.last = &settings;
    loop.base = event_base_new();
    if (!loop.base)
        return complain(&(struct err){.text = "no event loop"});
    rc = options.once ? run_once(&loop) : run(&loop);
    close_all(&loop);
    buf_free(&settings);
    return rc;
}
