//! `fuseline local`: a Lambda-compatible server in the foreground.

use serde_json::json;

use crate::arguments::{Format, LocalArguments};
use crate::error::CliError;
use crate::{render, session};

pub(crate) async fn run(arguments: &LocalArguments) -> Result<(), CliError> {
    let interrupted = session::interrupted();
    let server = session::start_server(
        &arguments.backend,
        arguments.port,
        arguments.idle_expiry,
        arguments.async_retry_delays.0,
        arguments.query_rows,
        arguments.seed,
    )
    .await?;
    let endpoint = server.endpoint();
    let printed = match arguments.format {
        Format::Json => render::json(&json!({
            "endpoint": endpoint,
            "sandbox": server.sandbox().kind.to_string(),
            "notices": server.sandbox().notices,
            "invoke_overhead": arguments.backend.invoke_overhead.to_string(),
        })),
        Format::Text => {
            let sandbox = session::sandbox_line(server.sandbox());
            render::result(&format!(
                "{endpoint}\n  sandbox: {sandbox}\n  invoke overhead: {}\n  try: aws \
                 --endpoint-url {endpoint} lambda list-functions\n  stop with Ctrl-C; everything it \
                 started is removed",
                arguments.backend.invoke_overhead
            ))
        }
    };
    if printed.is_ok() {
        interrupted.await;
        render::talk("stopping");
    }
    server.shutdown().await;
    printed
}
