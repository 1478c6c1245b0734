//! `save-order`: replaces an order by a newer version of itself.

use crate::envelope::Envelope;
use crate::get_order::NOT_FOUND;
use crate::order::Order;
use crate::store::{Store, StoreError};

/// Replaces the order of the same identifier by `order`, or refuses if there is none.
///
/// # Errors
/// If the database cannot be read or written.
pub async fn handle(store: &Store, order: Order) -> Result<Envelope<Order>, StoreError> {
    // The request carries every field, so that nothing of the stored order is left to merge.
    if store.find_order(&order.id).await?.is_none() {
        return Ok(Envelope::refused(NOT_FOUND));
    }
    store.replace_order(&order).await?;
    Ok(Envelope::granted("Success", order))
}
