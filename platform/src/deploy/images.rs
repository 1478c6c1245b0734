//! Functions that are container images: built, pushed, and named by their digest.
//!
//! Lambda cannot make a container image of a function that is a zip, or the other way round, and every version of a
//! function has the same form. So a function in which any deployment needs an image is one from the start, also while
//! its task is alone in it.

use std::collections::BTreeSet;

use aws_sdk_lambda::types::PackageType;
use optimizer::deployment::Deployment;
use optimizer::workflow::TaskName;

use super::{DeployError, Deployer};
use crate::change::{Change, Code};
use crate::docker;
use crate::image::{self, ImageSettings};
use crate::package_form::PackageForm;
use crate::registry::{Registry, is_digest};
use crate::repository::tag;

/// An image that is in the registry, or ready to be pushed to it.
#[derive(Clone)]
pub(super) struct Made {
    tag: String,
    /// None if it has to be pushed.
    digest: Option<String>,
}

impl Deployer<'_> {
    /// The same that makes container images of functions whose tasks fit into no zip.
    #[must_use]
    pub fn with_images(self, images: Option<ImageSettings>) -> Self {
        Self { images, ..self }
    }

    /// Decides which functions are container images, as far as deployments are known, and checks without changing
    /// anything that images can be made.
    pub(super) async fn choose_forms(&self, deployment: &Deployment) -> Result<(), DeployError> {
        let groups = deployment.functions().iter();
        let wanted = groups.filter(|(root, it)| self.fits_no_zip(root, &it.inlined));
        self.choose(wanted.map(|(root, _)| root.clone()).collect()).await
    }

    /// As [`Deployer::choose_forms`] for deployments that are not known yet.
    pub(super) async fn choose_forms_of_trials(&self) -> Result<(), DeployError> {
        let all = self.project.tasks.keys();
        let all = all.filter(|_| self.images.is_some() && self.is_mixed());
        self.choose(all.cloned().collect()).await
    }

    /// Whether the function is a container image in every deployment.
    pub(super) fn is_image(&self, root: &TaskName) -> bool {
        self.as_images.lock().expect("not poisoned").contains(root)
    }

    /// A function's code, an image in the registry or a zip that is not uploaded yet.
    pub(super) async fn package(
        &self,
        root: &TaskName,
        inlined: &[TaskName],
    ) -> Result<Code, DeployError> {
        let PackageForm::Image { runtimes } = self.form(root, inlined)? else {
            return Ok(Code::Zip(self.bundle(root, inlined)?));
        };
        let repository = self.image_settings(root, &runtimes)?.repository.clone();
        let made = self.made(root, inlined, &runtimes).await?;
        let uri = match &made.digest {
            Some(digest) => format!("{repository}@{digest}"),
            None => {
                let change = Change::PutImage {
                    repository,
                    image_tag: made.tag.clone(),
                    function_name: root.0.clone(),
                };
                let answer = self.changes.make(self.endpoint, &change, None, None).await?;
                answer.arn.unwrap_or_default()
            }
        };
        let digest = uri.rsplit_once('@').map_or("", |(_, digest)| digest);
        if made.digest.is_none() && is_digest(digest) {
            let digest = Some(digest.to_owned());
            let key = (root.clone(), inlined.to_vec());
            self.made.lock().await.insert(key, Made { digest, ..made });
        }
        // In a dry run it is no digest, but still another for every image.
        let sha256 = digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
        Ok(Code::Image { uri, sha256 })
    }

    /// What distinguishes a function's package from another one: the SHA-256 of its zip, or the tag of its image.
    pub(super) async fn identity(
        &self,
        root: &TaskName,
        inlined: &[TaskName],
    ) -> Result<String, DeployError> {
        match self.form(root, inlined)? {
            PackageForm::Image { runtimes } => Ok(self.made(root, inlined, &runtimes).await?.tag),
            _ => Ok(self.bundle(root, inlined)?.sha256),
        }
    }

    /// Makes a function's package without sending it anywhere; returns the size of its zip in bytes, 0 of an image.
    pub(super) async fn prepare(
        &self,
        root: &TaskName,
        inlined: &[TaskName],
    ) -> Result<u64, DeployError> {
        match self.form(root, inlined)? {
            PackageForm::Image { runtimes } => {
                self.made(root, inlined, &runtimes).await?;
                Ok(0)
            }
            _ => Ok(self.bundle(root, inlined)?.bytes.len() as u64),
        }
    }

    /// Refuses to send a package of another form than the function has.
    pub(super) fn check_form(
        &self,
        root: &TaskName,
        has: Option<&PackageType>,
    ) -> Result<(), DeployError> {
        let is_image = has == Some(&PackageType::Image);
        match is_image == self.is_image(root) {
            true => Ok(()),
            false => Err(DeployError::OtherForm { function: root.clone(), is_image }),
        }
    }

    async fn choose(&self, wanted: BTreeSet<TaskName>) -> Result<(), DeployError> {
        if self.is_local || !self.is_mixed() {
            return Ok(());
        }
        let mut images = BTreeSet::new();
        for task in self.project.tasks.keys() {
            let existing = self.existing(&task.0).await?;
            let is_wanted = wanted.contains(task);
            match existing.as_ref().map(|it| it.package_type() == Some(&PackageType::Image)) {
                Some(false) if is_wanted => {
                    return Err(DeployError::OtherForm { function: task.clone(), is_image: false });
                }
                Some(true) => drop(images.insert(task.clone())),
                None if is_wanted => drop(images.insert(task.clone())),
                Some(false) | None => {}
            }
        }
        let first = images.first().cloned();
        *self.as_images.lock().expect("not poisoned") = images;
        let Some(first) = first else { return Ok(()) };
        let PackageForm::Image { runtimes } = self.form(&first, &[])? else { return Ok(()) };
        self.check_place(&first, self.image_settings(&first, &runtimes)?).await
    }

    /// Checks that images can be built here, and that the repository is one that Lambda takes images from.
    async fn check_place(
        &self,
        function: &TaskName,
        settings: &ImageSettings,
    ) -> Result<(), DeployError> {
        let repository = &settings.repository;
        let wrong = |message: String| DeployError::Repository {
            repository: repository.to_string(),
            message,
        };
        if !self.endpoint.is_emulated() {
            let region = repository
                .ecr_region()
                .ok_or_else(|| wrong("Lambda takes images only from ECR".into()))?;
            // A place is named for account and region.
            if !self.endpoint.place.ends_with(&format!("-{region}")) {
                return Err(wrong(
                    "Lambda takes images only from its own region; name a repository there".into(),
                ));
            }
        }
        if !self.changes.is_dry() {
            docker::check().await.map_err(|message| DeployError::Image {
                function: function.clone(),
                message: format!("Docker cannot be used: {message}"),
            })?;
        }
        let registry = self.registry(settings).await?;
        registry.check().await.map_err(wrong)
    }

    async fn registry<'s>(&self, settings: &'s ImageSettings) -> Result<Registry<'s>, DeployError> {
        let repository = &settings.repository;
        // On the heap, because what it waits for is nested deeper than the compiler follows.
        let registry = Box::pin(Registry::of(repository, &self.endpoint.settings)).await;
        registry.map_err(|message| DeployError::Repository {
            repository: repository.to_string(),
            message,
        })
    }

    /// Builds a function's image, unless the registry has it already. A dry run builds nothing.
    async fn made(
        &self,
        root: &TaskName,
        inlined: &[TaskName],
        runtimes: &BTreeSet<String>,
    ) -> Result<Made, DeployError> {
        let key = (root.clone(), inlined.to_vec());
        let mut all = self.made.lock().await;
        if let Some(made) = all.get(&key) {
            return Ok(made.clone());
        }
        let settings = self.image_settings(root, runtimes)?;
        let failed = |message| DeployError::Image { function: root.clone(), message };
        let context = image::context(self.project, &self.supervisor, root, inlined, runtimes)
            .map_err(|error| DeployError::Bundle(root.clone(), error))?;
        // A base that was built again under the same name makes other images.
        let base = match self.changes.is_dry() {
            true => docker::image_id(&settings.base).await.unwrap_or_default(),
            false => docker::pulled(&settings.base).await.map_err(|message| {
                let base = settings.base.clone();
                DeployError::BaseImage { base, message }
            })?,
        };
        let hash = context.hash(&base);
        let tag = tag(self.project.workflow.name(), &root.0, &hash);
        let registry = self.registry(settings).await?;
        let digest = registry.digest(&tag).await.map_err(|message| DeployError::Repository {
            repository: settings.repository.to_string(),
            message,
        })?;
        if digest.is_none() && !self.changes.is_dry() {
            let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
            context
                .write(folder.path())
                .map_err(|error| DeployError::Bundle(root.clone(), error))?;
            let name = format!("{}:{tag}", settings.repository);
            let architecture = self.project.tasks[root].configuration.architecture;
            docker::build(folder.path(), &settings.base, &name, architecture)
                .await
                .map_err(failed)?;
        }
        let made = Made { tag, digest };
        all.insert(key, made.clone());
        Ok(made)
    }

    fn image_settings(
        &self,
        root: &TaskName,
        runtimes: &BTreeSet<String>,
    ) -> Result<&ImageSettings, DeployError> {
        self.images.as_ref().ok_or_else(|| DeployError::NeedsImage {
            function: root.clone(),
            runtimes: runtimes.clone(),
        })
    }

    fn fits_no_zip(&self, root: &TaskName, inlined: &[TaskName]) -> bool {
        matches!(self.project.form(root, inlined), PackageForm::Image { .. })
    }

    /// Whether all tasks together fit into no zip.
    fn is_mixed(&self) -> bool {
        let runtimes = self.project.tasks.values().map(|task| task.runtime.as_str());
        matches!(PackageForm::of(runtimes), PackageForm::Image { .. })
    }
}
