"""The pacer: when to collect, when to give memory back, how much is allowed.

`start()` keeps full collections out of requests and memory under its limit, `trace()` writes a line for every
collection. It learns of requests from `request()` blocks or from the middleware `asgi` and `wsgi`, and of the steps of
a loop from `step()`; idle moments of asyncio's event loops it finds itself. gunicorn and Celery: `pacer.workers`.
"""

from lowtide.pacer.boundaries import request, step
from lowtide.pacer.middleware import asgi, wsgi
from lowtide.pacer.pressure import on_pressure
from lowtide.pacer.process import Status, free_os_memory, set_memory_limit, set_percent, start, status, stop
from lowtide.pacer.tracing import Trace, trace

__all__ = [
    "Status",
    "Trace",
    "asgi",
    "free_os_memory",
    "on_pressure",
    "request",
    "set_memory_limit",
    "set_percent",
    "start",
    "status",
    "step",
    "stop",
    "trace",
    "wsgi",
]
