//! The API-only rung on the real programs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use fraudops_testcluster::{ApiServer, cert_manager_crds, traefik_crds};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Discovery,
    api::{ObjectMeta, PostParams},
};

fn namespace(name: &str) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

async fn has_namespace(client: &Client, name: &str) -> bool {
    Api::<Namespace>::all(client.clone())
        .get_opt(name)
        .await
        .expect("the API server answers")
        .is_some()
}

/// Processes that work in the folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc")
        .expect("/proc is mounted")
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .collect()
}

#[tokio::test]
async fn an_api_server_keeps_objects_and_leaves_nothing_when_dropped() {
    let server = ApiServer::start().unwrap();
    // Processes tell their folder without links, and target/ may be one.
    let folder = server.kubeconfig().parent().unwrap().canonicalize().unwrap();
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let client = server.client().await.unwrap();
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace("payments"))
        .await
        .unwrap();
    assert!(has_namespace(&client, "payments").await);
    assert_eq!(processes_in(&folder).len(), 3); // the keeper, etcd, kube-apiserver
    drop(server);
    assert!(!folder.exists());
    assert_eq!(processes_in(&folder), Vec::<PathBuf>::new());
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
}

#[tokio::test]
async fn two_api_servers_live_side_by_side_without_seeing_each_other() {
    let started = Instant::now();
    let (one, two) = (ApiServer::start().unwrap(), ApiServer::start().unwrap());
    eprintln!("two API servers after {:.1} s", started.elapsed().as_secs_f64());
    let (client_one, client_two) = (one.client().await.unwrap(), two.client().await.unwrap());
    Api::all(client_one.clone())
        .create(&PostParams::default(), &namespace("only-here"))
        .await
        .unwrap();
    assert!(has_namespace(&client_one, "only-here").await);
    assert!(!has_namespace(&client_two, "only-here").await);
}

#[tokio::test]
async fn the_crds_of_traefik_and_cert_manager_are_served_once_installed() {
    let server = ApiServer::start().unwrap();
    server.install_crds(&traefik_crds().unwrap()).await.unwrap();
    server.install_crds(&cert_manager_crds().unwrap()).await.unwrap();
    let discovery = Discovery::new(server.client().await.unwrap())
        .run()
        .await
        .unwrap();
    for (group, kind) in [("traefik.io", "IngressRoute"), ("cert-manager.io", "Certificate")] {
        let group = discovery.get(group).unwrap();
        assert!(group.recommended_kind(kind).is_some(), "{kind}");
    }
}
