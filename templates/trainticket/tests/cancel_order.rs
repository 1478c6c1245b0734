//! The four functions together, on a SQLite database, with calls that do not leave the process.

use std::cell::RefCell;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use trainticket::cancel_order::{self, CallError, GET_ORDER, Invoke, REFUND, Request, SAVE_ORDER};
use trainticket::store::Store;
use trainticket::{
    Account, AccountKind, Envelope, Money, Order, OrderStatus, Outcome, get_order, refund,
    save_order, seeds,
};

const CALLER: &str = "caller";

/// Serves calls with the functions' own code and notes them.
struct InProcess {
    store: Store,
    calls: RefCell<Vec<&'static str>>,
    /// A function that fails.
    broken: Option<&'static str>,
}

impl InProcess {
    async fn new(directory: &Path, orders: &[Order]) -> Self {
        let url = format!("sqlite:{}", directory.join("trainticket.db").display());
        let store = Store::create(&url).await.unwrap();
        store.prepare(orders).await.unwrap();
        Self { store, calls: RefCell::default(), broken: None }
    }

    async fn cancel(&self, order_id: &str, now_ms: i64) -> Result<Envelope<Money>, CallError> {
        self.calls.borrow_mut().clear();
        let request = Request { order_id: order_id.to_owned(), login_id: CALLER.to_owned() };
        cancel_order::handle(self, request, now_ms).await
    }

    async fn status_of(&self, order_id: &str) -> OrderStatus {
        self.store.find_order(order_id).await.unwrap().unwrap().status
    }

    async fn refunds(&self) -> Vec<String> {
        let accounts = self.store.find_accounts(CALLER).await.unwrap();
        accounts.iter().map(|account| account.money.to_string()).collect()
    }
}

impl Invoke for InProcess {
    async fn invoke(&self, function: &'static str, payload: Vec<u8>) -> Result<Vec<u8>, CallError> {
        self.calls.borrow_mut().push(function);
        if self.broken == Some(function) {
            return Err(CallError::Failed { function, answer: "{}".to_owned() });
        }
        let store = &self.store;
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        Ok(match function {
            GET_ORDER => {
                let request: get_order::Request = serde_json::from_value(payload).unwrap();
                bytes(&get_order::handle(store, &request).await.unwrap())
            }
            SAVE_ORDER => {
                let order: Order = serde_json::from_value(payload).unwrap();
                bytes(&save_order::handle(store, order).await.unwrap())
            }
            REFUND => {
                let request: refund::Request = serde_json::from_value(payload).unwrap();
                bytes(&refund::handle(store, request).await.unwrap())
            }
            other => panic!("unknown function {other}"),
        })
    }
}

fn bytes(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap()
}

fn order(status: OrderStatus) -> Order {
    let mut order = seeds::orders().remove(0);
    order.id = "an-order".to_owned();
    order.status = status;
    order
}

#[tokio::test]
async fn an_open_order_is_cancelled_saved_and_refunded() {
    for (status, refund) in [
        (OrderStatus::NotPaid, "0.00"),
        (OrderStatus::Paid, "80.00"),
        (OrderStatus::Change, "80.00"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let order = order(status);
        let functions = InProcess::new(directory.path(), std::slice::from_ref(&order)).await;

        let answer = functions.cancel(&order.id, order.departure_ms() - 1).await.unwrap();
        let expected = json!({ "status": 1, "msg": "Success.", "data": refund });
        assert_eq!(serde_json::to_value(answer).unwrap(), expected);
        assert_eq!(*functions.calls.borrow(), [GET_ORDER, SAVE_ORDER, REFUND]);
        assert_eq!(functions.status_of(&order.id).await, OrderStatus::Cancel);
        assert_eq!(functions.refunds().await, [refund]);

        let again = functions.cancel(&order.id, 0).await.unwrap();
        assert_eq!(again, Envelope::refused("Order Status Cancel Not Permitted"));
        assert_eq!(*functions.calls.borrow(), [GET_ORDER]);
        assert_eq!(functions.refunds().await, [refund]);
    }
}

#[tokio::test]
async fn an_order_whose_train_has_left_is_cancelled_without_money() {
    let directory = tempfile::tempdir().unwrap();
    let order = order(OrderStatus::Paid);
    let functions = InProcess::new(directory.path(), std::slice::from_ref(&order)).await;
    let answer = functions.cancel(&order.id, order.departure_ms() + 1).await.unwrap();
    assert_eq!(answer, Envelope::granted("Success.", Money::ZERO));
    assert_eq!(functions.refunds().await, ["0.00"]);
}

#[tokio::test]
async fn other_orders_are_refused_after_one_call() {
    let directory = tempfile::tempdir().unwrap();
    let order = order(OrderStatus::Collected);
    let functions = InProcess::new(directory.path(), std::slice::from_ref(&order)).await;

    let answer = functions.cancel(&order.id, 0).await.unwrap();
    assert_eq!(answer, Envelope::refused("Order Status Cancel Not Permitted"));
    assert_eq!(*functions.calls.borrow(), [GET_ORDER]);
    assert_eq!(functions.status_of(&order.id).await, OrderStatus::Collected);

    let answer = functions.cancel("no such order", 0).await.unwrap();
    assert_eq!(answer, Envelope::refused("Order Not Found."));
    assert_eq!(*functions.calls.borrow(), [GET_ORDER]);
}

#[tokio::test]
async fn a_refund_that_is_refused_fails_the_cancellation() {
    let directory = tempfile::tempdir().unwrap();
    let order = order(OrderStatus::Paid);
    let functions = InProcess::new(directory.path(), std::slice::from_ref(&order)).await;
    let full = Account {
        id: "full".to_owned(),
        user_id: CALLER.to_owned(),
        money: Money::from_cents(u64::MAX),
        kind: AccountKind::Addition,
    };
    functions.store.insert_account(&full).await.unwrap();

    let answer = functions.cancel(&order.id, 0).await.unwrap();
    assert_eq!(answer.status, Outcome::Refused);
    assert_eq!(answer.msg, "Drawback failed.");
    assert_eq!(functions.refunds().await.len(), 1);
    // As upstream, the order stays cancelled.
    assert_eq!(functions.status_of(&order.id).await, OrderStatus::Cancel);
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_and_the_last_call() {
    let directory = tempfile::tempdir().unwrap();
    let order = order(OrderStatus::Paid);
    let mut functions = InProcess::new(directory.path(), std::slice::from_ref(&order)).await;
    functions.broken = Some(SAVE_ORDER);
    let error = functions.cancel(&order.id, 0).await.unwrap_err();
    assert!(error.to_string().contains("save-order"), "{error}");
    assert_eq!(*functions.calls.borrow(), [GET_ORDER, SAVE_ORDER]);
    assert_eq!(functions.status_of(&order.id).await, OrderStatus::Paid);
    assert!(functions.refunds().await.is_empty());
}

#[tokio::test]
async fn an_order_that_is_unknown_is_not_saved() {
    let directory = tempfile::tempdir().unwrap();
    let functions = InProcess::new(directory.path(), &[]).await;
    let answer = save_order::handle(&functions.store, order(OrderStatus::Paid)).await.unwrap();
    assert_eq!(answer, Envelope::refused("Order Not Found."));
    assert_eq!(functions.store.count_orders().await.unwrap(), 3);
}
