//! What a platform's file may say and may not.

use serde_json::{Value, json};

use super::*;

/// A file that is right.
fn good() -> Value {
    json!({
        "name": "mine",
        "space": {
            "source": "own measurements",
            "date": "2026-11-27",
            "memoryPerVcpu": 2048,
            "cells": [
                { "vcpu": { "from": 0.1, "to": 2, "step": 0.1 }, "memory": { "from": 256, "to": 4096, "step": 256 }, "memoryPerVcpu": { "from": 1024, "to": 4096 } },
                { "vcpu": 4, "memory": 8192 }
            ]
        },
        "prices": {
            "mine": {
                "source": "own bill", "date": "2026-11-27", "unit": "EUR", "per": "hour",
                "vcpu": 0.036, "gb": 0.0036, "request": 0, "granularityMs": 100, "minimumMs": 1000, "initBilled": false
            }
        }
    })
}

fn check(file: &Value) -> Result<Platform, PlatformFault> {
    serde_json::from_value::<PlatformFile>(file.clone()).unwrap().check()
}

/// The good file with another value at a pointer; `Null` removes it.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = file.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Value::Null) => drop(map.remove(key)),
        (Value::Object(map), value) => drop(map.insert(key.to_owned(), value)),
        (list, value) => list[key.parse::<usize>().unwrap()] = value,
    }
    file
}

#[test]
fn a_good_file_is_read() {
    let platform = check(&good()).unwrap();
    let space = platform.space.unwrap();
    assert_eq!(
        (space.name(), space.source(), space.date()),
        ("mine", "own measurements", "2026-11-27")
    );
    assert_eq!(space.largest().to_string(), "4 vCPU and 8192 MB");
    let book = &platform.prices[0];
    assert_eq!(
        (book.per_vcpu_second, book.per_gb_second),
        (PicoUsd(10_000_000), PicoUsd(1_000_000))
    );
    assert_eq!((book.granularity_ms, book.minimum_ms, book.unit.as_str()), (100, 1_000, "EUR"));
    assert!(check(&with("/prices", Value::Null)).unwrap().prices.is_empty());
    assert_eq!(check(&with("/space", Value::Null)).unwrap().space, None);
}

#[test]
fn faults_name_the_field_and_what_to_do() {
    let cells = "/space/cells/0";
    let at = |field: &str| format!("{cells}/{field}");
    let price = |field: &str| format!("/prices/mine/{field}");
    let bundled = json!({
        "source": "s", "date": "2026-01-01", "memoryPerVcpu": 1769,
        "bundled": { "from": 128, "to": 1024, "step": 1 }
    });
    for (pointer, value, message, next_step) in [
        ("/name".into(), json!("my own"), "name `my own` is no name", "letters"),
        (
            "/space/date".into(),
            json!("27.11.2026"),
            "space.date `27.11.2026` is no day",
            "YYYY-MM-DD",
        ),
        (
            "/space/date".into(),
            json!("2026-13-01"),
            "space.date `2026-13-01` is no day",
            "YYYY-MM-DD",
        ),
        ("/space/source".into(), json!(" "), "space.source is empty", "where the figures are from"),
        (
            "/space/memoryPerVcpu".into(),
            json!(0),
            "space.memoryPerVcpu cannot be 0 MB",
            "from 1 up",
        ),
        ("/space/cells".into(), json!([]), "space.cells is empty", "at least one"),
        ("/space/cells".into(), Value::Null, "space offers nothing", "`bundled`"),
        (
            "/space/bundled".into(),
            json!(128),
            "space has both `bundled` and `cells`",
            "else `cells`",
        ),
        (
            at("vcpu"),
            json!({ "from": 2, "to": 1, "step": 1 }),
            "space.cells[0].vcpu goes from 2 down to 1",
            "swap",
        ),
        (at("vcpu/step"), json!(0), "space.cells[0].vcpu.step cannot be 0 vCPU", "from 0.001 up"),
        (
            at("vcpu/step"),
            json!(0.3),
            "space.cells[0].vcpu does not reach 2 from 0.1 in steps of 0.3",
            "end at 1.9, or",
        ),
        (
            at("vcpu/from"),
            json!(0.0005),
            "space.cells[0].vcpu.from cannot be 0.0005 vCPU",
            "three decimals",
        ),
        (
            at("vcpu"),
            json!({ "from": 1, "to": 300, "step": 0.001 }),
            "space.cells[0].vcpu has 299001 sizes, more than 200000",
            "larger",
        ),
        (
            at("memory/step"),
            json!(1_000),
            "space.cells[0].memory does not reach 4096 from 256 in steps of 1000",
            "end at 3256, or",
        ),
        (at("memory"), json!(0.5), "space.cells[0].memory cannot be 0.5 MB", "whole number of MB"),
        (
            at("memory"),
            json!(-128),
            "space.cells[0].memory cannot be -128 MB",
            "whole number of MB",
        ),
        (
            at("memoryPerVcpu"),
            json!({ "from": 4_096, "to": 1_024 }),
            "space.cells[0].memoryPerVcpu goes from 4096 down to 1024 MB",
            "swap",
        ),
        (
            at("memoryPerVcpu"),
            json!(1_000_000),
            "space.cells[0].memoryPerVcpu leaves no memory size for any vCPU",
            "widen",
        ),
        (price("gb"), json!(-0.1), "prices.mine.gb cannot be -0.1", "what it costs"),
        (
            price("vcpu"),
            json!(1e-15),
            "prices.mine.vcpu is 0.000000000000001, less than can be counted",
            "smaller `unit`",
        ),
        (
            price("request"),
            json!(1e7),
            "prices.mine.request is 10000000, more than 1000000",
            "larger `unit`",
        ),
        (
            price("vcpu"),
            json!(0),
            "prices.mine.vcpu costs nothing, though it can be chosen here",
            "write its price",
        ),
        (price("unit"), json!(""), "prices.mine.unit is empty", "USD"),
        (
            price("granularityMs"),
            json!(0),
            "prices.mine.granularityMs cannot be 0",
            "from 1 to 86400000",
        ),
        (
            price("granularityMs"),
            json!(0.5),
            "prices.mine.granularityMs cannot be 0.5",
            "whole milliseconds",
        ),
        (price("minimumMs"), json!(-1), "prices.mine.minimumMs cannot be -1", "from 0 to"),
        (
            "/space".into(),
            bundled,
            "prices.mine.vcpu has a price, though vCPU comes with the memory here",
            "write 0",
        ),
    ] {
        let fault = check(&with(&pointer, value)).unwrap_err();
        assert!(fault.to_string().starts_with(message), "{fault}");
        assert!(fault.next_step.contains(next_step), "{fault}: {}", fault.next_step);
    }
    let empty = json!({ "name": "mine" });
    assert_eq!(
        check(&empty).unwrap_err().to_string(),
        "name names a platform without a space and without prices"
    );
    let mut free = with("/space", Value::Null);
    (free["prices"]["mine"]["vcpu"], free["prices"]["mine"]["gb"]) = (json!(0), json!(0));
    assert!(check(&free).unwrap_err().message.starts_with("charges nothing"));
}

#[test]
fn prices_that_are_no_numbers_are_refused() {
    // YAML can say them, JSON cannot.
    for price in [f64::NAN, f64::INFINITY] {
        let mut file: PlatformFile = serde_json::from_value(good()).unwrap();
        file.prices["mine"].gb = price;
        let fault = file.check().unwrap_err();
        assert_eq!(fault.path.dotted(), "prices.mine.gb");
        assert!(fault.message.starts_with("cannot be"), "{fault}");
    }
    let mut file: PlatformFile = serde_json::from_value(good()).unwrap();
    file.space.as_mut().unwrap().memory_per_vcpu = f64::NAN;
    assert_eq!(file.check().unwrap_err().path.dotted(), "space.memoryPerVcpu");
}

#[test]
fn unknown_keys_are_refused() {
    for pointer in ["/extra", "/space/extra", "/space/cells/0/extra", "/prices/mine/perRequest"] {
        let error = serde_json::from_value::<PlatformFile>(with(pointer, json!(1))).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
    let error = serde_json::from_value::<PlatformFile>(with("/space/bundled", json!("512")));
    assert!(error.unwrap_err().to_string().contains("a number or a map such as"));
}
