//! X-Ray trace headers: `Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1`.

/// The root of a trace header, or nothing.
pub(crate) fn root(header: &str) -> &str {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or_default()
}

/// The header that a callee is given: the caller's, with the call as its parent.
pub(crate) fn for_callee(caller: &str, call: uuid::Uuid) -> String {
    let id = call.simple().to_string();
    let parts: Vec<String> = caller
        .split(';')
        .map(str::trim)
        .map(|part| match part.strip_prefix("Parent=") {
            Some(_) => format!("Parent={}", &id[..16]),
            None => part.to_owned(),
        })
        .collect();
    parts.join(";")
}

/// The header a call carries: what its sender wrote, unless that belongs to another trace than the
/// invocation it was made from. A runtime that cannot update its environment sends an old one.
pub(crate) fn of_call<'a>(sent: Option<&'a str>, current: Option<&'a str>) -> Option<&'a str> {
    match (sent, current) {
        (Some(sent), Some(current)) if root(sent) != root(current) => Some(current),
        (sent, current) => sent.or(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn the_root_is_found_wherever_it_stands() {
        for (header, expect) in [
            (HEADER, "1-67891233-abcdef012345678912345678"),
            ("Sampled=0; Root=1-a-b", "1-a-b"),
            ("Sampled=0", ""),
            ("", ""),
        ] {
            assert_eq!(root(header), expect, "{header}");
        }
    }

    #[test]
    fn a_callee_keeps_everything_but_the_parent() {
        let call = uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0000_0000_0000_0000);
        assert_eq!(
            for_callee(HEADER, call),
            "Root=1-67891233-abcdef012345678912345678;Parent=0123456789abcdef;Sampled=1"
        );
        assert_eq!(for_callee("Root=1-a-b", call), "Root=1-a-b");
    }

    #[test]
    fn a_stale_header_gives_way_to_the_current_one() {
        for (sent, current, expect) in [
            (None, None, None),
            (Some("Root=1"), None, Some("Root=1")),
            (None, Some("Root=1"), Some("Root=1")),
            (Some("Root=1;Parent=2"), Some("Root=1"), Some("Root=1;Parent=2")),
            (Some("Root=0"), Some("Root=1"), Some("Root=1")),
        ] {
            assert_eq!(of_call(sent, current), expect, "{sent:?} {current:?}");
        }
    }
}
