//! Matroska and WebM: EBML elements (RFC 8794, RFC 9559).

use super::{Length, ProbeError, RangeReader, Refusal, Source};

mod id {
    pub(super) const EBML: u32 = 0x1A45_DFA3;
    pub(super) const DOC_TYPE: u32 = 0x4282;
    pub(super) const VOID: u32 = 0xEC;
    pub(super) const CRC32: u32 = 0xBF;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
    pub(super) const SEEK: u32 = 0x4DBB;
    pub(super) const SEEK_ID: u32 = 0x53AB;
    pub(super) const SEEK_POSITION: u32 = 0x53AC;
    pub(super) const INFO: u32 = 0x1549_A966;
    pub(super) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
    pub(super) const DURATION: u32 = 0x4489;
    pub(super) const TRACKS: u32 = 0x1654_AE6B;
    pub(super) const CUES: u32 = 0x1C53_BB6B;
    pub(super) const TAGS: u32 = 0x1254_C367;
    pub(super) const CHAPTERS: u32 = 0x1043_A770;
    pub(super) const ATTACHMENTS: u32 = 0x1941_A469;
    pub(super) const CLUSTER: u32 = 0x1F43_B675;
    pub(super) const TIMESTAMP: u32 = 0xE7;
    pub(super) const SIMPLE_BLOCK: u32 = 0xA3;
    pub(super) const BLOCK_GROUP: u32 = 0xA0;
    pub(super) const BLOCK: u32 = 0xA1;
}

/// Longest header of an element that Matroska allows: 4 bytes of id, 8 of size.
const HEADER: u64 = 12;
/// Largest element read besides the media; larger ones (cover pictures, fonts) stay out of `ffprobe`'s sight.
const MAX_ELEMENT: u64 = 8 << 20;
/// How much media `ffprobe` gets to see: more than it looks at on its own (5 MB).
const MEDIA_WINDOW: u64 = 8 << 20;
/// How much of the end is searched for the last cluster of a recording that never learned its duration.
const TAIL: u64 = 8 << 20;
/// Most elements before the first cluster.
const MAX_ELEMENTS: u32 = 200;
/// Nanoseconds per timestamp unit when the file does not say (RFC 9559, 5.1.2.9).
const DEFAULT_SCALE: u64 = 1_000_000;

/// An element's header.
#[derive(Debug, Clone, Copy)]
struct Element {
    id: u32,
    header: u64,
    /// `None`: unknown, until something that cannot be its child (live recordings).
    size: Option<u64>,
}

/// What a segment's description says before its media begin.
#[derive(Debug, Default)]
struct Segment {
    scale: Option<u64>,
    duration: Option<f64>,
    has_tracks: bool,
    /// Positions of elements that the table of contents names.
    contents: Vec<u64>,
}

/// The document type in the EBML header that `head` begins with.
///
/// # Errors
/// When the header is cut off or contradicts itself.
pub(super) fn document_type(head: &[u8]) -> Result<Vec<u8>, Refusal> {
    let wrong = || Refusal::Damaged("its EBML header contradicts itself".into());
    let header = element(head).filter(|e| e.id == id::EBML).ok_or_else(wrong)?;
    let end = header.size.and_then(|size| usize::try_from(header.header.checked_add(size)?).ok()).ok_or_else(wrong)?;
    let body = head.get(header.header as usize..end).ok_or_else(|| {
        if head.len() < super::sniff::HEAD as usize {
            Refusal::Truncated("it ends within its EBML header".into())
        } else {
            wrong()
        }
    })?;
    let found = children(body).find(|(id, _)| *id == id::DOC_TYPE);
    let kind = found.map_or(&b"matroska"[..], |(_, value)| value);
    Ok(kind.iter().copied().take_while(|byte| *byte != 0).collect())
}

/// Walks to the first cluster and reads what `ffprobe` needs.
///
/// # Errors
/// [`Refusal::Truncated`] when the segment reaches past the end or has no media; [`Refusal::NoDuration`] when
/// neither the description nor the last cluster tells the time.
pub(super) async fn inspect<R: RangeReader>(source: &mut Source<'_, R>) -> Result<Length, ProbeError> {
    let (start, end) = segment(source).await?;
    let mut found = Segment::default();
    let mut at = start;
    let mut elements = 0;
    let first_cluster = loop {
        if at >= end {
            return Err(Refusal::Truncated("it ends before the first picture".into()).into());
        }
        elements += 1;
        let element = element_at(source, at).await?;
        if element.id == id::CLUSTER {
            break at;
        }
        let next = element.size.and_then(|size| at.checked_add(element.header)?.checked_add(size));
        let Some(next) = next.filter(|_| elements <= MAX_ELEMENTS) else {
            return Err(Refusal::Damaged("its description never ends".into()).into());
        };
        if next > end {
            return Err(Refusal::Truncated("it ends within its description".into()).into());
        }
        found.describe(source, at, element).await?;
        at = next;
    };
    // What recorders append when they stop (duration tables, tags) is found by the table of contents.
    for position in std::mem::take(&mut found.contents) {
        if let Some(at) = start.checked_add(position).filter(|at| *at > first_cluster && *at < end) {
            match found.describe_at(source, at).await {
                // A stale table of contents points anywhere; players do not mind.
                Ok(()) | Err(ProbeError::Refused(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }
    if !found.has_tracks {
        return Err(Refusal::Damaged("it lists no tracks".into()).into());
    }
    source.upto(first_cluster, MEDIA_WINDOW).await?;
    let scale = found.scale.unwrap_or(DEFAULT_SCALE) as f64 / 1e9;
    let units = match found.duration.filter(|d| d.is_finite() && *d > 0.0) {
        Some(units) => Some(units),
        None => last_timestamp(source, first_cluster).await?,
    };
    units.map(|units| Length::Exactly(units * scale)).ok_or(Refusal::NoDuration.into())
}

/// Start and end of the segment's content.
async fn segment<R: RangeReader>(source: &mut Source<'_, R>) -> Result<(u64, u64), ProbeError> {
    let size = source.size();
    let mut at = 0_u64;
    for _ in 0..8 {
        let element = element_at(source, at).await?;
        let start = at + element.header;
        let end = element.size.map_or(Some(size), |size| start.checked_add(size));
        match element.id {
            id::SEGMENT => {
                return match end.filter(|end| *end <= size) {
                    Some(end) => Ok((start, end)),
                    None => Err(Refusal::Truncated(format!(
                        "it should have {} bytes, {} are there",
                        element.size.unwrap_or(u64::MAX),
                        size - start
                    ))
                    .into()),
                };
            }
            id::EBML | id::VOID | id::CRC32 => {
                at = end.ok_or_else(|| Refusal::Damaged("a part has an impossible size".into()))?;
            }
            _ => break,
        }
    }
    Err(Refusal::Damaged("it has no segment".into()).into())
}

impl Segment {
    async fn describe_at<R: RangeReader>(&mut self, source: &mut Source<'_, R>, at: u64) -> Result<(), ProbeError> {
        let element = element_at(source, at).await?;
        self.describe(source, at, element).await
    }

    /// Reads one element of the description and remembers what it says.
    async fn describe<R: RangeReader>(
        &mut self,
        source: &mut Source<'_, R>,
        at: u64,
        element: Element,
    ) -> Result<(), ProbeError> {
        let wanted = matches!(
            element.id,
            id::SEEK_HEAD | id::INFO | id::TRACKS | id::CUES | id::TAGS | id::CHAPTERS | id::ATTACHMENTS
        );
        let Some(size) = element.size.filter(|size| wanted && *size <= MAX_ELEMENT) else {
            return Ok(());
        };
        let body = source.exactly(at + element.header, size).await?;
        match element.id {
            id::TRACKS => self.has_tracks = true,
            id::INFO => {
                for (id, value) in children(&body) {
                    match id {
                        id::TIMESTAMP_SCALE => self.scale = Some(unsigned(value)).filter(|scale| *scale > 0),
                        id::DURATION => self.duration = float(value),
                        _ => {}
                    }
                }
            }
            id::SEEK_HEAD => {
                for (_, seek) in children(&body).filter(|(id, _)| *id == id::SEEK).take(16) {
                    // The media are not needed beyond their beginning, whatever a table says of them.
                    let is_cluster = children(seek)
                        .any(|(id, value)| id == id::SEEK_ID && unsigned(value) == u64::from(id::CLUSTER));
                    let position = children(seek).find(|(id, _)| *id == id::SEEK_POSITION);
                    if let (false, Some((_, value))) = (is_cluster, position) {
                        self.contents.push(unsigned(value));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The latest timestamp of the last cluster, in units of the segment's scale: a browser's recording says neither its
/// length nor its duration at the beginning.
async fn last_timestamp<R: RangeReader>(
    source: &mut Source<'_, R>,
    first_cluster: u64,
) -> Result<Option<f64>, ProbeError> {
    let from = source.size().saturating_sub(TAIL).max(first_cluster);
    let tail = source.upto(from, TAIL).await?;
    let marker = id::CLUSTER.to_be_bytes();
    let candidates = tail.windows(4).enumerate().rev().filter(|(_, window)| **window == marker);
    Ok(candidates.filter_map(|(at, _)| cluster_end(&tail[at..])).next())
}

/// The latest timestamp in the cluster at the beginning of `bytes`.
fn cluster_end(bytes: &[u8]) -> Option<f64> {
    let cluster = element(bytes)?;
    let body = &bytes[cluster.header as usize..];
    let (mut base, mut latest) = (None, 0);
    for (id, value) in children(body) {
        let block = match id {
            id::TIMESTAMP => {
                base = Some(unsigned(value));
                continue;
            }
            id::SIMPLE_BLOCK => value,
            id::BLOCK_GROUP => match children(value).find(|(id, _)| *id == id::BLOCK) {
                Some((_, block)) => block,
                None => continue,
            },
            _ => continue,
        };
        // Track number, then the time relative to the cluster's (RFC 9559, 10.1).
        let track = variable(block, 8, false).map_or(0, |(_, length)| length);
        if let Some(relative) = block.get(track..).and_then(|rest| rest.first_chunk()) {
            latest = latest.max(i16::from_be_bytes(*relative));
        }
    }
    base.map(|base| base as f64 + f64::from(latest))
}

async fn element_at<R: RangeReader>(source: &mut Source<'_, R>, at: u64) -> Result<Element, ProbeError> {
    let bytes = source.upto(at, HEADER).await?;
    element(&bytes).ok_or_else(|| {
        if (bytes.len() as u64) < HEADER {
            Refusal::Truncated("it ends within a header".into()).into()
        } else {
            Refusal::Damaged("its elements do not follow each other".into()).into()
        }
    })
}

/// The header at the start of `bytes`.
fn element(bytes: &[u8]) -> Option<Element> {
    let (id, id_length) = variable(bytes, 4, true)?;
    let (size, size_length) = variable(&bytes[id_length..], 8, false)?;
    let unknown = (1_u64 << (7 * size_length)) - 1;
    Some(Element {
        id: u32::try_from(id).ok()?,
        header: (id_length + size_length) as u64,
        size: (size != unknown).then_some(size),
    })
}

/// A number of variable length, at most `longest` bytes, with or without the bit that marks the length; and its length.
fn variable(bytes: &[u8], longest: usize, keep_marker: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > longest {
        return None;
    }
    let value = unsigned(bytes.get(..length)?);
    Some((if keep_marker { value } else { value & !(1 << (7 * length)) }, length))
}

/// Ids and contents of the elements in `body`; ends at the first that is none. The last may be cut.
fn children(mut body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let child = element(body)?;
        let rest = body.get(usize::try_from(child.header).ok()?..)?;
        let size = child.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(rest.len());
        let (value, behind) = rest.split_at(size.min(rest.len()));
        body = behind;
        Some((child.id, value))
    })
}

/// A big-endian number of up to 8 bytes; longer ones keep their last 8.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => bytes.first_chunk().map(|b| f64::from(f32::from_be_bytes(*b))),
        8 => bytes.first_chunk().map(|b| f64::from_be_bytes(*b)),
        _ => None,
    }
}
