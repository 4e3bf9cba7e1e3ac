//! Sending small files to servers: digests, to whoever asked for them (K-OUT-02).

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::{WebSource, status_error};
use crate::client::{Client, answer, refused};
use crate::{Error, Operation};

impl Client {
    /// Sends a text by HTTP PUT, as `text/plain`. A redirect is an error: the text has not arrived.
    ///
    /// # Errors
    /// [`Error::Status`] for every answer but 2xx. What may be otherwise the next time is tried again.
    pub async fn put_text(&self, target: &WebSource, text: &str) -> Result<(), Error> {
        let operation = Operation::at("send to", target.shown());
        let stall = self.config().timeouts.stall;
        self.retrying(&operation, || async {
            let client = self.web_client(target.url(), target.url()).await;
            let client = client.map_err(|reason| refused(&operation, target.url(), reason))?;
            let mut request = client
                .put(target.url().clone())
                .header(CONTENT_TYPE, "text/plain")
                .body(Bytes::copy_from_slice(text.as_bytes()));
            if let Some(authentication) = target.authentication() {
                request = request.header(AUTHORIZATION, authentication.header().clone());
            }
            let response = answer::within(stall, &operation, request.send()).await?;
            if response.status().is_success() {
                return Ok(());
            }
            Err(status_error(&operation, response, target.authentication(), stall).await)
        })
        .await
    }
}
