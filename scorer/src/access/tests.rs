use std::{fs, path::Path, thread, time::Duration};

use http::HeaderValue;

use super::*;
use crate::metrics::{Exposition, Format};

fn peer(address: &str) -> IpAddr {
    address.parse().unwrap()
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
    assert!(access.is_open() && !access.is_closed() && !access.is_needed());
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
    assert!(!access.is_open() && !access.is_closed() && access.is_needed());
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
fn a_token_without_the_scope_spends_its_own_rate_and_not_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let office = token(folder.path(), "office", &[Scope::Feedback]);
    let access = Access::new(&Options {
        tokens: Some(folder.path().to_owned()),
        rate_limit: Some(1.0),
        ..Options::default()
    })
    .unwrap();
    let now = Instant::now();
    let check = |headers: &HeaderMap| access.check_at(headers, Scope::Predict, peer("10.0.0.1"), now);
    assert_eq!(check(&office), Err(Denied::Scope(Scope::Predict)));
    assert!(matches!(check(&office), Err(Denied::TooMany(_))));
    assert_eq!(check(&HeaderMap::new()), Err(Denied::NoToken));
}

#[test]
fn a_folder_without_tokens_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::new(&Options {
        tokens: Some(folder.path().to_owned()),
        ..Options::default()
    })
    .unwrap();
    assert!(access.is_closed());
    let denied = access.check(&with("Bearer x"), Scope::Predict, peer("10.0.0.1"));
    assert_eq!(denied, Err(Denied::UnknownToken));
}

#[test]
fn a_trusted_proxys_word_about_the_address_counts_and_another_ones_does_not() {
    let told = |trust_forwarded, values: &[&[u8]]| {
        let access = Access::new(&Options {
            trust_forwarded,
            ..Options::default()
        })
        .unwrap();
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-real-ip", HeaderValue::from_bytes(value).unwrap());
        }
        let client = access.check(&headers, Scope::Predict, peer("10.0.0.1")).unwrap();
        client.to_string()
    };
    let (proxy, client) = ("address 10.0.0.1", "address 203.0.113.7");
    assert_eq!(told(true, &[b"203.0.113.7"]), client);
    assert_eq!(told(true, &[b"::ffff:203.0.113.7"]), client);
    assert_eq!(told(true, &[b"2001:db8:1:2:3::4"]), "address 2001:db8:1:2::");
    assert_eq!(told(false, &[b"203.0.113.7"]), proxy);
    let malformed: [&[&[u8]]; 10] = [
        &[],
        &[b""],
        &[b"203.0.113"],
        &[b"203.0.113.7:80"],
        &[b"203.0.113.7, 10.0.0.9"],
        &[b"[2001:db8::1]"],
        &[b"fe80::1%eth0"],
        &[b"unknown"],
        &[b"\xff"],
        &[b"203.0.113.7", b"203.0.113.8"],
    ];
    for malformed in malformed {
        assert_eq!(told(true, malformed), proxy, "{malformed:?}");
    }
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
