//! Requests over HTTP to other places than the SDK's clients ask, such as the address that Lambda gives for a
//! function's code.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A client that trusts the usual certificates.
pub(crate) fn client() -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// What is at an address.
pub(crate) async fn get(url: &str) -> Result<Vec<u8>, String> {
    let url = url.parse().map_err(|error| format!("its address is none: {error}"))?;
    let answer =
        client().get(url).await.map_err(|error| format!("the download failed: {error}"))?;
    if !answer.status().is_success() {
        return Err(format!("the download was refused with {}", answer.status()));
    }
    let body = answer.into_body().collect().await;
    Ok(body.map_err(|error| format!("the download broke off: {error}"))?.to_bytes().to_vec())
}
