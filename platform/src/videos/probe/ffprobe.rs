//! Running `ffprobe` where it can do no harm: one sparse file, no network, no environment, little of everything.

use super::{ProbeError, Refusal, source::Block};
use std::{
    fs::{File, Permissions},
    io,
    os::unix::{
        fs::{FileExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::{Instant, timeout_at},
};

/// The demuxers it may use: their whole names in FFmpeg, of which the MP4 family's is a list itself.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm";
/// Most bytes of its report; a video with a few dozen tracks needs 100 kB.
const MAX_REPORT: u64 = 1 << 20;
/// Name of the scratch file: without an extension, which would give hints about the format.
const SCRATCH: &str = "upload";
/// Exit status of the limiting shell when a limit could not be set; 126 and 127 are its own for "cannot start".
const NO_LIMITS: i32 = 125;

/// MiB of private memory that it may write (`RLIMIT_DATA`, which on Linux since 4.7 counts anonymous mappings as well).
/// Measured with Debian's FFmpeg 5.1: 39 to load and examine a short film or 4K in HEVC, 120 for H.264 of 8192x4320,
/// 143 for the index of 4 hours at 60 pictures a second with sound. Resident it is at most this, less 20.
pub(super) const MEMORY_MIB: u64 = 192;
/// Most bytes that are kept of what it complains about.
const MAX_COMPLAINT: usize = 64 << 10;
/// How the C library puts `ENOMEM`, with no locale set.
const NO_MEMORY: &[u8] = b"Cannot allocate memory";

/// Sets the limits on the process and becomes the program: no core dump, no file written, 10 s of CPU, 64 open files, and
/// on Linux [`MEMORY_MIB`] of memory in 1 GiB of addresses (its libraries alone take 260 MiB of these; macOS has no such
/// limits). Its first argument is the memory in KiB. POSIX shell rather than `prlimit`, which neither macOS nor a
/// small image has: limits outlive the change of program.
#[cfg(target_os = "linux")]
const LIMITED: &str = r#"ulimit -c 0 && ulimit -f 0 && ulimit -t 10 && ulimit -n 64 && ulimit -d "$1" && ulimit -v 1048576 || exit 125; shift; exec "$@""#;
#[cfg(not(target_os = "linux"))]
const LIMITED: &str = r#"ulimit -c 0 && ulimit -f 0 && ulimit -t 10 && ulimit -n 64 || exit 125; shift; exec "$@""#;

/// Where `ffprobe` is.
#[derive(Debug, Clone)]
pub struct Ffprobe {
    program: PathBuf,
}

impl Ffprobe {
    /// The `ffprobe` on this process's `PATH`. Find it once, at start.
    ///
    /// # Errors
    /// [`ProbeError::Tool`] when there is none.
    pub fn find() -> Result<Self, ProbeError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("ffprobe"))
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .ok_or_else(|| ProbeError::Tool("it is not installed; it comes with FFmpeg".into()))
    }

    /// A given program, by absolute path.
    pub fn at(program: PathBuf) -> Self {
        Self { program }
    }
}

/// `ffprobe`'s JSON on a file of `size` bytes of which only `blocks` are there, the rest zeros.
pub(super) async fn run(
    tool: &Ffprobe,
    size: u64,
    blocks: Vec<Block>,
    deadline: Instant,
) -> Result<Vec<u8>, ProbeError> {
    let folder = tokio::task::spawn_blocking(move || scratch(size, &blocks))
        .await
        .map_err(|error| ProbeError::Scratch(io::Error::other(error)))?
        .map_err(ProbeError::Scratch)?;
    // Dropping the future kills the process.
    timeout_at(deadline, examine(tool, folder.path())).await.unwrap_or(Err(Refusal::ProbeTimeout.into()))
}

/// A folder of its own, closed to others, with the sparse file in it. Removed when dropped.
fn scratch(size: u64, blocks: &[Block]) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("ffp-probe-").permissions(Permissions::from_mode(0o700)).tempdir()?;
    let file = File::create_new(folder.path().join(SCRATCH))?;
    file.set_len(size)?;
    for block in blocks {
        file.write_all_at(&block.bytes, block.offset)?;
    }
    Ok(folder)
}

async fn examine(tool: &Ffprobe, folder: &Path) -> Result<Vec<u8>, ProbeError> {
    let cannot = |error: io::Error| ProbeError::Tool(error.to_string());
    let mut child = Command::new("/bin/sh")
        .args(["-c", LIMITED, "ffprobe"])
        .arg((MEMORY_MIB << 10).to_string())
        .arg(&tool.program)
        // One thread: each of more would take buffers of its own.
        .args(["-hide_banner", "-v", "error", "-threads", "1"])
        .args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS])
        .args(["-of", "json", "-show_format", "-show_streams", "-i"])
        .arg(format!("file:{SCRATCH}"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (report, complaint) = tokio::join!(upto(stdout, MAX_REPORT + 1), ending(stderr));
    let (report, complaint) = (report.map_err(cannot)?, complaint.map_err(cannot)?);
    if report.len() as u64 > MAX_REPORT {
        return Err(Refusal::Damaged("it lists more tracks than can be examined".into()).into());
    }
    let status = child.wait().await.map_err(cannot)?;
    tracing::debug!(%status, "ffprobe ended");
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(report),
        (Some(NO_LIMITS), _) => Err(ProbeError::Tool("its limits could not be set".into())),
        (Some(126 | 127), _) => Err(ProbeError::Tool("it could not be started".into())),
        // SIGXCPU, or SIGKILL by the kernel where that limit ran out.
        (None, Some(24 | 9)) => Err(Refusal::ProbeTimeout.into()),
        // It gave up for want of memory: by SIGABRT, or in words.
        (None, Some(6)) => Err(Refusal::TooComplex { limit_mib: MEMORY_MIB }.into()),
        _ if complaint.windows(NO_MEMORY.len()).any(|words| words == NO_MEMORY) => {
            Err(Refusal::TooComplex { limit_mib: MEMORY_MIB }.into())
        }
        _ => Err(Refusal::Damaged("its content cannot be read as a video".into()).into()),
    }
}

/// The first `most` bytes of a stream.
async fn upto(stream: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The end of a stream, read whole so that who writes it is not held up: what a program dies of it says last.
async fn ending(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    let Some(mut stream) = stream else { return Ok(kept) };
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&piece[..read]);
        let over = kept.len().saturating_sub(MAX_COMPLAINT);
        kept.drain(..over);
    }
}
