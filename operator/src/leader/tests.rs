//! Elections against a double of the API server, on a clock that only moves when everybody waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use super::*;
use double::{LeaseServer, Link, Weather};

mod double;

const TTL: Duration = Duration::from_secs(15);

fn election(server: &LeaseServer, link: &Link, identity: &str, fence: &Fence) -> Election {
    let client = server.client(link);
    Election::new(
        client,
        "fraudops-system",
        "fraudops-operator",
        identity.to_owned(),
        TTL,
        fence.clone(),
    )
}

/// Counts who works at the same time.
#[derive(Clone, Debug, Default)]
struct Floor {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    ever: Arc<AtomicUsize>,
}

struct Presence(Floor);

impl Floor {
    fn enter(&self) -> Presence {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.ever.fetch_add(1, Ordering::SeqCst);
        Presence(self.clone())
    }

    fn occupied(&self) -> bool {
        self.now.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

type Run = JoinHandle<Result<Option<()>, LeaderError>>;

/// Starts a candidate whose work lasts until `shutdown`.
fn start(election: Election, floor: &Floor, shutdown: &CancellationToken) -> Run {
    let (floor, shutdown) = (floor.clone(), shutdown.clone());
    tokio::spawn(async move {
        let stop = shutdown.clone();
        let work = || async move {
            let _presence = floor.enter();
            stop.cancelled().await;
        };
        election.lead(shutdown, work).await
    })
}

async fn until(mut holds: impl FnMut() -> bool, limit: Duration) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}");
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_clean_exit_hands_over_within_two_seconds() {
    let (server, floor) = (LeaseServer::default(), Floor::default());
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let leader = start(
        election(&server, &Link::default(), "a", &Fence::closed()),
        &floor,
        &first,
    );
    until(|| floor.occupied(), Duration::from_secs(1)).await;
    let heir = start(
        election(&server, &Link::default(), "b", &Fence::closed()),
        &floor,
        &second,
    );
    sleep(TTL * 4).await;
    assert_eq!(
        server.holder().as_deref(),
        Some("a"),
        "the heir must wait while the leader renews"
    );

    first.cancel();
    assert!(matches!(leader.await.unwrap(), Ok(Some(()))));
    until(|| server.holder().as_deref() == Some("b"), Duration::from_secs(2)).await;
    second.cancel();
    assert!(matches!(heir.await.unwrap(), Ok(Some(()))));
    assert_eq!(server.holder(), None);
    assert_eq!(floor.most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_leader_is_replaced_after_the_duration_of_its_lease() {
    let (server, floor) = (LeaseServer::default(), Floor::default());
    let stop = CancellationToken::new();
    let leader = start(
        election(&server, &Link::default(), "a", &Fence::closed()),
        &floor,
        &stop,
    );
    until(|| floor.occupied(), Duration::from_secs(1)).await;
    let heir = start(
        election(&server, &Link::default(), "b", &Fence::closed()),
        &floor,
        &stop,
    );
    sleep(TTL * 3).await;

    leader.abort();
    let took = until(
        || server.holder().as_deref() == Some("b"),
        Duration::from_secs(17),
    )
    .await;
    assert!(
        took > TTL * 2 / 3,
        "taken after {took:?}, while a slow leader could still work"
    );
    stop.cancel();
    assert!(matches!(heir.await.unwrap(), Ok(Some(()))));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_anyone_can_take_over() {
    for weather in [Weather::BlackHole, Weather::Refused] {
        let (server, floor, link) = (LeaseServer::default(), Floor::default(), Link::default());
        let (stop, fence) = (CancellationToken::new(), Fence::closed());
        let leader = start(election(&server, &link, "a", &fence), &floor, &stop);
        until(|| floor.occupied(), Duration::from_secs(1)).await;
        sleep(Duration::from_secs(60)).await;
        fence.check().unwrap();

        link.set(weather);
        let took = until(|| !floor.occupied(), TTL * 2 / 3 + Duration::from_millis(50)).await;
        assert!(took >= TTL / 3, "{weather:?}: gave up after only {took:?}");
        fence.check().unwrap_err();
        let lost = leader.await.unwrap().unwrap_err().to_string();
        assert!(lost.contains("no renewal for 10s"), "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_costs_nothing() {
    let (server, floor, link) = (LeaseServer::default(), Floor::default(), Link::default());
    let stop = CancellationToken::new();
    let leader = start(election(&server, &link, "a", &Fence::closed()), &floor, &stop);
    until(|| floor.occupied(), Duration::from_secs(1)).await;
    for _ in 0..10 {
        link.set(Weather::AnswerLost);
        sleep(TTL / 3).await;
        link.set(Weather::Fair);
        sleep(TTL / 3).await;
    }
    assert!(floor.occupied());
    stop.cancel();
    assert!(matches!(leader.await.unwrap(), Ok(Some(()))));
    assert_eq!(floor.ever.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_force_ends_the_work_at_the_next_renewal() {
    let (server, floor) = (LeaseServer::default(), Floor::default());
    let stop = CancellationToken::new();
    let leader = start(
        election(&server, &Link::default(), "a", &Fence::closed()),
        &floor,
        &stop,
    );
    until(|| floor.occupied(), Duration::from_secs(1)).await;
    server.seize("somebody-else");
    until(|| !floor.occupied(), Duration::from_secs(3)).await;
    assert!(
        leader
            .await
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("held by somebody-else")
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_standing_by_ends_without_work() {
    let (server, floor) = (LeaseServer::default(), Floor::default());
    server.seize("somebody-else");
    let stop = CancellationToken::new();
    let candidate = start(
        election(&server, &Link::default(), "a", &Fence::closed()),
        &floor,
        &stop,
    );
    sleep(Duration::from_secs(3)).await;
    stop.cancel();
    assert!(matches!(candidate.await.unwrap(), Ok(None)));
    assert_eq!(server.holder().as_deref(), Some("somebody-else"));
}

#[tokio::test(start_paused = true)]
async fn the_fence_shuts_by_itself_when_nothing_renews_it() {
    let fence = Fence::closed();
    fence.check().unwrap_err();
    fence.extend(Instant::now() + Duration::from_secs(10));
    fence.check().unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    fence.check().unwrap_err();
}

/// One candidate that starts again whenever it ended, as a pod does.
async fn restart_for_ever(server: LeaseServer, link: Link, name: usize, floor: Floor) {
    for life in 0.. {
        let election = election(&server, &link, &format!("{name}-{life}"), &Fence::closed());
        let end = CancellationToken::new();
        let _ = start(election, &floor, &end).await;
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_never_two_leaders_in_any_weather() {
    let total = Arc::new(Mutex::new((0, 0)));
    for seed in 0..30 {
        let mut dice = StdRng::seed_from_u64(seed);
        let (server, floor) = (LeaseServer::default(), Floor::default());
        let links: Vec<Link> = (0..3).map(|_| Link::default()).collect();
        let candidates: Vec<JoinHandle<()>> = (links.iter().cloned().enumerate())
            .map(|(name, link)| tokio::spawn(restart_for_ever(server.clone(), link, name, floor.clone())))
            .collect();
        for _ in 0..40 {
            links[dice.random_range(0..3)].set(Weather::roll(&mut dice));
            sleep(Duration::from_millis(dice.random_range(100..12_000))).await;
        }
        links.iter().for_each(|link| link.set(Weather::Fair));
        until(|| floor.occupied(), TTL * 2).await;
        candidates.iter().for_each(JoinHandle::abort);
        assert_eq!(floor.most.load(Ordering::SeqCst), 1, "seed {seed}");
        let mut total = total.lock().unwrap();
        *total = (total.0 + 1, total.1 + floor.ever.load(Ordering::SeqCst));
    }
    let (runs, leaders) = *total.lock().unwrap();
    assert!(
        leaders > runs * 2,
        "the weather must cause changes of leader, but {leaders} in {runs} runs"
    );
}
