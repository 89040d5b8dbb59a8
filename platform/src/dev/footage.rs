//! A video to play: made with FFmpeg, uploaded as any coach uploads one.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devstack::programs;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncSeekExt},
    process::Command,
};

use super::client::Client;

/// Seconds of video.
const SECONDS: u32 = 20;

/// A test picture with a running clock and a tone, as MP4 that plays while it loads.
pub(super) struct Footage {
    dir: PathBuf,
}

impl Footage {
    /// Kept in `dir`.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The file; encoded if it is not there.
    pub(super) async fn file(&self) -> anyhow::Result<PathBuf> {
        let file = self.dir.join("video.mp4");
        if fs::try_exists(&file).await? {
            return Ok(file);
        }
        fs::create_dir_all(&self.dir).await?;
        // Under a name of its own until it is whole: FFmpeg may outlive a start that was killed.
        let unfinished = tempfile::Builder::new().suffix(".part").tempfile_in(&self.dir)?;
        let picture = format!("testsrc2=size=1280x720:rate=30:duration={SECONDS}");
        let tone = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
        let output = Command::new(programs::ffmpeg()?)
            .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
            .args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-pix_fmt", "yuv420p", "-g", "60"])
            .args(["-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart", "-f", "mp4"])
            .arg(unfinished.path())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            bail!("FFmpeg did not make the demo video: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        unfinished.persist(&file)?;
        Ok(file)
    }
}

/// A video that is to be there, published.
pub(super) struct Upload<'a> {
    /// The collection: a business's videos, or the library.
    pub base: &'a str,
    /// By which it is found again.
    pub title: &'a str,
    /// Whose it will be.
    pub token: &'a str,
}

impl Upload<'_> {
    /// Uploads and publishes it, from wherever an earlier try got to.
    pub(super) async fn ensure(&self, client: &Client, file: &Path) -> anyhow::Result<()> {
        let size = fs::metadata(file).await?.len();
        let found = self.find(client).await?;
        if found.as_ref().is_some_and(|video| !video["published_at"].is_null()) {
            return Ok(());
        }
        let id = match found {
            Some(video) if video["status"] == "ready" => id(&video)?,
            Some(video) => self.resume(client, file, &video, size).await?,
            None => self.upload(client, file, size).await?,
        };
        let publication = format!("{}/{id}/publication", self.base);
        client.call(Method::PUT, &publication, Some(self.token), None).await?.expect()?;
        Ok(())
    }

    async fn find(&self, client: &Client) -> anyhow::Result<Option<Value>> {
        // The library lists what is its own; a business's list has the library's videos too.
        let page = client.get(&format!("{}?limit=100", self.base), self.token).await?;
        let wanted = if self.base.contains("library") { "library" } else { "tenant" };
        let videos = page["items"].as_array().into_iter().flatten();
        Ok(videos.into_iter().find(|video| video["title"] == self.title && video["scope"] == wanted).cloned())
    }

    async fn upload(&self, client: &Client, file: &Path, size: u64) -> anyhow::Result<String> {
        let new = json!({
            "title": self.title,
            "description": "A test picture with a clock and a tone.",
            "content_type": "video/mp4",
            "size_bytes": size,
        });
        let added = client.call(Method::POST, self.base, Some(self.token), Some(new)).await?.expect()?;
        self.send(client, file, &id(&added)?, &added["upload"]).await
    }

    /// Goes on with an upload; begins anew if that is over, or was of another file.
    async fn resume(&self, client: &Client, file: &Path, video: &Value, size: u64) -> anyhow::Result<String> {
        let id = id(video)?;
        let path = format!("{}/{id}/upload", self.base);
        let upload = client.call(Method::GET, &path, Some(self.token), None).await?;
        if upload.status.is_success() && video["size_bytes"] == size {
            return self.send(client, file, &id, &upload.body).await;
        }
        let video = format!("{}/{id}", self.base);
        client.call(Method::DELETE, &video, Some(self.token), None).await?.expect()?;
        self.upload(client, file, size).await
    }

    /// Sends the parts that are missing and completes the upload.
    async fn send(&self, client: &Client, file: &Path, id: &str, upload: &Value) -> anyhow::Result<String> {
        let part_size = upload["part_size"].as_u64().context("an upload without a part size")?;
        let received = upload["received"].as_array().into_iter().flatten();
        let mut parts: Vec<Value> =
            received.map(|part| json!({ "number": part["number"], "etag": part["etag"] })).collect();
        let mut file = File::open(file).await?;
        for part in upload["parts"].as_array().into_iter().flatten() {
            let number = part["number"].as_u64().context("a part without a number")?;
            file.seek(std::io::SeekFrom::Start((number - 1) * part_size)).await?;
            let mut bytes = Vec::new();
            (&mut file).take(part_size).read_to_end(&mut bytes).await?;
            let etag = client.put_part(part, bytes).await?;
            parts.push(json!({ "number": number, "etag": etag }));
        }
        let path = format!("{}/{id}/upload", self.base);
        client.call(Method::PUT, &path, Some(self.token), Some(json!({ "parts": parts }))).await?.expect()?;
        Ok(id.to_owned())
    }
}

fn id(video: &Value) -> anyhow::Result<String> {
    video["id"].as_str().map(str::to_owned).context("a video without an id")
}
