use std::collections::HashMap;

use proptest::prelude::*;

use super::{ring::OVERHEAD, *};

const TTL: Duration = Duration::from_secs(60);

fn memory(entries: usize, bytes: usize) -> Memory {
    Memory::with_shards(
        Limits {
            entries,
            bytes,
            ttl: TTL,
        },
        1,
    )
}

fn roomy() -> Memory {
    memory(1000, 1 << 20)
}

fn answered(memory: &Memory, id: i64, answer: &'static str, now: Instant) {
    assert!(
        matches!(memory.begin(id, Digest(1), now), Found::Nothing),
        "{id} is known already"
    );
    memory.complete(id, &Bytes::from_static(answer.as_bytes()), Outcome::New);
}

fn is_known(memory: &Memory, id: i64, now: Instant) -> bool {
    match memory.begin(id, Digest(1), now) {
        Found::Nothing => {
            memory.abandon(id);
            false
        }
        _ => true,
    }
}

#[test]
fn an_answer_is_given_again_until_its_time_is_over() {
    let (memory, start) = (roomy(), Instant::now());
    answered(&memory, 7, "yes", start);
    let last = start + TTL - Duration::from_millis(1);
    assert!(matches!(memory.begin(7, Digest(1), last), Found::Answer(a) if a == "yes"));
    assert!(matches!(memory.begin(7, Digest(2), last), Found::Conflict));
    assert!(!is_known(&memory, 7, start + TTL));
    let counts = memory.counts();
    assert_eq!((counts.outcomes, counts.evicted), ([1, 1, 1, 0], 0));
}

#[test]
fn the_oldest_goes_when_there_are_too_many_or_they_are_too_large() {
    let start = Instant::now();
    for memory in [memory(3, 1 << 20), memory(1000, 3 * (OVERHEAD + 5) + 3)] {
        for id in 0..4 {
            answered(&memory, id, "1234", start);
        }
        assert_eq!((memory.counts().entries, memory.counts().evicted), (3, 1));
        assert!(is_known(&memory, 1, start) && is_known(&memory, 3, start));
        assert!(!is_known(&memory, 0, start));
    }
}

#[test]
fn an_answer_that_is_larger_than_the_memory_is_not_kept() {
    let (memory, start) = (memory(10, OVERHEAD + 2), Instant::now());
    answered(&memory, 1, "1234", start);
    assert_eq!((memory.counts().entries, memory.counts().bytes), (0, 0));
}

#[test]
fn what_is_given_up_leaves_no_trace() {
    let (memory, start) = (memory(3, 1 << 20), Instant::now());
    for id in 0..100 {
        assert!(matches!(memory.begin(id, Digest(1), start), Found::Nothing));
    }
    for id in 0..100 {
        memory.abandon(id);
    }
    memory.complete(1, &Bytes::from_static(b"too late"), Outcome::New);
    assert_eq!((memory.counts().entries, memory.counts().bytes), (0, 0));
    answered(&memory, 1, "x", start);
    assert!(is_known(&memory, 1, start));
}

#[test]
fn what_is_being_scored_is_not_given_up_for_want_of_room() {
    let (memory, start) = (memory(1, 1 << 20), Instant::now());
    assert!(matches!(memory.begin(1, Digest(1), start), Found::Nothing));
    answered(&memory, 2, "two", start);
    assert!(matches!(memory.begin(1, Digest(1), start), Found::Pending(_)));
    memory.complete(1, &Bytes::from_static(b"one"), Outcome::New);
    assert!(is_known(&memory, 1, start) && !is_known(&memory, 2, start));
}

#[test]
fn no_more_room_is_taken_than_is_said() {
    let limits = Limits {
        entries: 100_000,
        bytes: 1 << 20,
        ttl: TTL,
    };
    let mix = mix::Mix::random();
    let (mut ring, text) = (ring::Ring::new(mix), [b'x'; 320]);
    for id in 0..20_000 {
        ring.push(id, Digest(1), Instant::now(), &text);
        while ring.bytes() > limits.bytes {
            ring.pop();
        }
        assert!(
            ring.room() <= ring.bytes().max(4096),
            "{} of {}",
            ring.room(),
            ring.bytes()
        );
    }
    assert!(ring.len() > 2000);
}

#[test]
fn entries_are_spread_over_the_shards() {
    let (memory, start) = (Memory::new(Limits::default()), Instant::now());
    for id in 0..1600 {
        answered(&memory, id, "x", start);
    }
    for shard in &memory.shards {
        let entries = shard.lock().unwrap().counts().entries;
        assert!((50..200).contains(&entries), "{entries}");
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_simple_map(steps in prop::collection::vec((0_i64..8, 0_u128..2, 0_u64..30, any::<bool>()), 0..80)) {
        let (memory, start) = (roomy(), Instant::now());
        let (mut now, mut model) = (start, HashMap::<i64, (u128, Instant)>::new());
        for (id, content, seconds, answers) in steps {
            now += Duration::from_secs(seconds);
            model.retain(|_, (_, expires)| *expires > now);
            match (memory.begin(id, Digest(content), now), model.get(&id)) {
                (Found::Nothing, None) if answers => {
                    memory.complete(id, &Bytes::from(format!("{id} {content}")), Outcome::New);
                    model.insert(id, (content, now + TTL));
                }
                (Found::Nothing, None) => memory.abandon(id),
                (Found::Answer(answer), Some((known, _))) => {
                    prop_assert_eq!(known, &content);
                    prop_assert_eq!(answer, format!("{id} {content}"));
                }
                (Found::Conflict, Some((known, _))) => prop_assert_ne!(known, &content),
                (found, expected) => prop_assert!(false, "{found:?}, expected {expected:?}"),
            }
            let counts = memory.counts();
            prop_assert_eq!(counts.entries, model.len());
            prop_assert_eq!(counts.bytes, OVERHEAD * model.len() + 3 * model.len() + 3 * model.len() / 4);
        }
    }
}
