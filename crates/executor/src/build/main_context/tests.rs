//! Contexts of every kind, fetched from servers of the test.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use kigumi_layer::{ImagePath, Timestamp};
use kigumi_registry::{Client, ClientConfig, RetryPolicy};
use kigumi_run::Cancel;
use kigumi_testkit::{GitServer, GitServerOptions};

use super::*;
use crate::build::{runtime, workshop};
use crate::cli::{Config, Environment, parse};
use crate::report::{BuildEvent, Events};
use crate::secrets::Secrets;

/// What is said about a request: the request line and its headers, in lower case.
type Log = Arc<Mutex<Vec<String>>>;

/// A server that gives its answers one after the other, the last one for ever. It lives as long as the test.
fn serve(answers: Vec<Vec<u8>>) -> (String, Log) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log = Log::default();
    let told = Arc::clone(&log);
    let mut answers = VecDeque::from(answers);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut head = String::new();
            for line in BufReader::new(&client).lines() {
                let line = line.unwrap_or_default();
                if line.is_empty() {
                    break;
                }
                head.push_str(&line.to_lowercase());
                head.push('\n');
            }
            told.lock().unwrap().push(head);
            let answer = match answers.len() {
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap(),
            };
            // A client that goes away has its own reason.
            drop((&client).write_all(&answer));
        }
    });
    (address, log)
}

fn answer(status: &str, body: &[u8], sent: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body[..sent]].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", body, body.len())
}

/// More than one buffer of anybody.
static LARGE: [u8; 100_000] = [b'x'; 100_000];

/// The files of the tests: a Dockerfile, what it hides, and a directory.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("./Dockerfile", &b"FROM scratch\nCOPY . /\n"[..]),
        ("./.dockerignore", b"secret\nDockerfile\n"),
        ("./secret", b"s"),
        ("./sub/Dockerfile", b"FROM scratch\n# in sub\n"),
        ("./sub/file", LARGE.as_slice()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_path(name).unwrap();
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What came of a context.
struct Outcome {
    result: Result<(MainContext, Vec<u8>), BuildError>,
    told: Vec<BuildEvent>,
}

impl Outcome {
    fn error(&self) -> String {
        let error = self.result.as_ref().expect_err("it is refused");
        error.render()
    }

    /// The paths of the context, and the Dockerfile.
    fn files(&self) -> (Vec<String>, String) {
        let (context, dockerfile) = self.result.as_ref().map_err(BuildError::render).unwrap();
        let work = tempfile::tempdir().unwrap();
        let mut contents = Contents::new(work.path()).unwrap();
        context.lend(&mut contents).unwrap();
        let tree = context.tree(&mut contents).unwrap();
        let paths = tree.walk().map(|(path, _)| path.to_string());
        let paths = paths.filter(|path| path != "/").collect();
        (paths, String::from_utf8(dockerfile.clone()).unwrap())
    }

    fn says(&self, text: &str) -> bool {
        let mut events = self.told.iter();
        events
            .any(|event| matches!(event, BuildEvent::Warning { message } if message.contains(text)))
    }
}

fn open(words: &[&str], variables: &[(&str, &str)]) -> Outcome {
    drop(rustls::crypto::ring::default_provider().install_default());
    let work = tempfile::tempdir().unwrap();
    let environment = Environment {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        working_directory: work.path().to_owned(),
        executable: "/kaniko/executor".into(),
        is_init: false,
    };
    let words = ["executor", "--no-push"].iter().chain(words);
    let config = Config::new(&parse(words).unwrap().build, &environment).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let events = Events::new(move |event| teller.lock().unwrap().push(event));
    let runtime = runtime().unwrap();
    let client_config = ClientConfig {
        retry: RetryPolicy::immediate(3),
        ..ClientConfig::default()
    };
    let client = runtime
        .block_on(Client::start(client_config.clone()))
        .unwrap();
    let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
    let stop = (cancel.clone(), workshop::watch_cancel(&cancel).unwrap());
    let means = Means {
        client: &client,
        client_config: &client_config,
        environment: &environment,
        secrets: &Secrets::default(),
        events: &events,
        handle: runtime.handle(),
        stop: &stop,
        work: work.path(),
        now: Timestamp::from_seconds(1),
    };
    let result = MainContext::open(&config.context, &config.dockerfile, &means);
    // Whoever waits for a signal shall not wait for ever.
    cancel.cancel(15);
    let left: Vec<_> = std::fs::read_dir(work.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "K-CTX-03: {left:?}");
    let told = told.lock().unwrap().clone();
    Outcome { result, told }
}

const FILES: [&str; 4] = ["/.dockerignore", "/sub", "/sub/Dockerfile", "/sub/file"];

fn whole(outcome: &Outcome) {
    let (paths, dockerfile) = outcome.files();
    assert_eq!(paths, FILES);
    assert_eq!(dockerfile, "FROM scratch\nCOPY . /\n");
}

// K-CTX-01, K-CTX-03, K-CTX-05, K-CLI-11, T-CLEAN-06
#[test]
fn archives_of_a_file_and_of_the_web_are_one_context_and_leave_nothing_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.tar");
    std::fs::write(&file, archive()).unwrap();
    whole(&open(
        &[&format!("--context=tar://{}", file.display())],
        &[],
    ));
    let (server, _) = serve(vec![ok(&archive())]);
    whole(&open(&[&format!("--context=http://{server}/c.tar")], &[]));
    let s3 = [
        ("S3_ENDPOINT", format!("http://{server}")),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ];
    let s3 = s3.each_ref().map(|(name, value)| (*name, value.as_str()));
    whole(&open(&["--context=s3://bucket/c.tar"], &s3));
    let gs = [("STORAGE_EMULATOR_HOST", server.as_str())];
    whole(&open(&["--context=gs://bucket/c.tar"], &gs));
}

#[test]
fn a_part_of_a_context_is_a_context_with_its_own_dockerfile() {
    let (server, _) = serve(vec![ok(&archive())]);
    let context = format!("--context=http://{server}/c.tar");
    let (paths, dockerfile) = open(&[&context, "--context-sub-path=sub"], &[]).files();
    assert_eq!(paths, ["/Dockerfile", "/file"]);
    assert_eq!(dockerfile, "FROM scratch\n# in sub\n");
    let error = open(&[&context, "--context-sub-path=none"], &[]).error();
    assert!(
        error.contains("--context-sub-path `none`: it is not there"),
        "{error}"
    );
}

#[test]
fn a_sub_path_of_a_directory_may_not_be_led_out_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(at("c/in")).unwrap();
    std::fs::create_dir_all(at("other")).unwrap();
    for place in ["c/in", "other"] {
        std::fs::write(at(place).join("Dockerfile"), "FROM scratch\n").unwrap();
    }
    std::os::unix::fs::symlink("../other", at("c/out")).unwrap();
    let context = format!("--context=dir://{}", at("c").display());
    open(&[&context, "--context-sub-path=in"], &[]).files();
    let error = open(&[&context, "--context-sub-path=out"], &[]).error();
    assert!(error.contains("leads out of the context"), "{error}");
}

#[test]
fn what_breaks_off_is_begun_anew_and_the_log_tells() {
    let tar = archive();
    let (server, log) = serve(vec![
        answer("503 Busy", b"", 0),
        answer("200 OK", &tar, 50_000),
        ok(&tar),
    ]);
    let outcome = open(&[&format!("--context=http://{server}/c.tar")], &[]);
    whole(&outcome);
    assert_eq!(log.lock().unwrap().len(), 3);
    assert!(
        outcome.says("broke off and is fetched anew"),
        "{:?}",
        outcome.told
    );
    let (server, log) = serve(vec![answer("200 OK", &tar, 50_000)]);
    let error = open(&[&format!("--context=http://{server}/c.tar")], &[]).error();
    assert!(
        error.contains(&format!("`http://{server}/c.tar`")),
        "{error}"
    );
    assert_eq!(log.lock().unwrap().len(), 3);
}

#[test]
fn a_refusal_names_url_status_and_what_to_do_and_no_credential() {
    let denied = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let (server, _) = serve(vec![answer("403 Forbidden", denied, denied.len())]);
    let endpoint = format!("http://{server}");
    let variables = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
    ];
    let error = open(&["--context=s3://bucket/dir/c.tar"], &variables).error();
    for text in [
        "`s3://bucket/dir/c.tar`",
        "s3:GetObject",
        &format!("{endpoint}/bucket/dir/c.tar"),
        "HTTP 403 AccessDenied: Access Denied",
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(error.contains(text), "{text}: {error}");
    }
    assert!(
        !error.contains("wJalrXUtnFEMI") && !error.contains("Signature"),
        "{error}"
    );
    let (server, _) = serve(vec![answer("404 Not Found", b"", 0)]);
    let context = format!("--context=http://me:s3cret@{server}/c.tar?token=t0ken");
    let error = open(&[&context], &[]).error();
    assert!(
        error.contains(&format!("`http://{server}/c.tar`")) && error.contains("404"),
        "{error}"
    );
    assert!(
        !error.contains("s3cret") && !error.contains("t0ken"),
        "{error}"
    );
}

// K-AUTH-04
#[test]
fn a_signature_stays_with_its_store() {
    let (elsewhere, log) = serve(vec![ok(&archive())]);
    let redirect = format!(
        "HTTP/1.1 307 Moved\r\nLocation: http://{elsewhere}/c.tar\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (server, first) = serve(vec![redirect.into_bytes()]);
    let endpoint = format!("http://{server}");
    let variables = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI"),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    whole(&open(&["--context=s3://bucket/c.tar"], &variables));
    let asked = first.lock().unwrap().join("");
    assert!(
        asked.contains("authorization: aws4-hmac-sha256 credential=akidexample/"),
        "{asked}"
    );
    assert!(asked.contains("x-amz-security-token: session"), "{asked}");
    let asked = log.lock().unwrap().join("");
    assert!(
        !asked.contains("authorization") && !asked.contains("session"),
        "{asked}"
    );
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let (server, _) = serve(vec![ok(b"<html>Sign in</html>")]);
    let error = open(&[&format!("--context=http://{server}/c.tar")], &[]).error();
    assert!(error.contains("is not a tar archive"), "{error}");
    let error = open(&["--context=tar:///nowhere/c.tar"], &[]).error();
    assert!(error.contains("`tar:///nowhere/c.tar`"), "{error}");
}

// K-CLI-11
#[test]
fn a_dockerfile_may_be_behind_a_url_or_hidden_from_the_context() {
    let (server, _) = serve(vec![ok(b"FROM scratch\n# of the web\n")]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.tar");
    std::fs::write(&file, archive()).unwrap();
    let context = format!("--context=tar://{}", file.display());
    let dockerfile = format!("--dockerfile=http://{server}/path/Dockerfile");
    let (paths, text) = open(&[&context, &dockerfile], &[]).files();
    assert_eq!(
        (paths, text.as_str()),
        (
            FILES.map(str::to_owned).to_vec(),
            "FROM scratch\n# of the web\n"
        )
    );
    let (_, text) = open(&[&context, "--dockerfile=sub/Dockerfile"], &[]).files();
    assert_eq!(text, "FROM scratch\n# in sub\n");
    let error = open(&[&context, "--dockerfile=none"], &[]).error();
    assert!(error.contains("`none of the context`"), "{error}");
    let (server, _) = serve(vec![answer("404 Not Found", b"", 0)]);
    let error = open(
        &[
            &context,
            &format!("--dockerfile=http://{server}/Dockerfile"),
        ],
        &[],
    )
    .error();
    assert!(error.contains("404"), "{error}");
}

fn git_server(directory: &Path, authorization: Option<&str>) -> (GitServer, [String; 2]) {
    let server = GitServer::with(
        directory,
        GitServerOptions {
            authorization: authorization.map(str::to_owned),
            ..GitServerOptions::default()
        },
    );
    let repository = server.repository("r.git");
    repository.write("Dockerfile", "FROM scratch\n# one\n");
    let first = repository.commit("one");
    repository.write("Dockerfile", "FROM scratch\n# two\n");
    repository.write("sub/Dockerfile", "FROM scratch\n# in sub\n");
    repository.write(".dockerignore", "Dockerfile\n");
    let second = repository.commit("two");
    (server, [first, second])
}

// K-CTX-01, K-CTX-02
#[test]
fn a_repository_is_a_context_of_any_branch_or_commit() {
    let directory = tempfile::tempdir().unwrap();
    let (server, [first, _]) = git_server(directory.path(), None);
    let http = [("GIT_PULL_METHOD", "http")];
    let at = format!("git://{}/r.git", server.authority());
    for (context, git, expected) in [
        (at.clone(), "", "# two"),
        (format!("{at}#refs/heads/main"), "", "# two"),
        (format!("{at}#refs/heads/main#{first}"), "", "# one"),
        (format!("{at}#{first}"), "", "# one"),
        (format!("{at}#main:sub"), "", "# in sub"),
        (
            at.clone(),
            "branch=main,depth=1,single-branch=true",
            "# two",
        ),
        (server.url("r.git"), "", "# two"),
    ] {
        let words = [format!("--context={context}"), format!("--git={git}")];
        let outcome = open(&words.each_ref().map(String::as_str), &http);
        let (paths, dockerfile) = outcome.files();
        assert!(dockerfile.contains(expected), "{context}: {dockerfile}");
        assert!(
            !paths.iter().any(|path| path.starts_with("/.git/")),
            "{paths:?}"
        );
    }
    let keep = "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    let (paths, _) = open(&[&format!("--context={at}"), keep], &http).files();
    assert!(paths.contains(&"/.git/HEAD".to_owned()), "{paths:?}");
    let (paths, _) = open(&[&format!("--context={at}")], &http).files();
    assert_eq!(
        paths,
        ["/.dockerignore", "/sub", "/sub/Dockerfile"],
        "K-CTX-05"
    );
    let error = open(&[&format!("--context={at}#none")], &http).error();
    assert!(
        error.contains("none") && error.contains("/r.git"),
        "{error}"
    );
}

// K-CTX-02
#[test]
fn variables_open_a_repository_and_are_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    // `t0ken:` and `user:pass`, as servers get them.
    for (header, variables) in [
        ("Basic dDBrZW46", &[("GIT_TOKEN", "t0ken")][..]),
        (
            "Basic dXNlcjpwYXNz",
            &[("GIT_USERNAME", "user"), ("GIT_PASSWORD", "pass")],
        ),
    ] {
        let directory = directory.path().join(header.replace("Basic ", ""));
        std::fs::create_dir(&directory).unwrap();
        let (server, _) = git_server(&directory, Some(header));
        let context = format!("--context=git://{}/r.git", server.authority());
        let with = [&[("GIT_PULL_METHOD", "http")], variables].concat();
        open(&[&context], &with).files();
        let wrong = [("GIT_PULL_METHOD", "http"), ("GIT_TOKEN", "wr0ng")];
        let error = open(&[&context], &wrong).error();
        assert!(
            error.contains("GIT_TOKEN") && error.contains("401"),
            "{error}"
        );
        assert!(!error.contains("wr0ng"), "{error}");
    }
}

#[test]
fn the_bytes_of_files_are_those_of_the_archive() {
    let (server, _) = serve(vec![ok(&archive())]);
    let outcome = open(&[&format!("--context=http://{server}/c.tar")], &[]);
    let (context, _) = outcome.result.as_ref().map_err(BuildError::render).unwrap();
    let work = tempfile::tempdir().unwrap();
    let mut contents = Contents::new(work.path()).unwrap();
    context.lend(&mut contents).unwrap();
    let tree = context.tree(&mut contents).unwrap();
    let path = ImagePath::parse(b"sub/file").unwrap();
    let content = tree.get(&path).unwrap().file().unwrap();
    let mut bytes = Vec::new();
    contents
        .open(&path, content)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert!(bytes == LARGE);
}

#[test]
fn a_context_that_is_looked_at_beside_is_the_one_that_is_looked_at_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("Dockerfile", "FROM scratch\n"), ("a", "a"), ("b", "b")] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    std::fs::write(directory.path().join(".dockerignore"), "b\n").unwrap();
    let (server, _) = serve(vec![ok(&archive())]);
    let places = [
        format!("--context=dir://{}", directory.path().display()),
        format!("--context=http://{server}/c.tar"),
    ];
    for place in places {
        let outcome = open(&[&place], &[]);
        let (at_once, _) = outcome.files();
        let (context, _) = outcome.result.unwrap();
        let work = tempfile::tempdir().unwrap();
        let mut contents = Contents::new(work.path()).unwrap();
        context.lend(&mut contents).unwrap();
        let walk = Arc::new(context).begin(&mut contents).unwrap();
        let tree = walk.finish().unwrap();
        let paths = tree.walk().map(|(path, _)| path.to_string());
        let paths: Vec<String> = paths.filter(|path| path != "/").collect();
        assert_eq!(paths, at_once);
        assert!(!paths.is_empty() && !paths.contains(&"/b".to_owned()));
    }
}

#[test]
fn what_is_wrong_with_a_context_that_is_looked_at_beside_is_told_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let context = format!("--context=dir://{}", directory.path().display());
    let outcome = open(&[&context], &[]);
    let (context, _) = outcome.result.unwrap();
    std::fs::write(directory.path().join(".dockerignore"), "[\n").unwrap();
    let work = tempfile::tempdir().unwrap();
    let mut contents = Contents::new(work.path()).unwrap();
    let walk = Arc::new(context).begin(&mut contents).unwrap();
    let error = walk.finish().unwrap_err().render();
    assert!(error.contains(".dockerignore"), "{error}");
}
