//! Which orders can be cancelled, and what their owner gets back.

use crate::money::Money;
use crate::order::{Order, OrderStatus};

/// Whether an order in this state can be cancelled.
pub fn is_cancellable(status: OrderStatus) -> bool {
    match status {
        OrderStatus::NotPaid | OrderStatus::Paid | OrderStatus::Change => true,
        OrderStatus::Collected | OrderStatus::Cancel | OrderStatus::Refunds | OrderStatus::Used => {
            false
        }
    }
}

/// What the owner of `order` gets back when it is cancelled at `now_ms` (milliseconds since
/// 1970-01-01 UTC): nothing if it was not paid or the train has left, else 80 % of the price.
///
/// `order` is the order *before* its status changes. Upstream looks at it afterwards, so that it
/// never recognises an unpaid order and pays 80 % of what nobody paid.
pub fn refund_due(order: &Order, now_ms: i64) -> Money {
    if order.status == OrderStatus::NotPaid || now_ms > order.departure_ms() {
        Money::ZERO
    } else {
        order.price.four_fifths()
    }
}

#[cfg(test)]
mod tests {
    use super::{is_cancellable, refund_due};
    use crate::money::Money;
    use crate::order::OrderStatus;
    use crate::seeds;

    #[test]
    fn only_orders_that_are_open_can_be_cancelled() {
        let open: Vec<i32> = (0..=6)
            .filter(|number| is_cancellable(OrderStatus::try_from(*number).unwrap()))
            .collect();
        assert_eq!(open, [0, 1, 3]);
    }

    #[test]
    fn pays_four_fifths_of_what_was_paid_until_departure() {
        let mut order = seeds::orders().remove(0);
        let departure_ms = order.departure_ms();
        for (status, price, now_ms, due) in [
            (OrderStatus::NotPaid, "100.0", departure_ms - 1, "0.00"),
            (OrderStatus::NotPaid, "100.0", departure_ms + 1, "0.00"),
            (OrderStatus::Paid, "100.0", departure_ms - 1, "80.00"),
            (OrderStatus::Paid, "100.0", departure_ms, "80.00"),
            (OrderStatus::Paid, "100.0", departure_ms + 1, "0.00"),
            (OrderStatus::Change, "0.99", departure_ms - 1, "0.79"),
            (OrderStatus::Change, "33.33", departure_ms - 1, "26.66"),
        ] {
            order.status = status;
            order.price = price.parse().unwrap();
            let expected: Money = due.parse().unwrap();
            assert_eq!(refund_due(&order, now_ms), expected, "{status:?} {price} at {now_ms}");
        }
    }
}
