"""Every Hypothesis strategy of the suite."""

from hypothesis import strategies as st

from lowtide.pacer.reading import Memory, Moment
from lowtide.profile import Function, Label, Line, Location, Mapping, Profile, Sample, ValueType

HEAP_TYPES = (
    ValueType("alloc_objects", "count"),
    ValueType("alloc_space", "bytes"),
    ValueType("inuse_objects", "count"),
    ValueType("inuse_space", "bytes"),
)
SPACE = ValueType("space", "bytes")

# Names that tools have stumbled over; each has one file and one first line, as Go's tools tell functions by name alone.
QUALNAMES = (
    "__main__.<module>",
    "app.<lambda>",
    "app.Catalogue.search.<locals>.<listcomp>",
    "app.Catalogue.search",
    "app.größe",
    "pkg.mod.Class.meth",
    "json.decoder.JSONDecoder.decode",
    "<frozen importlib._bootstrap>._call_with_frames_removed",
    "x",
)
FUNCTIONS = tuple(
    Function(name, filename=f"/srv/my app/{name.split('.', maxsplit=1)[0].strip('<>')}.py", start_line=10 * number)
    for number, name in enumerate(QUALNAMES, 1)
)
SCRIPT = Mapping(
    filename="/srv/my app/app.py",
    has_functions=True,
    has_filenames=True,
    has_line_numbers=True,
    has_inline_frames=True,
)

# Each function at two lines, and each inlined into the next one.
LOCATIONS = tuple(
    Location(tuple(lines), mapping=SCRIPT)
    for function, caller in zip(FUNCTIONS, FUNCTIONS[1:] + FUNCTIONS[:1], strict=True)
    for lines in ([Line(function, 1)], [Line(function, 2)], [Line(function, 3), Line(caller, 1)])
)

DEFAULT_INTERVAL = st.just(524288)
int64s = st.integers(1 - 2**63, 2**63 - 1)
uint64s = st.integers(0, 2**64 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def any_profiles(draw: st.DrawFn) -> Profile:
    """Draw whatever the format can hold."""
    mappings = draw(
        st.lists(
            st.builds(Mapping, uint64s, uint64s, uint64s, texts, texts, *[st.booleans()] * 4),
            max_size=2,
            unique=True,
        )
    )
    functions = st.sampled_from(
        draw(st.lists(st.builds(Function, texts, texts, texts, int64s), min_size=1, max_size=4))
    )
    lines = st.lists(st.builds(Line, functions, int64s, int64s), max_size=3).map(tuple)
    homes = st.sampled_from([None, *mappings])
    locations = draw(st.lists(st.builds(Location, lines, uint64s, homes, st.booleans()), min_size=1, max_size=6))
    stacks = st.lists(st.sampled_from(locations), max_size=8).map(tuple)
    # Keys that have a meaning come with any value, too.
    keys = st.sampled_from(["bytes", "interval", "origin"]) | texts
    labels = st.builds(Label, keys, texts.filter(bool)) | st.builds(
        Label, keys, num=int64s, num_unit=texts.filter(bool)
    )
    types = draw(st.lists(st.builds(ValueType, texts, texts), min_size=1, max_size=4, unique_by=lambda kind: kind.type))
    values = st.tuples(*[int64s] * len(types))
    return Profile(
        sample_types=tuple(types),
        samples=tuple(
            draw(st.lists(st.builds(Sample, stacks, values, st.lists(labels, max_size=3).map(tuple)), max_size=6))
        ),
        period_type=draw(st.sampled_from([None, SPACE]) | st.builds(ValueType, texts, texts)),
        period=draw(int64s),
        time_nanos=draw(int64s),
        duration_nanos=draw(int64s),
        default_sample_type=draw(texts),
        comments=tuple(draw(st.lists(texts, max_size=3))),
        mappings=tuple(mappings),
        drop_frames=draw(texts),
        keep_frames=draw(texts),
        doc_url=draw(texts),
    )


@st.composite
def heap_samples(draw: st.DrawFn, *, inherited: bool) -> Sample:
    """Draw a sample as the heap profiler writes it: columns that agree with each other and with the block's size."""
    stack = draw(st.lists(st.sampled_from(LOCATIONS), min_size=1, max_size=5).map(tuple))
    size = draw(st.sampled_from([1, 48, 512, 4096, 10**6]))
    in_use, freed = draw(st.tuples(st.integers(0, 1000), st.integers(0, 1000)))
    labels = [Label("bytes", num=size, num_unit="bytes"), Label("domain", draw(st.sampled_from(["obj", "mem", "raw"])))]
    if inherited and draw(st.booleans()):
        labels.append(Label("origin", "parent"))
        return Sample(stack, (0, 0, in_use, in_use * size), tuple(labels))
    allocated = in_use + freed
    return Sample(stack, (allocated, allocated * size, in_use, in_use * size), tuple(labels))


@st.composite
def heap_profiles(
    draw: st.DrawFn, *, periods: st.SearchStrategy[int] = DEFAULT_INTERVAL, inherited: bool = False
) -> Profile:
    """Draw a heap profile."""
    return Profile(
        HEAP_TYPES,
        tuple(draw(st.lists(heap_samples(inherited=inherited), max_size=8))),
        period_type=SPACE,
        period=draw(periods),
        time_nanos=draw(st.integers(1, 2 * 10**18)),
        mappings=(SCRIPT,),
    )


@st.composite
def damaged(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Draw bytes and spoil them: cut, overwrite, insert, repeat."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        match draw(st.sampled_from(["cut", "overwrite", "insert", "repeat"])):
            case "cut":
                del data[start:end]
            case "overwrite":
                noise = draw(st.binary(max_size=4))
                data[start : start + len(noise)] = noise
            case "insert":
                data[start:start] = draw(
                    st.sampled_from([b"\x00", b"\xff" * 10 + b"\x01", b"\x80", b"\x12\x00", b"\x7a"])
                )
            case "repeat":
                data[start:start] = data[start:end]
    return bytes(data)


# What the pacer's policy is told.
gc_moments = st.sampled_from(Moment)
gc_counts = st.tuples(
    st.sampled_from([0, 60, 300, 701, 2_500, 25_000, 300_000]), st.integers(0, 11), st.integers(0, 200)
)
gc_thresholds = st.sampled_from([(700, 10, 10), (2_000, 10, 10), (50_000, 20, 100), (0, 10, 10), (1, 0, 0)])
# Mostly a little, sometimes an hour; never long enough for the comparison with CPython unless several come together.
gc_waits = st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.0, 1.5, 20.0, 70.0, 700.0, 4_000.0])
gc_pauses = st.sampled_from([0, 1_000, 900_000, 40_000_000, 240_000_000, 700_000_000])
gc_growths = st.sampled_from([0.5, 0.9, 1.0, 1.001, 1.21, 1.3, 1.6, 3.0])
memory_readings = st.builds(
    Memory,
    rss_bytes=st.integers(0, 2**31),
    working_set_bytes=st.integers(0, 2**31),
    limit_bytes=st.sampled_from([0, 1, 2**28, 2**30, 2**40]),
    retained_bytes=st.integers(0, 2**30),
    is_leader=st.booleans(),
    stall_share=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
)
