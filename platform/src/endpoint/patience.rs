//! How long one attempt at a call may take: an invocation as long as the function, anything else about as long as its
//! request needs to be sent. A server that takes a request and never answers is noticed so, and asked again.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_lambda::config::{ConfigBag, Intercept};
use aws_sdk_lambda::error::BoxError;
use aws_sdk_lambda::operation::create_function::CreateFunctionInput;
use aws_sdk_lambda::operation::invoke::InvokeInput;
use aws_sdk_lambda::operation::publish_layer_version::PublishLayerVersionInput;
use aws_sdk_lambda::operation::update_function_code::UpdateFunctionCodeInput;

/// Seconds that a call may take which carries no code and invokes nothing, if it is not [`ORDINARY`].
const VARIABLE: &str = "FUSELINE_CALL_TIMEOUT";
/// AWS answers in less than a second, and refuses what takes it longer than half a minute.
const ORDINARY: Duration = Duration::from_secs(60);
/// What carries code may take so much longer: 50 MB in five minutes are 1.8 Mbit/s.
const UPLOADING: u32 = 5;

/// Sets the time that an attempt may take by the kind of its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    ordinary: Duration,
}

impl Patience {
    /// As the environment wants it.
    pub(super) fn from_environment() -> Self {
        let wanted = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
        let wanted = wanted.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Self { ordinary: wanted.filter(|it| !it.is_zero()).unwrap_or(ORDINARY) }
    }
}

impl Intercept for Patience {
    fn name(&self) -> &'static str {
        "Patience"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input();
        if input.downcast_ref::<InvokeInput>().is_some() {
            return Ok(());
        }
        let is_upload = input.downcast_ref::<CreateFunctionInput>().is_some()
            || input.downcast_ref::<UpdateFunctionCodeInput>().is_some()
            || input.downcast_ref::<PublishLayerVersionInput>().is_some();
        let attempt = self.ordinary * if is_upload { UPLOADING } else { 1 };
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
        cfg.interceptor_state().store_put(timeouts);
        Ok(())
    }
}
