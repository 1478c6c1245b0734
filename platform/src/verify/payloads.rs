//! Payloads to verify with that are not made from templates: out of a file, or out of the records of
//! deployed functions.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use wire::log::{Entry, entries};

use crate::endpoint::Endpoint;
use crate::input_error::InputError;
use crate::log_reader::LogReader;
use crate::observe::ObserveError;
use crate::project::{Project, reason};

/// Reads payloads, a line of JSON each; empty lines are skipped.
///
/// # Errors
/// If the file cannot be read, a line is not JSON, or there is no payload in it.
pub fn read_file(file: &Path) -> Result<Vec<Value>, InputError> {
    let wrong = |position, message: String, next_step: &str| InputError {
        file: file.to_owned(),
        position,
        message,
        next_step: next_step.to_owned(),
    };
    let text = fs_err::read_to_string(file).map_err(|error| {
        let message = format!("the payloads cannot be read: {}", reason(&error));
        wrong(None, message, "name a file with a line of JSON for each payload")
    })?;
    let mut payloads = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let payload = serde_json::from_str(line).map_err(|error| {
            let position = (index as u64 + 1, error.column().max(1) as u64);
            // The error says its own position, which is that within the line.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            let message = format!("the payload is not JSON: {message}");
            wrong(Some(position), message, "correct the line; each payload is one line of JSON")
        })?;
        payloads.push(payload);
    }
    if payloads.is_empty() {
        let message = "there is no payload in it".to_owned();
        return Err(wrong(None, message, "write a line of JSON for each payload"));
    }
    Ok(payloads)
}

/// The latest `limit` different payloads that the entry's function has recorded, in the order they
/// were served in. Payloads that were cut or are not JSON are left out.
///
/// # Errors
/// If the log cannot be read.
pub async fn recorded(
    endpoint: &Endpoint,
    project: &Project,
    limit: usize,
) -> Result<Vec<Value>, ObserveError> {
    let entry = project.workflow.entry();
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    // Records with payloads are long, and Insights would cut them.
    let mut reader = LogReader::filtering(endpoint, entry, 0);
    let on_page = |page: &[u8]| {
        for entry in entries(page) {
            let Entry::Invocation(invocation) = entry else { continue };
            let payload = invocation.request_payload.filter(|payload| !payload.cut);
            found.extend(payload.map(|payload| (invocation.start_us, payload.bytes())));
        }
    };
    reader.read(on_page).await?;
    found.sort();
    let mut seen = BTreeSet::new();
    let mut latest: Vec<Value> = found
        .into_iter()
        .rev()
        .filter_map(|(_, bytes)| Some((serde_json::from_slice(&bytes).ok()?, bytes)))
        .filter(|(_, bytes)| seen.insert(bytes.clone()))
        .map(|(payload, _)| payload)
        .take(limit)
        .collect();
    latest.reverse();
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expect: Result<Vec<Value>, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.jsonl");
        std::fs::write(&file, text).unwrap();
        let got = read_file(&file).map_err(|error| error.to_string());
        let name = file.display();
        assert_eq!(got, expect.map_err(|text| format!("{name}{text}")), "{text}");
    }

    #[test]
    fn payloads_are_lines_of_json() {
        check("{\"a\": 1}\n\n2\n", Ok(vec![json!({"a": 1}), json!(2)]));
        check("1\n\n{\"a\" 1}\n", Err(":3:6: the payload is not JSON: expected `:`"));
        check("\n", Err(": there is no payload in it"));
        let missing = read_file(Path::new("/nowhere/p.jsonl")).unwrap_err().to_string();
        assert!(
            missing.starts_with("/nowhere/p.jsonl: the payloads cannot be read: "),
            "{missing}"
        );
    }
}
