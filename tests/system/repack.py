# SPDX-License-Identifier: MIT
"""repack.py BZIMAGE OUT gzip|zstd|lz4|elf: the same kernel with another compression, or bare."""

import gzip
import lzma
import struct
import subprocess
import sys


def payload_of(image):
    """Offset and length of the compressed payload by the setup header."""
    assert image[0x202:0x206] == b"HdrS"
    base = ((image[0x1f1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    return base + offset, length


def unpack(image):
    offset, length = payload_of(image)
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[offset:offset + length])


def compress(elf, how):
    if how == "gzip":
        return gzip.compress(elf, 6)
    command = {"zstd": ["zstd", "-q", "-c", "-6"], "lz4": ["lz4", "-q", "-l", "-c", "-1"]}[how]
    return subprocess.run(command, input=elf, stdout=subprocess.PIPE, check=True).stdout


def with_payload(image, payload):
    """The bzImage with another payload: behind the setup part, where the header then says that it is."""
    base = ((image[0x1f1] or 4) + 1) * 512
    head = bytearray(image[:base])
    struct.pack_into("<II", head, 0x248, 0, len(payload))
    struct.pack_into("<I", head, 0x1f4, (len(payload) + 15) // 16)
    return bytes(head) + payload + bytes(-len(payload) % 16)


def main():
    source, target, how = sys.argv[1:]
    image = open(source, "rb").read()
    elf = unpack(image)
    if how == "elf":
        out = elf
    else:
        out = with_payload(image, compress(elf, how) + struct.pack("<I", len(elf)))
    open(target, "wb").write(out)


if __name__ == "__main__":
    main()
