use std::io::Read;
use std::net::TcpStream;

use url::Url;

use super::error::Cause;

/// What fetching needs of the network. Whoever implements it brings names, certificates and proxies.
pub trait Network {
    /// Sends a request and gives its answer, whatever its status. No redirect is followed, no credential is added.
    ///
    /// # Errors
    /// When there is no answer.
    fn send(&self, request: HttpRequest<'_>) -> Result<HttpAnswer, Cause>;

    /// Opens a connection.
    ///
    /// # Errors
    /// When there is none.
    fn connect(&self, host: &str, port: u16, sent_by: Option<&Url>) -> Result<TcpStream, Cause>;
}

/// One request of smart HTTP.
#[expect(
    missing_debug_implementations,
    reason = "it holds a credential, and nobody prints it"
)]
pub struct HttpRequest<'a> {
    /// Where to. It has no user in it.
    pub url: &'a Url,
    /// Name and value of each header but `Authorization`.
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// The body of a POST; without one it is a GET.
    pub body: Option<Vec<u8>>,
    /// Who sends us there, where it is not the user: a server may not point to what only we can reach.
    pub sent_by: Option<&'a Url>,
}

/// What a server answers.
#[expect(missing_debug_implementations, reason = "a body cannot be shown")]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Location`
    pub location: Option<String>,
    /// The body, as it comes.
    pub body: Box<dyn Read>,
}
