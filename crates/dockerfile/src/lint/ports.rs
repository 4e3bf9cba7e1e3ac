//! What EXPOSE says about each port. Moby's notation: `[address:][host-port:]port[-port][/protocol]`.

use super::subject::Visit;

/// One port, or one range.
pub(super) struct Exposed {
    /// As written, variables replaced.
    pub(super) text: String,
    /// As written; `tcp` if absent.
    pub(super) protocol: String,
    /// Whether there is an address or a port of the host.
    pub(super) has_host: bool,
}

/// The ports of an EXPOSE; none if it is another instruction, or cannot be built.
pub(super) fn exposed(visit: &Visit<'_>, escape: char) -> Vec<Exposed> {
    let Some(expose) = visit.instruction.expose() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for word in expose.sorted() {
        for text in visit.scope.expand(word, escape).words {
            match read(&text) {
                Some(port) => found.push(port),
                // An error of the build; BuildKit looks no further.
                None => return found,
            }
        }
    }
    found
}

fn read(text: &str) -> Option<Exposed> {
    let (host, container) = match text.rsplit_once(':') {
        Some((host, container)) => (host, container),
        None => ("", text),
    };
    let (ports, protocol) = match container.split_once('/') {
        Some((ports, protocol)) if !protocol.is_empty() => (ports, protocol),
        Some((ports, _)) => (ports, "tcp"),
        None => (container, "tcp"),
    };
    let is_known = ["tcp", "udp", "sctp"].contains(&protocol.to_lowercase().as_str());
    (!ports.is_empty() && is_known).then(|| Exposed {
        text: text.to_owned(),
        protocol: protocol.to_owned(),
        has_host: host.chars().any(|c| c != ':'),
    })
}
