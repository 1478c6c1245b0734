//! One invocation that the platform gives to the function: through the root task, and its answer back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wire::payload::{MAX_RECORDED_BYTES, RecordedPayload};
use wire::record::{CallOutcome, InvocationRecord, RECORD_VERSION, Record};

use crate::clock;
use crate::exit::Exit;
use crate::instance::{Growth, Instance, NotDispatched};
use crate::lineage::Lineage;
use crate::message::{DEADLINE_MS, FUNCTION_ERROR_TYPE, INVOKED_ARN, JSON, TRACE_ID, full};
use crate::pool::{Deadline, Ended, Job, Posted, PostedKind, ProcessId};
use crate::supervisor::SupervisorError;
use crate::trace;
use crate::upstream::{Event, Upstream, UpstreamError};

/// A process that has ended without being noticed gives its invocation back; so often.
const MAX_PROCESSES_TRIED: u32 = 3;

/// How an invocation ended, and how many bytes were returned.
struct Served {
    outcome: CallOutcome,
    response_bytes: u64,
    /// As much of the response as a record may hold, if payloads are recorded.
    response_start: Bytes,
}

/// Serves an invocation and records it; `first` if it is the instance's first.
///
/// # Errors
/// If the root task cannot be given a process or the Runtime API takes no answer.
pub(crate) async fn serve(
    instance: &Arc<Instance>,
    upstream: &Upstream,
    event: Event,
    first: bool,
) -> Result<(), SupervisorError> {
    let start_us = clock::now_us();
    let served = run(instance, upstream, &event).await?;
    let trace = text(&event.headers, TRACE_ID).unwrap_or_default();
    let records = instance.settings.record_payloads;
    instance.journal.push(Record::Invocation(InvocationRecord {
        v: RECORD_VERSION,
        trace: trace::root(&trace).to_owned(),
        function: instance.settings.function.clone(),
        version: instance.settings.version.clone(),
        start_us,
        duration_us: clock::now_us().saturating_sub(start_us),
        first,
        outcome: served.outcome,
        request_bytes: u64::try_from(event.payload.len()).unwrap_or(u64::MAX),
        response_bytes: served.response_bytes,
        calls: None,
        request_payload: records.then(|| RecordedPayload::of(&event.payload, event.payload.len())),
        response_payload: records.then(|| {
            let length = usize::try_from(served.response_bytes).unwrap_or(usize::MAX);
            RecordedPayload::of(&served.response_start, length)
        }),
        request: event.request_id,
    }));
    Ok(())
}

async fn run(
    instance: &Arc<Instance>,
    upstream: &Upstream,
    event: &Event,
) -> Result<Served, SupervisorError> {
    let root = instance.root();
    for _ in 0..MAX_PROCESSES_TRIED {
        let (ended, wait) = oneshot::channel();
        let job = Box::new(job(event, &root.name, root.timeout_ms, ended));
        let process = match instance.dispatch(root, job, Growth::Always) {
            Ok(process) => process,
            // A process that was just started is free, so only starting one can fail.
            Err(NotDispatched::Full) => continue,
            Err(NotDispatched::Spawn(source)) => {
                return Err(SupervisorError::Spawn { task: root.name.clone(), source });
            }
        };
        match wait.await {
            Ok(Ended::NotTaken) | Err(_) => {}
            Ok(Ended::Answered(posted)) => {
                return Ok(answer(instance, upstream, event, process, posted).await?);
            }
            Ok(Ended::Exited(exit)) => return Ok(crash(upstream, event, &exit).await?),
            Ok(Ended::InitFailed(failure)) => {
                let kind = failure.kind;
                return Ok(error(upstream, event, kind, failure.body, CallOutcome::Crash).await?);
            }
        }
    }
    Ok(crash(upstream, event, &Exit::unexplained()).await?)
}

/// The invocation as the root task's runtime gets it: as the platform gave it.
fn job(event: &Event, root: &str, timeout_ms: u64, ended: oneshot::Sender<Ended>) -> Job {
    let deadline_ms = text(&event.headers, DEADLINE_MS).and_then(|text| text.parse().ok());
    let header = text(&event.headers, TRACE_ID);
    let (trace, lineage) = header.as_deref().map(Lineage::split).unzip();
    let mut headers = event.headers.clone();
    if let Some(value) = trace.as_deref().and_then(|trace| HeaderValue::from_str(trace).ok()) {
        headers.insert(TRACE_ID, value);
    }
    Job {
        request_id: event.request_id.clone(),
        lineage: lineage.unwrap_or_default().with(root),
        trace,
        arn: text(&event.headers, INVOKED_ARN),
        deadline: Deadline::At(deadline_ms.unwrap_or_else(|| clock::now_ms() + timeout_ms)),
        headers,
        payload: event.payload.clone(),
        ended,
    }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Passes a runtime's answer on as it comes, and what the Runtime API says to it back.
async fn answer(
    instance: &Instance,
    upstream: &Upstream,
    event: &Event,
    process: ProcessId,
    posted: Posted,
) -> Result<Served, UpstreamError> {
    let Posted { kind, headers, body, receipt } = posted;
    let bytes = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&bytes);
    let room = if instance.settings.record_payloads { MAX_RECORDED_BYTES } else { 0 };
    let start = Arc::new(Mutex::new(Vec::new()));
    let keeper = Arc::clone(&start);
    let body = body.map_frame(move |frame| {
        if let Some(data) = frame.data_ref() {
            counter.fetch_add(u64::try_from(data.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            let mut start = keeper.lock().expect("no holder panics");
            let room = room.saturating_sub(start.len());
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
        frame
    });
    let sent = upstream.answer(&event.request_id, kind, &headers, body.boxed_unsync()).await;
    instance.root().pool.release(process);
    let Ok(said) = sent else {
        // The runtime broke off its answer, or the Runtime API failed; then this fails, too.
        return crash(upstream, event, &Exit::unexplained()).await;
    };
    let outcome = match kind {
        PostedKind::Response if said.status.is_success() => CallOutcome::Ok,
        PostedKind::Response | PostedKind::Error => CallOutcome::Error,
    };
    let _ = receipt.send(said);
    let response_start = std::mem::take(&mut *start.lock().expect("no holder panics")).into();
    Ok(Served { outcome, response_bytes: bytes.load(Ordering::Relaxed), response_start })
}

/// Reports that the root task's process ended, or did as good as that.
async fn crash(upstream: &Upstream, event: &Event, exit: &Exit) -> Result<Served, UpstreamError> {
    let (kind, body) = (HeaderValue::from_static(exit.kind), exit.body(&event.request_id));
    error(upstream, event, kind, body, CallOutcome::Crash).await
}

async fn error(
    upstream: &Upstream,
    event: &Event,
    kind: HeaderValue,
    body: Bytes,
    outcome: CallOutcome,
) -> Result<Served, UpstreamError> {
    let headers =
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, JSON), (FUNCTION_ERROR_TYPE, kind)]);
    let response_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let response_start = body.clone();
    upstream.answer(&event.request_id, PostedKind::Error, &headers, full(body)).await?;
    Ok(Served { outcome, response_bytes, response_start })
}
