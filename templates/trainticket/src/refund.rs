//! `refund`: pays money back to a customer's account.

use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountKind};
use crate::envelope::Envelope;
use crate::money::Money;
use crate::store::{Store, StoreError};

/// What the function is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Whose account.
    pub user_id: String,
    /// How much; nothing is booked too.
    pub money: Money,
}

/// Books the refund and answers with the account's balance; refuses if the balance would be more
/// than [`Money`] holds. A customer without an account gets one.
///
/// # Errors
/// If the database cannot be read or written.
pub async fn handle(store: &Store, request: Request) -> Result<Envelope<Money>, StoreError> {
    let bookings = store.find_accounts(&request.user_id).await?;
    let balance =
        bookings.iter().try_fold(request.money, |sum, booking| sum.checked_add(booking.money));
    let Some(balance) = balance else {
        return Ok(Envelope::refused("Draw Back Money Failed: Balance Too High."));
    };
    let booking = Account {
        id: uuid::Uuid::new_v4().to_string(),
        user_id: request.user_id,
        money: request.money,
        kind: AccountKind::Drawback,
    };
    store.insert_account(&booking).await?;
    Ok(Envelope::granted("Draw Back Money Success", balance))
}
