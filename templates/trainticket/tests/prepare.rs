//! The program `trainticket-prepare`, as Fuseline runs it.

mod postgres_schema;

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use trainticket::store::Store;

use crate::postgres_schema::PostgresSchema;

const PREPARE: &str = env!("CARGO_BIN_EXE_trainticket-prepare");

fn sqlite_url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("data/trainticket.db").display())
}

fn start(url: Option<&str>, requests: &str) -> Child {
    let mut command = Command::new(PREPARE);
    command.env_remove("DATABASE_URL");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end without having read them.
    let _ = child.stdin.take().unwrap().write_all(requests.as_bytes());
    child
}

fn run(url: Option<&str>, requests: &str) -> Output {
    start(url, requests).wait_with_output().unwrap()
}

fn requests(prefix: &str, count: u32) -> String {
    let line = |number| format!("{{\"orderId\":\"{prefix}-{number}\",\"loginId\":\"customer\"}}\n");
    (0..count).map(line).collect()
}

/// Checks that a run failed with these words and returns what it said.
fn assert_refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(words), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn says_in_one_line_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_url(directory.path());
    run(Some(&url), &requests("first", 2));
    let output = run(Some(&url), &requests("second", 5));
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "trainticket-prepare: deleted 2 orders and 0 refunds of earlier runs, \
         inserted 5 fresh orders; the database now holds 8\n"
    );
}

#[test]
fn says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_url(directory.path());
    assert_refused(&run(None, ""), "DATABASE_URL is missing");
    assert_refused(&run(Some("mysql://host/d"), ""), "neither SQLite nor PostgreSQL");
    assert_refused(&run(Some(&url), "{\"orderId\":1}\n"), "line 1 of the requests");
    let nowhere = format!("postgresql:///d?host={}", directory.path().display());
    assert_refused(&run(Some(&nowhere), ""), "cannot connect to the PostgreSQL database at /");
}

#[tokio::test]
async fn two_at_once_leave_one_whole_preparation_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    two_at_once(&sqlite_url(directory.path())).await;
}

#[tokio::test]
async fn two_at_once_leave_one_whole_preparation_in_postgres() {
    let Some(database) = PostgresSchema::make("prepare").await else {
        return;
    };
    two_at_once(&database.url).await;
    database.drop().await;
}

/// Both make the same tables at once; the later one replaces the orders of the other.
async fn two_at_once(url: &str) {
    const ORDERS: u32 = 300;
    let both = ["left", "right"].map(|side| start(Some(url), &requests(side, ORDERS)));
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let store = Store::open(url).await.unwrap();
    assert_eq!(store.count_orders().await.unwrap(), u64::from(3 + ORDERS));
    let mut found = 0;
    for side in ["left", "right"] {
        for number in 0..ORDERS {
            found +=
                u32::from(store.find_order(&format!("{side}-{number}")).await.unwrap().is_some());
        }
    }
    assert_eq!(found, ORDERS);
}
