use futures::{FutureExt as _, poll};
use tokio::task::yield_now;

use super::*;

fn store() -> Idempotency {
    Idempotency::in_memory(Arc::new(Memory::new(Limits::default())))
}

async fn token(store: &Idempotency, id: i64, digest: u128) -> Token<'_> {
    match store.begin(id, Digest(digest), Instant::now()).await {
        Begin::New(token) => token,
        other => panic!("{other:?}"),
    }
}

fn answer(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_request_that_is_sent_again_gets_the_first_answer_and_another_content_is_a_conflict() {
    let store = store();
    let first = token(&store, 7, 1).await;
    assert_eq!(
        store.complete(first, answer("one")).await,
        Completed::Own(answer("one"))
    );
    let again = store.begin(7, Digest(1), Instant::now()).await;
    assert!(matches!(again, Begin::Replay(bytes) if bytes == "one"));
    assert!(matches!(
        store.begin(7, Digest(2), Instant::now()).await,
        Begin::Conflict
    ));
    assert!(matches!(
        store.begin(8, Digest(2), Instant::now()).await,
        Begin::New(_)
    ));
    assert_eq!(store.memory.counts().outcomes, [1, 1, 1, 0]);
}

#[tokio::test]
async fn memory_alone_never_waits() {
    let store = store();
    let Some(Begin::New(first)) = store.begin(1, Digest(1), Instant::now()).now_or_never() else {
        panic!("it waited");
    };
    assert!(store.complete(first, answer("x")).now_or_never().is_some());
}

#[tokio::test]
async fn a_second_request_waits_for_the_answer_of_the_first() {
    let store = store();
    let first = token(&store, 7, 1).await;
    let mut second = Box::pin(store.begin(7, Digest(1), Instant::now()));
    assert!(poll!(&mut second).is_pending());
    assert!(matches!(
        store.begin(7, Digest(2), Instant::now()).await,
        Begin::Conflict
    ));
    store.complete(first, answer("one")).await;
    assert!(matches!(second.await, Begin::Replay(bytes) if bytes == "one"));
    assert_eq!(store.memory.counts().outcomes, [1, 1, 1, 0]);
}

#[tokio::test]
async fn when_the_first_is_given_up_one_of_the_others_is_scored() {
    let store = store();
    let first = token(&store, 7, 1).await;
    let mut others: Vec<_> = (0..3)
        .map(|_| Box::pin(store.begin(7, Digest(1), Instant::now())))
        .collect();
    for other in &mut others {
        assert!(poll!(other).is_pending());
    }
    drop(first);
    let mut replays = 0;
    let Begin::New(second) = others.remove(0).await else {
        panic!("nobody is scored");
    };
    store.complete(second, answer("two")).await;
    for other in others {
        replays += usize::from(matches!(other.await, Begin::Replay(bytes) if bytes == "two"));
    }
    assert_eq!(replays, 2);
}

#[test]
fn threads_agree_on_one_answer() {
    let memory = Arc::new(Memory::new(Limits::default()));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let memory = Arc::clone(&memory);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let store = Idempotency::in_memory(memory);
                    let mut seen = Vec::new();
                    for id in 0..500 {
                        let given = match store.begin(id, Digest(1), Instant::now()).await {
                            Begin::New(token) => {
                                yield_now().await;
                                let own = Bytes::from(format!("{thread}-{id}"));
                                match store.complete(token, own).await {
                                    Completed::Own(bytes) => bytes,
                                    other => panic!("{other:?}"),
                                }
                            }
                            Begin::Replay(bytes) => bytes,
                            Begin::Conflict => panic!("conflict"),
                        };
                        seen.push(given);
                    }
                    seen
                })
            })
        })
        .collect();
    let answers: Vec<Vec<Bytes>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(answers.iter().all(|seen| *seen == answers[0]));
    let [new, replayed, ..] = memory.counts().outcomes;
    assert_eq!((new, replayed), (500, 1500));
}

#[tokio::test]
async fn a_request_that_is_cancelled_while_it_waits_leaves_no_trace() {
    let store = store();
    let first = token(&store, 7, 1).await;
    {
        let mut second = Box::pin(store.begin(7, Digest(1), Instant::now()));
        assert!(poll!(&mut second).is_pending());
    }
    store.complete(first, answer("one")).await;
    assert_eq!(store.memory.counts().outcomes, [1, 0, 0, 0]);
}
