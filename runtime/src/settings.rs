//! What the supervisor is told: by the environment Lambda gives it and by the bundle's manifest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use http::Uri;
use wire::manifest::{
    MANIFEST_PATH, MANIFEST_VERSION, Manifest, ROUTES_VARIABLE, RUNTIMES_FOLDER, RUNTIMES_VARIABLE,
    is_custom,
};
use wire::payload::RECORD_PAYLOADS_VARIABLE;

/// Environment variable that names another manifest than the bundle's own.
const MANIFEST_VARIABLE: &str = "FUSELINE_MANIFEST";

/// Variables of the supervisor's own that no task gets: Lambda's framed log protocol has one reader,
/// the wrapper has run, the trace is that of another invocation, and a task serves one invocation at
/// a time.
const NOT_INHERITED: [&str; 4] = [
    "_LAMBDA_TELEMETRY_LOG_FD",
    "AWS_LAMBDA_EXEC_WRAPPER",
    "_X_AMZN_TRACE_ID",
    "AWS_LAMBDA_MAX_CONCURRENCY",
];

/// A set of environment variables.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Why the supervisor cannot tell what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable that Lambda always sets is not there.
    #[error(
        "environment variable {0} is not set; the supervisor runs as the bootstrap of a function"
    )]
    Missing(&'static str),
    /// A variable has a value that cannot be used.
    #[error("environment variable {name} is not {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// The manifest cannot be read.
    #[error("cannot read the bundle's manifest {}; deploy the function again", path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("{} is not a bundle's manifest; deploy the function again", path.display())]
    Parse {
        /// The manifest.
        path: PathBuf,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest is one, but what it says cannot be done.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
}

/// What the supervisor is told at its start.
#[derive(Debug)]
pub struct Settings {
    pub(crate) manifest: Manifest,
    /// Folder that the tasks' directories are relative to.
    pub(crate) bundle: PathBuf,
    /// Name and published version of the function this instance belongs to.
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) region: Option<String>,
    /// Qualifier that calls which leave are pinned to, by function.
    pub(crate) routes: BTreeMap<String, String>,
    /// Where calls that leave go; without it, to Lambda in the call's region.
    pub(crate) endpoint: Option<Uri>,
    pub(crate) credentials: Option<Credentials>,
    /// Whether records hold payloads.
    pub(crate) record_payloads: bool,
    /// What every task's environment starts from.
    pub(crate) inherited: Environment,
    /// Folder for temporary files.
    pub(crate) temporary: PathBuf,
    /// The managed runtime that the supervisor wraps, and the command line that starts it.
    pub(crate) wrapped: Option<(String, Vec<OsString>)>,
    /// Folder of further language runtimes.
    pub(crate) runtimes: PathBuf,
}

impl Settings {
    /// Reads the settings from the environment and from the manifest that it leads to. `arguments`
    /// are the supervisor's own: as an `AWS_LAMBDA_EXEC_WRAPPER` it gets the command line that
    /// starts the function's managed runtime.
    ///
    /// # Errors
    /// If the manifest or a variable is missing or says something that cannot be done.
    pub fn read(
        environment: &BTreeMap<OsString, OsString>,
        arguments: Vec<OsString>,
    ) -> Result<Self, SettingsError> {
        let task_root = environment.get(OsStr::new("LAMBDA_TASK_ROOT"));
        let path = match environment.get(OsStr::new(MANIFEST_VARIABLE)) {
            Some(path) => PathBuf::from(path),
            None => Path::new(task_root.map_or(OsStr::new("/var/task"), OsString::as_os_str))
                .join(MANIFEST_PATH),
        };
        let manifest = read_manifest(&path)?;
        let bundle = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let routes = match text(environment, ROUTES_VARIABLE)? {
            None => BTreeMap::new(),
            Some(routes) => serde_json::from_str(&routes).map_err(|_| SettingsError::Invalid {
                name: ROUTES_VARIABLE,
                expected: "a JSON object from function to qualifier",
            })?,
        };
        let temporary = environment.get(OsStr::new("TMPDIR")).map(PathBuf::from);
        let runtimes = text(environment, RUNTIMES_VARIABLE)?;
        let wrapped = text(environment, "AWS_EXECUTION_ENV")?
            .and_then(|name| name.strip_prefix("AWS_Lambda_").map(str::to_owned))
            .filter(|_| !arguments.is_empty());
        Ok(Self {
            wrapped: wrapped.map(|runtime| (runtime, arguments)),
            runtimes: PathBuf::from(runtimes.as_deref().unwrap_or(RUNTIMES_FOLDER)),
            function: text(environment, "AWS_LAMBDA_FUNCTION_NAME")?
                .unwrap_or_else(|| manifest.root.clone()),
            version: text(environment, "AWS_LAMBDA_FUNCTION_VERSION")?
                .unwrap_or_else(|| "$LATEST".to_owned()),
            region: match text(environment, "AWS_REGION")? {
                None => text(environment, "AWS_DEFAULT_REGION")?,
                region => region,
            },
            routes,
            endpoint: endpoint(environment)?,
            credentials: credentials(environment)?,
            record_payloads: text(environment, RECORD_PAYLOADS_VARIABLE)?.as_deref() == Some("1"),
            inherited: inherited(environment),
            temporary: temporary.unwrap_or_else(|| PathBuf::from("/tmp")),
            manifest,
            // Tasks run in their own folders, where a relative path would lead elsewhere.
            bundle: std::path::absolute(&bundle).unwrap_or(bundle),
        })
    }
}

/// Host and port of the Runtime API that the platform offers.
///
/// # Errors
/// If the platform offers none.
pub(crate) fn runtime_api(environment: &Environment) -> Result<String, SettingsError> {
    const NAME: &str = "AWS_LAMBDA_RUNTIME_API";
    text(environment, NAME)?.ok_or(SettingsError::Missing(NAME))
}

/// A variable's value if it is set and not empty.
fn text(environment: &Environment, name: &'static str) -> Result<Option<String>, SettingsError> {
    match environment.get(OsStr::new(name)).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .map(|value| Some(value.to_owned()))
            .ok_or(SettingsError::Invalid { name, expected: "valid UTF-8" }),
    }
}

fn read_manifest(path: &Path) -> Result<Manifest, SettingsError> {
    let bytes = std::fs::read(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|source| SettingsError::Parse { path: path.to_owned(), source })?;
    let wrong = |reason: String| SettingsError::Manifest { path: path.to_owned(), reason };
    if manifest.v != MANIFEST_VERSION {
        return Err(wrong(format!(
            "format version {} is not {MANIFEST_VERSION}, the one this supervisor reads",
            manifest.v
        )));
    }
    if !manifest.tasks.contains_key(&manifest.root) {
        return Err(wrong(format!("the root task `{}` is not among the tasks", manifest.root)));
    }
    for (name, task) in &manifest.tasks {
        if task.command.is_empty() && is_custom(&task.runtime) {
            return Err(wrong(format!("task `{name}` has no command")));
        }
        if task.processes == 0 {
            return Err(wrong(format!(
                "task `{name}` may have 0 processes, which is none to serve it"
            )));
        }
    }
    Ok(manifest)
}

fn endpoint(environment: &Environment) -> Result<Option<Uri>, SettingsError> {
    const NAME: &str = "AWS_ENDPOINT_URL_LAMBDA";
    let invalid = SettingsError::Invalid { name: NAME, expected: "an http or https URL" };
    let Some(url) = text(environment, NAME)? else { return Ok(None) };
    match url.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) => Ok(Some(uri)),
        _ => Err(invalid),
    }
}

fn credentials(environment: &Environment) -> Result<Option<Credentials>, SettingsError> {
    let key = text(environment, "AWS_ACCESS_KEY_ID")?;
    let secret = text(environment, "AWS_SECRET_ACCESS_KEY")?;
    let token = text(environment, "AWS_SESSION_TOKEN")?;
    Ok(key
        .zip(secret)
        .map(|(key, secret)| Credentials::new(key, secret, token, None, "environment")))
}

fn inherited(environment: &Environment) -> Environment {
    let mut inherited = environment.clone();
    inherited.retain(|name, _| {
        !NOT_INHERITED.iter().any(|other| name == other)
            && !name.to_string_lossy().starts_with("FUSELINE_")
    });
    inherited
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// What reading a manifest with this text gives.
    fn read(manifest: &str, more: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("fuseline.json"), manifest).unwrap();
        let mut environment = environment(more);
        environment.insert("LAMBDA_TASK_ROOT".into(), folder.path().into());
        Settings::read(&environment, Vec::new()).map_err(|error| error.to_string())
    }

    fn manifest(root: &str, processes: u32, command: &str) -> String {
        format!(
            r#"{{"v":2,"root":"{root}","tasks":{{"a":{{"directory":"tasks/a","command":{command},
            "runtime":"provided.al2023","handler":"h","memory_mb":128,"timeout_ms":3000,"environment":{{}},"processes":{processes}}}}}}}"#
        )
    }

    #[test]
    fn the_environment_is_read() {
        let settings = read(
            &manifest("a", 1, r#"["./bootstrap"]"#),
            &[
                ("AWS_LAMBDA_FUNCTION_NAME", "a"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKID"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9000/x/"),
                ("FUSELINE_ROUTES", r#"{"c":"live"}"#),
                ("_LAMBDA_TELEMETRY_LOG_FD", "3"),
                ("LANG", "C"),
            ],
        )
        .unwrap();
        assert_eq!(
            (settings.version.as_str(), settings.region.as_deref()),
            ("7", Some("eu-west-1"))
        );
        assert_eq!(settings.routes["c"], "live");
        assert_eq!(settings.endpoint.unwrap().path(), "/x/");
        assert_eq!(settings.credentials.unwrap().access_key_id(), "AKID");
        let kept = |name: &str| settings.inherited.contains_key(OsStr::new(name));
        assert!(kept("LANG") && !kept("FUSELINE_ROUTES") && !kept("_LAMBDA_TELEMETRY_LOG_FD"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        for (text, expect) in [
            ("{", "is not a bundle's manifest"),
            (manifest("b", 1, r#"["x"]"#).as_str(), "the root task `b` is not among the tasks"),
            (manifest("a", 0, r#"["x"]"#).as_str(), "task `a` may have 0 processes"),
            (manifest("a", 1, "[]").as_str(), "task `a` has no command"),
            (
                manifest("a", 1, r#"["x"]"#).replace("\"v\":2", "\"v\":9").as_str(),
                "format version 9",
            ),
        ] {
            let error = read(text, &[]).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
        for (name, value) in [("AWS_ENDPOINT_URL_LAMBDA", "lambda"), ("FUSELINE_ROUTES", "[]")] {
            let error = read(&manifest("a", 1, r#"["x"]"#), &[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_missing_manifest_is_named() {
        let environment = environment(&[("FUSELINE_MANIFEST", "/nowhere/m.json")]);
        let error = Settings::read(&environment, Vec::new());
        assert!(error.unwrap_err().to_string().contains("/nowhere/m.json"));
    }
}
