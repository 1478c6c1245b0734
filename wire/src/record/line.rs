//! Records exactly as a supervisor of this version writes them, read without a JSON parser.
//!
//! Most of what there is to read in a log are call records, and they all have the same names in the
//! same order. Whatever looks different in the least (another order, a name more, a character that
//! is escaped, a payload) is left to the JSON parser.

use super::{
    CallKind, CallOutcome, CallRecord, CallSite, InvocationRecord, RECORD_VERSION, Record,
};
use crate::text::Text;

/// The record that a line starts with.
pub(super) fn read(line: &[u8]) -> Option<Record<Text<'_>>> {
    let mut rest = Rest(std::str::from_utf8(line).ok()?);
    match rest.text("{\"fuseline\":")? {
        "call" => call(rest).map(Record::Call),
        "invocation" => invocation(rest).map(Record::Invocation),
        _ => None,
    }
}

fn call(mut rest: Rest<'_>) -> Option<CallRecord<Text<'_>>> {
    let record = CallRecord {
        v: rest.version()?,
        trace: rest.text(",\"trace\":")?.into(),
        function: rest.text(",\"function\":")?.into(),
        caller: rest.text(",\"caller\":")?.into(),
        caller_request: rest.text(",\"caller_request\":")?.into(),
        callee: rest.text(",\"callee\":")?.into(),
        callee_request: rest.text(",\"callee_request\":")?.into(),
        kind: match rest.text(",\"kind\":")? {
            "sync" => CallKind::Sync,
            "async" => CallKind::Async,
            _ => return None,
        },
        site: match rest.text(",\"site\":")? {
            "inline" => CallSite::Inline,
            "remote" => CallSite::Remote,
            _ => return None,
        },
        start_us: rest.number(",\"start_us\":")?,
        duration_us: rest.number(",\"duration_us\":")?,
        outcome: rest.outcome()?,
        request_bytes: rest.number(",\"request_bytes\":")?,
        response_bytes: rest.number(",\"response_bytes\":")?,
        calls: rest.calls()?,
        request_payload: None,
        response_payload: None,
    };
    rest.end().then_some(record)
}

fn invocation(mut rest: Rest<'_>) -> Option<InvocationRecord<Text<'_>>> {
    let record = InvocationRecord {
        v: rest.version()?,
        trace: rest.text(",\"trace\":")?.into(),
        function: rest.text(",\"function\":")?.into(),
        version: rest.text(",\"version\":")?.into(),
        request: rest.text(",\"request\":")?.into(),
        start_us: rest.number(",\"start_us\":")?,
        duration_us: rest.number(",\"duration_us\":")?,
        first: rest.truth(",\"first\":")?,
        outcome: rest.outcome()?,
        request_bytes: rest.number(",\"request_bytes\":")?,
        response_bytes: rest.number(",\"response_bytes\":")?,
        calls: rest.calls()?,
        request_payload: None,
        response_payload: None,
    };
    rest.end().then_some(record)
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// A string behind a name, if nothing in it is escaped.
    fn text(&mut self, name: &str) -> Option<&'a str> {
        self.skip(name)?;
        self.skip("\"")?;
        let plain = |byte| !matches!(byte, b'"' | b'\\' | 0..0x20);
        let (text, rest) = self.0.split_at(self.0.bytes().position(|byte| !plain(byte))?);
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        self.skip(name)?;
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        // More digits could be too many, and JSON has no zero before another digit.
        if !(1..=19).contains(&digits) || digits > 1 && self.0.starts_with('0') {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(number.bytes().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
    }

    fn truth(&mut self, name: &str) -> Option<bool> {
        self.skip(name)?;
        match self.skip("true") {
            Some(()) => Some(true),
            None => self.skip("false").map(|()| false),
        }
    }

    fn version(&mut self) -> Option<u32> {
        let version = self.number(",\"v\":")?.try_into().ok()?;
        (version <= RECORD_VERSION).then_some(version)
    }

    /// The number of calls, if there is one; `None` if it is no such number.
    fn calls(&mut self) -> Option<Option<u32>> {
        const NAME: &str = ",\"calls\":";
        if !self.0.starts_with(NAME) {
            return Some(None);
        }
        self.number(NAME)?.try_into().ok().map(Some)
    }

    fn outcome(&mut self) -> Option<CallOutcome> {
        match self.text(",\"outcome\":")? {
            "ok" => Some(CallOutcome::Ok),
            "error" => Some(CallOutcome::Error),
            "crash" => Some(CallOutcome::Crash),
            "timeout" => Some(CallOutcome::Timeout),
            "refused" => Some(CallOutcome::Refused),
            _ => None,
        }
    }

    fn end(&self) -> bool {
        self.0.starts_with('}')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALL: &str = r#"{"fuseline":"call","v":1,"trace":"1-67891233-abcdef012345678912345678","function":"a","caller":"a","caller_request":"r1","callee":"","callee_request":"","kind":"async","site":"remote","start_us":1700000000000000,"duration_us":354,"outcome":"refused","request_bytes":12,"response_bytes":0}"#;
    const INVOCATION: &str = r#"{"fuseline":"invocation","v":1,"trace":"","function":"ä","version":"$LATEST","request":"r","start_us":1,"duration_us":2,"first":true,"outcome":"ok","request_bytes":3,"response_bytes":4,"calls":2}"#;

    #[test]
    fn what_a_supervisor_writes_is_read() {
        for line in [CALL, INVOCATION] {
            let read = read(line.as_bytes()).unwrap();
            let parsed = Record::<Text<'_>>::parse_json(line.as_bytes()).unwrap();
            assert_eq!(read, parsed, "{line}");
            assert_eq!(Record::parse(line).unwrap().to_line(), line);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever happens to a line, what is read of it is what the parser reads.
        #[test]
        fn nothing_is_read_that_the_parser_reads_otherwise(
            line in prop_oneof![Just(CALL), Just(INVOCATION)],
            at in any::<prop::sample::Index>(),
            length in 0..12_usize,
            instead in prop_oneof![
                ".{0,3}",
                "[0-9\",:}{a-z\\\\]{0,3}",
                Just("18446744073709551616".to_owned()),
                Just("\"request_payload\":{\"text\":\"x\"}".to_owned()),
            ],
        ) {
            let at = at.index(line.len() + 1);
            let mut line = line.as_bytes().to_vec();
            line.splice(at..(at + length).min(line.len()), instead.bytes());
            if let Some(read) = read(&line) {
                let parsed = Record::<Text<'_>>::parse_json(&line);
                prop_assert_eq!(Some(read), parsed, "{}", String::from_utf8_lossy(&line));
            }
        }
    }
}
