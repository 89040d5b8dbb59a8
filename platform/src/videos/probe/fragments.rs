//! The end of a long fragmented MP4, found from behind: walking every fragment would take too many requests.

use super::{
    ProbeError, RangeReader, Source,
    mp4::{Track, be32, be64, split},
};

/// How much of the end is searched: a fragment of 10 seconds at 6 Mbit/s fits.
const TAIL: u64 = 8 << 20;

/// When the last fragment begins, in seconds; `None` when there is none in the tail.
///
/// # Errors
/// Those of reading.
pub(super) async fn last_start<R: RangeReader>(
    source: &mut Source<'_, R>,
    tracks: &[Track],
) -> Result<Option<f64>, ProbeError> {
    let tail = source.upto(source.size().saturating_sub(TAIL), TAIL).await?;
    // The four letters may also occur in the media, so a candidate must parse, and begin as a fragment does.
    let candidates = tail.windows(4).enumerate().skip(4).rev().filter(|(_, w)| *w == b"moof");
    Ok(candidates.filter_map(|(at, _)| start(&tail[at - 4..], tracks)).next())
}

/// The start of the fragment at the beginning of `bytes`, the latest of its tracks'.
fn start(bytes: &[u8], tracks: &[Track]) -> Option<f64> {
    let (_, mut rest, _) = split(bytes).ok()?;
    if rest.get(4..8) != Some(b"mfhd") {
        return None;
    }
    let mut latest = None;
    while rest.len() >= 8 {
        let (kind, body, behind) = split(rest).ok()?;
        if &kind == b"traf"
            && let Some(seconds) = track_start(body, tracks)
        {
            latest = Some(seconds.max(latest.unwrap_or(0.0)));
        }
        rest = behind;
    }
    latest
}

/// Decode time (`tfdt`) over the clock of the track that `tfhd` names.
fn track_start(mut rest: &[u8], tracks: &[Track]) -> Option<f64> {
    let (mut timescale, mut time) = (None, None);
    while rest.len() >= 8 {
        let (kind, body, behind) = split(rest).ok()?;
        match &kind {
            b"tfhd" => {
                let id = be32(body, 4)?;
                timescale = tracks.iter().find(|t| t.id == id && t.timescale > 0).map(|t| t.timescale);
            }
            b"tfdt" if body.first() == Some(&1) => time = be64(body, 4),
            b"tfdt" => time = be32(body, 4).map(u64::from),
            _ => {}
        }
        rest = behind;
    }
    Some(time? as f64 / f64::from(timescale?))
}
