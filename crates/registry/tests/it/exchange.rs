//! Single requests for protocols of others.

use kigumi_registry::{Client, WebRequest};
use kigumi_testkit::{Action, FakeRegistry, Fault, When};
use url::Url;

use crate::support::*;

fn serve(server: &FakeRegistry, method: &'static str, status: u16, headers: &[(&str, &str)]) {
    let headers = headers.iter();
    server.fail(Fault::new(
        When::next(method, "/x").always(),
        Action::Answer {
            status,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: b"body".to_vec(),
        },
    ));
}

fn url(server: &FakeRegistry) -> Url {
    Url::parse(&format!("http://{}/x?q=s3cret", server.authority())).unwrap()
}

fn request(url: &Url) -> WebRequest<'_> {
    WebRequest {
        url,
        headers: vec![("X-Test".to_owned(), "y".to_owned())],
        authorization: None,
        body: None,
        sent_by: None,
    }
}

async fn text(client: &Client, request: &WebRequest<'_>) -> (u16, String) {
    let mut answer = client.exchange(request).await.unwrap();
    let mut body = Vec::new();
    while let Some(piece) = answer.body.chunk().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    (answer.status, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn any_status_is_an_answer_and_no_redirect_is_followed() {
    let server = FakeRegistry::start();
    let client = Client::start(config()).await.unwrap();
    let url = url(&server);
    for status in [404, 500, 302, 200] {
        let server = FakeRegistry::start();
        serve(
            &server,
            "GET",
            status,
            &[
                ("Location", "http://elsewhere.test/"),
                ("Content-Type", "a/b"),
            ],
        );
        let url = Url::parse(&format!("http://{}/x", server.authority())).unwrap();
        assert_eq!(
            text(&client, &request(&url)).await,
            (status, "body".to_owned())
        );
        let answer = client.exchange(&request(&url)).await.unwrap();
        assert_eq!(answer.content_type.as_deref(), Some("a/b"));
        assert_eq!(answer.location.as_deref(), Some("http://elsewhere.test/"));
    }
    serve(&server, "POST", 200, &[]);
    let post = WebRequest {
        body: Some("question".into()),
        authorization: Some("Basic czNjcmV0"),
        ..request(&url)
    };
    assert_eq!(text(&client, &post).await, (200, "body".to_owned()));
    let seen = server.requests("POST");
    let last = seen.last().unwrap();
    assert_eq!(last.header("authorization"), Some("Basic czNjcmV0"));
    assert_eq!(last.header("x-test"), Some("y"));
}

/// T-ADD-10
#[tokio::test]
async fn a_server_on_the_internet_cannot_send_us_to_what_only_we_can_reach() {
    let server = FakeRegistry::start();
    serve(&server, "GET", 200, &[]);
    let client = Client::start(config()).await.unwrap();
    let here = url(&server);
    for (sent_by, allowed) in [
        (None, true),
        (Some("http://127.0.0.2/r.git"), true),
        (Some("git://127.0.0.2/r.git"), true),
        (Some("http://10.0.0.1/r.git"), false),
        (Some("https://8.8.8.8/r.git"), false),
        (Some("git://8.8.8.8/r.git"), false),
    ] {
        let sent_by = sent_by.map(|text| Url::parse(text).unwrap());
        let asked = WebRequest {
            sent_by: sent_by.as_ref(),
            ..request(&here)
        };
        let answered = client.exchange(&asked).await;
        assert_eq!(answered.is_ok(), allowed, "{sent_by:?}: {answered:?}");
        if let Err(error) = answered {
            assert!(!chain(&error).contains("s3cret"), "{error}");
        }
        let found = client.resolve_host("127.0.0.1", sent_by.as_ref()).await;
        assert_eq!(found.is_ok(), allowed, "{sent_by:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_credential_that_no_header_can_hold_is_not_shown() {
    let server = FakeRegistry::start();
    let client = Client::start(config()).await.unwrap();
    let url = url(&server);
    let asked = WebRequest {
        authorization: Some("s3\ncret"),
        ..request(&url)
    };
    let error = chain(&client.exchange(&asked).await.unwrap_err());
    assert!(
        error.contains("authorization") && !error.contains("cret"),
        "{error}"
    );
}
