//! A download that goes on where its connection broke.

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};

use super::{
    error::{FetchError, try_again},
    target::Target,
};

/// A connection that brought this much was worth it: the next one follows at once and does not count as a retry.
const WORTHWHILE: u64 = 64 * 1024;

/// Where to go on, and the edition (strong ETag) that the bytes so far are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Bytes that are there.
    pub offset: u64,
    /// None: the server names no edition, but the place can have only one content.
    pub etag: Option<String>,
}

/// What a server answers.
pub enum Answer {
    /// Bytes.
    Body(Body),
    /// The file is another one by now.
    Changed,
}

/// The file from `offset` on.
pub struct Body {
    /// Position of the first byte.
    pub offset: u64,
    /// Length of the whole file, if it is known.
    pub total: Option<u64>,
    /// Strong ETag, if there is one.
    pub etag: Option<String>,
    /// The bytes.
    pub bytes: BoxStream<'static, Result<Bytes, FetchError>>,
}

/// A file on its way, over as many connections as it takes.
pub struct Partial {
    /// What came so far.
    pub target: Target,
    etag: Option<String>,
    resumed: bool,
}

impl Partial {
    /// Nothing came yet.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            etag: None,
            resumed: false,
        }
    }

    /// Forgets what came.
    pub fn restart(&mut self) -> Result<(), FetchError> {
        self.etag = None;
        self.resumed = false;
        self.target.restart()
    }

    /// Receives the file, or what is missing of it. `immutable`: the place can have only one content, as a blob that is
    /// named by its digest; else only a file with a strong ETag is continued.
    ///
    /// After an error the same call goes on, if that can be.
    pub async fn receive(
        &mut self,
        immutable: bool,
        open: impl AsyncFn(Option<Point>) -> Result<Answer, FetchError>,
    ) -> Result<(), FetchError> {
        loop {
            let before = self.target.written();
            match self.connection(immutable, &open).await {
                Err(error) if error.transient && self.target.written() >= before + WORTHWHILE => {
                    tracing::info!(%error, bytes = self.target.written(), "the connection broke; going on");
                }
                outcome => return outcome,
            }
        }
    }

    async fn connection(
        &mut self,
        immutable: bool,
        open: &impl AsyncFn(Option<Point>) -> Result<Answer, FetchError>,
    ) -> Result<(), FetchError> {
        let point = self.point(immutable);
        let goes_on = point.is_some();
        let Answer::Body(mut body) = open(point).await? else {
            return self.changed();
        };
        if body.offset == 0 {
            self.restart()?;
            self.etag = body.etag;
        } else {
            let same = self.etag.is_none() || body.etag.is_none() || self.etag == body.etag;
            if !goes_on || !same || body.offset != self.target.written() {
                return self.changed();
            }
            self.resumed = true;
        }
        self.target.announce(body.total)?;
        while let Some(piece) = body.bytes.next().await {
            self.target.write(&piece?)?;
        }
        Ok(())
    }

    fn point(&self, immutable: bool) -> Option<Point> {
        let offset = self.target.written();
        (offset > 0 && (immutable || self.etag.is_some())).then(|| Point {
            offset,
            etag: self.etag.clone(),
        })
    }

    fn changed(&mut self) -> Result<(), FetchError> {
        self.restart()?;
        Err(try_again(
            "the file changed on the server while it was fetched; beginning anew",
        ))
    }

    /// Fails when the bytes are others than expected. A file of several connections gets another chance in one.
    pub fn check(&mut self, sha256: &str) -> Result<(), FetchError> {
        match self.target.check(sha256) {
            Err(error) if self.resumed => {
                self.restart()?;
                Err(FetchError {
                    transient: true,
                    ..error
                })
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::stream;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::model::artifact::{FetchReason, target::hex};

    const PIECE: u64 = WORTHWHILE;

    /// A file of `pieces` pieces, each its own letter, and a script: how many pieces each connection brings.
    struct Server {
        content: Vec<u8>,
        etags: Vec<Option<&'static str>>,
        brings: Vec<u64>,
        ranges: bool,
        asked: RefCell<Vec<Option<Point>>>,
    }

    impl Server {
        fn new(pieces: u8, brings: &[u64]) -> Self {
            let content = (0..pieces).flat_map(|piece| vec![b'a' + piece; PIECE as usize]);
            Self {
                content: content.collect(),
                etags: vec![Some("\"1\""); brings.len()],
                brings: brings.to_vec(),
                ranges: true,
                asked: RefCell::default(),
            }
        }

        fn sha256(&self) -> String {
            hex(Sha256::new_with_prefix(&self.content))
        }

        async fn open(&self, point: Option<Point>) -> Result<Answer, FetchError> {
            let connection = self.asked.borrow().len();
            let etag = self.etags[connection].map(str::to_owned);
            self.asked.borrow_mut().push(point.clone());
            let offset = match point {
                Some(point) if self.ranges && (point.etag.is_none() || point.etag == etag) => point.offset,
                _ => 0,
            };
            let end = (offset + self.brings[connection] * PIECE).min(self.content.len() as u64);
            let mut pieces = vec![Ok(Bytes::copy_from_slice(
                &self.content[offset as usize..end as usize],
            ))];
            if end < self.content.len() as u64 {
                pieces.push(Err(try_again("cut")));
            }
            Ok(Answer::Body(Body {
                offset,
                total: Some(self.content.len() as u64),
                etag,
                bytes: stream::iter(pieces).boxed(),
            }))
        }

        fn offsets(&self) -> Vec<u64> {
            let asked = self.asked.borrow();
            asked
                .iter()
                .map(|p| p.as_ref().map_or(0, |p| p.offset / PIECE))
                .collect()
        }
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn partial(&self) -> Partial {
            Partial::new(Target::create(&self.0.path().join("m"), 1 << 20).unwrap())
        }
    }

    #[tokio::test]
    async fn a_broken_download_goes_on_where_it_stopped() {
        let (place, server) = (Place::new(), Server::new(4, &[1, 2, 9]));
        let mut partial = place.partial();
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        partial.check(&server.sha256()).unwrap();
        assert_eq!(server.offsets(), [0, 1, 3]);
    }

    #[tokio::test]
    async fn a_connection_that_brings_nothing_is_left_to_the_retries() {
        let (place, server) = (Place::new(), Server::new(2, &[1, 0, 9]));
        let mut partial = place.partial();
        let error = partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap_err();
        assert!(error.transient);
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        partial.check(&server.sha256()).unwrap();
        assert_eq!(server.offsets(), [0, 1, 1]);
    }

    #[tokio::test]
    async fn a_changed_file_is_fetched_anew() {
        let (place, mut server) = (Place::new(), Server::new(3, &[2, 9]));
        server.etags = vec![Some("\"1\""), Some("\"2\"")];
        let mut partial = place.partial();
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        partial.check(&server.sha256()).unwrap();
        assert_eq!(server.offsets(), [0, 2]);
        assert!(!partial.resumed);
    }

    #[tokio::test]
    async fn without_a_strong_tag_only_an_immutable_place_is_continued() {
        for (immutable, offsets) in [(false, [0, 0]), (true, [0, 2])] {
            let (place, mut server) = (Place::new(), Server::new(3, &[2, 9]));
            server.etags = vec![None, None];
            let mut partial = place.partial();
            partial
                .receive(immutable, async |p| server.open(p).await)
                .await
                .unwrap();
            partial.check(&server.sha256()).unwrap();
            assert_eq!(server.offsets(), offsets);
        }
    }

    #[tokio::test]
    async fn a_server_without_ranges_sends_everything_again() {
        let (place, mut server) = (Place::new(), Server::new(3, &[1, 2, 9]));
        server.ranges = false;
        let mut partial = place.partial();
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        partial.check(&server.sha256()).unwrap();
        assert_eq!(server.offsets(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn wrong_bytes_after_a_continuation_get_one_more_chance() {
        let (place, server) = (Place::new(), Server::new(2, &[1, 9, 9]));
        let mut partial = place.partial();
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        let error = partial.check("other").unwrap_err();
        assert_eq!(
            (error.reason, error.transient),
            (FetchReason::DigestMismatch, true)
        );
        partial
            .receive(false, async |p| server.open(p).await)
            .await
            .unwrap();
        assert!(
            !partial.check("other").unwrap_err().transient,
            "the second time it stays"
        );
        assert_eq!(server.offsets(), [0, 1, 0]);
    }

    #[tokio::test]
    async fn a_part_that_nobody_asked_for_is_not_taken() {
        let place = Place::new();
        let mut partial = place.partial();
        let odd = async |_: Option<Point>| {
            Ok(Answer::Body(Body {
                offset: 5,
                total: None,
                etag: None,
                bytes: stream::empty().boxed(),
            }))
        };
        assert!(partial.receive(true, odd).await.unwrap_err().transient);
        assert_eq!(partial.target.written(), 0);
    }
}
