//! Removes what was made for a workflow, and gives functions that were taken over back as they were.

use optimizer::workflow::TaskName;

use super::{DeployError, Deployer, log_group};
use crate::change::Change;
use crate::journal::Record;

impl Deployer<'_> {
    /// Deletes every function of the workflow and its log group; functions that were taken over get their original
    /// code and configuration back and stay. So are the layer, and the packages in S3. Returns the functions' names.
    ///
    /// # Errors
    /// If the endpoint refuses, or a task's name belongs to a function that is not ours.
    pub async fn destroy(&self) -> Result<Vec<String>, DeployError> {
        let mut removed = Vec::new();
        for task in self.project.tasks.keys() {
            let name = task.0.as_str();
            let Some(existing) = self.existing(name).await? else { continue };
            if !self.is_ours(&existing) && !self.changes.have_changed(name) {
                return Err(DeployError::Foreign(name.to_owned()));
            }
        }
        for task in self.project.tasks.keys() {
            let name = task.0.as_str();
            match self.existing(name).await? {
                None if !self.changes.have_changed(name) => continue,
                // An interrupted run had deleted it, but perhaps not its log group.
                None => self.delete_log_group(task).await,
                // An interrupted run had given it back.
                Some(existing) if !self.is_ours(&existing) => {
                    self.delete_versions(name, 0, &[]).await?;
                }
                Some(existing) => match self.original_of(&existing) {
                    Some(original) => self.give_back(name, &existing, original).await?,
                    None => {
                        let own = self.role_name(task);
                        self.delete_with_log(task).await?;
                        if existing.role().is_some_and(|role| role.ends_with(&format!("/{own}"))) {
                            self.delete_role(&own).await?;
                        }
                    }
                },
            }
            removed.push(name.to_owned());
        }
        self.delete_layers(0).await?;
        self.delete_stand_in_role().await;
        self.delete_objects().await?;
        while self.changes.last().is_some() {
            self.changes.end(Record::Undone)?;
        }
        Ok(removed)
    }

    /// Deletes a function and what it has logged.
    pub(super) async fn delete_with_log(&self, task: &TaskName) -> Result<(), DeployError> {
        self.delete(&task.0, None).await?;
        self.delete_log_group(task).await;
        Ok(())
    }

    /// A function that was never invoked has no log group, and who may not delete it keeps it.
    async fn delete_log_group(&self, task: &TaskName) {
        let change = Change::DeleteLogGroup { log_group_name: log_group(task) };
        let _ = self.changes.make(self.endpoint, &change, None, None).await;
    }
}
