use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{Request, Response};

/// Which requests a fault is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct When {
    /// The method.
    pub method: String,
    /// A part of the path.
    pub path: String,
    /// How many matching requests pass first.
    pub skip: u32,
    /// How many matching requests are hit after that.
    pub times: u32,
}

impl When {
    /// The next request of this method whose path has `path` in it.
    pub fn next(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            skip: 0,
            times: 1,
        }
    }

    /// Lets `count` matching requests pass first.
    #[must_use]
    pub const fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Hits `count` requests instead of one.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.times = count;
        self
    }

    /// Hits all requests.
    #[must_use]
    pub const fn always(self) -> Self {
        self.times(u32::MAX)
    }
}

/// What happens instead of the right answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// This answer; nothing is stored.
    Answer {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The right answer, with these headers set (an empty value removes one).
    WithHeaders(Vec<(String, String)>),
    /// The right answer, cut off after this many bytes of body.
    DropAfter(usize),
    /// The right answer with the byte at this place of its body changed.
    Flip(usize),
    /// The right answer with these bytes behind it, without a length.
    Append(Vec<u8>),
    /// The right answer up to this many bytes of body, and then silence.
    StallAfter(usize),
    /// The connection is closed after this many bytes of the request's body.
    DropRequestAfter(usize),
    /// Of the body of a PATCH, this many bytes are stored; the connection is closed without an answer.
    KeepRequestAfter(usize),
    /// The right answer of a registry whose tokens have all just expired.
    ExpireTokens,
}

impl Action {
    /// An error answer in the specification's form.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: super::serve::error_body(code, message),
        }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("Location".to_owned(), location.to_owned())],
            body: Vec::new(),
        }
    }
}

/// A fault to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    when: When,
    action: Action,
}

impl Fault {
    /// `action` for the requests that `when` names.
    pub const fn new(when: When, action: Action) -> Self {
        Self { when, action }
    }
}

/// The fault for a request, if it is one's turn.
pub(super) fn take(faults: &mut Vec<Fault>, request: &Request) -> Option<Action> {
    let matching = |fault: &&mut Fault| {
        fault.when.method == request.method && request.path.contains(&fault.when.path)
    };
    let fault = faults.iter_mut().find(matching)?;
    if fault.when.skip > 0 {
        fault.when.skip -= 1;
        return None;
    }
    fault.when.times -= 1;
    let action = fault.action.clone();
    faults.retain(|fault| fault.when.times > 0);
    Some(action)
}

/// Sends an answer as the fault has it. False when the connection is over.
pub(super) fn send(
    writer: &mut impl Write,
    request: &Request,
    mut response: Response,
    fault: Option<&Action>,
    stopped: &AtomicBool,
) -> io::Result<bool> {
    let head_only = request.method == "HEAD";
    match fault {
        None
        | Some(
            Action::Answer { .. }
            | Action::DropRequestAfter(_)
            | Action::KeepRequestAfter(_)
            | Action::ExpireTokens,
        ) => {
            response.write(writer, head_only)?;
            return Ok(request.keeps_alive());
        }
        Some(Action::WithHeaders(headers)) => {
            for (name, value) in headers {
                response.set_header(name, value);
            }
            response.write(writer, head_only)?;
            return Ok(request.keeps_alive());
        }
        Some(Action::Flip(at)) => {
            if let Some(byte) = response.body.get_mut(*at) {
                *byte ^= 1;
            }
            response.write(writer, head_only)?;
            return Ok(request.keeps_alive());
        }
        Some(Action::Append(more)) => {
            response.body.extend_from_slice(more);
            response.write_unsized(writer)?;
        }
        Some(Action::DropAfter(bytes)) => response.write_part(writer, *bytes)?,
        Some(Action::StallAfter(bytes)) => {
            response.write_part(writer, *bytes)?;
            // Not a wait for something to happen: silence until the test is over.
            while !stopped.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    writer.flush()?;
    Ok(false)
}
