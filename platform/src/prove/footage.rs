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
