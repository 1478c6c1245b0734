//! Errors: why a server does not start, and what its API answers.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error(
        "port {} on {} is in use; choose another port, or 0 for any free one",
        .0.port(), .0.ip()
    )]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another port")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Docker was asked for and cannot be used.
    #[error(
        "Docker cannot be used: {0}; start the engine and check with `docker version` that this user may use it, or choose the process sandbox"
    )]
    Docker(String),
    /// The state directory cannot be used.
    #[error(
        "cannot use the state directory {}; make it writable or choose another one",
        directory.display()
    )]
    State {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An error in the form in which Lambda's API returns it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Value of `x-amzn-ErrorType`.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// Why an invocation was throttled.
    pub(crate) reason: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), reason: None }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    /// A value that Lambda's API model itself excludes.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    pub(crate) fn invalid_content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", message)
    }

    pub(crate) fn throttled(reason: &'static str) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = Self::new(status, "TooManyRequestsException", "Rate Exceeded.");
        Self { reason: Some(reason), ..error }
    }

    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// Not a server error: clients would try again.
    pub(crate) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let at_fault = if self.status.is_server_error() { "Service" } else { "User" };
        let mut body = serde_json::json!({ "Type": at_fault, "Message": self.message });
        if let Some(reason) = self.reason {
            body["Reason"] = reason.into();
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.kind));
        response
    }
}
