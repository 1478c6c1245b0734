//! A ticket order, as the functions pass it on and the database keeps it.

use serde::{Deserialize, Serialize};

use crate::clock::DAY_MS;
use crate::money::Money;

/// An order. On the wire its fields are in camel case, dates are milliseconds since 1970-01-01 UTC,
/// and the enumerations are numbers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Identifier, a UUID by custom.
    pub id: String,
    /// Who bought it.
    pub account_id: String,
    /// Who travels.
    pub contacts_name: String,
    /// Kind of identity document.
    pub document_type: i32,
    /// Number of that document.
    pub contacts_document_number: String,
    /// Train, such as `G1237`.
    pub train_number: String,
    /// Coach.
    pub coach_number: i32,
    /// Class of the seat.
    pub seat_class: SeatClass,
    /// Seat in the coach.
    pub seat_number: String,
    /// Station of departure, by identifier.
    pub from: String,
    /// Station of arrival, by identifier.
    pub to: String,
    /// Where the order is in its life.
    pub status: OrderStatus,
    /// What was, or is to be, paid.
    pub price: Money,
    /// When it was bought.
    pub bought_date: i64,
    /// The day of departure: a time on that day.
    pub travel_date: i64,
    /// The time of departure: only its time of day counts.
    pub travel_time: i64,
}

impl Order {
    /// When the train leaves, in milliseconds since 1970-01-01 UTC: the day of `travel_date` at the
    /// time of day of `travel_time`.
    pub fn departure_ms(&self) -> i64 {
        let day = self.travel_date - self.travel_date.rem_euclid(DAY_MS);
        day.saturating_add(self.travel_time.rem_euclid(DAY_MS))
    }
}

/// Defines an enumeration that is a number on the wire and in the database.
macro_rules! numbered {
    ($(#[$attribute:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(try_from = "i32", into = "i32")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl From<$name> for i32 {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $number,)+
                }
            }
        }

        impl TryFrom<i32> for $name {
            type Error = String;

            fn try_from(number: i32) -> Result<Self, String> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    other => Err(format!(concat!("unknown ", $what, " {}"), other)),
                }
            }
        }
    };
}

numbered! {
    /// Where an order is in its life.
    OrderStatus, "order status" {
        /// Bought, not yet paid.
        NotPaid = 0,
        /// Paid.
        Paid = 1,
        /// Paid, and the ticket was fetched.
        Collected = 2,
        /// Rebooked.
        Change = 3,
        /// Cancelled.
        Cancel = 4,
        /// Paid back.
        Refunds = 5,
        /// Travelled.
        Used = 6,
    }
}

numbered! {
    /// Class of a seat.
    SeatClass, "seat class" {
        /// No seat.
        None = 0,
        /// Business class.
        Business = 1,
        /// First class.
        First = 2,
        /// Second class.
        Second = 3,
        /// Hard seat.
        HardSeat = 4,
        /// Soft seat.
        SoftSeat = 5,
        /// Hard berth.
        HardBed = 6,
        /// Soft berth.
        SoftBed = 7,
        /// Soft berth of the highest standard.
        HighSoftBed = 8,
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, OrderStatus, SeatClass};
    use crate::clock::DAY_MS;
    use crate::seeds;

    #[test]
    fn numbers_and_statuses_agree() {
        for number in 0..=6 {
            assert_eq!(i32::from(OrderStatus::try_from(number).unwrap()), number);
        }
        for number in 0..=8 {
            assert_eq!(i32::from(SeatClass::try_from(number).unwrap()), number);
        }
        assert_eq!(OrderStatus::try_from(7), Err("unknown order status 7".to_owned()));
        assert_eq!(SeatClass::try_from(-1), Err("unknown seat class -1".to_owned()));
    }

    #[test]
    fn is_camel_case_with_numbers_on_the_wire() {
        let order = seeds::orders().remove(0);
        let json = serde_json::to_value(&order).unwrap();
        assert_eq!(json["accountId"], order.account_id);
        assert_eq!(json["status"], 0);
        assert_eq!(json["price"], "100.00");
        assert_eq!(serde_json::from_value::<Order>(json).unwrap(), order);
    }

    #[test]
    fn departs_on_the_day_of_one_field_at_the_time_of_the_other() {
        let mut order = seeds::orders().remove(0);
        order.travel_date = 20_000 * DAY_MS + 5;
        order.travel_time = 3 * DAY_MS + 36_000_000;
        assert_eq!(order.departure_ms(), 20_000 * DAY_MS + 36_000_000);
    }
}
