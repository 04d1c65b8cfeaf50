/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"

#define AT(field) .offset = offsetof(struct numawise_config, field)

enum { KI = 1024, MI = 1024 * KI, SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static const char *const modes[] = {"Enforce", "Shadow", NULL};
static const char *const act_words[] = {"DryRun", "Enforce", NULL};
static const char *const formats[] = {"text", "json", NULL};

const char *const config_role_names[CONFIG_ROLES] = {"extender", "operator", "console",
                                                     "admission"};

/* clang-format off: one line a fact */
const struct config_setting config_settings[] = {
    {"listeners.extender.address", "Where kube-scheduler calls filter and prioritize.",
     CONFIG_ADDRESS, .initial_text = "127.0.0.1:8787", AT(listeners[CONFIG_EXTENDER].address)},
    {"listeners.extender.tls.certFile",
     "Certificate of this listener and those that lead to its CA, PEM; with it the listener speaks "
     "TLS alone.",
     CONFIG_TEXT, .reloadable = true, AT(listeners[CONFIG_EXTENDER].cert_file)},
    {"listeners.extender.tls.keyFile", "Its private key, PEM.", CONFIG_TEXT, .reloadable = true,
     AT(listeners[CONFIG_EXTENDER].key_file)},
    {"listeners.extender.tls.clientCAFile",
     "Who signs the certificates of clients, PEM; with it a client needs one.", CONFIG_TEXT,
     .reloadable = true, AT(listeners[CONFIG_EXTENDER].client_ca_file)},
    {"listeners.extender.tls.allowedNames",
     "Common names, DNS names and URIs of client certificates, one of which a client must have; "
     "none: all that the CA has signed.",
     CONFIG_LIST, .reloadable = true, AT(listeners[CONFIG_EXTENDER].allowed_names)},
    {"listeners.operator.address", "The operator API.", CONFIG_ADDRESS,
     .initial_text = "127.0.0.1:8788", AT(listeners[CONFIG_OPERATOR].address)},
    {"listeners.operator.tls.certFile",
     "Certificate of this listener and those that lead to its CA, PEM; with it the listener speaks "
     "TLS alone.",
     CONFIG_TEXT, .reloadable = true, AT(listeners[CONFIG_OPERATOR].cert_file)},
    {"listeners.operator.tls.keyFile", "Its private key, PEM.", CONFIG_TEXT, .reloadable = true,
     AT(listeners[CONFIG_OPERATOR].key_file)},
    {"listeners.operator.tls.clientCAFile",
     "Who signs the certificates of clients, PEM; with it a client needs one, or a token where an "
     "API server is the source.",
     CONFIG_TEXT, .reloadable = true, AT(listeners[CONFIG_OPERATOR].client_ca_file)},
    {"listeners.operator.tls.allowedNames",
     "Common names, DNS names and URIs of client certificates, one of which a client must have; "
     "none: all that the CA has signed.",
     CONFIG_LIST, .reloadable = true, AT(listeners[CONFIG_OPERATOR].allowed_names)},
    {"listeners.console.address", "Decisions, metrics and version, for people.", CONFIG_ADDRESS,
     .initial_text = "127.0.0.1:8789", AT(listeners[CONFIG_CONSOLE].address)},
    {"listeners.console.tls.certFile",
     "Certificate of this listener and those that lead to its CA, PEM; with it the listener speaks "
     "TLS alone.",
     CONFIG_TEXT, .reloadable = true, AT(listeners[CONFIG_CONSOLE].cert_file)},
    {"listeners.console.tls.keyFile", "Its private key, PEM.", CONFIG_TEXT, .reloadable = true,
     AT(listeners[CONFIG_CONSOLE].key_file)},
    {"listeners.console.tls.clientCAFile",
     "Who signs the certificates of clients, PEM; with it a client needs one.", CONFIG_TEXT,
     .reloadable = true, AT(listeners[CONFIG_CONSOLE].client_ca_file)},
    {"listeners.console.tls.allowedNames",
     "Common names, DNS names and URIs of client certificates, one of which a client must have; "
     "none: all that the CA has signed.",
     CONFIG_LIST, .reloadable = true, AT(listeners[CONFIG_CONSOLE].allowed_names)},
    {"listeners.admission.address", "The admission webhook.", CONFIG_ADDRESS, .initial_text = "off",
     AT(listeners[CONFIG_ADMISSION].address)},
    {"listeners.admission.tls.certFile",
     "Certificate of this listener and those that lead to its CA, PEM; with it the listener speaks "
     "TLS alone.",
     CONFIG_TEXT, .reloadable = true, AT(listeners[CONFIG_ADMISSION].cert_file)},
    {"listeners.admission.tls.keyFile", "Its private key, PEM.", CONFIG_TEXT, .reloadable = true,
     AT(listeners[CONFIG_ADMISSION].key_file)},
    {"listeners.admission.tls.clientCAFile",
     "Who signs the certificates of clients, PEM; with it a client needs one.", CONFIG_TEXT,
     .reloadable = true, AT(listeners[CONFIG_ADMISSION].client_ca_file)},
    {"listeners.admission.tls.allowedNames",
     "Common names, DNS names and URIs of client certificates, one of which a client must have; "
     "none: all that the CA has signed.",
     CONFIG_LIST, .reloadable = true, AT(listeners[CONFIG_ADMISSION].allowed_names)},

    {"source.cluster", "Directory of manifests that is the cluster.", CONFIG_TEXT, AT(cluster)},
    {"source.kubeconfig", "File that says how to reach the API server that is the cluster.",
     CONFIG_TEXT, AT(kubeconfig)},
    {"source.events",
     "Write Events about nodes where a person may have to act, at the API server that is the "
     "cluster, if its rules allow it.",
     CONFIG_BOOL, .max = 1, .initial = 1, AT(events)},

    {"extender.mode", "Shadow: filter passes every node and counts what it would have refused.",
     CONFIG_CHOICE, .words = modes, .initial = CONFIG_ENFORCE, .reloadable = true, AT(mode)},
    {"extender.bind",
     "Serve the verb bind: the node is looked at once more, then the pod is bound at the API "
     "server.",
     CONFIG_BOOL, .max = 1, AT(bind)},
    {"extender.preempt",
     "Serve the verb preempt: only victims whose end lets the pod in on that node.", CONFIG_BOOL,
     .max = 1, AT(preempt)},
    {"extender.maxScore",
     "The best score on the wire; 10 with the extender's usual weights, up to 100 for finer steps "
     "with a weight of 1.",
     CONFIG_INTEGER, .min = 1, .max = 100, .initial = 10, .reloadable = true, AT(max_score)},
    {"extender.decide",
     "Prioritize gives the best node maxScore and all others 0, so that kube-scheduler takes it: "
     "with a weight of 13 or more (of 2 where maxScore is 100).",
     CONFIG_BOOL, .max = 1, .reloadable = true, AT(decide)},
    {"extender.shortlist", "Hand back only the best so many nodes; 0 = all that admit the pod.",
     CONFIG_INTEGER, .max = 5000, .reloadable = true, AT(shortlist)},
    {"extender.sparseScores",
     "Prioritize names only the nodes above the lowest score, with how much they are above it: "
     "kube-scheduler chooses the same, and reads less.",
     CONFIG_BOOL, .max = 1, .reloadable = true, AT(sparse_scores)},
    {"extender.secondLook",
     "A filter that would refuse every node waits so long for newer news of the API server, and is "
     "then worked out once more, for a tenth of the time at most; 0 = answered at once.",
     CONFIG_DURATION, .max = 5 * SECOND, .initial = LIMIT_SECOND_LOOK_MS, AT(second_look_ms)},
    {"extender.retry",
     "The CSIStorageCapacity, NAMESPACE/NAME, that is touched where a pod that was refused on "
     "every "
     "node would be admitted now, so that kube-scheduler asks again; empty: it is not made to.",
     CONFIG_TEXT, AT(retry)},
    {"extender.threads",
     "Threads that judge the nodes of one call together where many are new to it; 0 = one for each "
     "CPU "
     "that the process may use, at most 4.",
     CONFIG_INTEGER, .max = 4, AT(threads)},

    {"operator.lease",
     "The Lease, NAMESPACE/NAME, by which several replicas over an API server know who leads; "
     "empty: there is one.",
     CONFIG_TEXT, AT(operator_lease)},
    {"operator.advertise",
     "The URL of this replica alone, \"https://10.0.0.7:8788\": where "
     "the "
     "others send callers while it leads.",
     CONFIG_TEXT, AT(operator_advertise)},
    {"operator.act",
     "Enforce: what policies say about deadlocks and ResourceAdjustments is done where their own "
     "mode is Enforce, too; it needs operator.lease. DryRun: it is planned and told, whatever "
     "policies say.",
     CONFIG_CHOICE, .words = act_words, .reloadable = true, AT(act)},

    {"admission.predict",
     "Warn whoever sends a pod or a workload that no node admits now; it is stored all the same.",
     CONFIG_BOOL, .max = 1, .initial = 1, .reloadable = true, AT(admission_predict)},

    {"decisions.maxBytes",
     "Memory for decisions that can be read back, and for what they were made of.", CONFIG_BYTES,
     .min = 64 * KI, .max = 1024 * MI, .initial = 8 * MI, AT(decisions_max_bytes)},

    {"topology.maxAge", "Older topology of a node counts as unknown; 0 = never too old.",
     CONFIG_DURATION, .max = INT64_C(720) * HOUR, .initial = 5 * MINUTE, .reloadable = true,
     AT(topology_max_age_ms)},

    {"limits.head", "Head of a request (431).", CONFIG_BYTES, .min = KI, .max = 64 * KI,
     .initial = LIMIT_HEAD_BYTES, AT(limits.head_bytes)},
    {"limits.target", "Target in the request line (414).", CONFIG_BYTES, .min = 256, .max = 16 * KI,
     .initial = LIMIT_TARGET_BYTES, AT(limits.target_bytes)},
    {"limits.headers", "Header fields of a request (431).", CONFIG_INTEGER, .min = 8, .max = 256,
     .initial = LIMIT_HEADERS, AT(limits.headers)},
    {"limits.jsonNesting", "Arrays and objects inside each other, in all JSON that is read (400).",
     CONFIG_INTEGER, .min = 32, .max = LIMIT_JSON_DEPTH, .initial = LIMIT_JSON_DEPTH,
     AT(limits.json_nesting)},
    {"limits.body.extender", "Body of a request to the extender (413).", CONFIG_BYTES, .min = KI,
     .max = 1024 * MI, .initial = LIMIT_BODY_EXTENDER_BYTES,
     AT(limits.body_bytes[CONFIG_EXTENDER])},
    {"limits.body.operator", "Body of a request to the operator API (413).", CONFIG_BYTES,
     .min = KI, .max = 64 * MI, .initial = LIMIT_BODY_BYTES,
     AT(limits.body_bytes[CONFIG_OPERATOR])},
    {"limits.body.console", "Body of a request to the console (413).", CONFIG_BYTES, .min = KI,
     .max = 64 * MI, .initial = LIMIT_BODY_BYTES, AT(limits.body_bytes[CONFIG_CONSOLE])},
    {"limits.body.admission", "Body of an admission review (413).", CONFIG_BYTES, .min = KI,
     .max = 64 * MI, .initial = LIMIT_BODY_ADMISSION_BYTES,
     AT(limits.body_bytes[CONFIG_ADMISSION])},
    {"limits.headTimeout", "From the first byte of a request to the end of its head.",
     CONFIG_DURATION, .min = 10, .max = 5 * MINUTE, .initial = LIMIT_HEAD_MS, AT(limits.head_ms)},
    {"limits.bodyTimeout", "From the end of the head to the end of the body.", CONFIG_DURATION,
     .min = 10, .max = 10 * MINUTE, .initial = LIMIT_BODY_MS, AT(limits.body_ms)},
    {"limits.writeTimeout", "A reply that makes no progress for so long ends the connection.",
     CONFIG_DURATION, .min = 10, .max = 10 * MINUTE, .initial = LIMIT_WRITE_MS,
     AT(limits.write_ms)},
    {"limits.idleTimeout",
     "A connection without a request; longer than its clients' own, 90s in Go.", CONFIG_DURATION,
     .min = 10, .max = 24 * HOUR, .initial = LIMIT_IDLE_MS, AT(limits.idle_ms)},
    {"limits.bindTimeout",
     "From a call of bind to its answer; shorter than kube-scheduler's httpTimeout.",
     CONFIG_DURATION, .min = 100, .max = MINUTE, .initial = LIMIT_BIND_MS, AT(limits.bind_ms)},
    {"limits.connections", "Connections of a listener at a time.", CONFIG_INTEGER, .min = 1,
     .max = 65536, .initial = LIMIT_CONNECTIONS, AT(limits.connections)},

    {"signals.prometheus.address",
     "Whom to ask for signals: http://HOST:PORT or https://HOST:PORT, a path behind it allowed.",
     CONFIG_TEXT, .reloadable = true, AT(prometheus.address)},
    {"signals.prometheus.caFile",
     "Who signs its certificate, PEM; without it those whom this machine trusts.", CONFIG_TEXT,
     .reloadable = true, AT(prometheus.ca_file)},
    {"signals.prometheus.tokenFile", "File of the token to show it; read again when it changes.",
     CONFIG_TEXT, .reloadable = true, AT(prometheus.token_file)},
    {"signals.prometheus.interval", "How often to ask.", CONFIG_DURATION, .min = SECOND,
     .max = HOUR, .initial = 15 * SECOND, .reloadable = true, AT(prometheus.interval_ms)},
    {"signals.prometheus.timeToLive",
     "How long an answer counts when no further one comes; then it is stale.", CONFIG_DURATION,
     .min = SECOND, .max = 24 * HOUR, .initial = MINUTE, .reloadable = true, AT(prometheus.ttl_ms)},
    {"signals.prometheus.queries.networkBandwidth",
     "PromQL of the bandwidth in use, Mbit/s, by labels node and, where it is of a port, device.",
     CONFIG_TEXT, .reloadable = true, AT(prometheus.queries[0])},
    {"signals.prometheus.queries.computeUtilization",
     "PromQL of how busy accelerators are, permille, by labels node and device.", CONFIG_TEXT,
     .reloadable = true, AT(prometheus.queries[1])},
    {"signals.prometheus.queries.computeQueue",
     "PromQL of how much waits for accelerators, by labels node and device.", CONFIG_TEXT,
     .reloadable = true, AT(prometheus.queries[2])},

    {"logging.format", "Lines on stderr as text or as JSON.", CONFIG_CHOICE, .words = formats,
     .initial = CONFIG_LOG_TEXT, AT(log_format)},
    {"logging.verbosity", "0 errors, 1 warnings too, 2 information too, 3 everything.",
     CONFIG_INTEGER, .max = LOG_LEVEL_DEBUG, .initial = LOG_LEVEL_INFO, AT(log_verbosity)},
};
/* clang-format on */

const size_t config_n_settings = ARRAY_LEN(config_settings);
