//! The functions of a server, in memory: their versions, and in the modules below what is set on
//! them beside their configuration.

mod aliases;
mod concurrency;
mod events;
mod tags;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;
use wire::function_name::FunctionName;

use crate::bundle::{Bundle, BundleError};
use crate::error::ApiError;
use crate::function::{ACCOUNT, Configuration, LATEST, REGION, Settings, Version, function_arn};
use crate::preparation::{Change, Phase, Preparation};
use crate::routing::Draws;
use crate::sandbox::Resizing;
use aliases::Alias;
pub(crate) use aliases::AliasSettings;
use events::EventConfig;

/// One function.
#[derive(Debug)]
struct Function {
    latest: Arc<Version>,
    /// What `$LATEST` was when it could last run: serves while the latest is prepared, and when it
    /// turned out that it cannot run.
    before: Option<Arc<Version>>,
    published: BTreeMap<u64, Arc<Version>>,
    /// Numbers are never given twice, not even after a version was deleted.
    last_number: u64,
    /// `$LATEST` as it was when the last version was published.
    last_published: Option<Arc<Version>>,
    aliases: BTreeMap<String, Alias>,
    tags: BTreeMap<String, String>,
    reserved_concurrency: Option<u32>,
    /// By qualifier.
    events: BTreeMap<String, EventConfig>,
}

/// Every function of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    functions: Mutex<BTreeMap<String, Function>>,
    generations: AtomicU64,
    code_directory: PathBuf,
    draws: Draws,
}

/// Code that a request brought: it is unpacked once a function has it.
#[derive(Clone, Debug)]
pub(crate) struct NewCode {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) zip: Arc<[u8]>,
}

/// What becomes of the instances of the state that an update replaces, once the new state can run.
#[derive(Debug)]
pub(crate) enum Instances {
    /// They are removed, if there is such a state.
    Replaced(Option<Arc<Version>>),
    /// They go on, with the sizes of the new state.
    Resized,
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
            return Err(stale_revision());
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
    /// `seed` decides where weighted aliases lead.
    pub(crate) fn new(code_directory: PathBuf, seed: u64) -> Self {
        Self {
            functions: Mutex::default(),
            generations: AtomicU64::default(),
            code_directory,
            draws: Draws::new(seed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Function>> {
        self.functions.lock().expect("no holder of the registry panics")
    }

    /// Looks at code, off the threads that serve requests.
    pub(crate) async fn inspect(&self, zip: Vec<u8>) -> Result<NewCode, ApiError> {
        let directory = self.code_directory.clone();
        let inspected = tokio::task::spawn_blocking(move || {
            Bundle::of(&zip, &directory)
                .map(|bundle| NewCode { bundle: Arc::new(bundle), zip: zip.into() })
        });
        match inspected.await {
            Ok(Ok(code)) => Ok(code),
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
        preparation: Preparation,
        generation: u64,
    ) -> Arc<Version> {
        Arc::new(Version {
            generation,
            function: function.to_owned(),
            version: number.to_owned(),
            configuration,
            code,
            preparation,
            revision_id: Uuid::new_v4().to_string(),
            last_modified: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S.%3f+0000")
                .to_string(),
        })
    }

    /// Creates a function; it can run once its preparation has ended.
    pub(crate) fn create(
        &self,
        name: &str,
        settings: Settings,
        code: Arc<Bundle>,
        tags: BTreeMap<String, String>,
    ) -> Result<Arc<Version>, ApiError> {
        let configuration = Configuration::default().with(settings)?;
        tags::check(&tags)?;
        let mut functions = self.lock();
        if functions.contains_key(name) {
            return Err(ApiError::conflict(format!("Function already exist: {name}")));
        }
        let preparation = Preparation::begin(Change::Creation);
        let latest =
            self.version(name, LATEST, configuration, code, preparation, self.generation());
        let function = Function {
            latest: Arc::clone(&latest),
            before: None,
            published: BTreeMap::new(),
            last_number: 0,
            last_published: None,
            aliases: BTreeMap::new(),
            tags,
            reserved_concurrency: None,
            events: BTreeMap::new(),
        };
        functions.insert(name.to_owned(), function);
        Ok(latest)
    }

    /// Replaces a function's configuration or code; the new state can run once its preparation has
    /// ended. Returns the new state, and what becomes of instances then: they go on if nothing but sizes
    /// changes, the function asks for that, and they can be resized.
    pub(crate) fn update(
        &self,
        name: &str,
        expected: &Expected,
        settings: Settings,
        code: Option<Arc<Bundle>>,
        resizing: Resizing,
    ) -> Result<(Arc<Version>, Instances), ApiError> {
        let mut functions = self.lock();
        let function = find_mut(&mut functions, name)?;
        let current = Arc::clone(&function.latest);
        expected.check(&current)?;
        let configuration = current.configuration.with(settings)?;
        match current.preparation.phase() {
            Phase::Underway => current.preparation.check(&current.arn())?,
            Phase::Done => function.before = Some(Arc::clone(&current)),
            Phase::Failed(_) => {}
        }
        let change = if function.before.is_some() { Change::Update } else { Change::Creation };
        let resized = resizing == Resizing::InPlace
            && code.is_none()
            && current.preparation.phase() == Phase::Done
            && current.configuration.can_be_resized_to(&configuration);
        let code = code.unwrap_or_else(|| Arc::clone(&current.code));
        let preparation = Preparation::begin(change);
        let generation = if resized { current.generation } else { self.generation() };
        function.latest = self.version(name, LATEST, configuration, code, preparation, generation);
        let instances = match resized {
            true => Instances::Resized,
            false => Instances::Replaced(function.before.clone()),
        };
        Ok((Arc::clone(&function.latest), instances))
    }

    /// A generation that no version has.
    fn generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// Publishes `$LATEST`, or returns the last version if nothing changed since.
    pub(crate) fn publish(
        &self,
        name: &str,
        expected: &Expected,
        description: Option<String>,
    ) -> Result<Arc<Version>, ApiError> {
        let latest = self.latest(name)?;
        latest.preparation.check(&latest.arn())?;
        self.publish_prepared(name, expected, description)
    }

    /// Publishes `$LATEST` even while it is prepared; the version can run when that has ended.
    pub(crate) fn publish_prepared(
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
        let preparation = latest.preparation.of_published();
        let number_text = number.to_string();
        let generation = self.generation();
        let version =
            self.version(name, &number_text, configuration, code, preparation, generation);
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
        if let Some(alias) = function.alias_to(qualifier) {
            return Err(ApiError::conflict(format!(
                "version {qualifier} of {} is used by the alias {alias}; move or delete it first",
                named.name
            )));
        }
        Ok(vec![function.published.remove(&number).ok_or_else(missing)?])
    }

    /// The version that a name and qualifier state: of a weighted alias the first.
    pub(crate) fn resolve(&self, named: &FunctionName) -> Result<Arc<Version>, ApiError> {
        let functions = self.lock();
        let function = find(&functions, &named.name)?;
        let Some(qualifier) = &named.qualifier else {
            return Ok(Arc::clone(&function.latest));
        };
        let alias = function.aliases.get(qualifier);
        let number = alias.map_or(qualifier, |alias| &alias.routing.version);
        function.find(number).ok_or_else(|| not_found(&named.name, Some(qualifier)))
    }

    /// The version that the next invocation of a name and qualifier runs.
    pub(crate) fn route(&self, named: &FunctionName) -> Result<Arc<Version>, ApiError> {
        let functions = self.lock();
        let function = find(&functions, &named.name)?;
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        let alias = function.aliases.get(qualifier);
        let number = alias.map_or(qualifier, |alias| alias.routing.choose(&self.draws));
        let version = function.find(number);
        let version = version.ok_or_else(|| not_found(&named.name, Some(qualifier)))?;
        match (&function.before, version.preparation.phase()) {
            (Some(before), Phase::Underway | Phase::Failed(_)) if number == LATEST => {
                Ok(Arc::clone(before))
            }
            _ => version.preparation.check(&version.arn()).map(|()| version),
        }
    }

    /// `$LATEST` of a function.
    pub(crate) fn latest(&self, name: &str) -> Result<Arc<Version>, ApiError> {
        Ok(Arc::clone(&find(&self.lock(), name)?.latest))
    }

    /// `$LATEST` of every function.
    pub(crate) fn list(&self) -> Vec<Arc<Version>> {
        self.lock().values().map(|function| Arc::clone(&function.latest)).collect()
    }

    /// Every version of every function.
    pub(crate) fn list_versions(&self) -> Vec<Arc<Version>> {
        self.lock().values().flat_map(|function| function.versions().cloned()).collect()
    }

    /// Every version of a function, `$LATEST` first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Arc<Version>>, ApiError> {
        let functions = self.lock();
        let function = find(&functions, name)?;
        Ok(function.versions().cloned().collect())
    }
}

impl Function {
    fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        std::iter::once(&self.latest).chain(self.published.values())
    }

    fn find(&self, version: &str) -> Option<Arc<Version>> {
        if version == LATEST {
            return Some(Arc::clone(&self.latest));
        }
        version.parse().ok().and_then(|number: u64| self.published.get(&number).cloned())
    }

    fn into_versions(self) -> Vec<Arc<Version>> {
        let latest = [self.latest].into_iter().chain(self.before);
        latest.chain(self.published.into_values()).collect()
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

fn stale_revision() -> ApiError {
    ApiError::precondition(
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
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
    use serde_json::{Value, json};

    use super::*;
    use crate::preparation::Fault;

    fn registry() -> Registry {
        let registry = Registry::new(PathBuf::new(), 1);
        create(&registry).preparation.finish(Ok(()));
        registry
    }

    fn create(registry: &Registry) -> Arc<Version> {
        registry.create("f", Settings::default(), code("a"), BTreeMap::new()).unwrap()
    }

    fn update(registry: &Registry, settings: Settings, code: Option<Arc<Bundle>>) {
        let (after, _) = change(registry, settings, code).unwrap();
        after.preparation.finish(Ok(()));
    }

    fn change(
        registry: &Registry,
        settings: Settings,
        code: Option<Arc<Bundle>>,
    ) -> Result<(Arc<Version>, Instances), ApiError> {
        registry.update("f", &Expected::default(), settings, code, Resizing::InPlace)
    }

    /// Generation whose instances are removed.
    fn replaced(instances: Instances) -> Option<u64> {
        match instances {
            Instances::Replaced(before) => before.map(|version| version.generation),
            Instances::Resized => panic!("they are resized"),
        }
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
        update(&registry, settings(json!({ "MemorySize": 256 })), None);
        let described = registry.publish("f", &any, Some("words".into())).unwrap();
        assert_eq!((publish(), described.version.as_str()), ("2".into(), "2"));
        update(&registry, Settings::default(), Some(code("b")));
        assert_eq!(publish(), "3");
        // An update that changes nothing gives nothing to publish.
        update(&registry, Settings::default(), Some(code("b")));
        assert_eq!(publish(), "3");

        let first = registry.resolve(&named("1")).unwrap();
        assert_eq!((first.configuration.memory_mb, first.code.sha256.as_str()), (128, "a"));
        registry.delete(&named("3")).unwrap();
        update(&registry, Settings::default(), Some(code("c")));
        assert_eq!(publish(), "4", "numbers are never given twice");
    }

    #[test]
    fn aliases_lead_to_versions_and_keep_them() {
        let registry = registry();
        registry.publish("f", &Expected::default(), None).unwrap();
        let create = |alias: &str, version: &str| {
            let settings = json!({ "Name": alias, "FunctionVersion": version });
            registry.create_alias("f", serde_json::from_value(settings).unwrap())
        };
        create("live", "1").unwrap();
        assert_eq!(registry.resolve(&named("live")).unwrap().version, "1");
        assert_eq!(registry.delete(&named("1")).unwrap_err().kind, "ResourceConflictException");
        let again = create("live", "1");
        assert_eq!(again.unwrap_err().kind, "ResourceConflictException");
        let to_latest =
            AliasSettings { function_version: Some(LATEST.into()), ..AliasSettings::default() };
        registry.update_alias("f", "live", to_latest).unwrap();
        assert_eq!(registry.resolve(&named("live")).unwrap().version, LATEST);
        registry.delete(&named("1")).unwrap();
        for (alias, version) in [("9", "1"), ("a b", "1"), ("old", "7")] {
            assert!(create(alias, version).is_err(), "{alias}");
        }
    }

    #[test]
    fn a_function_serves_once_it_is_prepared_and_while_it_is_updated() {
        let registry = Registry::new(PathBuf::new(), 1);
        let first = create(&registry);
        let any = Expected::default();
        let latest = parse_name("f", None).unwrap();
        let kind = |result: Result<Arc<Version>, ApiError>| result.unwrap_err().kind;
        let change = || change(&registry, Settings::default(), None);
        assert_eq!(kind(registry.route(&latest)), "ResourceConflictException");
        assert_eq!(change().unwrap_err().kind, "ResourceConflictException");
        assert_eq!(kind(registry.publish("f", &any, None)), "ResourceConflictException");
        let published = registry.publish_prepared("f", &any, None).unwrap();
        assert_eq!(published.describe()["State"], "Pending");
        first.preparation.finish(Ok(()));
        assert_eq!(published.describe()["State"], "Active");
        assert_eq!(registry.route(&named("1")).unwrap().generation, published.generation);

        let (second, instances) = change().unwrap();
        assert_eq!(replaced(instances), Some(first.generation));
        assert_eq!(second.describe()["LastUpdateStatus"], "InProgress");
        assert_eq!(change().unwrap_err().kind, "ResourceConflictException");
        assert_eq!(registry.route(&latest).unwrap().generation, first.generation);
        second.preparation.finish(Err(Fault::internal("no luck")));
        assert_eq!(registry.route(&latest).unwrap().generation, first.generation);
        let (third, instances) = change().unwrap();
        assert_eq!(replaced(instances), Some(first.generation));
        third.preparation.finish(Ok(()));
        assert_eq!(registry.route(&latest).unwrap().generation, third.generation);
    }

    #[test]
    fn a_function_that_never_ran_can_be_repaired() {
        let registry = Registry::new(PathBuf::new(), 1);
        create(&registry).preparation.finish(Err(Fault::internal("no luck")));
        let latest = parse_name("f", None).unwrap();
        let error = registry.route(&latest).unwrap_err();
        assert!(error.message.contains("Failed (no luck)"), "{}", error.message);
        let (repaired, instances) = change(&registry, Settings::default(), None).unwrap();
        assert_eq!(replaced(instances), None);
        assert_eq!(repaired.describe()["State"], "Pending");
        repaired.preparation.finish(Ok(()));
        assert_eq!(registry.route(&latest).unwrap().generation, repaired.generation);
    }

    #[test]
    fn instances_go_on_if_only_sizes_change_and_they_can_be_resized() {
        let registry = registry();
        let asked = |memory_mb: u32| {
            let variables = json!({ "Variables": { "FUSELINE_RESIZE": "in-place" } });
            settings(json!({ "MemorySize": memory_mb, "Environment": variables }))
        };
        let latest = || registry.latest("f").unwrap().generation;
        let start = latest();
        let (_, instances) = change(&registry, asked(256), None).unwrap();
        assert_eq!(replaced(instances), Some(start), "it was not asked for before");
        registry.latest("f").unwrap().preparation.finish(Ok(()));

        let before = latest();
        let (resized, instances) = change(&registry, asked(512), None).unwrap();
        assert!(matches!(instances, Instances::Resized));
        assert_eq!((resized.generation, resized.configuration.memory_mb), (before, 512));
        let route = || registry.route(&named(LATEST)).unwrap().configuration.memory_mb;
        assert_eq!(route(), 256, "until it can run");
        resized.preparation.finish(Ok(()));
        assert_eq!(route(), 512);

        let published = registry.publish("f", &Expected::default(), None).unwrap();
        assert_ne!(published.generation, before);
        let (with_code, instances) = change(&registry, asked(256), Some(code("b"))).unwrap();
        assert_eq!(replaced(instances), Some(before));
        with_code.preparation.finish(Ok(()));
        let expected = Expected::default();
        let update = registry.update("f", &expected, asked(128), None, Resizing::Replacing);
        assert_eq!(replaced(update.unwrap().1), Some(with_code.generation));
    }

    #[test]
    fn stale_revisions_are_refused() {
        let registry = registry();
        let stale = Expected { revision_id: Some("x".into()), code_sha256: None };
        let update = registry.update("f", &stale, Settings::default(), None, Resizing::InPlace);
        let error = update.unwrap_err();
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
