//! What a customer paid in and was paid back.

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// One booking on a customer's account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Identifier of the booking.
    pub id: String,
    /// Whose account it is.
    pub user_id: String,
    /// How much.
    pub money: Money,
    /// What kind of booking.
    #[serde(rename = "type")]
    pub kind: AccountKind,
}

/// Kind of a booking. Both kinds raise the balance.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum AccountKind {
    /// The customer paid in (`A`).
    Addition,
    /// The customer was paid back for an order (`D`).
    Drawback,
}

impl From<AccountKind> for &'static str {
    fn from(kind: AccountKind) -> Self {
        match kind {
            AccountKind::Addition => "A",
            AccountKind::Drawback => "D",
        }
    }
}

impl TryFrom<String> for AccountKind {
    type Error = String;

    fn try_from(letter: String) -> Result<Self, String> {
        match letter.as_str() {
            "A" => Ok(Self::Addition),
            "D" => Ok(Self::Drawback),
            other => Err(format!("unknown account type {other:?}: expected A or D")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, AccountKind};

    #[test]
    fn its_type_is_a_letter() {
        let text = r#"{"id":"1","userId":"2","money":"80.00","type":"D"}"#;
        let account: Account = serde_json::from_str(text).unwrap();
        assert_eq!(account.kind, AccountKind::Drawback);
        assert_eq!(serde_json::to_string(&account).unwrap(), text);
        assert!(AccountKind::try_from("B".to_owned()).is_err());
    }
}
