//! What a process prints: passed on to the function's log as it comes, and its last 4 KB kept for
//! callers who ask for them (`LogType: Tail`).

use std::collections::VecDeque;
use std::io::{self, PipeReader, Write as _};
use std::sync::{Arc, Mutex};

use tokio::net::unix::pipe::Receiver;

/// What Lambda returns of a log, in bytes.
pub(crate) const TAIL_BYTES: usize = 4096;

/// The output of one process.
pub(crate) struct Output {
    receiver: Receiver,
    tail: Mutex<VecDeque<u8>>,
}

impl Output {
    /// Passes on what comes out of `reader` until its last writer has gone.
    ///
    /// # Errors
    /// If the kernel does not let the pipe be waited for.
    pub(crate) fn follow(reader: PipeReader) -> io::Result<Arc<Self>> {
        let receiver = Receiver::from_owned_fd(reader.into())?;
        let output = Arc::new(Self { receiver, tail: Mutex::default() });
        let followed = Arc::clone(&output);
        tokio::spawn(async move {
            while followed.receiver.readable().await.is_ok() && followed.drain().is_ok() {}
        });
        Ok(output)
    }

    /// Passes on what has been printed so far.
    ///
    /// # Errors
    /// If nothing will come any more.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.receiver.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    // A closed standard output loses text, not calls.
                    let _ = io::stdout().lock().write_all(&buffer[..length]);
                    let mut tail = self.tail.lock().expect("no holder panics");
                    tail.extend(&buffer[..length]);
                    let surplus = tail.len().saturating_sub(TAIL_BYTES);
                    tail.drain(..surplus);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets what has been printed so far: an invocation starts.
    pub(crate) fn forget(&self) {
        let _ = self.drain();
        self.tail.lock().expect("no holder panics").clear();
    }

    /// The end of what has been printed since the invocation started.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let _ = self.drain();
        self.tail.lock().expect("no holder panics").iter().copied().collect()
    }
}
