use super::*;

fn parse(args: &[&str]) -> Result<Settings, String> {
    let full = std::iter::once("fraudops-operator").chain(args.iter().copied());
    match Cli::try_parse_from(full)
        .map_err(|err| err.to_string())?
        .command()
    {
        Command::Run(settings) => Ok(*settings),
        Command::Crd => Err(String::from("crd")),
    }
}

fn refusal(args: &[&str]) -> String {
    parse(args).expect_err("the arguments must be refused")
}

#[test]
fn the_definition_of_the_arguments_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn without_arguments_the_operator_runs_cluster_wide_with_leader_election() {
    let settings = parse(&[]).unwrap();
    assert!(settings.leader_elect);
    assert!(settings.watch_namespaces.is_empty());
    assert_eq!(settings.namespace, "fraudops-system");
    assert_eq!(settings.lease_duration, Duration::from_secs(15));
    assert_eq!(settings.resync, Duration::from_secs(300));
    assert_eq!(settings.metrics_addr.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.neighbours(), Neighbours::default());
}

#[test]
fn flags_work_with_and_without_the_subcommand() {
    assert_eq!(parse(&["--namespace", "fraud"]).unwrap().namespace, "fraud");
    assert_eq!(
        parse(&["run", "--namespace", "fraud"]).unwrap().namespace,
        "fraud"
    );
    assert_eq!(refusal(&["crd"]), "crd");
}

#[test]
fn lists_are_trimmed_sorted_and_free_of_repetitions() {
    let settings = parse(&["--watch-namespaces", "b, a,b,"]).unwrap();
    assert_eq!(*settings.watch_namespaces, ["a", "b"]);
    let settings = parse(&["--insecure-registries", "10.0.0.1:5000,registry.test"]).unwrap();
    assert_eq!(*settings.insecure_registries, ["10.0.0.1:5000", "registry.test"]);
}

#[test]
fn leader_election_is_switched_by_a_value_or_left_on_by_the_bare_flag() {
    assert!(!parse(&["--leader-elect=false"]).unwrap().leader_elect);
    assert!(parse(&["--leader-elect"]).unwrap().leader_elect);
}

#[test]
fn a_wrong_value_is_refused_with_the_flag_and_a_right_example() {
    for (args, flag, hint) in [
        (["--lease-duration", "1s"], "--lease-duration", "5s to 300s"),
        (["--resync", "soon"], "--resync", "write 15s, 5m or 1h30m"),
        (["--removal-delay", "1h"], "--removal-delay", "0s to 600s"),
        (
            ["--watch-namespaces", "a,B"],
            "--watch-namespaces",
            "lower-case letters",
        ),
        (
            ["--insecure-registries", "http://registry"],
            "--insecure-registries",
            "without scheme",
        ),
        (["--log-filter", "kube=loud"], "--log-filter", "target=level"),
        (["--log-format", "xml"], "--log-format", "json, text"),
        (
            ["--metrics-addr", "8080"],
            "--metrics-addr",
            "invalid socket address",
        ),
        (["--scorer-image", ""], "--scorer-image", "REGISTRY/NAME"),
        (["--identity", "a b"], "--identity", "without spaces"),
        (
            ["--traefik-selector", "traefik"],
            "--traefik-selector",
            "LABEL=VALUE",
        ),
        (
            ["--monitoring-selector", "Monitoring:a=b"],
            "--monitoring-selector",
            "NAMESPACE:",
        ),
    ] {
        let message = refusal(&args);
        assert!(
            message.contains(flag) && message.contains(hint),
            "{args:?}: {message}"
        );
    }
}

#[test]
fn two_processes_of_the_same_name_have_different_identities() {
    let settings = parse(&["--identity", "operator-0"]).unwrap();
    let (first, second) = (settings.unique_identity(), settings.unique_identity());
    assert!(
        first.starts_with("operator-0_") && first != second,
        "{first} {second}"
    );
}
