use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A repository and a worktree to fill it from.
///
/// Everything in it is the same every time: authors, times, and so the ids of commits.
#[derive(Debug)]
pub struct TestRepository {
    git_dir: PathBuf,
    worktree: PathBuf,
}

impl TestRepository {
    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    pub(super) fn make(directory: &Path, name: &str) -> Self {
        let worktree = directory.join(format!("{name}.worktree"));
        fs::create_dir_all(&worktree).expect("make a worktree");
        let repository = Self {
            git_dir: directory.join(name),
            worktree,
        };
        let git_dir = repository.git_dir.display().to_string();
        repository.raw(
            &[
                "init",
                "--quiet",
                "--initial-branch=main",
                "--separate-git-dir",
                &git_dir,
            ],
            b"",
        );
        repository
    }

    /// Where the files are.
    pub fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// Writes a file 0644, with its directories.
    ///
    /// # Panics
    /// When it cannot.
    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.worktree.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("make a directory");
        }
        fs::write(path, content).expect("write a file");
        self
    }

    /// Writes a file 0755.
    ///
    /// # Panics
    /// When it cannot.
    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    pub fn write_executable(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.write(path, content);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.worktree.join(path), mode).expect("set a mode");
        self
    }

    /// Makes a symbolic link.
    ///
    /// # Panics
    /// When it cannot.
    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    pub fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.worktree.join(path)).expect("make a link");
        self
    }

    /// Commits everything and gives the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes another repository's commit part of the next one, as `git submodule add` would.
    pub fn add_submodule(&self, path: &str, url: &str, commit: &str) -> &Self {
        let file = self.worktree.join(".gitmodules");
        let mut text = fs::read_to_string(&file).unwrap_or_default();
        let entry = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
        text.push_str(&entry);
        self.write(".gitmodules", text);
        self.add_gitlink(path, commit)
    }

    /// The same without a word about where it is from.
    ///
    /// # Panics
    /// When it cannot.
    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    pub fn add_gitlink(&self, path: &str, commit: &str) -> &Self {
        fs::create_dir_all(self.worktree.join(path)).expect("make a directory");
        self.git(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{commit},{path}"),
        ]);
        self
    }

    /// Runs git and gives what it says.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.raw(arguments, b"")
    }

    /// Stores an object of any content and gives its id; trees may hold what no worktree can.
    pub fn object(&self, kind: &str, content: &[u8]) -> String {
        self.raw(
            &["hash-object", "-w", "--literally", "--stdin", "-t", kind],
            content,
        )
    }

    #[expect(clippy::expect_used, reason = "a test without its fixture has failed")]
    fn raw(&self, arguments: &[&str], input: &[u8]) -> String {
        use std::io::Write as _;
        let mut child = git(&self.worktree)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start git: Debian package `git`");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(input).expect("write its input");
        drop(stdin);
        let output = child.wait_with_output().expect("wait for git");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// git, which sees nothing of this machine's configuration.
pub(super) fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    for (name, value) in [
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "author"),
        ("GIT_AUTHOR_EMAIL", "author@example.invalid"),
        ("GIT_AUTHOR_DATE", "1000000000 +0000"),
        ("GIT_COMMITTER_NAME", "author"),
        ("GIT_COMMITTER_EMAIL", "author@example.invalid"),
        ("GIT_COMMITTER_DATE", "1000000000 +0000"),
    ] {
        command.env(name, value);
    }
    command
}
