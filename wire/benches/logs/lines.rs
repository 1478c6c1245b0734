//! Logs for benchmarks: what invocations of a fused function leave behind. Equal seeds give equal
//! logs.

use std::fmt::Write as _;

use wire::record::{
    CallKind, CallOutcome, CallRecord, CallSite, InvocationRecord, RECORD_VERSION, Record,
};
use wire::report::{Report, ReportStatus};

/// Writes the lines of invocations one after the other.
pub(crate) struct Lines {
    state: u64,
    /// What has been written.
    pub(crate) text: String,
}

/// Lambda's two log formats.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Lines {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, text: String::new() }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn id(&mut self) -> String {
        let (high, low) = (self.random(), self.random());
        format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }

    fn line(&mut self, line: impl std::fmt::Display) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }

    /// An invocation that printed six lines and made two calls.
    pub(crate) fn invocation(&mut self, format: Format) {
        let id = self.id();
        match format {
            Format::Text => self.line(format_args!("START RequestId: {id} Version: 12")),
            Format::Json => self.line(format_args!(
                r#"{{"time":"2026-01-17T10:21:05.143Z","type":"platform.start","record":{{"requestId":"{id}","version":"12"}}}}"#
            )),
        }
        for _ in 0..3 {
            self.application(&id);
            self.application(&id);
        }
        self.call(&id);
        self.call(&id);
        self.served(&id);
        if let Format::Text = format {
            self.line(format_args!("END RequestId: {id}"));
        }
        self.report(&id, format);
    }

    /// Two lines of the function's own, one of text and one of JSON.
    pub(crate) fn application(&mut self, id: &str) {
        let (order, price) = (self.random() % 1_000_000, self.random() % 10_000);
        self.line(format_args!(
            "[INFO]\t2026-01-17T10:21:05.{:03}Z\t{id}\tOrder {order} priced at {price}",
            price % 1000
        ));
        self.line(format_args!(
            r#"{{"timestamp":"2026-01-17T10:21:05Z","level":"INFO","message":"order stored","order":{order},"table":"orders","requestId":"{id}"}}"#
        ));
    }

    pub(crate) fn call(&mut self, id: &str) {
        let callee_request = self.id();
        let record = Record::Call(CallRecord {
            v: RECORD_VERSION,
            trace: "1-67891233-abcdef012345678912345678".into(),
            function: "trainticket-cancel-order".into(),
            caller: "trainticket-cancel-order".into(),
            caller_request: id.to_owned(),
            callee: "trainticket-get-order".into(),
            callee_request,
            kind: CallKind::Sync,
            site: CallSite::Inline,
            start_us: 1_768_645_265_000_000 + self.random() % 1_000_000,
            duration_us: self.random() % 100_000,
            outcome: CallOutcome::Ok,
            request_bytes: self.random() % 4096,
            response_bytes: self.random() % 4096,
            calls: None,
            request_payload: None,
            response_payload: None,
        });
        self.line(record.to_line());
    }

    pub(crate) fn served(&mut self, id: &str) {
        let record = Record::Invocation(InvocationRecord {
            v: RECORD_VERSION,
            trace: "1-67891233-abcdef012345678912345678".into(),
            function: "trainticket-cancel-order".into(),
            version: "12".into(),
            request: id.to_owned(),
            start_us: 1_768_645_265_000_000 + self.random() % 1_000_000,
            duration_us: self.random() % 100_000,
            first: false,
            outcome: CallOutcome::Ok,
            request_bytes: self.random() % 4096,
            response_bytes: self.random() % 4096,
            calls: None,
            request_payload: None,
            response_payload: None,
        });
        self.line(record.to_line());
    }

    pub(crate) fn report(&mut self, id: &str, format: Format) {
        let duration_us = self.random() % 1_000_000;
        let report = Report {
            request_id: id.to_owned(),
            duration_us,
            billed_ms: Some(duration_us.div_ceil(1000)),
            memory_mb: Some(512),
            max_memory_mb: Some(40 + (self.random() % 100) as u32),
            init_us: self.random().is_multiple_of(20).then_some(123_450),
            restore: None,
            status: ReportStatus::Success,
        };
        match format {
            Format::Text => self.line(format_args!("{report}\t")),
            Format::Json => {
                let billed = duration_us.div_ceil(1000);
                self.line(format_args!(
                    r#"{{"time":"2026-01-17T10:21:05.143Z","type":"platform.report","record":{{"requestId":"{id}","metrics":{{"durationMs":{},"billedDurationMs":{billed},"memorySizeMB":512,"maxMemoryUsedMB":68}},"status":"success"}}}}"#,
                    duration_us as f64 / 1000.0
                ));
            }
        }
    }
}
