//! A payload as a record holds it, where the user asked for payloads to be recorded.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// Environment variable with which a function's supervisor adds payloads to its records, if it is
/// `1`. Off unless asked for: payloads are private, and who may read a log may read them.
pub const RECORD_PAYLOADS_VARIABLE: &str = "FUSELINE_RECORD_PAYLOADS";

/// Bytes that a payload takes in a record at most, as JSON: two of them and the rest of a record fit
/// into a CloudWatch event, which holds 256 KB.
pub const MAX_RECORDED_BYTES: usize = 120_000;

/// A payload, or its beginning.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecordedPayload {
    #[serde(flatten)]
    content: Content,
    /// Whether the payload went on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Text(String),
    /// What is not UTF-8.
    Base64(String),
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl RecordedPayload {
    /// Records a payload of `length` bytes of which `start` is known.
    #[must_use]
    pub fn of(start: &[u8], length: usize) -> Self {
        let text = match std::str::from_utf8(start) {
            Ok(text) => Some(text),
            // The known part may end within a character.
            Err(error) if error.error_len().is_none() && start.len() < length => {
                std::str::from_utf8(&start[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let (content, kept) = match text {
            Some(text) => {
                let text = fitting(text);
                (Content::Text(text.to_owned()), text.len())
            }
            None => {
                let kept = start.len().min(MAX_RECORDED_BYTES / 4 * 3);
                (Content::Base64(BASE64_STANDARD.encode(&start[..kept])), kept)
            }
        };
        Self { content, cut: kept < length }
    }

    /// What is recorded; nothing if the record was damaged.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Text(text) => text.as_bytes().to_vec(),
            Content::Base64(text) => BASE64_STANDARD.decode(text).unwrap_or_default(),
        }
    }
}

/// As much of a text as fits into a record.
fn fitting(text: &str) -> &str {
    let mut room = MAX_RECORDED_BYTES;
    for (at, character) in text.char_indices() {
        let encoded = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if encoded > room {
            return &text[..at];
        }
        room -= encoded;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_read_back_from_their_json() {
        for (bytes, expect) in [
            (&b"{\"a\":1}"[..], r#"{"text":"{\"a\":1}"}"#),
            (b"", r#"{"text":""}"#),
            (b"\xff\x00", r#"{"base64":"/wA="}"#),
        ] {
            let payload = RecordedPayload::of(bytes, bytes.len());
            let json = serde_json::to_string(&payload).unwrap();
            assert_eq!(json, expect);
            let back: RecordedPayload = serde_json::from_str(&json).unwrap();
            assert_eq!((back.bytes().as_slice(), &back), (bytes, &payload));
        }
    }

    #[test]
    fn long_payloads_are_cut_and_marked() {
        for unit in ["x", "ä", "\"", "\u{1}", "\n"] {
            let whole = unit.repeat(MAX_RECORDED_BYTES);
            let payload = RecordedPayload::of(whole.as_bytes(), whole.len());
            assert_eq!(payload.cut, unit != "x", "{unit:?}");
            let Content::Text(text) = &payload.content else { panic!("{unit:?} is text") };
            assert!(serde_json::to_string(text).unwrap().len() <= MAX_RECORDED_BYTES + 2);
            assert!(whole.as_bytes().starts_with(&payload.bytes()));
        }
        let binary = vec![0xff; 2 * MAX_RECORDED_BYTES];
        let payload = RecordedPayload::of(&binary, binary.len());
        assert_eq!((payload.cut, payload.bytes().len()), (true, MAX_RECORDED_BYTES / 4 * 3));
    }

    #[test]
    fn a_known_part_may_end_within_a_character() {
        let payload = RecordedPayload::of(&"ää".as_bytes()[..3], 4);
        assert_eq!((payload.bytes().as_slice(), payload.cut), ("ä".as_bytes(), true));
        let whole = RecordedPayload::of(&"ää".as_bytes()[..3], 3);
        assert_eq!(serde_json::to_string(&whole).unwrap(), r#"{"base64":"w6TD"}"#);
    }
}
