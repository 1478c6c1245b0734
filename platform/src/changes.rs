//! Makes changes: written to the journal first, sent with bounded retries, and judged by their effect where the
//! answer was lost. Or, in a dry run, only lists them.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::access;
use crate::change::{Answer, Change, Failure, Object};
use crate::deploy::DeployError;
use crate::endpoint::Endpoint;
use crate::journal::{Entry, Journal, JournalError, Record, Undo};

/// Times that a change is sent that meets another one in progress; together about 40 s.
const ATTEMPTS: u32 = 8;
/// Pause before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// Where changes go.
pub(crate) enum Changes {
    /// To the endpoint.
    Direct,
    /// To the journal, then to the endpoint.
    Journalled { journal: Mutex<Journal>, folder: PathBuf },
    /// To a list.
    Dry(Mutex<Vec<Value>>),
}

impl Changes {
    /// With the journal of a workflow in a folder that belongs to one place.
    pub(crate) fn journalled(folder: &Path, workflow: &str) -> Result<Self, JournalError> {
        let journal = Journal::open(&folder.join(format!("{workflow}.jsonl")))?;
        Ok(Self::Journalled { journal: Mutex::new(journal), folder: folder.to_owned() })
    }

    pub(crate) fn is_dry(&self) -> bool {
        matches!(self, Self::Dry(_))
    }

    /// Where the code of adopted functions is kept.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Journalled { folder, .. } => Some(folder),
            Self::Direct | Self::Dry(_) => None,
        }
    }

    /// Whether an entry that is not undone has changed a function.
    pub(crate) fn have_changed(&self, function: &str) -> bool {
        let Self::Journalled { journal, .. } = self else { return false };
        journal.lock().expect("not poisoned").has_changed(function)
    }

    /// Begins an entry, or goes on with the one that an interrupted command left.
    pub(crate) fn begin(&self, command: &str, deployment: &str) -> Result<(), DeployError> {
        let Self::Journalled { journal, .. } = self else { return Ok(()) };
        let mut journal = journal.lock().expect("not poisoned");
        if journal.open_entry().is_some() {
            return Ok(());
        }
        let at = jiff::Timestamp::now().to_string();
        let (command, deployment) = (command.to_owned(), deployment.to_owned());
        Ok(journal.write(Record::Begun { command, deployment, at })?)
    }

    /// Ends the entry.
    pub(crate) fn end(&self, how: Record) -> Result<(), DeployError> {
        let Self::Journalled { journal, .. } = self else { return Ok(()) };
        Ok(journal.lock().expect("not poisoned").write(how)?)
    }

    /// The newest entry that is not undone.
    pub(crate) fn last(&self) -> Option<Entry> {
        let Self::Journalled { journal, .. } = self else { return None };
        journal.lock().expect("not poisoned").last().cloned()
    }

    /// Objects of S3 that entries which are not undone have uploaded, the newest last.
    pub(crate) fn objects(&self) -> Vec<Object> {
        let Self::Journalled { journal, .. } = self else { return Vec::new() };
        let journal = journal.lock().expect("not poisoned");
        let uploads = journal.undos().filter_map(|undo| match undo {
            Undo::DeleteObject { object } => Some(object.clone()),
            _ => None,
        });
        uploads.collect()
    }

    /// Makes a change. `revision` is what the function or alias has to be at, where the operation takes that;
    /// `undo` how the change can be undone, if it has to be.
    pub(crate) async fn make(
        &self,
        endpoint: &Endpoint,
        change: &Change,
        revision: Option<&str>,
        undo: Option<Undo>,
    ) -> Result<Answer, DeployError> {
        let number = match self {
            Self::Direct => 0,
            Self::Dry(list) => {
                list.lock().expect("not poisoned").push(change.shown());
                return Ok(pretended(change));
            }
            Self::Journalled { journal, .. } => {
                let mut journal = journal.lock().expect("not poisoned");
                let number = journal.next();
                let revision = revision.map(str::to_owned);
                let (call, how_to_undo) = (change.shown(), undo);
                journal.write(Record::Intended { number, call, revision, how_to_undo })?;
                number
            }
        };
        let result = attempts(endpoint, change, revision).await;
        if let Self::Journalled { journal, .. } = self {
            let record = match &result {
                Ok(answer) => Some(Record::Done { number, version: answer.version.clone() }),
                Err(failure) if failure.is_ambiguous => None,
                Err(_) => Some(Record::Refused { number }),
            };
            if let Some(record) = record {
                journal.lock().expect("not poisoned").write(record)?;
            }
        }
        result.map_err(|failure| DeployError::Refused {
            step: change.step(),
            function: change.function().to_owned(),
            message: access::with_action(&failure.message, change.operation()),
        })
    }
}

/// Sends a change until it is made or refused for good.
async fn attempts(
    endpoint: &Endpoint,
    change: &Change,
    revision: Option<&str>,
) -> Result<Answer, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let failure = match change.send(endpoint, revision).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let code = failure.code.as_deref();
        let is_gone = matches!(code, Some("ResourceNotFoundException" | "NoSuchEntity"));
        if change.removes() && is_gone {
            return Ok(Answer::default());
        }
        if failure.is_ambiguous
            && let Ok(Some(answer)) = change.effect(endpoint).await
        {
            return Ok(answer);
        }
        // Another update in progress is over soon; a role that was just made is not known everywhere yet.
        let is_passing = match code {
            Some("ResourceConflictException") => !failure.message.contains("already exist"),
            Some("InvalidParameterValueException") => failure.message.contains("cannot be assumed"),
            _ => false,
        };
        if !is_passing || attempt == ATTEMPTS {
            return Err(failure);
        }
        tokio::time::sleep(pause.mul_f64(jitter())).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Between 0.5 and 1, so that several who wait for the same do not ask at the same moment.
fn jitter() -> f64 {
    0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 512.0
}

/// What a change would give, in words.
fn pretended(change: &Change) -> Answer {
    let function = change.function();
    match change {
        Change::PublishVersion { .. } => {
            Answer { version: Some(format!("<version of {function}>")), arn: None }
        }
        Change::CreateRole { .. } => {
            Answer { version: None, arn: Some(format!("<ARN of {function}>")) }
        }
        Change::PublishLayerVersion { .. } => {
            Answer { version: None, arn: Some(format!("<version of {function}>")) }
        }
        Change::PutImage { repository, image_tag, .. } => {
            let uri = format!("{repository}@<digest of {image_tag}>");
            Answer { version: None, arn: Some(uri) }
        }
        _ => Answer::default(),
    }
}
