//! A step of an orchestrated workflow: answers as its environment variable `DO` says.
//!
//! It reads and writes large data as docs/WORKFLOW-FILE.md describes, without knowing more of Fuseline.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// The only field of a reference to data in a file.
const REFERENCE: &str = "fuseline:object";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (payload, context) = event.into_parts();
    let (input, by_reference) = match payload[REFERENCE].as_str() {
        Some(url) => (read(url)?, true),
        None => (payload, false),
    };
    match variable("DO")?.as_str() {
        // What it gets.
        "echo" => Ok(input),
        // A list of the numbers below `n`.
        "split" => {
            Ok(json!({ "chunks": (0..input["n"].as_u64().unwrap_or(0)).collect::<Vec<_>>() }))
        }
        // The square, of odd numbers at the second attempt in an execution.
        "square" => {
            let number = input.as_u64().unwrap_or(0);
            let trace = context.xray_trace_id.unwrap_or_default();
            let root = trace.split(';').next().unwrap_or_default();
            let mark = PathBuf::from(variable("MARKS")?).join(format!("{root}-{number}"));
            if number % 2 == 1 && !mark.exists() {
                std::fs::write(&mark, "").map_err(broken)?;
                return Err(failure("Odd", "try again"));
            }
            Ok(json!(number * number))
        }
        // Two million characters, by reference to a file of its own.
        "large" => {
            let file = Path::new(&variable("DATA")?).join(format!("{}.json", context.request_id));
            let text = json!({ "text": "x".repeat(2_000_000) }).to_string();
            std::fs::write(&file, text).map_err(broken)?;
            Ok(json!({ REFERENCE: format!("file://{}", file.display()) }))
        }
        // The same in its answer.
        "long" => Ok(json!({ "text": "x".repeat(2_000_000) })),
        // What it got, with the length of its texts, and how.
        "measure" => Ok(json!({ "got": lengths(&input), "by_reference": by_reference })),
        "sleep" => {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            Ok(input)
        }
        "exit" => std::process::exit(1),
        other => Err(failure("Broken", other)),
    }
}

fn read(url: &str) -> Result<Value, Diagnostic> {
    let text = match (url.strip_prefix("file://"), url.strip_prefix("s3://")) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(broken)?,
        (_, Some(object)) => fetch(object)?,
        _ => return Err(failure("Reference", url)),
    };
    serde_json::from_str(&text).map_err(broken)
}

/// An object, as `bucket/key`, of a server that believes a header.
fn fetch(object: &str) -> Result<String, Diagnostic> {
    let server = variable("AT")?;
    let mut stream = TcpStream::connect(&server).map_err(broken)?;
    let header = variable("WITH")?;
    let request = format!("GET /{object} HTTP/1.0\r\nHost: {server}\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(broken)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(broken)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failure("S3", &answer))?;
    Ok(body.to_owned())
}

/// The value with every long text replaced by its length.
fn lengths(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > 100 => json!(text.len()),
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), lengths(v))).collect(),
        other => other.clone(),
    }
}

fn variable(name: &str) -> Result<String, Diagnostic> {
    std::env::var(name).map_err(|_| failure("Environment", name))
}

fn failure(error: &str, message: &str) -> Diagnostic {
    Diagnostic { error_type: error.to_owned(), error_message: message.to_owned() }
}

fn broken(error: impl std::fmt::Display) -> Diagnostic {
    failure("File", &error.to_string())
}
