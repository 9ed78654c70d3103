//! The whole cluster: up, used, broken, gone. Needs root; takes about half a minute once everything is built.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use fraudops_testcluster::Cluster;
use serde_json::Value;

const NAME: &str = "selftest";

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: asker }
spec:
  restartPolicy: Never
  containers:
    - name: asker
      image: localhost/fraudops/tools:1
      command: [sh, -c, "nslookup kubernetes.default.svc.cluster.local && echo resolved; exec sleep 600"]
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: asker }
spec:
  secretName: asker-tls
  dnsNames: [asker.example.test]
  issuerRef: { name: fraudops-ca, kind: ClusterIssuer }
"#;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn printed(program: &str, words: &[&str]) -> String {
    let done = Command::new(program)
        .args(words)
        .output()
        .expect("the program starts");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let entries = fs::read_dir(&root)
        .expect("cgroups are mounted")
        .flatten()
        .map(|entry| entry.path());
    entries
        .chain([root])
        .map(|place| place.join(name))
        .filter(|place| place.exists())
        .collect()
}

/// Removes the cluster also when an assertion fails.
struct Remove;

impl Drop for Remove {
    fn drop(&mut self) {
        Cluster::remove(NAME).ok();
    }
}

#[test]
fn a_cluster_serves_pods_survives_an_outage_and_leaves_nothing_after_a_crash() {
    if !is_root() {
        eprintln!("skipped: a node takes root");
        return;
    }
    let _remove = Remove;
    let cluster = Cluster::up(NAME).unwrap();
    let folder = cluster.kubeconfig().parent().unwrap().to_owned();
    assert!(
        cluster
            .ca_pem()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );

    let manifest = folder.join("asker.yaml");
    fs::write(&manifest, POD).unwrap();
    cluster
        .kubectl(&["apply", "--filename", &manifest.to_string_lossy()])
        .unwrap();
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Ready",
            "pod/asker",
            "certificate/asker",
            "--timeout=60s",
        ])
        .unwrap();
    eventually("the pod resolves a Service and its log can be read", || {
        cluster
            .kubectl(&["logs", "asker"])
            .ok()
            .filter(|log| log.contains("resolved"))
    });
    assert_eq!(
        cluster
            .kubectl(&["exec", "asker", "--", "echo", "from inside"])
            .unwrap(),
        "from inside\n"
    );

    cluster.kill_component("kube-apiserver").unwrap();
    assert!(
        cluster
            .kubectl(&["get", "nodes", "--request-timeout=2s"])
            .is_err()
    );
    cluster.start_component("kube-apiserver").unwrap();
    eventually("the API server is back", || {
        cluster.kubectl(&["get", "pod", "asker"]).ok()
    });

    let record: Value = serde_json::from_slice(&fs::read(folder.join("cluster.json")).unwrap()).unwrap();
    let link = format!("fraudops{}", record["slot"]);
    assert!(Path::new("/sys/class/net").join(&link).exists() && !cgroups(&link).is_empty());
    let supervisor = record["supervisor"]["pid"].to_string();
    assert!(
        Command::new("kill")
            .args(["-9", &supervisor])
            .status()
            .unwrap()
            .success()
    );
    cluster.down().unwrap();

    assert!(!Path::new("/sys/class/net").join(&link).exists());
    assert_eq!(cgroups(&link), Vec::<PathBuf>::new());
    assert!(!printed("ip", &["route"]).contains(&format!("dev {link} ")));
    assert!(!printed("mount", &[]).contains(&*folder.to_string_lossy()));
    assert!(!folder.exists());
}
