//! The answer that every function gives: a status, a message for people, and data.

use serde::{Deserialize, Serialize};

/// Whether a request was granted. On the wire it is 1 or 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Outcome {
    /// The function did what it was asked to (1).
    Granted,
    /// A rule of the business forbids it (0). Faults, such as an unreachable database, are errors
    /// of the function instead.
    Refused,
}

impl From<Outcome> for u8 {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Granted => 1,
            Outcome::Refused => 0,
        }
    }
}

impl TryFrom<u8> for Outcome {
    type Error = String;

    fn try_from(status: u8) -> Result<Self, String> {
        match status {
            1 => Ok(Self::Granted),
            0 => Ok(Self::Refused),
            other => Err(format!("unknown status {other}: expected 1 or 0")),
        }
    }
}

/// `{"status": 1 | 0, "msg": "…", "data": …}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Envelope<T> {
    /// Whether the request was granted.
    pub status: Outcome,
    /// What happened, for people.
    pub msg: String,
    /// What was asked for; null if refused.
    pub data: Option<T>,
}

impl<T> Envelope<T> {
    /// The answer to a request that was granted.
    pub fn granted(msg: &str, data: T) -> Self {
        Self { status: Outcome::Granted, msg: msg.to_owned(), data: Some(data) }
    }

    /// The answer to a request that was refused.
    pub fn refused(msg: &str) -> Self {
        Self { status: Outcome::Refused, msg: msg.to_owned(), data: None }
    }

    /// The data, or the reason for which there is none.
    ///
    /// # Errors
    /// The message, if the request was refused or the answer carries no data.
    pub fn into_data(self) -> Result<T, String> {
        match (self.status, self.data) {
            (Outcome::Granted, Some(data)) => Ok(data),
            (Outcome::Granted | Outcome::Refused, _) => Err(self.msg),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Envelope;

    #[test]
    fn is_written_as_upstream_writes_it() {
        let granted = serde_json::to_string(&Envelope::granted("Success", 7)).unwrap();
        assert_eq!(granted, r#"{"status":1,"msg":"Success","data":7}"#);
        let refused = serde_json::to_string(&Envelope::<u8>::refused("No.")).unwrap();
        assert_eq!(refused, r#"{"status":0,"msg":"No.","data":null}"#);
    }

    #[test]
    fn refuses_another_status() {
        let error = serde_json::from_str::<Envelope<u8>>(r#"{"status":2,"msg":"","data":1}"#);
        assert!(error.unwrap_err().to_string().contains("unknown status 2"));
    }

    #[test]
    fn gives_the_data_or_the_reason() {
        assert_eq!(Envelope::granted("Success", 7).into_data(), Ok(7));
        assert_eq!(Envelope::<u8>::refused("No.").into_data(), Err("No.".to_owned()));
    }
}
