//! Amounts of money: whole cents in memory, decimal text on the wire and in the database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A non-negative amount in cents. Reads `"80"`, `"80.5"` and `"80.50"`, writes `"80.50"`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    cents: u64,
}

/// Text that is not an amount of money.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{text:?} is not an amount of money: expected digits and at most two decimals, such as 100.50"
)]
pub struct MoneyError {
    text: String,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self { cents: 0 };

    /// An amount in cents.
    pub const fn from_cents(cents: u64) -> Self {
        Self { cents }
    }

    /// The sum; none if it is more than `u64::MAX` cents.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.cents.checked_add(other.cents).map(Self::from_cents)
    }

    /// 80 % of the amount, rounded to the nearest cent. The remainder is a number of fifths, so it is
    /// never half a cent.
    pub(crate) fn four_fifths(self) -> Self {
        let rounded = (u128::from(self.cents) * 4 + 2) / 5;
        // Four fifths of a u64 fit a u64.
        Self::from_cents(u64::try_from(rounded).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let well_formed = digits(whole) && digits(decimals) && decimals.len() <= 2;
        well_formed
            .then(|| format!("{whole}{decimals:0<2}").parse().ok())
            .flatten()
            .map(Self::from_cents)
            .ok_or_else(|| MoneyError { text: text.to_owned() })
    }
}

impl TryFrom<String> for Money {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn reads_and_writes_decimals_exactly() {
        for (text, cents, written) in [
            ("0", 0, "0.00"),
            ("100", 10_000, "100.00"),
            ("100.0", 10_000, "100.00"),
            ("0.29", 29, "0.29"),
            ("1.05", 105, "1.05"),
            ("184467440737095516.15", u64::MAX, "184467440737095516.15"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!(money, Money::from_cents(cents), "{text}");
            assert_eq!(money.to_string(), written);
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1.234", "1e3", "1 ", "٣", "184467440737095516.16"]
        {
            assert!(text.parse::<Money>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn four_fifths_round_to_the_nearest_cent() {
        for (cents, share) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (10_000, 8_000)] {
            assert_eq!(Money::from_cents(cents).four_fifths(), Money::from_cents(share), "{cents}");
        }
        assert_eq!(Money::from_cents(u64::MAX).four_fifths().cents, 14_757_395_258_967_641_292);
    }
}
