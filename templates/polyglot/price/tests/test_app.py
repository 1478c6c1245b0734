"""The function, with the Lambda API replaced at the client's boundary."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

import app

MUG = {
    "sku": "MUG-01",
    "name": "Enamel mug",
    "unitPriceCents": 1290,
    "weightGrams": 380,
    "taxClass": "standard",
}


@pytest.fixture
def stock() -> Iterator[Stubber]:
    with Stubber(app.functions) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answers(stock: Stubber, answer: Any, skus: list[str], error: str | None = None) -> None:
    payload = json.dumps(answer).encode()
    response = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(payload), len(payload))}
    if error is not None:
        response["FunctionError"] = error
    request = json.dumps({"action": "describe", "skus": skus})
    stock.add_response("invoke", response, {"FunctionName": "stock", "Payload": request})


def order(sku: str, **more: Any) -> dict[str, Any]:
    return {"items": [{"sku": sku, "quantity": 2}], "country": "DE", **more}


def test_an_order_is_priced_with_what_the_stock_knows(stock: Stubber) -> None:
    answers(stock, {"outcome": "described", "items": [MUG]}, ["MUG-01"])
    priced = app.handler(order("MUG-01"), None)
    assert (priced["outcome"], priced["goods"], priced["total"]) == ("priced", "25.80", "36.53")
    json.dumps(priced)


def test_what_the_stock_does_not_know_has_no_price(stock: Stubber) -> None:
    answers(stock, {"outcome": "unknown-item", "skus": ["NONE-1"]}, ["NONE-1"])
    refused = {"outcome": "refused", "reason": "unknown-item", "message": "there is no item NONE-1"}
    assert app.handler(order("NONE-1"), None) == refused


def test_a_rule_may_forbid_it(stock: Stubber) -> None:
    answers(stock, {"outcome": "described", "items": [MUG]}, ["MUG-01"])
    refused = app.handler(order("MUG-01", coupon="NOSUCH1"), None)
    assert (refused["outcome"], refused["reason"]) == ("refused", "coupon")


def test_a_stock_that_fails_is_a_fault(stock: Stubber) -> None:
    error = {"errorType": "StoreError", "errorMessage": "no database"}
    answers(stock, error, ["MUG-01"], error="Unhandled")
    with pytest.raises(app.CallError, match="stock failed.*no database"):
        app.handler(order("MUG-01"), None)


def test_an_answer_that_was_not_agreed_is_a_fault(stock: Stubber) -> None:
    answers(stock, {"outcome": "reserved"}, ["MUG-01"])
    with pytest.raises(app.CallError, match="not agreed.*reserved"):
        app.handler(order("MUG-01"), None)


def test_a_stock_that_is_not_there_is_a_fault(stock: Stubber) -> None:
    stock.add_client_error("invoke", "ResourceNotFoundException", http_status_code=404)
    with pytest.raises(app.functions.exceptions.ResourceNotFoundException):
        app.handler(order("MUG-01"), None)
