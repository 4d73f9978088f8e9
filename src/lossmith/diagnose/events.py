"""TensorBoard event files: scalars, read and written without TensorBoard or TensorFlow.

A file is a row of records: length (8 bytes), checksum of it, data, checksum of the data; the data is a small protocol
buffer. Layout: https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, final

from .record import SCALARS, Step

_LARGEST = 1 << 26


def _table() -> tuple[int, ...]:
    values = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        values.append(byte)
    return tuple(values)


_CRC = _table()


def checksum(data: bytes) -> int:
    """Return the masked CRC-32C that event files use.

    Parameters
    ----------
    data : bytes
        Any.

    Returns
    -------
    int
        32 bits.

    Examples
    --------
    >>> hex(checksum(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@final
@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of an event file.

    Attributes
    ----------
    tag : str
        Its name.
    step : int
        The step.
    value : float
        The number.
    seconds : float
        When it was written.
    """

    tag: str
    step: int
    value: float
    seconds: float


def is_events(path: Path) -> bool:
    """Tell whether a file is a TensorBoard event file, by its first checksum.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        False for an empty one.
    """
    with path.open("rb") as file:
        start = file.read(12)
    return len(start) == 12 and struct.unpack("<I", start[8:])[0] == checksum(start[:8])


def scalars(path: Path) -> Iterator[Scalar]:
    """Read the scalars of an event file, one by one.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    Scalar
        In the order of the file, until its end or the first record that is cut off or damaged.
    """
    with path.open("rb") as file:
        while (data := _frame(file)) is not None:
            try:
                yield from _event(data)
            except (ValueError, IndexError, struct.error, UnicodeDecodeError):
                continue


def _frame(file: BinaryIO) -> bytes | None:
    start = file.read(12)
    if len(start) < 12 or struct.unpack("<I", start[8:])[0] != checksum(start[:8]):
        return None
    length = struct.unpack("<Q", start[:8])[0]
    if length > _LARGEST:
        return None
    data = file.read(length + 4)
    return data[:length] if len(data) == length + 4 else None


# --- protocol buffers, as much as is needed ---------------------------------------------------------------------


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (number, value): an int of a varint, or the bytes of anything else."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > len(data):
            raise ValueError("cut off")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
        if shift > 63:
            raise ValueError("varint too long")


def _event(data: bytes) -> Iterator[Scalar]:
    seconds, step, summary = 0.0, 0, b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            seconds = struct.unpack("<d", value)[0]
        elif number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and isinstance(value, bytes):
            summary = value
    for number, value in _fields(summary):
        if number == 1 and isinstance(value, bytes):
            tag, found = _summary_value(value)
            if found is not None:
                yield Scalar(tag, step, found, seconds)


def _summary_value(data: bytes) -> tuple[str, float | None]:
    tag, found = "", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif number == 2 and isinstance(value, bytes):
            found = struct.unpack("<f", value)[0]
        elif number == 8 and isinstance(value, bytes):
            found = _tensor(value)
    return tag, found


def _tensor(data: bytes) -> float | None:
    """Return the number of a tensor that holds one, in float32 or float64."""
    kinds = {1: "<f", 2: "<d"}
    kind = 0
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes) and kind in kinds:
            width = struct.calcsize(kinds[kind])
            if len(value) == width:
                found: float = struct.unpack(kinds[kind], value)[0]
                return found
    return None


# --- writing ----------------------------------------------------------------------------------------------------


@final
class EventWriter:
    """Writes the numbers of steps where TensorBoard finds them.

    Parameters
    ----------
    folder : str or Path
        What ``tensorboard --logdir`` is given; made if it is not there.

    Raises
    ------
    ValueError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> writer = EventWriter(tempfile.mkdtemp())
    >>> writer.write(Step(3, loss=0.5))
    >>> writer.close()
    >>> [(s.tag, s.step, s.value) for s in scalars(writer.path)]
    [('loss', 3, 0.5)]
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.lossmith"
        self.path = Path(folder) / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        except OSError as error:
            raise ValueError(f"cannot write events to {str(folder)!r}: {error.strerror or error}") from error
        self._append(_bytes(3, b"brain.Event:2"))

    def write(self, step: Step) -> None:
        """Write the scalars and metrics of a step.

        Parameters
        ----------
        step : Step
            Layers become "layers/NAME/gradient_norm" and so on.
        """
        named = {name: getattr(step, name) for name in SCALARS if name != "seconds"} | dict(step.metrics)
        for layer, stats in step.layers.items():
            named |= {f"layers/{layer}/{name}": getattr(stats, name) for name in stats.__slots__}
        values = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + _key(2, 5) + struct.pack("<f", _float32(value)))
            for tag, value in named.items()
            if value is not None
        )
        if values:
            self._append(_key(2, 0) + _as_varint(step.step) + _bytes(5, values))

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _append(self, rest: bytes) -> None:
        data = _key(1, 1) + struct.pack("<d", time.time()) + rest
        length = struct.pack("<Q", len(data))
        self._file.write(length + struct.pack("<I", checksum(length)) + data + struct.pack("<I", checksum(data)))


def _float32(value: float) -> float:
    return value if abs(value) < 3.4e38 or value != value else float("inf") if value > 0 else float("-inf")


def _key(number: int, kind: int) -> bytes:
    return _as_varint(number << 3 | kind)


def _as_varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(number: int, data: bytes) -> bytes:
    return _key(number, 2) + _as_varint(len(data)) + data
