use super::*;

const TTL: Duration = Duration::from_secs(15);

fn candidate(identity: &str) -> Candidate {
    let (namespace, name) = (String::from("fraudops-system"), String::from("fraudops-operator"));
    Candidate {
        namespace,
        name,
        identity: identity.to_owned(),
        ttl: TTL,
    }
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn held_by(identity: &str, version: &str) -> Lease {
    let mut lease = candidate(identity).first(wall(0));
    lease.metadata.resource_version = Some(version.to_owned());
    lease
}

fn written(claim: Claim) -> Lease {
    match claim {
        Claim::Write(lease) => *lease,
        Claim::Wait { holder } => panic!("must write, but waits for {holder}"),
    }
}

#[test]
fn an_absent_lease_is_created_without_a_resource_version() {
    let lease = written(Watched::default().decide(None, &candidate("a"), Instant::now(), wall(0)));
    assert_eq!(lease.metadata.resource_version, None);
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    assert_eq!(spec.lease_transitions, Some(0));
}

#[test]
fn a_lease_of_another_is_taken_only_after_it_stood_still_for_its_duration() {
    let (mut watched, start) = (Watched::default(), Instant::now());
    let mut look = |version: &str, after: Duration| {
        watched.decide(
            Some(held_by("b", version)),
            &candidate("a"),
            start + after,
            wall(0),
        )
    };
    let waits = Claim::Wait {
        holder: String::from("b"),
    };
    assert_eq!(look("7", Duration::ZERO), waits);
    assert_eq!(look("7", TTL - Duration::from_millis(1)), waits);
    assert_eq!(look("8", TTL), waits, "the holder renewed it");
    assert_eq!(look("8", TTL * 2 - Duration::from_millis(1)), waits);
    let taken = written(look("8", TTL * 2));
    assert_eq!(
        taken.metadata.resource_version.as_deref(),
        Some("8"),
        "the write must carry what was read"
    );
    assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
}

#[test]
fn the_wall_clock_in_a_lease_of_another_decides_nothing() {
    for renewed in [wall(-1_000_000), wall(1_000_000)] {
        let mut lease = held_by("b", "7");
        lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(renewed));
        let claim = Watched::default().decide(Some(lease), &candidate("a"), Instant::now(), wall(0));
        assert_eq!(
            claim,
            Claim::Wait {
                holder: String::from("b")
            }
        );
    }
}

#[test]
fn a_holder_that_asked_for_more_time_gets_it() {
    let mut lease = held_by("b", "7");
    lease.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
    let (mut watched, start) = (Watched::default(), Instant::now());
    for after in [0, 15, 59] {
        let now = start + Duration::from_secs(after);
        let claim = watched.decide(Some(lease.clone()), &candidate("a"), now, wall(0));
        assert_eq!(
            claim,
            Claim::Wait {
                holder: String::from("b")
            },
            "after {after} s"
        );
    }
    written(watched.decide(
        Some(lease),
        &candidate("a"),
        start + Duration::from_secs(60),
        wall(0),
    ));
}

#[test]
fn a_lease_without_a_holder_is_taken_at_once() {
    for holder in [None, Some(String::new())] {
        let mut lease = held_by("b", "7");
        lease.spec.as_mut().unwrap().holder_identity = holder;
        let taken = written(Watched::default().decide(Some(lease), &candidate("a"), Instant::now(), wall(0)));
        assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
    }
}

#[test]
fn a_renewal_moves_the_renew_time_and_keeps_the_rest() {
    let renewed =
        written(Watched::default().decide(Some(held_by("a", "7")), &candidate("a"), Instant::now(), wall(2)));
    let spec = renewed.spec.unwrap();
    assert_eq!(spec.acquire_time, Some(MicroTime(wall(0))));
    assert_eq!(spec.renew_time, Some(MicroTime(wall(2))));
    assert_eq!(spec.lease_transitions, Some(0));
}

#[test]
fn only_the_own_lease_is_released() {
    assert_eq!(candidate("a").released(held_by("b", "7")), None);
    let released = candidate("a").released(held_by("a", "7")).unwrap();
    assert_eq!(released.spec.unwrap().holder_identity, None);
    assert_eq!(released.metadata.resource_version.as_deref(), Some("7"));
}
