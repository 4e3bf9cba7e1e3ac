//! A network without certificates and proxies, and what every test does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;

use kigumi_context::Spool;
use kigumi_context::git::{
    Cause, CheckedOut, Facilities, GitError, GitReference, HttpAnswer, HttpRequest, Network,
    check_out,
};
use kigumi_layer::{ImagePath, Kind, Origin, Timestamp, Tree};
use url::Url;

/// Speaks plain HTTP, one request per connection.
#[derive(Default)]
pub(crate) struct Loopback {
    asked: RefCell<Vec<Asked>>,
}

/// The host that was asked, and who sent us there.
pub(crate) type Asked = (String, Option<String>);

impl Network for Loopback {
    fn send(&self, request: HttpRequest<'_>) -> Result<HttpAnswer, Cause> {
        let mut head = match &request.body {
            Some(body) => format!(
                "POST {} HTTP/1.1\r\nContent-Length: {}\r\n",
                target(request.url),
                body.len()
            ),
            None => format!("GET {} HTTP/1.1\r\n", target(request.url)),
        };
        let authorization = request
            .authorization
            .map(|value| ("Authorization".to_owned(), value.to_owned()));
        for (name, value) in request.headers.into_iter().chain(authorization) {
            let line = format!("{name}: {value}\r\n");
            head.push_str(&line);
        }
        let port = request.url.port_or_known_default().unwrap();
        let stream = self.connect(request.url.host_str().unwrap(), port, request.sent_by)?;
        (&stream).write_all(format!("{head}\r\n").as_bytes())?;
        (&stream).write_all(&request.body.unwrap_or_default())?;
        read_answer(stream)
    }

    fn connect(&self, host: &str, port: u16, sent_by: Option<&Url>) -> Result<TcpStream, Cause> {
        let sent_by = sent_by.map(|url| url.authority().to_owned());
        self.asked
            .borrow_mut()
            .push((format!("{host}:{port}"), sent_by));
        Ok(TcpStream::connect((host, port))?)
    }
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn read_answer(stream: TcpStream) -> Result<HttpAnswer, Cause> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap().parse()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Ok(HttpAnswer {
        status,
        content_type: headers.remove("content-type"),
        location: headers.remove("location"),
        body: Box::new(reader),
    })
}

/// A checkout and the bytes of its files.
pub(crate) struct Checkout {
    pub(crate) tree: Tree,
    pub(crate) commit: String,
    pub(crate) asked: Vec<Asked>,
    contents: File,
}

/// When every checkout of the tests is made.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// The secrets of a test, by id.
pub(crate) type Secrets<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn fetch(reference: &str, secrets: Secrets<'_>) -> Result<Checkout, GitError> {
    fetch_reference(&GitReference::parse(reference).unwrap(), secrets)
}

pub(crate) fn fetch_reference(
    reference: &GitReference,
    secrets: Secrets<'_>,
) -> Result<Checkout, GitError> {
    let work = tempfile::tempdir().unwrap();
    let lookup = |id: &str| {
        let found = secrets.iter().find(|(known, _)| *known == id);
        found.map(|(_, value)| value.as_bytes().to_vec())
    };
    let network = Loopback::default();
    let facilities = Facilities {
        network: &network,
        secrets: &lookup,
        work: work.path(),
        interrupted: &AtomicBool::new(false),
        now: NOW,
    };
    let contents = tempfile::tempfile().unwrap();
    let mut spool = Spool::new(&contents, 7);
    let outcome = check_out(reference, &facilities, &mut spool);
    let left = work.path().read_dir().unwrap().count();
    assert_eq!(left, 0, "files are left in the work directory");
    let CheckedOut { tree, commit } = outcome?;
    Ok(Checkout {
        tree,
        commit,
        asked: network.asked.take(),
        contents,
    })
}

/// What `fetch` says that is wrong, with its causes.
pub(crate) fn failure(reference: &str, secrets: Secrets<'_>) -> String {
    let Err(error) = fetch(reference, secrets) else {
        panic!("`{reference}` can be fetched");
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Checkout {
    /// The bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let path = ImagePath::parse(path.as_bytes()).unwrap();
        let file = self.tree.get(&path).and_then(|node| node.file());
        let file = file.unwrap_or_else(|| panic!("no file `{path}` in\n{}", self.listing()));
        match &file.origin {
            Origin::Blob { blob: 7, offset } => {
                let mut bytes = vec![0; usize::try_from(file.size).unwrap()];
                self.contents.read_exact_at(&mut bytes, *offset).unwrap();
                bytes
            }
            Origin::Inline(bytes) => bytes.to_vec(),
            other @ (Origin::Live | Origin::Blob { .. } | Origin::Stored { .. }) => {
                panic!("`{path}`: {other:?}")
            }
        }
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).unwrap()
    }

    /// One line per entry: mode, path, target of a link or first line of a file. `.git` by its name only.
    pub(crate) fn listing(&self) -> String {
        let mut lines = Vec::new();
        for (path, id) in self.tree.walk().skip(1) {
            let node = self.tree.node(id);
            let shown = String::from_utf8_lossy(path.as_relative()).into_owned();
            if shown.starts_with(".git/") {
                continue;
            }
            assert_eq!((node.metadata.uid, node.metadata.gid), (0, 0), "{shown}");
            let mode = node.metadata.mode;
            lines.push(match &node.kind {
                Kind::Directory(_) => format!("{mode} {shown}/"),
                Kind::Symlink(target) => {
                    format!("{mode} {shown} -> {}", String::from_utf8_lossy(target))
                }
                Kind::File(_) => {
                    let text = String::from_utf8_lossy(&self.bytes(&shown)).into_owned();
                    format!(
                        "{mode} {shown} {:?}",
                        text.lines().next().unwrap_or_default()
                    )
                }
                other @ (Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo) => {
                    panic!("{shown}: {other:?}")
                }
            });
        }
        lines.join("\n")
    }

    /// Puts the files on a disk.
    pub(crate) fn unpack(&self, directory: &std::path::Path) {
        use std::os::unix::fs::{PermissionsExt, symlink};
        for (path, id) in self.tree.walk().skip(1) {
            let place = directory.join(String::from_utf8_lossy(path.as_relative()).as_ref());
            let node = self.tree.node(id);
            match &node.kind {
                Kind::Directory(_) => std::fs::create_dir(&place).unwrap(),
                Kind::Symlink(target) => {
                    symlink(String::from_utf8_lossy(target).as_ref(), &place).unwrap();
                }
                Kind::File(_) => {
                    let path = String::from_utf8_lossy(path.as_relative()).into_owned();
                    std::fs::write(&place, self.bytes(&path)).unwrap();
                    let mode = std::fs::Permissions::from_mode(node.metadata.mode.bits());
                    std::fs::set_permissions(&place, mode).unwrap();
                }
                other @ (Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    /// All bytes that anything of it is made of.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut all = self.tree.to_string().into_bytes();
        let mut contents = &self.contents;
        std::io::Seek::seek(&mut contents, std::io::SeekFrom::Start(0)).unwrap();
        contents.read_to_end(&mut all).unwrap();
        for (_, id) in self.tree.walk() {
            if let Some(Origin::Inline(bytes)) = self.tree.node(id).file().map(|file| &file.origin)
            {
                all.extend_from_slice(bytes);
            }
        }
        all
    }
}
