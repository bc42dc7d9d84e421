"""Decompresses the body of an answer piece by piece: a small body may expand to any size."""

import zlib
from collections.abc import Iterator
from typing import Any

#: Encodings that are asked for; others are refused.
ACCEPTED = "gzip, deflate"
#: Number of bytes that are read, and that are decompressed, at a time.
_CHUNK = 1 << 18


class Unreadable(Exception):
    """A body cannot be decompressed, or ends too early."""


def chunks(response: Any) -> Iterator[bytes]:
    """Yield the decompressed body of an answer. Raises Unreadable, and exceptions of urllib3."""
    packings = response.headers.get("Content-Encoding", "").lower().split(",")
    packings = [each.strip() for each in packings if each.strip() not in ("", "identity")]
    read = response.raw.stream(_CHUNK, decode_content=False)
    if not packings:
        yield from read
    elif packings in (["gzip"], ["x-gzip"], ["deflate"]):
        yield from _unpacked(read, packings[0])
    else:
        raise Unreadable(f"is packed as {', '.join(packings)[:80]!r}")


def _unpacked(read: Iterator[bytes], packing: str) -> Iterator[bytes]:
    begun = None
    left = b""
    for packed in read:
        left += packed
        while left:
            if begun is None:
                begun = _begin(packing, left)
            try:
                yield begun.decompress(left, _CHUNK)
            except zlib.error:
                raise Unreadable("cannot be unpacked") from None
            left = begun.unconsumed_tail
            if begun.eof:
                # Several gzip streams may follow each other; other bytes after the end are ignored.
                left = begun.unused_data.lstrip(b"\0") if packing != "deflate" else b""
                begun = None
    # Decompressed bytes may be held back although all was read.
    while begun is not None and (rest := begun.decompress(b"", _CHUNK)):
        yield rest
    if begun is not None and not begun.eof:
        raise Unreadable("breaks off")


def _begin(packing: str, head: bytes) -> Any:
    if packing != "deflate":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    # Servers disagree on whether deflate has the header of zlib.
    wrapped = head[0] & 0x0F == 8 and (len(head) < 2 or (head[0] << 8 | head[1]) % 31 == 0)
    return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
