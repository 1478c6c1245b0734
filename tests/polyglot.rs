//! The polyglot template on `fuseline local`: functions in Node, Python and Rust that call each other
//! give the same answers fused, in part or wholly, as they give apart.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tests::{LocalServer, Run, State, fuseline, repository, sandboxes, skipped};

const TEMPLATE: &str = "templates/polyglot/workflow.yaml";
const APART: &str = "(checkout)-(price)-(stock)-(notify)";
/// Everything that is waited for, in one function.
const WHOLE: &str = "(checkout,price,stock)-(notify)";
/// Python with Rust, Node with Rust, Node with Python, and all three. `stock` has two callers, so it
/// keeps its own function until both hold it.
const FUSED: [&str; 4] = [
    "(checkout)-(price,stock)-(stock)-(notify)",
    "(checkout,stock)-(price)-(stock)-(notify)",
    "(checkout,price)-(stock)-(notify)",
    WHOLE,
];

/// Whether the languages are here; says loudly which are not.
fn languages() -> bool {
    let missing: Vec<_> = ["node", "npm", "python3"]
        .into_iter()
        .filter(|program| Command::new(program).arg("--version").output().is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    skipped(&format!("the polyglot template: there is no {}", missing.join(", no ")));
    false
}

/// The template's data of one test: below the template, in the folder that it shares with its
/// functions. Removed when it is dropped.
struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        let shared = repository().join("templates/polyglot/data");
        std::fs::create_dir_all(&shared).unwrap();
        Self { folder: tempfile::Builder::new().prefix("test-").tempdir_in(shared).unwrap() }
    }

    fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }
}

struct Deployed<'a> {
    state: &'a Path,
    server: &'a LocalServer,
    data: &'a Data,
}

impl Deployed<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Run {
        fuseline(self.state)
            .args([command, TEMPLATE, "--endpoint", &self.server.endpoint])
            .args(more)
            .env("STOCK_DATABASE", self.data.folder.path().join("stock.db"))
            .env("OUTBOX", self.data.outbox())
            .output()
            .expect("fuseline can be started")
            .into()
    }

    fn deploy(&self, setup: &str) {
        let got = self.run("deploy", &["--setup", setup, "--format", "json"]).json();
        assert_eq!(got["deployment"], setup, "{got}");
    }

    fn invoke(&self, payload: &Value) -> Value {
        let got = self.run("invoke", &["--payload", &payload.to_string()]);
        assert_eq!(got.code, Some(0), "{}{}", got.stdout, got.stderr);
        serde_json::from_str(&got.stdout).unwrap()
    }

    /// Fills the shelves, as every load does before it begins, and places every kind of order.
    fn answers(&self) -> Vec<Value> {
        // The template's own requests, and what it expects of their answers.
        let load =
            self.run("load", &["--requests", "12", "--seed", "3", "--format", "json"]).json();
        assert_eq!(load["measurement"]["failures"], 0, "{load}");
        orders().iter().map(|(order, _)| self.invoke(order)).collect()
    }

    /// The confirmation of an order. It is written by an asynchronous call, which comes when it comes.
    fn confirmation(&self, order_id: &str) -> String {
        let path = self.data.outbox().join(format!("{order_id}.eml"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        loop {
            match std::fs::read_to_string(&path) {
                Ok(text) => return text,
                Err(error) if std::time::Instant::now() > deadline => {
                    panic!("{}: {error}", path.display())
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    }
}

/// One order of each kind, and what the answer must contain.
fn orders() -> Vec<(Value, Value)> {
    let order = |key: &str, more: Value| {
        let mut order = json!({
            "idempotencyKey": format!("test-order-{key}"),
            "customer": { "name": "Łucja \"Lu\" O'Neill", "email": "lu@example.org" },
            "country": "DE",
            "items": [{ "sku": "MUG-01", "quantity": 2 }, { "sku": "TEA-07", "quantity": 1 }],
        });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    let plain = order("plain", json!({}));
    let globe = json!([{ "sku": "GLOBE-02", "quantity": 2 }, { "sku": "MUG-01", "quantity": 1 }]);
    let none = json!([{ "sku": "NONE-1", "quantity": 1 }]);
    let sold_out = json!([{ "sku": "GLOBE-02", "wanted": 2, "available": 0 }]);
    let one_mug = json!([{ "sku": "MUG-01", "quantity": 1 }]);
    vec![
        (plain.clone(), json!({ "outcome": "accepted", "total": "46.64" })),
        // The customer's program sends it once more.
        (plain, json!({ "outcome": "accepted", "total": "46.64" })),
        (
            order("plain", json!({ "items": one_mug })),
            json!({ "outcome": "rejected", "reason": "order-changed" }),
        ),
        (
            order("coupon", json!({ "coupon": "WELCOME10" })),
            json!({ "outcome": "accepted", "total": "42.57" }),
        ),
        (
            order("yen", json!({ "country": "JP", "items": one_mug })),
            json!({ "outcome": "accepted", "currency": "JPY", "total": "5347" }),
        ),
        (
            order("globe", json!({ "items": globe })),
            json!({ "outcome": "rejected", "reason": "out-of-stock", "missing": sold_out }),
        ),
        (
            order("none", json!({ "items": none })),
            json!({ "outcome": "rejected", "reason": "unknown-item" }),
        ),
        (
            order("lapsed", json!({ "coupon": "NOSUCH1" })),
            json!({ "outcome": "rejected", "reason": "coupon" }),
        ),
        (
            order("abroad", json!({ "country": "US" })),
            json!({ "outcome": "rejected", "reason": "country" }),
        ),
        (
            order("invalid", json!({ "customer": { "name": "", "email": "nobody" } })),
            json!({ "outcome": "rejected", "reason": "invalid", "problems": [
                { "field": "customer.name", "problem": "must be 1 to 100 characters on one line" },
                { "field": "customer.email", "problem": "must be an e-mail address" },
            ] }),
        ),
        (json!("order"), json!({ "outcome": "rejected", "reason": "invalid" })),
    ]
}

#[test]
fn a_workflow_in_three_languages_answers_the_same_apart_and_fused() {
    if !languages() {
        return;
    }
    for sandbox in sandboxes() {
        let (state, data) = (State::new(), Data::new());
        let server = LocalServer::start(state.path(), sandbox);
        let deployed = Deployed { state: state.path(), server: &server, data: &data };

        deployed.deploy(APART);
        let apart = deployed.answers();
        for ((order, expected), answer) in orders().iter().zip(&apart) {
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(&answer[field], value, "{sandbox}: {order} was answered {answer}");
            }
        }
        assert_eq!(apart[0], apart[1], "sent twice, it is one order");

        for setup in FUSED {
            deployed.deploy(setup);
            let fused = deployed.answers();
            assert_eq!(fused, apart, "{sandbox}: {setup} gives other answers");
        }
        // The outbox was emptied before the last deployment's orders.
        let confirmed = deployed.confirmation(apart[0]["orderId"].as_str().unwrap());
        assert!(confirmed.contains("2 x Enamel mug"), "{confirmed}");

        assert_eq!(server.signal("INT"), Some(0), "Ctrl-C ends it in good order");
        state.assert_nothing_left();
    }
}

#[test]
fn fused_the_languages_no_longer_wait_for_each_other() {
    if !languages() {
        return;
    }
    let (state, data) = (State::new(), Data::new());
    let server = LocalServer::start(state.path(), "process");
    let deployed = Deployed { state: state.path(), server: &server, data: &data };
    let measure = |setup: &str| {
        deployed.deploy(setup);
        let load = ["--requests", "30", "--format", "json"];
        let load = deployed.run("load", &load).json()["measurement"].clone();
        assert_eq!(load["failures"], 0, "{load}");
        load
    };
    let apart = measure(APART);
    assert!(apart["double_billed_ms"].as_f64().unwrap() > 0.0, "{apart}");
    for function in ["checkout", "price", "stock"] {
        assert!(apart["functions"][function]["invocations"].as_u64().unwrap() > 0, "{apart}");
    }
    let fused = measure(WHOLE);
    assert_eq!(fused["double_billed_ms"].as_f64(), Some(0.0), "{fused}");
    for function in ["price", "stock"] {
        assert_eq!(fused["functions"][function]["invocations"].as_u64().unwrap_or(0), 0, "{fused}");
    }
}
