//! Which ids exist in a user namespace: pure.

/// A line of `/etc/subuid` or `/etc/subgid`: ids of the host that a user may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The ranges of the user with this name or number, from subuid(5) text. Malformed lines give
/// nothing: `newuidmap` has the last word anyway.
pub(super) fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    text.lines()
        .filter_map(|line| range(line, name, uid))
        .collect()
}

fn range(line: &str, name: Option<&str>, uid: u32) -> Option<Range> {
    let mut fields = line.trim().split(':');
    let owner = fields.next()?;
    if Some(owner) != name && owner.parse() != Ok(uid) {
        return None;
    }
    let start = fields.next()?.parse().ok()?;
    let count: u32 = fields.next()?.parse().ok().filter(|count| *count > 0)?;
    fields.next().is_none().then_some(Range { start, count })
}

/// The name of a user in passwd(5) text.
pub(super) fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The arguments of `newuidmap` and `newgidmap`: root inside is the user, the ranges follow one
/// after the other from 1 on. Ranges that would not fit into 32 bits are left out.
pub(super) fn arguments(pid: u32, own: u32, ranges: &[Range]) -> Vec<String> {
    let mut arguments: Vec<String> = [pid, 0, own, 1].iter().map(u32::to_string).collect();
    let mut next = 1_u32;
    for range in ranges {
        let Some(end) = next.checked_add(range.count) else {
            break;
        };
        arguments.extend([next, range.start, range.count].iter().map(u32::to_string));
        next = end;
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_users_name_or_number() {
        let text = "anna:100000:65536\n1000:300000:10\nbert:200000:65536\nanna:x:1\nanna:5:0\nanna:1:2:3\n";
        let found = ranges(text, Some("anna"), 1000);
        let expected = [
            Range {
                start: 100_000,
                count: 65_536,
            },
            Range {
                start: 300_000,
                count: 10,
            },
        ];
        assert_eq!(found, expected);
        assert_eq!(ranges(text, None, 7), []);
    }

    #[test]
    fn a_user_name_is_found_by_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\njunk\nanna:x:1000:1000::/home/anna:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000), Some("anna"));
        assert_eq!(user_name(passwd, 4242), None);
    }

    #[test]
    fn the_user_is_root_inside_and_the_ranges_follow_without_gaps() {
        let ranges = [
            Range {
                start: 100_000,
                count: 65_536,
            },
            Range { start: 7, count: 2 },
        ];
        let expected = "42 0 1000 1 1 100000 65536 65537 7 2";
        assert_eq!(arguments(42, 1000, &ranges).join(" "), expected);
        let huge = [Range {
            start: 1,
            count: u32::MAX,
        }];
        assert_eq!(arguments(42, 1000, &huge).join(" "), "42 0 1000 1");
    }
}
