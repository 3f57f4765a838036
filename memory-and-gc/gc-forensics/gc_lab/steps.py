"""Run a workload's requests one after the other, without a network, and print what became of it.

Run by `leak.py` and `pairs.py`. A line of JSON after every 50th request and at the end: who is killed has said so much.
"""

import gc
import json
import sys
import time

from gc_lab.policies import POLICIES
from gc_lab.recorder import Recorder
from gc_lab.workloads import WORKLOADS
from lowtide import pacer


def main(*, workload: str, policy: str, objects: int, requests: int, idle_every: int) -> None:
    handle = WORKLOADS[workload].build(objects)
    gc.collect()  # what starting has left to the first collection would be in the figures of some policies only
    recorder = Recorder()
    chosen = POLICIES[policy]
    chosen.begin()
    recorder.reset()
    for number in range(1, requests + 1):
        recorder.is_busy = True
        with pacer.request():
            handle(number)
            recorder.is_busy = False
        recorder.requests += 1
        chosen.after(number)
        if idle_every and number % idle_every == 0:
            time.sleep(0.002)
        if number % 50 == 0 or number == requests:
            print(json.dumps(recorder.read()), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
