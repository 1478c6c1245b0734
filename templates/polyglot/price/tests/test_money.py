"""Rounding and dividing amounts."""

from decimal import Decimal

import pytest

from pricing.money import CHF, EUR, JPY, SEK, Currency


@pytest.mark.parametrize(
    ("currency", "amount", "rounded"),
    [
        (EUR, "0.125", "0.12"),
        (EUR, "0.135", "0.14"),
        (EUR, "0.1250000001", "0.13"),
        (EUR, "7", "7.00"),
        (CHF, "0.074", "0.05"),
        (CHF, "0.075", "0.10"),
        (CHF, "0.125", "0.10"),
        (JPY, "0.5", "0"),
        (JPY, "1.5", "2"),
        (JPY, "2.5", "2"),
    ],
)
def test_of_two_units_as_near_the_even_one_is_taken(
    currency: Currency, amount: str, rounded: str
) -> None:
    assert currency.show(currency.round(Decimal(amount))) == rounded


def test_the_catalogues_euros_are_charged_at_the_shops_rate() -> None:
    assert EUR.from_euros(Decimal("12.90")) == Decimal("12.90")
    assert SEK.from_euros(Decimal("12.90")) == Decimal("144.48")
    assert CHF.from_euros(Decimal("12.90")) == Decimal("12.15")
    assert JPY.from_euros(Decimal("12.90")) == 2103


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        ("1.00", ["1", "1", "1"], ["0.34", "0.33", "0.33"]),
        ("0.05", ["1", "1"], ["0.03", "0.02"]),
        ("10.00", ["1", "2"], ["3.33", "6.67"]),
        ("10.00", ["0", "2"], ["0.00", "10.00"]),
        ("0.00", ["3", "2"], ["0.00", "0.00"]),
        ("0.00", ["0", "0"], ["0.00", "0.00"]),
    ],
)
def test_the_parts_add_up(amount: str, weights: list[str], parts: list[str]) -> None:
    divided = EUR.divide(Decimal(amount), [Decimal(weight) for weight in weights])
    assert divided == [Decimal(part) for part in parts]
    assert sum(divided) == Decimal(amount)


def test_parts_are_whole_units() -> None:
    assert CHF.divide(Decimal("0.15"), [Decimal(1), Decimal(1)]) == [Decimal("0.10"), Decimal("0.05")]
    assert JPY.divide(Decimal(100), [Decimal(1)] * 3) == [34, 33, 33]
