//! Both ways on a server that stands for AWS, and what disturbs them.

use std::io::{Cursor, Write};
use std::sync::Mutex;
use std::time::Duration;

use ::tests::aws::request;
use ::tests::stub::{Rule, Stub};
use ::tests::{LocalServer, State};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// Rows that a query gives: fewer than there are, and about as many as in a second.
const ROWS: &str = "60";
const INVOCATIONS: usize = 40;

#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Observer for Failures {
    fn on_event(&self, event: RunEvent) {
        let RunEvent::InsightsFailed { reason, .. } = event else { return };
        self.0.lock().unwrap().push(reason);
    }
}

/// A function that has written a log, behind a stub.
struct Logged {
    from_ms: i64,
    stub: Stub,
    _server: LocalServer,
    _state: State,
}

impl Logged {
    fn new() -> Self {
        let state = State::new();
        let server = LocalServer::start_with(state.path(), "process", &["--query-rows", ROWS]);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        zip.write_all(&fs_err::read(::tests::program("probe")).unwrap()).unwrap();
        let zip = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            zip.finish().unwrap().into_inner(),
        );
        let function = json!({
            "FunctionName": "f", "Runtime": "provided.al2023", "Handler": "x", "MemorySize": 256,
            "Role": "arn:aws:iam::000000000000:role/r", "Code": { "ZipFile": zip },
        });
        let functions = "/2015-03-31/functions";
        request(&server.endpoint, "POST", functions, &function.to_string()).unwrap();
        let from_ms = jiff::Timestamp::now().as_millisecond() - 3_000;
        for index in 0..INVOCATIONS {
            // One record in ten is too long for Insights.
            let long = "x".repeat(if index % 10 == 0 { 2_000 } else { 10 });
            let print = format!(
                "noise\n{{\"fuseline\":\"call\",\"number\":{index},\"long\":\"{long}\"}}\nmore noise"
            );
            let event = json!({ "print": print, "sleep_ms": 130 }).to_string();
            let path = format!("{functions}/f/invocations");
            let answer = request(&server.endpoint, "POST", &path, &event).unwrap();
            assert_ne!(answer, Value::Null);
        }
        // Insights is asked for what is older than a second.
        std::thread::sleep(Duration::from_millis(2_100));
        let stub = Stub::start(Some(&server.endpoint));
        Self { from_ms, stub, _server: server, _state: state }
    }

    /// What is read in one way, in order, and why Insights failed.
    async fn read(&self, way: LogWay, rules: &[Rule]) -> (Vec<String>, Vec<String>) {
        self.stub.set(rules);
        let mut endpoint = Endpoint::at(&self.stub.endpoint).await;
        endpoint.log_way = way;
        let failures = Failures::default();
        let mut reader =
            LogReader::new(&endpoint, &TaskName("f".to_owned()), self.from_ms, &failures);
        let mut lines = Vec::new();
        // The second time there is nothing new.
        for _ in 0..2 {
            reader.read(|page| lines.extend(lines_of(page))).await.unwrap();
        }
        lines.sort();
        (lines, failures.0.into_inner().unwrap())
    }

    fn asked(&self, operation: &str) -> usize {
        let operation = format!("POST / {operation}");
        self.stub.asked().iter().filter(|asked| **asked == operation).count()
    }
}

fn lines_of(page: &[u8]) -> Vec<String> {
    let text = String::from_utf8(page.to_vec()).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_read_the_same() {
    let logged = Logged::new();
    let (filtered, _) = logged.read(LogWay::Filter, &[]).await;
    assert_eq!((logged.asked("StartQuery"), logged.asked("FilterLogEvents")), (0, 2));
    // START, record, END and REPORT of each, and none of the function's own.
    assert_eq!(filtered.len(), 4 * INVOCATIONS, "{filtered:#?}");
    let (queried, failures) = logged.read(LogWay::Insights, &[]).await;
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(queried, filtered);
    let (queries, pages) = (logged.asked("StartQuery"), logged.asked("FilterLogEvents"));
    assert!((3..40).contains(&queries), "{queries}");
    // Two for the newest, and the parts with long records.
    assert!((3..30).contains(&pages), "{pages}");
    // The log is small.
    assert_eq!(logged.read(LogWay::Auto, &[]).await.0, filtered);
    assert_eq!(logged.asked("StartQuery"), 0);

    // It would be large if every page said that there are more.
    let more = |page: usize| {
        Rule::merged("POST / FilterLogEvents", json!({ "nextToken": "0".repeat(page) })).times(1)
    };
    let pages: Vec<Rule> = (1..=MANY_PAGES + 2).map(more).collect();
    let (lines, failures) = logged.read(LogWay::Auto, &pages).await;
    assert_eq!((lines, failures), (filtered.clone(), Vec::new()));
    assert!(logged.asked("StartQuery") > 0);

    let start = |code: &str| Rule::error("POST / StartQuery", 400, code, None);
    let results = |fields: Value| Rule::merged("POST / GetQueryResults", fields);
    let gone = Rule::error("POST / GetQueryResults", 400, "ResourceNotFoundException", None);
    let strange = json!({ "results": [[{ "field": "@message", "value": "a" }]] });
    for (rule, says) in [
        (start("MalformedQueryException"), "MalformedQueryException"),
        (start("AccessDeniedException"), "logs:StartQuery"),
        (results(json!({ "status": "Failed" })), "ended as Failed"),
        (results(json!({ "status": "Timeout" })), "ended as Timeout"),
        (gone, "ResourceNotFoundException"),
        (results(strange), "a row has the time ``"),
    ] {
        let (lines, failures) = logged.read(LogWay::Insights, &[rule]).await;
        assert_eq!(lines, filtered, "{says}");
        assert!(failures.len() == 1 && failures[0].contains(says), "{says}: {failures:?}");
    }
    // Every second has too much to say, which is no failure.
    let many = results(json!({ "statistics": { "recordsMatched": 1e9 } }));
    assert_eq!(logged.read(LogWay::Insights, &[many]).await, (filtered.clone(), Vec::new()));
    // It fails in the middle.
    let rule = Rule::answer("POST / GetQueryResults", json!({ "status": "Failed", "results": [] }));
    let wait = Rule::merged("POST / GetQueryResults", json!({})).times(9);
    let (lines, failures) = logged.read(LogWay::Insights, &[wait, rule]).await;
    assert_eq!((lines, failures.len()), (filtered, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_insights_never_gives_is_found_in_the_end_and_a_query_is_stopped() {
    let logged = Logged::new();
    let (filtered, _) = logged.read(LogWay::Filter, &[]).await;
    let mut endpoint = Endpoint::at(&logged.stub.endpoint).await;
    endpoint.log_way = LogWay::Insights;
    let failures = Failures::default();
    let new = || LogReader::new(&endpoint, &TaskName("f".to_owned()), logged.from_ms, &failures);

    let empty =
        json!({ "status": "Complete", "results": [], "statistics": { "recordsMatched": 0.0 } });
    logged.stub.set(&[Rule::answer("POST / GetQueryResults", empty)]);
    let mut reader = new().remembering();
    let mut lines = Vec::new();
    reader.read(|page| lines.extend(lines_of(page))).await.unwrap();
    assert!(lines.len() < filtered.len(), "{}", lines.len());
    reader.start_over();
    reader.read(|page| lines.extend(lines_of(page))).await.unwrap();
    // Without a pattern there are the function's own lines as well.
    lines.retain(|line| !line.ends_with("noise"));
    lines.sort();
    assert_eq!(lines, filtered);

    let running = json!({ "status": "Running" });
    logged.stub.set(&[Rule::merged("POST / GetQueryResults", running)]);
    let mut reader = new();
    let given_up = tokio::time::timeout(Duration::from_millis(500), reader.read(|_| ())).await;
    assert!(given_up.is_err());
    for _ in 0..50 {
        if logged.asked("StopQuery") == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not stopped: {:?}", logged.stub.asked());
}

#[test]
fn what_is_read_has_one_of_the_words() {
    for line in [
        "START RequestId: r Version: 1\n",
        "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\n",
        "no line endREPORT RequestId: r\tDuration: 1.00 ms\n",
        "RequestId: r Error: Runtime exited with error: signal: killed\n",
        "INIT_REPORT Init Duration: 1.00 ms\n",
        "{\"time\":\"\",\"type\":\"platform.start\",\"record\":{\"requestId\":\"r\"}}\n",
        "{\"time\":\"\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"r\"}}\n",
        "{\"fuseline\":\"call\",\"v\":1}\n",
    ] {
        let whole_words = WORDS.iter().any(|word| {
            line.split(|c: char| c.is_whitespace() || "{}\",".contains(c)).any(|it| it == *word)
        });
        assert!(whole_words, "{line}");
    }
}
