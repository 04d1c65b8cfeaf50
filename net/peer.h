/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the connections of a server come from, and how much of its time each address took lately: a
 * crowd of connections from one address gets what is left by the others, and loses its places
 * first. Pure: the clock is the caller's. Addresses beyond PEERS_MAX share one entry.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdint.h>

struct sockaddr;

enum { PEERS_MAX = 64, PEER_ADDRESS_BYTES = 16 };

struct peer {
    unsigned char address[PEER_ADDRESS_BYTES]; /* IPv4 as its 4 bytes and zeros */
    uint32_t open;                             /* connections */
    uint64_t used_ns, at_ns; /* of the server's time, halved every PEER_HALF_NS; as of at_ns */
};

#define PEER_HALF_NS UINT64_C(250000000)

struct peers {
    struct peer list[PEERS_MAX]; /* [n]; pointers to an entry hold while its `open` is not 0 */
    uint32_t n;
};

/* The order in which requests that are waiting have their turn; libevent's priorities. */
enum peer_standing {
    PEER_LIGHT, /* uses no more than its share and less than half of the server */
    PEER_USUAL, /* accepting and timers are here too */
    PEER_HEAVY, /* uses more than an equal share of a busy server */
    PEER_STANDINGS,
};

/* The address alone, without the port. */
void peer_address(unsigned char out[PEER_ADDRESS_BYTES], const struct sockaddr *from);

/* One more connection from `from`; never NULL. */
struct peer *peer_enter(struct peers *p, const struct sockaddr *from);
void peer_leave(struct peer *peer);

/* The server worked `ns` for this peer. */
void peer_charge(struct peer *peer, uint64_t ns, uint64_t now_ns);

enum peer_standing peer_standing(struct peers *p, struct peer *peer, uint64_t now_ns);

#endif
