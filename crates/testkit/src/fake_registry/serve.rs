//! distribution-spec v1.1: the endpoints.

use kigumi_oci::{Descriptor, Digest, Document};
use serde_json::json;

use super::http::{Request, Response};
use super::token::{self, Needs};
use super::{Mounts, Shared, State};

/// Where a request goes.
enum Route {
    Base,
    Token,
    Blob { repository: String, digest: String },
    Uploads { repository: String },
    Upload { repository: String, id: String },
    Manifest { repository: String, target: String },
    Unknown,
}

impl Route {
    fn of(path: &str) -> Self {
        if path == "/token" {
            return Self::Token;
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Self::Unknown;
        };
        if rest.is_empty() {
            return Self::Base;
        }
        if let Some((repository, id)) = rest.rsplit_once("/blobs/uploads/") {
            let repository = repository.to_owned();
            return if id.is_empty() {
                Self::Uploads { repository }
            } else {
                let id = id.to_owned();
                Self::Upload { repository, id }
            };
        }
        if let Some((repository, digest)) = rest.rsplit_once("/blobs/") {
            let (repository, digest) = (repository.to_owned(), digest.to_owned());
            return Self::Blob { repository, digest };
        }
        match rest.rsplit_once("/manifests/") {
            Some((repository, target)) => Self::Manifest {
                repository: repository.to_owned(),
                target: target.to_owned(),
            },
            None => Self::Unknown,
        }
    }

    fn needs(&self, request: &Request) -> Needs {
        let action = match request.method.as_str() {
            "GET" | "HEAD" => "pull",
            _ => "push",
        };
        match self {
            Self::Base | Self::Token | Self::Unknown => Vec::new(),
            Self::Blob { repository, .. }
            | Self::Upload { repository, .. }
            | Self::Manifest { repository, .. } => vec![(repository.clone(), action)],
            Self::Uploads { repository } => {
                let mut needs = vec![(repository.clone(), action)];
                let from = request.parameter("from");
                needs.extend(from.map(|from| (from.to_owned(), "pull")));
                needs
            }
        }
    }
}

pub(super) fn answer(shared: &Shared, request: &Request) -> Response {
    let route = Route::of(&request.path);
    let mut state = shared.lock();
    if matches!(route, Route::Token) {
        return token::serve(&shared.authentication, &mut state.tokens, request);
    }
    let needs = route.needs(request);
    let refusal = token::check(
        &shared.authentication,
        &state.tokens,
        request,
        &needs,
        &shared.authority,
    );
    if let Some(refusal) = refusal {
        return refusal;
    }
    match (request.method.as_str(), route) {
        ("GET", Route::Base) => Response::new(200).body("{}"),
        ("GET" | "HEAD", Route::Blob { repository, digest }) => {
            get_blob(&state, request, &repository, &digest)
        }
        ("POST", Route::Uploads { repository }) => {
            open_upload(&mut state, shared.mounts, request, &repository)
        }
        ("PATCH", Route::Upload { repository, id }) => {
            append(&mut state, request, &repository, &id)
        }
        ("GET", Route::Upload { repository, id }) => stands(&mut state, &repository, &id),
        ("PUT", Route::Upload { repository, id }) => commit(&mut state, request, &repository, &id),
        ("DELETE", Route::Upload { repository, id }) => {
            match state.store.upload(&repository, &id) {
                Some(_) => {
                    state.store.close_upload(&id);
                    Response::new(204)
                }
                None => unknown_upload(),
            }
        }
        ("GET" | "HEAD", Route::Manifest { repository, target }) => {
            match state.store.manifest(&repository, &target) {
                Some(stored) => Response::new(200)
                    .header("Content-Type", stored.media_type.as_str())
                    .header(
                        "Docker-Content-Digest",
                        Digest::of(&stored.bytes).to_string(),
                    )
                    .body(stored.bytes.to_vec()),
                None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            }
        }
        ("PUT", Route::Manifest { repository, target }) => {
            put_manifest(&mut state, request, &repository, &target)
        }
        _ => error(404, "UNSUPPORTED", "no such endpoint"),
    }
}

pub(super) fn error_body(code: &str, message: &str) -> Vec<u8> {
    json!({"errors": [{"code": code, "message": message, "detail": null}]})
        .to_string()
        .into_bytes()
}

pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(status)
        .header("Content-Type", "application/json")
        .body(error_body(code, message))
}

fn unknown_upload() -> Response {
    error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry")
}

fn get_blob(state: &State, request: &Request, repository: &str, digest: &str) -> Response {
    let blob = digest
        .parse()
        .ok()
        .and_then(|digest| state.store.blob(repository, digest));
    let Some(blob) = blob else {
        return error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    let response = Response::new(200).header("Docker-Content-Digest", digest.to_string());
    let Some(range) = request.header("range") else {
        return response.body(blob.to_vec());
    };
    let start = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
        .and_then(|start| start.parse::<usize>().ok());
    match start.and_then(|start| Some((start, blob.get(start..)?))) {
        Some((start, rest)) if !rest.is_empty() => {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            Response::new(206)
                .header("Content-Range", range)
                .body(rest.to_vec())
        }
        _ => error(416, "RANGE_INVALID", "there are no such bytes"),
    }
}

fn open_upload(state: &mut State, mounts: Mounts, request: &Request, repository: &str) -> Response {
    let mount = request
        .parameter("mount")
        .and_then(|digest| digest.parse::<Digest>().ok());
    if let (Some(digest), Some(from)) = (mount, request.parameter("from"))
        && mounts == Mounts::Accepted
        && state.store.mount(from, repository, digest)
    {
        return Response::new(201)
            .header("Location", format!("/v2/{repository}/blobs/{digest}"))
            .header("Docker-Content-Digest", digest.to_string());
    }
    let id = state.store.open_upload(repository);
    at_upload(202, repository, &id)
}

fn at_upload(status: u16, repository: &str, id: &str) -> Response {
    Response::new(status).header("Location", upload_path(repository, id))
}

/// A query in the location, as many registries have one: clients must keep it.
pub(super) fn upload_path(repository: &str, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}?_state=opaque%3D")
}

fn append(state: &mut State, request: &Request, repository: &str, id: &str) -> Response {
    if request.parameter("_state") != Some("opaque=") {
        return error(400, "BLOB_UPLOAD_INVALID", "the state is gone");
    }
    match state.store.upload(repository, id) {
        Some(upload) => {
            let range = request.header("content-range").unwrap_or_default();
            let start = range.split_once('-').map(|(start, _)| start.parse());
            if start.is_some_and(|start| start != Ok(upload.bytes.len())) {
                return error(416, "RANGE_INVALID", "the upload stands elsewhere");
            }
            upload.bytes.extend_from_slice(&request.body);
            at_upload(202, repository, id)
        }
        None => unknown_upload(),
    }
}

/// distribution-spec v1.1 § Pushing a blob in chunks: how far an upload has got.
fn stands(state: &mut State, repository: &str, id: &str) -> Response {
    match state.store.upload(repository, id) {
        Some(upload) => {
            let last = upload.bytes.len().saturating_sub(1);
            at_upload(204, repository, id).header("Range", format!("0-{last}"))
        }
        None => unknown_upload(),
    }
}

fn commit(state: &mut State, request: &Request, repository: &str, id: &str) -> Response {
    if request.parameter("_state") != Some("opaque=") {
        return error(400, "BLOB_UPLOAD_INVALID", "the state is gone");
    }
    if state.store.upload(repository, id).is_none() {
        return unknown_upload();
    }
    let Some(mut upload) = state.store.close_upload(id) else {
        return unknown_upload();
    };
    upload.bytes.extend_from_slice(&request.body);
    let promised = request.parameter("digest").unwrap_or_default();
    if promised != Digest::of(&upload.bytes).to_string() {
        return error(400, "DIGEST_INVALID", "the bytes have another digest");
    }
    let digest = state.store.put_blob(repository, &upload.bytes);
    Response::new(201)
        .header("Location", format!("/v2/{repository}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest.to_string())
}

fn put_manifest(state: &mut State, request: &Request, repository: &str, target: &str) -> Response {
    let media_type = request
        .header("content-type")
        .unwrap_or_default()
        .to_owned();
    let Ok(document) = Document::parse(Some(&media_type), request.body.clone()) else {
        return error(400, "MANIFEST_INVALID", "this is no manifest");
    };
    let by_digest = target.starts_with("sha256:");
    if by_digest && target != document.digest().to_string() {
        return error(400, "DIGEST_INVALID", "the manifest has another digest");
    }
    if let Some(missing) = missing(state, repository, &document) {
        let message = format!("{} is not in {repository}", missing.digest);
        return error(400, "MANIFEST_BLOB_UNKNOWN", &message);
    }
    let tag = (!by_digest).then_some(target);
    let store = &mut state.store;
    let digest = store.put_manifest(repository, tag, &media_type, &request.body);
    Response::new(201)
        .header("Location", format!("/v2/{repository}/manifests/{digest}"))
        .header("Docker-Content-Digest", digest.to_string())
}

/// What a document refers to and the repository does not have.
fn missing<'a>(state: &State, repository: &str, document: &'a Document) -> Option<&'a Descriptor> {
    match document {
        Document::Manifest(manifest) => {
            let manifest = manifest.value();
            let mut wanted = std::iter::once(&manifest.config).chain(&manifest.layers);
            wanted.find(|blob| {
                let stored = state.store.blob(repository, blob.digest);
                stored.is_none_or(|stored| stored.len() as u64 != blob.size)
            })
        }
        Document::Index(index) => index.value().manifests.iter().find(|entry| {
            let target = entry.digest.to_string();
            state.store.manifest(repository, &target).is_none()
        }),
    }
}
