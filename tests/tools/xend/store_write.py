#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""store_write.py SOCKET PATH VALUE: what xenstore-write does, at the stand-in."""
import socket
import struct
import sys

with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    body = sys.argv[2].encode() + b"\0" + sys.argv[3].encode()
    s.sendall(struct.pack("<IIII", 11, 1, 0, len(body)) + body)
    s.recv(4096)
