"""Countries that the shop delivers to: currency, tax and shipping."""

from dataclasses import dataclass
from decimal import Decimal

from .errors import Refusal
from .money import CHF, EUR, JPY, SEK, Currency

HEAVIEST_GRAMS = 31_500
"""What the carrier takes in one parcel."""


@dataclass(frozen=True)
class Zone:
    """How shipping is charged, in euros: the first kilogram, and every further one begun."""

    first: Decimal
    further: Decimal

    def cost(self, grams: int) -> Decimal:
        """Shipping of one parcel in euros."""
        kilograms = max(1, -(-grams // 1000))
        return self.first + self.further * (kilograms - 1)


HOME = Zone(Decimal("4.90"), Decimal("0.60"))
EUROPE = Zone(Decimal("8.90"), Decimal("1.10"))
WORLD = Zone(Decimal("19.90"), Decimal("5.40"))


@dataclass(frozen=True)
class Country:
    """A country, with its rates of value-added tax in per cent by tax class.

    A country without rates is an export: the customer pays its taxes at the border.
    """

    code: str
    currency: Currency
    zone: Zone
    vat: dict[str, Decimal]


def _vat(standard: str, reduced: str) -> dict[str, Decimal]:
    return {"standard": Decimal(standard), "reduced": Decimal(reduced)}


_COUNTRIES = {
    country.code: country
    for country in (
        Country("AT", EUR, EUROPE, _vat("20", "10")),
        Country("CH", CHF, EUROPE, {}),
        Country("DE", EUR, HOME, _vat("19", "7")),
        Country("FR", EUR, EUROPE, _vat("20", "5.5")),
        Country("JP", JPY, WORLD, {}),
        Country("NL", EUR, EUROPE, _vat("21", "9")),
        Country("SE", SEK, EUROPE, _vat("25", "6")),
    )
}


def country(code: str) -> Country:
    """The country with this ISO 3166 code; a `Refusal` if the shop does not deliver there."""
    found = _COUNTRIES.get(code)
    if found is None:
        served = ", ".join(sorted(_COUNTRIES))
        raise Refusal("country", f"we do not deliver to {code}, only to {served}")
    return found


def shipping(to: Country, grams: int) -> Decimal:
    """Shipping in the country's currency; a `Refusal` if the parcel is too heavy."""
    if grams > HEAVIEST_GRAMS:
        weight = f"{grams / 1000:.1f} kg; the carrier takes {HEAVIEST_GRAMS / 1000:.1f} kg"
        raise Refusal("too-heavy", f"the parcel would weigh {weight}")
    return to.currency.from_euros(to.zone.cost(grams))
