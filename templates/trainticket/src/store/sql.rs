//! The statements, in the language that SQLite and PostgreSQL share.
//!
//! There is no primary key and no index, as upstream, where finding one order means to look at all.

use std::borrow::Cow;

use crate::account::Account;
use crate::order::Order;
use crate::seeds::Station;

/// Makes the tables that are missing.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS orders (
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    contacts_name TEXT NOT NULL,
    document_type INTEGER NOT NULL,
    contacts_document_number TEXT NOT NULL,
    train_number TEXT NOT NULL,
    coach_number INTEGER NOT NULL,
    seat_class INTEGER NOT NULL,
    seat_number TEXT NOT NULL,
    from_station TEXT NOT NULL,
    to_station TEXT NOT NULL,
    status INTEGER NOT NULL,
    price TEXT NOT NULL,
    bought_date BIGINT NOT NULL,
    travel_date BIGINT NOT NULL,
    travel_time BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    money TEXT NOT NULL,
    type TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stations (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    stay_time INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS prepared_orders (
    id TEXT NOT NULL
);";

macro_rules! order_columns {
    () => {
        "id, account_id, contacts_name, document_type, contacts_document_number, train_number, \
         coach_number, seat_class, seat_number, from_station, to_station, status, price, \
         bought_date, travel_date, travel_time"
    };
}

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    BigInteger(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::BigInteger(number)
    }
}

/// A statement and its parameters, `$1` first. SQLite numbers such parameters by first appearance,
/// so the text must use them in ascending order.
#[derive(Clone, Debug)]
pub(super) struct Statement<'a> {
    pub(super) text: &'static str,
    pub(super) values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    fn new(text: &'static str, values: impl Into<Vec<Value<'a>>>) -> Self {
        Self { text, values: values.into() }
    }

    pub(super) fn find_order(id: &'a str) -> Self {
        let text = concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1 LIMIT 1");
        Self::new(text, [id.into()])
    }

    pub(super) fn delete_order(id: &'a str) -> Self {
        Self::new("DELETE FROM orders WHERE id = $1", [id.into()])
    }

    pub(super) fn insert_order(order: &'a Order) -> Self {
        let text = concat!(
            "INSERT INTO orders (",
            order_columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        );
        // Every field is named: one added to `Order` must not be forgotten here.
        let Order {
            id,
            account_id,
            contacts_name,
            document_type,
            contacts_document_number,
            train_number,
            coach_number,
            seat_class,
            seat_number,
            from,
            to,
            status,
            price,
            bought_date,
            travel_date,
            travel_time,
        } = order;
        let values: [Value<'a>; 16] = [
            id.as_str().into(),
            account_id.as_str().into(),
            contacts_name.as_str().into(),
            (*document_type).into(),
            contacts_document_number.as_str().into(),
            train_number.as_str().into(),
            (*coach_number).into(),
            i32::from(*seat_class).into(),
            seat_number.as_str().into(),
            from.as_str().into(),
            to.as_str().into(),
            i32::from(*status).into(),
            price.to_string().into(),
            (*bought_date).into(),
            (*travel_date).into(),
            (*travel_time).into(),
        ];
        Self::new(text, values)
    }

    pub(super) fn count_orders() -> Self {
        Self::new("SELECT COUNT(*) FROM orders", [])
    }

    pub(super) fn find_accounts(user_id: &'a str) -> Self {
        let text = "SELECT id, user_id, money, type FROM accounts WHERE user_id = $1";
        Self::new(text, [user_id.into()])
    }

    pub(super) fn delete_account(id: &'a str) -> Self {
        Self::new("DELETE FROM accounts WHERE id = $1", [id.into()])
    }

    pub(super) fn insert_account(account: &'a Account) -> Self {
        let text = "INSERT INTO accounts (id, user_id, money, type) VALUES ($1, $2, $3, $4)";
        let kind: &'static str = account.kind.into();
        let values = [
            account.id.as_str().into(),
            account.user_id.as_str().into(),
            account.money.to_string().into(),
            kind.into(),
        ];
        Self::new(text, values)
    }

    /// Every refund, whoever got it.
    pub(super) fn delete_drawbacks() -> Self {
        Self::new("DELETE FROM accounts WHERE type = 'D'", [])
    }

    pub(super) fn delete_station(id: &'a str) -> Self {
        Self::new("DELETE FROM stations WHERE id = $1", [id.into()])
    }

    pub(super) fn insert_station(station: &'a Station) -> Self {
        let text = "INSERT INTO stations (id, name, stay_time) VALUES ($1, $2, $3)";
        Self::new(text, [station.id.into(), station.name.into(), station.stay_time_min.into()])
    }

    /// The orders that are noted as prepared.
    pub(super) fn delete_prepared_orders() -> Self {
        Self::new("DELETE FROM orders WHERE id IN (SELECT id FROM prepared_orders)", [])
    }

    pub(super) fn forget_prepared_orders() -> Self {
        Self::new("DELETE FROM prepared_orders", [])
    }

    pub(super) fn note_prepared_order(id: &'a str) -> Self {
        Self::new("INSERT INTO prepared_orders (id) VALUES ($1)", [id.into()])
    }
}
