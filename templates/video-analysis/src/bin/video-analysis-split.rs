//! The Lambda function `split` of the video analysis.

use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use video_analysis::split;
use workloads_common::{Store, with_causes};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let store = &Store::from_environment().map_err(|error| with_causes(&error))?;
    run(service_fn(async |event: LambdaEvent<_>| split::handle(store, event.payload).await)).await
}
