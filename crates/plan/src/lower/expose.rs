//! EXPOSE.

use std::net::IpAddr;

use kigumi_dockerfile::Diagnostic;
use kigumi_dockerfile::instruction::Expose;

use super::scope::Scope;
use super::stage::{Context, Effect};
use crate::created_by;

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// EXPOSE: `[[ip:]host:]port[-port][/protocol]` each; of a mapping the container's side counts.
pub(super) fn expose(
    context: &Context<'_>,
    scope: &mut Scope,
    expose: &Expose,
) -> Result<Effect, Diagnostic> {
    let mut ports = Vec::new();
    for word in expose.sorted() {
        for text in scope.expand_words(word, context.escape())? {
            let parsed = parse(&text).ok_or_else(|| {
                let message = format!("`{text}` is not of the form port[-port][/protocol]");
                Diagnostic::error("InvalidPort", word.span, message)
                    .with_help("ports are numbers up to 65535; protocols are tcp, udp and sctp")
            })?;
            ports.extend(parsed);
        }
    }
    let history = created_by::list("EXPOSE", &ports);
    if !ports.is_empty() {
        let exposed = scope.config.config.exposed_ports.get_or_insert_default();
        exposed.extend(ports);
        exposed.sort();
        exposed.dedup();
    }
    Ok(Effect::config(history))
}

/// The ports of one text, `number/protocol` each, ascending.
fn parse(text: &str) -> Option<Vec<String>> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, ""));
    let protocol = match protocol.to_ascii_lowercase() {
        empty if empty.is_empty() => "tcp".to_owned(),
        protocol => protocol,
    };
    if !PROTOCOLS.contains(&protocol.as_str()) {
        return None;
    }
    let (host, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (start, end) = range(container)?;
    let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
    if !address.is_empty() && !is_address(address) {
        return None;
    }
    if !host.is_empty() {
        let (host_start, host_end) = range(host)?;
        // One container port may go to a range of host ports; otherwise they are paired.
        if start != end && host_end - host_start != end - start {
            return None;
        }
    }
    Some(
        (start..=end)
            .map(|port| format!("{port}/{protocol}"))
            .collect(),
    )
}

/// IPv6 may stand in brackets.
fn is_address(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse::<IpAddr>().is_ok()
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-META-09
    #[test]
    fn ports_have_ranges_protocols_and_mappings() {
        for (text, expected) in [
            ("80", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("5000-5002/sctp", "5000/sctp 5001/sctp 5002/sctp"),
            ("8080:80", "80/tcp"),
            ("127.0.0.1:8080:80/udp", "80/udp"),
            ("127.0.0.1::80", "80/tcp"),
            ("[::1]:8080:80", "80/tcp"),
            ("::1:8080:80", "80/tcp"),
            ("8080-8081:80-81", "80/tcp 81/tcp"),
            ("80/", "80/tcp"),
        ] {
            assert_eq!(parse(text).unwrap().join(" "), expected, "{text}");
        }
    }

    /// T-META-09
    #[test]
    fn malformed_ports_are_refused() {
        for text in [
            "",
            "80/foo",
            "65536",
            "81-80",
            "+80",
            "8080:",
            "a",
            "80-",
            "8080:80-81",
            "80/tcp/udp",
            "localhost:8080:80",
            "1.2.3:8080:80",
            "/tcp",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
