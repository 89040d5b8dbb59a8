//! Media for the tests: made by FFmpeg when they run, changed byte by byte, served from memory.
#![allow(clippy::unwrap_used)]

use super::{Ffprobe, Found, Probe, ProbeError, RangeReader, Refusal, inspect, probe, source::Source};
use bytes::Bytes;
use std::{
    io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Mutex,
};

/// An object in memory: zeros of any size with some bytes in them. Keeps count of what was read.
pub(super) struct Memory {
    size: u64,
    parts: Vec<(u64, Vec<u8>)>,
    reads: Mutex<Vec<u64>>,
}

impl Memory {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self::sparse(bytes.len() as u64, vec![(0, bytes)])
    }

    pub(super) fn sparse(size: u64, parts: Vec<(u64, Vec<u8>)>) -> Self {
        Self { size, parts, reads: Mutex::default() }
    }

    /// How many reads there were, and of how many bytes.
    pub(super) fn cost(&self) -> (usize, u64) {
        let reads = self.reads.lock().unwrap();
        (reads.len(), reads.iter().sum())
    }
}

impl RangeReader for Memory {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&self, offset: u64, len: u64) -> io::Result<Bytes> {
        assert!(len > 0 && offset + len <= self.size, "asked for {len} at {offset} of {}", self.size);
        self.reads.lock().unwrap().push(len);
        let mut bytes = vec![0; len as usize];
        for (start, part) in &self.parts {
            let from = offset.max(*start);
            let to = (offset + len).min(start + part.len() as u64);
            if from < to {
                bytes[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&part[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(bytes.into())
    }
}

/// What FFmpeg makes of these arguments, or `None` with a printed reason where it is not installed.
pub(super) fn ffmpeg(arguments: &str) -> Option<Vec<u8>> {
    if !is_installed("ffmpeg") || !is_installed("ffprobe") {
        assert!(std::env::var("CI_REQUIRE").as_deref() != Ok("all"), "CI_REQUIRE=all, but FFmpeg is missing");
        eprintln!("skipped: FFmpeg is not installed (ffmpeg, ffprobe)");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut words: Vec<&str> = arguments.split(' ').collect();
    let name = words.pop().unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-bitexact"]).args(words);
    // `pipe.webm`: written where FFmpeg cannot go back, as a recorder streams it.
    if let Some(format) = name.strip_prefix("pipe.") {
        let output = command.args(["-f", format, "-"]).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "ffmpeg {arguments}");
        return Some(output.stdout);
    }
    let path = folder.path().join(name);
    assert!(command.arg(&path).status().unwrap().success(), "ffmpeg {arguments}");
    Some(std::fs::read(path).unwrap())
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Two seconds of picture and sound as FFmpeg's inputs.
pub(super) const INPUTS: &str =
    "-f lavfi -i testsrc=size=320x240:rate=25:duration=2 -f lavfi -i sine=duration=2 -pix_fmt yuv420p";

/// An ordinary MP4, its index at the end.
pub(super) fn mp4() -> Option<Vec<u8>> {
    ffmpeg(&format!("{INPUTS} -c:v libx264 -c:a aac a.mp4"))
}

/// A Matroska file.
pub(super) fn mkv() -> Option<Vec<u8>> {
    ffmpeg(&format!("{INPUTS} -c:v libx264 -c:a aac a.mkv"))
}

/// The whole probe.
pub(super) async fn probed(bytes: Vec<u8>, declared: &str) -> Result<Probe, ProbeError> {
    probe(&Ffprobe::find()?, &Memory::new(bytes), declared).await
}

/// Why the bytes are refused; panics when they are not.
pub(super) async fn refusal(bytes: Vec<u8>, declared: &str) -> Refusal {
    // No program: whatever gets as far as running it would be an error of another kind.
    let none = Ffprobe::at(PathBuf::from("/nonexistent/ffprobe"));
    match probe(&none, &Memory::new(bytes), declared).await {
        Err(ProbeError::Refused(refusal)) => refusal,
        other => panic!("not refused before ffprobe: {other:?}"),
    }
}

/// The walk of the container alone.
pub(super) async fn walked(memory: &Memory, declared: &str) -> Result<Found, ProbeError> {
    inspect(&mut Source::new(memory), declared).await
}

/// A box with a 32-bit size.
pub(super) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
}

/// A box header with a 64-bit size, the claim of the whole box.
pub(super) fn large(kind: &[u8; 4], size: u64) -> Vec<u8> {
    [&1_u32.to_be_bytes(), kind.as_slice(), &size.to_be_bytes()].concat()
}

/// Where the box `kind` begins.
pub(super) fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).unwrap() - 4
}

/// Where every box of the structure begins: top level, and inside the containers of an index.
pub(super) fn all_boxes(bytes: &[u8], from: usize, to: usize) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), from);
    while at + 8 <= to {
        found.push(at);
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let inner = match &bytes[at + 4..at + 8] {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"dinf" | b"stbl" => 8,
            b"dref" => 16,
            _ => size,
        };
        found.extend(all_boxes(bytes, at + inner, at + size));
        at += size;
    }
    found
}

/// Replaces the `old` bytes at `at` by `new`, correcting the sizes of all boxes around.
pub(super) fn replace(bytes: &[u8], at: usize, old: usize, new: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for start in all_boxes(bytes, 0, bytes.len()) {
        let size = u32::from_be_bytes(bytes[start..start + 4].try_into().unwrap());
        if start < at && at < start + size as usize {
            let size = size + new.len() as u32 - old as u32;
            changed[start..start + 4].copy_from_slice(&size.to_be_bytes());
        }
    }
    changed.splice(at..at + old, new.iter().copied());
    changed
}
