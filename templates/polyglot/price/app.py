"""The Lambda function `price`: what an order costs, with the items as `stock` describes them."""

import json
from decimal import Decimal
from typing import Any

import boto3

from pricing.errors import Refusal
from pricing.order import Item, Line, price

functions = boto3.client("lambda")


class CallError(Exception):
    """Another function failed, or answered with something that was not agreed."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Prices `{"items": [{"sku", "quantity"}], "country", "coupon"?}`."""
    try:
        lines = _lines(event["items"])
        priced = price(lines, event["country"], event.get("coupon"))
    except Refusal as refusal:
        return {"outcome": "refused", "reason": refusal.reason, "message": refusal.message}
    return {"outcome": "priced", **priced}


def _lines(wanted: list[dict[str, Any]]) -> list[Line]:
    answer = _ask_stock({"action": "describe", "skus": [line["sku"] for line in wanted]})
    if answer["outcome"] == "unknown-item":
        raise Refusal("unknown-item", f"there is no item {', '.join(answer['skus'])}")
    return [Line(_item(item), line["quantity"]) for line, item in zip(wanted, answer["items"])]


def _item(described: dict[str, Any]) -> Item:
    return Item(
        sku=described["sku"],
        name=described["name"],
        unit_price=Decimal(described["unitPriceCents"]) / 100,
        weight_grams=described["weightGrams"],
        tax_class=described["taxClass"],
    )


def _ask_stock(request: dict[str, Any]) -> dict[str, Any]:
    answer = functions.invoke(FunctionName="stock", Payload=json.dumps(request))
    payload = answer["Payload"].read()
    if "FunctionError" in answer:
        raise CallError(f"function stock failed; its log says more: {payload.decode()}")
    described: dict[str, Any] = json.loads(payload)
    if described.get("outcome") not in ("described", "unknown-item"):
        raise CallError(f"function stock answered with what was not agreed: {payload.decode()}")
    return described
