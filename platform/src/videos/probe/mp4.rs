//! MP4 and QuickTime: boxes (ISO/IEC 14496-12; QuickTime File Format calls them atoms).

use super::{Length, ProbeError, RangeReader, Refusal, Source, fragments};

/// Largest index (`moov`) accepted. A phone's film of 10 GiB and 4 hours at 60 pictures a second has 864,000 pictures of up to
/// 20 bytes (size, time, composition offset) and 675,000 sounds (AAC, 1024 of 48,000 Hz) of up to 12: 25 MB.
const MAX_INDEX: u64 = 32 << 20;
/// Most pictures and sounds that an index may list, in millions: 24 hours at 120 a second, with sound, have 14.4.
/// A constant size takes no table, so a few bytes could claim billions, for each of which `ffprobe` takes some 70 bytes.
const MAX_SAMPLES_MILLIONS: u64 = 16;
/// How much of each of the first media boxes `ffprobe` gets to see: more than any single picture needs.
const MEDIA_WINDOW: u64 = 4 << 20;
/// How many media boxes it sees the beginning of.
const MEDIA_WINDOWS: u32 = 2;
/// Largest index of one fragment (`moof`), or of all (`sidx`, `mfra`), that is read.
const MAX_FRAGMENT_INDEX: u64 = 4 << 20;
/// Most boxes walked at the top, and again inside the index.
const MAX_BOXES: u32 = 100_000;
/// Requests kept back for the tail of a fragmented file.
const RESERVED_READS: u32 = 4;
/// Deepest nesting of structure inside `moov`; real files need 5 (`trak mdia minf dinf dref`).
const MAX_DEPTH: u32 = 8;

/// Boxes that may stand at the top. Whatever else follows a complete video is taken as foreign matter behind its end.
const TOP: [&[u8; 4]; 17] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"free", b"skip", b"wide", b"uuid",
    b"udta", b"meta", b"emsg", b"prft", b"pnot",
];

/// A box's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: [u8; 4],
    /// Bytes of the header itself: 8, or 16 with a 64-bit size.
    pub(super) header: u64,
    /// Bytes of the whole box.
    pub(super) size: u64,
}

/// A box taken off the beginning of some bytes: its kind, its body, and what follows it.
pub(super) type Split<'a> = ([u8; 4], &'a [u8], &'a [u8]);

/// One track's id and clock, from the index, and what it lists.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Track {
    pub(super) id: u32,
    /// Units per second.
    pub(super) timescale: u32,
    /// `stsz`: how many samples, and the size that all have; 0 where each has its own.
    samples: u32,
    constant_size: u32,
    is_sound: bool,
    /// Every sample lasts one unit of the clock.
    is_unit_clock: bool,
}

impl Track {
    /// Takes from a box what it says of the track's samples. What stands twice counts at its most.
    fn learn(&mut self, kind: [u8; 4], body: &[u8]) {
        match &kind {
            b"hdlr" => self.is_sound |= body.get(8..12) == Some(b"soun"),
            b"stts" => self.is_unit_clock = be32(body, 4) == Some(1) && be32(body, 12) == Some(1),
            _ => {
                self.constant_size = if &kind == b"stsz" { be32(body, 4).unwrap_or_default() } else { 0 };
                self.samples = self.samples.max(be32(body, 8).unwrap_or_default());
            }
        }
    }

    /// Samples that get an entry each in a player's index. Uncompressed sound has one for every tick, and is read by chunks.
    fn indexed(&self) -> u64 {
        let is_uncompressed = self.is_sound && self.is_unit_clock && self.constant_size > 0;
        if is_uncompressed { 0 } else { self.samples.into() }
    }
}

/// Reads the header at the start of `bytes`, which may be cut to 16; `room` is what is left for the whole box.
/// A size beyond `room` is returned as it is.
///
/// # Errors
/// [`Refusal::Damaged`] for sizes that are smaller than the header.
pub(super) fn header(bytes: &[u8], room: u64) -> Result<Header, Refusal> {
    let short = || Refusal::Truncated("it ends within the header of a part".into());
    let size = u64::from(be32(bytes, 0).ok_or_else(short)?);
    let kind = *bytes.get(4..8).and_then(|k| k.first_chunk()).ok_or_else(short)?;
    let (header, size) = match size {
        0 => (8, room),
        1 => (16, be64(bytes, 8).ok_or_else(short)?),
        size => (8, size),
    };
    if size < header {
        return Err(Refusal::Damaged(format!("its part {} has an impossible size", name(kind))));
    }
    Ok(Header { kind, header, size })
}

/// Walks the boxes at the top and reads what `ffprobe` needs of them.
///
/// # Errors
/// [`Refusal::Truncated`] when a box reaches past the end or the index or the media are missing;
/// [`Refusal::ExternalReference`] when media lie elsewhere; [`Refusal::Damaged`] when sizes contradict each other.
pub(super) async fn inspect<R: RangeReader>(source: &mut Source<'_, R>) -> Result<Length, ProbeError> {
    let size = source.size();
    let mut tracks: Option<Vec<Track>> = None;
    let (mut media_bytes, mut windows, mut fragmented, mut boxes) = (0, 0, false, 0);
    let mut at = 0;
    while size - at >= 8 {
        boxes += 1;
        if boxes > MAX_BOXES || source.reads_left() <= RESERVED_READS {
            // Of hours in short fragments, only the first are walked. The encoder reads the rest anyway.
            if let (true, Some(tracks)) = (fragmented, &tracks) {
                return Ok(Length::AtLeast(fragments::last_start(source, tracks).await?.unwrap_or(0.0)));
            }
            return Err(damaged("it consists of too many parts"));
        }
        let complete = tracks.is_some() && media_bytes > 0;
        let bytes = source.upto(at, 16).await?;
        let known = TOP.iter().any(|top| bytes.get(4..8) == Some(top.as_slice()));
        if complete && !known {
            break;
        }
        let found = header(&bytes, size - at)?;
        if !known {
            return Err(damaged(format!("{} is no part of a video", name(found.kind))));
        }
        if found.size > size - at {
            return Err(Refusal::Truncated(format!(
                "its part {} should have {} bytes, {} are there",
                name(found.kind),
                found.size,
                size - at
            ))
            .into());
        }
        match &found.kind {
            b"moov" if tracks.is_some() => return Err(damaged("it has two indexes")),
            b"moov" if found.size > MAX_INDEX => {
                return Err(Refusal::IndexTooLarge { limit_mib: MAX_INDEX >> 20 }.into());
            }
            b"moov" => {
                let body = source.exactly(at + found.header, found.size - found.header).await?;
                tracks = Some(index(&body)?);
            }
            b"mdat" => {
                media_bytes += found.size - found.header;
                if windows < MEDIA_WINDOWS {
                    windows += 1;
                    source.exactly(at, found.size.min(MEDIA_WINDOW)).await?;
                }
            }
            b"moof" | b"sidx" | b"mfra" => {
                fragmented |= &found.kind == b"moof";
                source.exactly(at, found.size.min(MAX_FRAGMENT_INDEX)).await?;
            }
            _ => {}
        }
        at += found.size;
    }
    if tracks.is_none() {
        return Err(Refusal::Truncated("its index (`moov`) is missing".into()).into());
    }
    if media_bytes == 0 {
        return Err(Refusal::Truncated("it has an index but no pictures".into()).into());
    }
    Ok(Length::AtLeast(0.0))
}

/// Checks the body of `moov` and returns its tracks.
fn index(body: &[u8]) -> Result<Vec<Track>, Refusal> {
    let mut walk = Walk { tracks: Vec::new(), boxes: 0 };
    walk.boxes_of(body, 0)?;
    if walk.tracks.is_empty() {
        return Err(Refusal::NoVideoStream);
    }
    if walk.tracks.iter().map(Track::indexed).sum::<u64>() > MAX_SAMPLES_MILLIONS * 1_000_000 {
        return Err(Refusal::TooManySamples { limit_millions: MAX_SAMPLES_MILLIONS });
    }
    Ok(walk.tracks)
}

struct Walk {
    tracks: Vec<Track>,
    boxes: u32,
}

impl Walk {
    fn boxes_of(&mut self, mut rest: &[u8], depth: u32) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::Damaged("its index is nested too deeply".into()));
        }
        while rest.len() >= 8 && rest[..8] != [0; 8] {
            self.boxes += 1;
            let (kind, body, behind) = split(rest)?;
            if self.boxes > MAX_BOXES {
                return Err(Refusal::Damaged("its index consists of too many parts".into()));
            }
            match &kind {
                b"trak" => {
                    self.tracks.push(Track::default());
                    self.boxes_of(body, depth + 1)?;
                }
                b"mdia" | b"minf" | b"dinf" | b"stbl" => self.boxes_of(body, depth + 1)?,
                // Both: version 0 has the value behind two 32-bit times, version 1 behind two 64-bit times.
                b"tkhd" | b"mdhd" => {
                    let value = be32(body, if body.first() == Some(&1) { 20 } else { 12 });
                    match (self.tracks.last_mut(), value) {
                        (Some(track), Some(value)) if &kind == b"tkhd" => track.id = value,
                        (Some(track), Some(value)) => track.timescale = value,
                        _ => {}
                    }
                }
                b"hdlr" | b"stsz" | b"stz2" | b"stts" => {
                    if let Some(track) = self.tracks.last_mut() {
                        track.learn(kind, body);
                    }
                }
                b"dref" => references(body)?,
                // Indexes that only refer to other movies (QuickTime's reference movies).
                b"rmra" | b"rmda" => return Err(Refusal::ExternalReference),
                // A compressed index could hide references; nothing has written one since the 1990s.
                b"cmov" => return Err(Refusal::Damaged("its index is compressed".into())),
                _ => {}
            }
            rest = behind;
        }
        Ok(())
    }
}

/// Data references (14496-12, 8.7.2): each must say that the media are in this very file, and name nothing.
fn references(body: &[u8]) -> Result<(), Refusal> {
    const SELF_CONTAINED: u32 = 1;
    let short = || Refusal::Damaged("its data references are cut off".into());
    let count = be32(body, 4).ok_or_else(short)?;
    let mut rest = body.get(8..).ok_or_else(short)?;
    for _ in 0..count {
        // Every turn takes at least 8 bytes off, so a huge count ends with the bytes.
        let (_, entry, behind) = split(rest).map_err(|_| short())?;
        let flags = be32(entry, 0).ok_or_else(short)?;
        // A flag that says "here" does not stop every player from following an address that stands there too.
        if flags & SELF_CONTAINED == 0 || entry[4..].iter().any(|byte| *byte != 0) {
            return Err(Refusal::ExternalReference);
        }
        rest = behind;
    }
    Ok(())
}

/// Kind and body of the first box in `rest`, and what follows it.
pub(super) fn split(rest: &[u8]) -> Result<Split<'_>, Refusal> {
    let found = header(rest, rest.len() as u64)?;
    let size = usize::try_from(found.size).ok().filter(|size| *size <= rest.len());
    let Some(size) = size else {
        return Err(Refusal::Damaged(format!("its part {} is larger than what holds it", name(found.kind))));
    };
    let (whole, behind) = rest.split_at(size);
    // 8 or 16, checked above to be within the size.
    Ok((found.kind, &whole[found.header as usize..], behind))
}

/// The big-endian number at `at`, if all of it is there.
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

/// The big-endian number at `at`, if all of it is there.
pub(super) fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

fn name(kind: [u8; 4]) -> String {
    format!("`{}`", kind.escape_ascii())
}

fn damaged(reason: impl Into<String>) -> ProbeError {
    Refusal::Damaged(reason.into()).into()
}
