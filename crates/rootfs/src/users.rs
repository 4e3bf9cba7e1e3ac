//! Users and groups as the *image* knows them: parsers of its `passwd` and `group`, and what a `USER` or `--chown` means there.
//!
//! dockerfile.md § 5.3 and § 6.1. The libc of the executor is never asked: it would read the executor's own users.

/// Who a process of the image runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All groups for `setgroups`, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory of the passwd entry; `None` when there is no entry, or it names none.
    pub home: Option<Vec<u8>>,
}

/// Owner and group of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why a `USER` has no meaning in an image. The texts are those of the field (dockerfile.md § 5.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// No such user.
    #[error("unable to find user {name}: no matching entries in passwd file")]
    UnknownUser {
        /// As it was written.
        name: String,
    },
    /// No such group.
    #[error("unable to find group {name}: no matching entries in group file")]
    UnknownGroup {
        /// As it was written.
        name: String,
    },
    /// A number that is not an id.
    #[error("uids and gids must be in range 0-2147483647")]
    OutOfRange,
}

/// The highest id that the builders of the field accept.
const MAX_ID: u64 = (1 << 31) - 1;

/// The users and groups of an image. Lines that make no sense are passed over (T-USER-06).
#[derive(Clone, Default, Debug)]
pub struct UserDatabase {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct User {
    name: Box<[u8]>,
    uid: u32,
    gid: u32,
    home: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct Group {
    name: Box<[u8]>,
    gid: u32,
    members: Vec<Box<[u8]>>,
}

/// What a part of `user:group` is.
enum Id<'a> {
    Number(u32),
    Name(&'a [u8]),
}

impl UserDatabase {
    /// Reads the bytes of `/etc/passwd` and `/etc/group`; empty where the image has none.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self {
            users: lines(passwd).filter_map(parse_user).collect(),
            groups: lines(group).filter_map(parse_group).collect(),
        }
    }

    /// Who a RUN under `USER spec` is. Empty means root.
    ///
    /// # Errors
    /// [`UserError`] for names that are not there.
    pub fn credentials(&self, spec: &[u8]) -> Result<Credentials, UserError> {
        let (user, group) = split(spec);
        let (uid, entry) = match classify(user)? {
            None => (0, self.user_by_id(0)),
            Some(Id::Number(uid)) => (uid, self.user_by_id(uid)),
            Some(Id::Name(name)) => {
                let entry = self.user_by_name(name).ok_or_else(|| unknown_user(name))?;
                (entry.uid, Some(entry))
            }
        };
        let home = entry
            .map(|entry| entry.home.to_vec())
            .filter(|home| !home.is_empty());
        let (gid, groups) = match group.map(classify).transpose()?.flatten() {
            None => {
                let gid = entry.map_or(0, |entry| entry.gid);
                (gid, self.groups_of(entry, gid))
            }
            // A group given leaves no others (T-USER-02).
            Some(id) => {
                let gid = self.group_id(&id)?;
                (gid, vec![gid])
            }
        };
        Ok(Credentials {
            uid,
            gid,
            groups,
            home,
        })
    }

    /// Whose the files of `--chown=spec` are. Names that are not there are 0 (dockerfile.md § 6.1), and so are numbers that are no
    /// ids. COMPAT(buildkit): `root` is 0 without a look at the files.
    pub fn owner(&self, spec: &[u8]) -> Owner {
        let (user, group) = split(spec);
        let owner = match owner_part(user) {
            Id::Number(id) => Owner { uid: id, gid: id },
            Id::Name(name) => self
                .user_by_name(name)
                .map_or(Owner { uid: 0, gid: 0 }, |entry| Owner {
                    uid: entry.uid,
                    gid: entry.gid,
                }),
        };
        let gid = match group.map(owner_part) {
            None => owner.gid,
            Some(Id::Number(gid)) => gid,
            // With an unknown group name the gid of the user part stays.
            Some(Id::Name(name)) => self
                .group_by_name(name)
                .map_or(owner.gid, |entry| entry.gid),
        };
        Owner { gid, ..owner }
    }

    fn user_by_id(&self, uid: u32) -> Option<&User> {
        self.users.iter().find(|user| user.uid == uid)
    }

    fn user_by_name(&self, name: &[u8]) -> Option<&User> {
        self.users.iter().find(|user| *user.name == *name)
    }

    fn group_by_name(&self, name: &[u8]) -> Option<&Group> {
        self.groups.iter().find(|group| *group.name == *name)
    }

    fn group_id(&self, id: &Id<'_>) -> Result<u32, UserError> {
        match id {
            Id::Number(gid) => Ok(*gid),
            Id::Name(name) => self
                .group_by_name(name)
                .map(|group| group.gid)
                .ok_or_else(|| UserError::UnknownGroup {
                    name: String::from_utf8_lossy(name).into_owned(),
                }),
        }
    }

    /// The primary group and those that list the user as a member (T-USER-02).
    fn groups_of(&self, user: Option<&User>, gid: u32) -> Vec<u32> {
        let mut groups = vec![gid];
        let Some(user) = user else {
            return groups;
        };
        for group in &self.groups {
            if group.members.contains(&user.name) && !groups.contains(&group.gid) {
                groups.push(group.gid);
            }
        }
        groups
    }
}

fn unknown_user(name: &[u8]) -> UserError {
    UserError::UnknownUser {
        name: String::from_utf8_lossy(name).into_owned(),
    }
}

fn split(spec: &[u8]) -> (&[u8], Option<&[u8]>) {
    match spec.iter().position(|byte| *byte == b':') {
        None => (spec, None),
        Some(at) => (spec.get(..at).unwrap_or_default(), spec.get(at + 1..)),
    }
}

/// What is all digits is a number, also when a user of that name exists; `None` for nothing at all.
fn classify(part: &[u8]) -> Result<Option<Id<'_>>, UserError> {
    if part.is_empty() {
        return Ok(None);
    }
    if !part.iter().all(u8::is_ascii_digit) {
        return Ok(Some(Id::Name(part)));
    }
    id(part)
        .map(|id| Some(Id::Number(id)))
        .ok_or(UserError::OutOfRange)
}

/// The same for owners of files, where nothing is an error.
fn owner_part(part: &[u8]) -> Id<'_> {
    match classify(part) {
        _ if part == b"root" => Id::Number(0),
        Ok(Some(id)) => id,
        Ok(None) | Err(_) => Id::Name(part),
    }
}

fn id(digits: &[u8]) -> Option<u32> {
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if number > MAX_ID {
        return None;
    }
    u32::try_from(number).ok()
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// `name:password:uid:gid:gecos:home:shell`. passwd(5).
fn parse_user(line: &[u8]) -> Option<User> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default();
    Some(User {
        name: name.into(),
        uid,
        gid,
        home: home.into(),
    })
}

/// `name:password:gid:member,member`. group(5).
fn parse_group(line: &[u8]) -> Option<Group> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = id(fields.nth(1)?)?;
    let members = fields
        .next()
        .unwrap_or_default()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
        .map(Into::into)
        .collect();
    Some(Group {
        name: name.into(),
        gid,
        members,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/false\n\
        app:x:1000:1001:App,,,:/home/app:/bin/sh\n77:x:78:79::/n:\n";
    const GROUP: &[u8] = b"root:x:0:root\ndaemon:x:1:\nwheel:x:10:root,app\nwww-data:x:33:\n\
        users:x:100:games, app\napp:x:1001:\n";

    fn database() -> UserDatabase {
        UserDatabase::parse(PASSWD, GROUP)
    }

    #[test]
    fn run_users_are_resolved_as_the_table_says_t_user_01_02_03_05() {
        type Case = (&'static str, u32, u32, &'static [u32], Option<&'static str>);
        let cases: &[Case] = &[
            ("", 0, 0, &[0, 10], Some("/root")),
            ("root", 0, 0, &[0, 10], Some("/root")),
            ("0", 0, 0, &[0, 10], Some("/root")),
            ("1", 1, 1, &[1], Some("/usr/sbin")),
            ("app", 1000, 1001, &[1001, 10, 100], Some("/home/app")),
            ("1000", 1000, 1001, &[1001, 10, 100], Some("/home/app")),
            ("4242", 4242, 0, &[0], None),
            ("1:33", 1, 33, &[33], Some("/usr/sbin")),
            ("root:users", 0, 100, &[100], Some("/root")),
            ("app:4243", 1000, 4243, &[4243], Some("/home/app")),
            ("app:", 1000, 1001, &[1001, 10, 100], Some("/home/app")),
            (":33", 0, 33, &[33], Some("/root")),
            ("77", 77, 0, &[0], None),
        ];
        for (spec, uid, gid, groups, home) in cases {
            let expected = Credentials {
                uid: *uid,
                gid: *gid,
                groups: groups.to_vec(),
                home: home.map(|home| home.as_bytes().to_vec()),
            };
            assert_eq!(
                database().credentials(spec.as_bytes()),
                Ok(expected),
                "{spec}"
            );
        }
    }

    #[test]
    fn unknown_names_fail_with_the_words_of_the_field_t_user_04() {
        let cases = [
            (
                "nosuch",
                "unable to find user nosuch: no matching entries in passwd file",
            ),
            (
                "root:nosuch",
                "unable to find group nosuch: no matching entries in group file",
            ),
            ("2147483648", "uids and gids must be in range 0-2147483647"),
            (
                "99999999999999999999999",
                "uids and gids must be in range 0-2147483647",
            ),
        ];
        for (spec, message) in cases {
            let error = database().credentials(spec.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), message, "{spec}");
        }
    }

    #[test]
    fn chown_takes_unknown_names_for_zero_and_a_lone_number_for_both() {
        let cases = [
            ("app", 1000, 1001),
            ("5", 5, 5),
            ("1000", 1000, 1000),
            ("5:app", 5, 1001),
            ("app:users", 1000, 100),
            ("app:nosuch", 1000, 1001),
            ("nosuch", 0, 0),
            ("nosuch:users", 0, 100),
            ("4242:7", 4242, 7),
            ("2147483647", 2_147_483_647, 2_147_483_647),
            ("2147483648", 0, 0),
            ("5:99999999999", 5, 5),
            (":7", 0, 7),
            ("app:", 1000, 1001),
            ("1:2:3", 1, 1),
        ];
        for (spec, uid, gid) in cases {
            let owner = database().owner(spec.as_bytes());
            assert_eq!(owner, Owner { uid, gid }, "{spec}");
        }
        for database in [
            UserDatabase::default(),
            UserDatabase::parse(b"root:x:5:6::/:\n", b"root:x:7:\n"),
        ] {
            for spec in ["root", "root:root", "0:root"] {
                let owner = database.owner(spec.as_bytes());
                assert_eq!(owner, Owner { uid: 0, gid: 0 }, "{spec}");
            }
        }
    }

    #[test]
    fn malformed_files_neither_crash_nor_hide_what_is_right_t_user_06_t_unpack_10() {
        let mut passwd =
            b"\n::::\nroot\nx:y\n:x:5:5::/:\nbad:x:-1:1::/:\nbad:x:1:\xff::/:\n# c:x:9:9::/:\n\0\n"
                .to_vec();
        passwd.extend(std::iter::repeat_n(b'a', 1 << 20));
        passwd.extend_from_slice(b"\r\n  ok:x:7:8");
        let group = b"wheel\nwheel:x\nwheel:x:99999999999:ok\nok:x:8\nx:x:11:,,ok,\n";
        let database = UserDatabase::parse(&passwd, group);
        let found = database.credentials(b"ok").unwrap();
        assert_eq!((found.uid, found.gid, found.home), (7, 8, None));
        assert_eq!(found.groups, [8, 11]);
        database.credentials(b"bad").unwrap_err();
    }
}
