//! `${NAME}` and `${NAME:-default}` in a workflow file's values, as shells and Compose files have
//! them. A default may itself hold references; `$$` is a dollar sign.

/// Why a text cannot be filled in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InterpolationError {
    /// A variable that is not set and has no default.
    #[error(
        "the environment variable {0} is not set and no default is given (`${{{0}:-default}}`)"
    )]
    Unset(String),
    /// `${` without its `}`, or a name that is none.
    #[error("`{0}` is not of the form `${{NAME}}` or `${{NAME:-default}}`")]
    Form(String),
}

/// Fills in every reference in `text` from `variables`.
///
/// # Errors
/// If a reference is malformed, or names an unset variable without a default.
pub fn interpolate(
    text: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<String, InterpolationError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            filled.push('$');
            rest = after;
        } else if rest.starts_with("${") {
            let end = closing_brace(rest).ok_or_else(|| InterpolationError::Form(rest.into()))?;
            filled.push_str(&reference(&rest[2..end], variables)?);
            rest = &rest[end + 1..];
        } else {
            filled.push('$');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Position of the `}` that closes the `${` at the start of `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn reference(
    inside: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<String, InterpolationError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(InterpolationError::Form(format!("${{{inside}}}")));
    }
    match (variables(name).filter(|value| !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => interpolate(default, variables),
        (None, None) => Err(InterpolationError::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, InterpolationError>) {
        let variables = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(interpolate(text, &variables), expect.map(str::to_owned), "{text}");
    }

    #[test]
    fn references_are_filled_in() {
        check("plain", Ok("plain"));
        check("${HOME}/x", Ok("/home/me/x"));
        check("${NOPE:-a}${EMPTY:-b}", Ok("ab"));
        check("${NOPE:-sqlite:${HOME}/db}", Ok("sqlite:/home/me/db"));
        check("5$ and $$HOME", Ok("5$ and $HOME"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        check("${NOPE}", Err(InterpolationError::Unset("NOPE".into())));
        check("${HOME", Err(InterpolationError::Form("${HOME".into())));
        check("${a b}", Err(InterpolationError::Form("${a b}".into())));
    }
}
