//! `get-order`: looks an order up.

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::order::Order;
use crate::store::{Store, StoreError};

/// The message for an order that does not exist.
pub(crate) const NOT_FOUND: &str = "Order Not Found.";

/// What the function is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which order.
    pub order_id: String,
}

/// Answers with the order, or refuses if there is none.
///
/// # Errors
/// If the database cannot be read.
pub async fn handle(store: &Store, request: &Request) -> Result<Envelope<Order>, StoreError> {
    let found = store.find_order(&request.order_id).await?;
    Ok(match found {
        Some(order) => Envelope::granted("Success", order),
        None => Envelope::refused(NOT_FOUND),
    })
}
