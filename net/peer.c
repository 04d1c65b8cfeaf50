/* SPDX-License-Identifier: Apache-2.0 */
#include "net/peer.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum { NOTABLE = 64 /* who used less than the total by this is not counted among the sharers */ };

void peer_address(unsigned char out[PEER_ADDRESS_BYTES], const struct sockaddr *from)
{
    memset(out, 0, PEER_ADDRESS_BYTES);
    if (from->sa_family == AF_INET6)
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr,
               PEER_ADDRESS_BYTES);
    else if (from->sa_family == AF_INET)
        memcpy(out, &((const struct sockaddr_in *)(const void *)from)->sin_addr,
               sizeof(struct in_addr));
}

/* Remembered when its connections are gone: who comes anew for each request is known, too. */
static struct peer *find(struct peers *p, const unsigned char *address)
{
    struct peer *oldest = NULL;

    for (uint32_t i = 0; i < p->n; i++) {
        struct peer *const e = &p->list[i];

        if (memcmp(e->address, address, PEER_ADDRESS_BYTES) == 0)
            return e;
        if (e->open == 0 && (!oldest || e->at_ns < oldest->at_ns))
            oldest = e;
    }
    if (p->n < PEERS_MAX)
        oldest = &p->list[p->n++];
    if (!oldest)
        return &p->list[PEERS_MAX - 1];
    *oldest = (struct peer){0};
    memcpy(oldest->address, address, PEER_ADDRESS_BYTES);
    return oldest;
}

struct peer *peer_enter(struct peers *p, const struct sockaddr *from)
{
    unsigned char address[PEER_ADDRESS_BYTES];

    peer_address(address, from);
    struct peer *const peer = find(p, address);
    peer->open++;
    return peer;
}

void peer_leave(struct peer *peer)
{
    peer->open--;
}

static void fade(struct peer *peer, uint64_t now_ns)
{
    const uint64_t halvings = (now_ns - peer->at_ns) / PEER_HALF_NS;

    peer->used_ns = halvings < 64 ? peer->used_ns >> halvings : 0;
    peer->at_ns += halvings * PEER_HALF_NS;
}

void peer_charge(struct peer *peer, uint64_t ns, uint64_t now_ns)
{
    fade(peer, now_ns);
    peer->used_ns += ns;
}

enum peer_standing peer_standing(struct peers *p, struct peer *peer, uint64_t now_ns)
{
    uint64_t total_ns = 0, sharers = 0;

    for (uint32_t i = 0; i < p->n; i++) {
        fade(&p->list[i], now_ns);
        total_ns += p->list[i].used_ns;
    }
    for (uint32_t i = 0; i < p->n; i++)
        sharers += p->list[i].used_ns > total_ns / NOTABLE;
    /* a server that does nothing else has used between one and two times PEER_HALF_NS */
    const bool within_share = peer->used_ns * sharers <= total_ns;
    if (within_share)
        return peer->used_ns < PEER_HALF_NS / 2 ? PEER_LIGHT : PEER_USUAL;
    return total_ns > PEER_HALF_NS / 2 ? PEER_HEAVY : PEER_USUAL;
}
