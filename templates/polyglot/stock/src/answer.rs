//! What the function is asked, and what it answers.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::catalogue::Item;
use crate::store::{Reservation, Shortage, Store, StoreError};

/// How long items stay reserved for an order that nobody pays, in seconds.
pub const HOLD_SECONDS: u32 = 15 * 60;

/// What the function is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Request {
    /// What these items are.
    Describe {
        /// Identifiers.
        skus: Vec<String>,
    },
    /// Keep these items for an order: all of them, or none.
    Reserve {
        /// The order. Asked for again, it keeps what it has.
        order_id: String,
        /// What to keep. An item named twice is wanted twice.
        items: Vec<Line>,
    },
}

/// Some pieces of one item.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// The item's identifier.
    pub sku: String,
    /// How many.
    pub quantity: NonZeroU32,
}

/// What the function answers. Faults, such as a database that cannot be opened, are errors of the
/// function instead.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Answer {
    /// The items, in the order they were asked for.
    Described {
        /// The items.
        items: Vec<Item>,
    },
    /// Everything is kept for the order.
    Reserved {
        /// The order.
        order_id: String,
        /// For how long from the first time that it was asked for.
        hold_seconds: u32,
    },
    /// Some of these items do not exist; nothing was reserved.
    UnknownItem {
        /// Those that do not.
        skus: Vec<String>,
    },
    /// There is too little of some items; nothing was reserved.
    OutOfStock {
        /// The items there is too little of.
        missing: Vec<Shortage>,
    },
    /// The order has reserved other items before, which it keeps.
    OrderChanged {
        /// The order.
        order_id: String,
    },
}

/// Does what is asked at `now_ms` (milliseconds since 1970-01-01 UTC).
///
/// # Errors
/// If the database cannot be used; it is then as before.
pub fn answer(store: &Store, request: Request, now_ms: i64) -> Result<Answer, StoreError> {
    match request {
        Request::Describe { skus } => describe(store, &skus),
        Request::Reserve { order_id, items } => reserve(store, order_id, &items, now_ms),
    }
}

fn describe(store: &Store, skus: &[String]) -> Result<Answer, StoreError> {
    let mut items = Vec::with_capacity(skus.len());
    let mut unknown = Vec::new();
    for sku in skus {
        match store.find_item(sku)? {
            Some(item) => items.push(item),
            None => unknown.push(sku.clone()),
        }
    }
    Ok(if unknown.is_empty() {
        Answer::Described { items }
    } else {
        Answer::UnknownItem { skus: unknown }
    })
}

fn reserve(
    store: &Store,
    order_id: String,
    items: &[Line],
    now_ms: i64,
) -> Result<Answer, StoreError> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for Line { sku, quantity } in items {
        *wanted.entry(sku).or_default() += i64::from(quantity.get());
    }
    let expires_ms = now_ms.saturating_add(i64::from(HOLD_SECONDS) * 1000);
    Ok(match store.reserve(&order_id, &wanted, now_ms, expires_ms)? {
        Reservation::Made | Reservation::Kept => {
            Answer::Reserved { order_id, hold_seconds: HOLD_SECONDS }
        }
        Reservation::Unknown(skus) => Answer::UnknownItem { skus },
        Reservation::Short(missing) => Answer::OutOfStock { missing },
        Reservation::Other => Answer::OrderChanged { order_id },
    })
}
