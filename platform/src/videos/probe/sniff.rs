//! What a file is, by its first bytes and never by its name.

use super::{Container, Refusal};

/// How many bytes of the beginning are looked at.
pub(super) const HEAD: u64 = 4096;

/// Brands of still pictures and of sound alone in the same boxes as MP4 (ISO/IEC 23008-12, MIAF, AVIF).
const PICTURE_BRANDS: [&[u8; 4]; 7] = [b"mif1", b"msf1", b"heic", b"heix", b"heif", b"avif", b"avis"];
/// Boxes that a file may begin with; before brands existed, `ftyp` was not among them.
const FIRST_BOXES: [&[u8; 4]; 7] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];

/// An accepted container and the content types that fit it.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) container: Container,
    fits: Vec<&'static str>,
}

impl Kind {
    /// Whether the declared content type fits the content.
    pub(super) fn check_declared(&self, declared: &str) -> Result<(), Refusal> {
        let essence = declared.split(';').next().unwrap_or_default().trim();
        if self.fits.iter().any(|fit| fit.eq_ignore_ascii_case(essence)) {
            return Ok(());
        }
        Err(Refusal::ContentTypeMismatch {
            declared: essence.chars().take(100).collect(),
            found: self.container.name(),
            right: self.container.content_type(),
        })
    }
}

/// The container that `head`, the file's beginning, belongs to.
pub(super) fn recognise(head: &[u8]) -> Result<Kind, Refusal> {
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return matroska(head);
    }
    if let Some(kind) = head.get(4..8)
        && FIRST_BOXES.iter().any(|first| kind == *first)
    {
        return iso_media(head);
    }
    Err(stranger(head))
}

fn iso_media(head: &[u8]) -> Result<Kind, Refusal> {
    let quicktime = Kind { container: Container::QuickTime, fits: vec!["video/quicktime"] };
    if &head[4..8] != b"ftyp" {
        return Ok(quicktime);
    }
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if size < 16 {
        return Err(Refusal::Damaged("its first box (`ftyp`) has an impossible size".into()));
    }
    let brands = &head[8..size.min(head.len()).max(8)];
    let Some(major) = brands.get(..4) else {
        return Err(Refusal::Truncated("it ends within its first box".into()));
    };
    if PICTURE_BRANDS.iter().any(|brand| major == *brand) {
        return Err(Refusal::NotAVideo { found: "a still picture (HEIC or AVIF)" });
    }
    // Major brand, its version, then the compatible brands. Editors write QuickTime files that are also valid MP4
    // and say so, therefore both types may fit.
    let compatible = || brands.get(8..).unwrap_or_default().chunks_exact(4).chain([major]);
    let is_quicktime = compatible().any(|brand| brand == b"qt  ");
    let is_mp4 = compatible().any(|brand| brand != b"qt  " && brand != [0; 4]);
    if major == b"qt  " {
        let fits = if is_mp4 { vec!["video/quicktime", "video/mp4"] } else { vec!["video/quicktime"] };
        return Ok(Kind { fits, ..quicktime });
    }
    let fits = if is_quicktime { vec!["video/mp4", "video/quicktime"] } else { vec!["video/mp4"] };
    Ok(Kind { container: Container::Mp4, fits })
}

/// EBML (RFC 8794): Matroska or WebM by the document type in the header.
fn matroska(head: &[u8]) -> Result<Kind, Refusal> {
    match super::matroska::document_type(head)?.as_slice() {
        // WebM is Matroska with fewer choices, so Matroska's type fits it too.
        b"webm" => Ok(Kind { container: Container::WebM, fits: vec!["video/webm", "video/x-matroska"] }),
        b"matroska" => Ok(Kind { container: Container::Matroska, fits: vec!["video/x-matroska"] }),
        _ => Err(Refusal::NotAVideo { found: "an EBML document of another kind" }),
    }
}

/// The best name for what is no accepted container.
fn stranger(head: &[u8]) -> Refusal {
    const OTHERS: [(&[u8], &str); 9] = [
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive or office document"),
        (b"\x1f\x8b", "a compressed archive"),
        (b"\x7fELF", "a program"),
        (b"MZ", "a program"),
        (b"ID3", "a sound file"),
    ];
    const VIDEOS: [(&[u8], &str); 5] = [
        (b"FLV\x01", "a Flash video"),
        (b"OggS", "an Ogg file"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
        (b"\x00\x00\x01\xba", "an MPEG program stream"),
        (b"\x00\x00\x01\xb3", "an MPEG video stream"),
    ];
    if let Some((_, found)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Refusal::NotAVideo { found };
    }
    if let Some((_, found)) = VIDEOS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Refusal::UnsupportedContainer { found };
    }
    if head.starts_with(b"RIFF") {
        return match head.get(8..12) {
            Some(b"AVI ") => Refusal::UnsupportedContainer { found: "an AVI file" },
            Some(b"WAVE") => Refusal::NotAVideo { found: "a sound file" },
            _ => Refusal::NotAVideo { found: "a RIFF file of another kind" },
        };
    }
    // A transport stream has its sync byte every 188 bytes.
    if head.len() > 376 && [0, 188, 376].iter().all(|at| head[*at] == 0x47) {
        return Refusal::UnsupportedContainer { found: "an MPEG transport stream" };
    }
    Refusal::NotAVideo { found: text(head).unwrap_or("data of an unknown kind") }
}

/// Names the kinds of text: those that make players fetch other addresses are why this module exists.
fn text(head: &[u8]) -> Option<&'static str> {
    let marked = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start: Vec<u8> = marked.trim_ascii_start().iter().take(64).map(u8::to_ascii_lowercase).collect();
    let begins = |words: &[&str]| words.iter().any(|word| start.starts_with(word.as_bytes()));
    if begins(&["#extm3u", "#ext-x", "[playlist]", "ffconcat", "<mpd", "<smil", "<asx"]) {
        return Some("a playlist");
    }
    if begins(&["<!doctype html", "<html", "<head", "<body", "<script"]) {
        return Some("a web page");
    }
    if begins(&["<svg", "<?xml", "<!doctype svg", "<!--", "<"]) {
        return Some("an SVG or XML document");
    }
    if head.iter().all(|byte| *byte == 0) {
        return Some("nothing but zero bytes");
    }
    let printable = head.iter().all(|b| *b >= 0x20 && *b != 0x7f || b"\t\r\n\x0c\x1b".contains(b));
    // The window may end within a character: that alone is no reason to call it data.
    let utf8 = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    let utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    (printable && utf8 || utf16).then_some("a text")
}
