"""The price of an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .countries import Country, country, shipping
from .discounts import Coupon, coupon, quantity_percent, reductions
from .money import Currency


@dataclass(frozen=True)
class Item:
    """What the stock knows of an item."""

    sku: str
    name: str
    unit_price: Decimal
    """Euros for one, without tax."""
    weight_grams: int
    tax_class: str


@dataclass(frozen=True)
class Line:
    """Some pieces of one item."""

    item: Item
    quantity: int

    @property
    def euros(self) -> Decimal:
        """What they cost without tax, the discount for many pieces taken off; not rounded."""
        full = self.item.unit_price * self.quantity
        return full * (100 - quantity_percent(self.quantity)) / 100


def price(lines: Sequence[Line], country_code: str, coupon_code: str | None) -> dict[str, Any]:
    """What these lines cost in this country, as JSON; a `Refusal` if they cannot be sold so.

    Every amount shown is rounded, and they add up: goods, less the discounts, plus shipping, plus
    tax, are the total.
    """
    to = country(country_code)
    currency = to.currency
    goods_euros = sum((line.euros for line in lines), Decimal(0))
    applied = None if coupon_code is None else coupon(coupon_code, goods_euros)

    nets = [currency.from_euros(line.euros) for line in lines]
    goods = sum(nets, Decimal(0))
    taken_off = [
        (reduction.reason, min(goods, currency.from_euros(reduction.euros)))
        for reduction in reductions(goods_euros, applied)
    ]
    grams = sum(line.item.weight_grams * line.quantity for line in lines)
    freight = _freight(to, grams, applied)
    left = goods - sum((off for _, off in taken_off), Decimal(0))
    taxes = _taxes(to, lines, currency.divide(left, nets), freight)
    total = left + freight + sum((tax for _, tax in taxes), Decimal(0))
    return {
        "currency": currency.code,
        "lines": [_line(line, net, currency) for line, net in zip(lines, nets)],
        "goods": currency.show(goods),
        "discounts": [
            {"reason": reason, "amount": currency.show(off)} for reason, off in taken_off
        ],
        "shipping": currency.show(freight),
        "taxes": [{"percent": str(rate), "amount": currency.show(tax)} for rate, tax in taxes],
        "total": currency.show(total),
        "weightGrams": grams,
    }


def _freight(to: Country, grams: int, applied: Coupon | None) -> Decimal:
    # Also with a coupon, because a parcel may be too heavy to be sent at all.
    cost = shipping(to, grams)
    return Decimal(0) if applied is not None and applied.free_shipping else cost


def _taxes(
    to: Country, lines: Sequence[Line], nets: Sequence[Decimal], freight: Decimal
) -> list[tuple[Decimal, Decimal]]:
    """The tax at each rate, highest rate first. Shipping is taxed at the standard rate."""
    bases: dict[Decimal, Decimal] = {}
    taxed = [(line.item.tax_class, net) for line, net in zip(lines, nets)]
    for tax_class, net in [*taxed, ("standard", freight)]:
        if (rate := to.vat.get(tax_class)) is not None:
            bases[rate] = bases.get(rate, Decimal(0)) + net
    return [
        (rate, to.currency.round(base * rate / 100))
        for rate, base in sorted(bases.items(), reverse=True)
        if base
    ]


def _line(line: Line, net: Decimal, currency: Currency) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sku": line.item.sku,
        "name": line.item.name,
        "quantity": line.quantity,
        "net": currency.show(net),
    }
    if percent := quantity_percent(line.quantity):
        shown["discountPercent"] = str(percent)
    return shown
