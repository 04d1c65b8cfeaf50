/* SPDX-License-Identifier: Apache-2.0 */
/* What a Node may be called, and what this host's would be. */
#ifndef CLI_NODE_NAME_H
#define CLI_NODE_NAME_H

#include <stdbool.h>

enum { NODE_NAME_BYTES = 254 }; /* terminated */

/* RFC 1123 subdomain, as Kubernetes wants names of nodes. */
bool node_name_is_valid(const char *name);

/* The host's name in lower case, as the kubelet takes it; perhaps none that is valid. */
void node_name_of_host(char out[NODE_NAME_BYTES]);

#endif
