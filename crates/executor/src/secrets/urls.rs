/// The passwords in the URLs of a text: `user:password@`, and for HTTP a token that stands alone in front of the host.
pub(crate) fn passwords(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").filter_map(|(at, _)| {
        let (before, rest) = text.split_at_checked(at)?;
        let ends = |letter: char| letter.is_whitespace() || "/?#\"'`<>".contains(letter);
        let authority = rest.strip_prefix("://")?.split(ends).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let secret = match user.split_once(':') {
            Some((_, password)) => password,
            None if before.ends_with("http") || before.ends_with("https") => user,
            None => return None,
        };
        (!secret.is_empty()).then_some(secret)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_wherever_a_url_stands() {
        let text = "ADD https://u:pass1@h/a http://token2@h:1 /x\nRUN curl 'ftp://u:p@ss3@h' ssh://git@h/x \
                    https://h/a@b?c:d@e :// https://@h ://u:pass4@\n";
        let found: Vec<&str> = passwords(text).collect();
        assert_eq!(found, ["pass1", "token2", "p@ss3", "pass4"]);
    }
}
