//! Files of the web that are read while they come, and never stored.

use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;

use super::{WebBody, WebSource};
use crate::client::Client;
use crate::{Error, Operation};

/// A file that is on its way.
#[derive(Debug)]
pub struct OpenFile {
    /// Its bytes. Fewer than were promised are an error.
    pub body: WebBody,
    /// How many there will be, where the server says so.
    pub size: Option<u64>,
}

impl Client {
    /// Asks for a file and gives its bytes as they come. A coding that the server applies on its own account is not undone. What breaks off
    /// later is the caller's to begin anew: only it knows what it did with the bytes.
    ///
    /// # Errors
    /// [`Error::Status`] for every answer but 2xx; what may be otherwise the next time was tried again.
    pub async fn open_file(&self, source: &WebSource) -> Result<OpenFile, Error> {
        let operation = Operation::at("fetch", source.shown());
        let response = self
            .retrying(&operation, || self.web_answer(&operation, source))
            .await?;
        let size = response.headers().get(CONTENT_LENGTH);
        let size = size.and_then(|value| value.to_str().ok()?.parse().ok());
        let stall = self.config().timeouts.stall;
        Ok(OpenFile {
            body: WebBody::new(response, operation, stall),
            size,
        })
    }

    /// How long to wait before something is begun anew that failed so `made` times; nothing when that would not help.
    pub fn patience(&self, made: u32, error: &Error) -> Option<Duration> {
        let retry = self.config().retry;
        error
            .is_transient()
            .then(|| retry.delay(made, None, Duration::ZERO, crate::retry::jitter()))?
            .ok()
    }
}
