"""How bytes of a stream travel through the API: frames in the request's body and in the answer's, both at once.

A frame is a kind of one byte, a length of four (most significant first), and that many bytes. A client sends
ORDER once, then DATA and at last END; it goes on reading until the answer ends. The answer has DATA, END when
the workspace says no more, and BROKEN if the stream ended before both directions had.
"""

ORDER, DATA, END, BROKEN = b"O", b"D", b"E", b"X"
HEAD_BYTES = 5
DATA_MAX_BYTES = 64 << 10
"""The most bytes of one DATA frame."""


def frame(kind: bytes, data: bytes = b"") -> bytes:
    """One frame."""
    return kind + len(data).to_bytes(HEAD_BYTES - 1, "big") + data


def head(data: bytes) -> tuple[bytes, int]:
    """Kind and length, of the first bytes of a frame."""
    return data[:1], int.from_bytes(data[1:HEAD_BYTES], "big")
