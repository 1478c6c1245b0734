"""What is taken off: for many of one item, for a large order, and with a coupon."""

from dataclasses import dataclass
from decimal import Decimal

from .errors import Refusal

QUANTITY_TIERS = ((50, Decimal(12)), (20, Decimal(8)), (10, Decimal(5)))
"""Pieces of one item, and per cent off all of them; the largest that is reached counts."""

ORDER_TIERS = ((Decimal(500), Decimal(6)), (Decimal(200), Decimal(3)))
"""Euros of goods after the discounts by quantity, and per cent off them."""


def quantity_percent(quantity: int) -> Decimal:
    """Per cent off a line with this many pieces."""
    return next((off for least, off in QUANTITY_TIERS if quantity >= least), Decimal(0))


def order_percent(goods: Decimal) -> Decimal:
    """Per cent off an order with goods for this many euros."""
    return next((off for least, off in ORDER_TIERS if goods >= least), Decimal(0))


@dataclass(frozen=True)
class Coupon:
    """A coupon. All amounts are in euros, and of goods without tax."""

    code: str
    least_goods: Decimal
    """Goods that the order must have, before anything that concerns the whole order."""
    percent: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    at_most: Decimal | None = None
    """What it takes off at most."""
    free_shipping: bool = False
    with_order_tier: bool = True
    """Whether a large order is cheaper in addition; if not, the better of both counts."""

    def off(self, goods: Decimal) -> Decimal:
        """Euros that it takes off these goods."""
        off = self.amount + goods * self.percent / 100
        return min(off, goods) if self.at_most is None else min(off, goods, self.at_most)


_COUPONS = {
    coupon.code: coupon
    for coupon in (
        Coupon("FREIGHT", least_goods=Decimal(30), free_shipping=True),
        Coupon("MINUS15", least_goods=Decimal(75), amount=Decimal(15)),
        Coupon("SPRING20", Decimal(0), percent=Decimal(20), with_order_tier=False),
        Coupon("WELCOME10", Decimal(0), percent=Decimal(10), at_most=Decimal(20)),
    )
}


def coupon(code: str, goods: Decimal) -> Coupon:
    """The coupon with this code; a `Refusal` if there is none, or it is not for so few goods."""
    found = _COUPONS.get(code)
    if found is None:
        raise Refusal("coupon", f"there is no coupon {code}")
    if goods < found.least_goods:
        raise Refusal("coupon", f"coupon {code} is for orders of {found.least_goods} EUR or more")
    return found


@dataclass(frozen=True)
class Reduction:
    """What is taken off a whole order, and why."""

    reason: str
    euros: Decimal


def reductions(goods: Decimal, coupon: Coupon | None) -> list[Reduction]:
    """What is taken off an order with goods for this many euros.

    The coupon counts first and the discount of a large order on what is left, unless the coupon
    excludes it.
    """
    off = Decimal(0) if coupon is None else coupon.off(goods)
    if coupon is None or coupon.with_order_tier:
        left = goods - off
        tier = left * order_percent(left) / 100
    else:
        tier = goods * order_percent(goods) / 100
        off, tier = (off, Decimal(0)) if off >= tier else (Decimal(0), tier)
    found = []
    if coupon is not None and off:
        found.append(Reduction(f"coupon {coupon.code}", off))
    if tier:
        found.append(Reduction("large order", tier))
    return found
