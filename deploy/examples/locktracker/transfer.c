/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a mistake: two threads move money, one takes the lock of the accounts and then
 * that of the ledger, the other one the other way round. Sooner or later each has what the other
 * wants. It is instrumented with operator/client.h, so that numawise sees it.
 *
 *     transfer URL NAMESPACE POD [careful]
 *
 * `careful`: both threads take the locks in the order that the LockPolicy declares, and it ends by
 * itself after a thousand transfers. Otherwise it hangs; end it with a signal.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "operator/client.h"

enum { TRANSFERS = 1000 };

static const struct lock_client_class accounts_class = {"accounts", false},
                                      ledger_class = {"ledger", false};
static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER, ledger = PTHREAD_MUTEX_INITIALIZER;
static struct lock_client *client;
static bool careful;
static long balance, entries;

static void take(const struct lock_client_class *k, pthread_mutex_t *m)
{
    lock_client_wait(client, k, m);
    (void)pthread_mutex_lock(m);
    lock_client_got(client, k, m);
}

static void let_go(const struct lock_client_class *k, pthread_mutex_t *m)
{
    lock_client_release(client, k, m);
    (void)pthread_mutex_unlock(m);
}

static void dawdle(void)
{
    const struct timespec t = {0, 200000};

    (void)nanosleep(&t, NULL);
}

/* As the policy has it: accounts, then ledger. */
static void deposit(void)
{
    take(&accounts_class, &accounts);
    dawdle();
    take(&ledger_class, &ledger);
    balance++;
    entries++;
    let_go(&ledger_class, &ledger);
    let_go(&accounts_class, &accounts);
}

/* The mistake: ledger, then accounts. */
static void audit(void)
{
    take(&ledger_class, &ledger);
    dawdle();
    take(&accounts_class, &accounts);
    if (balance != entries)
        (void)fputs("the books do not balance\n", stderr);
    let_go(&accounts_class, &accounts);
    let_go(&ledger_class, &ledger);
}

static void *teller(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < TRANSFERS; i++)
        deposit();
    return NULL;
}

static void *auditor(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < TRANSFERS; i++)
        (careful ? deposit : audit)();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc < 4 || argc > 5 || (argc == 5 && strcmp(argv[4], "careful") != 0)) {
        (void)fputs("usage: transfer URL NAMESPACE POD [careful]\n", stderr);
        return 2;
    }
    careful = argc == 5;
    const struct lock_client_options options = {.url = argv[1], .ns = argv[2], .pod = argv[3]};
    if (lock_client_open(&client, &options)) {
        (void)fputs("transfer: no tracker\n", stderr);
        return 1;
    }
    if (pthread_create(&threads[0], NULL, teller, NULL) ||
        pthread_create(&threads[1], NULL, auditor, NULL)) {
        (void)fputs("transfer: no threads\n", stderr);
        return 1;
    }
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    (void)printf("%ld transfers, and no deadlock\n", balance);
    lock_client_close(client);
    return 0;
}
