//! Downloads a function's code from the address that Lambda gives for it.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// What is at an address.
pub(crate) async fn get(url: &str) -> Result<Vec<u8>, String> {
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let url = url.parse().map_err(|error| format!("its address is none: {error}"))?;
    let answer = client.get(url).await.map_err(|error| format!("the download failed: {error}"))?;
    if !answer.status().is_success() {
        return Err(format!("the download was refused with {}", answer.status()));
    }
    let body = answer.into_body().collect().await;
    Ok(body.map_err(|error| format!("the download broke off: {error}"))?.to_bytes().to_vec())
}
