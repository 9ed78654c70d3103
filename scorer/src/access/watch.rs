//! Follows changes of the tokens.

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use super::Access;

impl Access {
    /// Reads the tokens again from time to time, on a thread that ends some time after the last use of this.
    /// Does nothing without tokens.
    pub fn watch(self: &Arc<Self>, every: Duration) -> io::Result<()> {
        if self.folder.is_none() {
            return Ok(());
        }
        let access = Arc::downgrade(self);
        thread::Builder::new()
            .name("tokens".to_owned())
            .spawn(move || follow(&access, every))?;
        Ok(())
    }
}

fn follow(access: &Weak<Access>, every: Duration) {
    let mut failing = false;
    loop {
        thread::sleep(every);
        let Some(access) = access.upgrade() else {
            return;
        };
        let outcome = access.reload();
        match &outcome {
            Ok(true) => tracing::info!("the tokens have changed"),
            Ok(false) => {}
            Err(error) if !failing => {
                tracing::error!(%error, "the tokens cannot be read; the old ones stay in force");
            }
            // Said once: the counter goes on.
            Err(_) => {}
        }
        failing = outcome.is_err();
    }
}
