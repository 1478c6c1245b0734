//! The functions of a server: their versions and aliases, in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use uuid::Uuid;
use wire::function_name::FunctionName;

use crate::bundle::{Bundle, BundleError};
use crate::error::ApiError;
use crate::function::{ACCOUNT, Configuration, LATEST, REGION, Settings, Version, function_arn};

/// An alias of a function.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) revision_id: String,
}

/// One function.
#[derive(Debug)]
struct Function {
    latest: Arc<Version>,
    published: BTreeMap<u64, Arc<Version>>,
    /// Numbers are never given twice, not even after a version was deleted.
    last_number: u64,
    /// `$LATEST` as it was when the last version was published.
    last_published: Option<Arc<Version>>,
    aliases: BTreeMap<String, Alias>,
}

/// Every function of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    functions: Mutex<BTreeMap<String, Function>>,
    generations: AtomicU64,
    code_directory: PathBuf,
}

/// What a client says about the state it expects a function to be in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) revision_id: Option<String>,
    pub(crate) code_sha256: Option<String>,
}

impl Expected {
    fn check(&self, latest: &Version) -> Result<(), ApiError> {
        if self.revision_id.as_ref().is_some_and(|id| *id != latest.revision_id) {
            return Err(ApiError::precondition(format!(
                "the revision id given is not that of function {}; call GetFunction for its latest",
                latest.function
            )));
        }
        match &self.code_sha256 {
            Some(given) if *given != latest.code.sha256 => {
                Err(ApiError::invalid_parameter(format!(
                    "CodeSha256 ({given}) is different from current CodeSha256 in $LATEST ({})",
                    latest.code.sha256
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Registry {
    pub(crate) fn new(code_directory: PathBuf) -> Self {
        Self { functions: Mutex::default(), generations: AtomicU64::default(), code_directory }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Function>> {
        self.functions.lock().expect("no holder of the registry panics")
    }

    /// Unpacks code, off the threads that serve requests.
    pub(crate) async fn unpack(&self, zip: Vec<u8>) -> Result<Arc<Bundle>, ApiError> {
        let directory = self.code_directory.clone();
        let unpacked = tokio::task::spawn_blocking(move || Bundle::unpack(&zip, &directory));
        match unpacked.await {
            Ok(Ok(bundle)) => Ok(Arc::new(bundle)),
            Ok(Err(error @ BundleError::Io(_))) => Err(ApiError::service(error.to_string())),
            Ok(Err(error)) => Err(ApiError::invalid_parameter(error.to_string())),
            Err(error) => Err(ApiError::service(error.to_string())),
        }
    }

    fn version(
        &self,
        function: &str,
        number: &str,
        configuration: Configuration,
        code: Arc<Bundle>,
    ) -> Arc<Version> {
        Arc::new(Version {
            generation: self.generations.fetch_add(1, Ordering::Relaxed),
            function: function.to_owned(),
            version: number.to_owned(),
            configuration,
            code,
            revision_id: Uuid::new_v4().to_string(),
            last_modified: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S.%3f+0000")
                .to_string(),
        })
    }

    /// Creates a function.
    pub(crate) fn create(
        &self,
        name: &str,
        settings: Settings,
        code: Arc<Bundle>,
    ) -> Result<Arc<Version>, ApiError> {
        let configuration = Configuration::default().with(settings)?;
        let latest = self.version(name, LATEST, configuration, code);
        let mut functions = self.lock();
        if functions.contains_key(name) {
            return Err(ApiError::conflict(format!("function already exist: {name}")));
        }
        let function = Function {
            latest: Arc::clone(&latest),
            published: BTreeMap::new(),
            last_number: 0,
            last_published: None,
            aliases: BTreeMap::new(),
        };
        functions.insert(name.to_owned(), function);
        Ok(latest)
    }

    /// Replaces a function's configuration or code; returns the state before and after.
    pub(crate) fn update(
        &self,
        name: &str,
        expected: &Expected,
        settings: Settings,
        code: Option<Arc<Bundle>>,
    ) -> Result<(Arc<Version>, Arc<Version>), ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, name)?;
        expected.check(&function.latest)?;
        let before = Arc::clone(&function.latest);
        let configuration = before.configuration.with(settings)?;
        let code = code.unwrap_or_else(|| Arc::clone(&before.code));
        function.latest = self.version(name, LATEST, configuration, code);
        Ok((before, Arc::clone(&function.latest)))
    }

    /// Publishes `$LATEST`, or returns the last version if nothing changed since.
    pub(crate) fn publish(
        &self,
        name: &str,
        expected: &Expected,
        description: Option<String>,
    ) -> Result<Arc<Version>, ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, name)?;
        let latest = Arc::clone(&function.latest);
        expected.check(&latest)?;
        let unchanged = function.last_published.as_ref().is_some_and(|then| {
            then.configuration == latest.configuration && then.code.sha256 == latest.code.sha256
        });
        if unchanged && let Some(last) = function.published.get(&function.last_number) {
            return Ok(Arc::clone(last));
        }
        let number = function.last_number + 1;
        let mut configuration = latest.configuration.clone();
        if let Some(description) = description {
            configuration.description = description;
        }
        let code = Arc::clone(&latest.code);
        let version = self.version(name, &number.to_string(), configuration, code);
        function.last_number = number;
        function.last_published = Some(latest);
        function.published.insert(number, Arc::clone(&version));
        Ok(version)
    }

    /// Deletes a function or one of its versions; returns the versions that are gone.
    pub(crate) fn delete(&self, named: &FunctionName) -> Result<Vec<Arc<Version>>, ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, &named.name)?;
        let Some(qualifier) = &named.qualifier else {
            return Ok(functions
                .remove(&named.name)
                .map(Function::into_versions)
                .unwrap_or_default());
        };
        if qualifier == LATEST {
            return Err(ApiError::invalid_parameter(
                "$LATEST cannot be deleted without its function",
            ));
        }
        let missing = || not_found(&named.name, Some(qualifier));
        let number: u64 = qualifier.parse().map_err(|_| missing())?;
        if let Some((alias, _)) = function.aliases.iter().find(|(_, a)| a.version == *qualifier) {
            return Err(ApiError::conflict(format!(
                "version {qualifier} of {} is used by the alias {alias}; move or delete it first",
                named.name
            )));
        }
        Ok(vec![function.published.remove(&number).ok_or_else(missing)?])
    }

    /// The version that a name and qualifier lead to.
    pub(crate) fn resolve(&self, named: &FunctionName) -> Result<Arc<Version>, ApiError> {
        let functions = self.lock();
        let function = find(&functions, &named.name)?;
        let Some(qualifier) = &named.qualifier else {
            return Ok(Arc::clone(&function.latest));
        };
        let number = function.aliases.get(qualifier).map_or(qualifier, |alias| &alias.version);
        function.find(number).ok_or_else(|| not_found(&named.name, Some(qualifier)))
    }

    /// `$LATEST` of every function.
    pub(crate) fn list(&self) -> Vec<Arc<Version>> {
        self.lock().values().map(|function| Arc::clone(&function.latest)).collect()
    }

    /// Every version of a function, `$LATEST` first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Arc<Version>>, ApiError> {
        let functions = self.lock();
        let function = find(&functions, name)?;
        Ok(std::iter::once(&function.latest).chain(function.published.values()).cloned().collect())
    }

    /// Creates an alias.
    pub(crate) fn create_alias(
        &self,
        function: &str,
        name: &str,
        version: &str,
        description: String,
    ) -> Result<Value, ApiError> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if name.is_empty() || name.len() > 128 || !plain || name.parse::<u64>().is_ok() {
            return Err(ApiError::invalid_parameter(format!(
                "`{name}` is no alias name: letters, digits, `-` and `_`, not only digits"
            )));
        }
        let mut functions = self.lock();
        let owner = find_mut(&mut functions, function)?;
        if owner.aliases.contains_key(name) {
            return Err(ApiError::conflict(format!("alias already exists: {function}:{name}")));
        }
        owner.find(version).ok_or_else(|| not_found(function, Some(version)))?;
        let revision_id = Uuid::new_v4().to_string();
        let alias = Alias { version: version.to_owned(), description, revision_id };
        let value = describe_alias(function, name, &alias);
        owner.aliases.insert(name.to_owned(), alias);
        Ok(value)
    }

    /// Points an alias somewhere else.
    pub(crate) fn update_alias(
        &self,
        function: &str,
        name: &str,
        version: Option<String>,
        description: Option<String>,
        expected_revision: Option<String>,
    ) -> Result<Value, ApiError> {
        let mut functions = self.lock();
        let owner = find_mut(&mut functions, function)?;
        if let Some(version) = &version {
            owner.find(version).ok_or_else(|| not_found(function, Some(version)))?;
        }
        let missing = || not_found(function, Some(name));
        let alias = owner.aliases.get_mut(name).ok_or_else(missing)?;
        if expected_revision.is_some_and(|id| id != alias.revision_id) {
            return Err(ApiError::precondition(format!(
                "the revision id given is not that of alias {function}:{name}; call GetAlias for its latest"
            )));
        }
        if let Some(version) = version {
            alias.version = version;
        }
        if let Some(description) = description {
            alias.description = description;
        }
        alias.revision_id = Uuid::new_v4().to_string();
        Ok(describe_alias(function, name, alias))
    }

    /// One alias.
    pub(crate) fn alias(&self, function: &str, name: &str) -> Result<Value, ApiError> {
        let functions = self.lock();
        let alias = find(&functions, function)?.aliases.get(name);
        let alias = alias.ok_or_else(|| not_found(function, Some(name)))?;
        Ok(describe_alias(function, name, alias))
    }

    /// The aliases of a function, those of one version only if it is given.
    pub(crate) fn aliases(
        &self,
        function: &str,
        version: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        let functions = self.lock();
        let aliases = find(&functions, function)?.aliases.iter();
        Ok(aliases
            .filter(|(_, alias)| version.is_none_or(|version| version == alias.version))
            .map(|(name, alias)| describe_alias(function, name, alias))
            .collect())
    }

    /// Deletes an alias; one that does not exist is deleted already.
    pub(crate) fn delete_alias(&self, function: &str, name: &str) -> Result<(), ApiError> {
        find_mut(&mut self.lock(), function)?.aliases.remove(name);
        Ok(())
    }
}

impl Function {
    fn find(&self, version: &str) -> Option<Arc<Version>> {
        if version == LATEST {
            return Some(Arc::clone(&self.latest));
        }
        version.parse().ok().and_then(|number: u64| self.published.get(&number).cloned())
    }

    fn into_versions(self) -> Vec<Arc<Version>> {
        std::iter::once(self.latest).chain(self.published.into_values()).collect()
    }
}

fn find<'a>(
    functions: &'a BTreeMap<String, Function>,
    name: &str,
) -> Result<&'a Function, ApiError> {
    functions.get(name).ok_or_else(|| not_found(name, None))
}

fn find_mut<'a>(
    functions: &'a mut BTreeMap<String, Function>,
    name: &str,
) -> Result<&'a mut Function, ApiError> {
    functions.get_mut(name).ok_or_else(|| not_found(name, None))
}

fn not_found(name: &str, qualifier: Option<&str>) -> ApiError {
    let qualifier = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
    ApiError::not_found(format!("Function not found: {}{qualifier}", function_arn(name)))
}

fn describe_alias(function: &str, name: &str, alias: &Alias) -> Value {
    json!({
        "AliasArn": format!("{}:{name}", function_arn(function)),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    })
}

/// Reads a function's name out of a request and refuses other accounts and regions.
pub(crate) fn parse_name(text: &str, qualifier: Option<&str>) -> Result<FunctionName, ApiError> {
    let mut named = FunctionName::parse(text)
        .map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
    let ours = |given: &Option<String>, own: &str| given.as_deref().is_none_or(|g| g == own);
    if !ours(&named.account, ACCOUNT) || !ours(&named.region, REGION) {
        return Err(ApiError::not_found(format!(
            "Function not found: {named}; this server is account {ACCOUNT} in {REGION}"
        )));
    }
    match (&named.qualifier, qualifier.filter(|qualifier| !qualifier.is_empty())) {
        (Some(first), Some(second)) if first != second => {
            return Err(ApiError::invalid_parameter(format!(
                "the name says qualifier {first} and the request says {second}"
            )));
        }
        (None, Some(second)) => named.qualifier = Some(second.to_owned()),
        _ => {}
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let registry = Registry::new(PathBuf::new());
        registry.create("f", Settings::default(), code("a")).unwrap();
        registry
    }

    fn code(sha256: &str) -> Arc<Bundle> {
        Arc::new(Bundle { sha256: sha256.into(), zip_bytes: 1, directory: PathBuf::new() })
    }

    fn settings(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    fn named(qualifier: &str) -> FunctionName {
        parse_name("f", Some(qualifier)).unwrap()
    }

    #[test]
    fn publishing_makes_a_version_only_if_something_changed() {
        let registry = registry();
        let any = Expected::default();
        let publish = || registry.publish("f", &any, None).unwrap().version.clone();
        assert_eq!((publish(), publish()), ("1".into(), "1".into()));
        registry.update("f", &any, settings(json!({ "MemorySize": 256 })), None).unwrap();
        let described = registry.publish("f", &any, Some("words".into())).unwrap();
        assert_eq!((publish(), described.version.as_str()), ("2".into(), "2"));
        registry.update("f", &any, Settings::default(), Some(code("b"))).unwrap();
        assert_eq!(publish(), "3");
        // An update that changes nothing gives nothing to publish.
        registry.update("f", &any, Settings::default(), Some(code("b"))).unwrap();
        assert_eq!(publish(), "3");

        let first = registry.resolve(&named("1")).unwrap();
        assert_eq!((first.configuration.memory_mb, first.code.sha256.as_str()), (128, "a"));
        registry.delete(&named("3")).unwrap();
        registry.update("f", &any, Settings::default(), Some(code("c"))).unwrap();
        assert_eq!(publish(), "4", "numbers are never given twice");
    }

    #[test]
    fn aliases_lead_to_versions_and_keep_them() {
        let registry = registry();
        registry.publish("f", &Expected::default(), None).unwrap();
        registry.create_alias("f", "live", "1", String::new()).unwrap();
        assert_eq!(registry.resolve(&named("live")).unwrap().version, "1");
        assert_eq!(registry.delete(&named("1")).unwrap_err().kind, "ResourceConflictException");
        let again = registry.create_alias("f", "live", "1", String::new());
        assert_eq!(again.unwrap_err().kind, "ResourceConflictException");
        registry.update_alias("f", "live", Some(LATEST.into()), None, None).unwrap();
        assert_eq!(registry.resolve(&named("live")).unwrap().version, LATEST);
        registry.delete(&named("1")).unwrap();
        for (alias, version) in [("9", "1"), ("a b", "1"), ("old", "7")] {
            assert!(registry.create_alias("f", alias, version, String::new()).is_err(), "{alias}");
        }
    }

    #[test]
    fn stale_revisions_are_refused() {
        let registry = registry();
        let stale = Expected { revision_id: Some("x".into()), code_sha256: None };
        let error = registry.update("f", &stale, Settings::default(), None).unwrap_err();
        assert_eq!(error.kind, "PreconditionFailedException");
        let other = Expected { revision_id: None, code_sha256: Some("x".into()) };
        let error = registry.publish("f", &other, None).unwrap_err();
        assert_eq!(error.kind, "InvalidParameterValueException");
    }

    #[test]
    fn names_of_other_accounts_and_two_qualifiers_are_refused() {
        assert_eq!(parse_name("123456789012:function:f", None).unwrap_err().status, 404);
        assert_eq!(parse_name("f:1", Some("2")).unwrap_err().status, 400);
        let name = parse_name("arn:aws:lambda:us-east-1:000000000000:function:f:1", Some("1"));
        assert_eq!(name.unwrap().qualifier.as_deref(), Some("1"));
        assert_eq!(registry().resolve(&parse_name("g", None).unwrap()).unwrap_err().status, 404);
    }
}
