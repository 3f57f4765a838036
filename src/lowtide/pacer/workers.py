"""Request boundaries of worker processes: gunicorn's hooks, Celery's signals.

In `gunicorn.conf.py`, for any kind of worker:

    from lowtide.pacer.workers import post_request, pre_request

A worker that was forked needs no hook for it: lowtide sees forks itself.
"""

import importlib
from contextvars import ContextVar
from typing import Any

from lowtide.pacer.boundaries import Request

_request: ContextVar[tuple[object, Request] | None] = ContextVar("lowtide_worker_request", default=None)


def _begin(key: object) -> None:
    """Begin the request that `key` names, unless it is a part of one that has begun here."""
    begun = _request.get()
    if begun is None or not begun[1].active:
        request = Request()
        request.begin()
        _request.set((key, request))


def _end(key: object) -> None:
    begun = _request.get()
    if begun is not None and begun[0] == key:
        _request.set(None)
        begun[1].end()


def pre_request(worker: object, req: object) -> None:  # noqa: ARG001 - gunicorn's names
    """Mark the beginning of a request: a hook of gunicorn's."""
    _begin(id(req))


def post_request(worker: object, req: object, environ: object, resp: object) -> None:  # noqa: ARG001 - gunicorn calls it
    """Mark the end of a request: a hook of gunicorn's.

    The response has been sent by then. A worker of the kind `sync` closes the connection only afterwards, though: a
    client of HTTP/1.0 that finds the end of a response without a Content-Length by that waits for it.
    """
    _end(id(req))


def celery() -> None:
    """Mark each task that this Celery worker executes as a request.

    Tasks that a task calls in place are a part of it. Calling it again does nothing.

    Raises: ImportError where celery is not installed.
    """
    signals = importlib.import_module("celery.signals")
    signals.task_prerun.connect(_task_prerun, weak=False, dispatch_uid="lowtide.pacer")
    signals.task_postrun.connect(_task_postrun, weak=False, dispatch_uid="lowtide.pacer")


def _task_prerun(task_id: object = None, **_: Any) -> None:
    _begin(task_id)


def _task_postrun(task_id: object = None, **_: Any) -> None:
    _end(task_id)
