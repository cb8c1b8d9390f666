/* SPDX-License-Identifier: MIT */
/* Connections over the socket in Domain 0. Whoever can open it is Domain 0: its mode is 0600. */
#ifndef XENSTORED_SOCKET_H
#define XENSTORED_SOCKET_H

/* Listens at DIR/socket. Dies if that cannot be done. */
void socket_listen(const char *dir);
/* Takes the socket away from the file system. */
void socket_unlink(void);

#endif
