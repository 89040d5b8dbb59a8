//! Sound videos are described, unsound ones are refused by name.
#![allow(clippy::unwrap_used)]

use super::{
    Container, Ffprobe, Length, ProbeError, RangeReader, Refusal, ffprobe,
    fixtures::{INPUTS, Memory, boxed, ffmpeg, find, large, mkv, mp4, probed, refusal, walked},
    probe,
    source::MAX_READS,
};
use bytes::Bytes;
use std::{
    io,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

async fn refused(arguments: &str, declared: &str) -> Option<Refusal> {
    match probed(ffmpeg(arguments)?, declared).await {
        Err(ProbeError::Refused(refusal)) => Some(refusal),
        other => panic!("{arguments}: {other:?}"),
    }
}

#[tokio::test]
async fn every_accepted_kind_of_video_is_described() {
    for (output, declared, container, video, audio) in [
        ("-c:v libx264 -c:a aac a.mp4", "video/mp4", Container::Mp4, "h264", "aac"),
        ("-c:v libx264 -c:a aac -movflags +faststart a.mp4", "Video/MP4", Container::Mp4, "h264", "aac"),
        (
            "-c:v libx264 -c:a aac -movflags frag_keyframe+empty_moov -g 10 a.mp4",
            "video/mp4",
            Container::Mp4,
            "h264",
            "aac",
        ),
        ("-c:v mpeg4 -c:a aac a.mp4", "video/mp4; codecs=\"mp4v\"", Container::Mp4, "mpeg4", "aac"),
        ("-c:v libx264 -c:a pcm_s16le a.mov", "video/quicktime", Container::QuickTime, "h264", "pcm_s16le"),
        ("-c:v prores_ks -c:a pcm_s24le a.mov", "video/quicktime", Container::QuickTime, "prores", "pcm_s24le"),
        ("-c:v libvpx -c:a libvorbis a.webm", "video/webm", Container::WebM, "vp8", "vorbis"),
        ("-c:v libvpx-vp9 -c:a libopus -speed 8 a.webm", "video/x-matroska", Container::WebM, "vp9", "opus"),
        (
            "-c:v libx265 -x265-params log-level=error -c:a flac a.mkv",
            "video/x-matroska",
            Container::Matroska,
            "hevc",
            "flac",
        ),
        // Written without going back: no length, no duration, no table of contents at the beginning.
        ("-c:v libvpx -c:a libvorbis pipe.webm", "video/webm", Container::WebM, "vp8", "vorbis"),
    ] {
        let Some(bytes) = ffmpeg(&format!("{INPUTS} {output}")) else {
            return;
        };
        let size = bytes.len() as u64;
        let probe = probed(bytes, declared).await.unwrap_or_else(|e| panic!("{output}: {e:?}"));
        assert_eq!(
            (probe.container, probe.video_codec.as_str(), probe.audio_codec.as_deref()),
            (container, video, Some(audio)),
            "{output}"
        );
        assert_eq!((probe.width, probe.height, probe.rotation_degrees, probe.bytes), (320, 240, 0, size), "{output}");
        assert!((probe.duration_seconds - 2.0).abs() < 0.1, "{output}: {}", probe.duration_seconds);
        assert!(probe.frame_rate.is_none_or(|rate| (rate - 25.0).abs() < 1.0), "{output}: {:?}", probe.frame_rate);
    }
}

#[tokio::test]
async fn a_silent_portrait_video_of_a_phone_has_the_size_that_people_see() {
    let Some(plain) = ffmpeg("-f lavfi -i testsrc=size=320x240:duration=1 -c:v libx264 -pix_fmt yuv420p a.mp4") else {
        return;
    };
    // The matrix in `tkhd` (ISO 14496-12, 8.3.2) that turns the picture a quarter clockwise.
    let at = find(&plain, b"tkhd") + 8 + 40;
    let mut turned = plain.clone();
    for (i, value) in [0, 0x1_0000, 0, -0x1_0000, 0, 0, 240 << 16, 0, 0x4000_0000_i32].into_iter().enumerate() {
        turned[at + 4 * i..at + 4 * i + 4].copy_from_slice(&value.to_be_bytes());
    }
    let probe = probed(turned, "video/mp4").await.unwrap();
    assert_eq!((probe.width, probe.height, probe.rotation_degrees), (240, 320, 90));
    assert_eq!(probe.audio_codec, None);
    assert_eq!(serde_json::to_value(probe).unwrap()["container"], "mp4");
}

#[tokio::test]
async fn a_ten_gigabyte_video_costs_a_few_small_reads() {
    let Some(bytes) = mp4() else { return };
    // Media in front, then 10 GiB of padding, then the index: offsets stay what they were.
    let (front, index) = bytes.split_at(find(&bytes, b"moov"));
    let gap = 10 << 30;
    let padded = [front, &large(b"free", gap)].concat();
    let size = bytes.len() as u64 + gap;
    let at = front.len() as u64 + gap;
    let memory = Memory::sparse(size, vec![(0, padded), (at, index.to_vec())]);
    let probe = probe(&Ffprobe::find().unwrap(), &memory, "video/mp4").await.unwrap();
    assert_eq!((probe.bytes, probe.video_codec.as_str()), (size, "h264"));
    let (reads, read) = memory.cost();
    assert!(reads <= 8 && read < 1 << 20, "{reads} reads, {read} bytes");
}

#[tokio::test]
async fn hours_of_short_fragments_are_measured_from_their_end() {
    let Some(bytes) = ffmpeg(&format!("{INPUTS} -c:v libx264 -c:a aac -movflags frag_keyframe+empty_moov -g 10 a.mp4"))
    else {
        return;
    };
    // Far more padding boxes, each beyond the read-ahead, than there are requests; then the rest of the fragments.
    let second = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"moof").nth(1).unwrap().0 - 4;
    let gap = 80 << 10;
    let mut parts = vec![(0, bytes[..second].to_vec())];
    let mut at = second as u64;
    for _ in 0..400 {
        parts.push((at, large(b"free", gap)));
        at += gap;
    }
    parts.push((at, bytes[second..].to_vec()));
    let memory = Memory::sparse(bytes.len() as u64 + 400 * gap, parts);
    let probe = probe(&Ffprobe::find().unwrap(), &memory, "video/mp4").await.unwrap();
    // The last fragment begins at 2.0 s less its own 10 pictures; the first alone would be 0.4 s.
    assert!((1.5..=2.1).contains(&probe.duration_seconds), "{}", probe.duration_seconds);
    assert!(memory.cost().0 <= MAX_READS as usize);
}

#[tokio::test]
async fn a_recording_without_a_duration_is_measured_by_its_last_cluster() {
    let Some(bytes) = ffmpeg(&format!("{INPUTS} -c:v libvpx -c:a libvorbis -cluster_time_limit 500 pipe.webm")) else {
        return;
    };
    let found = walked(&Memory::new(bytes), "video/webm").await.unwrap();
    let Length::Exactly(seconds) = found.length else { panic!("{found:?}") };
    assert!((1.9..=2.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn files_that_are_no_moving_picture_in_a_known_codec_are_refused_by_name() {
    for (arguments, declared, code) in [
        ("-f lavfi -i sine=duration=1 -c:a aac a.mp4", "video/mp4", "no-video-stream"),
        (
            "-f lavfi -i sine=duration=1 -f lavfi -i color=size=64x64:duration=0.04 -map 0 -map 1 -frames:v 1 -c:a aac -c:v png \
             -disposition:v:0 attached_pic a.mp4",
            "video/mp4",
            "no-video-stream",
        ),
        ("-f lavfi -i testsrc=size=64x64:duration=1 -c:v png a.mkv", "video/x-matroska", "no-video-stream"),
        ("-f lavfi -i testsrc=size=64x64:duration=1 -c:v mjpeg a.mov", "video/quicktime", "unsupported-codec"),
        (
            "-f lavfi -i testsrc=size=64x64:duration=1 -f lavfi -i sine=duration=1 -c:v libx264 -c:a wmav2 a.mkv",
            "video/x-matroska",
            "unsupported-codec",
        ),
        (
            "-f lavfi -i testsrc=size=64x8:duration=1 -c:v libx264 -pix_fmt yuv420p a.mp4",
            "video/mp4",
            "unsupported-dimensions",
        ),
        ("-f lavfi -i testsrc=size=64x64:rate=1/3600 -frames:v 26 -c:v libx264 a.mp4", "video/mp4", "too-long"),
        ("-f lavfi -i testsrc=size=64x64:rate=1/3600 -frames:v 26 -c:v libx264 a.mkv", "video/x-matroska", "too-long"),
        ("-f lavfi -i testsrc=size=64x64:duration=1 -c:v mpeg4 a.avi", "video/mp4", "unsupported-container"),
        ("-f lavfi -i testsrc=size=64x64:duration=1 -c:v libx264 a.ts", "video/mp4", "unsupported-container"),
        ("-f lavfi -i testsrc=size=64x64:duration=1 -c:v flv a.flv", "video/mp4", "unsupported-container"),
        ("-f lavfi -i testsrc=size=64x64:duration=1 a.gif", "video/mp4", "not-a-video"),
    ] {
        let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some(refusal) = refused(&arguments, declared).await else {
            return;
        };
        assert_eq!(refusal.code(), code, "{arguments}: {refusal}");
    }
}

#[tokio::test]
async fn the_declared_type_must_fit_the_content() {
    let (Some(mp4), Some(mkv)) = (mp4(), mkv()) else { return };
    let Some(mov) = ffmpeg(&format!("{INPUTS} -c:v libx264 -c:a aac a.mov")) else {
        return;
    };
    for (bytes, declared, right) in [
        (&mp4, "video/webm", "video/mp4"),
        (&mp4, "video/quicktime", "video/mp4"),
        (&mp4, "image/png", "video/mp4"),
        (&mp4, "", "video/mp4"),
        (&mov, "video/mp4", "video/quicktime"),
        (&mkv, "video/webm", "video/x-matroska"),
        (&mkv, "video/mp4", "video/x-matroska"),
    ] {
        let refusal = refusal(bytes.clone(), declared).await;
        assert_eq!(refusal.code(), "content-type-mismatch", "{declared}");
        assert!(refusal.to_string().contains(right), "{declared}: {refusal}");
    }
    // A QuickTime file that says to be valid MP4 as well is taken as either.
    let both = [boxed(b"ftyp", b"qt  \0\0\0\0qt  mp42"), mov[find(&mov, b"ftyp") + 20..].to_vec()].concat();
    assert!(!matches!(
        walked(&Memory::new(both), "video/mp4").await,
        Err(ProbeError::Refused(Refusal::ContentTypeMismatch { .. }))
    ));
}

#[tokio::test]
async fn trouble_of_the_platform_is_never_blamed_on_the_upload() {
    struct Failing;
    impl RangeReader for Failing {
        fn size(&self) -> u64 {
            100
        }
        async fn read(&self, _: u64, _: u64) -> io::Result<Bytes> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    struct Short;
    impl RangeReader for Short {
        fn size(&self) -> u64 {
            100
        }
        async fn read(&self, _: u64, len: u64) -> io::Result<Bytes> {
            Ok(vec![0; len as usize - 1].into())
        }
    }
    let missing = Ffprobe::at("/nonexistent/ffprobe".into());
    assert!(matches!(probe(&missing, &Failing, "video/mp4").await, Err(ProbeError::Reader(_))));
    assert!(matches!(probe(&missing, &Short, "video/mp4").await, Err(ProbeError::Reader(_))));
    let Some(bytes) = mp4() else { return };
    let result = probe(&missing, &Memory::new(bytes), "video/mp4").await;
    assert!(matches!(result, Err(ProbeError::Tool(_))), "{result:?}");
}

#[tokio::test]
async fn the_process_gets_no_environment_no_input_and_little_of_everything() {
    let (_folder, tool) =
        program("env; echo cpu=$(ulimit -t) file=$(ulimit -f) core=$(ulimit -c); cat; ls -a; ls -ld .");
    let report = ffprobe::run(&tool, 5, Vec::new(), soon()).await.unwrap();
    let report = String::from_utf8(report).unwrap();
    for line in report.lines().filter(|line| line.contains('=') && !line.starts_with("cpu=")) {
        let name = line.split('=').next().unwrap();
        // The shell itself sets the last three.
        assert!(["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{line}");
    }
    assert!(report.contains("cpu=10 file=0 core=0\n"), "{report}");
    assert!(report.contains("\n.\n..\nupload\n"), "the scratch file is alone: {report}");
    assert!(report.contains("drwx------"), "{report}");
}

#[tokio::test]
async fn a_process_that_hangs_or_floods_or_crashes_is_ended_and_the_video_refused() {
    let outcome = async |script: &str, deadline| {
        let (_folder, tool) = program(script);
        match ffprobe::run(&tool, 5, Vec::new(), deadline).await {
            Err(ProbeError::Refused(refusal)) => refusal.code(),
            other => panic!("{script}: {other:?}"),
        }
    };
    assert_eq!(outcome("exec sleep 600", Instant::now() + Duration::from_millis(300)).await, "probe-timeout");
    assert_eq!(outcome("kill -XCPU $$", soon()).await, "probe-timeout");
    assert_eq!(outcome("while :; do echo 0123456789012345678901234567890123456789; done", soon()).await, "damaged");
    assert_eq!(outcome("kill -SEGV $$", soon()).await, "damaged");
    assert_eq!(outcome("exit 1", soon()).await, "damaged");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A program in place of `ffprobe`. Written by another process: a file that this one still had open for writing when
/// another test forks could not be executed.
pub(super) fn program(script: &str) -> (tempfile::TempDir, Ffprobe) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 700 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    (folder, Ffprobe::at(path))
}
