"""Tiers and coupons."""

from decimal import Decimal

import pytest

from pricing.discounts import coupon, order_percent, quantity_percent, reductions
from pricing.errors import Refusal


@pytest.mark.parametrize(
    ("quantity", "percent"), [(1, 0), (9, 0), (10, 5), (19, 5), (20, 8), (49, 8), (50, 12), (99, 12)]
)
def test_many_of_one_item_are_cheaper(quantity: int, percent: int) -> None:
    assert quantity_percent(quantity) == percent


@pytest.mark.parametrize(
    ("goods", "percent"), [("199.99", 0), ("200", 3), ("499.99", 3), ("500", 6)]
)
def test_a_large_order_is_cheaper(goods: str, percent: int) -> None:
    assert order_percent(Decimal(goods)) == percent


def taken_off(goods: str, code: str | None) -> list[tuple[str, str]]:
    euros = Decimal(goods)
    applied = None if code is None else coupon(code, euros)
    return [(found.reason, f"{found.euros:.2f}") for found in reductions(euros, applied)]


@pytest.mark.parametrize(
    ("goods", "code", "expected"),
    [
        ("100", None, []),
        ("300", None, [("large order", "9.00")]),
        ("50", "WELCOME10", [("coupon WELCOME10", "5.00")]),
        # At most 20 euros; what is left is no large order any more.
        ("210", "WELCOME10", [("coupon WELCOME10", "20.00")]),
        ("600", "WELCOME10", [("coupon WELCOME10", "20.00"), ("large order", "34.80")]),
        ("75", "MINUS15", [("coupon MINUS15", "15.00")]),
        ("30", "FREIGHT", []),
        ("300", "FREIGHT", [("large order", "9.00")]),
        # Not together with the discount of a large order: the better of both.
        ("600", "SPRING20", [("coupon SPRING20", "120.00")]),
    ],
)
def test_coupons(goods: str, code: str | None, expected: list[tuple[str, str]]) -> None:
    assert taken_off(goods, code) == expected


@pytest.mark.parametrize(
    ("goods", "code", "message"),
    [
        ("100", "NOSUCH1", "there is no coupon NOSUCH1"),
        ("74.99", "MINUS15", "coupon MINUS15 is for orders of 75 EUR or more"),
        ("29.99", "FREIGHT", "coupon FREIGHT is for orders of 30 EUR or more"),
    ],
)
def test_a_coupon_may_not_count(goods: str, code: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        coupon(code, Decimal(goods))
    assert refused.value.reason == "coupon"
