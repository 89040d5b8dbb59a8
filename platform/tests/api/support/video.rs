//! Videos to upload: made by ffmpeg, once per process.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Answer, User};

/// Two seconds of a moving picture with a tone, as a web-ready MP4.
pub static MP4: LazyLock<Vec<u8>> = LazyLock::new(|| make("mp4", &["-movflags", "+faststart"]));

fn make(extension: &str, options: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("video.{extension}"));
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15:duration=2"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=2",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-c:a",
            "aac",
        ])
        .args(options)
        .arg(&path)
        .status()
        .expect("ffmpeg is installed: `make test` does it");
    assert!(status.success());
    std::fs::read(path).unwrap()
}

/// The body that announces these bytes.
pub fn announcement(title: &str, bytes: &[u8]) -> Value {
    json!({"title": title, "content_type": "video/mp4", "size_bytes": bytes.len()})
}

impl User<'_> {
    /// Announces a video and sends its bytes, without completing it.
    pub async fn begin_video(&self, base: &str, title: &str, bytes: &[u8]) -> (Answer, Vec<Value>) {
        let made = self.post(base, &announcement(title, bytes)).await.assert(201);
        let parts = self.send_parts(&made.body["upload"], bytes).await;
        (made, parts)
    }

    /// Sends the parts that an upload asks for.
    pub async fn send_parts(&self, upload: &Value, bytes: &[u8]) -> Vec<Value> {
        let part_size = upload["part_size"].as_u64().unwrap() as usize;
        let mut parts = Vec::new();
        for part in upload["parts"].as_array().unwrap() {
            let number = part["number"].as_u64().unwrap();
            let chunk = bytes.chunks(part_size).nth(number as usize - 1).unwrap().to_vec();
            let mut request = self.app.http.put(part["url"].as_str().unwrap()).body(chunk);
            for (name, value) in part["headers"].as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
            let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
            parts.push(json!({"number": number, "etag": etag}));
        }
        parts
    }

    /// A video that is ready and not published.
    pub async fn add_video(&self, title: &str) -> Answer {
        self.add_video_to("/api/v1/videos", title).await
    }

    /// The same in the given collection.
    pub async fn add_video_to(&self, base: &str, title: &str) -> Answer {
        let (made, parts) = self.begin_video(base, title, &MP4).await;
        let url = format!("{base}/{}", made.id());
        self.put(&format!("{url}/upload"), &json!({ "parts": parts })).await.assert(200)
    }

    /// A video that athletes see.
    pub async fn add_published_video(&self, title: &str) -> Answer {
        let video = self.add_video(title).await;
        self.put_empty(&format!("/api/v1/videos/{}/publication", video.id())).await;
        video
    }
}
