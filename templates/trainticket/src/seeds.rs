//! What the database holds before anybody cancels anything. The structure is upstream's, the values
//! are our own.

use crate::account::{Account, AccountKind};
use crate::clock::DAY_MS;
use crate::money::Money;
use crate::order::{Order, OrderStatus, SeatClass};

/// The customer to whom the seeded orders belong.
pub const CUSTOMER: &str = "4d2a46c7-71cb-4cf1-b5bb-b68406d9da6f";

/// A station.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Station {
    /// Identifier.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// How long trains stay, in minutes.
    pub stay_time_min: i32,
}

const fn station(id: &'static str, name: &'static str, stay_time_min: i32) -> Station {
    Station { id, name, stay_time_min }
}

/// The stations.
pub const STATIONS: [Station; 13] = [
    station("shanghai", "Shang Hai", 10),
    station("shanghaihongqiao", "Shang Hai Hong Qiao", 10),
    station("suzhou", "Su Zhou", 4),
    station("wuxi", "Wu Xi", 3),
    station("changzhou", "Chang Zhou", 3),
    station("zhenjiang", "Zhen Jiang", 2),
    station("nanjing", "Nan Jing", 8),
    station("bengbu", "Beng Bu", 5),
    station("xuzhou", "Xu Zhou", 6),
    station("jinan", "Ji Nan", 7),
    station("tianjin", "Tian Jin", 6),
    station("hangzhou", "Hang Zhou", 9),
    station("beijing", "Bei Jing", 10),
];

/// 2099-06-16, far enough for a train that has not left.
const TRAVEL_DAY_MS: i64 = 47_283 * DAY_MS;

/// The orders: three of one customer, none of them paid.
pub fn orders() -> Vec<Order> {
    [
        ("0f6f1f3c-7c53-4bb8-9d4e-0b8f6c0d5a01", "G1237", "nanjing", "shanghaihongqiao", 8),
        ("0f6f1f3c-7c53-4bb8-9d4e-0b8f6c0d5a02", "G1234", "shanghai", "beijing", 9),
        ("0f6f1f3c-7c53-4bb8-9d4e-0b8f6c0d5a03", "G1235", "shanghai", "beijing", 13),
    ]
    .into_iter()
    .map(|(id, train, from, to, hour)| Order {
        id: id.to_owned(),
        account_id: CUSTOMER.to_owned(),
        contacts_name: "Contact One".to_owned(),
        document_type: 1,
        contacts_document_number: "DocumentNumber_One".to_owned(),
        train_number: train.to_owned(),
        coach_number: 5,
        seat_class: SeatClass::First,
        seat_number: "FirstClass-30".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        status: OrderStatus::NotPaid,
        price: Money::from_cents(10_000),
        bought_date: TRAVEL_DAY_MS - 30 * DAY_MS,
        travel_date: TRAVEL_DAY_MS,
        travel_time: hour * 3_600_000,
    })
    .collect()
}

/// What customers have paid in: one of them owns the seeded orders, one owns nothing.
pub fn accounts() -> Vec<Account> {
    [
        ("6b0e8f0e-5b0f-4d5a-8d0b-3f1f3c5e7a01", CUSTOMER, 1_000_000),
        ("6b0e8f0e-5b0f-4d5a-8d0b-3f1f3c5e7a02", CUSTOMER, 25_050),
        ("6b0e8f0e-5b0f-4d5a-8d0b-3f1f3c5e7a03", "9a1c1f52-6a0d-4c59-a1d8-5f0e8f3b2c77", 80_000),
    ]
    .into_iter()
    .map(|(id, user, cents)| Account {
        id: id.to_owned(),
        user_id: user.to_owned(),
        money: Money::from_cents(cents),
        kind: AccountKind::Addition,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{STATIONS, TRAVEL_DAY_MS, orders};

    #[test]
    fn orders_go_between_stations_that_exist() {
        for order in orders() {
            for end in [&order.from, &order.to] {
                assert!(STATIONS.iter().any(|station| station.id == end), "{end}");
            }
            assert!(order.departure_ms() > TRAVEL_DAY_MS);
        }
    }
}
