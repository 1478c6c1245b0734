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

/// The IAM action of an operation: of Lambda and named alike, but for these.
fn action(operation: &str) -> String {
    match operation {
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

/// A message with the IAM action that was denied, if it was and the message does not name one, by the type of the SDK's
/// error as Rust names it: `…aws_sdk_lambda::operation::get_alias::GetAliasError…`.
pub(crate) fn with_action_of(message: &str, error_type: &str) -> String {
    let denied = message.starts_with("AccessDenied") && denied_action(message).is_none();
    match action_of(error_type).filter(|_| denied) {
        Some(action) => format!("{message} (not authorized to perform: {action})"),
        None => message.to_owned(),
    }
}

/// Actions are named as operations are, but for one.
fn action_of(error_type: &str) -> Option<String> {
    let (service, operation) = error_type.split_once("::operation::")?;
    let service = match service.rsplit("aws_sdk_").next()? {
        "cloudwatchlogs" => "logs",
        service => service,
    };
    let mut words = operation.split("::").next()?.split('_');
    let name = words.try_fold(String::new(), |name, word| {
        Some(name + &word.get(..1)?.to_uppercase() + word.get(1..)?)
    })?;
    let name = if name == "Invoke" { "InvokeFunction" } else { &name };
    Some(format!("{service}:{name}"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::error::SdkError;

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

    #[test]
    fn the_type_of_an_error_names_the_action() {
        let bare = "AccessDeniedException: no";
        let of = std::any::type_name::<
            SdkError<aws_sdk_lambda::operation::update_alias::UpdateAliasError>,
        >();
        let named = with_action_of(bare, of);
        assert!(next_step(&named).unwrap().contains("action lambda:UpdateAlias to"), "{named}");
        assert_eq!(with_action_of(&named, of), named);
        assert_eq!(with_action_of("ServiceException: no", of), "ServiceException: no");
        let of = std::any::type_name::<aws_sdk_lambda::operation::invoke::InvokeError>();
        assert!(with_action_of(bare, of).ends_with("lambda:InvokeFunction)"));
        let of = std::any::type_name::<
            aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError,
        >();
        assert!(with_action_of(bare, of).ends_with("logs:FilterLogEvents)"));
        assert_eq!(with_action_of(bare, "i32"), bare);
    }
}
