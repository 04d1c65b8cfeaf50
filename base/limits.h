/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of what comes from outside, in one place. docs/reference/configuration.md lists them.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    LIMIT_HEAD_BYTES = 16 * 1024,
    LIMIT_TARGET_BYTES = 1024,
    LIMIT_HEADERS = 64,
    LIMIT_BODY_EXTENDER_BYTES = 128 * 1024 * 1024,
    LIMIT_BODY_ADMISSION_BYTES = 3 * 1024 * 1024,
    LIMIT_BODY_BYTES = 1024 * 1024, /* operator, console */
    LIMIT_JSON_DEPTH = 64,
    LIMIT_HEAD_MS = 3000, /* first byte to end of head */
    LIMIT_BODY_MS = 10000,
    LIMIT_WRITE_MS = 10000, /* without progress */
    LIMIT_IDLE_MS = 120000, /* longer than the 90 s of Go's client */
    LIMIT_BIND_MS = 1500,  /* shorter than the httpTimeout that deploy/ gives kube-scheduler, 2 s */
    LIMIT_HOLD_MS = 10000, /* from kube-scheduler's choice to the binding that is seen */
    LIMIT_ANSWERED_BYTES =
        1024 * 1024,           /* of names that filter handed back and prioritize will ask about */
    LIMIT_SECOND_LOOK_MS = 10, /* how long a refusal of all nodes waits for newer state */
    LIMIT_DOUBT_MS = 300000,   /* a node stands back whose kubelet refused what it was to admit */
    LIMIT_CONNECTIONS = 1024,
    LIMIT_DRAIN_MS = 5000,                /* at stop */
    LIMIT_FILE_BYTES = 256 * 1024 * 1024, /* one manifest file */
    LIMIT_KUBECONFIG_BYTES = 1024 * 1024,
    LIMIT_KUBELET_FILE_BYTES = 32 * 1024 * 1024, /* its configuration, its state */
    LIMIT_KUBELET_FILES = 256,                   /* of its configuration */
    LIMIT_PODRESOURCES_BYTES = 16 * 1024 * 1024, /* one answer */
    LIMIT_PODRESOURCES_MS = 5000,
    LIMIT_API_CALLS = 256,             /* to an API server, out at a time */
    LIMIT_API_PATH_BYTES = 8192,       /* and query */
    LIMIT_API_ERROR_BYTES = 64 * 1024, /* body of what is no 2xx */
    LIMIT_API_ANSWER_BYTES = 8 * 1024 * 1024,
    LIMIT_API_CONNECT_MS = 10000, /* TCP and TLS */
    LIMIT_API_ANSWER_MS = 35000,
    LIMIT_PROMETHEUS_BYTES = 32 * 1024 * 1024, /* one answer */
    LIMIT_PROMETHEUS_MS = 10000,
    /* Locks: names of classes, instances and threads; one report; one namespace; all of them. */
    LIMIT_LOCK_NAME_BYTES = 128,
    LIMIT_LOCK_REPORT_ITEMS = 8 * 1024, /* each of held, waiting, edges */
    LIMIT_LOCK_CLASSES = 16 * 1024,
    LIMIT_LOCK_EDGES = 128 * 1024,
    LIMIT_LOCK_ITEMS = 128 * 1024, /* held and waited for */
    LIMIT_LOCK_REPORTERS = 4 * 1024,
    LIMIT_LOCK_DEADLOCKS = 256,
    LIMIT_LOCK_SPACES = 1024,           /* namespaces */
    LIMIT_LOCK_ALL_ITEMS = 1024 * 1024, /* of all namespaces: classes, edges, held, waited for */
    LIMIT_OPERATOR_OBJECTS = 16 * 1024, /* of each kind */
    LIMIT_OPERATOR_SIGNALS = 256,    /* pushed and pulled, beyond which none is added by a push */
    LIMIT_DEADLOCK_CASES = 1024,     /* deadlocks that are followed */
    LIMIT_DEADLOCK_CASES_SPACE = 64, /* of one namespace */
};

#endif
