//! Git repositories as main contexts, with kaniko's ways to name what is wanted of them.

use super::reference::is_full_id;
use super::{GitReference, GitReferenceError, Remote, UserInfo};

/// What is said about the repository of a main context beside its URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MainRepository {
    /// What `git://` is reached by: COMPAT(kaniko), which has always meant HTTPS by it.
    pub plain_http: bool,
    /// The branch or tag, where the URL names none.
    pub branch: Option<String>,
    /// Whether submodules are checked out.
    pub submodules: bool,
    /// Whether `.git` is part of the context.
    pub keep_git_dir: bool,
    /// Who asks; wins over the user in the URL.
    pub user: Option<UserInfo>,
}

impl MainRepository {
    /// Reads the URL of a context: `git://HOST/REPOSITORY[#REF[:DIRECTORY][#COMMIT]]`, or any other form of [`GitReference`].
    ///
    /// # Errors
    /// [`GitReferenceError`].
    pub fn reference(&self, text: &str) -> Result<GitReference, GitReferenceError> {
        let (text, commit) = match text.match_indices('#').nth(1) {
            Some((at, _)) => (
                text.get(..at).unwrap_or_default(),
                text.get(at + 1..).filter(|commit| !commit.is_empty()),
            ),
            None => (text, None),
        };
        let mut reference = match text.strip_prefix("git://") {
            // URLs of HTTP take as many slashes as there are: the path would become the host.
            Some(rest) if rest.starts_with('/') => return Err(GitReferenceError::NotGit),
            Some(rest) => {
                let scheme = if self.plain_http { "http" } else { "https" };
                GitReference::of_repository(&format!("{scheme}://{rest}"))?
            }
            None => GitReference::parse(text)?,
        };
        if let Some(commit) = commit {
            if !is_full_id(commit) {
                return Err(GitReferenceError::NotACommit {
                    text: commit.to_owned(),
                });
            }
            reference = reference.with_flags(None, Some(commit))?;
            // It may be any commit of the branch, not only the last one.
            reference.fetch_by_commit = true;
        }
        if reference.revision.is_none() {
            reference.revision.clone_from(&self.branch);
        }
        // COMPAT(kaniko): submodules are asked for.
        reference.submodules = self.submodules;
        if self.keep_git_dir {
            reference.keep_git_dir = Some(true);
        }
        if let (Remote::Http { user, .. }, Some(own)) = (&mut reference.remote, &self.user) {
            *user = Some(own.clone());
        }
        Ok(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn reference(text: &str) -> GitReference {
        MainRepository::default().reference(text).unwrap()
    }

    // K-CTX-02
    #[test]
    fn git_means_https_and_a_fragment_names_a_reference_and_a_commit_of_it() {
        let cases = [
            ("git://h/o/r", "https://h/o/r", None, None),
            ("git://h:8443/o/r.git", "https://h:8443/o/r.git", None, None),
            (
                "git://h/r.git#refs/heads/x",
                "https://h/r.git",
                Some("refs/heads/x"),
                None,
            ),
            (
                "git://h/r#refs/pull/7/head#",
                "https://h/r",
                Some("refs/pull/7/head"),
                None,
            ),
            ("git://h/r#v1:sub", "https://h/r", Some("v1"), None),
            ("https://h/r.git#v1", "https://h/r.git", Some("v1"), None),
        ];
        for (text, remote, revision, checksum) in cases {
            let found = reference(text);
            assert_eq!(found.remote.to_string(), remote, "{text}");
            assert_eq!(found.revision.as_deref(), revision, "{text}");
            assert_eq!(found.checksum.as_deref(), checksum, "{text}");
            assert!(!found.fetch_by_commit && !found.submodules);
        }
        let exact = reference(&format!("git://h/r#refs/heads/x#{COMMIT}"));
        assert_eq!(exact.revision.as_deref(), Some("refs/heads/x"));
        assert_eq!(exact.checksum.as_deref(), Some(COMMIT));
        assert!(exact.fetch_by_commit);
        assert_eq!(
            reference("git://h/r#v1:sub").subdirectory.as_deref(),
            Some("sub")
        );
    }

    #[test]
    fn a_commit_is_given_whole() {
        let error = MainRepository::default().reference("git://h/r#main#0123abc");
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`0123abc` is not a full commit id"),
            "{error}"
        );
    }

    #[test]
    fn what_the_url_says_wins_over_the_branch_and_who_asks_over_the_url() {
        let repository = MainRepository {
            plain_http: true,
            branch: Some("b".to_owned()),
            submodules: true,
            keep_git_dir: true,
            user: Some(UserInfo::new("token", "")),
        };
        let found = repository.reference("git://u:p@h/r").unwrap();
        assert_eq!(found.revision.as_deref(), Some("b"));
        assert!(found.submodules && found.keep_git_dir == Some(true));
        let Remote::Http { url, user } = &found.remote else {
            panic!("{found:?}")
        };
        assert_eq!(url.as_str(), "http://h/r");
        assert_eq!(user, &repository.user);
        let found = repository.reference("git://h/r#v1").unwrap();
        assert_eq!(found.revision.as_deref(), Some("v1"));
    }
}
