//! Uploads made to harm: disguises, cuts, lies about sizes, references to elsewhere.
#![allow(clippy::unwrap_used)]

use super::{
    Ffprobe, ProbeError, Refusal, ffprobe,
    fixtures::{INPUTS, Memory, all_boxes, boxed, ffmpeg, find, large, mkv, mp4, refusal, replace, walked},
    source::{Block, MAX_BYTES, MAX_READS},
    tests::program,
};
use std::{io, net::TcpListener, time::Duration};
use tokio::time::Instant;

const FTYP: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42";

#[tokio::test]
async fn playlists_and_documents_are_refused_and_nobody_follows_their_addresses() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = format!("http://{}/secret.ts", socket.local_addr().unwrap());
    for (text, found) in [
        (format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"), "a playlist"),
        (format!("\u{feff}\n  #EXTM3U\n#EXTINF:9,\n{address}\n"), "a playlist"),
        (format!("ffconcat version 1.0\nfile {address}\n"), "a playlist"),
        (format!("[playlist]\nFile1={address}\n"), "a playlist"),
        (format!("<MPD><BaseURL>{address}</BaseURL></MPD>"), "a playlist"),
        (
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"{address}\"/></svg>"),
            "an SVG or XML document",
        ),
        (format!("<?xml version=\"1.0\"?><!DOCTYPE x SYSTEM \"{address}\"><x/>"), "an SVG or XML document"),
        (format!("<!DOCTYPE HTML><video src=\"{address}\">"), "a web page"),
        (address.clone(), "a text"),
        ("Ü".repeat(3000), "a text"),
    ] {
        for declared in ["video/mp4", "application/vnd.apple.mpegurl"] {
            assert_eq!(refusal(text.clone().into_bytes(), declared).await, Refusal::NotAVideo { found }, "{text}");
        }
        // Were it to slip through the recognition, the confined program would refuse it all the same.
        confined_refuses(text.into_bytes()).await;
    }
    assert_eq!(socket.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "an address was followed");
}

#[tokio::test]
async fn an_mp4_whose_media_lie_elsewhere_is_refused_and_nobody_goes_there() {
    let Some(bytes) = mp4() else { return };
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = format!("http://{}/media\0", socket.local_addr().unwrap());
    assert!(walked(&Memory::new(bytes.clone()), "video/mp4").await.is_ok());
    let entry = find(&bytes, b"url ");
    let reference = |kind: &[u8; 4], flags: u32, data: &[u8]| {
        replace(&bytes, entry, 12, &boxed(kind, &[&flags.to_be_bytes(), data].concat()))
    };
    for changed in [
        reference(b"url ", 0, address.as_bytes()),
        reference(b"url ", 0, b""),
        reference(b"url ", 1, address.as_bytes()),
        reference(b"urn ", 0, b"name\0location\0"),
        reference(b"alis", 0, &[7; 200]),
        reference(b"alis", 1, &[7; 200]),
    ] {
        assert_eq!(refusal(changed.clone(), "video/mp4").await, Refusal::ExternalReference);
        let tool = Ffprobe::find().unwrap();
        let block = Block { offset: 0, bytes: changed.into() };
        let size = block.bytes.len() as u64;
        let _ = ffprobe::run(&tool, size, vec![block], soon()).await;
    }
    assert_eq!(socket.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "the address was followed");
    // Harmless forms of "in this file" that exist: an empty text, an empty alias.
    for fine in [reference(b"url ", 1, b"\0"), reference(b"alis", 1, b"")] {
        assert!(walked(&Memory::new(fine), "video/mp4").await.is_ok());
    }
    let moov = find(&bytes, b"moov");
    let elsewhere = replace(&bytes, moov + 8, 0, &boxed(b"rmra", b""));
    assert_eq!(refusal(elsewhere, "video/mp4").await, Refusal::ExternalReference);
    let compressed = replace(&bytes, moov + 8, 0, &boxed(b"cmov", b""));
    assert_eq!(refusal(compressed, "video/mp4").await.code(), "damaged");
    let hidden = [bytes.as_slice(), &boxed(b"trak", b"")].concat();
    // Behind a complete video it is foreign matter; before its index it is a defect.
    assert!(walked(&Memory::new(hidden), "video/mp4").await.is_ok());
    let misplaced = [FTYP, &boxed(b"trak", b""), &bytes].concat();
    assert_eq!(refusal(misplaced, "video/mp4").await.code(), "damaged");
}

#[tokio::test]
async fn what_is_no_video_at_all_is_refused_by_name() {
    assert_eq!(refusal(Vec::new(), "video/mp4").await, Refusal::Empty);
    for (bytes, found) in [
        (vec![0; 100_000], "nothing but zero bytes"),
        (noise(100_000), "data of an unknown kind"),
        (vec![0xff], "data of an unknown kind"),
        (b"x".to_vec(), "a text"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "a PNG picture"),
        (b"PK\x03\x04 and more".to_vec(), "a ZIP archive or office document"),
        (b"RIFF\0\0\0\0WAVEfmt ".to_vec(), "a sound file"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1".to_vec(), "a still picture (HEIC or AVIF)"),
        (b"\x1a\x45\xdf\xa3\x87\x42\x82\x84soup".to_vec(), "an EBML document of another kind"),
    ] {
        assert_eq!(refusal(bytes, "video/mp4").await, Refusal::NotAVideo { found });
    }
}

#[tokio::test]
async fn a_video_cut_off_anywhere_is_refused() {
    let (Some(mp4), Some(mkv)) = (mp4(), mkv()) else { return };
    let Some(fast) = ffmpeg("-f lavfi -i testsrc=size=64x64:duration=1 -c:v libx264 -movflags +faststart a.mp4") else {
        return;
    };
    for (bytes, declared) in [(&mp4, "video/mp4"), (&fast, "video/mp4"), (&mkv, "video/x-matroska")] {
        assert!(walked(&Memory::new(bytes.clone()), declared).await.is_ok());
        for length in (64..bytes.len()).step_by(61).chain(bytes.len() - 20..bytes.len()) {
            let refusal = refusal(bytes[..length].to_vec(), declared).await;
            assert_eq!(refusal.code(), "truncated", "{declared} cut to {length} of {}: {refusal}", bytes.len());
        }
    }
    let without_index = mp4[..find(&mp4, b"moov")].to_vec();
    assert!(refusal(without_index, "video/mp4").await.to_string().contains("moov"));
    let index_alone = fast[..find(&fast, b"mdat")].to_vec();
    assert!(refusal(index_alone, "video/mp4").await.to_string().contains("no pictures"));
    // Bytes behind a complete video are nobody's harm.
    for behind in [&[0; 1000][..], b"xyz", b"TAGsome title, and so on"] {
        let longer = [mp4.as_slice(), behind].concat();
        assert!(walked(&Memory::new(longer), "video/mp4").await.is_ok(), "{behind:?}");
    }
}

#[tokio::test]
async fn claims_beyond_the_object_are_refused_as_cut_off() {
    let ten_gigabytes = 10 << 30;
    for (bytes, declared) in [
        ([FTYP, &large(b"mdat", ten_gigabytes), &[0; 1000]].concat(), "video/mp4"),
        ([FTYP, &large(b"moov", ten_gigabytes), &[0; 1000]].concat(), "video/mp4"),
        ([FTYP, &large(b"free", u64::MAX)].concat(), "video/mp4"),
        ([FTYP, b"\xff\xff\xff\xffmdat", &[0; 1000]].concat(), "video/mp4"),
        ([&ebml("webm"), &b"\x18\x53\x80\x67\x01\0\0\x02\x80\0\0\0"[..], &[0; 99]].concat(), "video/webm"),
        ([&ebml("webm"), &b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xfe"[..]].concat(), "video/webm"),
    ] {
        let refusal = refusal(bytes, declared).await;
        assert_eq!(refusal.code(), "truncated", "{refusal}");
    }
    // The same claim where the bytes exist is a matter of the limit, and nothing is read of it.
    let head = [FTYP, &large(b"moov", ten_gigabytes)].concat();
    let memory = Memory::sparse(FTYP.len() as u64 + ten_gigabytes, vec![(0, head)]);
    let result = walked(&memory, "video/mp4").await;
    assert!(matches!(result, Err(ProbeError::Refused(Refusal::IndexTooLarge { limit_mib: 32 }))), "{result:?}");
    assert!(memory.cost().1 < 1 << 20);
}

#[tokio::test]
async fn no_size_makes_the_walk_panic_loop_or_read_without_end() {
    let (Some(mp4), Some(mkv)) = (mp4(), mkv()) else { return };
    for at in all_boxes(&mp4, 0, mp4.len()) {
        for size in [0, 1, 2, 7, 8, 9, 12, 15, 16, 17, 0x7fff_ffff, u32::MAX] {
            for large in [0, 1, 15, 16, 17, 10 << 30, u64::MAX >> 1, u64::MAX - 7, u64::MAX] {
                let mut changed = mp4.clone();
                changed[at..at + 4].copy_from_slice(&size.to_be_bytes());
                if size == 1 && at + 16 <= changed.len() {
                    changed[at + 8..at + 16].copy_from_slice(&large.to_be_bytes());
                }
                ends(changed, "video/mp4").await;
                if size != 1 {
                    break;
                }
            }
        }
    }
    let mut random = 7_u64;
    let mut next = move |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % limit
    };
    let moov = find(&mp4, b"moov");
    for _ in 0..3000 {
        let mut changed = mp4.clone();
        for _ in 0..3 {
            changed[moov + next(mp4.len() - moov)] = [0, 1, 7, 0x7f, 0x80, 0xff][next(6)];
        }
        ends(changed, "video/mp4").await;
        let mut changed = mkv.clone();
        for _ in 0..3 {
            changed[5 + next(700)] = [0, 1, 8, 0x40, 0x80, 0xff][next(6)];
        }
        ends(changed, "video/x-matroska").await;
    }
}

#[tokio::test]
async fn floods_of_parts_and_deep_nesting_are_refused_within_the_budget() {
    let tiny = [FTYP.to_vec(), boxed(b"free", b"").repeat(1_000_000)].concat();
    assert_eq!(refusal(tiny, "video/mp4").await.code(), "damaged");
    let scattered: Vec<_> = (0..1000).map(|i| (24 + i * 100_000, large(b"free", 100_000))).collect();
    let memory = Memory::sparse(24 + 1000 * 100_000, [vec![(0, FTYP.to_vec())], scattered].concat());
    assert!(matches!(walked(&memory, "video/mp4").await, Err(ProbeError::Refused(Refusal::Damaged(_)))));
    assert!(memory.cost().0 <= MAX_READS as usize);

    let mut nested = Vec::new();
    for _ in 0..5000 {
        nested = boxed(b"trak", &nested);
    }
    let deep = [FTYP, &boxed(b"moov", &nested), &boxed(b"mdat", b"x")].concat();
    assert!(refusal(deep, "video/mp4").await.to_string().contains("nested"));
    let crowd = boxed(b"moov", &boxed(b"free", b"").repeat(1_000_000));
    assert_eq!(refusal([FTYP, &crowd, &boxed(b"mdat", b"x")].concat(), "video/mp4").await.code(), "damaged");
    let two = [FTYP, &boxed(b"moov", &boxed(b"trak", b"")).repeat(2), &boxed(b"mdat", b"x")].concat();
    assert!(refusal(two, "video/mp4").await.to_string().contains("two indexes"));
    // A count of references without the references.
    let dref = boxed(b"dref", &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let index = boxed(b"moov", &boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &boxed(b"dinf", &dref)))));
    assert_eq!(refusal([FTYP, &index, &boxed(b"mdat", b"x")].concat(), "video/mp4").await.code(), "damaged");
    // Elements of no size, for ever.
    let void =
        [&ebml("webm")[..], b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", &b"\xec\x80".repeat(100_000)].concat();
    assert_eq!(refusal(void, "video/webm").await.code(), "damaged");
}

/// The walk comes to an end within its budget, whatever it finds.
async fn ends(bytes: Vec<u8>, declared: &str) {
    let memory = Memory::new(bytes);
    match walked(&memory, declared).await {
        Ok(_) | Err(ProbeError::Refused(_)) => assert!(memory.cost().0 <= MAX_READS as usize),
        Err(other) => panic!("{other:?}"),
    }
}

async fn confined_refuses(bytes: Vec<u8>) {
    let Ok(tool) = Ffprobe::find() else { return };
    let size = bytes.len() as u64;
    let result = ffprobe::run(&tool, size, vec![Block { offset: 0, bytes: bytes.into() }], soon()).await;
    assert!(matches!(result, Err(ProbeError::Refused(Refusal::Damaged(_)))), "{result:?}");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn ebml(kind: &str) -> Vec<u8> {
    let length = kind.len() as u8;
    [b"\x1a\x45\xdf\xa3", &[0x80 | (length + 3), 0x42, 0x82, 0x80 | length][..], kind.as_bytes()].concat()
}

/// Bytes of no meaning, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

/// The video with an index in which each sample has the same size, and the first track has millions of them.
fn crowded(bytes: &[u8], samples: u32) -> Vec<u8> {
    let (stsz, stts) = (find(bytes, b"stsz"), find(bytes, b"stts"));
    let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    // The one that lies further behind first, so that the other stays where it is.
    let mut boxes = [
        (stsz, length(stsz), boxed(b"stsz", &numbers(&[0, 1, samples]))),
        (stts, length(stts), boxed(b"stts", &numbers(&[0, 1, samples, 2]))),
    ];
    boxes.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    boxes.iter().fold(bytes.to_vec(), |bytes, (at, old, new)| replace(&bytes, *at, *old, new))
}

#[tokio::test]
async fn an_index_that_claims_millions_of_pictures_in_a_few_bytes_is_refused() {
    let Some(bytes) = mp4() else { return };
    for samples in [16_000_000, 75_000_000, u32::MAX] {
        let refusal = refusal(crowded(&bytes, samples), "video/mp4").await;
        assert_eq!(refusal.code(), "index-too-large", "{samples}: {refusal}");
        assert!(refusal.to_string().contains("16 million"), "{refusal}");
    }
    // What 24 hours have is no matter of the walk.
    assert!(walked(&Memory::new(crowded(&bytes, 10_000_000)), "video/mp4").await.is_ok());
    // Uncompressed sound has one sample for every tick of its clock: 24 hours of it list billions, in chunks.
    let Some(sound) = ffmpeg(&format!("{INPUTS} -c:v libx264 -c:a pcm_s16le a.mov")) else { return };
    let behind = sound.windows(4).rposition(|window| window == b"stsz").unwrap() - 4;
    let mut long = sound.clone();
    long[behind + 16..behind + 20].copy_from_slice(&4_147_200_000_u32.to_be_bytes());
    assert!(u32::from_be_bytes(long[behind + 12..behind + 16].try_into().unwrap()) > 0, "all have one size");
    assert!(walked(&Memory::new(long), "video/quicktime").await.is_ok());
}

#[tokio::test]
async fn an_index_is_read_up_to_its_limit_and_a_padded_one_not_at_all() {
    let Some(bytes) = mp4() else { return };
    let moov = find(&bytes, b"moov");
    for (padding, is_read) in [(30 << 20, true), (33 << 20, false)] {
        let padded = replace(&bytes, moov + 8, 0, &boxed(b"free", &vec![0; padding]));
        let memory = Memory::new(padded);
        let walked = walked(&memory, "video/mp4").await;
        assert_eq!(walked.is_ok(), is_read, "{walked:?}");
        let limit = if is_read { MAX_BYTES } else { 1 << 20 };
        assert!(memory.cost().1 <= limit, "{:?}", memory.cost());
    }
    // The same in Matroska: what is too large stays unread, and what is read has its bound.
    let mut junk = Vec::new();
    for _ in 0..20 {
        // Tags (1254C367) of 7 MiB each.
        junk.extend(b"\x12\x54\xc3\x67\x10\x70\x00\x00");
        junk.resize(junk.len() + (7 << 20), 0);
    }
    let flood = [&ebml("webm")[..], b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", &junk].concat();
    let memory = Memory::new(flood);
    let result = walked(&memory, "video/webm").await;
    assert!(matches!(result, Err(ProbeError::Refused(Refusal::Damaged(_)))), "{result:?}");
    assert!(memory.cost().1 <= MAX_BYTES, "{:?}", memory.cost());
}

/// What a program of these lines answers in ffprobe's place.
async fn in_its_place(lines: &str) -> Result<Vec<u8>, ProbeError> {
    let (_folder, tool) = program(lines);
    ffprobe::run(&tool, 1, Vec::new(), soon()).await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ffprobe_has_little_memory() {
    let limits = in_its_place("ulimit -d; ulimit -v").await.unwrap();
    let limits = String::from_utf8(limits).unwrap();
    let mut lines = limits.lines();
    assert_eq!(lines.next(), Some((ffprobe::MEMORY_MIB << 10).to_string().as_str()), "{limits}");
    assert_eq!(lines.next(), Some("1048576"), "{limits}");
}

#[tokio::test]
async fn want_of_memory_is_the_videos_fault_and_says_so() {
    for lines in [
        "echo '[mov] Cannot allocate memory' >&2; exit 1",
        "head -c 200000 /dev/zero >&2; echo 'upload: Cannot allocate memory' >&2; exit 1",
        "kill -ABRT $$",
    ] {
        let refused = in_its_place(lines).await;
        assert!(matches!(refused, Err(ProbeError::Refused(Refusal::TooComplex { .. }))), "{lines}: {refused:?}");
    }
    let damaged = in_its_place("echo 'Invalid data found' >&2; exit 1").await;
    assert!(matches!(damaged, Err(ProbeError::Refused(Refusal::Damaged(_)))), "{damaged:?}");
}

#[tokio::test]
async fn whatever_an_index_claims_ffprobe_ends_within_its_means() {
    let Some(bytes) = mp4() else { return };
    let tool = Ffprobe::find().unwrap();
    // Past the walk, as if that had not looked.
    let crowded = crowded(&bytes, 75_000_000);
    let size = crowded.len() as u64;
    let result = ffprobe::run(&tool, size, vec![Block { offset: 0, bytes: crowded.into() }], soon()).await;
    assert!(matches!(result, Ok(_) | Err(ProbeError::Refused(_))), "{result:?}");
}
