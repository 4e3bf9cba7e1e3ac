use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::key::PrivateKey;
use super::wire::{Reader, put_string, put_u32};

/// Message numbers. draft-ietf-sshm-ssh-agent § 6.1.
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Longest message in bytes, as OpenSSH's agent has it.
const LONGEST: usize = 256 * 1024;

/// Something that lists public keys and signs.
pub enum Agent {
    /// Keys that this process holds.
    Keys(Vec<PrivateKey>),
    /// Another agent.
    Proxy(PathBuf),
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => write!(f, "Agent({} keys)", keys.len()),
            Self::Proxy(path) => write!(f, "Agent({})", path.display()),
        }
    }
}

/// An agent in conversation with one client.
pub(super) enum Session<'a> {
    Keys(&'a [PrivateKey]),
    Proxy(UnixStream),
}

impl Agent {
    pub(super) fn of_keys(keys: Vec<PrivateKey>) -> Self {
        Self::Keys(keys)
    }

    pub(super) fn proxy(socket: &Path) -> Self {
        Self::Proxy(socket.to_owned())
    }

    /// Begins a conversation.
    pub(super) fn open(&self) -> io::Result<Session<'_>> {
        match self {
            Self::Keys(keys) => Ok(Session::Keys(keys)),
            Self::Proxy(path) => UnixStream::connect(path).map(Session::Proxy),
        }
    }
}

impl Session<'_> {
    /// The answer to a request. What would change an agent, and extensions, are refused before another agent hears of them.
    pub(super) fn answer(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        let allowed = matches!(request.first(), Some(&REQUEST_IDENTITIES | &SIGN_REQUEST));
        if !allowed {
            return Ok(vec![FAILURE]);
        }
        match self {
            Self::Keys(keys) => Ok(answer(keys, request).unwrap_or_else(|| vec![FAILURE])),
            Self::Proxy(upstream) => {
                send(upstream, request)?;
                receive(upstream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

fn answer(keys: &[PrivateKey], request: &[u8]) -> Option<Vec<u8>> {
    let (number, body) = request.split_first()?;
    if *number == REQUEST_IDENTITIES {
        let mut list = vec![IDENTITIES_ANSWER];
        put_u32(&mut list, keys.len());
        for key in keys {
            put_string(&mut list, key.public());
            put_string(&mut list, key.comment());
        }
        return Some(list);
    }
    let mut reader = Reader::new(body);
    let (public, data, flags) = (reader.string()?, reader.string()?, reader.u32()?);
    if !reader.rest().is_empty() {
        return None;
    }
    let key = keys.iter().find(|key| key.public() == public)?;
    let mut response = vec![SIGN_RESPONSE];
    put_string(&mut response, &key.sign(data, flags)?);
    Some(response)
}

/// One message; `None` when the other side has nothing more to say.
pub(super) fn receive(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length == 0 || length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

pub(super) fn send(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    put_string(&mut framed, message);
    stream.write_all(&framed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::key::tests::{ed25519, ed25519_public};
    use proptest::prelude::*;

    fn keys() -> Vec<PrivateKey> {
        vec![PrivateKey::parse(&ed25519(7, "one")).unwrap()]
    }

    fn ask(request: &[u8]) -> Vec<u8> {
        let agent = Agent::of_keys(keys());
        agent.open().unwrap().answer(request).unwrap()
    }

    fn sign_request(public: &[u8], data: &[u8]) -> Vec<u8> {
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, public);
        put_string(&mut request, data);
        put_u32(&mut request, 0);
        request
    }

    #[test]
    fn it_lists_its_keys_and_signs_with_them() {
        let mut expected = vec![IDENTITIES_ANSWER, 0, 0, 0, 1];
        put_string(&mut expected, keys()[0].public());
        put_string(&mut expected, b"one");
        assert_eq!(ask(&[REQUEST_IDENTITIES]), expected);

        let response = ask(&sign_request(keys()[0].public(), b"data"));
        let mut reader = Reader::new(response.strip_prefix(&[SIGN_RESPONSE]).unwrap());
        let mut signature = Reader::new(reader.string().unwrap());
        assert_eq!(signature.string().unwrap(), b"ssh-ed25519");
        let public =
            ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, ed25519_public(7));
        public.verify(b"data", signature.string().unwrap()).unwrap();
    }

    #[test]
    fn whatever_else_is_asked_for_is_refused() {
        // Add, remove, lock, unlock, smartcards, constrained, extension; of version 1; unknown ones.
        for number in
            (0..=255).filter(|number| ![REQUEST_IDENTITIES, SIGN_REQUEST].contains(number))
        {
            assert_eq!(ask(&[number, 0, 0, 0, 0]), [FAILURE], "{number}");
        }
        assert_eq!(ask(&sign_request(b"no key of ours", b"data")), [FAILURE]);
        let mut longer = sign_request(keys()[0].public(), b"data");
        longer.push(0);
        assert_eq!(ask(&longer), [FAILURE]);
    }

    #[test]
    fn a_message_is_neither_empty_nor_endless() {
        for length in [0, u32::try_from(LONGEST).unwrap() + 1, u32::MAX] {
            let bytes = length.to_be_bytes();
            receive(&mut bytes.as_slice()).unwrap_err();
        }
        assert!(receive(&mut [].as_slice()).unwrap().is_none());
        receive(&mut [0, 0, 0, 2, 1].as_slice()).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_request_is_too_strange_for_an_answer(request in proptest::collection::vec(any::<u8>(), 1..64)) {
            prop_assert!(!ask(&request).is_empty());
        }

        #[test]
        fn no_sign_request_is_too_strange(body in proptest::collection::vec(0..8_u8, 0..64)) {
            let mut request = vec![SIGN_REQUEST];
            request.extend(body);
            prop_assert_eq!(ask(&request), [FAILURE]);
        }
    }
}
