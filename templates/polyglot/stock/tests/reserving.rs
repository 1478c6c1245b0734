//! What the function does, on a real database that several instances share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Barrier;

use serde_json::{Value, json};
use stock::answer::{HOLD_SECONDS, answer};
use stock::catalogue::{Shelf, shelves};
use stock::store::{Store, StoreError};
use tempfile::TempDir;

const NOW_MS: i64 = 1_800_000_000_000;
const HOLD_MS: i64 = HOLD_SECONDS as i64 * 1000;

/// A database of a shop with `lamps` lamps.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn with_lamps(lamps: u32) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        let mut shelves = shelves();
        let lamp = |shelf: &&mut Shelf| shelf.item.sku == "LAMP-03";
        shelves.iter_mut().find(lamp).unwrap().available = lamps;
        assert_eq!(Store::create(&shop.path()).unwrap().refill(&shelves).unwrap(), 0);
        shop
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("deep/er/stock.db")
    }

    /// An instance of the function.
    fn instance(&self) -> Store {
        Store::open(&self.path()).unwrap()
    }
}

fn ask(store: &Store, event: Value, now_ms: i64) -> Value {
    let request = serde_json::from_value(event).unwrap();
    serde_json::to_value(answer(store, request, now_ms).unwrap()).unwrap()
}

fn reserve(store: &Store, order: &str, items: &[(&str, u32)], now_ms: i64) -> Value {
    let items: Vec<Value> =
        items.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
    ask(store, json!({ "action": "reserve", "orderId": order, "items": items }), now_ms)
}

/// How many lamps are free: what is said to somebody who wants too many.
fn lamps(store: &Store, now_ms: i64) -> u64 {
    let answer = reserve(store, "asks", &[("LAMP-03", u32::MAX)], now_ms);
    answer["missing"][0]["available"].as_u64().unwrap()
}

fn reserved(order: &str) -> Value {
    json!({ "outcome": "reserved", "orderId": order, "holdSeconds": HOLD_SECONDS })
}

#[test]
fn items_are_described_in_the_order_asked_for() {
    let store = Shop::with_lamps(1).instance();
    let event = json!({ "action": "describe", "skus": ["TEA-07", "LAMP-03"] });
    let tea = json!({ "sku": "TEA-07", "name": "Darjeeling, 100 g", "unitPriceCents": 945, "weightGrams": 130, "taxClass": "reduced" });
    let lamp = json!({ "sku": "LAMP-03", "name": "Desk lamp", "unitPriceCents": 5990, "weightGrams": 2300, "taxClass": "standard" });
    let expected = json!({ "outcome": "described", "items": [tea, lamp] });
    assert_eq!(ask(&store, event, NOW_MS), expected);
    let event = json!({ "action": "describe", "skus": ["NONE-1", "TEA-07", "' OR 1=1 --"] });
    let expected = json!({ "outcome": "unknown-item", "skus": ["NONE-1", "' OR 1=1 --"] });
    assert_eq!(ask(&store, event, NOW_MS), expected);
}

#[test]
fn everything_is_reserved_or_nothing() {
    let store = Shop::with_lamps(3).instance();
    let answer = reserve(&store, "W-1", &[("LAMP-03", 2), ("GLOBE-02", 1)], NOW_MS);
    let globe = json!({ "sku": "GLOBE-02", "wanted": 1, "available": 0 });
    assert_eq!(answer, json!({ "outcome": "out-of-stock", "missing": [globe] }));
    let answer = reserve(&store, "W-1", &[("LAMP-03", 2), ("NONE-1", 1)], NOW_MS);
    assert_eq!(answer, json!({ "outcome": "unknown-item", "skus": ["NONE-1"] }));
    assert_eq!(lamps(&store, NOW_MS), 3);
    assert_eq!(reserve(&store, "W-1", &[("LAMP-03", 2), ("TEA-07", 1)], NOW_MS), reserved("W-1"));
    assert_eq!(lamps(&store, NOW_MS), 1);
}

#[test]
fn an_item_named_twice_is_wanted_twice() {
    let store = Shop::with_lamps(3).instance();
    let answer = reserve(&store, "W-1", &[("LAMP-03", 2), ("LAMP-03", 2)], NOW_MS);
    assert_eq!(answer["missing"], json!([{ "sku": "LAMP-03", "wanted": 4, "available": 3 }]));
    reserve(&store, "W-1", &[("LAMP-03", 1), ("LAMP-03", 2)], NOW_MS);
    assert_eq!(lamps(&store, NOW_MS), 0);
}

#[test]
fn an_order_that_asks_again_keeps_what_it_has() {
    let shop = Shop::with_lamps(3);
    let store = shop.instance();
    for _ in 0..3 {
        assert_eq!(reserve(&store, "W-1", &[("LAMP-03", 2)], NOW_MS), reserved("W-1"));
        assert_eq!(lamps(&shop.instance(), NOW_MS), 1);
    }
    let changed = json!({ "outcome": "order-changed", "orderId": "W-1" });
    assert_eq!(reserve(&store, "W-1", &[("LAMP-03", 1)], NOW_MS), changed);
    assert_eq!(reserve(&store, "W-1", &[("LAMP-03", 2), ("MUG-01", 1)], NOW_MS), changed);
    assert_eq!(lamps(&store, NOW_MS), 1);
}

#[test]
fn what_nobody_paid_for_in_time_is_free_again() {
    let store = Shop::with_lamps(3).instance();
    reserve(&store, "W-1", &[("LAMP-03", 1), ("MUG-01", 1)], NOW_MS);
    reserve(&store, "W-2", &[("LAMP-03", 1)], NOW_MS);
    reserve(&store, "W-3", &[("LAMP-03", 1)], NOW_MS + 1);
    // Asking again does not make it longer.
    reserve(&store, "W-1", &[("LAMP-03", 1), ("MUG-01", 1)], NOW_MS + 5);
    assert_eq!(lamps(&store, NOW_MS + HOLD_MS - 1), 0);
    assert_eq!(lamps(&store, NOW_MS + HOLD_MS), 2);
    assert_eq!(lamps(&store, NOW_MS + HOLD_MS + 1), 3);
    // The order may come back, and is one like any other.
    assert_eq!(reserve(&store, "W-1", &[("LAMP-03", 3)], NOW_MS + HOLD_MS + 1), reserved("W-1"));
    assert_eq!(lamps(&store, NOW_MS + HOLD_MS + 1), 0);
}

#[test]
fn one_of_two_gets_the_last_item() {
    for round in 0..50 {
        let shop = Shop::with_lamps(1);
        let start = Barrier::new(2);
        let outcomes: Vec<Value> = std::thread::scope(|scope| {
            let instances: Vec<_> = ["W-1", "W-2"]
                .into_iter()
                .map(|order| {
                    let (store, start) = (shop.instance(), &start);
                    scope.spawn(move || {
                        start.wait();
                        reserve(&store, order, &[("LAMP-03", 1)], NOW_MS)["outcome"].clone()
                    })
                })
                .collect();
            instances.into_iter().map(|instance| instance.join().unwrap()).collect()
        });
        let count = |outcome: &str| outcomes.iter().filter(|one| **one == outcome).count();
        let counts = (count("reserved"), count("out-of-stock"));
        assert_eq!(counts, (1, 1), "round {round}: {outcomes:?}");
        assert_eq!(lamps(&shop.instance(), NOW_MS), 0);
    }
}

#[test]
fn many_instances_never_give_away_more_than_there_is() {
    let shop = Shop::with_lamps(40);
    let reserved: usize = std::thread::scope(|scope| {
        let instances: Vec<_> = (0..4)
            .map(|instance| {
                let store = shop.instance();
                scope.spawn(move || {
                    (0..25)
                        .map(|number| format!("W-{instance}-{number}"))
                        .filter(|order| {
                            let items = [("LAMP-03", 1), ("TEA-07", 2)];
                            reserve(&store, order, &items, NOW_MS)["outcome"] == "reserved"
                        })
                        .count()
                })
            })
            .collect();
        instances.into_iter().map(|instance| instance.join().unwrap()).sum()
    });
    assert_eq!(reserved, 40);
    assert_eq!(lamps(&shop.instance(), NOW_MS), 0);
}

#[test]
fn filling_the_shelves_forgets_every_reservation() {
    let store = Shop::with_lamps(3).instance();
    reserve(&store, "W-1", &[("LAMP-03", 3)], NOW_MS);
    reserve(&store, "W-2", &[("MUG-01", 3)], NOW_MS);
    assert_eq!(store.refill(&shelves()).unwrap(), 2);
    assert_eq!(lamps(&store, NOW_MS), 100_000_000);
    assert_eq!(reserve(&store, "W-1", &[("TEA-07", 1)], NOW_MS), reserved("W-1"));
}

#[test]
fn a_database_that_was_not_prepared_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("stock.db");
    let Err(error @ StoreError::Open { .. }) = Store::open(&missing) else {
        panic!("there is no such file");
    };
    assert!(error.to_string().contains("run stock-prepare"), "{error}");
    std::fs::write(&missing, "").unwrap();
    let store = Store::open(&missing).unwrap();
    let error = store.reserve("W-1", &BTreeMap::from([("TEA-07", 1)]), 0, 1).unwrap_err();
    assert!(error.to_string().contains("run stock-prepare"), "{error}");
}

#[test]
fn a_quantity_of_nothing_and_an_unknown_action_are_no_requests() {
    for event in [
        json!({ "action": "reserve", "orderId": "W-1", "items": [{ "sku": "A", "quantity": 0 }] }),
        json!({ "action": "sell" }),
        json!({ "skus": ["TEA-07"] }),
    ] {
        let request = serde_json::from_value::<stock::answer::Request>(event.clone());
        assert!(request.is_err(), "{event}");
    }
}
