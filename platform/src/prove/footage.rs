//! A video to upload: one second of a test picture, and a mark that says whose it is.

use bytes::Bytes;

/// 64 x 64 pixels, H.264, made with FFmpeg's `testsrc2`.
const ONE_SECOND: &[u8] = include_bytes!("assets/one-second.mp4");

/// An MP4 that no other tenant has: behind the video stands a box of kind `free` (ISO/IEC 14496-12, 8.1.2) with the mark.
pub(super) fn marked(mark: &str) -> Bytes {
    let size = u32::try_from(8 + mark.len()).unwrap_or(8);
    let mut bytes = ONE_SECOND.to_vec();
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(b"free");
    bytes.extend_from_slice(mark.as_bytes());
    bytes.into()
}

/// Pictures that [`crowded`]'s index claims; a careless reader takes 24 bytes and more for each.
const CROWD: u32 = 75_000_000;
/// Chunks that it really lists: 400 kB of offsets.
const CHUNKS: u32 = 100_000;
/// Bytes of nothing in [`padded`]'s index: beyond what is read of one.
const PADDING: usize = 33 << 20;

/// An MP4 whose index claims millions of pictures of one byte each, which takes no table.
pub(super) fn crowded() -> Bytes {
    film(CROWD, CHUNKS, 0)
}

/// An MP4 of one picture with an index of 33 MiB, nearly all of it padding.
pub(super) fn padded() -> Bytes {
    film(1, 1, PADDING)
}

/// A film of one track, with the fewest boxes that make one (ISO/IEC 14496-12).
fn film(samples: u32, chunks: u32, padding: usize) -> Bytes {
    let url = boxed(b"url ", &numbers(&[1]));
    let dref = boxed(b"dref", &[numbers(&[0, 1]), url].concat());
    let table = [
        boxed(b"stsd", &[numbers(&[0, 1]), entry()].concat()),
        boxed(b"stts", &numbers(&[0, 1, samples, 1])),
        boxed(b"stsc", &numbers(&[0, 1, 1, samples / chunks, 1])),
        boxed(b"stsz", &numbers(&[0, 1, samples])),
        boxed(b"stco", &numbers(&[vec![0, chunks], (0..chunks).map(|chunk| 1000 + chunk).collect()].concat())),
    ];
    let information = [boxed(b"vmhd", &numbers(&[1, 0, 0])), boxed(b"dinf", &dref), boxed(b"stbl", &table.concat())];
    // A minute at 90 kHz, its language `und`.
    let clock = boxed(b"mdhd", &numbers(&[0, 0, 0, 90_000, 5_400_000, 0x55c4_0000]));
    let handler = boxed(b"hdlr", &[&numbers(&[0, 0])[..], b"vide", &[0; 13]].concat());
    let media = boxed(b"mdia", &[clock, handler, boxed(b"minf", &information.concat())].concat());
    let track = boxed(b"trak", &[boxed(b"tkhd", &track_header()), media].concat());
    let movie = boxed(b"mvhd", &[numbers(&[0, 0, 0, 1000, 60_000]), vec![0; 80]].concat());
    let pad = if padding > 0 { boxed(b"free", &vec![0; padding]) } else { Vec::new() };
    let kind = boxed(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41");
    [kind, boxed(b"moov", &[movie, track, pad].concat()), boxed(b"mdat", &[0; 4096])].concat().into()
}

/// `avc1`, 320 x 240 pixels.
fn entry() -> Vec<u8> {
    let mut body = vec![0; 78];
    body[7] = 1;
    body[24..28].copy_from_slice(&[0x01, 0x40, 0x00, 0xf0]);
    boxed(b"avc1", &body)
}

/// The first track, shown, a minute, 320 x 240 pixels.
fn track_header() -> Vec<u8> {
    [numbers(&[3, 0, 0, 1, 0, 60_000]), vec![0; 52], numbers(&[320 << 16, 240 << 16])].concat()
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + body.len()).unwrap_or(8);
    [&size.to_be_bytes()[..], kind, body].concat()
}

fn numbers(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hostile_films_are_as_large_as_they_are_said_to_be() {
        assert!((400_000..410_000).contains(&crowded().len()));
        assert!((PADDING..PADDING + 10_000).contains(&padded().len()));
    }
}
