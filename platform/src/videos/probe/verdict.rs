//! From `ffprobe`'s report to a [`Probe`], or to what is wrong with the video.

use super::{Container, Found, Length, Refusal};
use serde::{Deserialize, Serialize};

/// Picture codecs that are accepted, by FFmpeg's names: what browsers and phones record (H.264, HEVC, VP8, VP9, AV1,
/// MPEG-4 part 2 of older cameras) and what editors export for others to encode (ProRes).
pub const VIDEO_CODECS: [&str; 7] = ["h264", "hevc", "vp8", "vp9", "av1", "prores", "mpeg4"];

/// Sound codecs that are accepted, by FFmpeg's names; any uncompressed one (`pcm_*`) as well.
pub const AUDIO_CODECS: [&str; 8] = ["aac", "mp3", "opus", "vorbis", "flac", "alac", "ac3", "eac3"];

/// Longest video in seconds: 24 hours.
pub const MAX_SECONDS: f64 = 86_400.0;

/// Codecs whose "video" is a picture: covers and slides inside a container.
const STILL_CODECS: [&str; 8] = ["png", "gif", "bmp", "tiff", "webp", "jpeg2000", "apng", "svg"];
/// Smallest and largest side in pixels: below, no encoder works; above is beyond H.264's and HEVC's highest levels.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

/// What an accepted upload is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    /// The container, by content.
    pub container: Container,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// Seconds, above 0 and at most [`MAX_SECONDS`].
    pub duration_seconds: f64,
    /// One of [`VIDEO_CODECS`].
    pub video_codec: String,
    /// The first sound track's codec; `None` for a silent video.
    pub audio_codec: Option<String>,
    /// Pixels across, as displayed: rotation applied.
    pub width: u32,
    /// Pixels down, as displayed: rotation applied.
    pub height: u32,
    /// Degrees clockwise that a player turns the coded picture: 0, 90, 180 or 270.
    pub rotation_degrees: u16,
    /// Pictures per second on average, where known.
    pub frame_rate: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    duration: Option<String>,
    avg_frame_rate: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Debug, Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
    #[serde(default)]
    still_image: u8,
}

#[derive(Debug, Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

/// Judges `ffprobe`'s report on an object of `bytes` bytes.
pub(super) fn judge(report: &[u8], found: &Found, bytes: u64) -> Result<Probe, Refusal> {
    let report: Report =
        serde_json::from_slice(report).map_err(|_| Refusal::Damaged("its content cannot be read as a video".into()))?;
    let picture = picture(&report.streams)?;
    let audio_codec = sound(&report.streams)?;
    let rotation_degrees = rotation(picture);
    let (Some(width), Some(height)) = (picture.width, picture.height) else {
        return Err(Refusal::Damaged("it does not say the size of its picture".into()));
    };
    if !SIDES.contains(&width) || !SIDES.contains(&height) {
        return Err(Refusal::Dimensions { width, height });
    }
    let (width, height) = if rotation_degrees.is_multiple_of(180) { (width, height) } else { (height, width) };
    Ok(Probe {
        container: found.container,
        bytes,
        duration_seconds: duration(&report, picture, found.length)?,
        video_codec: picture.codec_name.clone().unwrap_or_default(),
        audio_codec,
        width,
        height,
        rotation_degrees,
        frame_rate: picture.avg_frame_rate.as_deref().and_then(ratio),
    })
}

/// The first moving picture in an accepted codec.
fn picture(streams: &[Stream]) -> Result<&Stream, Refusal> {
    let moving = |stream: &&Stream| {
        stream.is("video")
            && stream.disposition.attached_pic == 0
            && stream.disposition.still_image == 0
            && !STILL_CODECS.contains(&stream.codec())
    };
    let first = streams.iter().find(moving).ok_or(Refusal::NoVideoStream)?;
    streams.iter().filter(moving).find(|s| VIDEO_CODECS.contains(&s.codec())).ok_or_else(|| Refusal::UnsupportedCodec {
        track: "picture",
        codec: first.codec().to_owned(),
        accepted: "H.264, HEVC, VP8, VP9, AV1, ProRes or MPEG-4 pictures",
    })
}

/// The first sound in an accepted codec. Phones add tracks that only they understand, so one good track is enough.
fn sound(streams: &[Stream]) -> Result<Option<String>, Refusal> {
    let mut sounds = streams.iter().filter(|stream| stream.is("audio"));
    let Some(first) = sounds.clone().next() else {
        return Ok(None);
    };
    let accepted = |stream: &&Stream| AUDIO_CODECS.contains(&stream.codec()) || stream.codec().starts_with("pcm_");
    match sounds.find(accepted) {
        Some(stream) => Ok(Some(stream.codec().to_owned())),
        None => Err(Refusal::UnsupportedCodec {
            track: "sound",
            codec: first.codec().to_owned(),
            accepted: "AAC, MP3, Opus, Vorbis, FLAC, ALAC, AC-3 or uncompressed sound",
        }),
    }
}

fn duration(report: &Report, picture: &Stream, length: Length) -> Result<f64, Refusal> {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let seconds = match length {
        Length::Exactly(seconds) => seconds,
        Length::AtLeast(seconds) => {
            number(&report.format.duration).or_else(|| number(&picture.duration)).unwrap_or(0.0).max(seconds)
        }
    };
    if !seconds.is_finite() || seconds <= 0.0 {
        return Err(Refusal::NoDuration);
    }
    if seconds > MAX_SECONDS {
        return Err(Refusal::TooLong { hours: seconds / 3600.0 });
    }
    Ok(seconds)
}

/// Degrees clockwise; `ffprobe` counts the other way round.
fn rotation(picture: &Stream) -> u16 {
    let turned = picture.side_data_list.iter().find_map(|data| data.rotation).unwrap_or(0.0);
    let quarters = (-turned / 90.0).round().rem_euclid(4.0);
    // 0 to 3, or NaN, which becomes 0.
    quarters as u16 * 90
}

/// `30000/1001` as a number; `0/0` is unknown.
fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let ratio = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

impl Stream {
    fn is(&self, kind: &str) -> bool {
        self.codec_type.as_deref() == Some(kind)
    }

    fn codec(&self) -> &str {
        self.codec_name.as_deref().unwrap_or("something unknown")
    }
}
