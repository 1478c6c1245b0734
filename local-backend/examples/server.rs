//! Runs a server until its standard input ends: `server STATE_DIRECTORY [auto|docker|process]`.
//! Prints its endpoint. The tests kill it; by hand it serves `aws --endpoint-url …`.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use local_backend::{
    CLOUDWATCHS_QUERY_ROWS, InvokeOverhead, LAMBDAS_RETRY_DELAYS, Options, Server,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().ok_or("usage: server STATE_DIRECTORY [auto|docker|process]")?;
    let sandbox = arguments.next().unwrap_or_else(|| "auto".to_owned()).parse()?;
    let server = Server::start(Options {
        port: 0,
        sandbox,
        invoke_overhead: InvokeOverhead::None,
        seed: 1,
        state_directory: state.into(),
        idle_expiry: Duration::from_secs(300),
        async_retry_delays: LAMBDAS_RETRY_DELAYS,
        query_rows: CLOUDWATCHS_QUERY_ROWS,
    })
    .await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", server.endpoint())?;
    for notice in &server.sandbox().notices {
        writeln!(output, "{notice}")?;
    }
    output.flush()?;
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await??;
    server.shutdown().await;
    Ok(())
}
