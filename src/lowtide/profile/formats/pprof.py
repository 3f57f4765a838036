"""pprof's profile.proto, both ways: what lowtide's files hold and what Go's tools read and write.

*Source:* proto/profile.proto of github.com/google/pprof
"""

import gzip
import io
import zlib
from array import array
from collections.abc import Callable, Sequence
from typing import TypeVar

from lowtide.errors import ProfileFormatError
from lowtide.profile.formats.protobuf import pack, unpack
from lowtide.profile.model import Function, Label, Line, Location, Mapping, ProfileData, Sample, ValueType
from lowtide.units import format_bytes

P = TypeVar("P", bound=ProfileData)
T = TypeVar("T")

MAX_BYTES = 64 * 2**20

# time_nanos and period_type are read as if they repeated: so two profiles glued together give themselves away.
_PROFILE = "MMMMMMssSsMsSss"
_VALUE_TYPE = "ss"
_SAMPLE = "USM"
_LABEL = "ssss"
_MAPPING = "uuuussuuuu"
_LOCATION = "uuuMu"
_LINE = "uss"
_FUNCTION = "ussss"

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20


def decode(data: bytes, into: type[P], max_bytes: int = MAX_BYTES) -> P:
    """Read a profile.

    Args:
        data: profile.proto, gzipped or not.
        into: the class of the result.
        max_bytes: inflated size beyond which it is refused, bytes.

    Returns: the profile; equal stacks and label sets are shared objects.
    Raises: ProfileFormatError where it is malformed, or larger than `max_bytes`.
    """
    raw = _inflate(data, max_bytes)
    try:
        fields = unpack(raw, _PROFILE, "profile")
    except ProfileFormatError as error:
        # The reason alone would puzzle who gave us a text file.
        raise ProfileFormatError(f"not a pprof profile, or a damaged one: {error}") from None
    types, samples, mappings, locations, functions, strings = fields[:6]
    drop_frames, keep_frames, times, duration_nanos, period_types, period, comments, default_type, doc_url = fields[6:]
    if len(times) > 1 or len(period_types) > 1:
        raise ProfileFormatError("concatenated profiles, expected one; read them one by one and merge them")
    if not types:
        raise ProfileFormatError("not a pprof profile: it has no sample types")
    reader = _Reader(strings)
    reader.mappings = _by_id(mappings, reader.mapping, "mapping")
    reader.functions = _by_id(functions, reader.function, "function")
    reader.locations = _by_id(locations, reader.location, "location")
    return into(
        sample_types=tuple(map(reader.value_type, types)),
        samples=reader.samples(samples, len(types)),
        period_type=reader.value_type(period_types[0]) if period_types else None,
        period=period,
        time_nanos=times[0] if times else 0,
        duration_nanos=duration_nanos,
        default_sample_type=reader.string(default_type),
        comments=tuple(map(reader.string, comments)),
        mappings=tuple(reader.mappings.values()),
        drop_frames=reader.string(drop_frames),
        keep_frames=reader.string(keep_frames),
        doc_url=reader.string(doc_url),
    )


def encode(profile: ProfileData) -> bytes:
    """Write a profile as gzipped profile.proto; equal profiles give equal bytes.

    Raises: ProfileFormatError where a number does not fit, or values and sample types do not match.
    """
    if not profile.sample_types:
        raise ProfileFormatError("a profile needs a sample type, got none")
    writer = _Writer()
    for mapping in profile.mappings:
        writer.mapping(mapping)
    types = [writer.value_type(value_type) for value_type in profile.sample_types]
    samples = [writer.sample(sample, index, len(types)) for index, sample in enumerate(profile.samples)]
    strings_and_numbers = (
        writer.string(profile.drop_frames),
        writer.string(profile.keep_frames),
        [profile.time_nanos] if profile.time_nanos else [],
        profile.duration_nanos,
        [writer.value_type(profile.period_type)] if profile.period_type else [],
        profile.period,
        [writer.string(comment) for comment in profile.comments],
        writer.string(profile.default_sample_type),
        writer.string(profile.doc_url),
    )
    tables = (writer.mappings, writer.locations, writer.functions, writer.strings)
    raw = pack((types, samples, *tables, *strings_and_numbers), _PROFILE, "profile")
    return zlib.compress(raw, level=1, wbits=31)  # a gzip header without a time


def _inflate(data: bytes, max_bytes: int) -> bytes:
    if not data:
        raise ProfileFormatError("empty file, expected a profile")
    chunks, size = [data], len(data)
    if data.startswith(_GZIP_MAGIC):
        chunks, size = [], 0
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                while size <= max_bytes and (chunk := stream.read(_CHUNK_BYTES)):
                    chunks.append(chunk)
                    size += len(chunk)
        except EOFError:
            raise ProfileFormatError("truncated gzip stream") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ProfileFormatError(f"damaged gzip stream: {error}") from None
    if size > max_bytes:
        raise ProfileFormatError(f"larger than {format_bytes(max_bytes)} inflated; raise max_bytes if you trust it")
    return b"".join(chunks)


def _by_id(messages: Sequence[bytes], read: Callable[[bytes], tuple[int, T]], what: str) -> dict[int, T]:
    table: dict[int, T] = {}
    for message in messages:
        identity, record = read(message)
        if identity == 0 or identity in table:
            raise ProfileFormatError(f"{what} id {identity} is {'used twice' if identity else 'reserved'}")
        table[identity] = record
    return table


def _find(table: dict[int, T], identity: int, what: str) -> T:
    try:
        return table[identity]
    except KeyError:
        raise ProfileFormatError(f"unknown {what} id {identity}") from None


class _Reader:
    """The tables of one profile, while what refers to them is read."""

    def __init__(self, strings: Sequence[bytes]) -> None:
        if strings and strings[0]:
            raise ProfileFormatError("the string table must begin with an empty string")
        self._strings: list[str] = []
        for index, entry in enumerate(strings or [b""]):
            try:
                self._strings.append(entry.decode())
            except UnicodeDecodeError:
                raise ProfileFormatError(f"string {index} is not UTF-8") from None
        self.mappings: dict[int, Mapping] = {}
        self.functions: dict[int, Function] = {}
        self.locations: dict[int, Location] = {}

    def string(self, index: int) -> str:
        if not 0 <= index < len(self._strings):
            raise ProfileFormatError(f"string index {index} is out of range, the table has {len(self._strings)}")
        return self._strings[index]

    def value_type(self, message: bytes) -> ValueType:
        kind, unit = unpack(message, _VALUE_TYPE, "value type")
        return ValueType(self.string(kind), self.string(unit))

    def mapping(self, message: bytes) -> tuple[int, Mapping]:
        identity, start, limit, offset, filename, build_id, *flags = unpack(message, _MAPPING, "mapping")
        names = self.string(filename), self.string(build_id)
        return identity, Mapping(start, limit, offset, *names, *map(bool, flags))

    def function(self, message: bytes) -> tuple[int, Function]:
        identity, name, system_name, filename, start_line = unpack(message, _FUNCTION, "function")
        return identity, Function(self.string(name), self.string(system_name), self.string(filename), start_line)

    def line(self, message: bytes) -> Line:
        function, line, column = unpack(message, _LINE, "line")
        return Line(_find(self.functions, function, "function"), line, column)

    def location(self, message: bytes) -> tuple[int, Location]:
        identity, mapping, address, lines, is_folded = unpack(message, _LOCATION, "location")
        home = _find(self.mappings, mapping, "mapping") if mapping else None
        return identity, Location(tuple(map(self.line, lines)), address, home, bool(is_folded))

    def labels(self, messages: Sequence[bytes]) -> tuple[Label, ...]:
        labels = []
        for message in messages:
            key, string, number, unit = unpack(message, _LABEL, "label")
            # Go writes a numeric zero without its unit as nothing at all, and drops it when it reads.
            if string or number or unit:
                labels.append(Label(self.string(key), self.string(string), number, self.string(unit)))
        return tuple(labels)

    def stack(self, ids: list[int]) -> tuple[Location, ...]:
        try:
            return tuple(map(self.locations.__getitem__, ids))
        except KeyError as error:
            raise ProfileFormatError(f"unknown location id {error.args[0]}") from None

    def samples(self, messages: Sequence[bytes], width: int) -> tuple[Sample, ...]:
        samples = []
        stacks: dict[bytes, tuple[Location, ...]] = {}
        label_sets: dict[tuple[bytes, ...], tuple[Label, ...]] = {}
        for index, message in enumerate(messages):
            ids, values, label_messages = unpack(message, _SAMPLE, "sample")
            if len(values) != width:
                raise ProfileFormatError(f"sample {index} has {len(values)} values, expected {width}")
            if -(2**63) in values:
                raise ProfileFormatError(f"sample {index} has the value 2^63, expected less")
            # As bytes: a tuple would keep alive four times as much, in ints of its own.
            stack_key, label_key = array("Q", ids).tobytes(), tuple(label_messages)
            if (stack := stacks.get(stack_key)) is None:
                stack = stacks[stack_key] = self.stack(ids)
            if (labels := label_sets.get(label_key)) is None:
                labels = label_sets[label_key] = self.labels(label_messages)
            samples.append(Sample(stack, tuple(values), labels))
        return tuple(samples)


class _Writer:
    """The tables of one profile while they grow: each record is encoded when it is first seen."""

    def __init__(self) -> None:
        self.strings: list[bytes] = [b""]
        self.mappings: list[bytes] = []
        self.functions: list[bytes] = []
        self.locations: list[bytes] = []
        self._string_ids: dict[str, int] = {"": 0}
        self._mapping_ids: dict[Mapping, int] = {}
        self._function_ids: dict[Function, int] = {}
        self._location_ids: dict[Location, int] = {}
        # By id(): hashing a deep stack costs more than encoding it. The profile keeps the objects alive meanwhile.
        self._stacks: dict[int, list[int]] = {}
        self._locations_seen: dict[int, int] = {}

    def string(self, text: str) -> int:
        index = self._string_ids.setdefault(text, len(self.strings))
        if index == len(self.strings):
            # A file name may hold lone surrogates, which are not UTF-8.
            self.strings.append(text.encode(errors="backslashreplace"))
        return index

    def value_type(self, value_type: ValueType) -> bytes:
        return pack((self.string(value_type.type), self.string(value_type.unit)), _VALUE_TYPE, "value type")

    def mapping(self, mapping: Mapping) -> int:
        identity = self._mapping_ids.setdefault(mapping, len(self.mappings) + 1)
        if identity > len(self.mappings):
            names = self.string(mapping.filename), self.string(mapping.build_id)
            flags = mapping.has_functions, mapping.has_filenames, mapping.has_line_numbers, mapping.has_inline_frames
            fields = (identity, mapping.start, mapping.limit, mapping.offset, *names, *flags)
            self.mappings.append(pack(fields, _MAPPING, "mapping"))
        return identity

    def function(self, function: Function) -> int:
        identity = self._function_ids.setdefault(function, len(self.functions) + 1)
        if identity > len(self.functions):
            names = self.string(function.name), self.string(function.system_name), self.string(function.filename)
            self.functions.append(pack((identity, *names, function.start_line), _FUNCTION, "function"))
        return identity

    def line(self, line: Line) -> bytes:
        return pack((self.function(line.function), line.line, line.column), _LINE, "line")

    def location(self, location: Location) -> int:
        if (seen := self._locations_seen.get(id(location))) is not None:
            return seen
        identity = self._location_ids.setdefault(location, len(self.locations) + 1)
        if identity > len(self.locations):
            home = self.mapping(location.mapping) if location.mapping else 0
            fields = (identity, home, location.address, [*map(self.line, location.lines)], location.is_folded)
            self.locations.append(pack(fields, _LOCATION, "location"))
        self._locations_seen[id(location)] = identity
        return identity

    def label(self, label: Label) -> bytes:
        # pprof takes the key for the unit of a number without one, but drops a zero without one.
        unit = label.num_unit or ("" if label.str or label.num else label.key)
        fields = (self.string(label.key), self.string(label.str), label.num, self.string(unit))
        return pack(fields, _LABEL, "label")

    def sample(self, sample: Sample, index: int, width: int) -> bytes:
        if len(sample.values) != width:
            raise ProfileFormatError(f"sample {index} has {len(sample.values)} values, expected {width}")
        stack = self._stacks.get(id(sample.locations))
        if stack is None:
            stack = self._stacks[id(sample.locations)] = [self.location(location) for location in sample.locations]
        return pack((stack, sample.values, [*map(self.label, sample.labels)]), _SAMPLE, "sample")
