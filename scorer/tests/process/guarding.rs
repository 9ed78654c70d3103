//! `fetch` and addresses that a uri, a redirect, a registry or a name server may lead to.

use std::{fs, net::Ipv4Addr, process::Command, time::Instant};

use crate::{
    origin::{Origin, Reply},
    volume::{Volume, pinned, pull, sha256},
};

const METADATA: &str = "169.254.169.254";

#[test]
fn a_uri_a_redirect_and_a_realm_must_not_lead_to_a_metadata_service() {
    let begun = Instant::now();
    let digest = sha256(b"x");
    let volume = Volume::new();
    for uri in [
        format!("https://{METADATA}/latest/meta-data/"),
        "https://[fd00:ec2::254]/latest/".to_owned(),
        "https://[::ffff:169.254.169.254]/".to_owned(),
        format!("oci://{METADATA}/a/b:1"),
    ] {
        volume.assert_failed(&volume.fetch(&uri, &["--sha256", &digest]), "AddressRefused");
    }
    let redirecting =
        Origin::https(|_| Reply::status(302).header("location", format!("https://{METADATA}/latest/")));
    let uri = format!("https://localhost:{}/m.onnx", redirecting.address.port());
    let trust = [("SSL_CERT_FILE", redirecting.certificate())];
    let output = volume.fetch_with(&uri, &["--sha256", &digest], &trust);
    volume.assert_failed(&output, "AddressRefused");
    let challenge = format!("Bearer realm=\"https://{METADATA}/token\",service=\"x\"");
    let registry = Origin::http(move |_| Reply::status(401).header("www-authenticate", challenge.clone()));
    let output = pull(&volume, &registry, &pinned(&registry), &[]);
    volume.assert_failed(&output, "AddressRefused");
    assert!(begun.elapsed().as_secs() < 10, "none of it is tried again");
}

#[test]
fn a_name_that_resolves_to_a_metadata_service_is_refused() {
    // In a mount namespace of its own the machine's list of names is ours.
    let volume = Volume::new();
    let hosts = volume.directory.path().join("hosts");
    fs::write(
        &hosts,
        format!(
            "{} localhost\n{METADATA} models.example.test\n",
            Ipv4Addr::LOCALHOST
        ),
    )
    .unwrap();
    let fetch = volume.command("https://models.example.test/m.onnx", &["--sha256", &sha256(b"x")]);
    let mut inside = Command::new("unshare");
    inside.args([
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
    ]);
    let output = inside
        .arg(&hosts)
        .arg(fetch.get_program())
        .args(fetch.get_args())
        .envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.starts_with("unshare:") || stderr.starts_with("mount:") {
        eprintln!("SKIPPED: no mount namespace here: {stderr}");
        return;
    }
    let message = volume.assert_failed(&output, "AddressRefused");
    assert!(
        message.contains("models.example.test") && message.contains(METADATA),
        "{message}"
    );
}
