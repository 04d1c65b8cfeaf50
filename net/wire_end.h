/* SPDX-License-Identifier: Apache-2.0 */
/* How reading or writing a connection ended. */
#ifndef NET_WIRE_END_H
#define NET_WIRE_END_H

enum wire_end {
    WIRE_DONE,  /* all of it */
    WIRE_AGAIN, /* when the socket says so */
    WIRE_DEAD,  /* the connection is of no more use */
};

#endif
