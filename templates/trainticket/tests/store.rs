//! What every database must do: one list of checks, run on each of them.
//!
//! PostgreSQL is tested if `DATABASE_URL` names one, in a schema of its own that is dropped again.

mod postgres_schema;

use std::path::Path;

use trainticket::store::{Preparation, Store, StoreError};
use trainticket::{Account, AccountKind, Order, OrderStatus, prepare, seeds};

use crate::postgres_schema::PostgresSchema;

const NOW_MS: i64 = 1_800_000_000_000;

fn sqlite_url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("deep/er/trainticket.db").display())
}

/// Orders `from..to`, as a run's requests give them.
fn orders(from: u32, to: u32) -> Vec<Order> {
    let lines: Vec<String> = (from..to)
        .map(|number| format!(r#"{{"orderId":"order-{number}","loginId":"customer"}}"#))
        .collect();
    prepare::read_orders(lines.join("\n").as_bytes(), NOW_MS).unwrap()
}

fn booking(user: &str, cents: u64) -> Account {
    Account {
        id: format!("booking-{user}-{cents}"),
        user_id: user.to_owned(),
        money: trainticket::Money::from_cents(cents),
        kind: AccountKind::Drawback,
    }
}

/// The checks. `url` names an empty database.
async fn check(url: &str) {
    prepares_what_is_missing(url).await;
    replaces_orders(url).await;
    books_on_accounts(url).await;
    is_the_same_size_before_every_run(url).await;
    takes_any_order_that_is_asked_for(url).await;
}

async fn prepares_what_is_missing(url: &str) {
    let store = Store::create(url).await.unwrap();
    let expected =
        Preparation { deleted_orders: 0, deleted_refunds: 0, inserted_orders: 0, orders: 3 };
    assert_eq!(store.prepare(&[]).await.unwrap(), expected);
    // All is there already.
    assert_eq!(store.prepare(&[]).await.unwrap(), expected);
    for seed in seeds::orders() {
        assert_eq!(store.find_order(&seed.id).await.unwrap(), Some(seed));
    }
    assert_eq!(store.find_accounts(seeds::CUSTOMER).await.unwrap().len(), 2);
}

async fn replaces_orders(url: &str) {
    let store = Store::open(url).await.unwrap();
    let mut order = seeds::orders().remove(1);
    order.status = OrderStatus::Cancel;
    order.seat_number = "it's \"7\" \\ ü €".to_owned();
    order.travel_time = i64::MAX;
    store.replace_order(&order).await.unwrap();
    assert_eq!(store.find_order(&order.id).await.unwrap().as_ref(), Some(&order));
    assert_eq!(store.count_orders().await.unwrap(), 3);
    assert_eq!(store.find_order("' OR 1=1 --").await.unwrap(), None);
}

async fn books_on_accounts(url: &str) {
    let store = Store::open(url).await.unwrap();
    assert_eq!(store.find_accounts("nobody").await.unwrap(), []);
    store.insert_account(&booking("nobody", 8_000)).await.unwrap();
    assert_eq!(store.find_accounts("nobody").await.unwrap(), [booking("nobody", 8_000)]);
    assert_eq!(store.find_accounts(seeds::CUSTOMER).await.unwrap().len(), 2);
}

async fn is_the_same_size_before_every_run(url: &str) {
    let store = Store::create(url).await.unwrap();
    store.prepare(&orders(0, 20)).await.unwrap();
    let mut cancelled = orders(0, 20).remove(7);
    cancelled.status = OrderStatus::Cancel;
    store.replace_order(&cancelled).await.unwrap();
    store.insert_account(&booking("customer", 1)).await.unwrap();

    // Five orders are the same again, and fresh.
    let done = store.prepare(&orders(5, 25)).await.unwrap();
    let expected =
        Preparation { deleted_orders: 20, deleted_refunds: 1, inserted_orders: 20, orders: 23 };
    assert_eq!(done, expected);
    for order in orders(5, 25) {
        assert_eq!(store.find_order(&order.id).await.unwrap(), Some(order));
    }
    assert_eq!(store.find_order("order-4").await.unwrap(), None);
    assert_eq!(store.find_accounts("customer").await.unwrap(), []);
}

async fn takes_any_order_that_is_asked_for(url: &str) {
    let store = Store::create(url).await.unwrap();
    // A seed's identifier, and one identifier twice.
    let mut asked = orders(0, 2);
    asked[0].id = seeds::orders()[0].id.clone();
    let mut again = asked[1].clone();
    again.coach_number = 99;
    asked.push(again.clone());

    let done = store.prepare(&asked).await.unwrap();
    assert_eq!((done.inserted_orders, done.orders), (2, 4));
    assert_eq!(store.find_order(&asked[0].id).await.unwrap().as_ref(), Some(&asked[0]));
    assert_eq!(store.find_order(&again.id).await.unwrap(), Some(again));

    let done = store.prepare(&[]).await.unwrap();
    assert_eq!((done.deleted_orders, done.orders), (2, 3));
    assert_eq!(store.find_order(&asked[0].id).await.unwrap(), seeds::orders().first().cloned());
}

#[tokio::test]
async fn sqlite_does_what_a_database_must() {
    let directory = tempfile::tempdir().unwrap();
    check(&sqlite_url(directory.path())).await;
}

#[tokio::test]
async fn sqlite_is_not_made_by_a_function() {
    let directory = tempfile::tempdir().unwrap();
    let Err(error) = Store::open(&sqlite_url(directory.path())).await else {
        panic!("a database that does not exist was opened");
    };
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("run trainticket-prepare"), "{error}");
    assert!(!directory.path().join("deep").exists());
}

/// Threads with connections of their own, as instances are, write at once and lose nothing.
#[tokio::test]
async fn sqlite_is_written_by_several_at_once() {
    const WRITERS: u32 = 4;
    const ORDERS_EACH: u32 = 50;
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_url(directory.path());
    let all = orders(0, WRITERS * ORDERS_EACH);
    Store::create(&url).await.unwrap().prepare(&all).await.unwrap();

    std::thread::scope(|scope| {
        for share in all.chunks(ORDERS_EACH as usize) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(cancel_all(&url, share));
            });
        }
    });

    let store = Store::open(&url).await.unwrap();
    for order in &all {
        let found = store.find_order(&order.id).await.unwrap().unwrap();
        assert_eq!(found.status, OrderStatus::Cancel);
    }
    assert_eq!(store.count_orders().await.unwrap(), 3 + all.len() as u64);
    assert_eq!(store.find_accounts("customer").await.unwrap().len(), all.len());
}

async fn cancel_all(url: &str, orders: &[Order]) {
    let store = Store::open(url).await.unwrap();
    for (number, order) in (0..).zip(orders) {
        let mut order = store.find_order(&order.id).await.unwrap().unwrap();
        order.status = OrderStatus::Cancel;
        store.replace_order(&order).await.unwrap();
        store.insert_account(&booking("customer", number)).await.unwrap();
    }
}

#[tokio::test]
async fn postgres_does_what_a_database_must() {
    let Some(database) = PostgresSchema::make("contract").await else {
        return;
    };
    check(&database.url).await;
    database.drop().await;
}

/// The instance is not running while the server drops its connection, as between two requests on
/// Lambda: it learns of it only by using it.
#[test]
fn postgres_is_connected_again_after_it_dropped_the_connection() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (instance, server) = (runtime(), runtime());
    let Some(database) = server.block_on(PostgresSchema::make("reconnect")) else {
        return;
    };
    let order = seeds::orders().remove(0);
    let store = instance.block_on(async {
        let store = Store::create(&database.url).await.unwrap();
        store.prepare(&[]).await.unwrap();
        store
    });
    for round in 0..3 {
        assert_eq!(server.block_on(end_connections(&database.url)), 1, "round {round}");
        instance.block_on(async {
            let found = store.find_order(&order.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&order), "round {round}");
            store.replace_order(&order).await.unwrap();
        });
    }
    server.block_on(database.drop());
}

/// Ends all connections to the database with this URL's application name but the own one, and
/// returns how many there were. Returns when they are gone.
async fn end_connections(url: &str) -> usize {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
               WHERE application_name = current_setting('application_name') \
               AND pid <> pg_backend_pid()";
    let ended = client.query(end, &[]).await.unwrap();
    ended.iter().filter(|row| row.get(0)).count()
}
