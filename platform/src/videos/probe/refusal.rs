//! What is wrong with an upload, in words for the person who uploaded it.

/// An upload that is no acceptable video. `Display` says what is wrong and what would be right; [`code`](Self::code)
/// is for programs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was uploaded.
    #[error("The file is empty. Upload an MP4, MOV, WebM or MKV video.")]
    Empty,
    /// Something else than a video, whatever its name.
    #[error("The file is {found}, not a video. Upload an MP4, MOV, WebM or MKV video.")]
    NotAVideo {
        /// What it is instead, with its article.
        found: &'static str,
    },
    /// A video in a container that is not accepted.
    #[error("The file is {found}. Convert it to MP4, MOV, WebM or MKV.")]
    UnsupportedContainer {
        /// What it is, with its article.
        found: &'static str,
    },
    /// It says to be something else than it is.
    #[error("The file was sent as {declared:?}, but its content is {found}. Send it as {right}.")]
    ContentTypeMismatch {
        /// What the client declared.
        declared: String,
        /// What the content is.
        found: &'static str,
        /// The content type that fits.
        right: &'static str,
    },
    /// The end is missing.
    #[error("The file is cut off: {0}. Export the video again, or upload it again from the start.")]
    Truncated(String),
    /// The container contradicts itself.
    #[error("The file is damaged: {0}. Export the video again.")]
    Damaged(String),
    /// Its media lie in another file or at an address.
    #[error("The video keeps its pictures or sound in another file. Export it as a self-contained video.")]
    ExternalReference,
    /// The index is beyond what any film of a few hours needs.
    #[error("The video's index is larger than {limit_mib} MiB. Export the video again as an ordinary MP4.")]
    IndexTooLarge {
        /// The limit in MiB.
        limit_mib: u64,
    },
    /// The index lists more pictures and sounds than any 24 hours have.
    #[error(
        "The video's index lists more than {limit_millions} million pictures and sounds. Export the video again as an \
         ordinary MP4."
    )]
    TooManySamples {
        /// The limit in millions.
        limit_millions: u64,
    },
    /// Examining it takes more memory than it may have.
    #[error(
        "Examining the video takes more than {limit_mib} MiB of memory. Export the video again as an ordinary MP4."
    )]
    TooComplex {
        /// The limit in MiB.
        limit_mib: u64,
    },
    /// Only sound, subtitles or still pictures.
    #[error("The file has no moving picture. Upload a video with a picture track.")]
    NoVideoStream,
    /// Picture or sound is coded in a way that is not accepted.
    #[error("The {track} is coded as {codec}, which is not supported. Export the video with {accepted}.")]
    UnsupportedCodec {
        /// `picture` or `sound`.
        track: &'static str,
        /// `ffprobe`'s name of the codec.
        codec: String,
        /// What would be right.
        accepted: &'static str,
    },
    /// Smaller or larger than can be encoded.
    #[error("The picture is {width}x{height} pixels; 16 to 8192 each way are accepted.")]
    Dimensions {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// It never says how long it is, or says 0.
    #[error("The video has no duration. Export it again.")]
    NoDuration,
    /// Longer than 24 hours.
    #[error("The video is {hours:.1} hours long; 24 are accepted.")]
    TooLong {
        /// Hours.
        hours: f64,
    },
    /// Examining it used up the time or the means allowed.
    #[error("The video could not be examined in time. Export it again as an ordinary MP4.")]
    ProbeTimeout,
}

impl Refusal {
    /// A stable code: it never changes, whatever the text says.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty-file",
            Self::NotAVideo { .. } => "not-a-video",
            Self::UnsupportedContainer { .. } => "unsupported-container",
            Self::ContentTypeMismatch { .. } => "content-type-mismatch",
            Self::Truncated(_) => "truncated",
            Self::Damaged(_) => "damaged",
            Self::ExternalReference => "external-reference",
            Self::IndexTooLarge { .. } | Self::TooManySamples { .. } => "index-too-large",
            Self::TooComplex { .. } => "too-complex",
            Self::NoVideoStream => "no-video-stream",
            Self::UnsupportedCodec { .. } => "unsupported-codec",
            Self::Dimensions { .. } => "unsupported-dimensions",
            Self::NoDuration => "no-duration",
            Self::TooLong { .. } => "too-long",
            Self::ProbeTimeout => "probe-timeout",
        }
    }
}
