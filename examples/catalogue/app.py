"""The HTTP face of the catalogue."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .product import InvalidProductError, Product
from .store import Catalogue, Query

MAX_BODY_BYTES = 16 * 2**20
MAX_REPORTED_ERRORS = 100
_BATCH = 50  # products handled before other requests get their turn

catalogue = Catalogue()


async def health(_: Request) -> Response:
    return JSONResponse({"status": "ok", "products": len(catalogue)})


async def search(request: Request) -> Response:
    defaults = Query()
    query = Query(
        text=request.query_params.get("q", ""),
        brand=request.query_params.get("brand", ""),
        category=request.query_params.get("category", ""),
        min_cents=_number(request, "min_cents", defaults.min_cents),
        max_cents=_number(request, "max_cents", defaults.max_cents),
        limit=_number(request, "limit", defaults.limit, most=100),
        offset=_number(request, "offset", defaults.offset, most=10_000),
    )
    return JSONResponse(catalogue.search(query))


async def get_product(request: Request) -> Response:
    return JSONResponse(_find(request).as_json())


async def patch_product(request: Request) -> Response:
    changes = await _read_json(request)
    try:
        product = _find(request).patched(changes)
    except InvalidProductError as error:
        raise HTTPException(422, str(error)) from None
    catalogue.upsert(product)
    return JSONResponse(product.as_json())


async def import_products(request: Request) -> Response:
    body = await _read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("products"), list):
        raise HTTPException(400, 'body must be {"products": [...]}')
    outcomes: Counter[str] = Counter()
    errors: list[dict[str, Any]] = []
    for number, data in enumerate(body["products"]):
        try:
            outcomes[catalogue.upsert(Product.from_json(data))] += 1
        except InvalidProductError as error:
            outcomes["rejected"] += 1
            if len(errors) < MAX_REPORTED_ERRORS:
                errors.append({"index": number, "error": str(error)})
        if number % _BATCH == _BATCH - 1:
            await asyncio.sleep(0)
    accepted = outcomes.total() - outcomes["rejected"]
    return JSONResponse({**outcomes, "errors": errors}, status_code=200 if accepted or not errors else 422)


async def export(request: Request) -> Response:
    products = catalogue.export(request.query_params.get("category", ""))

    async def lines() -> AsyncIterator[str]:
        while batch := list(islice(products, _BATCH)):
            yield "".join(json.dumps(product.as_json(), ensure_ascii=False) + "\n" for product in batch)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _read_json(request: Request) -> object:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"body must be at most {MAX_BODY_BYTES} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise HTTPException(400, f"body must be JSON: {error}") from None


def _find(request: Request) -> Product:
    if (product := catalogue.get(request.path_params["sku"])) is None:
        raise HTTPException(404, f"no product {request.path_params['sku']!r}")
    return product


def _number(request: Request, name: str, default: int, most: int = 10**12) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isdecimal() and len(text) <= 13 and int(text) <= most):
        raise HTTPException(400, f"{name} must be a whole number from 0 to {most}, got {text!r}")
    return int(text)


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/search", search),
        Route("/export", export),
        Route("/products:import", import_products, methods=["POST"]),
        Route("/products/{sku}", get_product),
        Route("/products/{sku}", patch_product, methods=["PATCH"]),
    ],
    exception_handlers={HTTPException: on_error},
)
