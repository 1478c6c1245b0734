//! How rows of either database become our types.

use crate::account::{Account, AccountKind};
use crate::order::Order;
use crate::store::StoreError;

/// The columns of a row, from 0.
pub(super) trait Columns {
    fn text(&self, column: usize) -> Result<String, StoreError>;
    fn integer(&self, column: usize) -> Result<i32, StoreError>;
    fn big_integer(&self, column: usize) -> Result<i64, StoreError>;
}

/// Made from a row of the statement that asks for it.
pub(super) trait FromRow: Sized {
    fn from_row(row: &dyn Columns) -> Result<Self, StoreError>;
}

impl FromRow for Order {
    fn from_row(row: &dyn Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?,
            account_id: row.text(1)?,
            contacts_name: row.text(2)?,
            document_type: row.integer(3)?,
            contacts_document_number: row.text(4)?,
            train_number: row.text(5)?,
            coach_number: row.integer(6)?,
            seat_class: row.integer(7)?.try_into().map_err(malformed)?,
            seat_number: row.text(8)?,
            from: row.text(9)?,
            to: row.text(10)?,
            status: row.integer(11)?.try_into().map_err(malformed)?,
            price: row.text(12)?.parse().map_err(malformed)?,
            bought_date: row.big_integer(13)?,
            travel_date: row.big_integer(14)?,
            travel_time: row.big_integer(15)?,
        })
    }
}

impl FromRow for Account {
    fn from_row(row: &dyn Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?,
            user_id: row.text(1)?,
            money: row.text(2)?.parse().map_err(malformed)?,
            kind: AccountKind::try_from(row.text(3)?).map_err(malformed)?,
        })
    }
}

/// A count.
impl FromRow for i64 {
    fn from_row(row: &dyn Columns) -> Result<Self, StoreError> {
        row.big_integer(0)
    }
}

pub(super) fn malformed(reason: impl ToString) -> StoreError {
    StoreError::Malformed { reason: reason.to_string() }
}
