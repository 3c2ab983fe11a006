"""What comes out of a container: an engine's frames, and among the program's own bytes what our first process says."""

import json
import os

FRAME_HEADER = 8


class FrameReader:
    """Takes a multiplexed stream apart: 8 bytes of header (stream, three zeros, length), then as many bytes."""

    def __init__(self):
        self._head = b""
        self._stream = self._left = 0

    def feed(self, data):
        """[(stream, bytes), …]; a frame need not be whole to be passed on. Raises ValueError for what is no frame."""
        parts, position = [], 0
        while position < len(data):
            if self._left == 0:
                wanted = FRAME_HEADER - len(self._head)
                self._head += data[position : position + wanted]
                position += wanted
                if len(self._head) == FRAME_HEADER:
                    self._begin(self._head)
                    self._head = b""
                continue
            part = data[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if parts and parts[-1][0] == self._stream:
                parts[-1][1].append(part)
            else:
                parts.append((self._stream, [part]))
        return [(stream, b"".join(pieces)) for stream, pieces in parts]

    def _begin(self, head):
        if head[0] > 3 or head[1:4] != b"\0\0\0":
            raise ValueError("this is no multiplexed stream")
        self._stream, self._left = head[0], int.from_bytes(head[4:], "big")


class InitRecords:
    """What container_init.py says among what the program prints: told by a nonce the program never sees."""

    def __init__(self):
        self.nonce = os.urandom(16).hex()
        self.said = {}
        self._mark = b"\x1e" + self.nonce.encode() + b" "
        self._held = b""

    def filter(self, data):
        """The program's own bytes. A record, or what may be the beginning of one, is held back."""
        data = self._held + data if self._held else data
        passed = b""
        while True:
            begin = data.find(self._mark)
            end = data.find(b"\n", begin) if begin >= 0 else -1
            if end < 0:
                break
            passed += data[:begin]
            self.said.update(json.loads(data[begin + len(self._mark) : end].decode()))
            data = data[end + 1 :]
        cut = begin if begin >= 0 else len(data) - self._overlap(data)
        self._held = data[cut:]
        return passed + data[:cut]

    def _overlap(self, data):
        """How many bytes at the end may begin a mark."""
        begin = data.rfind(b"\x1e", max(0, len(data) - len(self._mark) + 1))
        return len(data) - begin if begin >= 0 and self._mark.startswith(data[begin:]) else 0

    def rest(self):
        """What was held back and is no record after all."""
        held, self._held = self._held, b""
        return b"" if held.startswith(self._mark) else held
