//! The way of log lines out of the process: gathered, and written together by a thread of its own, so that no request
//! waits for whoever reads the log.
//!
//! Warnings and errors are written at once, and everything before them. The last lines are written by
//! [`Lines::flush`], which [`Telemetry`](super::Telemetry) calls when it ends; a process that is killed loses what the
//! last [`PAUSE`] brought.

use std::{
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes beyond which whoever has a line writes them all: nothing is thrown away, however slow the log's reader.
const MOST: usize = 1024 * 1024;

/// Where lines are gathered. Clones share it.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    gathered: Mutex<Vec<u8>>,
    begun: Condvar,
    /// Held while lines are taken and written, so that they stay in order.
    sink: Mutex<Box<dyn Write + Send>>,
}

/// Takes one line.
pub struct OneLine<'a> {
    shared: &'a Shared,
    is_urgent: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Lines {
    /// Writes to `sink`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Shared { gathered: Mutex::default(), begun: Condvar::new(), sink: Mutex::new(Box::new(sink)) };
        let lines = Self(Arc::new(shared));
        let written = lines.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || written.0.write_for_ever())?;
        Ok(lines)
    }

    /// Writes what is gathered, and returns when it is written.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl Shared {
    fn write_for_ever(&self) {
        loop {
            let empty = |gathered: &mut Vec<u8>| gathered.is_empty();
            drop(self.begun.wait_while(lock(&self.gathered), empty).unwrap_or_else(PoisonError::into_inner));
            std::thread::sleep(PAUSE);
            self.flush();
        }
    }

    fn add(&self, line: &[u8]) -> usize {
        let mut gathered = lock(&self.gathered);
        let is_first = gathered.is_empty();
        gathered.extend_from_slice(line);
        if is_first {
            self.begun.notify_one();
        }
        gathered.len()
    }

    fn flush(&self) {
        let mut sink = lock(&self.sink);
        let lines = std::mem::take(&mut *lock(&self.gathered));
        // A log that can't be written has nowhere to say so.
        let _ = sink.write_all(&lines).and_then(|()| sink.flush());
    }
}

/// No code panics while it holds one of the locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine { shared: &self.0, is_urgent: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> OneLine<'a> {
        OneLine { shared: &self.0, is_urgent: *metadata.level() <= Level::WARN }
    }
}

impl Write for OneLine<'_> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.shared.add(line) > MOST || self.is_urgent {
            self.shared.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.shared.flush();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::JsonLines;

    /// Paper that tells of each stroke, and takes the next one only when it is let.
    struct Paper(mpsc::Sender<String>, mpsc::Receiver<()>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn paper() -> (Lines, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let ((told, strokes), (leave, let_go)) = (mpsc::channel(), mpsc::channel());
        (Lines::to(Paper(told, let_go)).unwrap(), strokes, leave)
    }

    fn numbers(text: &str) -> Vec<u64> {
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn lines_come_out_whole_and_in_order_also_those_of_while_others_were_written() {
        let (lines, strokes, leave) = paper();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(n = 0);
            // The thread is held up in the middle of writing the first.
            assert_eq!(numbers(&strokes.recv().unwrap()), [0]);
            for n in 1..=100 {
                tracing::info!(n);
            }
            drop(leave);
        });
        lines.flush();
        let written: Vec<u64> = strokes.try_iter().flat_map(|stroke| numbers(&stroke)).collect();
        assert_eq!(written, (1..=100).collect::<Vec<u64>>());
    }

    #[test]
    fn a_warning_is_written_before_the_program_goes_on_and_all_before_it() {
        let (lines, strokes, leave) = paper();
        drop(leave);
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(lines));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(n = 1);
            tracing::warn!(n = 2);
            let written: Vec<u64> = strokes.try_iter().flat_map(|stroke| numbers(&stroke)).collect();
            assert_eq!(written, [1, 2]);
        });
    }
}
