"""Where the shop delivers, and for how much."""

from decimal import Decimal

import pytest

from pricing.countries import country, shipping
from pricing.errors import Refusal


@pytest.mark.parametrize(
    ("code", "grams", "cost"),
    [
        ("DE", 1, "4.90"),
        ("DE", 1_000, "4.90"),
        ("DE", 1_001, "5.50"),
        ("DE", 31_500, "23.50"),
        ("FR", 2_500, "11.10"),
        ("SE", 500, "99.68"),
        ("CH", 500, "8.35"),
        ("JP", 3_000, "5004"),
    ],
)
def test_every_kilogram_begun_is_charged(code: str, grams: int, cost: str) -> None:
    assert shipping(country(code), grams) == Decimal(cost)


def test_a_parcel_may_be_too_heavy() -> None:
    with pytest.raises(Refusal, match=r"31\.6 kg; the carrier takes 31\.5 kg") as refused:
        shipping(country("DE"), 31_550)
    assert refused.value.reason == "too-heavy"


def test_not_everywhere() -> None:
    with pytest.raises(Refusal, match="not deliver to US, only to AT, CH, DE") as refused:
        country("US")
    assert refused.value.reason == "country"
