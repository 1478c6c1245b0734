//! Fresh orders for the requests of a run: every request then does the whole job, and the database
//! is the same size before every run.

use std::io::BufRead;

use crate::cancel_order;
use crate::clock::DAY_MS;
use crate::money::Money;
use crate::order::{Order, OrderStatus, SeatClass};
use crate::seeds::STATIONS;

/// A list of requests that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RequestsError {
    /// A line is not a request.
    #[error(r#"line {line} of the requests is not of the form {{"orderId": "…", "loginId": "…"}}"#)]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// Where it departs.
        source: serde_json::Error,
    },
    /// The list ended in an error.
    #[error("cannot read line {line} of the requests")]
    Unreadable {
        /// Which line, from 1.
        line: usize,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// Reads one request a line, in JSON, and returns the order that each is to cancel. Empty lines
/// are skipped. `now_ms` is the current time in milliseconds since 1970-01-01 UTC.
///
/// # Errors
/// At the first line that cannot be read.
pub fn read_orders(requests: impl BufRead, now_ms: i64) -> Result<Vec<Order>, RequestsError> {
    let mut orders = Vec::new();
    for (index, text) in requests.lines().enumerate() {
        let line = index + 1;
        let text = text.map_err(|source| RequestsError::Unreadable { line, source })?;
        if text.trim().is_empty() {
            continue;
        }
        let request = serde_json::from_str(&text)
            .map_err(|source| RequestsError::Malformed { line, source })?;
        orders.push(fresh_order(request, now_ms));
    }
    Ok(orders)
}

/// The order that `request` is to cancel. Everything about it but its dates follows from its
/// identifier, so that a request always takes the same way through the functions.
fn fresh_order(request: cancel_order::Request, now_ms: i64) -> Order {
    let number = fingerprint(&request.order_id);
    // Each part takes its own digits, so that one does not decide the other.
    let pick = |parts: u64, of: u64| number / parts % of;
    let status = match pick(1, 3) {
        0 => OrderStatus::NotPaid,
        1 => OrderStatus::Paid,
        _ => OrderStatus::Change,
    };
    let from = pick(3, 13) as usize;
    // One of the twelve others.
    let to = (from + 1 + pick(39, 12) as usize) % STATIONS.len();
    Order {
        id: request.order_id,
        account_id: request.login_id,
        contacts_name: "Contact Two".to_owned(),
        document_type: 1,
        contacts_document_number: "DocumentNumber_Two".to_owned(),
        train_number: format!("G{}", 1234 + pick(468, 4)),
        coach_number: 1 + pick(1_872, 16) as i32,
        seat_class: SeatClass::Second,
        seat_number: format!("SecondClass-{}", 1 + pick(29_952, 90)),
        from: STATIONS[from].id.to_owned(),
        to: STATIONS[to].id.to_owned(),
        status,
        price: Money::from_cents(2_000 + pick(2_695_680, 48_000)),
        bought_date: now_ms,
        travel_date: now_ms + 30 * DAY_MS,
        travel_time: 10 * 3_600_000,
    }
}

/// FNV-1a, which unlike the standard library's hash is the same in every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{RequestsError, read_orders};
    use crate::refund_rules::is_cancellable;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn line(number: u32) -> String {
        format!(r#"{{"orderId":"order-{number}","loginId":"customer"}}"#)
    }

    #[test]
    fn the_same_requests_give_the_same_orders() {
        let text = format!("{}\n\n{}\n", line(1), line(2));
        let orders = read_orders(text.as_bytes(), NOW_MS).unwrap();
        assert_eq!(orders.len(), 2);
        assert_eq!(orders[1].id, "order-2");
        assert_eq!(orders[1].account_id, "customer");
        assert_eq!(orders, read_orders(text.as_bytes(), NOW_MS).unwrap());
    }

    #[test]
    fn every_order_can_be_cancelled_and_every_status_occurs() {
        let text: Vec<String> = (0..300).map(line).collect();
        let orders = read_orders(text.join("\n").as_bytes(), NOW_MS).unwrap();
        let mut counts = [0; 7];
        for order in &orders {
            assert!(is_cancellable(order.status));
            assert!(order.departure_ms() > NOW_MS);
            assert_ne!(order.from, order.to);
            counts[i32::from(order.status) as usize] += 1;
        }
        for status in [0, 1, 3] {
            assert!((70..=130).contains(&counts[status]), "{counts:?}");
        }
    }

    #[test]
    fn names_the_line_at_fault() {
        let text = format!("{}\n{{\"orderId\": 7}}\n", line(1));
        let error = read_orders(text.as_bytes(), NOW_MS).unwrap_err();
        assert!(matches!(error, RequestsError::Malformed { line: 2, .. }), "{error}");
    }
}
