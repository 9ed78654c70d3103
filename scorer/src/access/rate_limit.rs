//! A fair share for each client, in a table of fixed size.
//!
//! A bucket is one number: the time at which it would be full again (the generic cell rate algorithm). A bucket that is full
//! is like one that was never used, so forgetting a client that has not called for a while changes nothing. The table is
//! made of small groups; a client's name says which group it belongs to, and a new client takes the place of the one in the
//! group that has used the least. Everything is an atomic: no lock, and no memory is allocated for a request.

use std::{
    hash::{BuildHasher, Hash as _, Hasher as _, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::Client;

/// Clients of one group.
const WAYS: usize = 8;

/// Groups; with the clients of each there are at most 10,000.
const GROUPS: usize = 1250;

/// What each client may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second, in the long run.
    pub per_second: f64,
    /// Requests at once.
    pub burst: u32,
}

/// One client: a hash of its name, zero for nobody, and the time at which its bucket is full again, in nanoseconds.
#[derive(Debug, Default)]
struct Slot {
    client: AtomicU64,
    full_at: AtomicU64,
}

/// The table of all clients of the process.
#[derive(Debug)]
pub struct Limiter {
    groups: Box<[[Slot; WAYS]]>,
    /// Nanoseconds that one request takes from a bucket.
    cost: u64,
    /// Nanoseconds that a bucket holds.
    depth: u64,
    began: Instant,
    hasher: RandomState,
}

impl Limiter {
    /// A table without clients. Times before `began` count as `began`.
    pub fn new(rate: Rate, began: Instant) -> Self {
        let cost = (1e9 / rate.per_second).clamp(1.0, 1e12) as u64;
        Self {
            groups: (0..GROUPS).map(|_| Default::default()).collect(),
            cost,
            depth: cost.saturating_mul(u64::from(rate.burst.max(1))),
            began,
            hasher: RandomState::new(), // keyed: nobody can aim at another client's group
        }
    }

    /// Lets one request of this client pass, or says when the next one may.
    pub fn admit(&self, client: &Client, now: Instant) -> Result<(), Duration> {
        let now = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX / 2);
        let name = self.name(client);
        let group = &self.groups[(name >> 32) as usize % GROUPS];
        let slot = match group.iter().find(|slot| slot.client.load(Relaxed) == name) {
            Some(slot) => slot,
            None => take_place(group, name, now),
        };
        self.take(&slot.full_at, now)
    }

    fn take(&self, full_at: &AtomicU64, now: u64) -> Result<(), Duration> {
        let spend = |full_at: u64| {
            let after = full_at.max(now).saturating_add(self.cost);
            (after - now <= self.depth).then_some(after)
        };
        match full_at.fetch_update(Relaxed, Relaxed, spend) {
            Ok(_) => Ok(()),
            Err(full_at) => {
                let wait = full_at.saturating_add(self.cost) - now - self.depth;
                Err(Duration::from_nanos(wait))
            }
        }
    }

    fn name(&self, client: &Client) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match client {
            Client::Token(name) => (0_u8, name).hash(&mut hasher),
            Client::Address(IpAddr::V4(address)) => (1_u8, address.to_bits()).hash(&mut hasher),
            Client::Address(IpAddr::V6(address)) => (2_u8, address.to_bits()).hash(&mut hasher),
        }
        hasher.finish().max(1)
    }
}

/// Puts a new client, with a full bucket, in the place of the one that has used the least.
///
/// Two threads that do this at once may both win, or one client may get two places: then somebody gets a request too many,
/// and nobody one too few.
fn take_place(group: &[Slot; WAYS], name: u64, now: u64) -> &Slot {
    let mut idlest = &group[0];
    for slot in &group[1..] {
        if slot.full_at.load(Relaxed) < idlest.full_at.load(Relaxed) {
            idlest = slot;
        }
    }
    idlest.client.store(name, Relaxed);
    idlest.full_at.store(now, Relaxed);
    idlest
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, thread};

    use proptest::prelude::*;

    use super::*;

    fn client(number: usize) -> Client {
        Client::Token(format!("client-{number}").into())
    }

    fn limiter(per_second: f64, burst: u32) -> (Limiter, Instant) {
        let began = Instant::now();
        (Limiter::new(Rate { per_second, burst }, began), began)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (limiter, began) = limiter(10.0, 3);
        let me = client(1);
        let at = |ms| limiter.admit(&me, began + Duration::from_millis(ms));
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(Duration::from_millis(100)));
        assert_eq!(at(40), Err(Duration::from_millis(60)), "a refusal costs nothing");
        assert_eq!(at(100), Ok(()));
        assert_eq!(at(100), Err(Duration::from_millis(100)));
        assert_eq!([at(10_000), at(10_000), at(10_000)], [Ok(()); 3]);
        assert!(at(10_000).is_err(), "idle time fills the bucket no further");
    }

    #[test]
    fn a_client_at_ten_times_its_rate_does_not_hurt_the_others() {
        let (limiter, began) = limiter(100.0, 10);
        let mut passed = BTreeMap::new();
        for ms in 0..10_000 {
            let now = began + Duration::from_millis(ms);
            // One client sends 1,000 a second, nine send 100.
            for sender in 0..10 {
                if sender == 0 || ms % 10 == sender as u64 {
                    let ok = limiter.admit(&client(sender), now).is_ok();
                    *passed.entry(sender).or_insert(0) += u32::from(ok);
                }
            }
        }
        for sender in 1..10 {
            assert_eq!(passed[&sender], 1_000, "{sender}");
        }
        assert!((1_000..=1_010).contains(&passed[&0]), "{passed:?}");
    }

    #[test]
    fn threads_share_the_limit() {
        let (limiter, began) = limiter(1.0, 1_000);
        let me = client(1);
        assert!(limiter.admit(&me, began).is_ok());
        let passed: usize = thread::scope(|scope| {
            let work = || (0..1_000).filter(|_| limiter.admit(&me, began).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 999);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_whom_it_may() {
        const { assert!(GROUPS * WAYS <= 10_000) };
        let (limiter, began) = limiter(1.0, 5);
        let busy = client(0);
        for _ in 0..5 {
            assert!(limiter.admit(&busy, began).is_ok());
        }
        // A hundred thousand others, each once: none of them has used as much as the busy one.
        for number in 1..100_000 {
            assert!(
                limiter
                    .admit(&client(number), began + Duration::from_millis(1))
                    .is_ok()
            );
        }
        assert!(limiter.admit(&busy, began + Duration::from_millis(2)).is_err());
    }

    #[test]
    fn kinds_of_clients_are_different_clients() {
        let (limiter, began) = limiter(1.0, 1);
        for client in [
            Client::Token("10.0.0.1".into()),
            Client::Address([10, 0, 0, 1].into()),
        ] {
            assert!(limiter.admit(&client, began).is_ok());
            assert!(limiter.admit(&client, began).is_err());
        }
    }

    proptest! {
        #[test]
        fn nobody_passes_more_than_burst_and_rate(
            gaps in prop::collection::vec(0_u64..50, 1..400), per_second in 1_u32..200, burst in 1_u32..20,
        ) {
            let (limiter, began) = limiter(f64::from(per_second), burst);
            let (mut ms, mut passed) = (0, 0_u64);
            for gap in gaps {
                ms += gap;
                passed += u64::from(limiter.admit(&client(1), began + Duration::from_millis(ms)).is_ok());
                let most = u64::from(burst) + (ms as f64 / 1e3 * f64::from(per_second) + 1e-3) as u64;
                prop_assert!(passed <= most, "{passed} of {most} after {ms} ms");
            }
        }

        #[test]
        fn a_wait_is_long_enough(per_second in 0.1_f64..100.0, burst in 1_u32..10) {
            let (limiter, began) = limiter(per_second, burst);
            let mut now = began;
            for _ in 0..50 {
                if let Err(wait) = limiter.admit(&client(1), now) {
                    now += wait;
                    prop_assert!(limiter.admit(&client(1), now).is_ok());
                }
            }
        }
    }
}
