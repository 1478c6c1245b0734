//! Request ids as numbers: Lambda's are UUIDs, of which millions are looked up when logs are joined.

/// Values of lower-case hexadecimal digits; [`NO_DIGIT`] for everything else.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xff;

/// The value of a UUID that is written as Lambda writes them (`dde1acb5-7158-4518-9547-a5beae8996d2`),
/// so that no two ids have the same; `None` for any other id.
#[must_use]
pub fn uuid(id: &str) -> Option<u128> {
    let id: &[u8; 36] = id.as_bytes().try_into().ok()?;
    if [id[8], id[13], id[18], id[23]] != *b"----" {
        return None;
    }
    let mut seen = 0;
    let mut value = |digits: &[u8]| {
        digits.iter().fold(0, |value: u64, byte| {
            let digit = DIGITS[usize::from(*byte)];
            seen |= digit;
            value << 4 | u64::from(digit)
        })
    };
    let high = value(&id[..8]) << 32 | value(&id[9..13]) << 16 | value(&id[14..18]);
    let low = value(&id[19..23]) << 48 | value(&id[24..]);
    (seen < 16).then_some(u128::from(high) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_only_as_lambda_writes_them() {
        let id = "dde1acb5-7158-4518-9547-a5beae8996d2";
        assert_eq!(uuid(id), Some(0xdde1_acb5_7158_4518_9547_a5be_ae89_96d2));
        assert_eq!(uuid("00000000-0000-0000-0000-000000000000"), Some(0));
        assert_eq!(uuid("ffffffff-ffff-ffff-ffff-ffffffffffff"), Some(u128::MAX));
        for at in 0..id.len() {
            for wrong in ["A", "g", ":", " ", "", "00", if &id[at..=at] == "-" { "0" } else { "-" }]
            {
                let mut other = id.to_owned();
                other.replace_range(at..=at, wrong);
                assert_eq!(uuid(&other), None, "{other}");
            }
        }
    }
}
