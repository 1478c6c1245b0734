//! The Lambda function `classify` of the video analysis.

use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use video_analysis::classify;
use workloads_common::parallel::threads;
use workloads_common::{Store, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let store = &Store::from_environment().map_err(|error| with_causes(&error))?;
    run(service_fn(async |event: LambdaEvent<_>| {
        classify::handle(store, threads(), event.payload).await
    }))
    .await
}
