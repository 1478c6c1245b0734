//! `cancel-order`: the workflow's entry. Calls `get-order`, `save-order` and `refund` in this order
//! and waits for each.

use std::error::Error;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::money::Money;
use crate::order::{Order, OrderStatus};
use crate::refund_rules::{is_cancellable, refund_due};
use crate::{get_order, refund};

/// Function that looks an order up.
pub const GET_ORDER: &str = "get-order";
/// Function that replaces an order.
pub const SAVE_ORDER: &str = "save-order";
/// Function that pays money back.
pub const REFUND: &str = "refund";

/// What the function is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which order to cancel.
    pub order_id: String,
    /// Whose account is paid back. That it is the order's owner is for the caller to see to.
    pub login_id: String,
}

/// Calls other functions and waits for their answers.
pub trait Invoke {
    /// Calls `function` with a JSON `payload` and returns its answer, which is JSON.
    ///
    /// # Errors
    /// If the function could not be called or failed.
    fn invoke(
        &self,
        function: &'static str,
        payload: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, CallError>>;
}

/// A call to another function without an answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The call did not reach the function.
    #[error("cannot call function {function}; is it deployed, and may this one invoke it?")]
    Unreachable {
        /// The function called.
        function: &'static str,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The function failed.
    #[error("function {function} failed; its log says more: {answer}")]
    Failed {
        /// The function called.
        function: &'static str,
        /// What it answered.
        answer: String,
    },
    /// The answer, or the request, is not of the form agreed.
    #[error("what was exchanged with function {function} is not of the form agreed")]
    Malformed {
        /// The function called.
        function: &'static str,
        /// Where it departs.
        source: serde_json::Error,
    },
}

/// Cancels an order at `now_ms` (milliseconds since 1970-01-01 UTC) and answers with the refund.
///
/// Refuses if the order does not exist, cannot be cancelled, cannot be saved, or its refund is
/// refused; in the last case the order stays cancelled, as upstream.
///
/// # Errors
/// If a call fails; later calls are then not made.
pub async fn handle(
    functions: &impl Invoke,
    request: Request,
    now_ms: i64,
) -> Result<Envelope<Money>, CallError> {
    let lookup = get_order::Request { order_id: request.order_id };
    let mut order: Order = match call(functions, GET_ORDER, &lookup).await?.into_data() {
        Ok(order) => order,
        Err(reason) => return Ok(Envelope::refused(&reason)),
    };
    if !is_cancellable(order.status) {
        return Ok(Envelope::refused("Order Status Cancel Not Permitted"));
    }

    let money = refund_due(&order, now_ms);
    order.status = OrderStatus::Cancel;
    let saved: Envelope<Order> = call(functions, SAVE_ORDER, &order).await?;
    if let Err(reason) = saved.into_data() {
        return Ok(Envelope::refused(&reason));
    }

    let drawback = refund::Request { user_id: request.login_id, money };
    let refunded: Envelope<Money> = call(functions, REFUND, &drawback).await?;
    Ok(match refunded.into_data() {
        Ok(_balance) => Envelope::granted("Success.", money),
        Err(_reason) => Envelope::refused("Drawback failed."),
    })
}

async fn call<T: DeserializeOwned>(
    functions: &impl Invoke,
    function: &'static str,
    request: &impl Serialize,
) -> Result<Envelope<T>, CallError> {
    let malformed = |source| CallError::Malformed { function, source };
    let payload = serde_json::to_vec(request).map_err(malformed)?;
    let answer = functions.invoke(function, payload).await?;
    serde_json::from_slice(&answer).map_err(malformed)
}
