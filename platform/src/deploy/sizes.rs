//! Tries sizes on functions that go on: their unpublished versions are changed and called, and where the
//! platform can do that (the local backend), warm instances are resized instead of replaced. So a trial
//! costs about one execution. On Lambda itself a change of size means new instances, and the same steps
//! work.

use optimizer::deployment::Deployment;

use super::{DeployError, Deployed, Deployer, Wanted};

/// What names the version that can be changed.
const UNPUBLISHED: &str = "$LATEST";
/// Asks the local backend to keep instances when nothing but sizes changes.
const RESIZE: (&str, &str) = ("FUSELINE_RESIZE", "in-place");

impl Deployer<'_> {
    /// Gives the functions of a deployment its sizes and makes them call each other's unpublished
    /// versions. Functions that have their size already are left alone.
    ///
    /// # Errors
    /// If a bundle cannot be made or the endpoint refuses a step.
    pub async fn deploy_sizes(&self, deployment: &Deployment) -> Result<Deployed, DeployError> {
        let unpublished = || UNPUBLISHED.to_owned();
        let routes = self.project.tasks.keys().map(|task| (task.0.clone(), unpublished()));
        let routes = routes.collect();
        let before = self.sizes.lock().expect("not poisoned").take();
        for (task, function) in deployment.functions() {
            if before.as_ref().and_then(|before| before.functions().get(task)) == Some(function) {
                continue;
            }
            let mut environment = self.environment(task, function, &routes, 0);
            if self.is_local {
                environment.insert(RESIZE.0.into(), RESIZE.1.into());
            }
            let wanted = Wanted {
                task,
                inlined: &function.inlined,
                resources: function.resources,
                environment,
                form: self.form(task, &function.inlined)?,
            };
            let name = task.0.as_str();
            let Some(existing) = self.existing(name).await? else {
                let message = "it has not been deployed".to_owned();
                let function = name.to_owned();
                return Err(DeployError::Refused { step: "resizing", function, message });
            };
            let package = Box::pin(self.package(task, &function.inlined)).await?;
            self.update(&wanted, &package, &existing).await?;
        }
        *self.sizes.lock().expect("not poisoned") = Some(deployment.clone());
        let versions = deployment.functions().keys().map(|task| (task.clone(), unpublished()));
        Ok(Deployed { deployment: deployment.clone(), versions: versions.collect() })
    }
}
