//! Real reports: `facts/lambda.md` 6, from power-tuning's tests, AWS's guide, Lambda's emulator,
//! DataDog's extension and public issues.

use super::*;

/// What a report says, in the order of [`Report`]'s fields; times in microseconds and milliseconds.
#[derive(Default)]
struct Expect {
    id: &'static str,
    duration_us: u64,
    billed_ms: Option<u64>,
    memory_mb: Option<u32>,
    max_memory_mb: Option<u32>,
    init_us: Option<u64>,
    restore: Option<(u64, u64)>,
    status: Option<ReportStatus>,
}

impl Expect {
    fn new(id: &'static str, duration_us: u64, billed_ms: u64, memory: u32, max: u32) -> Self {
        Self {
            id,
            duration_us,
            billed_ms: Some(billed_ms),
            memory_mb: Some(memory),
            max_memory_mb: Some(max),
            ..Self::default()
        }
    }

    fn init(self, init_us: u64) -> Self {
        Self { init_us: Some(init_us), ..self }
    }

    fn restore(self, duration_us: u64, billed_ms: u64) -> Self {
        Self { restore: Some((duration_us, billed_ms)), ..self }
    }

    fn status(self, status: ReportStatus) -> Self {
        Self { status: Some(status), ..self }
    }

    fn error(self, kind: &str) -> Self {
        self.status(ReportStatus::Error(kind.to_owned()))
    }

    fn report(self) -> Report {
        Report {
            request_id: self.id.to_owned(),
            duration_us: self.duration_us,
            billed_ms: self.billed_ms,
            memory_mb: self.memory_mb,
            max_memory_mb: self.max_memory_mb,
            init_us: self.init_us,
            restore: self
                .restore
                .map(|(duration_us, ms)| Restore { duration_us, billed_ms: Some(ms) }),
            status: self.status.unwrap_or(ReportStatus::Success),
        }
    }
}

fn check(line: &str, expect: Expect) {
    let expect = expect.report();
    assert_eq!(Report::parse(line).as_ref(), Some(&expect), "{line}");
    // Copied from a console, with something printed before it, or with its line end.
    let spaces = line.replace('\t', " ");
    for variant in [spaces, format!("50%{line}"), format!("{line} \t\r\n")] {
        assert_eq!(Report::parse(&variant).as_ref(), Some(&expect), "{variant}");
    }
}

fn check_none(line: &str) {
    assert_eq!(Report::parse(line), None, "{line}");
}

#[test]
fn text() {
    check(
        "REPORT RequestId: 55bc566d-1e2c-11e7-93e6-6705ceb4c1cc\tDuration: 469.40 ms\tBilled Duration: 500 ms\tMemory Size: 1024 MB\tMax Memory Used: 21 MB\tInit Duration: 100.99 ms",
        Expect::new("55bc566d-1e2c-11e7-93e6-6705ceb4c1cc", 469_400, 500, 1024, 21).init(100_990),
    );
    check(
        "REPORT RequestId: 12b3cae7-5f4e-415e-93e6-416b8f8b66e6\tDuration: 976.25 ms\tBilled Duration: 977 ms\tMemory Size: 128 MB\tMax Memory Used: 90 MB\tInit Duration: 430.47 ms",
        Expect::new("12b3cae7-5f4e-415e-93e6-416b8f8b66e6", 976_250, 977, 128, 90).init(430_470),
    );
    check(
        "REPORT RequestId: dde1acb5-7158-4518-9547-a5beae8996d2\tDuration: 35.50 ms\tBilled Duration: 36 ms\tMemory Size: 512 MB\tMax Memory Used: 3 MB\t",
        Expect::new("dde1acb5-7158-4518-9547-a5beae8996d2", 35_500, 36, 512, 3),
    );
}

#[test]
fn text_of_restored_instances() {
    check(
        "REPORT RequestId: 55bc566d-1e2c-11e7-93e6-6705ceb4c1cc\tDuration: 469.40 ms\tBilled Duration: 500 ms\tMemory Size: 1024 MB\tMax Memory Used: 21 MB\tRestore Duration: 474.16 ms\tBilled Restore Duration: 75 ms",
        Expect::new("55bc566d-1e2c-11e7-93e6-6705ceb4c1cc", 469_400, 500, 1024, 21)
            .restore(474_160, 75),
    );
    check(
        "REPORT RequestId: b771fecc-1b53-4faf-922d-1d74357b1676\tDuration: 306.34 ms\tBilled Duration: 610 ms\tMemory Size: 3009 MB\tMax Memory Used: 155 MB\tRestore Duration: 511.25 ms\tBilled Restore Duration: 303 ms\t",
        Expect::new("b771fecc-1b53-4faf-922d-1d74357b1676", 306_340, 610, 3009, 155)
            .restore(511_250, 303),
    );
    check(
        "REPORT RequestId: 8c360c87-d4b7-4423-b5f3-af02be3c1763\tDuration: 2338.66 ms\tBilled Duration: 2521 ms\tMemory Size: 3009 MB\tMax Memory Used: 173 MB\tRestore Duration: 398.97 ms\tBilled Restore Duration: 182 ms\t",
        Expect::new("8c360c87-d4b7-4423-b5f3-af02be3c1763", 2_338_660, 2521, 3009, 173)
            .restore(398_970, 182),
    );
}

#[test]
fn text_with_tracing() {
    check(
        "REPORT RequestId: 24addd09-6e64-49fb-b187-94ba9b60b59a Duration: 127.10 ms Billed Duration: 154 ms Memory Size: 2048 MB Max Memory Used: 212 MB Restore Duration: 325.93 ms Billed Restore Duration: 26 ms XRAY TraceId: 1-66d978e5-56c7378e556e94b5461da07c SegmentId: 29c3839e6ecb5895 Sampled: true",
        Expect::new("24addd09-6e64-49fb-b187-94ba9b60b59a", 127_100, 154, 2048, 212)
            .restore(325_930, 26),
    );
    check(
        "REPORT RequestId: c793869b-ee49-115b-a5b6-4fd21e8dedac\tDuration: 128.83 ms\tBilled Duration: 200 ms\tMemory Size: 128 MB\tMax Memory Used: 74 MB\tInit Duration: 166.62 ms\tXRAY TraceId: 1-5d9d007f-0a8c7fd02xmpl480aed55ef0\tSegmentId: 3d752xmpl1bbe37e\tSampled: true",
        Expect::new("c793869b-ee49-115b-a5b6-4fd21e8dedac", 128_830, 200, 128, 74).init(166_620),
    );
    check(
        "REPORT RequestId: 13222b1e-f16b-4550-89df-869ab0a9806d\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 1024 MB\tMax Memory Used: 64 MB\tStatus: timeout\nXRAY TraceId: 1-6ac7d63f-0104e99861c65c8039f183da\tSegmentId: 7c4eb6a6d56f2a27\tSampled: true",
        Expect::new("13222b1e-f16b-4550-89df-869ab0a9806d", 3_000_000, 3000, 1024, 64)
            .status(ReportStatus::Timeout),
    );
}

#[test]
fn text_of_invocations_that_failed() {
    check(
        "REPORT RequestId: 13222b1e-f16b-4550-89df-869ab0a9806d\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 1024 MB\tMax Memory Used: 64 MB\tStatus: timeout",
        Expect::new("13222b1e-f16b-4550-89df-869ab0a9806d", 3_000_000, 3000, 1024, 64)
            .status(ReportStatus::Timeout),
    );
    check(
        "REPORT RequestId: d602a1ed-503f-4ff7-9639-650e773dbbee\tDuration: 600000.00 ms\tBilled Duration: 600477 ms\tMemory Size: 1536 MB\tMax Memory Used: 1035 MB\tInit Duration: 476.75 ms\tStatus: timeout",
        Expect::new("d602a1ed-503f-4ff7-9639-650e773dbbee", 600_000_000, 600_477, 1536, 1035)
            .init(476_750)
            .status(ReportStatus::Timeout),
    );
    check(
        "REPORT RequestId: 806ab12b-e660-4a4a-8d9a-eee01e457f98\tDuration: 376256.59 ms\tBilled Duration: 376257 ms\tMemory Size: 10239 MB\tMax Memory Used: 10239 MB\tInit Duration: 551.73 ms\tStatus: error\tError Type: Runtime.OutOfMemory",
        Expect::new("806ab12b-e660-4a4a-8d9a-eee01e457f98", 376_256_590, 376_257, 10_239, 10_239)
            .init(551_730)
            .error("Runtime.OutOfMemory"),
    );
    check(
        "REPORT RequestId: fa4e6a1f-083b-573d-ace2-090d2b00a3ac Duration: 6954.19 ms Billed Duration: 6955 ms Memory Size: 1024 MB Max Memory Used: 1023 MB Status: error Error Type: Runtime.OutOfMemory",
        Expect::new("fa4e6a1f-083b-573d-ace2-090d2b00a3ac", 6_954_190, 6955, 1024, 1023)
            .error("Runtime.OutOfMemory"),
    );
    check(
        "REPORT RequestId: 5b3aa800-5ff2-4756-89f4-8b01418f8b79\tDuration: 1248.31 ms\tBilled Duration: 1542 ms\tMemory Size: 128 MB\tMax Memory Used: 94 MB\tInit Duration: 293.05 ms\tStatus: error\tError Type: Runtime.ExitError",
        Expect::new("5b3aa800-5ff2-4756-89f4-8b01418f8b79", 1_248_310, 1542, 128, 94)
            .init(293_050)
            .error("Runtime.ExitError"),
    );
}

#[test]
fn text_of_emulators() {
    check(
        "REPORT RequestId: r\tInit Duration: 12.50 ms\tDuration: 27.00 ms\tBilled Duration: 27 ms \tMemory Size: 128 MB\tMax Memory Used: 128 MB\t",
        Expect::new("r", 27_000, 27, 128, 128).init(12_500),
    );
    check(
        "REPORT RequestId: r\tDuration: 27.00 ms\t",
        Expect { id: "r", duration_us: 27_000, ..Expect::default() },
    );
}

#[test]
fn json() {
    check(
        r#"{"time":"2024-02-09T08:42:44.080Z","type":"platform.report","record":{"requestId":"d661f7cf-9208-46b9-85b0-213b04a91065","status":"success","metrics":{"durationMs":1.317,"billedDurationMs":2,"memorySizeMB":1024,"maxMemoryUsedMB":68,"initDurationMs": 10}}}"#,
        Expect::new("d661f7cf-9208-46b9-85b0-213b04a91065", 1_317, 2, 1024, 68).init(10_000),
    );
    check(
        r#"{"time":"2024-06-17T17:23:55.826Z","type":"platform.report","record":{"requestId":"40f6c622-67a3-4159-97f2-ce364a0cb7a8","metrics":{"durationMs":18.593,"billedDurationMs":19,"memorySizeMB":2048,"maxMemoryUsedMB":246},"status":"success"}}"#,
        Expect::new("40f6c622-67a3-4159-97f2-ce364a0cb7a8", 18_593, 19, 2048, 246),
    );
    check(
        r#"{"time":"2026-10-08T07:30:29.470Z","type":"platform.report","record":{"requestId":"79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36","metrics":{"durationMs":1233.96,"billedDurationMs":1698,"memorySizeMB":256,"maxMemoryUsedMB":123,"initDurationMs":463.512},"status":"success"}}"#,
        Expect::new("79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36", 1_233_960, 1698, 256, 123)
            .init(463_512),
    );
    check(
        r#"{"time":"2026-07-09T06:05:50.581Z","type":"platform.report","record":{"requestId":"aec7a529-47f9-4090-be01-c9ed91bf83cf","metrics":{"durationMs":5000.0,"billedDurationMs":5000,"memorySizeMB":128,"maxMemoryUsedMB":94},"status":"timeout"}}"#,
        Expect::new("aec7a529-47f9-4090-be01-c9ed91bf83cf", 5_000_000, 5000, 128, 94)
            .status(ReportStatus::Timeout),
    );
    check(
        r#"{"time":"2022-10-21T14:05:05.766Z","type":"platform.report","record":{"requestId":"459921b5-681c-4a96-beb0-81e0aa586026","metrics":{"durationMs":2599.4,"billedDurationMs":2600,"memorySizeMB":128,"maxMemoryUsedMB":94,"initDurationMs":549.04},"tracing":{"spanId":"24cd7d670fa455f0","type":"X-Amzn-Trace-Id","value":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1"},"status":"success"}}"#,
        Expect::new("459921b5-681c-4a96-beb0-81e0aa586026", 2_599_400, 2600, 128, 94).init(549_040),
    );
}

#[test]
fn json_of_managed_instances_lacks_what_is_not_billed() {
    check(
        r#"{"time":"2025-09-19T19:36:50.881Z","type":"platform.report","record":{"requestId":"13d1305b-a2f5-440c-bfbe-686ccff3d3e0","status":"success","metrics":{"durationMs":1.148},"spans":[{"name":"responseLatency","start":"2025-09-19T19:36:50.880Z","durationMs":0.847},{"name":"responseDuration","start":"2025-09-19T19:36:50.880Z","durationMs":0.127}]}}"#,
        Expect {
            id: "13d1305b-a2f5-440c-bfbe-686ccff3d3e0",
            duration_us: 1_148,
            ..Expect::default()
        },
    );
}

#[test]
fn json_in_other_shapes() {
    let event = |record: &str| {
        format!(
            r#"{{"time":"2026-01-01T00:00:00.000Z","type":"platform.report","record":{record}}}"#
        )
    };
    check(
        &event(
            r#"{"requestId":"r","metrics":{"durationMs": 147.156,"billedDurationMs": 201,"memorySizeMB": 512,"maxMemoryUsedMB": 91,"restoreDurationMs": 500.795,"billedRestoreDurationMs": 53},"status":"success"}"#,
        ),
        Expect::new("r", 147_156, 201, 512, 91).restore(500_795, 53),
    );
    check(
        &event(
            r#"{"requestId":"r","status":"error","errorType":"Runtime.OutOfMemory","metrics":{"durationMs":35.5,"billedDurationMs":36,"memorySizeMB":128,"maxMemoryUsedMB":128}}"#,
        ),
        Expect::new("r", 35_500, 36, 128, 128).error("Runtime.OutOfMemory"),
    );
    // Integers as floating-point numbers; no status; the example of the guide.
    check(
        &event(
            r#"{"metrics":{"billedDurationMs":694.0,"durationMs":693.92,"initDurationMs":397.68,"maxMemoryUsedMB":84.0,"memorySizeMB":1.28e2},"requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"}"#,
        ),
        Expect::new("6d68ca91-49c9-448d-89b8-7ca3e6dc66aa", 693_920, 694, 128, 84).init(397_680),
    );
    // Written again by a collector that sorts names.
    let sorted = r#"{"record":{"metrics":{"durationMs":1,"billedDurationMs":1,"memorySizeMB":128,"maxMemoryUsedMB":3},"requestId":"r","status":"failure"},"time":"2026","type":"platform.report"}"#;
    assert_eq!(
        Report::parse(sorted),
        Some(Expect::new("r", 1_000, 1, 128, 3).error("Unknown").report())
    );
}

/// power-tuning's tests of logs in which extensions and functions print between the events.
#[test]
fn json_between_other_output() {
    let event = r#"{"time":"2024-02-09T08:42:44.080Z","type":"platform.report","record":{"requestId":"r","status":"success","metrics":{"durationMs":1.317,"billedDurationMs":2,"memorySizeMB":1024,"maxMemoryUsedMB":68}}}"#;
    let expect = Some(Expect::new("r", 1_317, 2, 1024, 68).report());
    let start =
        r#"{"time":"2024-02-09T08:42:44.078Z","type":"platform.start","record":{"requestId":"r"#;
    let text = "REPORT RequestId: other\tDuration: 4";
    for before in [
        "[AWS Parameters and Secrets Lambda Extension] 2024/02/09 serving{",
        start,
        text,
        &event[..60],
    ] {
        for behind in ["", " ", "END RequestId: r", "}"] {
            let line = format!("{before}{event}{behind}");
            assert_eq!(Report::parse(&line), expect, "{line}");
        }
    }
    for line in [
        r#"{"timestamp":"2024-02-09","level":"INFO","message":"says "platform.report" but is no JSON}"#,
        r#"{"time":"2024-02-09T08:42:44.078Z","type":"platform.start","record":{"requestId":"r"},"note":"platform.report"}"#,
        &event[1..],
        &event[..event.len() - 1],
    ] {
        check_none(line);
    }
}

#[test]
fn figures_that_cannot_be_are_no_report() {
    let text = |duration: &str, memory: &str| {
        format!(
            "REPORT RequestId: r\tDuration: {duration}\tBilled Duration: 1 ms\tMemory Size: {memory}\tMax Memory Used: 3 MB"
        )
    };
    check(&text("1.23456 ms", "128 MB"), Expect::new("r", 1_235, 1, 128, 3));
    for (duration, memory) in [
        ("-1.00 ms", "128 MB"),
        ("NaN ms", "128 MB"),
        ("1,00 ms", "128 MB"),
        ("1.00 s", "128 MB"),
        ("1.00 msec", "128 MB"),
        ("1.00", "128 MB"),
        (".5 ms", "128 MB"),
        ("18446744073709551617.00 ms", "128 MB"),
        ("1.00 ms", "4294967296 MB"),
        ("1.00 ms", "0x80 MB"),
    ] {
        check_none(&text(duration, memory));
    }
    for duration in ["-1", "1e400", "\"1\"", "1e13", "null", "{}"] {
        check_none(&format!(
            r#"{{"time":"t","type":"platform.report","record":{{"requestId":"r","metrics":{{"durationMs":{duration}}}}}}}"#
        ));
    }
}

#[test]
fn lines_that_are_no_report() {
    for line in [
        "",
        "INIT_REPORT Init Duration: 10009.13 ms Phase: init Status: timeout",
        "RESTORE_REPORT Restore Duration: 511.25 ms",
        "RESTORE_START Runtime Version: java:21.mainline.v82\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:x",
        "START RequestId: 1 Version: $LATEST",
        "REPORT RequestId:",
        "REPORT RequestId: r",
        "REPORT RequestId: r\tBilled Duration: 5 ms",
        // Lambda writes these three together.
        "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 5 ms",
        "REPORT RequestId: r\tDuration: 1.00 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB",
        // A message that quotes a report.
        r#"{"message":"REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB"}"#,
    ] {
        check_none(line);
    }
}

#[test]
fn a_cut_line_with_another_glued_to_it_gives_the_other_or_nothing() {
    let whole = |id: &str, init: &str| {
        format!(
            "REPORT RequestId: {id}\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 3 MB{init}"
        )
    };
    let (first, second) = (whole("first", "\tInit Duration: 2.00 ms"), whole("second", ""));
    let expect = Some(Expect::new("second", 1_000, 1, 128, 3).report());
    for cut in 0..first.len() {
        assert_eq!(Report::parse(&format!("{}{second}", &first[..cut])), expect);
        for other in
            ["END RequestId: r", "START RequestId: r Version: 1", "hello: 3\tms", "{\"a\": 2.00}"]
        {
            check_none(&format!("{}{other}", &first[..cut]));
        }
    }
}

#[test]
fn parts_that_lambda_may_add_are_passed_over() {
    let line = "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\tPeak Concurrency: 3 of 5\tMemory Size: 128 MB\tMax Memory Used: 3 MB\t";
    assert_eq!(Report::parse(line), Some(Expect::new("r", 1_000, 1, 128, 3).report()));
    check_none(&line.replace("Peak Concurrency", "peak concurrency"));
    check_none(line.replace("\tMemory Size", " Memory Size").as_str());
    check_none("REPORT RequestId: r\tDuration: 1.00 ms\tPeak Concurrency: 3\t");
}

#[test]
fn init_reports() {
    let check = |line: &str, init_us, phase: Option<&str>, status| {
        let phase = phase.map(str::to_owned);
        assert_eq!(
            InitReport::parse_bytes(line.as_bytes()),
            Some(InitReport { init_us, phase, status }),
            "{line}"
        );
        check_none(line);
    };
    check(
        "INIT_REPORT Init Duration: 10009.13 ms Phase: init Status: timeout",
        10_009_130,
        Some("init"),
        ReportStatus::Timeout,
    );
    check(
        "INIT_REPORT Init Duration: 154.03 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
        154_030,
        Some("init"),
        ReportStatus::Error("Runtime.ExitError".to_owned()),
    );
    check("INIT_REPORT Init Duration: 13316.04 ms", 13_316_040, None, ReportStatus::Success);
    assert_eq!(InitReport::parse_bytes(b"INIT_REPORT Init Duration: 13316.04 m"), None);
}

#[test]
fn a_report_reads_back_from_its_line() {
    for (init_us, restore, status) in [
        (None, None, ReportStatus::Success),
        (Some(100_990), None, ReportStatus::Timeout),
        (None, Some((1_230, 2)), ReportStatus::Error("Runtime.ExitError".into())),
    ] {
        let mut report = Expect::new("r", 35_500, 36, 512, 3).status(status).report();
        report.init_us = init_us;
        report.restore =
            restore.map(|(duration_us, ms)| Restore { duration_us, billed_ms: Some(ms) });
        assert_eq!(Report::parse(&report.to_string()), Some(report));
    }
}

#[test]
fn out_of_memory_is_told_by_type_or_by_peak() {
    let line = |tail: &str, max: u32| {
        Report::parse(&format!(
            "REPORT RequestId: r\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: {max} MB{tail}"
        ))
        .map(|r| r.out_of_memory())
    };
    assert_eq!(line("\tStatus: error\tError Type: Runtime.OutOfMemory", 5), Some(true));
    assert_eq!(line("\tStatus: error\tError Type: Runtime.ExitError", 127), Some(true));
    assert_eq!(line("\tStatus: error\tError Type: Runtime.ExitError", 20), Some(false));
    assert_eq!(line("\tStatus: timeout", 128), Some(false));
    // The emulator states the size as the peak; Lambda in 2018 a peak above the size.
    assert_eq!(line("", 128), Some(false));
    assert_eq!(line("", 129), Some(true));
    let json = r#"{"time":"t","type":"platform.report","record":{"requestId":"r","status":"error","errorType":"Runtime.OutOfMemory","metrics":{"durationMs":1}}}"#;
    assert!(Report::parse(json).unwrap().out_of_memory());
}
