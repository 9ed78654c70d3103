use std::{fs, path::Path, thread, time::Duration};

use http::HeaderValue;

use super::*;
use crate::metrics::{Exposition, Format};

fn peer(address: &str) -> Peer<'static> {
    Peer {
        address: address.parse().unwrap(),
        names: &[],
    }
}

fn with(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(authorization).unwrap(),
    );
    headers
}

fn token(folder: &Path, client: &str, scopes: &[Scope]) -> HeaderMap {
    let arguments = TokenArgs {
        scopes: scopes.to_vec(),
    };
    let issued = issue(&arguments).unwrap();
    fs::write(folder.join(client), issued.line).unwrap();
    with(&format!("Bearer {}", issued.token))
}

#[test]
fn with_nothing_configured_everybody_may_call() {
    let access = Access::new(&Options::default()).unwrap();
    assert!(access.is_open());
    for scope in Scope::ALL {
        let client = access.check(&HeaderMap::new(), scope, peer("10.0.0.1")).unwrap();
        assert_eq!(client, Client::Address([10, 0, 0, 1].into()));
    }
    assert!(!access.reload().unwrap());
}

#[test]
fn every_scope_needs_a_token_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let shop = token(folder.path(), "shop", &[Scope::Predict]);
    let office = token(folder.path(), "office", &[Scope::Feedback, Scope::Admin]);
    let access = Access::new(&Options {
        tokens: Some(folder.path().to_owned()),
        ..Options::default()
    })
    .unwrap();
    assert!(!access.is_open());
    let mut twice = shop.clone();
    twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    let token = |name: &str| Ok(Client::Token(name.into()));
    let lacks = |scope| Err(Denied::Scope(scope));
    use Scope::{Admin, Feedback, Predict};
    for (headers, answers) in [
        (
            HeaderMap::new(),
            [Err(Denied::NoToken), Err(Denied::NoToken), Err(Denied::NoToken)],
        ),
        (
            with("Basic c2hvcA=="),
            [Err(Denied::NoToken), Err(Denied::NoToken), Err(Denied::NoToken)],
        ),
        (
            with("Bearer "),
            [Err(Denied::NoToken), Err(Denied::NoToken), Err(Denied::NoToken)],
        ),
        (
            twice,
            [Err(Denied::NoToken), Err(Denied::NoToken), Err(Denied::NoToken)],
        ),
        (
            with("Bearer guess"),
            [
                Err(Denied::UnknownToken),
                Err(Denied::UnknownToken),
                Err(Denied::UnknownToken),
            ],
        ),
        (shop, [token("shop"), lacks(Feedback), lacks(Admin)]),
        (office, [lacks(Predict), token("office"), token("office")]),
    ] {
        let found = Scope::ALL.map(|scope| access.check(&headers, scope, peer("10.0.0.1")));
        assert_eq!(found, answers, "{headers:?}");
    }
    let mut out = Exposition::new(Format::Text, 0.0);
    access.counts().collect(&mut out);
    let page = out.finish();
    for line in [
        "fraud_access_denied_total{reason=\"no_token\"} 12",
        "fraud_access_denied_total{reason=\"unknown_token\"} 3",
        "fraud_access_denied_total{reason=\"missing_scope\"} 3",
        "fraud_access_denied_total{reason=\"rate_limited\"} 0",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    for (value, token) in [
        (&b"Bearer abc"[..], Some(&b"abc"[..])),
        (b"bearer abc", Some(b"abc")),
        (b"BEARER  abc ", Some(b"abc")),
        (b"Bearer", None),
        (b"Bearerabc", None),
        (b"Basic abc", None),
        (b"", None),
    ] {
        assert_eq!(bearer(value), token);
    }
}

#[test]
fn a_certificate_needs_an_allowed_name_and_does_not_replace_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let shop = token(folder.path(), "shop", &[Scope::Predict]);
    let mut options = Options {
        allowed_names: vec!["traefik.ingress".to_owned()],
        ..Options::default()
    };
    let names = |name: &str| vec!["other".to_owned(), name.to_owned()];
    let (good, bad) = (names("traefik.ingress"), names("traefik.ingress.evil"));
    let check = |options: &Options, headers: &HeaderMap, names: &[String]| {
        let peer = Peer {
            names,
            ..peer("10.0.0.1")
        };
        Access::new(options).unwrap().check(headers, Scope::Predict, peer)
    };
    let none = HeaderMap::new();
    assert_eq!(check(&options, &none, &[]), Err(Denied::Certificate));
    assert_eq!(check(&options, &none, &bad), Err(Denied::Certificate));
    assert_eq!(
        check(&options, &none, &good),
        Ok(Client::Certificate("traefik.ingress".into()))
    );
    options.tokens = Some(folder.path().to_owned());
    assert_eq!(check(&options, &none, &good), Err(Denied::NoToken));
    assert_eq!(check(&options, &shop, &bad), Err(Denied::Certificate));
    assert_eq!(check(&options, &shop, &good), Ok(Client::Token("shop".into())));
}

#[test]
fn each_client_has_its_own_rate_and_guessing_has_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let shop = token(folder.path(), "shop", &[Scope::Predict]);
    let kiosk = token(folder.path(), "kiosk", &[Scope::Predict]);
    let access = Access::new(&Options {
        tokens: Some(folder.path().to_owned()),
        rate_limit: Some(2.0),
        ..Options::default()
    })
    .unwrap();
    let now = Instant::now();
    let check = |headers: &HeaderMap| access.check_at(headers, Scope::Predict, peer("10.0.0.1"), now);
    assert!(check(&shop).is_ok() && check(&shop).is_ok());
    assert!(matches!(check(&shop), Err(Denied::TooMany(wait)) if wait <= Duration::from_millis(500)));
    assert!(
        check(&kiosk).is_ok(),
        "the address is the same, the client is not"
    );
    let guess = with("Bearer guess");
    assert_eq!(check(&guess), Err(Denied::UnknownToken));
    assert_eq!(check(&guess), Err(Denied::UnknownToken));
    assert!(matches!(check(&guess), Err(Denied::TooMany(_))));
    assert!(check(&kiosk).is_ok(), "who guesses hurts nobody with a token");
}

#[test]
fn one_callers_part_of_ipv6_is_one_client() {
    let access = Access::new(&Options {
        rate_limit: Some(1.0),
        ..Options::default()
    })
    .unwrap();
    let now = Instant::now();
    let check = |address| {
        access
            .check_at(&HeaderMap::new(), Scope::Predict, peer(address), now)
            .is_ok()
    };
    assert!(check("2001:db8:0:1::1") && !check("2001:db8:0:1:ffff::2") && check("2001:db8:0:2::1"));
    assert!(check("10.0.0.1") && !check("::ffff:10.0.0.1") && check("10.0.0.2"));
}

#[test]
fn a_changed_secret_takes_effect_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    // As the kubelet does it: the files are links into a folder that is exchanged at once.
    let mount = folder.path().join("mount");
    let publish = |name: &str, content: &str| {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("shop"), content).unwrap();
        let link = folder.path().join("new-link");
        std::os::unix::fs::symlink(folder.path().join(name), &link).unwrap();
        fs::rename(link, &mount).unwrap();
    };
    let arguments = TokenArgs {
        scopes: vec![Scope::Predict],
    };
    let (old, new) = (issue(&arguments).unwrap(), issue(&arguments).unwrap());
    publish("one", &old.line);
    let access = Arc::new(
        Access::new(&Options {
            tokens: Some(mount.clone()),
            ..Options::default()
        })
        .unwrap(),
    );
    let may = |issued: &Issued| {
        let headers = with(&format!("Bearer {}", issued.token));
        access.check(&headers, Scope::Predict, peer("10.0.0.1")).is_ok()
    };
    access.watch(Duration::from_millis(10)).unwrap();
    let wait_until = |question: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !question() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nothing changes");
            thread::sleep(Duration::from_millis(5));
        }
    };
    assert!(may(&old) && !may(&new));
    publish("two", &format!("{}\n{}", old.line, new.line));
    wait_until(&|| may(&old) && may(&new));
    publish("three", "nonsense");
    wait_until(&|| access.counts.reload_failed.load(Relaxed) > 1);
    assert!(may(&old) && may(&new));
    publish("four", &new.line);
    wait_until(&|| !may(&old) && may(&new));
}
