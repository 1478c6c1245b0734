//! The processes of one task: which is free, what each was given, and what it has to answer.
//!
//! One lock covers all of it. An invocation leaves the pool only in the moment in which a process
//! takes it, so a process that vanishes while it waits for one loses nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;
use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::clock;
use crate::exit::Exit;
use crate::lineage::Lineage;
use crate::message::{Answer, DEADLINE_MS, function_error_body};
use crate::output::Output;

/// Names a process for the supervisor's whole life, as a process id does not.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ProcessId(pub(crate) u64);

/// When an invocation must have been answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// At this time, in milliseconds since the Unix epoch.
    At(u64),
    /// So long after a process took it, because starting one is not the callee's time, but never
    /// later than `latest_ms` since the Unix epoch.
    After { timeout_ms: u64, latest_ms: u64 },
}

/// The invocation that a process works on, as far as the calls it makes need to know.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) trace: Option<String>,
    pub(crate) arn: Option<String>,
    pub(crate) lineage: Lineage,
    /// In milliseconds since the Unix epoch.
    pub(crate) deadline_ms: u64,
}

/// An invocation for a process.
pub(crate) struct Job {
    pub(crate) request_id: String,
    pub(crate) trace: Option<String>,
    pub(crate) arn: Option<String>,
    pub(crate) lineage: Lineage,
    pub(crate) deadline: Deadline,
    /// What the process is told besides the deadline.
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) ended: oneshot::Sender<Ended>,
}

/// What became of an invocation.
pub(crate) enum Ended {
    /// The process answered.
    Answered(Posted),
    /// The process reported that it cannot start.
    InitFailed(InitFailure),
    /// The process ended before it answered.
    Exited(Exit),
    /// The process ended before it took the invocation, which may be given to another.
    NotTaken,
}

/// A process's answer, whose body is still to be read.
pub(crate) struct Posted {
    pub(crate) kind: PostedKind,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    /// What the process is told once its answer has been taken.
    pub(crate) receipt: oneshot::Sender<Answer>,
}

/// Which of the two answers a process gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PostedKind {
    Response,
    Error,
}

/// Why a process could not start, as it is reported to the Runtime API.
#[derive(Clone, Debug)]
pub(crate) struct InitFailure {
    pub(crate) kind: HeaderValue,
    pub(crate) body: Bytes,
}

/// How a process failed before it could take an invocation.
#[derive(Clone, Debug)]
pub(crate) enum StartFailure {
    /// With a report.
    Reported(InitFailure),
    /// It just ended.
    Exited(Exit, WaitStatus),
}

/// Whether a task can serve.
pub(crate) enum Readiness {
    /// A process has asked for an invocation, or would if it were not serving one.
    Ready,
    /// A process failed to start, and there is no other.
    Failed(StartFailure),
    /// Not known yet.
    Starting,
}

/// The processes of one task.
pub(crate) struct Pool {
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    processes: BTreeMap<ProcessId, Process>,
    /// Why the last process that failed to start did.
    failure: Option<StartFailure>,
}

struct Process {
    pid: Pid,
    /// What it prints, if somebody may ask for it.
    output: Option<Arc<Output>>,
    /// Its port.
    server: AbortHandle,
    /// Tells its request for an invocation that there is one.
    wake: Arc<Notify>,
    /// It waits for an invocation.
    waits: bool,
    /// It has asked for an invocation at least once.
    initialised: bool,
    /// It is being ended and takes no invocation any more.
    doomed: bool,
    /// Why its program could not be started.
    not_started: Option<String>,
    work: Work,
    /// The invocation it has taken last.
    context: Option<Arc<Context>>,
}

enum Work {
    None,
    Assigned(Box<Job>),
    Running(oneshot::Sender<Ended>),
    /// Its answer is being read.
    Answering,
}

impl Pool {
    /// A pool that grows to `limit` processes for calls from inside.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Whether another process may be started for a call from inside.
    pub(crate) fn has_room(&self) -> bool {
        self.lock().processes.values().filter(|process| !process.doomed).count() < self.limit
    }

    /// Takes in a process that was just started.
    pub(crate) fn add(
        &self,
        id: ProcessId,
        pid: Pid,
        output: Option<Arc<Output>>,
        server: AbortHandle,
    ) {
        let process = Process {
            pid,
            output,
            server,
            wake: Arc::default(),
            waits: false,
            initialised: false,
            doomed: false,
            not_started: None,
            work: Work::None,
            context: None,
        };
        self.lock().processes.insert(id, process);
    }

    /// Gives an invocation to a free process: one that waits, or one that will soon. Gives it back
    /// if there is none.
    pub(crate) fn assign(&self, job: Box<Job>) -> Result<ProcessId, Box<Job>> {
        let mut state = self.lock();
        let free = state
            .processes
            .iter_mut()
            .filter(|(_, process)| matches!(process.work, Work::None) && !process.doomed)
            .max_by_key(|(id, process)| {
                (process.waits, process.initialised, std::cmp::Reverse(**id))
            });
        let Some((id, process)) = free else { return Err(job) };
        process.work = Work::Assigned(job);
        process.wake.notify_one();
        Ok(*id)
    }

    /// The next invocation for a process. Waits for ever if the process is no longer one of the
    /// pool's, because a runtime that is told of an error here crashes.
    pub(crate) async fn next(&self, id: ProcessId) -> (HeaderMap, Bytes) {
        self.arrive(id);
        loop {
            let wake = match self.lock().processes.get_mut(&id) {
                None => Arc::default(),
                Some(process) => match process.take() {
                    Some(event) => return event,
                    None => Arc::clone(&process.wake),
                },
            };
            wake.notified().await;
        }
    }

    /// Notes that a process has asked for an invocation. It may still owe an answer to the one before,
    /// and has until that one's deadline for it.
    fn arrive(&self, id: ProcessId) {
        if let Some(process) = self.lock().processes.get_mut(&id) {
            process.initialised = true;
            process.waits = true;
        }
        self.changed.notify_one();
    }

    /// Whom to tell that a process answers the invocation `request_id`; nobody if it was not given
    /// that invocation, has answered it, or answers too late.
    pub(crate) fn answer(&self, id: ProcessId, request_id: &str) -> Option<oneshot::Sender<Ended>> {
        let mut state = self.lock();
        let process = state.processes.get_mut(&id)?;
        if process.context.as_ref()?.request_id != request_id {
            return None;
        }
        match std::mem::replace(&mut process.work, Work::Answering) {
            Work::Running(ended) => Some(ended),
            other => {
                process.work = other;
                None
            }
        }
    }

    /// Makes a process free again whose answer has been read.
    pub(crate) fn release(&self, id: ProcessId) {
        if let Some(process) = self.lock().processes.get_mut(&id)
            && matches!(process.work, Work::Answering)
        {
            process.work = Work::None;
        }
    }

    /// Notes that a process reported that it cannot start, and ends it.
    pub(crate) fn init_failed(&self, id: ProcessId, failure: InitFailure) {
        let mut state = self.lock();
        let Some(process) = state.processes.get_mut(&id) else { return };
        if let Work::Assigned(job) = std::mem::replace(&mut process.work, Work::None) {
            let _ = job.ended.send(Ended::InitFailed(failure.clone()));
        }
        process.doom();
        state.failure = Some(StartFailure::Reported(failure));
        self.changed.notify_one();
    }

    /// Notes why the program of a process, which is about to end, could not be started.
    pub(crate) fn not_started(&self, id: ProcessId, why: String) {
        if let Some(process) = self.lock().processes.get_mut(&id) {
            process.not_started = Some(why);
        }
    }

    /// Notes that a process has ended. Says whether it was one of the pool's.
    pub(crate) fn exited(&self, pid: Pid, status: WaitStatus) -> bool {
        let mut state = self.lock();
        let Some(id) = state.processes.iter().find(|(_, p)| p.pid == pid).map(|(id, _)| *id) else {
            return false;
        };
        let mut process = state.processes.remove(&id).expect("it was just found");
        process.server.abort();
        // What it started ends with it, as the whole instance does on Lambda; a group's id is not
        // given away again while one of its processes is left.
        let _ = kill_process_group(pid, Signal::KILL);
        let (exit, failure) = process.end(status);
        if !process.initialised && !process.doomed {
            state.failure = Some(failure);
        }
        match process.work {
            // Whoever waited for it may have given up.
            Work::Assigned(job) if process.initialised => drop(job.ended.send(Ended::NotTaken)),
            Work::Assigned(job) => drop(job.ended.send(Ended::Exited(exit))),
            Work::Running(ended) => drop(ended.send(Ended::Exited(exit))),
            Work::None | Work::Answering => {}
        }
        self.changed.notify_one();
        true
    }

    /// Ends a process; what it was working on is lost.
    pub(crate) fn kill(&self, id: ProcessId) {
        if let Some(process) = self.lock().processes.get_mut(&id) {
            process.doom();
        }
    }

    /// Sends every process a signal.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for process in self.lock().processes.values() {
            let _ = kill_process_group(process.pid, signal);
        }
    }

    /// Whether a process is left that can serve.
    pub(crate) fn is_alive(&self) -> bool {
        self.lock().processes.values().any(|process| !process.doomed)
    }

    /// Waits until no process is left.
    pub(crate) async fn ended(&self) {
        while !self.lock().processes.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The invocation that a process works on, or the last one it worked on.
    pub(crate) fn context(&self, id: ProcessId) -> Option<Arc<Context>> {
        self.lock().processes.get(&id)?.context.clone()
    }

    /// A process and what it prints, if that is kept.
    pub(crate) fn output(&self, id: ProcessId) -> Option<(Pid, Arc<Output>)> {
        let state = self.lock();
        let process = state.processes.get(&id)?;
        Some((process.pid, Arc::clone(process.output.as_ref()?)))
    }

    /// Passes on what the processes have printed so far.
    pub(crate) fn drain_outputs(&self) {
        for process in self.lock().processes.values() {
            // A process that prints nothing any more is about to be collected.
            let _ = process.output.as_ref().map(|output| output.drain());
        }
    }

    /// When a process must have answered the invocation `request_id`, in milliseconds since the Unix
    /// epoch, if it has taken it.
    pub(crate) fn deadline_ms(&self, id: ProcessId, request_id: &str) -> Option<u64> {
        let context = self.context(id)?;
        (context.request_id == request_id).then_some(context.deadline_ms)
    }

    /// Waits until it is known whether the task can serve.
    pub(crate) async fn ready(&self) -> Result<(), StartFailure> {
        loop {
            match self.readiness() {
                Readiness::Ready => return Ok(()),
                Readiness::Failed(failure) => return Err(failure),
                Readiness::Starting => self.changed.notified().await,
            }
        }
    }

    fn readiness(&self) -> Readiness {
        let state = self.lock();
        let mut alive = state.processes.values().filter(|process| !process.doomed).peekable();
        match &state.failure {
            Some(failure) if alive.peek().is_none() => Readiness::Failed(failure.clone()),
            _ if alive.any(|process| process.initialised) => Readiness::Ready,
            _ => Readiness::Starting,
        }
    }
}

impl Process {
    /// The assigned invocation as the process gets it.
    fn take(&mut self) -> Option<(HeaderMap, Bytes)> {
        // It may wait for an invocation while it still works on another.
        let job = match std::mem::replace(&mut self.work, Work::None) {
            Work::Assigned(job) => job,
            other => {
                self.work = other;
                return None;
            }
        };
        let deadline_ms = match job.deadline {
            Deadline::At(time_ms) => time_ms,
            Deadline::After { timeout_ms, latest_ms } => {
                clock::now_ms().saturating_add(timeout_ms).min(latest_ms)
            }
        };
        let mut headers = job.headers;
        headers.insert(DEADLINE_MS, HeaderValue::from(deadline_ms));
        self.waits = false;
        self.work = Work::Running(job.ended);
        self.context = Some(Arc::new(Context {
            request_id: job.request_id,
            trace: job.trace,
            arn: job.arn,
            lineage: job.lineage,
            deadline_ms,
        }));
        Some((headers, job.payload))
    }

    /// How it ended: for the invocation that it had, and for whoever waits for it to start.
    fn end(&mut self, status: WaitStatus) -> (Exit, StartFailure) {
        let Some(why) = self.not_started.take() else {
            let exit = Exit::of(status);
            return (exit.clone(), StartFailure::Exited(exit, status));
        };
        let exit = Exit::not_started(why);
        let failure = InitFailure {
            kind: HeaderValue::from_static(exit.kind),
            body: function_error_body(exit.kind, &format!("Error: {}", exit.message)),
        };
        (exit, StartFailure::Reported(failure))
    }

    fn doom(&mut self) {
        self.doomed = true;
        // Its process id is its own until it has been collected. It may have ended by itself.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}
