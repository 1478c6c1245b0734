//! Quantities with units as people write them: `500ms`, `30s`, `15min`, `512`, `512MB`, `2GB`.

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A time, in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DurationUs(pub u64);

/// An amount of memory, in MB; a number without a unit counts as MB, as on Lambda.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MegaBytes(pub u32);

/// A quantity that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// A time without a unit or with an unknown one.
    #[error("`{0}` is not a time: write a number with the unit us, ms, s, min or h, such as 500ms")]
    Duration(String),
    /// An amount of memory with an unknown unit.
    #[error("`{0}` is not an amount of memory: write whole MB, such as 512, 512MB or 2GB")]
    Memory(String),
}

impl std::str::FromStr for DurationUs {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refuse = || QuantityError::Duration(text.to_owned());
        let (number, unit) = split(text).ok_or_else(refuse)?;
        let factor = match unit {
            "us" | "µs" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "min" => 60e6,
            "h" => 3600e6,
            _ => return Err(refuse()),
        };
        let us = (number * factor).round();
        // Beyond 2^53 microseconds (285 years) the conversion would not be exact.
        if us < 1.0 || us > (1u64 << 53) as f64 {
            return Err(refuse());
        }
        Ok(Self(us as u64))
    }
}

impl std::str::FromStr for MegaBytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refuse = || QuantityError::Memory(text.to_owned());
        let (number, unit) = split(text).ok_or_else(refuse)?;
        let megabytes = match unit {
            "" | "MB" | "MiB" => number,
            "GB" | "GiB" => number * 1024.0,
            _ => return Err(refuse()),
        };
        if megabytes.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&megabytes) {
            return Err(refuse());
        }
        Ok(Self(megabytes as u32))
    }
}

/// A finite, non-negative number and what stands behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

macro_rules! deserialize_from_scalar {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Scalar;
                impl Visitor<'_> for Scalar {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a quantity")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Scalar)
            }
        }
    };
}

deserialize_from_scalar!(DurationUs);
deserialize_from_scalar!(MegaBytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        for (text, us) in
            [("500ms", 500_000), ("10s", 10_000_000), ("1.5 s", 1_500_000), ("15min", 900_000_000)]
        {
            assert_eq!(text.parse(), Ok(DurationUs(us)), "{text}");
        }
        for text in ["10", "10 sec", "-1s", "", "s", "0s", "1e9h", "NaNs"] {
            assert!(text.parse::<DurationUs>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_whole_megabytes() {
        for (text, mb) in [("512", 512), ("512MB", 512), ("1.5GB", 1536), ("2 GiB", 2048)] {
            assert_eq!(text.parse(), Ok(MegaBytes(mb)), "{text}");
        }
        for text in ["512kb", "0", "-1", "0.5", "512 mb", "5000000000GB"] {
            assert!(text.parse::<MegaBytes>().is_err(), "{text}");
        }
    }
}
