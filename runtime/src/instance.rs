//! The instance as a whole: its tasks, their processes, and what all of them share.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, WaitStatus};
use tokio::sync::watch;

use crate::attempts::Attempts;
use crate::forward::Forwarder;
use crate::journal::Journal;
use crate::output::Output;
use crate::pool::{Job, ProcessId};
use crate::server;
use crate::settings::Settings;
use crate::task::Task;

/// Everything that the supervisor's parts share.
pub(crate) struct Instance {
    pub(crate) settings: Settings,
    pub(crate) tasks: BTreeMap<String, Arc<Task>>,
    pub(crate) journal: Journal,
    pub(crate) forwarder: Forwarder,
    pub(crate) attempts: Attempts,
    started: AtomicU64,
    inline_calls: watch::Sender<usize>,
}

/// How many processes an invocation may bring a task to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Growth {
    /// As many as the manifest allows.
    Limited,
    /// One more than there are: nobody else can serve it.
    Always,
}

/// Why no process of a task took an invocation.
pub(crate) enum NotDispatched {
    /// All are busy and the task may have no more.
    Full,
    /// None could be started.
    Spawn(io::Error),
}

/// A call served inside, for as long as it lasts.
pub(crate) struct InlineCall<'a>(&'a watch::Sender<usize>);

impl Drop for InlineCall<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

impl Instance {
    /// An instance of which nothing has been started.
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let tasks = settings
            .manifest
            .tasks
            .iter()
            .map(|(name, task)| (name.clone(), Arc::new(Task::new(name, task, &settings))))
            .collect();
        Arc::new(Self {
            forwarder: Forwarder::new(&settings),
            tasks,
            journal: Journal::default(),
            attempts: Attempts::default(),
            started: AtomicU64::new(0),
            inline_calls: watch::Sender::new(0),
            settings,
        })
    }

    /// The task that serves the function's own invocations.
    pub(crate) fn root(&self) -> &Arc<Task> {
        &self.tasks[&self.settings.manifest.root]
    }

    /// Starts a process of a task, with its port.
    ///
    /// # Errors
    /// If there is no port or no process to be had, or the task's folder is missing.
    pub(crate) fn start_process(self: &Arc<Self>, task: &Arc<Task>) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // Nobody but the platform asks for what the root prints.
        let (output, writer) = if Arc::ptr_eq(task, self.root()) {
            (None, None)
        } else {
            let (reader, writer) = io::pipe()?;
            (Some(Output::follow(reader)?), Some(writer))
        };
        let pid = task.spawn(port, writer)?;
        let id = ProcessId(self.started.fetch_add(1, Ordering::Relaxed));
        let server = server::start(listener, Arc::clone(self), Arc::clone(task), id);
        task.pool.add(id, pid, output, server);
        Ok(())
    }

    /// Gives an invocation to a process of a task, starting one if need be.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        task: &Arc<Task>,
        job: Box<Job>,
        growth: Growth,
    ) -> Result<ProcessId, NotDispatched> {
        let job = match task.pool.assign(job) {
            Ok(id) => return Ok(id),
            Err(job) => job,
        };
        if growth == Growth::Limited && !task.pool.has_room() {
            return Err(NotDispatched::Full);
        }
        self.start_process(task).map_err(NotDispatched::Spawn)?;
        task.pool.assign(job).map_err(|_| NotDispatched::Full)
    }

    /// Notes that a child has ended.
    pub(crate) fn process_ended(&self, pid: Pid, status: WaitStatus) {
        for task in self.tasks.values() {
            if task.pool.exited(pid, status) {
                return;
            }
        }
    }

    /// Counts a call served inside until what is returned is dropped.
    pub(crate) fn begin_inline_call(&self) -> InlineCall<'_> {
        self.inline_calls.send_modify(|calls| *calls += 1);
        InlineCall(&self.inline_calls)
    }

    /// Waits until no call is being served inside: after this the platform may freeze the instance,
    /// and a callee must not notice that its caller did not wait for it.
    pub(crate) async fn inline_calls_done(&self) {
        // The sender lives as long as the instance, so waiting cannot fail.
        let _ = self.inline_calls.subscribe().wait_for(|calls| *calls == 0).await;
    }

    /// Writes what is still to be written to the function's log.
    pub(crate) fn flush_log(&self) {
        for task in self.tasks.values() {
            task.pool.drain_outputs();
        }
        self.journal.flush();
    }

    /// Asks every process to end.
    pub(crate) fn terminate(&self) {
        for task in self.tasks.values() {
            task.pool.signal_all(Signal::TERM);
        }
    }

    /// Waits until every process has ended.
    pub(crate) async fn ended(&self) {
        for task in self.tasks.values() {
            task.pool.ended().await;
        }
    }
}
