"""Whole orders."""

from decimal import Decimal
from typing import Any

import pytest

from pricing.errors import Refusal
from pricing.order import Item, Line, price

MUG = Item("MUG-01", "Enamel mug", Decimal("12.90"), 380, "standard")
TEA = Item("TEA-07", "Darjeeling, 100 g", Decimal("9.45"), 130, "reduced")
CHAIR = Item("CHAIR-09", "Reading chair", Decimal("189.00"), 9_400, "standard")


def test_a_plain_order() -> None:
    assert price([Line(MUG, 2), Line(TEA, 1)], "DE", None) == {
        "currency": "EUR",
        "lines": [
            {"sku": "MUG-01", "name": "Enamel mug", "quantity": 2, "net": "25.80"},
            {"sku": "TEA-07", "name": "Darjeeling, 100 g", "quantity": 1, "net": "9.45"},
        ],
        "goods": "35.25",
        "discounts": [],
        "shipping": "4.90",
        # 19 % of 25.80 + 4.90 = 5.833, and 7 % of 9.45 = 0.6615.
        "taxes": [{"percent": "19", "amount": "5.83"}, {"percent": "7", "amount": "0.66"}],
        "total": "46.64",
        "weightGrams": 890,
    }


def test_a_discount_is_taken_off_every_line_before_tax() -> None:
    priced = price([Line(MUG, 2), Line(TEA, 1)], "DE", "WELCOME10")
    # 3.525 is as near to 3.52 as to 3.53.
    assert priced["discounts"] == [{"reason": "coupon WELCOME10", "amount": "3.52"}]
    # Of the 31.73 left, 23.22 are mugs and 8.51 tea.
    assert priced["taxes"] == [{"percent": "19", "amount": "5.34"}, {"percent": "7", "amount": "0.60"}]
    assert priced["total"] == "42.57"


def test_many_pieces_and_a_large_order() -> None:
    priced = price([Line(TEA, 50)], "FR", None)
    assert priced["lines"][0] == {
        "sku": "TEA-07",
        "name": "Darjeeling, 100 g",
        "quantity": 50,
        "net": "415.80",
        "discountPercent": "12",
    }
    assert priced["discounts"] == [{"reason": "large order", "amount": "12.47"}]
    assert priced["taxes"][1] == {"percent": "5.5", "amount": "22.18"}


def test_an_export_has_no_tax_and_its_own_currency() -> None:
    priced = price([Line(MUG, 1)], "JP", None)
    shown = {key: priced[key] for key in ("currency", "goods", "shipping", "taxes", "total")}
    assert shown == {
        "currency": "JPY",
        "goods": "2103",
        "shipping": "3244",
        "taxes": [],
        "total": "5347",
    }


def test_a_coupon_for_shipping() -> None:
    priced = price([Line(CHAIR, 1)], "DE", "FREIGHT")
    assert (priced["shipping"], priced["total"]) == ("0.00", "224.91")
    with pytest.raises(Refusal, match="37.6 kg"):
        price([Line(CHAIR, 4)], "DE", "FREIGHT")


@pytest.mark.parametrize("country", ["AT", "CH", "DE", "FR", "JP", "NL", "SE"])
@pytest.mark.parametrize("code", [None, "WELCOME10", "SPRING20"])
@pytest.mark.parametrize("quantity", [1, 7, 23])
def test_what_is_shown_adds_up(country: str, code: str | None, quantity: int) -> None:
    priced: dict[str, Any] = price([Line(MUG, quantity), Line(TEA, 3)], country, code)
    lines = sum(Decimal(line["net"]) for line in priced["lines"])
    assert lines == Decimal(priced["goods"])
    off = sum(Decimal(discount["amount"]) for discount in priced["discounts"])
    taxes = sum(Decimal(tax["amount"]) for tax in priced["taxes"])
    assert lines - off + Decimal(priced["shipping"]) + taxes == Decimal(priced["total"])
    if country == "CH":
        assert Decimal(priced["total"]) % Decimal("0.05") == 0
