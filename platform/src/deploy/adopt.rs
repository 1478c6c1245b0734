//! Takes over functions that were not made by Fuseline, and gives them back.
//!
//! Before anything of such a function is changed, its unpublished state is published as a version, and its code is
//! kept on this machine, too. Only code, memory, layers and environment are changed; from the version all of them
//! can be restored. What invokes the function without naming a version invokes the unpublished state, which is
//! therefore part of every deployment and of every way back.

use std::collections::HashMap;
use std::path::PathBuf;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::{
    FunctionConfiguration, InvokeMode, PackageType, SnapStartApplyOn, State,
};
use optimizer::deployment::Deployment;
use optimizer::gate::Architecture;
use optimizer::workflow::TaskName;

use super::aliases::Shares;
use super::functions::{Existing, variable};
use super::{DeployError, Deployer, Wanted, refused};
use crate::change::{Change, FunctionSettings, Zip};
use crate::digest::sha256;
use crate::download;
use crate::journal::Undo;
use crate::package_form::{PackageForm, WRAPPER};

/// Variable of a function that was taken over: the version that is its original.
const ADOPTED_VARIABLE: &str = "FUSELINE_ADOPTED";
/// Variable of a function that was taken over and had an alias `live`: the version that it called.
const ADOPTED_LIVE_VARIABLE: &str = "FUSELINE_ADOPTED_LIVE";
/// How our own variables start.
const OUR_VARIABLES: &str = "FUSELINE_";
/// Description of versions that keep a function as it was.
pub(super) const KEPT: &str = "Fuseline keeps this: the function as it was before";

/// Whether functions that were not made by Fuseline may be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Adoption {
    /// No.
    Refused,
    /// Those that were taken over earlier.
    Earlier,
    /// They may be taken over, but for those that a stack manages.
    Allowed,
    /// Those, too.
    EvenManaged,
}

impl Deployer<'_> {
    /// Checks without changing anything that the functions of a deployment can be made or taken over.
    pub(super) async fn check(&self, deployment: &Deployment) -> Result<(), DeployError> {
        for task in self.project.tasks.keys() {
            let name = task.0.as_str();
            let Some(existing) = self.existing(name).await? else {
                if !self.endpoint.is_emulated() && self.project.tasks[task].role.is_none() {
                    return Err(DeployError::NoRole(task.clone()));
                }
                continue;
            };
            if self.is_ours(&existing) && self.original_of(&existing).is_none() {
                self.check_form(task, existing.package_type())?;
                continue;
            }
            if !self.is_ours(&existing) {
                self.check_adoptable(task, &existing).await?;
                self.keep_code(name).await?;
            }
            let inlined = deployment.functions().get(task).map_or(&[][..], |it| &it.inlined);
            self.check_runtime(task, &self.form(task, inlined)?, &existing)?;
            // An inlined task has the environment that the file gives it, not its own function's.
            let is_inlined = deployment.functions().values().any(|it| it.inlined.contains(task));
            let known = &self.project.tasks[task].environment;
            let unknown: Vec<String> = variables(&existing)
                .into_keys()
                .filter(|it| !known.contains_key(it) && !it.starts_with("AWS_"))
                .collect();
            if is_inlined && !unknown.is_empty() {
                let names = unknown.join(", ");
                return Err(not_adoptable(
                    name,
                    format!(
                        "it has variables that the workflow file does not give it ({names}), which it would miss where it is inlined; add them to its `environment`"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The version that keeps a function's unpublished state as it was before this entry of the journal; none if
    /// it is our own function, whose unpublished state nobody calls.
    pub(super) async fn keep(
        &self,
        task: &TaskName,
        existing: &Existing,
    ) -> Result<Option<String>, DeployError> {
        let name = task.0.as_str();
        let is_ours = self.is_ours(existing);
        if is_ours && self.original_of(existing).is_none() {
            return Ok(None);
        }
        if is_ours && self.adoption == Adoption::Refused {
            return Err(DeployError::Adopted(name.to_owned()));
        }
        let known = self.kept.lock().expect("not poisoned").get(name).cloned();
        if let Some(version) = known.or_else(|| self.kept_earlier(name)) {
            return Ok(Some(version));
        }
        if !is_ours {
            self.check_adoptable(task, existing).await?;
            // On the way back it has to be in S3 if it is large.
            let code = self.keep_code(name).await?;
            self.place(name, code).await?;
        }
        let version = self.publish_as_it_is(name, existing, Some(KEPT.to_owned())).await?;
        self.kept.lock().expect("not poisoned").insert(name.to_owned(), version.clone());
        Ok(Some(version))
    }

    /// As an interrupted run of the same entry kept it.
    fn kept_earlier(&self, name: &str) -> Option<String> {
        self.changes.last().filter(|entry| !entry.is_finished)?.undo.iter().find_map(|(_, undo)| {
            match undo {
                Undo::Latest { function, version } if function == name => Some(version.clone()),
                _ => None,
            }
        })
    }

    /// The version that is the original of a function that was taken over.
    pub(super) fn original_of<'c>(&self, existing: &'c Existing) -> Option<&'c str> {
        variable(existing.environment(), ADOPTED_VARIABLE)
    }

    /// What its alias `live` called then; none if it had no such alias.
    fn original_live_of<'c>(&self, existing: &'c Existing) -> Option<&'c str> {
        variable(existing.environment(), ADOPTED_LIVE_VARIABLE)
    }

    /// Gives a function that was taken over back: alias, code and configuration as they were, and none of the versions
    /// that Fuseline published. Being interrupted, it can be run again until the function is as it was, and
    /// then [`Deployer::delete_versions`] is what is left to do.
    pub(super) async fn give_back(
        &self,
        name: &str,
        existing: &Existing,
        original: &str,
    ) -> Result<(), DeployError> {
        let live = self.original_live_of(existing);
        match (live, self.alias(name).await?) {
            (Some(version), Some(found)) => {
                self.point(name, &found, version, Shares::new(), None).await.map(drop)?;
            }
            (None, Some(_)) => self.delete_alias(name).await?,
            _ => {}
        }
        self.delete_versions(name, 0, &[original]).await?;
        self.restore(name, original).await?;
        // Lambda gives the newest version instead of a new one if nothing has changed since, so the one that keeps
        // the function may be its own, and stays then.
        self.delete_versions(name, 0, &[]).await
    }

    /// What is changed of a function that is taken over. What the file says about its role, network, timeout,
    /// storage and handler is left out, because the function has its own.
    pub(super) async fn adopted_settings(
        &self,
        wanted: &Wanted<'_>,
        existing: &Existing,
        undo: &Option<Undo>,
    ) -> Result<FunctionSettings, DeployError> {
        self.check_runtime(wanted.task, &wanted.form, existing)?;
        let mut environment = variables(existing);
        environment.extend(wanted.environment.clone());
        let kept = match undo {
            Some(Undo::Latest { version, .. }) => version,
            _ => "",
        };
        let original = self.original_of(existing).unwrap_or(kept);
        environment.insert(ADOPTED_VARIABLE.to_owned(), original.to_owned());
        let live = match self.original_of(existing) {
            Some(_) => self.original_live_of(existing).map(str::to_owned),
            None => self.alias(&wanted.task.0).await?.map(|alias| alias.version),
        };
        environment.extend(live.map(|version| (ADOPTED_LIVE_VARIABLE.to_owned(), version)));
        let ours = format!(":layer:{}:", self.layer_name());
        let arns = existing.layers().iter().filter_map(|layer| layer.arn());
        let mut layers: Vec<String> =
            arns.filter(|arn| !arn.contains(&ours)).map(str::to_owned).collect();
        self.add_wrapper(wanted, &mut environment, &mut layers).await?;
        let settings = FunctionSettings {
            memory_size: Some(wanted.resources.memory.0 as i32),
            layers: Some(layers),
            ..FunctionSettings::default()
        };
        Ok(settings.with_environment(environment))
    }

    /// Makes a function's unpublished state what one of its versions is.
    pub(super) async fn restore(&self, name: &str, version: &str) -> Result<(), DeployError> {
        let Some(mut now) = self.existing(name).await? else { return Ok(()) };
        let was = self.function(name, Some(version)).await?;
        let Some(configuration) = was.configuration() else { return Ok(()) };
        if now.code_sha256() != configuration.code_sha256() {
            let code = self.code(name, &was).await?;
            let (code, uploaded) = self.place(name, code).await?;
            let change = Change::UpdateFunctionCode { function_name: name.to_owned(), code };
            now = self.make_and_settle(&change, &now, None).await?;
            if let Some(object) = uploaded {
                self.delete_object(&object).await?;
            }
        }
        let variables = configuration.environment().and_then(|it| it.variables());
        let variables: HashMap<String, String> = variables.cloned().unwrap_or_default();
        let layers = configuration.layers().iter();
        let settings = FunctionSettings {
            memory_size: configuration.memory_size(),
            layers: Some(layers.filter_map(|it| it.arn().map(str::to_owned)).collect()),
            ..FunctionSettings::default()
        };
        let settings = Box::new(settings.with_environment(variables.into_iter().collect()));
        let function_name = name.to_owned();
        let change = Change::UpdateFunctionConfiguration { function_name, settings };
        let now = self.make_and_settle(&change, &now, None).await?;
        match now.code_sha256() == configuration.code_sha256() {
            true => Ok(()),
            false => Err(code_error(name, "what was restored has another SHA-256".into())),
        }
    }

    /// Keeps the code of a function on this machine, whatever becomes of its versions.
    async fn keep_code(&self, name: &str) -> Result<Zip, DeployError> {
        let function = self.function(name, None).await?;
        let code = self.code(name, &function).await?;
        let Some(folder) = self.changes.folder().map(|folder| folder.join("originals")) else {
            return Ok(code);
        };
        let file = kept_file(&folder, name, &code.sha256);
        if file.exists() {
            return Ok(code);
        }
        let write = || -> std::io::Result<()> {
            fs_err::create_dir_all(&folder)?;
            let partial = file.with_extension("partial");
            fs_err::write(&partial, &code.bytes)?;
            fs_err::File::open(&partial)?.sync_all()?;
            fs_err::rename(&partial, &file)
        };
        write().map_err(|error| code_error(name, error.to_string()))?;
        Ok(code)
    }

    /// The code of a function or version, from this machine or else from Lambda, checked by its SHA-256.
    async fn code(&self, name: &str, function: &GetFunctionOutput) -> Result<Zip, DeployError> {
        let wanted = function.configuration().and_then(|it| it.code_sha256()).unwrap_or_default();
        let kept = self.changes.folder().map(|it| kept_file(&it.join("originals"), name, wanted));
        let from_disk = kept.and_then(|file| std::fs::read(file).ok());
        let bytes = match from_disk.filter(|bytes| sha256(bytes) == wanted) {
            Some(bytes) => bytes,
            None => {
                let location = function.code().and_then(|code| code.location());
                let location = location
                    .ok_or_else(|| code_error(name, "the endpoint does not hand it out".into()))?;
                download::get(location).await.map_err(|message| code_error(name, message))?
            }
        };
        let found = sha256(&bytes);
        match found == wanted {
            true => Ok(Zip { bytes: bytes.into(), sha256: found }),
            false => Err(code_error(name, format!("its SHA-256 is {found} instead of {wanted}"))),
        }
    }

    /// A function or version, with where its code can be had and its tags.
    pub(super) async fn function(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<GetFunctionOutput, DeployError> {
        let call = self.endpoint.lambda.get_function().function_name(name);
        let call = call.set_qualifier(version.map(str::to_owned));
        call.send().await.map_err(refused("look-up", name))
    }

    /// Refuses a function whose runtime cannot hold the tasks.
    fn check_runtime(
        &self,
        task: &TaskName,
        form: &PackageForm,
        existing: &Existing,
    ) -> Result<(), DeployError> {
        let has = existing.runtime().map_or("none", |runtime| runtime.as_str());
        let fits = match form {
            PackageForm::CustomRuntime => has.starts_with("provided"),
            PackageForm::ManagedRuntime { runtime } => has == runtime,
            PackageForm::Image { .. } => false,
        };
        let wanted = form.runtime().unwrap_or("an image");
        match fits || self.changes.is_dry() && existing.runtime().is_none() {
            true => Ok(()),
            false => Err(not_adoptable(
                &task.0,
                format!(
                    "its runtime is {has}, and the workflow file needs {wanted}; correct `runtime`, or do not fuse it so"
                ),
            )),
        }
    }

    /// Refuses what could not be taken over, or not be given back.
    async fn check_adoptable(
        &self,
        task: &TaskName,
        existing: &Existing,
    ) -> Result<(), DeployError> {
        let name = task.0.as_str();
        if matches!(self.adoption, Adoption::Refused | Adoption::Earlier)
            || variable(existing.environment(), super::WORKFLOW_VARIABLE).is_some()
        {
            return Err(DeployError::Foreign(name.to_owned()));
        }
        let function = self.function(name, None).await?;
        let fault = match function.configuration() {
            Some(configuration) => {
                let architecture = self.project.tasks[task].configuration.architecture;
                fault(configuration, architecture, self.form(task, &[])?)
            }
            None => Some("the endpoint does not describe it".to_owned()),
        };
        if let Some(reason) = fault {
            return Err(not_adoptable(name, reason));
        }
        // It could be taken over, but not given back.
        let size = function.configuration().map_or(0, |it| it.code_size());
        self.check_size(name, u64::try_from(size).unwrap_or(0))?;
        let managed = function.tags().and_then(managed_by);
        if let Some(by) = managed.filter(|_| self.adoption != Adoption::EvenManaged) {
            return Err(not_adoptable(
                name,
                format!(
                    "{by} manages it and would overwrite what is changed; change it there, or take it over with --force"
                ),
            ));
        }
        self.check_features(name).await
    }

    /// Refuses features that a fused function would not keep.
    async fn check_features(&self, name: &str) -> Result<(), DeployError> {
        let lambda = &self.endpoint.lambda;
        let call = lambda.list_provisioned_concurrency_configs().function_name(name);
        match call.send().await {
            Ok(found) if !found.provisioned_concurrency_configs().is_empty() => {
                return Err(not_adoptable(name, "it has provisioned concurrency, which would stay with the old versions; remove it first".into()));
            }
            Ok(_) => {}
            Err(error) => {
                let code = error.code().map(str::to_owned);
                let refused = refused("look-up of provisioned concurrency", name)(error);
                self.unless_absent(code.as_deref(), refused)?;
            }
        }
        let call = lambda.get_function_url_config().function_name(name);
        match call.send().await {
            Ok(found) if found.invoke_mode() == Some(&InvokeMode::ResponseStream) => {
                Err(not_adoptable(name, "its function URL streams responses, which fused functions do not; leave it out of the workflow".into()))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.code().map(str::to_owned);
                self.unless_absent(code.as_deref(), refused("look-up of the URL", name)(error))
            }
        }
    }

    /// What the service does not find is not there, and who may not ask or gets no answer cannot know. Emulators lack
    /// these operations, and then the function has no such feature.
    fn unless_absent(&self, code: Option<&str>, error: DeployError) -> Result<(), DeployError> {
        let cannot_know = ["AccessDenied", "ExpiredToken", "TooManyRequests", "ServiceException"];
        let is_absent = match code {
            Some("ResourceNotFoundException") => true,
            Some(code) if cannot_know.iter().any(|it| code.starts_with(it)) => false,
            _ => self.endpoint.is_emulated(),
        };
        if is_absent { Ok(()) } else { Err(error) }
    }
}

/// Why a function cannot be taken over, by its configuration.
fn fault(
    it: &FunctionConfiguration,
    architecture: Architecture,
    form: PackageForm,
) -> Option<String> {
    let has = it.architectures().first().map_or("x86_64", |name| name.as_str());
    let wanted = match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "arm64",
    };
    let wraps = it.environment().and_then(|it| it.variables()?.get(WRAPPER.0));
    Some(if it.package_type() == Some(&PackageType::Image) {
        "it is a container image; only zip packages can be taken over".to_owned()
    } else if it.snap_start().and_then(|it| it.apply_on())
        == Some(&SnapStartApplyOn::PublishedVersions)
    {
        "it uses SnapStart, which would take a snapshot of all tasks in it; turn it off first"
            .to_owned()
    } else if it.capacity_provider_config().is_some() {
        "it runs on Lambda Managed Instances, where several requests share an environment; leave it out of the workflow".to_owned()
    } else if it.durable_config().is_some() {
        "it is a durable function; leave it out of the workflow".to_owned()
    } else if it.state() == Some(&State::Failed) {
        format!(
            "it is in the state Failed ({}); repair it first",
            it.state_reason().unwrap_or("no reason is given")
        )
    } else if it.environment().is_some_and(|it| it.error().is_some()) {
        "its environment cannot be decrypted with these credentials; allow kms:Decrypt on its key"
            .to_owned()
    } else if has != wanted {
        format!(
            "its architecture is {has}, and the workflow file says {wanted}; correct `architecture`"
        )
    } else if wraps.is_some() && matches!(form, PackageForm::ManagedRuntime { .. }) {
        format!("it has a wrapper already ({}); remove it first", WRAPPER.0)
    } else {
        return None;
    })
}

/// What manages a function, by its tags.
pub(super) fn managed_by(tags: &HashMap<String, String>) -> Option<String> {
    if let Some(stack) = tags.get("aws:cloudformation:stack-name") {
        return Some(format!("the CloudFormation stack {stack}"));
    }
    let mut tags: Vec<_> = tags.iter().collect();
    tags.sort();
    tags.into_iter().find_map(|(key, value)| {
        let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' ', ':'], "");
        let (key, value) = (plain(key), plain(value));
        // Tags that their users conventionally set, because these tools set none.
        let is_key =
            ["managedby", "provisionedby", "createdby", "iac", "iactool"].contains(&key.as_str());
        let known = [
            "terraform",
            "opentofu",
            "pulumi",
            "cdktf",
            "cdk",
            "cloudformation",
            "sam",
            "serverless",
        ];
        let tool = known.iter().find(|tool| {
            is_key && value.contains(**tool)
                || key == **tool && value != "false"
                || key.starts_with("awscdk") && **tool == "cdk"
        });
        tool.map(|tool| match *tool {
            "terraform" => "Terraform".to_owned(),
            other => other.to_owned(),
        })
    })
}

/// A function's own variables, without ours.
fn variables(existing: &Existing) -> std::collections::BTreeMap<String, String> {
    let all = existing.environment().and_then(|it| it.variables()).cloned().unwrap_or_default();
    let own = all.into_iter().filter(|(name, value)| {
        !name.starts_with(OUR_VARIABLES) && (name.as_str(), value.as_str()) != WRAPPER
    });
    own.collect()
}

fn kept_file(folder: &std::path::Path, name: &str, sha256: &str) -> PathBuf {
    // Base64 has characters that file names do not.
    let sha256 = sha256.replace('/', "_").replace('+', "-").replace('=', "");
    folder.join(format!("{name}.{sha256}.zip"))
}

fn not_adoptable(function: &str, reason: String) -> DeployError {
    DeployError::NotAdoptable { function: function.to_owned(), reason }
}

fn code_error(function: &str, message: String) -> DeployError {
    DeployError::Code { function: function.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_known_by_their_tags() {
        let by = |key: &str, value: &str| {
            managed_by(&HashMap::from([(key.to_owned(), value.to_owned())]))
        };
        assert_eq!(
            by("aws:cloudformation:stack-name", "shop").unwrap(),
            "the CloudFormation stack shop"
        );
        for (key, value) in [
            ("ManagedBy", "Terraform"),
            ("managed-by", "terraform"),
            ("terraform", "true"),
            ("Terraform", "true"),
            ("created_by", "terraform-cloud"),
        ] {
            assert_eq!(by(key, value).as_deref(), Some("Terraform"), "{key}={value}");
        }
        assert!(by("aws-cdk:id", "x").is_some());
        assert!(by("iac", "pulumi").is_some());
        for (key, value) in
            [("team", "terraform"), ("terraform", "false"), ("managed-by", "people")]
        {
            assert_eq!(by(key, value), None, "{key}={value}");
        }
    }

    #[test]
    fn features_that_fusion_would_break_are_refused() {
        use aws_sdk_lambda::types::{
            CapacityProviderConfig, EphemeralStorage, LambdaManagedInstancesCapacityProviderConfig,
            Runtime, SnapStartResponse,
        };
        let plain = || FunctionConfiguration::builder().runtime(Runtime::Python312).code_size(1000);
        let managed = || PackageForm::ManagedRuntime { runtime: "python3.12".into() };
        let check = |it: aws_sdk_lambda::types::builders::FunctionConfigurationBuilder,
                     says: &str| {
            let fault = fault(&it.build(), Architecture::X86_64, managed()).unwrap();
            assert!(fault.contains(says), "{fault}");
        };
        let storage = EphemeralStorage::builder().size(1024).build().unwrap();
        assert_eq!(
            fault(&plain().ephemeral_storage(storage).build(), Architecture::X86_64, managed()),
            None
        );
        check(plain().package_type(PackageType::Image), "container image");
        let snap =
            SnapStartResponse::builder().apply_on(SnapStartApplyOn::PublishedVersions).build();
        check(plain().snap_start(snap), "SnapStart");
        let instances = LambdaManagedInstancesCapacityProviderConfig::builder()
            .capacity_provider_arn("arn")
            .build();
        let _ = &instances;
        check(plain().state(State::Failed).state_reason("no image"), "no image");
        check(plain().architectures(aws_sdk_lambda::types::Architecture::Arm64), "arm64");
        let capacity = CapacityProviderConfig::builder()
            .lambda_managed_instances_capacity_provider_config(instances.unwrap())
            .build();
        check(plain().capacity_provider_config(capacity), "Managed Instances");
    }
}
