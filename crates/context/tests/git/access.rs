//! Credentials, redirects, and servers that are none.

use kigumi_testkit::{GitServer, GitServerOptions};

use crate::support::{failure, fetch};

/// `x-access-token:s3cret`
const TOKEN: &str = "Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0";

fn guarded() -> GitServerOptions {
    GitServerOptions {
        authorization: Some(TOKEN.to_owned()),
        ..GitServerOptions::default()
    }
}

fn authorizations(server: &GitServer) -> Vec<Option<String>> {
    let requests = server.requests();
    requests
        .into_iter()
        .map(|request| request.authorization)
        .collect()
}

/// T-ADD-10
#[test]
fn a_secret_opens_the_repository_that_it_is_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::with(directory.path(), guarded());
    server.repository("r.git").write("a", "1\n").commit("one");
    let url = server.url("r.git");
    let (host, _) = server
        .authority()
        .split_once(':')
        .map(|(host, port)| (host.to_owned(), port.to_owned()))
        .unwrap();
    for (id, value) in [
        ("GIT_AUTH_TOKEN".to_owned(), "s3cret"),
        ("GIT_AUTH_TOKEN".to_owned(), "s3cret\n"),
        ("GIT_AUTH_HEADER".to_owned(), TOKEN),
        (format!("GIT_AUTH_TOKEN.{}", server.authority()), "s3cret"),
        (format!("GIT_AUTH_TOKEN.{host}"), "s3cret"),
        (format!("GIT_AUTH_HEADER.{}", server.authority()), TOKEN),
    ] {
        let checkout = fetch(&url, &[(&id, value)]).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(checkout.text("a"), "1\n", "{id}");
    }
    let with_user = url.replace("://", "://x-access-token:s3cret@");
    assert_eq!(fetch(&with_user, &[]).unwrap().text("a"), "1\n");
}

/// T-ADD-10
#[test]
fn without_its_secret_the_one_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::with(directory.path(), guarded());
    server.repository("r.git").write("a", "1\n").commit("one");
    let url = server.url("r.git");
    let said = failure(&url, &[("GIT_AUTH_TOKEN.other.test", "s3cret")]);
    let expected = format!(
        "401 and no credential was sent: give the secret `GIT_AUTH_TOKEN.{}`",
        server.authority()
    );
    assert!(said.contains(&expected), "{said}");
    let said = failure(&url, &[("GIT_AUTH_TOKEN", "wr0ng")]);
    assert!(
        said.contains("401 to the credential that was sent") && !said.contains("wr0ng"),
        "{said}"
    );
    let said = failure(&url, &[("GIT_AUTH_TOKEN", "s3cret\nX-Header: y")]);
    assert!(
        said.contains("the secret `GIT_AUTH_TOKEN`") && !said.contains("s3cret"),
        "{said}"
    );
    assert!(
        authorizations(&server)
            .iter()
            .flatten()
            .all(|sent| !sent.contains("s3cret"))
    );
}

/// T-ADD-10
#[test]
fn a_token_goes_to_no_other_host() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = GitServer::start(there.path());
    let inner = other.repository("s.git").write("b", "2\n").commit("inner");
    let server = GitServer::with(here.path(), guarded());
    let repository = server.repository("r.git");
    repository
        .write("a", "1\n")
        .add_submodule("sub", &other.url("s.git"), &inner);
    repository.commit("one");
    let own = format!("GIT_AUTH_TOKEN.{}", server.authority());
    for id in ["GIT_AUTH_TOKEN", &own] {
        let checkout = fetch(&server.url("r.git"), &[(id, "s3cret")]).unwrap();
        assert_eq!(checkout.text("sub/b"), "2\n");
    }
    assert!(!other.requests().is_empty());
    assert!(
        authorizations(&other).iter().all(Option::is_none),
        "{:?}",
        other.requests()
    );
    // It is on the account of the first that the second is asked, unless the user knows it.
    let checkout = fetch(&server.url("r.git"), &[("GIT_AUTH_TOKEN", "s3cret")]).unwrap();
    let (home, inside) = (server.authority(), other.authority());
    assert!(
        checkout.asked.contains(&(home.clone(), None)),
        "{:?}",
        checkout.asked
    );
    let theirs = checkout.asked.iter().filter(|(host, _)| *host == inside);
    assert!(theirs.clone().count() > 0);
    assert!(
        theirs.clone().all(|(_, by)| *by == Some(home.clone())),
        "{:?}",
        checkout.asked
    );
    // Nor does another host's own token, over plain HTTP, because a repository says so.
    let theirs = format!("GIT_AUTH_TOKEN.{}", other.authority());
    let secrets = [("GIT_AUTH_TOKEN", "s3cret"), (theirs.as_str(), "theirs")];
    let checkout = fetch(&server.url("r.git"), &secrets).unwrap();
    assert!(
        checkout.asked.iter().all(|(_, by)| by.is_none()),
        "{:?}",
        checkout.asked
    );
    assert!(
        authorizations(&other).iter().all(Option::is_none),
        "{:?}",
        other.requests()
    );
}

/// T-ADD-10
#[test]
fn a_redirect_is_followed_and_leaves_credentials_behind() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = GitServer::start(there.path());
    other.repository("r.git").write("a", "1\n").commit("one");
    let moved = GitServerOptions {
        moved_to: Some(format!("http://{}", other.authority())),
        ..GitServerOptions::default()
    };
    let server = GitServer::with(here.path(), moved);
    let checkout = fetch(&server.url("r.git"), &[("GIT_AUTH_TOKEN", "s3cret")]).unwrap();
    assert_eq!(checkout.text("a"), "1\n");
    assert_eq!(authorizations(&server), [Some(TOKEN.to_owned())]);
    assert!(authorizations(&other).iter().all(Option::is_none));
    let posts = other
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert!(
        posts > 0,
        "everything after the first request goes to the new place"
    );
}

#[test]
fn redirects_that_lead_astray_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (place, expected) in [
        ("ftp://h.test", "is not on HTTP"),
        ("file://", "is not on HTTP"),
        ("http://user:pw@h.test", "has a user in it"),
        ("http://[", "is no URL"),
    ] {
        let moved = GitServerOptions {
            moved_to: Some(place.to_owned()),
            ..GitServerOptions::default()
        };
        let server = GitServer::with(directory.path(), moved);
        let said = failure(&server.url("r.git"), &[]);
        assert!(said.contains(expected), "{place}: {said}");
    }
    let options = GitServerOptions::default();
    let server = GitServer::with(directory.path(), options);
    let around = GitServer::with(
        directory.path(),
        GitServerOptions {
            moved_to: Some(format!("http://{}/elsewhere?x=", server.authority())),
            ..GitServerOptions::default()
        },
    );
    let said = failure(&around.url("r.git"), &[]);
    assert!(said.contains("404") || said.contains("redirect"), "{said}");
}

#[test]
fn what_is_no_git_server_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    for (status, page, expected) in [
        (200, "<html>welcome</html>", "smart"),
        (200, "", "smart"),
        (500, "oops", "500"),
        (403, "", "403 and no credential"),
    ] {
        let options = GitServerOptions {
            page: Some((status, page.to_owned())),
            ..GitServerOptions::default()
        };
        let server = GitServer::with(directory.path(), options);
        let said = failure(&server.url("r.git"), &[]);
        assert!(said.contains(expected), "{status} {page}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn ssh_is_refused_with_what_to_do_instead() {
    for reference in ["git@h.test:o/r.git", "ssh://git@h.test/o/r"] {
        let said = failure(reference, &[]);
        assert!(
            said.contains(reference) && said.contains("GIT_AUTH_TOKEN"),
            "{said}"
        );
    }
}
