"""A second of a service that moves 1 GB/s: 16,000 blocks of 64 KiB, each filled, 20 frames deep (a pyperf script)."""

import collections
import importlib

BLOCKS_A_SECOND = 16_000
DEPTH = 20
SOURCE = bytes(range(256)) * 256
# Blocks in flight: more than the caches hold, so that filling costs what it costs a service. They outlive each second,
# or the C library would give their memory back and take it again, depending on what else lies at the end of its heap.
in_flight: collections.deque[bytearray] = collections.deque(maxlen=1024)


def allocate(count: int) -> None:
    for _ in range(count):
        in_flight.append(bytearray(SOURCE))


def descend(frames: int, count: int) -> None:
    if frames:
        descend(frames - 1, count)
    else:
        allocate(count)


def seconds_of_blocks(loops: int) -> None:
    for _ in range(loops):
        # The frames of run_workload and of this file make up the rest of the twenty.
        descend(DEPTH - 12, BLOCKS_A_SECOND)


importlib.import_module("pyperf").Runner().bench_time_func("filled_blocks", seconds_of_blocks)
