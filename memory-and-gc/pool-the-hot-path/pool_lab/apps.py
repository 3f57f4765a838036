"""The catalogue twice: all is the example's own, but for how an export's products become bytes."""

from collections.abc import AsyncIterator, Callable, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from examples.catalogue.app import app, catalogue
from examples.catalogue.product import Product
from pool_lab import export, misuse

Chunks = Callable[[Iterator[Product]], Iterator[bytes | memoryview]]


def variant(chunks: Chunks) -> Starlette:
    """Return the catalogue with an export that sends what `chunks` makes of the products."""

    async def export_products(request: Request) -> StreamingResponse:
        products = catalogue.export(request.query_params.get("category", ""))

        async def stream() -> AsyncIterator[bytes | memoryview]:
            for chunk in chunks(products):
                yield chunk

        return StreamingResponse(stream(), media_type="application/x-ndjson")

    return Starlette(
        routes=[Route("/export", export_products), *app.routes],  # the first that fits is taken
        exception_handlers=app.exception_handlers,
    )


VARIANTS = {
    "service": app,
    "before": variant(export.before),
    "after": variant(export.after),
    "careless": variant(misuse.chunks),
}
