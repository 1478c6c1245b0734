//! The programs, as the workflow file and Lambda start them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use stock::answer::answer;
use stock::store::Store;

fn prepare(variables: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stock-prepare"));
    command.env_clear().envs(variables.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_shop_is_made_and_made_ready_again() {
    let folder = tempfile::tempdir().unwrap();
    let (database, outbox) = (folder.path().join("a/stock.db"), folder.path().join("b/outbox"));
    let variables = [("STOCK_DATABASE", database.as_path()), ("OUTBOX", outbox.as_path())];
    let made = prepare(&variables);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(stderr(&made).contains("filled 7 shelves, forgot 0 reservations and deleted 0"));

    let items = json!([{ "sku": "TEA-07", "quantity": 3 }]);
    let request = json!({ "action": "reserve", "orderId": "W-1", "items": items });
    let store = Store::open(&database).unwrap();
    answer(&store, serde_json::from_value(request).unwrap(), i64::MAX).unwrap();
    std::fs::write(outbox.join("W-1.eml"), "Hello").unwrap();
    std::fs::write(outbox.join("notes.txt"), "not a message").unwrap();
    let again = prepare(&variables);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stderr(&again).contains("forgot 1 reservations and deleted 1"), "{}", stderr(&again));
    assert!(!outbox.join("W-1.eml").exists() && outbox.join("notes.txt").exists());
}

#[test]
fn a_missing_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let failed = prepare(&[("OUTBOX", folder.path())]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).contains("STOCK_DATABASE is missing"), "{}", stderr(&failed));
    let failed = prepare(&[("STOCK_DATABASE", &folder.path().join("stock.db"))]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).contains("OUTBOX is missing"), "{}", stderr(&failed));
}

#[test]
fn the_function_does_not_start_without_a_database() {
    let output = Command::new(env!("CARGO_BIN_EXE_stock")).env_clear().output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("STOCK_DATABASE is missing"), "{}", stderr(&output));
}
