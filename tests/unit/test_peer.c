/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "net/peer.h"

#define MS UINT64_C(1000000)

static struct peer *enter(struct peers *p, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};

    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    return peer_enter(p, (const struct sockaddr *)&at);
}

static void one_address_is_one_peer_whatever_its_connections(void **state)
{
    static struct peers p;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};

    struct peer *const a = enter(&p, "10.0.0.1");
    assert_ptr_equal(enter(&p, "10.0.0.1"), a);
    assert_int_equal(a->open, 2);
    assert_ptr_not_equal(enter(&p, "10.0.0.2"), a);
    assert_ptr_not_equal(peer_enter(&p, (const struct sockaddr *)&six), a);
    peer_leave(a);
    assert_int_equal(a->open, 1);
}

static void who_is_alone_is_never_heavy(void **state)
{
    static struct peers p;
    struct peer *const a = enter(&p, "10.0.0.1");

    assert_int_equal(peer_standing(&p, a, 0), PEER_LIGHT);
    peer_charge(a, 124 * MS, 0); /* less than half of 250 ms */
    assert_int_equal(peer_standing(&p, a, 0), PEER_LIGHT);
    peer_charge(a, 400 * MS, 0);
    assert_int_equal(peer_standing(&p, a, 0), PEER_USUAL);
}

/* 300 + 20 ms: the equal share is 160; 20/320 is more than 1/64, so both count as sharers. */
static void on_a_busy_server_who_takes_more_than_a_share_is_heavy(void **state)
{
    static struct peers p;
    struct peer *const a = enter(&p, "10.0.0.1"), *const b = enter(&p, "10.0.0.2");

    peer_charge(a, 300 * MS, 0);
    peer_charge(b, 20 * MS, 0);
    assert_int_equal(peer_standing(&p, a, 0), PEER_HEAVY);
    assert_int_equal(peer_standing(&p, b, 0), PEER_LIGHT);
    /* two half-lives on: 75 + 5 ms, the server is not busy, nobody has to wait */
    assert_int_equal(peer_standing(&p, a, 2 * PEER_HALF_NS), PEER_USUAL);
    assert_int_equal(a->used_ns, 75 * MS);
    assert_int_equal(peer_standing(&p, a, 1000 * PEER_HALF_NS), PEER_LIGHT);
    assert_int_equal(a->used_ns, 0);
}

/* Addresses without a connection make room, the one longest unheard of first. */
static void more_addresses_than_entries_share_the_last_one(void **state)
{
    static struct peers p;
    struct peer *first = NULL;
    char address[32];

    for (int i = 0; i < PEERS_MAX; i++) {
        (void)snprintf(address, sizeof(address), "10.0.1.%d", i);
        struct peer *const e = enter(&p, address);
        first = first ? first : e;
    }
    struct peer *const shared = enter(&p, "10.0.2.1");
    assert_ptr_equal(enter(&p, "10.0.2.2"), shared);
    assert_ptr_equal(shared, &p.list[PEERS_MAX - 1]);
    peer_leave(first);
    struct peer *const taken = enter(&p, "10.0.2.3");
    assert_ptr_equal(taken, first);
    assert_int_equal(taken->open, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_is_one_peer_whatever_its_connections),
        cmocka_unit_test(who_is_alone_is_never_heavy),
        cmocka_unit_test(on_a_busy_server_who_takes_more_than_a_share_is_heavy),
        cmocka_unit_test(more_addresses_than_entries_share_the_last_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
