//! Is this upload a video? Answered from ranged reads of the object, within 10 seconds.
//!
//! Lives here: recognising the container by content (`sniff`), walking it (`mp4`, `matroska`) to refuse what is cut
//! off or points outside itself, and running `ffprobe` confined (`ffprobe`) on a sparse copy of the few ranges
//! that matter. Does not live here: where the object is stored (a [`RangeReader`] is), and encoding.
//!
//! What keeps a hostile upload from reaching anything: `ffprobe` sees one local file and may open nothing but
//! files and the accepted containers; playlists, which name further addresses, never get as far as `ffprobe`; an MP4 that
//! keeps its media elsewhere is refused; the process has no credentials in its environment and little CPU,
//! memory and time.

mod ffprobe;
#[cfg(test)]
mod fixtures;
mod fragments;
#[cfg(test)]
mod hostile_tests;
mod matroska;
mod mp4;
mod refusal;
mod sniff;
mod source;
#[cfg(test)]
mod tests;
mod verdict;

pub use ffprobe::Ffprobe;
pub use refusal::Refusal;
pub use source::RangeReader;
pub use verdict::{AUDIO_CODECS, MAX_SECONDS, Probe, VIDEO_CODECS};

use source::Source;
use std::{io, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Time for the whole probe; the client that completed the upload waits for it.
const TIME: Duration = Duration::from_secs(10);
/// Share of [`TIME`] for reading the object, so that `ffprobe` always has seconds left for its own work.
const READING_TIME: Duration = Duration::from_secs(7);

/// The containers that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// MPEG-4 part 14 and its relatives (ISO base media file format with an MPEG or 3GPP brand).
    Mp4,
    /// Apple's QuickTime movie: the same boxes with the brand `qt  `, or none as before 2001.
    QuickTime,
    /// Matroska.
    Matroska,
    /// WebM: Matroska restricted to open codecs, with a document type of its own.
    WebM,
}

impl Container {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::QuickTime => "QuickTime (MOV)",
            Self::Matroska => "Matroska (MKV)",
            Self::WebM => "WebM",
        }
    }

    /// The content type that fits it best.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::Matroska => "video/x-matroska",
            Self::WebM => "video/webm",
        }
    }
}

/// Why there is no [`Probe`].
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The upload itself is at fault: tell the user (422).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The object could not be read; says nothing of the upload (503).
    #[error("reading the object failed")]
    Reader(#[source] io::Error),
    /// Storage was too slow for the probe's time; says nothing of the upload (503).
    #[error("reading the object took more than {} seconds", READING_TIME.as_secs())]
    SlowReader,
    /// `ffprobe` is missing or could not be started (503).
    #[error("ffprobe cannot run: {0}")]
    Tool(String),
    /// No room or no permission for the scratch file (503).
    #[error("the scratch file could not be written")]
    Scratch(#[source] io::Error),
}

/// Probes the object behind `reader`, uploaded as `declared` (a content type, parameters allowed).
///
/// Reads up to 52 MiB: all of an MP4's index, the beginning of the media. Holds as much memory until it is read, and
/// `ffprobe` up to 192 MiB afterwards.
///
/// # Errors
/// [`ProbeError::Refused`] when the upload is no acceptable video; everything else is the platform's trouble.
pub async fn probe<R: RangeReader>(tool: &Ffprobe, reader: &R, declared: &str) -> Result<Probe, ProbeError> {
    let started = Instant::now();
    let mut source = Source::new(reader);
    let found = timeout_at(started + READING_TIME, inspect(&mut source, declared))
        .await
        .map_err(|_| ProbeError::SlowReader)??;
    let (size, blocks) = source.into_parts();
    let output = ffprobe::run(tool, size, blocks, started + TIME).await?;
    Ok(verdict::judge(&output, &found, size)?)
}

/// What the walk of the container established.
#[derive(Debug, Clone, Copy)]
struct Found {
    container: Container,
    length: Length,
}

/// How much a container's walk knows of the duration, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Length {
    /// The container says so; an estimate of `ffprobe` does not count.
    Exactly(f64),
    /// Not less than this; `ffprobe` may know more.
    AtLeast(f64),
}

async fn inspect<R: RangeReader>(source: &mut Source<'_, R>, declared: &str) -> Result<Found, ProbeError> {
    if source.size() == 0 {
        return Err(Refusal::Empty.into());
    }
    let head = source.upto(0, sniff::HEAD).await?;
    let kind = sniff::recognise(&head)?;
    kind.check_declared(declared)?;
    let container = kind.container;
    let length = match container {
        Container::Mp4 | Container::QuickTime => mp4::inspect(source).await?,
        Container::Matroska | Container::WebM => matroska::inspect(source).await?,
    };
    Ok(Found { container, length })
}
