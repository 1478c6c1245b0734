//! Reads IAM policy documents, in the workflow file or in a JSON file of their own.

use std::path::Path;

use optimizer::gate::{Policy, PolicyEffect, Statement};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An identity-based policy as IAM writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(deserialize_with = "one_or_many")]
    statement: Vec<StatementSection>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementSection {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: PolicyEffect,
    #[serde(deserialize_with = "one_or_many")]
    action: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    resource: Vec<String>,
    condition: Option<Value>,
}

/// IAM writes a list of one as the one.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let values = match Value::deserialize(deserializer)? {
        Value::Array(values) => values,
        one => vec![one],
    };
    values.into_iter().map(|value| T::deserialize(value).map_err(D::Error::custom)).collect()
}

/// The policy that a value of the workflow file is or, being a path relative to `directory`, names.
///
/// # Errors
/// If the file cannot be read, or it is no policy of `Allow` and `Deny` statements with `Action` and
/// `Resource`: what is wrong.
pub(crate) fn read(value: &Value, directory: &Path) -> Result<Policy, String> {
    let document = match value {
        Value::String(path) => {
            let text = fs_err::read_to_string(directory.join(path)).map_err(|e| e.to_string())?;
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?
        }
        document => document.clone(),
    };
    let document = Document::deserialize(document).map_err(|error| error.to_string())?;
    let statement = |section: StatementSection| Statement {
        effect: section.effect,
        actions: section.action,
        resources: section.resource,
        condition: section.condition.map(|condition| condition.to_string()),
    };
    Ok(Policy { statements: document.statement.into_iter().map(statement).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_read_from_the_file_or_from_a_path() {
        let document = json!({
            "Version": "2012-10-17",
            "Statement": { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:b/*" }
        });
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("p.json"), document.to_string()).unwrap();
        let read = |value: &Value| read(value, folder.path());
        let policy = read(&document).unwrap();
        assert_eq!(policy.statements[0].resources, ["arn:b/*"]);
        assert_eq!(read(&json!("p.json")), Ok(policy));
        assert!(read(&json!("q.json")).unwrap_err().contains("q.json"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let check = |document: Value, expected: &str| {
            let error = read(&document, Path::new("/")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let all = json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "*" });
        check(json!({ "Statement": [all] }), "unknown field `NotAction`");
        check(json!({ "Statement": [{ "Effect": "Allow", "Action": "s3:*" }] }), "`Resource`");
        check(json!({ "Statement": 1 }), "expected struct StatementSection");
        check(json!({}), "missing field `Statement`");
        check(json!(1), "expected struct Document");
    }
}
