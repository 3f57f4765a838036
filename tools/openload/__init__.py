"""Open-loop load generator: a constant arrival rate, and latency from the time each request should have left.

A closed loop (send, wait, send) stops asking while the server stalls, so the stall costs it one slow request. Here
request `i` is due at `t0 + i/rate` whatever the server does, and its latency counts from then. What the client itself
could not keep up with is reported (`skipped`, `late`), never hidden in the percentiles.
"""

from .generator import run
from .http1 import OpenloadError
from .report import Report
from .scenario import Request, Scenario, Step

__all__ = ["OpenloadError", "Report", "Request", "Scenario", "Step", "run"]
