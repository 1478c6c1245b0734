//! What AWS's refusals mean and what to do about them.

/// What to do about what an endpoint said; none if nothing is known about it. `text` has its error code and
/// message.
#[must_use]
pub fn next_step(text: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if let Some(action) = denied_action(text) {
        return Some(format!(
            "allow the action {action} to the user or role of your credentials; templates/iam has policies"
        ));
    }
    if has(&["AccessDenied"]) {
        return Some(
            "allow what was refused to the user or role of your credentials; templates/iam has policies".into(),
        );
    }
    if has(&["ExpiredToken", "TokenRefreshRequired", "RequestExpired"]) {
        return Some("renew the credentials (aws sso login, aws login, or assume the role again); an interrupted deploy goes on if it is run again".into());
    }
    if has(&[
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
    ]) {
        return Some("check access key and secret (aws sts get-caller-identity), this machine's clock, and --region and --profile".into());
    }
    None
}

/// A message with the IAM action that the operation needs, if it was denied and does not name one.
pub(crate) fn with_action(message: &str, operation: &str) -> String {
    let denied = message.starts_with("AccessDenied");
    match denied && denied_action(message).is_none() {
        true => format!("{message} (not authorized to perform: {})", action(operation)),
        false => message.to_owned(),
    }
}

/// The IAM action of an operation: of Lambda and named alike, but for these; some come with their service.
fn action(operation: &str) -> String {
    match operation {
        _ if operation.contains(':') => operation.to_owned(),
        "Invoke" => "lambda:InvokeFunction".into(),
        "DeleteObject" | "GetObject" | "ListBucket" | "PutObject" => format!("s3:{operation}"),
        "GetAuthorizationToken" | "PutImage" => format!("ecr:{operation}"),
        _ => format!("lambda:{operation}"),
    }
}

/// The action in AWS's "… is not authorized to perform: lambda:GetFunction on resource: …".
fn denied_action(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("not authorized to perform: ")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == ':' || c == '-'));
    let action = &rest[..end.unwrap_or(rest.len())];
    action.contains(':').then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_name_the_action() {
        let denied = "AccessDeniedException: User: arn:aws:iam::1:user/x is not authorized to perform: lambda:PublishVersion on resource: arn:aws:lambda:eu-west-1:1:function:a because no identity-based policy allows it";
        assert!(next_step(denied).unwrap().contains("action lambda:PublishVersion to"));
        let bare = with_action("AccessDeniedException: no", "UpdateAlias");
        assert!(next_step(&bare).unwrap().contains("action lambda:UpdateAlias to"), "{bare}");
        assert_eq!(with_action(denied, "UpdateAlias"), denied);
        assert_eq!(with_action("ServiceException: no", "UpdateAlias"), "ServiceException: no");
    }

    #[test]
    fn expired_and_wrong_credentials_are_told_apart() {
        assert!(
            next_step(
                "ExpiredTokenException: The security token included in the request is expired"
            )
            .unwrap()
            .starts_with("renew")
        );
        assert!(next_step("UnrecognizedClientException: The security token included in the request is invalid.").unwrap().starts_with("check"));
        assert_eq!(next_step("ServiceException: oops"), None);
    }
}
