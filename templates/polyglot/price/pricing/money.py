"""Currencies, and how amounts in them are rounded and divided."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal


@dataclass(frozen=True)
class Currency:
    """A currency that the shop charges in."""

    code: str
    unit: Decimal
    """The smallest amount that is charged."""
    per_euro: Decimal
    """What one euro of the catalogue costs: the shop's own rate, fixed for the season."""

    def round(self, amount: Decimal) -> Decimal:
        """The nearest whole number of units; of two that are as near, the even one."""
        return (amount / self.unit).quantize(Decimal(1), ROUND_HALF_EVEN) * self.unit

    def from_euros(self, amount: Decimal) -> Decimal:
        """An amount of the catalogue in this currency, rounded."""
        return self.round(amount * self.per_euro)

    def show(self, amount: Decimal) -> str:
        """The amount with the decimals of the currency's unit."""
        return f"{amount.quantize(self.unit)}"

    def divide(self, amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
        """The amount in whole units, in proportion to the weights; the parts add up to it.

        What rounding down leaves over goes, unit by unit, to those who lost most by it, and of
        equals to the first.
        """
        total = sum(weights, Decimal(0))
        if total == 0:
            return [Decimal(0) for _ in weights]
        units = amount / self.unit
        exact = [units * weight / total for weight in weights]
        parts = [share.quantize(Decimal(1), ROUND_DOWN) for share in exact]
        left = int(units - sum(parts, Decimal(0)))
        by_loss = sorted(range(len(parts)), key=lambda at: parts[at] - exact[at])
        for at in by_loss[:left]:
            parts[at] += 1
        return [part * self.unit for part in parts]


EUR = Currency("EUR", Decimal("0.01"), Decimal(1))
CHF = Currency("CHF", Decimal("0.05"), Decimal("0.94"))
SEK = Currency("SEK", Decimal("0.01"), Decimal("11.20"))
JPY = Currency("JPY", Decimal(1), Decimal(163))
