"""The protobuf wire format, as far as pprof needs it.

A message's schema is a string with one letter a field, from field 1 on: `s` int64, `u` uint64 or bool, capitals for
repeated ones, `M` for repeated messages or strings. Fields beyond the schema are skipped, as protobuf demands.

*Source:* https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterable, Sequence
from typing import Any

from lowtide.errors import ProfileFormatError

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_SIGN = 1 << 63
_MODULUS = 1 << 64


def unpack(message: bytes, schema: str, what: str) -> list[Any]:
    """Split a message into one value for each field of its schema.

    Args:
        message: the encoded message.
        schema: one letter a field, see above.
        what: the message's name, for errors.

    Returns: an int, or for a repeated field a list of int or bytes; 0 or an empty list where the field is missing.
    Raises: ProfileFormatError where the message is malformed.
    """
    fields: list[Any] = [0 if kind in "su" else [] for kind in schema]
    position, size, known = 0, len(message), len(schema)
    try:
        while position < size:
            tag = message[position]
            position += 1
            if tag >= 0x80:
                tag, position = _varint(message, position - 1)
            number, wire_type = tag >> 3, tag & 7
            kind = schema[number - 1] if 1 <= number <= known else ""
            if wire_type == _VARINT:
                value = message[position]
                position += 1
                if value >= 0x80:
                    value, position = _varint(message, position - 1)
                    if value >= _SIGN and kind in ("s", "S"):
                        value -= _MODULUS
                if kind in ("s", "u"):
                    fields[number - 1] = value
                elif kind in ("S", "U"):
                    fields[number - 1].append(value)
                elif kind == "M":
                    raise ProfileFormatError(f"field {number} of a {what} is a number, expected bytes")
            elif wire_type == _DELIMITED:
                length = message[position]
                position += 1
                if length >= 0x80:
                    length, position = _varint(message, position - 1)
                start, position = position, position + length
                if position > size:
                    raise ProfileFormatError(f"truncated {what}: {length} bytes announced, {size - start} left")
                if kind == "M":
                    fields[number - 1].append(message[start:position])
                elif kind in ("S", "U"):
                    fields[number - 1].extend(_packed(message[start:position], signed=kind == "S"))
                elif kind:
                    raise ProfileFormatError(f"field {number} of a {what} is bytes, expected a number")
            elif wire_type in _FIXED_BYTES and not kind and number:
                position += _FIXED_BYTES[wire_type]
            else:
                raise ProfileFormatError(f"field {number} of a {what} has wire type {wire_type}")
            if number == 0:
                raise ProfileFormatError(f"field number 0 in a {what}")
    except IndexError:
        raise ProfileFormatError(f"truncated {what}") from None
    if position > size:
        raise ProfileFormatError(f"truncated {what}")
    return fields


def pack(values: Sequence[Any], schema: str, what: str) -> bytes:
    """Encode one value for each field of the schema; zeros and empty lists take no room.

    Raises: ProfileFormatError where a number does not fit its field.
    """
    parts: list[bytes] = []
    for number, (value, kind) in enumerate(zip(values, schema, strict=True), 1):
        if not value:
            continue
        varint_tag = bytes((number << 3 | _VARINT,))
        delimited_tag = bytes((number << 3 | _DELIMITED,))
        if kind == "M":
            for item in value:
                parts += (delimited_tag, _encoded(len(item)), item)
            continue
        numbers: Iterable[int] = (value,) if kind in "su" else value
        low, high = (1 - _SIGN, _SIGN) if kind in "sS" else (0, _MODULUS)
        for item in numbers:
            if not low <= item < high:
                raise ProfileFormatError(f"{item} in a {what} does not fit {'an int64' if low else 'a uint64'}")
        encoded = [_encoded(item) for item in numbers]
        # Go reads a singular field only unpacked, and packs short lists no more than this does.
        if len(encoded) <= 2:
            parts += (part for item in encoded for part in (varint_tag, item))
        else:
            packed = b"".join(encoded)
            parts += (delimited_tag, _encoded(len(packed)), packed)
    return b"".join(parts)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read one varint; return it and the position behind it. Runs off the end with IndexError."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise ProfileFormatError("a number is longer than 64 bits")
    if value >= _MODULUS:
        raise ProfileFormatError("a number is longer than 64 bits")
    return value, position


def _packed(chunk: bytes, *, signed: bool) -> list[int]:
    if chunk.isascii():
        return list(chunk)
    numbers: list[int] = []
    value = shift = 0
    # Stacks are most of a profile, so this loop is written out and not a call of _varint.
    for byte in chunk:
        if byte >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ProfileFormatError("a number is longer than 64 bits")
        else:
            numbers.append(value | byte << shift)
            value = shift = 0
    if shift:
        raise ProfileFormatError("truncated list of numbers")
    if max(numbers) >= _MODULUS:
        raise ProfileFormatError("a number is longer than 64 bits")
    if signed:
        return [number - _MODULUS if number >= _SIGN else number for number in numbers]
    return numbers


def _encoded(number: int) -> bytes:
    if 0 <= number < 0x80:
        return _ONE_BYTE[number]
    number %= _MODULUS
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_ONE_BYTE = [bytes((number,)) for number in range(0x80)]
